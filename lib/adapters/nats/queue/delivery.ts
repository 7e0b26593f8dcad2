// One delivery of a job to a worker: decides by the record of the job whether its method runs, and notes what comes of it.
import type { JsMsg } from '@nats-io/jetstream'
import type { QueuedCall, QueuedCalls, QueuedOutcome } from '../../../client/queued-calls.js'
import { NetrefError } from '../../../errors.js'
import { checkMs } from '../../../util/check-options.js'
import { clock } from '../../../util/clock.js'
import { safeString } from '../../../util/describe.js'
import { unlessLost } from '../unless-lost.js'
import { keepDeadLetter } from './dead-letters.js'
import { ID_HEADER, type JobCall, readCall } from './job.js'
import {
  type DeadLetterReason,
  digestOf,
  type JobRecord,
  type JobRecords,
  type StoredRecord
} from './job-records.js'
import type { QueueStorage } from './queue-storage.js'

/** What the deliveries of a worker share. */
export interface DeliveryContext {
  readonly storage: QueueStorage
  readonly records: JobRecords
  readonly calls: QueuedCalls
  readonly attempts: number
  readonly backoff: (attempts: number) => number
  readonly report: (error: unknown) => void
}

/** A worker speaks this often within `ackWait`. */
const BEATS_PER_ACK_WAIT = 3
/** How often it is looked whether the worker of a job speaks, within `ackWait`. */
const LOOKS_PER_ACK_WAIT = 4
/** Delay after which a job is delivered again that could not be handled, in ms. */
const TROUBLE_DELAY_MS = 5000

const GIVEN_UP: DeadLetterReason = {
  code: 'may-have-run',
  message: 'its worker died at the last attempt, while the method ran'
}

type RunningRecord = JobRecord & { readonly state: 'running' }

export class Delivery {
  readonly #id: string
  readonly #digest: string
  /** Names what this delivery writes. */
  readonly #run = crypto.randomUUID()
  #call: QueuedCall | undefined
  #heart: Heart | undefined
  readonly #beats: ReturnType<typeof clock.setInterval>

  constructor(
    private readonly message: JsMsg,
    private readonly context: DeliveryContext
  ) {
    this.#id = message.headers?.get(ID_HEADER) || `message-${message.seq}`
    this.#digest = digestOf(this.#id)
    this.#beats = clock.setInterval(() => message.working(), context.storage.ackWaitMs / BEATS_PER_ACK_WAIT)
  }

