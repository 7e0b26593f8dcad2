import fc from 'fast-check'
import t, { type Test } from 'tap'
import { decode } from '../../lib/codec/decode.js'
import { CallRejection, ProtocolError } from '../../lib/errors.js'
import { registerType, Service, serve } from '../../lib/index.js'
import { formatFrame, parseAck, parseFrame } from '../../lib/protocol/frame.js'
import {
  type Annotations,
  formatCancel,
  formatEnded,
  formatHello,
  formatItems,
  formatLeaving,
  formatOperation,
  formatPing,
  formatPull,
  formatRejection,
  formatRelease,
  formatReply,
  Op,
  VERSION
} from '../../lib/protocol/messages.js'
import { parseMessage } from '../../lib/protocol/parse-message.js'
import { pathKeys, toMemberKey, toMemberName } from '../../lib/protocol/path.js'
import { ExportTable, type ImportEntry, ImportTable } from '../../lib/remote/tables.js'
import { overMemory, rejectionOf } from '../support/helpers.js'
import { RawPeer } from '../support/raw-peer.js'

const LIMITS = { jsonBytes: 1 << 20, frameBytes: 1 << 24, depth: 200, values: 1000 }

/** Asserts that it throws a ProtocolError, which ends a session with its code. */
function hostile(t: Test, what: string, act: () => unknown, code = 'protocol'): void {
  try {
    t.fail(`${what}: let through`, { found: act() })
  } catch (error) {
    t.ok(error instanceof ProtocolError && error.code === code, `${what}: ${error}`)
  }
}

const parse = (message: string) => parseMessage(JSON.parse(message))

t.test('a name in an operation is escaped where JSON requires it', async t => {
  const names = [
    'add',
    'snake_case',
    'größe',
    '',
    'a"b',
    'a\\b',
    'a\u0001b',
    '\ud800',
    '😀',
    'x'.repeat(32),
    'x'.repeat(33)
  ]
  for (const name of names)
    t.strictSame(JSON.parse(formatOperation(Op.get, 1, 0, name)), [Op.get, 1, 0, name])
})

t.test('every message is parsed as it was formatted', async t => {
  const path = ['a', ['well-known', 'iterator'], ['for', 'x']] as const
  for (const op of [Op.call, Op.construct, Op.set] as const) {
    t.same(parse(formatOperation(op, 1, -2, 'a', '[1]')), [op, 1, -2, 'a', [1]])
    t.same(parse(formatOperation(op, 7, 0, path, '[0],[["undefined",[0]]]')), [
      ...[op, 7, 0, path, [0]],
      [['undefined', [0]]]
    ])
  }
  t.same(parse(formatOperation(Op.set, 1, 0, 'a', 'null,[["undefined",[]]]')), [
    ...[Op.set, 1, 0, 'a', null],
    [['undefined', []]]
  ])
  t.same(parse(formatOperation(Op.oneway, 0, -2, path, '[1]')), [Op.oneway, 0, -2, path, [1]])
  t.same(parse(formatOperation(Op.streamCall, 1, 2, 'next', 'null,[["undefined",[]]]')), [
    ...[Op.streamCall, 1, 2, 'next', null],
    [['undefined', []]]
  ])
  for (const op of [Op.get, Op.has, Op.delete, Op.keys, Op.describe, Op.obtain, Op.iterate] as const) {
    t.same(parse(formatOperation(op, 1, 2, [])), [op, 1, 2, []])
  }
  for (const op of [Op.result, Op.error] as const) {
    t.same(parse(formatReply(op, 3)), [op, 3])
    t.same(parse(formatReply(op, 3, '{"a":1}')), [op, 3, { a: 1 }])
    t.same(parse(formatReply(op, 3, '[1,"A"],[[["custom","T"],[0]]]')), [
      ...[op, 3, [1, 'A']],
      [[['custom', 'T'], [0]]]
    ])
  }
  t.same(parse(formatPing(9)), [Op.ping, 9])
  t.same(parse(formatCancel(4)), [Op.cancel, 4])
  t.same(parse(formatCancel(4, '"why"')), [Op.cancel, 4, 'why'])
  t.same(parse(formatCancel(4, '0,[["o",[]]]')), [Op.cancel, 4, 0, [['o', []]]])
  t.same(parse(formatPull(3, 0, 1024)), [Op.pull, 3, 0, 1024])
  t.same(parse(formatPull(3, 512)), [Op.pull, 3, 512])
  t.same(parse(formatItems(3, true, '[1,2]')), [Op.items, 3, 1, [1, 2]])
  t.same(parse(formatItems(3, false, '["1"],[["bigint",[0]]]')), [Op.items, 3, 0, ['1'], [['bigint', [0]]]])
  t.same(parse(formatEnded(3, true)), [Op.ended, 3, 1])
  t.same(parse(formatEnded(3, false, '["E"],[["e",[]]]')), [Op.ended, 3, 0, ['E'], [['e', []]]])
  t.same(parse(formatLeaving(1.5)), [Op.leaving, 2])
  t.same(parse(formatLeaving()), [Op.leaving])
  t.same(parse(formatRelease([1, 2, 3, 4])), [Op.release, 1, 2, 3, 4])
  t.same(parse(formatRejection(5, 'not-exposed', '"x"')), [Op.refused, 5, 'not-exposed', '"x"'])
  t.same(
    parse(formatHello({ ...LIMITS, more: 1 } as never)),
    [Op.hello, VERSION, { ...LIMITS, leaving: 1 }],
    'no other message is formatted'
  )

  const names = ['a', '', '__proto__', Symbol.iterator, Symbol.asyncIterator, Symbol.for('ours')]
  for (const name of names) t.equal(toMemberName(JSON.parse(JSON.stringify(toMemberKey(name)))), name)
  t.equal(toMemberKey(7), '7')
  t.throws(() => toMemberKey(Symbol('alone')), /Symbol\(alone\) is local to this process/)
  for (const unknown of ['no-such', 'prototype', '__proto__', 'for']) {
    t.equal(
      typeof toMemberName(['well-known', unknown]),
      'symbol',
      'an unknown symbol of a newer peer is a name that no object has'
    )
    t.ok(Array.isArray(parse(formatOperation(Op.get, 1, 0, [['well-known', unknown]]))))
  }
  t.same([pathKeys('a'), pathKeys(['b'])], [['a'], ['b']])
})

