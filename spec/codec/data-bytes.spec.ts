import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { decodeBytes, encodeBytes } from '../../lib/codec/data-bytes.js'
import { expose, NetrefError, registerType, UnsendableError } from '../../lib/index.js'
import { overMemory } from '../support/helpers.js'

const encode = (value: unknown) => encodeBytes('topic.publish', 'value', value)
const decode = (bytes: Uint8Array) => decodeBytes('topic "x"', bytes)
const text = (json: string) => new TextEncoder().encode(json)

const leaf = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, -0, Number.NaN, Number.POSITIVE_INFINITY, '__proto__'),
  fc.string(),
  fc.integer(),
  fc.boolean(),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array(),
  fc.float64Array()
)
const { value: anyData } = fc.letrec(tie => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(
      fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom('__proto__', 'constructor')),
      tie('value'),
      {
        maxKeys: 4,
        noNullPrototype: true
      }
    ),
    fc.array(
      fc.record(
        { at: fc.date({ noInvalidDate: true }), price: fc.float(), name: fc.string() },
        { noNullPrototype: true }
      ),
      {
        minLength: 2
      }
    ),
    fc.array(tie('value'), { maxLength: 4 }).map(items => new Set(items)),
    fc.array(fc.tuple(fc.string(), tie('value')), { maxLength: 4 }).map(entries => new Map(entries))
  )
}))

t.test('any data comes back as it was', async t => {
  t.doesNotThrow(() =>
    fc.assert(fc.property(anyData, value => isDeepStrictEqual(decode(encode(value)), value)))
  )
  // Node takes no two invalid dates for equal.
  t.match(decode(encode({ at: new Date(Number.NaN) })), { at: /Invalid Date/ })
})

class Money {
  constructor(readonly cents: number) {}
  double() {
    return new Money(this.cents * 2)
  }
}

t.test('errors, cycles and registered types come back; plain JSON is readable text', async t => {
  registerType(Money, {
    name: 'Money',
    encode: money => money.cents,
    decode: (cents: number) => new Money(cents)
  })
  const cycle: Record<string, unknown> = { name: 'x' }
  cycle.self = cycle
  const back = decode(encode({ cycle, failed: new RangeError('too far'), money: new Money(7) })) as {
    cycle: typeof cycle
    failed: unknown
    money: Money
  }
  t.equal(back.cycle.self, back.cycle)
  t.match(back.failed, new RangeError('too far'))
  t.equal(back.money.double().cents, 14)
  t.match(Buffer.from(encode({ symbol: 'X', price: 41 })).toString(), '{"symbol":"X","price":41}')
})

t.test('what is not data is refused by its path, and nothing of it is used', async t => {
  class Account {
    #balance = 1
    balance() {
      return this.#balance
    }
  }
  const rejects: [value: unknown, message: string][] = [
    [{ user: { notify: () => 1 } }, 'value.user.notify is a function'],
    [[new Account()], 'value[0] is an instance of Account'],
    [new Map([['x', Promise.reject(new Error('nobody'))]]), 'value[0][1] is a promise'],
    [{ items: (function* () {})() }, 'value.items is an iterator'],
    [{ pair: new TransformStream() }, 'value.pair is a pair of streams'],
    [{ signal: AbortSignal.abort() }, 'value.signal is a signal'],
    [[1, { hidden: expose({ secret: 1 }) }], 'value[1].hidden is an object passed by reference'],
    [
      {
        twice: [
          { a: 1, f: () => 1 },
          { a: 2, f: () => 2 }
        ]
      },
      'value.twice[0].f is a function'
    ]
  ]
  for (const [value, message] of rejects) {
    try {
      t.fail(`encoded ${encode(value)}`)
    } catch (error) {
      t.type(error, UnsendableError)
      t.equal(
        (error as Error).message,
        `topic.publish: ${message}, which cannot be sent: pass data in its place`
      )
    }
  }
  await overMemory(t, { open: () => expose({ read: () => 1 }) }, async ({ root }) => {
    const file = await root.open()
    t.throws(() => encode([file]), { message: /value\[0\] is a netref, which cannot be sent/ })
    t.throws(() => encode({ path: root.open }), {
      message: /value\.path is a remote value that is not awaited/
    })
  })
  t.throws(() => encode({ tag: Symbol('x') }), {
    message: /value\.tag is Symbol\(x\), which cannot be sent: a symbol/
  })
  t.throws(
    () =>
      encode({
        get price() {
          throw new Error('no price')
        }
      }),
    new Error('no price'),
    'the error of an accessor is thrown as it is'
  )
  const failed = Object.assign(new Error('x'), { callback: () => 1, code: 'E' })
  t.match(decode(encode(failed)), { code: 'E', omitted: ['callback'] }, 'errors carry data only, as ever')
})

