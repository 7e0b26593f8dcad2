// Specs of the reading of JSON Schemas that are not validated.
import t from 'tap'
import {
  keysOfReference,
  listSchemaOf,
  referenceIdentity,
  referencesIn,
  resolveReference,
  toPlainSchema,
  toSchema
} from '../../lib/util/json-schema.js'

t.test('what is no schema says nothing', t => {
  for (const value of [null, undefined, 5, 'text', [], () => {}]) t.same(toSchema(value), {})
  t.equal(toSchema(false), false)
  const schema = { type: 'string' }
  t.equal(toSchema(schema), schema)
  t.end()
})

t.test('a schema of a peer is read as plain JSON', t => {
  const cycle: Record<string, unknown> = {}
  cycle.items = cycle
  for (const value of [cycle, { const: 1n }, undefined, 5, null, [], 'x', () => {}])
    t.equal(toPlainSchema(value), undefined)
  t.same(toPlainSchema({ enum: [Number.NaN], default: undefined, not: new Map() }), { enum: [null], not: {} })
  t.equal(toPlainSchema(false), false)
  t.end()
})

t.test('references are followed within their document', t => {
  const tree = { items: true }
  const root = { $defs: { 'a/b~c %': tree, '%': tree, text: 'x' }, prefixItems: [tree] }
  t.equal(resolveReference(root, '#'), root)
  t.equal(resolveReference(true, '#'), true)
  for (const reference of ['#/$defs/a~1b~0c%20%25', '#/$defs/%', '#/prefixItems/0'])
    t.equal(resolveReference(root, reference), tree, reference)
  for (const reference of [
    ...[
      '',
      'a',
      '#a',
      'https://example.org/#',
      '#/',
      '#/$defs/text',
      '#/$defs/text/length',
      '#/$defs/toString'
    ],
    ...['#/prefixItems/length', '#/prefixItems/1', '#/none/0']
  ])
    t.equal(resolveReference(root, reference), undefined, reference)
  t.same(keysOfReference('#/a/b~01'), ['a', 'b~1'])
  t.same(keysOfReference('#'), [])
  t.equal(keysOfReference('other#/a'), undefined)
  t.same(referencesIn(JSON.stringify({ $ref: '#/"a\\', items: [{ $ref: '#' }, { $ref: 5 }] })), [
    '#/"a\\',
    '#'
  ])
  t.end()
})

t.test('references that name equal schemas have one identity', t => {
  const root = (value: string) => ({
    $defs: { A: { items: { $ref: '#/$defs/B' } }, B: { anyOf: [{ $ref: '#/$defs/A' }, { const: value }] } }
  })
  const identity = (document: object, reference = '#/$defs/A') =>
    referenceIdentity(document as never, reference)
  t.equal(identity(root('x')), identity({ ...root('x'), title: 'another' }))
  t.not(identity(root('x')), identity(root('y')), 'a schema that it refers to differs')
  t.not(identity(root('x')), identity(root('x'), '#/$defs/B'))
  t.type(identity(root('x'), '#/$defs/Missing'), 'string')
  t.equal(identity(root('x'.repeat(10_000))), undefined)
  const chain = Object.fromEntries(
    Array.from({ length: 30 }, (_, i) => [`d${i}`, { $ref: `#/$defs/d${i + 1}` }])
  )
  t.equal(identity({ $defs: chain }, '#/$defs/d0'), undefined)
  t.type(identity({ $defs: chain }, '#/$defs/d15'), 'string')
  t.end()
})

t.test('the items of a list, by old and new keywords', t => {
  const number = { type: 'number' }
  t.same(listSchemaOf({}), { prefix: [], items: {}, minItems: undefined })
  t.same(listSchemaOf({ items: number, minItems: 2 }), { prefix: [], items: number, minItems: 2 })
  t.same(listSchemaOf({ items: false }), { prefix: [], items: false, minItems: undefined })
  t.same(listSchemaOf({ maxItems: 0 }), { prefix: [], items: false, minItems: undefined })
  const pair = { prefix: [number, number], minItems: 0 }
  t.same(listSchemaOf({ prefixItems: [number, number] }), { ...pair, items: false })
  t.same(listSchemaOf({ prefixItems: [number, number], items: true }), { ...pair, items: true })
  t.same(listSchemaOf({ prefixItems: [number, number], items: true, maxItems: 2 }), { ...pair, items: false })
  t.same(listSchemaOf({ items: [number, number], additionalItems: number }), { ...pair, items: number })
  t.same(listSchemaOf({ items: [number, 5], minItems: 'a' }), {
    prefix: [number, {}],
    items: false,
    minItems: 0
  })
  t.end()
})
