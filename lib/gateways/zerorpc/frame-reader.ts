// Cuts the bytes of a ZMTP connection into commands and messages.

import { PartialBytes } from '../support/partial-bytes.js'
import { ProtocolError } from './protocol-error.js'
import { type Command, checkGreeting, Flag, GREETING_BYTES, LONG_LENGTH_BYTES, parseCommand } from './zmtp.js'

/** Maximum number of frames before the last one of a message: an empty one, and the address of each proxy on the way. */
const MAX_ADDRESSES = 16
/** Maximum length of such a frame. */
const MAX_ADDRESS_BYTES = 255
/** Maximum length of a command. */
const MAX_COMMAND_BYTES = 8192
const ALL_FLAGS = Flag.more | Flag.long | Flag.command

/** The frames of a message. The last one is its content. */
export type Message = readonly Buffer[]

export class FrameReader {
  /** Received bytes of a frame that is not whole. */
  readonly #partial = new PartialBytes()
  /** Number of bytes that the next step needs. */
  #needed = GREETING_BYTES
  #hasGreeting = false
  /** The first frames of a message whose last frame is to come. */
  #frames: Buffer[] = []

  /** @param maxContentBytes maximum length of the last frame of a message */
  constructor(private readonly maxContentBytes: number) {}

  /** Whether the rest of the greeting, of a frame or of a message is to come. */
  get isWithinMessage(): boolean {
    return this.#partial.length > 0 || this.#frames.length > 0
  }

  /**
   * Reads the commands and messages that these bytes complete.
   *
   * @throws ProtocolError
   */
  *read(chunk: Buffer): Generator<Command | Message> {
    if (this.#partial.length > 0) {
      this.#partial.add(chunk, this.#needed)
      if (this.#partial.length < this.#needed) return
      chunk = this.#partial.take()
    }
    let start = 0
    if (!this.#hasGreeting && chunk.length >= GREETING_BYTES) {
      checkGreeting(chunk.subarray(0, GREETING_BYTES))
      this.#hasGreeting = true
      start = GREETING_BYTES
    }
    while (this.#hasGreeting) {
      const frame = this.#readHead(chunk, start)
      if (!frame) break
      if (chunk.length < frame.end) {
        this.#needed = frame.end - start
        break
      }
      const body = chunk.subarray(frame.start, frame.end)
      start = frame.end
      if ((frame.flags & Flag.command) !== 0) yield parseCommand(body)
      else if ((frame.flags & Flag.more) !== 0) this.#frames.push(body)
      else yield this.#takeMessage(body)
    }
    if (start < chunk.length) this.#partial.add(chunk.subarray(start), this.#needed)
  }

  #readHead(
    chunk: Buffer,
    offset: number
  ): { readonly flags: number; readonly start: number; readonly end: number } | undefined {
    const flags = chunk[offset] ?? 0
    const isLong = (flags & Flag.long) !== 0
    const start = offset + 1 + (isLong ? LONG_LENGTH_BYTES : 1)
    if (chunk.length < start) {
      this.#needed = start - offset
      return undefined
    }
    const length = isLong ? Number(chunk.readBigUInt64BE(offset + 1)) : chunk[offset + 1]!
    this.#checkFrame(flags, length)
    return { flags, start, end: start + length }
  }

  /** @throws ProtocolError for a frame that is not read */
  #checkFrame(flags: number, length: number): void {
    const isCommand = (flags & Flag.command) !== 0
    if ((flags & ~ALL_FLAGS) !== 0 || (isCommand && (flags & Flag.more) !== 0))
      throw new ProtocolError(`a frame has the flags ${flags}`)
    const isAddress = (flags & Flag.more) !== 0
    const maxBytes = isCommand ? MAX_COMMAND_BYTES : isAddress ? MAX_ADDRESS_BYTES : this.maxContentBytes
    if (length > maxBytes) throw new ProtocolError(`a frame of ${length} bytes; ${maxBytes} are allowed`)
    if (isAddress && this.#frames.length >= MAX_ADDRESSES)
      throw new ProtocolError(`a message passed more than ${MAX_ADDRESSES} proxies`)
  }

  #takeMessage(last: Buffer): Message {
    const message = [...this.#frames, last]
    this.#frames = []
    return message
  }
}
