// Netrefs to objects of another system: the peer of a foreign connection creates them, and performs their operations.

import { ignoreRejections } from '../codec/dispose.js'
import { type Reason, SessionEndedError } from '../errors.js'
import { Op, type OperationCode } from '../protocol/messages.js'
import { type MemberName, type MemberPath, pathKeys, toMemberName } from '../protocol/path.js'
import type { Netref } from '../types/netref.js'
import type { Session, SessionEvents, SessionState, SessionStats, Tables } from '../types/session.js'
import { isThenable } from '../util/promises.js'
import { type CallOptions, watchCancellation } from './call-options.js'
import { PendingResult } from './pending-result.js'
import {
  type FinalizerToken,
  handlerOf,
  type PendingRequest,
  Reference,
  type RequestBase,
  type Requester
} from './proxy.js'

/** Releases netrefs that were collected. */
const finalizers = new FinalizationRegistry<FinalizerToken>(({ reference }) =>
  reference?.session.release(reference)
)

/** A netref's reference to an object of another system. */
class ForeignReference<Key> extends Reference {
  constructor(
    session: Requester,
    number: number,
    name: string,
    isCallable: boolean,
    readonly key: Key,
    /** The identity of the object: equal for the same object. */
    readonly objectId: string
  ) {
    super(session, number, name, isCallable)
  }
}

/** What is performed on a foreign object. */
export interface ForeignRequest<Key> {
  readonly op: OperationCode
  /** The object. */
  readonly key: Key
  /** The names that lead from the object to the member; empty for the object itself. */
  readonly path: readonly MemberName[]
  /** The arguments of a call or construction, or the value that is set. */
  readonly operand: unknown
  /** The request as its caller wrote it, for error texts. */
  readonly label: string
  /** Aborts if the caller gives up. */
  readonly signal: AbortSignal | undefined
  /** The option of the call. Only a peer whose netrefs are used directly gets it: a carrier does not pass it on. */
  readonly idempotencyKey: string | undefined
}

/**
 * The peer of a foreign connection. Its netrefs are passed on over an ordinary session, the carrier, whose peer so uses
 * foreign objects like any others. Requests are performed in the order in which they are made.
 */
export abstract class ForeignPeer<Key> implements Requester {
  readonly #references = new Map<string, ForeignReference<Key>>()
  readonly #pending = new Set<PendingResult>()
  #lastNumber = 0
  #endReason: Reason | undefined

  /** @param carrier the session over which the netrefs are passed on */
  constructor(protected readonly carrier: Session) {}

  /**
   * Performs a request. It must start synchronously. Iterating yields an async iterator.
   *
   * @returns the result, or a promise of it
   */
  protected abstract perform(request: ForeignRequest<Key>): unknown

  /** A netref was released, or collected. `count` is how often its object was received. */
  protected abstract onReleased(key: Key, count: number): void

