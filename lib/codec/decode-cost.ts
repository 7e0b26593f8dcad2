// The budget for decoding one message: some short texts take far longer to decode than others.
//
// A cost depends on the text alone, never on the clock: the same message is accepted or rejected everywhere.

import { CallRejection } from '../errors.js'
import type { Limits } from '../protocol/limits.js'

/** Most that decoding a message may cost beside parsing its JSON. A unit is about 50 ns, so this is 20 ms. */
export const DECODE_BUDGET_UNITS = 400_000
/** Most numbers that the keys of one Map or Set may be: they spend the whole budget. */
const MAX_NUMERIC_KEYS = 4096

export type DecodeLimits = Pick<Limits, 'bigintDigits' | 'regExpLength'>

/** What decoding one message has left to spend. Each method throws a CallRejection beyond its limit. */
export class DecodeBudget {
  #remainingUnits = DECODE_BUDGET_UNITS
  #regExpCharacters = 0

  constructor(private readonly limits: DecodeLimits) {}

  /** Spends the cost of a leaf value with this type tag. */
  spend(units: number, tag: string): void {
    if (!this.#trySpend(units)) {
      throw new CallRejection(
        'limit',
        `decoding a ${tag} exceeds the time budget of a message: send fewer values in one message`
      )
    }
  }

  /**
   * Spends the cost of adding keys to a Map or Set. A peer can choose numbers whose hashes collide, so the cost of n
   * numbers grows with n². Hashes of strings are seeded, and those of objects are random.
   */
  spendKeys(keys: Iterable<unknown>): void {
    let count = 0
    for (const key of keys) {
      if (typeof key === 'number') count++
      // A collision of bigints takes four times as long.
      else if (typeof key === 'bigint') count += 2
    }
    if (!this.#trySpend(DECODE_BUDGET_UNITS * (count / MAX_NUMERIC_KEYS) ** 2)) {
      throw new CallRejection(
        'limit',
        `a Map or Set has ${count} numeric keys, which may collide: send its entries as an array, or make the keys strings`
      )
    }
  }

  spendBigint(text: string): void {
    const { bigintDigits } = this.limits
    if (text.length > bigintDigits) {
      throw new CallRejection(
        'limit',
        `a bigint has more than ${bigintDigits} digits (limits.bigintDigits): send it as text`
      )
    }
  }

  /** Spends characters of RegExps: however short one is, it may take hours on the text that it is used on. */
  spendRegExp(text: string): void {
    const { regExpLength } = this.limits
    this.#regExpCharacters += text.length
    if (this.#regExpCharacters > regExpLength) {
      throw new CallRejection(
        'limit',
        `the RegExps have more than ${regExpLength} characters (limits.regExpLength): send the source as a string, or raise the limit of the receiver`
      )
    }
    // A character class of such a pattern may stand for thousands of strings.
    if (text.lastIndexOf('v') > text.lastIndexOf('/'))
      throw new CallRejection('limit', 'a RegExp has the flag `v`: send the source as a string')
  }

  #trySpend(units: number): boolean {
    this.#remainingUnits -= units
    return this.#remainingUnits >= 0
  }
}
