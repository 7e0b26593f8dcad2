// Calls in: a peer's operations are carried out in the order they came, and answered.

import type { ExposureSettings } from '../access/access-control.js'
import { NO_CALL_ID, type ReportingSession, runInCall } from '../access/call-context.js'
import { rejectionKind } from '../access/decision.js'
import { type OperationResult, operate } from '../access/operations.js'
import { beforeStreamOperationOf, withBeforeHook } from '../access/policy.js'
import { decode, isReferenceTag } from '../codec/decode.js'
import { ignoreRejections, rollbackPayload } from '../codec/dispose.js'
import { encodeValue } from '../codec/encode.js'
import { grantOf } from '../codec/grants.js'
import type { Payload } from '../codec/types.js'
import { estimateAnnotations, HeldBytes, MIN_TRACKED_BYTES } from '../codec/weight.js'
import {
  CallRejection,
  materializeStacks,
  ProtocolError,
  type Reason,
  rejectionError,
  toCallRejection
} from '../errors.js'
import type { OutboundChannel } from '../protocol/channel.js'
import { formatPath, formatTarget } from '../protocol/format.js'
import { type Limits, MAX_BUFFERED_FACTOR } from '../protocol/limits.js'
import {
  type Annotations,
  type Cancel,
  formatRejection,
  formatReply,
  Op,
  type Operation,
  type TargetId
} from '../protocol/messages.js'
import { type MemberPath, pathKeys, toMemberName } from '../protocol/path.js'
import type { ReceivedReferences } from '../remote/received-references.js'
import type { References } from '../remote/references.js'
import { type ContextSnapshot, runIsolated } from '../util/contexts.js'
import { LazyMap } from '../util/lazy-map.js'
import { OrderedTasks } from '../util/ordered-tasks.js'
import { isThenable } from '../util/promises.js'
import { createRateLimiter, type RateLimiter } from '../util/rate-limiter.js'
import { type Answer, AnswerTable } from './answers.js'
import { CallSignals } from './call-signals.js'
import { CallObserver } from './diagnostics.js'
import type { IdempotentCalls } from './idempotency.js'
import type { Settings } from './options.js'
import { tracing } from './tracing.js'

const SERVICE_READY: Answer = { ok: true, value: undefined }

export class Callee {
  /** The peer's calls with a key, where they mean something. */
  idempotentCalls: IdempotentCalls | undefined
  readonly answers: AnswerTable
  /** What the message weighs that is being acted on, if one is: the switchboard sets it. */
  messageBytes!: () => number
  /** The number of the peer's last call. */
  #lastCallId = 0
  #ended = false
  /** Calls whose turn it is, as what they waited for has settled. */
  readonly #readyCalls = new OrderedTasks()
  /** How many calls came that wait: for an answer that they build on, or for the service. */
  #lastDeferredOrder = 0
  /** What those of them do that still wait. */
  readonly #deferredCalls = new LazyMap<number, (answer: Answer) => void>()
  readonly #heldBytes = new HeldBytes()
  /** Calls under way that nobody waits for: of what. */
  readonly #oneWayCalls = new LazyMap<number, readonly [TargetId, MemberPath]>()
  #lastOneWayId = 0
  /** Those that wait for the service, where it is not ready. */
  #callsAwaitingService: (() => void)[] | undefined
  readonly #signals = new CallSignals()
  readonly #rateLimiter: RateLimiter | undefined
  readonly #operate: typeof operate
  #weakRef: WeakRef<Callee> | undefined
  readonly #observer: CallObserver

  constructor(
    readonly session: ReportingSession,
    private readonly references: References,
    private readonly channel: OutboundChannel,
    private readonly exposure: ExposureSettings,
    private readonly limits: Limits,
    /** Told of failures and refusals of calls that nobody waits for. */
    private readonly reporting: Pick<Settings, 'onError' | 'rejections'>
  ) {
    this.answers = new AnswerTable(limits.bufferedBytes)
    this.#operate = withBeforeHook(operate, session, exposure)
    references.streams.runBeforeHook = beforeStreamOperationOf(session, exposure)
    references.streams.runProducer = run => runInCall(this, NO_CALL_ID, run)
    this.#rateLimiter = createRateLimiter(limits.callsPerSecond)
    this.#observer = new CallObserver(session, 'in')
  }

  /** Calls of the peer's so far, pings included. */
  get callCount(): number {
    return this.#lastCallId - this.#lastOneWayId
  }

  /** About what is held for calls of the peer's that are under way, in bytes. */
  get heldBytes(): number {
    return this.#heldBytes.total
  }

  /** Whether calls go on in a later turn of the event loop: until then no other one may start. */
  get deferred(): boolean {
    return this.#readyCalls.deferred
  }

