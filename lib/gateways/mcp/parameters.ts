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
  /** As in a `Description`: `name`, `name?` if it may be omitted, `...name`. */
  readonly list: readonly string[]
  /** The JSON Schema of the arguments by name. */
  readonly schema: JsonSchema
}

/** The parameters of a method that has a schema. A rest parameter is a list. */
export function toolParametersOf(method: DescribedFunction): ToolParameters {
  const { parameters = [], input } = signatureOf(method)
  const required = parameters.filter(({ isRequired }) => isRequired).map(({ name }) => name)
  const definitions = isSchemaObject(input) ? DEFINITIONS.filter(key => key in input) : []
  return {
    list: parameters.map(labelOf),
    schema: {
      type: 'object',
      properties: Object.fromEntries(parameters.map(parameter => [parameter.name, propertyOf(parameter)])),
      ...(required.length > 0 && { required }),
      additionalProperties: false,
      // References name them from the root.
      ...Object.fromEntries(definitions.map(key => [key, (input as JsonSchema)[key]]))
    }
  }
}

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
