// Defines `connect`, which opens a session with a server.

import { rootFactoryOf, Service, sharedRootOf } from '../access/service.js'
import { markUnserializable } from '../codec/classify.js'
import { type Reason, SessionEndedError } from '../errors.js'
import type { ResumeStrategy } from '../link/resume-strategy.js'
import { livenessOf, type Settings, settingsOf } from '../session/options.js'
import { SESSION_EVENTS, SessionImpl, type SessionSetup } from '../session/session.js'
import type { Endpoint } from '../transport/endpoint.js'
import {
  isNetworkEndpoint,
  type NetworkEndpoint,
  type TransportOpener
} from '../transport/network-endpoint.js'
import { TokenSender } from '../transport/token.js'
import { DISCONNECTED, type Transport } from '../transport/transport.js'
import type { Netref } from '../types/netref.js'
import type {
  Session,
  SessionCloseOptions,
  SessionEvents,
  SessionState,
  SessionStats
} from '../types/session.js'
import { checkOptions } from '../util/check-options.js'
import { describeValue } from '../util/describe.js'
import { Emitter } from '../util/emitter.js'
import { redactCredentials } from '../util/printable.js'
import { openSocket } from './open-socket.js'
import { CONNECT_OPTIONS, type ConnectOptions, RECONNECT_OPTIONS, type ReconnectOptions } from './options.js'
import { connectExtras } from './registry.js'

/** The events of a connection, by name, with what their listeners get. */
export interface ConnectionEvents extends SessionEvents {
  /** The server has accepted the client for the first time. */
  open: undefined
  /** A new session replaced the lost one; `root` is the new session's root. */
  renewed: undefined
}

const CONNECTION_EVENTS = [...SESSION_EVENTS, 'open', 'renewed'] as const

/** Why a page in the back/forward cache has no socket. */
const IN_CACHE: Reason = { code: 'connection-lost', message: 'the page is in the back/forward cache' }

/** Most open sessions of a connection. A server that never ends those it has announced to leave must not add more. */
const MAX_OPEN_SESSIONS = 8

/** Reasons after which a new session may replace the ended one. */
const RENEWABLE_CODES = new Set<string>(['connection-lost', 'session-lost', 'server-closed'])

/**
 * The client's handle on a session, which `connect` returns. Calls made before the socket is open wait for it.
 *
 * @example
 * const conn = connect<Calculator>('ws://localhost:18861')
 * void conn.closed.then(({ code, message }) => console.log(`${code}: ${message}`))
 * console.log(await conn.root.add(1, 2))
 * await conn.close()
 */
export class Connection<T> {
  /**
   * For types only. A mapped type makes TypeScript compare connections member by member, so that a connection to a T is
   * one to a base of T, too. It must come before `root`. `out T` does not compile: TypeScript cannot compare `Netref` of
   * two unknown types.
   */
  declare readonly '~members'?: { readonly [K in keyof T]: T[K] }
  /** Resolves with the reason when the session has ended and no other replaces it. It never rejects. */
  readonly closed: Promise<Reason>
  /** Resolves when the server has accepted the client. Rejects with a SessionEndedError if the session ends before. */
  readonly opened: Promise<void>
  readonly #events: Emitter<ConnectionEvents>
  #session: SessionImpl
  /** The session that replaces the current one once it is open, or once the current one has ended. */
  #next: SessionImpl | undefined
  /** All sessions that have not ended: those two, and those that were left. */
  readonly #openSessions = new Set<SessionImpl>()
  #reportedState: SessionState = 'connecting'
  #keepsProcessAlive = true
  #resolveClosed!: (reason: Reason) => void

