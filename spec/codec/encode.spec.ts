import { inspect, isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { decode } from '../../lib/codec/decode.js'
import { encodeValue } from '../../lib/codec/encode.js'
import { exposedValues } from '../../lib/codec/grants.js'
import { errorClass } from '../../lib/codec/registry.js'
import { TableBudget } from '../../lib/codec/table-codec.js'
import { VALUE } from '../../lib/codec/value-role.js'
import {
  type Connection,
  connect,
  expose,
  LimitError,
  Netref,
  NetrefError,
  type Pair,
  type PairOptions,
  registerError,
  registerType,
  Service,
  serve,
  UnsendableError
} from '../../lib/index.js'
import { settingsOf } from '../../lib/session/options.js'
import { SessionImpl } from '../../lib/session/session.js'
import { CONVERSION_METHODS } from '../../lib/util/conversion-methods.js'
import { className, describeValue, functionName } from '../../lib/util/describe.js'
import { overMemory, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

declare const gc: () => void

/** What the service got last; the tests let go of it. */
let arrived: unknown
/** What the service gives. */
let gift: unknown

class Echo extends Service {
  exposed_echo(value: unknown) {
    arrived = value
    return value
  }
  exposed_all(...values: unknown[]) {
    return values
  }
  exposed_count(...values: unknown[]) {
    return values.length
  }
  exposed_give() {
    return gift
  }
  exposed_fail() {
    throw gift
  }
  /** Runs a test's own code at this end. */
  exposed_run() {
    return (gift as () => unknown)()
  }
  exposed_use(value: never, run: never) {
    return (use.get(run) as (value: never) => unknown)(value)
  }
}

/** Test code that is to run on what arrives at the service. */
const use = new Map<string, (value: never) => unknown>()

interface Root {
  echo(value: unknown): Promise<never>
  all(...values: unknown[]): Promise<never[]>
  count(...values: unknown[]): Promise<number>
  give(): Promise<never>
  fail(): Promise<never>
  run(): Promise<never>
}

/** A session with an echo at the other end; what it kept is let go of at the end. */
async function overEcho(
  t: Test,
  test: (root: Root, conn: Pair<Echo>) => Promise<void>,
  { limits, serving = {}, ...options }: PairOptions = {}
): Promise<void> {
  // By default no RegExp is taken.
  const regExpLength = 10_000
  await overMemory(
    t,
    Echo,
    async conn => {
      await test(conn.root as unknown as Root, conn)
      arrived = gift = undefined
      use.clear()
    },
    {
      ...options,
      limits: { regExpLength, ...limits },
      serving: { ...serving, limits: { regExpLength, ...serving.limits } }
    }
  )
}

/** Deeply and strictly equal, NaN, -0, prototypes and cycles included; references are equal to themselves only. */
function same(t: Test, found: unknown, wanted: unknown, what = inspect(wanted)): void {
  const name = what.slice(0, 60).replace(/[^ -~]+/g, ' ')
  if (isDeepStrictEqual(found, wanted)) t.pass(name)
  else t.fail(name, { found: inspect(found), wanted: inspect(wanted) })
}

/** An object of this side: equal to nothing but itself. */
class Home {
  readonly me = Symbol('one of its kind')
  constructor(readonly name = 'home') {}
}

class Point {
  constructor(
    readonly x: number,
    readonly y: number
  ) {}
}
registerType(Point, { name: 'Point', encode: p => [p.x, p.y], decode: ([x, y]) => new Point(x!, y!) })

/** A registered type whose wire form holds whatever there is. */
class Parcel {
  constructor(readonly content: unknown) {}
}
registerType(Parcel, {
  name: 'constructor',
  encode: p => ({ content: p.content }),
  decode: ({ content }) => new Parcel(content)
})

class NotFound extends Error {
  override name = 'NotFound'
  constructor(readonly path: string) {
    super(`no ${path}`)
    constructed++
  }
}
let constructed = 0
registerError(NotFound, { name: 'NotFound' })

t.test('each plain value and each leaf arrives as itself, at the top and inside', t =>
  overEcho(t, async root => {
    const values: unknown[] = [
      ...[null, true, false, '', 'text', '\ud800 lone \udc00', '\u0000\u2028', 0, 1, -1.5, 1e308, 5e-324],
      ...[2 ** 53, [], {}, [[], [[]]], { a: { b: [{ c: null }] } }],
      ...[undefined, Number.NaN, Infinity, -Infinity, -0, 0n, -(2n ** 80n)],
      ...[new Date(0), new Date('2024-02-29T12:00:00.123Z')],
      ...[/a\/b/giu, /\n/, /(?:)/, new URL('https://user@example.org:81/a?b=c#d')],
      ...[new Map(), new Set(), new Map([[{ a: 1 }, new Set([new Map([[-0, [undefined]]])])]])],
      ...[new Point(1, -0), new Parcel(new Parcel([new Date(1), new Point(2, 3), Buffer.from('bytes')]))],
      ...[{ constructor: 1, toString: 2, hasOwnProperty: 3, then: 'data', length: 4, '': 5, '0': 6 }],
      ...[[undefined, -0, null, { u: undefined }]]
    ]
    for (const value of values) {
      const around = () => [{ 'a key': [value, value] }, new Map([[value, new Set([value])]])]
      const back = [await root.echo(value), arrived, await root.all(...around())]
      same(t, back, [value, value, around()], inspect(value))
    }
    const [invalid] = (await root.echo([new Date(Number.NaN)])) as [Date]
    t.equal(`${invalid instanceof Date} ${invalid}`, 'true Invalid Date')
    same(t, await root.echo(Object.assign(Object.create(null), { a: 1 })), { a: 1 }, 'a null prototype')
    // biome-ignore lint/suspicious/noSparseArray: holes arrive as undefined.
    same(t, await root.echo([1, , 3]), [1, undefined, 3], 'holes')
    t.equal(await root.count(), 0)
    t.equal(await root.count(undefined, undefined), 2, 'undefined arguments keep their positions')
  })
)

t.test('any key is data, and changes no prototype', t =>
  overEcho(t, async root => {
    for (const inner of ['1', '{"polluted":true}', '[{"__proto__":{"polluted":2}}]']) {
      const text = `{"__proto__":${inner},"constructor":{"prototype":{"polluted":3}}}`
      const value = { ...JSON.parse(text), leaf: undefined }
      const back = (await root.echo(value)) as object
      t.equal(Object.getPrototypeOf(back), Object.prototype)
      t.same(Object.keys(back), ['__proto__', 'constructor', 'leaf'])
      same(t, back, value)
      t.notOk('polluted' in {}, 'no prototype has changed')
    }
    const back = (await root.echo(JSON.parse('{"__proto__":null}'))) as object
    t.ok(Object.hasOwn(back, '__proto__'))
    const fn = () => 1
    const holder = Object.defineProperty({}, '__proto__', { value: fn, enumerable: true })
    const kept = (await root.echo(holder)) as object
    t.equal(
      Object.getOwnPropertyDescriptor(kept, '__proto__')?.value,
      fn,
      'a reference can be at such a key, too'
    )

    for (const none of [undefined, null, 5])
      same(t, await root.echo({ [Symbol.iterator]: none, a: 1 }), { a: 1 }, 'nothing to iterate over')
    const everywhere = { configurable: true, enumerable: true, value: { not: fn } }
    Object.defineProperty(Object.prototype, 'everywhere', everywhere)
    try {
      const own = await root.echo({ a: 1, inner: { b: undefined } })
      t.same([Object.keys(own), Object.keys((own as { inner: object }).inner)], [['a', 'inner'], ['b']])
    } finally {
      delete (Object.prototype as { everywhere?: unknown }).everywhere
    }
  })
)

t.test('every class of bytes arrives as that class, with the visible range alone', t =>
  overEcho(t, async root => {
    const memory = new ArrayBuffer(64)
    new Uint8Array(memory).set(Array.from({ length: 64 }, (_, i) => i + 1))
    const views = [
      ...[Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array],
      ...[Float32Array, Float64Array, BigInt64Array, BigUint64Array]
    ].flatMap(Type => [
      new Type(memory),
      new Type(memory, 8, 2),
      new Type(memory, Type.BYTES_PER_ELEMENT, 1),
      new Type(0)
    ])
    const bytes = [
      ...[...views, memory, new ArrayBuffer(0), new DataView(memory, 3, 7), new DataView(memory, 64)],
      ...[Buffer.from(memory, 5, 3), Buffer.alloc(0), new Uint8Array(memory).subarray(1, 4)]
    ]
    same(t, await root.all(...bytes), bytes, 'all in one frame')
    for (const value of bytes) {
      const back = await root.echo(value)
      same(t, back, value, `${className(value)} of ${value.byteLength}`)
      t.equal(className(back), className(value))
    }
    const large = new Float64Array(1000).map((_, i) => i / 3)
    same(t, await root.echo([large, 'small', new Uint8Array([1])]), [large, 'small', new Uint8Array([1])])
    class Mine extends Uint8Array {}
    const mine = new Mine(2)
    t.equal(await root.echo(mine), mine, 'a subclass is passed by reference')
    const detached = new ArrayBuffer(8)
    structuredClone(detached, { transfer: [detached] })
    t.match((await rejectionOf(root.echo(detached))).message, /detached/, 'a detached buffer rejects')
  })
)

t.test('errors: class, name, message, code, cause, errors and fields that are data', t =>
  overEcho(t, async root => {
    class Unknown extends RangeError {
      override name = 'Unknown'
    }
    const dom = new DOMException('gone', 'NotFoundError')
    const errors = [
      new Error('plain'),
      Object.assign(new TypeError('typed', { cause: new RangeError('cause', { cause: 'text' }) }), {
        code: 'E1'
      }),
      new AggregateError([new SyntaxError('one'), 'two', undefined], 'many'),
      Object.assign(new EvalError('fields'), {
        when: new Date(5),
        bytes: new Uint8Array([1, 2]),
        nested: { a: [-0] }
      }),
      dom
    ]
    const aggregated = (error: Error) => (error as AggregateError).errors
    for (const error of errors) {
      const back = (await root.echo(error)) as Error
      same(t, back, error, `${error}`)
      t.equal(back.constructor, error.constructor)
      same(t, back.cause, error.cause)
      same(t, aggregated(back), aggregated(error))
      t.notMatch(back.stack, /\n/, 'the stack is not sent')
      t.equal(back.stack, String(error))
    }
    t.equal(((await root.echo(dom)) as DOMException).code, 8)
    const caused = Object.defineProperty(new DOMException('x', 'AbortError'), 'cause', { value: 'why' })
    t.equal(((await root.echo(caused)) as Error).cause, 'why')

    constructed = 0
    const missing = new NotFound('/a')
    const found = (await root.echo(missing)) as NotFound
    t.ok(found instanceof NotFound)
    same(t, { ...found, name: found.name }, { name: 'NotFound', path: '/a' })
    t.equal(constructed, 1, 'no constructor ran to receive it')
    const unknown = (await root.echo(new Unknown('u'))) as Error
    t.ok(
      unknown instanceof RangeError && !(unknown instanceof Unknown),
      'the nearest class that both sides know'
    )
    t.equal(`${unknown}`, 'Unknown: u')
    const overridden = Object.defineProperty(new Error('m'), 'name', { value: 'Renamed' })
    t.equal(((await root.echo(overridden)) as Error).name, 'Renamed')

    const held = Object.assign(new Error('held'), {
      socket: new Home(),
      ok: [1],
      callback() {},
      deep: { a: { when: new Date(1), b: [new Uint8Array(1), Symbol('no')] } },
      code: () => 1,
      cause: new Error('inner', { cause: new Home() })
    })
    for (const error of [held, (await root.echo(held)) as Error]) {
      const back = (await root.echo([new Date(2), error, new Uint8Array([7])])) as [Date, never, Uint8Array]
      const { ok, omitted, cause, socket } = back[1] as Record<string, never>
      same(
        t,
        { ok, omitted, cause, socket },
        {
          ok: [1],
          omitted: ['code', 'socket', 'callback', 'deep'],
          cause: Object.assign(new Error('inner'), { omitted: ['cause'] }),
          socket: undefined
        }
      )
      same(t, [back[0], back[2]], [new Date(2), new Uint8Array([7])], 'what was left out leaves no trace')
    }

    const sly = Object.defineProperties(new Error('sly'), {
      ...Object.fromEntries(
        ['__proto__', 'constructor', 'prototype', 'then', 'toString', 'toJSON', 'valueOf', 'stack'].map(
          key => [key, { value: { polluted: key }, enumerable: true }]
        )
      ),
      ['__proto__']: { value: { polluted: true }, enumerable: true }
    })
    const tame = (await root.echo(sly)) as unknown as Error & { omitted: string[] }
    t.same(Object.keys(tame), ['omitted'])
    t.same(tame.omitted.sort(), [
      '__proto__',
      'constructor',
      'prototype',
      'then',
      'toJSON',
      'toString',
      'valueOf'
    ])
    t.equal(Object.getPrototypeOf(tame), Error.prototype)
    t.equal(String(tame), 'Error: sly')

    gift = missing
    const thrown = await rejectionOf(root.fail())
    t.ok(thrown instanceof NotFound)
    t.match(thrown.stack, /^NotFound: no \/a\n.*encode\.spec/s, 'the stack names the awaiting function')
    gift = 'just text'
    t.equal(await root.fail().then(null, (error: unknown) => error), 'just text')
    t.ok(
      ((await root.echo(new UnsendableError('ours'))) as unknown) instanceof UnsendableError,
      'netref uses its own class'
    )
  })
)

t.test('with exposeStacks the remote stack follows the local one', t =>
  overEcho(
    t,
    async root => {
      const thrower = function thrower() {
        throw new TypeError('deep')
      }
      gift = thrower
      const { stack } = await rejectionOf(root.run())
      t.match(
        stack,
        /^TypeError: deep\n.*encode\.spec.*\n {2}--- on the other side ---\nTypeError: deep\n.*thrower/s
      )
      gift = Object.defineProperty(new Error('none'), 'stack', { value: undefined })
      t.notMatch((await rejectionOf(root.fail())).stack, /other side/)

      const { captureStackTrace } = Error
      Error.captureStackTrace = undefined as never
      gift = new TypeError('far')
      const foreign = await rejectionOf(root.fail())
      Error.captureStackTrace = captureStackTrace
      t.match(foreign.stack, /^TypeError: far\n {2}--- on the other side/, 'a runtime without V8’s stacks')
    },
    { serving: { exposeStacks: true } }
  )
)

t.test('an error arrives unchanged, even if the program formats stacks itself', t => {
  const makers: Record<string, typeof Error.prepareStackTrace> = {
    'a list of frames': (_error, frames) => frames,
    nothing: () => undefined,
    'a number': () => 5,
    'an object': () => ({ split: 1 }),
    'what throws': () => {
      throw new RangeError('no stacks today')
    }
  }
  const gifts = [
    Object.assign(new TypeError('early'), { code: 'E_EARLY' }),
    new DOMException('gone', 'NotFoundError'),
    new AggregateError([new Error('inner')], 'many')
  ]
  return overEcho(
    t,
    async (root, conn) => {
      for (const [name, maker] of Object.entries(makers)) {
        const { prepareStackTrace, stackTraceLimit } = Error
        const errors: (Error & { code?: unknown })[] = []
        Error.prepareStackTrace = maker
        try {
          for (gift of gifts) errors.push(await rejectionOf(root.fail()))
          gift = () => {
            throw new NotFound('late')
          }
          errors.push(await rejectionOf(root.run()))
          errors.push(await root.echo(gifts[0]))
          // Errors that are made at this side.
          const loose = conn.root as Untyped
          errors.push(await rejectionOf(loose.nothing()), await rejectionOf(loose.echo(Symbol('s'))))
          let end!: (value: unknown) => void
          gift = () => new Promise(resolve => (end = resolve))
          errors.push(await rejectionOf(Netref.with(loose, { timeout: 1 }).run()))
          end(0)
        } finally {
          Error.prepareStackTrace = prepareStackTrace
        }
        t.equal(Error.stackTraceLimit, stackTraceLimit)
        t.same(
          errors.map(({ name, message, code }) => [name, message.slice(0, 14), code]),
          [
            ['TypeError', 'early', 'E_EARLY'],
            ['NotFoundError', 'gone', 8],
            ['AggregateError', 'many', undefined],
            ['NotFound', 'no late', undefined],
            ['TypeError', 'early', 'E_EARLY'],
            ['ExposureError', 'root.nothing()', 'not-exposed'],
            ['UnsendableError', 'root.echo(Symb', 'unsendable'],
            ['TimeoutError', 'root.run(): no', 23]
          ],
          name
        )
        t.match(
          errors[0]?.stack,
          /^TypeError: early/,
          'the stack of a received error is a string in any case'
        )
      }
    },
    { serving: { exposeStacks: true } }
  )
})

t.test(
  'a class registered under the same name again replaces the earlier one, as a reloaded module does',
  t =>
    overEcho(t, async root => {
      const load = (version: number) => {
        class Money {
          readonly #cents: number
          constructor(cents: number) {
            this.#cents = cents
          }
          static cents = (money: Money) => money.#cents
          readonly version = version
        }
        class Broke extends Error {
          readonly version = version
        }
        registerType(Money, { name: 'Money', encode: Money.cents, decode: cents => new Money(cents) })
        registerError(Broke, { name: 'Broke' })
        return { Money, Broke }
      }
      const before = load(1)
      const earlier = new before.Money(3)
      const broke = new before.Broke('early')
      const { Money, Broke } = load(2)
      const back: InstanceType<typeof Money> = await root.echo(new Money(5))
      t.ok(back instanceof Money, 'of the class that was registered last')
      t.equal(Money.cents(back), 5)
      t.equal(
        Money.cents(await root.echo(earlier)),
        3,
        'an instance of the earlier class is encoded as it was'
      )
      t.ok(((await root.echo(broke)) as object) instanceof Broke)
      gift = new Broke('late')
      t.ok((await rejectionOf(root.fail())) instanceof Broke)
      registerType(Money, { name: 'Money', encode: () => 7, decode: cents => new Money(cents) })
      t.equal(Money.cents(await root.echo(back)), 7, 'the same class with other options')
    })
)

t.test('classes that were replaced are not kept', async t => {
  const gone: WeakRef<object>[] = []
  for (let i = 0; i < 3; i++) {
    class Reloaded extends Error {}
    registerError(Reloaded, { name: 'Reloaded' })
    class Shape {}
    registerType(Shape, { name: 'Shape', encode: () => 0, decode: () => new Shape() })
    gone.push(new WeakRef(Reloaded), new WeakRef(Shape))
  }
  await waitUntil(() => {
    gc()
    return gone.slice(0, 4).every(ref => ref.deref() === undefined)
  })
  t.ok(
    gone.slice(4).every(ref => ref.deref()),
    'the last classes are kept'
  )
})

t.test(
  'registered types: references, dates and bytes inside; a second name throws; bad ones reject their call',
  t =>
    overEcho(t, async root => {
      const home = new Home()
      const fn = () => 1
      const content = [
        home,
        { fn, when: new Date(3) },
        new Uint8Array([1, 2]),
        new Map([[new Point(1, 2), fn]])
      ]
      const back = (await root.echo([new Parcel(content)])) as [Parcel]
      t.ok(back[0] instanceof Parcel)
      same(t, back[0].content, content)
      class Near extends Point {}
      const near = new Near(1, 2)
      t.equal(await root.echo(near), near, 'an instance of a subclass is passed by reference')

      const codec = { encode: () => 0, decode: () => new Home() as never }
      t.throws(
        () => registerType(Point, { name: 'P2', ...codec }),
        new TypeError('registerType: Point is already registered as "Point": a class can have only one name')
      )
      t.throws(() => registerType(Map, { name: 'Map', ...codec } as never), /Map is already passed by value/)
      for (const name of ['TypeError', 'DOMException', 'LimitError'])
        t.throws(() => registerError(class extends Error {}, { name }), /is the name of a built-in class/)
      t.throws(
        () => registerError(NotFound, { name: 'Other' }),
        /NotFound is already registered as "NotFound"/
      )
      t.throws(() => registerError(RangeError, { name: 'Other' }), /RangeError is already registered/)
      t.throws(() => registerError(Home as never, { name: 'Home' }), /Home is not an Error/)
      class Odd {}
      for (const options of [
        {},
        { name: '', ...codec },
        { name: 'Odd' },
        { ...codec },
        { name: 5, ...codec },
        undefined
      ])
        t.throws(() => registerType(Odd, options as never), {
          name: 'TypeError',
          message: 'registerType: pass a class, a `name`, and the functions `encode` and `decode`'
        })
      t.throws(() => registerType({} as never, { name: 'Odd', ...codec }), /: pass a class, a `name`/)
      registerType(Odd, { name: 'Odd', encode: () => 1, decode: () => new Odd() })
      t.throws(
        () => registerError(class {} as never, { name: 'x' }),
        /^registerError: the class is not an Error$/
      )
      const untyped = registerError as (type: unknown, options?: unknown) => void
      const message =
        'registerError: pass a name, as a minifier changes that of the class: registerError(Unnamed, { name: "Unnamed" })'
      class Unnamed extends Error {
        override name = 'Unnamed'
      }
      for (const options of [undefined, {}, { name: '' }, { name: 5 }])
        t.throws(() => untyped(Unnamed, options), { name: 'TypeError', message })
      t.throws(() => untyped(class extends Error {}), /registerError\(Class, \{ name: "Class" \}\)$/)
      // @ts-expect-error the name is required
      t.throws(() => registerError(Unnamed), { message })
      class Named extends Error {}
      Object.defineProperty(Named.prototype, 'name', { value: 'encode.spec/Named' })
      untyped(Named)
      t.equal(errorClass('encode.spec/Named'), Named)

      class Bad {
        constructor(readonly how: unknown = new Error('will not encode')) {}
      }
      registerType(Bad, {
        name: 'toString',
        encode: ({ how }) => {
          if (how instanceof Error) throw how
          return how
        },
        decode: how => {
          throw how === 'monster' ? Object.create(null) : new Error(`will not decode ${how}`)
        }
      })
      t.match((await rejectionOf(root.echo([() => 1, new Bad()]))).message, /will not encode/)
      const failed = await rejectionOf(root.all(() => 1, new Bad('this'), new Bad('that')))
      t.ok(failed instanceof NetrefError)
      t.match(failed, {
        code: 'unreadable',
        message: /all\(ƒ, Bad {…}, Bad {…}\): cannot read a toString: will not decode this/
      })
      t.match(await rejectionOf(root.echo(new Bad('monster'))), {
        code: 'unreadable',
        message: /toString: {…}/
      })
      gift = { ok: new Home(), bad: new Bad('result') }
      t.match(await rejectionOf(root.give()), { code: 'unreadable', message: /give\(\): .*decode result/ })
      t.match(await rejectionOf(root.echo(new Bad(Symbol('s')))), {
        code: 'unsendable',
        message: /args\[0\]\[0\] is Symbol\(s\)/
      })
      t.equal(await root.count(1), 1, 'the session continues')

      class Ring {
        self: unknown = this
      }
      registerType(Ring, {
        name: 'Ring',
        encode: ring => [ring.self],
        decode: ([self]) => Object.assign(new Ring(), { self })
      })
      t.match((await rejectionOf(root.echo(new Ring()))).message, /args\[0\]\[0\]\[0\] is part of itself/)
      const shared = Object.assign(new Ring(), { self: 1 })
      const cyclic: unknown[] = [shared, shared]
      cyclic.push(cyclic)
      const [one, two, three] = (await root.echo(cyclic)) as unknown[]
      t.ok(
        one instanceof Ring && two instanceof Ring && Array.isArray(three),
        'an object that occurs twice beside a cycle is not part of the cycle'
      )
    })
)

interface Knot {
  array: unknown[]
  object: Record<string, unknown>
  map: Map<unknown, unknown>
  set: Set<unknown>
  error: Error
}

t.test('cycles, and sharing within them, are preserved in both directions', t =>
  overEcho(t, async root => {
    const array: unknown[] = [1]
    array.push(array)
    same(t, await root.echo(array), array)
    const object: Record<string, unknown> = { when: new Date(4), fn: () => 1 }
    object.self = { deep: [object] }
    same(t, await root.echo(object), object)
    const map = new Map<unknown, unknown>()
    map.set('self', map).set(map, [map])
    const mapBack = (await root.echo(map)) as unknown as typeof map
    t.equal(mapBack.get('self'), mapBack)
    t.equal((mapBack.get(mapBack) as unknown[])[0], mapBack, 'also as its own key')
    const set = new Set<unknown>()
    set.add(set).add({ set })
    const [first, second] = [...((await root.echo([set])) as [Set<unknown>])[0]]
    t.ok(first instanceof Set && first.has(second))
    t.equal((second as { set: unknown }).set, first)
    const error = Object.assign(new TypeError('round'), {
      cause: {} as unknown,
      at: { error: null as unknown }
    })
    error.cause = error
    error.at.error = error
    const errorBack = (await root.echo(error)) as unknown as typeof error
    t.equal(errorBack.cause, errorBack)
    t.equal(errorBack.at.error, errorBack)
    const parcel: unknown[] = [new Parcel(1)]
    parcel.push(new Parcel(parcel))
    const parcelBack = (await root.echo(parcel)) as unknown[]
    t.equal((parcelBack[1] as Parcel).content, parcelBack, 'through a registered type')

    // Everybody knows everybody: without memory the walk would take each of n! ways.
    const crowd = Array.from({ length: 60 }, (_, name) => ({ name, knows: [] as unknown[] }))
    for (const person of crowd) person.knows.push(...crowd)
    const crowdBack = (await root.echo(crowd)) as unknown as typeof crowd
    t.ok(
      crowdBack.every((person, i) => person.name === i && person.knows.every((p, j) => p === crowdBack[j]))
    )
    // Shared at each of 40 levels: small in memory, 2^40 places if each were written out.
    let dag: unknown = { leaf: new Date(6) }
    for (let i = 0; i < 40; i++) dag = [dag, dag]
    let at = await root.echo(dag)
    for (let i = 0; i < 40; i++) {
      t.equal(at[0], at[1])
      at = at[0]
    }
    same(t, at, { leaf: new Date(6) })

    const refused = Object.assign(new Error('half'), { field: {} as object })
    const common = { fine: true }
    refused.field = { common, fn() {} }
    const knot: Partial<Knot> & { refused: Error; common: object } = { refused, common }
    knot.array = [knot, { refused }]
    const knotBack = (await root.echo(knot)) as unknown as typeof knot
    same(t, knotBack.common, { fine: true }, 'nothing leads into what was left out')
    same(t, knotBack.refused, Object.assign(new Error('half'), { omitted: ['field'] }))
    t.equal(knotBack.array![0], knotBack)
    const twice = [common, common]
    const apart = (await root.echo(twice)) as unknown[]
    same(t, apart, twice)
    t.not(apart[0], apart[1], 'plain data is encoded without tracking')

    let released = 0
    const watched = expose({}, { released: () => void released++ })
    const ring: unknown[] = [watched]
    ring.push(ring)
    t.equal(((await root.echo(ring)) as unknown[])[0], watched)
    t.equal(released, 0, 'the second pass disposes of nothing')
  })
)

t.test('the depth error names the path; a value that would lose data rejects', t =>
  overEcho(
    t,
    async (root, conn) => {
      const nest = (levels: number, wrap: (inner: unknown) => unknown, inner: unknown) => {
        for (let i = 0; i < levels; i++) inner = wrap(inner)
        return inner
      }
      // The list of arguments is a level, too.
      for (const wrap of [(inner: unknown) => [inner], (inner: unknown) => ({ a: inner })]) {
        for (const inner of ['leaf', undefined, () => 1, new Uint8Array(1), new Home()]) {
          const value = nest(199, wrap, inner)
          same(t, await root.echo(value), value, `199 levels around ${describeValue(inner)}`)
          gift = [() => 1, nest(200, wrap, inner)]
          t.match(
            (await rejectionOf(root.give())).message,
            /is nested deeper than 200 \(limits\.depth\), which cannot be sent: send it in parts/
          )
        }
        const error = await rejectionOf(root.echo(nest(200, wrap, 'leaf')))
        t.ok(error instanceof UnsendableError)
        t.match(error.message, /args\[0\](\[0\]|\.a){30,}\.?….*(\[0\]|\.a) is nested deeper than 200/)
        const { exports } = conn.stats
        const tooDeep = rejectionOf(root.all(() => 1, nest(5000, wrap, 1)))
        t.equal(conn.stats.exports, exports)
        await tooDeep
      }
      await rejectionOf(root.echo(nest(150, inner => new Map([[inner, inner]]), 1)))
      const endless = {
        get next() {
          return { ...Object.getOwnPropertyDescriptors({}), __proto__: null, next: endless.next }
        }
      } as never as { next: never }
      await rejectionOf(root.echo(endless))
      const long = nest(300, inner => new Error('level', { cause: inner }), 'end')
      await root.echo(long)
      let cut = arrived
      while ((cut as Error).cause) cut = (cut as Error).cause
      same(t, { ...(cut as Error) }, { omitted: ['cause'] }, 'a long chain of causes is cut, and says so')

      t.match(await rejectionOf(root.echo(Object.assign([1, 2], { extra: 1, other: 2 }))), {
        code: 'unsendable',
        message: /args\[0\] is an array with the named key "extra"/
      })
      t.match(
        (await rejectionOf(root.echo({ a: new Array(2 ** 32 - 1) }))).message,
        /args\[0\]\.a is an array too long/
      )
      const tooMuch = await rejectionOf(root.all('x'.repeat(400_000), () => 1))
      t.ok(tooMuch instanceof LimitError)
      t.match(tooMuch.message, /all\("x{20}…", ƒ\).*limits\.jsonBytes/)
      gift = ['x'.repeat(400_000), () => 1]
      t.equal((await rejectionOf(root.give())).code, 'limit')
    },
    { limits: { jsonBytes: 300_000 }, serving: { limits: { jsonBytes: 300_000 } } }
  )
)

t.test(
  'a value that cannot be sent rejects its call with a TypeError that names the path, and leaves no reference',
  t =>
    overEcho(t, async (root, conn) => {
      await using server = await serve(Echo, { port: 0 })
      const refusals: [string, () => unknown][] = [
        ['Symbol\\(tag\\)', () => Symbol('tag')],
        ['Symbol\\(Symbol\\.iterator\\)', () => Symbol.iterator],
        ['a WeakMap', () => new WeakMap()],
        ['a WeakSet', () => new WeakSet()],
        ['a WeakRef', () => new WeakRef({})],
        ['a FinalizationRegistry', () => new FinalizationRegistry(() => {})],
        ['a SharedArrayBuffer', () => new SharedArrayBuffer(8)],
        [
          'a stream that is locked',
          () => {
            const stream = new ReadableStream()
            stream.getReader()
            return stream
          }
        ],
        ['`globalThis`', () => globalThis],
        ['`process`', () => process],
        ['a Session', () => conn.session],
        ['a Connection', () => conn],
        ['a Server', () => server]
      ]
      const places: [string, (bad: unknown) => unknown][] = [
        ['', bad => bad],
        ['.user.tag', bad => ({ fn() {}, user: { home: new Home(), tag: bad } })],
        ['["a key"][1]', bad => ({ 'a key': [new Home(), bad] })],
        [
          '[1][0]',
          bad =>
            new Map<unknown, unknown>([
              [1, () => 1],
              [bad, 2]
            ])
        ],
        ['[0][1].x', bad => new Map([[() => 1, { x: bad }]])],
        ['[1]', bad => new Set([() => 1, bad])],
        ['[0].content', bad => new Parcel(bad)]
      ]
      const literal = (text: string) => text.replace(/[[\].]/g, '\\$&')
      for (const [what, make] of refusals) {
        for (const [place, around] of places) {
          const rejected = rejectionOf(root.all(() => 1, around(make())))
          t.equal(conn.stats.exports, 0, 'references encoded before it are rolled back at once')
          const error = await rejected
          t.ok(error instanceof TypeError && error instanceof UnsendableError)
          t.equal(error.code, 'unsendable')
          t.match(
            error.message,
            new RegExp(
              `^root\\.all\\(.*\\): args\\[1\\]${literal(place)} is (${what}), which cannot be sent: .`
            )
          )

          gift = around(make())
          const refused = await rejectionOf(root.give())
          t.ok(refused instanceof UnsendableError)
          t.match(refused.message, new RegExp(`^root\\.give\\(\\): result${literal(place)} is (${what})`))
          t.equal(conn.served.stats.exports, 0)
        }
      }
      t.ok(conn.session instanceof SessionImpl)
      gift = { not: 'an error', symbol: Symbol('s') }
      t.match(await rejectionOf(root.fail()), { code: 'unsendable', message: /error\.symbol is Symbol\(s\)/ })

      gift = new Home()
      const gone = await root.give()
      Netref.release(gone)
      t.match((await rejectionOf(root.echo([gone]))).message, /args\[0\]\[0\] is a released netref/)
      t.match(
        (
          await rejectionOf(
            root.echo({
              get boom() {
                throw new EvalError('a getter that throws')
              }
            })
          )
        ).name,
        'EvalError'
      )
      const nobody = {
        get name(): string {
          throw new EvalError('not asked for')
        }
      }
      t.equal(
        await root.echo(Object.assign(new Home(), { nobody: 1 })).then(() => describeValue(nobody)),
        '{…}'
      )
    })
)

t.test('accessors and proxies are read once where they are not plain, and toJSON is never run', t =>
  overEcho(t, async root => {
    let reads = 0
    const value = {
      get data() {
        return { read: ++reads, date: new Date(reads) }
      },
      list: Object.defineProperty([0, 1], 0, { get: () => [++reads], enumerable: true })
    }
    const copy = (await root.echo(value)) as unknown as typeof value
    same(t, copy.data, { read: 1, date: new Date(1) })
    t.equal(copy.list[0]![0 as never], reads, 'the plain item is what it was at last')

    const log: string[] = []
    const watch = <T extends object>(target: T) =>
      new Proxy(target, {
        get: (target, key, receiver) => {
          log.push(String(key))
          return Reflect.get(target, key, receiver)
        }
      })
    const logged = (...keys: string[]) => log.splice(0).filter(key => keys.includes(key))
    same(t, await root.echo(watch({ a: { b: 1 }, c: undefined })), { a: { b: 1 }, c: undefined })
    t.same(logged('a', 'c'), ['a', 'c'], 'each member of a Proxy once')
    same(t, await root.echo(watch({ a: { b: 1 }, c: 2 })), { a: { b: 1 }, c: 2 })
    t.same(logged('a', 'c'), ['a', 'c', 'a', 'c'], 'those of plain data twice: to look, and to write')
    same(t, await root.echo(watch([{ b: 1 }, undefined])), [{ b: 1 }, undefined])
    const any = new Proxy({}, { get: () => () => 1 })
    same(t, await root.echo([any, { any }]), [{}, { any: {} }], 'a Proxy that has whatever it is asked for')

    const never = () => t.fail('toJSON ran')
    const hidden = (object: object) => Object.defineProperty(object, 'toJSON', { value: never })
    same(t, await root.echo(hidden({ a: undefined })), { a: undefined })
    same(t, await root.echo(hidden([1])), [1])
    same(t, await root.echo([hidden(new Date(7)), hidden(new Map([[1, 2]]))]), [
      new Date(7),
      new Map([[1, 2]])
    ])
    class Jsonable {
      toJSON = never
    }
    const jsonable = new Jsonable()
    const shown = { toJSON: never, inside: { toJSON: never } }
    const back = (await root.echo([jsonable, shown])) as unknown[]
    t.equal(back[0], jsonable)
    same(t, back[1], { inside: {} }, 'a copy has none that is a function')
    same(t, await root.echo({ toJSON: 5 }), { toJSON: 5 })
  })
)

t.test('a call sends the state of its arguments at the time of the call', t =>
  overEcho(t, async root => {
    const object = { n: 1, inner: [1] }
    const bytes = new Uint8Array([1, 2, 3])
    const view = new Uint16Array(bytes.buffer.slice(0, 2))
    // The first call of a tick leaves at once, the others wait and leave together.
    const calls = [0, 1, 2].map(i => root.all(object, bytes, view, i))
    object.n = 2
    object.inner.push(2)
    bytes.fill(9)
    view.fill(9)
    for (const [i, call] of calls.entries()) {
      same(t, await call, [{ n: 1, inner: [1] }, new Uint8Array([1, 2, 3]), new Uint16Array([513]), i])
    }
    const received = (await root.echo([bytes])) as [Uint8Array]
    received[0].fill(1)
    same(t, bytes, new Uint8Array([9, 9, 9]), 'and the copy is nobody else’s')
  })
)

t.test('calls made before the socket is open keep their arguments', async t => {
  const { serve } = await import('../../lib/index.js')
  const server = await serve(Echo, { port: 0 })
  const conn: Connection<Echo> = connect(server.url)
  const root = conn.root as unknown as Root
  const bytes = Buffer.from('early')
  const call = root.echo([bytes])
  bytes.fill(0)
  same(t, await call, [Buffer.from('early')])
  const odd = Buffer.from('0123456789').subarray(3, 8)
  same(t, await root.echo(odd), odd, 'from a frame that lies unaligned in memory, too')
  const much = new Float64Array(5000).fill(1.5)
  same(t, await root.echo({ much }), { much })
  arrived = undefined
  await conn.close()
  await server.close()
})

t.test('references: the owner receives the original, one object is one netref, members are bound', t =>
  overEcho(t, async root => {
    const home = new Home()
    const fn = () => 1
    for (const value of [
      home,
      fn,
      class Local {},
      expose({ plain: true }),
      expose([1]),
      expose(new Map()),
      expose(new Date(0))
    ]) {
      t.equal(await root.echo(value), value)
      const list = (await root.echo([value, { value }, new Map([[value, new Set([value])]])])) as [
        object,
        { value: object },
        Map<object, Set<object>>
      ]
      t.equal(list[0], value)
      t.equal(list[1].value, value)
      t.ok(list[2].get(value)?.has(value))
    }

    const file = {
      lines: ['a', 'b'],
      readlines() {
        return this.lines
      },
      deep: {
        me() {
          return this === file.deep
        }
      },
      arrow: () => 'arrow'
    }
    const other = { lines: ['c'], readlines: file.readlines }
    use.set('member functions', (async ([one, same, two, alone]: (typeof file)[]) => {
      const { readlines, deep } = one!
      return [
        await one!.readlines(),
        await readlines(),
        await deep.me(),
        await one!.arrow(),
        await two!.readlines(),
        one!.readlines === same!.readlines,
        one!.readlines === two!.readlines,
        (one!.readlines as unknown) === alone,
        readlines
      ]
    }) as never)
    const found = (await (root as never as { use(value: unknown, run: string): Promise<unknown> }).use(
      [file, file, other, file.readlines],
      'member functions'
    )) as unknown[]
    same(t, found, [['a', 'b'], ['a', 'b'], true, 'arrow', ['c'], true, false, false, file.readlines])

    const spread = { ...file }
    const back = (await root.echo(spread)) as unknown as typeof file
    t.equal(back.readlines, file.readlines, 'the owner of a member receives the original function')

    gift = new Home('theirs')
    const [a, b] = [await root.give(), await root.give()]
    t.equal(a, b, 'an object sent twice is one netref')
    t.ok(Netref.is(a))
    t.equal(await root.echo({ a }).then(({ a }: { a: unknown }) => a), a)
    t.equal(arrived && (arrived as { a: unknown }).a, gift)
    t.equal(await root.echo(root), root, 'the root, too')
    gift = { arrayish: Object.assign(() => 5, { own: 1 }) }
    t.equal(await ((await root.give()) as { arrayish(): Promise<number> }).arrayish(), 5)
  })
)

t.test('a netref of another session is forwarded', t =>
  overMemory(t, Echo, async near => {
    await overMemory(t, Echo, async far => {
      const [nearRoot, farRoot] = [near.root, far.root] as unknown as [Root, Root]
      gift = expose({ hello: (name: string) => `hello ${name}`, fn: () => 'fn' })
      const remote = await farRoot.give()
      t.equal(await nearRoot.echo(remote), remote)
      t.equal(
        await ((await nearRoot.echo([remote])) as { hello(name: string): string }[])[0]!.hello('x'),
        'hello x'
      )
      const fn = (await (remote as { fn: unknown }).fn) as () => unknown
      t.equal(await nearRoot.echo(fn), fn)
      t.equal(typeof arrived, 'function')
      arrived = gift = undefined
    })
  })
)

const reference = fc.oneof(
  fc.nat(9).map(n => new Home(`home ${n}`)),
  fc.constant(0).map(() => () => 1),
  fc.constant(0).map(() => expose({ exposed: true })),
  fc.constant(0).map(() => class {})
)
const key = fc
  .oneof(
    fc.constantFrom('__proto__', 'constructor', 'hasOwnProperty', 'length', '0', '', 'a b', '\ud800'),
    fc.string({ unit: 'binary', maxLength: 5 })
  )
  .filter(key => !CONVERSION_METHODS.has(key))
const leaf = fc.oneof(
  { arbitrary: reference, weight: 4 },
  fc.constantFrom(null, undefined, true, Number.NaN, -0, Infinity, -Infinity),
  fc.double(),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.bigInt(),
  fc.date({ noInvalidDate: true }),
  fc.webUrl().map(url => new URL(url)),
  fc.constantFrom(/a|b/g, /\//u),
  fc.uint8Array({ maxLength: 20 }),
  fc.float64Array({ maxLength: 5 }),
  fc.int16Array({ maxLength: 9 }).map(items => items.subarray(1)),
  fc.uint8Array({ maxLength: 9 }).map(bytes => Buffer.from(bytes)),
  fc.uint8Array({ maxLength: 9 }).map(bytes => bytes.slice().buffer),
  fc.tuple(fc.double(), fc.double()).map(([x, y]) => new Point(x, y))
)
const { value } = fc.letrec<{ value: unknown }>(tie => {
  const items = fc.array(tie('value'), { maxLength: 4 })
  return {
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      leaf,
      items,
      fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
      fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map(entries => new Map(entries)),
      items.map(items => new Set(items)),
      tie('value').map(content => new Parcel(content)),
      fc
        .tuple(fc.string(), fc.integer(), fc.date({ noInvalidDate: true }))
        .map(([message, code, when]) => Object.assign(new RangeError(message), { code, when }))
    )
  }
})

t.test('a value sent back and forth is deeply equal, and its references are the same objects', t =>
  overEcho(t, async (root, conn) => {
    await fc.assert(
      fc.asyncProperty(value, async value => isDeepStrictEqual(await root.echo(value), value)),
      { numRuns: 600 }
    )
    // The same with a cycle somewhere, which makes the walk remember.
    await fc.assert(
      fc.asyncProperty(fc.array(value, { maxLength: 5 }), fc.nat(5), async (items, at) => {
        const cyclic: unknown[] = [...items]
        cyclic.splice(at, 0, { cyclic })
        return isDeepStrictEqual(await root.echo(cyclic), cyclic)
      }),
      { numRuns: 300 }
    )
    t.equal(conn.stats.imports, 0, 'each owner received its originals')
  })
)

t.test('short descriptions of values, for errors', async t => {
  const words: [unknown, string][] = [
    ...([
      ['text', '"text"'],
      ['x'.repeat(30), '"xxxxxxxxxxxxxxxxxxxx…"'],
      [Symbol('s'), 'Symbol(s)']
    ] as [unknown, string][]),
    ...([
      [5n, '5n'],
      [10n ** 100n, '10000000000000000000…n'],
      [Symbol('s'.repeat(100)), `Symbol(${'s'.repeat(53)}…`],
      [() => 1, 'ƒ'],
      [null, 'null'],
      [[1], '[…]'],
      [{}, '{…}']
    ] as [unknown, string][]),
    ...([
      [new Date(), 'Date {…}'],
      [-0, '-0'],
      [undefined, 'undefined'],
      [1.5, '1.5']
    ] as [unknown, string][])
  ]
  for (const [value, text] of words) t.equal(describeValue(value), text)
  const Long = { [`L${'o'.repeat(100)}ng`]: class {} }[`L${'o'.repeat(100)}ng`]!
  t.equal(describeValue(new Long()), `L${'o'.repeat(59)}… {…}`)
  const getter = { get: () => t.fail('a getter ran') }
  t.equal(functionName(Object.defineProperty(() => 1, 'name', getter)), '')
  t.equal(className(Object.create(Object.defineProperty({}, 'constructor', getter))), '')
  t.equal(className(Object.create(null)), '')
})

t.test('an extra member of a built-in object rejects, because it would be lost', t =>
  overMemory(t, { echo: (value: unknown) => value }, async conn => {
    for (const built of [new Map(), new Set(), new Date(0), /a/, new URL('http://a.test')]) {
      const name = built.constructor.name
      const error = await rejectionOf(conn.root.echo([Object.assign(built, { extra: 1 })]))
      t.match(error.message, `args[0][0] is a ${name} with the key "extra", which cannot be sent`)
    }
  })
)

/** What crosses for data, with limits as they are. */
const boxed = (value: unknown, limits: object = {}) => {
  const refuse = () => {
    throw new TypeError('a reference')
  }
  const boxing = { ...settingsOf({}, 'serve').limits, exposeStacks: false, ...limits }
  return encodeValue(value, VALUE, {
    encodeLimits: boxing,
    encodeReference: refuse,
    encodeStream: refuse,
    encodeAnswer: refuse,
    rollback: refuse,
    dispose: refuse,
    isReleased: refuse
  })
}
/** Records that are at least as many as a table has. */
const TABLE = 200
const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i))

