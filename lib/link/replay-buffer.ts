// The frames of a link that are not sent or not acknowledged: they are sent again if their transport is lost.
import type { FrameData } from '../protocol/frame.js'
import { Queue } from '../util/queue.js'
import type { FrameBuilder } from './frame-builder.js'

/** Memory of an entry besides its frame: a peer may cause many small ones. */
const ENTRY_OVERHEAD_BYTES = 256

export class ReplayBuffer {
  /** Unacknowledged frames in order: first those already sent, then those still queued. */
  readonly #frames = new Queue<FrameBuilder>()
  /** Number of these that were given to the present transport. */
  #transmitted = 0
  /** Number of frames before these. */
  #ackedFrames = 0
  /** Number of frames ever given to a transport; a replayed frame counts once. */
  sentFrames = 0
  /** Bytes of all these frames; for text frames, characters. */
  bytes = 0
  /** Bytes of these that were not given to the present transport. */
  unsentBytes = 0
  /** Bytes of replies that the peer has not acknowledged, with their overhead. */
  unreadReplyBytes = 0

  constructor(
    /** Whether another transport may follow, so that sent frames are kept. */
    public keepsSentFrames: boolean,
    /** Whether the transport transfers buffers, so that a frame is sent in parts. */
    private readonly transfersBuffers: boolean
  ) {}

  /** Whether frames wait to be sent. */
  get hasUnsent(): boolean {
    return this.#transmitted < this.#frames.size
  }

  /** Adds a closed frame. */
  add(frame: FrameBuilder): void {
    if (frame.replyBytes > 0) frame.replyBytes += ENTRY_OVERHEAD_BYTES
    this.#frames.push(frame)
    this.bytes += frame.size
    this.unsentBytes += frame.size
    this.unreadReplyBytes += frame.replyBytes
  }

  /** Messages of the next frame to send; none if it was sent before. */
  get nextNewMessages(): Iterable<string> {
    return this.#frames.at(this.#transmitted)
  }

  /** Takes the next frame to send. There must be one. */
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

  /** The frame with that number, if it was never given to a transport. */
  #findUnsent(number: number): FrameBuilder | undefined {
    const index = number - this.#ackedFrames - 1
    const entry = index < 0 || index >= this.#frames.size ? undefined : this.#frames.at(index)
    return entry?.isWritten ? undefined : entry
  }

  /** Whether the frame with that number was ever given to a transport. */
  isFrameSent(number: number): boolean {
    return this.#findUnsent(number) === undefined
  }

  /** Withdraws a message that was not sent, and puts `replacement` in its place. */
  withdraw(number: number, index: number, replacement: string): void {
    const entry = this.#findUnsent(number)!
    const { size } = entry
    entry.withdraw(index, replacement)
    this.bytes += entry.size - size
    this.unsentBytes += entry.size - size
  }

  /** The peer has received that many frames since the link began. */
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

  /** Whether the peer may have that many frames: at least those it acknowledged, at most those sent. */
  isPlausibleAck(ack: number): boolean {
    return ack >= this.#ackedFrames && ack <= this.sentFrames
  }

  /** The transport is lost: the frames given to it are sent again. */
  rewind(): void {
    if (!this.keepsSentFrames) return
    this.#transmitted = 0
    this.unsentBytes = this.bytes
  }

  /** The peer has received none of the frames: all count as never sent. */
  markAllUnsent(): void {
    this.sentFrames = 0
  }

  /** No other transport will follow: sent frames are not kept any longer. */
  stopKeeping(): void {
    this.keepsSentFrames = false
    for (let i = 0; i < this.#transmitted; i++) this.#release(this.#frames.at(i))
  }

  /** No frame will be sent any more. */
  clear(): void {
    this.#frames.clear()
    this.#transmitted = this.bytes = this.unsentBytes = this.unreadReplyBytes = 0
  }
}
