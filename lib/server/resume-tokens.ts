// What a server keeps for sessions whose socket is lost: the tickets with which other sockets carry them on.
import { randomUUID, timingSafeEqual } from 'node:crypto'
import { checkHookResult } from '../access/decision.js'
import type { Resumable, ResumeStrategy } from '../link/recovery.js'
import { equalIdentity, identityText } from '../session/identity.js'
import type { SessionImpl } from '../session/session.js'
import type { AcceptedClient, Listener } from '../transport/transport.js'
import { AddressCounter } from '../util/counter.js'
import { type Deadline, startDeadline } from '../util/deadline.js'
import type { ReportError } from '../util/emitter.js'

/** A client that was let in. */
export interface Arrival extends AcceptedClient {
  /** The place it has of a session that waits, where there was no other. */
  readonly loan?: SlotReservation | undefined
}

/** A listener whose sessions may outlive their transports. */
export interface ResumingListener extends Listener {
  /** How sessions go on over another of its transports; undefined where they end with theirs. */
  readonly resumeTokens?: ResumeTokens | undefined
  open(letIn: (arrival: Arrival) => void, report: ReportError): Promise<void>
}

export class ResumeTokens {
  /** @internal */
  readonly active = new Map<string, ResumeToken>()
  /** Those whose session waits for another socket. */
  readonly interrupted = new Set<ResumeToken>()
  /** Those of them whose place a client has. */
  readonly reservations = new Map<ResumeToken, SlotReservation>()
  /** How many sessions each address has, and how many of them wait. */
  readonly sessionsPerAddress = new AddressCounter()
  readonly interruptedPerAddress = new AddressCounter()
  #lastId = 0

  constructor(
    /** How long a session waits for another socket, in ms. */
    readonly windowMs: number,
    /** How long it may take the server to learn of a loss, in ms. */
    private readonly heartbeatMs: number,
    readonly sameIdentity: ((began: never, comes: never) => unknown) | undefined
  ) {}

  /** A ticket for a session to come. It is of use once it is issued. */
  create(): ResumeToken {
    return new ResumeToken(String(++this.#lastId), this, this.windowMs + 2 * this.heartbeatMs)
  }

  /** Takes a token. @returns the ticket it is for, which has another token from now on */
  redeem(token: string): ResumeToken | undefined {
    const [id, secret = ''] = token.split('.')
    const resumeToken = this.active.get(id!)
    return resumeToken?.redeem(secret) ? resumeToken : undefined
  }

  /** Whether who comes is who began. @throws what `sameIdentity` throws, and TypeError for a promise of it */
  isSameIdentity(original: unknown, presented: unknown): boolean {
    const { sameIdentity = equalIdentity } = this
    return Boolean(checkHookResult('sameIdentity', sameIdentity(original as never, presented as never)))
  }

  /** Those that wait, the oldest session's first. */
  *#interruptedOldestFirst(): Generator<ResumeToken> {
    for (const ticket of this.active.values()) if (this.interrupted.has(ticket)) yield ticket
  }

  /** Of those that wait at an address the oldest session's. */
  oldestInterruptedAt(address: string | undefined): ResumeToken | undefined {
    return [...this.#interruptedOldestFirst()].find(ticket => ticket.hasAddress(address))
  }

  /**
   * Lends a client the place of the oldest session that waits and has its identity, where that tells one client from
   * another; or else its address.
   *
   * @returns undefined where there is none
   */
  reserveSlot(client: Omit<AcceptedClient, 'transport'>, report: ReportError): SlotReservation | undefined {
    const ticket = this.#findReservable(client, report)
    return ticket && new SlotReservation(ticket, this.reservations)
  }

  #findReservable(
    { address, identity }: Omit<AcceptedClient, 'transport'>,
    report: ReportError
  ): ResumeToken | undefined {
    const hasSameIdentity = isDistinguishing(identity) ? this.#identityMatcher(identity) : undefined
    // Strangers come often where a server is full.
    if (!hasSameIdentity && this.interruptedPerAddress.countOf(address) === 0) return undefined
    let sameAddress: ResumeToken | undefined
    try {
      for (const ticket of this.#interruptedOldestFirst()) {
        if (this.reservations.has(ticket)) continue
        if (ticket.hasAddress(address)) sameAddress ??= ticket
        if (hasSameIdentity ? hasSameIdentity(ticket) : sameAddress) return ticket
      }
    } catch (error) {
      report(error)
    }
    return sameAddress
  }

  /** Finds the sessions of an identity. There may be many, so that the texts of theirs are at hand. */
  #identityMatcher(identity: unknown): (ticket: ResumeToken) => boolean {
    if (this.sameIdentity) return ({ session }) => this.isSameIdentity(session.identity, identity)
    const text = identityText(identity, true)
    return ({ session, identityText }) =>
      Object.is(session.identity, identity) || (text !== undefined && identityText === text)
  }
}

