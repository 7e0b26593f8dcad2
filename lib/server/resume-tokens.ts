// Keeps the resume tokens of a server’s sessions, with which clients resume them over another socket.
import { randomUUID, timingSafeEqual } from 'node:crypto'
import { checkHookResult } from '../access/hook-result.js'
import type { Reason } from '../errors.js'
import type { Resumable, ResumeStrategy } from '../link/resume-strategy.js'
import { equalIdentity, identityText } from '../session/identity.js'
import { livenessOf } from '../session/options.js'
import type { SessionImpl } from '../session/session.js'
import type { AcceptedClient, ClientListener, OnClientRefused } from '../transport/transport.js'
import { AddressCounter } from '../util/address-counter.js'
import { checkMs } from '../util/check-options.js'
import { clock } from '../util/clock.js'
import { type Deadline, startDeadline } from '../util/deadline.js'
import type { ReportError } from '../util/emitter.js'
import type { ListenerGateways } from './gateway.js'
import type { HttpListenerOptions } from './options.js'

/** An accepted client, which may have reserved a session slot. */
export interface ClientWithReservation extends AcceptedClient {
  /** Reserved slot of an interrupted session; undefined if there was a free slot. */
  readonly reservation?: SlotReservation | undefined
  /** IP address of the client, not its network. */
  readonly ip?: string | undefined
  /** Name of the gateway whose client it is; undefined for a WebSocket. Its session cannot be resumed. */
  readonly gateway?: string | undefined
  /** Whether the session is for one request only: `limits.sessions` does not count it. */
  readonly isRequest?: boolean | undefined
}

/** A listener whose sessions may outlive their transports. */
export interface ResumingListener extends ClientListener {
  /** Resume tokens of its sessions; undefined if sessions end with their transport. */
  readonly resumeTokens?: ResumeTokens | undefined
  /** Gateways, and the ports of those that have their own, by name; undefined without gateways. */
  readonly gateways?: ListenerGateways | undefined
  open(
    accept: (client: ClientWithReservation) => void,
    report: ReportError,
    onRefused: OnClientRefused,
    metrics: () => object
  ): Promise<void>
}

/** A session that this side closed. */
interface ClosedSession {
  readonly secrets: readonly string[]
  readonly reason: Reason
  /** When no client can return any more, by `clock.now()`. */
  readonly until: number
}

/** Sessions whose reasons are kept. */
const MAX_CLOSED = 10_000

export class ResumeTokens {
  /** @internal */
  readonly active = new Map<string, ResumeToken>()
  /** Tokens of interrupted sessions. */
  readonly interrupted = new Set<ResumeToken>()
  /** Those of them whose session slot a client has reserved. */
  readonly reservations = new Map<ResumeToken, SlotReservation>()
  /** Sessions, and interrupted sessions, by address. */
  readonly sessionsPerAddress = new AddressCounter()
  readonly interruptedPerAddress = new AddressCounter()
  /** Sessions that this side closed, by the id of their token, oldest first. */
  readonly #closed = new Map<string, ClosedSession>()
  /** How often sessions were interrupted so far. */
  interruptionCount = 0
  #lastId = 0

  constructor(
    /** How long an interrupted session waits for another socket, in ms. */
    readonly windowMs: number,
    /** Heartbeat interval, in ms: the server may notice a loss that much later. */
    private readonly heartbeatMs: number,
    readonly sameIdentity: ((original: never, presented: never) => unknown) | undefined
  ) {}

