// `serve`: a WebSocket server with a session for each client.

import { runningCall } from '../access/call-context.js'
import { rootMaker, type ServiceSource } from '../access/service.js'
import { refuse } from '../codec/classify.js'
import { NetrefError, type Reason } from '../errors.js'
import { type FrameData, formatResumption, type Resumption } from '../protocol/frame.js'
import { type Keying, keyingOf } from '../session/idempotency.js'
import { Metrics, type ServerMetrics } from '../session/metrics.js'
import { type Liveness, livenessOf, SERVING_OPTIONS, type Settings, settingsOf } from '../session/options.js'
import { SessionImpl } from '../session/session.js'
import { checkEndpointOptions } from '../transport/endpoint.js'
import { Relay } from '../transport/relay.js'
import { DEAF, type Transport } from '../transport/transport.js'
import type { Session } from '../types/session.js'
import { checkMs, checkOptions, type OptionKinds } from '../util/check-options.js'
import { clock } from '../util/clock.js'
import { Context } from '../util/contexts.js'
import { Emitter } from '../util/emitter.js'
import { Draining } from './draining.js'
import { Reception } from './handshake.js'
import { listen } from './listen.js'
import type { ServeOptions } from './options.js'
import type { Arrival, ResumingListener, Ticket, Tickets } from './resume-tokens.js'

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

const CLOSE_OPTIONS: OptionKinds<CloseOptions> = { drain: '' }

/** A session that has not been started, and the ticket to carry it on where that can be. */
interface Prepared {
  readonly session: SessionImpl
  readonly ticket: Ticket | undefined
}

/** What `serve` made: it listens until it is closed. */
export class Server {
  /** The sessions that go on at present. */
  readonly sessions: ReadonlySet<Session>
  readonly #sessions = new Set<SessionImpl>()
  /** Sockets that have not said what they want. */
  readonly #arriving = new Set<Reception>()
  /** All sessions that were started, also those whose client's hello is not read yet. */
  readonly #all = new Set<SessionImpl>()
  readonly #listener: ResumingListener
  readonly #events: Emitter<ServerEvents>
  readonly #metrics = new Metrics()
  readonly #context = new Context()
  #keepsAlive = true
  #closing: Promise<void> | undefined
  /** Whether it waits for calls that are under way. */
  #drains = false

  /** @internal */
  constructor(
    listener: ResumingListener,
    private readonly makeRoot: (session: Session) => object,
    private readonly settings: Settings & Liveness & { readonly keying?: Keying | undefined }
  ) {
    // Said here, not beside the class, so that a page that serves nothing need not load it.
    refuse(Server, 'it belongs to this side alone', 'Server')
    this.sessions = this.#sessions
    this.#listener = listener
    this.#events = new Emitter(['session', 'closed'], this.#report)
  }

  /** @internal */
  open(): Promise<void> {
    return this.#listener.open(visitor => this.#accept(visitor), this.#report)
  }

  readonly #report = (error: unknown) => this.settings.onError(error, { session: undefined })

  #accept(visitor: Arrival): void {
    const { since = clock.now() } = visitor
    const transport = new Relay(visitor.transport)
    if (!this.#keepsAlive) transport.unref()
    // What `authenticate` made current, say, is nothing that calls run in.
    const prepared = this.#context.run(() => this.#prepare(transport, visitor.identity))
    const destination = {
      begin: (first: FrameData) => this.#begin(prepared, transport, visitor, first),
      resume: (resumption: Resumption) => this.#resume(transport, visitor, resumption)
    }
    this.#arriving.add(new Reception(transport, destination, this.settings.limits.helloMs, since, this.#left))
  }

  readonly #left = (reception: Reception) => void this.#arriving.delete(reception)

  /** Makes a session while the client's hello is on its way; who carries one on, or says nothing, has no use for it. */
  #prepare(transport: Transport, identity: unknown): Prepared {
    const { settings, makeRoot } = this
    const recovery = this.#listener.tickets?.make()
    const onEnd = (session: SessionImpl) => {
      recovery?.forget()
      this.#all.delete(session)
      if (this.#sessions.delete(session)) this.#metrics.ended(session.stats)
    }
    // The settings last: so all setups are of one shape, and weigh half as much.
    const setup = { initiates: false, identity, makeRoot, onBegin: this.#begun, onEnd, recovery, ...settings }
    return { session: new SessionImpl(transport, setup), ticket: recovery }
  }

  readonly #begun = (session: SessionImpl) => {
    this.#sessions.add(session)
    this.#events.emit('session', session)
  }

