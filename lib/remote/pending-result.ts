// The result of a request that may still be pending: a promise and a path in one, so it can be used before the reply.

import { markConfidential } from '../codec/confidential-errors.js'
import { ignoreRejections } from '../codec/dispose.js'
import { localizeStack } from '../codec/error-codec.js'
import type { EncodedReference, Payload } from '../codec/types.js'
import { CallRejection, FailedAnswer, rejectionError } from '../errors.js'
import { formatCall, formatPath, truncateStart } from '../protocol/format.js'
import { Op, type OperationCode } from '../protocol/messages.js'
import type { MemberPath } from '../protocol/path.js'
import type { ContextSnapshot } from '../util/async-context.js'
import { isInstanceOf } from '../util/realms.js'
import type { CallOptions } from './call-options.js'
import type { ListenerKind } from './listener-kind.js'
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

/** A request that is sent. `baseProxy` keeps the netref alive until the reply: a Reference does not hold its proxy. */
interface SentRequest {
  readonly op: OperationCode
  readonly base: RequestBase
  readonly baseProxy: object
  readonly path: MemberPath
  readonly operand: unknown
  readonly options: CallOptions | undefined
}

/** The result of a request. While it is pending, requests on it are sent along with it. */
export class PendingResult extends NetrefHandler implements PendingRequest {
  readonly path = EMPTY_PATH
  readonly proxy: object = new Proxy(functionTarget, this)
  /** Number of the call; 0 if it was never sent. */
  id = 0
  /** Number of the frame that contains the call. */
  frameNumber = 0
  /** Set while the call can be cancelled. */
  cancellable: CancellableCall | undefined
  /** The encoded operand, if the call may be retried. */
  payload: RetryPayload | undefined
  /** Whether user code awaits it, or builds on it, and so gets its error. */
  observed = false
  /** How the call was made, if as an event listener. */
  listenerKind: ListenerKind | undefined
  #state: 'pending' | 'fulfilled' | 'rejected' = 'pending'
  #value: unknown
  /** Whether the error's stack has no frames of this side: the first `await` adds them. */
  #lacksLocalStack = false
  /** The callbacks of those that await it, while it is pending. */
  #waiters: ((value: unknown) => void)[] | undefined
  /** Undefined once it is settled. */
  #sentRequest: SentRequest | undefined
  /** Whether pipelined requests were sent on it: their errors name this call. */
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

  /**
   * The call as the caller wrote it: `root.open("x")`. A settled result keeps it for errors only, and for pipelined
   * requests.
   */
  get label(): string {
    if (!this.#sentRequest) return this.#label
    const { op, base, path, operand } = this.#sentRequest
    return formatCall(op, truncateStart(base.label) + formatPath(path), operand)
  }

  /** Undefined once it is settled. */
  get sentRequest(): SentRequest | undefined {
    return this.#sentRequest
  }

  /** While it is pending, requests on it have its own options. */
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

  /** `lacksLocalStack` says that the error's stack has no frames of this side. */
  reject(error: unknown, lacksLocalStack: boolean): void {
    this.#lacksLocalStack = lacksLocalStack
    this.#settle('rejected', error)
    if (!this.observed) this.session.reportUnobserved(this)
  }

  #settle(state: 'fulfilled' | 'rejected', value: unknown): void {
    if (state === 'rejected' || this.#hasPipelinedRequests) this.#label = this.label
    this.#state = state
    this.#value = value
    this.#sentRequest = this.payload = this.cancellable = undefined
    const waiters = this.#waiters
    if (!waiters) return
    this.#waiters = undefined
    for (const resolve of waiters) resolve(this.#outcome())
  }

  /** A new promise of the outcome for each caller. */
  settled(): Promise<unknown> {
    this.observed = true
    return this.#settledUnobserved()
  }

  /** The outcome for an event target, without a rejection: no code awaits it. */
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
   * An async function, so that V8 adds the awaiting function to the error's stack. V8 knows that function one microtask
   * after it awaits this promise.
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

  /**
   * Passes it on to its peer: as the number of its call while that is pending, then as its value. The receiver gets its
   * error. Undefined for a one-way call that is not sent yet, which has no number.
   *
   * @throws FailedAnswer if it has failed
   */
  passOn(): number | { readonly value: unknown } | undefined {
    this.observed = true
    if (this.#state === 'fulfilled') return { value: this.#value }
    if (this.#state === 'rejected') throw new FailedAnswer(this.#value, this.#lacksLocalStack)
    return this.id === 0 ? undefined : this.id
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

  /** A request on a copied value, on a local object that came back, or on an error. */
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
      // If a local function returns a promise that rejects, the call has failed. `reject` reports it, unless it is
      // awaited.
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

/** A pending call with options. */
export interface CancellableCall {
  readonly options: CallOptions
  /** Stops watching its signal and its timeout. */
  readonly stopWatching: () => void
  /** Index of its message in its frame. */
  readonly messageIndex: number
  /** Time of its timeout, in ms. */
  readonly deadline: number
  /** Whether that is the default timeout of the session. */
  readonly hasDefaultTimeout: boolean
  /** The references in its arguments. */
  readonly references: readonly EncodedReference[]
  /** Pipelined calls made before it was sent: if it is withdrawn, they must not run. */
  readonly dependents: PendingResult[]
}

/** The encoded operand of a call that may be retried. */
export interface RetryPayload extends Pick<Payload, 'bytes' | 'references' | 'callerOwned'> {
  readonly json?: string
  /** Context of the call, if it passes references. */
  readonly context?: ContextSnapshot
  /** Whether the call was sent in an earlier session. */
  readonly mayHaveRun?: boolean
}
