// The signature of a function as JSON Schemas: names come from its source, types from the schemas of arguments and result.

import {
  isSchemaObject,
  listSchemaOf,
  resolveReference,
  type Schema,
  type SchemaObject,
  toPlainSchema
} from './json-schema.js'

/** Maximum number of references in a row. */
const MAX_HOPS = 10

/** A parameter of a function. */
export interface Parameter {
  /** The name without `...` and `?`; `arg0` by its position if it has none. */
  readonly name: string
  /** The schema of the argument; of a rest parameter, that of each further argument. */
  readonly schema: Schema
  /** Whether a call must have it. Those that it must have come first. */
  readonly isRequired: boolean
  readonly isRest: boolean
}

/** What a description says of the parameters and the result of a function. */
export interface Signature {
  /** Undefined if neither names nor types are known. */
  readonly parameters: readonly Parameter[] | undefined
  /** The schema that references in those of the parameters start at. */
  readonly input: Schema
  /** The schema of the result; undefined if it is not known. */
  readonly output: Schema | undefined
}

/** What is read of a description. It is not validated. */
export interface DescribedFunction {
  readonly parameters?: unknown
  readonly input?: unknown
  readonly output?: unknown
}

/** The schema decides how many arguments a function takes, and the names if it has no schema. */
export function signatureOf({ parameters, input, output }: DescribedFunction): Signature {
  const schema = toPlainSchema(input)
  const list = schema === undefined ? undefined : listOf(schema)
  const names = toNames(parameters)
  return {
    parameters: list || names ? parametersOf(names, list ?? {}) : undefined,
    input: schema ?? true,
    output: toPlainSchema(output)
  }
}

/** The schema of the list, where the root is a reference to it. */
function listOf(root: Schema): SchemaObject | undefined {
  let schema: Schema | undefined = root
  for (let hop = 0; hop < MAX_HOPS && isSchemaObject(schema) && typeof schema.$ref === 'string'; hop++)
    schema = resolveReference(root, schema.$ref)
  return isSchemaObject(schema) ? schema : undefined
}

const toNames = (parameters: unknown): readonly string[] | undefined =>
  Array.isArray(parameters) && parameters.every(name => typeof name === 'string') ? parameters : undefined

function parametersOf(names: readonly string[] | undefined, list: SchemaObject): Parameter[] {
  const { prefix, items, minItems } = listSchemaOf(list)
  const known = (names ?? []).filter(name => !isRestName(name))
  const length = items === false ? prefix.length : Math.max(prefix.length, known.length)
  const required = minItems ?? 1 + known.map(name => name.endsWith('?')).lastIndexOf(false)
  const parameters = Array.from({ length }, (_, i) => ({
    name: known[i]?.replace(/\?$/, '') ?? `arg${i}`,
    schema: prefix[i] ?? items,
    isRequired: i < required,
    isRest: false
  }))
  const rest = names ? names.find(isRestName)?.slice(REST.length) : 'args'
  if (items === false || rest === undefined) return parameters
  return [...parameters, { name: rest, schema: items, isRequired: false, isRest: true }]
}

const REST = '...'
const isRestName = (name: string): boolean => name.startsWith(REST)
