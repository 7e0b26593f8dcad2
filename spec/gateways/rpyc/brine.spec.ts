import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import {
  BrineComplex,
  BrineError,
  BrineSlice,
  type BrineValue,
  decodeBrine,
  ELLIPSIS,
  encodeBrine,
  isBrine,
  NOT_IMPLEMENTED,
  writeBrine
} from '../../../lib/gateways/rpyc/brine.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'

const FUZZ = Number(process.env.NETREF_FUZZ ?? 4_000)
const SEED = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)
t.comment(`NETREF_FUZZ=${FUZZ} NETREF_FUZZ_SEED=${SEED}`)

const hex = (value: unknown) => encodeBrine(value).toString('hex')
const decode = (bytes: string | Uint8Array, limits = {}) =>
  decodeBrine(typeof bytes === 'string' ? Buffer.from(bytes.replaceAll(' ', ''), 'hex') : bytes, {
    ...DEFAULT_LIMITS,
    ...limits
  })

/** What RPyC 5.3 and 6.0 write for these values. */
const VECTORS: [value: BrineValue, bytes: string][] = [
  [null, '00'],
  [new Uint8Array(0), '01'],
  [[], '02'],
  [true, '03'],
  [false, '04'],
  [NOT_IMPLEMENTED, '05'],
  [ELLIPSIS, '06'],
  [0, '50'],
  [-48, '20'],
  [-49, '1603 2d3439'],
  [159, 'ef'],
  [160, '1603 313630'],
  [281729984, '1609 323831373239393834'],
  [140161892679760, '160f 313430313631383932363739373630'],
  [-(2 ** 53 - 1), '1611 2d39303037313939323534373430393931'],
  [2n ** 63n, '1613 39323233333732303336383534373735383038'],
  [10n ** 255n, `17 00000100 31${'30'.repeat(255)}`],
  [1.5, '18 3ff8000000000000'],
  [-0, '18 8000000000000000'],
  [2 ** 53, '18 4340000000000000'],
  [Number.NEGATIVE_INFINITY, '18 fff0000000000000'],
  ['', '08 01'],
  ['noop', '08 0d 6e6f6f70'],
  ['hé', '08 0c 68c3a9'],
  ['__main__.MyService', '08 0e12 5f5f6d61696e5f5f2e4d7953657276696365'],
  ['é'.repeat(200), `08 0f 00000190 ${'c3a9'.repeat(200)}`],
  ['x'.repeat(25), `08 0e19 ${'78'.repeat(25)}`],
  [new Uint8Array([0x61, 0x62]), '0b 6162'],
  [new Uint8Array(300), `0f 0000012c ${'00'.repeat(300)}`],
  [[1, [2]], '11 51 10 52'],
  [[1, 2, 3, 4], '13 51525354'],
  [[1, 2, 3, 4, 5], '14 05 5152535455'],
  [Array(256).fill(0), `15 00000100 ${'50'.repeat(256)}`],
  [new Set([3]), '1a 10 53'],
  [new BrineSlice(1, 2, null), '19 12 51 52 00'],
  [new BrineComplex(0, 1), '1b 0000000000000000 3ff0000000000000']
]

t.test('values are encoded as RPyC encodes them, and decoded', async t => {
  for (const [value, bytes] of VECTORS) {
    t.equal(hex(value), bytes.replaceAll(' ', ''), bytes.slice(0, 40))
    t.strictSame(decode(bytes), value, bytes.slice(0, 40))
    t.ok(Object.is(decode(bytes), value) || typeof value === 'object')
    t.ok(isBrine(value))
  }
})

t.test('the messages of a conversation are decoded', async t => {
  t.strictSame(decode('12 51 50 11 53 11 51 02'), [1, 0, [3, [1, []]]])
  const pack = ['__main__.MyService', 281729984, 140161892679760]
  t.strictSame(
    decode(
      `12 52 50 11 54 12 08 0e12${Buffer.from(pack[0] as string).toString('hex')} 1609${Buffer.from('281729984').toString('hex')} 160f${Buffer.from('140161892679760').toString('hex')}`
    ),
    [2, 0, [4, pack]]
  )
})

t.test(
  'longer forms are read, undefined and short bigints are written, bytes after the value are ignored',
  async t => {
    t.equal(hex(undefined), '00')
    t.equal(hex(5n), '55')
    t.equal(hex(-160n), '16042d313630')
    t.equal(decode('17 00000002 3037'), 7)
    t.equal(decode('16 02 2d30'), 0)
    t.ok(Object.is(decode('16 02 2d30'), 0), 'Python has no negative zero int')
    t.equal(decode(`16 12 ${'30'.repeat(17)}35`), 5)
    t.equal(decode('08 0f 00000001 61'), 'a')
    t.strictSame(decode('15 00000001 50 ff ff'), [0])
    t.strictSame(decode(new Uint8Array([0x10, 0x51])), [1], 'an array of bytes that is no Buffer')
    const bytes = Buffer.from('0b6162', 'hex')
    const copy = decode(bytes) as Uint8Array
    bytes[1] = 0
    t.strictSame([...copy], [0x61, 0x62], 'bytes are a copy')
  }
)

