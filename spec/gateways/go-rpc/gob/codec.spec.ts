// Specs of the gob codec: the bytes of Go, values of each type in both directions, and what is refused.
import fc from 'fast-check'
import t from 'tap'
import { strict } from 'tcompare'
import { FLOAT, INT, STRING, UINT } from '../../../../lib/gateways/go-rpc/gob/basic-types.js'
import { StructType } from '../../../../lib/gateways/go-rpc/gob/composite-types.js'
import { GobDecoder, type GobValue } from '../../../../lib/gateways/go-rpc/gob/decoder.js'
import { GobEncoder } from '../../../../lib/gateways/go-rpc/gob/encoder.js'
import type { GobType } from '../../../../lib/gateways/go-rpc/gob/gob-type.js'
import { MessageCutter } from '../../../../lib/gateways/go-rpc/gob/message-cutter.js'
import { LimitError } from '../../../../lib/index.js'
import { DEFAULT_LIMITS, type Limits } from '../../../../lib/protocol/limits.js'
import { goType } from '../../../support/go-rpc.js'

const NO_INTERFACES = () => {
  throw new TypeError('no interfaces')
}

/** Messages with values, as one stream. */
function encode(values: readonly (readonly [GobType, unknown])[], limits: Limits = DEFAULT_LIMITS): Buffer {
  const encoder = new GobEncoder(limits, NO_INTERFACES)
  return Buffer.concat(
    values.flatMap(([type, value]) => {
      const message = encoder.encode(type, value, 'value')
      return [...encoder.takeDefinitions(), message]
    })
  )
}

function decode(
  stream: Buffer,
  limits: Limits = DEFAULT_LIMITS,
  decoder = new GobDecoder(limits)
): GobValue[] {
  const messages = [...new MessageCutter(limits.frameBytes).cut(stream)]
  return messages.flatMap(message => decoder.decode(message) ?? [])
}

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const bytesOfValue = (type: GobType, value: unknown) => encode([[type, value]]).toString('hex')

t.test('the bytes are those of Go', async t => {
  const point = new StructType('Point', [
    { name: 'X', type: INT },
    { name: 'Y', type: INT }
  ])
  // The example of the documentation of encoding/gob.
  const POINT =
    '1fff810301 0105506f696e7401ff82000102010158010400010159010400000007ff82012c014200'.replaceAll(' ', '')
  t.equal(bytesOfValue(point, { X: 22, Y: 33 }), POINT)
  t.same(decode(hex(POINT))[0]!.value, { X: 22, Y: 33 })
  t.equal(bytesOfValue(UINT, 256), '050600fe0100')
  t.equal(bytesOfValue(INT, -129), '050400fe0101')
  t.equal(bytesOfValue(FLOAT, 17), '050800fe3140')
  t.equal(bytesOfValue(goType('bool'), true), '03020001')
  t.equal(bytesOfValue(goType('complex128'), { real: 1, imag: 0 }), '060e00fef03f00')
  t.equal(bytesOfValue(STRING, 'é'), '050c0002c3a9')
  // Of Go's server: the answer to a call that failed.
  t.equal(bytesOfValue(new StructType('struct {}', [], ''), undefined), '0aff81030102ff8200000003ff8200')
})

t.test('interfaces in interfaces define their types between the parts of the value', async t => {
  // Box{Box{Box{Circle{4}, "c"}, "b"}, "a"} and Box{[]int{5}, "x"}, as Go encodes them.
  const stream = hex(
    '26ff8103010103426f7801ff820001020106496e7369646501100001054c6162656c010c0000005dff8201086d61696e2e426f78ff824a01086d61696e2e426f78ff822c010b6d61696e2e436972636c65ff8303010106436972636c6501ff84000101010652616469757301080000000cff840501fe10400001016300010162000101610015ff8201055b5d696e74ff85020102ff8600010400000aff860300010a01017800'
  )
  const registered: string[] = []
  const decoder = new GobDecoder(DEFAULT_LIMITS, {
    onTypes() {},
    onRegistered: name => void registered.push(name)
  })
  t.same(
    decode(stream, DEFAULT_LIMITS, decoder).map(({ value }) => value),
    [
      { Inside: { Inside: { Inside: { Radius: 4 }, Label: 'c' }, Label: 'b' }, Label: 'a' },
      { Inside: [5], Label: 'x' }
    ]
  )
  t.same(registered, ['main.Circle', 'main.Box', 'main.Box', '[]int'])
})

