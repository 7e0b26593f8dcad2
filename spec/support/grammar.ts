/* c8 ignore start: this checks, and is not what is checked: branches that no run took this time are no fault. */
// Generates inputs for fuzzing from the grammar of lib/protocol, well-formed and malformed ones.
import fc, { type Arbitrary } from 'fast-check'
import { type FrameData, parseFrame } from '../../lib/protocol/frame.js'
import { Op } from '../../lib/protocol/messages.js'
import { parseMessage } from '../../lib/protocol/parse-message.js'
import type { Untyped, WireMessage } from './wire.js'

/**
 * JSON in which `{ $, n }` stands for a number of the running session. `call` is the next call. `answer` is an earlier
 * call as a target, and `made` its number. `given` is an id that the other end sent, and `walked` the last such id of
 * an iterable. `asked` is a call that waits for our reply. `mine` is a reference of ours, and `flow` a stream of ours
 * that was sent before.
 */
type Tree = unknown
interface Mutation {
  readonly at: number
  readonly how: 'replace' | 'delete' | 'repeat' | 'wrap' | 'swap'
  readonly put: Tree
}
/** One frame, which is built when it is sent. */
export interface FuzzInput {
  readonly messages: readonly Tree[]
  /** Error of the acknowledgement. */
  readonly ackError: number
  readonly mutations: readonly Mutation[]
  /** Byte ranges of each message; with them the frame is binary. */
  readonly sizes?: readonly (readonly [index: number, ...sizes: number[]])[]
  /** Errors of the header length and of the end of a binary frame. */
  readonly lengthErrors: readonly [header: number, end: number]
  /** Positions at which a character is inserted or deleted. */
  readonly typos: readonly (readonly [at: number, put: string])[]
  /** Set for an acknowledgement without messages: whether it requests one. */
  readonly asks?: boolean
  /** Arbitrary data instead of a frame. */
  readonly raw?: string | Uint8Array
}

const numbers = [0, 1, 2, 7, -1, -7, 0.5, 1e9, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53), 1e308]
const sessionNumber = (...names: string[]) =>
  fc.record({ $: fc.constantFrom(...names), n: fc.nat(5) }) as Arbitrary<Tree>
const oddValue: Arbitrary<Tree> = fc.oneof(
  fc.constantFrom<Tree>(...numbers, null, true, '', '1', 'x', '__proto__', 'constructor', 'then', [], {}, [
    []
  ]),
  sessionNumber('call', 'answer', 'given', 'asked', 'mine'),
  fc
    .constantFrom('{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}')
    .map(s => JSON.parse(s))
)

const NAMES =
  'echo echo echo numbers numbers open signal promise walk write keep tell ask never later fail make list map self hold drop text field __proto__ constructor prototype toString then ' +
  'length 0 1 name call apply bind caller arguments onConnect onDisconnect exposed_echo _hidden valueOf hasOwnProperty __defineGetter__ ' +
  'toJSON polluted'
