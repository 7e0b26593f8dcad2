// `Listeners`: functions of peers and of this side that are called at each event, until they are gone or too slow.

import { type Grant, grants } from '../codec/grants.js'
import { BacklogError, LimitError, type Reason, ReleasedError, SessionEndedError } from '../errors.js'
import { Op } from '../protocol/messages.js'
import type { PendingResult } from '../remote/pending-result.js'
import { handlerOf, type NetrefHandler } from '../remote/proxy.js'
import type { Exposed, Netref, NetrefBrand, Sendable } from '../types/netref.js'
import type { AnyFunction } from '../util/any.js'
import { checkMs, checkOptions, type OptionTypes } from '../util/check-options.js'
import { type Deadline, startDeadline } from '../util/deadline.js'
import { describeValue, safeString } from '../util/describe.js'
import { type ReportError, runHook } from '../util/emitter.js'
import { toPrintable } from '../util/printable.js'
import { isThenable } from '../util/promises.js'

/** Options of `Listeners`. */
export interface ListenersOptions<F extends AnyFunction = AnyFunction> {
  /**
   * Time within which a listener must answer a call, in ms. A slower one is dropped, at the latest after twice this time.
   * Time in which this process is stopped or blocked does not count.
   *
   * @default 30 000
   */
  readonly timeout?: number | undefined
  /**
   * Called with each listener that is dropped, and the reason. That is a `SessionEndedError` if its session has ended, and a
   * `ReleasedError` if its netref was released. It is a `TimeoutError` or a `LimitError` if the listener is too slow. Not
   * called for a listener whose subscription is cancelled.
   */
  readonly onGone?: ((listener: F | Netref<F>, error: Error) => void) | undefined
}

const LISTENERS_OPTIONS: OptionTypes<ListenersOptions> = { timeout: 'a number', onGone: 'a function' }
const DEFAULT_TIMEOUT_MS = 30_000
/** Maximum number of calls of one listener that wait for an answer. */
const MAX_UNANSWERED_CALLS = 10_000

/** The only member that a peer may use of a subscription. */
const SUBSCRIPTION_GRANT: Grant = {
  read: new Set(['cancel']),
  write: new Set(),
  help: new Map(),
  released: undefined,
  isSubscription: true
}

/** What `Listeners.add` returns. A peer that releases its netref explicitly cancels it, too; the garbage collector does not. */
export class Subscription {
  readonly #cancel: () => void

  /** @internal */
  constructor(cancel: () => void) {
    this.#cancel = cancel
    grants.set(this, SUBSCRIPTION_GRANT)
  }

  /** Removes the listener. A second call does nothing, and neither does a call after the listener was dropped. */
  cancel(): void {
    this.#cancel()
  }
}

/** The parameters of a listener, as `emit` takes them. */
type EventArguments<A extends readonly unknown[]> = { [I in keyof A]: Sendable<A[I]> }

/**
 * A set of functions that are called at each event: netrefs to functions of peers, and functions of this side. A listener
 * whose session has ended, whose netref was released, or that is slower than `timeout` is dropped. So a peer that sleeps
 * does not hold up the others.
 *
 * A listener that stays gets each event, in order. What waits for a slow one is bounded: by `timeout`, by 10 000 calls
 * without an answer, and by `limits.bufferedBytes` of its session. Beyond that it is dropped.
 *
 * @example
 * class Ticker extends Service {
 *   static readonly listeners = new Listeners<(price: number) => void>({ timeout: 5000 })
 *   exposed_subscribe(listener: Netref<(price: number) => void>) { return Ticker.listeners.add(listener) }
 * }
 * Ticker.listeners.emit(42)
 *
 * // The client:
 * const subscription = await connect<Ticker>(url).root.subscribe(price => console.log(price))
 * await subscription.cancel()
 */
export class Listeners<F extends AnyFunction> implements Iterable<F | Netref<F>> {
  readonly #subscribers = new Map<F | Netref<F>, Subscriber>()
  readonly #timeoutMs: number
  readonly #onGone: ListenersOptions<F>['onGone']

  /** @throws TypeError or RangeError for an invalid option */
  constructor(options: ListenersOptions<F> = {}) {
    checkOptions('Listeners', options, LISTENERS_OPTIONS)
    this.#timeoutMs = checkMs('timeout', options.timeout ?? DEFAULT_TIMEOUT_MS)
    this.#onGone = options.onGone
  }

  /** The number of listeners. */
  get size(): number {
    return this.#subscribers.size
  }

  /**
   * Adds a listener. One that is added again is called once, and `add` returns the same subscription.
   *
   * @returns the subscription, which may be returned to the peer
   * @throws TypeError for a value that is not a function or a netref to one
   */
  add(listener: F | NetrefBrand<F>): Subscription & Exposed<Subscription> {
    if (typeof listener !== 'function')
      throw new TypeError(
        `Listeners.add: the listener must be a function or a netref to one, not ${describeValue(listener)}`
      )
    const key = listener as F | Netref<F>
    const subscriber = this.#subscribers.get(key) ?? this.#subscribe(key)
    return subscriber.subscription as Subscription & Exposed<Subscription>
  }

