// What a queue consists of at NATS: a stream of jobs, one of dead letters, a consumer and a bucket of records. They are
// created at the first use, with limits.
import type { ConsumerConfig, StreamConfig } from '@nats-io/jetstream'
import type { KV } from '@nats-io/kv'
import type { MsgHdrs } from '@nats-io/transport-node'
import { LimitError } from '../../../errors.js'
import { checkOptions, type OptionTypes } from '../../../util/check-options.js'
import type { BusConnection } from '../bus-connection.js'
import { openBucket } from '../jetstream/bucket.js'
import { createStream, explainRefusal, requireSame, toNanos } from '../jetstream/create-stream.js'
import {
  apiErrorCode,
  JetStream,
  type JetStreamAccess,
  STREAM_FULL,
  unlessAborted,
  withinTime
} from '../jetstream/jetstream.js'
import { checkCount, checkTime } from '../option-checks.js'
import { loadJetStream } from '../packages.js'

/** Options of `bus.queue`. All that use a queue must pass the same ones. */
export interface QueueOptions {
  /**
   * Maximum number of jobs that wait and run. There may be as many dead letters again, and ten times as many jobs whose records
   * are kept (`ttl`). A queue that is full refuses calls with a `LimitError`.
   *
   * @default 100 000
   */
  readonly maxJobs?: number | undefined
  /**
   * Time in ms without a heartbeat after which the worker of a job counts as dead. Heartbeats are three times as frequent.
   * No other worker runs the job before.
   *
   * @default 30 000
   */
  readonly ackWait?: number | undefined
  /**
   * Time in ms for which it is known which jobs have run. Within it, a call with the same idempotency key does not run
   * again. It must be longer than any of `ackWait`, and than NATS may be away.
   *
   * @default 3 600 000
   */
  readonly ttl?: number | undefined
  /** Number of servers of a cluster that keep the queue. @default 1 */
  readonly replicas?: number | undefined
}

const QUEUE_OPTIONS: OptionTypes<QueueOptions> = {
  maxJobs: 'a number',
  ackWait: 'a number',
  ttl: 'a number',
  replicas: 'a number'
}

/** The time within which NATS stores a job with the same id once, in ms. Records of jobs last longer. */
const DUPLICATE_WINDOW_MS = 120_000
/** The time for which a message is sent again while NATS does not answer, in ms. It is shorter, so that none is stored twice. */
const STORE_TIMEOUT_MS = 60_000
/** Records that are kept for each job that may wait: those of jobs that have run. */
const RECORDS_PER_JOB = 10
export const CONSUMER = 'workers'
/** Jobs that are under way, or wait to be tried again. */
const MAX_UNSETTLED_JOBS = 65_536
/** Idle workers: each slot for a job waits for one. */
const MAX_WAITING_SLOTS = 65_536

export class QueueStorage {
  readonly jetstream: JetStream
  readonly jobSubject: string
  readonly jobStream: string
  readonly deadStream: string
  readonly ackWaitMs: number
  readonly ttlMs: number
  readonly #maxJobs: number
  readonly #replicas: number
  #records: Promise<KV> | undefined

  /** @throws TypeError and RangeError for invalid options */
  constructor(
    connection: BusConnection,
    readonly name: string,
    options: QueueOptions
  ) {
    checkOptions('bus.queue', options, QUEUE_OPTIONS)
    const { maxJobs = 100_000, ackWait = 30_000, ttl = 3_600_000, replicas = 1 } = options
    this.ackWaitMs = checkTime('bus.queue: ackWait', ackWait)
    this.ttlMs = checkTime('bus.queue: ttl', ttl)
    this.#maxJobs = checkCount('bus.queue: maxJobs', maxJobs)
    this.#replicas = checkCount('bus.queue: replicas', replicas)
    this.jetstream = new JetStream(connection, 'bus.queue')
    this.jobSubject = `netref.q.${name}.job`
    this.jobStream = `netref_${name}`
    // No name of a queue makes it the stream of its jobs.
    this.deadStream = `netref-dead_${name}`
  }

