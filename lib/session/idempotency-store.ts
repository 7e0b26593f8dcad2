// The store in which a server keeps the results of calls with an idempotency key.

/** The record of a call with an idempotency key. */
export interface IdempotencyRecord {
  /** Digest of the request. */
  readonly requestDigest: string
  /** The outcome, as JSON. Undefined if the call has started and its outcome is not available. */
  readonly reply?: string | undefined
}

/**
 * The store in which a server keeps the outcomes of calls with an idempotency key (`idempotencyStore`). A name is a
 * digest of the caller's identity, the path and the key. If the store outlives the process, a restarted server can
 * answer, too. Servers behind one address share one store.
 *
 * @example
 * class RedisStore implements IdempotencyStore {
 *   async get(name: string) {
 *     const record = await redis.get(name)
 *     return record ? (JSON.parse(record) as IdempotencyRecord) : undefined
 *   }
 *   async set(name: string, record: IdempotencyRecord) {
 *     await redis.set(name, JSON.stringify(record), { EX: 300 })
 *   }
 * }
 */
export interface IdempotencyStore {
  /**
   * Whether the store never loses a record. A repeated call without a record runs if this is true. If it is false, the
   * call rejects with `may-have-run`.
   *
   * @default false
   */
  readonly durable?: boolean
  /** Returns the record of a name; undefined if there is none. If it throws, the call rejects with that error. */
  get(name: string): IdempotencyRecord | undefined | PromiseLike<IdempotencyRecord | undefined>
  /**
   * Stores a result, and resolves when it is kept. If it throws before a call starts, the call rejects with that error.
   * `owner` is a digest of the caller's identity. A store with a bound must bound what it keeps for each owner. It must
   * not drop the records of calls that another owner has started.
   */
  set(name: string, result: IdempotencyRecord, owner: string): unknown
  /**
   * Stores the record of a call that starts, unless the name has a record, in one step: of several servers that share the
   * store, only one starts the call. Otherwise as `set`.
   *
   * @returns the record that the name has; undefined if there was none
   * @default `get` and then `set`: a store that several servers share must have `start`
   */
  start?(
    name: string,
    record: IdempotencyRecord,
    owner: string
  ): IdempotencyRecord | undefined | PromiseLike<IdempotencyRecord | undefined>
}
