// Two peers joined: how a session begins, what users have of it, and how it ends.
// Everything below `Link` is synchronous: messages in, messages out. Sockets and timers are the link's business.

import type { ReportingSession } from '../access/call-context.js'
import { operate } from '../access/operations.js'
import { Service } from '../access/service.js'
import { markUnserializable } from '../codec/classify.js'
import { LimitError, ProtocolError, printableReason, type Reason, SessionEndedError } from '../errors.js'
import { Link, type LinkListener, type LinkSetup } from '../link/link.js'
import type { Frame } from '../protocol/frame.js'
import { formatHello, type Hello, type OperationCode, VERSION } from '../protocol/messages.js'
import { type MemberPath, pathKeys, toMemberName } from '../protocol/path.js'
import type { CallOptions } from '../remote/call-options.js'
import { type PendingRequest, Reference, type RequestBase, type Requester } from '../remote/proxy.js'
import { References } from '../remote/references.js'
import type { Transport } from '../transport/transport.js'
import type { Netref } from '../types/netref.js'
import type { Session, SessionEvents, SessionState, SessionStats, Tables } from '../types/session.js'
import { clock } from '../util/clock.js'
import { startDeadline } from '../util/deadline.js'
import { Emitter, runHook } from '../util/emitter.js'
import { Callee } from './callee.js'
import { Caller } from './caller.js'
import { closedChannel, interruptedChannel, resumedChannel, sessionChannel } from './diagnostics.js'
import { Dispatcher, type DispatchTarget } from './dispatcher.js'
import type { IdempotentCallsFactory } from './idempotency.js'
import type { Settings } from './options.js'
import { statsOf, tablesOf } from './stats.js'

export interface SessionSetup extends Settings, LinkSetup {
  /** Whether this end says hello first. */
  readonly isInitiator: boolean
  /** Who the peer is, as `authenticate` found. */
  readonly identity?: unknown
  /** What makes calls with a key mean something. */
  readonly idempotentCallsFactory?: IdempotentCallsFactory | undefined
  /** What this end offers, where it is known before the peer has said hello. */
  readonly sharedRoot?: object | undefined
  /** Makes what this end offers, once the peer has said hello. */
  readonly createRoot: (session: Session) => object
  /** Told when the session has begun: both hellos are said. */
  readonly onStarted?: ((session: SessionImpl) => void) | undefined
  /** Told when it has ended, begun or not, before the listeners of `closed` are. */
  readonly onEnded?: ((session: SessionImpl) => void) | undefined
  /** The session that takes the place of one that ends for this reason, and makes its calls again. */
  readonly successor?: ((reason: Reason) => SessionImpl | undefined) | undefined
}

/** Their names. */
export const SESSION_EVENTS = ['interrupted', 'resumed', 'closed'] as const

const NO_BYTES: readonly Uint8Array[] = []

/**
 * One end of a session. Both ends are alike: either may call the other at any time. What is marked internal makes it
 * the listener of its link and what its netrefs make requests of, and is no part of the types that users see.
 */
