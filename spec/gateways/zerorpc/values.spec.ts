// Specs of the values that cross the ZeroRPC gateway, in MessagePack.
import * as messagePack from '@msgpack/msgpack'
import t from 'tap'
import { formatEvent, parseEvent } from '../../../lib/gateways/zerorpc/event.js'
import { scanValue } from '../../../lib/gateways/zerorpc/message-pack-scan.js'
import { toMessagePack } from '../../../lib/gateways/zerorpc/value-form.js'
import { registerType } from '../../../lib/index.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'
import type { Untyped } from '../../support/wire.js'
import { ByteClient, DealerClient, withZeroRpc } from '../../support/zerorpc.js'

const service = {
  echo: (value: unknown) => value,
  kind: (value: unknown) => typeof value,
  nameOf: (value: object) => value.constructor.name
}

class Money {
  constructor(readonly cents: number) {}
  toJSON() {
    return { cents: this.cents }
  }
}
registerType(Money, {
  name: 'Money',
  encode: ({ cents }) => cents,
  decode: (cents: number) => new Money(cents)
})
class Coin {
  constructor(readonly cents: number) {}
}
registerType(Coin, { name: 'Coin', encode: ({ cents }) => cents, decode: (cents: number) => new Coin(cents) })

t.test('values go there and back', async t => {
  await withZeroRpc(t, service, async ({ port }) => {
    const client = new DealerClient(port)
    for (const value of [
      ...[null, true, false, 0, -1, 127, 128, -32, -33, 2 ** 32 - 1, 1.5, -1e300, Number.POSITIVE_INFINITY],
      ...[
        '',
        'é€😀',
        'x'.repeat(70_000),
        [],
        [[], [1]],
        {},
        { a: { b: [null] } },
        { constructor: 1, then: 2 }
      ],
      ...[new Date(0), new Date(1_700_000_000_123), new Date(-1), new Date(2 ** 34 * 1000)]
    ])
      t.same(await client.call('echo', value), value)
    t.ok(Number.isNaN(await client.call('echo', Number.NaN)))
    for (const bytes of [Uint8Array.of(), Uint8Array.of(0, 255), new Uint8Array(100_000).fill(7)])
      t.same(await client.call('echo', bytes), Buffer.from(bytes))
    t.equal(await client.call('nameOf', Uint8Array.of(1)), 'Uint8Array')
    t.same(await client.call('echo', { list: [Uint8Array.of(1, 2)] }), { list: [Uint8Array.of(1, 2)] })
    client.close()
  })
})

t.test('whole numbers keep their value', async t => {
  await withZeroRpc(t, service, async ({ port }) => {
    const client = new DealerClient(port)
    for (const value of [2n ** 53n - 1n, -(2n ** 53n) + 1n, 2n ** 32n, -(2n ** 31n) - 1n]) {
      t.equal(await client.call('kind', value), 'number')
      t.equal(await client.call('echo', value), value, 'as an integer')
    }
    for (const value of [2n ** 53n, -(2n ** 53n), 2n ** 63n, 2n ** 64n - 1n, -(2n ** 63n)]) {
      t.equal(await client.call('kind', value), 'bigint')
      t.equal(await client.call('echo', value), value)
    }
    t.same(await client.call('echo', [2n ** 40n, { a: 2n ** 60n, b: [2n ** 33n], c: new Date(5) }]), [
      2n ** 40n,
      { a: 2n ** 60n, b: [2n ** 33n], c: new Date(5) }
    ])
    const large = Buffer.from([0xcf, 0xff, 0, 0, 0, 0, 0, 0, 1])
    const map = Buffer.concat([
      Uint8Array.of(0x82),
      large,
      large,
      Uint8Array.of(0xd3, 0, 0, 0, 0, 0, 0, 0, 5, 6)
    ])
    const raw = await ByteClient.connect(port)
    const head = messagePack.encode([{ message_id: 'keys', v: 3 }, 'echo', []])
    await raw.payload(Buffer.concat([head.subarray(0, -1), Uint8Array.of(0x91), map]))
    const [event] = await raw.wait('keys')
    t.match(event, { name: 'OK', args: [{ 5: 6, '18374686479671623681': 18374686479671623681n }] })
    await raw.close()
    client.close()
  })
})

