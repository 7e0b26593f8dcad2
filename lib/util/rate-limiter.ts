// How often something may happen.

import { clock } from './clock.js'

/** What lets through so many in a second; undefined where there may be any number. */
export const rateOf = (perSecond: number): Rate | undefined =>
  perSecond === Number.POSITIVE_INFINITY ? undefined : new Rate(perSecond)

/** Lets through so many in a second on the long run, and no more than `burst` at once. */
export class Rate {
  #allowance: number
  #since = clock.now()

  constructor(
    private readonly perSecond: number,
    private readonly burst = perSecond
  ) {
    this.#allowance = burst
  }

  /** Whether so many more may happen now; they are counted then. */
  allows(count = 1): boolean {
    const now = clock.now()
    this.#allowance = Math.min(this.burst, this.#allowance + ((now - this.#since) * this.perSecond) / 1000)
    this.#since = now
    if (this.#allowance < count) return false
    this.#allowance -= count
    return true
  }
}
