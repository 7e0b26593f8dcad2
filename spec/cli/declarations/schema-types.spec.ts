// Specs of JSON Schemas as types of TypeScript.
import fc from 'fast-check'
import t from 'tap'
import { UniqueNames } from '../../../lib/cli/declarations/names.js'
import { SchemaTypes } from '../../../lib/cli/declarations/schema-types.js'
import type { Schema } from '../../../lib/util/json-schema.js'
import { diagnosticsOfTypes } from '../../support/type-check.js'

/** The type of a schema, and the declarations that it needs. */
function typesOf(schema: unknown): string[] {
  const types = new SchemaTypes(new UniqueNames())
  const { text } = types.typeOf(schema as Schema, schema as Schema, 'm-result')
  return [text, ...types.declarations('type')]
}

t.test('the type of a schema', t => {
  const number = { type: 'number' }
  const text = { type: 'string' }
  const types: [schema: unknown, type: string][] = [
    [true, 'unknown'],
    [false, 'never'],
    [{}, 'unknown'],
    [{ type: 'integer' }, 'number'],
    [{ type: 'boolean' }, 'boolean'],
    [{ type: 'null' }, 'null'],
    [{ type: 'date' }, 'unknown'],
    [{ type: 5 }, 'unknown'],
    [{ type: [] }, 'unknown'],
    [{ type: ['string', 'null'] }, 'string | null'],
    [{ type: ['string', 'number', 'string'] }, 'string | number'],
    [{ ...text, nullable: true }, 'string | null'],
    [{ const: 'it\'s "a"' }, '"it\'s \\"a\\""'],
    [{ const: null }, 'null'],
    [{ const: -1.5 }, '-1.5'],
    [{ const: { a: [1, true], b: {} } }, '{ a: [1, true]; b: { [key: string]: never } }'],
    [{ ...text, enum: ['a', 'b', 'a', 1, null] }, '"a" | "b" | 1 | null'],
    [{ enum: [] }, 'never'],
    [{ enum: 'a' }, 'unknown'],
    [{ anyOf: [text, number] }, 'string | number'],
    [{ oneOf: [text, {}] }, 'unknown'],
    [{ oneOf: [text, false] }, 'string'],
    [{ anyOf: 5 }, 'unknown'],
    [{ allOf: [text, { minLength: 2 }] }, 'string'],
    [
      { allOf: [{ properties: { a: number } }, { properties: { b: text } }] },
      '{ a?: number } & { b?: string }'
    ],
    [{ allOf: [text, { anyOf: [text, number] }] }, 'string & (string | number)'],
    [{ allOf: [text, false] }, 'never'],
    [{ type: 'object', anyOf: [{ required: ['a'] }] }, '{ a: unknown }'],
    [{ not: {} }, 'never'],
    [{ not: true }, 'never'],
    [{ not: text }, 'unknown'],
    [{ type: 'array' }, 'unknown[]'],
    [{ type: 'array', items: number }, 'number[]'],
    [{ items: { type: ['number', 'null'] } }, '(number | null)[]'],
    [{ items: false }, '[]'],
    [{ prefixItems: [number, text], minItems: 1 }, '[number, string?]'],
    [{ prefixItems: [number], items: { enum: [1, 2] }, minItems: 1 }, '[number, ...(1 | 2)[]]'],
    [{ prefixItems: [{ enum: [1, 2] }] }, '[(1 | 2)?]'],
    [{ type: 'object' }, '{ [key: string]: unknown }'],
    [{ type: 'object', additionalProperties: false }, '{ [key: string]: unknown }'],
    [{ additionalProperties: number }, '{ [key: string]: number }'],
    [{ additionalProperties: true }, '{ [key: string]: unknown }'],
    [{ patternProperties: { '^x': number } }, '{ [key: string]: number }'],
    [{ properties: { a: number, 'b c': text }, required: ['a'] }, '{ a: number; "b c"?: string }'],
    [{ properties: { a: 5 }, required: 'a' }, '{ a?: unknown }'],
    [{ properties: 5, required: ['z', 5] }, '{ z: unknown }'],
    [
      { properties: { a: text }, additionalProperties: number },
      '{ a?: string; [key: string]: number | string | undefined }'
    ],
    [
      { properties: { a: text }, required: ['a'], additionalProperties: number },
      '{ a: string; [key: string]: number | string }'
    ],
    [
      { propertyNames: { enum: ['a', 'b'] }, additionalProperties: number, required: ['a'] },
      '{ a: number; b?: number }'
    ],
    [
      { properties: { new: text, constructor: text, default: text } },
      '{ "new"?: string; "constructor"?: string; default?: string }'
    ],
    [
      { properties: { a: { description: 'First\r\n\tline\u2028*/' } }, required: ['a'] },
      '{\n  /**\n   * First\n   *  line\n   * *\\/\n   */\n  a: unknown\n}'
    ],
    [{ type: ['object', 'null'], properties: { a: text } }, '{ a?: string } | null'],
    [{ $ref: 'other.json' }, 'unknown'],
    [{ $ref: '#/$defs/none', type: 'string' }, 'string']
  ]
  for (const [i, [schema, type]] of types.entries()) t.same(typesOf(schema), [type], `type ${i}`)
  t.end()
})

