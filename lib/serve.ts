// `serve`: a WebSocket server with a session for each client.
import { isDeepStrictEqual } from 'node:util'
import { Entrance, type EntranceOptions } from './entrance.js'
import type { Reason } from './errors.js'
import { Emitter } from './events.js'
import { formatResumption, type Resumption } from './frame.js'
import {
  type CommonOptions,
  checkMs,
  type Liveness,
  type LivenessOptions,
  livenessOf,
  type Settings,
  settingsOf
} from './options.js'
import { Reception } from './reception.js'
import { rootMaker, type ServiceSource } from './service.js'
import { Session } from './session.js'
import { Tickets } from './tickets.js'
import { DEAF, type Transport } from './transport.js'
import { refuse } from './values.js'

export interface ServeOptions<Identity = unknown>
  extends CommonOptions,
    LivenessOptions,
    EntranceOptions<Identity> {
  /**
   * How long a session whose socket is lost waits for its client to come back on another one, in ms. Until then it
   * keeps what the client holds and what is to be sent; then it ends, with `connection-lost`. 0 ends it at once.
   *
   * @default 30 000
   */
  readonly resumeWindow?: number | undefined
  /**
   * Whether who comes with another socket is who began the session: `authenticate` is asked for each socket. One who is
   * somebody else is told `unauthorized`, and the session goes on waiting.
   *
   * @default deep equality
   */
  readonly sameIdentity?: ((began: Identity, comes: Identity) => boolean) | undefined
}

type Resuming = Required<Pick<ServeOptions, 'resumeWindow' | 'sameIdentity'>>

export interface ServerEvents {
  /** A client has come, and its session has begun. */
  session: Session
  /** The server has closed. */
  closed: undefined
}

/** What `serve` made: it listens until it is closed. */
export class Server {
  /** The sessions that go on at present. */
  readonly sessions: ReadonlySet<Session>
  readonly #sessions = new Set<Session>()
  /** Sockets that have not said what they want. */
  readonly #arriving = new Set<Reception>()
  /** All sessions, also those whose client's hello is not read yet. */
  readonly #all = new Set<Session>()
  readonly #tickets: Tickets | undefined
  readonly #entrance: Entrance
  readonly #events: Emitter<ServerEvents>
  #closing: Promise<void> | undefined

  /** @internal */
  constructor(
    entrance: Entrance,
    private readonly makeRoot: (session: Session) => object,
    private readonly settings: Settings & Liveness & Resuming
  ) {
    const { resumeWindow, heartbeat } = settings
    this.#tickets = resumeWindow > 0 ? new Tickets(resumeWindow, heartbeat) : undefined
    this.sessions = this.#sessions
    this.#entrance = entrance
    this.#events = new Emitter(this.#report)
  }

  /** @internal */
  open(): Promise<void> {
    const letIn = (transport: Transport, identity: unknown) => this.#accept(transport, identity)
    return this.#entrance.open(letIn, this.#report)
  }

  readonly #report = (error: unknown) => this.settings.onError(error, { session: undefined })

