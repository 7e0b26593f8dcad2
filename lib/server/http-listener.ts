// Accepts WebSocket clients at a path of an HTTP server, its own or a shared one.

import http, { type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { NetrefError, type Reason } from '../errors.js'
import { maxPayloadBytes } from '../protocol/limits.js'
import type { Settings } from '../session/options.js'
import type { OnClientRefused } from '../transport/transport.js'
import { WebSocketTransport } from '../transport/websocket.js'
import { checkOptions } from '../util/check-options.js'
import { MAX_TIMER_MS } from '../util/deadline.js'
import { describeValue } from '../util/describe.js'
import type { ReportError } from '../util/emitter.js'
import { addSharedListener, type Unsubscribe } from '../util/shared-listener.js'
import { AdmissionControl, type SessionSlot, type SlotRequest } from './admission-control.js'
import {
  ADDRESS_LIMIT_REACHED,
  type Authenticate,
  type ClosableClient,
  PendingUpgrade,
  rejectUpgrade,
  SESSION_LIMIT_REACHED
} from './authentication.js'
import type { Gateway, ListenerGateways } from './gateway.js'
import type { GatewayHost } from './gateway-host.js'
import { HelloBudget, UNBUDGETED_BYTES } from './hello-budget.js'
import { networkOf } from './network.js'
import { HTTP_LISTENER_OPTIONS, type HttpListenerOptions } from './options.js'
import { createOriginPolicy, type OriginPolicy } from './origin-check.js'
import { PreHelloTransport } from './pre-hello-transport.js'
import { RefusalReports } from './refusal-reports.js'
import { GOING_AWAY } from './refusals.js'
import {
  type ClientWithReservation,
  createResumeTokens,
  type ResumeTokens,
  type ResumingListener
} from './resume-tokens.js'
import { UpgradeRequest } from './upgrade-request.js'
import { addUpgradeHandler, removeUpgradeHandler } from './upgrade-router.js'

export class HttpListener implements ResumingListener {
  readonly resumeTokens: ResumeTokens | undefined
  readonly #httpServer: Server
  readonly #ownsServer: boolean
  readonly #webSocketServer: WebSocketServer
  readonly #originPolicy: OriginPolicy
  readonly #helloBudget: HelloBudget
  readonly #admission: AdmissionControl
  #accept: ((client: ClientWithReservation) => void) | undefined
  #report: ReportError | undefined
  #refusalReports: RefusalReports | undefined
  #onRefused: OnClientRefused | undefined
  /** Removes the error listener from the HTTP server. */
  #removeErrorListener: Unsubscribe | undefined
  /** Whether clients are refused. */
  #refusesClients = false
  /** Connections of gateways that have a session. */
  readonly #gatewayConnections = new Set<ClosableClient>()
  #gatewayHost: GatewayHost | undefined
  /** Resolves when the sockets of an own server are closed; undefined while it listens. */
  #stopped: Promise<void> | undefined

  /** @throws TypeError or RangeError that names the invalid option */
  constructor(
    private readonly options: HttpListenerOptions,
    private readonly settings: Settings
  ) {
    const { limits } = settings
    checkOptions('serve', options, HTTP_LISTENER_OPTIONS)
    const { port = 18861, server } = options
    const conflicting = (['host', 'port', 'backlog'] as const).find(name => options[name] !== undefined)
    if (server !== undefined && conflicting) {
      throw new TypeError(
        `serve: \`${conflicting}\` cannot be combined with \`server\`; pass it to server.listen()`
      )
    }
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new RangeError(`serve: port ${describeValue(port)} is not a whole number from 0 to 65535`)
    }
    checkPath(options.path)
    this.#ownsServer = server === undefined
    this.#httpServer = this.#ownsServer ? createHttpServer(limits.helloMs) : checkServer(server)
    this.#originPolicy = createOriginPolicy(options)
    this.resumeTokens = createResumeTokens(options)
    this.#helloBudget = new HelloBudget(limits.helloBytes)
    this.#webSocketServer = new WebSocketServer({
      noServer: true,
      autoPong: false,
      perMessageDeflate: false,
      maxPayload: maxPayloadBytes(limits)
    })
    this.#admission = new AdmissionControl(limits, this.resumeTokens, {
      size: () => this.#webSocketServer.clients.size + this.#gatewayConnections.size
    })
  }

  /** Starts to accept clients. Resolves when an own server listens. */
  async open(
    accept: (client: ClientWithReservation) => void,
    report: ReportError,
    onRefused: OnClientRefused
  ): Promise<void> {
    this.#accept = accept
    this.#onRefused = onRefused
    this.#report = report
    this.#refusalReports = new RefusalReports(report, this.settings.limits)
    addUpgradeHandler(this.#httpServer, this.options.path ?? '', this)
    const { host, port = 18861 } = this.options
    try {
      await this.#openGateways(accept)
      if (this.#ownsServer) await this.#listen(this.#httpServer, host, port)
      this.#gatewayHost?.onListening()
    } catch (error) {
      removeUpgradeHandler(this.#httpServer, this.options.path ?? '')
      if (this.#ownsServer) this.#httpServer.close()
      await this.#gatewayHost?.close()
      throw error
    }
    this.#removeErrorListener = addSharedListener(this.#httpServer, 'error', report)
  }

  readonly #listen = (server: Server, host = '127.0.0.1', port: number): Promise<void> => {
    const { backlog } = this.options
    return new Promise((resolve, reject) => {
      const onError = (cause: NodeJS.ErrnoException) => reject(listenError(cause, host, port))
      server.once('error', onError)
      server.listen({ host, port, backlog }, () => {
        server.off('error', onError)
        resolve()
      })
    })
  }

  /** A server without gateways loads nothing of them. */
  async #openGateways(accept: (client: ClientWithReservation) => void): Promise<void> {
    const { gateways, authenticate, trustProxy = false, host } = this.options
    if (gateways === undefined) return
    const { GatewayHost } = await import('./gateway-host.js')
    this.#gatewayHost = await GatewayHost.open({
      gateways: gateways as readonly Gateway[],
      host,
      authenticate,
      trustProxy,
      settings: this.settings,
      originPolicy: this.#originPolicy,
      admission: this.#admission,
      refusalReports: this.#refusalReports!,
      openConnections: this.#gatewayConnections,
      httpServer: this.#httpServer,
      ownsServer: this.#ownsServer,
      accept,
      report: this.#report!,
      onRefused: this.#onRefused!,
      listen: this.#listen
    })
  }

  get gateways(): ListenerGateways | undefined {
    return this.#gatewayHost
  }

  unref(): void {
    if (this.#ownsServer) this.#httpServer.unref()
    this.#gatewayHost?.unref()
  }

  get pendingClients(): number {
    return this.#admission.pending.size
  }

  get port(): number | undefined {
    const address = this.#httpServer.address()
    return address === null || typeof address === 'string' ? undefined : address.port
  }

  get url(): string | undefined {
    const boundAddress = this.#httpServer.address()
    if (boundAddress === null || typeof boundAddress === 'string') return undefined
    const { address, port, family } = boundAddress
    const host =
      address === '0.0.0.0' || address === '::' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
    const secure = 'setSecureContext' in this.#httpServer
    return `${secure ? 'wss' : 'ws'}://${host}:${port}${this.options.path ?? ''}`
  }

  /** An own server listens no more: a proxy asks another server at once. A shared one answers with HTTP 503. */
  refuseClients(): void {
    this.#refusesClients = true
    for (const upgrade of this.#admission.pending) upgrade.reject(UNAVAILABLE_STATUS, GOING_AWAY)
    this.#gatewayHost?.refuseClients()
    if (this.#ownsServer) this.#stopListening()
  }

  #stopListening(): Promise<void> {
    this.#stopped ??= new Promise(resolve => this.#httpServer.close(() => resolve()))
    return this.#stopped
  }

  /** Rejects further clients and stops an own server. Resolves when all sockets are closed. */
  async close(): Promise<void> {
    removeUpgradeHandler(this.#httpServer, this.options.path ?? '')
    for (const upgrade of this.#admission.pending) upgrade.reject(UNAVAILABLE_STATUS, GOING_AWAY)
    // The `close` callback of `ws` depends on timers, which a test may have replaced.
    const closed = [...this.#webSocketServer.clients].map(
      socket => new Promise<void>(resolve => socket.once('close', () => resolve()))
    )
    this.#webSocketServer.close()
    const stopped = this.#ownsServer ? this.#stopListening() : undefined
    await this.#gatewayHost?.close()
    if (stopped) {
      closed.push(stopped)
      this.#httpServer.closeAllConnections()
    }
    await Promise.all(closed)
    this.#removeErrorListener!()
  }

  /** @internal Handles an upgrade request for this path. */
  async handleUpgrade(message: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    if (this.#refusesClients) return rejectUpgrade(socket, UNAVAILABLE_STATUS, GOING_AWAY.message)
    const { authenticate, trustProxy = false } = this.options
    const upgrade = new PendingUpgrade(
      socket,
      () => {
        const transport = this.#openWebSocket(message, socket, head)
        if (transport) this.#admission.opened(upgrade)
        return transport
      },
      reason => this.#onRefused!(ip, reason),
      (status, { retryAfter }) => rejectUpgrade(socket, status, STATUS_CODES[status], retryAfter)
    )
    const request: UpgradeRequest = new UpgradeRequest(message, trustProxy, async () => upgrade.open()?.token)
    const { address: ip } = request
    const refusal = this.#originPolicy(request)
    if (refusal !== undefined) {
      this.#refusalReports!.origin(refusal)
      this.#onRefused!(ip, { code: 'unauthorized', message: refusal })
      return rejectUpgrade(socket, FORBIDDEN_STATUS, refusal)
    }
    const address = networkOf(ip) ?? networkOf(message.socket.remoteAddress)
    if (this.#admission.isAddressFull(address)) {
      if (!trustProxy) this.#refusalReports!.addressLimit(address!)
      return this.#rejectTemporarily(socket, ip, ADDRESS_LIMIT_REACHED)
    }
    if (!authenticate) return this.#acceptWithoutIdentity(upgrade, { socket, address, ip })
    return this.#acceptWithIdentity(upgrade, { socket, address, ip }, () => authenticate(request))
  }

  #acceptWithoutIdentity(upgrade: PendingUpgrade, client: UpgradeClient): void {
    const { socket, address } = client
    const slot = this.#admission.takeSlot(client, this.#report!)
    if (!slot) return this.#rejectFull(client)
    this.#admission.addSocket(socket, address)
    this.#acceptUpgrade(upgrade, client, slot)
  }

  async #acceptWithIdentity(
    upgrade: PendingUpgrade,
    request: UpgradeClient,
    authenticate: () => ReturnType<Authenticate>
  ): Promise<void> {
    const { socket, address } = request
    if (!this.#admission.mayAuthenticate(address)) return this.#rejectFull(request)
    this.#admission.addSocket(socket, address)
    const removePending = this.#admission.addPending(upgrade, socket, address)
    const identified = await upgrade.authenticate(
      authenticate,
      this.settings.limits.helloMs,
      this.#report!,
      () => this.#refusalReports!.slowAuthentication()
    )
    if (!identified) return
    const client = { ...request, identity: identified.identity }
    const slot = this.#admission.takeSlot(client, this.#report!)
    if (slot) {
      removePending()
      this.#acceptUpgrade(upgrade, client, slot)
    } else {
      this.#refusalReports!.sessionLimit()
      upgrade.reject(UNAVAILABLE_STATUS, SESSION_LIMIT_REACHED)
    }
  }

  #acceptUpgrade(
    upgrade: PendingUpgrade,
    { address, ip, identity }: SlotRequest,
    { reservation }: SessionSlot
  ): void {
    const transport = upgrade.open()
    if (!transport) return
    const { connectedAt } = transport
    this.#accept!({ transport, connectedAt, address, ip, identity, reservation })
  }

  #rejectFull({ socket, ip }: UpgradeClient): void {
    this.#refusalReports!.sessionLimit()
    this.#rejectTemporarily(socket, ip, SESSION_LIMIT_REACHED)
  }

  /** Rejects by HTTP; the client may retry. */
  #rejectTemporarily(socket: Duplex, ip: string | undefined, reason: Reason): void {
    this.#onRefused!(ip, reason)
    rejectUpgrade(socket, UNAVAILABLE_STATUS, reason.message, reason.retryAfter)
  }

  /** Performs the WebSocket handshake; `ws` rejects malformed requests. */
  #openWebSocket(message: IncomingMessage, socket: Duplex, head: Buffer): PreHelloTransport | undefined {
    let transport: PreHelloTransport | undefined
    try {
      this.#webSocketServer.handleUpgrade(message, socket, head, opened => {
        const { remoteAddress, remotePort } = message.socket
        const peer = `the client at ${remoteAddress}:${remotePort}`
        transport = new PreHelloTransport(
          new WebSocketTransport(opened, peer, this.options.busyPoll ?? false, message.socket),
          this.#helloBudget,
          UNBUDGETED_BYTES + maxPayloadBytes(this.settings.limits)
        )
      })
    } catch (cause) {
      const why = `another \`upgrade\` listener of the server took the socket for ${message.url}`
      this.#report!(new TypeError(`serve: ${why}; exclude this path there`, { cause }))
    }
    return transport
  }
}

