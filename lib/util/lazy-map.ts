// A Map that takes almost no memory while it is empty, and little if many entries come and go. A session has a dozen Maps,
// and an idle one uses none of them.
//
// It works around the growth of V8's ordered hash tables. Each table that a Map has outgrown points to the next one. Once
// one table is in the old generation, a minor collection keeps the entries of all later ones alive.

/** Deletions, beyond the number of remaining entries, after which these move to a new Map that no old table points to. */
const REBUILD_AFTER_DELETIONS = 32
/** Most entries that move: more would take too long, and the Map stays as V8 makes it. */
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

  /** The present values. The caller must not delete entries while it iterates. */
  values(): Iterable<V> {
    return this.#map?.values() ?? []
  }

  clear(): void {
    this.#map = undefined
    this.#deletions = 0
  }
}
