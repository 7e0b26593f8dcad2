// Where clients come in: a path of an http server, its own or one that serves other things too.

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
  /** Clients that wait to be let in: those with a socket not yet open, and those whose token is awaited. */
  readonly #pendingUpgrades = new Set<PendingUpgrade>()
  readonly #pendingTokens = new Set<PendingUpgrade>()
  /** How many of these each address has, and how many sockets. */
  readonly #pendingPerAddress = new AddressCounter()
  readonly #socketsPerAddress = new AddressCounter()
  /** How many of the former it may have. */
  readonly #maxPendingPerAddress: number
  readonly #helloBudget: HelloBudget
  #accept: ((arrival: Arrival) => void) | undefined
  #report: ReportError | undefined
  /** Takes the listener off the server. */
  #removeErrorListener: Unsubscribe | undefined
  /** What was refused for an origin or a host, and is reported. */
  readonly #reportedRefusals = new Set<string>()
  /** The limits that have kept a client out: of each, whoever runs the server is told once. */
  readonly #reportedLimits = new Set<keyof Limits>()

  /** @throws TypeError or RangeError naming the option that cannot be meant */
  constructor(
    private readonly options: HttpListenerOptions,
    private readonly limits: Limits
  ) {
    checkOptions('serve', options, HTTP_LISTENER_OPTIONS)
    const { port = 18861, server } = options
    const conflicting = (['host', 'port', 'backlog'] as const).find(name => options[name] !== undefined)
    if (server !== undefined && conflicting) {
      throw new TypeError(
        `serve: \`${conflicting}\` means nothing beside \`server\`, which listens where it was told to`
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

  /** Lets clients in from now on. Resolves when the server listens, if that is its own. */
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

  /** @throws NetrefError when the server does not listen */
  get url(): string {
    const boundAddress = this.#httpServer.address()
    if (boundAddress === null || typeof boundAddress === 'string') {
      throw new NetrefError('not-listening', 'server.url: the server listens at no port')
    }
    const { address, port, family } = boundAddress
    const host =
      address === '0.0.0.0' || address === '::' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
    const secure = 'setSecureContext' in this.#httpServer
    return `${secure ? 'wss' : 'ws'}://${host}:${port}${this.options.path ?? ''}`
  }

  /** Nobody comes in any more; a server of its own stops listening. Resolves when all sockets are closed. */
  async close(): Promise<void> {
    removeUpgradeHandler(this.#httpServer, this.options.path ?? '')
    for (const upgrade of [...this.#pendingUpgrades, ...this.#pendingTokens]) {
      upgrade.reject(UNAVAILABLE_STATUS, { code: 'server-closed', message: 'the server is going away' })
    }
    // Not as `ws` tells of it, which a clock of a test may hold up.
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

  /** @internal A request to upgrade, at this entrance's path. */
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
    // Who is refused is not let in while its socket closes; and `authenticate` may never decide on who has gone.
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

  /** Whether an address has all that it may have. */
  #isAddressFull(address: string | undefined): boolean {
    const sockets = this.#socketsPerAddress.countOf(address)
    return (
      sockets >= this.limits.sessionsPerAddress ||
      this.#pendingPerAddress.countOf(address) >= this.#maxPendingPerAddress
    )
  }

  /** Sockets of clients that were let in. */
  get #acceptedCount(): number {
    return this.#webSocketServer.clients.size - this.#pendingTokens.size
  }

  /** Places that are taken: by who was let in, and by sessions that wait, but for those whose place it has. */
  get #usedSessionSlots(): number {
    const { resumeTokens } = this
    return (
      this.#acceptedCount +
      (resumeTokens ? resumeTokens.interrupted.size - resumeTokens.reservations.size : 0)
    )
  }

  /** Whether there is room to ask who a client is. Who may be coming back need not wait until it is known who others are. */
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

  /** Behind a proxy all have one address. */
  #reportAddressLimit(address: string): void {
    const cure = 'if a proxy is there, set trustProxy to tell its clients apart'
    this.#reportLimitOnce('sessionsPerAddress', `too many clients come from ${address}`, cure)
  }

  #reportSessionLimit(): void {
    const why = `all ${this.limits.sessions} sessions are taken`
    this.#reportLimitOnce('sessions', why, 'raise it to let more in')
  }

  #reportSlowAuthentication(): void {
    const why = `\`authenticate\` did not decide within ${this.limits.helloMs} ms`
    this.#reportLimitOnce('helloMs', why, 'raise it, or decide sooner')
  }

  /** A page is not told why: so whoever runs the server is, once of each, and no more often than anybody would read. */
  #reportRefusalOnce(complaint: string): void {
    if (this.#reportedRefusals.has(complaint) || this.#reportedRefusals.size === MAX_REPORTED_REFUSALS) return
    this.#reportedRefusals.add(complaint)
    this.#report!(
      new NetrefError('unauthorized', `a client was refused: ${complaint}; name it there to let it in`)
    )
  }

  /** Opens the socket; a request that is not well formed is refused by `ws`. */
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
      const why = `another \`upgrade\` listener of the server took a socket for ${message.url}`
      this.#report!(new TypeError(`serve: ${why}; let it leave this path alone`, { cause }))
    }
    return arriving
  }
}

const MAX_REPORTED_REFUSALS = 100
/** Of one address, where `limits.sessionsPerAddress` does not say. */
const MAX_PENDING_PER_ADDRESS = 64
const FORBIDDEN_STATUS = 403
const UNAVAILABLE_STATUS = 503

/** By HTTP: it may come again. */
const rejectTemporarily = (socket: Duplex, { message, retryAfter }: Reason) =>
  rejectUpgrade(socket, UNAVAILABLE_STATUS, message, retryAfter)

/** A server whose clients have as long for the head of their request as for their hello. */
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
  throw new TypeError(`serve: path ${describe(path)} does not begin with "/", or has a query`)
}

function checkServer(server: unknown): Server {
  const { on, address } = (server ?? {}) as Partial<Server>
  if (typeof on === 'function' && typeof address === 'function') return server as Server
  throw new TypeError(
    'serve: `server` is not an http server: of Express and Hono it is what listening returns, of Fastify its `server`'
  )
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): NetrefError {
  const inUse = cause.code === 'EADDRINUSE'
  const why = inUse ? 'the port is in use: choose another, or 0 for any free one' : cause.message
  return new NetrefError(String(cause.code), `cannot listen at ${host}:${port}: ${why}`, { cause })
}
