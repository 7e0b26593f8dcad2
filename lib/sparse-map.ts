// A Map that weighs next to nothing until something is in it: a session has a dozen, and an idle one uses none.

export class SparseMap<K, V> {
  #map: Map<K, V> | undefined

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
    return this.#map?.delete(key) ?? false
  }

  values(): Iterable<V> {
    return this.#map?.values() ?? []
  }

  clear(): void {
    this.#map = undefined
  }
}
