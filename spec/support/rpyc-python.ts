// Finds or installs the versions of Python's RPyC that specs run.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The versions of which the messages differ. That of PyPI gets a virtual environment, which later runs use again. */
export type RpycRelease = '5' | '6'
const RELEASE_6 = 'rpyc==6.0.2'
const INSTALL_MS = 120_000

const versionOf = (python: string): string | undefined => {
  try {
    const program = 'import rpyc; print(rpyc.__version__)'
    return execFileSync(python, ['-c', program], { stdio: ['ignore', 'pipe', 'ignore'] }).toString()
  } catch {
    return undefined
  }
}

/** The Python that has that version of RPyC; undefined if there is none. */
export function pythonWithRpyc(release: RpycRelease): string | undefined {
  const environment = join(tmpdir(), 'netref-rpyc-6')
  const installed = join(environment, 'bin', 'python')
  const find = () =>
    ['python3', '/usr/bin/python3', installed].find(python => versionOf(python)?.startsWith(release))
  const found = find()
  if (found !== undefined || release === '5' || existsSync(installed)) return found
  try {
    const options = { stdio: 'ignore', timeout: INSTALL_MS } as const
    execFileSync('python3', ['-m', 'venv', environment], options)
    execFileSync(installed, ['-m', 'pip', 'install', '--quiet', RELEASE_6], options)
  } catch {
    return undefined
  }
  return find()
}

/** Why a spec of that version is skipped; false if it is not. */
export const skipWithoutRpyc = (release: RpycRelease): string | false =>
  pythonWithRpyc(release) === undefined &&
  `RPyC ${release} is not installed (Debian: python3-rpyc for 5; PyPI: ${RELEASE_6})`
