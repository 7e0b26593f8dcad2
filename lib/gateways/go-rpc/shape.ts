// What is known of the Go type of a value: the whole type, or a part of it.

import { BOOL, BYTES, COMPLEX, FLOAT, INT, STRING, UINT } from './gob/basic-types.js'
import { StructType } from './gob/composite-types.js'
import type { GobType } from './gob/gob-type.js'
import { INTERFACE } from './gob/interface-type.js'

export type Shape =
  /** Nothing is known. */
  | { readonly kind: 'unknown' }
  /** The value is `undefined` or `null`. */
  | { readonly kind: 'nil' }
  /** The value is an object without members: a struct or a map. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'type'; readonly type: GobType }
  | { readonly kind: 'list'; readonly item: Shape }
  | { readonly kind: 'map'; readonly key: Shape; readonly item: Shape }
  | { readonly kind: 'struct'; readonly fields: ReadonlyMap<string, Shape> }

export const UNKNOWN: Shape = { kind: 'unknown' }
export const NIL: Shape = { kind: 'nil' }
export const EMPTY: Shape = { kind: 'empty' }

/** By type, so that equal shapes of numbers and texts are the same object. */
const basicShapes = new Map(
  [BOOL, INT, UINT, FLOAT, STRING, BYTES, COMPLEX, INTERFACE].map(type => [type, typeShape(type)])
)

function typeShape(type: GobType): Shape {
  return { kind: 'type', type }
}

/** The shape of a whole type. */
export const shapeOf = (type: GobType): Shape => basicShapes.get(type) ?? typeShape(type)

/** The shape of values whose types differ, and of those that have none. */
export const ANY = shapeOf(INTERFACE)

/** The shape of a type that has the values of both: an interface, if they have nothing in common. */
export function unify(one: Shape, other: Shape): Shape {
  if (one === other || other.kind === 'unknown' || other.kind === 'nil') return one
  if (one.kind === 'unknown' || one.kind === 'nil') return other
  if (one.kind === 'type' && other.kind === 'type') return unifyTypes(one.type, other.type)
  if (one.kind === 'list' && other.kind === 'list') return { kind: 'list', item: unify(one.item, other.item) }
  if (one.kind === 'map' && other.kind === 'map')
    return { kind: 'map', key: unify(one.key, other.key), item: unify(one.item, other.item) }
  if (one.kind === 'struct' && other.kind === 'struct') return combineFields(one.fields, other.fields, unify)
  if (one.kind === 'empty' && hasMembers(other)) return other
  if (other.kind === 'empty' && hasMembers(one)) return one
  return ANY
}

/** What a declaration says, and where it says nothing, what the value tells. */
export function overlay(declared: Shape, found: Shape): Shape {
  if (declared.kind === 'unknown') return found
  if (declared.kind === 'list' && found.kind === 'list')
    return { kind: 'list', item: overlay(declared.item, found.item) }
  if (declared.kind === 'map' && found.kind === 'map')
    return { kind: 'map', key: declared.key, item: overlay(declared.item, found.item) }
  if (declared.kind === 'struct' && found.kind === 'struct')
    return combineFields(declared.fields, found.fields, overlay)
  return declared
}

/** The shape of a value whose method has had another value before: what is not known of it is as it was, and floats stay floats. */
export function inherit(earlier: Shape, shape: Shape): Shape {
  if (shape.kind === 'unknown' || shape.kind === 'nil') return earlier
  if (shape.kind === 'empty') return hasMembers(earlier) ? earlier : shape
  if (earlier === shapeOf(FLOAT) && shape === shapeOf(INT)) return earlier
  if (earlier.kind === 'list' && shape.kind === 'list')
    return { kind: 'list', item: inherit(earlier.item, shape.item) }
  if (earlier.kind === 'map' && shape.kind === 'map')
    return { kind: 'map', key: shape.key, item: inherit(earlier.item, shape.item) }
  if (earlier.kind !== 'struct' || shape.kind !== 'struct') return shape
  const fields = [...shape.fields].map(([name, field]): [string, Shape] => [
    name,
    inherit(earlier.fields.get(name) ?? UNKNOWN, field)
  ])
  return { kind: 'struct', fields: new Map(fields) }
}

const hasMembers = (shape: Shape): boolean =>
  shape.kind === 'map' ||
  shape.kind === 'struct' ||
  (shape.kind === 'type' && shape.type instanceof StructType)

function unifyTypes(one: GobType, other: GobType): Shape {
  if (one === other) return shapeOf(one)
  const both = [one, other]
  if (both.includes(INT) && both.includes(FLOAT)) return shapeOf(FLOAT)
  if (both.includes(INT) && both.includes(UINT)) return shapeOf(UINT)
  return ANY
}

function combineFields(
  one: ReadonlyMap<string, Shape>,
  other: ReadonlyMap<string, Shape>,
  combine: (one: Shape, other: Shape) => Shape
): Shape {
  const fields = new Map(one)
  for (const [name, shape] of other) fields.set(name, combine(fields.get(name) ?? UNKNOWN, shape))
  return { kind: 'struct', fields }
}
