// Two peers joined: how a session begins, what users have of it, and how it ends.
// Everything below `Link` is synchronous: messages in, messages out. Sockets and timers are the link's business.

import type { ReportingSession } from '../access/call-context.js'
import { operate } from '../access/operations.js'
import { Service } from '../access/service.js'
import { refuse } from '../codec/classify.js'
import { LimitError, ProtocolError, type Reason, SessionEndedError, told } from '../errors.js'
import { Link, type LinkListener, type LinkSetup } from '../link/link.js'
import type { Frame } from '../protocol/frame.js'
import { formatHello, type Hello, type OperationCode, VERSION } from '../protocol/messages.js'
import { keysOf, type Path, toName } from '../protocol/path.js'
import type { CallOptions } from '../remote/call-options.js'
import { type PendingRequest, Ref, type RequestBase, type Requester } from '../remote/proxy.js'
import { References } from '../remote/references.js'
import type { Transport } from '../transport/transport.js'
import type { Netref } from '../types/netref.js'
import type { Session, SessionEvents, SessionState, SessionStats, Tables } from '../types/session.js'
import { clock } from '../util/clock.js'
import { deadlineIn } from '../util/deadline.js'
import { attempt, Emitter } from '../util/emitter.js'
import { Callee } from './callee.js'
import { Caller } from './caller.js'
import { closings, interruptions, resumptions, sessions } from './diagnostics.js'
import { type DispatchTarget, Switchboard } from './dispatcher.js'
import type { Keying } from './idempotency.js'
import type { Settings } from './options.js'
import { statsOf, tablesOf } from './stats.js'

export interface SessionSetup extends Settings, LinkSetup {
  /** Whether this end says hello first. */
  readonly initiates: boolean
  /** Who the peer is, as `authenticate` found. */
  readonly identity?: unknown
  /** What makes calls with a key mean something. */
  readonly keying?: Keying | undefined
  /** What this end offers, where it is known before the peer has said hello. */
  readonly shared?: object | undefined
  /** Makes what this end offers, once the peer has said hello. */
  readonly makeRoot: (session: Session) => object
  /** Told when the session has begun: both hellos are said. */
  readonly onBegin?: ((session: SessionImpl) => void) | undefined
  /** Told when it has ended, begun or not, before the listeners of `closed` are. */
  readonly onEnd?: ((session: SessionImpl) => void) | undefined
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
  readonly #rootRef: Ref
  /** @internal */
  readonly link: Link
  readonly #events: Emitter<SessionEvents>
  readonly #references: References
  readonly #caller: Caller
  readonly #callee: Callee
  readonly #switchboard: Switchboard
  /** Whether the service was told of the session. */
  #connected = false
  /** What this end offers; set when the peer has said hello. */
  #offer: object | undefined
  #ended: Reason | undefined
  /** Whether it was reported that a call came after the end. */
  #toldLate = false
  /** Whether this side asked for the end. */
  #closing = false
  #close!: (reason: Reason) => void

  /** @internal */
  constructor(
    transport: Transport,
    private readonly setup: SessionSetup
  ) {
    const { limits, exposeStacks, exposure } = setup
    const report = (error: unknown, call?: string) => this.report(error, call)
    const freeing = () => this.link.atEndOfTick()
    this.closed = new Promise(resolve => {
      this.#close = resolve
    })
    this.identity = setup.identity as Identity
    this.#rootRef = new Ref(this, 0, 'root', false)
    this.root = this.#rootRef.proxy as Netref<Root>
    this.#events = new Emitter(SESSION_EVENTS, report)
    this.link = new Link(transport, this, setup)
    this.#references = new References(this, exposeStacks, limits, this.#rootRef, freeing, report, this.link)
    if (setup.shared) this.#references.exports.root = setup.shared
    const adopt = (value: unknown, options: CallOptions) => this.#references.flows.adopt(value, options)
    this.#caller = new Caller(this, this.#references, this.link, adopt, setup.successor !== undefined)
    this.#callee = new Callee(this, this.#references, this.link, exposure, limits, setup)
    this.#switchboard = new Switchboard(this, this.#references, this.#caller, this.#callee, limits.values)
  }

