// What a server keeps for sessions whose socket is lost: the tickets with which other sockets carry them on.
import { randomUUID, timingSafeEqual } from 'node:crypto'
import { decided } from '../access/decision.js'
import type { Recovery, Resumable } from '../link/recovery.js'
import { equalIdentity, textOf } from '../session/identity.js'
import type { SessionImpl } from '../session/session.js'
import type { Listener, Visitor } from '../transport/transport.js'
import { Tally } from '../util/counter.js'
import { type Deadline, deadlineIn } from '../util/deadline.js'
import type { Report } from '../util/emitter.js'

/** A client that was let in. */
export interface Arrival extends Visitor {
  /** The place it has of a session that waits, where there was no other. */
  readonly loan?: Loan | undefined
}

/** A listener whose sessions may outlive their transports. */
export interface ResumingListener extends Listener {
  /** How sessions go on over another of its transports; undefined where they end with theirs. */
  readonly tickets?: Tickets | undefined
  open(letIn: (arrival: Arrival) => void, report: Report): Promise<void>
}

export class Tickets {
  /** @internal */
  readonly issued = new Map<string, Ticket>()
  /** Those whose session waits for another socket. */
  readonly waiting = new Set<Ticket>()
  /** Those of them whose place a client has. */
  readonly lent = new Map<Ticket, Loan>()
  /** How many sessions each address has, and how many of them wait. */
  readonly sessionsAt = new Tally()
  readonly waitingAt = new Tally()
  #last = 0

  constructor(
    /** How long a session waits for another socket, in ms. */
    readonly window: number,
    /** How long it may take the server to learn of a loss, in ms. */
    private readonly heartbeat: number,
    readonly sameIdentity: ((began: never, comes: never) => unknown) | undefined
  ) {}

  /** A ticket for a session to come. It is of use once it is issued. */
  make(): Ticket {
    return new Ticket(String(++this.#last), this, this.window + 2 * this.heartbeat)
  }

  /** Takes a token. @returns the ticket it is for, which has another token from now on */
  take(token: string): Ticket | undefined {
    const [id, secret = ''] = token.split('.')
    const ticket = this.issued.get(id!)
    return ticket?.take(secret) ? ticket : undefined
  }

  /** Whether who comes is who began. @throws what `sameIdentity` throws, and TypeError for a promise of it */
  isSame(began: unknown, comes: unknown): boolean {
    const { sameIdentity = equalIdentity } = this
    return Boolean(decided('sameIdentity', sameIdentity(began as never, comes as never)))
  }

  /** Those that wait, the oldest session's first. */
  *#inOrder(): Generator<Ticket> {
    for (const ticket of this.issued.values()) if (this.waiting.has(ticket)) yield ticket
  }

  /** Of those that wait at an address the oldest session's. */
  oldestAt(address: string | undefined): Ticket | undefined {
    return [...this.#inOrder()].find(ticket => ticket.isAt(address))
  }

  /**
   * Lends a client the place of the oldest session that waits and has its identity, where that tells one client from
   * another; or else its address.
   *
   * @returns undefined where there is none
   */
  lend(visitor: Omit<Visitor, 'transport'>, report: Report): Loan | undefined {
    const ticket = this.#ownOf(visitor, report)
    return ticket && new Loan(ticket, this.lent)
  }

  #ownOf({ address, identity }: Omit<Visitor, 'transport'>, report: Report): Ticket | undefined {
    const isOwn = tells(identity) ? this.#matcher(identity) : undefined
    // Strangers come often where a server is full.
    if (!isOwn && this.waitingAt.of(address) === 0) return undefined
    let near: Ticket | undefined
    try {
      for (const ticket of this.#inOrder()) {
        if (this.lent.has(ticket)) continue
        if (ticket.isAt(address)) near ??= ticket
        if (isOwn ? isOwn(ticket) : near) return ticket
      }
    } catch (error) {
      report(error)
    }
    return near
  }

  /** Finds the sessions of an identity. There may be many, so that the texts of theirs are at hand. */
  #matcher(identity: unknown): (ticket: Ticket) => boolean {
    if (this.sameIdentity) return ({ session }) => this.isSame(session.identity, identity)
    const text = textOf(identity, true)
    return ({ session, who }) => Object.is(session.identity, identity) || (text !== undefined && who === text)
  }
}