/** A client whose upgrade is requested. */
interface UpgradeClient extends SlotRequest {
  readonly socket: Duplex
}

const FORBIDDEN_STATUS = 403
const UNAVAILABLE_STATUS = 503

/** Creates a server whose clients have as long for their request head as for their hello. */
function createHttpServer(helloMs: number): Server {
  const ms = Math.min(helloMs, MAX_TIMER_MS)
  const timeouts = { headersTimeout: ms, requestTimeout: ms, connectionsCheckingInterval: Math.ceil(ms / 4) }
  return http.createServer(timeouts, respondUpgradeRequired)
}

const respondUpgradeRequired: http.RequestListener = (_request, response) => {
  response.writeHead(426, { connection: 'Upgrade', upgrade: 'websocket' }).end('Upgrade Required\n')
}

function checkPath(path: string | undefined): void {
  if (path === undefined || /^\/[^?#\s]*$/.test(path)) return
  throw new TypeError(`serve: path ${describeValue(path)} must begin with "/" and have no query`)
}

function checkServer(server: unknown): Server {
  const { on, address } = (server ?? {}) as Partial<Server>
  if (typeof on === 'function' && typeof address === 'function') return server as Server
  throw new TypeError(
    'serve: `server` is not an HTTP server; pass the result of listen() (Express), serve() (Hono) or fastify.server'
  )
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): NetrefError {
  const inUse = cause.code === 'EADDRINUSE'
  const why = inUse ? 'the port is in use; choose another, or 0 for a free one' : cause.message
  return new NetrefError(String(cause.code), `serve: cannot listen on ${host}:${port}: ${why}`, { cause })
}
