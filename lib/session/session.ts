// One end of a session between two peers: its start, its public interface, and its end.
//
// The session processes and sends messages synchronously. Its link owns the sockets and their timers.

import type { ReportingSession } from '../access/call-context.js'
import { operate } from '../access/operations.js'
import { Service } from '../access/service.js'
import { markUnserializable } from '../codec/classify.js'
import {
  isCloseCode,
  LimitError,
  ProtocolError,
  printableReason,
  type Reason,
  SessionEndedError
} from '../errors.js'
import { Link, type LinkListener, type LinkSetup } from '../link/link.js'
import { type Frame, NO_BYTES } from '../protocol/frame.js'
import {
  formatHello,
  formatLeaving,
  type Hello,
  Op,
  type OperationCode,
  VERSION
} from '../protocol/messages.js'
import { type MemberPath, pathKeys, toMemberName } from '../protocol/path.js'
import type { CallOptions } from '../remote/call-options.js'
import { type PendingRequest, Reference, type RequestBase, type Requester } from '../remote/proxy.js'
import { References } from '../remote/references.js'
import type { Transport } from '../transport/transport.js'
import type { Netref } from '../types/netref.js'
import type {
  PeerInstance,
  Session,
  SessionCloseOptions,
  SessionEvents,
  SessionState,
  SessionStats,
  Tables
} from '../types/session.js'
import { checkOptions, type OptionTypes } from '../util/check-options.js'
import { clock, type Timer } from '../util/clock.js'
import { startDeadline } from '../util/deadline.js'
import { describeValue } from '../util/describe.js'
import { Emitter, runHook } from '../util/emitter.js'
import { Callee } from './callee.js'
import { Caller } from './caller.js'
import { closedChannel, interruptedChannel, resumedChannel, sessionChannel } from './diagnostics.js'
import { Dispatcher, type DispatchTarget } from './dispatcher.js'
import { CANCEL } from './give-back.js'
import type { IdempotentCallsFactory } from './idempotency.js'
import { SERVER_CLOSING, startLeaving } from './leaving.js'
import type { Settings } from './options.js'
import { statsOf, tablesOf } from './stats.js'

export interface SessionSetup extends Settings, LinkSetup {
  /** Whether this end sends its hello first. */
  readonly isInitiator: boolean
  /** Identity of the peer: the result of `authenticate`. */
  readonly identity?: unknown
  /** Name of the gateway whose client the peer is. */
  readonly gateway?: string | undefined
  /** Creates the idempotent calls. Undefined if idempotency keys have no effect. */
  readonly idempotentCallsFactory?: IdempotentCallsFactory | undefined
  /** The root of this end, if it is known before the peer sends its hello. */
  readonly sharedRoot?: object | undefined
  /** Creates the root of this end when the peer has sent its hello. */
  readonly createRoot: (session: Session) => object
  /** Called when the session has begun: both sides have sent their hello. */
  readonly onStarted?: ((session: SessionImpl) => void) | undefined
  /** Called when the session has ended, even if it had not begun, before the listeners of `closed`. */
  readonly onEnded?: ((session: SessionImpl, reason: Reason) => void) | undefined
  /** Returns the session that replaces one that ends, or is left, for this reason. It retries the calls of one that ended. */
  readonly successor?: ((reason: Reason) => SessionImpl | undefined) | undefined
}

const CLOSE_OPTIONS: OptionTypes<SessionCloseOptions> = { code: 'a string', message: 'a string' }

const invalidCode = (code: string) =>
  new TypeError(
    `close: the code ${describeValue(code)} is not one that an application may use; use "closed", "revoked", or up to 32 lower-case letters, digits and hyphens that are no code of netref`
  )

/** What a user reads if the server revokes the session without words of its own. */
const REVOKED_MESSAGE = 'please sign in again'

/** Names of the events of a session. */
export const SESSION_EVENTS = ['interrupted', 'resumed', 'leaving', 'closed', 'state'] as const

