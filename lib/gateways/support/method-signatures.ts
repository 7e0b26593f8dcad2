// The signatures of a method in the type names of XML-RPC, for `system.methodSignature`.

import type { Description } from '../../types/description.js'
import { isSchemaObject, resolveReference, type Schema } from '../../util/json-schema.js'
import { type Parameter, signatureOf } from '../../util/signature.js'

/** Maximum depth of schemas that say what one value is, such as references and alternatives. */
const MAX_DEPTH = 10

/** By `type` in JSON Schema. */
const TYPE_NAMES: ReadonlyMap<unknown, string> = new Map([
  ['integer', 'int'],
  ['number', 'double'],
  ['string', 'string'],
  ['boolean', 'boolean'],
  ['array', 'array'],
  ['object', 'struct'],
  ['null', 'nil']
])

/**
 * The signatures of a method: the type of the result, then those of the arguments. There is one for each number of arguments.
 *
 * @returns undefined if a type is not known, or has no single name in XML-RPC, and for a method with a rest parameter
 */
export function methodSignatures(description: Description): string[][] | undefined {
  const { parameters, input, output = true } = signatureOf(description)
  if (!parameters || parameters.some(({ isRest }) => isRest)) return undefined
  const types = [typeNameOf(output, output), ...parameters.map(({ schema }) => typeNameOf(schema, input))]
  return types.every(type => type !== undefined) ? signaturesOfEachLength(types, parameters) : undefined
}

function signaturesOfEachLength(types: readonly string[], parameters: readonly Parameter[]): string[][] {
  const required = parameters.filter(({ isRequired }) => isRequired).length
  return Array.from({ length: parameters.length - required + 1 }, (_, optional) =>
    types.slice(0, 1 + required + optional)
  )
}

/** The one type that all values of a schema have. */
function typeNameOf(schema: Schema, root: Schema, depth = 0): string | undefined {
  if (!isSchemaObject(schema) || depth > MAX_DEPTH) return undefined
  const { $ref, type, const: constant, enum: values, anyOf, oneOf = anyOf, allOf } = schema
  const nameOf = (part: Schema = true) => typeNameOf(part, root, depth + 1)
  if (typeof $ref === 'string') return nameOf(resolveReference(root, $ref))
  if (Array.isArray(type)) return common(type.map(name => TYPE_NAMES.get(name)))
  if (type !== undefined) return TYPE_NAMES.get(type)
  if (Array.isArray(values)) return common(values.map(typeNameOfValue))
  if (constant !== undefined) return typeNameOfValue(constant)
  if (Array.isArray(oneOf)) return common(oneOf.map(nameOf))
  return Array.isArray(allOf) ? allOf.map(nameOf).find(Boolean) : undefined
}

function typeNameOfValue(value: unknown): string | undefined {
  if (value === null) return 'nil'
  if (Array.isArray(value)) return 'array'
  return TYPE_NAMES.get(Number.isInteger(value) ? 'integer' : typeof value)
}

/** The name of all; whole numbers are numbers. */
function common(names: readonly (string | undefined)[]): string | undefined {
  const different = new Set(names)
  if (different.has('double')) different.delete('int')
  return different.size === 1 ? names.find(name => different.has(name)) : undefined
}
