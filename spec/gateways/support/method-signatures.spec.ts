// Specs of signatures in the type names of XML-RPC.
import t from 'tap'
import { z } from 'zod'
import { methodSignatures } from '../../../lib/gateways/support/method-signatures.js'
import type { JsonSchema } from '../../../lib/index.js'

const signatures = (parameters: string[] | undefined, input?: JsonSchema, output?: JsonSchema) =>
  methodSignatures({
    name: 'm',
    kind: 'function',
    ...(parameters && { parameters }),
    ...{ input, output }
  } as never)
/** The name for the result of a schema. */
const nameOf = (output: JsonSchema) => signatures([], undefined, output)?.[0]?.[0]

t.test('each number of arguments has a signature', t => {
  const number = { type: 'number' }
  t.same(
    signatures(['a', 'b'], { prefixItems: [number, { type: 'string' }], minItems: 2 }, { type: 'integer' }),
    [['int', 'double', 'string']]
  )
  t.same(signatures(['a', 'b?', 'c?'], { prefixItems: [number, number, number], minItems: 1 }, number), [
    ['double', 'double'],
    ['double', 'double', 'double'],
    ['double', 'double', 'double', 'double']
  ])
  t.same(signatures([], undefined, { type: 'null' }), [['nil']])
  t.same(signatures(undefined, { prefixItems: [number], minItems: 1 }, number), [['double', 'double']])
  t.same(signatures(['a', 'b'], { items: number }, number), [['double', 'double', 'double']])
  t.end()
})

t.test('what is not known has none', t => {
  const number = { type: 'number' }
  t.equal(signatures(['a'], undefined, number), undefined)
  t.equal(signatures(['a'], { prefixItems: [number] }), undefined)
  t.equal(signatures(['...a'], { items: number }, number), undefined)
  t.equal(signatures(undefined, undefined, number), undefined)
  t.end()
})

t.test('the type of a schema', t => {
  const tree: JsonSchema = { $defs: { A: { type: 'object' } }, $ref: '#/$defs/A' }
  const named: [JsonSchema, string | undefined][] = [
    [{ type: 'boolean' }, 'boolean'],
    [{ type: 'array' }, 'array'],
    [{ type: ['integer', 'number'] }, 'double'],
    [{ type: ['string', 'null'] }, undefined],
    [{ type: [] }, undefined],
    [{ type: 'text' }, undefined],
    [{ enum: ['a', 'b'] }, 'string'],
    [{ enum: [1, 2.5] }, 'double'],
    [{ enum: [1, true] }, undefined],
    [{ const: 1 }, 'int'],
    [{ const: null }, 'nil'],
    [{ const: [1] }, 'array'],
    [{ const: { a: 1 } }, 'struct'],
    [{ anyOf: [{ type: 'string' }, { const: 'a' }] }, 'string'],
    [{ oneOf: [{ type: 'string' }, {}] }, undefined],
    [{ allOf: [{ title: 'x' }, { type: 'string' }] }, 'string'],
    [{ allOf: [] }, undefined],
    [tree, 'struct'],
    [{ $ref: '#' }, undefined],
    [{ $ref: '#/a' }, undefined],
    [{}, undefined]
  ]
  for (const [schema, name] of named) t.equal(nameOf(schema), name, JSON.stringify(schema))
  const day = z.iso.datetime() as unknown as {
    '~standard': { jsonSchema: { output(o: object): JsonSchema } }
  }
  t.equal(
    nameOf(day['~standard'].jsonSchema.output({ target: 'draft-2020-12' })),
    'string',
    'a text is no dateTime'
  )
  t.end()
})
