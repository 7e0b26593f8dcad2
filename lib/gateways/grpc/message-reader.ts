// Makes plain data of a decoded message.

import type { Enum } from 'protobufjs'
import { fromLong, type Long, longOfKey } from './integers.js'
import type { FieldType, MessageType, Scalar, ValueType } from './message-types.js'

type Decoded = Readonly<Record<string, unknown>>

/**
 * Makes an object of a message. Absent messages, and absent fields that are `optional` or in a `oneof`, are left out; other
 * absent fields have their default values.
 */
export function readMessage(type: MessageType, message: Decoded): Record<string, unknown> {
  const object: Record<string, unknown> = {}
  for (const field of type.fields.values()) {
    const { name, hasPresence, cardinality, oneof } = field
    if (cardinality === 'single' && hasPresence && !Object.hasOwn(message, name)) continue
    define(object, name, readField(field, message[name]))
    if (oneof !== undefined) define(object, oneof, name)
  }
  return object
}

function readField({ cardinality, value, key }: FieldType, field: unknown): unknown {
  if (cardinality === 'list') return (field as unknown[]).map(item => readValue(value, item))
  if (cardinality === 'single') return readValue(value, field)
  const entries: Record<string, unknown> = {}
  for (const [name, item] of Object.entries(field as object))
    define(entries, keyText(name, key!), readValue(value, item))
  return entries
}

function readValue(type: ValueType, value: unknown): unknown {
  if (type.kind === 'message') return readMessage(type.type, value as Decoded)
  if (type.kind === 'enum') return nameOf(type.values, value as number)
  // The default of bytes is an empty list. Received ones are a view on the whole message.
  if (type.scalar === 'bytes') return Uint8Array.from(value as ArrayLike<number>)
  return typeof value === 'object' ? fromLong(value as Long) : value
}

/** The name of a value; the number of one that the file does not know. */
const nameOf = ({ valuesById }: Enum, value: number): string | number => valuesById[value] ?? value

const UNSIGNED: ReadonlySet<Scalar> = new Set(['uint64', 'fixed64'])
const keyText = (key: string, type: Scalar): string =>
  type.endsWith('64') ? String(fromLong(longOfKey(key, UNSIGNED.has(type)))) : key

/** Sets a property of any name. */
const define = (object: object, name: string, value: unknown): void =>
  void Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