/** The place of a session that waits, which a client has until it has said what it wants. */
export class Loan {
  constructor(
    private readonly ticket: Ticket,
    private readonly lent: Map<Ticket, Loan>
  ) {
    lent.set(ticket, this)
  }

  /** The session; undefined where it waits no more, or the place was given back. */
  get session(): SessionImpl | undefined {
    return this.lent.get(this.ticket) === this ? this.ticket.session : undefined
  }

  giveBack(): void {
    if (this.session) this.lent.delete(this.ticket)
  }
}

/** Whether an identity tells one client from another. */
const tells = (identity: unknown) => identity !== undefined && identity !== true

export class Ticket implements Recovery {
  /** Set when it is issued. */
  session!: SessionImpl
  /** The text of its identity, once it waits: undefined where that has none, or a user's function compares them. */
  who: string | undefined
  #secret = makeSecret()
  /** The one that was taken last, and how much had been received by then. */
  #taken = { secret: '', bytesIn: 0 }
  /** Until another socket has to have come. */
  #deadline: Deadline | undefined
  #address: string | undefined
  /** What counts it no more among the sessions of its address, and among those of them that wait. */
  #leave = nothing
  #waitNoMore = nothing

  constructor(
    private readonly id: string,
    private readonly tickets: Tickets,
    readonly goodFor: number
  ) {}

  /** The session begins. */
  issue(session: SessionImpl, address: string | undefined): void {
    this.session = session
    this.tickets.issued.set(this.id, this)
    this.moved(address)
  }

  /** The client is at this address now. */
  moved(address: string | undefined): void {
    this.#leave()
    this.#leave = this.tickets.sessionsAt.add(address)
    this.#address = address
  }

  /** Whether the client was last at this address. */
  isAt(address: string | undefined): boolean {
    return address !== undefined && this.#address === address
  }

  /** The session has ended. */
  forget(): void {
    this.tickets.issued.delete(this.id)
    this.#leave()
  }

  get token(): string {
    return `${this.id}.${this.#secret}`
  }

  /**
   * Takes a secret, if it is the right one: then there is a new one. The one before is good until something comes from
   * who has the new one, as the answer to it may be lost; and the new one stays, for the two may arrive in any order.
   */
  take(secret: string): boolean {
    const { bytes: bytesIn } = this.session.link.receiver
    if (!same(secret, this.#secret))
      return same(secret, this.#taken.secret) && this.#taken.bytesIn === bytesIn
    this.#taken = { secret, bytesIn }
    this.#secret = makeSecret()
    return true
  }

  lost(link: Resumable): boolean {
    const { window, waiting, waitingAt, sameIdentity } = this.tickets
    const message = `no other socket came within ${window} ms to carry the session on`
    this.#deadline = deadlineIn(window, () => link.end({ code: 'connection-lost', message }))
    this.unref()
    if (!sameIdentity && tells(this.session.identity)) this.who = textOf(this.session.identity, true)
    waiting.add(this)
    this.#waitNoMore = waitingAt.add(this.#address)
    return true
  }

  /** A server that listens keeps the process alive, and a session that waits does not. */
  unref(): void {
    this.#deadline?.unref()
  }

  stop(): void {
    this.#deadline?.stop()
    this.tickets.waiting.delete(this)
    this.tickets.lent.delete(this)
    this.#waitNoMore()
  }
}

const nothing = () => {}

/** In one piece: as it is made it is twenty, put together, which weigh half a kilobyte. */
const makeSecret = (): string => randomUUID().toLowerCase()

/** The time it takes tells nothing of where they differ. */
function same(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}
