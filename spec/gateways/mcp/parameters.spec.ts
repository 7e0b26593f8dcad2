// Specs of the parameters of tools, for every shape of schema and of source.
import t from 'tap'
import { toArguments, toolParametersOf } from '../../../lib/gateways/mcp/parameters.js'

const NUMBER = { type: 'number' }
const TEXT = { type: 'string' }
const closed = (properties: object, ...required: string[]) => ({
  type: 'object',
  properties,
  ...(required.length > 0 && { required }),
  additionalProperties: false
})

t.test('names come from the source, types and number from the schema', async t => {
  const pair = { type: 'array', prefixItems: [NUMBER, TEXT], items: false }
  t.same(toolParametersOf({ input: { ...pair, minItems: 2 }, parameters: ['a', 'b'] }), {
    list: ['a', 'b'],
    schema: closed({ a: NUMBER, b: TEXT }, 'a', 'b')
  })
  const list = (input: object, parameters?: string[]) => toolParametersOf({ input, parameters }).list
  t.same(list({ ...pair, minItems: 1 }, ['a', 'b']), ['a', 'b?'], 'the schema says what may be omitted')
  t.same(list({ ...pair, minItems: 2 }, ['a', 'b?']), ['a', 'b'])
  t.same(list({ ...pair, minItems: 2 }, ['a']), ['a', 'arg1'], 'an argument that the source does not name')
  t.same(list({ ...pair, minItems: 2 }), ['arg0', 'arg1'], 'a native function')
  t.same(list({ ...pair, minItems: 2 }, ['a', 'b', 'c']), ['a', 'b'], 'the schema takes no more')
  t.same(toolParametersOf({ input: { maxItems: 0 }, parameters: [] }), { list: [], schema: closed({}) })
  t.same(toolParametersOf({ input: true }).list, [])
})

t.test('a rest parameter is a list', async t => {
  const numbers = { type: 'array', items: NUMBER }
  t.same(toolParametersOf({ input: numbers, parameters: ['...values'] }), {
    list: ['...values'],
    schema: closed({ values: numbers })
  })
  const input = { ...numbers, prefixItems: [TEXT], minItems: 1 }
  t.same(toolParametersOf({ input, parameters: ['a', '...more'] }), {
    list: ['a', '...more'],
    schema: closed({ a: TEXT, more: numbers }, 'a')
  })
})

t.test('the members of one object without a name are the parameters', async t => {
  const point = { type: 'object', properties: { x: NUMBER }, required: ['x'] }
  const input = { prefixItems: [point], minItems: 1, $defs: {} }
  t.same(toolParametersOf({ input, parameters: ['arg0'] }), {
    list: undefined,
    schema: { ...point, $defs: {} }
  })
  t.same(toArguments('tool', undefined, { x: 1 }), [{ x: 1 }])
  t.same(toolParametersOf({ input, parameters: ['point'] }).list, ['point'])
  t.same(toolParametersOf({ input: { prefixItems: [NUMBER] }, parameters: ['arg0'] }).list, ['arg0?'])
  t.same(toolParametersOf({ input: { prefixItems: [true] }, parameters: ['arg0'] }).list, ['arg0?'])
  t.same(toolParametersOf({ input: { items: point }, parameters: ['...arg0'] }).list, ['...arg0'])
})

t.test('a schema that is not a list of known types leaves the types open', async t => {
  for (const input of [
    {},
    { type: 'array' },
    { anyOf: [{ type: 'array' }] },
    { type: 'array', items: true },
    true
  ])
    t.same(toolParametersOf({ input, parameters: ['a', 'b?', '...more'] }), {
      list: ['a', 'b?', '...more'],
      schema: closed({ a: {}, b: {}, more: { type: 'array', items: {} } }, 'a')
    })
})

t.test('definitions are named from the root', async t => {
  const $defs = { Node: { type: 'object', properties: { next: { $ref: '#/$defs/Node' } } } }
  const input = { prefixItems: [{ $ref: '#/$defs/Node' }], minItems: 1, $defs, definitions: {} }
  t.same(toolParametersOf({ input, parameters: ['node'] }).schema, {
    ...closed({ node: { $ref: '#/$defs/Node' } }, 'node'),
    $defs,
    definitions: {}
  })
})

t.test('arguments by name become arguments in order', async t => {
  const order = (named: object) =>
    toArguments('tool', ['a', 'b?', '...more'], named as Record<string, unknown>)
  t.same(order({ a: 1 }), [1], 'what is omitted at the end is no argument')
  t.same(order({ a: 1, more: [] }), [1])
  t.same(order({ a: 1, more: [3, 4] }), [1, undefined, 3, 4])
  t.same(order({ more: [3], b: 2, a: 1 }), [1, 2, 3])
  t.throws(() => order({ more: [3] }), { kind: 'bad-params', message: /"a" is missing/ })
  t.throws(() => order({ a: 1, '...more': 2 }), { message: /no parameter has the name "...more"/ })
  t.throws(() => order({ a: 1, more: { 0: 1 } }), { message: /"more" is a list, not/ })
  t.throws(() => order(JSON.parse('{"a": 1, "__proto__": 1}')), { message: /"__proto__"/ })
})
