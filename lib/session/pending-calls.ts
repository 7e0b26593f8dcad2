// What has a number of a sequence and is gone soon, as calls that wait for their answer. The newest are in a ring, each at
// the place of its number; who outlasts that many after it moves to a map.
import { LazyMap } from '../util/lazy-map.js'

/** Places of a ring, powers of two. */
const SMALLEST = 8
const LARGEST = 4096

export class InFlight<T extends { readonly id: number }> {
  #ring: (T | undefined)[] = []
  readonly #late = new LazyMap<number, T>()
  size = 0
  /** The largest size since it was empty. */
  #peak = 0

  get(id: number): T | undefined {
    const there = this.#ring[this.#place(id)]
    return there?.id === id ? there : this.#late.get(id)
  }

  /** Adds what has the next number. */
  add(entry: T): void {
    if (2 * this.size >= this.#ring.length && this.#ring.length < LARGEST) this.#grow()
    const place = this.#place(entry.id)
    const there = this.#ring[place]
    if (there) this.#late.set(there.id, there)
    this.#ring[place] = entry
    if (++this.size > this.#peak) this.#peak = this.size
  }

  delete(id: number): boolean {
    const place = this.#place(id)
    const inRing = this.#ring[place]?.id === id
    if (inRing) this.#ring[place] = undefined
    else if (!this.#late.delete(id)) return false
    if (--this.size === 0) this.#rest()
    return true
  }

  /** A ring that has become far too large is not kept. */
  #rest(): void {
    if (8 * this.#peak < this.#ring.length) this.#ring = []
    this.#peak = 0
  }

  /** Takes all of them out, in order. */
  clear(): T[] {
    const all = [...this.#late.values(), ...this.#ring.filter(entry => entry !== undefined)]
    this.#ring = []
    this.#late.clear()
    this.size = this.#peak = 0
    return all.sort((a, b) => a.id - b.id)
  }

  #place(id: number): number {
    return id & (this.#ring.length - 1)
  }

  #grow(): void {
    const entries = this.#ring
    this.#ring = Array(Math.max(SMALLEST, 2 * entries.length)).fill(undefined)
    for (const entry of entries) if (entry) this.#ring[this.#place(entry.id)] = entry
  }
}