const name: Arbitrary<Tree> = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom(...NAMES.split(' ')) },
  { weight: 1, arbitrary: fc.string({ maxLength: 6 }) }
)
const symbolKey = fc.tuple(
  fc.constantFrom('for', 'well-known'),
  fc.constantFrom('iterator', 'toPrimitive', 'x', 'prototype')
)
const path: Arbitrary<Tree> = fc.oneof(
  { weight: 4, arbitrary: name },
  { weight: 2, arbitrary: fc.array(fc.oneof(name, symbolKey), { maxLength: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom(['map', 'size'], ['list', '0', 'n'], ['make', 'call'], []) }
)
const target: Arbitrary<Tree> = fc.oneof(
  { weight: 6, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: sessionNumber('given', 'answer') },
  { weight: 1, arbitrary: fc.constantFrom(...numbers, ...Array(30).fill(0)) }
)

const valuesOfKinds = (...kindAndRaws: [kind: Tree, ...raws: Tree[]][]) =>
  fc.oneof(
    ...kindAndRaws.map(([kind, ...raws]) => fc.constantFrom(...raws.map(raw => ({ kind, raw }) as const)))
  )
const error = (more: object) => ({ class: 'TypeError', name: 'E', message: 'm', ...more })
const decodableValue = valuesOfKinds(
  ['Date', '2020-01-01T00:00:00Z', 'invalid', 5, '('.repeat(50)],
  ['regexp', '/a/g', '/(/', 'x', '/a/zz', '/(a+)+$/', `/${'(?:'.repeat(400)}/`, '/\\p{L}{9}/u'],
  ['bigint', '12', '-0x1', 'x', '9'.repeat(2000), '9'.repeat(20_000), 1],
  ['URL', 'http://a.b/c', '', 'javascript:1', `http://${'ü.'.repeat(30)}`],
  ['number', 'NaN', '-0', 'Infinity', 'x', {}],
  ['undefined', null, 1],
  [['custom', 'fuzzed'], [[1, 2]], ['throw'], [null]],
  [['custom', '__proto__'], [1]],
  ['m', [], [[1, 2]], [['then', 1]]],
  ['s', [], [1, 1]],
  [
    't',
    [
      ['a', 'b'],
      [1, 2],
      [3, 4]
    ],
    [['__proto__'], [1]],
    [['a'], []],
    [['a', 'a'], [[['b'], [1]]], [{}]]
  ],
  ['e', error({}), error({ class: '__proto__', fields: ['then', 1, 'a', 1] })],
  ['e', error({ class: 'DOMException', code: 5 }), error({ cause: 1, errors: [1], omitted: 5, stack: 'at' })],
  ['o', [{ $: 'mine', n: 0 }, 'Thing'], [{ $: 'mine', n: 3 }, ''], [0, 'root'], [2 ** 40, '']],
  ['f', [{ $: 'mine', n: 0 }, 'fn'], [{ $: 'mine', n: 1 }, 'x'.repeat(99)], [{ $: 'mine', n: 0 }, 'fn', 1]],
  ['i', [{ $: 'mine', n: 0 }, 'iterator'], [{ $: 'flow', n: 0 }, 'iterator']],
  [
    'r',
    [{ $: 'mine', n: 0 }, 'stream', 0],
    [{ $: 'mine', n: 0 }, 'stream', 1],
    [{ $: 'flow', n: 1 }, 'stream', 1]
  ],
  ['w', [{ $: 'mine', n: 0 }, 'stream'], [{ $: 'flow', n: 2 }, 'stream']],
  ['p', [{ $: 'mine', n: 0 }, 'promise'], [{ $: 'flow', n: 0 }, 'promise']],
  [
    'a',
    [{ $: 'mine', n: 0 }, 'signal'],
    [{ $: 'mine', n: 0 }, 'signal', 1, 'why'],
    [{ $: 'flow', n: 1 }, 'signal', 1]
  ],
  ['h', { $: 'given', n: 0 }, { $: 'given', n: 4 }, 0],
  ['n', { $: 'made', n: 1 }, { $: 'made', n: 2 }, { $: 'made', n: 4 }]
)
const undecodableValue = valuesOfKinds(
  [['custom', 'fuzzed'], 1, {}],
  ['m', [[1, 2, 3]], [[1], 2], 5],
  ['s', {}, 'x'],
  ['t', [], [['a'], [1], [2]], [['then'], [1]], [['a', 'b'], [1], [2, 3]], [[1], [1]], {}],
  ['e', error({ fields: {} }), error({ fields: ['a', 1, 2] }), error({ name: 1 }), {}, null],
  ['b', 'Uint8Array', 'Float64Array', 'Buffer', 'ArrayBuffer', 'DataView', 'Function', '__proto__', 1],
  ['c', [0], [], [1, 'a'], [0, 0], ['__proto__'], 5],
  ['o', [1], [-1, 'x'], ['1', ''], [2 ** 53, '']],
  ['f', [0.5, 'x'], {}],
  ['h', -1, 2 ** 40, '1'],
  ['n', { $: 'made', n: 0 }, 2 ** 40, 0, -1, '1', {}],
  ['i', [0, ''], [-1, 'x'], 5],
  ['r', [1, 'stream', 5], {}],
  ['a', [2 ** 53, '', 1]],
  ['d', [], [1, 2], 'x', {}]
)
const special = fc.oneof(
  { weight: 20, arbitrary: decodableValue },
  { weight: 1, arbitrary: undecodableValue }
)
interface EncodedValue {
  readonly json: Tree
  readonly groups: readonly Tree[]
}
const json = fc.oneof(fc.jsonValue({ maxDepth: 2 }), oddValue)
/** A value with its type tags; `place` is its path. */
const encodedValueAt = (place: readonly Tree[]): Arbitrary<EncodedValue> =>
  fc.oneof(
    json.map(json => ({ json, groups: [] })),
    special.map(({ kind, raw }) => ({ json: raw, groups: [[kind, place]] })),
    fc.tuple(special, fc.constantFrom('a', 'then', '__proto__')).map(([{ kind, raw }, key]) => ({
      json: JSON.parse(`{${JSON.stringify(key)}:${JSON.stringify(raw)}}`),
      groups: [[kind, [...place, key]]]
    })),
    fc.tuple(special, special).map(([a, b]) => ({
      json: [['a', 'b'], [1, a.raw], b.raw],
      groups: [
        [a.kind, [...place, 1, 1]],
        [b.kind, [...place, 2]],
        ['t', place]
      ]
    })),
    fc.tuple(special, special).map(([a, b]) => ({
      json: [
        [1, a.raw],
        [b.raw, 2]
      ],
      groups: [
        [a.kind, [...place, 0, 1]],
        [b.kind, [...place, 1, 0]],
        ['m', place]
      ]
    }))
  )
const badGroup = fc.tuple(
  fc.oneof(
    fc.constantFrom<Tree>('c', 'm', 'o', 'Date', 'typed-array', ['class', 'X'], ['symbol', 'x']),
    oddValue
  ),
  fc.constantFrom<Tree>([0], [1], [], [0, '__proto__'], [99], ['length'], [0, 0, 0], [-1], [1e9], 0, null)
)
/** Rarely adds a surplus group, or repeats all groups. */
const payload = (boxed: Arbitrary<EncodedValue>) =>
  fc.tuple(boxed, fc.nat(60), badGroup).map(([{ json, groups }, how, bad]) => {
    const all = how === 0 ? [...groups, bad] : how === 1 ? [...groups, ...groups] : groups
    return all.length === 0 ? [json] : [json, all]
  })
const value = payload(encodedValueAt([]))
const args = payload(
  fc
    .tuple(fc.nat(3), encodedValueAt([0]), encodedValueAt([1]), encodedValueAt([2]))
    .map(([count, ...all]) => ({
      json: all.slice(0, count).map(({ json }) => json),
      groups: all.slice(0, count).flatMap(({ groups }) => groups)
    }))
)

const CALL = { $: 'call', n: 0 }
const CALL_TO_ANSWER = sessionNumber('asked')
const hello = fc.tuple(
  fc.constant(Op.hello),
  fc.constantFrom<Tree>(1, 1, 2, 'x'),
  fc.record({
    jsonBytes: fc.constantFrom(1024, 1e6, 2 ** 53, -1),
    frameBytes: fc.constantFrom(1024, 1e6, 5),
    depth: fc.constantFrom(0, 5, 200),
    values: fc.constantFrom(0, 3, 1000, -1)
  })
)
const refCounts = fc.array(fc.tuple(sessionNumber('given'), fc.constantFrom(0, 1, 1, 1, 1, 1, 1, 2, 1e9)), {
  maxLength: 3
})
const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
/** Ids of streams that the other end sent, and ids that we sent as streams. */
const STREAM_ID = fc.oneof(
  { weight: 6, arbitrary: sessionNumber('walked') },
  { weight: 3, arbitrary: sessionNumber('given') },
  { weight: 1, arbitrary: fc.constantFrom(...numbers) }
)
const OWN_ID = fc.oneof(
  { weight: 9, arbitrary: sessionNumber('flow', 'mine') },
  { weight: 1, arbitrary: fc.constantFrom(...numbers) }
)
const COUNTS = fc.constantFrom<Tree>(0, 1, 5, 1024, 2 ** 40, -1)
const streamMessage: Arbitrary<Tree> = fc.oneof(
  fc
    .tuple(STREAM_ID, COUNTS, fc.option(COUNTS))
    .map(([id, n, w]) => (w === null ? [Op.pull, id, n] : [Op.pull, id, n, w])),
  fc.tuple(OWN_ID, fc.constantFrom(0, 1, 1, 2), args).map(([id, ask, a]) => [Op.items, id, ask, ...a]),
  fc.tuple(OWN_ID, fc.constantFrom(0, 1, 2), value).map(([id, ok, v]) => [Op.ended, id, ok, ...v]),
  fc
    .tuple(
      STREAM_ID,
      fc.constantFrom('next', 'return', 'throw', 'pipe', 'abort', 'then', '__proto__', ['next']),
      value
    )
    .map(([id, method, v]) => [Op.streamCall, CALL, id, method, ...v]),
  fc
    .tuple(fc.constantFrom(Op.obtain, Op.iterate), target, path)
    .map(([op, target, path]) => [op, CALL, target, path]),
  fc
    .tuple(fc.constantFrom(0, 0, 0, 5), target, path, args)
    .map(([no, at, p, a]) => [Op.oneway, no, at, p, ...a]),
  fc.tuple(sessionNumber('made'), value).map(([id, v]) => [Op.cancel, id, ...v])
)
const message: Arbitrary<Tree> = fc.oneof(
  { weight: 25, arbitrary: streamMessage },
  {
    weight: 15,
    arbitrary: fc
      .tuple(fc.constantFrom('numbers', 'numbers', 'open', 'promise', 'walk', 'write', 'signal'), args)
      .map(([name, args]) => [Op.call, CALL, 0, name, ...args])
  },
  {
    weight: 40,
    arbitrary: fc
      .tuple(fc.constantFrom(Op.call, Op.call, Op.construct), target, path, args)
      .map(([op, target, path, args]) => [op, CALL, target, path, ...args])
  },
  {
    weight: 15,
    arbitrary: fc
      .tuple(fc.constantFrom(Op.get, Op.has, Op.delete, Op.keys, Op.describe), target, path)
      .map(([op, target, path]) => [op, CALL, target, path])
  },
  { weight: 8, arbitrary: fc.tuple(target, path, value).map(([at, p, v]) => [Op.set, CALL, at, p, ...v]) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom<Tree>(Op.call, Op.call, Op.construct, Op.get, Op.retry), target, path, args)
      .map(([op, target, path, args]) => [Op.retry, op, CALL, target, path, ...args])
  },
  {
    weight: 5,
    arbitrary: fc
      .tuple(fc.constantFrom(Op.result, Op.error), CALL_TO_ANSWER, value)
      .map(([op, id, v]) => [op, id, ...v])
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(CALL_TO_ANSWER, fc.constantFrom('not-exposed', 'released', 'limit', 'toString'))
      .map(([id, code]) => [Op.refused, id, code, 'no'])
  },
  {
    weight: 5,
    arbitrary: fc
      .tuple(fc.constantFrom(TRACEPARENT, TRACEPARENT, 'x'), target, path, args)
      .map(([span, target, path, args]) => [Op.traced, span, Op.call, CALL, target, path, ...args])
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        fc.constantFrom('k', 'k', 'other', '', 'x'.repeat(201)),
        fc.constantFrom<Tree[]>([], [], [Op.retry], [Op.traced, TRACEPARENT]),
        fc.constantFrom(Op.call, Op.call, Op.construct, Op.get),
        fc.constantFrom<Tree>(0, 0, 0, 7),
        path,
        args
      )
      .map(([key, around, op, at, p, a]) => [Op.idempotent, key, ...around, op, CALL, at, p, ...a])
  },
  { weight: 5, arbitrary: refCounts.map(pairs => [Op.release, ...pairs.flat()]) },
  { weight: 2, arbitrary: fc.constant([Op.ping, CALL]) },
  { weight: 1, arbitrary: fc.constantFrom([Op.leaving], [Op.leaving, 0], [Op.leaving, 1e9]) },
  { weight: 1, arbitrary: fc.oneof(hello, fc.array(oddValue, { maxLength: 5 })) }
)