t.test('any message that is not of the protocol is refused', async t => {
  const get = (...rest: unknown[]) => [Op.get, ...rest]
  const call = (...rest: unknown[]) => [Op.call, 1, 0, 'a', ...rest]
  const bad: unknown[] = [
    ...[null, 1, 'x', {}, [], [null], ['1'], [99], [-1], [[1]], { 0: 8, 1: 1, length: 2 }],
    ...[[Op.ping], [Op.ping, 0], [Op.ping, 1, 1], [Op.ping, 1.5], [Op.ping, '1'], [Op.ping, 2 ** 53]],
    ...[get(), get(1), get(1, 0), get(0, 0, 'a'), get(1, 0.5, 'a'), get(1, null, 'a'), get(1, 0, 5)],
    ...[get(1, 0, 'a', 1), get(1, 0, [1]), get(1, 0, [null]), get(1, 0, [['for']]), get(1, 0, [['for', 1]])],
    ...[get(1, 0, [['for', 'a', 'b']]), get(1, 0, [['other', 'a']]), get(1, 0, { length: 0 })],
    ...[call(), call({}), call('x'), call([], null), call([], {}), call([], [1]), call([], [[]])],
    ...[call([], [[1]]), call([], [[['custom']]]), call([], [[['custom', 1]]]), call([], [[['class', 'A']]])],
    ...[call([0], [['undefined', 0]]), call([0], [['undefined']]), call([0], [['undefined', null]])],
    ...[call([0], [['undefined', [0]], []]), call([], [], 1)],
    ...[call([], [['undefined', []]]), call([], [['m', [0], []]]), call([['a'], [1]], [['t', []]])],
    call([[]], [['t', ...Array(1025).fill([0])]]),
    call([0], [[1, [0]]]),
    ...[
      [Op.set, 1, 0, 'a'],
      [Op.set, 1, 0, 'a', 1, 2],
      [Op.set, 1, 0, 'a', 1, [], 1]
    ],
    ...[[Op.result], [Op.result, 0], [Op.result, 1, 1, 1], [Op.error, 1, 1, [], 1], [Op.error, -1]],
    ...[
      [Op.refused, 1, 'no-code', 'x'],
      [Op.refused, 1, 'toString', 'x'],
      [Op.refused, 1, 'limit', 1]
    ],
    ...[
      [Op.refused, 1, 'limit'],
      [Op.refused, 0, 'limit', 'x'],
      [Op.refused, 1, 'limit', 'x', 1]
    ],
    ...[
      [Op.release, 1],
      [Op.release, 1, -1],
      [Op.release, 1, '1'],
      [Op.release, 0.5, 1],
      [Op.release, 1, 1, 1]
    ],
    ...[
      [Op.oneway, 1, 0, 'a', []],
      [Op.oneway, 0, 0, 'a'],
      [Op.oneway, 0, 0, 'a', {}]
    ],
    ...[
      [Op.oneway, 0, 0, 'a', [], [], 1],
      [Op.oneway, 0, 0, 'a', [], [['o', []]]]
    ],
    ...[
      [Op.obtain, 1, 0],
      [Op.obtain, 1, 0, 'a', 1],
      [Op.iterate, 1],
      [Op.iterate, 0, 0, 'a']
    ],
    ...[
      [Op.streamCall, 1, 0, 'a'],
      [Op.streamCall, 0, 0, 'a', 1],
      [Op.streamCall, 1, 0, 'a', 1, {}],
      [Op.streamCall, 1, 0, 'a', 1, [], 1]
    ],
    ...[
      [Op.leaving, -1],
      [Op.leaving, 1.5],
      [Op.leaving, null],
      [Op.leaving, 1, 1]
    ],
    ...[[Op.cancel], [Op.cancel, 0], [Op.cancel, -1], [Op.cancel, 1, 1, 1], [Op.cancel, 1, 1, [], 1]],
    ...[
      [Op.pull, 1],
      [Op.pull, 0, 0],
      [Op.pull, 1, -1],
      [Op.pull, 1, 0, 0],
      [Op.pull, 1, 0, 1, 1]
    ],
    ...[
      [Op.pull, 1, 0, 0.5],
      [Op.pull, 1, 0, null],
      [Op.pull, 1, 0.5]
    ],
    ...[
      [Op.items, 1, 0],
      [Op.items, 1, 2, []],
      [Op.items, 1, true, []],
      [Op.items, 0, 0, []]
    ],
    ...[
      [Op.items, 1, 0, {}],
      [Op.items, 1, 0, [], 1],
      [Op.items, 1, 0, [], [['o', []]]],
      [Op.items, 1, 0, [], [], 1]
    ],
    ...[
      [Op.ended, 1],
      [Op.ended, 1, 2],
      [Op.ended, 0, 1],
      [Op.ended, 1, '1'],
      [Op.ended, 1, 1, 1, 1],
      [Op.ended, 1, 1, 1, [], 1]
    ],
    ...[[Op.hello], [Op.hello, 1], [Op.hello, 1, null], [Op.hello, 1, {}], [Op.hello, '1', LIMITS]],
    ...[
      [Op.hello, 1, { ...LIMITS, depth: -1 }],
      [Op.hello, 1, { ...LIMITS, jsonBytes: '1' }],
      [Op.hello, 1, { ...LIMITS, values: undefined }],
      [Op.hello, 1, { ...LIMITS, values: 1.5 }]
    ],
    ...[
      [Op.hello, 1, { ...LIMITS, frameBytes: null }],
      [Op.hello, 1, LIMITS, 1],
      [Op.hello, 0, LIMITS]
    ]
  ]
  for (const message of bad) hostile(t, JSON.stringify(message), () => parseMessage(message))
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: -3, max: 25 }), fc.jsonValue()), { maxLength: 7 }),
      raw => {
        try {
          return parseMessage(raw) === (raw as never)
        } catch (error) {
          return error instanceof ProtocolError
        }
      }
    ),
    { numRuns: 2000 }
  )
})

