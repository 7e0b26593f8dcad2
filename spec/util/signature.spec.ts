// Specs of the signatures of functions: names from the source, types from schemas.
import t from 'tap'
import { type Parameter, signatureOf } from '../../lib/util/signature.js'

const number = { type: 'number' }
const text = { type: 'string' }

/** The parameters as a text: `a: {"type":"number"}`. */
function parameters(names: unknown, input?: unknown): string | undefined {
  const format = ({ name, schema, isRequired, isRest }: Parameter) =>
    `${isRest ? '...' : ''}${name}${isRequired || isRest ? '' : '?'}: ${schema === true ? true : (schema as { type: string }).type}`
  return signatureOf({ parameters: names, input }).parameters?.map(format).join(', ')
}

t.test('names alone', t => {
  t.equal(parameters(['a', 'b?', '...c']), 'a: undefined, b?: undefined, ...c: undefined')
  t.equal(
    parameters(['a?', 'b', 'c?']),
    'a: undefined, b: undefined, c?: undefined',
    'the required ones come first'
  )
  t.equal(parameters([]), '')
  for (const names of [undefined, null, 5, 'a', [5], {}]) t.equal(parameters(names), undefined)
  t.end()
})

t.test('the schema decides how many arguments there are', t => {
  const pair = { prefixItems: [number, text], items: false, minItems: 1 }
  t.equal(parameters(['a', 'b'], pair), 'a: number, b?: string')
  t.equal(parameters(['a'], pair), 'a: number, arg1?: string')
  t.equal(parameters(['a', 'b', 'c?'], pair), 'a: number, b?: string')
  t.equal(parameters(['...all'], pair), 'arg0: number, arg1?: string')
  t.equal(parameters(undefined, pair), 'arg0: number, arg1?: string')
  t.equal(parameters(['a', '...all'], { ...pair, items: number }), 'a: number, arg1?: string, ...all: number')
  t.equal(parameters(['a?'], { prefixItems: [number], minItems: 1 }), 'a: number')
  t.equal(parameters(['a'], { prefixItems: [number] }), 'a?: number')
  t.end()
})

t.test('a schema of any number of arguments', t => {
  t.equal(parameters(['a', 'b?'], { items: number }), 'a: number, b?: number')
  t.equal(parameters(['a', '...b'], { items: number }), 'a: number, ...b: number')
  t.equal(parameters(undefined, { items: number }), '...args: number')
  t.equal(parameters(undefined, { anyOf: [] }), '...args: undefined')
  t.equal(parameters(['a'], true), 'a: undefined')
  t.end()
})

t.test('a schema that refers to the list, and one that does not end', t => {
  const list = { prefixItems: [number], minItems: 1 }
  t.equal(parameters(['a'], { $ref: '#/$defs/L', $defs: { L: list } }), 'a: number')
  t.equal(parameters(['a'], { $ref: '#' }), 'a: undefined')
  t.equal(parameters(['a'], { $ref: '#/missing' }), 'a: undefined')
  t.end()
})

t.test('what a peer says is not trusted', t => {
  const cycle: Record<string, unknown> = {}
  cycle.items = cycle
  t.same(signatureOf({ parameters: ['a'], input: cycle, output: cycle }), {
    parameters: [{ name: 'a', schema: {}, isRequired: true, isRest: false }],
    input: true,
    output: undefined
  })
  t.same(signatureOf({ output: number }), { parameters: undefined, input: true, output: number })
  t.end()
})