const mutation: Arbitrary<Mutation> = fc.record({
  at: fc.nat(60),
  how: fc.constantFrom('replace', 'delete', 'repeat', 'wrap', 'swap'),
  put: oddValue
})
const sizes = fc.array(fc.tuple(fc.nat(3), fc.constantFrom(0, 1, 8, 16, 2 ** 33), fc.constantFrom(0, 3, 8)), {
  maxLength: 2
})
/** A well-formed frame, apart from its messages. */
export const WELL_FORMED = { ackError: 0, mutations: [], lengthErrors: [0, 0], typos: [] } as const
const messages = fc.array(message, { minLength: 1, maxLength: 3 })
const lie = fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, -1, 8, -8, 2 ** 31)

/** Resume messages, mostly of sessions that do not exist. */
export const resumption = fc
  .tuple(
    fc.constantFrom('resume', 'resumed', 'resume '),
    fc.constantFrom('1', '2', '', '__proto__', '1e0', '01'),
    fc.constantFrom('', '.', `.${'A'.repeat(22)}`, `.${'é'.repeat(22)}`, '.A.B', `.${'A'.repeat(99)}`),
    fc.constantFrom('0', '1', '-1', '99', '0.5', '9007199254740993', '1e3', '"1"', 'null')
  )
  .map(([what, id, secret, count]) => `["${what}","${id}${secret}",${count}]`)

