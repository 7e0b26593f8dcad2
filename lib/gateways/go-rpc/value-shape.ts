// Tells the Go type of a value by the value, and by what the Go program has sent.

import { LimitError } from '../../errors.js'
import type { Limits } from '../../protocol/limits.js'
import { SizeBudget, type SizeLimits } from '../support/size-budget.js'
import { BOOL, BYTES, bytesOf, FLOAT, INT, STRING, UINT } from './gob/basic-types.js'
import { type GobType, typesFrom } from './gob/gob-type.js'
import { TIME } from './gob/opaque-type.js'
import { isUint64 } from './gob/value-writer.js'
import { type KnownTypes, NearStructs } from './known-types.js'
import { ANY, EMPTY, NIL, type Shape, shapeOf, UNKNOWN, unify } from './shape.js'

/** Fields of Go that are sent begin with a capital letter. */
const EXPORTED = /^\p{Lu}[\p{L}\p{N}_]*$/u
const NUMERIC_TYPES: readonly GobType[] = [INT, UINT, FLOAT]
const INT64_END = 2n ** 63n
const TYPED_ARRAYS: readonly (readonly [GobType, ...(new () => object)[]])[] = [
  [FLOAT, Float32Array, Float64Array],
  [INT, Int16Array, Int32Array, BigInt64Array],
  [UINT, Uint16Array, Uint32Array, BigUint64Array]
]

export type ShapeLimits = SizeLimits & Pick<Limits, 'depth'>

/**
 * The shape of a value.
 *
 * @param received type of the argument whose result the value is. If all its numbers are of one type, those of the value are, too
 * @throws LimitError for a value that is too deep or too large
 */
export const shapeOfValue = (
  value: unknown,
  known: KnownTypes,
  received: GobType | undefined,
  limits: ShapeLimits
): Shape => new ShapeFinder(known, received, limits).find(value, 0)

class ShapeFinder {
  readonly #near: NearStructs
  readonly #wholeNumber: GobType
  readonly #budget: SizeBudget

  constructor(
    private readonly known: KnownTypes,
    received: GobType | undefined,
    private readonly limits: ShapeLimits
  ) {
    this.#near = new NearStructs(received)
    this.#wholeNumber = numericTypeOf(received)
    this.#budget = new SizeBudget(limits)
  }

  find(value: unknown, depth: number): Shape {
    this.#budget.take(value)
    switch (typeof value) {
      case 'undefined':
        return NIL
      case 'boolean':
        return shapeOf(BOOL)
      case 'number':
        return shapeOf(this.#numberType(value))
      case 'bigint':
        return shapeOf(value >= INT64_END || (value >= 0n && this.#wholeNumber === UINT) ? UINT : INT)
      case 'string':
        return shapeOf(STRING)
      case 'object':
        if (value !== null) return this.#findObject(value, depth)
        return NIL
      default:
        return ANY
    }
  }

  #numberType(value: number): GobType {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) return FLOAT
    return this.#wholeNumber === UINT && !isUint64(value) ? INT : this.#wholeNumber
  }

  #findObject(object: object, depth: number): Shape {
    if (depth > this.limits.depth)
      throw new LimitError('limit', 'the value is too deep (limits.depth), or in a cycle')
    if (Array.isArray(object)) return this.#findList(object, depth)
    const prototype = Object.getPrototypeOf(object)
    if (prototype === Object.prototype || prototype === null) return this.#findRecord(object, depth)
    if (object instanceof Map) return this.#findMap(object, depth)
    if (object instanceof Set) return this.#findList(object as Set<unknown>, depth)
    if (object instanceof Date) return shapeOf(TIME)
    if (bytesOf(object)) return shapeOf(BYTES)
    const array = TYPED_ARRAYS.find(([, ...classes]) => classes.some(type => object instanceof type))
    return array ? { kind: 'list', item: shapeOf(array[0]) } : ANY
  }

  #findList(items: Iterable<unknown>, depth: number): Shape {
    let item = UNKNOWN
    for (const one of items) item = unify(item, this.find(one, depth + 1))
    return { kind: 'list', item }
  }

  #findMap(map: ReadonlyMap<unknown, unknown>, depth: number): Shape {
    if (map.size === 0) return EMPTY
    let [key, item] = [UNKNOWN, UNKNOWN]
    for (const [one, value] of map) {
      key = unify(key, this.find(one, depth + 1))
      item = unify(item, this.find(value, depth + 1))
    }
    return { kind: 'map', key, item }
  }

  /** A struct, if Go could have fields of these names; else a map. */
  #findRecord(record: object, depth: number): Shape {
    const entries = Object.entries(record).filter(([, value]) => value !== undefined)
    if (entries.length === 0) return EMPTY
    const names = entries.map(([name]) => name)
    if (!names.every(name => EXPORTED.test(name)))
      return this.#findMap(new Map<unknown, unknown>(entries), depth)
    const type = this.#near.exact(names) ?? this.known.struct(names) ?? this.#near.wider(names)
    if (type) return shapeOf(type)
    const fields = new Map(entries.map(([name, value]) => [name, this.find(value, depth + 1)]))
    return { kind: 'struct', fields }
  }
}

/** The type of all numbers in a type, if it is one; else that of whole numbers. */
function numericTypeOf(type: GobType | undefined): GobType {
  const numbers = type ? [...typesFrom(type)].filter(one => NUMERIC_TYPES.includes(one)) : []
  return numbers.length === 1 ? numbers[0]! : INT
}
