// Messages of gRPC: fields of all types there and back, as protobufjs reads them, and values that do not fit.
import fc from 'fast-check'
import t from 'tap'
import { readRpcs } from '../../../lib/gateways/grpc/definition.js'
import type { MessageCodec } from '../../../lib/gateways/grpc/message-codec.js'
import { expose, pair } from '../../../lib/index.js'
import { PROTO } from '../../support/grpc.js'

const limits = { depth: 20, jsonBytes: 1 << 20, frameBytes: 1 << 20 }
const codecOf = (path: string): MessageCodec =>
  readRpcs(PROTO, { service: 'netref.spec.Library' }, 'grpc').find(rpc => rpc.names[0] === path)!.request
const values = codecOf('echo')
const roundTrip = (value: unknown) => values.decode(values.encode(value, ['result'], limits), limits)
const EMPTY = roundTrip({})

t.test('an empty message has defaults, but neither messages nor what is optional', async t => {
  t.same(EMPTY, {
    ...{ double: 0, float: 0, int32: 0, uint32: 0, sint32: 0, fixed32: 0, sfixed32: 0 },
    ...{ int64: 0, uint64: 0, sint64: 0, fixed64: 0, sfixed64: 0 },
    ...{ bool: false, string: '', bytes: new Uint8Array(), color: 'RED' },
    ...{ list: [], inners: [], map: {}, by_int64: {}, by_uint64: {}, by_int32: {}, by_bool: {}, colors: [] }
  })
})

t.test('fields of all types', async t => {
  const full = {
    ...EMPTY,
    ...{
      double: Number.NaN,
      float: 0.5,
      int32: -1,
      uint32: 2 ** 32 - 1,
      sint32: -(2 ** 31),
      fixed32: 7,
      sfixed32: -7
    },
    ...{ int64: -(2n ** 63n), uint64: 2n ** 64n - 1n, sint64: -1, fixed64: 2 ** 53 - 1, sfixed64: 2n ** 53n },
    ...{ bool: true, string: 'é€😀', bytes: new Uint8Array([0, 255]), color: 'BLUE' },
    inner: { ...EMPTY, inner: EMPTY },
    list: [1, -1, 2n ** 62n],
    inners: [EMPTY, { ...EMPTY, bool: true }],
    map: { a: EMPTY, '': { ...EMPTY, string: 'x' } },
    by_int64: { '-9223372036854775808': new Uint8Array([1]), 7: new Uint8Array() },
    by_uint64: { '18446744073709551615': 'max' },
    by_int32: { '-5': 'x' },
    by_bool: { true: 'yes', false: 'no' },
    optional: '',
    ...{ text: 'chosen', choice: 'text' },
    colors: ['RED', 'BLUE', 7]
  }
  t.same(roundTrip(full), full)
  t.same(roundTrip({ values: { bool: true } }), {
    ...EMPTY,
    values: { ...EMPTY, bool: true },
    choice: 'values'
  })
})

t.test('other values that fit', async t => {
  t.match(roundTrip({ list: new Float64Array([1, 2]), bytes: new Uint16Array([258]).buffer, color: 1 }), {
    list: [1, 2],
    bytes: new Uint8Array([2, 1]),
    color: 'BLUE'
  })
  t.match(
    roundTrip({ bytes: new DataView(new Uint8Array([1, 2, 3]).buffer, 1), by_int32: new Map([[5, 'x']]) }),
    {
      bytes: new Uint8Array([2, 3]),
      by_int32: { 5: 'x' }
    }
  )
  t.same(roundTrip(undefined), EMPTY)
  t.same(roundTrip({ inner: null, optional: undefined, other: undefined }), EMPTY)
  t.same(roundTrip(Object.create(null)), EMPTY)
  const evil = JSON.parse('{"__proto__":{"string":"x"}}')
  t.match(Object.entries(roundTrip({ map: evil }).map as object), [], 'protobufjs skips this name')
  t.equal(({} as { string?: unknown }).string, undefined)
  const number = codecOf('total')
  t.same(number.decode(number.encode(5, ['x'], limits), limits), { value: 5 }, 'the value of the only field')
})

