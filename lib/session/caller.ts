// Calls out: what is asked of the peer, and what comes of it.

import { turnBack, unbox } from '../codec/decode.js'
import { silenceAll, unsend } from '../codec/dispose.js'
import { boxArguments, boxValue } from '../codec/encode.js'
import { loansOf } from '../codec/lend.js'
import { aboutCall } from '../codec/peer-errors.js'
import type { Given, Payload } from '../codec/types.js'
import {
  NetrefError,
  ProtocolError,
  type Reason,
  Refusal,
  type RefusalCode,
  ReleasedError,
  refusalError,
  SessionEndedError,
  sayMayHaveRun,
  UnsendableError
} from '../errors.js'
import type { Channel } from '../protocol/channel.js'
import { formatPath } from '../protocol/format.js'
import {
  formatAgain,
  formatCancel,
  formatOperation,
  formatPing,
  formatTraced,
  Op,
  type OperationCode,
  type Reply
} from '../protocol/messages.js'
import type { Path } from '../protocol/path.js'
import { type CallOptions, watch } from '../remote/call-options.js'
import { type Repeatable, Result } from '../remote/pending-result.js'
import { Ref, type RequestBase, type Requester } from '../remote/proxy.js'
import type { References } from '../remote/references.js'
import { clock } from '../util/clock.js'
import { Context } from '../util/contexts.js'
import { SparseMap } from '../util/lazy-map.js'
import { Witness } from './diagnostics.js'
import { InFlight } from './pending-calls.js'
import { keyed, NOTHING_GIVEN, READS, repeatable } from './retry.js'
import { tracing } from './tracing.js'

const LENT = 'was lent for a call that is over: pass it without Netref.lend to keep it'

export class Caller {
  readonly #pending = new InFlight<Result>()
  /** Calls that are not waited for any more: their answers come all the same. */
  readonly #abandoned = new SparseMap<number, true>()
  /** References that were lent for calls that are not over. */
  readonly #loans = new SparseMap<number, readonly number[]>()
  /** The number of our last call. */
  #last = 0
  #oneWays = 0
  #ended: Reason | undefined
  /** How many frames had left then. */
  #framesSent = 0
  readonly #witness: Witness

  constructor(
    private readonly session: Requester,
    private readonly references: References,
    private readonly channel: Channel,
    /** Told of a value that came as the answer to a call with options. */
    private readonly adopt: (value: unknown, options: CallOptions) => void,
    /** Whether calls may have to be made again, in another session. */
    private readonly repeats: boolean
  ) {
    this.#witness = new Witness(session, 'out')
  }

  /** Calls made so far, pings included. */
  get calls(): number {
    return this.#last + this.#oneWays
  }

  /** Calls that wait for their answer. */
  get pending(): number {
    return this.#pending.size + this.#abandoned.size
  }