t.test('what no reader accepts is refused when it is encoded', async t => {
  const rejects = (value: unknown, message: RegExp) =>
    t.throws(() => encode(value), { name: 'LimitError', code: 'limit', message })
  rejects({ pattern: /x/ }, /^topic\.publish: the RegExps have more than 0 characters/)
  rejects(
    Array.from({ length: 10_001 }, () => new Map()),
    /^topic\.publish: the message has 10001 values/
  )
  rejects('x'.repeat((4 << 20) + 1), /^topic\.publish: a frame of more than 4194304 characters of JSON/)
})

t.test('bytes that are no value are refused', async t => {
  const good = encode({ at: new Date(0), bytes: new Uint8Array(9) })
  for (const [bytes, message] of [
    [new Uint8Array(), /topic "x": a binary frame without a header/],
    [text('[0'), /a frame that is not JSON/],
    [text('[0]'), /a frame that is not of one value/],
    [text('[0,[]]'), /a frame that is not of one value/],
    [text('[0,[[10,1,5],[10,2,6]]]'), /a frame that is not of one value/],
    [text('[0,[[1,1,0,"x",[]]]]'), /a frame that is not of one value/],
    [text('[0,[[10,1,5,7]]]'), /a message that is not of the protocol/],
    [new Uint8Array([0x5b, 0xff]), /a frame that is not UTF-8/],
    [good.subarray(0, -8), /a binary frame shorter than its sizes/],
    [text('[0,[[10,1,[0,""],[["o",[]]]]]]'), /a reference in data/],
    [text('[0,[[10,1,{"a":[0,""]},[["o",["a"]]]]]]'), /a reference in data/],
    [text('[0,[[10,1,{"a":7},[["n",["a"]]]]]]'), /a name of an answer/],
    [text('[0,[[10,1,{"a":"x","b":[0,""]},[["bigint",["a"]],["f",["b"]]]]]]'), /topic "x": /],
    [text('[0,[[10,1,{"a":[5]},[[["custom","Nobody"],["a"]]]]]]'), /Nobody/]
  ] as const) {
    try {
      t.fail(`decoded ${decode(bytes)}`)
    } catch (error) {
      t.type(error, NetrefError)
      t.match(error, { code: 'unreadable', message })
    }
  }
  const deep = `${'['.repeat(300)}${']'.repeat(300)}`
  t.throws(() => decode(text(`[0,[[10,1,${deep}]]]`)), { name: 'LimitError', code: 'limit' })
})

t.test('mutated bytes are a value or an error, and change nothing else', async t => {
  const mutation = fc.record({ at: fc.nat(), byte: fc.nat(255), remove: fc.nat(3), insert: fc.nat(3) })
  fc.assert(
    fc.property(anyData, fc.array(mutation, { minLength: 1, maxLength: 4 }), (value, mutations) => {
      const bytes = [...encode(value)]
      for (const { at, byte, remove, insert } of mutations)
        bytes.splice(at % bytes.length, remove, ...Array(insert).fill(byte))
      try {
        decode(new Uint8Array(bytes))
      } catch (error) {
        t.type(error, NetrefError)
      }
    }),
    { numRuns: 1000 }
  )
  t.same(Object.keys(Object.prototype), [])
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
})
