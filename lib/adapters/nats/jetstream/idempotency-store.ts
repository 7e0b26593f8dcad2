// The store of a bus for the outcomes of calls with an idempotency key, in a bucket that several servers share.
import type { KV } from '@nats-io/kv'
import { LimitError } from '../../../errors.js'
import type { IdempotencyRecord, IdempotencyStore } from '../../../index.js'
import { checkOptions, type OptionTypes } from '../../../util/check-options.js'
import type { BusConnection } from '../bus-connection.js'
import { checkCount, checkTime } from '../option-checks.js'
import { isConflict, openBucket } from './bucket.js'
import { apiErrorCode, JetStream, STREAM_FULL, unlessAborted, withinTime } from './jetstream.js'
import { OwnerShares } from './owner-shares.js'

/** Options of `bus.idempotencyStore`. All servers must pass the same ones. */
export interface BusIdempotencyOptions {
  /** Time in ms for which outcomes are kept. A call that is repeated later runs again. @default 86 400 000 */
  readonly ttl?: number | undefined
  /**
   * Maximum number of outcomes. Through one server no identity stores more than it leaves for others: its further calls with a
   * key reject with a `LimitError`.
   *
   * @default 100 000
   */
  readonly maxEntries?: number | undefined
  /** Number of servers of a cluster that keep the outcomes. @default 1 */
  readonly replicas?: number | undefined
}

const OPTIONS: OptionTypes<BusIdempotencyOptions> = {
  ttl: 'a number',
  maxEntries: 'a number',
  replicas: 'a number'
}
const CALL = 'bus.idempotencyStore'
/** How long a call waits for NATS, in ms. */
const TIMEOUT_MS = 10_000
/** A record, and which start has written it. */
interface StoredRecord extends IdempotencyRecord {
  readonly start?: string
}

export class BusIdempotencyStore implements IdempotencyStore {
  /** NATS keeps what it has confirmed, also if it is killed. */
  readonly durable = true
  readonly #jetstream: JetStream
  readonly #limits: { readonly ttl: number; readonly maxEntries: number; readonly replicas: number }
  readonly #shares: OwnerShares
  #bucket: Promise<KV> | undefined

  constructor(
    connection: BusConnection,
    private readonly name: string,
    options: BusIdempotencyOptions
  ) {
    checkOptions(CALL, options, OPTIONS)
    const { ttl = 86_400_000, maxEntries = 100_000, replicas = 1 } = options
    checkTime(`${CALL}: ttl`, ttl)
    checkCount(`${CALL}: maxEntries`, maxEntries)
    checkCount(`${CALL}: replicas`, replicas)
    this.#jetstream = new JetStream(connection, CALL)
    this.#limits = { ttl, maxEntries, replicas }
    this.#shares = new OwnerShares(ttl, maxEntries)
  }

  get(name: string): Promise<IdempotencyRecord | undefined> {
    return this.#persist(bucket => read(bucket, name))
  }

  async start(
    name: string,
    record: IdempotencyRecord,
    owner: string
  ): Promise<IdempotencyRecord | undefined> {
    if (!this.#shares.add(owner))
      throw new LimitError(
        'limit',
        'this client has stored as many calls as are free for others: wait until some expire'
      )
    const started = { ...record, start: crypto.randomUUID() }
    return this.#persist(async bucket => {
      try {
        await bucket.create(name, JSON.stringify(started))
        return undefined
      } catch (error) {
        if (!isConflict(error)) throw error
        // An earlier try may have stored it, unanswered.
        const existing = await read(bucket, name)
        return existing?.start === started.start ? undefined : existing
      }
    })
  }

  async set(name: string, record: IdempotencyRecord): Promise<void> {
    await this.#persist(bucket => bucket.put(name, JSON.stringify(record)))
  }

  async #persist<T>(perform: (bucket: KV) => Promise<T>): Promise<T> {
    const onTimeout = `${CALL}: NATS did not answer within ${TIMEOUT_MS} ms`
    try {
      return await withinTime(TIMEOUT_MS, onTimeout, async signal => {
        const bucket = await unlessAborted(this.#open(), signal)
        return this.#jetstream.persist(() => perform(bucket), signal)
      })
    } catch (error) {
      if (apiErrorCode(error) !== STREAM_FULL) throw error
      throw new LimitError('limit', `${CALL}: the store ${this.name} is full (maxEntries)`)
    }
  }

  #open(): Promise<KV> {
    this.#bucket ??= this.#jetstream
      .persist(access => openBucket(access, `netref_i_${this.name}`, this.#limits, CALL))
      .catch(error => {
        this.#bucket = undefined
        throw error
      })
    return this.#bucket
  }
}

async function read(bucket: KV, name: string): Promise<StoredRecord | undefined> {
  return (await bucket.get(name))?.json<StoredRecord>()
}