  /** Creates the token of a session that has not begun; `activate` makes it valid. */
  create(): ResumeToken {
    return new ResumeToken(String(++this.#lastId), this, this.windowMs + 2 * this.heartbeatMs)
  }

  /** Redeems a token. @returns its entry, whose secret is replaced, or undefined if it is invalid */
  redeem(token: string): ResumeToken | undefined {
    const [id, secret = ''] = token.split('.')
    const resumeToken = this.active.get(id!)
    return resumeToken?.redeem(secret) ? resumeToken : undefined
  }

  /** Why this side closed the session of a token; undefined for any other token. */
  closeReasonOf(token: string): Reason | undefined {
    const [id, secret = ''] = token.split('.')
    const ended = this.#closed.get(id!)
    return ended?.secrets.some(known => known !== '' && isSameSecret(secret, known))
      ? ended.reason
      : undefined
  }

  /** Keeps the reason for a client that returns within the resume window. */
  keepCloseReason(id: string, secrets: readonly string[], reason: Reason): void {
    const now = clock.now()
    for (const [oldest, { until }] of this.#closed) {
      if (until > now && this.#closed.size < MAX_CLOSED) break
      this.#closed.delete(oldest)
    }
    this.#closed.set(id, { secrets, reason, until: now + this.windowMs + 2 * this.heartbeatMs })
  }

  /**
   * Whether two identities are the same. @throws the error of `sameIdentity`, or TypeError if that returns a promise
   */
  isSameIdentity(original: unknown, presented: unknown): boolean {
    const { sameIdentity = equalIdentity } = this
    return Boolean(checkHookResult('sameIdentity', sameIdentity(original as never, presented as never)))
  }

  /** Interrupted sessions, oldest first. */
  *#interruptedOldestFirst(): Generator<ResumeToken> {
    for (const resumeToken of this.active.values()) if (this.interrupted.has(resumeToken)) yield resumeToken
  }

  /** The oldest interrupted session of an address. */
  oldestInterruptedAt(address: string | undefined): ResumeToken | undefined {
    return [...this.#interruptedOldestFirst()].find(resumeToken => resumeToken.hasAddress(address))
  }

  /**
   * Reserves the slot of an interrupted session for a client: the oldest with its identity, if that distinguishes
   * clients, else the oldest of its address.
   *
   * @returns undefined if there is none
   */
  reserveSlot(client: Omit<AcceptedClient, 'transport'>, report: ReportError): SlotReservation | undefined {
    const resumeToken = this.#findReservable(client, report)
    return resumeToken && new SlotReservation(resumeToken, this.reservations)
  }

  #findReservable(
    { address, identity }: Omit<AcceptedClient, 'transport'>,
    report: ReportError
  ): ResumeToken | undefined {
    const hasSameIdentity = isDistinguishing(identity) ? this.#identityMatcher(identity) : undefined
    // A full server gets many requests of unknown clients.
    if (!hasSameIdentity && this.interruptedPerAddress.countOf(address) === 0) return undefined
    let sameAddress: ResumeToken | undefined
    try {
      for (const resumeToken of this.#interruptedOldestFirst()) {
        if (this.reservations.has(resumeToken)) continue
        if (resumeToken.hasAddress(address)) sameAddress ??= resumeToken
        if (hasSameIdentity ? hasSameIdentity(resumeToken) : sameAddress) return resumeToken
      }
    } catch (error) {
      report(error)
    }
    return sameAddress
  }

  /** Matches the sessions of an identity. It compares cached texts, as there may be many sessions. */
  #identityMatcher(identity: unknown): (resumeToken: ResumeToken) => boolean {
    if (this.sameIdentity) return ({ session }) => this.isSameIdentity(session.identity, identity)
    const text = identityText(identity, true)
    return ({ session, identityText }) =>
      Object.is(session.identity, identity) || (text !== undefined && identityText === text)
  }
}

/** The slot of an interrupted session, reserved for a client until its first frame. */
export class SlotReservation {
  constructor(
    private readonly resumeToken: ResumeToken,
    private readonly reservations: Map<ResumeToken, SlotReservation>
  ) {
    reservations.set(resumeToken, this)
  }

  /** The session; undefined if it is no longer interrupted, or the slot was released. */
  get session(): SessionImpl | undefined {
    return this.reservations.get(this.resumeToken) === this ? this.resumeToken.session : undefined
  }

