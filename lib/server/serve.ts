// `serve`: a WebSocket server with a session for each client.

import { runningCall } from '../access/call-context.js'
import { rootFactoryOf, type ServiceSource } from '../access/service.js'
import { markUnserializable } from '../codec/classify.js'
import { NetrefError, type Reason } from '../errors.js'
import { type FrameData, formatResume, type ResumeFrame } from '../protocol/frame.js'
import { type IdempotentCallsFactory, idempotentCallsFactoryOf } from '../session/idempotency.js'
import { MetricsCollector, type ServerMetrics } from '../session/metrics.js'
import { type Liveness, livenessOf, SERVING_OPTIONS, type Settings, settingsOf } from '../session/options.js'
import { SessionImpl } from '../session/session.js'
import { checkEndpointOptions } from '../transport/endpoint.js'
import { Relay } from '../transport/relay.js'
import { IGNORE_EVENTS, type Transport } from '../transport/transport.js'
import type { Session } from '../types/session.js'
import { checkMs, checkOptions, type OptionTypes } from '../util/check-options.js'
import { clock } from '../util/clock.js'
import { ContextSnapshot } from '../util/contexts.js'
import { Emitter } from '../util/emitter.js'
import { DrainPromise } from './drain-promise.js'
import { Handshake } from './handshake.js'
import { listen } from './listen.js'
import type { ServeOptions } from './options.js'
import type { Arrival, ResumeToken, ResumeTokens, ResumingListener } from './resume-tokens.js'

export interface ServerEvents {
  /** A client has come, and its session has begun. */
  session: Session
  /** The server has closed. */
  closed: undefined
}

export interface CloseOptions {
  /** How long calls may take to finish, in ms. @default 0 */
  readonly drain?: number | undefined
}

const CLOSE_OPTIONS: OptionTypes<CloseOptions> = { drain: '' }

/** A session that has not been started, and the ticket to carry it on where that can be. */
interface PreparedSession {
  readonly session: SessionImpl
  readonly resumeToken: ResumeToken | undefined
}

/** What `serve` made: it listens until it is closed. */
export class Server {
  /** The sessions that go on at present. */
  readonly sessions: ReadonlySet<Session>
  readonly #sessions = new Set<SessionImpl>()
  /** Sockets that have not said what they want. */
  readonly #handshakes = new Set<Handshake>()
  /** All sessions that were started, also those whose client's hello is not read yet. */
  readonly #startedSessions = new Set<SessionImpl>()
  readonly #listener: ResumingListener
  readonly #events: Emitter<ServerEvents>
  readonly #metrics = new MetricsCollector()
  readonly #context = new ContextSnapshot()
  #keepsAlive = true
  #closing: Promise<void> | undefined
  /** Whether it waits for calls that are under way. */
  #isDraining = false

  /** @internal */
  constructor(
    listener: ResumingListener,
    private readonly createRoot: (session: Session) => object,
    private readonly settings: Settings &
      Liveness & { readonly idempotentCallsFactory?: IdempotentCallsFactory | undefined }
  ) {
    // Said here, not beside the class, so that a page that serves nothing need not load it.
    markUnserializable(Server, 'it belongs to this side alone', 'Server')
    this.sessions = this.#sessions
    this.#listener = listener
    this.#events = new Emitter(['session', 'closed'], this.#report)
  }

  /** @internal */
  open(): Promise<void> {
    return this.#listener.open(visitor => this.#accept(visitor), this.#report)
  }

  readonly #report = (error: unknown) => this.settings.onError(error, { session: undefined })

  #accept(client: Arrival): void {
    const { connectedAt = clock.now() } = client
    const transport = new Relay(client.transport)
    if (!this.#keepsAlive) transport.unref()
    // What `authenticate` made current, say, is nothing that calls run in.
    const prepared = this.#context.run(() => this.#prepareSession(transport, client.identity))
    const handler = {
      begin: (first: FrameData) => this.#beginSession(prepared, transport, client, first),
      resume: (resumption: ResumeFrame) => this.#resumeSession(transport, client, resumption)
    }
    this.#handshakes.add(
      new Handshake(transport, handler, this.settings.limits.helloMs, connectedAt, this.#onHandshakeDone)
    )
  }

