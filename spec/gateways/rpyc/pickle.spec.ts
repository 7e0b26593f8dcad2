import t from 'tap'
import { pickle } from '../../../lib/gateways/rpyc/pickle.js'

// spec/outside/gateway-rpyc-out.spec.ts has Python read such pickles.
const hex = (value: unknown) => pickle(value, 10).toString('hex')
const framed = (bytes: string) => `8003${bytes.replaceAll(' ', '')}2e`

t.test('plain data is written as a pickle of protocol 3', async t => {
  const vectors: [unknown, string][] = [
    [null, '4e'],
    [undefined, '4e'],
    [true, '88'],
    [false, '89'],
    [0, '4b00'],
    [255, '4bff'],
    [256, '4a 00010000'],
    [-1, '4a ffffffff'],
    [2 ** 31 - 1, '4a ffffff7f'],
    [2 ** 31, '8a08 0000008000000000'],
    [-(2 ** 31), '4a 00000080'],
    [-(2 ** 31) - 1, '8a08 ffffff7fffffffff'],
    [0n, '8a04 00000000'],
    [-1n, '8a04 ffffffff'],
    [1n << 2040n, `8b 00010000 ${'00'.repeat(255)}01`],
    [1.5, '47 3ff8000000000000'],
    [-0, '47 8000000000000000'],
    [2 ** 53, '47 4340000000000000'],
    ['hé', '58 03000000 68c3a9'],
    [new Uint8Array([1, 2]), '42 02000000 0102'],
    [new Uint8Array([1, 2]).buffer, '42 02000000 0102'],
    [[1, []], '5d 72 00000000 28 4b01 5d 72 01000000 28 65 65'],
    [{ a: 1 }, '7d 72 00000000 28 58 01000000 61 4b01 75'],
    [Object.create(null), '7d 72 00000000 28 75'],
    [new Map([[1, 2]]), '7d 72 00000000 28 4b01 4b02 75'],
    [new Map([[[1, [2]], null]]), '7d 72 00000000 28 28 4b01 28 4b02 74 74 4e 75'],
    [new Set([1]), '63 6275696c74696e730a 7365740a 5d 28 4b01 65 85 52 72 00000000'],
    [new Date(0), `58 18000000 ${Buffer.from('1970-01-01T00:00:00.000Z').toString('hex')}`],
    [new Date(Number.NaN), '4e']
  ]
  for (const [value, bytes] of vectors) t.equal(hex(value), framed(bytes), bytes)
})

t.test('an object that occurs twice, or in itself, is written once', async t => {
  const row = { a: 1 }
  const list: unknown[] = [row, row]
  list.push(list)
  const first = '7d 72 01000000 28 58 01000000 61 4b01 75'
  t.equal(hex(list), framed(`5d 72 00000000 28 ${first} 6a 01000000 6a 00000000 65`))
})

t.test('what is not plain data is refused by its place', async t => {
  class Point {}
  const refused: [unknown, RegExp][] = [
    [
      { rows: [0, { f: () => {} }] },
      /^result\.rows\[1\]\.f is a reference, and a pickle of plain data has none; pass plain data$/
    ],
    [[new Point()], /^result\[0\] is a reference/],
    [[/a/], /^result\[0\] is a RegExp/],
    [Symbol('a'), /^result is a symbol/],
    ['\ud800', /lone surrogate/],
    [new Set([{}]), /^result\[0\] is a key that is an object/],
    [new Map([[new Point(), 1]]), /is a key that is a reference/],
    [new Map([[7, () => {}]]), /^result\[7\] is a reference/]
  ]
  for (const [value, message] of refused) t.throws(() => pickle(value, 10), { name: 'NoFormError', message })
  let deep: unknown[] = []
  for (let i = 0; i < 11; i++) deep = [deep]
  t.throws(() => pickle(deep, 10), { name: 'RangeError', message: /deeper than 10 objects/ })
  t.throws(() => pickle(new Set([deep]), 10), RangeError)
})
