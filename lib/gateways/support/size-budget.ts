// Bounds the size of a text for a value in which parts occur many times.

import { LimitError } from '../../errors.js'
import type { Limits } from '../../protocol/limits.js'

/** A value and the comma behind it. */
const MIN_CHARACTERS = 2

export type SizeLimits = Pick<Limits, 'jsonBytes' | 'frameBytes'>

/**
 * What a value may take in a text. A session sends a part once, even if a value has it many times; a text repeats it. So a
 * short message may stand for a text without end.
 */
export class SizeBudget {
  #left: number

  constructor({ jsonBytes, frameBytes }: SizeLimits) {
    this.#left = jsonBytes + frameBytes
  }

  /** Counts a value, without its parts, or a key. @throws LimitError */
  take(value: unknown): void {
    this.#left -= MIN_CHARACTERS
    if (typeof value === 'string') this.#left -= value.length
    else if (ArrayBuffer.isView(value)) this.#left -= value.byteLength
    if (this.#left < 0)
      throw new LimitError('limit', 'the text of the value is too long (limits.jsonBytes, limits.frameBytes)')
  }
}
