// Runs the operations of the peer in the order they came, and has them answered.

import type { CallTarget, ExposureSettings } from '../access/access-control.js'
import { beforeStreamOperationOf, withBeforeHook } from '../access/before-hook.js'
import { type CallScope, NO_CALL_ID, type ReportingSession, runInCall } from '../access/call-context.js'
import { rejectionKind } from '../access/hook-result.js'
import { type OperationResult, operate } from '../access/operations.js'
import { grantOf } from '../codec/grants.js'
import { CallRejection, ProtocolError, type Reason, SessionEndedError } from '../errors.js'
import type { OutboundChannel } from '../protocol/channel.js'
import { formatPath, formatTarget } from '../protocol/format.js'
import type { Limits } from '../protocol/limits.js'
import { type Cancel, Op, type Operation } from '../protocol/messages.js'
import { toMemberName } from '../protocol/path.js'
import type { References } from '../remote/references.js'
import { NOT_A_STREAM } from '../remote/streams/types.js'
import type { ContextSnapshot } from '../util/async-context.js'
import { isThenable } from '../util/promises.js'
import type { Answer } from './answers.js'
import { CallErrors, type CallName } from './call-errors.js'
import { CallLimits } from './call-limits.js'
import { type CallModifiers, type CallRequest, decodeRequest } from './call-request.js'
import { DeferredCalls } from './deferred-calls.js'
import { CallObserver } from './diagnostics.js'
import type { IdempotentCalls } from './idempotency.js'
import { IncomingCalls } from './incoming-calls.js'
import type { Settings } from './options.js'
import { Replies } from './replies.js'
import { tracing } from './tracing.js'

const NO_VALUE: OperationResult = { value: undefined }

/** Thrown with an error that the hook has seen, and may have replaced. */
class ReplacedError {
  constructor(readonly error: unknown) {}
}

export class Callee implements CallScope {
  /** Runs calls with an idempotency key; undefined if keys have no effect. */
  idempotentCalls: IdempotentCalls | undefined
  /** The estimated bytes of the message that is being processed. The dispatcher sets it. */
  messageBytes!: () => number
  readonly calls: IncomingCalls
  readonly deferred: DeferredCalls
  readonly errors: CallErrors
  readonly #callLimits: CallLimits
  readonly #replies: Replies
  readonly #operate: typeof operate
  readonly #observer: CallObserver
  #weakRef: WeakRef<Callee> | undefined
  #isEnded = false

