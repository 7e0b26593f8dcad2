// One delivery of a job to a worker: decides by the record of the job whether its method runs, and notes what comes of it.
import type { JsMsg } from '@nats-io/jetstream'
import type { QueuedCall, QueuedCalls, QueuedOutcome } from '../../../client/queued-calls.js'
import type { NetrefError } from '../../../errors.js'
import { checkMs } from '../../../util/check-options.js'
import { clock } from '../../../util/clock.js'
import { safeString } from '../../../util/describe.js'
import { unlessLost } from '../unless-lost.js'
import { keepDeadLetter } from './dead-letters.js'
import { HEARTBEATS_PER_ACK_WAIT, Heartbeat, lateError } from './heartbeat.js'
import { ID_HEADER, type JobCall, readCall } from './job.js'
import {
  type DeadLetterReason,
  digestOf,
  type JobRecord,
  type JobRecords,
  type RunningRecord,
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

/** Number of checks for the heartbeat of another worker within `ackWait`. */
const CHECKS_PER_ACK_WAIT = 4
/** Delay after which a job is delivered again that could not be handled, in ms. */
const REDELIVERY_DELAY_MS = 5000

const GIVEN_UP: DeadLetterReason = {
  code: 'may-have-run',
  message: 'its worker died at the last attempt, while the method ran'
}

export class Delivery {
  readonly #id: string
  readonly #digest: string
  /** Names what this delivery writes. */
  readonly #run = crypto.randomUUID()
  #call: QueuedCall | undefined
  #heartbeat: Heartbeat | undefined
  readonly #workingTimer: ReturnType<typeof clock.setInterval>

  constructor(
    private readonly message: JsMsg,
    private readonly context: DeliveryContext
  ) {
    this.#id = message.headers?.get(ID_HEADER) || `message-${message.seq}`
    this.#digest = digestOf(this.#id)
    this.#workingTimer = clock.setInterval(
      () => message.working(),
      context.storage.ackWaitMs / HEARTBEATS_PER_ACK_WAIT
    )
  }

  /** Aborts `callSignal()` of the method, if it runs, and lets the job go: others count its worker as dead. */
  abort(reason: unknown): void {
    clock.clearInterval(this.#workingTimer)
    void this.#heartbeat?.stop()
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
      message.nak(REDELIVERY_DELAY_MS)
    } finally {
      clock.clearInterval(this.#workingTimer)
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
   * @returns the record once it has changed, or the same one if the worker has sent no heartbeat for `ackWait`
   */
  async #awaitWorker(revision: number): Promise<StoredRecord | undefined> {
    const { storage, records } = this.context
    const { connection } = storage.jetstream
    let checks = 0
    // While NATS is away, the other worker can send no heartbeat.
    const off = connection.events.on('disconnected', () => (checks = 0))
    try {
      for (;;) {
        await new Promise(resolve => clock.setTimeout(resolve, storage.ackWaitMs / CHECKS_PER_ACK_WAIT))
        const found = await records.get(this.#digest)
        if (found?.revision !== revision || ++checks >= CHECKS_PER_ACK_WAIT) return found
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
    const heartbeat = new Heartbeat(this.context, this.#digest, started, startRevision, error =>
      this.abort(error)
    )
    this.#heartbeat = heartbeat
    const outcome = await this.#runMethod(mayHaveRun)
    const revision = await heartbeat.stop()
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
