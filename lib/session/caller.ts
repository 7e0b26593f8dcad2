// Sends the operations of this side, and settles their results with the replies.

import { markConfidential } from '../codec/confidential-errors.js'
import { decode, decodeWithAnswers, discardReferences, IncompleteValue } from '../codec/decode.js'
import { ignoreRejections, rollbackPayload } from '../codec/dispose.js'
import { loansOf } from '../codec/lend.js'
import type { Payload } from '../codec/types.js'
import {
  CallRejection,
  FailedAnswer,
  markMayHaveRun,
  NetrefError,
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
  formatOperation,
  formatPing,
  formatRetry,
  formatTraced,
  Op,
  type OperationCode,
  operationOf,
  type Reply
} from '../protocol/messages.js'
import type { MemberPath } from '../protocol/path.js'
import type { CallOptions } from '../remote/call-options.js'
import { PendingResult, type RetryPayload } from '../remote/pending-result.js'
import { Reference, type RequestBase, type Requester } from '../remote/proxy.js'
import type { References } from '../remote/references.js'
import { ContextSnapshot } from '../util/async-context.js'
import { CallCancellation } from './call-cancellation.js'
import { CallObserver } from './diagnostics.js'
import { isGivenBack } from './give-back.js'
import type { CountCopy, NamedAnswers } from './named-answers.js'
import { encodeOperand, tryEncodeOperand } from './operand.js'
import { PendingCalls } from './pending-calls.js'
import { canPassAgain, EMPTY_PAYLOAD, retryPayloadOf, withIdempotencyKey } from './retry.js'
import { tracing } from './tracing.js'

/** The calls of the peer. */
interface PeerCalls {
  /** Whether one is under way. */
  readonly isBusy: boolean
  /** @throws ProtocolError for a call that was not made */
  nameAnswers(incomplete: IncompleteValue, countCopy: CountCopy): NamedAnswers
}

export class Caller {
  /** The calls of the peer. The session sets it. */
  incomingCalls!: PeerCalls
  /** Why no further call may begin, unless a call of the peer needs it. The session sets it when both sides leave. */
  leavingFor: Reason | undefined
  readonly #calls = new PendingCalls()
  readonly #observer: CallObserver
  readonly #cancellation: CallCancellation
  #lastId = 0
  #oneWayCount = 0
  #endReason: Reason | undefined
  /** Frames sent when the session ended. */
  #framesSentAtEnd = 0

  constructor(
    private readonly session: Requester,
    private readonly references: References,
    private readonly channel: OutboundChannel,
    /** Applies the options of a call to the streams in its result. */
    private readonly applyOptions: (value: unknown, options: CallOptions) => void,
    /** Whether another session may make the calls again. */
    private readonly mayRetry: boolean,
    /** Default timeout in ms; Infinity for none. */
    timeoutMs: number
  ) {
    this.#observer = new CallObserver(session, 'out')
    this.#cancellation = new CallCancellation(this.#calls, references, channel, this.#observer, timeoutMs)
  }

  /** Calls so far, pings included. */
  get total(): number {
    return this.#lastId + this.#oneWayCount
  }

  /** Calls without a reply. */
  get pendingCount(): number {
    return this.#calls.size
  }