  constructor(
    readonly session: ReportingSession,
    private readonly references: References,
    channel: OutboundChannel,
    private readonly exposure: ExposureSettings,
    limits: Limits,
    settings: Pick<Settings, 'onError' | 'rejections' | 'onCallError'>
  ) {
    this.errors = new CallErrors(session, references, settings.onCallError)
    this.#observer = new CallObserver(session, 'in')
    this.calls = new IncomingCalls(limits.bufferedBytes, () => this.messageBytes())
    this.#callLimits = new CallLimits(limits, this.calls)
    this.deferred = new DeferredCalls(id =>
      this.#replies.fail(id, new DOMException('the call was cancelled', 'AbortError'))
    )
    this.#replies = new Replies(
      session,
      references,
      channel,
      this.calls,
      this.#observer,
      this.errors,
      settings,
      () => this.deferred.runReady()
    )
    this.#operate = withBeforeHook(operate, session, exposure)
    const { streams } = references
    if (!streams) return
    streams.runBeforeHook = beforeStreamOperationOf(session, exposure)
    streams.runProducer = run => runInCall(this, NO_CALL_ID, run)
    streams.replaceError = (id, error) => this.errors.replace(error, id)
  }

  get weakRef(): WeakRef<Callee> {
    this.#weakRef ??= new WeakRef(this)
    return this.#weakRef
  }

  signalOf(id: number): AbortSignal {
    return this.calls.signalOf(id)
  }

  isSettled(id: number): boolean {
    return this.calls.isSettled(id)
  }

  /** @throws ProtocolError if it is not the next number */
  ping(id: number): void {
    this.#replies.succeed(this.calls.add(id), NO_VALUE)
  }

  /** @throws ProtocolError for an operation that is not of the protocol */
  receive(message: Operation, bytes: readonly Uint8Array[], modifiers?: CallModifiers): void {
    const [op, number, target, path] = message
    const id = op === Op.oneway ? this.calls.addOneWay(target, path) : this.calls.add(number)
    const request = decodeRequest(id, message, bytes, this.references, modifiers)
    this.calls.keepReceived(id, request.received)
    const rejection = this.#callLimits.check(request)
    if (rejection) return this.#replies.fail(id, rejection, false)
    if (this.#observer.enabled)
      this.#observer.onCall(id, op, formatTarget(target) + formatPath(path), request.operand)
    if (request.target === 'answer') this.#callOnAnswer(request)
    else this.#callOnExport(request)
    if (this.calls.isPending(id)) this.calls.holdMessage(id, message[5])
  }

  #callOnAnswer(request: CallRequest): void {
    const { id, targetId } = request
    if (targetId > this.calls.lastId || targetId === id)
      throw new ProtocolError(`a call on the result of call ${targetId}, which was not made`)
    if (request.retry) throw new ProtocolError('a retry of a call on a result')
    const { answers } = this.calls
    const answer = answers.settledAnswer(targetId)
    if (answer) return this.#callOnSettled(request, answer, false)
    if (id > 0) answers.addPending(id)
    this.deferred.add(
      id,
      answer => this.#callOnSettled(request, answer, true),
      listener => answers.whenAnswered(targetId, listener)
    )
  }

  #callOnSettled(request: CallRequest, answer: Answer, isPending: boolean): void {
    const { id, decodeError, received } = request
    if (decodeError !== undefined) return this.#replies.fail(id, decodeError)
    if (!answer.ok) return this.#replies.fail(id, answer.error)
    const { value, self } = answer
    this.#execute(
      request,
      () => this.#perform(request, value, { self, cancellable: true, received }),
      isPending
    )
  }

  #callOnExport(request: CallRequest): void {
    const { id, op, target, targetId, retry, received } = request
    const { exports, streams } = this.references
    const entry = exports.get(targetId)
    if (request.decodeError !== undefined) return this.#replies.fail(id, request.decodeError)
    if (!entry) return this.#replies.fail(id, new CallRejection('released', `#${targetId} was released`))
    const { object, self, context } = entry
    if (op === Op.streamCall)
      return this.#execute(request, () => this.#callStream(request, object), false, context)
    if (streams?.hasLocal(targetId) && !grantOf(object))
      return this.#replies.fail(
        id,
        new CallRejection('not-exposed', `#${targetId} is a stream, and has no members`)
      )
    if (request.idempotencyKey !== undefined && this.idempotentCalls)
      return this.#callOnce(request, request.idempotencyKey, object, this.idempotentCalls)
    const origin = { self, isRoot: target === 'root', byReference: true, cancellable: true, retry, received }
    this.#executeWhenReady(request, () => this.#perform(request, object, origin), context)
  }

  #callStream({ targetId, path, operand, received }: CallRequest, object: object): OperationResult {
    const { streams } = this.references
    if (!streams) throw new CallRejection('not-exposed', NOT_A_STREAM)
    return { value: streams.call(targetId, object, path[0] as string, operand, received) }
  }

  #callOnce(request: CallRequest, key: string, object: object, idempotentCalls: IdempotentCalls): void {
    const { id, path, operationJson, isDataOnly, retry } = request
    if (!isDataOnly)
      return this.#replies.fail(
        id,
        new CallRejection('unreadable', 'a call with an idempotency key accepts only data as arguments')
      )
    const run = (retry: boolean) => {
      const origin = { isRoot: true, byReference: true, cancellable: true, retry }
      return this.#runInContext(request, () => this.#perform(request, object, origin)).value
    }
    // What is stored is what the caller is told.
    const replaceError = (error: unknown) =>
      this.#isHandlerFailure(id, error) ? this.errors.replace(error, request) : error
    const operation = { path, operationJson: operationJson!, retry }
    this.#executeWhenReady(request, () => ({
      value: idempotentCalls.runOnce(key, operation, run, replaceError).catch(error => {
        throw new ReplacedError(error)
      })
    }))
  }

  #perform({ op, path, operand }: CallRequest, value: unknown, origin: CallTarget): OperationResult {
    return this.#operate(op, value, path.map(toMemberName), operand, this.exposure, origin)
  }

  /** Operations on the root wait until the service is ready. */
  #executeWhenReady(request: CallRequest, perform: () => OperationResult, context?: ContextSnapshot): void {
    const { id, target } = request
    if (target !== 'root' || this.deferred.isServiceReady)
      return this.#execute(request, perform, false, context)
    if (id > 0) this.calls.answers.addPending(id)
    this.deferred.addUntilServiceReady(id, () => this.#execute(request, perform, true))
  }

  /** Performs an operation, and answers it now or when its promise settles. Never throws. */
  #execute(
    request: CallRequest,
    perform: () => OperationResult,
    isPending: boolean,
    context?: ContextSnapshot
  ): void {
    const { id } = request
    let result: OperationResult
    let promise: Promise<unknown> | undefined
    try {
      result = this.#runInContext(request, perform, context)
      if (isThenable(result.value)) promise = Promise.resolve(result.value)
    } catch (error) {
      return this.#fail(id, error, request)
    }
    if (!promise) return this.#replies.succeed(id, result, request)
    if (!isPending && id > 0) this.calls.answers.addPending(id)
    const name = this.errors.nameForLater(request)
    promise.then(
      value => this.#replies.succeed(id, { value }, name),
      error => this.#fail(id, error, name)
    )
  }

  #fail(id: number, error: unknown, name: CallName | undefined): void {
    if (error instanceof ReplacedError) this.#replies.fail(id, error.error)
    else this.#replies.fail(id, this.#isHandlerFailure(id, error) ? this.errors.replace(error, name) : error)
  }

  /** Whether the code of this side failed: the call was not rejected, and neither its caller nor the peer has gone. */
  #isHandlerFailure(id: number, error: unknown): boolean {
    if (rejectionKind(error) !== undefined || this.calls.isAbortReason(id, error)) return false
    return !(this.#isEnded && error instanceof SessionEndedError)
  }

  #runInContext(
    request: CallRequest,
    perform: () => OperationResult,
    context?: ContextSnapshot
  ): OperationResult {
    return context
      ? context.runIsolated(this.#runInSpan, request, perform)
      : this.#runInSpan(request, perform)
  }

  readonly #runInSpan = (
    { id, traceparent }: CallRequest,
    perform: () => OperationResult
  ): OperationResult =>
    /* c8 ignore next 3: tracing is installed where the specs run. */
    tracing
      ? tracing.runInSpan(traceparent, runInCall<OperationResult>, this, id, perform)
      : runInCall(this, id, perform)

  /**
   * The peer cancels a call.
   *
   * @returns whether the call's signal keeps the reason
   * @throws ProtocolError for a call that was not made
   */
  cancel([, id, , annotations]: Cancel, reason: unknown, hasReferences: boolean): boolean {
    const { calls } = this
    if (id > calls.lastId) throw new ProtocolError(`a cancellation of call ${id}, which was not made`)
    if (this.deferred.cancel(id)) {
      calls.finish(id)?.endCall()
      return false
    }
    if (!calls.answers.isPending(id)) return false
    const mayKeep = !this.#callLimits.isOverHeldBytes
    const isKept = calls.abort(id, mayKeep ? reason : undefined, hasReferences) && mayKeep
    if (isKept) calls.holdMessage(id, annotations)
    return isKept
  }

  end(reason: Reason): void {
    this.#isEnded = true
    this.#replies.end()
    this.#observer.end()
    this.deferred.clear()
    this.calls.end(reason)
  }
}
