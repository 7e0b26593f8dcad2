// A first-in, first-out queue with constant cost at both ends. `Array.prototype.shift` moves all entries of a large array.

/** Empty slots at the front before the other entries move. */
const MIN_EMPTY_SLOTS = 64

export class Queue<T> {
  #entries: (T | undefined)[] = []
  /** Index of the first entry: the slots before it are empty. */
  #head = 0

  get size(): number {
    return this.#entries.length - this.#head
  }

  get first(): T | undefined {
    return this.#entries[this.#head]
  }

  /** The entry at an index, which must exist. */
  at(index: number): T {
    return this.#entries[this.#head + index]!
  }

  push(entry: T): void {
    this.#entries.push(entry)
  }

  shift(): T | undefined {
    const { first } = this
    if (this.size === 0) return undefined
    this.#entries[this.#head++] = undefined
    if (this.#head === this.#entries.length) this.clear()
    else if (this.#head >= MIN_EMPTY_SLOTS && 2 * this.#head >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
    return first
  }

  clear(): void {
    this.#entries = []
    this.#head = 0
  }
}