  /** The netref of a foreign object: the same one while it lives. Counts that the object was received. */
  netref(objectId: string, key: Key, name: string, isCallable: boolean): object {
    const existing = this.#references.get(objectId)
    const live = existing?.proxy
    if (live) {
      existing!.refCount++
      return live
    }
    const reference = new ForeignReference(this, ++this.#lastNumber, name, isCallable, key, objectId)
    const { proxy } = reference
    this.#references.set(objectId, reference)
    finalizers.register(proxy, (reference.finalizerToken = { reference }))
    return proxy
  }

  /** A netref that lives as long as this peer, and is not released. Error texts call it by its name. */
  protected rootNetref(key: Key, name: string): object {
    return new ForeignReference(this, 0, name, false, key, '').proxy
  }

  /** The key of a netref of this peer; undefined for any other value. */
  keyOf(value: unknown): Key | undefined {
    const reference = handlerOf(value)?.reference
    return reference?.session === this ? (reference as ForeignReference<Key>).key : undefined
  }

  get peer(): undefined {
    return undefined
  }

  /** Number of foreign objects held. */
  get held(): number {
    return this.#references.size
  }

  /** Number of requests without a result. */
  get pendingRequests(): number {
    return this.#pending.size
  }

  /** The connection has ended: pending and later requests reject. */
  protected end(reason: Reason): void {
    if (this.#endReason) return
    this.#endReason = reason
    for (const reference of this.#references.values()) reference.finalizerToken!.reference = undefined
    this.#references.clear()
    for (const result of this.#pending) result.reject(new SessionEndedError(reason, result.label), true)
    this.#pending.clear()
  }

  /** @internal */
  request(
    op: OperationCode,
    base: RequestBase,
    path: MemberPath,
    operand?: unknown,
    options: CallOptions = {}
  ): PendingRequest {
    const result = new PendingResult(this, op, base, path, operand, options)
    this.#pending.add(result)
    const cancellation = new AbortController()
    const stopWatching = watchCancellation(
      options,
      () => result.label,
      reason => {
        settle(() => result.reject(reason, false))
        cancellation.abort(reason)
      },
      this
    )
    const settle = (apply: () => void) => {
      stopWatching()
      if (this.#pending.delete(result)) apply()
    }
    const fail = (error: unknown) =>
      settle(() => {
        if (op !== Op.oneway) return result.reject(error, false)
        this.report(error, result.label)
        result.fulfill(undefined)
      })
    try {
      options.signal?.throwIfAborted()
      if (this.#endReason) throw new SessionEndedError(this.#endReason, result.label)
      const { idempotencyKey } = options
      const { label } = result
      const value = this.#perform(base, path, {
        op,
        operand,
        label,
        signal: cancellation.signal,
        idempotencyKey
      })
      const fulfill = (value: unknown) => settle(() => result.fulfill(op === Op.oneway ? undefined : value))
      if (isThenable(value)) value.then(fulfill, fail)
      else fulfill(value)
    } catch (error) {
      ignoreRejections(operand)
      fail(error)
    }
    return result
  }

  #perform(base: RequestBase, path: MemberPath, request: Omit<ForeignRequest<Key>, 'key' | 'path'>): unknown {
    // Other systems know no calls on pending results: such a call waits for the result.
    if (base instanceof PendingResult)
      return base.settled().then(() => base.request(request.op, path, request.operand).settled())
    const { key } = base as ForeignReference<Key>
    return this.perform({ ...request, key, path: pathKeys(path).map(toMemberName) })
  }

  /** @internal */
  release(reference: Reference): void {
    const { id, refCount, key, objectId } = reference as ForeignReference<Key>
    if (id === 0 || refCount === 0) return
    reference.finalizerToken!.reference = undefined
    reference.refCount = 0
    if (this.#references.get(objectId) === reference) this.#references.delete(objectId)
    if (!this.#endReason) this.onReleased(key, refCount)
  }

  /** @internal */
  operateLocally(op: OperationCode, value: unknown, path: MemberPath, operand: unknown): unknown {
    return this.#requester.operateLocally(op, value, path, operand)
  }

  /** @internal */
  report(error: unknown, call?: string): void {
    this.#requester.report(error, call)
  }

  /** @internal */
  reportUnobserved(result: PendingRequest): void {
    this.#requester.reportUnobserved(result)
  }

  /** @internal */
  unlessDisconnected<T>(request: Promise<T>, fallback: T): Promise<T> {
    return request.catch(error => {
      if (this.#endReason) return fallback
      throw error
    })
  }

  // What netrefs tell of their session is that of the carrier.

  get #requester(): Requester {
    return this.carrier as Requester
  }

  get root(): Netref<object> {
    return this.carrier.root
  }

  get identity(): unknown {
    return this.carrier.identity
  }

  get gateway(): string | undefined {
    return this.carrier.gateway
  }

  get closed(): Promise<Reason> {
    return this.carrier.closed
  }

  get state(): SessionState {
    return this.carrier.state
  }

  get stats(): SessionStats {
    return this.carrier.stats
  }

  get tables(): Tables {
    return this.carrier.tables
  }

  on<E extends keyof SessionEvents>(name: E, listener: (event: SessionEvents[E]) => void): () => void {
    return this.carrier.on(name, listener)
  }

  ping(): Promise<number> {
    return this.carrier.ping()
  }

  close(): Promise<void> {
    return this.carrier.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.carrier.close()
  }
}
