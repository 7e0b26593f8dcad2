/* c8 ignore start: what a process says when it fails is read when one has failed. */
// Processes of 300 MB for peers that mean harm, and what became of them.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ResourceUsage } from './fixtures/resource-monitor.js'
import { CHILD_ENV } from './helpers.js'

/** What a victim says when it is asked. */
export interface ProcessUsage extends ResourceUsage {
  readonly sessions: number
  readonly faults: readonly string[]
}

/** What a victim says at its end. */
export interface FinalReport {
  readonly left: number
  readonly reasons: Record<string, number>
  readonly faults: readonly string[]
  readonly unchanged: boolean
}

export class TargetProcess {
  #stderrTail = ''
  #longestTurnMs = 0
  readonly #exit: Promise<unknown[]>
  /** Rejects when the process has ended before it was told to. */
  readonly #died: Promise<never>

  private constructor(private readonly process: ChildProcess) {
    process.stderr!.on('data', text => {
      this.#stderrTail = (this.#stderrTail + text).slice(-10_000)
    })
    this.#exit = once(process, 'exit')
    this.#died = this.#exit.then(how => Promise.reject(new Error(`it died: ${how}: ${this.#stderrTail}`)))
    this.#died.catch(() => {})
  }

  /** Starts a program of fixtures. */
  static async start(
    program: string,
    ...args: string[]
  ): Promise<[victim: TargetProcess, firstWord: string]> {
    const path = fileURLToPath(new URL(`./fixtures/${program}`, import.meta.url))
    const process = fork(path, args, {
      env: CHILD_ENV,
      execArgv: ['--max-old-space-size=300', '--single-threaded-gc', '--expose-gc', '--import', 'tsx'],
      stdio: ['pipe', 'inherit', 'pipe', 'ipc']
    })
    const victim = new TargetProcess(process)
    return [victim, await victim.#nextMessage<string>()]
  }

  async #nextMessage<Word>(): Promise<Word> {
    const [word] = await this.whileAlive(once(this.process, 'message'))
    return word as Word
  }

  /** What comes of it, as long as the process is there. */
  whileAlive<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#died])
  }

  /** What it has paid so far. */
  async usage(): Promise<ProcessUsage> {
    this.process.send('account')
    const account = await this.#nextMessage<ProcessUsage>()
    this.#longestTurnMs = Math.max(this.#longestTurnMs, account.longestTurnMs)
    return { ...account, longestTurnMs: this.#longestTurnMs }
  }

  send(word: unknown): void {
    this.process.send(word as object)
  }

  nextMessage<Word>(): Promise<Word> {
    return this.#nextMessage()
  }

  /** Tells it that there is no more to come. @returns its last words, and how it exited */
  async end(): Promise<{ readonly report: FinalReport; readonly exit: unknown[] }> {
    this.process.stdin!.end()
    const report = await this.#nextMessage<FinalReport>()
    return { report, exit: await this.#exit }
  }

  kill(): void {
    this.process.kill('SIGKILL')
  }
}