t.test('values that do not fit are named', async t => {
  const cases: [value: unknown, message: string][] = [
    [5, 'result is 5; a message netref.spec.Values is needed'],
    [[1], 'result is […]; a message netref.spec.Values is needed'],
    [{ other: 1 }, 'result.other is no field of netref.spec.Values: its fields are "double", "float"'],
    [{ double: '1' }, 'result.double is "1"; the type double is needed'],
    [{ int32: 2 ** 31 }, 'result.int32 is 2147483648; the type int32 is needed'],
    [{ uint32: -1 }, 'result.uint32 is -1; the type uint32 is needed'],
    [{ sint32: 1.5 }, 'result.sint32 is 1.5; the type sint32 is needed'],
    [{ int64: 2n ** 63n }, 'result.int64 is 9223372036854775808n; the type int64 is needed'],
    [{ uint64: -1 }, 'result.uint64 is -1; the type uint64 is needed'],
    [{ sfixed64: 2 ** 53 }, 'result.sfixed64 is 9007199254740992; the type sfixed64 is needed'],
    [{ fixed64: 'x' }, 'result.fixed64 is "x"; the type fixed64 is needed'],
    [{ bool: 0 }, 'result.bool is 0; the type bool is needed'],
    [{ string: '\ud800' }, 'result.string is "\\ud800"; the type string is needed'],
    [{ string: 5 }, 'result.string is 5; the type string is needed'],
    [{ bytes: 'x' }, 'result.bytes is "x"; the type bytes is needed'],
    [{ color: 'GREEN' }, 'result.color is "GREEN"; one of Color: "RED", "BLUE" is needed'],
    [{ color: 'toString' }, 'result.color is "toString"; one of Color'],
    [{ color: 1.5 }, 'result.color is 1.5; one of Color'],
    [{ inner: { inner: 'x' } }, 'result.inner.inner is "x"; a message netref.spec.Values is needed'],
    [{ list: 5 }, 'result.list is 5; a list is needed'],
    [{ list: [1, 'x'] }, 'result.list[1] is "x"; the type int64 is needed'],
    [{ map: 5 }, 'result.map is 5; an object, or a Map is needed'],
    [{ by_int32: { x: 'y' } }, 'result.by_int32.x is "x"; a key of the type int32 is needed'],
    [{ by_uint64: { '-1': 'y' } }, 'result.by_uint64["-1"] is -1n; the type uint64 is needed'],
    [{ map: { a: new Date(0) } }, 'result.map.a is a Date, and gRPC has none'],
    [
      { inner: expose({}) && new (class Own {})() },
      'result.inner is a reference, and gRPC has none; pass plain data'
    ],
    [{ string: () => 1 }, 'result.string is a reference, and gRPC has none; pass plain data']
  ]
  for (const [value, message] of cases)
    t.throws(() => values.encode(value, ['result'], limits), { name: /^(TypeError|NoFormError)$/, message })
  const nothing = codecOf('nothing')
  t.throws(() => nothing.encode({ x: 1 }, ['result'], limits), {
    message: 'netref.spec.Nothing: it has no fields'
  })
  await using joined = pair({ give: () => expose({}) })
  const netref = await joined.root.give()
  t.throws(() => values.encode({ inner: netref }, ['result'], limits), {
    message: 'result.inner is a reference'
  })
})

t.test('fields that proto2 requires', async t => {
  const dir = t.testdir({
    'old.proto':
      'syntax = "proto2"; message Point { required int32 x = 1; optional int32 y = 2 [default = 5]; } service S { rpc go(Point) returns (Point); }'
  })
  const [rpc] = readRpcs(`${dir}/old.proto`, { service: 'S' }, 'grpc')
  const point = (value: object) => rpc!.request.decode(rpc!.request.encode(value, ['result'], limits), limits)
  t.same(point({ x: 1 }), { x: 1, y: 5 })
  t.throws(() => point({}), { message: 'result.x is missing, and Point requires it' })
  t.throws(() => rpc!.request.decode(new Uint8Array(), limits), {
    name: 'MalformedMessageError',
    message: /missing required/
  })
})

t.test('bytes that are no message, and messages that take too much memory', async t => {
  const decode = (...bytes: number[]) => values.decode(new Uint8Array(bytes), limits)
  const tag = (field: number, wireType: number) => (field << 3) | wireType
  t.same(
    decode(...[0xf8, 0x07, 1], ...[0xfa, 0x07, 1, 5], ...[0xf9, 0x07, 0, 0, 0, 0, 0, 0, 0, 0]),
    EMPTY,
    'unknown fields'
  )
  for (const [bytes, message] of [
    [[tag(1, 1), 1], 'longer than its message'],
    [[0x7a, 5, 1], 'a field is longer than its message'],
    [[0x80], 'a number is cut'],
    [Array(11).fill(0x80), 'a number is cut'],
    [[tag(1, 3)], 'a field of the wire type 3'],
    [[tag(1, 6)], 'a field of the wire type 6'],
    [[tag(1, 0), 1], /invalid wire type|index out of range/],
    [[0xa2, 1, 2, 0x0f, 0], 'a field of the wire type 7']
  ] as const)
    t.throws(() => decode(...bytes), { name: 'MalformedMessageError', message })
  const inner = (bytes: Uint8Array, field = 17) => {
    const length = bytes.length
    return Buffer.concat([
      Buffer.from([0x82 | ((field & 15) << 3), field >> 4, (length & 127) | 128, length >> 7]),
      bytes
    ])
  }
  let deep = new Uint8Array()
  for (let i = 0; i < 25; i++) deep = inner(deep)
  t.throws(() => values.decode(deep, limits), { name: 'LimitError', message: /deeper than 20 levels/ })
  const many = Buffer.alloc(300_000, Buffer.from([0x9a, 0x01, 0]))
  t.throws(() => values.decode(many, limits), {
    name: 'LimitError',
    message: 'the message has too many values (limits.jsonBytes)'
  })
  t.equal((values.decode(many.subarray(0, 30_000), limits).inners as unknown[]).length, 10_000)
})

t.test('a value that has a part very many times is too large', async t => {
  const shared = Array.from({ length: 60 }).reduce<object>(inner => ({ inners: [inner, inner] }), {})
  t.throws(() => values.encode(shared, ['result'], limits), { name: 'LimitError' })
})

t.test('any bytes are a message or an error', async t => {
  const value = { string: 'x', list: [1, 2, 3], inners: [{ map: { a: { bool: true } } }] }
  const seeded = values.encode(value, ['result'], limits)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(seeded.length), (bytes, at) => {
      for (const message of [bytes, Buffer.concat([seeded.subarray(0, at), bytes, seeded.subarray(at)])]) {
        try {
          values.encode(values.decode(message, limits), ['result'], limits)
        } catch (error) {
          if (!/^(MalformedMessageError|LimitError|TypeError)$/.test((error as Error).name)) throw error
        }
      }
    })
  )
  t.pass('nothing else is thrown')
})