  /** Sends one operation. Never throws: what goes wrong rejects the result. */
  request(op: OperationCode, base: RequestBase, path: Path, operand: unknown, options?: CallOptions): Result {
    const result = new Result(this.session, op, base, path, operand, options)
    if (options?.signal?.aborted) {
      silenceAll(operand)
      sayMayHaveRun(options.signal.reason, false)
      result.reject(options.signal.reason, false)
      return result
    }
    let payload: Payload | undefined
    try {
      if (this.#ended) throw new SessionEndedError(this.#ended)
      if (base instanceof Ref && base.released)
        throw new ReleasedError('released', `${base.label} ${base.lent > 0 ? LENT : 'was released'}`)
      payload = this.#box(op, operand)
      // An accessor of a user's may have ended the session in the midst.
      if (this.#ended) throw new SessionEndedError(this.#ended)
      const context = payload && payload.given.length > 0 ? new Context() : undefined
      if (context) this.references.runIn(context, payload!.given)
      const target = base instanceof Ref ? base.id : -base.id
      const id = op === Op.oneway ? 0 : this.#last + 1
      const span = tracing?.current()
      const plain = formatOperation(op, id, target, path, payload?.json)
      let message = span === undefined ? plain : formatTraced(span, plain)
      if (options?.key !== undefined && base instanceof Ref) message = keyed(result, message, payload)
      if (op === Op.oneway) this.#sendOneWay(result, message, payload!.bytes)
      else this.#send(result, message, payload)
      const { place } = this.channel
      if (this.repeats && id > 0)
        result.payload = context ? { ...payload!, context } : (payload ?? NOTHING_GIVEN)
      if (this.#witness.wanted) this.#witness.called(id, op, base.label + formatPath(path), operand)
      // Who was told of it may have ended the session.
      if (options && result.asked && !this.#ended) this.#watch(result, options, place, payload?.given)
    } catch (error) {
      if (payload) unsend(payload, this.references)
      else silenceAll(operand)
      const ours = error instanceof UnsendableError || error instanceof NetrefError
      if (ours) aboutCall(error, this.references).message = `${result.label}: ${error.message}`
      result.reject(error, ours)
    }
    return result
  }

  #box(op: OperationCode, operand: unknown): Payload | undefined {
    switch (op) {
      case Op.call:
      case Op.construct:
      case Op.oneway:
        return boxArguments(operand as unknown[], this.references)
      case Op.set:
      case Op.drive:
        return boxValue(operand, 'value', this.references)
      default:
        return undefined
    }
  }

  /** Undefined for what cannot be sent any more, as bytes that have moved. */
  #boxAgain(op: OperationCode, operand: unknown): Payload | undefined {
    try {
      return this.#box(op, operand)
    } catch {
      return undefined
    }
  }

  #sendOneWay(result: Result, message: string, bytes: readonly Uint8Array[]): void {
    result.frame = this.channel.call(message, bytes)
    this.#oneWays++
    // Until it has left, one with a signal may be given up.
    const room = this.channel.room() ?? (result.options?.signal && this.channel.leaving())
    if (!room) result.fulfil(undefined)
    else
      void room.then(() => {
        if (!result.asked) return
        result.watched?.stop()
        if (this.#ended) result.reject(this.#cutOff(result, this.#ended), true)
        else result.fulfil(undefined)
      })
  }

  #watch(
    result: Result,
    options: CallOptions,
    place: number,
    given: readonly Given[] = [],
    until = clock.now() + (options.timeout ?? Number.POSITIVE_INFINITY)
  ): void {
    const stop = watch(
      options,
      () => result.label,
      reason => this.#abandon(result, reason),
      this.references,
      Math.max(0, until - clock.now())
    )
    result.watched = { options, stop, place, until, given, built: [] }
    const { base } = result.asked!
    if (base instanceof Result && !this.channel.left(base.frame)) base.watched?.built.push(result)
    // An accessor of a user's may have aborted it in the midst.
    if (options.signal?.aborted) this.#abandon(result, options.signal.reason)
  }

  /** Whether a call had left this side when the session ended, or one before it. */
  #hadLeft({ frame, payload }: Result): boolean {
    return frame <= this.#framesSent || payload?.mayHaveRun === true
  }

  #cutOff(result: Result, reason: Reason): SessionEndedError {
    return new SessionEndedError(reason, result.label, this.#hadLeft(result))
  }

  /** The call waits for its answer no more. */
  #over(id: number, result?: Result): void {
    result?.watched?.stop()
    if (!this.#pending.delete(id)) this.#abandoned.delete(id)
    this.#settleLoans(id)
  }

  /** Waits no more for an answer. A call that has left is given up at its home; one that has not is withdrawn. */
  #abandon(result: Result, reason: unknown): void {
    const left = this.channel.left(result.frame)
    sayMayHaveRun(reason, left || result.payload?.mayHaveRun === true)
    const late = reason instanceof DOMException && reason.name === 'TimeoutError'
    const over = (left ? [result] : this.#withdraw(result)).map(one => [one, one.watched!] as const)
    for (const [one, { stop }] of over) {
      stop()
      if (one.id > 0) {
        this.#pending.delete(one.id)
        this.#abandoned.set(one.id, true)
      }
      one.reject(reason, late)
    }
    // Who is told of it, and what is given back, may end the session.
    for (const [{ id }, { given }] of over) {
      this.#witness.replied(id, false, reason)
      if (left) this.#settleLoans(id)
      else {
        this.#loans.delete(id)
        unsend({ given, lent: true }, this.references)
      }
    }
    if (left && result.id > 0) this.#tellHome(result.id, reason)
  }

