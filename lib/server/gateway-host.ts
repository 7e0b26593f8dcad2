// Runs the gateways of a server: their ports, connections and requests, and the sessions of their clients.

import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import { DEFAULT_EXPOSURE } from '../access/access-control.js'
import { Service } from '../access/service.js'
import { NetrefError, type Reason } from '../errors.js'
import { isTraceparent } from '../protocol/parse-message.js'
import type { GatewayMetrics } from '../session/metrics.js'
import type { Settings } from '../session/options.js'
import { SessionImpl, type SessionSetup } from '../session/session.js'
import { tracing } from '../session/tracing.js'
import { MemoryTransport } from '../transport/memory.js'
import type { OnClientRefused } from '../transport/transport.js'
import type { Session } from '../types/session.js'
import { clock } from '../util/clock.js'
import { describeValue } from '../util/describe.js'
import type { ReportError } from '../util/emitter.js'
import type { AdmissionControl } from './admission-control.js'
import {
  ADDRESS_LIMIT_REACHED,
  type ClosableClient,
  PendingUpgrade,
  SESSION_LIMIT_REACHED
} from './authentication.js'
import type { Gateway, GatewayClient } from './gateway.js'
import { networkOf } from './network.js'
import type { HttpListenerOptions } from './options.js'
import type { OriginPolicy } from './origin-check.js'
import { ProtocolDetection } from './protocol-detection.js'
import type { RefusalReports } from './refusal-reports.js'
import { GOING_AWAY } from './refusals.js'
import { addRequestHandler } from './request-router.js'
import type { ClientWithReservation } from './resume-tokens.js'
import { UpgradeRequest } from './upgrade-request.js'

/** What the host needs of the listener of its server. */
export interface GatewayHostSetup {
  readonly options: HttpListenerOptions
  readonly settings: Settings
  readonly originPolicy: OriginPolicy
  readonly admission: AdmissionControl
  readonly refusalReports: RefusalReports
  /** Sockets that may have a session, besides WebSockets. */
  readonly openSockets: Set<ClosableClient>
  /** The HTTP server that shares its port with the gateways. */
  readonly httpServer: Server
  /** Whether it is not the user's. */
  readonly ownsServer: boolean
  readonly accept: (client: ClientWithReservation) => void
  readonly report: ReportError
  readonly onRefused: OnClientRefused
  /** Listens on a port. */
  listen(server: Server, host: string | undefined, port: number): Promise<void>
}

/** A connection or a request of a client. */
interface ClientConnection {
  readonly gateway: Gateway
  /** Its socket, or the response to its request. */
  readonly client: ClosableClient
  readonly request: UpgradeRequest
  readonly address: string | undefined
  readonly isRequest: boolean
}

type GatewayCounters = { -readonly [K in keyof GatewayMetrics]: GatewayMetrics[K] }

/** Content types that a page may send to any server without asking it. */
const UNASKED_CONTENT_TYPES = /^(|text\/plain|application\/x-www-form-urlencoded|multipart\/form-data)$/
const PREFLIGHT_HEADERS = {
  'access-control-allow-methods': 'POST',
  'access-control-allow-headers': 'content-type, authorization, traceparent',
  'access-control-max-age': '600'
}
/** How long a client may take to read what it is owed when the server closes, in ms. */
const FLUSH_MS = 1000
const KEEP_ALIVE_MS = 15_000

class NoService extends Service {}

const noop = () => {}

export class GatewayHost {
  readonly #counters = new Map<string, GatewayCounters>()
  readonly #detections: ProtocolDetection[] = []
  /** HTTP servers of the gateways' own ports. */
  readonly #ownServers = new Map<Gateway, Server>()
  readonly #sockets = new Set<Socket>()
  readonly #responses = new Set<ServerResponse>()
  readonly #removeHandlers: (() => void)[] = []
  #refusesClients = false
  #keepsAlive = true

  private constructor(private readonly setup: GatewayHostSetup) {}

