// `serve`: a server with a session for each client.
import { listen, type ServedEndpoint } from './endpoints.js'
import type { EntranceOptions } from './entrance.js'
import { NetrefError, type Reason } from './errors.js'
import { Emitter } from './events.js'
import { Metrics, type ServerMetrics } from './metrics.js'
import { type CommonOptions, type Settings, settingsOf } from './options.js'
import { rootMaker, type ServiceSource } from './service.js'
import { Session } from './session.js'
import type { Listener, Transport } from './transport.js'
import { refuse } from './values.js'

export interface ServeOptions<Identity = unknown> extends CommonOptions, EntranceOptions<Identity> {
  /**
   * What to serve over instead of a socket of one's own: in a worker `self` (`parentPort` in Node), a MessagePort, a
   * Worker, or a stream of bytes, e.g. `{ readable: process.stdin, writable: process.stdout }`.
   */
  readonly endpoint?: ServedEndpoint | undefined
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
  /** All that are connected, also those whose client has not said hello. */
  readonly #connected = new Set<Session>()
  readonly #listener: Listener
  readonly #events: Emitter<ServerEvents>
  readonly #metrics = new Metrics()
  #closing: Promise<void> | undefined

  /** @internal */
  constructor(
    listener: Listener,
    private readonly makeRoot: (session: Session) => object,
    private readonly settings: Settings
  ) {
    this.sessions = this.#sessions
    this.#listener = listener
    this.#events = new Emitter(this.#report)
  }

  /** @internal */
  open(): Promise<void> {
    const letIn = (transport: Transport, identity: unknown) => this.#accept(transport, identity)
    return this.#listener.open(letIn, this.#report)
  }

  readonly #report = (error: unknown) => this.settings.onError(error, { session: undefined })

  /** A client is a session once it has said hello; until then it is only connected. */
  #accept(transport: Transport, identity: unknown): void {
    const { makeRoot, settings } = this
    const onBegin = (session: Session) => {
      clearTimeout(hello)
      this.#sessions.add(session)
      this.#events.emit('session', session)
    }
    const session = new Session(transport, { ...settings, initiates: false, identity, makeRoot, onBegin })
    const { helloMs, sessions } = settings.limits
    const late: Reason = { code: 'limit', message: `it received no hello within ${helloMs} ms` }
    const hello = setTimeout(() => session.end(late), helloMs)
    this.#connected.add(session)
    session.on('closed', () => {
      clearTimeout(hello)
      this.#connected.delete(session)
      if (this.#sessions.delete(session)) this.#metrics.ended(session.stats)
    })
    if (this.#connected.size > sessions) {
      session.end({ code: 'limit', message: `the server has ${sessions} sessions already` })
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
    return this.#metrics.snapshot(this.#sessions)
  }

  /** Calls `listener` at `session`, a new one, or `closed`. @returns what takes the listener off again */
  on<E extends keyof ServerEvents>(name: E, listener: (told: ServerEvents[E]) => void): () => void {
    return this.#events.on(name, listener)
  }

  /** Stops listening and ends every session, telling its client `server-closed`. Resolves when all of them are gone. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const stopped = this.#listener.close()
    const reason: Reason = { code: 'server-closed', message: 'the server is closing' }
    const gone = [...this.#connected].map(session => {
      session.end(reason)
      return session.close()
    })
    await Promise.all([stopped, ...gone])
    this.#events.emit('closed', undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

refuse(Server, 'it belongs to this side alone', { name: 'Server' })

/**
 * Serves a service over WebSocket, or over what `endpoint` names: a class that extends `Service` (each session gets an
 * instance of its own), an object (all sessions share it), or a function `session => object`.
 *
 * @returns the server, once it listens
 * @throws NetrefError with the code of the system (`EADDRINUSE`, …) when it cannot listen, TypeError for bad options
 * @example
 * const server = await serve(Calculator, { port: 0 })
 * console.log(`listening at ${server.url}`)
 * @example
 * await serve(Calculator, { endpoint: parentPort }) // in a worker of Node; in one of a page it is `self`
 */
export async function serve<T extends object, Identity = unknown>(
  service: ServiceSource<T, Identity>,
  options: ServeOptions<Identity> = {}
): Promise<Server> {
  const settings = settingsOf(options)
  const server = new Server(listen(options, settings), rootMaker(service), settings)
  await server.open()
  return server
}
