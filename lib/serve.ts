// `serve`: a WebSocket server with a session for each client.

import { runningCall } from './call-context.js'
import { clock } from './clock.js'
import { Context } from './contexts.js'
import { Draining } from './draining.js'
import { checkEndpointOptions } from './endpoint.js'
import { listen, type ServedEndpoint } from './endpoints.js'
import type { EntranceOptions } from './entrance.js'
import { NetrefError, type Reason } from './errors.js'
import { Emitter } from './events.js'
import { type FrameData, formatResumption, type Resumption } from './frame.js'
import { Metrics, type ServerMetrics } from './metrics.js'
import { checkOptions, type OptionKinds } from './option-kinds.js'
import {
  type CommonOptions,
  checkMs,
  type Liveness,
  type LivenessOptions,
  livenessOf,
  SERVING_OPTIONS,
  type Settings,
  settingsOf
} from './options.js'
import { Reception } from './reception.js'
import { Relay } from './relay.js'
import { type Keying, keyingOf, type ResultOptions } from './results.js'
import { rootMaker, type ServiceSource } from './service.js'
import { Session } from './session.js'
import type { Ticket, Tickets } from './tickets.js'
import { DEAF, type Listener, type Transport, type Visitor } from './transport.js'
import { refuse } from './values.js'

export interface ServeOptions<Identity = unknown>
  extends CommonOptions,
    LivenessOptions,
    ResultOptions,
    EntranceOptions<Identity> {
  /**
   * What to serve over instead of a socket of one's own: in a worker `self` (`parentPort` in Node), a MessagePort, a
   * Worker, or a stream of bytes, e.g. `{ readable: process.stdin, writable: process.stdout }`. What is served over it
   * ends with it: only sockets are found again. It takes no options of a socket (`port`, `authenticate`, `heartbeat`, …).
   */
  readonly endpoint?: ServedEndpoint | undefined
}

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
  readonly session: Session
  readonly ticket: Ticket | undefined
}

/** What `serve` made: it listens until it is closed. */
export class Server {
  /** The sessions that go on at present. */
  readonly sessions: ReadonlySet<Session>
  readonly #sessions = new Set<Session>()
  /** Sockets that have not said what they want. */
  readonly #arriving = new Set<Reception>()
  /** All sessions that were started, also those whose client's hello is not read yet. */
  readonly #all = new Set<Session>()
  readonly #listener: Listener
  readonly #events: Emitter<ServerEvents>
  readonly #metrics = new Metrics()
  readonly #context = new Context()
  #keepsAlive = true
  #closing: Promise<void> | undefined
  /** Whether it waits for calls that are under way. */
  #drains = false

  /** @internal */
  constructor(
    listener: Listener,
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

  #accept(visitor: Visitor): void {
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
    const onEnd = (session: Session) => {
      recovery?.forget()
      this.#all.delete(session)
      if (this.#sessions.delete(session)) this.#metrics.ended(session.stats)
    }
    // The settings last: so all setups are of one shape, and weigh half as much.
    const setup = { initiates: false, identity, makeRoot, onBegin: this.#begun, onEnd, recovery, ...settings }
    return { session: new Session(transport, setup), ticket: recovery }
  }

  readonly #begun = (session: Session) => {
    this.#sessions.add(session)
    this.#events.emit('session', session)
  }

  /** A client is a session once it has said hello. */
  #begin({ session, ticket }: Prepared, transport: Transport, visitor: Visitor, first: FrameData): void {
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
  #makeRoom({ address, loan }: Visitor): void {
    const { tickets } = this.#listener
    const { sessions, sessionsPerAddress } = this.settings.limits
    if (tickets && tickets.sessionsAt.of(address) >= sessionsPerAddress) {
      const most = `${sessionsPerAddress} sessions of an address (limits.sessionsPerAddress)`
      tickets.oldestAt(address)?.session.end(anotherCame(most))
    }
    if (this.#all.size >= sessions) loan?.session?.end(anotherCame(`${sessions} sessions (limits.sessions)`))
  }

  #resume(transport: Transport, { identity, address, loan }: Visitor, { token, received }: Resumption): void {
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
    return call && this.#all.has(call.session)
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
