// Two peers joined: how a session begins, whose turn it is for each message, and how it ends.
// Everything below `Link` is synchronous: messages in, messages out. Sockets and timers are the link's business.
import type { CallOptions } from './call-options.js'
import { Callee } from './callee.js'
import { Caller } from './caller.js'
import { closings, interruptions, resumptions, sessions } from './diagnostics.js'
import { ProtocolError, type Reason, Refusal, reasonOf, SessionEndedError } from './errors.js'
import { attempt, Emitter } from './events.js'
import type { Frame } from './frame.js'
import { Link, type LinkSetup, type LinkState } from './link.js'
import { keysOf, type Path, toName } from './names.js'
import { Ref } from './netref.js'
import { operate } from './operate.js'
import type { Settings } from './options.js'
import { parseMessage } from './parser.js'
import {
  type Cancel,
  formatHello,
  type Hello,
  type Message,
  Op,
  type Operation,
  type OperationCode,
  VERSION
} from './protocol.js'
import { References } from './references.js'
import type { Result } from './result.js'
import type { Keying } from './results.js'
import { Service } from './service.js'
import { type SessionStats, statsOf, type Tables, tablesOf } from './stats.js'
import type { Transport } from './transport.js'
import type { Netref } from './types.js'
import { unbox } from './unbox.js'
import { refuse } from './values.js'

export interface SessionSetup extends Settings, LinkSetup {
  /** Whether this end says hello first. */
  readonly initiates: boolean
  /** Who the peer is, as `authenticate` found. */
  readonly identity?: unknown
  /** What makes calls with a key mean something. */
  readonly keying?: Keying | undefined
  /** Makes what this end offers, once the peer has said hello. */
  readonly makeRoot: (session: Session) => object
  /** Told when the session has begun: both hellos are said. */
  readonly onBegin?: ((session: Session) => void) | undefined
  /** The session that takes the place of one that ends for this reason, and makes its calls again. */
  readonly successor?: ((reason: Reason) => Session | undefined) | undefined
}

export interface SessionEvents {
  /** The transport is lost, and the session waits for another one. */
  interrupted: Reason
  /** Another transport carries the session on: nothing is lost. */
  resumed: undefined
  /** The session has ended. */
  closed: Reason
}

const NO_BYTES: readonly Uint8Array[] = []

/**
 * One end of a session. Both ends are alike: either may call the other at any time. What is marked internal makes it
 * the listener of its link and what its netrefs make requests of, and is no part of the types that users see.
 */
export class Session<Root extends object = object, Identity = unknown> {
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
  /** Whether the service was told of the session. */
  #connected = false
  /** Whether the peer has said hello. */
  #greeted = false
  /** What this end offers; set when the peer has said hello. */
  #offer: object | undefined
  #ended: Reason | undefined
  /** Whether this side asked for the end. */
  #closing = false
  #unaccounted = 0
  #close!: (reason: Reason) => void

