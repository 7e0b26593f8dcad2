// What a server keeps for sessions whose socket is lost: the tickets with which other sockets carry them on.
import { randomUUID, timingSafeEqual } from 'node:crypto'
import { type Deadline, deadlineIn } from './deadline.js'
import type { Link } from './link.js'
import type { Recovery } from './recovery.js'
import type { Session } from './session.js'

export class Tickets {
  readonly #issued = new Map<string, Ticket>()
  #last = 0

  constructor(
    /** How long a session waits for another socket, in ms. */
    private readonly window: number,
    /** How long it may take the server to learn of a loss, in ms. */
    private readonly heartbeat: number
  ) {}

  /** A ticket for a session to come. It is of use once it is issued. */
  make(): Ticket {
    return new Ticket(String(++this.#last), this.#issued, this.window, this.window + 2 * this.heartbeat)
  }

  /** Takes a token. @returns the ticket it is for, which has another token from now on */
  take(token: string): Ticket | undefined {
    const [id, secret = ''] = token.split('.')
    const ticket = this.#issued.get(id!)
    return ticket?.take(secret) ? ticket : undefined
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

  constructor(
    private readonly id: string,
    private readonly issued: Map<string, Ticket>,
    private readonly window: number,
    readonly goodFor: number
  ) {}

  /** The session begins. */
  issue(session: Session): void {
    this.session = session
    this.issued.set(this.id, this)
  }

  /** The session has ended. */
  forget(): void {
    this.issued.delete(this.id)
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
    const message = `no other socket came within ${this.window} ms to carry the session on`
    this.#deadline = deadlineIn(this.window, () => link.end({ code: 'connection-lost', message }))
    this.unref()
    return true
  }

  /** A server that listens keeps the process alive, and a session that waits does not. */
  unref(): void {
    this.#deadline?.unref()
  }

  stop(): void {
    this.#deadline?.stop()
  }
}

/** In one piece: as it is made it is twenty, put together, which weigh half a kilobyte. */
const makeSecret = (): string => randomUUID().toLowerCase()

/** The time it takes tells nothing of where they differ. */
function same(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}
