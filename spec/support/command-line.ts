// Runs the `netref` command in this process, with real streams.
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { run } from '../../lib/cli/cli.js'
import { waitUntil } from './helpers.js'

const MAIN = fileURLToPath(new URL('../../lib/cli/main.ts', import.meta.url))
/** Arguments of Node that start the command. */
export const program = ['--import', 'tsx', MAIN]

export interface CommandOptions {
  readonly input?: string
  readonly tty?: boolean
  readonly env?: Record<string, string>
}

/** A running command and its output so far. */
export class Running {
  stdout = ''
  stderr = ''
  readonly stdin = new PassThrough()
  readonly out = new PassThrough()
  readonly ended: Promise<number>
  readonly #interruption = new AbortController()

  constructor(argv: string[], { input, tty = false, env = {} }: CommandOptions = {}) {
    const streams = { stdin: this.stdin, stdout: this.out, stderr: new PassThrough() }
    for (const stream of Object.values(streams)) Object.assign(stream, { isTTY: tty, columns: 80 })
    streams.stdout.setEncoding('utf8').on('data', text => {
      this.stdout += text
    })
    streams.stderr.setEncoding('utf8').on('data', text => {
      this.stderr += text
    })
    if (input !== undefined) this.stdin.end(input)
    this.ended = run(argv, { ...streams, env, signal: this.#interruption.signal, program }, '1.2.3')
  }

  interrupt(): void {
    this.#interruption.abort()
  }

  says(what: RegExp): Promise<void> {
    return waitUntil(() => what.test(this.stdout), `${what} in ${this.stdout}`)
  }
}

/** Runs a command to its end. */
export async function netref(argv: string[], options?: CommandOptions) {
  const running = new Running(argv, options)
  const code = await running.ended
  const { stdout, stderr } = running
  return { code, stdout, stderr }
}

/** Asserts that a command succeeds with this stdout and an empty stderr. */
export async function prints(
  t: Test,
  argv: string[],
  stdout: string,
  options?: CommandOptions
): Promise<void> {
  t.same(await netref(argv, options), { code: 0, stdout, stderr: '' }, argv.join(' '))
}

/** Asserts that a command fails with this exit code and stderr, and an empty stdout. */
export async function fails(
  t: Test,
  argv: string[],
  code: number,
  stderr: string | RegExp,
  options?: CommandOptions
) {
  const said = await netref(argv, options)
  t.match(said, { code, stdout: '', stderr }, argv.join(' '))
}