  /** @internal */
  constructor(
    transport: Transport,
    private readonly setup: SessionSetup
  ) {
    const { limits, exposeStacks, exposure } = setup
    const report = (error: unknown) => this.#report(error)
    const freeing = () => this.link.atEndOfTick()
    this.closed = new Promise(resolve => {
      this.#close = resolve
    })
    this.identity = setup.identity as Identity
    this.#rootRef = new Ref(this, 0, 'root', false)
    this.root = this.#rootRef.proxy as Netref<Root>
    this.#events = new Emitter(report)
    this.link = new Link(transport, this, setup)
    this.#references = new References(
      this,
      { ...limits, exposeStacks },
      limits,
      this.#rootRef,
      freeing,
      report,
      this.link
    )
    const adopt = (value: unknown, options: CallOptions) => this.#references.flows.adopt(value, options)
    this.#caller = new Caller(this, this.#references, this.link, adopt, setup.successor !== undefined)
    this.#callee = new Callee(this, this.#references, this.link, exposure, limits, (error, call) =>
      this.#report(error, call)
    )
    this.#callee.keyed = setup.keying?.(this.identity, this.#references, report)
    if (setup.initiates) this.link.push(formatHello(limits), NO_BYTES)
    this.link.start()
  }

  /** Whether there is a transport: `interrupted` is a session that waits for its next one. */
  get state(): LinkState {
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
    const began = performance.now()
    await this.#caller.ping(this.#rootRef)
    return performance.now() - began
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
    base: Ref | Result,
    path: Path,
    operand?: unknown,
    options?: CallOptions
  ): Result {
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
  unobserved(result: Result): void {
    setTimeout(() => {
      // That a call was cut off is no news to who closed the session.
      const cutOff = result.error instanceof SessionEndedError && this.#closing
      if (!result.observed && !cutOff) this.#report(result.error, result.label)
    })
  }

  /** @internal Told of a failure nobody awaits. */
  report(error: unknown): void {
    this.#report(error)
  }

  #report(error: unknown, call?: string): void {
    this.setup.onError(error, call === undefined ? { session: this } : { session: this, call })
  }

  // Messages in.

  /** @internal Acts on the messages of a frame, from one on, as long as the link may go on. Never throws. */
  receive(messages: readonly unknown[], bytes: Frame['bytes'], from = 0, size = 0): number {
    const { values } = this.setup.limits
    let i = from
    if (from === 0) this.#unaccounted = size
    try {
      while (i < messages.length && !this.#ended && this.link.receiver.mayGoOn && !this.#callee.behind) {
        this.#dispatch(parseMessage(messages[i], values), bytes.get(i) ?? NO_BYTES)
        i++
      }
    } catch (error) {
      this.end(reasonOf(error))
    }
    return i
  }

  /** The size of the frame that is being acted on, once. */
  #takeSize(): number {
    const size = this.#unaccounted
    this.#unaccounted = 0
    return size
  }

  #dispatch(message: Message, bytes: readonly Uint8Array[], key?: string): void {
    if ((message[0] === Op.hello) === this.#greeted) throw new ProtocolError('its hello out of turn')
    switch (message[0]) {
      case Op.hello:
        return this.#begin(message)
      case Op.result:
      case Op.error:
        return this.#caller.settle(message, bytes)
      case Op.refused:
        return this.#caller.refuse(message[1], message[2], message[3])
      case Op.release:
        return this.#references.released(message.slice(1))
      case Op.cancel:
        return this.#cancel(message, bytes)
      case Op.pull:
      case Op.items:
      case Op.ended:
        return this.#references.flows.receive(message, bytes, message[0] === Op.items ? this.#takeSize() : 0)
      case Op.traced: {
        const [, parent, ...operation] = message
        return this.#callee.receive(operation, bytes, parent, false, key)
      }
      case Op.ping:
        this.#callee.count(message[1])
        return this.#callee.reply(message[1], { value: undefined })
      case Op.again:
        return this.#callee.receive(message.slice(1) as unknown as Operation, bytes, undefined, true, key)
      case Op.keyed: {
        const [, name, ...keyed] = message
        return this.#dispatch(keyed as Message, bytes, name)
      }
      default:
        return this.#callee.receive(message, bytes, undefined, false, key)
    }
  }

  #cancel([, id, json, groups]: Cancel, bytes: readonly Uint8Array[]): void {
    let reason: unknown
    try {
      reason = unbox(json, groups, bytes, this.#references)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
    }
    const { flows } = this.#references
    flows.letGo(flows.takeFresh())
    this.#callee.cancel(id, reason)
  }

  #begin([, version, limits, token, goodFor = 0]: Hello): void {
    if (version !== VERSION) {
      throw new ProtocolError(
        `version ${version} of the protocol, and this side speaks ${VERSION}`,
        'version'
      )
    }
    this.#greeted = true
    const { initiates, recovery } = this.setup
    this.link.sender.peer = limits
    if (!initiates) this.link.push(formatHello(this.setup.limits, recovery), NO_BYTES)
    else if (recovery) Object.assign(recovery, { token, goodFor })
    if (initiates && token === undefined) this.link.sender.kept.stop()
    const { depth, jsonBytes, values } = limits
    this.#references.boxing = { depth, jsonBytes, values, exposeStacks: this.setup.exposeStacks }
    try {
      this.#offer = this.setup.makeRoot(this)
      this.#references.exports.root = this.#offer
    } catch (error) {
      this.#report(error)
      return this.end({ code: 'service-failed', message: 'the service could not be made', cause: error })
    }
    // The service, and whoever is told that the session begins, may have ended it.
    if (!this.#ended && sessions.hasSubscribers) sessions.publish({ session: this })
    if (!this.#ended) this.setup.onBegin?.(this)
    if (!this.#ended) this.#hook(service => service.onConnect?.(this))
  }

  #hook(call: (service: Service) => unknown): void {
    this.#connected = true
    const service = this.#offer
    if (!(service instanceof Service)) return
    attempt(
      () => call(service),
      error => this.#report(error)
    )
  }

  /** @internal */
  acknowledged(frames: number): void {
    this.#callee.answers.acknowledged(frames)
  }

  /** @internal */
  trailing(): string | undefined {
    return this.#references.flows.trailing() ?? this.#references.trailing()
  }

  /** @internal */
  interrupted(reason: Reason): void {
    this.#events.emit('interrupted', reason)
    if (interruptions.hasSubscribers) interruptions.publish({ session: this, reason })
  }

  /** @internal */
  resumed(): void {
    this.#events.emit('resumed', undefined)
    if (resumptions.hasSubscribers) resumptions.publish({ session: this })
  }

  // The end.

  /** @internal Whether calls of the peer are under way, or have come and wait for their turn. */
  get busy(): boolean {
    return this.#callee.answers.underWay > 0 || this.link.acted < this.link.receiver.frames
  }

  /** @internal Ends the session, for the first reason given. */
  end(reason: Reason): void {
    if (this.#ended) return
    this.#ended = reason
    this.link.close(reason)
    const successor = this.setup.successor?.(reason)
    this.#caller.end(reason, this.link.sender.kept.sent, successor ? successor.#caller : undefined)
    this.#callee.end(reason)
    this.#references.clear(reason)
    if (this.#connected) this.#hook(service => service.onDisconnect?.(this, reason))
    if (this.#greeted && closings.hasSubscribers) closings.publish({ session: this, reason })
    this.#close(reason)
    this.#events.emit('closed', reason)
  }
}

refuse(Session, 'it belongs to this side alone', { name: 'Session' })