/** One input; a session survives about half of them. */
export const input: Arbitrary<FuzzInput> = fc.oneof(
  { weight: 60, arbitrary: messages.map(messages => ({ ...WELL_FORMED, messages })) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(messages, fc.array(mutation, { minLength: 1, maxLength: 3 }))
      .map(([messages, mutations]) => ({ ...WELL_FORMED, messages, mutations }))
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(messages, sizes, fc.tuple(lie, lie))
      .map(([messages, sizes, lengthErrors]) => ({ ...WELL_FORMED, messages, sizes, lengthErrors }))
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        messages,
        fc.array(fc.tuple(fc.nat(300), fc.constantFrom('', '[', ']', '"', ',', '0', '-', '{}')), {
          minLength: 1,
          maxLength: 3
        })
      )
      .map(([messages, typos]) => ({ ...WELL_FORMED, messages, typos }))
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(messages, fc.constantFrom(1, -1, 99, 0.5, 2 ** 53))
      .map(([messages, ackError]) => ({ ...WELL_FORMED, messages, ackError }))
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.boolean(), fc.constantFrom(0, 0, 0, 1, -1))
      .map(([asks, ackError]) => ({ ...WELL_FORMED, messages: [], asks, ackError }))
  },
  { weight: 1, arbitrary: resumption.map(raw => ({ ...WELL_FORMED, messages: [], raw })) },
  {
    weight: 1,
    arbitrary: fc
      .oneof(
        fc.array(fc.nat(0xffff), { maxLength: 40 }).map(units => String.fromCharCode(...units)),
        fc.json({ maxDepth: 4 }),
        fc.uint8Array({ maxLength: 60 })
      )
      .map(raw => ({ ...WELL_FORMED, messages: [], raw }))
  }
)

