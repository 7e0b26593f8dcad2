// How many there are at each address.

export class Tally {
  readonly #counts = new Map<string, number>()

  /** Counts one more; what has no address is not counted. @returns what counts it no more, however often it is called */
  add(address: string | undefined): () => void {
    if (address === undefined) return () => {}
    this.#counts.set(address, this.of(address) + 1)
    let counted = true
    return () => {
      if (!counted) return
      counted = false
      const left = this.of(address) - 1
      if (left > 0) this.#counts.set(address, left)
      else this.#counts.delete(address)
    }
  }

  of(address: string | undefined): number {
    return this.#counts.get(address!) ?? 0
  }
}
