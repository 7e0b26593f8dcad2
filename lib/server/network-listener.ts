// Accepts the clients that reach a server over a network, such as NATS, by the rules for all clients.
import type { IncomingMessage } from 'node:http'
import type { Reason } from '../errors.js'
import { maxPayloadBytes } from '../protocol/limits.js'
import type { Settings } from '../session/options.js'
import type { AcceptedTransport, NetworkEndpoint, TransportAcceptor } from '../transport/network-endpoint.js'
import type { OnClientRefused } from '../transport/transport.js'
import { checkOptions } from '../util/check-options.js'
import type { ReportError } from '../util/emitter.js'
import { AdmissionControl } from './admission-control.js'
import {
  ADDRESS_LIMIT_REACHED,
  type Authenticate,
  PendingUpgrade,
  SESSION_LIMIT_REACHED
} from './authentication.js'
import { HelloBudget, UNBUDGETED_BYTES } from './hello-budget.js'
import { HTTP_LISTENER_OPTIONS, type ServeOptions } from './options.js'
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

/** A network carries no HTTP: the request of a client has nothing but its token. */
const NO_MESSAGE = { headers: {}, url: '/', socket: {} } as IncomingMessage

export class NetworkListener implements ResumingListener {
  readonly resumeTokens: ResumeTokens | undefined
  /** Transports of accepted clients. */
  readonly #openTransports = new Set<AcceptedTransport>()
  readonly #admission: AdmissionControl
  readonly #helloBudget: HelloBudget
  #acceptor: TransportAcceptor | undefined
  #accept!: (client: ClientWithReservation) => void
  #report!: ReportError
  #onRefused!: OnClientRefused
  #refusalReports!: RefusalReports
  #refusesClients = false

  /** @throws TypeError or RangeError that names the invalid option */
  constructor(
    private readonly endpoint: NetworkEndpoint,
    private readonly options: ServeOptions,
    private readonly settings: Settings
  ) {
    checkOptions('serve', options, { ...HTTP_LISTENER_OPTIONS, endpoint: '' })
    const { limits } = settings
    this.resumeTokens = createResumeTokens(options)
    this.#helloBudget = new HelloBudget(limits.helloBytes)
    this.#admission = new AdmissionControl(limits, this.resumeTokens, {
      size: () => this.#openTransports.size
    })
  }

  async open(
    accept: (client: ClientWithReservation) => void,
    report: ReportError,
    onRefused: OnClientRefused,
    metrics: () => object
  ): Promise<void> {
    const { limits } = this.settings
    this.#accept = accept
    this.#report = report
    this.#onRefused = onRefused
    this.#refusalReports = new RefusalReports(report, limits)
    this.#acceptor = this.endpoint.createAcceptor({ limits, metrics })
    await this.#acceptor.open(transport => void this.#onTransport(transport), report)
  }

  get url(): string | undefined {
    return this.#acceptor?.url
  }

  get pendingClients(): number {
    return this.#admission.pending.size
  }

  /** The owner of the network decides. */
  unref(): void {}

  leave(): void {
    this.#acceptor!.leave()
  }

  refuseClients(): void {
    this.#refusesClients = true
    for (const client of this.#admission.pending) client.reject(UNAVAILABLE_STATUS, GOING_AWAY)
  }

  async close(): Promise<void> {
    this.refuseClients()
    await this.#acceptor!.close()
  }

  async #onTransport(opened: AcceptedTransport): Promise<void> {
    const { limits } = this.settings
    const maxBytes = UNBUDGETED_BYTES + maxPayloadBytes(limits)
    const transport = new PreHelloTransport(opened, this.#helloBudget, maxBytes)
    const { authenticate } = this.options
    if (this.#refusesClients) this.#reject(transport, GOING_AWAY)
    else if (this.#admission.isAddressFull(opened.clientProcess))
      this.#reject(transport, ADDRESS_LIMIT_REACHED)
    else if (authenticate) await this.#acceptWithIdentity(opened, transport, authenticate)
    else this.#acceptClient(opened, transport, {})
  }

  async #acceptWithIdentity(
    opened: AcceptedTransport,
    transport: PreHelloTransport,
    authenticate: Authenticate
  ): Promise<void> {
    if (!this.#admission.mayAuthenticate(undefined)) return this.#rejectFull(transport)
    const onRejected = (reason: Reason) => this.#onRefused(undefined, reason)
    const pending = new PendingUpgrade(opened, () => transport, onRejected, nothing)
    pending.open()
    const removePending = this.#admission.addPending(pending, opened, undefined)
    const request = new UpgradeRequest(NO_MESSAGE, false, () => transport.token)
    const identified = await pending.authenticate(
      () => authenticate(request),
      this.settings.limits.helloMs,
      this.#report,
      () => this.#refusalReports.slowAuthentication()
    )
    removePending()
    if (identified) this.#acceptClient(opened, transport, identified)
  }

  /** Accepts a client if there is a slot for its session. */
  #acceptClient(
    opened: AcceptedTransport,
    transport: PreHelloTransport,
    { identity }: { readonly identity?: unknown }
  ): void {
    const { clientProcess: address } = opened
    const slot = this.#admission.takeSlot({ socket: opened, address, identity }, this.#report)
    if (!slot) return this.#rejectFull(transport)
    this.#admission.addSocket(opened, address)
    this.#openTransports.add(opened)
    opened.once('close', () => this.#openTransports.delete(opened))
    const { connectedAt } = transport
    this.#accept({ transport, connectedAt, identity, address, reservation: slot.reservation })
  }

  #rejectFull(transport: PreHelloTransport): void {
    this.#refusalReports.sessionLimit()
    this.#reject(transport, SESSION_LIMIT_REACHED)
  }

  #reject(transport: PreHelloTransport, reason: Reason): void {
    this.#onRefused(undefined, reason)
    transport.close(reason)
  }
}

const UNAVAILABLE_STATUS = 503
/* c8 ignore next: the transport of a pending client is open. */
const nothing = () => {}