  readonly #onHandshakeDone = (reception: Handshake) => void this.#handshakes.delete(reception)

  /** Makes a session while the client's hello is on its way; who carries one on, or says nothing, has no use for it. */
  #prepareSession(transport: Transport, identity: unknown): PreparedSession {
    const { settings, createRoot } = this
    const resumeToken = this.#listener.resumeTokens?.create()
    const onEnded = (session: SessionImpl) => {
      resumeToken?.revoke()
      this.#startedSessions.delete(session)
      if (this.#sessions.delete(session)) this.#metrics.addEnded(session.stats)
    }
    // The settings last: so all setups are of one shape, and weigh half as much.
    const setup = {
      isInitiator: false,
      identity,
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

  /** A client is a session once it has said hello. */
  #beginSession(
    { session, resumeToken }: PreparedSession,
    transport: Transport,
    client: Arrival,
    first: FrameData
  ): void {
    if (this.#closing) return rejectTransport(transport, SERVER_CLOSING)
    const { sessions } = this.settings.limits
    this.#evictInterruptedSession(client)
    client.loan?.release()
    if (this.#startedSessions.size >= sessions) {
      return rejectTransport(transport, {
        code: 'unavailable',
        message: `the server has ${sessions} sessions already`
      })
    }
    resumeToken?.activate(session, client.address)
    this.#startedSessions.add(session)
    session.start().link.onFrame(first)
    if (!session.helloReceived && !session.busy)
      session.end({ code: 'protocol', message: 'it received a frame that holds no hello' })
  }

  /** A client has more to do than those that may come back to its own sessions; to those of others it has no right. */
  #evictInterruptedSession({ address, loan }: Arrival): void {
    const { resumeTokens } = this.#listener
    const { sessions, sessionsPerAddress } = this.settings.limits
    if (resumeTokens && resumeTokens.sessionsPerAddress.countOf(address) >= sessionsPerAddress) {
      const limit = `${sessionsPerAddress} sessions of an address (limits.sessionsPerAddress)`
      resumeTokens.oldestInterruptedAt(address)?.session.end(replacedByClient(limit))
    }
    if (this.#startedSessions.size >= sessions)
      loan?.session?.end(replacedByClient(`${sessions} sessions (limits.sessions)`))
  }

  #resumeSession(
    transport: Transport,
    { identity, address, loan }: Arrival,
    { token, ack }: ResumeFrame
  ): void {
    loan?.release()
    const { resumeTokens } = this.#listener
    const resumeToken = resumeTokens?.redeem(token)
    if (!resumeToken) {
      const message = 'this server does not know the session: it has ended, or was of a server before'
      return rejectTransport(transport, { code: 'session-lost', message })
    }
    const { session } = resumeToken
    if (!this.#isSameIdentity(resumeTokens!, session.identity, identity)) {
      return rejectTransport(transport, { code: 'session-lost', message: 'the session is somebody else’s' })
    }
    const answer = { token: resumeToken.token, ack: session.link.receiver.receivedFrames }
    resumeToken.setAddress(address)
    session.link.resume(transport, ack, formatResume('resumed', answer))
  }

  #isSameIdentity(tickets: ResumeTokens, began: unknown, comes: unknown): boolean {
    try {
      return tickets.isSameIdentity(began, comes)
    } catch (error) {
      this.#report(error)
      return false
    }
  }

  /** Where clients connect to, e.g. `ws://127.0.0.1:18861`. @throws NetrefError when it listens at no port */
  get url(): string {
    const { url } = this.#listener
    if (url !== undefined) return url
    throw new NetrefError('not-listening', 'server.url: the server listens at no port')
  }

