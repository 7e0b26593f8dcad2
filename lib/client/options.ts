// Declares the options of `connect`.

import type { ServiceSource } from '../access/service.js'
import { COMMON_OPTIONS, type CommonOptions, type LivenessOptions } from '../session/options.js'
import { CLIENT_SOCKET_OPTIONS } from '../transport/endpoint.js'
import type { Token } from '../transport/token.js'
import type { OptionTypes } from '../util/check-options.js'
import type { Signal } from '../util/web-types.js'

/** Options of a client's socket in Node, as `ws` and TLS accept them. */
export interface SocketOptions {
  /** Headers of the upgrade request. */
  readonly headers?: Readonly<Record<string, string | string[]>> | undefined
  /** `Origin` header of the upgrade request. */
  readonly origin?: string | undefined
  /** An `http.Agent` or `https.Agent`, e.g. for a proxy. */
  readonly agent?: object | undefined
  /** How long the opening handshake may take, in ms. @default 10 000 */
  readonly handshakeTimeout?: number | undefined
  /** Trusted CA certificates, in PEM. */
  readonly ca?: string | Uint8Array | (string | Uint8Array)[] | undefined
  /** Certificate of the client, in PEM. */
  readonly cert?: string | Uint8Array | undefined
  /** Private key of `cert`, in PEM. */
  readonly key?: string | Uint8Array | undefined
  /** Passphrase of `key`. */
  readonly passphrase?: string | undefined
  /** Name that the server's certificate must carry. */
  readonly servername?: string | undefined
  /** Whether a server is refused whose certificate is not valid. @default true */
  readonly rejectUnauthorized?: boolean | undefined
}

/** Options of `connect`. */
export interface ConnectOptions extends CommonOptions, LivenessOptions, SocketOptions {
  /**
   * Token that identifies the client, in browsers too. The client sends it as the first message on the socket, never
   * in the URL. `authenticate` reads it by `await request.token()`. A function is called for each socket; if it fails,
   * the server counts as `unreachable`.
   */
  readonly token?: Token | undefined
  /**
   * Service that the server finds at `session.root` and may call at any time.
   *
   * @default a service without members
   */
  readonly service?: ServiceSource | undefined
  /**
   * Settings for reconnecting after the socket is lost. `false` ends the session with its socket.
   *
   * @default { delay: 100, maxDelay: 10_000, initial: false }
   */
  readonly reconnect?: ReconnectOptions | false | undefined
  /**
   * Starts a new session if the old one cannot be resumed, or if its server goes away (`leaving`). `root` is then the new session's root, and `renewed` is
   * emitted. Netrefs of the old session stay unusable. Pending calls on the root are sent again if they were not sent
   * yet, if they only read, or if their method is `idempotent`. All others reject with `may-have-run`.
   *
   * @default false
   */
  readonly renew?: boolean | undefined
  /**
   * Whether the URL of each socket has a parameter `affinity`, by which a load balancer can send the sockets of a session to the
   * server that has it. It is a random id of the session and no secret.
   *
   * @default false
   */
  readonly affinity?: boolean | undefined
  /**
   * Whether the process polls for an answer after each frame sent, for up to about 200 µs, instead of sleeping. That is up
   * to four times as fast for calls made one at a time, and uses CPU time while it waits. For WebSockets in Node only.
   *
   * @default false
   */
  readonly busyPoll?: boolean | undefined
}

/** Default of `handshakeTimeout`. */
export const CONNECT_TIMEOUT_MS = 10_000

export const CONNECT_OPTIONS: OptionTypes<Omit<ConnectOptions, keyof SocketOptions>> = {
  ...COMMON_OPTIONS,
  ...Object.fromEntries(CLIENT_SOCKET_OPTIONS.split(' ').map(name => [name, ''])),
  heartbeat: '',
  token: 'a string or a function',
  service: '',
  reconnect: '',
  renew: 'a boolean',
  affinity: 'a boolean',
  busyPoll: 'a boolean'
}

export const RECONNECT_OPTIONS: OptionTypes<ReconnectOptions> = {
  delay: '',
  maxDelay: '',
  signal: 'an AbortSignal',
  initial: 'a boolean'
}

/** How a client connects again: the option `reconnect` of `connect`. */
export interface ReconnectOptions {
  /**
   * Delay before the first attempt, in ms. Each further attempt doubles it. Each delay varies at random, so that the
   * clients of a server do not reconnect all at once.
   *
   * @default 100
   */
  readonly delay?: number | undefined
  /** Longest delay before an attempt, in ms, unless the server asks for a longer one. @default 10 000 */
  readonly maxDelay?: number | undefined
  /** Aborting it stops reconnecting; the session ends with `connection-lost`. */
  readonly signal?: Signal | undefined
  /**
   * Whether to retry the first connection until the server has accepted the client. Calls wait for the server's hello,
   * which costs one more round trip. No call runs twice, even if a connection is cut.
   *
   * @default false
   */
  readonly initial?: boolean | undefined
}