  /** Sends one operation. Never throws: errors reject the result. */
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
      this.#requireOpen()
      requireNotReleased(base)
      payload = encodeOperand(op, operand, this.references)
      // An accessor of user code may have ended the session.
      this.#requireOpen()
      this.#sendRequest(result, payload)
    } catch (error) {
      if (payload) rollbackPayload(payload, this.references)
      else ignoreRejections(operand)
      if (error instanceof FailedAnswer) {
        result.reject(error.error, error.lacksLocalStack)
        return result
      }
      const hasEnded = this.#reasonToRefuse !== undefined
      if ((hasEnded || error instanceof ReleasedError) && isGivenBack(result, hasEnded)) {
        result.fulfill(undefined)
        return result
      }
      const isOwn = error instanceof UnsendableError || error instanceof NetrefError
      if (isOwn) markConfidential(error, this.references).message = `${result.label}: ${error.message}`
      result.reject(error, isOwn)
    }
    return result
  }

  #requireOpen(call?: string): void {
    const reason = this.#reasonToRefuse
    if (reason) throw new SessionEndedError(reason, call)
  }

  get #reasonToRefuse(): Reason | undefined {
    return this.#endReason ?? (this.leavingFor && !this.incomingCalls.isBusy ? this.leavingFor : undefined)
  }

  #sendRequest(result: PendingResult, payload: Payload | undefined): void {
    const { op, base, path, operand, options } = result.sentRequest!
    const context = payload && payload.references.length > 0 ? new ContextSnapshot() : undefined
    if (context) this.references.setContext(context, payload!.references)
    const id = op === Op.oneway ? 0 : this.#lastId + 1
    const message = this.#format(result, id, payload)
    const isWithdrawable =
      options?.signal !== undefined || this.#cancellation.mayBeWithdrawn(base, payload?.references)
    if (op === Op.oneway) this.#sendOneWay(result, message, payload!.bytes, isWithdrawable)
    else this.#send(result, message, payload)
    const { lastMessageIndex } = this.channel
    if (this.mayRetry && id > 0)
      result.payload = context ? { ...payload!, context } : (payload ?? EMPTY_PAYLOAD)
    if (this.#observer.enabled) this.#observer.onCall(id, op, base.label + formatPath(path), operand)
    // A subscriber may have ended the session.
    const mustWatch = isWithdrawable || options !== undefined || this.#cancellation.hasDefaultTimeout
    if (mustWatch && result.sentRequest && !this.#endReason)
      this.#cancellation.watch(result, options ?? NO_OPTIONS, lastMessageIndex, payload?.references)
  }

  #format(result: PendingResult, id: number, payload: Payload | undefined): string {
    const { op, base, path, options } = result.sentRequest!
    const isOnReference = base instanceof Reference
    const operation = formatOperation(op, id, isOnReference ? base.id : -base.id, path, payload?.json)
    const traceparent = tracing?.currentTraceparent()
    const message = traceparent === undefined ? operation : formatTraced(traceparent, operation)
    const hasKey = options?.idempotencyKey !== undefined && isOnReference
    return hasKey ? withIdempotencyKey(result, message, payload) : message
  }

  #sendOneWay(
    result: PendingResult,
    message: string,
    bytes: readonly Uint8Array[],
    isWithdrawable: boolean
  ): void {
    result.frameNumber = this.channel.sendCall(message, bytes)
    this.#oneWayCount++
    // It may be withdrawn until it is sent.
    const sent = this.channel.whenWritable() ?? (isWithdrawable ? this.channel.whenSent() : undefined)
    if (!sent) result.fulfill(undefined)
    else
      void sent.then(() => {
        if (!result.sentRequest) return
        result.cancellable?.stopWatching()
        if (this.#endReason && !isGivenBack(result, true))
          result.reject(this.#sessionEndedError(result, this.#endReason), true)
        else result.fulfill(undefined)
      })
  }

  /** Whether a call was sent, in this session or one before it. */
  #wasSent({ frameNumber, payload }: PendingResult): boolean {
    return frameNumber <= this.#framesSentAtEnd || payload?.mayHaveRun === true
  }

  #sessionEndedError(result: PendingResult, reason: Reason): SessionEndedError {
    return new SessionEndedError(reason, result.label, this.#wasSent(result))
  }

  /** Resolves when the peer has answered. @throws SessionEndedError */
  async ping(root: Reference): Promise<void> {
    this.#requireOpen('ping()')
    const result = new PendingResult(this.session, Op.get, root, 'ping()', undefined)
    this.#send(result, formatPing(this.#lastId + 1), undefined)
    await result.settled()
  }

  #send(result: PendingResult, message: string, payload: RetryPayload | undefined): void {
    result.frameNumber = this.channel.sendCall(message, payload?.bytes ?? [])
    result.id = ++this.#lastId
    this.#calls.add(result, payload && loansOf(payload.references))
  }

  /** A reply has come. @throws ProtocolError if no call waits for it */
  settle([op, id, json, annotations]: Reply, bytes: readonly Uint8Array[]): void {
    // The call stays pending until its reply is decoded: an invalid one ends the session, and so rejects the call.
    const result = this.#calls.get(id)
    if (!result) {
      discardReferences(json, annotations, this.references)
      return this.#finish(id)
    }
    let value: unknown
    try {
      value =
        annotations && op === Op.result
          ? decodeWithAnswers(json, annotations, bytes, this.references)
          : decode(json, annotations, bytes, this.references)
    } catch (error) {
      if (!(error instanceof CallRejection)) throw error
      return this.settleRejected(id, error.code, error.message)
    } finally {
      this.references.takeReceived()?.releaseOutcomes()
    }
    if (annotations && value instanceof IncompleteValue) return this.#settleWhenAnswered(result, value)
    this.#finish(id, result)
    if (op === Op.result) return this.#fulfill(result, value)
    result.reject(value, true)
    this.#observer.onReply(id, false, value)
  }

  #fulfill(result: PendingResult, value: unknown): void {
    if (result.options) this.applyOptions(value, result.options)
    result.fulfill(value)
    this.#observer.onReply(result.id, true, value)
  }

  /** The result names answers of this side: the call settles when they are there. @throws ProtocolError */
  #settleWhenAnswered(result: PendingResult, incomplete: IncompleteValue): void {
    const { id } = result
    const named = this.incomingCalls.nameAnswers(incomplete, () => {})
    this.#calls.setReplied(result)
    this.#endLoans(id)
    const settle = () => {
      if (!this.#calls.deleteReplied(id)) return
      this.#cancellation.onReply()
      result.cancellable?.stopWatching()
      const outcome = named.outcome()
      if (outcome.ok) return this.#fulfill(result, outcome.value)
      const { error } = outcome
      if (error instanceof CallRejection) this.#rejectCall(result, error.code, error.message)
      else {
        result.reject(error, false)
        this.#observer.onReply(id, false, error)
      }
    }
    if (named.isWaiting) named.onSettled(settle)
    else settle()
  }

  /** A rejection has come. @throws ProtocolError if no call waits for it */
  settleRejected(id: number, code: RejectionCode, text: string): void {
    const result = this.#calls.get(id)
    this.#finish(id, result)
    if (result) this.#rejectCall(result, code, text)
  }

  #rejectCall(result: PendingResult, code: RejectionCode, text: string): void {
    const error = markConfidential(rejectionError(code, result.label, text), this.references)
    result.reject(error, true)
    this.#observer.onReply(result.id, false, error)
  }

  #finish(id: number, result?: PendingResult): void {
    result?.cancellable?.stopWatching()
    this.#calls.delete(id)
    this.#cancellation.onReply()
    this.#endLoans(id)
  }

  #endLoans(id: number): void {
    const loans = this.#calls.takeLoans(id)
    if (loans) this.references.endLoans(loans)
  }

  /**
   * Makes a call again that was pending in a session that has ended.
   *
   * @returns false for a call that cannot be made again: not on the root, or with an operand that cannot be sent again
   */
  retry(result: PendingResult, mayHaveRun: boolean): boolean {
    const previous = retryPayloadOf(result)
    if (!previous) return false
    const { cancellable } = result
    const { op, base, path, operand, options } = result.sentRequest!
    // Data is sent as it was. References and bytes are encoded again, since their numbers differ.
    const hasMore = previous.references.length + previous.bytes.length > 0
    const payload = hasMore ? tryEncodeOperand(op, operand, this.references) : previous
    if (!payload) return false
    if (!canPassAgain(payload)) {
      rollbackPayload(payload, this.references)
      return false
    }
    const operation = formatOperation(op, this.#lastId + 1, 0, path, payload.json)
    const message = mayHaveRun && operationOf(op).retry !== 'always' ? formatRetry(operation) : operation
    const hasKey = options?.idempotencyKey !== undefined
    try {
      this.#send(result, hasKey ? withIdempotencyKey(result, message, payload) : message, payload)
    } catch {
      // The message exceeds the limits of the peer.
      rollbackPayload(payload, this.references)
      return false
    }
    const { context } = previous
    if (context) this.references.setContext(context, payload.references)
    result.session = this.session
    result.payload = { ...payload, ...(context && { context }), mayHaveRun }
    const mayBeWithdrawn = this.#cancellation.mayBeWithdrawn(base, payload.references)
    if (cancellable || mayBeWithdrawn) {
      const { lastMessageIndex } = this.channel
      this.#cancellation.watch(
        result,
        options ?? NO_OPTIONS,
        lastMessageIndex,
        payload.references,
        cancellable?.deadline
      )
    }
    return true
  }

  /**
   * The session has ended. Pending calls are made again by the successor, or reject; later calls reject.
   *
   * @param framesSent frames sent so far
   */
  end(reason: Reason, framesSent: number, successor?: Caller): void {
    this.#endReason = reason
    this.#framesSentAtEnd = framesSent
    this.#cancellation.end()
    const pending = this.#calls.clear()
    for (const { cancellable } of pending) cancellable?.stopWatching()
    for (const result of pending) {
      if (isGivenBack(result, true)) {
        result.fulfill(undefined)
        this.#observer.onReply(result.id, true, undefined)
        continue
      }
      if (successor?.retry(result, this.#wasSent(result))) continue
      const error = this.#sessionEndedError(result, reason)
      result.reject(error, true)
      this.#observer.onReply(result.id, false, error)
    }
  }
}

const NO_OPTIONS: CallOptions = {}
const LENT_MESSAGE = 'was lent for a call that has ended: pass it without Netref.lend to keep it'

function requireNotReleased(base: RequestBase): void {
  if (base instanceof Reference && base.released)
    throw new ReleasedError('released', `${base.label} ${base.lentCount > 0 ? LENT_MESSAGE : 'was released'}`)
}
