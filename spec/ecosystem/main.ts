// `npm run ecosystem`: tests the packed package under other test runners, each installed from the lock file of its
// folder.
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { CHILD_ENV } from '../support/helpers.js'

const run = promisify(execFile)
const here = fileURLToPath(new URL('./', import.meta.url))
const root = join(here, '../..')
const TOOLS = ['jest', 'vitest']
/** Files that each tool runs in addition to its own. */
const COMMON = ['suite.js', 'reloaded.js']

const began = performance.now()
const seconds = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`

const dir = await mkdtemp(join(tmpdir(), 'netref-ecosystem-'))
try {
  await run('npm', ['pack', '--pack-destination', dir], { cwd: root })
  const tarball = join(dir, (await readdir(dir)).find(name => name.endsWith('.tgz'))!)
  for (const tool of TOOLS) await test(tool, tarball)
} finally {
  await rm(dir, { recursive: true, force: true })
}
console.log(`${process.exitCode ? 'failed' : 'all passed'}, in ${seconds(began)}`)

async function test(tool: string, tarball: string): Promise<void> {
  const since = performance.now()
  const cwd = join(dir, tool)
  // A developer may have installed the tool there.
  const filter = (path: string) => !path.endsWith('node_modules')
  await cp(join(here, tool), cwd, { recursive: true, filter })
  for (const name of COMMON) await cp(join(here, name), join(cwd, name))
  const options = { cwd, env: CHILD_ENV, maxBuffer: 1e8 }
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'], options)
  await run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--prefer-offline', tarball], options)
  try {
    const { stdout, stderr } = await run('npm', ['test'], { ...options, timeout: 120_000 })
    console.log(`${stdout}${stderr}ok  ${tool}, ${seconds(since)}`)
  } catch (error) {
    const { message, stdout, stderr } = error as Error & { stdout: string; stderr: string }
    console.log(`${stdout}${stderr}NOT OK  ${tool}: ${message}`)
    process.exitCode = 1
  }
}
