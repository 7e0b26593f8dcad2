// Frames on their way: which of them are still to be sent, and which are kept in case their transport dies.
import type { FrameData } from './frame.js'
import { Queue } from './queue.js'

/** What an entry weighs beside its frame, in bytes: a peer decides how many small ones there are. */
const ENTRY = 256

interface Kept {
  /** Undefined once it was sent, where it is not kept. */
  frame: FrameData | undefined
  readonly owed: number
}

export class KeptFrames {
  /** In order: the frames to be sent, and before them those that the peer has not acknowledged. */
  readonly #kept = new Queue<Kept>()
  /** How many of these the transport has been given. */
  #given = 0
  /** The frames there were before these. */
  #before = 0
  /** Frames that a transport has been given, of all there ever were. */
  sent = 0
  /** Bytes of all that is kept; of text frames, characters. */
  bytes = 0
  /** Bytes of these that the transport has not been given. */
  unsent = 0
  /** Bytes of replies that the peer has not acknowledged, with what it weighs to keep them. */
  owed = 0

  constructor(
    /** Whether another transport may follow. */
    public keeps: boolean
  ) {}

  /** Whether there are frames to be sent. */
  get waiting(): boolean {
    return this.#given < this.#kept.size
  }

  /** Adds a frame to be sent, with the bytes of replies in it. */
  add(frame: FrameData, replies: number): void {
    const owed = replies > 0 ? replies + ENTRY : 0
    this.#kept.push({ frame, owed })
    this.bytes += frame.length
    this.unsent += frame.length
    this.owed += owed
  }

  /** Takes the next frame to be sent; there is one. */
  next(): FrameData {
    const entry = this.#kept.at(this.#given++)
    const frame = entry.frame!
    this.unsent -= frame.length
    this.sent = Math.max(this.sent, this.#before + this.#given)
    if (!this.keeps) this.#forget(entry)
    return frame
  }

  /** The peer has that many frames, of all there ever were. */
  acknowledge(count: number): void {
    for (; this.#before < count; this.#before++) {
      const entry = this.#kept.shift()!
      if (this.#given > 0) this.#given--
      else this.unsent -= entry.frame!.length
      this.#forget(entry)
      this.owed -= entry.owed
    }
  }

  #forget(entry: Kept): void {
    this.bytes -= entry.frame?.length ?? 0
    entry.frame = undefined
  }

  /** Whether the peer may have that many frames: no fewer than it has acknowledged, no more than were sent. */
  mayHave(count: number): boolean {
    return count >= this.#before && count <= this.sent
  }

  /** The transport has died: what it was given is to be sent again. */
  rewind(): void {
    if (!this.keeps) return
    this.#given = 0
    this.unsent = this.bytes
  }

  /** The other side did not take any of the frames that there ever were. */
  takeBack(): void {
    this.sent = 0
  }

  /** No transport will follow: what was sent need not be kept. */
  stop(): void {
    this.keeps = false
    for (let i = 0; i < this.#given; i++) this.#forget(this.#kept.at(i))
  }

  /** Nothing will be sent any more. */
  clear(): void {
    this.#kept.clear()
    this.#given = this.bytes = this.unsent = this.owed = 0
  }
}
