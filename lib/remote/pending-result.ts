// What comes of a request: a promise and a path in one, so that it can be used before it is there.

import { ignoreRejections } from '../codec/dispose.js'
import { localizeStack } from '../codec/error-codec.js'
import { markConfidential } from '../codec/peer-errors.js'
import type { EncodedReference, Payload } from '../codec/types.js'
import { CallRejection, rejectionError } from '../errors.js'
import { formatCall, formatPath, truncateStart } from '../protocol/format.js'
import { Op, type OperationCode } from '../protocol/messages.js'
import type { MemberPath } from '../protocol/path.js'
import type { ContextSnapshot } from '../util/contexts.js'

import { isInstanceOf } from '../util/realms.js'
import type { CallOptions } from './call-options.js'
import type { ListenerKind } from './listening.js'
import {
  EMPTY_PATH,
  functionTarget,
  handlerOf,
  iterateDeferred,
  NetrefHandler,
  type OnFulfilled,
  type OnRejected,
  type PendingRequest,
  type RequestBase,
  type Requester
} from './proxy.js'

/** What was asked. `origin` keeps the netref alive until the answer is there: a Ref does not hold its proxy. */
interface SentRequest {
  readonly op: OperationCode
  readonly base: RequestBase
  readonly baseProxy: object
  readonly path: MemberPath
  readonly operand: unknown
  readonly options: CallOptions | undefined
}

/** What will come of a request. Until it has come, requests on it go to its home along with it. */
export class PendingResult extends NetrefHandler implements PendingRequest {
  readonly path = EMPTY_PATH
  readonly proxy: object = new Proxy(functionTarget, this)
  /** The number of the call; 0 when it was never sent. */
  id = 0
  /** The number of the frame it is in. */
  frameNumber = 0
  /** While it may be given up. */
  watched: CancellableCall | undefined
  /** What was sent of its operand, where it may have to be sent again. */
  payload: RetryPayload | undefined
  /** Whether somebody awaits it, or has built on it: whoever does learns of a failure. */
  observed = false
  /** How it was called, if as a listener. */
  listenerKind: ListenerKind | undefined
  #state: 'pending' | 'fulfilled' | 'rejected' = 'pending'
  #value: unknown
  /** The error says nothing of who asked, until the first who awaits it gives it a local stack. */
  #lacksLocalStack = false
  /** Those who await it, while it is pending. */
  #waiters: ((value: unknown) => void)[] | undefined
  /** Let go when the answer is there. */
  #sentRequest: SentRequest | undefined
  /** Whether requests were sent that build on it: errors of theirs name it. */
  #hasPipelinedRequests = false
  #label = 'result'

  constructor(
    public session: Requester,
    op: OperationCode,
    base: RequestBase,
    path: MemberPath,
    operand: unknown,
    options?: CallOptions
  ) {
    super()
    this.#sentRequest = { op, base, baseProxy: base.proxy, path, operand, options }
  }

  get base(): this {
    return this
  }