t.test('a long object has a line for each property', t => {
  const properties = {
    first: { enum: ['a'.repeat(40)] },
    second: { properties: { third: { enum: ['b'.repeat(60)] } } }
  }
  t.same(typesOf({ properties }), [
    [
      '{',
      `  first?: "${'a'.repeat(40)}"`,
      '  second?: {',
      `    third?: "${'b'.repeat(60)}"`,
      '  }',
      '}'
    ].join('\n')
  ])
  t.end()
})

t.test('references are types with a name', t => {
  const tree = { properties: { kids: { items: { $ref: '#/$defs/tree-node' } } } }
  t.same(typesOf({ $defs: { 'tree-node': tree }, items: { $ref: '#/$defs/tree-node' } }), [
    'TreeNode[]',
    'type TreeNode = { kids?: TreeNode[] }'
  ])
  t.same(typesOf({ description: 'A chain', properties: { next: { $ref: '#' } } }), [
    'MResult',
    '/** A chain */\ntype MResult = { next?: MResult }'
  ])
  t.same(typesOf({ prefixItems: [{ $ref: '#/$defs/0' }], $defs: { 0: { type: 'string' } } }), [
    '[Type0?]',
    'type Type0 = string'
  ])
  t.end()
})

t.test('references of one name, and schemas that are equal', t => {
  const types = new SchemaTypes(new UniqueNames())
  const root = (item: object) => ({ $defs: { Item: item }, $ref: '#/$defs/Item' })
  const names = [
    ...[{ type: 'string' }, { type: 'number' }, { type: 'string' }],
    ...[{ properties: { a: true } }, { properties: { a: true }, additionalProperties: false }],
    ...[{ enum: ['x'.repeat(20_000)] }, { enum: ['x'.repeat(20_000)] }]
  ].map(item => types.typeOf(root(item), root(item), 'r').text)
  t.same(names, ['Item', 'Item_2', 'Item', 'Item_3', 'Item_3', 'Item_4', 'Item_5'])
  t.equal(types.declarations('export type')[1], 'export type Item_2 = number')
  const large = root({ enum: ['x'.repeat(20_000)] })
  t.equal(types.typeOf(large, large, 'r').text, types.typeOf(large, large, 'r').text)
  t.end()
})

