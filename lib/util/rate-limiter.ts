// Limits how often something may happen: a token bucket.

import { clock } from './clock.js'

/** A limiter for so many per second; undefined for no limit. */
export const createRateLimiter = (perSecond: number): RateLimiter | undefined =>
  perSecond === Number.POSITIVE_INFINITY ? undefined : new RateLimiter(perSecond)

/** Allows `perSecond` on average, and at most `burst` at once. */
export class RateLimiter {
  #tokens: number
  #refillMs = clock.now()

  constructor(
    private readonly perSecond: number,
    private readonly burst = perSecond
  ) {
    this.#tokens = burst
  }

  /** Takes tokens if there are enough. @returns whether there were */
  tryAcquire(count = 1): boolean {
    const now = clock.now()
    this.#tokens = Math.min(this.burst, this.#tokens + ((now - this.#refillMs) * this.perSecond) / 1000)
    this.#refillMs = now
    if (this.#tokens < count) return false
    this.#tokens -= count
    return true
  }
}
