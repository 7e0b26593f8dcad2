// Counts things per address of a client.

export class AddressCounter {
  readonly #counts = new Map<string, number>()

  /** Counts one more at an address, if there is one. @returns the function that undoes this, once */
  increment(address: string | undefined): () => void {
    if (address === undefined) return () => {}
    this.#counts.set(address, this.countOf(address) + 1)
    let isCounted = true
    return () => {
      if (!isCounted) return
      isCounted = false
      const remaining = this.countOf(address) - 1
      if (remaining > 0) this.#counts.set(address, remaining)
      else this.#counts.delete(address)
    }
  }

  countOf(address: string | undefined): number {
    return this.#counts.get(address!) ?? 0
  }
}