  /** Aborts `callSignal()` of the method, if it runs, and lets the job go: others count its worker as dead. */
  abort(reason: unknown): void {
    clock.clearInterval(this.#beats)
    void this.#heart?.stop()
    this.#call?.abort(reason)
  }

  /** Handles the job. It never rejects: a job that cannot be handled is delivered again. */
  async handle(): Promise<void> {
    const { message, context } = this
    try {
      const retryDelayMs = await this.#settle()
      if (retryDelayMs === undefined) await this.#acknowledge()
      else message.nak(retryDelayMs)
    } catch (error) {
      context.report(error)
      message.nak(TROUBLE_DELAY_MS)
    } finally {
      clock.clearInterval(this.#beats)
    }
  }

  /** The record says that the job is settled: if the acknowledgement is lost, it is delivered again, and does not run. */
  async #acknowledge(): Promise<void> {
    const { connection } = this.context.storage.jetstream
    await unlessLost(connection.events, this.message.ackAck()).catch(() => undefined)
  }

  /** @returns the delay in ms after which the job is delivered again; undefined if it is settled */
  async #settle(): Promise<number | undefined> {
    const { records, calls, attempts: maxAttempts } = this.context
    await calls.open()
    let stored = this.message.redelivered ? await records.get(this.#digest) : undefined
    for (;;) {
      let mayHaveRun = stored === undefined && this.#mayRecordHaveExpired
      if (stored?.record.state === 'running') {
        const { revision } = stored
        stored = await this.#awaitWorker(revision)
        if (stored?.revision === revision) mayHaveRun = true
        else if (stored?.record.state === 'running') return this.context.storage.ackWaitMs
        else continue
      }
      const { record, revision = 0 } = stored ?? {}
      if (record?.state === 'settled') return undefined
      if (record?.state === 'failed' && record.isFinal) return this.#giveUp(record, revision)
      const attempts = (record?.attempts ?? 0) + 1
      const next =
        mayHaveRun && attempts > maxAttempts
          ? this.#failed(attempts - 1, GIVEN_UP, true)
          : { state: 'running' as const, run: this.#run, attempts }
      const written = await records.replace(this.#digest, next, revision)
      if (written !== undefined)
        return next.state === 'failed' ? this.#giveUp(next, written) : this.#runJob(next, written, mayHaveRun)
      stored = await records.get(this.#digest)
    }
  }

  /** Whether the job may have run so long ago that its record has expired. */
  get #mayRecordHaveExpired(): boolean {
    const { redelivered, time } = this.message
    return redelivered && clock.wallNow() - time.getTime() >= this.context.storage.ttlMs
  }

  /**
   * Another worker has started the job. NATS delivers it again if that worker is dead, but also if NATS itself was away.
   *
   * @returns the record once it has changed, or the same one if the worker has not spoken for `ackWait`
   */
  async #awaitWorker(revision: number): Promise<StoredRecord | undefined> {
    const { storage, records } = this.context
    const { connection } = storage.jetstream
    let looks = 0
    // While NATS is away, the other worker cannot speak.
    const off = connection.events.on('disconnected', () => (looks = 0))
    try {
      for (;;) {
        await new Promise(resolve => clock.setTimeout(resolve, storage.ackWaitMs / LOOKS_PER_ACK_WAIT))
        const found = await records.get(this.#digest)
        if (found?.revision !== revision || ++looks >= LOOKS_PER_ACK_WAIT) return found
      }
    } finally {
      off()
    }
  }

  async #runJob(
    started: RunningRecord,
    startRevision: number,
    mayHaveRun: boolean
  ): Promise<number | undefined> {
    const { records, attempts: maxAttempts, backoff } = this.context
    const heart = new Heart(this.context, this.#digest, started, startRevision, error => this.abort(error))
    this.#heart = heart
    const outcome = await this.#runMethod(mayHaveRun)
    const revision = await heart.stop()
    const { attempts } = started
    const next = this.#recordOf(outcome, attempts, maxAttempts)
    const noted = revision && (await records.replace(this.#digest, next, revision))
    if (!noted) throw lateError(this.#id)
    if (next.state === 'settled') return undefined
    return next.isFinal ? this.#giveUp(next, noted) : checkMs('queue.work: backoff', backoff(attempts))
  }

  async #runMethod(mayHaveRun: boolean): Promise<QueuedOutcome> {
    const { headers, data } = this.message
    const { calls } = this.context
    let call: JobCall
    try {
      call = readCall(headers, data, calls.limits)
    } catch (error) {
      const { code, message } = error as NetrefError
      return { kind: 'rejected', code, message }
    }
    this.#call = await calls.start(call.path, call.args, mayHaveRun)
    return this.#call.outcome
  }

  #recordOf(outcome: QueuedOutcome, attempts: number, maxAttempts: number) {
    switch (outcome.kind) {
      case 'done':
        return this.#settled
      case 'rejected':
        return this.#failed(attempts - 1, { code: outcome.code, message: outcome.message }, true)
      case 'failed': {
        const reason = { code: 'failed', message: safeString(outcome.error) }
        return this.#failed(attempts, reason, attempts >= maxAttempts)
      }
    }
  }

  get #settled() {
    return { state: 'settled' as const, run: this.#run }
  }

  #failed(attempts: number, reason: DeadLetterReason, isFinal: boolean) {
    return { state: 'failed' as const, run: this.#run, attempts, reason, isFinal }
  }

  /** Makes a dead letter of the job. The record says so before: if this fails, the next delivery does it. */
  async #giveUp({ reason, attempts }: JobRecord & { state: 'failed' }, revision: number): Promise<undefined> {
    const { storage, records } = this.context
    const { headers, data } = this.message
    await keepDeadLetter(storage, { id: this.#id, headers, data }, reason, attempts)
    await records.replace(this.#digest, this.#settled, revision)
  }
}

const lateError = (id: string) =>
  new NetrefError(
    'may-have-run',
    `bus.queue: job ${id}: this worker was silent for longer than ackWait while its method ran, so others count it as dead`
  )

/** Changes the record of a job from time to time while its method runs, so that others know that the worker lives. */
class Heart {
  readonly #timer: ReturnType<typeof clock.setInterval>
  #revision: number | undefined
  #beat = 0
  #writing: Promise<void> | undefined

  /** @param onLost called if others count the worker as dead */
  constructor(
    { storage, records, report }: DeliveryContext,
    digest: string,
    record: RunningRecord,
    revision: number,
    onLost: (error: Error) => void
  ) {
    this.#revision = revision
    const write = async () => {
      try {
        this.#revision = await records.replace(digest, { ...record, beat: ++this.#beat }, this.#revision!)
        if (this.#revision !== undefined) return
        clock.clearInterval(this.#timer)
        onLost(lateError(digest))
      } catch (error) {
        if ((error as NetrefError).code === 'closed') clock.clearInterval(this.#timer)
        report(error)
      }
    }
    this.#timer = clock.setInterval(() => {
      this.#writing ??= write().finally(() => (this.#writing = undefined))
    }, storage.ackWaitMs / BEATS_PER_ACK_WAIT)
  }

  /** @returns the revision of the record; undefined if others have changed it */
  async stop(): Promise<number | undefined> {
    clock.clearInterval(this.#timer)
    await this.#writing
    return this.#revision
  }
}
