// `connect`: a session with a server, usable at once; and `pair`: both ends of one in this process.

import { rootMaker, Service, sharedRoot } from '../access/service.js'
import { refuse } from '../codec/classify.js'
import type { Reason, ReasonCode } from '../errors.js'
import { livenessOf, type Settings, settingsOf } from '../session/options.js'
import { SESSION_EVENTS, SessionImpl, type SessionSetup } from '../session/session.js'
import { checkEndpointOptions, type Endpoint, withoutSecrets } from '../transport/endpoint.js'
import { Relay } from '../transport/relay.js'
import { Introducing } from '../transport/token.js'
import { NOWHERE, type Transport } from '../transport/transport.js'
import type { Netref } from '../types/netref.js'
import type { SessionEvents, SessionState, SessionStats } from '../types/session.js'
import { checkOptions } from '../util/check-options.js'
import { Emitter } from '../util/emitter.js'
import { open } from './open-transport.js'
import { CONNECT_OPTIONS, type ConnectOptions, RECONNECT_OPTIONS } from './options.js'
import { Reconnect } from './reconnect.js'

export interface ConnectionEvents extends SessionEvents {
  /** A new session has begun, as the one before was lost; `root` is the new one's. */
  renewed: undefined
}

const EVENTS = [...SESSION_EVENTS, 'renewed'] as const

/** Why a session ends that another one can take the place of. */
const RENEWABLE = new Set<ReasonCode>(['connection-lost', 'session-lost', 'server-closed'])

/** A client's hold on a session: calls made before the socket is open wait for it. */
export class Connection<T> {
  /** Resolves, with the reason, when the session has ended, and no other one takes its place. It never rejects. */
  readonly closed: Promise<Reason>
  readonly #events: Emitter<ConnectionEvents>
  #session: SessionImpl
  #keepsAlive = true
  #close!: (reason: Reason) => void

  /** @internal */
  constructor(
    transport: Transport,
    private readonly setup: Omit<SessionSetup, 'initiates' | 'onBegin' | 'successor'>,
    /** What finds a socket for the next session. */
    private readonly renewal?: Reconnect
  ) {
    this.#events = new Emitter(EVENTS, error => setup.onError(error, { session: this.#session }))
    this.closed = new Promise(resolve => {
      this.#close = resolve
    })
    this.#session = this.#join(transport, () => {})
  }

