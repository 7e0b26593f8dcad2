// `connect`: a session with a server, usable at once; and `pair`: both ends of one in this process.
import type { Endpoint } from './endpoint.js'
import { open } from './endpoints.js'
import type { Reason } from './errors.js'
import { type CommonOptions, type Settings, type SocketOptions, settingsOf } from './options.js'
import { rootMaker, Service, type ServiceSource } from './service.js'
import { Session, type SessionEvents, type SessionStats } from './session.js'
import { Introducing, type Token } from './token.js'
import type { Transport } from './transport.js'
import { MemoryTransport } from './transports/memory.js'
import type { Netref } from './types.js'
import { refuse } from './values.js'

export interface ConnectOptions extends CommonOptions, SocketOptions {
  /**
   * What the client shows who it is by, in browsers, too: sent when the socket is open, before all else, and never in
   * the URL. `authenticate` asks for it by `await request.token()`. A function is asked for each socket; if it fails, the
   * server is `unreachable`.
   */
  readonly token?: Token | undefined
  /**
   * What the server finds at `session.root`, to call at any time.
   *
   * @default a service that offers nothing
   */
  readonly service?: ServiceSource | undefined
}

/** A client's hold on a session: calls made before the socket is open wait for it. */
export class Connection<T> {
  /** This end of the session. */
  readonly session: Session

  /** @internal `open` makes the transport, when it is known that the options can be meant. */
  constructor(open: (settings: Settings) => Transport, { service = Nothing, ...options }: ConnectOptions) {
    const settings = settingsOf(options)
    const makeRoot = rootMaker(service)
    this.session = new Session(open(settings), { ...settings, initiates: true, makeRoot })
  }

  /** What the server offers. */
  get root(): Netref<T> {
    return this.session.root as Netref<T>
  }

  /** Resolves, with the reason, when the session has ended. It never rejects. */
  get closed(): Promise<Reason> {
    return this.session.closed
  }

  /** Numbers: references held, calls pending, frames and bytes each way. */
  get stats(): SessionStats {
    return this.session.stats
  }

  /** Calls `listener` at the event: `closed`, with the reason. @returns what takes the listener off again */
  on<E extends keyof SessionEvents>(name: E, listener: (told: SessionEvents[E]) => void): () => void {
    return this.session.on(name, listener)
  }

  /** Asks the server for a sign of life. @returns the round-trip time, in ms @throws SessionEndedError */
  ping(): Promise<number> {
    return this.session.ping()
  }

  /** Sends what was called, then ends the session; calls that still wait reject. Resolves when the socket is closed. */
  close(): Promise<void> {
    return this.session.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

refuse(Connection, 'it belongs to this side alone', { name: 'Connection' })

/** What a client offers that offers nothing. */
class Nothing extends Service {}

/**
 * Connects to a server: by its address, or over a Worker, a MessagePort or a stream of bytes that it serves. Returns at
 * once: `root` can be used before the socket is open. Where the server cannot be reached, every call rejects with the
 * address and the cause, and `closed` resolves with the reason `unreachable`.
 *
 * @throws TypeError when `to` is no `ws://` or `wss://` address and no endpoint, or an option cannot be meant
 * @example
 * await using conn = connect<Calculator>('ws://localhost:18861')
 * console.log(await conn.root.add(1, 2))
 * @example
 * const worker = connect<Calculator>(new Worker('./calculator.js', { type: 'module' }))
 */
export function connect<T>(
  to: string | { readonly href: string } | Endpoint,
  options: ConnectOptions = {}
): Connection<T> {
  const endpoint = Object(to) === to && !('href' in (to as object)) ? (to as Endpoint) : parseAddress(to)
  const { token } = options
  const openOne = (settings: Settings) => {
    const transport = open(endpoint, options, settings)
    if (token === undefined || typeof endpoint !== 'string') return transport
    return new Introducing(transport, token, endpoint)
  }
  return new Connection(openOne, options)
}

function parseAddress(url: unknown): string {
  const text = String((url as { href?: unknown } | null)?.href ?? url)
  const { protocol } = URL.canParse(text) ? new URL(text) : { protocol: '' }
  if (/^(ws|http)s?:$/.test(protocol)) return text
  throw new TypeError(
    `connect: "${text}" is not a ws:// or wss:// address; was "ws://${text.replace(/^\w+:\/\//, '')}" meant?`
  )
}

export interface PairOptions extends CommonOptions {
  /** What the client end offers. */
  readonly service?: ServiceSource | undefined
  /** Who the client is, for the serving end: `session.identity`. */
  readonly identity?: unknown
  /** Options of the serving end. */
  readonly serving?: CommonOptions | undefined
}

/** A connection to a service in the same process. */
export class Pair<T> extends Connection<T> {
  /** The serving end of the session. */
  readonly served: Session
  /** The client's end of the transport, and the server's: `hold()` keeps back what that end sends, `letGo()` lets it go. */
  readonly transports: readonly [client: MemoryTransport, server: MemoryTransport]

  /** @internal */
  constructor(service: ServiceSource, { identity, serving = {}, ...options }: PairOptions) {
    const transports = MemoryTransport.pair()
    const makeRoot = rootMaker(service)
    const settings = settingsOf(serving)
    super(() => transports[0], options)
    this.served = new Session(transports[1], { ...settings, initiates: false, identity, makeRoot })
    this.transports = transports
  }
}

/**
 * A service and a connection to it, both in this process and without a socket, for tests of your own. All that is sent
 * goes through the same codec and the same checks as on a socket.
 *
 * @example
 * await using conn = pair(Calculator)
 * assert.equal(await conn.root.add(1, 2), 3)
 */
export function pair<T extends object>(service: ServiceSource<T>, options: PairOptions = {}): Pair<T> {
  return new Pair<T>(service, options)
}
