// Where clients come in: a path of an http server, its own or one that serves other things too.

import http, { type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { NetrefError, type Reason } from '../errors.js'
import { type Limits, maxPayload } from '../protocol/limits.js'
import { livenessOf } from '../session/options.js'
import { WebSocketTransport } from '../transport/websocket.js'
import { checkMs, checkOptions } from '../util/check-options.js'
import { Tally } from '../util/counter.js'
import { LONGEST } from '../util/deadline.js'
import { describe } from '../util/describe.js'
import type { Report } from '../util/emitter.js'
import { type Off, share } from '../util/shared-listener.js'
import { Arriving } from './arriving-socket.js'
import { Admission, CROWDED, FULL, refuse } from './authentication.js'
import { HelloBudget, UNKNOWN_BYTES } from './hello-budget.js'
import { networkOf } from './network.js'
import { type EntranceOptions, OPTIONS } from './options.js'
import { type OriginPolicy, originPolicy } from './origin-check.js'
import { type Arrival, type Loan, type ResumingListener, Tickets } from './resume-tokens.js'
import { UpgradeRequest } from './upgrade-request.js'
import { addTarget, removeTarget } from './upgrades.js'

export class Entrance implements ResumingListener {
  readonly tickets: Tickets | undefined
  readonly #server: Server
  readonly #isOwn: boolean
  readonly #sockets: WebSocketServer
  readonly #policy: OriginPolicy
  /** Clients that wait to be let in: those with a socket not yet open, and those whose token is awaited. */
  readonly #atDoor = new Set<Admission>()
  readonly #inPorch = new Set<Admission>()
  /** How many of these each address has, and how many sockets. */
  readonly #undecidedAt = new Tally()
  readonly #socketsAt = new Tally()
  /** How many of the former it may have. */
  readonly #mostUndecided: number
  readonly #budget: HelloBudget
  #letIn: ((arrival: Arrival) => void) | undefined
  #report: Report | undefined
  /** Takes the listener off the server. */
  #unlisten: Off | undefined
  /** What was refused for an origin or a host, and is reported. */
  readonly #complaints = new Set<string>()
  /** The limits that have kept a client out: of each, whoever runs the server is told once. */
  readonly #told = new Set<keyof Limits>()

  /** @throws TypeError or RangeError naming the option that cannot be meant */
  constructor(
    private readonly options: EntranceOptions,
    private readonly limits: Limits
  ) {
    checkOptions('serve', options, OPTIONS)
    const { port = 18861, server } = options
    const vain = (['host', 'port', 'backlog'] as const).find(name => options[name] !== undefined)
    if (server !== undefined && vain) {
      throw new TypeError(
        `serve: \`${vain}\` means nothing beside \`server\`, which listens where it was told to`
      )
    }
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new RangeError(`serve: port ${describe(port)} is not a whole number from 0 to 65535`)
    }
    checkPath(options.path)
    this.#isOwn = server === undefined
    this.#server = this.#isOwn ? ownServer(limits.helloMs) : checkServer(server)
    this.#policy = originPolicy(options)
    const { resumeWindow = 30_000, sameIdentity } = options
    if (checkMs('resumeWindow', resumeWindow) > 0) {
      this.tickets = new Tickets(resumeWindow, livenessOf(options).heartbeat, sameIdentity)
    }
    const isBounded = limits.sessionsPerAddress < Number.POSITIVE_INFINITY
    this.#mostUndecided = isBounded ? limits.sessionsPerAddress : MOST_UNDECIDED
    this.#budget = new HelloBudget(limits.helloBytes)
    this.#sockets = new WebSocketServer({
      noServer: true,
      autoPong: false,
      perMessageDeflate: false,
      maxPayload: maxPayload(limits)
    })
  }

  /** Lets clients in from now on. Resolves when the server listens, if that is its own. */
  async open(letIn: (arrival: Arrival) => void, report: Report): Promise<void> {
    this.#letIn = letIn
    this.#report = report
    addTarget(this.#server, this.options.path ?? '', this)
    if (this.#isOwn) await this.#listen()
    this.#unlisten = share(this.#server, 'error', report)
  }

  #listen(): Promise<void> {
    const { host = '127.0.0.1', port = 18861, backlog } = this.options
    return new Promise((listening, failed) => {
      const fail = (cause: NodeJS.ErrnoException) => failed(listenError(cause, host, port))
      this.#server.once('error', fail)
      this.#server.listen({ host, port, backlog }, () => {
        this.#server.off('error', fail)
        listening()
      })
    })
  }

  unref(): void {
    if (this.#isOwn) this.#server.unref()
  }

  get deciding(): number {
    return this.#atDoor.size + this.#inPorch.size
  }

  /** @throws NetrefError when the server does not listen */
  get url(): string {
    const where = this.#server.address()
    if (where === null || typeof where === 'string') {
      throw new NetrefError('not-listening', 'server.url: the server listens at no port')
    }
    const { address, port, family } = where
    const host =
      address === '0.0.0.0' || address === '::' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
    const secure = 'setSecureContext' in this.#server
    return `${secure ? 'wss' : 'ws'}://${host}:${port}${this.options.path ?? ''}`
  }

  /** Nobody comes in any more; a server of its own stops listening. Resolves when all sockets are closed. */
  async close(): Promise<void> {
    removeTarget(this.#server, this.options.path ?? '')
    for (const admission of [...this.#atDoor, ...this.#inPorch]) {
      admission.refuse(UNAVAILABLE, { code: 'server-closed', message: 'the server is going away' })
    }
    // Not as `ws` tells of it, which a clock of a test may hold up.
    const closed = [...this.#sockets.clients].map(
      socket => new Promise<void>(resolve => socket.once('close', () => resolve()))
    )
    this.#sockets.close()
    if (this.#isOwn) {
      closed.push(new Promise(resolve => this.#server.close(() => resolve())))
      this.#server.closeAllConnections()
    }
    await Promise.all(closed)
    this.#unlisten!()
  }

  /** @internal A request to upgrade, at this entrance's path. */
  async receive(message: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { authenticate, trustProxy = false } = this.options
    const admission = new Admission(socket, () => {
      const arriving = this.#upgrade(message, socket, head)
      if (arriving && this.#atDoor.delete(admission)) this.#inPorch.add(admission)
      return arriving
    })
    const request = new UpgradeRequest(message, trustProxy, async () => admission.open()?.token)
    const complaint = this.#policy(request)
    if (complaint !== undefined) {
      this.#complain(complaint)
      return refuse(socket, FORBIDDEN, complaint)
    }
    const address = networkOf(request.address) ?? networkOf(message.socket.remoteAddress)
    if (this.#isCrowded(address)) {
      if (!trustProxy) this.#tellOfProxy(address!)
      return refuseForNow(socket, CROWDED)
    }
    let loan: Loan | undefined
    const admits = (identity?: unknown) => {
      if (this.#taken < this.limits.sessions) return true
      loan = this.tickets?.lend({ address, identity }, this.#report!)
      if (loan) socket.once('close', () => loan!.giveBack())
      return loan !== undefined
    }
    if (authenticate ? !this.#mayAsk(address) : !admits()) {
      this.#tellOfFull()
      return refuseForNow(socket, FULL)
    }
    socket.once('close', this.#socketsAt.add(address))
    if (!authenticate) {
      const transport = admission.open()
      if (transport) this.#letIn!({ transport, since: transport.since, address, loan })
      return
    }
    this.#atDoor.add(admission)
    const count = this.#undecidedAt.add(address)
    const decided = () => {
      count()
      this.#atDoor.delete(admission)
      this.#inPorch.delete(admission)
    }
    // Who is refused is not let in while its socket closes; and `authenticate` may never decide on who has gone.
    socket.once('close', decided)
    const decides = (identity: unknown) => {
      const isIn = admits(identity)
      if (isIn) decided()
      else this.#tellOfFull()
      return isIn
    }
    const { helloMs } = this.limits
    const onDelay = () => this.#tellOfDelay()
    const visitor = await admission.decide(authenticate, request, helloMs, decides, this.#report!, onDelay)
    if (visitor) this.#letIn!({ ...visitor, address, loan })
  }

  /** Whether an address has all that it may have. */
  #isCrowded(address: string | undefined): boolean {
    const sockets = this.#socketsAt.of(address)
    return sockets >= this.limits.sessionsPerAddress || this.#undecidedAt.of(address) >= this.#mostUndecided
  }

  /** Sockets of clients that were let in. */
  get #letInNow(): number {
    return this.#sockets.clients.size - this.#inPorch.size
  }

  /** Places that are taken: by who was let in, and by sessions that wait, but for those whose place it has. */
  get #taken(): number {
    const { tickets } = this
    return this.#letInNow + (tickets ? tickets.waiting.size - tickets.lent.size : 0)
  }

  /** Whether there is room to ask who a client is. Who may be coming back need not wait until it is known who others are. */
  #mayAsk(address: string | undefined): boolean {
    const { sessions } = this.limits
    if (this.#letInNow >= sessions) return false
    return (
      this.deciding < sessions || this.#undecidedAt.of(address) < (this.tickets?.waitingAt.of(address) ?? 0)
    )
  }

  #tellOf(limit: keyof Limits, why: string, cure: string): void {
    if (this.#told.has(limit)) return
    this.#told.add(limit)
    this.#report!(new NetrefError('limit', `a client was refused: ${why} (limits.${limit}); ${cure}`))
  }

  /** Behind a proxy all have one address. */
  #tellOfProxy(address: string): void {
    const cure = 'if a proxy is there, set trustProxy to tell its clients apart'
    this.#tellOf('sessionsPerAddress', `too many clients come from ${address}`, cure)
  }

  #tellOfFull(): void {
    const why = `all ${this.limits.sessions} sessions are taken`
    this.#tellOf('sessions', why, 'raise it to let more in')
  }

  #tellOfDelay(): void {
    const why = `\`authenticate\` did not decide within ${this.limits.helloMs} ms`
    this.#tellOf('helloMs', why, 'raise it, or decide sooner')
  }

  /** A page is not told why: so whoever runs the server is, once of each, and no more often than anybody would read. */
  #complain(complaint: string): void {
    if (this.#complaints.has(complaint) || this.#complaints.size === MOST_COMPLAINTS) return
    this.#complaints.add(complaint)
    this.#report!(
      new NetrefError('unauthorized', `a client was refused: ${complaint}; name it there to let it in`)
    )
  }

  /** Opens the socket; a request that is not well formed is refused by `ws`. */
  #upgrade(message: IncomingMessage, socket: Duplex, head: Buffer): Arriving | undefined {
    let arriving: Arriving | undefined
    try {
      this.#sockets.handleUpgrade(message, socket, head, opened => {
        const { remoteAddress, remotePort } = message.socket
        const peer = `the client at ${remoteAddress}:${remotePort}`
        arriving = new Arriving(
          new WebSocketTransport(opened, peer, message.socket),
          this.#budget,
          UNKNOWN_BYTES + maxPayload(this.limits)
        )
      })
    } catch (cause) {
      const why = `another \`upgrade\` listener of the server took a socket for ${message.url}`
      this.#report!(new TypeError(`serve: ${why}; let it leave this path alone`, { cause }))
    }
    return arriving
  }
}

const MOST_COMPLAINTS = 100
/** Of one address, where `limits.sessionsPerAddress` does not say. */
const MOST_UNDECIDED = 64
const FORBIDDEN = 403
const UNAVAILABLE = 503

/** By HTTP: it may come again. */
const refuseForNow = (socket: Duplex, { message, retryAfter }: Reason) =>
  refuse(socket, UNAVAILABLE, message, retryAfter)

/** A server whose clients have as long for the head of their request as for their hello. */
function ownServer(helloMs: number): Server {
  const ms = Math.min(helloMs, LONGEST)
  const times = { headersTimeout: ms, requestTimeout: ms, connectionsCheckingInterval: Math.ceil(ms / 4) }
  return http.createServer(times, upgradeRequired)
}

const upgradeRequired: http.RequestListener = (_request, response) => {
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
