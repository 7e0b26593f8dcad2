// Runs the operations of the peer in the order they came, and has them answered.

import type { CallTarget, ExposureSettings } from '../access/access-control.js'
import { beforeStreamOperationOf, withBeforeHook } from '../access/before-hook.js'
import {
  type CallScope,
  isStartingCall,
  NO_CALL_ID,
  type ReportingSession,
  runInCall
} from '../access/call-context.js'
import { rejectionKind } from '../access/hook-result.js'
import { type OperationResult, operate } from '../access/operations.js'
import type { IncompleteValue } from '../codec/decode.js'
import { grantOf } from '../codec/grants.js'
import { CallRejection, ProtocolError, type Reason, SessionEndedError } from '../errors.js'
import type { OutboundChannel } from '../protocol/channel.js'
import { formatPath, formatTarget } from '../protocol/format.js'
import type { Limits } from '../protocol/limits.js'
import { type Cancel, Op, type Operation } from '../protocol/messages.js'
import { toMemberName } from '../protocol/path.js'
import type { References } from '../remote/references.js'
import { NOT_A_STREAM } from '../remote/streams/types.js'
import type { ExportEntry } from '../remote/tables.js'
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
import { type CountCopy, NamedAnswers } from './named-answers.js'
import type { Settings } from './options.js'
import { Replies } from './replies.js'
import { tracing } from './tracing.js'

