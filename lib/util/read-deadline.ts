// The deadline for a peer that leaves too much unread. Progress extends it: a peer may read slowly, but must read.
import { Deadline } from './deadline.js'

/** How far a peer has read. */
export interface ReadProgress {
  /** Whether the peer leaves too much unread. */
  readonly isBacklogged: boolean
  /** Frames that the peer has acknowledged. */
  readonly peerAck: number
  /** Bytes that wait in the transport. They fall as the peer reads. */
  readonly pendingWriteBytes: number
  /** Called if the peer has made no progress for `ms`. */
  onReadStalled(ms: number): void
}

export class ReadDeadline extends Deadline {
  /** The progress at the last check. */
  #lastPeerAck = 0
  #lastOutgoingBytes = 0

  constructor(
    /** Longest time without progress, in ms. */
    ms: number,
    private readonly peer: ReadProgress
  ) {
    super(ms)
  }

  /** Starts the deadline, if it is not running. */
  override start(): void {
    if (this.isRunning) return
    this.#checkProgress()
    super.start()
  }

  /** @returns whether there was progress since the last check */
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