  release(): void {
    if (this.session) this.reservations.delete(this.resumeToken)
  }
}

/** The tokens of a listener with these options. @returns undefined if its sessions end with their transports */
export function createResumeTokens(options: HttpListenerOptions): ResumeTokens | undefined {
  const { resumeWindow = 30_000, sameIdentity } = options
  if (checkMs('serve: resumeWindow', resumeWindow) === 0) return undefined
  return new ResumeTokens(resumeWindow, livenessOf(options, 'serve').heartbeat, sameIdentity)
}

/** Whether an identity distinguishes one client from another. */
const isDistinguishing = (identity: unknown) => identity !== undefined && identity !== true

export class ResumeToken implements ResumeStrategy {
  /** Set by `activate`. */
  session!: SessionImpl
  /** Identity as text while interrupted; undefined if it has none, or if `sameIdentity` compares identities. */
  identityText: string | undefined
  #secret = createSecret()
  /** The secret redeemed last, and the bytes that the session had received by then. */
  #lastRedeemed = { secret: '', bytesReceived: 0 }
  /** End of the resume window. */
  #resumeDeadline: Deadline | undefined
  #address: string | undefined
  /** Remove the session from the count of its address, and from that of interrupted sessions. */
  #uncountSession = noop
  #uncountInterrupted = noop

  constructor(
    private readonly id: string,
    private readonly resumeTokens: ResumeTokens,
    readonly resumeWindowMs: number
  ) {}

  /** Makes the token valid; its session has begun. */
  activate(session: SessionImpl, address: string | undefined): void {
    this.session = session
    this.resumeTokens.active.set(this.id, this)
    this.setAddress(address)
  }

  /** Records the current address of the client. */
  setAddress(address: string | undefined): void {
    this.#uncountSession()
    this.#uncountSession = this.resumeTokens.sessionsPerAddress.increment(address)
    this.#address = address
  }

  /** Whether the client last had this address. */
  hasAddress(address: string | undefined): boolean {
    return address !== undefined && this.#address === address
  }

  /** Invalidates the token; its session has ended. `closeReason` is the reason that this side gave to `close`. */
  revoke(closeReason?: Reason): void {
    const isActive = this.resumeTokens.active.delete(this.id)
    if (isActive && closeReason)
      this.resumeTokens.keepCloseReason(this.id, [this.#secret, this.#lastRedeemed.secret], closeReason)
    this.#uncountSession()
  }

  get token(): string {
    return `${this.id}.${this.#secret}`
  }

  /**
   * Redeems a secret and replaces it.
   *
   * The answer that carries the new secret may be lost. The previous secret therefore stays valid until the session
   * receives a byte, which proves that the client has the new one. A retry with the previous secret does not create a
   * third: the two attempts may arrive in either order.
   */
  redeem(secret: string): boolean {
    const { receivedBytes: bytesIn } = this.session.link.receiver
    if (!isSameSecret(secret, this.#secret))
      return isSameSecret(secret, this.#lastRedeemed.secret) && this.#lastRedeemed.bytesReceived === bytesIn
    this.#lastRedeemed = { secret, bytesReceived: bytesIn }
    this.#secret = createSecret()
    return true
  }

  onTransportLost(link: Resumable): boolean {
    const { windowMs, interrupted, interruptedPerAddress, sameIdentity } = this.resumeTokens
    const message = `the client did not resume within ${windowMs} ms`
    this.#resumeDeadline = startDeadline(windowMs, () => link.end({ code: 'connection-lost', message }))
    this.unref()
    if (!sameIdentity && isDistinguishing(this.session.identity))
      this.identityText = identityText(this.session.identity, true)
    interrupted.add(this)
    this.resumeTokens.interruptionCount++
    this.#uncountInterrupted = interruptedPerAddress.increment(this.#address)
    return true
  }

  /** A listening server keeps the process alive; an interrupted session does not. */
  unref(): void {
    this.#resumeDeadline?.unref()
  }

  stop(): void {
    this.#resumeDeadline?.stop()
    this.resumeTokens.interrupted.delete(this)
    this.resumeTokens.reservations.delete(this)
    this.#uncountInterrupted()
  }
}

const noop = () => {}

/** Flattened by `toLowerCase`: `randomUUID` returns a rope of twenty strings, which takes half a kilobyte. */
const createSecret = (): string => randomUUID().toLowerCase()

/** Compares in constant time. */
function isSameSecret(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}
