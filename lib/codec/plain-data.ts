// Recognizes plain data: what `JSON.stringify` writes as it is, and the peer reads as the same.

import type { Limits } from '../protocol/limits.js'
import { isDense, isJsonPrimitive } from './classify.js'
import { isExposed } from './grants.js'
import { columnNames, TableBudget } from './table-codec.js'

/** Most containers of a value that is not checked for cycles. One shared at every level has exponentially many paths. */
export const MAX_UNTRACKED_CONTAINERS = 100_000
/** Members of a larger object are read by key: an engine keeps it as a hash table, of which `Object.values` takes long. */
const MAX_RECORD_KEYS = 64
/** Most checks of one message that may fail: a failed check saves nothing, and the next values are probably alike. */
const MAX_FAILURES = 16

const { getPrototypeOf, hasOwn, keys, values } = Object
const { iterator, asyncIterator } = Symbol

/** A container that is not plain data, as it was read. */
export interface ReadContainer {
  readonly container: object
  readonly members: unknown[]
  /** How many of the first members are plain data. */
  readonly plainMembers: number
  /** Column names, of an array that may be sent as a table. */
  readonly columns: readonly string[] | undefined
}

/**
 * Looks for parts of a value that are not plain data, and for arrays that may be sent as tables, which count as such. Data
 * without one has no cycle. Nothing is copied, so `JSON.stringify` reads accessors and Proxies of plain data again.
 */
export class PlainDataCheck {
  readonly #maxDepth: number
  readonly #maxItems: number
  /** Number of all containers that were checked. */
  #containers = 0
  /** The containers around the first part that is not plain data, the innermost first. */
  readonly #around: ReadContainer[] = []
  #failures = 0
  #tableBudget: TableBudget | undefined

  /** The limits of the peer, for containers inside each other and for items of an array. */
  constructor({ depth, jsonBytes }: Pick<Limits, 'depth' | 'jsonBytes'>) {
    this.#maxDepth = depth
    this.#maxItems = jsonBytes
  }

  /** Whether an object was found to be plain data. After `MAX_FAILURES` nothing is. */
  isPlain(object: object, depth: number): boolean {
    if (this.#failures === MAX_FAILURES) return false
    this.#around.length = 0
    if (this.#isPlain(object, depth, false)) return true
    this.#failures++
    return false
  }

  #isPlain(object: object, depth: number, isItem: boolean): boolean {
    const isTooLarge = depth >= this.#maxDepth || ++this.#containers > MAX_UNTRACKED_CONTAINERS
    if (isTooLarge || isExposed(object)) return false
    return Array.isArray(object)
      ? this.#isPlainArray(object, depth)
      : this.#isPlainRecord(object, depth, isItem)
  }

  #isPlainArray(array: readonly unknown[], depth: number): boolean {
    if (getPrototypeOf(array) !== Array.prototype || array.length > this.#maxItems || hasToJson(array))
      return false
    const items: unknown[] = values(array)
    if (!isDense(array, items)) return false
    const columns = this.columnsOf(items)
    if (columns) return this.#noteRead(array, items, 0, columns)
    for (let i = 0; i < items.length; i++) {
      const item = items[i]
      if (isJsonPrimitive(item)) continue
      if (typeof item !== 'object' || !this.#isPlain(item!, depth + 1, true))
        return this.#noteRead(array, items, i)
    }
    return true
  }

  /** An item of an array is read as a small record: few lists have large ones. */
  #isPlainRecord(record: object, depth: number, isItem: boolean): boolean {
    if (getPrototypeOf(record) !== Object.prototype) return false
    if (hasOwn(record, iterator) || hasOwn(record, asyncIterator) || hasToJson(record)) return false
    const names = isItem ? undefined : keys(record)
    const members: unknown[] =
      names && names.length > MAX_RECORD_KEYS
        ? names.map(name => (record as Record<string, unknown>)[name])
        : values(record)
    for (let i = 0; i < members.length; i++) {
      const member = members[i]
      if (isJsonPrimitive(member)) continue
      if (typeof member !== 'object' || !this.#isPlain(member!, depth + 1, false))
        return this.#noteRead(record, members, i)
    }
    return true
  }

  /** Keeps what was read of a container that is not plain. @returns false */
  #noteRead(container: object, members: unknown[], plainMembers: number, columns?: readonly string[]): false {
    this.#around.push({ container, members, plainMembers, columns })
    return false
  }

  /** The names of the columns if an array is to be sent as a table, which then counts as one of the message. */
  columnsOf(items: readonly unknown[]): string[] | undefined {
    const names = columnNames(items)
    return names && (this.#tableBudget ??= new TableBudget()).tryAdd(items.length, names.length)
      ? names
      : undefined
  }

  /** Whether `container` is the next one that was read, and is not plain. */
  hasRead(container: object): boolean {
    return this.#around.at(-1)?.container === container
  }

  /** What was read of a container. It is not read again: accessors may make its members. */
  takeRead(container: object): ReadContainer | undefined {
    return this.hasRead(container) ? this.#around.pop() : undefined
  }
}

/** Whether `JSON.stringify` would call a `toJSON`, however it is inherited or hidden. */
export const hasToJson = (container: object): boolean =>
  typeof (container as { readonly toJSON?: unknown }).toJSON === 'function'
