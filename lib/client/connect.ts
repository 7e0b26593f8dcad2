// `connect`: a session with a server, usable at once; and `pair`: both ends of one in this process.

import { rootFactoryOf, Service, sharedRootOf } from '../access/service.js'
import { markUnserializable } from '../codec/classify.js'
import type { Reason, ReasonCode } from '../errors.js'
import { livenessOf, type Settings, settingsOf } from '../session/options.js'
import { SESSION_EVENTS, SessionImpl, type SessionSetup } from '../session/session.js'
import { checkEndpointOptions, type Endpoint, redactCredentials } from '../transport/endpoint.js'
import { Relay } from '../transport/relay.js'
import { TokenSender } from '../transport/token.js'
import { DISCONNECTED, type Transport } from '../transport/transport.js'
import type { Netref } from '../types/netref.js'
import type { SessionEvents, SessionState, SessionStats } from '../types/session.js'
import { checkOptions } from '../util/check-options.js'
import { Emitter } from '../util/emitter.js'
import { openTransport } from './open-transport.js'
import { CONNECT_OPTIONS, type ConnectOptions, RECONNECT_OPTIONS } from './options.js'
import { Reconnector } from './reconnect.js'

export interface ConnectionEvents extends SessionEvents {
  /** A new session has begun, as the one before was lost; `root` is the new one's. */
  renewed: undefined
}

const CONNECTION_EVENTS = [...SESSION_EVENTS, 'renewed'] as const

/** Why a session ends that another one can take the place of. */
const RENEWABLE_CODES = new Set<ReasonCode>(['connection-lost', 'session-lost', 'server-closed'])

/** A client's hold on a session: calls made before the socket is open wait for it. */
export class Connection<T> {
  /** Resolves, with the reason, when the session has ended, and no other one takes its place. It never rejects. */
  readonly closed: Promise<Reason>
  readonly #events: Emitter<ConnectionEvents>
  #session: SessionImpl
  #keepsProcessAlive = true
  #resolveClosed!: (reason: Reason) => void

  /** @internal */
  constructor(
    transport: Transport,
    private readonly setup: Omit<SessionSetup, 'isInitiator' | 'onStarted' | 'successor'>,
    /** What finds a socket for the next session. */
    private readonly reconnector?: Reconnector
  ) {
    this.#events = new Emitter(CONNECTION_EVENTS, error => setup.onError(error, { session: this.#session }))
    this.closed = new Promise(resolve => {
      this.#resolveClosed = resolve
    })
    this.#session = this.#startSession(transport, () => {})
  }

  #startSession(transport: Transport, onBegin: () => void): SessionImpl {
    const successor = this.reconnector && ((reason: Reason) => this.#startSuccessor(reason))
    const session = new SessionImpl(transport, {
      isInitiator: true,
      onStarted: onBegin,
      successor,
      ...this.setup
    }).start()
    if (!this.#keepsProcessAlive) session.link.unref()
    session.on('interrupted', reason => this.#events.emit('interrupted', reason))
    session.on('resumed', () => this.#events.emit('resumed', undefined))
    session.on('closed', reason => {
      if (session !== this.#session) return
      this.setup.rejections.flush()
      this.#resolveClosed(reason)
      this.#events.emit('closed', reason)
    })
    return session
  }

  /** The session that takes the place of the one that ends. */
  #startSuccessor({ code }: Reason): SessionImpl | undefined {
    if (!RENEWABLE_CODES.has(code) || !this.reconnector!.prepareNewSession()) return undefined
    this.#session = this.#startSession(DISCONNECTED, () => this.#events.emit('renewed', undefined))
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
    this.#keepsProcessAlive = false
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

markUnserializable(Connection, 'it belongs to this side alone', 'Connection')

/** What a client offers that offers nothing. */
export class EmptyService extends Service {}

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
  target: string | { readonly href: string } | Endpoint,
  options: ConnectOptions = {}
): Connection<T> {
  const endpoint =
    Object(target) === target && !('href' in (target as object)) ? (target as Endpoint) : parseAddress(target)
  checkOptions('connect', options, CONNECT_OPTIONS, true)
  if (typeof endpoint !== 'string') {
    checkEndpointOptions('connect', endpoint, options)
    return connectOverEndpoint(made => openTransport(endpoint, options, made), options)
  }
  const { service = EmptyService, reconnect = {}, renew = false, token, ...others } = options
  if (reconnect !== false) checkOptions('connect: `reconnect`', reconnect, RECONNECT_OPTIONS)
  const settings = settingsOf(others)
  const createRoot = rootFactoryOf(service)
  const { heartbeat } = livenessOf(others)
  const openSocket = () => {
    const transport = openTransport(endpoint, options, settings)
    return new Relay(
      token === undefined ? transport : new TokenSender(transport, token, redactCredentials(endpoint))
    )
  }
  const reconnector = reconnect === false ? undefined : new Reconnector(openSocket, heartbeat, reconnect)
  if (renew && !reconnector) throw new TypeError('connect: `renew` needs `reconnect`, which is off')
  // The settings last: V8 makes a shape of its own for each object where more follows what is spread.
  const setup = {
    heartbeat,
    sharedRoot: sharedRootOf(service),
    createRoot,
    resumeStrategy: reconnector,
    ...settings
  }
  return new Connection(openSocket(), setup, renew ? reconnector : undefined)
}

/** @internal A connection over one transport, which ends with it. */
export function connectOverEndpoint<T>(
  openTransport: (settings: Settings) => Transport,
  { service = EmptyService, ...options }: ConnectOptions
): Connection<T> {
  const settings = settingsOf(options)
  const createRoot = rootFactoryOf(service)
  return new Connection(openTransport(settings), {
    sharedRoot: sharedRootOf(service),
    createRoot,
    ...settings
  })
}

function parseAddress(url: unknown): string {
  const text = String((url as { href?: unknown } | null)?.href ?? url)
  const hasKnownScheme = /^\s*(ws|http)s?:/i.test(text)
  if (hasKnownScheme && URL.canParse(text) && !text.includes('#')) return text
  const redacted = redactCredentials(text)
  const suggestion = (hasKnownScheme ? redacted : `ws://${redacted.replace(/^\w+:\/\//, '')}`).replace(
    /#.*/s,
    ''
  )
  const hint = suggestion !== redacted && URL.canParse(suggestion) ? `; was "${suggestion}" meant?` : ''
  throw new TypeError(`connect: "${redacted}" is not a ws:// or wss:// address${hint}`)
}
