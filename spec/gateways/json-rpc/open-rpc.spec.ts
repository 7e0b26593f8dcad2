// Specs of OpenRPC documents: written with types for `rpc.discover`, and read by `connectJsonRpc`.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { Ajv } from 'ajv'
import { scope } from 'arktype'
import fc from 'fast-check'
import t from 'tap'
import { z } from 'zod'
import { ComponentSchemas } from '../../../lib/gateways/json-rpc/component-schemas.js'
import { readOpenRpc } from '../../../lib/gateways/json-rpc/open-rpc-reader.js'
import { connectJsonRpc, describeByOpenRpc, type OpenRpcMethod } from '../../../lib/gateways/json-rpc.js'
import { expose, exposed, Netref, Service, serve } from '../../../lib/index.js'
import { netref } from '../../support/command-line.js'
import { overMemory } from '../../support/helpers.js'
import { post, withJsonRpc } from '../../support/json-rpc.js'
import { diagnosticsOfTypes } from '../../support/type-check.js'
import type { Untyped } from '../../support/wire.js'

interface Branch {
  readonly label: string
  readonly branches: Branch[]
}
const Branch: z.ZodType<Branch> = z.object({ label: z.string(), branches: z.array(z.lazy(() => Branch)) })
const Plant = z.object({ name: z.string(), height: z.number().optional() }).meta({ id: 'Plant' })
const { Chain } = scope({ Chain: { 'next?': 'Chain', value: 'number' } }).export()

class Garden extends Service {
  @exposed({
    help: 'Adds two numbers',
    schema: z.tuple([z.number(), z.number().optional()]),
    returns: z.number()
  })
  add(a: number, b = 0) {
    return a + b
  }
  @exposed({ schema: z.tuple([Branch, z.string()]), returns: Branch }) grow(branch: Branch, _label: string) {
    return branch
  }
  @exposed({ schema: z.tuple([Plant, Plant]), returns: z.array(Plant) }) compare(
    one: z.infer<typeof Plant>,
    other: z.infer<typeof Plant>
  ) {
    return [one, other]
  }
  @exposed({ returns: Plant }) first() {
    return { name: 'moss' }
  }
  @exposed({ schema: z.tuple([z.string()], z.boolean()), returns: z.tuple([z.string()], z.boolean()) })
  water(name: string, ...days: boolean[]): [string, ...boolean[]] {
    return [name, ...days]
  }
  @exposed({ returns: Chain }) chain() {
    return { value: 1 }
  }
  @exposed({ schema: z.tuple([z.object({ x: z.number() }), z.number()]) }) move(
    { x }: { x: number },
    by: number
  ) {
    return x + by
  }
  @exposed later(after?: number) {
    return after
  }
}

const require = createRequire(import.meta.url)

const DRAFT_7 = 'http://json-schema.org/draft-07/schema#'

/** Checks documents by the meta-schema of OpenRPC, with that of JSON Schema of draft 7 for the schemas in them. */
function validator() {
  // Its types do not have the schema itself.
  const { openrpcDocument } = require('@open-rpc/meta-schema') as Untyped
  const { $schema: _, ...metaSchema } = JSON.parse(
    JSON.stringify(openrpcDocument)
      .replaceAll('https://meta.json-schema.tools/#/definitions/JSONSchemaObject', DRAFT_7)
      .replaceAll('"https://meta.json-schema.tools"', `"${DRAFT_7}"`)
  )
  return new Ajv({ strict: false, validateFormats: false }).compile(metaSchema)
}

/** Whether a value is valid by the schema of a content in a document. */
function isValid(document: Untyped, schema: unknown, value: unknown): boolean {
  const ajv = new Ajv({ strict: false })
  const root = { ...(schema as object), components: document.components }
  return ajv.validate(root, value)
}

t.test('the document is valid by the meta-schema, and its schemas say what the service accepts', async t => {
  await withJsonRpc(t, Garden, async ({ url }) => {
    const { result: document } = await post(url, { jsonrpc: '2.0', id: 1, method: 'rpc.discover' })
    const validate = validator()
    t.ok(validate(document), JSON.stringify(validate.errors))
    t.notOk(validate({ ...document, methods: [{}] }), 'the validator tells')
    const methods = new Map<string, OpenRpcMethod>(
      document.methods.map((method: Untyped) => [method.name, method])
    )
    t.same(methods.get('add'), {
      ...{ name: 'add', description: 'Adds two numbers', paramStructure: 'either' },
      params: [
        { name: 'a', required: true, schema: { type: 'number' } },
        { name: 'b', required: false, schema: { type: 'number' } }
      ],
      result: { name: 'result', schema: { type: 'number' } }
    })
    const [branch, label] = methods.get('grow')!.params
    t.same(label, { name: '_label', required: true, schema: { type: 'string' } })
    const tree = { label: 'a', branches: [{ label: 'b', branches: [] }] }
    const broken = { label: 'a', branches: [{ label: 5, branches: [] }] }
    for (const { schema } of [branch!, methods.get('grow')!.result])
      t.same([isValid(document, schema, tree), isValid(document, schema, broken)], [true, false])
    t.same(
      methods.get('compare')!.params.map(({ schema }) => schema),
      [{ $ref: '#/components/schemas/Plant' }, { $ref: '#/components/schemas/Plant' }]
    )
    t.match(document.components.schemas.Plant, { required: ['name'] })
    t.match(methods.get('water'), {
      paramStructure: 'by-position',
      params: [
        { name: 'name', required: true },
        { name: '...days', required: false, schema: { type: 'boolean' } }
      ],
      result: { schema: { items: [{ type: 'string' }], additionalItems: { type: 'boolean' } } }
    })
    const chain = methods.get('chain')!.result.schema
    t.same(
      [
        { value: 1, next: { value: 2 } },
        { value: 1, next: {} }
      ].map(value => isValid(document, chain, value)),
      [true, false]
    )
    t.match(methods.get('move'), { paramStructure: 'either', params: [{ name: 'arg0' }, { name: 'by' }] })
    t.same(methods.get('later')!.params, [{ name: 'after', required: true, schema: {} }])
    t.same(methods.get('first')!.params, [])
  })
})

