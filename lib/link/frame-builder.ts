// Messages that wait to leave together, as one frame. It is written when a transport takes it, and not before: until then
// a message can be withdrawn.
import { type FrameData, formatFrame } from '../protocol/frame.js'
import type { PeerLimits } from '../protocol/messages.js'

/** Room in a frame for its count and brackets. */
export const ENVELOPE = 32
/** Room for a range of bytes beyond its own: alignment, and its size in the JSON. */
const PADDING = 24

export const sizeOf = (bytes: readonly Uint8Array[]): number =>
  bytes.reduce((sum, range) => sum + range.byteLength + PADDING, 0)

/** Most messages have none. */
const NO_BYTES = new Map<number, readonly Uint8Array[]>()
const NO_MESSAGES: string[] = []

export class Outbox {
  #messages: string[] = []
  #bytes = NO_BYTES
  #jsonSize = 0
  #byteSize = 0
  #received = 0
  /** Whether nothing stands in the place of a message that was withdrawn. */
  #gaps = false
  #frame: FrameData | undefined
  /** Bytes of replies in it. */
  owed = 0

  get length(): number {
    return this.#messages.length
  }
  /** Of all of it: about, until it is written. */
  get size(): number {
    return this.#frame?.length ?? this.#jsonSize + this.#byteSize
  }
  get empty(): boolean {
    return this.#messages.length === 0
  }

  /** Whether a message still fits into the same frame. */
  fits(
    message: string,
    byteSize: number,
    { jsonBytes, frameBytes }: Pick<PeerLimits, 'jsonBytes' | 'frameBytes'>
  ): boolean {
    const json = this.#jsonSize + message.length + ENVELOPE
    return this.empty || (json <= jsonBytes && json + this.#byteSize + byteSize <= frameBytes)
  }

  /** Adds a message, with the bytes that belong to it: its own from now on. */
  add(message: string, bytes: readonly Uint8Array[]): void {
    if (bytes.length > 0) {
      if (this.#bytes === NO_BYTES) this.#bytes = new Map()
      this.#bytes.set(this.#messages.length, bytes)
      this.#byteSize += sizeOf(bytes)
    }
    this.#messages.push(message)
    this.#jsonSize += message.length + 1
  }

  /** Withdraws a message, with its bytes; `instead` stands in its place. */
  withdraw(place: number, instead: string): void {
    this.#byteSize -= sizeOf(this.#bytes.get(place) ?? [])
    this.#bytes.delete(place)
    this.#jsonSize += instead.length - this.#messages[place]!.length
    this.#messages[place] = instead
    this.#gaps ||= instead === ''
  }

  /** Nothing stands in the place of some: those after them move up, with their bytes. */
  #closeGaps(): void {
    const messages: string[] = []
    const bytes = new Map<number, readonly Uint8Array[]>()
    this.#messages.forEach((message, place) => {
      const ranges = this.#bytes.get(place)
      if (ranges) bytes.set(messages.length, ranges)
      if (message !== '') messages.push(message)
    })
    this.#messages = messages
    this.#bytes = bytes
  }

  /** Nothing is added any more. The frame says that so many frames of the peer were acted on. */
  close(received: number): void {
    this.#received = received
  }

  get written(): boolean {
    return this.#messages === NO_MESSAGES
  }

  /** The frame, which is kept here until `forget`. */
  write(inParts: boolean): FrameData {
    if (this.#frame === undefined) {
      if (this.#gaps) this.#closeGaps()
      this.#frame = formatFrame(this.#received, this.#messages, this.#bytes, inParts)
      this.#messages = NO_MESSAGES
      this.#bytes = NO_BYTES
      this.#jsonSize = this.#byteSize = 0
    }
    return this.#frame
  }

  forget(): void {
    this.#frame = undefined
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#messages.filter(message => message !== '')[Symbol.iterator]()
  }
}
