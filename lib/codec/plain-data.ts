// Recognizes plain data: what `JSON.stringify` writes as it is, and the peer reads as the same.

import type { Limits } from '../protocol/limits.js'
import { isDense, isJsonPrimitive } from './classify.js'
import { isExposed } from './grants.js'

/** Most containers of a value that is not checked for cycles. One shared at every level has exponentially many paths. */
export const MAX_UNTRACKED_CONTAINERS = 100_000
/** Members of a larger object are read by key: an engine keeps it as a hash table, of which `Object.values` takes long. */
const MAX_RECORD_KEYS = 64

const { getPrototypeOf, hasOwn, keys, values } = Object
const { iterator, asyncIterator } = Symbol

/** A container, and its members as they were read. */
export type ReadContainer = readonly [container: object, members: unknown[]]

/** The state of one check. */
interface PlainDataCheck {
  /** Most containers inside each other, and most items of an array, that the peer takes. */
  readonly maxDepth: number
  readonly maxItems: number
  containers: number
  /** The containers around the first part that is not plain data, the innermost first. */
  readonly around: ReadContainer[]
}

/**
 * Looks for a part of a value that is not plain data. A value without one has no cycle. Nothing is copied, so
 * `JSON.stringify` reads accessors and Proxies of plain data again.
 *
 * @returns the containers around the first such part, the innermost first; undefined if there is none
 */
export function findNotPlain(
  value: object,
  { depth, jsonBytes }: Pick<Limits, 'depth' | 'jsonBytes'>
): ReadContainer[] | undefined {
  const check: PlainDataCheck = {
    maxDepth: depth,
    maxItems: jsonBytes,
    containers: 0,
    around: []
  }
  return isPlain(value, check, 0, false) ? undefined : check.around
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
    for (let i = 0; i < items.length; i++) {
      const item = items[i]
      if (isJsonPrimitive(item)) continue
      if (typeof item !== 'object' || !isPlain(item!, check, depth + 1, true)) {
        check.around.push([object, items])
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
      check.around.push([object, members])
      return false
    }
  }
  return true
}

type HasToJson = { readonly toJSON?: unknown }

/** Whether `JSON.stringify` would call a `toJSON`, however it is inherited or hidden. */
export const hasToJson = (container: object): boolean => typeof (container as HasToJson).toJSON === 'function'
