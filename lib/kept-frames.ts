// Frames on their way: which of them are still to be sent, and which are kept in case their transport dies.
import type { FrameData } from './frame.js'

export class KeptFrames {
  /** The very frames, in order: those to be sent, and before them those the other side is not known to have. */
  #kept: { readonly frame: FrameData; readonly owed: number }[] = []
  /** How many of these the transport has been given. */
  #given = 0
  /** The frames there were before these. */
  #before = 0
  /** Frames that a transport has been given, of all there ever were. */
  sent = 0
  /** Bytes of all that is kept; of text frames, characters. */
  bytes = 0
  /** Bytes of replies that the transport has not been given. */
  owed = 0

  constructor(
    /** Whether another transport may follow. */
    private keeps: boolean
  ) {}

  /** Whether there are frames to be sent. */
  get waiting(): boolean {
    return this.#given < this.#kept.length
  }

  /** Bytes that the transport has not been given. */
  get unsent(): number {
    return this.#kept.slice(this.#given).reduce((sum, { frame }) => sum + frame.length, 0)
  }

  /** Adds a frame to be sent, with the bytes of replies in it. */
  add(frame: FrameData, owed: number): void {
    this.#kept.push({ frame, owed })
    this.bytes += frame.length
    this.owed += owed
  }

  /** Takes the next frame to be sent; there is one. */
  next(): FrameData {
    const { frame, owed } = this.#kept[this.#given++]!
    this.owed -= owed
    this.sent = Math.max(this.sent, this.#before + this.#given)
    if (!this.keeps) this.#drop(this.#given)
    return frame
  }

  /** The other side has that many frames, of all there ever were. */
  acknowledge(count: number): void {
    this.#drop(count - this.#before)
  }

  #drop(count: number): void {
    if (count <= 0) return
    if (count === 1) this.bytes -= this.#kept.shift()!.frame.length
    else for (const { frame } of this.#kept.splice(0, count)) this.bytes -= frame.length
    this.#given = Math.max(0, this.#given - count)
    this.#before += count
  }

  /** Whether the other side may have that many frames: no fewer than it has counted, no more than were sent. */
  mayHave(count: number): boolean {
    return count >= this.#before && count <= this.sent
  }

  /** The transport has died: what it was given is to be sent again. */
  rewind(): void {
    for (let i = 0; i < this.#given; i++) this.owed += this.#kept[i]!.owed
    this.#given = 0
  }

  /** The other side did not take any of the frames that there ever were. */
  takeBack(): void {
    this.sent = 0
  }

  /** No transport will follow: what was sent need not be kept. */
  stop(): void {
    this.keeps = false
    this.#drop(this.#given)
  }

  /** Nothing will be sent any more. */
  clear(): void {
    this.#kept = []
    this.#given = this.bytes = this.owed = 0
  }
}