  /** A call does not leave, nor does what builds on it. @returns all of these */
  #withdraw(result: Result): Result[] {
    const all = [result]
    for (const { id, frame, watched } of all) {
      // The peer counts calls.
      this.channel.withdraw(frame, watched!.place, id > 0 ? formatPing(id) : undefined)
      all.push(...watched!.built.filter(({ asked }) => asked))
    }
    return all
  }

  #tellHome(id: number, reason: unknown): void {
    let payload: Payload | undefined
    try {
      payload = boxValue(reason, 'reason', this.references)
      // An accessor of the reason's may have ended the session in the midst.
      if (!this.#ended) this.channel.push(formatCancel(id, payload.json), payload.bytes)
    } catch {
      // A reason that cannot travel is told as none.
      if (payload) unsend(payload, this.references)
      if (!this.#ended) this.channel.push(formatCancel(id), [])
    }
  }

  /** Asks for a sign of life. @throws SessionEndedError */
  async ping(root: Ref): Promise<void> {
    if (this.#ended) throw new SessionEndedError(this.#ended, 'ping()')
    const result = new Result(this.session, Op.get, root, 'ping()', undefined)
    this.#send(result, formatPing(this.#last + 1), undefined)
    await result.settled()
  }

  #send(result: Result, message: string, payload: Repeatable | undefined): void {
    result.frame = this.channel.call(message, payload?.bytes ?? [])
    result.id = ++this.#last
    this.#pending.add(result)
    const loans = payload && loansOf(payload.given)
    if (loans) this.#loans.set(result.id, loans)
  }

  /** What was lent for a call comes back. */
  #settleLoans(id: number): void {
    if (this.#loans.size === 0) return
    this.references.comeBack(this.#loans.get(id) ?? [])
    this.#loans.delete(id)
  }

  /** The peer answered. @throws ProtocolError for a reply to a call that does not wait for one, or none at all */
  settle([op, id, json, groups]: Reply, bytes: readonly Uint8Array[]): void {
    const result = this.#waiting(id)
    if (!result) {
      turnBack(json, groups, this.references)
      return void this.#over(id)
    }
    let value: unknown
    try {
      value = unbox(json, groups, bytes, this.references)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return this.refuse(id, error.code, error.message)
    } finally {
      this.references.delivered()?.letGo()
    }
    this.#over(id, result)
    if (result.watched) this.adopt(value, result.watched.options)
    if (op === Op.result) result.fulfil(value)
    else result.reject(value, true)
    this.#witness.replied(id, op === Op.result, value)
  }

  /** The peer refused. @throws ProtocolError for a reply to a call that does not wait for one */
  refuse(id: number, code: RefusalCode, text: string): void {
    const result = this.#waiting(id)
    this.#over(id, result)
    if (!result) return
    const error = aboutCall(refusalError(code, result.label, text), this.references)
    result.reject(error, true)
    this.#witness.replied(id, false, error)
  }

  /** The call waits until its reply is read: a reply that is none ends the session, and the call with it. */
  #waiting(id: number): Result | undefined {
    const result = this.#pending.get(id)
    if (!result && !this.#abandoned.has(id))
      throw new ProtocolError(`a reply to call ${id}, which does not wait for one`)
    return result
  }

  /**
   * Makes a call again that waited for its answer in a session that has ended.
   *
   * @returns whether it can: it was asked of the root, and all it was given can be given again
   */
  repeat(result: Result, mayHaveRun: boolean): boolean {
    const payload = repeatable(result)
    if (!payload) return false
    const { watched } = result
    const { op, path, operand, options } = result.asked!
    // What was given by value is what it was then; what was given by reference has other numbers now.
    const boxed = payload.given.length + payload.bytes.length > 0 ? this.#boxAgain(op, operand) : payload
    if (!boxed) return false
    const again = mayHaveRun && !READS.has(op)
    const message = formatOperation(op, this.#last + 1, 0, path, boxed.json)
    const flagged = again ? formatAgain(message) : message
    const sent = options?.key === undefined ? flagged : keyed(result, flagged, boxed)
    try {
      this.#send(result, sent, boxed)
    } catch {
      // It is larger than what the other side is known to take.
      unsend(boxed, this.references)
      return false
    }
    const { context } = payload
    if (context) this.references.runIn(context, boxed.given)
    result.session = this.session
    result.payload = { ...boxed, ...(context && { context }), mayHaveRun }
    if (watched) this.#watch(result, watched.options, this.channel.place, boxed.given, watched.until)
    return true
  }

  /**
   * The session has ended when so many frames had left: every call that waits rejects, and so does every later one,
   * but for those that a successor makes again.
   */
  end(reason: Reason, framesSent: number, successor?: Caller): void {
    this.#ended = reason
    this.#framesSent = framesSent
    const waiting = this.#pending.clear()
    this.#abandoned.clear()
    for (const { watched } of waiting) watched?.stop()
    this.#loans.clear()
    for (const result of waiting) {
      if (successor?.repeat(result, this.#hadLeft(result))) continue
      const error = this.#cutOff(result, reason)
      result.reject(error, true)
      this.#witness.replied(result.id, false, error)
    }
  }
}