  #accept(transport: Transport, identity: unknown): void {
    const destination = {
      begin: (first: string | Uint8Array) => this.#begin(transport, identity, first),
      resume: (resumption: Resumption) => this.#resume(transport, identity, resumption)
    }
    const left = (reception: Reception) => this.#arriving.delete(reception)
    this.#arriving.add(new Reception(transport, destination, this.settings.limits.helloMs, left))
  }

  /** A client is a session once it has said hello. */
  #begin(transport: Transport, identity: unknown, first: string | Uint8Array): void {
    if (this.#closing) return turnAway(transport, GOING)
    const { settings, makeRoot } = this
    if (this.#all.size >= settings.limits.sessions) this.#makeRoom()
    const recovery = this.#tickets?.issue()
    const onBegin = (session: Session) => {
      this.#sessions.add(session)
      this.#events.emit('session', session)
    }
    const setup = { ...settings, initiates: false, identity, makeRoot, onBegin, recovery }
    const session = new Session(transport, setup)
    if (recovery) recovery.session = session
    this.#all.add(session)
    session.on('closed', () => {
      recovery?.forget()
      this.#all.delete(session)
      this.#sessions.delete(session)
    })
    session.link.received(first)
  }

  /** Whoever comes has more to do than who may come back: the session that was interrupted first ends. */
  #makeRoom(): void {
    const { sessions } = this.settings.limits
    const message = `another client came, and there may be ${sessions} sessions (limits.sessions)`
    for (const session of this.#all) {
      if (session.state === 'interrupted') return session.end({ code: 'limit', message })
    }
  }

  #resume(transport: Transport, identity: unknown, { token, received }: Resumption): void {
    const ticket = this.#tickets?.take(token)
    if (!ticket) {
      const message = 'this server does not know the session: it has ended, or was of a server before'
      return turnAway(transport, { code: 'session-lost', message })
    }
    const { session } = ticket
    if (!this.#isSame(session.identity, identity)) {
      return turnAway(transport, { code: 'unauthorized', message: 'the session is somebody else’s' })
    }
    const answer = { token: ticket.token, received: session.link.framesIn }
    session.link.carryOn(transport, received, formatResumption('resumed', answer))
  }

  #isSame(began: unknown, comes: unknown): boolean {
    try {
      return this.settings.sameIdentity(began, comes)
    } catch (error) {
      this.#report(error)
      return false
    }
  }

  /** Where clients connect to, e.g. `ws://127.0.0.1:18861`. @throws NetrefError when the server does not listen */
  get url(): string {
    return this.#entrance.url
  }

  /** Calls `listener` at `session`, a new one, or `closed`. @returns what takes the listener off again */
  on<E extends keyof ServerEvents>(name: E, listener: (told: ServerEvents[E]) => void): () => void {
    return this.#events.on(name, listener)
  }

  /**
   * Takes no new sessions, lets calls finish that are under way, then stops listening and ends every session: its
   * client is told `server-closed`. Resolves when all sockets are closed.
   *
   * @param options.drain how long calls may take to finish, in ms; 0 by default
   * @example
   * process.once('SIGTERM', () => server.close({ drain: 10_000 }))
   */
  close({ drain = 0 }: { readonly drain?: number | undefined } = {}): Promise<void> {
    this.#closing ??= this.#close(checkMs('drain', drain))
    return this.#closing
  }

  async #close(drain: number): Promise<void> {
    for (const end = Date.now() + drain; Date.now() < end && [...this.#all].some(({ busy }) => busy); ) {
      await new Promise(resolve => setTimeout(resolve, LOOK_AGAIN))
    }
    const stopped = this.#entrance.close()
    for (const arriving of this.#arriving) arriving.end(GOING)
    for (const session of this.#all) session.end(GOING)
    await stopped
    this.#events.emit('closed', undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

const GOING: Reason = { code: 'server-closed', message: 'the server is going away' }
/** How often it is looked whether calls are still under way, in ms. */
const LOOK_AGAIN = 20

function turnAway(transport: Transport, reason: Reason): void {
  transport.start(DEAF)
  transport.close(reason)
}

refuse(Server, 'it belongs to this side alone')

/**
 * Serves a service over WebSocket: a class that extends `Service` (each session gets an instance of its own), an
 * object (all sessions share it), or a function `session => object`.
 *
 * @returns the server, once it listens
 * @throws NetrefError with the code of the system (`EADDRINUSE`, …) when it cannot listen, TypeError for bad options
 * @example
 * const server = await serve(Calculator, { port: 0 })
 * console.log(`listening at ${server.url}`)
 */
export async function serve<T extends object, Identity = unknown>(
  service: ServiceSource<T, Identity>,
  options: ServeOptions<Identity> = {}
): Promise<Server> {
  const { resumeWindow = 30_000, sameIdentity = isDeepStrictEqual } = options
  checkMs('resumeWindow', resumeWindow)
  const resuming = { resumeWindow, sameIdentity: sameIdentity as Resuming['sameIdentity'] }
  const settings = { ...settingsOf(options), ...livenessOf(options), ...resuming }
  const server = new Server(new Entrance(options, settings.limits), rootMaker(service), settings)
  await server.open()
  return server
}
