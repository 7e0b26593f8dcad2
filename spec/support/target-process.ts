/* c8 ignore start: what a process says when it fails is read when one has failed. */
// Processes with a heap of 300 MB that hostile peers attack, and their reports.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ResourceUsage } from './fixtures/resource-monitor.js'
import { CHILD_ENV } from './helpers.js'

/** Resource usage that the process reports on request. */
export interface ProcessUsage extends ResourceUsage {
  readonly sessions: number
  readonly faults: readonly string[]
}

/** Report of the process at its end. */
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
  /** Rejects if the process exits early. */
  readonly #died: Promise<never>

  private constructor(private readonly process: ChildProcess) {
    process.stderr!.on('data', text => {
      this.#stderrTail = (this.#stderrTail + text).slice(-10_000)
    })
    this.#exit = once(process, 'exit')
    this.#died = this.#exit.then(how => Promise.reject(new Error(`it died: ${how}: ${this.#stderrTail}`)))
    this.#died.catch(() => {})
  }

  /** Starts a fixture program. */
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

  /** Settles as `work` does, or rejects if the process exits. */
  whileAlive<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#died])
  }

  /** Requests the resource usage so far. */
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

  /** Ends the input of the process. @returns its final report and its exit status */
  async end(): Promise<{ readonly report: FinalReport; readonly exit: unknown[] }> {
    this.process.stdin!.end()
    const report = await this.#nextMessage<FinalReport>()
    return { report, exit: await this.#exit }
  }

  kill(): void {
    this.process.kill('SIGKILL')
  }
}
