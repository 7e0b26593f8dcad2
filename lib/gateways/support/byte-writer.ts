// A buffer that grows as bytes are appended.

const INITIAL_BYTES = 4096
/** A larger buffer is not kept for later use. */
const MAX_KEPT_BYTES = 1 << 20

export class ByteWriter {
  #buffer = Buffer.allocUnsafe(INITIAL_BYTES)
  /** Number of bytes written. */
  length = 0

  get lastByte(): number | undefined {
    return this.#buffer[this.length - 1]
  }

  writeByte(byte: number): void {
    this.#reserve(1)
    this.#buffer[this.length++] = byte
  }

  /** Writes the bytes in this order. */
  writeBytes(bytes: ArrayLike<number>): void {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.length)
    this.length += bytes.length
  }

  /** Appends, or writes over, an unsigned number of 4 bytes, big-endian. */
  writeUint32(value: number, at = this.length): void {
    this.#reserve(4)
    this.#buffer.writeUInt32BE(value, at)
    if (at === this.length) this.length += 4
  }

  /** Writes an unsigned number of 4 bytes, little-endian. */
  writeUint32LE(value: number): void {
    this.#reserve(4)
    this.length = this.#buffer.writeUInt32LE(value, this.length)
  }

  /** Writes a double, big-endian. */
  writeDouble(value: number): void {
    this.#reserve(8)
    this.length = this.#buffer.writeDoubleBE(value, this.length)
  }

  /** Writes a text of `size` bytes. */
  writeText(text: string, size: number, encoding: 'utf8' | 'latin1' = 'utf8'): void {
    this.#reserve(size)
    this.length += this.#buffer.write(text, this.length, encoding)
  }

  /** Writes a text of ASCII, by character. @returns false, having written nothing, if it has another character */
  writeAscii(text: string): boolean {
    this.#reserve(text.length)
    const start = this.length
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code >= 0x80) return false
      this.#buffer[start + i] = code
    }
    this.length += text.length
    return true
  }

  /** Copies the written bytes, and begins anew. */
  take(): Buffer {
    const bytes = Buffer.allocUnsafe(this.length)
    this.#buffer.copy(bytes, 0, 0, this.length)
    this.reset()
    return bytes
  }

  /** Forgets the written bytes. */
  reset(): void {
    this.length = 0
    if (this.#buffer.length > MAX_KEPT_BYTES) this.#buffer = Buffer.allocUnsafe(INITIAL_BYTES)
  }

  #reserve(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.#buffer.length) return
    const buffer = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length))
    this.#buffer.copy(buffer, 0, 0, this.length)
    this.#buffer = buffer
  }
}