t.test('a type that would be itself is not known', t => {
  t.same(typesOf({ $ref: '#' }), ['MResult', 'type MResult = unknown'])
  const $defs = {
    A: { anyOf: [{ $ref: '#/$defs/B' }, { type: 'string' }] },
    B: { allOf: [{ $ref: '#/$defs/C' }, { properties: { a: { $ref: '#/$defs/A' } } }] },
    C: { anyOf: [{ $ref: '#/$defs/A' }, { items: { $ref: '#/$defs/C' } }] }
  }
  t.same(
    typesOf({ $defs, $ref: '#/$defs/A' }),
    ['A', 'type A = B | string', 'type B = C & { a?: A }', 'type C = unknown'].slice(0, 4)
  )
  const chain = Object.fromEntries(
    Array.from({ length: 2000 }, (_, i) => [`D${i}`, { $ref: `#/$defs/D${i + 1}` }])
  )
  const [, ...declarations] = typesOf({ $defs: { ...chain, D2000: {} }, $ref: '#/$defs/D0' })
  t.same(diagnosticsOfTypes(declarations.join('\n')), [], 'a chain of references ends')
  t.end()
})

/** Schemas of all kinds, and what is none. */
const { schema: arbitrarySchema } = fc.letrec(tie => {
  const name = fc.oneof(
    fc.constantFrom('a', 'b', '__proto__', 'new', '*/', 'x y'),
    fc.string({ unit: 'grapheme' })
  )
  const reference = fc.oneof(
    fc.constantFrom('#', '#/$defs/a', '#/$defs/b', '#/items', '#/properties/a', '#/none'),
    fc.string()
  )
  const schemas = fc.array(tie('schema'), { maxLength: 3 })
  const named = fc.dictionary(name, tie('schema'), { maxKeys: 3 })
  const keywords = {
    $ref: reference,
    type: fc.oneof(
      fc.constantFrom('string', 'integer', 'number', 'boolean', 'null', 'array', 'object', 'text'),
      fc.array(fc.constantFrom('string', 'null', 'array', 'object'), { maxLength: 3 })
    ),
    description: fc.oneof(
      fc.constantFrom('*/', 'a\n*/ b', '/*', '@param', '\\', '* /'),
      fc.string({ unit: 'binary' })
    ),
    const: fc.jsonValue(),
    enum: fc.array(fc.jsonValue(), { maxLength: 3 }),
    nullable: fc.boolean(),
    required: fc.array(name, { maxLength: 2 }),
    minItems: fc.nat(3),
    maxItems: fc.nat(3),
    $defs: fc.dictionary(fc.constantFrom('a', 'b'), tie('schema')),
    propertyNames: fc.record({ enum: fc.array(name, { maxLength: 3 }) }),
    ...{ properties: named, patternProperties: named },
    ...{ anyOf: schemas, oneOf: schemas, allOf: schemas, prefixItems: schemas },
    ...{ items: fc.oneof(tie('schema'), schemas), additionalProperties: tie('schema'), not: tie('schema') }
  }
  return {
    schema: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      {
        arbitrary: fc.constantFrom<unknown>(true, false, {}, null, 5, 'text', [], { type: 'string' }),
        weight: 1
      },
      { arbitrary: fc.record(keywords, { requiredKeys: [] }), weight: 3 }
    )
  }
})

t.test('a short schema has no type without end', t => {
  const nested = (wrap: (schema: object) => object, depth = 40): object =>
    depth === 0 ? { type: 'string' } : wrap(nested(wrap, depth - 1))
  const wraps: ((schema: object) => object)[] = [
    schema => ({ type: ['object', 'object'], properties: { a: schema } }),
    schema => ({ propertyNames: { enum: ['a', 'b'] }, additionalProperties: schema }),
    schema => ({ properties: { a: schema }, additionalProperties: { type: 'number' } })
  ]
  for (const wrap of wraps) {
    const started = performance.now()
    t.ok(typesOf(nested(wrap)).join().length < 200_000)
    t.ok(performance.now() - started < 2000)
  }
  t.end()
})

t.test('any schema gives types that the compiler takes', t => {
  fc.assert(
    fc.property(arbitrarySchema, schema => {
      const [type, ...declarations] = typesOf(JSON.parse(JSON.stringify(schema)))
      const diagnostics = diagnosticsOfTypes(`${declarations.join('\n')}\nexport type Result = ${type}\n`)
      if (diagnostics.length > 0)
        throw new Error(`${diagnostics.join('; ')} in ${declarations.join('\n')}\n${type}`)
    }),
    { numRuns: 60 }
  )
  t.end()
})
