// Converts the schemas of any library that supports Standard JSON Schema to JSON Schema: zod, arktype, valibot's converter…

import type { JsonSchema } from '../types/json-schema.js'
import type { StandardSchema } from '../types/standard-schema.js'
import { toPlainSchema } from '../util/json-schema.js'

/** The two types of a schema: what is passed to it, and what it returns. */
type Side = 'input' | 'output'
/** What Standard JSON Schema adds to a schema. */
interface Converter {
  readonly jsonSchema?: Readonly<Record<Side, (options: object) => unknown>>
}

/** The options by which libraries leave open what JSON Schema cannot say, instead of throwing. arktype needs none. */
const OPTIONS = {
  target: 'draft-2020-12',
  libraryOptions: {
    // zod
    unrepresentable: 'any',
    // valibot
    errorMode: 'ignore'
  }
}

/** By schema. A schema does not change. */
const conversions: Readonly<Record<Side, WeakMap<StandardSchema, JsonSchema | undefined>>> = {
  input: new WeakMap(),
  output: new WeakMap()
}

/**
 * The JSON Schema of a schema's input or output, as plain data.
 *
 * @returns undefined if its library cannot tell
 */
export function toJsonSchema(schema: StandardSchema, side: Side): JsonSchema | undefined {
  const converted = conversions[side]
  if (!converted.has(schema)) converted.set(schema, convert(schema, side))
  return converted.get(schema)
}

function convert(schema: StandardSchema, side: Side): JsonSchema | undefined {
  try {
    const json = toPlainSchema((schema['~standard'] as Converter).jsonSchema?.[side](OPTIONS))
    // A boolean is a schema, too: for any value, or for none.
    return typeof json === 'boolean' ? (json ? {} : { not: {} }) : json
  } catch {
    // The library throws for what it cannot convert.
    return undefined
  }
}
