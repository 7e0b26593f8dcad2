// The two tables of a session: own objects given out, by id, and netrefs received, by id.

import { LimitError, ProtocolError } from '../errors.js'
import type { Context } from '../util/contexts.js'
import { SparseMap } from '../util/lazy-map.js'

/** One of our objects that the peer may hold. */
export interface Export {
  readonly id: number
  readonly object: object
  /** The object a member function is bound to; not there for anything else, as a reference is to weigh little. */
  readonly self?: object
  /** Of the call that handed it over last, if one did. */
  context?: Context
  /** How often it was sent and not yet given back. The peer holds it while this is above zero. */
  receipts: number
}

/** One that its entry does not keep. */
class WeakExport implements Export {
  receipts = 0
  readonly #weak: WeakRef<object>

  constructor(
    readonly id: number,
    object: object,
    /** What stands for it once it is gone. */
    private readonly standIn: () => object
  ) {
    this.#weak = new WeakRef(object)
  }

  get object(): object {
    return this.#weak.deref() ?? this.standIn()
  }
}

/** Own objects given out. A member function is known by (object, function), anything else by itself. */
export class ExportTable {
  readonly #byId = new SparseMap<number, Export>()
  readonly #byObject = new SparseMap<object, Export>()
  /** Member functions by the object they belong to: a lone one as it is, as most are, and a Map weighs a lot. */
  readonly #members = new SparseMap<object, Export | Map<object, Export>>()
  /** Those that the table does not keep. */
  #weakly = new WeakMap<object, Export>()
  #nextId = 1
  #root: Export | undefined

  constructor(private readonly limit: number) {}

  /** Of the objects given out; the root, which was never given, does not count. */
  get size(): number {
    return this.#byId.size
  }

  set root(object: object) {
    this.#root = { id: 0, object, receipts: 1 }
  }

  /** @internal What is in the table, for those who check it. */
  [Symbol.iterator](): Iterator<Readonly<Export>> {
    return this.#byId.values()[Symbol.iterator]()
  }

  /** Gives an object once more: one receipt. @throws LimitError when there are too many; nothing is kept then */
  give(object: object, self: object | undefined): Export {
    if (object === this.#root?.object) return this.#root
    const entry = this.#find(object, self) ?? this.#add(object, self)
    entry.receipts++
    return entry
  }

  /** As `give`, of what is not kept for the peer; once it is gone, `standIn` makes what comes home in its place. */
  giveWeakly(object: object, standIn: () => object): Export {
    let entry = this.#weakly.get(object)
    if (!entry) {
      entry = new WeakExport(this.#takeId(), object, standIn)
      this.#byId.set(entry.id, entry)
      this.#weakly.set(object, entry)
    }
    entry.receipts++
    return entry
  }

  /** Whether the peer holds the object itself. */
  has(object: object): boolean {
    return this.#byObject.has(object)
  }

  #find(object: object, self: object | undefined): Export | undefined {
    if (self === undefined) return this.#byObject.get(object)
    const members = this.#members.get(self)
    if (members instanceof Map) return members.get(object)
    return members?.object === object ? members : undefined
  }

  #takeId(): number {
    if (this.size < this.limit) return this.#nextId++
    const message = `${this.limit} references are held already (limits.exports of their home): release some of them`
    throw new LimitError('limit', message)
  }

  #add(object: object, self: object | undefined): Export {
    const id = this.#takeId()
    const entry = self === undefined ? { id, object, receipts: 0 } : { id, object, self, receipts: 0 }
    this.#byId.set(id, entry)
    if (self === undefined) this.#byObject.set(object, entry)
    else this.#addMember(entry, self)
    return entry
  }

  #addMember(entry: Export, self: object): void {
    const members = this.#members.get(self)
    if (members === undefined) this.#members.set(self, entry)
    else if (members instanceof Map) members.set(entry.object, entry)
    else {
      const both = [members, entry].map(member => [member.object, member] as const)
      this.#members.set(self, new Map(both))
    }
  }

  /** @returns undefined for one that was released. @throws ProtocolError for an id that was never given. */
  get(id: number): Export | undefined {
    if (id === 0) return this.#root
    if (!(id > 0 && id < this.#nextId)) throw new ProtocolError(`the reference ${id}, which was never given`)
    return this.#byId.get(id)
  }

  /**
   * Takes receipts back. @returns the entry when that was the last one, and it is gone now.
   * @throws ProtocolError for more receipts than were given.
   */
  release(id: number, receipts: number): Export | undefined {
    const entry = this.get(id)
    if (id === 0) return undefined
    if (!entry || entry.receipts < receipts) throw new ProtocolError(`more receipts of ${id} than were given`)
    entry.receipts -= receipts
    if (entry.receipts > 0) return undefined
    this.#byId.delete(id)
    const { object, self } = entry
    if (entry instanceof WeakExport) this.#weakly.delete(object)
    else if (self === undefined) this.#byObject.delete(object)
    else {
      const members = this.#members.get(self)
      if (members instanceof Map) members.delete(object)
      if (!(members instanceof Map) || members.size === 0) this.#members.delete(self)
    }
    return entry
  }

  /** Empties the table. @returns what was in it. */
  clear(): Export[] {
    const entries = [...this.#byId.values()]
    this.#byId.clear()
    this.#byObject.clear()
    this.#members.clear()
    this.#weakly = new WeakMap()
    return entries
  }
}

/** What the import table keeps of a netref: it must not keep the netref itself. */
export interface Import<T extends object> {
  readonly id: number
  /** Arrivals of this reference that are to be given back with this very netref. */
  receipts: number
  /** So many of them come back with the calls that they were lent for. */
  lent: number
  /** The netref, while it lives. */
  readonly proxy: T | undefined
}

/** Netrefs received, while they live. */
export class ImportTable<T extends object, I extends Import<T>> {
  readonly #byId = new SparseMap<number, I>()

  get size(): number {
    return this.#byId.size
  }

  /** @internal What is in the table, for those who check it. */
  [Symbol.iterator](): Iterator<I> {
    return this.#byId.values()[Symbol.iterator]()
  }

  /** The entry for an id, if its netref lives: one receipt more. */
  receive(id: number): I | undefined {
    const entry = this.#byId.get(id)
    if (!entry?.proxy) return undefined
    entry.receipts++
    return entry
  }

  add(entry: I): void {
    this.#byId.set(entry.id, entry)
  }

  /** @returns how many receipts are to be given back: all of this netref's that were not lent, once. */
  release(entry: I): number {
    const receipts = entry.receipts - entry.lent
    entry.receipts = entry.lent = 0
    if (this.#byId.get(entry.id) === entry) this.#byId.delete(entry.id)
    return receipts
  }

  clear(): void {
    this.#byId.clear()
  }
}
