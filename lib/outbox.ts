// Messages that wait to leave together, as one frame.
import { type FrameData, formatFrame } from './frame.js'
import type { PeerLimits } from './protocol.js'

/** Room in a frame for its count and brackets. */
export const ENVELOPE = 32
/** Room for a range of bytes beyond its own: alignment, and its size in the JSON. */
const PADDING = 24

export const sizeOf = (bytes: readonly Uint8Array[]): number =>
  bytes.reduce((sum, range) => sum + range.byteLength + PADDING, 0)

/** Most messages have none. */
const NO_BYTES = new Map<number, readonly Uint8Array[]>()

export class Outbox {
  #messages: string[] = []
  #bytes = NO_BYTES
  #jsonSize = 0
  #byteSize = 0

  get length(): number {
    return this.#messages.length
  }
  /** Of all of it, about. */
  get size(): number {
    return this.#jsonSize + this.#byteSize
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

  /** The frame with all that waits, which does not wait any more. */
  seal(received: number, inParts: boolean): FrameData {
    const frame = formatFrame(received, this.#messages, this.#bytes, inParts)
    this.#messages = []
    this.#bytes = NO_BYTES
    this.#jsonSize = this.#byteSize = 0
    return frame
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#messages[Symbol.iterator]()
  }
}