t.test('results take the forms of MessagePack', t => {
  const form = (value: unknown) => toMessagePack(value, ['result'], DEFAULT_LIMITS)
  t.same(form(undefined), null)
  t.same(form(new Array(2)), [null, null], 'holes, too')
  t.strictSame(form({ a: undefined, b: 1 }), Object.assign(Object.create(null), { b: 1 }))
  t.same(
    form(
      new Map<unknown, unknown>([
        ['a', 1],
        [2, 3],
        ['__proto__', 4]
      ])
    ),
    Object.fromEntries([
      ['a', 1],
      ['2', 3],
      ['__proto__', 4]
    ])
  )
  t.same(form(new Set([1, 'a'])), [1, 'a'])
  t.same(form(Object.assign(new RangeError('no'), { left: 1 })), {
    name: 'RangeError',
    message: 'no',
    left: 1
  })
  t.same(form(new URL('http://a/b')), 'http://a/b')
  t.same(form(new Money(5)), { cents: 5 })
  t.same(form(Float64Array.of(1.5, 2)), [1.5, 2])
  t.same(form(Uint8Array.of(1).buffer), Uint8Array.of(1))
  for (const bytes of [Uint8Array.of(1), Uint8ClampedArray.of(1), new DataView(new ArrayBuffer(1))])
    t.equal(form(bytes), bytes)
  const cycle: Untyped = { a: [] }
  cycle.a.push(cycle)
  let deep: unknown = 1
  for (let i = 0; i < 201; i++) deep = [deep]
  for (const [value, message] of [
    [
      { rows: [{ owner: () => 1 }] },
      'result.rows[0].owner is a reference, and ZeroRPC has none; pass plain data'
    ],
    [2n ** 64n, 'result is a bigint of more than 64 bits, and ZeroRPC has none'],
    [-(2n ** 63n) - 1n, 'result is a bigint of more than 64 bits, and ZeroRPC has none'],
    [['\udfff'], 'result[0] is a text with half of a surrogate pair, and ZeroRPC has none'],
    [{ '\ud800': 1 }, 'result is a text with half of a surrogate pair, and ZeroRPC has none'],
    [new Date(Number.NaN), 'result is an invalid Date, and ZeroRPC has none'],
    [new Map([[{}, 1]]), 'result is a Map with keys that are objects, and ZeroRPC has none'],
    [/a/, 'result is a RegExp, and ZeroRPC has none'],
    [new Coin(1), 'result is a reference, and ZeroRPC has none; pass plain data'],
    [cycle, /is a cycle, or too deep, and ZeroRPC has none/],
    [deep, /is a cycle, or too deep/]
  ] as const)
    t.throws(() => form(value), { name: 'NoFormError', message })
  let wide: unknown[] = [1]
  for (let i = 0; i < 30; i++) wide = [wide, wide]
  const small = { ...DEFAULT_LIMITS, jsonBytes: 10_000, frameBytes: 10_000 }
  t.throws(
    () => toMessagePack(wide, ['result'], small),
    { name: 'LimitError' },
    'a short message stands for a value without end'
  )
  t.end()
})

t.test('what is sent as deep as the limit is encoded', t => {
  let deep: unknown = 1
  for (let i = 0; i < 200; i++) deep = [deep]
  const args = [toMessagePack(deep, ['result'], DEFAULT_LIMITS)]
  const bytes = formatEvent(messagePack, { channel: 'a', id: 'b', name: 'OK', args }, DEFAULT_LIMITS)
  const event = parseEvent(messagePack, Buffer.from(bytes), DEFAULT_LIMITS)
  t.match(event, { id: 'b', channel: 'a', name: 'OK' })
  t.same(event.args(), [deep])
  t.end()
})

