// What comes of a request: a promise and a path in one, so that it can be used before it is there.

import { silenceAll } from '../codec/dispose.js'
import { localizeStack } from '../codec/error-codec.js'
import { aboutCall } from '../codec/peer-errors.js'
import type { Given, Payload } from '../codec/types.js'
import { Refusal, refusalError } from '../errors.js'
import { ending, formatCall, formatPath } from '../protocol/format.js'
import { Op, type OperationCode } from '../protocol/messages.js'
import type { Path } from '../protocol/path.js'
import type { Context } from '../util/contexts.js'

import { isA } from '../util/realms.js'
import type { CallOptions } from './call-options.js'
import type { Listening } from './listening.js'
import {
  blankFunction,
  type Done,
  type Failed,
  Handler,
  iterateLater,
  NOWHERE,
  type PendingRequest,
  type RequestBase,
  type Requester,
  stateOf
} from './proxy.js'

/** What was asked. `origin` keeps the netref alive until the answer is there: a Ref does not hold its proxy. */
interface Asked {
  readonly op: OperationCode
  readonly base: RequestBase
  readonly origin: object
  readonly path: Path
  readonly operand: unknown
  readonly options: CallOptions | undefined
}

/** What will come of a request. Until it has come, requests on it go to its home along with it. */
export class Result extends Handler implements PendingRequest {
  readonly path = NOWHERE
  readonly proxy: object = new Proxy(blankFunction, this)
  /** The number of the call; 0 when it was never sent. */
  id = 0
  /** The number of the frame it is in. */
  frame = 0
  /** While it may be given up. */
  watched: Watched | undefined
  /** What was sent of its operand, where it may have to be sent again. */
  payload: Repeatable | undefined
  /** Whether somebody awaits it, or has built on it: whoever does learns of a failure. */
  observed = false
  /** How it was called, if as a listener. */
  listening: Listening | undefined
  #state: 'pending' | 'fulfilled' | 'rejected' = 'pending'
  #value: unknown
  /** The error says nothing of who asked, until the first who awaits it gives it a local stack. */
  #stackless = false
  /** Those who await it, while it is pending. */
  #waiting: ((value: unknown) => void)[] | undefined
  /** Let go when the answer is there. */
  #asked: Asked | undefined
  /** Whether requests were sent that build on it: errors of theirs name it. */
  #chained = false
  #label = 'result'

  constructor(
    public session: Requester,
    op: OperationCode,
    base: RequestBase,
    path: Path,
    operand: unknown,
    options?: CallOptions
  ) {
    super()
    this.#asked = { op, base, origin: base.proxy, path, operand, options }
  }

  get base(): this {
    return this
  }

