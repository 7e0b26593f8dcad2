// Specs of types as Go writes them, and of those of JSON Schemas.
import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import t from 'tap'
import * as v from 'valibot'
import * as z from 'zod'
import { toJsonSchema } from '../../../lib/access/json-schema.js'
import { StructType } from '../../../lib/gateways/go-rpc/gob/composite-types.js'
import { InferredTypes } from '../../../lib/gateways/go-rpc/inferred-types.js'
import { schemaShape } from '../../../lib/gateways/go-rpc/schema-shape.js'
import { parseType } from '../../../lib/gateways/go-rpc/type-expression.js'
import type { JsonSchema } from '../../../lib/index.js'
import type { StandardSchema } from '../../../lib/types/standard-schema.js'

t.test('types of Go', async t => {
  for (const [text, name] of Object.entries({
    int32: 'int',
    rune: 'int',
    byte: 'uint',
    float32: 'float64',
    '**string': 'string',
    '(bool)': 'bool',
    'interface{}': 'interface {}',
    any: 'interface {}',
    '[]byte': '[]uint8',
    '[][]uint8': '[][]uint8',
    '[4]byte': '[4]uint',
    'map[ string ] []*int': 'map[string][]int',
    'struct{}': 'struct {}',
    'struct { X, Y int; Name string `json:"x;y"`\n\n b bool; É []int "tag" }':
      'struct { X int; Y int; Name string; É []int }',
    'struct {\n  A struct { B int }\n}': 'struct { A struct { B int } }',
    'time.Time': 'Time'
  }))
    t.equal(parseType(text, () => undefined).name, name, text)
  for (const [text, message] of Object.entries({
    '': 'it has no end',
    '[]': 'it has no end',
    '[]int x': '"x" is behind its end',
    '[x]int': 'the length of an array is a number',
    'map(string]int': '"(" is in the place of "["',
    'struct { A }': '"}" is not a type of Go that is known here',
    'struct { A int B int }': 'it has no ";" behind "A"',
    'struct { a.B int }': '"a.B" is not the name of a field',
    'struct { 5 int }': '"5" is not the name of a field',
    'interface { M() }': '"M" is in the place of "}"',
    float: '"float" is not a type of Go that is known here',
    'chan int': '"chan" is not a type of Go that is known here'
  }))
    t.throws(() => parseType(text, () => undefined), { message }, text)
  t.throws(() => parseType('[]'.repeat(200), () => undefined), { message: 'it is too deep' })
})

/** The name of the type by a schema; undefined if the schema leaves it open. */
function typeOf(schema: unknown): string | undefined {
  const json = toJsonSchema(schema as StandardSchema, 'output')
  return json && nameOf(json)
}
function nameOf(json: JsonSchema): string | undefined {
  const found = new InferredTypes().typeOf(schemaShape(json))
  return found instanceof StructType && found.fields.length > 5 ? 'struct' : found?.name
}

interface Node {
  Name: string
  Nodes: Node[]
}
const node: z.ZodType<Node> = z.object({ Name: z.string(), Nodes: z.array(z.lazy(() => node)) })

t.test('types of JSON Schemas', async t => {
  for (const [schema, name] of [
    [z.int(), 'int'],
    [z.number(), 'float64'],
    [z.boolean(), 'bool'],
    [z.string(), 'string'],
    [z.enum(['a', 'b']), 'string'],
    [z.literal('a'), 'string'],
    [z.literal(5), 'float64'],
    [z.number().nullable(), 'float64'],
    [z.array(z.int()), '[]int'],
    [z.record(z.string(), z.array(z.int())), 'map[string][]int'],
    [z.object({ Name: z.string(), Price: z.number() }), 'struct { Name string; Price float64 }'],
    [z.object({ Name: z.string(), When: z.date() }), 'struct { Name string }'],
    [z.object({ a: z.number(), b: z.number() }), 'map[string]float64'],
    [z.object({ a: z.number(), b: z.string() }), 'map[string]interface {}'],
    [z.object({ a: z.any(), b: z.number() }), undefined],
    [z.looseObject({ a: z.number() }), undefined],
    [z.object({}), undefined],
    [z.union([z.string(), z.number()]), undefined],
    [z.union([z.string(), z.literal('a')]), 'string'],
    [z.tuple([z.number(), z.number()]), undefined],
    [z.date(), undefined],
    [type('number.integer'), 'int'],
    [type({ Name: 'string', 'Age?': 'number' }), 'struct { Name string; Age float64 }'],
    [toStandardJsonSchema(v.object({ Name: v.string() })), 'struct { Name string }']
  ] as const)
    t.equal(typeOf(schema), name, JSON.stringify(toJsonSchema(schema as StandardSchema, 'output')))
  t.match(typeOf(node), /^struct { Name string; Nodes \[\]struct { Name string; Nodes \[\]struct/)
  t.equal(nameOf({ type: ['string', 'null'] }), 'string')
  t.equal(nameOf({ $ref: '#/$defs/a~1b', $defs: { 'a/b': { type: 'integer' } } }), 'int')
  t.equal(nameOf({ $ref: 'http://elsewhere' }), undefined)
  t.equal(nameOf({ $ref: '#' }), undefined, 'a schema that is only itself')
  t.equal(nameOf({ type: 'money' }), undefined)
  t.equal(nameOf({ enum: ['a', 'b'] }), 'string')
  t.equal(nameOf({ enum: ['a', 1] }), undefined)
  t.equal(nameOf({ const: 'a' }), 'string')
  t.equal(nameOf({ type: 'array', items: true }), undefined)
})