t.test('the document of a session that is not of the gateway', t =>
  overMemory(t, { add: (a: number, b: number) => a + b }, async ({ root }) => {
    t.same(await describeByOpenRpc(root), {
      openrpc: '1.3.2',
      info: { title: 'netref service', version: '0.0.0' },
      methods: [
        {
          ...{ name: 'add', paramStructure: 'either' },
          params: ['a', 'b'].map(name => ({ name, required: true, schema: {} })),
          result: { name: 'result', schema: {} }
        }
      ]
    })
  })
)

t.test('references beside other keywords, to the root, into nothing, and of the same name', t => {
  const components = new ComponentSchemas()
  const first = { $defs: { A: { type: 'string' } }, items: { $ref: '#/$defs/A', minLength: 1 } }
  const second = { $defs: { A: { not: { $ref: '#' } } }, allOf: [true], $ref: '#/$defs/A' }
  t.same(components.add(first, first, 'f'), {
    items: { minLength: 1, allOf: [{ $ref: '#/components/schemas/A' }] }
  })
  t.same(components.add(second, second, 'm.result'), {
    allOf: [{ $ref: '#/components/schemas/A_2' }, true]
  })
  t.same(components.add({ $ref: '#/$defs/Missing', title: 'x' }, first, 'f'), { title: 'x' })
  t.same(components.add({ $ref: 'https://example.org/a', $id: 'a' }, first, 'f'), {})
  t.same(components.add({ enum: [{ $ref: '#' }], properties: 5, items: 5 }, first, 'f'), {
    ...{ enum: [{ $ref: '#' }], properties: 5, items: {} }
  })
  const large = { $defs: { '': { description: 'x'.repeat(20_000), items: { $ref: '#/$defs/' } } } }
  for (let i = 0; i < 2; i++)
    t.same(components.add({ $ref: '#/$defs/' }, large, 'f'), { $ref: '#/components/schemas/_' })
  t.same(components.components(), {
    A: { type: 'string' },
    A_2: { not: { $ref: '#/components/schemas/m.result' } },
    _: { description: 'x'.repeat(20_000), items: { $ref: '#/components/schemas/_' } },
    'm.result': { allOf: [{ $ref: '#/components/schemas/A_2' }, true] }
  })
  t.end()
})

t.test('any schema gives one whose references are there', t => {
  const keyword = fc.constantFrom('items', 'properties', 'anyOf', 'prefixItems', '$defs', 'title')
  const { schema } = fc.letrec(tie => ({
    schema: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom<unknown>(
        true,
        {},
        null,
        5,
        'x',
        { $ref: '#' },
        { $ref: '#/$defs/a' },
        { $ref: '#/$defs/~1%' }
      ),
      fc.dictionary(fc.oneof(keyword, fc.constant('a'), fc.constant('__proto__')), tie('schema')),
      fc.record({ $defs: fc.dictionary(fc.constantFrom('a', '/%'), tie('schema')), items: tie('schema') }),
      fc.record({ anyOf: fc.array(tie('schema')), properties: fc.dictionary(fc.string(), tie('schema')) })
    )
  }))
  fc.assert(
    fc.property(schema, schema, (one, other) => {
      const components = new ComponentSchemas()
      const roots = [one, other].map(
        root => (typeof root === 'object' && root !== null ? root : {}) as object
      )
      const added = roots.map(root => components.add(root as never, root as never, 'm.result'))
      const schemas = components.components()
      const text = JSON.stringify([added, schemas])
      for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]*)"/g))
        if (!Object.hasOwn(schemas, name!)) throw new Error(`${name} is missing`)
    })
  )
  t.end()
})