const ROUND_TRIPS: readonly (readonly [type: string, value: unknown])[] = [
  ...[0, 1, -1, 63, 64, -64, -65, 127, 128, 2 ** 31, 2 ** 53 - 1, -(2 ** 53) + 1].map(
    n => ['int', n] as const
  ),
  ...[2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n)].map(n => ['int64', n] as const),
  ...[0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 24, 2 ** 32, 2 ** 48, 2 ** 53 - 1].map(
    n => ['uint', n] as const
  ),
  ...[2n ** 53n, 2n ** 64n - 1n].map(n => ['uint64', n] as const),
  ...[0, 0.5, -1, 1e300, 5e-324, Number.NaN, Number.POSITIVE_INFINITY].map(n => ['float64', n] as const),
  ['bool', false],
  ['complex64', { real: -1, imag: 0.5 }],
  ['string', ''],
  ['string', 'a\u0000𝄞'],
  ['[]byte', Uint8Array.of(0, 255)],
  ['[]int', []],
  ['[]int', [1, 0, -1]],
  ['[2]string', ['a', '']],
  ['[0]int', []],
  ['[][]byte', [new Uint8Array(), Uint8Array.of(1)]],
  ['map[string]int', { a: 1, constructor: 2 }],
  ['map[string]int', {}],
  ['map[int]string', new Map([[-1, 'x']])],
  ['map[bool][]int', new Map([[true, [1]]])],
  ['struct {}', {}],
  ['struct { A int; B string }', { A: 0, B: '' }],
  ['struct { A struct { B [2]int } }', { A: { B: [0, 1] } }],
  ['time.Time', new Date(0)],
  ['time.Time', new Date(-1)],
  ['time.Time', new Date('9999-12-31T23:59:59.999Z')],
  ['[]time.Time', [new Date(1), new Date(-62_135_596_800_000)]],
  ['gob.GobEncoder', Uint8Array.of(1)],
  ['encoding.BinaryMarshaler', Uint8Array.of(2)],
  ['encoding.TextMarshaler', Uint8Array.of(3)],
  ['*int', 5],
  ['(string)', 'x'],
  ['interface{}', null],
  ['any', null]
]

t.test('types may have no names', async t => {
  const bodies = [
    ...['ff83 04 01 02ff84 00 01 0c 01 04 00 00', 'ff84 00 01 01 61 02'],
    ...['ff85 02 01 02ff86 00 01 04 00 00', 'ff86 00 01 02'],
    ...['ff87 01 01 02ff88 00 01 04 01 02 00 00', 'ff88 00 01 02'],
    ...['ff89 03 01 02ff8a 00 01 01 01 01 41 01 04 00 00 00', 'ff8a 01 02 00']
  ]
  const stream = Buffer.concat(bodies.map(hex).flatMap(body => [Buffer.of(body.length), body]))
  t.same(
    decode(stream).map(({ value }) => value),
    [{ a: 1 }, [1], [1], { A: 1 }]
  )
})

t.test('times that a Date does not have, and other bytes, are bytes', async t => {
  const seconds = Buffer.from('010f000000000000000000000000ffff', 'hex')
  for (const bytes of [
    seconds.subarray(0, 15),
    Buffer.from('03', 'hex'),
    Buffer.from('02', 'hex'),
    Buffer.alloc(0)
  ]) {
    const [{ value }] = decode(encode([[goType('time.Time'), new Uint8Array(bytes)]])) as [GobValue]
    t.same(value, new Uint8Array(bytes))
  }
  // With the seconds of the zone.
  const zone = new Uint8Array(Buffer.from('020000000edd7fa94800000000ffff05', 'hex'))
  const [{ value }] = decode(encode([[goType('time.Time'), zone]])) as [GobValue]
  t.ok(value instanceof Date)
})

t.test('values of each type return', async t => {
  const stream = encode(ROUND_TRIPS.map(([type, value]) => [goType(type), value]))
  const values = decode(stream).map(({ value }) => value)
  for (const [i, [type, value]] of ROUND_TRIPS.entries()) t.same(values[i], value, type)
  t.equal(values.length, ROUND_TRIPS.length)
})

t.test('the type is that of the parts, and each is defined once', async t => {
  const type = goType('map[string][]struct { A int }')
  const once = encode([[type, { a: [{ A: 1 }] }]])
  const twice = encode([
    [type, { a: [{ A: 1 }] }],
    [type, { a: [{ A: 1 }] }]
  ])
  t.ok(twice.length - once.length < 16)
  t.same(decode(twice).length, 2)
})

const isWellFormed = (text: string) => Buffer.from(text).toString() === text

