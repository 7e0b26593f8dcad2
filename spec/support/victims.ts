/* c8 ignore start: what a process says when it fails is read when one has failed. */
// Processes of 300 MB for peers that mean harm, and what became of them.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Paid } from './fixtures/toll.js'
import { CHILD_ENV } from './helpers.js'

/** What a victim says when it is asked. */
export interface Account extends Paid {
  readonly sessions: number
  readonly faults: readonly string[]
}

/** What a victim says at its end. */
export interface Report {
  readonly left: number
  readonly reasons: Record<string, number>
  readonly faults: readonly string[]
  readonly unchanged: boolean
}

export class Victim {
  #said = ''
  #longest = 0
  readonly #exit: Promise<unknown[]>
  /** Rejects when the process has ended before it was told to. */
  readonly #died: Promise<never>

  private constructor(private readonly process: ChildProcess) {
    process.stderr!.on('data', text => {
      this.#said = (this.#said + text).slice(-10_000)
    })
    this.#exit = once(process, 'exit')
    this.#died = this.#exit.then(how => Promise.reject(new Error(`it died: ${how}: ${this.#said}`)))
    this.#died.catch(() => {})
  }

  /** Starts a program of fixtures. */
  static async start(program: string, ...args: string[]): Promise<[victim: Victim, firstWord: string]> {
    const path = fileURLToPath(new URL(`./fixtures/${program}`, import.meta.url))
    const process = fork(path, args, {
      env: CHILD_ENV,
      execArgv: ['--max-old-space-size=300', '--single-threaded-gc', '--expose-gc', '--import', 'tsx'],
      stdio: ['pipe', 'inherit', 'pipe', 'ipc']
    })
    const victim = new Victim(process)
    return [victim, await victim.#hear<string>()]
  }

  async #hear<Word>(): Promise<Word> {
    const [word] = await this.alive(once(this.process, 'message'))
    return word as Word
  }

  /** What comes of it, as long as the process is there. */
  alive<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#died])
  }

  /** What it has paid so far. */
  async account(): Promise<Account> {
    this.process.send('account')
    const account = await this.#hear<Account>()
    this.#longest = Math.max(this.#longest, account.turn)
    return { ...account, turn: this.#longest }
  }

  tell(word: unknown): void {
    this.process.send(word as object)
  }

  hear<Word>(): Promise<Word> {
    return this.#hear()
  }

  /** Tells it that there is no more to come. @returns its last words, and how it exited */
  async end(): Promise<{ readonly report: Report; readonly exit: unknown[] }> {
    this.process.stdin!.end()
    const report = await this.#hear<Report>()
    return { report, exit: await this.#exit }
  }

  kill(): void {
    this.process.kill('SIGKILL')
  }
}