  /**
   * @internal Begins with its transport, by saying hello if it is to say it first. Called once, and before the session is
   * handed to anybody: until then nothing of a user's is run.
   */
  start(): this {
    const { initiates, keying, limits, recovery } = this.setup
    this.#callee.keyed = keying?.(this.identity, this.#references, error => this.report(error))
    if (initiates) this.link.push(formatHello(limits), NO_BYTES)
    if (recovery?.initial) this.link.sender.withhold()
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
    this.#closing = !this.#ended
    this.end({ code: 'closed', message: 'close() was called' })
    await this.link.gone
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // What netrefs ask for.

  /** @internal */
  request(
    op: OperationCode,
    base: RequestBase,
    path: Path,
    operand?: unknown,
    options?: CallOptions
  ): PendingRequest {
    return this.#caller.request(op, base, path, operand, options)
  }

  /** @internal */
  operateLocally(op: OperationCode, value: unknown, path: Path, operand: unknown): unknown {
    return operate(op, value, keysOf(path).map(toName), operand, this.setup.exposure).value
  }

  /** @internal */
  release(ref: Ref): void {
    if (ref !== this.#rootRef) this.#references.release(ref)
  }

  /** @internal */
  unobserved(result: PendingRequest): void {
    clock.setTimeout(() => {
      const { error, observed, label, id } = result
      const cutOff = error instanceof SessionEndedError
      const late = cutOff && id === 0
      // That a call was cut off is no news to who closed the session; nor to anybody that one more came after its end.
      if (observed || (cutOff && this.#closing) || (late && this.#toldLate)) return
      this.#toldLate ||= late
      this.report(error, label)
    })
  }

  /** @internal */
  unlessAway<T>(asked: Promise<T>, otherwise: T): Promise<T> {
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
  get mayGoOn(): boolean {
    return this.link.receiver.mayGoOn
  }

  /** @internal */
  receive(frame: Frame, from: number): number {
    return this.#switchboard.receive(frame, from)
  }

  /** @internal The peer has said hello. @throws ProtocolError where the two do not go together */
  begin([, version, limits, token, goodFor = 0]: Hello): void {
    if (version !== VERSION) {
      throw new ProtocolError(
        `version ${version} of the protocol, and this side speaks ${VERSION}`,
        'version'
      )
    }
    this.#switchboard.greeted = true
    const { initiates, recovery } = this.setup
    this.link.sender.learn(limits)
    if (!initiates) this.link.push(formatHello(this.setup.limits, recovery), NO_BYTES)
    else if (recovery) Object.assign(recovery, { token, goodFor })
    if (initiates && token === undefined) this.link.sender.kept.stop()
    this.#references.learn(limits)
    try {
      this.#offer = this.setup.makeRoot(this)
      this.#references.exports.root = this.#offer
    } catch (error) {
      this.report(error)
      return this.end({ code: 'service-failed', message: 'the service could not be made', cause: error })
    }
    // The service, and whoever is told that the session begins, may have ended it.
    if (!this.#ended && sessions.hasSubscribers) sessions.publish({ session: this })
    if (!this.#ended) this.setup.onBegin?.(this)
    if (!this.#ended) this.#connect()
  }

  /** Tells the service. The peer's calls wait until it is ready. */
  #connect(): void {
    this.#connected = true
    const ready = this.#hook(service => service.onConnect?.(this))
    if (!ready || this.#ended) return
    const goOn = this.#switchboard.postpone()
    const { helloMs } = this.setup.limits
    const deadline = deadlineIn(helloMs, () => {
      const message = `onConnect did not settle within ${helloMs} ms (limits.helloMs)`
      this.report(new LimitError('limit', message))
      this.end({ code: 'service-failed', message })
    }).unref()
    const off = this.on('closed', () => deadline.stop())
    void ready.then(() => {
      off()
      deadline.stop()
      if (!this.#ended) goOn()
    })
  }

  /** @returns what resolves, whatever comes of it, where it takes a while */
  #hook(call: (service: Service) => unknown): Promise<void> | undefined {
    const service = this.#offer
    if (!(service instanceof Service)) return undefined
    return attempt(
      () => call(service),
      error => this.report(error)
    )
  }

  /** @internal */
  acknowledged(frames: number): void {
    this.#callee.answers.acknowledged(frames)
  }

  /** @internal */
  get weight(): number {
    return this.#callee.weight
  }

  /** @internal */
  trailing(): string | undefined {
    return this.#references.flows.trailing() ?? this.#references.trailing()
  }

  /** @internal */
  interrupted(reason: Reason): void {
    reason = told(reason)
    this.#events.emit('interrupted', reason)
    if (interruptions.hasSubscribers) interruptions.publish({ session: this, reason })
  }

  /** @internal */
  resumed(): void {
    this.#events.emit('resumed', undefined)
    if (resumptions.hasSubscribers) resumptions.publish({ session: this })
  }

  // The end.

  /** @internal Whether the peer has said hello, or the session has ended. */
  get greeted(): boolean {
    return this.#switchboard.greeted || this.#ended !== undefined
  }

  /** @internal Whether calls of the peer are under way, wait for their turn, or are answered and it is away. */
  get busy(): boolean {
    const { sender, receiver, acted, state } = this.link
    return (
      this.#callee.answers.underWay > 0 ||
      acted < receiver.frames ||
      (state === 'interrupted' && sender.waits)
    )
  }

  /** @internal Ends the session, for the first reason given. */
  end(reason: Reason): void {
    if (this.#ended) return
    reason = told(reason)
    this.#ended = reason
    const left = this.link.close(reason)
    const successor = this.setup.successor?.(reason)
    this.#caller.end(reason, left, successor ? successor.#caller : undefined)
    this.#callee.end(reason)
    this.#references.clear(reason, left)
    if (this.#connected) this.#hook(service => service.onDisconnect?.(this, reason))
    if (this.#switchboard.greeted && closings.hasSubscribers) closings.publish({ session: this, reason })
    this.#close(reason)
    this.setup.onEnd?.(this)
    this.#events.emit('closed', reason)
  }
}

refuse(SessionImpl, 'it belongs to this side alone', 'Session')