/** A random type as Go writes it, and a value of it. */
const typed = fc.letrec<{ typed: { type: string; value: unknown } }>(tie => ({
  typed: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.maxSafeInteger().map(value => ({ type: 'int', value })),
    fc.maxSafeNat().map(value => ({ type: 'uint32', value })),
    fc.bigInt(-(2n ** 63n), -(2n ** 53n)).map(value => ({ type: 'int64', value })),
    fc.bigInt(2n ** 53n, 2n ** 64n - 1n).map(value => ({ type: 'uint64', value })),
    fc.double({ noDefaultInfinity: true }).map(value => ({ type: 'float32', value: value + 0 })),
    fc.boolean().map(value => ({ type: 'bool', value })),
    fc
      .string({ unit: 'binary' })
      .filter(isWellFormed)
      .map(value => ({ type: 'string', value })),
    fc.uint8Array().map(value => ({ type: '[]uint8', value })),
    fc.date({ noInvalidDate: true }).map(value => ({ type: 'time.Time', value })),
    fc
      .tuple(tie('typed'), fc.nat(4))
      .map(([{ type, value }, n]) => ({ type: `[]${type}`, value: Array(n).fill(value) })),
    fc
      .tuple(tie('typed'), fc.nat(3))
      .map(([{ type, value }, n]) => ({ type: `[${n}]${type}`, value: Array(n).fill(value) })),
    fc.tuple(tie('typed'), fc.array(fc.string())).map(([{ type, value }, keys]) => ({
      type: `map[string]${type}`,
      value: Object.fromEntries(keys.map(key => [key, value]))
    })),
    fc.array(tie('typed'), { maxLength: 4 }).map(fields => ({
      type: `struct { ${fields.map(({ type }, i) => `F${i} ${type}`).join('; ')} }`,
      value: Object.fromEntries(fields.map(({ value }, i) => [`F${i}`, value]))
    }))
  )
}))

t.test('random values return', async () => {
  fc.assert(
    fc.property(fc.array(typed.typed, { minLength: 1, maxLength: 3 }), values => {
      const stream = encode(values.map(({ type, value }) => [goType(type), value]))
      const decoded = decode(stream).map(({ value }) => value)
      return strict(
        decoded,
        values.map(({ value }) => value)
      ).match
    }),
    { numRuns: 200 }
  )
})

t.test('a stream is cut anywhere', async t => {
  const text = 'x'.repeat(300)
  const stream = encode([
    [goType('[]string'), [text]],
    [INT, 7],
    [STRING, text]
  ])
  for (const size of [1, 2, 3, 7, 100, stream.length]) {
    const cutter = new MessageCutter(1000)
    const decoder = new GobDecoder(DEFAULT_LIMITS)
    const values: unknown[] = []
    for (let at = 0; at < stream.length; at += size)
      for (const message of cutter.cut(stream.subarray(at, at + size))) {
        const decoded = decoder.decode(message)
        if (decoded) values.push(decoded.value)
      }
    t.same(values, [[text], 7, text], `by ${size}`)
    t.notOk(cutter.isWithinMessage || decoder.isWithinValue)
  }
})

t.test('fields that were not sent are zero', async t => {
  t.same(zeroOf('struct { A int; B []int; C map[string]int; D map[int]int; E []byte; F string; G bool }'), {
    ...{ A: 0, B: [], C: {}, D: new Map(), E: new Uint8Array(), F: '', G: false }
  })
  t.same(
    zeroOf(
      'struct { A [2]uint; B struct { C float64 }; D complex64; E interface{}; F encoding.BinaryMarshaler }'
    ),
    {
      ...{ A: [0, 0], B: { C: 0 }, D: { real: 0, imag: 0 }, E: null, F: new Uint8Array() }
    }
  )
  t.same(zeroOf('struct { A struct { B [1]struct { C int } } }'), { A: { B: [{ C: 0 }] } })
  t.same(zeroOf('struct { A time.Time }'), { A: new Date('0001-01-01T00:00:00Z') })

  function zeroOf(type: string) {
    return decode(encode([[goType(type), {}]]))[0]!.value
  }
})

t.test('nothing is the zero of the type', async t => {
  for (const type of [
    'int',
    'string',
    '[]int',
    'map[string]int',
    'struct { A int }',
    '[]byte',
    'complex64',
    '[2][2]int',
    'time.Time',
    'any'
  ])
    for (const nothing of [undefined, null]) t.same(decode(encode([[goType(type), nothing]])).length, 1, type)
  t.same(decode(encode([[goType('[2]int'), null]]))[0]!.value, [0, 0])
  t.same(decode(encode([[goType('[1]List'), null]]))[0]!.value, [{ Value: 0, Next: null }])
  t.same(
    decode(
      encode([[goType('struct { A *int; B []int; C []byte; D map[string]int }'), { A: null, B: null }]])
    )[0]!.value,
    {
      ...{ A: 0, B: [], C: new Uint8Array(), D: {} }
    }
  )
  t.same(decode(encode([[goType('[][]int'), [null]]]))[0]!.value, [[]])
  t.same(decode(encode([[goType('[]map[string]int'), [null]]]))[0]!.value, [{}])
  t.same(decode(encode([[goType('[][]byte'), [null]]]))[0]!.value, [new Uint8Array()])
})