  /** A client is a session once it has said hello. */
  #begin({ session, ticket }: Prepared, transport: Transport, visitor: Arrival, first: FrameData): void {
    if (this.#closing) return turnAway(transport, GOING)
    const { sessions } = this.settings.limits
    this.#makeRoom(visitor)
    visitor.loan?.giveBack()
    if (this.#all.size >= sessions) {
      return turnAway(transport, {
        code: 'unavailable',
        message: `the server has ${sessions} sessions already`
      })
    }
    ticket?.issue(session, visitor.address)
    this.#all.add(session)
    session.start().link.received(first)
    if (!session.greeted && !session.busy)
      session.end({ code: 'protocol', message: 'it received a frame that holds no hello' })
  }

  /** A client has more to do than those that may come back to its own sessions; to those of others it has no right. */
  #makeRoom({ address, loan }: Arrival): void {
    const { tickets } = this.#listener
    const { sessions, sessionsPerAddress } = this.settings.limits
    if (tickets && tickets.sessionsAt.of(address) >= sessionsPerAddress) {
      const most = `${sessionsPerAddress} sessions of an address (limits.sessionsPerAddress)`
      tickets.oldestAt(address)?.session.end(anotherCame(most))
    }
    if (this.#all.size >= sessions) loan?.session?.end(anotherCame(`${sessions} sessions (limits.sessions)`))
  }

  #resume(transport: Transport, { identity, address, loan }: Arrival, { token, received }: Resumption): void {
    loan?.giveBack()
    const { tickets } = this.#listener
    const ticket = tickets?.take(token)
    if (!ticket) {
      const message = 'this server does not know the session: it has ended, or was of a server before'
      return turnAway(transport, { code: 'session-lost', message })
    }
    const { session } = ticket
    if (!this.#isSame(tickets!, session.identity, identity)) {
      return turnAway(transport, { code: 'session-lost', message: 'the session is somebody else’s' })
    }
    const answer = { token: ticket.token, received: session.link.receiver.frames }
    ticket.moved(address)
    session.link.carryOn(transport, received, formatResumption('resumed', answer))
  }

  #isSame(tickets: Tickets, began: unknown, comes: unknown): boolean {
    try {
      return tickets.isSame(began, comes)
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
    return this.#metrics.snapshot(this.#sessions, this.#arriving.size + (this.#listener.deciding ?? 0))
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
    for (const reception of this.#arriving) reception.unref()
    for (const session of this.#all) session.link.unref()
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
    this.#closing ??= this.#close(drain)
    const call = runningCall()
    return call && this.#all.has(call.session as SessionImpl)
      ? Draining.by(call, this.#closing, () => this.#drains)
      : this.#closing
  }

  async #close(drain: number): Promise<void> {
    this.#drains = drain > 0
    for (const end = clock.now() + drain; clock.now() < end && [...this.#all].some(({ busy }) => busy); ) {
      await new Promise(resolve => clock.setTimeout(resolve, LOOK_AGAIN))
    }
    this.#drains = false
    const stopped = this.#listener.close()
    for (const arriving of this.#arriving) arriving.end(GOING)
    const gone = [...this.#all].map(session => {
      session.end(GOING)
      return session.close()
    })
    await Promise.all([stopped, ...gone])
    this.settings.refusals.flush()
    this.#events.emit('closed', undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

const GOING: Reason = { code: 'server-closed', message: 'the server is going away' }
/** How often it is looked whether calls are still under way, in ms. */
const LOOK_AGAIN = 20

/** Why a session ends that waits, as there may be no more than `most`. */
const anotherCame = (most: string): Reason => ({
  code: 'limit',
  message: `another client came, and there may be ${most}`
})

function turnAway(transport: Transport, reason: Reason): void {
  transport.start(DEAF)
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
  const settings = { heartbeat, keying: keyingOf(options), ...settingsOf(options) }
  const server = new Server(listen(options, settings), rootMaker(service), settings)
  await server.open()
  return server
}