/** The place of a session that waits, which a client has until it has said what it wants. */
export class SlotReservation {
  constructor(
    private readonly resumeToken: ResumeToken,
    private readonly reservations: Map<ResumeToken, SlotReservation>
  ) {
    reservations.set(resumeToken, this)
  }

  /** The session; undefined where it waits no more, or the place was given back. */
  get session(): SessionImpl | undefined {
    return this.reservations.get(this.resumeToken) === this ? this.resumeToken.session : undefined
  }

  release(): void {
    if (this.session) this.reservations.delete(this.resumeToken)
  }
}

/** Whether an identity tells one client from another. */
const isDistinguishing = (identity: unknown) => identity !== undefined && identity !== true

export class ResumeToken implements ResumeStrategy {
  /** Set when it is issued. */
  session!: SessionImpl
  /** The text of its identity, once it waits: undefined where that has none, or a user's function compares them. */
  identityText: string | undefined
  #secret = createSecret()
  /** The one that was taken last, and how much had been received by then. */
  #lastRedeemed = { secret: '', bytesReceived: 0 }
  /** Until another socket has to have come. */
  #resumeDeadline: Deadline | undefined
  #address: string | undefined
  /** What counts it no more among the sessions of its address, and among those of them that wait. */
  #uncountSession = noop
  #uncountInterrupted = noop

  constructor(
    private readonly id: string,
    private readonly resumeTokens: ResumeTokens,
    readonly resumeWindowMs: number
  ) {}

  /** The session begins. */
  activate(session: SessionImpl, address: string | undefined): void {
    this.session = session
    this.resumeTokens.active.set(this.id, this)
    this.setAddress(address)
  }

  /** The client is at this address now. */
  setAddress(address: string | undefined): void {
    this.#uncountSession()
    this.#uncountSession = this.resumeTokens.sessionsPerAddress.increment(address)
    this.#address = address
  }

  /** Whether the client was last at this address. */
  hasAddress(address: string | undefined): boolean {
    return address !== undefined && this.#address === address
  }

  /** The session has ended. */
  revoke(): void {
    this.resumeTokens.active.delete(this.id)
    this.#uncountSession()
  }

  get token(): string {
    return `${this.id}.${this.#secret}`
  }

  /**
   * Takes a secret, if it is the right one: then there is a new one. The one before is good until something comes from
   * who has the new one, as the answer to it may be lost; and the new one stays, for the two may arrive in any order.
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
    const message = `no other socket came within ${windowMs} ms to carry the session on`
    this.#resumeDeadline = startDeadline(windowMs, () => link.end({ code: 'connection-lost', message }))
    this.unref()
    if (!sameIdentity && isDistinguishing(this.session.identity))
      this.identityText = identityText(this.session.identity, true)
    interrupted.add(this)
    this.#uncountInterrupted = interruptedPerAddress.increment(this.#address)
    return true
  }

  /** A server that listens keeps the process alive, and a session that waits does not. */
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

/** In one piece: as it is made it is twenty, put together, which weigh half a kilobyte. */
const createSecret = (): string => randomUUID().toLowerCase()

/** The time it takes tells nothing of where they differ. */
function isSameSecret(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}
