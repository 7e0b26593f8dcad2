// `serve`: a WebSocket server with a session for each client.
import { Entrance, type EntranceOptions } from './entrance.js'
import type { Reason } from './errors.js'
import { Emitter } from './events.js'
import { type CommonOptions, type Settings, settingsOf } from './options.js'
import { rootMaker, type ServiceSource } from './service.js'
import { Session } from './session.js'
import type { Transport } from './transport.js'
import { refuse } from './values.js'

export interface ServeOptions<Identity = unknown> extends CommonOptions, EntranceOptions<Identity> {}

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
  /** All that have a socket, also those whose client has not said hello. */
  readonly #connected = new Set<Session>()
  readonly #entrance: Entrance
  readonly #events: Emitter<ServerEvents>
  #closing: Promise<void> | undefined

  /** @internal */
  constructor(
    entrance: Entrance,
    private readonly makeRoot: (session: Session) => object,
    private readonly settings: Settings
  ) {
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

  /** A client is a session once it has said hello; until then it is only connected. */
  #accept(transport: Transport, identity: unknown): void {
    const { makeRoot, settings } = this
    const onBegin = (session: Session) => {
      clearTimeout(hello)
      this.#sessions.add(session)
      this.#events.emit('session', session)
    }
    const session = new Session(transport, { ...settings, initiates: false, identity, makeRoot, onBegin })
    const { helloMs } = settings.limits
    const late: Reason = { code: 'limit', message: `it received no hello within ${helloMs} ms` }
    const hello = setTimeout(() => session.end(late), helloMs)
    this.#connected.add(session)
    session.on('closed', () => {
      clearTimeout(hello)
      this.#connected.delete(session)
      this.#sessions.delete(session)
    })
  }

  /** Where clients connect to, e.g. `ws://127.0.0.1:18861`. @throws NetrefError when the server does not listen */
  get url(): string {
    return this.#entrance.url
  }

  /** Calls `listener` at `session`, a new one, or `closed`. @returns what takes the listener off again */
  on<E extends keyof ServerEvents>(name: E, listener: (told: ServerEvents[E]) => void): () => void {
    return this.#events.on(name, listener)
  }

  /** Stops listening and ends every session, telling its client `server-closed`. Resolves when all sockets are closed. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const stopped = this.#entrance.close()
    const reason: Reason = { code: 'server-closed', message: 'the server is closing' }
    for (const session of this.#connected) session.end(reason)
    await stopped
    this.#events.emit('closed', undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
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
  const settings = settingsOf(options)
  const server = new Server(new Entrance(options, settings.limits), rootMaker(service), settings)
  await server.open()
  return server
}
