// Reads and writes messages of one type.

import { SizeBudget, type SizeLimits } from '../support/size-budget.js'
import { readMessage } from './message-reader.js'
import type { MessageType } from './message-types.js'
import { isPlainObject, writeMessage } from './message-writer.js'
import { MalformedMessageError, type ScanLimits, scanMessage } from './wire-scanner.js'

export class MessageCodec {
  constructor(readonly type: MessageType) {}

  /** @throws MalformedMessageError, LimitError */
  decode(bytes: Uint8Array, limits: ScanLimits): Record<string, unknown> {
    scanMessage(bytes, this.type, limits)
    return readMessage(this.type, this.#parse(bytes))
  }

  #parse(bytes: Uint8Array): Readonly<Record<string, unknown>> {
    try {
      return this.type.protobuf.decode(bytes) as unknown as Record<string, unknown>
    } catch (cause) {
      throw new MalformedMessageError((cause as Error).message, { cause })
    }
  }

  /**
   * Encodes a value. What is no object is the value of the only field; `undefined` is a message without fields.
   *
   * @param path names the value in error texts: `result`
   * @throws TypeError that names what does not fit, LimitError for a value that is too large
   */
  encode(value: unknown, path: readonly (string | number)[], limits: SizeLimits): Buffer {
    const { protobuf } = this.type
    const message = writeMessage(this.type, this.#asMessage(value), path, new SizeBudget(limits))
    return protobuf.encode(message).finish() as Buffer
  }

  #asMessage(value: unknown): unknown {
    if (value === undefined || value === null) return {}
    const [only, ...others] = this.type.fields.values()
    const isMessage = isPlainObject(value)
    return isMessage || !only || others.length > 0 ? value : { [only.name]: value }
  }
}