/**
 * One end of a session. Both ends are alike: either may call the other at any time. Its internal members serve its link
 * and the requests of its netrefs. They are not part of the public types.
 */
export class SessionImpl<Root extends object = object, Identity = unknown>
  implements Session<Root, Identity>, Requester, ReportingSession, LinkListener, DispatchTarget
{
  /** Resolves, with the reason, when the session has ended. It never rejects. */
  readonly closed: Promise<Reason>
  /** The root of the peer. */
  readonly root: Netref<Root>
  /** Identity of the peer: the result of `authenticate`. Undefined at a client, and if there is no `authenticate`. */
  readonly identity: Identity
  /** Name of the gateway whose client the peer is; undefined for any other peer. */
  readonly gateway: string | undefined
  readonly #rootRef: Reference
  /** @internal */
  readonly link: Link
  readonly #events: Emitter<SessionEvents>
  readonly #references: References
  readonly #caller: Caller
  /** @internal */
  readonly callee: Callee
  readonly #dispatcher: Dispatcher
  /** @internal Whether the peer knows `leaving`. */
  knowsLeaving = false
  /** Whether the server has announced that it goes away. */
  #isLeaving = false
  #leaveTimer: Timer | undefined
  /** Whether the service was notified of the session. `onDisconnect` is called only then. */
  #serviceConnected = false
  /** The root of this end; set when the peer has sent its hello. */
  #localRoot: object | undefined
  #endReason: Reason | undefined
  /** Whether a call that was made after the end has been reported. */
  #lateCallReported = false
  /** Whether this side closes the session. */
  #closing = false
  /** Resolves when `onClosing` may hold up the end no longer; undefined if it does not. */
  #closingHook: Promise<void> | undefined
  /** Whether it was called, so that no session may replace this one. */
  #closingHookCalled = false
  #resolveClosed!: (reason: Reason) => void

  /** @internal */
  constructor(
    transport: Transport,
    private readonly setup: SessionSetup
  ) {
    const { limits, exposeStacks, exposure } = setup
    const report = (error: unknown, call?: string) => this.report(error, call)
    const freeing = () => this.link.flushAtEndOfTick()
    this.closed = new Promise(resolve => {
      this.#resolveClosed = resolve
    })
    this.identity = setup.identity as Identity
    this.gateway = setup.gateway
    this.#rootRef = new Reference(this, 0, 'root', false)
    this.root = this.#rootRef.proxy as Netref<Root>
    this.#events = new Emitter(SESSION_EVENTS, report)
    this.link = new Link(transport, this, setup)
    this.#references = new References(this, exposeStacks, limits, this.#rootRef, freeing, report, this.link)
    if (setup.sharedRoot) this.#references.exports.root = setup.sharedRoot
    const adopt = (value: unknown, options: CallOptions) =>
      this.#references.streams?.applyOptions(value, options)
    this.#caller = new Caller(
      this,
      this.#references,
      this.link,
      adopt,
      setup.successor !== undefined,
      setup.timeout
    )
    this.callee = new Callee(this, this.#references, this.link, exposure, limits, setup)
    this.#caller.incomingCalls = this.callee
    this.#dispatcher = new Dispatcher(this, this.#references, this.#caller, this.callee, limits.values)
  }

  /**
   * @internal Starts the link, and sends the hello if this end is the initiator. It must be called once, before any other
   * code gets the session: until then, no user code runs.
   */
  start(): this {
    const { isInitiator, idempotentCallsFactory, limits, resumeStrategy } = this.setup
    this.callee.idempotentCalls = idempotentCallsFactory?.(this.identity, this.#references, error =>
      this.report(error)
    )
    if (isInitiator) this.link.send(formatHello(limits), NO_BYTES)
    if (resumeStrategy?.retriesFirstConnection) this.link.sender.sendHelloOnly()
    this.link.start()
    return this
  }

  get peer(): PeerInstance | undefined {
    return this.link.peer
  }

  /** State of the session: that of its link, but `connecting` until the peer has sent its hello. */
  get state(): SessionState {
    const { state } = this.link
    return state === 'open' && !this.#dispatcher.helloReceived ? 'connecting' : state
  }

  /**
   * Calls `listener` at the event: `interrupted` and `closed`, with the reason, `resumed`, `leaving`, and `state`, with the
   * new state.
   *
   * @returns a function that removes the listener
   */
  on<E extends keyof SessionEvents>(name: E, listener: (event: SessionEvents[E]) => void): () => void {
    return this.#events.on(name, listener)
  }

  get stats(): SessionStats {
    return statsOf(this.link, this.#references, this.#caller, this.callee)
  }

  /** The present entries of both tables, for tools that show them. */
  get tables(): Tables {
    return tablesOf(this.#references)
  }

  /** Sends a ping to the peer. @returns the round-trip time, in ms @throws SessionEndedError if the session ends first */
  async ping(): Promise<number> {
    const began = clock.now()
    await this.#caller.ping(this.#rootRef)
    return clock.now() - began
  }

  /**
   * Calls `onClosing` of the service, sends the calls made so far, then ends the session; pending calls reject. With the code
   * `revoked` it does not call `onClosing`. Resolves when the transport is closed.
   */
  close(options: SessionCloseOptions = {}): Promise<void> {
    checkOptions('close', options, CLOSE_OPTIONS)
    const { code = 'closed', message = code === 'revoked' ? REVOKED_MESSAGE : 'close() was called' } = options
    if (!isCloseCode(code)) throw invalidCode(code)
    const end = () => {
      this.#closing ||= !this.#endReason
      this.end({ code, message })
      return this.link.transportClosed
    }
    const prepared = code === 'revoked' ? undefined : this.prepareClose()
    return prepared ? prepared.then(end) : end()
  }

  /** @internal Whether `close` of this side has ended the session. */
  get isClosedHere(): boolean {
    return this.#closing
  }

  /** @internal Whether this side ends the session once `onClosing` has settled. */
  get isClosing(): boolean {
    return this.#closingHook !== undefined
  }

  /**
   * @internal Calls `onClosing` of the service, once.
   *
   * @returns a promise that resolves when the session may end; undefined if it may end now
   */
  prepareClose(): Promise<void> | undefined {
    if (this.#closingHookCalled || this.#endReason || !this.#serviceConnected || this.state !== 'open')
      return this.#closingHook
    this.#closingHookCalled = true
    this.#caller.leavingFor = undefined
    const settled = this.#runServiceHook(service => service.onClosing?.(this))
    if (settled && !this.#endReason) this.#closingHook = this.#limitClosingHook(settled)
    return this.#closingHook
  }

  /** Resolves when the hook has settled, its time is over, or the peer cannot be reached any more. */
  #limitClosingHook(settled: Promise<void>): Promise<void> {
    return new Promise(resolve => {
      const { helloMs } = this.setup.limits
      const deadline = startDeadline(helloMs, () => {
        this.report(new LimitError('limit', `onClosing did not settle within ${helloMs} ms (limits.helloMs)`))
        finish()
      })
      const offs = [this.on('interrupted', () => finish()), this.on('closed', () => finish())]
      const finish = () => {
        deadline.stop()
        for (const off of offs) off()
        resolve()
      }
      void settled.then(finish)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // The requester of netrefs.

  /** @internal */
  request(
    op: OperationCode,
    base: RequestBase,
    path: MemberPath,
    operand?: unknown,
    options?: CallOptions
  ): PendingRequest {
    return this.#caller.request(op, base, path, operand, options)
  }

  /** @internal */
  operateLocally(op: OperationCode, value: unknown, path: MemberPath, operand: unknown): unknown {
    return operate(op, value, pathKeys(path).map(toMemberName), operand, this.setup.exposure).value
  }

  /** @internal */
  release(ref: Reference): void {
    if (ref === this.#rootRef) return
    // The garbage collector, too, releases, but it gives nothing back: it cannot know what the program needs.
    if (ref.isSubscription && ref.proxy && !ref.released) ref.request(Op.oneway, CANCEL, [])
    this.#references.release(ref)
  }

  /** @internal */
  reportUnobserved(result: PendingRequest): void {
    clock.setTimeout(() => {
      const { error, observed, label, id } = result
      const cutOff = error instanceof SessionEndedError
      const late = cutOff && id === 0
      // If this side closed the session, calls that fail by that are not reported. Of calls after the end, only one is.
      if (observed || (cutOff && this.#closing) || (late && this.#lateCallReported)) return
      this.#lateCallReported ||= late
      this.report(error, label)
    })
  }

  /** @internal */
  unlessDisconnected<T>(request: Promise<T>, fallback: T): Promise<T> {
    return new Promise((resolve, reject) => {
      let left = false
      const leave = () => {
        left = true
        resolve(fallback)
      }
      const off = this.on('interrupted', leave)
      if (this.state === 'interrupted' || this.state === 'connecting') leave()
      const failed = (error: unknown) => {
        if (error instanceof SessionEndedError && this.#endReason) resolve(fallback)
        else if (left) this.report(error)
        else reject(error)
      }
      request.then(resolve, failed).finally(off)
    })
  }

  /** @internal Reports a failure that no code awaits. */
  report(error: unknown, call?: string): void {
    this.setup.onError(error, call === undefined ? { session: this } : { session: this, call })
  }

  // The listener of the link.

  /** @internal */
  get mayContinue(): boolean {
    return this.link.receiver.mayContinue
  }

  /** @internal */
  processMessages(frame: Frame, from: number): number {
    return this.#dispatcher.receive(frame, from)
  }

  /** @internal The peer has sent its hello. @throws ProtocolError if the two sides are incompatible */
  begin([, version, record, token, resumeWindowMs = 0]: Hello): void {
    if (version !== VERSION) {
      throw new ProtocolError(
        `version ${version} of the protocol, but this side uses version ${VERSION}`,
        'version'
      )
    }
    this.#dispatcher.helloReceived = true
    this.knowsLeaving = record.leaving === 1
    const { isInitiator, resumeStrategy } = this.setup
    this.link.sender.setPeerLimits(record)
    if (!isInitiator) this.link.send(formatHello(this.setup.limits, resumeStrategy), NO_BYTES)
    else if (resumeStrategy) Object.assign(resumeStrategy, { token, resumeWindowMs })
    if (isInitiator && token === undefined) this.link.sender.replayBuffer.stopKeeping()
    this.#references.setPeerLimits(record)
    try {
      this.#localRoot = this.setup.createRoot(this)
      this.#references.exports.root = this.#localRoot
    } catch (error) {
      this.report(error)
      return this.end({ code: 'service-failed', message: 'the service could not be created', cause: error })
    }
    // The service, a subscriber or `onStarted` may have ended the session.
    if (!this.#endReason && sessionChannel.hasSubscribers) sessionChannel.publish({ session: this })
    if (!this.#endReason) this.setup.onStarted?.(this)
    if (!this.#endReason) this.#events.emit('state', 'open')
    if (!this.#endReason) this.#connectService()
  }

  /** Calls `onConnect` of the service. The peer's calls of the root wait until it settles. */
  #connectService(): void {
    this.#serviceConnected = true
    const ready = this.#runServiceHook(service => service.onConnect?.(this))
    if (!ready || this.#endReason) return
    const runDeferred = this.#dispatcher.deferRootCalls()
    const { helloMs } = this.setup.limits
    const deadline = startDeadline(helloMs, () => {
      const message = `onConnect did not settle within ${helloMs} ms (limits.helloMs)`
      this.report(new LimitError('limit', message))
      this.end({ code: 'service-failed', message })
    }).unref()
    const off = this.on('closed', () => deadline.stop())
    void ready.then(() => {
      off()
      deadline.stop()
      if (!this.#endReason) runDeferred()
    })
  }

  /** @returns a promise that resolves when the hook settles, even if it fails; undefined if the hook is synchronous */
  #runServiceHook(call: (service: Service) => unknown): Promise<void> | undefined {
    const service = this.#localRoot
    if (!(service instanceof Service)) return undefined
    return runHook(
      () => call(service),
      error => this.report(error)
    )
  }

  /** @internal */
  onAcknowledged(frames: number): void {
    this.callee.calls.answers.dropAcknowledged(frames)
  }

  /** @internal */
  get incomingCallBytes(): number {
    return this.callee.calls.heldBytes
  }

  /** @internal */
  takePiggybackMessage(): string | undefined {
    return this.#references.streams?.takeItemsMessage() ?? this.#references.takeReleaseMessage()
  }

  /** @internal */
  onInterrupted(reason: Reason): void {
    reason = printableReason(reason)
    this.#events.emit('interrupted', reason)
    if (!this.#endReason) this.#events.emit('state', 'interrupted')
    if (interruptedChannel.hasSubscribers) interruptedChannel.publish({ session: this, reason })
  }

  /** @internal */
  onResumed(): void {
    this.#events.emit('resumed', undefined)
    if (!this.#endReason) this.#events.emit('state', 'open')
    if (resumedChannel.hasSubscribers) resumedChannel.publish({ session: this })
  }

  // The end of the session.

  /** @internal Whether the peer has sent its hello, or the session has ended. */
  get helloReceived(): boolean {
    return this.#dispatcher.helloReceived || this.#endReason !== undefined
  }

  /** @internal Whether calls of the peer are pending or queued. */
  get busy(): boolean {
    return this.callee.calls.pendingCount > 0 || this.link.processedFrames < this.link.receiver.receivedFrames
  }

  // Leaving.

  /** @internal Calls of this side without a reply. */
  get ownCalls(): number {
    return this.#caller.pendingCount
  }

  /** @internal Whether both sides begin no further calls. */
  get isLeft(): boolean {
    return this.#caller.leavingFor !== undefined
  }

  /** @internal This side, the server, goes away within `ms`. */
  announceLeaving(ms: number): void {
    this.#isLeaving = true
    if (this.knowsLeaving) this.link.send(formatLeaving(ms), NO_BYTES)
    this.#events.emit('leaving', undefined)
  }

  /** @internal */
  receiveLeaving(ms: number | undefined): void {
    const isAnswer = ms === undefined
    if (isAnswer === this.setup.isInitiator || isAnswer !== this.#isLeaving || this.isLeft)
      throw new ProtocolError('an unexpected `leaving`')
    if (isAnswer) {
      this.#caller.leavingFor = SERVER_CLOSING
      return
    }
    this.#isLeaving = true
    this.#leaveTimer = startLeaving(
      ms,
      () => this.ownCalls === 0,
      () => {
        this.link.send(formatLeaving(), NO_BYTES)
        this.#caller.leavingFor = SERVER_CLOSING
        this.setup.successor?.(SERVER_CLOSING)
      }
    )
    this.#events.emit('leaving', undefined)
  }

  /** @internal Ends the session, for the first reason given. */
  end(reason: Reason): void {
    if (this.#endReason) return
    reason = printableReason(reason)
    this.#endReason = reason
    clock.clearInterval(this.#leaveTimer)
    this.link.close(reason)
    const { sentFrames } = this.link
    const successor = this.#closingHookCalled ? undefined : this.setup.successor?.(reason)
    this.#caller.end(reason, sentFrames, successor ? successor.#caller : undefined)
    this.callee.end(reason)
    this.#references.clear(reason, sentFrames)
    if (this.#serviceConnected) this.#runServiceHook(service => service.onDisconnect?.(this, reason))
    if (this.#dispatcher.helloReceived && closedChannel.hasSubscribers)
      closedChannel.publish({ session: this, reason })
    this.#resolveClosed(reason)
    this.setup.onEnded?.(this, reason)
    this.#events.emit('state', 'closed')
    this.#events.emit('closed', reason)
  }
}

markUnserializable(SessionImpl, 'Session')
