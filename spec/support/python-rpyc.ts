// Finds Pythons that have RPyC, one for each major version of it, and runs programs in them.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

/** Debian has RPyC 5.3. `.ci/run` makes an environment with 6.0. NETREF_PYTHONS names others, separated by colons. */
const CANDIDATES = [
  ...(process.env.NETREF_PYTHONS?.split(':') ?? []),
  '/usr/bin/python3',
  'python3',
  fileURLToPath(new URL('../../node_modules/.cache/rpyc-6/bin/python', import.meta.url))
]

export interface PythonWithRpyc {
  /** Major version of RPyC. */
  readonly major: number
  readonly command: string
}

/** By major version of RPyC. */
export const PYTHONS: readonly PythonWithRpyc[] = findPythons()

/** Why specs of a version are skipped; false if it is installed. */
export const skipWithoutRpyc = (major: number): string | false =>
  !PYTHONS.some(python => python.major === major) && `no Python with RPyC ${major} here (.ci/run installs it)`

/** The Python with a version of RPyC, which must be installed. */
export const pythonWithRpyc = (major: number): string =>
  PYTHONS.find(python => python.major === major)!.command

function findPythons(): PythonWithRpyc[] {
  const found = new Map<number, PythonWithRpyc>()
  for (const command of CANDIDATES) {
    try {
      const version = execFileSync(command, ['-c', 'import rpyc; print(rpyc.__version__)'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore']
      })
      const major = Number.parseInt(version, 10)
      if (!found.has(major)) found.set(major, { major, command })
    } catch {
      // It is not there, or has no RPyC.
    }
  }
  return [...found.values()].sort((a, b) => a.major - b.major)
}

/** A program of Python that runs until the test ends. */
export class PythonProgram {
  readonly child: ChildProcess
  readonly #lines: AsyncIterator<string>
  stderr = ''

  constructor(t: Test, command: string, args: readonly string[]) {
    this.child = spawn(command, args, { stdio: 'pipe', env: { ...process.env, PYTHONUNBUFFERED: '1' } })
    this.child.stderr!.setEncoding('utf8').on('data', text => {
      this.stderr += text
    })
    this.#lines = createInterface(this.child.stdout!)[Symbol.asyncIterator]()
    t.teardown(() => void this.child.kill('SIGKILL'))
  }

  /** The next line that it writes. */
  async line(): Promise<string> {
    const { done, value } = await this.#lines.next()
    if (done) throw new Error(`the program has ended:\n${this.stderr}`)
    return value
  }

  write(line: string): void {
    this.child.stdin!.write(`${line}\n`)
  }
}
