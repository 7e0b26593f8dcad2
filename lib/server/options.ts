// Declares the options of `serve`.

import type { IdempotencyOptions } from '../session/idempotency.js'
import { type CommonOptions, type LivenessOptions, SERVING_OPTIONS } from '../session/options.js'
import type { ServedEndpoint } from '../transport/endpoint.js'
import type { OptionTypes } from '../util/check-options.js'
import type { Authenticate } from './authentication.js'
import type { OriginOptions } from './origin-check.js'

/**
 * A gateway for the clients of another system: what `rpyc()`, `jsonRpc()` or `xmlRpc()` returns, or a `Gateway` of your own
 * (`netref/gateway`, whose types need those of Node).
 */
export interface AnyGateway {
  /** Name of the gateway in metrics, and in `session.gateway`. */
  readonly name: string
}

/** How a server listens for WebSockets, and which clients it accepts. */
export interface HttpListenerOptions<Identity = unknown> extends OriginOptions, LivenessOptions {
  /**
   * Address to listen on. Any address but a loopback one accepts clients of other machines.
   *
   * @default '127.0.0.1'
   */
  readonly host?: string | undefined
  /**
   * Port to listen on; 0 chooses a free one, see `server.url`.
   *
   * @default 18861
   */
  readonly port?: number | undefined
  /** Path of the URL to serve. Services with different paths may share one `server`. @default any */
  readonly path?: string | undefined
  /**
   * Existing `http` or `https` server to attach to. Its owner listens: `host` and `port` are not allowed here.
   *
   * Upgrade requests for other paths go to the server's other handlers, or are answered with 404 if there are none.
   * Requests that offer another protocol than WebSocket are answered as ordinary requests if there are none.
   */
  readonly server?: object | undefined
  /** Length of the queue of pending connections. @default 511 */
  readonly backlog?: number | undefined
  /**
   * Whether the process polls for the next call after each frame sent, for up to about 200 µs, instead of sleeping. That
   * is up to four times as fast for calls made one at a time, and uses CPU time while it waits.
   *
   * @default false
   */
  readonly busyPoll?: boolean | undefined
  /**
   * Identifies a client from its upgrade request; the result is `session.identity`. `undefined`, `null` or `false`
   * reject the client with HTTP 401. An error rejects it with its `status`, or with 503 if it has none, after which
   * the client retries. The client learns nothing else, and no session is created.
   *
   * @default every client is accepted, without an identity
   * @example
   * await serve(Shop, { authenticate: async ({ cookies }) => sessions.get(cookies.sid) })
   */
  readonly authenticate?: Authenticate<Identity> | undefined
  /**
   * Gateways for the clients of other systems. They share the port of the server, unless they have a `port` of their own.
   * With a `server` of yours, those for HTTP requests need a `path`, and the others a `port`.
   *
   * @default [] only WebSockets
   * @example
   * await serve(Calculator, { gateways: [rpyc(), jsonRpc(), xmlRpc()] })
   */
  readonly gateways?: readonly AnyGateway[] | undefined
  /**
   * How long an interrupted session waits for its client to resume it, in ms. Until then it keeps the client's
   * references and the unacknowledged frames; then it ends with `connection-lost`. 0 ends it at once.
   *
   * @default 30 000
   */
  readonly resumeWindow?: number | undefined
  /**
   * Whether the client that resumes a session is the one that began it; `authenticate` runs for each socket. If not,
   * the client gets `session-lost`, and the session stays resumable. The function must answer synchronously: a promise
   * or an error counts as false and is reported.
   *
   * @default the same value, or equal data: for class instances the same class and equal own enumerable members
   */
  sameIdentity?(original: Identity, presented: Identity): boolean
}

export const HTTP_LISTENER_OPTIONS: OptionTypes<HttpListenerOptions & CommonOptions & IdempotencyOptions> = {
  ...SERVING_OPTIONS,
  heartbeat: '',
  host: 'a string',
  port: '',
  path: '',
  server: '',
  backlog: 'a number',
  busyPoll: 'a boolean',
  authenticate: 'a function',
  gateways: '',
  resumeWindow: '',
  sameIdentity: 'a function',
  allowedOrigins: '',
  allowedHosts: '',
  trustProxy: 'a boolean'
}

/** Options of `serve`. */
export interface ServeOptions<Identity = unknown>
  extends CommonOptions,
    LivenessOptions,
    IdempotencyOptions,
    HttpListenerOptions<Identity> {
  /**
   * Endpoint to serve over instead of a socket: `self` in a worker (`parentPort` in Node), a MessagePort, a Worker, or
   * a byte stream, e.g. `{ readable: process.stdin, writable: process.stdout }`. Its session ends with it and cannot
   * be resumed. Socket options (`port`, `authenticate`, `heartbeat`, …) are not allowed. A service on a network
   * (`bus.service(…)` of `netref/nats`) is one, too: its sessions are resumed as over sockets, and `authenticate`,
   * `sameIdentity`, `resumeWindow` and `heartbeat` are allowed.
   */
  readonly endpoint?: ServedEndpoint | undefined
}
