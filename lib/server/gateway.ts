// The interface of gateways: a gateway lets the clients of another system call a service.

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TlsOptions } from 'node:tls'
import type { Limits } from '../protocol/limits.js'
import type { ServerMetrics } from '../session/metrics.js'
import type { Session } from '../types/session.js'
import type { Any } from '../util/any.js'
import type { OptionTypes } from '../util/check-options.js'
import type { Authenticate } from './authentication.js'

/** Options that every gateway takes. */
export interface GatewayOptions {
  /** Port of its own; 0 chooses a free one. @default the port of the server */
  readonly port?: number | undefined
  /** Address of that port. @default the `host` of the server */
  readonly host?: string | undefined
  /** Options of `tls.createServer`: clients connect to that port by TLS. @default no TLS */
  readonly tls?: TlsOptions | undefined
  /**
   * Identifies its clients, in place of the server's `authenticate`. A server with `authenticate` accepts the clients of a
   * gateway that cannot show who comes (a byte stream without a TLS certificate or a token) only if the gateway has this
   * option.
   *
   * @default the `authenticate` of the server
   * @example
   * rpyc({ authenticate: ({ address }) => ({ name: `python at ${address}` }) })
   */
  readonly authenticate?: Authenticate | undefined
}

/** For the option tables of gateways. */
export const GATEWAY_OPTIONS: OptionTypes<GatewayOptions> = {
  port: 'a number',
  host: 'a string',
  tls: 'an object',
  authenticate: 'a function'
}

/** The HTTP requests of a gateway. */
export interface GatewayRequests {
  /** Path of the requests. @default any path that no other gateway names */
  readonly path?: string | undefined
  /** Media types of the requests, without parameters; the empty one stands for none. */
  readonly contentTypes: readonly string[]
  /** Further headers of its protocol, which pages of allowed origins may send. @default none */
  readonly headers?: readonly string[] | undefined
}

/**
 * Lets the clients of another system call a service. It is a client of the service in this process: it reads requests,
 * calls the root of a session, and writes the results. It serves connections, HTTP POST requests, or both.
 *
 * @example
 * import { createInterface } from 'node:readline'
 * const upperCase: Gateway = {
 *   name: 'upper-case',
 *   detect: ([first]) => first === 0x3e, // '>'
 *   async handleSocket(socket, client) {
 *     const { root } = await client.openSession()
 *     for await (const line of createInterface(socket)) socket.write(`${await root.upperCase(line.slice(1))}\n`)
 *   }
 * }
 */
export interface Gateway extends GatewayOptions {
  /** Names its sessions and its metrics: lower-case letters, digits and hyphens. */
  readonly name: string
  /**
   * Whether a connection that begins with these bytes is of its protocol. `undefined` asks for more bytes; 24 must be
   * enough.
   */
  detect?(firstBytes: Uint8Array): boolean | undefined
  /**
   * Serves a connection, whose first bytes are still to be read. It must destroy the socket if the client breaks the
   * protocol, and end it when the session has closed. If it throws or rejects, `onError` gets the error, and the socket is
   * destroyed.
   */
  handleSocket?(socket: Duplex, client: GatewayClient): void | Promise<void>
  /**
   * Serves, in place of `handleSocket`, a connection that carries many requests at once, each with headers of its own, as in
   * HTTP/2. It must end the socket once the server leaves and no request is under way. Errors are those of `handleSocket`.
   */
  handleConnection?(socket: Duplex, connection: GatewayConnection): void | Promise<void>
  /**
   * Whether clients can show a token on its connections, which it passes to `openSession`. `authenticate` is then asked
   * about those without a TLS certificate, too.
   */
  readonly passesTokens?: boolean | undefined
  /** The HTTP POST requests that `handleRequest` serves. */
  readonly requests?: GatewayRequests | undefined
  /** Serves an HTTP request. If it throws or rejects, `onError` gets the error, and the client the status 500. */
  handleRequest?(
    request: IncomingMessage,
    response: ServerResponse,
    client: GatewayClient
  ): void | Promise<void>
  /** Called when its port listens. */
  opened?(address: { readonly host: string; readonly port: number }): void
  /** Called when the server closes. */
  closed?(): void | Promise<void>
}

/** A client of a gateway: a connection, or an HTTP request. */
export interface GatewayClient {
  /**
   * Identifies the client by `authenticate`, and opens a session with the service for it. The session ends with the
   * connection, or with the response. It may be called more than once. `root` is untyped: gateways are for any service.
   *
   * @param token what the client shows on a connection: `token()` of the request that `authenticate` gets. The gateway needs
   * `passesTokens`
   * @throws NetrefError `unauthorized` if the client is rejected, `unavailable` if the server is full or goes away
   */
  openSession(token?: string): Promise<Session<Any>>
  /** Limits of the server. `jsonBytes` bounds a text, `frameBytes` other messages, and `helloMs` the wait for the rest of one. */
  readonly limits: Limits
  /** Whether errors are sent with their stacks. */
  readonly exposeStacks: boolean
  /** Passes an error to `onError` of the server. */
  report(error: unknown): void
}

/** A request of a connection that carries many. */
export interface MultiplexedRequest {
  /** Its path, with the query if it has one. */
  readonly path: string
  /** Its headers by lower-case name. `host` is the authority that the client asks. */
  readonly headers: Readonly<IncomingHttpHeaders>
}

/**
 * A connection that carries many requests. The connection itself shows nobody: `authenticate` is asked about each request,
 * and each counts as a client, as HTTP requests do.
 */
export interface GatewayConnection extends Pick<GatewayClient, 'limits' | 'exposeStacks' | 'report'> {
  /**
   * Serves a request. The sessions that its client opens end when `serve` has settled, or with the connection. `serve` runs
   * in the span that the header `traceparent` names.
   *
   * @throws NetrefError `unauthorized` if the request is of a page that may not call the service, `unavailable` if the
   * server is full or goes away; otherwise what `serve` throws
   */
  serveRequest(
    request: MultiplexedRequest,
    serve: (client: GatewayClient) => void | Promise<void>
  ): Promise<void>
  /** Calls `listener` when the server leaves: it accepts no further requests, and those under way may finish. */
  onLeaving(listener: () => void): void
}

/** What a listener tells of its gateways. */
export interface ListenerGateways {
  readonly metrics: ServerMetrics['gateways']
  readonly ports: Readonly<Record<string, number>>
}
