// Runs what a bundler built for Node, in a folder that has nothing else.
import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { CHILD_ENV } from '../support/helpers.js'

const run = promisify(execFile)

/**
 * @param packages folders of the packages that it needs
 * @throws Error if it does not end by itself, or prints something else than `program.js` does
 */
export async function checkProgram(file: string, ...packages: string[]): Promise<void> {
  const { stdout, stderr } = await runAlone(file, packages)
  if (stdout !== 'one\ntwo\n2\n' || stderr !== '') throw new Error(`${file} printed ${stdout}${stderr}`)
}

/** @throws Error if it does not fail with this text */
export async function checkFails(file: string, text: string): Promise<void> {
  const error: unknown = await runAlone(file, []).then(
    () => undefined,
    error => error
  )
  if (!String(error).includes(text)) throw new Error(`${file} must fail with ${text}: ${error}`)
}

async function runAlone(file: string, packages: string[]): Promise<{ stdout: string; stderr: string }> {
  const cwd = await mkdtemp(join(tmpdir(), 'netref-program-'))
  try {
    const program = join(cwd, basename(file))
    await cp(file, program)
    for (const folder of packages)
      await cp(folder, join(cwd, 'node_modules', basename(folder)), { recursive: true })
    return await run(process.execPath, [program], { cwd, env: CHILD_ENV, timeout: 30_000 })
  } finally {
    await rm(cwd, { recursive: true, force: true })
  }
}