export class SessionImpl<Root extends object = object, Identity = unknown>
  implements Session<Root, Identity>, Requester, ReportingSession, LinkListener, DispatchTarget
{
  /** Resolves, with the reason, when the session has ended. It never rejects. */
  readonly closed: Promise<Reason>
  /** The root of the peer. */
  readonly root: Netref<Root>
  /** Who the peer is: what `authenticate` returned for it; undefined at a client, and where nobody was asked. */
  readonly identity: Identity
  readonly #rootRef: Reference
  /** @internal */
  readonly link: Link
  readonly #events: Emitter<SessionEvents>
  readonly #references: References
  readonly #caller: Caller
  readonly #callee: Callee
  readonly #dispatcher: Dispatcher
  /** Whether the service was told of the session. */
  #serviceConnected = false
  /** What this end offers; set when the peer has said hello. */
  #localRoot: object | undefined
  #endReason: Reason | undefined
  /** Whether it was reported that a call came after the end. */
  #lateCallReported = false
  /** Whether this side asked for the end. */
  #closing = false
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
    this.#rootRef = new Reference(this, 0, 'root', false)
    this.root = this.#rootRef.proxy as Netref<Root>
    this.#events = new Emitter(SESSION_EVENTS, report)
    this.link = new Link(transport, this, setup)
    this.#references = new References(this, exposeStacks, limits, this.#rootRef, freeing, report, this.link)
    if (setup.sharedRoot) this.#references.exports.root = setup.sharedRoot
    const adopt = (value: unknown, options: CallOptions) =>
      this.#references.streams.applyOptions(value, options)
    this.#caller = new Caller(this, this.#references, this.link, adopt, setup.successor !== undefined)
    this.#callee = new Callee(this, this.#references, this.link, exposure, limits, setup)
    this.#dispatcher = new Dispatcher(this, this.#references, this.#caller, this.#callee, limits.values)
  }

  /**
   * @internal Begins with its transport, by saying hello if it is to say it first. Called once, and before the session is
   * handed to anybody: until then nothing of a user's is run.
   */
  start(): this {
    const { isInitiator, idempotentCallsFactory, limits, resumeStrategy } = this.setup
    this.#callee.idempotentCalls = idempotentCallsFactory?.(this.identity, this.#references, error =>
      this.report(error)
    )
    if (isInitiator) this.link.send(formatHello(limits), NO_BYTES)
    if (resumeStrategy?.retriesFirstConnection) this.link.sender.sendHelloOnly()
    this.link.start()
    return this
  }

  /** Whether there is a transport: `interrupted` is a session that waits for its next one. */
  get state(): SessionState {
    return this.link.state
  }

  /**
   * Calls `listener` at the event: `interrupted` and `closed`, with the reason, and `resumed`.
   *
   * @returns what takes the listener off again
   */
  on<E extends keyof SessionEvents>(name: E, listener: (told: SessionEvents[E]) => void): () => void {
    return this.#events.on(name, listener)
  }

  get stats(): SessionStats {
    return statsOf(this.link, this.#references, this.#caller, this.#callee)
  }

  /** What is in the two tables at present, for tools that show it. */
  get tables(): Tables {
    return tablesOf(this.#references)
  }

  /** Asks the peer for a sign of life. @returns the round-trip time, in ms @throws SessionEndedError */
  async ping(): Promise<number> {
    const began = clock.now()
    await this.#caller.ping(this.#rootRef)
    return clock.now() - began
  }

  /** Sends what was called, then ends the session; calls that still wait reject. Resolves when the transport is gone. */
  async close(): Promise<void> {
    this.#closing = !this.#endReason
    this.end({ code: 'closed', message: 'close() was called' })
    await this.link.transportClosed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // What netrefs ask for.

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
    if (ref !== this.#rootRef) this.#references.release(ref)
  }

  /** @internal */
  reportUnobserved(result: PendingRequest): void {
    clock.setTimeout(() => {
      const { error, observed, label, id } = result
      const cutOff = error instanceof SessionEndedError
      const late = cutOff && id === 0
      // That a call was cut off is no news to who closed the session; nor to anybody that one more came after its end.
      if (observed || (cutOff && this.#closing) || (late && this.#lateCallReported)) return
      this.#lateCallReported ||= late
      this.report(error, label)
    })
  }

  /** @internal */
  unlessDisconnected<T>(asked: Promise<T>, otherwise: T): Promise<T> {
    return new Promise((resolve, reject) => {
      let left = false
      const leave = () => {
        left = true
        resolve(otherwise)
      }
      const off = this.on('interrupted', leave)
      if (this.state === 'interrupted' || this.state === 'connecting') leave()
      const failed = (error: unknown) => {
        if (!left) reject(error)
        else if (!(error instanceof SessionEndedError)) this.report(error)
      }
      asked.then(resolve, failed).finally(off)
    })
  }

  /** @internal Told of a failure nobody awaits. */
  report(error: unknown, call?: string): void {
    this.setup.onError(error, call === undefined ? { session: this } : { session: this, call })
  }

  // What its link tells.

  /** @internal */
  get mayContinue(): boolean {
    return this.link.receiver.mayContinue
  }

  /** @internal */
  processMessages(frame: Frame, from: number): number {
    return this.#dispatcher.receive(frame, from)
  }

  /** @internal The peer has said hello. @throws ProtocolError where the two do not go together */
  begin([, version, limits, token, resumeWindowMs = 0]: Hello): void {
    if (version !== VERSION) {
      throw new ProtocolError(
        `version ${version} of the protocol, and this side speaks ${VERSION}`,
        'version'
      )
    }
    this.#dispatcher.helloReceived = true
    const { isInitiator, resumeStrategy } = this.setup
    this.link.sender.setPeerLimits(limits)
    if (!isInitiator) this.link.send(formatHello(this.setup.limits, resumeStrategy), NO_BYTES)
    else if (resumeStrategy) Object.assign(resumeStrategy, { token, resumeWindowMs })
    if (isInitiator && token === undefined) this.link.sender.replayBuffer.stopKeeping()
    this.#references.setPeerLimits(limits)
    try {
      this.#localRoot = this.setup.createRoot(this)
      this.#references.exports.root = this.#localRoot
    } catch (error) {
      this.report(error)
      return this.end({ code: 'service-failed', message: 'the service could not be made', cause: error })
    }
    // The service, and whoever is told that the session begins, may have ended it.
    if (!this.#endReason && sessionChannel.hasSubscribers) sessionChannel.publish({ session: this })
    if (!this.#endReason) this.setup.onStarted?.(this)
    if (!this.#endReason) this.#connectService()
  }

  /** Tells the service. The peer's calls wait until it is ready. */
  #connectService(): void {
    this.#serviceConnected = true
    const ready = this.#runServiceHook(service => service.onConnect?.(this))
    if (!ready || this.#endReason) return
    const goOn = this.#dispatcher.deferRootCalls()
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
      if (!this.#endReason) goOn()
    })
  }

  /** @returns what resolves, whatever comes of it, where it takes a while */
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
    this.#callee.calls.answers.dropAcknowledged(frames)
  }

  /** @internal */
  get incomingCallBytes(): number {
    return this.#callee.calls.heldBytes
  }

  /** @internal */
  takePiggybackMessage(): string | undefined {
    return this.#references.streams.takeItemsMessage() ?? this.#references.takeReleaseMessage()
  }

  /** @internal */
  onInterrupted(reason: Reason): void {
    reason = printableReason(reason)
    this.#events.emit('interrupted', reason)
    if (interruptedChannel.hasSubscribers) interruptedChannel.publish({ session: this, reason })
  }

  /** @internal */
  onResumed(): void {
    this.#events.emit('resumed', undefined)
    if (resumedChannel.hasSubscribers) resumedChannel.publish({ session: this })
  }

  // The end.

  /** @internal Whether the peer has said hello, or the session has ended. */
  get helloReceived(): boolean {
    return this.#dispatcher.helloReceived || this.#endReason !== undefined
  }

  /** @internal Whether calls of the peer are under way, wait for their turn, or are answered and it is away. */
  get busy(): boolean {
    const { sender, receiver, processedFrames, state } = this.link
    return (
      this.#callee.calls.answers.pendingCount > 0 ||
      processedFrames < receiver.receivedFrames ||
      (state === 'interrupted' && sender.hasUnsent)
    )
  }

  /** @internal Ends the session, for the first reason given. */
  end(reason: Reason): void {
    if (this.#endReason) return
    reason = printableReason(reason)
    this.#endReason = reason
    this.link.close(reason)
    const { sentFrames } = this.link
    const successor = this.setup.successor?.(reason)
    this.#caller.end(reason, sentFrames, successor ? successor.#caller : undefined)
    this.#callee.end(reason)
    this.#references.clear(reason, sentFrames)
    if (this.#serviceConnected) this.#runServiceHook(service => service.onDisconnect?.(this, reason))
    if (this.#dispatcher.helloReceived && closedChannel.hasSubscribers)
      closedChannel.publish({ session: this, reason })
    this.#resolveClosed(reason)
    this.setup.onEnded?.(this)
    this.#events.emit('closed', reason)
  }
}

markUnserializable(SessionImpl, 'it belongs to this side alone', 'Session')
