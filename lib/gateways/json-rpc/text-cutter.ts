// Cuts a byte stream into JSON texts, which follow each other with or without blanks between them.

import type { Limits } from '../../protocol/limits.js'

const [TAB, LINE_FEED, RETURN, SPACE, QUOTE, BACKSLASH] = [9, 10, 13, 32, 34, 92] as const
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [91, 93, 123, 125] as const

/** Levels of a message around the arguments of a call: batch, request, list of parameters. */
export const MESSAGE_LEVELS = 3

/** The bytes are not JSON objects or arrays, or exceed a limit. What follows them cannot be understood. */
export class TextCutterError extends Error {
  override name = 'TextCutterError'
}

export const isBlank = (byte: number): boolean =>
  byte === SPACE || byte === LINE_FEED || byte === RETURN || byte === TAB
export const isOpening = (byte: number): boolean => byte === OPEN_BRACE || byte === OPEN_BRACKET

export class JsonTextCutter {
  readonly #maxBytes: number
  readonly #maxDepth: number
  /** The chunks of a text whose end has not arrived. */
  #chunks: Uint8Array[] = []
  #byteCount = 0
  #depth = 0
  #isInString = false
  #isEscaped = false

  constructor({ jsonBytes, depth }: Pick<Limits, 'jsonBytes' | 'depth'>) {
    this.#maxBytes = jsonBytes
    this.#maxDepth = depth + MESSAGE_LEVELS
  }

  /** Whether a text has begun, and its end has not arrived. */
  get isWithinText(): boolean {
    return this.#depth > 0
  }

  /**
   * The texts that end in these bytes. Their brackets are balanced, but they need not be JSON.
   *
   * @throws TextCutterError
   */
  *cut(chunk: Uint8Array): Generator<Uint8Array> {
    let start = 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!
      if (this.#isInString) this.#readInString(byte)
      else if (isOpening(byte)) {
        if (this.#depth++ === 0) start = i
        if (this.#depth > this.#maxDepth)
          throw new TextCutterError(`a value is nested deeper than ${this.#maxDepth} levels (limits.depth)`)
      } else if (this.#depth === 0) {
        if (!isBlank(byte)) throw new TextCutterError('a text begins with neither { nor [')
      } else if (byte === QUOTE) this.#isInString = true
      else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --this.#depth === 0) {
        this.#keep(chunk.subarray(start, i + 1))
        yield this.#take()
      }
    }
    if (this.isWithinText) this.#keep(chunk.subarray(start))
  }

  #readInString(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false
    else if (byte === BACKSLASH) this.#isEscaped = true
    else if (byte === QUOTE) this.#isInString = false
  }

  #keep(part: Uint8Array): void {
    this.#byteCount += part.length
    if (this.#byteCount > this.#maxBytes)
      throw new TextCutterError(`a text is longer than ${this.#maxBytes} bytes (limits.jsonBytes)`)
    this.#chunks.push(part)
  }

  #take(): Uint8Array {
    const text = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
    this.#chunks = []
    this.#byteCount = 0
    return text
  }
}
