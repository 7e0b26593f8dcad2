// The calls of this side that have no reply yet.

import { ProtocolError } from '../errors.js'
import type { PendingResult } from '../remote/pending-result.js'
import { LazyMap } from '../util/lazy-map.js'

export class PendingCalls {
  readonly #results = new LazyMap<number, PendingResult>()
  /** Calls whose reply has come, and names answers of this side that are pending. */
  readonly #replied = new LazyMap<number, PendingResult>()
  /** Cancelled calls. The peer replies to them all the same. */
  readonly #cancelled = new LazyMap<number, true>()
  /** Ids of the references that are lent for a call. */
  readonly #loans = new LazyMap<number, readonly number[]>()

  get size(): number {
    return this.#results.size + this.#replied.size + this.#cancelled.size
  }

  /** The calls that wait for a reply, in order. The caller must not settle any while it iterates. */
  get results(): Iterable<PendingResult> {
    return this.#results.values()
  }

  /** The calls that have a reply, and wait for answers of this side. */
  get replied(): Iterable<PendingResult> {
    return this.#replied.values()
  }

  add(result: PendingResult, loans: readonly number[] | undefined): void {
    this.#results.set(result.id, result)
    if (loans) this.#loans.set(result.id, loans)
  }

  /** @returns undefined for a cancelled call @throws ProtocolError for a call that waits for no reply */
  get(id: number): PendingResult | undefined {
    const result = this.#results.get(id)
    if (!result && !this.#cancelled.has(id))
      throw new ProtocolError(`a reply to call ${id}, which is not pending`)
    return result
  }

  /** The reply of a call has come. */
  delete(id: number): void {
    if (!this.#results.delete(id)) this.#cancelled.delete(id)
  }

  /** The reply of a call has come; the call stays pending until the answers that the reply names are there. */
  setReplied(result: PendingResult): void {
    this.#results.delete(result.id)
    this.#replied.set(result.id, result)
  }

  /** The answers are there. @returns whether the call is still pending, in this session */
  deleteReplied(id: number): boolean {
    return this.#replied.delete(id)
  }

  /** A call that waits for its reply; undefined for any other. */
  find(id: number): PendingResult | undefined {
    return this.#results.get(id)
  }

  /** The caller no longer waits for the reply. */
  cancel(id: number): void {
    if (this.#replied.delete(id)) return
    this.#results.delete(id)
    this.#cancelled.set(id, true)
  }

  takeLoans(id: number): readonly number[] | undefined {
    if (this.#loans.size === 0) return undefined
    const loans = this.#loans.get(id)
    this.#loans.delete(id)
    return loans
  }

  /** Removes all calls. @returns those that were not cancelled, in order */
  clear(): readonly PendingResult[] {
    const results = [...this.#replied.values(), ...this.#results.values()]
    this.#results.clear()
    this.#replied.clear()
    this.#cancelled.clear()
    this.#loans.clear()
    return results
  }
}