/** The kinds and ids of the references that a message sends. */
function* referencesIn(message: WireMessage): Generator<[kind: string, id: number]> {
  const [op] = message
  const at = op === Op.call || op === Op.streamCall ? 4 : op === Op.items || op === Op.ended ? 3 : 2
  if (at === 2 && op !== Op.result && op !== Op.error) return
  for (const [kind, ...places] of (message[at + 1] ?? []) as [unknown, ...(string | number)[][]][]) {
    if (typeof kind !== 'string' || !'ofirwpa'.includes(kind)) continue
    for (const place of places) yield [kind, place.reduce<Untyped>((at, key) => at[key], message[at])[0]]
  }
}

/** The ids of the references that a message sends. */
export const referenceIdsIn = (message: WireMessage): number[] =>
  Array.from(referencesIn(message), ([, id]) => id)

/** A peer that sends malformed frames, based on the session's state. */
export class FuzzPeer {
  #frames = 0
  #calls = 0
  #lastOwnId = 0
  readonly #receivedIds: number[] = []
  #lastIterableId = 0
  readonly #callsToAnswer: number[] = []

  constructor(
    /** Number of messages received by operation. */
    private readonly messageCounts: Map<unknown, number>
  ) {}

  /** Reads a frame. @throws Error if it is malformed */
  receive(data: FrameData): void {
    const { messages, isAckOnly } = parseFrame(data, {
      jsonBytes: 1 << 30,
      depth: 1000,
      values: 1 << 30
    })
    if (!isAckOnly) this.#frames++
    for (const raw of messages) {
      const message = parseMessage(raw)
      const [op, id] = message
      this.messageCounts.set(op, (this.messageCounts.get(op) ?? 0) + 1)
      const asks =
        (op >= Op.call && op <= Op.keys) || op === Op.describe || (op >= Op.obtain && op <= Op.streamCall)
      if (asks || op === Op.ping) this.#callsToAnswer.push(id as number)
      for (const [kind, id] of referencesIn(message)) {
        this.#receivedIds.push(id)
        if (kind === 'i' || kind === 'r') this.#lastIterableId = id
      }
    }
  }

