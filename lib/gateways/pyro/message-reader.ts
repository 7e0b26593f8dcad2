// Cuts the bytes of a connection into messages.

import { MAGIC, type Message, PREFIX_BYTES, type Protocol, PyroProtocolError } from './protocol.js'
import { PYRO_4 } from './protocol-4.js'
import { PYRO_5 } from './protocol-5.js'

/** By the version of the protocol. */
const PROTOCOLS: ReadonlyMap<number, Protocol> = new Map([
  [48, PYRO_4],
  [502, PYRO_5]
])

/** The protocol of a message that begins with these bytes; undefined if it is of none, or too short. */
export const protocolOf = (bytes: Uint8Array): Protocol | undefined =>
  bytes.length >= PREFIX_BYTES && MAGIC.every((byte, i) => byte === bytes[i])
    ? PROTOCOLS.get((bytes[4]! << 8) | bytes[5]!)
    : undefined

const NO_BYTES: Buffer = Buffer.alloc(0)

export class MessageReader {
  #protocol: Protocol | undefined
  /** Received bytes that are not read, in a buffer that grows as they arrive. */
  #bytes = NO_BYTES
  #length = 0
  /** Number of bytes before which nothing more can be read. */
  #needed = PREFIX_BYTES

  constructor(
    /** Maximum length of a message without its header. */
    public maxBytes: number
  ) {}

  /** That of the first message; undefined before it. */
  get protocol(): Protocol | undefined {
    return this.#protocol
  }

  /** Whether a part of a message has arrived. */
  get isWithinMessage(): boolean {
    return this.#length > 0
  }

  /**
   * Takes bytes, and returns the messages that are whole. `maxBytes` may change between two of them.
   *
   * @throws PyroProtocolError for bytes that are no message, and for a message that is too long
   */
  *read(chunk: Buffer): Generator<Message, void> {
    this.#append(chunk)
    while (this.#length >= this.#needed) {
      const message = this.#readMessage()
      if (message) yield message
    }
  }

  /** Reads a message, or finds how many bytes it needs. */
  #readMessage(): Message | undefined {
    const bytes = this.#bytes.subarray(0, this.#length)
    this.#protocol ??= protocolOf(bytes)
    if (!this.#protocol || protocolOf(bytes) !== this.#protocol)
      throw new PyroProtocolError('the bytes are no message of this version of Pyro')
    const { headerBytes } = this.#protocol
    this.#needed = headerBytes
    if (bytes.length < headerBytes) return undefined
    const header = this.#protocol.readHeader(bytes)
    const bodyBytes = header.annotationBytes + header.dataBytes
    if (bodyBytes > this.maxBytes)
      throw new PyroProtocolError(`a message has ${bodyBytes} bytes; the maximum is ${this.maxBytes}`)
    this.#needed = headerBytes + bodyBytes
    if (bytes.length < this.#needed) return undefined
    const data = bytes.subarray(headerBytes + header.annotationBytes, this.#needed)
    this.#bytes = this.#bytes.subarray(this.#needed)
    this.#length -= this.#needed
    this.#needed = PREFIX_BYTES
    return { ...header, data }
  }

  /** Memory grows with what has arrived, not with the length that a header states. Bytes that were returned stay as they are. */
  #append(chunk: Buffer): void {
    if (this.#length === 0) {
      this.#bytes = chunk
      this.#length = chunk.length
      return
    }
    const length = this.#length + chunk.length
    if (length > this.#bytes.length) {
      const bytes = Buffer.allocUnsafe(Math.max(length, Math.min(2 * length, this.#needed)))
      this.#bytes.copy(bytes, 0, 0, this.#length)
      this.#bytes = bytes
    }
    chunk.copy(this.#bytes, this.#length)
    this.#length = length
  }
}