t.test('values without a form are refused', async t => {
  const deep = () => {
    let value: unknown[] = []
    for (let i = 0; i < 300; i++) value = [value]
    return value
  }
  const cyclic: unknown[] = []
  cyclic.push(cyclic)
  for (const value of [
    {},
    () => {},
    Symbol('a'),
    new Date(),
    new Map(),
    [1, {}],
    new Set([{}]),
    new BrineSlice({} as never, null, null),
    deep(),
    cyclic,
    10n ** 4300n,
    -(10n ** 4300n)
  ]) {
    t.notOk(isBrine(value))
    t.throws(() => encodeBrine(value), BrineError)
  }
  t.throws(() => encodeBrine('\ud800'), /lone surrogate/)
  t.equal(hex('😀'), '080df09f9880')
  t.equal(hex(1), '51', 'the writer is clean after an error')
})

t.test('bytes that are no brine, and too many, are refused', async t => {
  const refused: [bytes: string, message: RegExp, limits?: object][] = [
    ['', /1 bytes where 0 are left/],
    ['07', /unknown tag 7/],
    ['09', /unknown tag/],
    ['1c', /unknown tag/],
    ['f0', /unknown tag/],
    ['0f ffffffff', /4294967295 bytes where 0 are left/],
    ['0e', /1 bytes where/],
    ['15 00000010 50', /tuple of 16 items where 1 bytes are left/],
    ['14 02 50', /tuple of 2 items/],
    ['18 00', /8 bytes where 1/],
    ['08 50', /text without bytes/],
    ['08 0b c328', /no UTF-8/],
    ['16 00', /without digits/],
    ['16 01 2d', /without digits/],
    ['16 02 3178', /other characters/],
    ['16 02 312d', /other characters/],
    ['16 14 2d3131313131313131313131313131313131312e31', /other characters/],
    ['19 11 50 50', /slice of 2 items/],
    ['19 50', /without a tuple/],
    ['1a 0b6162', /without a tuple/],
    ['17 00000004 31313131', /more than 2 digits/, { bigintDigits: 2 }],
    ['10 10 10 02', /deeper than 2/, { depth: 2 }],
    ['1a 10 1a 10 50', /deeper than 1/, { depth: 1 }],
    ['13 50 50 50 50', /more than 3 bytes/, { jsonBytes: 3 }]
  ]
  for (const [bytes, message, limits] of refused) {
    t.throws(() => decode(bytes, limits), { name: 'BrineError', message }, bytes)
  }
  t.strictSame(
    decode(`11 0f 00000064 ${'00'.repeat(100)} 50`, { jsonBytes: 10 }),
    [new Uint8Array(100), 0],
    'the content of bytes does not count'
  )
})

t.test('a value may run code that encodes another', async t => {
  const array = [1]
  Object.defineProperty(array, 0, { get: () => encodeBrine('other').length })
  t.equal(hex(array), '1058')
})

t.test('a large value leaves no large buffer behind', async t => {
  t.equal(encodeBrine(new Uint8Array(2 << 20)).length, (2 << 20) + 5)
  t.equal(writeBrine(writer => writer.writeUint32(7)).toString('hex'), '00000007')
})

const value: fc.Arbitrary<BrineValue> = fc.letrec<{ value: BrineValue }>(tie => ({
  value: fc.oneof(
    { maxDepth: 6 },
    fc.constantFrom(null, true, false, NOT_IMPLEMENTED, ELLIPSIS),
    fc.maxSafeInteger(),
    fc.integer({ min: -60, max: 170 }),
    fc.bigInt().filter(n => !Number.isSafeInteger(Number(n))),
    fc.double(),
    fc.string({ unit: 'grapheme', maxLength: 300 }),
    fc.string({ maxLength: 40 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.tuple(fc.double(), fc.double()).map(([re, im]) => new BrineComplex(re, im)),
    fc.array(tie('value'), { maxLength: 6 }),
    fc.array(tie('value'), { maxLength: 6 }).map(items => new Set(items)),
    fc.tuple(tie('value'), tie('value'), tie('value')).map(([a, b, c]) => new BrineSlice(a, b, c))
  )
})).value

t.test('what is encoded is decoded', async t => {
  fc.assert(
    fc.property(value, value => {
      if (!isBrine(value)) return false
      const bytes = encodeBrine(value)
      return isDeepStrictEqual(decode(bytes), value) && encodeBrine(decode(bytes)).equals(bytes)
    }),
    { numRuns: 1000, seed: SEED }
  )
  t.pass()
})

t.test('mutated bytes are decoded or refused, and a decoded value is encoded again', async t => {
  const input = fc.tuple(
    value,
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
    fc.nat()
  )
  let refused = 0
  fc.assert(
    fc.property(input, ([value, changes, cut]) => {
      const bytes = encodeBrine(value)
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte
      let decoded: BrineValue
      try {
        decoded = decode(cut % 3 ? bytes : bytes.subarray(0, cut % bytes.length))
      } catch (error) {
        refused++
        return error instanceof BrineError
      }
      return decode(encodeBrine(decoded)) !== undefined
    }),
    { numRuns: FUZZ, seed: SEED }
  )
  t.ok(refused > FUZZ / 10 && refused < FUZZ, `${refused} of ${FUZZ} are refused`)
})
