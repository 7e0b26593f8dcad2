// The Go type of a value by its JSON Schema.

import type { JsonSchema } from '../../types/json-schema.js'
import { resolveReference } from '../../util/json-schema.js'
import { BOOL, FLOAT, INT, STRING } from './gob/basic-types.js'
import { NIL, type Shape, shapeOf, UNKNOWN, unify } from './shape.js'

const TYPES: Readonly<Record<string, Shape>> = {
  integer: shapeOf(INT),
  number: shapeOf(FLOAT),
  string: shapeOf(STRING),
  boolean: shapeOf(BOOL),
  null: NIL
}
const EXPORTED = /^\p{Lu}[\p{L}\p{N}_]*$/u
/** Schemas of recursive types are known as far. */
const MAX_DEPTH = 8

/** What a schema says of the Go type of its values. What a schema can say and a type cannot is left open. */
export const schemaShape = (schema: JsonSchema): Shape => shapeAt(schema, schema, 0)

function shapeAt(schema: unknown, root: JsonSchema, depth: number): Shape {
  if (typeof schema !== 'object' || schema === null || depth > MAX_DEPTH) return UNKNOWN
  const { $ref, type, anyOf, oneOf, enum: values, const: value } = schema as JsonSchema
  const at = (inner: unknown) => shapeAt(inner, root, depth + 1)
  if (typeof $ref === 'string') return at(resolveReference(root, $ref))
  const choices = anyOf ?? oneOf
  if (Array.isArray(choices)) return common(choices.map(at))
  if (Array.isArray(type)) return common(type.map(one => at({ ...schema, type: one })))
  if (type === 'array') return { kind: 'list', item: at((schema as JsonSchema).items) }
  if (type === 'object') return shapeOfObject(schema as JsonSchema, at)
  if (typeof type === 'string') return TYPES[type] ?? UNKNOWN
  const texts = Array.isArray(values) ? values : [value]
  return texts.every(text => typeof text === 'string') ? TYPES.string! : UNKNOWN
}

/** Go has no choices: those that have nothing in common are left open. */
function common(shapes: readonly Shape[]): Shape {
  const [first = UNKNOWN, ...others] = shapes.filter(shape => shape !== NIL)
  return others.every(other => other === first) ? first : UNKNOWN
}

function shapeOfObject(
  { properties, additionalProperties }: JsonSchema,
  at: (schema: unknown) => Shape
): Shape {
  const members = Object.entries(Object(properties) as Record<string, unknown>)
  if (members.length > 0 && members.every(([name]) => EXPORTED.test(name)))
    return { kind: 'struct', fields: new Map(members.map(([name, schema]) => [name, at(schema)])) }
  const others = typeof additionalProperties === 'object' ? [at(additionalProperties)] : []
  const shapes = [...members.map(([, schema]) => at(schema)), ...others]
  if (shapes.length === 0) return UNKNOWN
  return { kind: 'map', key: TYPES.string!, item: shapes.includes(UNKNOWN) ? UNKNOWN : shapes.reduce(unify) }
}
