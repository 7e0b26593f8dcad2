// Calls out: what is asked of the peer, and what comes of it.

import { decode, discardReferences } from '../codec/decode.js'
import { ignoreRejections, rollbackPayload } from '../codec/dispose.js'
import { encodeArguments, encodeValue } from '../codec/encode.js'
import { loansOf } from '../codec/lend.js'
import { markConfidential } from '../codec/peer-errors.js'
import type { EncodedReference, Payload } from '../codec/types.js'
import {
  CallRejection,
  markMayHaveRun,
  NetrefError,
  ProtocolError,
  type Reason,
  type RejectionCode,
  ReleasedError,
  rejectionError,
  SessionEndedError,
  UnsendableError
} from '../errors.js'
import type { OutboundChannel } from '../protocol/channel.js'
import { formatPath } from '../protocol/format.js'
import {
  formatCancel,
  formatOperation,
  formatPing,
  formatRetry,
  formatTraced,
  Op,
  type OperationCode,
  type Reply
} from '../protocol/messages.js'
import type { MemberPath } from '../protocol/path.js'
import { type CallOptions, watchCancellation } from '../remote/call-options.js'
import { PendingResult, type RetryPayload } from '../remote/pending-result.js'
import { Reference, type RequestBase, type Requester } from '../remote/proxy.js'
import type { References } from '../remote/references.js'
import { clock } from '../util/clock.js'
import { ContextSnapshot } from '../util/contexts.js'
import { LazyMap } from '../util/lazy-map.js'
import { CallObserver } from './diagnostics.js'
import { InFlight } from './pending-calls.js'
import { EMPTY_PAYLOAD, READ_ONLY_OPS, retryPayloadOf, withIdempotencyKey } from './retry.js'
import { tracing } from './tracing.js'

const LENT_MESSAGE = 'was lent for a call that is over: pass it without Netref.lend to keep it'

export class Caller {
  readonly #pendingCalls = new InFlight<PendingResult>()
  /** Calls that are not waited for any more: their answers come all the same. */
  readonly #abandonedCalls = new LazyMap<number, true>()
  /** References that were lent for calls that are not over. */
  readonly #loans = new LazyMap<number, readonly number[]>()
  /** The number of our last call. */
  #lastCallId = 0
  #oneWayCount = 0
  #endReason: Reason | undefined
  /** How many frames had left then. */
  #framesSentAtEnd = 0
  readonly #observer: CallObserver

  constructor(
    private readonly session: Requester,
    private readonly references: References,
    private readonly channel: OutboundChannel,
    /** Told of a value that came as the answer to a call with options. */
    private readonly adopt: (value: unknown, options: CallOptions) => void,
    /** Whether calls may have to be made again, in another session. */
    private readonly mayRetry: boolean
  ) {
    this.#observer = new CallObserver(session, 'out')
  }

  /** Calls made so far, pings included. */
  get callCount(): number {
    return this.#lastCallId + this.#oneWayCount
  }

  /** Calls that wait for their answer. */
  get pendingCount(): number {
    return this.#pendingCalls.size + this.#abandonedCalls.size
  }

