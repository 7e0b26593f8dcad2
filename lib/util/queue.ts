// First in, first out. Both ends cost the same however much is between them: a large array moves all its entries at a
// shift.

/** Places at the front that are empty before the rest moves up. */
const LEAST_EMPTY = 64

export class Queue<T> {
  #entries: (T | undefined)[] = []
  /** Places at the front that are empty. */
  #start = 0

  get size(): number {
    return this.#entries.length - this.#start
  }

  get first(): T | undefined {
    return this.#entries[this.#start]
  }

  /** The entry after so many others; there is one. */
  at(index: number): T {
    return this.#entries[this.#start + index]!
  }

  push(entry: T): void {
    this.#entries.push(entry)
  }

  shift(): T | undefined {
    const { first } = this
    if (this.size === 0) return undefined
    this.#entries[this.#start++] = undefined
    if (this.#start === this.#entries.length) this.clear()
    else if (this.#start >= LEAST_EMPTY && 2 * this.#start >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#start)
      this.#start = 0
    }
    return first
  }

  clear(): void {
    this.#entries = []
    this.#start = 0
  }
}