  /** Numbers, for a dashboard: sessions, and calls, frames and bytes of all of them, summed up. */
  get metrics(): ServerMetrics {
    return this.#metrics.snapshot(
      this.#sessions,
      this.#handshakes.size + (this.#listener.pendingClients ?? 0)
    )
  }

  /** Calls `listener` at `session`, a new one, or `closed`. @returns what takes the listener off again */
  on<E extends keyof ServerEvents>(name: E, listener: (told: ServerEvents[E]) => void): () => void {
    return this.#events.on(name, listener)
  }

  /**
   * The server keeps the process alive no more, and neither do its sessions, present ones and those to come. An http
   * server that was given as `server`, and an endpoint, are their owner's to `unref()`.
   *
   * @returns the server itself
   */
  unref(): this {
    this.#keepsAlive = false
    this.#listener.unref()
    for (const reception of this.#handshakes) reception.unref()
    for (const session of this.#startedSessions) session.link.unref()
    return this
  }

  /**
   * Takes no new sessions, lets calls finish that are under way, then stops listening and ends every session: its
   * client is told `server-closed`. Resolves when all sockets are closed. A method that awaits it while it lets calls
   * finish gets an error, as it waits for itself.
   *
   * @example
   * process.once('SIGTERM', () => server.close({ drain: 10_000 }))
   */
  close(options: CloseOptions = {}): Promise<void> {
    checkOptions('server.close', options, CLOSE_OPTIONS)
    const drain = checkMs('drain', options.drain ?? 0)
    this.#closing ??= this.#drainAndClose(drain)
    const call = runningCall()
    return call && this.#startedSessions.has(call.session as SessionImpl)
      ? DrainPromise.forCall(call, this.#closing, () => this.#isDraining)
      : this.#closing
  }

  async #drainAndClose(drain: number): Promise<void> {
    this.#isDraining = drain > 0
    for (
      const end = clock.now() + drain;
      clock.now() < end && [...this.#startedSessions].some(({ busy }) => busy);
    ) {
      await new Promise(resolve => clock.setTimeout(resolve, DRAIN_POLL_MS))
    }
    this.#isDraining = false
    const stopped = this.#listener.close()
    for (const handshake of this.#handshakes) handshake.reject(SERVER_CLOSING)
    const ended = [...this.#startedSessions].map(session => {
      session.end(SERVER_CLOSING)
      return session.close()
    })
    await Promise.all([stopped, ...ended])
    this.settings.rejections.flush()
    this.#events.emit('closed', undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

const SERVER_CLOSING: Reason = { code: 'server-closed', message: 'the server is going away' }
/** How often it is looked whether calls are still under way, in ms. */
const DRAIN_POLL_MS = 20

/** Why a session ends that waits, as there may be no more than `most`. */
const replacedByClient = (limit: string): Reason => ({
  code: 'limit',
  message: `another client came, and there may be ${limit}`
})

function rejectTransport(transport: Transport, reason: Reason): void {
  transport.start(IGNORE_EVENTS)
  transport.close(reason)
}

/**
 * Serves a service over WebSocket: a class that extends `Service` (each session gets an instance of its own), an
 * object (all sessions share it), or a function `session => object`.
 *
 * @returns the server, once it listens
 * @throws NetrefError with the code of the system (`EADDRINUSE`, …) when it cannot listen, TypeError for bad options, and
 * for those of a socket beside an `endpoint`
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
  // Only a socket is lost without a word.
  const { heartbeat } = endpoint === undefined ? livenessOf(options) : { heartbeat: 0 }
  const settings = {
    heartbeat,
    idempotentCallsFactory: idempotentCallsFactoryOf(options),
    ...settingsOf(options)
  }
  const server = new Server(listen(options, settings), rootFactoryOf(service), settings)
  await server.open()
  return server
}