  /** The call as its caller wrote it: `root.open("x")`. Not kept for one that is there and was not built on before. */
  get label(): string {
    if (!this.#sentRequest) return this.#label
    const { op, base, path, operand } = this.#sentRequest
    return formatCall(op, truncateStart(base.label) + formatPath(path), operand)
  }

  /** Undefined once it is settled. */
  get sentRequest(): SentRequest | undefined {
    return this.#sentRequest
  }

  /** Until the answer is there, what is asked of it has the options it has itself. */
  override get options(): CallOptions | undefined {
    return this.#sentRequest?.options
  }

  get isRejected(): boolean {
    return this.#state === 'rejected'
  }

  get error(): unknown {
    return this.#value
  }

  fulfill(value: unknown): void {
    this.#settle('fulfilled', value)
  }

  /** `stackless` says that the error's stack names nobody on this side so far. */
  reject(error: unknown, lacksLocalStack: boolean): void {
    this.#lacksLocalStack = lacksLocalStack
    this.#settle('rejected', error)
    if (!this.observed) this.session.reportUnobserved(this)
  }

  #settle(state: 'fulfilled' | 'rejected', value: unknown): void {
    if (state === 'rejected' || this.#hasPipelinedRequests) this.#label = this.label
    this.#state = state
    this.#value = value
    this.#sentRequest = this.payload = this.watched = undefined
    const waiters = this.#waiters
    if (!waiters) return
    this.#waiters = undefined
    for (const resolve of waiters) resolve(this.#outcome())
  }

  /** What came of it, to be awaited: each who does has a promise of its own. */
  settled(): Promise<unknown> {
    this.observed = true
    return this.#settledUnobserved()
  }

  /** What a listener came to. That it failed is nothing that somebody awaits. */
  #settledForListener(): Promise<unknown> {
    return this.#settledUnobserved().catch(() => undefined)
  }

  #settledUnobserved(): Promise<unknown> {
    if (this.#state !== 'pending') return Promise.resolve(this.#outcome())
    return new Promise(resolve => {
      if (this.#waiters) this.#waiters.push(resolve)
      else this.#waiters = [resolve]
    })
  }

  #outcome(): unknown {
    return this.#state === 'fulfilled' ? this.#value : this.#rejectWithLocalStack()
  }

  /**
   * An async function, so that V8 finds the awaiting one behind it, and its line in the stack of an error: once it is
   * known who awaits this very promise, which is another microtask later.
   */
  async #rejectWithLocalStack(): Promise<never> {
    if (this.#lacksLocalStack) {
      await undefined
      await undefined
    }
    if (this.#lacksLocalStack && isInstanceOf('Error', this.#value))
      localizeStack(this.#value, this.#rejectWithLocalStack)
    this.#lacksLocalStack = false
    throw this.#value
  }

  request(op: OperationCode, path: MemberPath, operand?: unknown, options?: CallOptions): PendingRequest {
    if (this.#state === 'pending') {
      this.observed = this.#hasPipelinedRequests = true
      return this.session.request(op, this, path, operand, options)
    }
    const handler = this.#state === 'fulfilled' ? handlerOf(this.#value) : undefined
    return handler
      ? handler.base.request(op, path, operand, options)
      : this.#requestLocally(op, path, operand)
  }

  /** A request on a copy, on an object of this side that came home, or on an error. */
  #requestLocally(op: OperationCode, path: MemberPath, operand: unknown): PendingRequest {
    const result = new PendingResult(this.session, op, this, path, operand)
    if (this.#state === 'rejected') {
      this.observed = true
      ignoreRejections(operand)
      result.reject(this.#value, this.#lacksLocalStack)
      return result
    }
    try {
      const value = this.session.operateLocally(op, this.#value, path, operand)
      if (op === Op.oneway) ignoreRejections(value)
      result.fulfill(op === Op.oneway ? undefined : value)
      // What a function of this side promised fails as if the call had: it is told of, if nobody awaits it.
      if (isInstanceOf('Promise', value)) value.catch(error => result.reject(error, false))
    } catch (error) {
      if (!(error instanceof CallRejection)) result.reject(error, false)
      else {
        ignoreRejections(operand)
        result.reject(markConfidential(rejectionError(error.code, result.label, error.message)), true)
      }
    }
    return result
  }

  localMember(name: string | symbol): unknown {
    switch (name) {
      case 'then':
        return (onFulfilled: OnFulfilled | undefined, onRejected: OnRejected) => {
          const { listenerKind } = this
          const isListenerCall =
            listenerKind === 'object' || (listenerKind === 'function' && onFulfilled === undefined)
          return isListenerCall
            ? this.#settledForListener().then(onFulfilled)
            : this.settled().then(onFulfilled, onRejected)
        }
      case 'catch':
        return (failed: OnRejected) => this.settled().catch(failed)
      case 'finally':
        return (onFinally: () => void) => this.settled().finally(onFinally)
      case Symbol.asyncIterator:
        return () => iterateDeferred(this.session, () => this.settled(), this.options)
      default:
        return undefined
    }
  }
}

/** A call with options, while it waits for its answer. */
export interface CancellableCall {
  readonly options: CallOptions
  /** Takes back what waits for its signal and its time. */
  readonly stopWatching: () => void
  /** The place of its message in its frame. */
  readonly messageIndex: number
  /** When its time is over. */
  readonly deadline: number
  /** The references that were given in it. */
  readonly references: readonly EncodedReference[]
  /** The calls that were built on it before it had left: without it they are not to run. */
  readonly dependents: PendingResult[]
}

/** What is kept of what a call was given. */
export interface RetryPayload extends Pick<Payload, 'bytes' | 'references' | 'lent'> {
  readonly json?: string
  /** In which it was made, if it was given references. */
  readonly context?: ContextSnapshot
  /** Whether the call had left this side in a session before this one. */
  readonly mayHaveRun?: boolean
}
