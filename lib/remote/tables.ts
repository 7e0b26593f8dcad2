// The two tables of a session: own objects given out, by id, and netrefs received, by id.

import { LimitError, ProtocolError } from '../errors.js'
import type { ContextSnapshot } from '../util/contexts.js'
import { LazyMap } from '../util/lazy-map.js'

/** One of our objects that the peer may hold. */
export interface ExportEntry {
  readonly id: number
  readonly object: object
  /** The object a member function is bound to; not there for anything else, as a reference is to weigh little. */
  readonly self?: object
  /** Of the call that handed it over last, if one did. */
  context?: ContextSnapshot
  /** How often it was sent and not yet given back. The peer holds it while this is above zero. */
  refCount: number
}

/** One that its entry does not keep. */
class WeakExportEntry implements ExportEntry {
  refCount = 0
  readonly #weak: WeakRef<object>

  constructor(
    readonly id: number,
    object: object,
    /** What stands for it once it is gone. */
    private readonly createReplacement: () => object
  ) {
    this.#weak = new WeakRef(object)
  }

  get object(): object {
    return this.#weak.deref() ?? this.createReplacement()
  }
}

/** Own objects given out. A member function is known by (object, function), anything else by itself. */
export class ExportTable {
  readonly #byId = new LazyMap<number, ExportEntry>()
  readonly #byObject = new LazyMap<object, ExportEntry>()
  /** Member functions by the object they belong to: a lone one as it is, as most are, and a Map weighs a lot. */
  readonly #methodsByOwner = new LazyMap<object, ExportEntry | Map<object, ExportEntry>>()
  /** Those that the table does not keep. */
  #weakByObject = new WeakMap<object, ExportEntry>()
  #nextId = 1
  #root: ExportEntry | undefined

  constructor(private readonly limit: number) {}

  /** Of the objects given out; the root, which was never given, does not count. */
  get size(): number {
    return this.#byId.size
  }

  set root(object: object) {
    this.#root = { id: 0, object, refCount: 1 }
  }

  /** @internal What is in the table, for those who check it. */
  [Symbol.iterator](): Iterator<Readonly<ExportEntry>> {
    return this.#byId.values()[Symbol.iterator]()
  }

  /** Gives an object once more: one receipt. @throws LimitError when there are too many; nothing is kept then */
  addReference(object: object, self: object | undefined): ExportEntry {
    if (object === this.#root?.object) return this.#root
    const entry = this.#find(object, self) ?? this.#createEntry(object, self)
    entry.refCount++
    return entry
  }

  /** As `give`, of what is not kept for the peer; once it is gone, `standIn` makes what comes home in its place. */
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
    const message = `${this.limit} references are held already (limits.exports of their home): release some of them`
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

  /** @returns undefined for one that was released. @throws ProtocolError for an id that was never given. */
  get(id: number): ExportEntry | undefined {
    if (id === 0) return this.#root
    if (!(id > 0 && id < this.#nextId)) throw new ProtocolError(`the reference ${id}, which was never given`)
    return this.#byId.get(id)
  }

  /**
   * Takes receipts back. @returns the entry when that was the last one, and it is gone now.
   * @throws ProtocolError for more receipts than were given.
   */
  release(id: number, count: number): ExportEntry | undefined {
    const entry = this.get(id)
    if (id === 0) return undefined
    if (!entry || entry.refCount < count) throw new ProtocolError(`more receipts of ${id} than were given`)
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

  /** Empties the table. @returns what was in it. */
  clear(): ExportEntry[] {
    const entries = [...this.#byId.values()]
    this.#byId.clear()
    this.#byObject.clear()
    this.#methodsByOwner.clear()
    this.#weakByObject = new WeakMap()
    return entries
  }
}

/** What the import table keeps of a netref: it must not keep the netref itself. */
export interface ImportEntry<T extends object> {
  readonly id: number
  /** Arrivals of this reference that are to be given back with this very netref. */
  refCount: number
  /** So many of them come back with the calls that they were lent for. */
  lentCount: number
  /** The netref, while it lives. */
  readonly proxy: T | undefined
}

/** Netrefs received, while they live. */
export class ImportTable<T extends object, I extends ImportEntry<T>> {
  readonly #byId = new LazyMap<number, I>()

  get size(): number {
    return this.#byId.size
  }

  /** @internal What is in the table, for those who check it. */
  [Symbol.iterator](): Iterator<I> {
    return this.#byId.values()[Symbol.iterator]()
  }

  /** The entry for an id, if its netref lives: one receipt more. */
  addReference(id: number): I | undefined {
    const entry = this.#byId.get(id)
    if (!entry?.proxy) return undefined
    entry.refCount++
    return entry
  }

  add(entry: I): void {
    this.#byId.set(entry.id, entry)
  }

  /** @returns how many receipts are to be given back: all of this netref's that were not lent, once. */
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
