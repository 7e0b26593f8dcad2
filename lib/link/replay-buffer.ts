// Frames on their way: which of them are still to be sent, and which are kept in case their transport dies.
import type { FrameData } from '../protocol/frame.js'
import { Queue } from '../util/queue.js'
import type { Outbox } from './frame-builder.js'

/** What an entry weighs beside its frame, in bytes: a peer decides how many small ones there are. */
const ENTRY = 256

export class KeptFrames {
  /** In order: the frames to be sent, and before them those that the peer has not acknowledged. */
  readonly #kept = new Queue<Outbox>()
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
    public keeps: boolean,
    /** Whether frames go in parts. */
    private readonly inParts: boolean
  ) {}

  /** Whether there are frames to be sent. */
  get waiting(): boolean {
    return this.#given < this.#kept.size
  }

  /** Adds a frame to be sent. */
  add(frame: Outbox): void {
    if (frame.owed > 0) frame.owed += ENTRY
    this.#kept.push(frame)
    this.bytes += frame.size
    this.unsent += frame.size
    this.owed += frame.owed
  }

  /** The messages of the next frame to be sent, if it was never sent before. */
  get news(): Iterable<string> {
    return this.#kept.at(this.#given)
  }

  /** Takes the next frame to be sent; there is one. */
  next(): FrameData {
    const entry = this.#kept.at(this.#given++)
    const { size } = entry
    const frame = entry.write(this.inParts)
    this.unsent -= size
    this.bytes += frame.length - size
    this.sent = Math.max(this.sent, this.#before + this.#given)
    if (!this.keeps) this.#forget(entry)
    return frame
  }

  /** The frame of that number, if no transport was ever given it. */
  #unwritten(number: number): Outbox | undefined {
    const index = number - this.#before - 1
    const entry = index < 0 || index >= this.#kept.size ? undefined : this.#kept.at(index)
    return entry?.written ? undefined : entry
  }

  /** Whether a transport was given the frame of that number. */
  left(number: number): boolean {
    return this.#unwritten(number) === undefined
  }

  /** Withdraws a message that has not left; `instead` stands in its place. */
  withdraw(number: number, place: number, instead: string): void {
    const entry = this.#unwritten(number)!
    const { size } = entry
    entry.withdraw(place, instead)
    this.bytes += entry.size - size
    this.unsent += entry.size - size
  }

  /** The peer has that many frames, of all there ever were. */
  acknowledge(count: number): void {
    for (; this.#before < count; this.#before++) {
      const entry = this.#kept.shift()!
      if (this.#given > 0) this.#given--
      else this.unsent -= entry.size
      this.#forget(entry)
      this.owed -= entry.owed
    }
  }

  #forget(entry: Outbox): void {
    this.bytes -= entry.size
    entry.forget()
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
