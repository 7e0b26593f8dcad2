// Opens sessions with the service for the clients of gateways, by the rules for all clients of the server.

import type { IncomingMessage } from 'node:http'
import { DEFAULT_EXPOSURE } from '../access/access-control.js'
import { Service } from '../access/service.js'
import { NetrefError, type Reason } from '../errors.js'
import type { Limits } from '../protocol/limits.js'
import type { Settings } from '../session/options.js'
import { SessionImpl, type SessionSetup } from '../session/session.js'
import { MemoryTransport } from '../transport/memory.js'
import type { Session } from '../types/session.js'
import type { Any } from '../util/any.js'
import type { ReportError } from '../util/emitter.js'
import type { AdmissionControl } from './admission-control.js'
import {
  ADDRESS_LIMIT_REACHED,
  type Authenticate,
  type ClosableClient,
  PendingUpgrade,
  SESSION_LIMIT_REACHED
} from './authentication.js'
import type { Gateway, GatewayClient } from './gateway.js'
import type { RefusalReports } from './refusal-reports.js'
import { GOING_AWAY } from './refusals.js'
import type { ClientWithReservation } from './resume-tokens.js'
import { UpgradeRequest } from './upgrade-request.js'

/** What the clients of gateways need of their server. */
export interface GatewayServer {
  readonly settings: Settings
  readonly authenticate: Authenticate | undefined
  readonly trustProxy: boolean
  readonly admission: AdmissionControl
  readonly refusalReports: RefusalReports
  /** Connections of gateways that have a session. */
  readonly openConnections: Set<ClosableClient>
  /** Number of requests that are being served. */
  readonly requestCount: () => number
  /** Whether further clients are refused. */
  readonly refusesClients: () => boolean
  readonly accept: (client: ClientWithReservation) => void
  readonly report: ReportError
}

/** The error of a client that gets no session. */
export class RefusalError extends NetrefError {
  constructor({ code, message, cause }: Reason) {
    super(code, message, cause === undefined ? undefined : { cause })
  }

  /** The HTTP status that says so. */
  get status(): number {
    return this.code === 'unauthorized' ? 401 : 503
  }
}

const nothing = () => undefined

/** A connection, or a request. */
export class ConnectedClient implements GatewayClient {
  readonly limits: Limits
  readonly exposeStacks: boolean
  readonly report: ReportError
  readonly #sessions = new Set<SessionImpl>()

  constructor(
    private readonly server: GatewayServer,
    private readonly gateway: Gateway,
    /** Its socket, the response to its request, or the scope of its request. */
    private readonly connection: ClosableClient,
    private readonly request: UpgradeRequest,
    /** Its network. */
    private readonly address: string | undefined,
    private readonly isRequest: boolean,
    private readonly onRefused: (reason: Reason) => void
  ) {
    const { limits, exposeStacks } = server.settings
    this.limits = limits
    this.exposeStacks = exposeStacks
    this.report = server.report
  }

  /** Why the client is not served at all. */
  get refusal(): Reason | undefined {
    const { server, gateway, request, address } = this
    if (server.refusesClients()) return GOING_AWAY
    if (server.admission.isAddressFull(address)) {
      if (!server.trustProxy) server.refusalReports.addressLimit(address!)
      return ADDRESS_LIMIT_REACHED
    }
    if (this.isRequest)
      return server.requestCount() < this.limits.sessions ? undefined : SESSION_LIMIT_REACHED
    const showsWho = gateway.passesTokens || request.certificate
    if (!server.authenticate || gateway.authenticate || showsWho) return undefined
    server.refusalReports.unidentified(gateway.name)
    return { code: 'unauthorized', message: `clients of ${gateway.name} cannot show who they are` }
  }

  /** Counts the client until it is gone; its sessions end then. */
  begin(): void {
    this.server.admission.addSocket(this.connection, this.address)
    this.connection.once('close', () => {
      for (const session of this.#sessions) void session.close()
    })
  }

  async openSession(token?: string): Promise<Session<Any>> {
    const { server, connection, gateway, address, request, isRequest } = this
    const admitted = await this.#admit(token === undefined ? request : this.#withToken(token))
    const [own, transport] = MemoryTransport.pair()
    server.accept({ ...admitted, transport, address, ip: request.address, gateway: gateway.name, isRequest })
    const session = new SessionImpl<Any>(own, gatewayEnd(server.settings))
    this.#sessions.add(session)
    if (!isRequest) server.openConnections.add(connection)
    void session.closed.then(() => {
      this.#sessions.delete(session)
      if (this.#sessions.size === 0) server.openConnections.delete(connection)
    })
    const opened = new Promise<void>(resolve => session.on('state', () => resolve()))
    session.start()
    await opened
    if (connection.destroyed) void session.close()
    if (session.state !== 'open') throw new RefusalError(await session.closed)
    return session
  }

  /** Identifies the client, and takes a slot for its session. @throws RefusalError */
  async #admit(request: UpgradeRequest): Promise<Pick<ClientWithReservation, 'identity' | 'reservation'>> {
    const { server, connection, address, isRequest } = this
    const { admission, report, refusalReports } = server
    if (server.refusesClients()) throw this.#refuse(GOING_AWAY)
    const identity = await this.#authenticate(request)
    if (isRequest || server.openConnections.has(connection)) return { identity }
    const slot = admission.takeSlot({ socket: connection, address, ip: request.address, identity }, report)
    if (slot) return { identity, reservation: slot.reservation }
    refusalReports.sessionLimit()
    throw this.#refuse(SESSION_LIMIT_REACHED)
  }

  #withToken(token: string): UpgradeRequest {
    const message = this.request.message as IncomingMessage
    return new UpgradeRequest(message, this.server.trustProxy, async () => token, this.gateway.name)
  }

  async #authenticate(request: UpgradeRequest): Promise<unknown> {
    const { server, gateway, connection, address } = this
    const { admission, report, refusalReports } = server
    const authenticate = gateway.authenticate ?? server.authenticate
    if (!authenticate) return undefined
    if (!this.isRequest && !admission.mayAuthenticate(address)) throw this.#refuse(SESSION_LIMIT_REACHED)
    // `authenticate` may never settle.
    return new Promise((resolve, reject) => {
      const onRejected = (reason: Reason) => reject(this.#refuse(reason))
      const pending = new PendingUpgrade(connection, nothing, onRejected, nothing)
      const removePending = admission.addPending(pending, connection, address)
      const onDelay = () => refusalReports.slowAuthentication()
      const { helloMs } = this.limits
      void pending
        .authenticate(() => authenticate(request), helloMs, report, onDelay)
        .then(identified => {
          removePending()
          if (identified) resolve(identified.identity)
          // The client has gone, unless it was rejected before.
          else reject(new RefusalError(GOING_AWAY))
        })
    })
  }

  #refuse(reason: Reason): RefusalError {
    this.onRefused(reason)
    return new RefusalError(reason)
  }
}

class NoService extends Service {}

/** By the settings of the server: over HTTP, each request has a session. */
const gatewayEnds = new WeakMap<Settings, SessionSetup>()

/** The setup of the gateway's end of a session. The service may use the client's objects as the gateway offers them. */
function gatewayEnd(settings: Settings): SessionSetup {
  let setup = gatewayEnds.get(settings)
  if (!setup) {
    setup = {
      ...settings,
      isInitiator: true,
      createRoot: () => new NoService(),
      exposure: { ...DEFAULT_EXPOSURE, limits: settings.limits },
      timeout: Number.POSITIVE_INFINITY,
      onCallError: undefined,
      trace: undefined
    }
    gatewayEnds.set(settings, setup)
  }
  return setup
}