t.test('many records with the same names are sent as a table, and arrive as records', t =>
  overEcho(t, async (root, conn) => {
    const point = (i: number) => ({ x: i, at: i / 7 })
    t.equal(
      boxed(times(TABLE, point)).json,
      `${JSON.stringify([['x', 'at'], times(TABLE, i => i), times(TABLE, i => i / 7)])},[["t",[]]]`
    )
    const bare = (i: number): object => Object.assign(Object.create(null), { i })
    const plain: Record<string, unknown[]> = {
      'one less': times(TABLE - 1, point),
      'one has a name more': [...times(TABLE + 8, point), { ...point(1), more: 1 }],
      'one has a name less': [...times(TABLE + 8, point), { x: 1 }],
      'one has them in another order': [...times(TABLE + 8, point), { at: point(1).at, x: 1 }],
      'one is no record': [...times(TABLE + 8, point), null],
      'no names': times(TABLE + 8, () => ({})),
      '33 names': times(TABLE + 8, i => Object.fromEntries(times(33, n => [`n${n}`, i]))),
      lists: times(TABLE + 8, i => [i]),
      indices: times(TABLE + 8, i => ({ 7: i })),
      'what may be a promise': times(TABLE + 8, then => ({ then })),
      'what a conversion would call': times(TABLE + 8, toJSON => ({ toJSON })),
      'without a prototype': times(TABLE + 8, bare)
    }
    for (const [what, list] of Object.entries(plain)) {
      t.notOk(boxed(list).hasAnnotations, `no table: ${what}`)
      same(t, await root.echo(list), list[0] instanceof Object ? list : times(TABLE + 8, i => ({ i })), what)
    }
    const nested = times(TABLE, i => ({ list: [i], record: { i } }))
    t.ok(boxed(nested).hasAnnotations)
    same(t, await root.echo(nested), nested)
    const wide = times(TABLE + 8, i => Object.fromEntries(times(32, n => [`n${n}`, i])))
    t.ok(boxed(wide).hasAnnotations)
    same(t, await root.echo(wide), wide)
    const linked = times(TABLE, next => ({ next }))
    t.ok(boxed(linked).hasAnnotations, 'a list of records with a `next`')
    same(t, await root.echo(linked), linked)
    const points = times(3, i => new Point(i, 1))
    t.equal(boxed(points).json, '[[[0,1]],[[1,1]],[[2,1]]],[[["custom","Point"],[0],[1],[2]]]')
    const listed = times(TABLE + 8, point)
    same(t, await root.all(...listed), listed, 'arguments are a list')
    t.equal(await root.count(...listed), TABLE + 8)
    const odd = times(TABLE + 2, i => ({
      '': undefined,
      b: i,
      'a b': -0,
      when: new Date(i),
      list: i === 0 ? null : times(i % 3, () => Number.NaN),
      map: new Map([[i, times(i === 0 ? TABLE : 1, () => ({ deep: i, bytes: new Uint8Array([i]) }))]]),
      error: Object.assign(new RangeError('e'), { rows: times(i === 0 ? TABLE : 1, n => ({ n })) }),
      constructor: 'data',
      ['__proto__']: 'data',
      home: i % 2 ? new Home() : (_: unknown) => i
    }))
    same(t, await root.echo(odd), odd, 'whatever is in the cells')
    const polluting = times(TABLE, i => JSON.parse(`{"__proto__":{"polluted":${i}},"b":1}`) as object)
    same(t, await root.echo(polluting), polluting)
    t.notOk('polluted' in {})
    const marked = times(TABLE, () => ({ a: 1 }))
    expose(marked[3]!)
    t.equal(((await root.echo(marked)) as object[])[3], marked[3], 'an exposed object is passed by reference')
    const counter = { i: TABLE, *[Symbol.iterator]() {} }
    const walked = (await root.echo([...times(TABLE, i => ({ i })), counter])) as object[]
    t.equal(walked[TABLE], counter, 'an iterator in the list is passed by reference')
    Object.assign(Object.prototype, { inherited: 1 })
    try {
      same(
        t,
        await root.echo(times(TABLE, i => ({ i }))),
        times(TABLE, i => ({ i })),
        'what all inherit is not sent'
      )
    } finally {
      delete (Object.prototype as { inherited?: 1 }).inherited
    }

    const members = times(TABLE, i => ({
      i,
      me() {
        return this.i
      }
    }))
    use.set('members', ((them: typeof members) => Promise.all(them.map(one => one.me()))) as never)
    const called = (root as never as { use(value: unknown, run: string): Promise<unknown> }).use(
      members,
      'members'
    )
    same(
      t,
      await called,
      times(TABLE, i => i),
      'functions are called on their record'
    )

    const records = fc
      .tuple(
        fc.uniqueArray(key, { minLength: 1, maxLength: 4 }),
        fc.array(fc.tuple(value, value, leaf, fc.integer()), { minLength: 6, maxLength: 8 })
      )
      .map(([names, rows]) =>
        times(TABLE, i => Object.fromEntries(names.map((name, n) => [name, rows[i]?.[n] ?? i])))
      )
    const inside = fc
      .tuple(records, records)
      .map(([a, b]) => a.map((one, i) => ({ one, other: b[i] ?? 1, i })))
    await fc.assert(
      fc.asyncProperty(fc.oneof(records, inside), async list =>
        isDeepStrictEqual(await root.echo(list), list)
      ),
      { numRuns: 50 }
    )
    t.equal(conn.stats.imports, 0, 'each owner received its originals')
  })
)