  /** Counts a call of the peer's. @throws ProtocolError when its number is not the next one */
  countCall(id: number): void {
    if (id !== ++this.#lastCallId) throw new ProtocolError(`call ${id} after call ${this.#lastCallId - 1}`)
  }

  /**
   * Acts on one operation, made in the span `parent`; `again` says that it may have been carried out
   * before, `key` under what name it is to be carried out once.
   *
   * @throws ProtocolError when it is not of the protocol
   */
  receive(
    message: Operation,
    bytes: readonly Uint8Array[],
    parent?: string,
    again = false,
    key?: string
  ): void {
    const [op, , target, path] = message
    const id = op === Op.oneway ? this.#addOneWayCall(target, path) : message[1]
    if (id > 0) this.countCall(id)
    this.#receive(id, message, bytes, parent, again, key)
    if (this.answers.isPending(id) || this.#oneWayCalls.has(id)) this.#holdBytes(id, message[5])
  }

  #holdBytes(id: number, groups: Annotations | undefined): void {
    this.#heldBytes.hold(id, this.messageBytes() + estimateAnnotations(groups))
  }

  #receive(
    id: number,
    message: Operation,
    bytes: readonly Uint8Array[],
    parent: string | undefined,
    again: boolean,
    key: string | undefined
  ): void {
    const [op, , target, path] = message
    const { streams, exports } = this.references
    const keys = pathKeys(path)
    // As it came: what is read of it takes its place.
    const asked =
      key !== undefined && this.idempotentCalls ? JSON.stringify([op, message[4], message[5]]) : ''
    let operand: unknown
    let refusal: unknown
    try {
      operand = decode(message[4], message[5], bytes, this.references)
    } catch (error) {
      if (error instanceof ProtocolError) throw error
      refusal = error
    }
    const delivery = this.references.takeReceived()
    this.#signals.addDelivery(id, delivery)
    const excess = this.#limitRejection(id, keys.length)
    if (excess) return this.fail(id, excess, false)
    if (this.#observer.enabled)
      this.#observer.onCall(id, op, formatTarget(target) + formatPath(path), operand)
    const names = keys.map(toMemberName)
    if (target < 0) {
      if (-target > this.#lastCallId || -target === id)
        throw new ProtocolError(`a call on the answer of call ${-target}, which was not made`)
      if (again) throw new ProtocolError('a call made again on an answer')
      const build = (answer: Answer, begun: boolean) => {
        if (refusal !== undefined) return this.fail(id, refusal)
        if (!answer.ok) return this.fail(id, answer.error)
        const { value, self } = answer
        const origin = { self, cancellable: true, received: delivery }
        const operation = () => this.#operate(op, value, names, operand, this.exposure, origin)
        this.#execute(id, operation, parent, begun)
      }
      const known = this.answers.settledAnswer(-target)
      if (known) return build(known, false)
      const later = (answer: Answer) => build(answer, true)
      return this.#defer(id, later, arrived => this.answers.use(-target, arrived))
    }
    const entry = exports.get(target)
    if (refusal !== undefined) this.fail(id, refusal)
    else if (!entry) this.fail(id, new CallRejection('released', `#${target} was released`))
    else if (op === Op.streamCall) {
      const { object, context } = entry
      const driven = () => ({ value: streams.call(target, object, path as string, operand, delivery) })
      this.#executeWhenReady(id, target, driven, parent, context)
    } else if (streams.hasLocal(target) && !grantOf(entry.object)) {
      this.fail(id, new CallRejection('not-exposed', `#${target} has a flow of its own, and no members`))
    } else if (key !== undefined && this.idempotentCalls) {
      if (bytes.length > 0 || message[5]?.some(([kind]) => isReferenceTag(kind)))
        return this.fail(id, new CallRejection('unreadable', 'a call with a key takes data only'))
      const { idempotentCalls } = this
      const run = (again: boolean) => {
        const origin = { isRoot: true, byReference: true, cancellable: true, retry: again }
        const started = () => this.#operate(op, entry.object, names, operand, this.exposure, origin)
        return this.#runInContext(id, started, parent).value
      }
      const once = () => ({
        value: idempotentCalls.runOnce(key, { path: keys, operationJson: asked, retry: again }, run)
      })
      this.#executeWhenReady(id, target, once, parent)
    } else {
      const { object, self, context } = entry
      const origin = {
        self,
        isRoot: target === 0,
        byReference: true,
        cancellable: true,
        retry: again,
        received: delivery
      }
      const operation = () => this.#operate(op, object, names, operand, this.exposure, origin)
      this.#executeWhenReady(id, target, operation, parent, context)
    }
  }

  /** What is asked of the root is carried out when the service is ready. */
  #executeWhenReady(
    id: number,
    target: TargetId,
    operation: () => OperationResult,
    parent: string | undefined,
    context?: ContextSnapshot
  ): void {
    const postponed = target === 0 ? this.#callsAwaitingService : undefined
    if (!postponed) return this.#execute(id, operation, parent, false, context)
    const later = () => this.#execute(id, operation, parent, true)
    this.#defer(id, later, arrived => postponed.push(() => arrived(SERVICE_READY)))
  }

  /** The call is carried out when `ask` is told so, in the order in which calls came, unless it is given up by then. */
  #defer(
    id: number,
    carryOut: (answer: Answer) => void,
    ask: (arrived: (answer: Answer) => void) => void
  ): void {
    if (id > 0) this.answers.addPending(id)
    this.#deferredCalls.set(id, carryOut)
    const order = ++this.#lastDeferredOrder
    ask(answer =>
      this.#readyCalls.add(order, () => {
        const wanted = this.#deferredCalls.get(id)
        this.#deferredCalls.delete(id)
        if (wanted) runIsolated(() => wanted(answer))
        else this.fail(id, new DOMException('it was given up', 'AbortError'))
      })
    )
  }

  /** What is asked of the root waits from now on, as the service is not ready. @returns what lets it run */
  deferRootCalls(): () => void {
    const postponed: (() => void)[] = []
    this.#callsAwaitingService = postponed
    return () => {
      this.#callsAwaitingService = undefined
      for (const arrived of postponed) arrived()
      this.#readyCalls.runAll()
    }
  }

  /** A call without an answer has a number of its own, below zero. */
  #addOneWayCall(target: TargetId, path: MemberPath): number {
    const id = --this.#lastOneWayId
    this.#oneWayCalls.set(id, [target, path])
    return id
  }

  #oneWayLabel(oneWay: number): string {
    const [target, path] = this.#oneWayCalls.get(oneWay)!
    return `${formatTarget(target)}${formatPath(path)}()`
  }

  /**
   * The caller waits no longer.
   *
   * @returns whether somebody has the reason
   * @throws ProtocolError for a call that was not made
   */
  cancel([, id, , groups]: Cancel, reason: unknown, byReference: boolean): boolean {
    if (id > this.#lastCallId) throw new ProtocolError(`the end of call ${id}, which was not made`)
    if (this.#deferredCalls.delete(id)) {
      this.#finish(id)?.endCall()
      return false
    }
    if (!this.answers.isPending(id)) return false
    // A reason that is one too many is not kept.
    const kept = this.heldBytes <= MAX_BUFFERED_FACTOR * this.limits.bufferedBytes
    const told = this.#signals.abort(id, kept ? reason : undefined, byReference) && kept
    if (told) this.#holdBytes(id, groups)
    return told
  }

  get weakRef(): WeakRef<Callee> {
    this.#weakRef ??= new WeakRef(this)
    return this.#weakRef
  }

  /** A signal for a call that is under way. */
  signalOf(id: number): AbortSignal {
    return this.#signals.signalOf(id)
  }

  /** Whether the call was answered. With the session none is, though they end. */
  isSettled(id: number): boolean {
    return !(this.#ended || this.answers.isPending(id) || this.#oneWayCalls.has(id))
  }

  /** The call is over. @returns what came with it */
  #finish(id: number): ReceivedReferences | undefined {
    if (this.#heldBytes.total > 0) this.#heldBytes.release(id)
    return this.#signals.takeDelivery(id)
  }

  /** What a call is refused for that is one too many. */
  #limitRejection(id: number, steps: number): CallRejection | undefined {
    const { depth, pendingCalls, callsPerSecond, bufferedBytes } = this.limits
    if (steps > depth)
      return new CallRejection(
        'limit',
        `a path of more than ${depth} names (limits.depth): await what is half way`
      )
    const others = this.answers.size + this.#oneWayCalls.size - (id < 0 ? 1 : 0)
    if (others >= pendingCalls) {
      return new CallRejection(
        'limit',
        `${pendingCalls} calls are under way (limits.pendingCalls): wait for some of them`
      )
    }
    if (this.heldBytes > MAX_BUFFERED_FACTOR * bufferedBytes) {
      return new CallRejection(
        'limit',
        `calls under way were given more than ${MAX_BUFFERED_FACTOR * bufferedBytes} bytes (limits.bufferedBytes): wait for some of them`
      )
    }
    if (this.#rateLimiter?.tryAcquire() ?? true) return undefined
    return new CallRejection(
      'limit',
      `more than ${callsPerSecond} calls in a second (limits.callsPerSecond): call less often`
    )
  }

  #runInContext(
    id: number,
    operation: () => OperationResult,
    parent: string | undefined,
    context?: ContextSnapshot
  ): OperationResult {
    const start = () => runInCall(this, id, operation)
    /* c8 ignore next: where specs run, tracing is installed. */
    const traced = tracing ? () => tracing!.runInSpan(parent, start) : start
    return context ? context.runIsolated(traced) : traced()
  }

  /** Carries out an operation and answers it, now or when its promise settles. Never throws. */
  #execute(
    id: number,
    operation: () => OperationResult,
    parent: string | undefined,
    begun = false,
    context?: ContextSnapshot
  ): void {
    let outcome: OperationResult
    let later: Promise<unknown> | undefined
    try {
      outcome = this.#runInContext(id, operation, parent, context)
      if (isThenable(outcome.value)) later = Promise.resolve(outcome.value)
    } catch (error) {
      return this.fail(id, error)
    }
    if (!later) return this.reply(id, outcome)
    if (!begun && id > 0) this.answers.addPending(id)
    later.then(
      value => this.reply(id, { value }),
      error => this.fail(id, error)
    )
  }

  /** Answers with a value, and lets the calls run that wait for it. */
  reply(id: number, outcome: OperationResult): void {
    if (this.#ended) return this.references.dispose(outcome.value)
    const delivery = this.#finish(id)
    this.#sendResult(id, outcome)
    delivery?.endCall(id > 0)
  }

  #sendResult(id: number, { value, self }: OperationResult): void {
    if (id < 0) {
      this.references.dispose(value)
      this.#observer.onReply(id, true, value)
      return void this.#oneWayCalls.delete(id)
    }
    let frame: number
    let payload: Payload | undefined
    try {
      payload = value === undefined ? undefined : encodeValue(value, 'result', this.references, self)
      frame = this.#sendReply(formatReply(Op.result, id, payload?.json), payload)
    } catch (error) {
      return this.fail(id, toCallRejection(error) ?? error)
    }
    this.#observer.onReply(id, true, value)
    this.#settle(id, { ok: true, value, self }, frame, payload?.json)
  }

  /** Answers with an error, or with a refusal, which is kept for calls that build on the answer. Never throws. */
  fail(id: number, error: unknown, kept = true): void {
    if (this.#ended) return this.references.dispose(error)
    if (kept && (this.#heldBytes.ofCall(id) ?? this.messageBytes()) > MIN_TRACKED_BYTES)
      materializeStacks(error)
    const delivery = this.#finish(id)
    this.#sendError(id, error, kept)
    delivery?.endCall(id > 0)
  }

  #sendError(id: number, error: unknown, kept: boolean): void {
    if (id < 0) {
      ignoreRejections(error)
      this.#reportOneWay(error, this.#oneWayLabel(id))
      this.#observer.onReply(id, false, error)
      return void this.#oneWayCalls.delete(id)
    }
    let frame: number
    let payload: Payload | undefined
    if (error instanceof CallRejection)
      frame = this.channel.sendRequiredReply(formatRejection(id, error.code, error.message), [])
    else {
      try {
        payload = encodeValue(error, 'error', this.references)
        frame = this.#sendReply(formatReply(Op.error, id, payload.json), payload)
      } catch (failure) {
        const unsendable = new CallRejection('unsendable', 'it failed with what cannot be sent')
        return this.fail(id, toCallRejection(failure) ?? unsendable, kept)
      }
    }
    this.#observer.onReply(id, false, error)
    if (kept) this.#settle(id, { ok: false, error }, frame, payload?.json)
  }

  /** Tells of a one-way call that failed or was refused. */
  #reportOneWay(error: unknown, call: string): void {
    const { onError, rejections } = this.reporting
    const context = { session: this.session, call }
    const told = error instanceof CallRejection ? rejectionError(error.code, call, error.message) : error
    const kind = rejectionKind(error)
    if (kind === undefined) onError(told, context)
    else rejections.add(kind, told, context)
  }

  #sendReply(message: string, payload?: Payload): number {
    try {
      return this.channel.sendReply(message, payload?.bytes ?? [])
    } catch (error) {
      // A message without a payload always fits.
      rollbackPayload(payload!, this.references)
      throw error
    }
  }

  /** Calls that wait for an answer run once all of them are known. */
  #settle(id: number, answer: Answer, frame: number, json?: string): void {
    this.answers.settle(id, answer, frame, json)
    this.#readyCalls.runAll()
  }

  end(reason: Reason): void {
    this.#ended = true
    this.#observer.end()
    this.#readyCalls.clear()
    this.answers.clear()
    this.#deferredCalls.clear()
    this.#heldBytes.clear()
    this.#oneWayCalls.clear()
    this.#signals.end(reason)
  }
}
