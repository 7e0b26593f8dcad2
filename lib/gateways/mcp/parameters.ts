// The parameters of a tool: the JSON Schema of the object that clients pass, and its members as arguments in order.

import type { Description } from '../../types/description.js'
import type { JsonSchema } from '../../types/json-schema.js'
import { describeValue } from '../../util/describe.js'
import { RefusedCallError } from '../support/call-failure.js'
import { orderArguments } from '../support/named-arguments.js'

/** Keywords that hold what references in a JSON Schema name. */
const DEFINITIONS = ['$defs', 'definitions']

/** The parameters of a tool. */
export interface ToolParameters {
  /** As in a `Description`: `name`, `name?` if it may be omitted, `...name`. */
  readonly list: readonly string[]
  /** The JSON Schema of the arguments by name. */
  readonly schema: JsonSchema
}

interface Parameter {
  readonly name: string
  readonly schema: unknown
  readonly isRequired: boolean
  readonly isRest?: boolean
}

/**
 * The parameters of a method that has a schema. Names come from its source, types from the schema, which also decides how
 * many arguments it takes. An argument without a name is `arg0` by its position; a rest parameter is a list.
 *
 * @param input the JSON Schema of the list of arguments
 */
export function toolParametersOf(input: JsonSchema, names: Description['parameters']): ToolParameters {
  const parameters = [...positionsOf(input, names), ...restOf(input, names)]
  const required = parameters.filter(({ isRequired }) => isRequired).map(({ name }) => name)
  return {
    list: parameters.map(({ name, isRequired, isRest }) =>
      isRest ? `...${name}` : isRequired ? name : `${name}?`
    ),
    schema: {
      type: 'object',
      properties: Object.fromEntries(parameters.map(({ name, schema }) => [name, schema])),
      ...(required.length > 0 && { required }),
      additionalProperties: false,
      // References name them from the root.
      ...Object.fromEntries(DEFINITIONS.filter(key => key in input).map(key => [key, input[key]]))
    }
  }
}

function positionsOf(input: JsonSchema, names: readonly string[] = []): Parameter[] {
  const { minItems } = input
  const prefix = prefixOf(input)
  const known = names.filter(name => !isRestName(name))
  const length = itemsOf(input) ? Math.max(prefix.length, known.length) : prefix.length
  return Array.from({ length }, (_, i) => {
    const name = known[i] ?? `arg${i}`
    const isOptional = typeof minItems === 'number' ? i >= minItems : name.endsWith('?')
    return {
      name: name.replace(/\?$/, ''),
      schema: prefix[i] ?? itemsOf(input),
      isRequired: !isOptional
    }
  })
}

/** The rest parameter, if the method takes more arguments than those with a position. */
function restOf(input: JsonSchema, names: readonly string[] | undefined): Parameter[] {
  const items = itemsOf(input)
  const name = names ? names.find(isRestName)?.slice('...'.length) : 'args'
  if (!items || name === undefined) return []
  const { minItems } = input
  const missing = typeof minItems === 'number' ? minItems - positionsOf(input, names).length : 0
  return [
    {
      name,
      schema: { type: 'array', items, ...(missing > 0 && { minItems: missing }) },
      isRequired: missing > 0,
      isRest: true
    }
  ]
}

const isRestName = (name: string): boolean => name.startsWith('...')

const prefixOf = ({ prefixItems }: JsonSchema): readonly unknown[] =>
  Array.isArray(prefixItems) ? prefixItems : []

/** The schema of the arguments after those of `prefixItems`; undefined if there are none. */
function itemsOf({ prefixItems, items, maxItems }: JsonSchema): object | undefined {
  if (typeof items === 'object' && items !== null) return items
  const isOpen = items !== false && prefixItems === undefined && maxItems !== 0
  return isOpen ? {} : undefined
}

/**
 * Puts the arguments of a call into the order of the parameters.
 *
 * @param tool its name, for error texts
 * @throws RefusedCallError for a name that is none of the parameters, and for a missing argument
 */
export function toArguments(
  tool: string,
  { list, schema }: ToolParameters,
  named: Readonly<Record<string, unknown>>
): unknown[] {
  const restName = list.find(isRestName)?.slice('...'.length)
  if (restName === undefined || !Object.hasOwn(named, restName)) {
    if (restName !== undefined && (schema.required as string[] | undefined)?.includes(restName))
      throw new RefusedCallError('bad-params', `${tool}: the parameter "${restName}" is missing`)
    return orderArguments(tool, list, named)
  }
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
