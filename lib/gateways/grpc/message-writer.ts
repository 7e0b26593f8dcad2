// Checks a value against the type of a message, and makes what protobufjs encodes of it.

import { Netref } from '../../index.js'
import { describeValue, quote } from '../../util/describe.js'
import type { SizeBudget } from '../support/size-budget.js'
import { formatValuePath, NoFormError, nounOf } from '../support/value-path.js'
import { toLong } from './integers.js'
import type { FieldType, MessageType, Scalar, ValueType } from './message-types.js'

type Path = readonly (string | number)[]

const SYSTEM = 'gRPC'

/**
 * Makes a message of an object.
 *
 * @param budget bounds the values, as those that a value has many times are written as many times
 * @throws NoFormError for a reference, TypeError for a value that does not fit, and for a field that the type does not have;
 * LimitError for too many values
 */
export function writeMessage(
  type: MessageType,
  value: unknown,
  path: Path,
  budget: SizeBudget
): Record<string, unknown> {
  if (!isPlainObject(value)) throw unfitting(path, value, `a message ${type.name}`)
  const message: Record<string, unknown> = {}
  for (const [name, item] of Object.entries(value)) {
    const field = type.fields.get(name)
    budget.take(name)
    if (field && item !== undefined && item !== null)
      message[name] = writeField(field, item, [...path, name], budget)
    else if (!field && item !== undefined && !type.oneofs.has(name)) throw noSuchField(type, [...path, name])
  }
  for (const { name, isRequired } of type.fields.values())
    if (isRequired && message[name] === undefined)
      throw new TypeError(`${formatValuePath([...path, name])} is missing, and ${type.name} requires it`)
  return message
}

function noSuchField(type: MessageType, path: Path): TypeError {
  const names = [...type.fields.keys()].map(name => quote(name))
  const has = names.length > 0 ? `its fields are ${names.join(', ')}` : 'it has no fields'
  return new TypeError(`${formatValuePath(path)} is no field of ${type.name}: ${has}`)
}

function writeField(
  { cardinality, value, key }: FieldType,
  field: unknown,
  path: Path,
  budget: SizeBudget
): unknown {
  if (cardinality === 'single') return writeValue(value, field, path, budget)
  if (cardinality === 'list') {
    if (!Array.isArray(field) && !(ArrayBuffer.isView(field) && Symbol.iterator in field))
      throw unfitting(path, field, 'a list')
    return Array.from(field as Iterable<unknown>, (item, i) => writeValue(value, item, [...path, i], budget))
  }
  const entries = field instanceof Map ? [...field] : isPlainObject(field) ? Object.entries(field) : undefined
  if (!entries) throw unfitting(path, field, 'an object, or a Map')
  const map: Record<string, unknown> = Object.create(null)
  for (const [name, item] of entries) {
    budget.take(name)
    const itemPath = [...path, String(name)]
    map[writeKey(key!, name, itemPath)] = writeValue(value, item, itemPath, budget)
  }
  return map
}

/** A key as a text, which protobufjs encodes. */
function writeKey(type: Scalar, key: unknown, path: Path): string {
  if (type === 'string') return String(writeScalar(type, key, path))
  // protobufjs takes any text for true.
  if (type === 'bool') return String(key) === 'true' ? 'true' : ''
  const text = String(key)
  if (!/^-?\d{1,20}$/.test(text)) throw unfitting(path, key, `a key of the type ${type}`)
  writeScalar(type, type.endsWith('64') ? BigInt(text) : Number(text), path)
  return text
}

function writeValue(type: ValueType, value: unknown, path: Path, budget: SizeBudget): unknown {
  budget.take(value)
  if (type.kind === 'message') return writeMessage(type.type, value, path, budget)
  if (type.kind === 'scalar') return writeScalar(type.scalar, value, path)
  const { values, valuesById, name } = type.values
  const number =
    typeof value === 'string' ? (Object.hasOwn(values, value) ? values[value] : undefined) : value
  if (typeof number === 'number' && (number in valuesById || (number | 0) === number)) return number
  throw unfitting(
    path,
    value,
    `one of ${name}: ${Object.keys(values)
      .map(key => quote(key))
      .join(', ')}`
  )
}

/** Bounds of the integers that take 32 bits, by the first letters of their types. */
const INT32 = [-(2 ** 31), 2 ** 31 - 1] as const
const UINT32 = [0, 2 ** 32 - 1] as const
const BOUNDS_32: Partial<Record<Scalar, readonly [number, number]>> = {
  int32: INT32,
  sint32: INT32,
  sfixed32: INT32,
  uint32: UINT32,
  fixed32: UINT32
}

function writeScalar(type: Scalar, value: unknown, path: Path): unknown {
  const written = scalarOf(type, value)
  if (written === undefined) throw unfitting(path, value, `the type ${type}`)
  return written
}

/** A text with it has no form in UTF-8. */
const LONE_SURROGATE = /\p{Surrogate}/u

/** @returns undefined for a value that does not fit */
function scalarOf(type: Scalar, value: unknown): unknown {
  switch (type) {
    case 'string':
      return typeof value === 'string' && !LONE_SURROGATE.test(value) ? value : undefined
    case 'bool':
      return typeof value === 'boolean' ? value : undefined
    case 'bytes':
      return bytesOf(value)
    case 'double':
    case 'float':
      return typeof value === 'number' ? value : undefined
    case 'int64':
    case 'sint64':
    case 'sfixed64':
    case 'uint64':
    case 'fixed64':
      return longOf(value, type === 'uint64' || type === 'fixed64')
    default: {
      const [min, max] = BOUNDS_32[type]!
      return Number.isInteger(value) && (value as number) >= min && (value as number) <= max
        ? value
        : undefined
    }
  }
}

function longOf(value: unknown, unsigned: boolean): unknown {
  const integer =
    typeof value === 'bigint' ? value : Number.isSafeInteger(value) ? BigInt(value as number) : undefined
  const fits =
    integer !== undefined && (unsigned ? BigInt.asUintN(64, integer) : BigInt.asIntN(64, integer)) === integer
  return fits ? toLong(integer, unsigned) : undefined
}

function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : undefined
}

/** The error for a value that does not fit. */
function unfitting(path: Path, value: unknown, what: string): TypeError {
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function'
  if (isObject && (Netref.is(value) || !isData(value))) return new NoFormError(path, nounOf(value), SYSTEM)
  return new TypeError(`${formatValuePath(path)} is ${describeValue(value)}; ${what} is needed`)
}

const isData = (value: object): boolean =>
  isPlainObject(value) || Array.isArray(value) || ArrayBuffer.isView(value) || value instanceof ArrayBuffer

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