  /**
   * Starts the gateways; those with a port of their own listen.
   *
   * @throws TypeError for gateways that are invalid, or that claim the same requests
   */
  static async open(setup: GatewayHostSetup): Promise<GatewayHost> {
    const gateways = setup.options.gateways!
    checkGateways(gateways, setup)
    const host = new GatewayHost(setup)
    for (const { name } of gateways)
      host.#counters.set(name, { clients: 0, clientsTotal: 0, clientsRefused: 0 })
    host.#shareServer(gateways.filter(gateway => gateway.port === undefined))
    try {
      for (const gateway of gateways) if (gateway.port !== undefined) await host.#openPort(gateway)
    } catch (error) {
      await host.close()
      throw error
    }
    return host
  }

  /** Calls `opened` of each gateway: their ports listen. */
  onListening(): void {
    for (const gateway of this.setup.options.gateways!) {
      const { address, port } = (this.#ownServers.get(gateway) ?? this.setup.httpServer).address() as {
        address: string
        port: number
      }
      gateway.opened?.({ host: address, port })
    }
  }

  /** The ports of gateways, by name. */
  get ports(): Readonly<Record<string, number>> {
    const ports = [...this.#ownServers].map(([{ name }, server]) => [name, portOf(server)])
    return Object.fromEntries(ports)
  }

  get metrics(): Readonly<Record<string, GatewayMetrics>> {
    return Object.fromEntries([...this.#counters].map(([name, counters]) => [name, { ...counters }]))
  }

  unref(): void {
    this.#keepsAlive = false
    for (const server of this.#ownServers.values()) server.unref()
    for (const socket of this.#sockets) socket.unref()
  }

  /** Further clients are refused. */
  refuseClients(): void {
    this.#refusesClients = true
    for (const server of this.#ownServers.values()) server.close()
  }

  /** Resolves when all connections are closed. Sessions must end meanwhile. */
  async close(): Promise<void> {
    this.refuseClients()
    for (const remove of this.#removeHandlers) remove()
    for (const detection of this.#detections) detection.close()
    const flushing = [...this.#sockets, ...this.#responses].map(client => this.#closeWhenFlushed(client))
    await Promise.all(flushing)
    for (const server of this.#ownServers.values()) server.closeAllConnections()
    for (const gateway of this.setup.options.gateways!) await gateway.closed?.()
  }

  /** Closes a connection when its client has read what it is owed, but not much later than its session ends. */
  #closeWhenFlushed(client: Socket | ServerResponse): Promise<void> {
    return new Promise(resolve => {
      if (client.destroyed) return resolve()
      const timer = clock.setTimeout(() => client.destroy(), FLUSH_MS)
      client.once('close', () => {
        clock.clearTimeout(timer)
        resolve()
      })
      if (!this.setup.openSockets.has(client) && !this.#responses.has(client as ServerResponse))
        client.destroy()
    })
  }

  /** Serves the gateways that share the port of the server. */
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
    const { settings, options, listen } = this.setup
    const timeouts = { headersTimeout: settings.limits.helloMs, requestTimeout: settings.limits.helloMs }
    const server = gateway.tls
      ? https.createServer({ ...gateway.tls, ...timeouts })
      : http.createServer(timeouts)
    this.#serve(server, [gateway], gateway.requests !== undefined)
    await listen(server, gateway.host ?? options.host, gateway.port!)
    this.#ownServers.set(gateway, server)
  }

  /** Serves the connections and requests of an HTTP server that netref owns. */
  #serve(server: Server, gateways: readonly Gateway[], acceptsHttp: boolean): void {
    const { report, settings } = this.setup
    const protocols = gateways
      .filter(({ detect }) => detect !== undefined)
      .map(gateway => ({
        detect: (firstBytes: Uint8Array) => gateway.detect!(firstBytes),
        serve: (socket: Socket) => this.#onSocket(gateway, socket)
      }))
    this.#detections.push(
      new ProtocolDetection(server, protocols, acceptsHttp, settings.limits.helloMs, report)
    )
    const [respondOtherwise] = server.listeners('request') as [http.RequestListener | undefined]
    server.removeAllListeners('request')
    const withRequests = gateways.filter(({ requests }) => requests !== undefined)
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      if (respondOtherwise && !isForGateways(request, withRequests)) respondOtherwise(request, response)
      else void this.#onRequest(withRequests, request, response)
    })
  }

  #onSocket(gateway: Gateway, socket: Socket): void {
    socket.allowHalfOpen = false
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    if (!this.#keepsAlive) socket.unref()
    const message = { headers: {}, socket, url: '/' } as unknown as IncomingMessage
    const connection = this.#connection(gateway, socket, message, false)
    const refusal = this.#refusalOf(connection)
    if (refusal) {
      this.#refuse(connection, refusal)
      return void socket.destroy()
    }
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    void this.#run(connection, client => gateway.handleSocket!(socket, client)).catch(error => {
      this.setup.report(error)
      socket.destroy()
    })
  }

  async #onRequest(
    gateways: readonly Gateway[],
    message: IncomingMessage,
    response: ServerResponse
  ): Promise<void> {
    const path = message.url!.split('?', 1)[0]!
    const atPath = gateways.filter(({ requests }) => requests!.path === path)
    const claimants = atPath.length > 0 ? atPath : gateways.filter(({ requests }) => !requests!.path)
    if (claimants.length === 0) return respond(response, 404, `nothing is served at ${path}`)
    const contentType = (message.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase()
    const gateway = claimants.find(({ requests }) => requests!.contentTypes.includes(contentType))
    const connection = this.#connection(gateway ?? claimants[0]!, response, message, true)
    const { originPolicy, refusalReports, report } = this.setup
    const { origin } = connection.request
    const refusedOrigin = originPolicy(connection.request)
    if (refusedOrigin !== undefined) {
      refusalReports.origin(refusedOrigin)
      this.#refuse(connection, { code: 'unauthorized', message: refusedOrigin })
      return respond(response, 403, refusedOrigin)
    }
    if (origin !== undefined) {
      response.setHeader('access-control-allow-origin', origin)
      response.setHeader('vary', 'origin')
      if (message.method === 'OPTIONS') return void response.writeHead(204, PREFLIGHT_HEADERS).end()
    }
    if (message.method !== 'POST') {
      response.setHeader('allow', 'POST')
      return respond(response, 405, 'only POST requests are served here')
    }
    if (!gateway || (origin !== undefined && UNASKED_CONTENT_TYPES.test(contentType))) {
      const types = claimants.flatMap(({ requests }) => requests!.contentTypes).filter(Boolean)
      return respond(
        response,
        415,
        `the content type ${describeValue(contentType)} is not served here; use ${types.join(' or ')}`
      )
    }
    const refusal = this.#refusalOf(connection)
    if (refusal) {
      this.#refuse(connection, refusal)
      response.setHeader('connection', 'close')
      return respond(response, 503, refusal.message)
    }
    this.#responses.add(response)
    response.once('close', () => this.#responses.delete(response))
    const { traceparent } = message.headers
    const handle = (client: GatewayClient) => gateway.handleRequest!(message, response, client)
    const run = () => this.#run(connection, handle)
    try {
      /* c8 ignore next: tracing is installed where the specs run. */
      await (tracing ? tracing.runInSpan(isTraceparent(traceparent) ? traceparent : undefined, run) : run())
    } catch (error) {
      if (error instanceof NetrefError && error.code in STATUS_OF_REFUSAL)
        return respond(
          response,
          STATUS_OF_REFUSAL[error.code as keyof typeof STATUS_OF_REFUSAL],
          error.message
        )
      report(error)
      respond(response, 500, 'internal error')
    }
  }

  #connection(
    gateway: Gateway,
    client: ClosableClient,
    message: IncomingMessage,
    isRequest: boolean
  ): ClientConnection {
    const { trustProxy = false } = this.setup.options
    const readToken = async () => /^Bearer +(\S+)$/i.exec(message.headers.authorization ?? '')?.[1]
    const request = new UpgradeRequest(message, trustProxy, readToken, gateway.name)
    const address = networkOf(request.address) ?? networkOf(message.socket.remoteAddress)
    return { gateway, client, request, address, isRequest }
  }

  /** Why a client is not served at all. */
  #refusalOf({ gateway, address, request, isRequest }: ClientConnection): Reason | undefined {
    const { admission, options, settings, refusalReports } = this.setup
    if (this.#refusesClients) return GOING_AWAY
    if (admission.isAddressFull(address)) {
      if (!options.trustProxy) refusalReports.addressLimit(address!)
      return ADDRESS_LIMIT_REACHED
    }
    if (isRequest) return this.#responses.size < settings.limits.sessions ? undefined : SESSION_LIMIT_REACHED
    if (!options.authenticate || gateway.authenticate || request.certificate) return undefined
    refusalReports.unidentified(gateway.name)
    return { code: 'unauthorized', message: `the clients of ${gateway.name} cannot show who they are` }
  }

  #refuse({ gateway, request }: ClientConnection, reason: Reason): void {
    this.#counters.get(gateway.name)!.clientsRefused++
    this.setup.onRefused(request.address, reason)
  }

  /** Counts a client that is served, and runs its gateway. */
  async #run(
    connection: ClientConnection,
    serve: (client: GatewayClient) => void | Promise<void>
  ): Promise<void> {
    const { settings, report, admission, openSockets } = this.setup
    const { client, address, gateway } = connection
    const counters = this.#counters.get(gateway.name)!
    counters.clients++
    counters.clientsTotal++
    const sessions = new Set<SessionImpl>()
    client.once('close', () => {
      counters.clients--
      openSockets.delete(client)
      for (const session of sessions) void session.close()
    })
    admission.addSocket(client, address)
    await serve({
      openSession: () => this.#openSession(connection, sessions),
      limits: settings.limits,
      exposeStacks: settings.exposeStacks,
      report
    })
  }

  async #openSession(connection: ClientConnection, sessions: Set<SessionImpl>): Promise<Session> {
    const { accept, settings, openSockets } = this.setup
    const { client, gateway, address, request, isRequest } = connection
    const slotClient = await this.#admit(connection)
    const [own, served] = MemoryTransport.pair()
    const transport = { transport: served, ip: request.address, address, gateway: gateway.name, isRequest }
    accept({ ...slotClient, ...transport })
    const session = new SessionImpl(own, {
      isInitiator: true,
      createRoot: createNothing,
      ...ownSettings(settings)
    })
    const closed = new Promise<Reason>(resolve => session.on('closed', resolve))
    sessions.add(session)
    if (!isRequest) openSockets.add(client)
    void closed.then(() => {
      sessions.delete(session)
      if (sessions.size === 0) openSockets.delete(client)
    })
    const opened = new Promise<undefined>(resolve => session.on('state', () => resolve(undefined)))
    session.start()
    const reason = await Promise.race([opened, closed])
    if (client.destroyed) void session.close()
    if (session.state !== 'open') throw refusalError(reason ?? GOING_AWAY)
    return session
  }

