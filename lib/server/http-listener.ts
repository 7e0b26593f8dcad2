// Accepts WebSocket clients at a path of an HTTP server, its own or a shared one.

import http, { type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { NetrefError, type Reason } from '../errors.js'
import { type Limits, maxPayloadBytes } from '../protocol/limits.js'
import { livenessOf } from '../session/options.js'
import { WebSocketTransport } from '../transport/websocket.js'
import { checkMs, checkOptions } from '../util/check-options.js'
import { AddressCounter } from '../util/counter.js'
import { MAX_TIMER_MS } from '../util/deadline.js'
import { describe } from '../util/describe.js'
import type { ReportError } from '../util/emitter.js'
import { addSharedListener, type Unsubscribe } from '../util/shared-listener.js'
import {
  ADDRESS_LIMIT_REACHED,
  PendingUpgrade,
  rejectUpgrade,
  SESSION_LIMIT_REACHED
} from './authentication.js'
import { HelloBudget, UNBUDGETED_BYTES } from './hello-budget.js'
import { networkOf } from './network.js'
import { OPTIONS as HTTP_LISTENER_OPTIONS, type EntranceOptions as HttpListenerOptions } from './options.js'
import { createOriginPolicy, type OriginPolicy } from './origin-check.js'
import { PreHelloTransport } from './pre-hello-transport.js'
import { type Arrival, ResumeTokens, type ResumingListener, type SlotReservation } from './resume-tokens.js'
import { UpgradeRequest } from './upgrade-request.js'
import { addUpgradeHandler, removeUpgradeHandler } from './upgrade-router.js'

export class HttpListener implements ResumingListener {
  readonly resumeTokens: ResumeTokens | undefined
  readonly #httpServer: Server
  readonly #ownsServer: boolean
  readonly #webSocketServer: WebSocketServer
  readonly #originPolicy: OriginPolicy
  /** Clients being authenticated: before the WebSocket handshake, and after it while waiting for the token. */
  readonly #pendingUpgrades = new Set<PendingUpgrade>()
  readonly #pendingTokens = new Set<PendingUpgrade>()
  /** Clients being authenticated, and open sockets, by address. */
  readonly #pendingPerAddress = new AddressCounter()
  readonly #socketsPerAddress = new AddressCounter()
  /** Clients being authenticated that one address may have. */
  readonly #maxPendingPerAddress: number
  readonly #helloBudget: HelloBudget
  #accept: ((arrival: Arrival) => void) | undefined
  #report: ReportError | undefined
  /** Removes the error listener from the HTTP server. */
  #removeErrorListener: Unsubscribe | undefined
  /** Texts of refusals by origin or host that were reported. */
  readonly #reportedRefusals = new Set<string>()
  /** Limits that have refused a client; each is reported once. */
  readonly #reportedLimits = new Set<keyof Limits>()

  /** @throws TypeError or RangeError that names the invalid option */
  constructor(
    private readonly options: HttpListenerOptions,
    private readonly limits: Limits
  ) {
    checkOptions('serve', options, HTTP_LISTENER_OPTIONS)
    const { port = 18861, server } = options
    const conflicting = (['host', 'port', 'backlog'] as const).find(name => options[name] !== undefined)
    if (server !== undefined && conflicting) {
      throw new TypeError(
        `serve: \`${conflicting}\` cannot be combined with \`server\`; pass it to server.listen()`
      )
    }
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new RangeError(`serve: port ${describe(port)} is not a whole number from 0 to 65535`)
    }
    checkPath(options.path)
    this.#ownsServer = server === undefined
    this.#httpServer = this.#ownsServer ? createHttpServer(limits.helloMs) : checkServer(server)
    this.#originPolicy = createOriginPolicy(options)
    const { resumeWindow = 30_000, sameIdentity } = options
    if (checkMs('resumeWindow', resumeWindow) > 0) {
      this.resumeTokens = new ResumeTokens(resumeWindow, livenessOf(options).heartbeat, sameIdentity)
    }
    const isLimited = limits.sessionsPerAddress < Number.POSITIVE_INFINITY
    this.#maxPendingPerAddress = isLimited ? limits.sessionsPerAddress : MAX_PENDING_PER_ADDRESS
    this.#helloBudget = new HelloBudget(limits.helloBytes)
    this.#webSocketServer = new WebSocketServer({
      noServer: true,
      autoPong: false,
      perMessageDeflate: false,
      maxPayload: maxPayloadBytes(limits)
    })
  }

  /** Starts to accept clients. Resolves when an own server listens. */
  async open(accept: (arrival: Arrival) => void, report: ReportError): Promise<void> {
    this.#accept = accept
    this.#report = report
    addUpgradeHandler(this.#httpServer, this.options.path ?? '', this)
    if (this.#ownsServer) await this.#listen()
    this.#removeErrorListener = addSharedListener(this.#httpServer, 'error', report)
  }

  #listen(): Promise<void> {
    const { host = '127.0.0.1', port = 18861, backlog } = this.options
    return new Promise((resolve, reject) => {
      const onError = (cause: NodeJS.ErrnoException) => reject(listenError(cause, host, port))
      this.#httpServer.once('error', onError)
      this.#httpServer.listen({ host, port, backlog }, () => {
        this.#httpServer.off('error', onError)
        resolve()
      })
    })
  }

  unref(): void {
    if (this.#ownsServer) this.#httpServer.unref()
  }

  get pendingClients(): number {
    return this.#pendingUpgrades.size + this.#pendingTokens.size
  }

  /** @throws NetrefError if the server does not listen */
  get url(): string {
    const boundAddress = this.#httpServer.address()
    if (boundAddress === null || typeof boundAddress === 'string') {
      throw new NetrefError('not-listening', 'server.url: the server does not listen on a port')
    }
    const { address, port, family } = boundAddress
    const host =
      address === '0.0.0.0' || address === '::' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
    const secure = 'setSecureContext' in this.#httpServer
    return `${secure ? 'wss' : 'ws'}://${host}:${port}${this.options.path ?? ''}`
  }

  /** Rejects further clients and stops an own server. Resolves when all sockets are closed. */
  async close(): Promise<void> {
    removeUpgradeHandler(this.#httpServer, this.options.path ?? '')
    for (const upgrade of [...this.#pendingUpgrades, ...this.#pendingTokens]) {
      upgrade.reject(UNAVAILABLE_STATUS, { code: 'server-closed', message: 'the server is going away' })
    }
    // The `close` callback of `ws` depends on timers, which a test may have replaced.
    const closed = [...this.#webSocketServer.clients].map(
      socket => new Promise<void>(resolve => socket.once('close', () => resolve()))
    )
    this.#webSocketServer.close()
    if (this.#ownsServer) {
      closed.push(new Promise(resolve => this.#httpServer.close(() => resolve())))
      this.#httpServer.closeAllConnections()
    }
    await Promise.all(closed)
    this.#removeErrorListener!()
  }

  /** @internal Handles an upgrade request for this path. */
  async handleUpgrade(message: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { authenticate, trustProxy = false } = this.options
    const admission = new PendingUpgrade(socket, () => {
      const arriving = this.#openWebSocket(message, socket, head)
      if (arriving && this.#pendingUpgrades.delete(admission)) this.#pendingTokens.add(admission)
      return arriving
    })
    const request = new UpgradeRequest(message, trustProxy, async () => admission.open()?.token)
    const complaint = this.#originPolicy(request)
    if (complaint !== undefined) {
      this.#reportRefusalOnce(complaint)
      return rejectUpgrade(socket, FORBIDDEN_STATUS, complaint)
    }
    const address = networkOf(request.address) ?? networkOf(message.socket.remoteAddress)
    if (this.#isAddressFull(address)) {
      if (!trustProxy) this.#reportAddressLimit(address!)
      return rejectTemporarily(socket, ADDRESS_LIMIT_REACHED)
    }
    let loan: SlotReservation | undefined
    const admits = (identity?: unknown) => {
      if (this.#usedSessionSlots < this.limits.sessions) return true
      loan = this.resumeTokens?.reserveSlot({ address, identity }, this.#report!)
      if (loan) socket.once('close', () => loan!.release())
      return loan !== undefined
    }
    if (authenticate ? !this.#mayAuthenticate(address) : !admits()) {
      this.#reportSessionLimit()
      return rejectTemporarily(socket, SESSION_LIMIT_REACHED)
    }
    socket.once('close', this.#socketsPerAddress.increment(address))
    if (!authenticate) {
      const transport = admission.open()
      if (transport) this.#accept!({ transport, connectedAt: transport.connectedAt, address, loan })
      return
    }
    this.#pendingUpgrades.add(admission)
    const count = this.#pendingPerAddress.increment(address)
    const decided = () => {
      count()
      this.#pendingUpgrades.delete(admission)
      this.#pendingTokens.delete(admission)
    }
    // A rejected client counts until its socket closes. `authenticate` may never settle for a client that is gone.
    socket.once('close', decided)
    const decides = (identity: unknown) => {
      const isIn = admits(identity)
      if (isIn) decided()
      else this.#reportSessionLimit()
      return isIn
    }
    const { helloMs } = this.limits
    const onDelay = () => this.#reportSlowAuthentication()
    const visitor = await admission.authenticate(
      authenticate,
      request,
      helloMs,
      decides,
      this.#report!,
      onDelay
    )
    if (visitor) this.#accept!({ ...visitor, address, loan })
  }

  /** Whether an address has reached one of its limits. */
  #isAddressFull(address: string | undefined): boolean {
    const sockets = this.#socketsPerAddress.countOf(address)
    return (
      sockets >= this.limits.sessionsPerAddress ||
      this.#pendingPerAddress.countOf(address) >= this.#maxPendingPerAddress
    )
  }

  /** Sockets of accepted clients. */
  get #acceptedCount(): number {
    return this.#webSocketServer.clients.size - this.#pendingTokens.size
  }

  /**
   * Session slots in use: by accepted clients and by interrupted sessions, without the reserved slots of the latter.
   */
  get #usedSessionSlots(): number {
    const { resumeTokens } = this
    return (
      this.#acceptedCount +
      (resumeTokens ? resumeTokens.interrupted.size - resumeTokens.reservations.size : 0)
    )
  }

  /**
   * Whether another client may be authenticated. A client that may own an interrupted session does not wait for
   * others.
   */
  #mayAuthenticate(address: string | undefined): boolean {
    const { sessions } = this.limits
    if (this.#acceptedCount >= sessions) return false
    return (
      this.pendingClients < sessions ||
      this.#pendingPerAddress.countOf(address) <
        (this.resumeTokens?.interruptedPerAddress.countOf(address) ?? 0)
    )
  }

  #reportLimitOnce(limit: keyof Limits, why: string, cure: string): void {
    if (this.#reportedLimits.has(limit)) return
    this.#reportedLimits.add(limit)
    this.#report!(new NetrefError('limit', `a client was refused: ${why} (limits.${limit}); ${cure}`))
  }

  /** Behind a proxy all clients have one address. */
  #reportAddressLimit(address: string): void {
    const cure = 'behind a proxy set trustProxy to distinguish its clients'
    this.#reportLimitOnce('sessionsPerAddress', `too many clients come from ${address}`, cure)
  }

  #reportSessionLimit(): void {
    const why = `all ${this.limits.sessions} sessions are in use`
    this.#reportLimitOnce('sessions', why, 'raise it to accept more')
  }

  #reportSlowAuthentication(): void {
    const why = `\`authenticate\` did not settle within ${this.limits.helloMs} ms`
    this.#reportLimitOnce('helloMs', why, 'raise it, or make authenticate faster')
  }

  /** Reports a refusal to the operator, once for each text: browsers hide the cause from the page. */
  #reportRefusalOnce(complaint: string): void {
    if (this.#reportedRefusals.has(complaint) || this.#reportedRefusals.size === MAX_REPORTED_REFUSALS) return
    this.#reportedRefusals.add(complaint)
    this.#report!(
      new NetrefError('unauthorized', `a client was refused: ${complaint}; add it there to accept it`)
    )
  }

  /** Performs the WebSocket handshake; `ws` rejects malformed requests. */
  #openWebSocket(message: IncomingMessage, socket: Duplex, head: Buffer): PreHelloTransport | undefined {
    let arriving: PreHelloTransport | undefined
    try {
      this.#webSocketServer.handleUpgrade(message, socket, head, opened => {
        const { remoteAddress, remotePort } = message.socket
        const peer = `the client at ${remoteAddress}:${remotePort}`
        arriving = new PreHelloTransport(
          new WebSocketTransport(opened, peer, message.socket),
          this.#helloBudget,
          UNBUDGETED_BYTES + maxPayloadBytes(this.limits)
        )
      })
    } catch (cause) {
      const why = `another \`upgrade\` listener of the server took the socket for ${message.url}`
      this.#report!(new TypeError(`serve: ${why}; exclude this path there`, { cause }))
    }
    return arriving
  }
}

const MAX_REPORTED_REFUSALS = 100
/** For each address, if `limits.sessionsPerAddress` is not set. */
const MAX_PENDING_PER_ADDRESS = 64
const FORBIDDEN_STATUS = 403
const UNAVAILABLE_STATUS = 503

/** Rejects by HTTP; the client may retry. */
const rejectTemporarily = (socket: Duplex, { message, retryAfter }: Reason) =>
  rejectUpgrade(socket, UNAVAILABLE_STATUS, message, retryAfter)

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
  throw new TypeError(`serve: path ${describe(path)} must begin with "/" and have no query`)
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
