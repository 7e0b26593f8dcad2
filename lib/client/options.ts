// Options of `connect`.

import type { ServiceSource } from '../access/service.js'
import { COMMON_OPTIONS, type CommonOptions, type LivenessOptions } from '../session/options.js'
import type { Token } from '../transport/token.js'

import type { OptionTypes } from '../util/check-options.js'
import type { Signal } from '../util/web-types.js'

/** Options of the socket of a client in Node, as `ws` and TLS take them. */
export interface SocketOptions {
  /** Headers of the request that opens the socket. */
  readonly headers?: Readonly<Record<string, string | string[]>> | undefined
  /** The `Origin` header. */
  readonly origin?: string | undefined
  /** An `http.Agent` or `https.Agent`, e.g. of a proxy. */
  readonly agent?: object | undefined
  /** How long the handshake may take, in ms. @default 10 000 */
  readonly handshakeTimeout?: number | undefined
  /** Certificates to trust, in PEM. */
  readonly ca?: string | Uint8Array | (string | Uint8Array)[] | undefined
  /** The client's own certificate and its key, in PEM. */
  readonly cert?: string | Uint8Array | undefined
  readonly key?: string | Uint8Array | undefined
  readonly passphrase?: string | undefined
  /** The name the server's certificate has to carry. */
  readonly servername?: string | undefined
  /** @default true */
  readonly rejectUnauthorized?: boolean | undefined
}

export interface ConnectOptions extends CommonOptions, LivenessOptions, SocketOptions {
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
  /**
   * How another socket is looked for when the one in use is lost; `false` ends the session with its socket.
   *
   * @default { delay: 100, maxDelay: 10_000, initial: false }
   */
  readonly reconnect?: ReconnectOptions | false | undefined
  /**
   * Makes a new session where the one before cannot be resumed: `root` is the new one's then, and `renewed` is told.
   * Netrefs of the old session stay dead. Calls on the root that were pending are sent again if they had not left, if
   * they only read, or if their home marks them `@idempotent`; all others reject with `may-have-run`.
   *
   * @default false
   */
  readonly renew?: boolean | undefined
}

/** Those of the socket are for `ws`, TLS and HTTP, which take more than is named here. */
export const CONNECT_OPTIONS: OptionTypes<Omit<ConnectOptions, keyof SocketOptions>> = {
  ...COMMON_OPTIONS,
  heartbeat: '',
  token: 'a string or a function',
  service: '',
  reconnect: '',
  renew: 'a boolean'
}

export const RECONNECT_OPTIONS: OptionTypes<ReconnectOptions> = {
  delay: '',
  maxDelay: '',
  signal: 'an AbortSignal',
  initial: 'a boolean'
}

export interface ReconnectOptions {
  /**
   * How long the first try waits, in ms; each one after it waits twice as long as the one before, and all of them a
   * little less or more, so that not all clients of a server come back at once.
   *
   * @default 100
   */
  readonly delay?: number | undefined
  /** How long a try waits at most, in ms, unless the server asks for longer. @default 10 000 */
  readonly maxDelay?: number | undefined
  /** Ends the search when it aborts: the session ends with `connection-lost`. */
  readonly signal?: Signal | undefined
  /**
   * Whether to go on trying until the server has let the client in for the first time. Calls wait for that, which takes
   * one round trip more: none runs twice, whichever connection is cut.
   *
   * @default false
   */
  readonly initial?: boolean | undefined
}
