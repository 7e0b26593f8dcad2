// Options of `serve`.

import type { IdempotencyOptions } from '../session/idempotency.js'
import { type CommonOptions, type LivenessOptions, SERVING_OPTIONS } from '../session/options.js'
import type { ServedEndpoint } from '../transport/endpoint.js'
import type { OptionTypes } from '../util/check-options.js'
import type { Authenticate } from './authentication.js'
import type { OriginOptions } from './origin-check.js'

export interface EntranceOptions<Identity = unknown> extends OriginOptions, LivenessOptions {
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
  /** The path of the URL to serve at. Services with different paths may share one `server`. @default any */
  readonly path?: string | undefined
  /**
   * An `http` or `https` server to hang on, instead of one of its own; `host` and `port` are its business then. Requests
   * to upgrade at other paths are left to its other handlers, and answered with 404 where there are none; those that offer
   * another protocol than WebSocket are answered as any other request then.
   */
  readonly server?: object | undefined
  /** How many connections may wait to be accepted. @default 511 */
  readonly backlog?: number | undefined
  /**
   * Says who a client is, from the request that opens its socket; `session.identity` is what it returns. `undefined`,
   * `null`, `false` refuse the client with HTTP 401, an error with a `status` with that one; any other error with 503, so
   * that it comes again. Nothing else is told. No session exists before.
   *
   * @default everybody is let in, as nobody
   * @example
   * authenticate: async request => sessions.get(request.cookies.sid)
   */
  readonly authenticate?: Authenticate<Identity> | undefined
  /**
   * How long a session whose socket is lost waits for its client to come back on another one, in ms. Until then it
   * keeps what the client holds and what is to be sent; then it ends, with `connection-lost`. 0 ends it at once.
   *
   * @default 30 000
   */
  readonly resumeWindow?: number | undefined
  /**
   * Whether who comes with another socket is who began the session: `authenticate` is asked for each socket. One who is
   * somebody else is told `session-lost`, and the session goes on waiting. It answers at once: for a promise, and where
   * it throws, which is reported, nobody is the same.
   *
   * @default the same value, or equal data: of an instance of a class its class and its own enumerable members
   */
  sameIdentity?(began: Identity, comes: Identity): boolean
}

export const OPTIONS: OptionTypes<EntranceOptions & CommonOptions & IdempotencyOptions> = {
  ...SERVING_OPTIONS,
  heartbeat: '',
  host: 'a string',
  port: '',
  path: '',
  server: '',
  backlog: 'a number',
  authenticate: 'a function',
  resumeWindow: '',
  sameIdentity: 'a function',
  allowedOrigins: '',
  allowedHosts: '',
  trustProxy: 'a boolean'
}

export interface ServeOptions<Identity = unknown>
  extends CommonOptions,
    LivenessOptions,
    IdempotencyOptions,
    EntranceOptions<Identity> {
  /**
   * What to serve over instead of a socket of one's own: in a worker `self` (`parentPort` in Node), a MessagePort, a
   * Worker, or a stream of bytes, e.g. `{ readable: process.stdin, writable: process.stdout }`. What is served over it
   * ends with it: only sockets are found again. It takes no options of a socket (`port`, `authenticate`, `heartbeat`, …).
   */
  readonly endpoint?: ServedEndpoint | undefined
}
