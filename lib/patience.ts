// A peer that leaves too much unread is waited for as long as it makes progress: who reads slowly and steadily stays.
import { clock, type Timer } from './clock.js'

/** What is known of a peer that reads, or does not. */
export interface Unread {
  /** Whether too much is left unread. */
  readonly unread: boolean
  /** The frames it has acknowledged. */
  readonly counted: number
  /** Falls as what it is sent leaves. */
  readonly outgoing: number
  /** It has made no progress for that many ms. */
  notRead(ms: number): void
}

/** How often it is looked at in the time it has. */
const LOOKS = 4

export class Patience {
  #timer: Timer | undefined
  /** What was seen at the last look; and how many looks ago it made progress. */
  #counted = 0
  #outgoing = 0
  #still = 0

  constructor(
    /** How long a peer may go without progress, in ms. */
    private readonly ms: number,
    private readonly peer: Unread
  ) {}

  /** Too much is left unread; it may have been before. */
  start(): void {
    if (this.#timer !== undefined) return
    this.#still = 0
    this.#see()
    this.#timer = clock.setInterval(() => this.#look(), this.ms / LOOKS)
  }

  stop(): void {
    clock.clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** @returns whether there was progress */
  #see(): boolean {
    const { counted, outgoing } = this.peer
    const progress = counted > this.#counted || outgoing < this.#outgoing
    this.#counted = counted
    this.#outgoing = outgoing
    return progress
  }

  #look(): void {
    /* c8 ignore start: whether it has read between two looks is a matter of time. */
    if (!this.peer.unread) return this.stop()
    this.#still = this.#see() ? 0 : this.#still + 1
    /* c8 ignore stop */
    if (this.#still < LOOKS) return
    this.stop()
    this.peer.notRead(this.ms)
  }
}
