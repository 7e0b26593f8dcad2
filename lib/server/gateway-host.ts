// Runs the gateways of a server: their ports, their connections and their HTTP requests.

import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Reason } from '../errors.js'
import { isTraceparent } from '../protocol/parse-message.js'
import type { GatewayMetrics } from '../session/metrics.js'
import { tracing } from '../session/tracing.js'
import type { OnClientRefused } from '../transport/transport.js'
import { clock } from '../util/clock.js'
import { runHook } from '../util/emitter.js'
import type { ClosableClient } from './authentication.js'
import type { Gateway, GatewayClient, MultiplexedRequest } from './gateway.js'
import { checkGateways } from './gateway-checks.js'
import {
  closeWithConnection,
  gatewaysAtPath,
  isForGateways,
  respond,
  routeRequest
} from './gateway-requests.js'
import { ConnectedClient, type GatewayServer, RefusalError } from './gateway-sessions.js'
import { MultiplexedConnection } from './multiplexed-connection.js'
import { networkOf } from './network.js'
import type { OriginPolicy } from './origin-check.js'
import { ProtocolDetection } from './protocol-detection.js'
import { addRequestHandler } from './request-router.js'
import { UpgradeRequest } from './upgrade-request.js'

/** What the gateways need of the listener of their server. */
export interface GatewayHostSetup extends Omit<GatewayServer, 'requestCount' | 'refusesClients'> {
  readonly gateways: readonly Gateway[]
  /** Address for the ports of gateways that name none. */
  readonly host: string | undefined
  readonly originPolicy: OriginPolicy
  /** The HTTP server whose port the gateways share. */
  readonly httpServer: Server
  /** Whether it is not the user's. */
  readonly ownsServer: boolean
  readonly onRefused: OnClientRefused
  /** Listens on a port. */
  listen(server: Server, host: string | undefined, port: number): Promise<void>
}

type GatewayCounters = { -readonly [K in keyof GatewayMetrics]: GatewayMetrics[K] }

/** How long a client may take to read what it is owed when the server closes, in ms. */
const FLUSH_MS = 1000
const KEEP_ALIVE_MS = 15_000
const MAX_LISTENERS = 20

export class GatewayHost {
  readonly #counters = new Map<string, GatewayCounters>()
  readonly #detections: ProtocolDetection[] = []
  /** HTTP servers of the gateways that have a port of their own. */
  readonly #servers = new Map<Gateway, Server>()
  readonly #sockets = new Set<Socket>()
  readonly #responses = new Set<ServerResponse>()
  readonly #multiplexed = new Map<Socket, MultiplexedConnection>()
  /** Requests of multiplexed connections. */
  readonly #scopes = new Set<ClosableClient>()
  readonly #removeHandlers: (() => void)[] = []
  readonly #server: GatewayServer
  #refusesClients = false
  #keepsAlive = true

