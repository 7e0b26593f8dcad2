// The objects of this side that Python holds, with the number of times that each was sent.

import { LimitError } from '../../errors.js'
import { giveBack } from '../support/give-back.js'
import type { IdPack } from './protocol.js'
import { pythonError } from './python-error.js'
import type { View } from './view.js'

interface Entry {
  readonly object: object
  readonly view: View
  readonly pack: IdPack
  count: number
}

/** Class ids say nothing to Python: instances of one name have one class. */
const CLASS_ID = 1

export class ExportTable {
  readonly #byId = new Map<number | bigint, Entry>()
  readonly #byObject = new Map<object, Entry>()
  /** Number of copied objects in the table that have a netref in them. */
  readonly #holders = new Map<object, number>()
  #lastId = 0

  constructor(private readonly maxSize: number) {}

  /** Counts that an object is sent. @param createView makes its view the first time */
  add(object: object, createView: () => View): IdPack {
    const existing = this.#byObject.get(object)
    if (existing) {
      existing.count++
      return existing.pack
    }
    if (this.#byId.size >= this.maxSize)
      throw new LimitError('limit', `the peer holds ${this.maxSize} objects (limits.exports)`)
    const view = createView()
    const id = ++this.#lastId
    const entry: Entry = { object, view, pack: [view.className, CLASS_ID, id], count: 1 }
    this.#byId.set(id, entry)
    this.#byObject.set(object, entry)
    for (const part of view.parts) this.#holders.set(part, (this.#holders.get(part) ?? 0) + 1)
    return entry.pack
  }

  /** @throws KeyError, as in Python, for an object that Python does not hold */
  get(pack: IdPack): View {
    return this.#entry(pack).view
  }

  /**
   * Python gives back that many of its references. More than it has are all it has.
   *
   * @throws KeyError for an object that Python does not hold
   */
  release(pack: IdPack, count: unknown): void {
    const entry = this.#entry(pack)
    if (!Number.isSafeInteger(count) || (count as number) < 0)
      throw pythonError('ValueError', `${String(count)} is no count`)
    entry.count -= count as number
    if (entry.count <= 0) this.#remove(entry)
  }

  /** A reference was not sent. */
  rollback(pack: IdPack): void {
    const entry = this.#entry(pack)
    if (--entry.count === 0) this.#remove(entry)
  }

  clear(): void {
    for (const entry of [...this.#byId.values()]) this.#remove(entry)
  }

  #entry(pack: IdPack): Entry {
    const [name, classId, id] = pack
    const entry = this.#byId.get(id)
    if (entry && entry.pack[0] === name && classId === CLASS_ID) return entry
    throw pythonError('KeyError', pack)
  }

  #remove(entry: Entry): void {
    this.#byId.delete(entry.pack[2])
    this.#byObject.delete(entry.object)
    if (!this.#holders.has(entry.object)) entry.view.release()
    for (const part of entry.view.parts) this.#release(part)
  }

  /** A netref is in one copied object less. */
  #release(part: object): void {
    const holders = this.#holders.get(part)! - 1
    if (holders > 0) return void this.#holders.set(part, holders)
    this.#holders.delete(part)
    if (!this.#byObject.has(part)) giveBack(part)
  }
}
