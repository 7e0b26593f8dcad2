// Where a server keeps the results of calls with an idempotency key.

/** What is kept of a call with a key. */
export interface StoredResult {
  /** A digest of what was asked. */
  readonly requestDigest: string
  /** What came of it, in JSON; undefined of a call that began, and of which nothing can be told any more. */
  readonly reply?: string | undefined
}

/**
 * Where a server keeps what came of calls with a key (`idempotencyStore`). Names are digests of the caller's identity, the path
 * and the key. A store that outlives the process lets a server that was started anew answer, too. Servers behind one
 * address share one.
 */
export interface ResultStore {
  /**
   * Whether nothing is ever lost from it: a call that is made again, and is not in it, then runs; else it rejects with
   * `may-have-run`.
   *
   * @default false
   */
  readonly durable?: boolean
  get(name: string): StoredResult | undefined | PromiseLike<StoredResult | undefined>
  /**
   * Resolves when the result is kept; where it throws before a call began, the call rejects with that. `owner` is a
   * digest of the caller's identity: a store with a bound must bound what it keeps for each owner, and must not drop
   * what another one's calls began.
   */
  set(name: string, result: StoredResult, owner: string): unknown
}