  /** Sends one operation. Never throws: what goes wrong rejects the result. */
  request(
    op: OperationCode,
    base: RequestBase,
    path: MemberPath,
    operand: unknown,
    options?: CallOptions
  ): PendingResult {
    const result = new PendingResult(this.session, op, base, path, operand, options)
    if (options?.signal?.aborted) {
      ignoreRejections(operand)
      markMayHaveRun(options.signal.reason, false)
      result.reject(options.signal.reason, false)
      return result
    }
    let payload: Payload | undefined
    try {
      if (this.#endReason) throw new SessionEndedError(this.#endReason)
      if (base instanceof Reference && base.released)
        throw new ReleasedError(
          'released',
          `${base.label} ${base.lentCount > 0 ? LENT_MESSAGE : 'was released'}`
        )
      payload = this.#encodeOperand(op, operand)
      // An accessor of a user's may have ended the session in the midst.
      if (this.#endReason) throw new SessionEndedError(this.#endReason)
      const context = payload && payload.references.length > 0 ? new ContextSnapshot() : undefined
      if (context) this.references.setContext(context, payload!.references)
      const target = base instanceof Reference ? base.id : -base.id
      const id = op === Op.oneway ? 0 : this.#lastCallId + 1
      const span = tracing?.currentTraceparent()
      const plain = formatOperation(op, id, target, path, payload?.json)
      let message = span === undefined ? plain : formatTraced(span, plain)
      if (options?.idempotencyKey !== undefined && base instanceof Reference)
        message = withIdempotencyKey(result, message, payload)
      if (op === Op.oneway) this.#sendOneWay(result, message, payload!.bytes)
      else this.#send(result, message, payload)
      const { lastMessageIndex } = this.channel
      if (this.mayRetry && id > 0)
        result.payload = context ? { ...payload!, context } : (payload ?? EMPTY_PAYLOAD)
      if (this.#observer.enabled) this.#observer.onCall(id, op, base.label + formatPath(path), operand)
      // Who was told of it may have ended the session.
      if (options && result.sentRequest && !this.#endReason)
        this.#watch(result, options, lastMessageIndex, payload?.references)
    } catch (error) {
      if (payload) rollbackPayload(payload, this.references)
      else ignoreRejections(operand)
      const ours = error instanceof UnsendableError || error instanceof NetrefError
      if (ours) markConfidential(error, this.references).message = `${result.label}: ${error.message}`
      result.reject(error, ours)
    }
    return result
  }

  #encodeOperand(op: OperationCode, operand: unknown): Payload | undefined {
    switch (op) {
      case Op.call:
      case Op.construct:
      case Op.oneway:
        return encodeArguments(operand as unknown[], this.references)
      case Op.set:
      case Op.streamCall:
        return encodeValue(operand, 'value', this.references)
      default:
        return undefined
    }
  }

  /** Undefined for what cannot be sent any more, as bytes that have moved. */
  #encodeOperandAgain(op: OperationCode, operand: unknown): Payload | undefined {
    try {
      return this.#encodeOperand(op, operand)
    } catch {
      return undefined
    }
  }

  #sendOneWay(result: PendingResult, message: string, bytes: readonly Uint8Array[]): void {
    result.frameNumber = this.channel.sendCall(message, bytes)
    this.#oneWayCount++
    // Until it has left, one with a signal may be given up.
    const room = this.channel.whenWritable() ?? (result.options?.signal && this.channel.whenSent())
    if (!room) result.fulfill(undefined)
    else
      void room.then(() => {
        if (!result.sentRequest) return
        result.watched?.stopWatching()
        if (this.#endReason) result.reject(this.#sessionEndedError(result, this.#endReason), true)
        else result.fulfill(undefined)
      })
  }

  #watch(
    result: PendingResult,
    options: CallOptions,
    place: number,
    given: readonly EncodedReference[] = [],
    until = clock.now() + (options.timeout ?? Number.POSITIVE_INFINITY)
  ): void {
    const stop = watchCancellation(
      options,
      () => result.label,
      reason => this.#abandon(result, reason),
      this.references,
      Math.max(0, until - clock.now())
    )
    result.watched = {
      options,
      stopWatching: stop,
      messageIndex: place,
      deadline: until,
      references: given,
      dependents: []
    }
    const { base } = result.sentRequest!
    if (base instanceof PendingResult && !this.channel.isFrameSent(base.frameNumber))
      base.watched?.dependents.push(result)
    // An accessor of a user's may have aborted it in the midst.
    if (options.signal?.aborted) this.#abandon(result, options.signal.reason)
  }

  /** Whether a call had left this side when the session ended, or one before it. */
  #wasSent({ frameNumber, payload }: PendingResult): boolean {
    return frameNumber <= this.#framesSentAtEnd || payload?.mayHaveRun === true
  }

  #sessionEndedError(result: PendingResult, reason: Reason): SessionEndedError {
    return new SessionEndedError(reason, result.label, this.#wasSent(result))
  }

  /** The call waits for its answer no more. */
  #forget(id: number, result?: PendingResult): void {
    result?.watched?.stopWatching()
    if (!this.#pendingCalls.delete(id)) this.#abandonedCalls.delete(id)
    this.#returnLoans(id)
  }

  /** Waits no more for an answer. A call that has left is given up at its home; one that has not is withdrawn. */
  #abandon(result: PendingResult, reason: unknown): void {
    const left = this.channel.isFrameSent(result.frameNumber)
    markMayHaveRun(reason, left || result.payload?.mayHaveRun === true)
    const late = reason instanceof DOMException && reason.name === 'TimeoutError'
    const over = (left ? [result] : this.#withdraw(result)).map(one => [one, one.watched!] as const)
    for (const [one, { stopWatching }] of over) {
      stopWatching()
      if (one.id > 0) {
        this.#pendingCalls.delete(one.id)
        this.#abandonedCalls.set(one.id, true)
      }
      one.reject(reason, late)
    }
    // Who is told of it, and what is given back, may end the session.
    for (const [{ id }, { references }] of over) {
      this.#observer.onReply(id, false, reason)
      if (left) this.#returnLoans(id)
      else {
        this.#loans.delete(id)
        rollbackPayload({ references, lent: true }, this.references)
      }
    }
    if (left && result.id > 0) this.#sendCancel(result.id, reason)
  }

