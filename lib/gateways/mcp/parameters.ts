// The parameters of a tool: the JSON Schema of the object that clients pass, and its members as arguments in order.

import type { JsonSchema } from '../../types/json-schema.js'
import { describeValue } from '../../util/describe.js'
import { isSchemaObject, type Schema } from '../../util/json-schema.js'
import { type DescribedFunction, type Parameter, signatureOf } from '../../util/signature.js'
import { RefusedCallError } from '../support/call-failure.js'
import { orderArguments } from '../support/named-arguments.js'

/** Keywords that hold what references in a JSON Schema name. */
const DEFINITIONS = ['$defs', 'definitions']
const REST = '...'

/** The parameters of a tool. */
export interface ToolParameters {
  /**
   * As in a `Description`: `name`, `name?` if it may be omitted, `...name`. Undefined if the method takes one object: the
   * arguments by name are that object.
   */
  readonly list: readonly string[] | undefined
  /** The JSON Schema of the arguments by name. */
  readonly schema: JsonSchema
}

/**
 * The parameters of a method that has a schema. A rest parameter is a list. Those of `({ x, y }) => …` are the members of
 * its object.
 */
export function toolParametersOf(method: DescribedFunction): ToolParameters {
  const { parameters = [], input } = signatureOf(method)
  const definitions = definitionsOf(input)
  const [first, ...others] = parameters
  if (first && others.length === 0 && isDestructuredObject(first))
    return { list: undefined, schema: { ...(first.schema as JsonSchema), ...definitions } }
  const required = parameters.filter(({ isRequired }) => isRequired).map(({ name }) => name)
  return {
    list: parameters.map(labelOf),
    schema: {
      type: 'object',
      properties: Object.fromEntries(parameters.map(parameter => [parameter.name, propertyOf(parameter)])),
      ...(required.length > 0 && { required }),
      additionalProperties: false,
      ...definitions
    }
  }
}

/** References name them from the root. */
function definitionsOf(input: Schema): JsonSchema {
  const keys = isSchemaObject(input) ? DEFINITIONS.filter(key => key in input) : []
  return Object.fromEntries(keys.map(key => [key, (input as JsonSchema)[key]]))
}

const isDestructuredObject = ({ name, schema, isRest }: Parameter): boolean =>
  name === 'arg0' && !isRest && isSchemaObject(schema) && schema.type === 'object'

const labelOf = ({ name, isRequired, isRest }: Parameter): string =>
  isRest ? `${REST}${name}` : isRequired ? name : `${name}?`

const propertyOf = ({ schema, isRest }: Parameter): JsonSchema =>
  isRest ? { type: 'array', items: openSchemaOf(schema) } : openSchemaOf(schema)

/** Hosts expect objects. */
const openSchemaOf = (schema: Schema): JsonSchema => (isSchemaObject(schema) ? schema : {})

/**
 * Puts the arguments of a call into the order of the parameters.
 *
 * @param tool its name, for error texts
 * @throws RefusedCallError for a name that is none of the parameters, and for a missing argument
 */
export function toArguments(
  tool: string,
  list: ToolParameters['list'],
  named: Readonly<Record<string, unknown>>
): unknown[] {
  if (!list) return [named]
  const restName = list.find(label => label.startsWith(REST))?.slice(REST.length)
  if (restName === undefined || !Object.hasOwn(named, restName)) return orderArguments(tool, list, named)
  const { [restName]: rest, ...others } = named
  if (!Array.isArray(rest))
    throw new RefusedCallError(
      'bad-params',
      `${tool}: the parameter "${restName}" is a list, not ${describeValue(rest)}`
    )
  const args = orderArguments(tool, list, others)
  while (rest.length > 0 && args.length < list.length - 1) args.push(undefined)
  return [...args, ...rest]
}