  /** Identifies a client and takes a slot for its session. @throws NetrefError */
  async #admit(
    connection: ClientConnection
  ): Promise<Pick<ClientWithReservation, 'identity' | 'reservation'>> {
    const { admission, settings, options, report, refusalReports } = this.setup
    const { client, gateway, request, address, isRequest } = connection
    const refuse = (reason: Reason) => {
      this.#refuse(connection, reason)
      return refusalError(reason)
    }
    if (this.#refusesClients) throw refuse(GOING_AWAY)
    const authenticate = gateway.authenticate ?? options.authenticate
    let identity: unknown
    if (authenticate) {
      let refusal: Reason = GOING_AWAY
      const onRejected = (reason: Reason) => {
        refusal = reason
        this.#refuse(connection, reason)
      }
      const pending = new PendingUpgrade(client, noop as () => undefined, onRejected, noop)
      if (!admission.mayAuthenticate(address)) throw refuse(SESSION_LIMIT_REACHED)
      const removePending = admission.addPending(pending, client, address)
      const onDelay = () => refusalReports.slowAuthentication()
      const identified = await pending.authenticate(
        () => authenticate(request),
        settings.limits.helloMs,
        report,
        onDelay
      )
      removePending()
      if (!identified) throw refusalError(refusal)
      identity = identified.identity
    }
    if (isRequest || this.setup.openSockets.has(client)) return { identity }
    const slot = admission.takeSlot({ socket: client, address, ip: request.address, identity }, report)
    if (!slot) {
      refusalReports.sessionLimit()
      throw refuse(SESSION_LIMIT_REACHED)
    }
    return { identity, reservation: slot.reservation }
  }
}

