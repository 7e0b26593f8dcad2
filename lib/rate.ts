// How often something may happen.

/** Lets through so many in a second on the long run, and no more than `burst` at once. */
export class Rate {
  #allowance: number
  #since = performance.now()

  constructor(
    private readonly perSecond: number,
    private readonly burst = perSecond
  ) {
    this.#allowance = burst
  }

  /** Whether so many more may happen now; they are counted then. */
  allows(count = 1): boolean {
    if (this.perSecond === Number.POSITIVE_INFINITY) return true
    const now = performance.now()
    this.#allowance = Math.min(this.burst, this.#allowance + ((now - this.#since) * this.perSecond) / 1000)
    this.#since = now
    if (this.#allowance < count) return false
    this.#allowance -= count
    return true
  }
}
