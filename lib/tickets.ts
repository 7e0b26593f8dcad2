// What a server keeps for sessions whose socket is lost: the tickets with which other sockets carry them on.
import { randomUUID, timingSafeEqual } from 'node:crypto'
import { type Deadline, deadlineIn } from './deadline.js'
import { decided } from './decision.js'
import type { Report } from './events.js'
import type { Link } from './link.js'
import type { Recovery } from './recovery.js'
import type { Session } from './session.js'
import { Tally } from './tally.js'
import type { Visitor } from './transport.js'

export class Tickets {
  /** @internal */
  readonly issued = new Map<string, Ticket>()
  /** Those whose session waits for another socket. */
  readonly waiting = new Set<Ticket>()
  /** How many sessions each address has, and how many of them wait. */
  readonly sessionsAt = new Tally()
  readonly waitingAt = new Tally()
  #last = 0

  constructor(
    /** How long a session waits for another socket, in ms. */
    readonly window: number,
    /** How long it may take the server to learn of a loss, in ms. */
    private readonly heartbeat: number,
    private readonly sameIdentity: (began: never, comes: never) => unknown
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
    return Boolean(decided('sameIdentity', this.sameIdentity(began as never, comes as never)))
  }

  /** Those that wait, the oldest first, and may be of who comes: of its address, or its identity, if that tells one client from another. */
  *of({ address, identity }: Pick<Visitor, 'address' | 'identity'>, report: Report): Generator<Ticket> {
    let asks = identity !== undefined && identity !== true
    const isSame = ({ session }: Ticket) => {
      try {
        return asks && this.isSame(session.identity, identity)
      } catch (error) {
        asks = false
        report(error)
        return false
      }
    }
    for (const ticket of this.issued.values()) {
      if (this.waiting.has(ticket) && (ticket.isAt(address) || isSame(ticket))) yield ticket
    }
  }
}

export class Ticket implements Recovery {
  /** Set when it is issued. */
  session!: Session
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
  issue(session: Session, address: string | undefined): void {
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

  lost(link: Link): boolean {
    const { window, waiting, waitingAt } = this.tickets
    const message = `no other socket came within ${window} ms to carry the session on`
    this.#deadline = deadlineIn(window, () => link.end({ code: 'connection-lost', message }))
    this.unref()
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