const NO_VALUE: OperationResult = { value: undefined }
/** Replaces arguments that are not complete yet. */
const NO_ARGS: readonly unknown[] = []
const ALL_SETTLED: Answer = { ok: true, value: undefined }

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
  /** Performs operations on objects of this side, preceded by the `before` hook. */
  readonly operate: typeof operate
  readonly #observer: CallObserver
  #weakRef: WeakRef<Callee> | undefined
  #isEnded = false

  constructor(
    readonly session: ReportingSession,
    private readonly references: References,
    channel: OutboundChannel,
    readonly exposure: ExposureSettings,
    private readonly limits: Limits,
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
    this.operate = withBeforeHook(operate, session, exposure)
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

  /** Whether a call of the peer is under way: its handler starts, or has not settled. */
  get isBusy(): boolean {
    return this.calls.pendingCount > 0 || isStartingCall(this)
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
      this.#observer.onCall(
        id,
        op,
        formatTarget(target) + formatPath(path),
        request.incomplete ? NO_ARGS : request.operand
      )
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
    let answer = answers.settledAnswer(targetId)
    const named = request.incomplete && this.#namedBy(request, request.incomplete)
    if (answer && !named?.isWaiting) return this.#callOnSettled(request, answer, named, false)
    if (id > 0) answers.addPending(id)
    this.deferred.add(
      id,
      answer => this.#callOnSettled(request, answer, named, true),
      listener => {
        named?.onSettled(() => answer && listener(answer))
        if (answer) return
        answers.whenAnswered(targetId, found => {
          answer = found
          if (!named?.isWaiting) listener(found)
        })
      }
    )
  }

  #callOnSettled(
    request: CallRequest,
    answer: Answer,
    named: NamedAnswers | undefined,
    isPending: boolean
  ): void {
    const { id, decodeError, received } = request
    if (decodeError !== undefined) return this.#replies.fail(id, decodeError)
    if (!answer.ok) return this.#replies.fail(id, answer.error)
    const complete = named ? this.#complete(request, named) : request
    if (!complete) return
    const { value, self } = answer
    this.#execute(
      request,
      () => this.#perform(complete, value, { self, cancellable: true, received }),
      isPending
    )
  }

  /**
   * The answers of this side that a value of the peer names.
   *
   * @param callId number of the call that it is an argument of
   * @throws ProtocolError for a call that was not made before
   */
  nameAnswers(incomplete: IncompleteValue, countCopy: CountCopy, callId = 0): NamedAnswers {
    const wrong = incomplete.answerIds.find(id => id > this.calls.lastId || id === callId)
    if (wrong !== undefined)
      throw new ProtocolError(`a name of the result of call ${wrong}, which was not made`)
    return new NamedAnswers(incomplete, this.calls.answers, this.references, this.limits, countCopy)
  }

  /** The answers that the arguments of a call name. The call holds their copies until it is settled. */
  #namedBy({ id }: CallRequest, incomplete: IncompleteValue): NamedAnswers {
    const countCopy = (bytes: number) => {
      const rejection = this.#callLimits.checkHeldBytes()
      if (rejection) throw rejection
      this.calls.holdCopy(id, bytes)
    }
    return this.nameAnswers(incomplete, countCopy, id)
  }

  /** The call with complete arguments. If they cannot be completed, the call fails, and the result is undefined. */
  #complete(request: CallRequest, named: NamedAnswers): CallRequest | undefined {
    const outcome = named.outcome()
    if (outcome.ok) return { ...request, operand: outcome.value }
    this.#replies.fail(request.id, outcome.error)
    return undefined
  }

  #callOnExport(request: CallRequest): void {
    const { id, op, targetId, incomplete } = request
    const { exports, streams } = this.references
    const entry = exports.get(targetId)
    if (request.decodeError !== undefined) return this.#replies.fail(id, request.decodeError)
    if (!entry) return this.#replies.fail(id, new CallRejection('released', `#${targetId} was released`))
    // Decided before the call waits: the peer may release the stream meanwhile.
    if (op !== Op.streamCall && streams?.hasLocal(targetId) && !grantOf(entry.object))
      return this.#replies.fail(
        id,
        new CallRejection('not-exposed', `#${targetId} is a stream, and has no members`)
      )
    if (!incomplete) return this.#callOnEntry(request, entry, false)
    const named = this.#namedBy(request, incomplete)
    const start = (isPending: boolean) => {
      const complete = this.#complete(request, named)
      if (complete) this.#callOnEntry(complete, entry, isPending)
    }
    if (!named.isWaiting) return start(false)
    if (id > 0) this.calls.answers.addPending(id)
    this.deferred.add(
      id,
      () => start(true),
      listener => named.onSettled(() => listener(ALL_SETTLED))
    )
  }

  #callOnEntry(request: CallRequest, { object, self, context }: ExportEntry, isPending: boolean): void {
    const { op, target, retry, received } = request
    if (op === Op.streamCall)
      return this.#execute(request, () => this.#callStream(request, object), isPending, context)
    if (request.idempotencyKey !== undefined && this.idempotentCalls)
      return this.#callOnce(request, request.idempotencyKey, object, this.idempotentCalls, isPending)
    const origin = { self, isRoot: target === 'root', byReference: true, cancellable: true, retry, received }
    this.#executeWhenReady(request, () => this.#perform(request, object, origin), isPending, context)
  }

  #callStream({ targetId, path, operand, received }: CallRequest, object: object): OperationResult {
    const { streams } = this.references
    if (!streams) throw new CallRejection('not-exposed', NOT_A_STREAM)
    return { value: streams.call(targetId, object, path[0] as string, operand, received) }
  }

  #callOnce(
    request: CallRequest,
    key: string,
    object: object,
    idempotentCalls: IdempotentCalls,
    isPending: boolean
  ): void {
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
    const perform = () => ({
      value: idempotentCalls.runOnce(key, operation, run, replaceError).catch(error => {
        throw new ReplacedError(error)
      })
    })
    this.#executeWhenReady(request, perform, isPending)
  }

  #perform({ op, path, operand }: CallRequest, value: unknown, origin: CallTarget): OperationResult {
    return this.operate(op, value, path.map(toMemberName), operand, this.exposure, origin)
  }

  /** Operations on the root wait until the service is ready. */
  #executeWhenReady(
    request: CallRequest,
    perform: () => OperationResult,
    isPending: boolean,
    context?: ContextSnapshot
  ): void {
    const { id, target } = request
    if (target !== 'root' || this.deferred.isServiceReady)
      return this.#execute(request, perform, isPending, context)
    if (!isPending && id > 0) this.calls.answers.addPending(id)
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