  /** A call does not leave, nor does what builds on it. @returns all of these */
  #withdraw(result: PendingResult): PendingResult[] {
    const all = [result]
    for (const { id, frameNumber, watched } of all) {
      // The peer counts calls.
      this.channel.withdraw(frameNumber, watched!.messageIndex, id > 0 ? formatPing(id) : undefined)
      all.push(...watched!.dependents.filter(({ sentRequest }) => sentRequest))
    }
    return all
  }

  #sendCancel(id: number, reason: unknown): void {
    let payload: Payload | undefined
    try {
      payload = encodeValue(reason, 'reason', this.references)
      // An accessor of the reason's may have ended the session in the midst.
      if (!this.#endReason) this.channel.send(formatCancel(id, payload.json), payload.bytes)
    } catch {
      // A reason that cannot travel is told as none.
      if (payload) rollbackPayload(payload, this.references)
      if (!this.#endReason) this.channel.send(formatCancel(id), [])
    }
  }

  /** Asks for a sign of life. @throws SessionEndedError */
  async ping(root: Reference): Promise<void> {
    if (this.#endReason) throw new SessionEndedError(this.#endReason, 'ping()')
    const result = new PendingResult(this.session, Op.get, root, 'ping()', undefined)
    this.#send(result, formatPing(this.#lastCallId + 1), undefined)
    await result.settled()
  }

  #send(result: PendingResult, message: string, payload: RetryPayload | undefined): void {
    result.frameNumber = this.channel.sendCall(message, payload?.bytes ?? [])
    result.id = ++this.#lastCallId
    this.#pendingCalls.add(result)
    const loans = payload && loansOf(payload.references)
    if (loans) this.#loans.set(result.id, loans)
  }

  /** What was lent for a call comes back. */
  #returnLoans(id: number): void {
    if (this.#loans.size === 0) return
    this.references.endLoans(this.#loans.get(id) ?? [])
    this.#loans.delete(id)
  }

  /** The peer answered. @throws ProtocolError for a reply to a call that does not wait for one, or none at all */
  settle([op, id, json, groups]: Reply, bytes: readonly Uint8Array[]): void {
    const result = this.#requirePending(id)
    if (!result) {
      discardReferences(json, groups, this.references)
      return void this.#forget(id)
    }
    let value: unknown
    try {
      value = decode(json, groups, bytes, this.references)
    } catch (error) {
      if (!(error instanceof CallRejection)) throw error
      return this.settleRejected(id, error.code, error.message)
    } finally {
      this.references.takeReceived()?.releaseOutcomes()
    }
    this.#forget(id, result)
    if (result.watched) this.adopt(value, result.watched.options)
    if (op === Op.result) result.fulfill(value)
    else result.reject(value, true)
    this.#observer.onReply(id, op === Op.result, value)
  }

  /** The peer refused. @throws ProtocolError for a reply to a call that does not wait for one */
  settleRejected(id: number, code: RejectionCode, text: string): void {
    const result = this.#requirePending(id)
    this.#forget(id, result)
    if (!result) return
    const error = markConfidential(rejectionError(code, result.label, text), this.references)
    result.reject(error, true)
    this.#observer.onReply(id, false, error)
  }

  /** The call waits until its reply is read: a reply that is none ends the session, and the call with it. */
  #requirePending(id: number): PendingResult | undefined {
    const result = this.#pendingCalls.get(id)
    if (!result && !this.#abandonedCalls.has(id))
      throw new ProtocolError(`a reply to call ${id}, which does not wait for one`)
    return result
  }

  /**
   * Makes a call again that waited for its answer in a session that has ended.
   *
   * @returns whether it can: it was asked of the root, and all it was given can be given again
   */
  retry(result: PendingResult, mayHaveRun: boolean): boolean {
    const payload = retryPayloadOf(result)
    if (!payload) return false
    const { watched } = result
    const { op, path, operand, options } = result.sentRequest!
    // What was given by value is what it was then; what was given by reference has other numbers now.
    const boxed =
      payload.references.length + payload.bytes.length > 0 ? this.#encodeOperandAgain(op, operand) : payload
    if (!boxed) return false
    const again = mayHaveRun && !READ_ONLY_OPS.has(op)
    const message = formatOperation(op, this.#lastCallId + 1, 0, path, boxed.json)
    const flagged = again ? formatRetry(message) : message
    const sent = options?.idempotencyKey === undefined ? flagged : withIdempotencyKey(result, flagged, boxed)
    try {
      this.#send(result, sent, boxed)
    } catch {
      // It is larger than what the other side is known to take.
      rollbackPayload(boxed, this.references)
      return false
    }
    const { context } = payload
    if (context) this.references.setContext(context, boxed.references)
    result.session = this.session
    result.payload = { ...boxed, ...(context && { context }), mayHaveRun }
    if (watched)
      this.#watch(result, watched.options, this.channel.lastMessageIndex, boxed.references, watched.deadline)
    return true
  }

  /**
   * The session has ended when so many frames had left: every call that waits rejects, and so does every later one,
   * but for those that a successor makes again.
   */
  end(reason: Reason, framesSent: number, successor?: Caller): void {
    this.#endReason = reason
    this.#framesSentAtEnd = framesSent
    const waiting = this.#pendingCalls.clear()
    this.#abandonedCalls.clear()
    for (const { watched } of waiting) watched?.stopWatching()
    this.#loans.clear()
    for (const result of waiting) {
      if (successor?.retry(result, this.#wasSent(result))) continue
      const error = this.#sessionEndedError(result, reason)
      result.reject(error, true)
      this.#observer.onReply(result.id, false, error)
    }
  }
}
