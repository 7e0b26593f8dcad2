// How often something may happen.

/** Lets through so many in a second on the long run, and no more than that at once. */
export class Rate {
  #allowance: number
  #since = performance.now()

  constructor(private readonly perSecond: number) {
    this.#allowance = perSecond
  }

  /** Whether one more may happen now; it is counted then. */
  allows(): boolean {
    if (this.perSecond === Number.POSITIVE_INFINITY) return true
    const now = performance.now()
    this.#allowance = Math.min(
      this.perSecond,
      this.#allowance + ((now - this.#since) * this.perSecond) / 1000
    )
    this.#since = now
    if (this.#allowance < 1) return false
    this.#allowance--
    return true
  }
}