t.test('connectJsonRpc reads what a server of netref says', async t => {
  await withJsonRpc(t, Garden, async ({ url }) => {
    await using conn = connectJsonRpc<Garden>(url)
    const described = new Map((await Netref.describe(conn.root)).map(one => [one.name, one]))
    t.same(described.get('add'), {
      ...{ name: 'add', kind: 'function', help: 'Adds two numbers', parameters: ['a', 'b?'] },
      input: {
        type: 'array',
        prefixItems: [{ type: 'number' }, { type: 'number' }],
        items: false,
        minItems: 1
      },
      output: { type: 'number' }
    })
    t.match(described.get('water'), {
      ...{
        parameters: ['name', '...days'],
        input: { prefixItems: { length: 1 }, items: { type: 'boolean' } }
      }
    })
    t.same(described.get('later'), { name: 'later', kind: 'function', parameters: ['after'] })
    const { input, output } = described.get('grow')!
    for (const root of [input!, output!]) {
      t.equal(Object.keys((root.components as Untyped).schemas).length, 1)
      t.match(JSON.stringify(root), /"\$ref":"#\/components\/schemas\/(__schema0|grow.result)"/)
    }
    await conn.close()
  })
})

t.test('documents of other servers', t => {
  const read = (document: unknown) => [...readOpenRpc(document).values()]
  for (const document of [null, 5, [], {}, { methods: 5 }, { methods: [{}] }, { methods: [null] }])
    t.throws(() => read(document), {
      code: 'protocol',
      message: 'rpc.discover returned no document of OpenRPC'
    })
  t.same(
    read({
      methods: [
        { name: 'a', params: 5, result: 5, summary: 5 },
        { name: 'b', params: [5], result: { schema: true } },
        {
          name: 'c',
          params: [{ $ref: '#/components/contentDescriptors/Id' }],
          result: { $ref: '#/components/contentDescriptors/None' },
          summary: 'in short'
        },
        { name: 'd', params: [], result: { schema: { $ref: '#/components/schemas/Missing' } } },
        { name: 'e', result: { schema: { items: [{ $ref: '#/components/schemas/A' }, { $ref: 'urn:x' }] } } }
      ],
      components: {
        schemas: { A: { items: { $ref: '#/components/schemas/A' } } },
        contentDescriptors: { Id: { name: 'id', required: true, schema: { type: 'string' } } }
      }
    }),
    [
      { parameters: [] },
      {},
      {
        ...{ parameters: ['id'], help: 'in short' },
        input: { type: 'array', prefixItems: [{ type: 'string' }], items: false, minItems: 1 }
      },
      {
        parameters: [],
        output: { $ref: '#/components/schemas/Missing', components: { schemas: { Missing: {} } } }
      },
      {
        parameters: [],
        output: {
          items: [{ $ref: '#/components/schemas/A' }, { $ref: 'urn:x' }],
          components: { schemas: { A: { items: { $ref: '#/components/schemas/A' } } } }
        }
      }
    ]
  )
  const large = {
    methods: Array.from({ length: 100 }, (_, i) => ({ name: `m${i}`, result: { schema: REFERENCE } }))
  }
  const described = read({ ...large, components: { schemas: { A: { description: 'x'.repeat(2 ** 20) } } } })
  t.equal(described.filter(({ output }) => output).length, 3, 'the types of a document are bounded')
  t.end()
})
const REFERENCE = { $ref: '#/components/schemas/A' }

t.test('netref describe writes the types of a foreign server that another server passes on', async t => {
  const document = {
    methods: [
      {
        name: 'maths.add',
        description: 'Adds */ export const x = 1 /*\nnumbers',
        params: [
          { name: 'a b', required: true, schema: { $ref: '#/components/schemas/*~1' } },
          { name: '...new', schema: { items: [{ type: 'string' }] } }
        ],
        result: { name: 'sum', schema: { $ref: '#/components/schemas/*~1' } }
      },
      { name: 'new', result: { schema: { const: '"; export const y = 2' } } }
    ],
    components: {
      schemas: { '*/': { type: 'object', properties: { '*/': { $ref: '#/components/schemas/*~1' } } } }
    }
  }
  const foreign = createServer((_, response) => response.end(JSON.stringify({ result: document })))
  foreign.listen(0, '127.0.0.1')
  await once(foreign, 'listening')
  const { port } = foreign.address() as AddressInfo
  await using conn = connectJsonRpc(`http://127.0.0.1:${port}`)
  await using hub = await serve(() => expose({ foreign: conn.root }), { port: 0 })
  const { code, stdout } = await netref(['describe', hub.url, 'foreign', '--types'])
  t.same([code, diagnosticsOfTypes(stdout)], [0, []])
  t.equal(
    stdout.split('\n').slice(2).join('\n'),
    `export interface Foreign {
  readonly maths: Maths
  "new"(): "\\"; export const y = 2"
}

export interface Maths {
  /**
   * Adds *\\/ export const x = 1 /*
   * numbers
   */
  add(arg0: Type, ...arg1: [string?][]): Type
}

export type Type = { "*/"?: Type }
`
  )
  await conn.close()
  foreign.close()
})