const createNothing = () => new NoService()

/** The settings of the gateway's end: the service is not restricted in what it does with the client's objects. */
function ownSettings(settings: Settings): Omit<SessionSetup, 'isInitiator' | 'createRoot'> {
  const { limits } = settings
  return {
    ...settings,
    exposure: { ...DEFAULT_EXPOSURE, limits },
    timeout: Number.POSITIVE_INFINITY,
    onCallError: undefined,
    trace: undefined
  }
}

const refusalError = ({ code, message, cause }: Reason) =>
  new NetrefError(code, message, cause === undefined ? undefined : { cause })

const STATUS_OF_REFUSAL = { unauthorized: 401, unavailable: 503, limit: 503, 'service-failed': 503 }

const portOf = (server: Server) => (server.address() as { port: number } | null)?.port ?? 0

/** Whether a request is for gateways: by its path, or as a POST request. */
const isForGateways = ({ method, url }: IncomingMessage, gateways: readonly Gateway[]) =>
  gateways.length > 0 &&
  (method === 'POST' ||
    method === 'OPTIONS' ||
    gateways.some(({ requests }) => requests!.path === url!.split('?', 1)[0]))

function respond(response: ServerResponse, status: number, why: string): void {
  if (response.headersSent || response.destroyed) return void response.destroy()
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${why}\n`)
}

/** @throws TypeError */
function checkGateways(gateways: readonly Gateway[], { ownsServer }: GatewayHostSetup): void {
  if (!Array.isArray(gateways))
    throw new TypeError(`serve: \`gateways\` takes a list, such as [rpyc()], not ${describeValue(gateways)}`)
  gateways.forEach((gateway, i) => {
    checkGateway(gateway, `serve: gateways[${i}]`)
    if (!ownsServer && gateway.port === undefined && !gateway.requests?.path)
      throw new TypeError(
        `serve: the gateway "${gateway.name}" needs a \`port\` of its own, or for HTTP a \`path\`, beside \`server\``
      )
    const other = gateways.slice(0, i).find(earlier => claimsSameRequests(earlier, gateway))
    if (!other) return
    const where = gateway.requests!.path ?? 'any path'
    throw new TypeError(
      `serve: the gateways "${other.name}" and "${gateway.name}" both claim requests at ${where}; give one of them another \`path\` or a \`port\``
    )
  })
}

