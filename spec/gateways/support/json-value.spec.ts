// Specs of the JSON of values.
import t from 'tap'
import { toJsonText } from '../../../lib/gateways/support/json-value.js'
import { expose, Service } from '../../../lib/index.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'
import { overMemory } from '../../support/helpers.js'
import type { Untyped } from '../../support/wire.js'

const text = (value: unknown, depth = 200) =>
  toJsonText(value, ['result'], { ...DEFAULT_LIMITS, depth }, 'JSON-RPC')
const cycle: unknown[] = []
cycle.push({ cycle })

t.test('plain data is written as JSON.stringify writes it', async t => {
  const values = [
    ...[null, true, false, 0, -1.5, 1e300, 5e-324, 2 ** 53, '', 'ä"\\\n\u2028\ud800', [], {}],
    { a: [1, { b: 'c' }], 'd e': null, left: undefined, list: [undefined] },
    JSON.parse('{"__proto__": {"x": 1}, "constructor": 5}'),
    Object.assign(Object.create(null), { bare: true })
  ]
  for (const value of values) t.equal(text(value), JSON.stringify(value))
})

t.test('values that JSON does not have are written in the form that others expect', async t => {
  t.equal(text(undefined), 'null')
  t.equal(text(-0), '0')
  t.equal(text(2n ** 70n), '1180591620717411303424')
  t.equal(text(new Date(0)), '"1970-01-01T00:00:00.000Z"')
  t.equal(text(new URL('http://a/b')), '"http://a/b"')
  t.equal(text(new Set([1, [2]])), '[1,[2]]')
  t.equal(
    text(
      new Map<unknown, unknown>([
        ['a', 1],
        [2, new Map()],
        [true, null],
        [undefined, 5]
      ])
    ),
    '{"a":1,"2":{},"true":null,"undefined":5}'
  )
  const bytes = Uint8Array.of(9, 0, 255, 16).subarray(1)
  for (const form of [bytes, Buffer.from(bytes), new Uint8ClampedArray(bytes), bytes.slice().buffer])
    t.equal(text(form), '"AP8Q"')
  t.equal(text(new DataView(bytes.buffer, 1, 2)), '"AP8="')
  t.equal(text(Float64Array.of(1.5, -2)), '[1.5,-2]')
  t.equal(text(BigInt64Array.of(-5n)), '[-5]')
  t.equal(
    text(Object.assign(new RangeError('too far'), { code: 'E', at: 3 })),
    '{"name":"RangeError","message":"too far","code":"E","at":3}'
  )
})

t.test('a value without a form is refused by its path', async t => {
  const refused = (value: unknown, message: string, maxDepth?: number) =>
    t.throws(() => text(value, maxDepth), {
      name: 'NoFormError',
      message: `${message}, and JSON-RPC has none${message.endsWith('a reference') ? '; pass plain data' : ''}`
    })
  refused(Number.NaN, 'result is NaN')
  refused({ a: [1, Number.NEGATIVE_INFINITY] }, 'result.a[1] is -Infinity')
  refused(Float32Array.of(Number.NaN), 'result[0] is NaN')
  refused({ when: new Date(Number.NaN) }, 'result.when is an invalid Date')
  refused([/a/], 'result[0] is a RegExp')
  refused(() => {}, 'result is a reference')
  refused([Symbol('s')], 'result[0] is a reference')
  refused({ p: Promise.resolve() }, 'result.p is a reference')
  refused({ 'the map': new Map([[[], 1]]) }, 'result["the map"] is a Map with keys that are objects')
  refused(new Map([[() => {}, 1]]), 'result is a Map with keys that are objects')
  refused([[[]]], 'result[0][0] is a cycle, or too deep', 2)
  t.equal(text([[5]], 2), '[[5]]')
  t.throws(() => text(cycle), /is a cycle, or too deep/)
})

t.test('a netref is refused at any depth', async t => {
  class Shop extends Service {
    exposed_orders(): Untyped {
      return [{ owner: expose({ name: () => 'x' }) }]
    }
  }
  await overMemory(t, Shop, async ({ root }) => {
    const orders = await root.orders()
    t.throws(
      () => text(orders),
      /^result\[0\]\.owner is a reference, and JSON-RPC has none; pass plain data$/
    )
  })
})

t.test('a text for a value that has parts many times is bounded', async t => {
  let part: unknown = { text: 'x'.repeat(1000), bytes: new Uint8Array(1000) }
  for (let i = 0; i < 40; i++) part = [part, part]
  t.throws(() => text(part), { name: 'LimitError', message: /too long/ })
})
