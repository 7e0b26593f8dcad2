// A peer that leaves too much unread is waited for as long as it makes progress: who reads slowly and steadily stays.
import { Deadline } from './deadline.js'

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

export class Patience extends Deadline {
  /** What was seen at the last look. */
  #counted = 0
  #outgoing = 0

  constructor(
    /** How long a peer may go without progress, in ms. */
    ms: number,
    private readonly peer: Unread
  ) {
    super(ms)
  }

  /** Too much is left unread; it may have been before. */
  override start(): void {
    if (this.running) return
    this.#see()
    super.start()
  }

  /** @returns whether there was progress */
  #see(): boolean {
    const { counted, outgoing } = this.peer
    const progress = counted > this.#counted || outgoing < this.#outgoing
    this.#counted = counted
    this.#outgoing = outgoing
    return progress
  }

  protected override look(passed: number): number {
    if (this.peer.unread && !this.#see()) return passed
    if (!this.peer.unread) this.stop()
    return 0
  }

  protected expired(): void {
    this.peer.notRead(this.ms)
  }
}