function checkGateway(gateway: Gateway, label: string): void {
  const { name, handleSocket, handleRequest, detect, requests, port, tls } = Object(gateway) as Gateway
  if (typeof gateway === 'function')
    throw new TypeError(`${label}: a function is not a gateway; call it, as in [rpyc()]`)
  if (typeof name !== 'string' || !/^[a-z][a-z\d-]*$/.test(name))
    throw new TypeError(
      `${label}: ${describeValue(gateway)} is not a gateway; pass what rpyc(), say, returns`
    )
  if ((handleSocket === undefined) !== (detect === undefined))
    throw new TypeError(`${label}: "${name}" must have both \`detect\` and \`handleSocket\`, or neither`)
  if ((handleRequest === undefined) !== (requests === undefined))
    throw new TypeError(`${label}: "${name}" must have both \`requests\` and \`handleRequest\`, or neither`)
  if (!handleSocket && !handleRequest)
    throw new TypeError(`${label}: "${name}" serves neither connections nor requests`)
  if (requests?.path !== undefined && !/^\/[^?#\s]*$/.test(requests.path))
    throw new TypeError(
      `${label}: path ${describeValue(requests.path)} must begin with "/" and have no query`
    )
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535))
    throw new RangeError(`${label}: port ${describeValue(port)} is not a whole number from 0 to 65535`)
  if (tls !== undefined && port === undefined)
    throw new TypeError(`${label}: \`tls\` needs a \`port\` of its own`)
}

function claimsSameRequests(one: Gateway, other: Gateway): boolean {
  if (one.port !== undefined || other.port !== undefined || !one.requests || !other.requests) return false
  if (one.requests.path !== other.requests.path) return false
  return one.requests.contentTypes.some(type => other.requests!.contentTypes.includes(type))
}
