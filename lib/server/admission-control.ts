// Decides whether a server has room for another client.

import type { Limits } from '../protocol/limits.js'
import { AddressCounter } from '../util/address-counter.js'
import type { ReportError } from '../util/emitter.js'
import type { ClosableClient, PendingUpgrade } from './authentication.js'
import type { ResumeTokens, SlotReservation } from './resume-tokens.js'

/** Clients being authenticated that one address may have, if `limits.sessionsPerAddress` is not set. */
const MAX_PENDING_PER_ADDRESS = 64

/** A client that needs a session slot. */
export interface SlotRequest {
  readonly socket: ClosableClient
  readonly address: string | undefined
  /** IP address of the client, not its network. */
  readonly ip?: string | undefined
  readonly identity?: unknown
}

/** A slot for a session: a free one, or that of an interrupted session. */
export interface SessionSlot {
  readonly reservation?: SlotReservation
}

const FREE_SLOT: SessionSlot = {}

export class AdmissionControl {
  /** Clients being authenticated. A rejected one counts until its socket closes. */
  readonly pending = new Set<PendingUpgrade>()
  /** Those of them whose WebSocket is open, to receive the token. */
  readonly #awaitingToken = new Set<PendingUpgrade>()
  readonly #pendingPerAddress = new AddressCounter()
  readonly #socketsPerAddress = new AddressCounter()
  readonly #maxPendingPerAddress: number

  constructor(
    private readonly limits: Limits,
    private readonly resumeTokens: ResumeTokens | undefined,
    /** Open sockets that may have a session. */
    private readonly openSockets: { size(): number }
  ) {
    const { sessionsPerAddress } = limits
    this.#maxPendingPerAddress =
      sessionsPerAddress < Number.POSITIVE_INFINITY ? sessionsPerAddress : MAX_PENDING_PER_ADDRESS
  }

  /** Whether an address has reached one of its limits. */
  isAddressFull(address: string | undefined): boolean {
    return (
      this.#socketsPerAddress.countOf(address) >= this.limits.sessionsPerAddress ||
      this.#pendingPerAddress.countOf(address) >= this.#maxPendingPerAddress
    )
  }

  /**
   * Whether another client may be authenticated. A client that may own an interrupted session does not wait for
   * others.
   */
  mayAuthenticate(address: string | undefined): boolean {
    const { sessions } = this.limits
    if (this.#acceptedClients >= sessions) return false
    return (
      this.pending.size < sessions ||
      this.#pendingPerAddress.countOf(address) <
        (this.resumeTokens?.interruptedPerAddress.countOf(address) ?? 0)
    )
  }

  /** Takes a free slot, or reserves that of an interrupted session. @returns undefined if there is neither */
  takeSlot({ socket, ...client }: SlotRequest, report: ReportError): SessionSlot | undefined {
    if (this.#usedSlots < this.limits.sessions) return FREE_SLOT
    const reservation = this.resumeTokens?.reserveSlot(client, report)
    if (!reservation) return undefined
    socket.once('close', () => reservation.release())
    return { reservation }
  }

  /** Counts the socket of a client until it closes. */
  addSocket(socket: ClosableClient, address: string | undefined): void {
    socket.once('close', this.#socketsPerAddress.increment(address))
  }

  /**
   * Counts a client as pending until its socket closes: `authenticate` may never settle for a client that is gone.
   *
   * @returns a function that ends this earlier
   */
  addPending(upgrade: PendingUpgrade, socket: ClosableClient, address: string | undefined): () => void {
    const uncount = this.#pendingPerAddress.increment(address)
    const remove = () => {
      uncount()
      this.pending.delete(upgrade)
      this.#awaitingToken.delete(upgrade)
    }
    this.pending.add(upgrade)
    socket.once('close', remove)
    return remove
  }

  /** Records that the WebSocket of a client is open. */
  opened(upgrade: PendingUpgrade): void {
    if (this.pending.has(upgrade)) this.#awaitingToken.add(upgrade)
  }

  get #acceptedClients(): number {
    return this.openSockets.size() - this.#awaitingToken.size
  }

  /** Slots of accepted clients and of interrupted sessions; a reserved slot counts once. */
  get #usedSlots(): number {
    const { interrupted, reservations } = this.resumeTokens ?? NO_TOKENS
    return this.#acceptedClients + interrupted.size - reservations.size
  }
}

const NO_TOKENS = { interrupted: { size: 0 }, reservations: { size: 0 } }
