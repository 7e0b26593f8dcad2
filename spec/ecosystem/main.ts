// `npm run ecosystem`: tests the packed package under other test runners, bundlers and Next.js, each installed from the
// lock file of its folder.
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { CHILD_ENV } from '../support/helpers.js'
import { checkNext, missingForNext } from './check-next.js'
import { checkPage } from './check-page.js'
import { checkFails, checkProgram } from './check-program.js'

const run = promisify(execFile)
const here = fileURLToPath(new URL('./', import.meta.url))
const root = join(here, '../..')

interface Tool {
  /** Files that the tool uses in addition to its own. */
  readonly files: readonly string[]
  /** Returns why the tool cannot run on this machine, if it cannot. */
  missing?(folder: string): Promise<string | undefined>
  /** Checks what `npm test` has built in the folder. Returns why a part is skipped, if one is. */
  check?(folder: string): Promise<string | undefined>
}

const TESTS = ['suite.js', 'reloaded.js', 'lines.js', 'page-suite.js']
const PROGRAMS = ['program.js', 'page.js', 'index.html']
const TOOLS: Readonly<Record<string, Tool>> = {
  jest: { files: TESTS },
  vitest: { files: TESTS },
  vite: { files: ['page.js', 'index.html'], check: checkPage },
  webpack: {
    files: PROGRAMS,
    async check(folder) {
      await checkProgram(join(folder, 'dist/program.mjs'))
      return checkPage(folder)
    }
  },
  esbuild: {
    files: PROGRAMS,
    async check(folder) {
      await checkProgram(join(folder, 'dist/external.mjs'), join(folder, 'node_modules/ws'))
      await checkProgram(join(folder, 'dist/whole.mjs'))
      await checkFails(join(folder, 'dist/failing.mjs'), 'Dynamic require of "events" is not supported')
      return checkPage(folder)
    }
  },
  next: { files: [], missing: missingForNext, check: checkNext }
}
const NPM_OPTIONS = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
/** What a test runner says if a test leaves something open. */
const LEFT_OPEN = /did not exit|failed to exit gracefully|close timed out/

const began = performance.now()
const seconds = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`

const dir = await mkdtemp(join(tmpdir(), 'netref-ecosystem-'))
try {
  await run('npm', ['pack', '--pack-destination', dir], { cwd: root })
  const tarball = join(dir, (await readdir(dir)).find(name => name.endsWith('.tgz'))!)
  for (const name of Object.keys(TOOLS)) await test(name, tarball)
} finally {
  await rm(dir, { recursive: true, force: true })
}
console.log(`${process.exitCode ? 'failed' : 'all passed'}, in ${seconds(began)}`)

async function test(name: string, tarball: string): Promise<void> {
  const since = performance.now()
  const { files, missing, check } = TOOLS[name]!
  const cwd = join(dir, name)
  // A developer may have installed the tool there.
  const filter = (path: string) => !path.endsWith('node_modules')
  await cp(join(here, name), cwd, { recursive: true, filter })
  for (const file of files) await cp(join(here, file), join(cwd, file))
  const options = { cwd, env: { ...CHILD_ENV, NEXT_TELEMETRY_DISABLED: '1' }, maxBuffer: 1e8 }
  try {
    await run('npm', ['ci', ...NPM_OPTIONS], options)
    await run('npm', ['install', '--no-save', ...NPM_OPTIONS, tarball], options)
    const installed = seconds(since)
    const reason = await missing?.(cwd)
    if (reason) return console.log(`skipped  ${name}: ${reason}`)
    const { stdout, stderr } = await run('npm', ['test'], { ...options, timeout: 120_000 })
    console.log(stdout + stderr)
    if (LEFT_OPEN.test(stdout + stderr)) throw new Error('a test leaves something open')
    const skipped = await check?.(cwd)
    if (skipped) console.log(`skipped  ${name}: ${skipped}`)
    console.log(`ok  ${name}, ${seconds(since)}, of these ${installed} to install it`)
  } catch (error) {
    const { message, stdout = '', stderr = '' } = error as Error & { stdout?: string; stderr?: string }
    console.log(`${stdout}${stderr}NOT OK  ${name}: ${message}`)
    process.exitCode = 1
  }
}
