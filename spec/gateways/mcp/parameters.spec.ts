// Specs of the parameters of tools, for every shape of schema and of source.
import t from 'tap'
import { toArguments, toolParametersOf } from '../../../lib/gateways/mcp/parameters.js'
import type { JsonSchema } from '../../../lib/types/json-schema.js'

const NUMBER = { type: 'number' }
const TEXT = { type: 'string' }
const closed = (properties: object, ...required: string[]) => ({
  type: 'object',
  properties,
  ...(required.length > 0 && { required }),
  additionalProperties: false
})

t.test('names come from the source, types and number from the schema', async t => {
  const given = (input: JsonSchema, ...names: string[]) => toolParametersOf(input, names)
  const pair = { type: 'array', prefixItems: [NUMBER, TEXT], items: false }
  t.same(given({ ...pair, minItems: 2 }, 'a', 'b'), {
    list: ['a', 'b'],
    schema: closed({ a: NUMBER, b: TEXT }, 'a', 'b')
  })
  t.same(given({ ...pair, minItems: 1 }, 'a', 'b').list, ['a', 'b?'], 'the schema says what may be omitted')
  t.same(given({ ...pair, minItems: 2 }, 'a', 'b?').list, ['a', 'b'])
  t.same(given(pair, 'a', 'b?').list, ['a', 'b?'], 'the source does, if the schema does not')
  t.same(given(pair, 'a').list, ['a', 'arg1'], 'an argument that the source does not name')
  t.same(given(pair, '...all').list, ['arg0', 'arg1'])
  t.same(toolParametersOf(pair, undefined).list, ['arg0', 'arg1'], 'a native function')
  t.same(given(pair, 'a', 'b', 'c').list, ['a', 'b'], 'the schema takes no more')
  t.same(given({ type: 'array', maxItems: 0 }, 'a').list, [])
})

t.test('a rest parameter is a list', async t => {
  const numbers = { type: 'array', items: NUMBER }
  t.same(toolParametersOf(numbers, ['...values']), {
    list: ['...values'],
    schema: closed({ values: numbers })
  })
  t.same(toolParametersOf({ ...numbers, minItems: 2 }, ['...values']).schema, {
    ...closed({ values: { ...numbers, minItems: 2 } }, 'values')
  })
  t.same(toolParametersOf({ ...numbers, prefixItems: [TEXT], minItems: 1 }, ['a', '...more']), {
    list: ['a', '...more'],
    schema: closed({ a: TEXT, more: numbers }, 'a')
  })
  t.same(toolParametersOf({ ...numbers, minItems: 3 }, ['a', '...more']).schema.required, ['a', 'more'])
  t.same(toolParametersOf(numbers, undefined).list, ['...args'], 'a native function')
  t.same(toolParametersOf(numbers, ['a', 'b?']).list, ['a', 'b?'], 'positions of a list of any length')
})

t.test('a schema that is not a list of known types leaves the types open', async t => {
  for (const open of [{}, { type: 'array' }, { anyOf: [{ type: 'array' }] }, { type: 'array', items: true }])
    t.same(toolParametersOf(open, ['a', 'b?', '...more']), {
      list: ['a', 'b?', '...more'],
      schema: closed({ a: {}, b: {}, more: { type: 'array', items: {} } }, 'a')
    })
})

t.test('definitions are named from the root', async t => {
  const $defs = { Node: { type: 'object', properties: { next: { $ref: '#/$defs/Node' } } } }
  const input = { prefixItems: [{ $ref: '#/$defs/Node' }], minItems: 1, $defs, definitions: {} }
  t.same(toolParametersOf(input, ['node']).schema, {
    ...closed({ node: { $ref: '#/$defs/Node' } }, 'node'),
    $defs,
    definitions: {}
  })
})

t.test('arguments by name become arguments in order', async t => {
  const order = (list: string[], named: object) =>
    toArguments('tool', toolParametersOf(input, list), named as Record<string, unknown>)
  const input = { prefixItems: [{}, {}], items: {}, minItems: 1 }
  const list = ['a', 'b', '...more']
  t.same(order(list, { a: 1 }), [1], 'what is omitted at the end is no argument')
  t.same(order(list, { a: 1, more: [] }), [1])
  t.same(order(list, { a: 1, more: [3, 4] }), [1, undefined, 3, 4])
  t.same(order(list, { more: [3], b: 2, a: 1 }), [1, 2, 3])
  t.throws(() => order(list, { more: [3] }), { kind: 'bad-params', message: /"a" is missing/ })
  t.throws(() => order(list, { a: 1, '...more': 2 }), { message: /no parameter has the name "...more"/ })
  t.throws(() => order(list, { a: 1, more: { 0: 1 } }), { message: /"more" is a list, not/ })
  const many = toolParametersOf({ items: {}, minItems: 1 }, ['...values'])
  t.throws(() => toArguments('tool', many, {}), { message: 'tool: the parameter "values" is missing' })
  t.same(toArguments('tool', many, { values: [1] }), [1])
  t.throws(() => order(list, JSON.parse('{"a": 1, "__proto__": 1}')), { message: /"__proto__"/ })
})
