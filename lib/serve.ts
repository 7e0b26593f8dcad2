// `serve`: a WebSocket server with a session for each client.
import { WebSocketServer } from 'ws'
import { NetrefError, type Reason } from './errors.js'
import { Emitter } from './events.js'
import { formatResumption, type Resumption } from './frame.js'
import { describe } from './labels.js'
import {
  type CommonOptions,
  checkMs,
  type Liveness,
  type LivenessOptions,
  livenessOf,
  maxPayload,
  type Settings,
  settingsOf
} from './options.js'
import { type Destination, Reception } from './reception.js'
import { rootMaker, type ServiceSource } from './service.js'
import { Session } from './session.js'
import { Tickets } from './tickets.js'
import { DEAF, type Transport } from './transport.js'
import { WebSocketTransport } from './transports/websocket.js'
import { refuse } from './values.js'

export interface ServeOptions extends CommonOptions, LivenessOptions {
  /**
   * The address to listen at. Anything but a loopback address lets other machines in.
   *
   * @default '127.0.0.1'
   */
  readonly host?: string | undefined
  /**
   * The port to listen at; 0 takes any free one, see `server.url`.
   *
   * @default 18861
   */
  readonly port?: number | undefined
  /** The path of the URL to serve at; every other is answered with 400. @default any */
  readonly path?: string | undefined
  /** An `http` or `https` server to hang on, instead of one of its own; `host` and `port` are its business then. */
  readonly server?: object | undefined
  /** How many connections may wait to be accepted. @default 511 */
  readonly backlog?: number | undefined
  /**
   * How long a session whose socket is lost waits for its client to come back on another one, in ms. Until then it
   * keeps what the client holds and what is to be sent; then it ends, with `connection-lost`. 0 ends it at once.
   *
   * @default 30 000
   */
  readonly resumeWindow?: number | undefined
}

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
  readonly #sockets: WebSocketServer
  readonly #events: Emitter<ServerEvents>
  #closing: Promise<void> | undefined

  /** @internal */
  constructor(
    sockets: WebSocketServer,
    private readonly makeRoot: (session: Session) => object,
    private readonly settings: Settings & Liveness,
    resumeWindow: number
  ) {
    this.sessions = this.#sessions
    this.#sockets = sockets
    this.#tickets = resumeWindow > 0 ? new Tickets(resumeWindow, settings.heartbeat) : undefined
    const report = (error: unknown) => settings.onError(error, { session: undefined })
    this.#events = new Emitter(report)
    sockets.on('error', report)
    const destination: Destination = {
      begin: (transport, first) => this.#begin(transport, first),
      resume: (transport, resumption) => this.#resume(transport, resumption)
    }
    sockets.on('connection', (socket, { socket: stream }) => {
      const peer = `the client at ${stream.remoteAddress}:${stream.remotePort}`
      const transport = new WebSocketTransport(socket, peer, stream)
      const left = (reception: Reception) => this.#arriving.delete(reception)
      this.#arriving.add(new Reception(transport, destination, settings.limits.helloMs, left))
    })
  }

  #begin(transport: Transport, first: string | Uint8Array): void {
    if (this.#closing) return turnAway(transport, GOING)
    const recovery = this.#tickets?.issue()
    const onBegin = (session: Session) => {
      this.#sessions.add(session)
      this.#events.emit('session', session)
    }
    const { settings, makeRoot } = this
    const setup = { ...settings, initiates: false, makeRoot, onBegin, recovery }
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

  #resume(transport: Transport, { token, received }: Resumption): void {
    const ticket = this.#tickets?.take(token)
    if (!ticket) {
      const message = 'this server does not know the session: it has ended, or was of a server before'
      return turnAway(transport, { code: 'session-lost', message })
    }
    const { link } = ticket.session
    link.carryOn(
      transport,
      received,
      formatResumption('resumed', { token: ticket.token, received: link.framesIn })
    )
  }

  /** Where clients connect to, e.g. `ws://127.0.0.1:18861`. @throws NetrefError when the server does not listen */
  get url(): string {
    const where = this.#sockets.address()
    if (where === null || typeof where === 'string') {
      throw new NetrefError('not-listening', 'server.url: the server listens at no port')
    }
    const { address, port, family } = where
    const host =
      address === '0.0.0.0' || address === '::' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
    const { server, path } = this.#sockets.options
    const secure = server !== undefined && server !== null && 'setSecureContext' in server
    return `${secure ? 'wss' : 'ws'}://${host}:${port}${path ?? ''}`
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
    const stopped = new Promise<void>(resolve => this.#sockets.close(() => resolve()))
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
export async function serve<T extends object>(
  service: ServiceSource<T>,
  options: ServeOptions = {}
): Promise<Server> {
  const { host = '127.0.0.1', port = 18861, server, path, backlog, resumeWindow = 30_000 } = options
  const window = checkMs('resumeWindow', resumeWindow)
  const settings = { ...settingsOf(options), ...livenessOf(options) }
  const makeRoot = rootMaker(service)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError(`serve: port ${describe(port)} is not a whole number from 0 to 65535`)
  }
  const where = server ? { server: server as never } : { host, port, backlog }
  const sockets: WebSocketServer = new WebSocketServer({
    ...where,
    path,
    perMessageDeflate: false,
    maxPayload: maxPayload(settings.limits),
    verifyClient: (_client, verified) => verified(sockets.clients.size < settings.limits.sessions, 503)
  })
  if (!server) {
    await new Promise<void>((listening, failed) => {
      const fail = (cause: NodeJS.ErrnoException) => failed(listenError(cause, host, port))
      sockets.once('error', fail)
      sockets.once('listening', () => {
        sockets.off('error', fail)
        listening()
      })
    })
  }
  return new Server(sockets, makeRoot, settings, window)
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): NetrefError {
  const inUse = cause.code === 'EADDRINUSE'
  const why = inUse ? 'the port is in use: choose another, or 0 for any free one' : cause.message
  return new NetrefError(String(cause.code), `cannot listen at ${host}:${port}: ${why}`, { cause })
}
