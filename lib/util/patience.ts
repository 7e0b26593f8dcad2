// A peer that leaves too much unread is waited for as long as it makes progress: who reads slowly and steadily stays.
import { Deadline } from './deadline.js'

/** What is known of a peer that reads, or does not. */
export interface ReadProgress {
  /** Whether too much is left unread. */
  readonly isBacklogged: boolean
  /** The frames it has acknowledged. */
  readonly peerAck: number
  /** Falls as what it is sent leaves. */
  readonly pendingWriteBytes: number
  /** It has made no progress for that many ms. */
  onReadStalled(ms: number): void
}

export class ReadDeadline extends Deadline {
  /** What was seen at the last look. */
  #lastPeerAck = 0
  #lastOutgoingBytes = 0

  constructor(
    /** How long a peer may go without progress, in ms. */
    ms: number,
    private readonly peer: ReadProgress
  ) {
    super(ms)
  }

  /** Too much is left unread; it may have been before. */
  override start(): void {
    if (this.isRunning) return
    this.#checkProgress()
    super.start()
  }

  /** @returns whether there was progress */
  #checkProgress(): boolean {
    const { peerAck, pendingWriteBytes } = this.peer
    const hasProgress = peerAck > this.#lastPeerAck || pendingWriteBytes < this.#lastOutgoingBytes
    this.#lastPeerAck = peerAck
    this.#lastOutgoingBytes = pendingWriteBytes
    return hasProgress
  }

  protected override countElapsedParts(elapsedParts: number): number {
    if (this.peer.isBacklogged && !this.#checkProgress()) return elapsedParts
    if (!this.peer.isBacklogged) this.stop()
    return 0
  }

  protected onExpired(): void {
    this.peer.onReadStalled(this.timeoutMs)
  }
}
