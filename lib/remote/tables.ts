// The two tables of a session: exported local objects, and imported netrefs, both by id.

import { LimitError, ProtocolError } from '../errors.js'
import type { ContextSnapshot } from '../util/async-context.js'
import { LazyMap } from '../util/lazy-map.js'

/** A local object that the peer may hold. */
export interface ExportEntry {
  readonly id: number
  readonly object: object
  /** The object that a method is bound to. Other entries lack this field, as an entry must be small. */
  readonly self?: object
  /** Context of the last call that passed it; undefined if none did. */
  context?: ContextSnapshot
  /** Reference count: how often it was sent and not yet released. The peer holds the object while this is above 0. */
  refCount: number
}

/** An entry that does not keep its object alive. */
class WeakExportEntry implements ExportEntry {
  refCount = 0
  readonly #weak: WeakRef<object>

  constructor(
    readonly id: number,
    object: object,
    /** Makes a replacement for a collected object. */
    private readonly createReplacement: () => object
  ) {
    this.#weak = new WeakRef(object)
  }

  get object(): object {
    return this.#weak.deref() ?? this.createReplacement()
  }
}

/** Exported objects. A method is identified by (object, function), any other object by itself. */
export class ExportTable {
  readonly #byId = new LazyMap<number, ExportEntry>()
  readonly #byObject = new LazyMap<object, ExportEntry>()
  /** Exported methods by their object: a single one without a Map, which needs much memory. */
  readonly #methodsByOwner = new LazyMap<object, ExportEntry | Map<object, ExportEntry>>()
  /** Objects that the table does not keep alive. */
  #weakByObject = new WeakMap<object, ExportEntry>()
  #nextId = 1
  #root: ExportEntry | undefined

  constructor(private readonly limit: number) {}

  /** Number of exported objects, without the root. */
  get size(): number {
    return this.#byId.size
  }

  set root(object: object) {
    this.#root = { id: 0, object, refCount: 1 }
  }

  /** @internal The entries, for tests. */
  [Symbol.iterator](): Iterator<Readonly<ExportEntry>> {
    return this.#byId.values()[Symbol.iterator]()
  }

  /** Counts one more reference to an object. @throws LimitError if the table is full; it is then unchanged */
  addReference(object: object, self: object | undefined): ExportEntry {
    if (object === this.#root?.object) return this.#root
    const entry = this.#find(object, self) ?? this.#createEntry(object, self)
    entry.refCount++
    return entry
  }

  /**
   * Like `addReference`, for an object that is not kept alive. Once it is collected, `createReplacement` replaces it.
   */
  addWeakReference(object: object, createReplacement: () => object): ExportEntry {
    let entry = this.#weakByObject.get(object)
    if (!entry) {
      entry = new WeakExportEntry(this.#allocateId(), object, createReplacement)
      this.#byId.set(entry.id, entry)
      this.#weakByObject.set(object, entry)
    }
    entry.refCount++
    return entry
  }

  /** Whether the peer holds the object itself. */
  has(object: object): boolean {
    return this.#byObject.has(object)
  }

  #find(object: object, self: object | undefined): ExportEntry | undefined {
    if (self === undefined) return this.#byObject.get(object)
    const methods = this.#methodsByOwner.get(self)
    if (methods instanceof Map) return methods.get(object)
    return methods?.object === object ? methods : undefined
  }

  #allocateId(): number {
    if (this.size < this.limit) return this.#nextId++
    const message = `${this.limit} references are held already (limits.exports of their owner): release some of them`
    throw new LimitError('limit', message)
  }

  #createEntry(object: object, self: object | undefined): ExportEntry {
    const id = this.#allocateId()
    const entry = self === undefined ? { id, object, refCount: 0 } : { id, object, self, refCount: 0 }
    this.#byId.set(id, entry)
    if (self === undefined) this.#byObject.set(object, entry)
    else this.#addMethod(entry, self)
    return entry
  }

  #addMethod(entry: ExportEntry, self: object): void {
    const methods = this.#methodsByOwner.get(self)
    if (methods === undefined) this.#methodsByOwner.set(self, entry)
    else if (methods instanceof Map) methods.set(entry.object, entry)
    else {
      const pairs = [methods, entry].map(member => [member.object, member] as const)
      this.#methodsByOwner.set(self, new Map(pairs))
    }
  }

  /** @returns undefined for a released id @throws ProtocolError for an id that was never sent */
  get(id: number): ExportEntry | undefined {
    if (id === 0) return this.#root
    if (!(id > 0 && id < this.#nextId)) throw new ProtocolError(`the reference ${id}, which was never sent`)
    return this.#byId.get(id)
  }

  /**
   * Releases `count` references.
   * @returns the entry if that were the last ones, which removes it
   * @throws ProtocolError for more references than were sent
   */
  release(id: number, count: number): ExportEntry | undefined {
    const entry = this.get(id)
    if (id === 0) return undefined
    if (!entry || entry.refCount < count)
      throw new ProtocolError(`a release of more references to ${id} than were sent`)
    entry.refCount -= count
    if (entry.refCount > 0) return undefined
    this.#byId.delete(id)
    const { object, self } = entry
    if (entry instanceof WeakExportEntry) this.#weakByObject.delete(object)
    else if (self === undefined) this.#byObject.delete(object)
    else {
      const methods = this.#methodsByOwner.get(self)
      if (methods instanceof Map) methods.delete(object)
      if (!(methods instanceof Map) || methods.size === 0) this.#methodsByOwner.delete(self)
    }
    return entry
  }

  /** Empties the table. @returns its entries */
  clear(): ExportEntry[] {
    const entries = [...this.#byId.values()]
    this.#byId.clear()
    this.#byObject.clear()
    this.#methodsByOwner.clear()
    this.#weakByObject = new WeakMap()
    return entries
  }
}

/** An entry of the import table. It must not keep the netref alive. */
export interface ImportEntry<T extends object> {
  readonly id: number
  /** Number of references that arrived for this very netref and are not released. */
  refCount: number
  /** Number of those that end with the calls they were lent for. */
  lentCount: number
  /** The netref; undefined once it is collected. */
  readonly proxy: T | undefined
}

/** Imported netrefs that are alive. */
export class ImportTable<T extends object, I extends ImportEntry<T>> {
  readonly #byId = new LazyMap<number, I>()

  get size(): number {
    return this.#byId.size
  }

  /** @internal The entries, for tests. */
  [Symbol.iterator](): Iterator<I> {
    return this.#byId.values()[Symbol.iterator]()
  }

  /** Counts one more reference, if the netref is alive. @returns its entry */
  addReference(id: number): I | undefined {
    const entry = this.#byId.get(id)
    if (!entry?.proxy) return undefined
    entry.refCount++
    return entry
  }

  get(id: number): I | undefined {
    return this.#byId.get(id)
  }

  add(entry: I): void {
    this.#byId.set(entry.id, entry)
  }

  /** @returns the number of references to release: all of this netref's that were not lent, once */
  release(entry: I): number {
    const count = entry.refCount - entry.lentCount
    entry.refCount = entry.lentCount = 0
    if (this.#byId.get(entry.id) === entry) this.#byId.delete(entry.id)
    return count
  }

  clear(): void {
    this.#byId.clear()
  }
}
