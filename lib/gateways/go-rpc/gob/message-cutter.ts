// Cuts a byte stream into the messages of gob, each of which is preceded by its length.

import { PartialBytes } from '../../support/partial-bytes.js'
import { GobError } from './gob-error.js'

const SINGLE_BYTE_END = 0x80
/** A message whose length needs more bytes is longer than any limit. */
const MAX_LENGTH_BYTES = 6

export class MessageCutter {
  /** Received bytes of a message that is not whole. */
  readonly #partial = new PartialBytes()
  /** Number of bytes without which the message cannot go on. */
  #needed = 1

  /** @param maxBytes maximum length of a message, `limits.frameBytes` */
  constructor(private readonly maxBytes: number) {}

  /** Whether a message has begun, and is not whole. */
  get isWithinMessage(): boolean {
    return this.#partial.length > 0
  }

  /** Cuts what has arrived. @returns the whole messages, without their lengths. @throws GobError for one that is too long */
  *cut(chunk: Buffer): Generator<Buffer> {
    if (this.#partial.length > 0) {
      this.#partial.add(chunk, this.#needed)
      if (this.#partial.length < this.#needed) return
      chunk = this.#partial.take()
    }
    let start = 0
    for (;;) {
      const [bodyStart, end] = this.#measure(chunk, start)
      this.#needed = end - start
      if (end > chunk.length) break
      yield chunk.subarray(bodyStart, end)
      start = end
    }
    if (start < chunk.length) this.#partial.add(chunk.subarray(start), this.#needed)
  }

  /** Where the message begins behind its length, and where it ends at least. */
  #measure(chunk: Buffer, start: number): [bodyStart: number, end: number] {
    const first = chunk[start] ?? 0
    if (start === chunk.length) return [start, start + 1]
    if (first < SINGLE_BYTE_END) return [start + 1, start + 1 + first]
    const size = 0x100 - first
    if (size > MAX_LENGTH_BYTES) throw new GobError(`a message whose length has ${size} bytes`)
    const bodyStart = start + 1 + size
    if (bodyStart > chunk.length) return [bodyStart, bodyStart]
    const length = chunk.readUIntBE(start + 1, size)
    if (length > this.maxBytes)
      throw new GobError(`a message of ${length} bytes (limits.frameBytes is ${this.maxBytes})`)
    return [bodyStart, bodyStart + length]
  }
}
