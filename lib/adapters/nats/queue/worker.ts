// A worker of a queue: takes jobs, as many at once as asked for, and runs their methods.
import type { Consumer, ConsumerMessages, JsMsg } from '@nats-io/jetstream'
import { QUEUED_CALL_OPTIONS, type QueuedCallOptions, QueuedCalls } from '../../../client/queued-calls.js'
import { NetrefError } from '../../../errors.js'
import type { ServiceSource } from '../../../index.js'
import { checkMs, checkOptions, type OptionTypes } from '../../../util/check-options.js'
import { clock } from '../../../util/clock.js'
import { checkCount } from '../option-checks.js'
import { Delivery, type DeliveryContext } from './delivery.js'
import { JobRecords } from './job-records.js'
import type { QueueStorage } from './queue-storage.js'
import { sweep } from './sweep.js'

/** Options of `queue.work`: those of a serving side, and how jobs are run. */
export interface WorkOptions extends QueuedCallOptions {
  /** Maximum number of jobs that this worker runs at once. @default 1 */
  readonly concurrency?: number | undefined
  /** How often the method of a job is started, if it fails. All workers should agree. @default 5 */
  readonly attempts?: number | undefined
  /**
   * The time in ms after which a job whose method has failed is tried again. `attempts` is how often it was started so far.
   *
   * @default 1 s, doubled with each attempt, up to 1 min
   */
  readonly backoff?: ((attempts: number) => number) | undefined
}

const WORK_OPTIONS: OptionTypes<WorkOptions> = {
  ...QUEUED_CALL_OPTIONS,
  concurrency: 'a number',
  attempts: 'a number',
  backoff: 'a function'
}

/** Options of `worker.close`. */
export interface WorkerCloseOptions {
  /** Time in ms for the jobs that run. After it, their signals abort. @default 10 000 */
  readonly drain?: number | undefined
}

const CLOSE_OPTIONS: OptionTypes<WorkerCloseOptions> = { drain: '' }

/** How long NATS holds a request for a job, in ms. */
const REQUEST_MS = 30_000
/** NATS says this often that a request is held: without, it is made again. */
const HEARTBEAT_MS = 5000
/** Delay before jobs are asked for again after a failure, in ms. */
const RETRY_MS = 250
const FIRST_BACKOFF_MS = 1000
const MAX_BACKOFF_MS = 60_000

const defaultBackoff = (attempts: number) => Math.min(FIRST_BACKOFF_MS * 2 ** (attempts - 1), MAX_BACKOFF_MS)

/** A worker of a queue, which `queue.work` starts. */
export class Worker {
  readonly #requests = new Set<ConsumerMessages>()
  readonly #deliveries = new Set<Delivery>()
  readonly #slots: Promise<unknown>
  readonly #stopSweeping: () => void
  #isClosing = false
  /** Whether the last request for a job has failed. */
  #isFailing = false

  private constructor(
    private readonly context: DeliveryContext,
    private readonly consumer: Consumer,
    concurrency: number
  ) {
    this.#slots = Promise.all(Array.from({ length: concurrency }, () => this.#takeJobs()))
    const { storage, records, report } = context
    const sweepJobs = () => void sweep(storage, records).catch(report)
    this.#stopSweeping = storage.jetstream.connection.events.on('reconnected', sweepJobs)
    sweepJobs()
  }

  /** @internal @throws TypeError and RangeError for invalid options, and SessionEndedError if there is no service */
  static async start(storage: QueueStorage, source: ServiceSource, options: WorkOptions): Promise<Worker> {
    checkOptions('queue.work', options, WORK_OPTIONS)
    const { concurrency = 1, attempts = 5, backoff = defaultBackoff, ...serving } = options
    checkCount('queue.work: concurrency', concurrency)
    checkCount('queue.work: attempts', attempts)
    const { jetstream } = storage
    const report = (error: unknown) => jetstream.connection.report(error)
    const calls = new QueuedCalls(source, { onError: report, ...serving }, 'queue.work')
    await calls.open()
    try {
      const records = new JobRecords(await storage.open(), jetstream)
      const context = { storage, records, calls, attempts, backoff, report }
      return new Worker(context, await storage.consumer(), concurrency)
    } catch (error) {
      await calls.close()
      throw error
    }
  }

  /** Number of jobs that run now. */
  get running(): number {
    return this.#deliveries.size
  }

  async #takeJobs(): Promise<void> {
    while (!this.#isClosing) {
      try {
        const message = await this.#nextJob()
        this.#isFailing = false
        if (!message) continue
        const delivery = new Delivery(message, this.context)
        this.#deliveries.add(delivery)
        await delivery.handle()
        this.#deliveries.delete(delivery)
      } catch (error) {
        await this.#onFailure(error)
      }
    }
  }

  /** The next job; undefined if none came in time, or the worker is closing. */
  async #nextJob(): Promise<JsMsg | undefined> {
    const messages = await this.consumer.fetch({
      max_messages: 1,
      expires: REQUEST_MS,
      idle_heartbeat: HEARTBEAT_MS
    })
    this.#requests.add(messages)
    if (this.#isClosing) messages.stop()
    try {
      for await (const message of messages) return message
      return undefined
    } finally {
      messages.stop()
      this.#requests.delete(messages)
    }
  }

  /** Jobs could not be asked for: NATS is away, or the consumer is. */
  async #onFailure(error: unknown): Promise<void> {
    const { storage, report } = this.context
    const { connection } = storage.jetstream
    if (connection.connected && !this.#isFailing) report(error)
    this.#isFailing = true
    await new Promise(resolve => clock.setTimeout(resolve, RETRY_MS))
    await storage.restore().catch(failure => {
      if ((failure as NetrefError).code === 'closed') this.#isClosing = true
    })
  }

  /**
   * Takes no more jobs, and waits for those that run. After `drain`, the signals of those that still run abort: other workers
   * count them as jobs of a worker that died. The rest of the queue is left to other workers.
   *
   * @throws TypeError or RangeError for invalid options
   */
  async close(options: WorkerCloseOptions = {}): Promise<void> {
    checkOptions('worker.close', options, CLOSE_OPTIONS)
    const { drain = 10_000 } = options
    checkMs('worker.close: drain', drain)
    this.#isClosing = true
    this.#stopSweeping()
    for (const request of this.#requests) request.stop()
    let timer: ReturnType<typeof clock.setTimeout> | undefined
    const timedOut = new Promise<void>(resolve => (timer = clock.setTimeout(resolve, drain)))
    await Promise.race([this.#slots, timedOut])
    clock.clearTimeout(timer)
    for (const delivery of this.#deliveries)
      delivery.abort(new NetrefError('closed', 'the worker is closing; the job may be run again'))
    await this.context.calls.close()
  }

  /** `await using worker = await queue.work(…)` closes the worker at the end of the block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
