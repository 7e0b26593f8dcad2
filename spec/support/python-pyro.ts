// Finds Pythons that have Pyro4 and Pyro5, and runs programs in them.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { CHILD_ENV } from './helpers.js'
import type { Version } from './pyro.js'

/** Debian has Pyro4. `.ci/run` makes an environment with Pyro5. */
const CANDIDATES = [
  '/usr/bin/python3',
  'python3',
  fileURLToPath(new URL('../../node_modules/.cache/pyro5/bin/python', import.meta.url))
]

/** The command of a Python with that version; undefined if there is none. */
export const pythonWithPyro = (version: Version): string | undefined =>
  CANDIDATES.find(command => spawnSync(command, ['-c', `import Pyro${version}`]).status === 0)

/** Runs a program of Python. @returns what it prints; a failure, with what it says */
export async function runPython(command: string, ...args: string[]): Promise<string> {
  const child = spawn(command, args, { env: { ...CHILD_ENV, PYTHONDONTWRITEBYTECODE: '1' } })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const [code] = await once(child, 'close')
  return code === 0 ? stdout : `${stdout}${stderr}failed with ${code}`
}
