// The received bytes of a message that is not whole, in a buffer that grows as they arrive.

const NO_BYTES = Buffer.alloc(0)

export class PartialBytes {
  #buffer = NO_BYTES
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Adds a copy of bytes. The buffer grows with them, not with `needed`: the length that the message states for itself. */
  add(bytes: Uint8Array, needed: number): void {
    const length = this.#length + bytes.length
    if (length > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, Math.min(2 * this.#buffer.length, needed)))
      grown.set(this.#buffer.subarray(0, this.#length))
      this.#buffer = grown
    }
    this.#buffer.set(bytes, this.#length)
    this.#length = length
  }

  /** Returns all bytes, and starts anew. */
  take(): Buffer {
    const bytes = this.#buffer.subarray(0, this.#length)
    this.#buffer = NO_BYTES
    this.#length = 0
    return bytes
  }
}