  /** Where the dead letter of a job is published: there is one per job. */
  deadSubject(digest: string): string {
    return `netref.q.${this.name}.dead.${digest}`
  }

  get deadSubjects(): string {
    return this.deadSubject('*')
  }

  /** Creates what does not exist. @returns the records @throws NetrefError `unavailable` */
  open(signal?: AbortSignal): Promise<KV> {
    this.#records ??= this.jetstream
      .persist(access => this.#create(access))
      .catch(error => {
        this.#records = undefined
        throw error
      })
    return unlessAborted(this.#records, signal)
  }

  /**
   * Publishes a message, and resolves when it is stored.
   *
   * @param call for error texts
   * @param full what is said if there is no room
   * @throws LimitError, and NetrefError `unreachable` if NATS does not confirm it
   */
  async publish(
    call: string,
    subject: string,
    data: Uint8Array,
    headers: MsgHdrs,
    full: string,
    signal?: AbortSignal
  ): Promise<void> {
    const store = (signal: AbortSignal) =>
      this.jetstream.persist(({ client }) => client.publish(subject, data, { headers }), signal)
    try {
      await this.inTime(call, store, signal)
    } catch (error) {
      if (apiErrorCode(error) !== STREAM_FULL) throw error
      throw new LimitError('limit', `${call}: ${full}`)
    }
  }

  /** Ends what stores a message after a time. @throws NetrefError `unreachable` */
  inTime<T>(call: string, run: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const late = `${call}: NATS did not confirm within ${STORE_TIMEOUT_MS} ms that it is stored: try again`
    return withinTime(STORE_TIMEOUT_MS, late, run, signal)
  }

  /** Creates what has been deleted meanwhile. */
  restore(): Promise<KV> {
    this.#records = undefined
    return this.open()
  }

  async #create(access: JetStreamAccess): Promise<KV> {
    const { manager } = access
    const { RetentionPolicy, AckPolicy } = loadJetStream('bus.queue')
    const jobs = { name: this.jobStream, subjects: [this.jobSubject], retention: RetentionPolicy.Workqueue }
    await this.#createStream(access, jobs)
    const letters = { name: this.deadStream, subjects: [this.deadSubjects], max_msgs_per_subject: 1 }
    await this.#createStream(access, letters)
    const what = `bus.queue: the consumer of the stream ${this.jobStream}`
    const consumers = await manager.consumers.list(this.jobStream).next()
    const existing = consumers.find(({ name }) => name === CONSUMER)
    if (existing)
      requireSame(what, { ackWait: this.ackWaitMs }, { ackWait: existing.config.ack_wait! / toNanos(1) })
    else {
      const config: Partial<ConsumerConfig> = {
        durable_name: CONSUMER,
        ack_policy: AckPolicy.Explicit,
        ack_wait: toNanos(this.ackWaitMs),
        max_deliver: -1,
        max_ack_pending: MAX_UNSETTLED_JOBS,
        max_waiting: MAX_WAITING_SLOTS
      }
      await explainRefusal(`${what} cannot be created`, manager.consumers.add(this.jobStream, config))
    }
    const maxEntries = this.#maxJobs * RECORDS_PER_JOB
    const limits = { ttl: this.ttlMs, maxEntries, replicas: this.#replicas }
    return openBucket(access, `netref_q_${this.name}`, limits, 'bus.queue')
  }

  #createStream(
    { manager }: JetStreamAccess,
    config: Partial<StreamConfig> & { readonly name: string }
  ): Promise<void> {
    const limits = { max: this.#maxJobs, maxName: 'maxJobs', replicas: this.#replicas }
    const all = { ...config, duplicate_window: toNanos(DUPLICATE_WINDOW_MS) }
    return createStream(manager, all, limits, `bus.queue: the stream ${config.name}`)
  }

  /** The consumer of the jobs, for workers. */
  consumer() {
    return this.jetstream.persist(({ client }) => client.consumers.get(this.jobStream, CONSUMER))
  }
}