  /** @internal */
  constructor(
    transport: Transport,
    private readonly setup: Omit<SessionSetup, 'isInitiator' | 'onStarted' | 'successor' | 'resumeStrategy'>,
    resumeStrategy?: ResumeStrategy,
    /** Creates the strategy of the next session, or undefined if none may follow. Undefined if sessions are not renewed. */
    private readonly renew?: () => ResumeStrategy | undefined
  ) {
    this.#events = new Emitter(CONNECTION_EVENTS, error => setup.onError(error, { session: this.#session }))
    this.closed = new Promise(resolve => {
      this.#resolveClosed = resolve
    })
    let onOpened!: () => void
    let onFailed!: (error: SessionEndedError) => void
    this.opened = new Promise((resolve, reject) => {
      onOpened = resolve
      onFailed = reject
    })
    // A connection whose opening nobody awaits may fail: its calls reject.
    this.opened.catch(() => {})
    this.#session = this.#startSession(transport, resumeStrategy, () => {
      onOpened()
      this.#events.emit('open', undefined)
    })
    void this.closed.then(reason => onFailed(new SessionEndedError(reason, 'opened', false)))
  }

  #startSession(
    transport: Transport,
    resumeStrategy: ResumeStrategy | undefined,
    onBegin: () => void
  ): SessionImpl {
    const successor = this.renew && ((reason: Reason) => this.#startSuccessor(session, reason))
    const session: SessionImpl = new SessionImpl(transport, {
      isInitiator: true,
      onStarted: onBegin,
      successor,
      resumeStrategy,
      ...this.setup
    })
    this.#openSessions.add(session)
    session.start()
    if (!this.#keepsProcessAlive) session.link.unref()
    session.on('leaving', () => {
      if (session === this.#session) this.#next ??= this.#startNext()
    })
    for (const name of ['interrupted', 'resumed', 'leaving'] as const)
      session.on(name, event => session === this.#session && this.#events.emit(name, event as never))
    session.on('state', () => this.#reportState())
    session.on('closed', reason => this.#onClosed(session, reason))
    return session
  }

  #onClosed(session: SessionImpl, reason: Reason): void {
    this.#openSessions.delete(session)
    if (session === this.#next) this.#next = undefined
    if (session !== this.#session) return this.#reportState()
    void this.#next?.close()
    this.setup.rejections.flush()
    this.#resolveClosed(reason)
    this.#events.emit('closed', reason)
  }

  #reportState(): void {
    const { state } = this
    if (state === this.#reportedState) return
    this.#reportedState = state
    this.#events.emit('state', state)
  }

  /** Starts the session that shall replace the current one; undefined if none may. */
  #startNext(): SessionImpl | undefined {
    const strategy = this.renew?.()
    if (!strategy) return undefined
    const next = this.#startSession(DISCONNECTED, strategy, () => {
      if (this.#session.isClosing) return void next.close()
      this.#useNext(next)
      this.#events.emit('renewed', undefined)
    })
    return next
  }

  /** The current session, even if it has ended, and all that have not. */
  get #sessions(): ReadonlySet<SessionImpl> {
    return new Set([this.#session, ...this.#openSessions])
  }

  /** Makes a session the current one. Beyond the maximum, the oldest that was left ends. */
  #useNext(next: SessionImpl): void {
    this.#session = next
    this.#next = undefined
    const [oldest] = this.#openSessions
    if (this.#openSessions.size > MAX_OPEN_SESSIONS) void oldest!.close()
  }

  /** Replaces a session that has ended, or is left. @returns the current session; undefined if none may replace it */
  #startSuccessor(session: SessionImpl, { code }: Reason): SessionImpl | undefined {
    if (!RENEWABLE_CODES.has(code)) return undefined
    if (session !== this.#session) return this.#session
    const next = this.#next ?? this.#startNext()
    if (next) this.#useNext(next)
    if (session.state !== 'closed') this.#reportState()
    return next
  }

  /** @internal The connection closes with its page, and pauses while its page is in the back/forward cache. */
  followPage(): this {
    const each = (act: (link: SessionImpl['link']) => void) => () => {
      for (const { link } of this.#sessions) act(link)
    }
    const stop = connectExtras()!.followPage({
      close: () => void this.close(),
      suspend: each(link => link.suspend(IN_CACHE)),
      resume: each(link => link.continue()),
      probe: each(link => link.probe())
    })
    void this.closed.then(stop)
    return this
  }

  /** The current session; `renew` may replace it. */
  get session(): Session {
    return this.#session
  }

  /** The root object of the server. */
  get root(): Netref<T> {
    return this.session.root as Netref<T>
  }

  /** The state of the session; `interrupted` means that the client is reconnecting. */
  get state(): SessionState {
    return this.session.state
  }

  /** Counters: references held, calls pending, frames and bytes in each direction. */
  get stats(): SessionStats {
    return this.session.stats
  }

  /**
   * Calls `listener` at each event: `interrupted` and `closed`, with the reason, `open`, `resumed`, `leaving`, `renewed`,
   * and `state`, with the new state.
   *
   * @returns a function that removes the listener
   * @throws TypeError for an unknown event, or for a listener that is not a function
   * @example
   * conn.on('interrupted', ({ message }) => console.log(`offline: ${message}`))
   */
  on<E extends keyof ConnectionEvents>(name: E, listener: (event: ConnectionEvents[E]) => void): () => void {
    return this.#events.on(name, listener)
  }

  /**
   * Measures a round trip to the server.
   *
   * @returns the round-trip time, in ms
   * @throws SessionEndedError if the session ends first
   */
  ping(): Promise<number> {
    return this.session.ping()
  }

  /**
   * Lets the process exit while the connection is open or reconnecting, as `unref()` of Node's sockets does. Over an
   * endpoint it applies to the session only; the owner of a worker must `unref()` the worker itself. In a page it does
   * nothing.
   *
   * @returns the connection itself
   */
  unref(): this {
    this.#keepsProcessAlive = false
    for (const session of this.#sessions) session.link.unref()
    return this
  }

  /**
   * Sends all calls made so far, then ends the session, for the reason `closed` or that of `options`. Pending calls
   * reject. Resolves when the socket is closed.
   *
   * @throws TypeError for invalid options
   */
  close(options?: SessionCloseOptions): Promise<void> {
    return Promise.all([...this.#sessions].map(session => session.close(options))).then(() => {})
  }

  /** `await using conn = connect(…)` closes the connection at the end of the block, as `close()` does. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

markUnserializable(Connection, 'Connection')

/** The default service of a client; it has no members. */
export class EmptyService extends Service {}

/**
 * Connects to a server by its address, or to a service behind a Worker, a MessagePort or a byte stream. It returns
 * immediately: `root` can be used before the socket is open. If the server cannot be reached, every call rejects with
 * the address and the cause, and `closed` resolves with the reason `unreachable`.
 *
 * @throws TypeError if `target` is neither a `ws://` or `wss://` address nor an endpoint
 * @throws TypeError if an option is unknown, invalid, or a socket option (`token`, `reconnect`, `renew`, `heartbeat`,
 * …) given for an endpoint
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
    Object(target) === target && !('href' in (target as object))
      ? (target as Endpoint)
      : parseAddress(target, options)
  checkOptions('connect', options, CONNECT_OPTIONS, true)
  if (typeof endpoint !== 'string' && !isNetworkEndpoint(endpoint)) {
    const { openEndpoint } = connectExtras() ?? notInLite('a session over an endpoint')
    return connectOverEndpoint(settings => openEndpoint(endpoint, options, settings), options)
  }
  const { service = EmptyService, reconnect, renew = false, affinity = false, token, ...others } = options
  const settings = settingsOf(others, 'connect')
  const createRoot = rootFactoryOf(service, 'connect')
  const { heartbeat } = livenessOf(others, 'connect')
  const [peerName, createOpener] =
    typeof endpoint === 'string'
      ? [redactCredentials(endpoint), socketOpener(endpoint, affinity, options, settings)]
      : [endpoint.serviceName, networkOpener(endpoint, options, settings)]
  /** Creates what opens the transports of one session. */
  const createSessionOpener = (): TransportOpener => {
    const open = createOpener()
    return token === undefined ? open : resumes => new TokenSender(open(resumes), token, peerName)
  }
  const open = createSessionOpener()
  const createReconnector =
    reconnect === false ? undefined : reconnectorFactory(open, createSessionOpener, heartbeat, reconnect)
  if (renew && !createReconnector) {
    if (!connectExtras()) notInLite('`renew`')
    throw new TypeError('connect: `renew` cannot be combined with `reconnect: false`; remove one of them')
  }
  // The settings are spread last: V8 creates a separate shape for each object whose spread is followed by more
  // properties.
  const setup = { heartbeat, sharedRoot: sharedRootOf(service), createRoot, ...settings }
  const connection = new Connection<T>(
    open(false),
    setup,
    createReconnector?.(false),
    renew ? () => createReconnector!(true) : undefined
  )
  return createReconnector ? connection.followPage() : connection
}

/**
 * Creates the strategy of the first session, or of one that replaces another; that is undefined if the signal is aborted.
 * Undefined without reconnection, of which only `netref/lite` has none.
 */
function reconnectorFactory(
  openFirst: TransportOpener,
  createOpener: () => TransportOpener,
  heartbeatMs: number,
  options: ReconnectOptions | undefined
): ((isRenewal: boolean) => ResumeStrategy | undefined) | undefined {
  const extras = connectExtras()
  if (!extras && options === undefined) return undefined
  const { createReconnector } = extras ?? notInLite('`reconnect`')
  const given = options ?? {}
  checkOptions('connect: `reconnect`', given, RECONNECT_OPTIONS)
  return isRenewal => {
    if (!isRenewal) return createReconnector(openFirst, heartbeatMs, given)
    if (given.signal?.aborted) return undefined
    return createReconnector(createOpener(), heartbeatMs, { ...given, initial: true })
  }
}

/**
 * Creates the opener of each session over WebSockets. With `affinity` the URL has an id of the session: it is random, so
 * that a load balancer spreads the sessions, and no secret.
 */
const socketOpener =
  (address: string, affinity: boolean, options: ConnectOptions, settings: Settings) =>
  (): TransportOpener => {
    const id = Math.random().toString(36).slice(2)
    const url = affinity ? `${address}${address.includes('?') ? '&' : '?'}affinity=${id}` : address
    return () => openSocket(url, options, settings)
  }

/** Creates the opener of each session over a network. */
function networkOpener(
  endpoint: NetworkEndpoint,
  options: ConnectOptions,
  settings: Settings
): () => TransportOpener {
  const { openNetworkEndpoint } = connectExtras() ?? notInLite('a session over an endpoint')
  return openNetworkEndpoint(endpoint, options, settings)
}

/** @throws TypeError */
function notInLite(what: string): never {
  throw new TypeError(`connect: ${what} is not part of 'netref/lite'; import 'netref'`)
}

/** @internal Connects over a single transport; the connection ends with it. */
export function connectOverEndpoint<T>(
  openTransport: (settings: Settings) => Transport,
  { service = EmptyService, ...options }: ConnectOptions
): Connection<T> {
  const settings = settingsOf(options, 'connect')
  const createRoot = rootFactoryOf(service, 'connect')
  return new Connection(openTransport(settings), {
    sharedRoot: sharedRootOf(service),
    createRoot,
    ...settings
  })
}

function parseAddress(url: unknown, options: unknown): string {
  if (typeof url === 'string' && typeof options === 'number') {
    const host = redactCredentials(url).replace(/^\w+:\/\//, '')
    if (/^[^/:]+$/.test(host))
      throw new TypeError(`connect takes an address and options: connect("ws://${host}:${options}")`)
  }
  if (typeof url !== 'string' && !Object(url).href) {
    throw new TypeError(
      `connect: ${describeValue(url)} is not an address; pass one such as "ws://localhost:18861", or an endpoint`
    )
  }
  const text = String(typeof url === 'string' ? url : (url as { href: unknown }).href)
  const hasKnownScheme = /^\s*(ws|http)s?:/i.test(text)
  if (hasKnownScheme && URL.canParse(text) && !text.includes('#')) return text
  const redacted = redactCredentials(text)
  if (/^\s*(nats|tls):/i.test(text))
    throw new TypeError(
      `connect: "${redacted}" is an address of NATS; pass nats(address).service(name) of netref/nats`
    )
  const suggestion = (hasKnownScheme ? redacted : `ws://${redacted.replace(/^\w+:\/\//, '')}`).replace(
    /#.*/s,
    ''
  )
  const hint = suggestion !== redacted && URL.canParse(suggestion) ? `; did you mean "${suggestion}"?` : ''
  throw new TypeError(`connect: "${redacted}" is not a ws:// or wss:// address${hint}`)
}
