// Frames on their way: which of them are still to be sent, and which are kept in case their transport dies.
import type { FrameData } from '../protocol/frame.js'
import { Queue } from '../util/queue.js'
import type { FrameBuilder } from './frame-builder.js'

/** What an entry weighs beside its frame, in bytes: a peer decides how many small ones there are. */
const ENTRY_OVERHEAD_BYTES = 256

export class ReplayBuffer {
  /** In order: the frames to be sent, and before them those that the peer has not acknowledged. */
  readonly #frames = new Queue<FrameBuilder>()
  /** How many of these the transport has been given. */
  #transmitted = 0
  /** The frames there were before these. */
  #ackedFrames = 0
  /** Frames that a transport has been given, of all there ever were. */
  sentFrames = 0
  /** Bytes of all that is kept; of text frames, characters. */
  bytes = 0
  /** Bytes of these that the transport has not been given. */
  unsentBytes = 0
  /** Bytes of replies that the peer has not acknowledged, with what it weighs to keep them. */
  unreadReplyBytes = 0

  constructor(
    /** Whether another transport may follow. */
    public keepsSentFrames: boolean,
    /** Whether frames go in parts. */
    private readonly transfersBuffers: boolean
  ) {}

  /** Whether there are frames to be sent. */
  get hasUnsent(): boolean {
    return this.#transmitted < this.#frames.size
  }

  /** Adds a frame to be sent. */
  add(frame: FrameBuilder): void {
    if (frame.replyBytes > 0) frame.replyBytes += ENTRY_OVERHEAD_BYTES
    this.#frames.push(frame)
    this.bytes += frame.size
    this.unsentBytes += frame.size
    this.unreadReplyBytes += frame.replyBytes
  }

  /** The messages of the next frame to be sent, if it was never sent before. */
  get nextNewMessages(): Iterable<string> {
    return this.#frames.at(this.#transmitted)
  }

  /** Takes the next frame to be sent; there is one. */
  takeNext(): FrameData {
    const entry = this.#frames.at(this.#transmitted++)
    const { size } = entry
    const frame = entry.write(this.transfersBuffers)
    this.unsentBytes -= size
    this.bytes += frame.length - size
    this.sentFrames = Math.max(this.sentFrames, this.#ackedFrames + this.#transmitted)
    if (!this.keepsSentFrames) this.#release(entry)
    return frame
  }

  /** The frame of that number, if no transport was ever given it. */
  #findUnsent(number: number): FrameBuilder | undefined {
    const index = number - this.#ackedFrames - 1
    const entry = index < 0 || index >= this.#frames.size ? undefined : this.#frames.at(index)
    return entry?.isWritten ? undefined : entry
  }

  /** Whether a transport was given the frame of that number. */
  isFrameSent(number: number): boolean {
    return this.#findUnsent(number) === undefined
  }

  /** Withdraws a message that has not left; `instead` stands in its place. */
  withdraw(number: number, index: number, replacement: string): void {
    const entry = this.#findUnsent(number)!
    const { size } = entry
    entry.withdraw(index, replacement)
    this.bytes += entry.size - size
    this.unsentBytes += entry.size - size
  }

  /** The peer has that many frames, of all there ever were. */
  acknowledge(ack: number): void {
    for (; this.#ackedFrames < ack; this.#ackedFrames++) {
      const entry = this.#frames.shift()!
      if (this.#transmitted > 0) this.#transmitted--
      else this.unsentBytes -= entry.size
      this.#release(entry)
      this.unreadReplyBytes -= entry.replyBytes
    }
  }

  #release(entry: FrameBuilder): void {
    this.bytes -= entry.size
    entry.releaseFrame()
  }

  /** Whether the peer may have that many frames: no fewer than it has acknowledged, no more than were sent. */
  isPlausibleAck(ack: number): boolean {
    return ack >= this.#ackedFrames && ack <= this.sentFrames
  }

  /** The transport has died: what it was given is to be sent again. */
  rewind(): void {
    if (!this.keepsSentFrames) return
    this.#transmitted = 0
    this.unsentBytes = this.bytes
  }

  /** The other side did not take any of the frames that there ever were. */
  markAllUnsent(): void {
    this.sentFrames = 0
  }

  /** No transport will follow: what was sent need not be kept. */
  stopKeeping(): void {
    this.keepsSentFrames = false
    for (let i = 0; i < this.#transmitted; i++) this.#release(this.#frames.at(i))
  }

  /** Nothing will be sent any more. */
  clear(): void {
    this.#frames.clear()
    this.#transmitted = this.bytes = this.unsentBytes = this.unreadReplyBytes = 0
  }
}