  #join(transport: Transport, onBegin: () => void): SessionImpl {
    const successor = this.renewal && ((reason: Reason) => this.#succeed(reason))
    const session = new SessionImpl(transport, { initiates: true, onBegin, successor, ...this.setup }).start()
    if (!this.#keepsAlive) session.link.unref()
    session.on('interrupted', reason => this.#events.emit('interrupted', reason))
    session.on('resumed', () => this.#events.emit('resumed', undefined))
    session.on('closed', reason => {
      if (session !== this.#session) return
      this.setup.refusals.flush()
      this.#close(reason)
      this.#events.emit('closed', reason)
    })
    return session
  }

  /** The session that takes the place of the one that ends. */
  #succeed({ code }: Reason): SessionImpl | undefined {
    if (!RENEWABLE.has(code) || !this.renewal!.renew()) return undefined
    this.#session = this.#join(NOWHERE, () => this.#events.emit('renewed', undefined))
    return this.#session
  }

  /** This end of the session; of the present one, where sessions are renewed. */
  get session(): SessionImpl {
    return this.#session
  }

  /** What the server offers. */
  get root(): Netref<T> {
    return this.session.root as Netref<T>
  }

  /** Whether there is a socket: `interrupted` is a session that looks for its next one. */
  get state(): SessionState {
    return this.session.state
  }

  /** Numbers: references held, calls pending, frames and bytes each way. */
  get stats(): SessionStats {
    return this.session.stats
  }

  /**
   * Calls `listener` at the event: `interrupted` and `closed`, with the reason, `resumed` and `renewed`.
   *
   * @returns what takes the listener off again
   */
  on<E extends keyof ConnectionEvents>(name: E, listener: (told: ConnectionEvents[E]) => void): () => void {
    return this.#events.on(name, listener)
  }

  /** Asks the server for a sign of life. @returns the round-trip time, in ms @throws SessionEndedError */
  ping(): Promise<number> {
    return this.session.ping()
  }

  /**
   * The connection keeps the process alive no more, whether it is open, or looks for a socket: as `unref()` of Node's
   * sockets. Over an endpoint that is so for the session; a worker is its owner's to `unref()`. In a page it does nothing.
   *
   * @returns the connection itself
   */
  unref(): this {
    this.#keepsAlive = false
    this.session.link.unref()
    return this
  }

  /** Sends what was called, then ends the session; calls that still wait reject. Resolves when the socket is closed. */
  close(): Promise<void> {
    return this.session.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

refuse(Connection, 'it belongs to this side alone', 'Connection')

/** What a client offers that offers nothing. */
export class Nothing extends Service {}

/**
 * Connects to a server: by its address, or over a Worker, a MessagePort or a stream of bytes that it serves. Returns at
 * once: `root` can be used before the socket is open. Where the server cannot be reached, every call rejects with the
 * address and the cause, and `closed` resolves with the reason `unreachable`.
 *
 * @throws TypeError when `to` is no `ws://` or `wss://` address and no endpoint, or an option cannot be meant, as those of
 * a socket (`token`, `reconnect`, `renew`, `heartbeat`, …) over an endpoint
 * @example
 * await using conn = connect<Calculator>('ws://localhost:18861')
 * console.log(await conn.root.add(1, 2))
 * @example
 * const worker = connect<Calculator>(new Worker('./calculator.js', { type: 'module' }))
 */
export function connect<T>(
  to: string | { readonly href: string } | Endpoint,
  options: ConnectOptions = {}
): Connection<T> {
  const endpoint = Object(to) === to && !('href' in (to as object)) ? (to as Endpoint) : parseAddress(to)
  checkOptions('connect', options, CONNECT_OPTIONS, true)
  if (typeof endpoint !== 'string') {
    checkEndpointOptions('connect', endpoint, options)
    return over(made => open(endpoint, options, made), options)
  }
  const { service = Nothing, reconnect = {}, renew = false, token, ...others } = options
  if (reconnect !== false) checkOptions('connect: `reconnect`', reconnect, RECONNECT_OPTIONS)
  const settings = settingsOf(others)
  const makeRoot = rootMaker(service)
  const { heartbeat } = livenessOf(others)
  const openOne = () => {
    const transport = open(endpoint, options, settings)
    return new Relay(
      token === undefined ? transport : new Introducing(transport, token, withoutSecrets(endpoint))
    )
  }
  const recovery = reconnect === false ? undefined : new Reconnect(openOne, heartbeat, reconnect)
  if (renew && !recovery) throw new TypeError('connect: `renew` needs `reconnect`, which is off')
  // The settings last: V8 makes a shape of its own for each object where more follows what is spread.
  const setup = { heartbeat, shared: sharedRoot(service), makeRoot, recovery, ...settings }
  return new Connection(openOne(), setup, renew ? recovery : undefined)
}

/** @internal A connection over one transport, which ends with it. */
export function over<T>(
  open: (settings: Settings) => Transport,
  { service = Nothing, ...options }: ConnectOptions
): Connection<T> {
  const settings = settingsOf(options)
  const makeRoot = rootMaker(service)
  return new Connection(open(settings), { shared: sharedRoot(service), makeRoot, ...settings })
}

function parseAddress(url: unknown): string {
  const text = String((url as { href?: unknown } | null)?.href ?? url)
  const isKnown = /^\s*(ws|http)s?:/i.test(text)
  if (isKnown && URL.canParse(text) && !text.includes('#')) return text
  const said = withoutSecrets(text)
  const meant = (isKnown ? said : `ws://${said.replace(/^\w+:\/\//, '')}`).replace(/#.*/s, '')
  const hint = meant !== said && URL.canParse(meant) ? `; was "${meant}" meant?` : ''
  throw new TypeError(`connect: "${said}" is not a ws:// or wss:// address${hint}`)
}