  /** Builds the frame of an input for the current state. */
  frame({
    messages,
    ackError,
    mutations,
    sizes,
    lengthErrors,
    typos,
    asks,
    raw
  }: FuzzInput): string | Uint8Array {
    if (raw !== undefined) return raw
    if (asks !== undefined) return JSON.stringify([this.#frames + ackError, ...(asks ? [1] : [])])
    const frame: Tree[] = [
      this.#frames + ackError,
      mutations.length > 0 ? structuredClone(messages) : messages
    ]
    if (sizes) frame.push(sizes)
    for (const mutation of mutations) mutate(frame, mutation)
    let text = JSON.stringify(frame, (_key, value) => this.#resolve(value)) ?? ''
    for (const [at, put] of typos) {
      const place = at % (text.length + 1)
      text = text.slice(0, place) + put + text.slice(place + (put === '' ? 1 : 0))
    }
    if (!sizes) return text
    const json = Buffer.from(text)
    const room = sizes
      .flatMap(([, ...sizes]) => sizes)
      .reduce((sum, size) => sum + Math.min((size + 7) & ~7, 64), 0)
    const header = Buffer.alloc(8)
    header.writeUInt32BE((json.length + lengthErrors[0]) >>> 0)
    const end = Math.min(Math.max(room + lengthErrors[1], 0), 4096)
    return Buffer.concat([header, json, Buffer.alloc(-json.length & 7), Buffer.alloc(end, 7)])
  }

  #resolve(value: Tree): Tree {
    if (typeof value !== 'object' || value === null || !('$' in value)) return value
    const { $: what, n } = value as unknown as { $: string; n: number }
    switch (what) {
      case 'call':
        return ++this.#calls
      case 'answer':
        return Math.min(n + 1 - this.#calls, 0)
      case 'made':
        return Math.max(this.#calls - n, 1)
      case 'flow':
        return Math.max(this.#lastOwnId - n, 1)
      case 'walked':
        return this.#lastIterableId
      case 'given':
        return this.#receivedIds.at(-1 - n) ?? 0
      case 'asked':
        return this.#callsToAnswer.at(-1 - n) ?? n
      default:
        return n === 0 ? ++this.#lastOwnId : this.#lastOwnId + n
    }
  }
}

/** Applies a mutation to a tree. */
function mutate(tree: Tree[], { at, how, put }: Mutation): void {
  const places: [holder: Record<string | number, Tree>, key: string | number][] = []
  const walk = (holder: object) => {
    for (const key of Object.keys(holder)) {
      places.push([holder as Record<string, Tree>, key])
      const inner = (holder as Record<string, Tree>)[key]
      if (typeof inner === 'object' && inner !== null && !('$' in inner)) walk(inner)
    }
  }
  walk(tree[1] as object)
  const place = places[at % places.length]
  if (!place) return
  const [holder, key] = place
  const old = holder[key]
  if (how === 'replace') holder[key] = structuredClone(put)
  else if (how === 'wrap') holder[key] = [old]
  else if (!Array.isArray(holder)) delete holder[key]
  else if (how === 'delete') holder.splice(Number(key), 1)
  else if (how === 'repeat') holder.splice(Number(key), 0, structuredClone(old))
  else holder.reverse()
}