t.test('arguments without a form fail their call', async t => {
  await withZeroRpc(
    t,
    service,
    async ({ port }) => {
      const client = await ByteClient.connect(port)
      const head = (id: string) => [
        ...[0x93, 0x82],
        ...messagePack.encode('message_id'),
        ...messagePack.encode(id),
        ...messagePack.encode('v'),
        3,
        ...messagePack.encode('echo')
      ]
      const nested = (levels: number) => [...new Array(levels).fill(0x91), 1]
      const cases: (readonly [bytes: number[], message: RegExp])[] = [
        [[0x91, 0xc1], /a byte that MessagePack does not use/],
        [[0x91], /cut/],
        [[0xdd, 0xff, 0xff, 0xff, 0xff, 1], /cut/],
        [[0xdc, 0xff], /cut/],
        [[0x91, 0xdb, 0xff, 0xff, 0xff, 0xff], /cut/],
        [[0x91, 0xcf, 0xff], /cut/],
        [[0x91, 0xc7], /cut/],
        [[0x91, 0xc7, 4], /cut/],
        [[0x91, 0xc7, 1, 0xff, 0], /timestamp/],
        [[0x91, 0xd4, 5, 0], /the extension type 5/],
        [[0x91, 0xc9, 0, 0, 0, 1, 0x80, 0], /the extension type -128/],
        [[0x91, 0x81, 0xc4, 1, 97, 1], /neither a text nor a number/],
        [[0x91, 0x81, 0xa9, ...Buffer.from('__proto__'), 1], /__proto__/],
        [[0x91, 0x81, 0x90, 1], /neither a text nor a number/],
        [[0x90, 0x90], /bytes follow/],
        [nested(12), /deeper than 11 \(limits\.depth\)/],
        [nested(5000), /deeper than 11 \(limits\.depth\)/]
      ]
      for (const [i, [args, message]] of cases.entries()) {
        await client.payload(Buffer.from([...head(`case ${i}`), ...args]))
        const [event] = await client.wait(`case ${i}`)
        t.match(event, { name: 'ERR', args: ['ProtocolError', message, null] }, String(message))
      }
      await client.payload(Buffer.from([...head('depth'), ...nested(10)]))
      t.match(await client.wait('depth'), [{ name: 'OK' }])
      await client.payload(Buffer.from([...head('key'), 0x91, 0x81, 5, 1]))
      t.match(await client.wait('key'), [{ args: [{ 5: 1 }] }])
      await client.close()
    },
    { limits: { depth: 10 } }
  )
})

t.test('the end of every value is found', t => {
  const random = [...Array(300).keys()]
  for (const value of [
    ...[
      null,
      true,
      false,
      0,
      200,
      60_000,
      5e9,
      -1,
      -100,
      -30_000,
      -5e9,
      1.5,
      'a',
      'x'.repeat(40),
      'x'.repeat(300)
    ],
    ...[
      'x'.repeat(70_000),
      new Uint8Array(3),
      new Uint8Array(300),
      new Uint8Array(70_000),
      new Date(0),
      new Date(1.5e12)
    ],
    ...[
      new Date(-1),
      [],
      random,
      new Array(70_000).fill(0),
      {},
      { a: 1 },
      Object.fromEntries(random.map(i => [`${i}`, i]))
    ],
    ...[Object.fromEntries(new Array(70_000).fill(0).map((_, i) => [`${i}`, i])), [[[1], {}], { a: [2] }]],
    ...[1, 2, 4, 8, 16, 17, 300, 70_000].map(length => new messagePack.ExtData(-1, new Uint8Array(length)))
  ]) {
    const bytes = Buffer.concat([Uint8Array.of(1), messagePack.encode(value), Uint8Array.of(2)])
    t.equal(scanValue(bytes, 1, 3).end, bytes.length - 1)
    if (bytes.length > 400) continue
    for (let end = 1; end < bytes.length - 1; end++)
      if (scanEnds(bytes.subarray(0, end)) !== undefined) t.fail(`cut at ${end} of ${bytes.toString('hex')}`)
  }
  const float = Buffer.concat([Uint8Array.of(0xca), new Uint8Array(4)])
  t.equal(scanValue(float, 0, 0).end, 5)
  t.end()
})

function scanEnds(bytes: Buffer): number | undefined {
  try {
    return scanValue(bytes, 1, 3).end
  } catch {
    return undefined
  }
}