  #subscribe(listener: F | Netref<F>): Subscriber {
    const onRemoved = (error: Error | undefined, report: ReportError) => {
      this.#subscribers.delete(listener)
      if (error) runHook(() => this.#onGone?.(listener, error), report)
    }
    const subscriber = new Subscriber(listener as AnyFunction, this.#timeoutMs, onRemoved)
    this.#subscribers.set(listener, subscriber)
    subscriber.start()
    return subscriber
  }

  /**
   * Calls all listeners, and does not wait for them. It does not throw. If a listener fails, the others are still called.
   * The error of a peer's listener goes to `onError` of its session, that of a local one to `console.error`.
   */
  emit(...args: EventArguments<Parameters<F>>): void {
    for (const subscriber of [...this.#subscribers.values()]) subscriber.call(args)
  }

  /** The listeners, in the order in which they were added. */
  [Symbol.iterator](): IterableIterator<F | Netref<F>> {
    return this.#subscribers.keys()
  }
}

/**
 * One listener, and its calls without an answer. A deadline runs for the calls made up to its start, which are a round. Calls
 * made meanwhile belong to the next round.
 */
class Subscriber {
  readonly subscription = new Subscription(() => this.#remove())
  readonly #stop = new AbortController()
  /** The handler of a netref; undefined for a local function. */
  readonly #remote: NetrefHandler | undefined
  #deadline: Deadline | undefined
  #isActive = true
  #unwatch: (() => void) | undefined
  #round = 0
  /** Calls without an answer, of the present round and of the next one. */
  #present = 0
  #next = 0

  constructor(
    private readonly listener: AnyFunction,
    private readonly timeoutMs: number,
    private readonly onRemoved: (error: Error | undefined, report: ReportError) => void
  ) {
    this.#remote = handlerOf(listener)
  }

  /** Watches the session of a netref. */
  start(): void {
    const session = this.#remote?.base.session
    if (!session) return
    const onEnded = (reason: Reason) => this.#remove(new SessionEndedError(reason))
    this.#unwatch = session.on('closed', onEnded)
    if (session.state === 'closed') void session.closed.then(onEnded)
  }

  call(args: unknown[]): void {
    if (!this.#isActive) return
    if (this.#present + this.#next >= MAX_UNANSWERED_CALLS) {
      const message = `${this.#label} has not answered ${MAX_UNANSWERED_CALLS} calls`
      this.#remove(new LimitError('limit', message))
    } else if (this.#remote) this.#callRemote(this.#remote, args)
    else this.#callLocal(args)
  }

  #callRemote({ base, path, options }: NetrefHandler, args: unknown[]): void {
    const result = base.request(Op.call, path, args, {
      ...options,
      signal: this.#stop.signal
    }) as PendingResult
    const wasSent = !result.isRejected
    this.#awaitAnswer(result.settled(), error => {
      const isGone = error instanceof SessionEndedError || error instanceof ReleasedError
      const isBehind = error instanceof BacklogError || (wasSent && error instanceof LimitError)
      if (isGone || isBehind) this.#remove(error)
      else base.session.report(error, result.label)
    })
  }

  #callLocal(args: unknown[]): void {
    try {
      const result: unknown = Reflect.apply(this.listener, undefined, args)
      if (isThenable(result)) this.#awaitAnswer(Promise.resolve(result), logFailure)
    } catch (error) {
      logFailure(error)
    }
  }

  #awaitAnswer(answer: Promise<unknown>, onFailed: (error: unknown) => void): void {
    const round = this.#addCall()
    answer.then(
      () => this.#onAnswer(round),
      error => {
        if (!this.#isActive) return
        this.#onAnswer(round)
        onFailed(error)
      }
    )
  }

  /** @returns the round of the call */
  #addCall(): number {
    if (this.#present > 0) {
      this.#next++
      return this.#round + 1
    }
    this.#present = 1
    this.#startDeadline()
    return this.#round
  }

  #onAnswer(round: number): void {
    if (!this.#isActive) return
    if (round !== this.#round) this.#next--
    else if (--this.#present === 0) this.#startNextRound()
  }

  #startNextRound(): void {
    this.#round++
    this.#present = this.#next
    this.#next = 0
    if (this.#present > 0) this.#startDeadline()
    else this.#deadline!.stop()
  }

  #startDeadline(): void {
    if (this.#deadline) return this.#deadline.start()
    const onExpired = () => {
      const message = `${this.#label} has not answered within ${this.timeoutMs} ms`
      this.#remove(new DOMException(message, 'TimeoutError'))
    }
    this.#deadline = startDeadline(this.timeoutMs, onExpired).unref()
  }

  /** Without an error, the subscription was cancelled. Calls that wait for an answer are cancelled. */
  #remove(error?: Error): void {
    if (!this.#isActive) return
    this.#isActive = false
    this.#deadline?.stop()
    this.#unwatch?.()
    const session = this.#remote?.base.session
    this.onRemoved(error, failure => (session ? session.report(failure) : logFailure(failure)))
    this.#stop.abort(error)
  }

  get #label(): string {
    return this.#remote ? `the listener ${this.#remote.label}` : 'a local listener'
  }
}

function logFailure(error: unknown): void {
  console.error(`netref: a listener failed: ${toPrintable(safeString(error))}`)
}