t.test('in a table accessors and proxies are read once, and errors name the path', t =>
  overEcho(t, async root => {
    let reads = 0
    const lazy = times(TABLE, i => ({
      i,
      get read() {
        return ++reads
      }
    }))
    same(
      t,
      await root.echo(lazy),
      times(TABLE, i => ({ i, read: i + 1 }))
    )
    const log: string[] = []
    const get = (target: object, key: string | symbol) => {
      log.push(String(key))
      return Reflect.get(target, key)
    }
    const proxies = times(TABLE, i => new Proxy({ i, b: i }, { get }))
    same(
      t,
      await root.echo(proxies),
      times(TABLE, i => ({ i, b: i }))
    )
    t.same(log, times(TABLE, () => ['i', 'b']).flat())

    const changing = (change: (next: Record<string, unknown>) => void) => {
      const list: Record<string, unknown>[] = times(TABLE, i => ({ i, b: 1 }))
      Object.defineProperty(list[3], 'i', { get: () => change(list[5]!), enumerable: true })
      return list
    }
    for (const change of [
      (next: Record<string, unknown>) => void delete next.b,
      (next: Record<string, unknown>) => void delete next.i,
      (next: Record<string, unknown>) => void Object.assign(next, { more: 1 })
    ]) {
      const wanted: Record<string, unknown>[] = times(TABLE, i => ({ i: i === 3 ? undefined : i, b: 1 }))
      change(wanted[5]!)
      same(
        t,
        await root.echo({ list: changing(change) }),
        { list: wanted },
        'an accessor that changes others'
      )
    }

    const bad = (i: number) => ({ i, 'a b': i === 0 ? 1 : { deep: [i === 7 ? Symbol('no') : 1] }, c: 1 })
    const where = (value: unknown) =>
      rejectionOf(root.echo(value)).then(({ message }) => message.split(' is ')[0])
    t.match(await where(times(TABLE, bad)), /: args\[0\]\[7\]\["a b"\]\.deep\[0\]$/)
    t.match(
      await where({
        all: [times(TABLE + 8, i => ({ i, list: i === TABLE + 7 ? times(TABLE, bad) : [] }))]
      }),
      /: args\[0\]\.all\[0\]\[207\]\.list\[7\]\["a b"\]\.deep\[0\]$/
    )
    const failing = new Error('with fields that stay home')
    Object.assign(failing, {
      rows: times(TABLE, i => ({ i, inner: times(i === 0 ? TABLE : 1, () => ({ home: new Home() })) })),
      fine: 1
    })
    const error = (await root.echo(times(TABLE, () => ({ failing })))) as { failing: Error }[]
    same(t, { ...error[3]!.failing }, { fine: 1, omitted: ['rows'] })
    t.match(
      await where(times(TABLE, i => ({ failing, bad: bad(i) }))),
      /: args\[0\]\[7\]\.bad\["a b"\]\.deep\[0\]$/
    )
  })
)

