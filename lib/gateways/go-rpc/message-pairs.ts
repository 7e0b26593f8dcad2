// Reads the headers and bodies of net/rpc off a byte stream.

import { LimitError } from '../../errors.js'
import { type DecoderListener, GobDecoder, type GobValue } from './gob/decoder.js'
import { MessageCutter } from './gob/message-cutter.js'
import type { ReadLimits } from './gob/value-reader.js'
import { type ResponseHeader, readHeader } from './headers.js'

/** A call or an answer. */
export interface MessagePair {
  readonly header: ResponseHeader
  /** The argument or the result; the error if it exceeds a limit. */
  readonly body: GobValue | LimitError
}

export class PairReader {
  readonly #cutter: MessageCutter
  readonly #decoder: GobDecoder
  #header: ResponseHeader | undefined

  constructor(limits: ReadLimits, listener: DecoderListener) {
    this.#cutter = new MessageCutter(limits.frameBytes)
    this.#decoder = new GobDecoder(limits, listener)
  }

  /** Whether a pair has begun, and is not whole. */
  get isWithinPair(): boolean {
    return this.#header !== undefined || this.#cutter.isWithinMessage || this.#decoder.isWithinValue
  }

  /** Reads what has arrived. @throws GobError for bytes that are not of net/rpc: nothing behind them can be read */
  *read(chunk: Buffer): Generator<MessagePair> {
    for (const message of this.#cutter.cut(chunk)) {
      const value = this.#decode(message)
      if (value === undefined) continue
      if (this.#header) {
        const pair = { header: this.#header, body: value }
        this.#header = undefined
        yield pair
      } else if (value instanceof LimitError) throw value
      else this.#header = readHeader(value)
    }
  }

  #decode(message: Buffer): GobValue | LimitError | undefined {
    try {
      return this.#decoder.decode(message)
    } catch (error) {
      if (error instanceof LimitError) return error
      throw error
    }
  }
}