  private constructor(private readonly setup: GatewayHostSetup) {
    this.#server = {
      ...setup,
      requestCount: () => this.#responses.size + this.#scopes.size,
      refusesClients: () => this.#refusesClients
    }
    for (const { name } of setup.gateways)
      this.#counters.set(name, { clients: 0, clientsTotal: 0, clientsRefused: 0 })
  }

  /**
   * Starts the gateways. Those with a port of their own listen.
   *
   * @throws TypeError or RangeError for gateways that are invalid, or that claim the same requests
   * @throws NetrefError with the system's code if a port cannot be opened
   */
  static async open(setup: GatewayHostSetup): Promise<GatewayHost> {
    checkGateways(setup.gateways, setup.ownsServer)
    const host = new GatewayHost(setup)
    try {
      host.#shareServer(setup.gateways.filter(({ port }) => port === undefined))
      for (const gateway of setup.gateways) await host.#openPort(gateway)
    } catch (error) {
      await host.close()
      throw error
    }
    return host
  }

  /** Tells the gateways where they listen. */
  onListening(): void {
    for (const gateway of this.setup.gateways) {
      const server = this.#servers.get(gateway) ?? this.setup.httpServer
      const { address, port } = server.address() as AddressInfo
      gateway.opened?.({ host: address, port })
    }
  }

  get ports(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      [...this.#servers].map(([{ name }, server]) => [name, (server.address() as AddressInfo).port])
    )
  }

  get metrics(): Readonly<Record<string, GatewayMetrics>> {
    return Object.fromEntries([...this.#counters].map(([name, counters]) => [name, { ...counters }]))
  }

  unref(): void {
    this.#keepsAlive = false
    for (const server of this.#servers.values()) server.unref()
    for (const socket of this.#sockets) socket.unref()
  }

  /** Further clients are refused. */
  refuseClients(): void {
    if (this.#refusesClients) return
    this.#refusesClients = true
    for (const server of this.#servers.values()) server.close()
    for (const connection of this.#multiplexed.values()) connection.leave()
  }

  /** Resolves when all connections are closed. Their sessions must end meanwhile. */
  async close(): Promise<void> {
    this.refuseClients()
    for (const remove of this.#removeHandlers) remove()
    for (const detection of this.#detections) detection.close()
    for (const socket of this.#sockets) if (!this.#isInUse(socket)) socket.destroy()
    await Promise.all([...this.#sockets, ...this.#responses].map(closedWhenFlushed))
    for (const server of this.#servers.values()) server.closeAllConnections()
    for (const gateway of this.setup.gateways) await runHook(() => gateway.closed?.(), this.setup.report)
  }

  /** Whether a connection has a session, or is ended by its gateway: it may still owe a response. */
  #isInUse(socket: Socket): boolean {
    return this.setup.openConnections.has(socket) || this.#multiplexed.has(socket)
  }

  /** Serves the gateways that have no port of their own. */
  #shareServer(gateways: readonly Gateway[]): void {
    const { httpServer, ownsServer } = this.setup
    if (ownsServer) return this.#serve(httpServer, gateways, true)
    for (const gateway of gateways) {
      const handle = (request: IncomingMessage, response: ServerResponse) =>
        void this.#onRequest([gateway], request, response)
      this.#removeHandlers.push(addRequestHandler(httpServer, gateway.requests!.path!, handle))
    }
  }

  async #openPort(gateway: Gateway): Promise<void> {
    if (gateway.port === undefined) return
    const { settings, host, listen } = this.setup
    const { helloMs } = settings.limits
    const timeouts = { headersTimeout: helloMs, requestTimeout: helloMs }
    const server = gateway.tls
      ? https.createServer({ handshakeTimeout: helloMs, ...gateway.tls, ...timeouts })
      : http.createServer(timeouts)
    this.#serve(server, [gateway], gateway.requests !== undefined)
    await listen(server, gateway.host ?? host, gateway.port)
    this.#servers.set(gateway, server)
  }

  /** Serves the connections and requests of an HTTP server that is not the user's. */
  #serve(server: Server, gateways: readonly Gateway[], acceptsHttp: boolean): void {
    const { report, settings } = this.setup
    const protocols = gateways
      .filter(({ detect }) => detect !== undefined)
      .map(gateway => ({
        detect: (firstBytes: Uint8Array) => gateway.detect!(firstBytes),
        serve: (socket: Socket) => this.#onConnection(gateway, socket)
      }))
    const { helloMs } = settings.limits
    this.#detections.push(new ProtocolDetection(server, protocols, acceptsHttp, helloMs, report))
    const serving = gateways.filter(({ requests }) => requests !== undefined)
    const others = server.listeners('request') as http.RequestListener[]
    if (serving.length === 0) return
    server.removeAllListeners('request')
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      if (others.length === 0 || isForGateways(request, serving))
        void this.#onRequest(serving, request, response)
      else for (const respondOtherwise of others) respondOtherwise(request, response)
    })
  }

  #onConnection(gateway: Gateway, socket: Socket): void {
    socket.allowHalfOpen = false
    socket.setNoDelay(true)
    // The server and the gateway have several listeners to its end.
    socket.setMaxListeners(MAX_LISTENERS)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    if (!this.#keepsAlive) socket.unref()
    const serve = gateway.handleConnection
      ? this.#acceptMultiplexed(gateway, socket)
      : this.#acceptClient(gateway, socket)
    if (!serve) return void socket.destroy()
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    const onError = (error: unknown) => {
      if (!socket.destroyed && !(error instanceof RefusalError)) this.setup.report(error)
      socket.destroy()
    }
    void runHook(serve, onError)
  }

  /** @returns a function that serves the connection, or undefined if it is refused */
  #acceptClient(gateway: Gateway, socket: Socket): (() => unknown) | undefined {
    const request = this.#requestOf(messageOf(socket, { path: '/', headers: {} }), gateway)
    const client = this.#client(gateway, socket, request, false)
    const { refusal } = client
    if (refusal) return void this.#onRefused(gateway, request, refusal)
    this.#begin(gateway, socket, client)
    return () => gateway.handleSocket!(socket, client)
  }

  /** @returns a function that serves the connection, or undefined if it is refused */
  #acceptMultiplexed(gateway: Gateway, socket: Socket): (() => unknown) | undefined {
    if (this.#refusesClients) return undefined
    const { settings, report } = this.setup
    const connection = new MultiplexedConnection(socket, settings, report, (request, scope, serve) =>
      this.#serveMultiplexed(gateway, messageOf(socket, request), scope, serve)
    )
    this.#multiplexed.set(socket, connection)
    socket.once('close', () => this.#multiplexed.delete(socket))
    return () => gateway.handleConnection!(socket, connection)
  }

  async #serveMultiplexed(
    gateway: Gateway,
    message: IncomingMessage,
    scope: ClosableClient,
    serve: (client: GatewayClient) => unknown
  ): Promise<void> {
    const request = this.#requestOf(message, gateway)
    const client = this.#client(gateway, scope, request, true)
    const refusal = this.#originRefusal(request) ?? client.refusal
    if (refusal) {
      this.#onRefused(gateway, request, refusal)
      throw new RefusalError(refusal)
    }
    this.#scopes.add(scope)
    scope.once('close', () => this.#scopes.delete(scope))
    this.#begin(gateway, scope, client)
    await inSpanOf(message, async () => serve(client))
  }

  /** Why a request is refused that is of a page, or to a host, that is not allowed. */
  #originRefusal(request: UpgradeRequest): Reason | undefined {
    const { originPolicy, refusalReports } = this.setup
    const message = originPolicy(request)
    if (message === undefined) return undefined
    refusalReports.origin(message)
    return { code: 'unauthorized', message }
  }

  async #onRequest(
    gateways: readonly Gateway[],
    message: IncomingMessage,
    response: ServerResponse
  ): Promise<void> {
    const candidates = gatewaysAtPath(message, gateways)
    if (candidates.length === 0) return respond(response, 404, 'no gateway serves this path')
    const anyRequest = this.#requestOf(message, candidates[0]!)
    const refusedOrigin = this.#originRefusal(anyRequest)
    if (refusedOrigin) {
      this.#onRefused(candidates[0]!, anyRequest, refusedOrigin)
      return respond(response, 403, refusedOrigin.message)
    }
    const gateway = routeRequest(message, response, candidates, anyRequest.origin)
    if (!gateway) return
    const request = this.#requestOf(message, gateway)
    const client = this.#client(gateway, response, request, true)
    const { refusal } = client
    if (refusal) {
      this.#onRefused(gateway, request, refusal)
      response.setHeader('connection', 'close')
      return respond(response, 503, refusal.message)
    }
    closeWithConnection(response, message.socket)
    // A client that does not read its response is cut off.
    response.once('prefinish', () => response.setTimeout(this.setup.settings.limits.pauseMs))
    this.#responses.add(response)
    response.once('close', () => this.#responses.delete(response))
    this.#begin(gateway, response, client)
    const handle = async () => gateway.handleRequest!(message, response, client)
    try {
      await inSpanOf(message, handle)
    } catch (error) {
      if (error instanceof RefusalError) return respond(response, error.status, error.message)
      if (!response.destroyed) this.setup.report(error)
      respond(response, 500, 'internal error')
    }
  }

  #requestOf(message: IncomingMessage, { name }: Gateway): UpgradeRequest {
    const readToken = async () => /^Bearer +(\S+)$/i.exec(message.headers.authorization ?? '')?.[1]
    return new UpgradeRequest(message, this.setup.trustProxy, readToken, name)
  }

  #client(
    gateway: Gateway,
    connection: ClosableClient,
    request: UpgradeRequest,
    isRequest: boolean
  ): ConnectedClient {
    const { remoteAddress } = (request.message as IncomingMessage).socket
    const address = networkOf(request.address) ?? networkOf(remoteAddress)
    const onRefused = (reason: Reason) => this.#onRefused(gateway, request, reason)
    return new ConnectedClient(this.#server, gateway, connection, request, address, isRequest, onRefused)
  }

  #onRefused({ name }: Gateway, { address }: UpgradeRequest, reason: Reason): void {
    this.#counters.get(name)!.clientsRefused++
    this.setup.onRefused(address, reason)
  }

  #begin({ name }: Gateway, connection: ClosableClient, client: ConnectedClient): void {
    const counters = this.#counters.get(name)!
    counters.clients++
    counters.clientsTotal++
    connection.once('close', () => counters.clients--)
    client.begin()
  }
}

/** A request of a connection as an HTTP message. */
const messageOf = (socket: Socket, { path, headers }: MultiplexedRequest) =>
  ({ headers, socket, url: path }) as IncomingMessage

/** Runs a function in the span that a request names. */
function inSpanOf<T>({ headers: { traceparent } }: IncomingMessage, run: () => T): T {
  /* c8 ignore next: tracing is installed where the specs run. */
  if (!tracing) return run()
  return tracing.runInSpan(isTraceparent(traceparent) ? traceparent : undefined, run)
}

/** Resolves when a connection is closed: by its gateway, or because its client does not read what it is owed. */
function closedWhenFlushed(connection: Socket | ServerResponse): Promise<void> {
  return new Promise(resolve => {
    const timer = clock.setTimeout(() => connection.destroy(), FLUSH_MS)
    connection.once('close', () => {
      clock.clearTimeout(timer)
      resolve()
    })
  })
}
