// Defines `serve`, which creates a server with one session for each client.

import { runningCall } from '../access/call-context.js'
import { rootFactoryOf, type ServiceSource } from '../access/service.js'
import { markUnserializable } from '../codec/classify.js'
import { NetrefError, type Reason } from '../errors.js'
import { type FrameData, formatResume, type ResumeFrame } from '../protocol/frame.js'
import { type IdempotentCallsFactory, idempotentCallsFactoryOf } from '../session/idempotency.js'
import { CALLS_CHECK_MS, SERVER_CLOSING } from '../session/leaving.js'
import { MetricsCollector, type ServerMetrics } from '../session/metrics.js'
import { type Liveness, livenessOf, SERVING_OPTIONS, type Settings, settingsOf } from '../session/options.js'
import { SessionImpl } from '../session/session.js'
import { checkEndpointOptions } from '../transport/endpoint.js'
import { isNetworkEndpoint } from '../transport/network-endpoint.js'
import type { Transport } from '../transport/transport.js'
import type { Session } from '../types/session.js'
import { ContextSnapshot } from '../util/async-context.js'
import { checkMs, checkOptions, type OptionTypes } from '../util/check-options.js'
import { clock } from '../util/clock.js'
import { describeValue } from '../util/describe.js'
import { Emitter } from '../util/emitter.js'
import { Departure } from './departure.js'
import { DrainPromise } from './drain-promise.js'
import { Handshake } from './handshake.js'
import { listen } from './listen.js'
import type { ServeOptions } from './options.js'
import { GOING_AWAY, type Refusal, Refusals } from './refusals.js'
import type { ClientWithReservation, ResumeToken, ResumeTokens, ResumingListener } from './resume-tokens.js'

/** The events of a server, by name, with what their listeners get. */
export interface ServerEvents {
  /** The session of a new client has begun. */
  session: Session
  /**
   * A client was not accepted, or could not resume its session. Each address and code has an event at once, and one for
   * those of the next ten seconds. If there are more than 100 of them, the others have one together.
   */
  refused: Refusal
  /** The server has closed. */
  closed: undefined
}

/** Options of `server.close`. */
export interface CloseOptions {
  /** How long calls under way may take to finish, in ms. @default 0 */
  readonly drain?: number | undefined
}

const CLOSE_OPTIONS: OptionTypes<CloseOptions> = { drain: '' }

/** A session that has not started, and its resume token if it can be resumed. */
interface PreparedSession {
  readonly session: SessionImpl
  readonly resumeToken: ResumeToken | undefined
}

/** `draining`: it refuses new clients, and calls under way may finish. */
export type ServerState = 'open' | 'draining' | 'closed'

/**
 * A server that `serve` created; it listens until it is closed.
 *
 * @example
 * await using server = await serve(Calculator, { port: 0 })
 * console.log(server.url, server.sessions.size, server.metrics.callsIn)
 */
export class Server {
  /** The current sessions. */
  readonly sessions: ReadonlySet<Session>
  readonly #sessions = new Set<SessionImpl>()
  /** Sockets whose first frame has not arrived. */
  readonly #handshakes = new Set<Handshake>()
  /** All started sessions, including those whose hello is not processed yet. */
  readonly #startedSessions = new Set<SessionImpl>()
  /** Those of them that are for one request only. */
  readonly #requestSessions = new Set<SessionImpl>()
  readonly #listener: ResumingListener
  readonly #events: Emitter<ServerEvents>
  readonly #metrics = new MetricsCollector()
  readonly #refusals: Refusals
  readonly #context = new ContextSnapshot()
  #keepsAlive = true
  #closing: Promise<void> | undefined
  /** Whether `close` is waiting for running calls. */
  #isDraining = false

  /** @internal */
  constructor(
    listener: ResumingListener,
    private readonly createRoot: (session: Session) => object,
    private readonly settings: Settings &
      Liveness & { readonly idempotentCallsFactory?: IdempotentCallsFactory | undefined }
  ) {
    this.sessions = this.#sessions
    this.#listener = listener
    this.#events = new Emitter(['session', 'refused', 'closed'], this.#report)
    this.#refusals = new Refusals(refusal => this.#events.emit('refused', refusal))
  }