  /** The call as its caller wrote it: `root.open("x")`. Not kept for one that is there and was not built on before. */
  get label(): string {
    if (!this.#asked) return this.#label
    const { op, base, path, operand } = this.#asked
    return formatCall(op, ending(base.label) + formatPath(path), operand)
  }

  /** Undefined once it is settled. */
  get asked(): Asked | undefined {
    return this.#asked
  }

  /** Until the answer is there, what is asked of it has the options it has itself. */
  override get options(): CallOptions | undefined {
    return this.#asked?.options
  }

  get failed(): boolean {
    return this.#state === 'rejected'
  }

  get error(): unknown {
    return this.#value
  }

  fulfil(value: unknown): void {
    this.#settle('fulfilled', value)
  }

  /** `stackless` says that the error's stack names nobody on this side so far. */
  reject(error: unknown, stackless: boolean): void {
    this.#stackless = stackless
    this.#settle('rejected', error)
    if (!this.observed) this.session.unobserved(this)
  }

  #settle(state: 'fulfilled' | 'rejected', value: unknown): void {
    if (state === 'rejected' || this.#chained) this.#label = this.label
    this.#state = state
    this.#value = value
    this.#asked = this.payload = this.watched = undefined
    const waiting = this.#waiting
    if (!waiting) return
    this.#waiting = undefined
    for (const arrive of waiting) arrive(this.#outcome())
  }

  /** What came of it, to be awaited: each who does has a promise of its own. */
  settled(): Promise<unknown> {
    this.observed = true
    return this.#settling()
  }

  /** What a listener came to. That it failed is nothing that somebody awaits. */
  #heard(): Promise<unknown> {
    return this.#settling().catch(() => undefined)
  }

  #settling(): Promise<unknown> {
    if (this.#state !== 'pending') return Promise.resolve(this.#outcome())
    return new Promise(arrive => {
      if (this.#waiting) this.#waiting.push(arrive)
      else this.#waiting = [arrive]
    })
  }

  #outcome(): unknown {
    return this.#state === 'fulfilled' ? this.#value : this.#failed()
  }

  /**
   * An async function, so that V8 finds the awaiting one behind it, and its line in the stack of an error: once it is
   * known who awaits this very promise, which is another microtask later.
   */
  async #failed(): Promise<never> {
    if (this.#stackless) {
      await undefined
      await undefined
    }
    if (this.#stackless && isA('Error', this.#value)) localizeStack(this.#value, this.#failed)
    this.#stackless = false
    throw this.#value
  }

  request(op: OperationCode, path: Path, operand?: unknown, options?: CallOptions): PendingRequest {
    if (this.#state === 'pending') {
      this.observed = this.#chained = true
      return this.session.request(op, this, path, operand, options)
    }
    const there = this.#state === 'fulfilled' ? stateOf(this.#value) : undefined
    return there ? there.base.request(op, path, operand, options) : this.#requestHere(op, path, operand)
  }

  /** A request on a copy, on an object of this side that came home, or on an error. */
  #requestHere(op: OperationCode, path: Path, operand: unknown): PendingRequest {
    const result = new Result(this.session, op, this, path, operand)
    if (this.#state === 'rejected') {
      this.observed = true
      silenceAll(operand)
      result.reject(this.#value, this.#stackless)
      return result
    }
    try {
      const value = this.session.operateLocally(op, this.#value, path, operand)
      if (op === Op.oneway) silenceAll(value)
      result.fulfil(op === Op.oneway ? undefined : value)
      // What a function of this side promised fails as if the call had: it is told of, if nobody awaits it.
      if (isA('Promise', value)) value.catch(error => result.reject(error, false))
    } catch (error) {
      if (!(error instanceof Refusal)) result.reject(error, false)
      else {
        silenceAll(operand)
        result.reject(aboutCall(refusalError(error.code, result.label, error.message)), true)
      }
    }
    return result
  }

  local(name: string | symbol): unknown {
    switch (name) {
      case 'then':
        return (done: Done | undefined, failed: Failed) => {
          const { listening } = this
          const isHeard = listening === 'object' || (listening === 'function' && done === undefined)
          return isHeard ? this.#heard().then(done) : this.settled().then(done, failed)
        }
      case 'catch':
        return (failed: Failed) => this.settled().catch(failed)
      case 'finally':
        return (last: () => void) => this.settled().finally(last)
      case Symbol.asyncIterator:
        return () => iterateLater(this.session, () => this.settled(), this.options)
      default:
        return undefined
    }
  }
}

/** A call with options, while it waits for its answer. */
export interface Watched {
  readonly options: CallOptions
  /** Takes back what waits for its signal and its time. */
  readonly stop: () => void
  /** The place of its message in its frame. */
  readonly place: number
  /** When its time is over. */
  readonly until: number
  /** The references that were given in it. */
  readonly given: readonly Given[]
  /** The calls that were built on it before it had left: without it they are not to run. */
  readonly built: Result[]
}

/** What is kept of what a call was given. */
export interface Repeatable extends Pick<Payload, 'bytes' | 'given' | 'lent'> {
  readonly json?: string
  /** In which it was made, if it was given references. */
  readonly context?: Context
  /** Whether the call had left this side in a session before this one. */
  readonly mayHaveRun?: boolean
}
