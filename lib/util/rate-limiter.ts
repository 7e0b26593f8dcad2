// How often something may happen.

import { clock } from './clock.js'

/** What lets through so many in a second; undefined where there may be any number. */
export const createRateLimiter = (perSecond: number): RateLimiter | undefined =>
  perSecond === Number.POSITIVE_INFINITY ? undefined : new RateLimiter(perSecond)

/** Lets through so many in a second on the long run, and no more than `burst` at once. */
export class RateLimiter {
  #tokens: number
  #refillMs = clock.now()

  constructor(
    private readonly perSecond: number,
    private readonly burst = perSecond
  ) {
    this.#tokens = burst
  }

  /** Whether so many more may happen now; they are counted then. */
  tryAcquire(count = 1): boolean {
    const now = clock.now()
    this.#tokens = Math.min(this.burst, this.#tokens + ((now - this.#refillMs) * this.perSecond) / 1000)
    this.#refillMs = now
    if (this.#tokens < count) return false
    this.#tokens -= count
    return true
  }
}