  /** @internal */
  open(): Promise<void> {
    return this.#listener.open(
      client => this.#accept(client),
      this.#report,
      (ip, reason) => this.#refusals.add(ip, reason),
      () => this.metrics
    )
  }

  readonly #report = (error: unknown) => this.settings.onError(error, { session: undefined })

  #accept(client: ClientWithReservation): void {
    const { connectedAt = clock.now() } = client
    const { transport } = client
    if (!this.#keepsAlive) transport.unref()
    // Sessions do not inherit the asynchronous context of `authenticate`.
    const prepared = this.#context.run(() => this.#prepareSession(transport, client))
    const handler = {
      begin: (first: FrameData) => this.#beginSession(prepared, transport, client, first),
      resume: (resumption: ResumeFrame) => this.#resumeSession(transport, client, resumption),
      onRejected: (reason: Reason) => this.#refusals.add(client.ip, reason)
    }
    this.#handshakes.add(
      new Handshake(transport, handler, this.settings.limits.helloMs, connectedAt, this.#onHandshakeDone)
    )
  }

  readonly #onHandshakeDone = (handshake: Handshake) => void this.#handshakes.delete(handshake)

  /**
   * Creates a session while the client's hello is in transit. A client that resumes, or sends nothing, does not use
   * it.
   */
  #prepareSession(transport: Transport, client: ClientWithReservation): PreparedSession {
    const { settings, createRoot } = this
    const { identity, ip, gateway, isRequest } = client
    const resumeToken = gateway === undefined ? this.#listener.resumeTokens?.create() : undefined
    const onEnded = (session: SessionImpl, reason: Reason) => {
      if (isRequest) this.#requestSessions.delete(session)
      resumeToken?.revoke(session.isClosedHere ? reason : undefined)
      this.#startedSessions.delete(session)
      if (this.#sessions.delete(session)) this.#metrics.addEnded(session.stats)
      else if (UNACCEPTABLE_CODES.has(reason.code)) this.#refusals.add(ip, reason)
    }
    // The settings are spread last, so that all setups share one shape and take half the memory.
    const setup = {
      isInitiator: false,
      identity,
      gateway,
      createRoot,
      onStarted: this.#onSessionBegin,
      onEnded,
      resumeStrategy: resumeToken,
      ...settings
    }
    return { session: new SessionImpl(transport, setup), resumeToken }
  }

  readonly #onSessionBegin = (session: SessionImpl) => {
    this.#sessions.add(session)
    this.#events.emit('session', session)
  }

  /** Begins the session of a client whose first frame has arrived. */
  #beginSession(
    { session, resumeToken }: PreparedSession,
    transport: Transport,
    client: ClientWithReservation,
    first: FrameData
  ): void {
    if (this.#closing) return transport.abandon(GOING_AWAY)
    const { sessions } = this.settings.limits
    this.#evictInterruptedSession(client)
    client.reservation?.release()
    if (client.isRequest) this.#requestSessions.add(session)
    else if (this.#countedSessions >= sessions) {
      return this.#refuse(transport, client, {
        code: 'unavailable',
        message: `the server has reached its limit of ${sessions} sessions`
      })
    }
    resumeToken?.activate(session, client.address)
    this.#startedSessions.add(session)
    session.start().link.onFrame(first)
    if (!session.helloReceived && !session.busy)
      session.end({ code: 'protocol', message: 'the first frame contains no hello' })
  }

  /** Sessions that `limits.sessions` counts. */
  get #countedSessions(): number {
    return this.#startedSessions.size - this.#requestSessions.size
  }

  /**
   * Ends the oldest interrupted session of the client's address, or the one whose slot the client reserved, if a limit
   * is reached.
   */
  #evictInterruptedSession({ address, reservation }: ClientWithReservation): void {
    const { resumeTokens } = this.#listener
    const { sessions, sessionsPerAddress } = this.settings.limits
    if (resumeTokens && resumeTokens.sessionsPerAddress.countOf(address) >= sessionsPerAddress) {
      const limit = `${sessionsPerAddress} sessions of an address (limits.sessionsPerAddress)`
      resumeTokens.oldestInterruptedAt(address)?.session.end(replacedByClient(limit))
    }
    if (this.#countedSessions >= sessions)
      reservation?.session?.end(replacedByClient(`${sessions} sessions (limits.sessions)`))
  }

  #resumeSession(transport: Transport, client: ClientWithReservation, { token, ack }: ResumeFrame): void {
    const { identity, address, reservation } = client
    reservation?.release()
    const { resumeTokens } = this.#listener
    const resumeToken = resumeTokens?.redeem(token)
    if (!resumeToken) {
      const message = 'the server does not know the session: it has ended, or belonged to an earlier server'
      const closed = resumeTokens?.closeReasonOf(token)
      return this.#refuse(transport, client, closed ?? { code: 'session-lost', message })
    }
    const { session } = resumeToken
    if (!this.#isSameIdentity(resumeTokens!, session.identity, identity)) {
      return this.#refuse(transport, client, {
        code: 'session-lost',
        message: 'the session belongs to another identity'
      })
    }
    const answer = { token: resumeToken.token, ack: session.link.receiver.receivedFrames }
    resumeToken.setAddress(address)
    session.link.resume(transport, ack, formatResume('resumed', answer))
    if (session.state === 'open') this.#metrics.resumedCount++
  }

  #refuse(transport: Transport, { ip }: ClientWithReservation, reason: Reason): void {
    transport.abandon(reason)
    this.#refusals.add(ip, reason)
  }

  #isSameIdentity(resumeTokens: ResumeTokens, original: unknown, presented: unknown): boolean {
    try {
      return resumeTokens.isSameIdentity(original, presented)
    } catch (error) {
      this.#report(error)
      return false
    }
  }

  /**
   * The address that clients connect to, e.g. `ws://127.0.0.1:18861`. @throws NetrefError if it does not listen on a
   * port
   */
  get url(): string {
    return this.#listener.url ?? notListening('url')
  }

  /** The port that it listens on, e.g. the one chosen for `port: 0`. @throws NetrefError if it does not listen on a port */
  get port(): number {
    return this.#listener.port ?? notListening('port')
  }

  /** The ports of the gateways that have a port of their own, by name. */
  get gatewayPorts(): Readonly<Record<string, number>> {
    return this.#listener.gateways?.ports ?? {}
  }

  /** Whether it accepts clients. */
  get state(): ServerState {
    if (this.#isDraining) return 'draining'
    return this.#closing ? 'closed' : 'open'
  }

  /** Counters for monitoring: sessions, and the calls, frames and bytes of all of them. */
  get metrics(): ServerMetrics {
    return this.#metrics.snapshot(this.#sessions, {
      arriving: this.#handshakes.size + (this.#listener.pendingClients ?? 0),
      clientsRefused: this.#refusals.count,
      sessionsInterrupted: this.#listener.resumeTokens?.interruptionCount ?? 0,
      gateways: this.#listener.gateways?.metrics ?? {}
    })
  }

  /**
   * Calls `listener` at each `session`, `refused` or `closed` event.
   *
   * @returns a function that removes the listener
   * @throws TypeError for an unknown event, or for a listener that is not a function
   * @example
   * server.on('refused', ({ address, message }) => console.warn(`${address}: ${message}`))
   */
  on<E extends keyof ServerEvents>(name: E, listener: (event: ServerEvents[E]) => void): () => void {
    return this.#events.on(name, listener)
  }

  /**
   * Lets the process exit while the server and its sessions, current and future, are open. The owner of an HTTP server
   * given as `server`, or of an endpoint, must `unref()` it.
   *
   * @returns the server itself
   */
  unref(): this {
    this.#keepsAlive = false
    this.#listener.unref()
    for (const handshake of this.#handshakes) handshake.unref()
    for (const session of this.#startedSessions) session.link.unref()
    return this
  }

  /**
   * Closes the server gracefully. It refuses new clients, and announces to all others that it goes away (`leaving`). Clients
   * with `renew` move to another server behind the same address. Calls under way may finish within `drain`. A session ends
   * with `server-closed`, after `onClosing` of its service, as soon as it has no call under way. Resolves when all sockets
   * are closed. A method that awaits it while the server drains gets an error, since it would wait for itself.
   *
   * @throws TypeError for an unknown option, and RangeError for a `drain` that is not a time in ms
   * @example
   * process.once('SIGTERM', () => server.close({ drain: 10_000 }))
   */
  close(options: CloseOptions = {}): Promise<void> {
    checkOptions('server.close', options, CLOSE_OPTIONS)
    const drain = checkMs('server.close: drain', options.drain ?? 0)
    this.#closing ??= this.#drainAndClose(drain)
    const call = runningCall()
    return call && this.#startedSessions.has(call.session as SessionImpl)
      ? DrainPromise.forCall(call, this.#closing, () => this.#isDraining)
      : this.#closing
  }

  async #drainAndClose(drain: number): Promise<void> {
    if (drain > 0) {
      this.#isDraining = true
      await this.#drain(clock.now() + drain)
      this.#isDraining = false
    }
    const prepared = [...this.#startedSessions].flatMap(session => session.prepareClose() ?? [])
    if (prepared.length > 0) await Promise.all(prepared)
    const stopped = this.#listener.close()
    for (const handshake of this.#handshakes) handshake.reject(GOING_AWAY)
    await Promise.all([stopped, ...[...this.#startedSessions].map(endSession)])
    this.settings.rejections.flush()
    this.#refusals.flush()
    this.#events.emit('closed', undefined)
  }

  /** Announces to all clients that the server goes away, and ends each session once no call is under way in it. */
  async #drain(end: number): Promise<void> {
    this.#listener.leave?.()
    // The session of a request ends with it, and is not told: the request may need further calls.
    const departures = [...this.#startedSessions]
      .filter(session => !this.#requestSessions.has(session))
      .map(session => new Departure(session))
    let refuses = false
    for (let ms = end - clock.now(); ms > 0; ms = end - clock.now()) {
      // A client that is to get a reply, and has lost its socket, may still come back.
      refuses ||= !departures.some(({ isMissed }) => isMissed)
      if (refuses) this.#listener.refuseClients?.()
      for (const departure of departures) {
        const { session, isMissed } = departure
        if (!session.isClosing && departure.proceed(ms) && (refuses || !isMissed)) this.#close(session)
      }
      if (this.#startedSessions.size === 0) return
      await new Promise(resolve => clock.setTimeout(resolve, CALLS_CHECK_MS))
    }
  }

  #close(session: SessionImpl): void {
    const prepared = session.prepareClose()
    if (prepared) void prepared.then(() => endSession(session))
    else void endSession(session)
  }

  /** `await using server = await serve(…)` closes the server at the end of the block, as `close()` does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** @throws TypeError */
export function requireServer(call: string, server: unknown): void {
  if (!(server instanceof Server))
    throw new TypeError(
      `${call}: ${describeValue(server)} is not a server; pass what \`await serve(…)\` returned`
    )
}

/** Resolves when the transport of the session is closed. */
function endSession(session: SessionImpl): Promise<void> {
  session.end(SERVER_CLOSING)
  return session.close()
}

/** @throws NetrefError */
function notListening(property: string): never {
  throw new NetrefError('not-listening', `server.${property}: the server does not listen on a port`)
}

/** Reasons to end a session that has not begun, other than that the client has gone. */
const UNACCEPTABLE_CODES = new Set(['version', 'protocol', 'limit', 'service-failed'])

/** Reason that ends an interrupted session because a limit is reached. */
const replacedByClient = (limit: string): Reason => ({
  code: 'limit',
  message: `it was ended to accept another client: the server allows ${limit}`
})

/**
 * Serves a service over WebSocket. The service is a class that extends `Service` (each session gets an instance), an
 * object (shared by all sessions), or a function `session => object`.
 *
 * @returns the server, once it listens
 * @throws NetrefError with the system's code (`EADDRINUSE`, …) if it cannot listen
 * @throws TypeError for invalid options, and for socket options given with an `endpoint`
 * @example
 * const server = await serve(Calculator, { port: 0 })
 * console.log(`listening at ${server.url}`)
 */
export async function serve<T extends object, Identity = unknown>(
  service: ServiceSource<T, Identity>,
  options: ServeOptions<Identity> = {}
): Promise<Server> {
  checkOptions('serve', options, SERVING_OPTIONS, true)
  const { endpoint } = options
  if (endpoint !== undefined) checkEndpointOptions('serve', Object(endpoint), options)
  // Only a socket, and a transport over a network, can be lost without notice.
  const canBeLost = endpoint === undefined || isNetworkEndpoint(Object(endpoint))
  const { heartbeat } = canBeLost ? livenessOf(options, 'serve') : { heartbeat: 0 }
  const settings = {
    heartbeat,
    idempotentCallsFactory: idempotentCallsFactoryOf(options),
    ...settingsOf(options, 'serve')
  }
  // Registered here, so that a page that does not serve can drop this class from its bundle.
  markUnserializable(Server, 'Server')
  const server = new Server(listen(options, settings), rootFactoryOf(service, 'serve'), settings)
  await server.open()
  return server
}
