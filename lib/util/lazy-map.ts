// A Map that weighs next to nothing until something is in it, as a session has a dozen and an idle one uses none; and that
// stays light where much comes and goes. Each table that a Map of V8 has grown out of points to the next, so that once one
// has grown old, the collector takes what was in any later one for old as well, until it next looks at all there is.

/** After so many were deleted, and as many as are left, they are moved to a Map that no table points to. */
const REBUILD_AFTER_DELETIONS = 32
/** To move more than that would take long: a map with more in it is one as V8 makes it. */
const MAX_REBUILD_ENTRIES = 1000

export class LazyMap<K, V> {
  #map: Map<K, V> | undefined
  #deletions = 0

  get size(): number {
    return this.#map?.size ?? 0
  }

  get(key: K): V | undefined {
    return this.#map?.get(key)
  }

  has(key: K): boolean {
    return this.#map?.has(key) ?? false
  }

  set(key: K, value: V): void {
    this.#map ??= new Map()
    this.#map.set(key, value)
  }

  delete(key: K): boolean {
    if (!this.#map?.delete(key)) return false
    const { size } = this.#map
    if (++this.#deletions > REBUILD_AFTER_DELETIONS + size && size <= MAX_REBUILD_ENTRIES) {
      this.#map = size > 0 ? new Map(this.#map) : undefined
      this.#deletions = 0
    }
    return true
  }

  /** What is in it now: not to be gone through while things are deleted. */
  values(): Iterable<V> {
    return this.#map?.values() ?? []
  }

  clear(): void {
    this.#map = undefined
    this.#deletions = 0
  }
}