t.test('a table counts with the depth and size of its records', t =>
  overEcho(
    t,
    async root => {
      // A list of records is two levels, and the list of arguments one.
      for (const [levels, fits] of [
        [7, true],
        [8, false]
      ] as const) {
        let list: unknown = levels % 2 ? times(TABLE, i => ({ i })) : times(TABLE, i => ({ i: [i] }))
        for (let i = 0; i < Math.floor((levels - 3) / 2); i++) list = [{ list }]
        const outcome = await root.echo(list).then(
          found => isDeepStrictEqual(found, list),
          (error: Error) => error.message
        )
        if (fits) t.equal(outcome, true)
        else t.match(outcome, /nested deeper than 7/)
      }
      const count = new TableBudget()
      t.ok(count.tryAdd((1 << 18) / 8 - 8, 4))
      t.notOk(count.tryAdd(1, 1), 'no more cells')
      const many = new TableBudget()
      for (let i = 0; i < 1024; i++) many.tryAdd(12, 1)
      t.notOk(many.tryAdd(12, 1), 'no more tables')
      const lists = times(256, () => times(TABLE, i => ({ i })))
      const { json } = boxed(lists)
      t.equal(json.match(/\[\["i"\],/g)?.length, 252)
      t.equal(json.match(/\[\{"i":0\}/g)?.length, 4)
      same(t, await root.echo(lists), lists, 'what is more than there may be of tables crosses as it is')
      t.notOk(boxed(lists, { values: 1 }).references.length, 'they are not among the values that are counted')
    },
    { limits: { depth: 7 }, serving: { limits: { depth: 7 } } }
  )
)

/** A value that is something else at each reading: what was plain data when it was looked at. */
const fickle = (...readings: unknown[]) =>
  Object.defineProperty({ before: 1 }, 'a', {
    get: () => (readings.length > 1 ? readings.shift() : readings[0]),
    enumerable: true
  })

t.test('what accessors return when JSON is written is written as JSON.stringify does', t =>
  overEcho(t, async root => {
    same(t, await root.echo(fickle(1, new Date(2))), { before: 1, a: new Date(2).toJSON() })
    same(t, await root.echo(fickle({}, { toJSON: () => 'own' })), { before: 1, a: 'own' })
    same(t, await root.echo(fickle(1, undefined)), { before: 1 })
    same(t, await root.echo([fickle(1, Number.NaN)]), [{ before: 1, a: null }])
    same(
      t,
      await root.echo(fickle(new Date(1), 2)),
      { before: 1, a: new Date(1) },
      'what is not plain is read once'
    )
    t.match(await rejectionOf(root.echo(fickle(1, 2n))), { name: 'TypeError', message: /BigInt/ })
    t.match(
      await rejectionOf(
        root.echo(
          fickle(
            fickle(1),
            fickle(() => 1, Symbol('s'))
          )
        )
      ),
      { name: 'Error' }
    )
    let asked = 0
    const late = new Proxy(
      {},
      { get: (_, key) => (key === 'toJSON' && ++asked > 1 ? () => undefined : undefined) }
    )
    gift = late
    t.equal(await root.give(), null, 'a value without JSON is null')
  })
)

t.test('the first object that is exposed is passed by reference if an accessor exposes it', t =>
  overEcho(t, async root => {
    exposedValues.any = false
    gift = {
      get exposed() {
        return expose({ secret: 1 })
      }
    }
    const { exposed } = (await root.give()) as { exposed: object }
    t.ok(Netref.is(exposed))
    Netref.release(exposed as never)
  })
)

const stub = () => {}
const LIMITS = settingsOf({}, 'serve').limits
/** What a value is after it was sent; references are their names. */
function sendLocally(value: unknown): { json: string; copy: unknown } {
  const payload = encodeValue(value, VALUE, {
    encodeLimits: { ...LIMITS, exposeStacks: false },
    encodeReference: object => ['o', className(object)],
    encodeStream: (_, tag) => [tag, 'stream'],
    encodeAnswer: () => undefined,
    rollback: () => undefined,
    dispose: stub,
    isReleased: () => false
  })
  const [json, annotations] = JSON.parse(`[${payload.json}]`)
  const copy = decode(json, annotations, payload.bytes, {
    decodeReference: (_, name) => name,
    discardReference: stub,
    discardReceived: stub,
    valuesDecoded: stub,
    limits: LIMITS
  })
  return { json: payload.json, copy }
}

const oddKey = fc.oneof(
  fc.string({ maxLength: 3 }),
  fc.constantFrom('__proto__', 'constructor', 'length', '0', 'toString', 'then', 'toJSON')
)
const define = (object: object, key: PropertyKey, descriptor: PropertyDescriptor) =>
  Object.defineProperty(object, key, { configurable: true, ...descriptor })
const { odd } = fc.letrec<{ odd: unknown; list: unknown[]; record: object }>(tie => ({
  odd: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    {
      weight: 6,
      arbitrary: fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null))
    },
    { weight: 4, arbitrary: tie('list') },
    { weight: 6, arbitrary: tie('record') },
    fc.constantFrom(-0, Number.NaN, undefined, 5n, new Date(1), new Point(1, 2), new Home(), stub),
    fc.constantFrom(Object.create([]), Object.create({ inherited: 1 }), Object.setPrototypeOf([1], null)),
    tie('list').map(items => new Set(items)),
    // Holes, and items that are accessors.
    tie('list').map(items => {
      items.length++
      return items
    }),
    tie('list').map(items => define(items, items.length, { get: () => [1], enumerable: true })),
    tie('list').map(items => define(items, 'toJSON', { value: () => 'called' })),
    tie('record').map(record => Object.assign(Object.create(null), record)),
    tie('record').map(record => define(record, 'toJSON', { value: () => 'called' })),
    tie('record').map(record => define(record, 'hidden', { value: stub })),
    tie('record').map(record => define(record, Symbol.iterator, { value: stub, enumerable: true })),
    tie('record').map(record => define(record, Symbol.asyncIterator, { value: stub })),
    fc
      .tuple(tie('record'), tie('odd'))
      .map(([record, value]) => define(record, 'get', { get: () => value, enumerable: true })),
    tie('record').map(record => new Proxy(record, {})),
    tie('list').map(items => new Proxy(items, {})),
    fc.dictionary(fc.string({ minLength: 2, maxLength: 4 }), tie('odd'), { minKeys: 60, maxKeys: 70 })
  ),
  list: fc.array(tie('odd'), { maxLength: 4 }),
  record: fc
    .array(fc.tuple(oddKey, tie('odd')), { maxLength: 4 })
    .map(entries =>
      entries.reduce<object>(
        (record, [key, value]) => define(record, key, { value, enumerable: true, writable: true }),
        {}
      )
    )
}))