t.test('a frame is parsed as it was formatted: text, or bytes beside the JSON', async t => {
  const ranges = fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 4 })
  const messages = fc.array(fc.tuple(fc.jsonValue(), fc.option(ranges, { nil: undefined })), { maxLength: 5 })
  fc.assert(
    fc.property(fc.nat(), messages, fc.nat(9), (received, messages, shift) => {
      const bytes = new Map(messages.flatMap(([, ranges], i) => (ranges ? [[i, ranges] as const] : [])))
      const texts = messages.map(([value]) => JSON.stringify(value))
      let frame = formatFrame(received, texts, bytes)
      t.equal(typeof frame === 'string', bytes.size === 0)
      if (typeof frame !== 'string') {
        // Wherever in memory the transport left it.
        const memory = new Uint8Array(frame.length + shift)
        memory.set(frame, shift)
        frame = memory.subarray(shift)
      }
      const read = parseFrame(frame, LIMITS)
      t.equal(read.ack, received)
      t.same(
        read.messages.map(message => JSON.stringify(message)),
        texts.map(text => JSON.stringify(JSON.parse(text)))
      )
      for (const i of read.messages.keys())
        t.same(
          read.bytes.get(i)?.map(range => [...range]),
          bytes.get(i)?.map(range => [...range])
        )
    }),
    { numRuns: 200 }
  )
})

/** A binary frame, made by hand. */
function binary(json: unknown, body = 0, length?: number): Uint8Array {
  const text = typeof json === 'string' ? Buffer.from(json, 'latin1') : Buffer.from(JSON.stringify(json))
  const frame = new Uint8Array(8 + Math.ceil(text.length / 8) * 8 + body)
  frame.set(text, 8)
  new DataView(frame.buffer).setUint32(0, length ?? text.length)
  return frame
}

