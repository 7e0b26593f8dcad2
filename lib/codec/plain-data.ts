// Recognizes plain data: what `JSON.stringify` writes as it is, and the peer reads as the same.

import type { Limits } from '../protocol/limits.js'
import { isDense, isJsonPrimitive } from './classify.js'
import { isExposed } from './grants.js'
import { columnNames, MIN_TABLE_RECORDS, TableBudget } from './table-codec.js'

/** Most containers of a value that is not checked for cycles. One shared at every level has exponentially many paths. */
export const MAX_UNTRACKED_CONTAINERS = 100_000
/** Members of a larger object are read by key: an engine keeps it as a hash table, of which `Object.values` takes long. */
const MAX_RECORD_KEYS = 64
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
  readonly maxDepth: number
  readonly maxItems: number
  /** All containers that were looked at. */
  containers = 0
  /** The containers around the first part that is not plain data, the innermost first. */
  readonly around: ReadContainer[] = []
  #failures = 0
  #tableBudget: TableBudget | undefined

  /** The limits of the peer, for containers inside each other and for items of an array. */
  constructor({ depth, jsonBytes }: Pick<Limits, 'depth' | 'jsonBytes'>) {
    this.maxDepth = depth
    this.maxItems = jsonBytes
  }

  /**
   * Whether an object was found to be plain data. After some failures nothing is: a look that fails saves nothing, and
   * the next objects are probably like the last ones.
   */
  isPlain(object: object, depth: number): boolean {
    if (this.#failures === MAX_FAILURES) return false
    this.around.length = 0
    if (isPlain(object, this, depth, false)) return true
    this.#failures++
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
    return this.around.at(-1)?.container === container
  }

  /** What was read of a container. It is not read again: accessors may make its members. */
  takeRead(container: object): ReadContainer | undefined {
    return this.hasRead(container) ? this.around.pop() : undefined
  }
}

/** Arrays and records have code of their own, which makes both twice as fast. */
function isPlain(object: object, check: PlainDataCheck, depth: number, isItem: boolean): boolean {
  const isTooLarge = depth >= check.maxDepth || ++check.containers > MAX_UNTRACKED_CONTAINERS
  if (isTooLarge || isExposed(object)) return false
  if (Array.isArray(object)) {
    if (
      getPrototypeOf(object) !== Array.prototype ||
      object.length > check.maxItems ||
      typeof (object as HasToJson).toJSON === 'function'
    )
      return false
    const items: unknown[] = values(object)
    if (!isDense(object, items)) return false
    const columns = items.length >= MIN_TABLE_RECORDS ? check.columnsOf(items) : undefined
    if (columns) {
      check.around.push({ container: object, members: items, plainMembers: 0, columns })
      return false
    }
    for (let i = 0; i < items.length; i++) {
      const item = items[i]
      if (isJsonPrimitive(item)) continue
      if (typeof item !== 'object' || !isPlain(item!, check, depth + 1, true)) {
        check.around.push({ container: object, members: items, plainMembers: i, columns: undefined })
        return false
      }
    }
    return true
  }
  if (
    getPrototypeOf(object) !== Object.prototype ||
    hasOwn(object, iterator) ||
    hasOwn(object, asyncIterator) ||
    typeof (object as HasToJson).toJSON === 'function'
  )
    return false
  // An item of an array is hardly a large dictionary.
  const names = isItem ? undefined : keys(object)
  const members: unknown[] =
    names && names.length > MAX_RECORD_KEYS
      ? names.map(name => (object as Record<string, unknown>)[name])
      : values(object)
  for (let i = 0; i < members.length; i++) {
    const member = members[i]
    if (isJsonPrimitive(member)) continue
    if (typeof member !== 'object' || !isPlain(member!, check, depth + 1, false)) {
      check.around.push({ container: object, members, plainMembers: i, columns: undefined })
      return false
    }
  }
  return true
}

type HasToJson = { readonly toJSON?: unknown }

/** Whether `JSON.stringify` would call a `toJSON`, however it is inherited or hidden. */
export const hasToJson = (container: object): boolean => typeof (container as HasToJson).toJSON === 'function'