const holey = () => define([1, 2], 3, { value: 4, enumerable: true, writable: true }) as unknown[]

t.test('a value is the same whether it is handed on as it is, or beside what is not plain', async t => {
  let plain = 0
  fc.assert(
    fc.property(odd, value => {
      const alone = sendLocally(value)
      const beside = sendLocally([value, undefined])
      const after = sendLocally({ first: undefined, value })
      const [copy] = beside.copy as [unknown]
      if (!isDeepStrictEqual(alone.copy, copy)) return false
      if (!isDeepStrictEqual(copy, (after.copy as { value: unknown }).value)) return false
      if (!beside.json.endsWith(',null],[["undefined",[1]]]')) return true
      plain++
      return beside.json === `[${alone.json},null],[["undefined",[1]]]`
    }),
    { numRuns: 1000 }
  )
  t.ok(plain > 150, `${plain} values were plain`)
  t.throws(() => sendLocally(Object.assign(holey(), { named: 3 })), /an array with the named key "named"/)
  t.throws(() => sendLocally([Object.assign([1], { named: 1 })]), /\[0\] is an array with the named key/)
  same(t, sendLocally({ a: [holey()] }).copy, { a: [[1, 2, undefined, 4]] })
  const patched = { value: () => 1, enumerable: true, configurable: true }
  Object.defineProperty(Object.prototype, 'inherited', patched)
  try {
    same(t, sendLocally({ a: { b: 1 }, c: [] }).json, '{"a":{"b":1},"c":[]}')
    same(t, sendLocally({ a: 1n }).json, '{"a":"1"},[["bigint",["a"]]]')
  } finally {
    delete (Object.prototype as { inherited?: unknown }).inherited
  }
  const exposed = expose({ secret: 1 })
  t.notMatch(sendLocally({ a: [exposed] }).json, /secret/, 'what is exposed stays home')
})