t.test('other values for the same types', async t => {
  const value = (type: string, given: unknown) => decode(encode([[goType(type), given]]))[0]!.value
  t.same(value('[]int', new Set([1, 2])), [1, 2])
  t.same(value('[]float64', Float32Array.of(0.5)), [0.5])
  t.same(value('[]byte', Uint8Array.of(1, 2).buffer), Uint8Array.of(1, 2))
  t.same(value('[]byte', new DataView(Uint8Array.of(1, 2).buffer, 1)), Uint8Array.of(2))
  t.same(value('map[string]int', new Map([['a', 1]])), { a: 1 })
  t.same(value('map[string]int', Object.assign(Object.create(null), { a: 1, b: undefined })), { a: 1 })
  t.same(value('int', 2 ** 60), 2n ** 60n)
  t.same(value('time.Time', Uint8Array.of(1)), Uint8Array.of(1))
  t.same(Object.keys(value('map[string]int', JSON.parse('{"__proto__":1}')) as object), ['__proto__'])
  t.equal(value('string', '\ud800'), '\ufffd')
})

t.test('a value that the type does not have is named by its place', async t => {
  const refuses = (type: string, value: unknown, message: string | RegExp) =>
    t.throws(() => encode([[goType(type), value]]), { message })
  refuses('int', 2.5, 'value is 2.5: its Go type should be int')
  refuses('int', 2n ** 63n, /value is 9223372036854775808n: its Go type should be int/)
  refuses('uint', -1, /its Go type should be uint/)
  refuses('uint', 2n ** 64n, /its Go type should be uint/)
  refuses('float64', 1n, /its Go type should be float64/)
  refuses('float64', '1', 'value is "1": its Go type should be float64')
  refuses('bool', 1, /its Go type should be bool/)
  refuses('complex64', { real: 1 }, /its Go type should be complex128/)
  refuses('[]int', [1, 'a'], 'value[1] is "a": its Go type should be int')
  refuses('[]int', [null], 'value[0] is null: its Go type should be int')
  refuses('[]int', {}, /its Go type should be \[\]int/)
  refuses('[2]int', [1], /its Go type should be \[2\]int/)
  refuses('[]byte', 'x', /its Go type should be \[\]uint8/)
  refuses('map[string]int', { a: { b: 1 } }, 'value.a is {…}: its Go type should be int')
  refuses('map[int]int', { 1: 1 }, 'value["1"] is "1": its Go type should be int')
  refuses('map[string]int', new Map([[{}, 1]]), /is {…}: its Go type should be string/)
  refuses('map[string]int', [1], /its Go type should be map/)
  refuses('struct { A int }', { A: 1, B: 2 }, 'value.B is not a field of struct { A int }')
  refuses('struct { A int }', [], /its Go type should be struct/)
  refuses('[]struct { A int }', [new Date()], 'value[0] is a Date, and the Go type struct { A int } has none')
  refuses('int', () => {}, 'value is a reference, and gob has none; pass plain data')
  refuses('time.Time', new Date(Number.NaN), 'value is an invalid Date')
  refuses('time.Time', 'now', /its Go type should be Time/)
  refuses('[]time.Time', [null], /its Go type should be Time/)
})

t.test('deep values, cycles and shared parts are bounded', async t => {
  const list = goType('List')
  const cycle: Record<string, unknown> = {}
  cycle.Next = cycle
  t.throws(() => encode([[list, cycle]]), { message: /deep \(limits.depth\), or in a cycle/ })
  const shared = Array.from({ length: 40 }).reduce<unknown>(inner => ({ Left: inner, Right: inner }), null)
  t.throws(() => encode([[goType('Tree'), shared]]), LimitError)
  const chain = (length: number) => Array.from({ length }).reduce<unknown>(inner => ({ Next: inner }), null)
  const stream = encode([[list, chain(150)]])
  t.equal(decode(stream).length, 1)
  t.throws(() => decode(stream, { ...DEFAULT_LIMITS, depth: 100 }), { message: /deeper than 100/ })
})