t.test('an inconsistent frame is refused before its values are created', async t => {
  for (const text of [
    '',
    '{',
    'null',
    '1',
    '{}',
    '[]',
    '["1"]',
    '[1,2]',
    '[1,1,1]',
    '[-1,[]]',
    '[0.5,[]]',
    '[0,{}]',
    '["0",[]]',
    '[0,[],[]]',
    '[0,[],[],1]',
    '[0,[]] ]'
  ]) {
    hostile(t, text, () => parseFrame(text, LIMITS))
  }
  const ok = [
    0,
    [1, 2],
    [
      [0, 3],
      [1, 8, 0]
    ]
  ]
  t.same(
    parseFrame(binary(ok, 16), LIMITS)
      .bytes.get(1)
      ?.map(range => range.length),
    [8, 0]
  )
  const lies: [string, Uint8Array][] = [
    ['nothing', new Uint8Array(0)],
    ['no header', new Uint8Array(7)],
    ['a length beyond the frame', binary(ok, 16, 2 ** 32 - 1)],
    ['a length a little too long', binary(ok, 0, 60)],
    ['no sizes', binary([0, [1]])],
    ['sizes that are no list', binary([0, [1], 5])],
    ['an entry that is no list', binary([0, [1], [5]])],
    ['an entry for no message', binary([0, [1], [[1]]])],
    ['an empty entry', binary([0, [1], [[]]])],
    ['two entries for one message', binary([0, [1], [[0], [0]]])],
    ['a negative size', binary([0, [1], [[0, -8]]], 8)],
    ['a fraction of a byte', binary([0, [1], [[0, 0.5]]], 8)],
    ['more bytes than there are', binary([0, [1], [[0, 9]]], 8)],
    ['sizes that overflow', binary([0, [1], [[0, 2 ** 53 - 1, 2 ** 53 - 1]]], 8)],
    ['bytes of nobody', binary([0, [1], [[0, 8]]], 16)],
    ['not UTF-8', binary('[0,["\xff"],[]]')],
    ['not JSON', binary('[0,')],
    ['a fourth item', binary([0, [1], [], 1])]
  ]
  for (const [what, frame] of lies) hostile(t, what, () => parseFrame(frame, LIMITS))

  const small = { jsonBytes: 100, depth: 5, values: 3 }
  hostile(t, 'long', () => parseFrame(`[0,["${'x'.repeat(100)}"]]`, small), 'limit')
  hostile(t, 'long, binary', () => parseFrame(binary([0, ['x'.repeat(100)], []]), small), 'limit')
  hostile(t, 'many ranges', () => parseFrame(binary([0, [1], [[0, 0, 0, 0, 0]]]), small), 'limit')
  t.ok(
    parseFrame(
      binary([
        0,
        [1, 2],
        [
          [0, 0, 0, 0],
          [1, 0, 0, 0]
        ]
      ]),
      small
    ),
    'no message exceeds the limit'
  )
  hostile(t, 'long, and no frame at all', () => parseFrame(`"${'x'.repeat(50)}"`, small))
  t.ok(parseFrame(binary([0, ['ü'.repeat(80)], []]), small), 'the limit counts characters')
  const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`
  t.ok(parseFrame(`[0,[${nested(8)}]]`, small))
  hostile(t, 'deep', () => parseFrame(`[0,[${nested(9)}]]`, small), 'limit')
  hostile(t, 'deep in an object', () => parseFrame(`[0,[{"a":${nested(8)}}]]`, small), 'limit')
  hostile(t, 'deep behind a string', () => parseFrame(`[0,["\\"\\\\",${nested(9)}]]`, small), 'limit')
  hostile(t, 'a string without an end', () => parseFrame(`[0,["${'['.repeat(50)}\\"]]`, small))
  for (const text of ['[[[[[[[[[[[[', '"[[[[[[[[[[[[', '\\"[[[[[[[[[[[[', '[[[[[[[[[[[["\\\\'])
    t.same(
      parseFrame(JSON.stringify([0, [text, [text]]]), small).messages,
      [text, [text]],
      'deep brackets in a string do not count'
    )
  hostile(t, 'very deep', () => parseFrame(`[0,[${nested(500_000)}]]`, LIMITS), 'limit')

  const frame = formatFrame(
    3,
    ['[8,1]', '[8,2]'],
    new Map([[1, [new Uint8Array(5), new Uint8Array(9)]]])
  ) as Uint8Array
  fc.assert(
    fc.property(
      fc.oneof(
        fc
          .array(fc.tuple(fc.nat(frame.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
          .map(changes => {
            const changed = frame.slice()
            for (const [at, byte] of changes) changed[at] = byte
            return changed
          }),
        fc.nat(frame.length).map(length => frame.slice(0, length)),
        fc.uint8Array({ maxLength: 80 }),
        fc.string(),
        fc.json()
      ),
      data => {
        try {
          return Array.isArray(parseFrame(data, LIMITS).messages)
        } catch (error) {
          return error instanceof ProtocolError
        }
      }
    ),
    { numRuns: 3000 }
  )
})

/** Takes what it is told to: 1 is an object, 2 a function, 3 was released, 4 and 5 are lists, all else was never given. */
const untouched = new Proxy([], { get: (_, key) => t.fail(`it read ${String(key)}`) })
const home = { 1: {}, 2: () => 2, 4: ['secret', 'secret'], 5: untouched }
const taker = {
  decodeReference(_tag: string, data: unknown) {
    if (data === 1 || data === 2 || data === 4 || data === 5) return home[data]
    if (data === 3) throw new CallRejection('released', 'gone')
    throw new ProtocolError('a reference that was never given')
  },
  discardReference() {},
  discardReceived() {},
  valuesDecoded() {},
  limits: { bigintDigits: 100, values: 1_000_000, regExpLength: 1000 }
}
const take = (json: unknown, groups: Annotations, bytes: Uint8Array[] = []) =>
  decode(json, groups, bytes, taker)
const error = (more: object = {}) => ({ class: 'Error', name: 'Error', message: 'm', ...more })

const names = (count: number) => Array.from({ length: count }, (_, i) => `n${i}`)
const tall = [['a'], Array(50_000).fill(1)]

registerType(class Anything {}, { name: '__proto__', encode: () => 0, decode: sent => ({ sent }) as never })

t.test('decoding: structure that is not of the protocol is refused', async t => {
  t.same(take({ a: [1, 'x'] }, [['o', ['a', 0]]] as Annotations), { a: [home[1], 'x'] })
  t.same(take([[5]], [[['custom', '__proto__'], [0]]]), [{ sent: 5 }])
  t.same(
    take(
      [
        ['a', 'b'],
        [1, 2],
        [3, 4]
      ],
      [['t', []]]
    ),
    [
      { a: 1, b: 3 },
      { a: 2, b: 4 }
    ]
  )
  t.same(take([['a'], []], [['t', []]]), [])
  const inColumns = {
    list: [
      ['a', 'in'],
      [1, '2'],
      [['b'], [5, 6]]
    ]
  }
  const within = [
    ['bigint', ['list', 1, 1]],
    ['t', ['list', 2], ['list']]
  ] as const
  t.same(take(inColumns, within), {
    list: [
      { a: 1, in: { b: 5 } },
      { a: 2n, in: { b: 6 } }
    ]
  })
  const [own] = take([['__proto__', 'a', 'a'], [{ polluted: 1 }], [2], [3]], [['t', []]]) as object[]
  t.same(Object.entries(own!), [
    ['__proto__', { polluted: 1 }],
    ['a', 3]
  ])
  t.equal(Object.getPrototypeOf(own), Object.prototype)
  t.same((take(tall, [['t', []]]) as object[]).length, 50_000)
  const lies: [string, unknown, unknown[], Uint8Array[]?][] = [
    ['a path that does not exist', {}, [['undefined', ['a']]]],
    ...([-1, 0.5, 1, null, '0', '', [0]] as unknown[]).map(
      step =>
        [`a path by ${JSON.stringify(step)}`, [0], [['undefined', [step]]]] as [string, unknown, unknown[]]
    ),
    ...([0, null, ['a']] as unknown[]).map(
      step =>
        [`a path on by ${JSON.stringify(step)}`, { a: 0, 0: 0 }, [['undefined', [step]]]] as [
          string,
          unknown,
          unknown[]
        ]
    ),
    ['a cycle by a step that is none', [0, [['0']]], [['c', [1, 0]]]],
    ['a path through a string', 'text', [['undefined', [0]]]],
    ['a path through null', [null], [['undefined', [0, 'a']]]],
    ['a path to an inherited name', {}, [['undefined', ['toString']]]],
    ['a path to a prototype', {}, [['undefined', ['__proto__']]]],
    ['a path through a prototype', {}, [['undefined', ['__proto__', 'toString']]]],
    ['the length of an array', ['4'], [['number', ['length']]]],
    ['an unknown kind', 1, [['class', []]]],
    ['a kind of superjson’s that is not a leaf', [1], [['set', []]]],
    ['a Map that is no list', {}, [['m', []]]],
    ['a Map of other things than entries', [[1, 2], [3]], [['m', []]]],
    [
      'a Map with a Set for an entry',
      [[1, 2]],
      [
        ['s', [0]],
        ['m', []]
      ]
    ],
    ['a Set that is no list', 'text', [['s', []]]],
    ['an error that is null', null, [['e', []]]],
    ['an error without a class', { ...error(), class: 1 }, [['e', []]]],
    ['an error without a name', { ...error(), name: null }, [['e', []]]],
    ['an error without a message', { ...error(), message: [] }, [['e', []]]],
    ['an error whose fields are text', error({ fields: 'text' }), [['e', []]]],
    ['an error whose fields are a record', error({ fields: { a: 1 } }), [['e', []]]],
    ['an error whose field has no name', error({ fields: ['a', 1, 5, 1] }), [['e', []]]],
    [
      'an error whose field was named by what else it is',
      error({ fields: ['5', 1] }),
      [
        ['bigint', ['fields', 0]],
        ['e', []]
      ]
    ],
    ['an error whose fields are null', error({ fields: null }), [['e', []]]],
    [
      'an error whose fields are bytes',
      error({ fields: 'Uint8Array' }),
      [
        ['b', ['fields']],
        ['e', []]
      ],
      [new Uint8Array(8)]
    ],
    [
      'an error whose class is something',
      error({ class: 1 }),
      [
        ['o', ['class']],
        ['e', []]
      ]
    ],
    ['a registered type that is not in a list', 5, [[['custom', '__proto__'], []]]],
    ['bytes that are not there', 'Uint8Array', [['b', []]]],
    ['bytes twice', ['Uint8Array', 'Uint8Array'], [['b', [0], [1]]], [new Uint8Array(1)]],
    ['bytes of no class', 5, [['b', []]], [new Uint8Array(1)]],
    ['bytes of half an item', 'Float64Array', [['b', []]], [new Uint8Array(12)]],
    ...(
      [
        ['text', 'text'],
        ['an empty list', []],
        ['without names', [5, [1]]],
        ['with no names', [[]]],
        ['with no names, but a column', [[], [1]]],
        ['with a name that is none', [['a', 1], [1], [1]]],
        ['with a name that is an index', [['a', '1000'], [1], [2]]],
        ['with a name that tells a promise', [['a', 'then'], [1], [2]]],
        ['with a name more than columns', [['a', 'b'], [1]]],
        ['with a column more than names', [['a'], [1], [1]]],
        ['with a column that is text', [['a'], 'text']],
        ['with a column that is longer', [['a', 'b'], [1], [1, 2]]],
        ['with a column that is a record', [['a', 'b'], [1], { length: 1 }]],
        ['with more names than there may be', [names(33), ...names(33).map(() => [1])]],
        ['of too many records', [['a'], Array(1 << 19).fill(1)]],
        ['of too many cells', [names(32), ...names(32).map(() => Array(1 << 15).fill(1))]]
      ] as [string, unknown][]
    ).map(([what, table]): [string, unknown, unknown[]] => [`a table ${what}`, table, [['t', []]]]),
    [
      'a table beside a cycle',
      [[['a'], [1]], [0]],
      [
        ['c', [1]],
        ['t', [0]]
      ]
    ],
    [
      'a table with a column of ours',
      [['a'], 4],
      [
        ['h', [1]],
        ['t', []]
      ]
    ],
    [
      'a table with names of ours',
      [5, [1], [2]],
      [
        ['h', [0]],
        ['t', []]
      ]
    ],
    [
      'a Map with an entry of ours',
      [4],
      [
        ['h', [0]],
        ['m', []]
      ]
    ],
    [
      'an error with fields of ours',
      error({ fields: 5 }),
      [
        ['h', ['fields']],
        ['e', []]
      ]
    ],
    ['a table at a place twice', [[['a'], [1]]], [['t', [0], [0]]]],
    ['tables of too many records', [tall, tall], [['t', [0], [1]]]],
    [
      'a table with a column of bytes',
      [['a'], 'Uint8Array'],
      [
        ['b', [1]],
        ['t', []]
      ],
      [new Uint8Array(8)]
    ],
    [
      'two kinds at one place',
      [1],
      [
        ['o', [0]],
        ['o', [0]]
      ]
    ],
    ['one place twice', [['a', 'b']], [['s', [0], [0]]]],
    ['one place written in two ways', [['a', 'b']], [['s', [0], ['0']]]],
    ['one place twice, unreadable', ['x', 1], [['bigint', [0], [0]]]],
    [
      'a cycle at the place of something else',
      { a: [] },
      [
        ['c', ['a']],
        ['m', ['a']]
      ]
    ],
    ['a cycle that is no path', { a: 5 }, [['c', ['a']]]],
    ['a cycle with a path of objects', { a: [{ toString: 1 }] }, [['c', ['a']]]],
    ['a cycle to nowhere', { a: ['b'] }, [['c', ['a']]]],
    ['a cycle put in twice at one place', { a: ['b'], b: {} }, [['c', ['a'], ['a']]]],
    ['a cycle to a string', { a: ['b'], b: 'text' }, [['c', ['a']]]],
    ['a cycle to null', { a: ['b'], b: null }, [['c', ['a']]]],
    ['a reference that was never given', 9, [['h', []]]]
  ]
  for (const [what, json, groups, bytes] of lies) {
    const message = [Op.result, 1, json, groups]
    t.equal(parseMessage(message), message as never, 'the message is well-formed')
    hostile(t, what, () => take(json, groups as unknown as Annotations, bytes))
  }
})

t.test('decoding: a value that this side cannot create rejects only its call', async t => {
  const refused: [string, unknown, unknown[], RegExp, Uint8Array[]?][] = [
    [
      'a type not registered here',
      [1],
      [[['custom', 'Nowhere'], []]],
      /"Nowhere", which is not registered here/
    ],
    ['a type named like a member', [1], [[['custom', 'hasOwnProperty'], []]], /not registered here/],
    [
      'bytes of a class of another runtime',
      'Float128Array',
      [['b', []]],
      /no Float128Array/,
      [new Uint8Array(16)]
    ],
    ['a bad bigint', '1n', [['bigint', []]], /cannot read a bigint: /],
    ['a bad URL', 'nowhere', [['URL', []]], /cannot read a URL: /],
    ['a bad RegExp', '/(/', [['regexp', []]], /cannot read a regexp: /],
    [
      'a Date that is an object',
      { toString: 1 },
      [['Date', []]],
      /cannot read a Date: .*not written as a string/
    ],
    ['a number that is one', 5, [['number', []]], /cannot read a number: /],
    ['a released one', [3, 1], [['h', [0], [1]]], /gone/],
    [
      'the first of two reasons',
      [3, 'x'],
      [
        ['h', [0]],
        ['bigint', [1]]
      ],
      /gone/
    ]
  ]
  for (const [what, json, groups, why, bytes] of refused) {
    try {
      t.fail(what, { found: take(json, groups as unknown as Annotations, bytes) })
    } catch (refusal) {
      t.ok(refusal instanceof CallRejection, what)
      t.match((refusal as CallRejection).message, why)
    }
  }

  const never = ['constructor', 'prototype', 'then', 'toString', 'toJSON', 'stack', 'name', 'message']
  const fields = ['__proto__', { polluted: 1 }, ...never.flatMap(name => [name, 1]), 'fine', 1]
  const made = take(error({ fields, class: '__proto__', stack: 5, code: null }), [['e', []]]) as Error
  t.same(Object.keys(made).sort(), ['code', 'fine'])
  t.equal(Object.getPrototypeOf(made), Error.prototype)
  t.equal(made.stack, 'Error: m')
  const polluting = take(JSON.parse('{"__proto__":{"a":"1"},"b":["__proto__"]}'), [
    ['bigint', ['__proto__', 'a']],
    ['c', ['b']]
  ]) as Record<string, unknown>
  t.same(Object.getOwnPropertyDescriptor(polluting, '__proto__')?.value, { a: 1n })
  t.equal(polluting.b, Object.getOwnPropertyDescriptor(polluting, '__proto__')?.value)
  t.notOk('a' in {} || 'polluted' in {})

  const key = fc.oneof(
    fc.nat(3),
    fc.constantFrom('a', '__proto__', 'length', 'then', 'fields', 'constructor')
  )
  const place = fc.array(key, { maxLength: 4 })
  const kinds = [
    'o',
    'f',
    'h',
    'm',
    's',
    'e',
    'b',
    'c',
    't',
    'undefined',
    'bigint',
    'Date',
    'regexp',
    'URL',
    'number',
    'x'
  ]
  const kind = fc.oneof(fc.constantFrom(...kinds), fc.constant(['custom', '__proto__']))
  const group = fc.tuple(kind, place, place).map(([kind, ...places]) => [kind, ...places])
  const json = fc.letrec<{ json: unknown }>(tie => ({
    json: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(null, 1, 2, 3, 'a', '5', 'Uint8Array', 'Float64Array', ['a'], [0], ['__proto__']),
      fc.constant(0).map(() => error({ fields: ['a', 1] })),
      fc.array(tie('json'), { maxLength: 3 }),
      fc.dictionary(key.map(String), tie('json'), { maxKeys: 3 })
    )
  })).json
  const own = [Object.prototype, Array.prototype, Map.prototype, Error.prototype].map(Reflect.ownKeys)
  fc.assert(
    fc.property(json, fc.array(group, { maxLength: 3 }), (json, groups) => {
      try {
        take(structuredClone(json), groups as unknown as Annotations, [new Uint8Array(8), new Uint8Array(3)])
      } catch (error) {
        if (!(error instanceof ProtocolError || error instanceof CallRejection)) throw error
      }
    }),
    { numRuns: 5000 }
  )
  t.same(
    [Object.prototype, Array.prototype, Map.prototype, Error.prototype].map(Reflect.ownKeys),
    own,
    'no prototype has changed'
  )
})

t.test('decoding: a hostile size costs no more than its JSON', async t => {
  const began = performance.now()
  const places = Array.from({ length: 100_000 }, () => [0])
  hostile(t, 'a long Set read over and over', () => take([places], [['s', ...places]]))
  hostile(t, 'long bytes copied over and over', () =>
    take(
      places.map(() => 'ArrayBuffer'),
      [['b', ...places.map((_, i) => [i])]],
      [new Uint8Array(1 << 24)]
    )
  )
  const empty = parseFrame(binary([0, [1], [[0, ...places.map(() => 0)]]]), {
    ...LIMITS,
    values: 1 << 20
  }).bytes.get(0)!
  t.equal(new Set(empty).size, 1, 'empty ranges share one buffer')
  const [one, two] = take(['Uint8Array', 'Uint8Array'], [['b', [0], [1]]], [...empty]) as Uint8Array[]
  t.not(one!.buffer, two!.buffer, 'but not the values decoded from them')
  t.ok(performance.now() - began < 5000)

  hostile(
    t,
    'streams that count as more values than may be',
    () =>
      decode(Array(100).fill(1), [['r', ...Array.from({ length: 100 }, (_, i) => [i])]] as Annotations, [], {
        ...taker,
        limits: { ...taker.limits, values: 1000 }
      }),
    'limit'
  )

  const frame = new Uint8Array(1024)
  const [most, little] = take(
    ['Uint8Array', 'Uint8Array'],
    [['b', [0], [1]]],
    [frame.subarray(0, 1000), frame.subarray(1000, 1008)]
  ) as Uint8Array[]
  t.equal(most!.buffer, frame.buffer, 'most of a frame is a view on it')
  t.not(
    little!.buffer,
    frame.buffer,
    'a small part of a frame is a copy, which does not keep the frame alive'
  )
})

t.test('an invalid message ends the session with `protocol`, on both ends', async t => {
  class Nothing extends Service {
    exposed_f() {}
  }
  const frames: [string, string | Uint8Array][] = [
    ['not JSON', '{'],
    ['no frame', '{}'],
    ['no message', '[1,[null]]'],
    ['a path that does not exist', '[1,[[1,2,0,"f",[],[["undefined",["x"]]]]]]'],
    ['arguments that are no list', '[1,[[1,2,0,"f",[],[["undefined",[]]]]]]'],
    ['a retry of a call on a result', '[1,[[22,1,2,-1,"a",[]]]]'],
    ['a root that is a stream', '[1,[[1,2,0,"f",[[0,"root",1]],[["i",[0]]]]]]'],
    ['a place of objects', '[1,[[1,2,0,"f",[[{"toString":1}]],[["c",[0]]]]]]'],
    ['a binary frame without sizes', binary([1, [[8, 2]]])]
  ]
  for (const [what, frame] of frames) {
    await overMemory(t, Nothing, async conn => {
      t.equal(await (conn.root as unknown as { f(): Promise<unknown> }).f(), undefined)
      conn.transports[0].send(frame)
      const pending = rejectionOf((conn.root as unknown as { f(): Promise<unknown> }).f())
      t.match(
        await Promise.all([conn.closed, conn.served.closed]),
        [{ code: 'protocol' }, { code: 'protocol' }],
        what
      )
      t.equal((await pending).code, 'protocol')
    })
  }
})

t.test('unreadable items for a released iterator have no effect', async t => {
  await using server = await serve({ one: 1 }, { port: 0, allowPublicAttrs: true })
  const peer = await RawPeer.open(server.url)
  peer.send([[Op.items, 99, 0, ['x'], [['bigint', [0]]]]])
  t.same(await peer.ask(Op.get, 0, 'one'), [Op.result, 1, 1])
  await peer.end()
})

t.test('the export table counts sent references, and accepts no more releases', async t => {
  const table = new ExportTable(10)
  const [root, a, b, f] = [{}, {}, {}, () => 1]
  table.root = root
  t.equal(table.addReference(root, undefined).id, 0, 'the root is known, not exported')
  t.same([table.get(0)?.object, table.release(0, 5), table.size], [root, undefined, 0])
  t.equal(
    table.addReference(a, undefined),
    table.addReference(a, undefined),
    'the same object twice counts twice'
  )
  t.same([table.get(1)?.refCount, table.size], [2, 1])
  const members = [
    table.addReference(f, a),
    table.addReference(f, b),
    table.addReference(f, undefined),
    table.addReference(f, a)
  ]
  t.same(
    members.map(({ id }) => id),
    [2, 3, 4, 2],
    'a function is identified by itself and its object'
  )
  hostile(t, 'an id that was never given', () => table.get(5))
  hostile(t, 'a negative id', () => table.get(-1))
  hostile(t, 'more references than were given', () => table.release(1, 3))
  t.equal(table.release(1, 1), undefined)
  t.equal(table.release(1, 1)?.object, a, 'the last reference')
  t.equal(table.get(1), undefined, 'a released id differs from one that was never sent')
  hostile(t, 'a receipt of one that was released', () => table.release(1, 1))
  t.equal(table.addReference(a, undefined).id, 5, 'ids are never used again')
  t.equal(table.release(2, 2)?.self, a)
  t.equal(table.addReference(f, a).id, 6)
  table.addReference(() => 2, a)
  t.equal(table.release(6, 1)?.object, f)
  t.same(
    table.clear().map(({ id }) => id),
    [3, 4, 5, 7]
  )
  t.equal(table.size, 0)
})

t.test('the import table releases the references of each netref, once', async t => {
  const table = new ImportTable<object, ImportEntry<object>>()
  const first = { id: 1, refCount: 1, lentCount: 0, proxy: {} as object | undefined }
  table.add(first)
  t.equal(table.addReference(1), first)
  t.equal(table.addReference(2), undefined)
  t.same([first.refCount, table.size], [2, 1])
  // The collector took the netref, and its id came once more before that was told.
  first.proxy = undefined
  t.equal(table.addReference(1), undefined)
  const second = { id: 1, refCount: 2, lentCount: 1, proxy: {} }
  table.add(second)
  t.equal(table.release(first), 2, 'its own reference count alone')
  t.equal(table.addReference(1), second, 'the new netref is still in the table')
  t.same([table.release(first), table.release(second), table.size], [0, 2, 0])
  table.add(second)
  table.clear()
  t.equal(table.size, 0)
})

t.test('the depth of a long frame is found in its text', async t => {
  const limits = { jsonBytes: 1 << 22, depth: 10, values: 1 }
  const frame = (value: string) => `[0,[[1,1,0,"f",[${value}]]]]`
  const long = JSON.stringify('[{"\\'.repeat(1 << 18))
  t.equal(parseFrame(frame(long), limits).messages.length, 1, 'brackets in a string do not count')
  t.throws(() => parseFrame(frame(`${long},${'['.repeat(20)}${']'.repeat(20)}`), limits), {
    message: 'a frame nested deeper than 10'
  })
  t.throws(() => parseFrame(`[0,[${'[],'.repeat(300)}"${'x'.repeat(1 << 21)}`, limits), {
    message: 'a frame that is not JSON'
  })
  t.throws(() => parseFrame(`[0,[${'[],'.repeat(300)}"${'\\"'.repeat(1 << 20)}`, limits), {
    message: 'a frame that is not JSON'
  })
})

t.test('of a waiting frame only the acknowledgement at its beginning is read', async t => {
  t.same(parseAck('[3]'), { ack: 3, isAckOnly: true, requestsAck: false })
  t.same(parseAck('[3,1]'), { ack: 3, isAckOnly: true, requestsAck: true })
  t.same(parseAck('[3,[[1]'), { ack: 3, isAckOnly: false, requestsAck: false })
  for (const text of ['', '[', '[x]', '["3"]', '{}']) t.throws(() => parseAck(text), ProtocolError)
})
