// Iterators, promises and abort signals by reference. (Streams: streams.spec.ts.)

import { EventEmitter, getEventListeners, on } from 'node:events'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import t from 'tap'
import {
  callSession,
  expose,
  exposed,
  LimitError,
  Netref,
  pair,
  registerType,
  SessionEndedError,
  serve,
  UnsendableError
} from '../../../lib/index.js'
import { Op } from '../../../lib/protocol/messages.js'
import {
  assertClean,
  breakableAgent,
  implOf,
  iterator,
  overMemory,
  overMemoryAndSocket,
  overSocket,
  rejectionOf,
  waitUntil
} from '../../support/helpers.js'
import { RawPeer } from '../../support/raw-peer.js'
import { collectGarbage, recordMessages, runEventLoop, type Untyped } from '../../support/wire.js'

t.setTimeout(120_000)
const faults: unknown[] = []
process.on('unhandledRejection', fault => faults.push(fault))

const itself = (n: number): unknown => n

/** Counts the items that a producer made, and how often it was finished. */
class Made {
  count = 0
  finals = 0;
  *numbers(most = Number.POSITIVE_INFINITY, make = itself) {
    try {
      while (this.count < most) yield make(this.count++)
      return 'done'
    } finally {
      this.finals++
    }
  }
  async *later(most = Number.POSITIVE_INFINITY, make = itself) {
    try {
      while (this.count < most) {
        await undefined
        yield make(this.count++)
      }
    } finally {
      this.finals++
    }
  }
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

class Countdown {
  constructor(private readonly from: number) {}
  @exposed *[Symbol.iterator]() {
    for (let n = this.from; n > 0; n--) yield n
  }
}
class Secret {
  *[Symbol.iterator]() {
    yield 'secret'
  }
}
/** An iterator of a class of its own, without `Symbol.iterator`. */
class Steps {
  #n = 0
  next() {
    return { done: this.#n >= 3, value: this.#n++ }
  }
}
class Stepper extends Steps {
  [Symbol.iterator]() {
    return this
  }
}
class Stepping {
  @exposed [Symbol.asyncIterator]() {
    return new Steps()
  }
}
const three = () => {
  let n = 0
  return iterator({ next: () => ({ done: n >= 3, value: n++ }) })
}

const KINDS: Record<string, () => unknown> = {
  generator: () => new Made().numbers(3),
  'async generator': () => new Made().later(3),
  'record with next': three,
  'instance with next': () => new Stepper(),
  'record with Symbol.iterator that makes steps': () => ({ [Symbol.iterator]: () => new Steps() }),
  'record with Symbol.iterator': () => ({ [Symbol.iterator]: three }),
  'record with Symbol.asyncIterator': () => ({ [Symbol.asyncIterator]: () => new Made().later(3) }),
  'iterator of an array': () => [0, 1, 2].values(),
  'iterator of a Map': () =>
    new Map([
      [0, 1],
      [1, 1],
      [2, 1]
    ]).keys(),
  'iterator of a Set': () => new Set([0, 1, 2])[Symbol.iterator](),
  'sync generator of promises': () => new Made().numbers(3, async n => n),
  'exposed array': () => expose([0, 1, 2]),
  'exposed Set': () => expose(new Set([0, 1, 2])),
  array: () => [0, 1, 2],
  'array of promises': () => [0, 1, 2].map(async n => n),
  Set: () => new Set([0, 1, 2]),
  'instance whose iterator has a class': () => new Stepping()
}

t.test('any iterable, in both directions, with for await on the call, on its result and on a path', t =>
  overMemoryAndSocket(
    t,
    () => ({
      make: (kind: string) => KINDS[kind]!(),
      exposed_under: { lines: () => new Made().numbers(3) },
      async read(source: AsyncIterable<unknown>) {
        return await all(source)
      }
    }),
    async ({ root }, t) => {
      for (const kind of Object.keys(KINDS)) {
        t.same(await all(root.make(kind)), [0, 1, 2], `${kind}, on the call`)
        t.same(await all(await root.make(kind)), [0, 1, 2], `${kind}, on what arrived`)
        const given = KINDS[kind]!()
        t.same(await root.read(given), [0, 1, 2], `${kind}, to the other side`)
      }
      t.same(await all(root.under.lines()), [0, 1, 2], 'behind a path')
    }
  )
)

t.test('a record with `next` is a record, and an instance with `next` a netref', t =>
  overMemoryAndSocket(
    t,
    () => ({
      kind: (value: Untyped) => (Netref.is(value) ? 'netref' : (value?.constructor?.name ?? 'null')),
      async observe(observer: Untyped) {
        for (const n of [1, 2]) await observer.next(n)
        await observer.return?.()
        return Object.keys(observer)
      },
      echo: (value: unknown) => ({ value }),
      page: (from: number): Untyped => ({ items: [from], next: () => ({ items: [from + 1] }) }),
      instance: () => new Steps()
    }),
    async ({ root }, t) => {
      const got: unknown[] = []
      const spy = Object.assign((...args: unknown[]) => void got.push(...args), { calls: [] })
      const nexts: Record<string, (...args: Untyped[]) => unknown> = {
        one: x => got.push(x),
        none: Object.defineProperty((x: unknown) => got.push(x), 'length', { value: 0 }),
        rest: (...xs) => got.push(...xs),
        default: (x = 0) => got.push(x),
        async: async x => got.push(x),
        bound: got.push.bind(got),
        spy: spy as never,
        proxy: new Proxy((x: unknown) => got.push(x), {})
      }
      for (const [what, next] of Object.entries(nexts)) {
        t.same(await root.observe({ next }), ['next'], what)
        t.same(got.splice(0), [1, 2], what)
      }
      const steps = { next: nexts.none, return: () => got.push('over'), throw: () => {} }
      t.same(
        await root.observe(steps),
        ['next', 'return', 'throw'],
        'although it has all methods of an iterator'
      )
      t.same(got.splice(0), [1, 2, 'over'])
      t.equal(await root.kind(steps), 'Object')
      t.equal(await root.kind(Object.assign(Object.create(null), steps)), 'Object')
      const page = await root.page(1)
      t.same([page.items, (await page.next()).items], [[1], [2]], 'a page of a list')
      t.same(
        (await root.echo({ next: 5, prev: null })).value,
        { next: 5, prev: null },
        'a `next` that is data'
      )
      t.same(
        (await root.echo({ next: 1, [Symbol.iterator]: 1 })).value,
        { next: 1 },
        'a symbol that is no method'
      )
      t.equal(await root.kind(new Steps()), 'netref')
      t.match(await rejectionOf(all(root.instance())), { code: 'not-exposed' })
      t.equal(await root.kind(Object.assign(new Steps(), { [Symbol.asyncIterator]: 'none' })), 'netref')
    }
  )
)

t.test("all of the engine's own iterators arrive as iterators", t =>
  overMemoryAndSocket(
    t,
    () => ({
      async read(source: Untyped) {
        if (typeof source.next !== 'function') throw new Error('no iterator')
        return await all(source)
      }
    }),
    async ({ root }, t) => {
      const emitter = new EventEmitter()
      const events = on(emitter, 'n', { close: ['end'] })
      for (const n of [1, 2]) emitter.emit('n', n)
      emitter.emit('end')
      const own: Record<string, [iterator: object, items: unknown[]]> = {
        string: ['ab'[Symbol.iterator](), ['a', 'b']],
        typed: [new Uint8Array([1, 2]).values(), [1, 2]],
        segments: [
          new Intl.Segmenter('en').segment('a')[Symbol.iterator](),
          [{ segment: 'a', index: 0, input: 'a' }]
        ],
        parameters: [new URLSearchParams('a=1').entries(), [['a', '1']]],
        events: [events, [[1], [2]]],
        'stream of Node': [Readable.from([1, 2])[Symbol.asyncIterator](), [1, 2]],
        'stream of the web': [new Blob(['a']).stream()[Symbol.asyncIterator](), [new Uint8Array([97])]],
        'another realm': [runInNewContext('(function* () { yield 1; yield 2 })()'), [1, 2]],
        'later, in another realm': [runInNewContext('(async function* () { yield 1 })()'), [1]]
      }
      for (const [what, [iterator, items]] of Object.entries(own))
        t.same(await root.read(iterator), items, what)
    }
  )
)

t.test('an iterator from an exposed iterator method supports return and throw', t => {
  const reported: unknown[] = []
  const method = (steps: object) =>
    expose(
      new (class {
        [Symbol.iterator] = () => steps
      })(),
      { read: [Symbol.iterator] }
    )
  const one = () => ({ done: false, value: 1 })
  return overMemoryAndSocket(
    t,
    () => ({
      closes: () =>
        method({ next: one, return: (why: unknown) => ({ done: true, value: reported.push(why) }) }),
      throws: () =>
        method({
          next: one,
          throw: (error: unknown) => {
            reported.push(error)
            return { done: false, value: 'thrown' }
          }
        }),
      plain: () => method({ next: one }),
      own: () => method(iterator({ next: one })),
      list: () => method([1, 2]),
      none: () => method(5 as never)
    }),
    async ({ root }, t) => {
      for await (const n of await root.closes()) {
        t.equal(n, 1)
        break
      }
      t.same(reported.splice(0), [undefined])
      const unread = (await root.closes())[Symbol.asyncIterator]()
      await unread.return('unread')
      t.same(reported.splice(0), ['unread'])
      const thrown = (await root.throws())[Symbol.asyncIterator]()
      t.same(await thrown.throw('why'), { done: false, value: 'thrown' })
      t.same(reported.splice(0), ['why'])
      await thrown.return()
      for (const kind of ['plain', 'own']) {
        const steps = (await root[kind]())[Symbol.asyncIterator]()
        t.match(await rejectionOf(steps.throw(new Error('not there'))), { message: 'not there' }, kind)
      }
      t.same(await all(await root.list()), [1, 2])
      t.match(await rejectionOf(all(await root.none())), { name: 'TypeError' })
    }
  )
})

t.test('netrefs that are iterable, and those that are not', t =>
  overMemoryAndSocket(
    t,
    () => ({
      exposed_map: expose(
        new Map([
          ['a', 1],
          ['b', 2]
        ])
      ),
      countdown: () => new Countdown(3),
      secret: () => new Secret(),
      held: () => ({ list: expose(['x', 'y']), inner: { of: new Countdown(2) } }),
      nothing: () => 5,
      async read(source: AsyncIterable<unknown>) {
        return await all(source)
      }
    }),
    async ({ root }, t) => {
      t.same(
        await all(root.map),
        [
          ['a', 1],
          ['b', 2]
        ],
        'a path that leads to an exposed Map'
      )
      t.same(await all(root.countdown()), [3, 2, 1], 'an instance whose iterator is exposed')
      const countdown = await root.countdown()
      t.ok(Netref.is(countdown), 'it is a netref')
      t.same(
        [await all(countdown), await all(countdown)],
        [
          [3, 2, 1],
          [3, 2, 1]
        ],
        'each loop gets a new iterator'
      )
      const walk = countdown[Symbol.asyncIterator]()
      t.equal(walk[Symbol.asyncIterator](), walk)
      t.same(await walk.next(), { done: false, value: 3 })
      t.same(await walk.return('x'), { done: true, value: 'x' })
      const held = await root.held()
      t.same(
        [await all(held.list), await all(held.inner.of)],
        [
          ['x', 'y'],
          [2, 1]
        ]
      )
      t.same(await root.read(new Countdown(2)), [2, 1], 'in the other direction')
      const secret = await root.secret()
      t.ok(Netref.is(secret))
      t.match(await rejectionOf(all(secret)), { code: 'not-exposed' })
      t.match(await rejectionOf(all(root.secret())), { code: 'not-exposed' })
      t.match(await rejectionOf(all(root.nothing())), { message: /the result is not iterable/ })
      t.match(await rejectionOf(all(root.missing)), { code: 'not-exposed' })
      const early = root.countdown()[Symbol.asyncIterator]()
      t.same(await early.return(1), { done: true, value: 1 }, 'returned before its start')
    }
  )
)

t.test('items can be any supported values', t =>
  overMemoryAndSocket(
    t,
    () => ({
      *all() {
        yield new Date(0)
        yield { bytes: new Uint8Array([1, 2, 3]), when: new Date(1) }
        yield (x: number) => x + 1
        yield Promise.resolve('kept')
        yield { later: Promise.resolve({ at: new Date(2) }) }
        yield new Countdown(2)
        yield undefined
        yield new Made().numbers(2)
        yield new Uint8Array(100_000).fill(7)
        yield 'x'.repeat(100_000)
      }
    }),
    async ({ root }, t) => {
      const [date, record, fn, kept, later, countdown, none, inner, bytes, long] = await all<Untyped>(
        root.all()
      )
      t.same([date, record], [new Date(0), { bytes: new Uint8Array([1, 2, 3]), when: new Date(1) }])
      t.equal(await fn(1), 2)
      t.equal(kept, 'kept', 'a promise that is an item is awaited, as in a local iterator')
      t.same(await later.later, { at: new Date(2) }, 'one inside an item is a promise')
      t.same(await all(countdown), [2, 1])
      t.equal(none, undefined)
      t.same(await all(inner), [0, 1])
      t.equal(bytes.length, 100_000)
      t.equal(long.length, 100_000)
    }
  )
)

t.test('a slow consumer stops the producer: 1024 items or 64 KiB ahead, or its own window', t => {
  const made = new Made()
  return overMemoryAndSocket(
    t,
    () => ({
      numbers: () => Object.assign(made, { count: 0, finals: 0 }).numbers(),
      long: () => Object.assign(made, { count: 0, finals: 0 }).numbers(undefined, () => 'x'.repeat(1000)),
      later: () => Object.assign(made, { count: 0, finals: 0 }).later()
    }),
    async ({ root, clientSession }, t) => {
      for (const [name, ahead] of [
        ['numbers', 1025],
        ['later', 1025],
        ['long', 67]
      ] as const) {
        const it = root[name]()[Symbol.asyncIterator]()
        await it.next()
        await it.next()
        await waitUntil(() => made.count >= ahead)
        for (let i = 0; i < 3; i++) await clientSession.ping()
        t.equal(made.count, ahead, `${name}: ${made.count} were made`)
        t.ok(clientSession.stats.buffered > 0, 'the number of waiting items is known')
        await it.return()
        t.equal(made.finals, 1)
      }
      for (const window of [1, 7]) {
        const it = (await Netref.with(root.later, { window })())[Symbol.asyncIterator]()
        for (let read = 1; read < 20; read++) {
          await it.next()
          for (let i = 0; i < 2; i++) await clientSession.ping()
          t.ok(
            made.count >= read && made.count < read + window,
            `a window of ${window}: ${made.count} for ${read}`
          )
        }
        await it.return()
      }
      let read = 0
      for await (const n of Netref.with(root.long, { window: 5 })()) {
        read++
        await turn()
        t.ok(made.count < read + 5)
        if (n !== 'x'.repeat(1000) || read === 50) break
      }
      t.equal(made.finals, 1)
    }
  )
})

t.test(
  'a generator as a context: it waits at its first item, and with `window: 1` at each, in any form',
  t => {
    const reported: unknown[] = []
    const tell = (what: unknown) => {
      reported.push(what)
      return what
    }
    function* context(items = 3): Generator<unknown, unknown, unknown> {
      tell('enter')
      try {
        for (let n = 1; n <= items; n++) {
          try {
            tell(yield tell(n))
          } catch (error) {
            tell(yield tell((error as Error).message))
          }
        }
        return 'returned'
      } finally {
        tell('exit')
      }
    }
    async function* later() {
      return yield* context()
    }
    const only = () =>
      iterator({
        next: async () => ({ done: tell('next') !== 'next', value: 1 }),
        return: async () => ({ done: tell('return') === 'return', value: undefined })
      })
    type Context = AsyncGenerator<unknown, unknown, unknown>
    const forms: Record<string, (root: Untyped, kind: string) => Promise<Context>> = {
      'on the call': async (root, kind) => root[kind]()[Symbol.asyncIterator](),
      'on what arrived': async (root, kind) => (await root[kind]())[Symbol.asyncIterator](),
      'by hand': (root, kind) => root[kind]()
    }
    const since = async (ping: () => Promise<unknown>) => {
      for (let i = 0; i < 3; i++) await ping()
      return reported.splice(0)
    }
    /** Operations of a reader on either side, and what is recorded of them. */
    const use = async (make: () => Promise<Context>, ping: () => Promise<unknown>, steps = false) => {
      const seen: unknown[] = []
      const see = async (what: unknown) => seen.push(what, await since(ping))
      let it = await make()
      await see('unread')
      await see(await it.next())
      await see(await it.throw(new Error('thrown')))
      await see(await it.return('left'))
      it = await make()
      await see(await it.throw(new Error('unread')).catch((error: Error) => error.message))
      it = await make()
      await see(await it.return('unread'))
      if (!steps) return seen
      it = await make()
      for (const value of ['first', undefined, 'second', undefined, 'last']) await see(await it.next(value))
      await see(await it.next())
      return seen
    }
    const item = (value: unknown) => ({ done: false, value })
    const over = (value: unknown) => ({ done: true, value })
    const uses = [
      ...['unread', []],
      ...[item(1), ['enter', 1]],
      ...[item('thrown'), ['thrown']],
      ...[over('left'), ['exit']],
      ...['unread', []],
      ...[over('unread'), []]
    ]
    const steps = [
      ...[item(1), ['enter', 1]],
      ...[item(2), [undefined, 2]],
      ...[item(3), ['second', 3]],
      ...[over('returned'), [undefined, 'exit']],
      ...[over(undefined), []],
      ...[over(undefined), []]
    ]
    return overMemoryAndSocket(
      t,
      () => ({
        context,
        later,
        only,
        async enter(source: AsyncIterable<unknown>) {
          const session = callSession()
          for await (const n of source) {
            tell(`body ${n}`)
            await session.ping()
          }
          return reported.splice(0)
        },
        async first(source: Context) {
          const session = callSession()
          return [await source.next(), await session.ping(), await source.throw(new Error('thrown'))]
        }
      }),
      async ({ root, clientSession }, t) => {
        const ping = () => clientSession.ping()
        reported.length = 0
        for (const [form, make] of Object.entries(forms))
          for (const kind of ['context', 'later']) {
            t.same(await use(() => make(root, kind), ping), uses, `${kind}, ${form}`)
            const narrow = Netref.with(root, { window: 1 })
            t.same(
              await use(() => make(narrow, kind), ping, true),
              [...uses, ...steps],
              `${kind}, ${form}, one by one`
            )
          }
        for (const source of [Netref.with(root.only, { window: 1 })(), await root.only()]) {
          for await (const _ of source) {
            t.same(await since(ping), ['next'])
            break
          }
          t.same(await since(ping), ['return'])
        }
        const one = Netref.with(root.context, { window: 1 })
        for (const source of [one(), await one()]) {
          for await (const n of source) t.same((await since(ping)).at(-1), n, `at item ${n} of 3`)
          t.same(await since(ping), [undefined, 'exit'])
        }
        const pending = await one()
        const read = await Promise.all([pending.next(), pending.next(), pending.next(), pending.next()])
        t.same(
          read.map(({ value }) => value),
          [1, 2, 3, 'returned'],
          'several requests at once get several items'
        )
        reported.length = 0
        t.same(
          await root.enter(context(1)),
          ['enter', 1, 'body 1', undefined, 'exit'],
          'read by the other side'
        )
        const [first, , caught] = await root.first(later())
        t.same([first, caught], [item(1), item('thrown')])
      }
    )
  }
)

t.test('the first item leaves immediately; items of one tick are sent together', async t => {
  await overMemory(
    t,
    {
      async *slow() {
        yield 1
        await new Promise(() => {})
      },
      *quick() {
        for (let i = 0; i < 500; i++) yield i
      }
    },
    async pair => {
      const [, back] = recordMessages(pair)
      const root = pair.root as Untyped
      const it = (await root.slow())[Symbol.asyncIterator]()
      t.same(await it.next(), { done: false, value: 1 }, 'although the second item never arrives')
      t.same(await it.return('x'), { done: true, value: 'x' }, 'nothing waits for it')
      back.length = 0
      t.equal((await all(root.quick())).length, 500)
      t.same(
        back.map(([op]) => op),
        [10, 20, 20, 21],
        'a result, the first item, one message of items, and the end'
      )
    }
  )
})

t.test('frames of items stay under 16 KiB, of bytes under 64 KiB, and within the peer’s limits', async t => {
  const service = {
    plain: () => new Made().numbers(2000, n => 'x'.repeat(n % 900)),
    dates: () => new Made().numbers(2000, n => [new Date(n)]),
    uneven: () => new Made().numbers(20, n => 'x'.repeat(n % 2 ? 10_000 : 9000)),
    bytes: () =>
      new ReadableStream({
        type: 'bytes',
        start(controller) {
          controller.enqueue(new Uint8Array(1 << 20))
          controller.close()
        }
      })
  }
  for (const least of [false, true]) {
    const limits = least ? { jsonBytes: 4096, frameBytes: 4096 } : {}
    await overMemory(
      t,
      service,
      async pair => {
        const sizes: number[] = []
        const [, transport] = pair.transports
        const send = transport.send.bind(transport)
        transport.send = (frame, sent) => {
          sizes.push(frame.length)
          send(frame, sent)
        }
        const root = pair.root as Untyped
        for (const name of ['plain', 'dates']) {
          t.equal((await all(root[name]())).length, 2000)
          t.ok(Math.max(...sizes) < (least ? 4096 : 16384), `${name}: ${Math.max(...sizes)}`)
        }
        if (least) {
          t.match(await rejectionOf(all(root.uneven())), { name: 'LimitError', message: /items|JSON/ })
        } else {
          t.equal((await all(root.uneven())).length, 20)
          t.ok(Math.max(...sizes) < 16384, `uneven: ${Math.max(...sizes)}`)
        }
        let bytes = 0
        for await (const chunk of await root.bytes()) bytes += chunk.length
        t.equal(bytes, 1 << 20)
        t.ok(Math.max(...sizes) < (least ? 4097 : 65536), `bytes: ${Math.max(...sizes)}`)
      },
      { limits }
    )
  }
})

t.test('the finally block of a producer runs once, whatever ends it', t => {
  let made = new Made()
  return overMemoryAndSocket(
    t,
    () => ({
      numbers: () => (made = new Made()).numbers(),
      later: () => (made = new Made()).later(),
      bad: () => (made = new Made()).numbers(undefined, n => (n < 3 ? n : Symbol('bad'))),
      close: () => void callSession().close()
    }),
    async ({ root, clientSession }, t) => {
      const once = async (how: string) => {
        await waitUntil(() => made.finals > 0, how)
        await clientSession.ping().catch(() => 0)
        await turn()
        t.equal(made.finals, 1, how)
      }
      for (const name of ['numbers', 'later']) {
        for await (const n of root[name]()) if (n === 2000) break
        await once('break')
        const thrown = new Error('in the loop')
        const failing = async () => {
          for await (const n of root[name]()) if (n === 3) throw thrown
        }
        t.equal(await rejectionOf(failing()), thrown)
        await once('throw')

        const controller = new AbortController()
        const aborted = async () => {
          for await (const n of Netref.with(root[name], { signal: controller.signal })())
            if (n === 5) controller.abort(thrown)
        }
        t.equal(await rejectionOf(aborted()), thrown, 'an abort fails the loop')
        await once('abort')
        t.equal(getEventListeners(controller.signal, 'abort').length, 0)

        const it = (await root[name]())[Symbol.asyncIterator]()
        await it.next()
        Netref.release(it)
        await once('release')
        t.match(
          await rejectionOf(it.next()),
          { name: 'ReleasedError' },
          'also with items that were read ahead'
        )
        t.same(await it.next(), { done: true, value: undefined }, 'the producer is notified once')

        await (async () => {
          const dropped = (await root[name]())[Symbol.asyncIterator]()
          await dropped.next()
          await dropped.next()
        })()
        await collectGarbage(() => made.finals > 0)
        await once('garbage collection')
      }
      const items: unknown[] = []
      const reading = async () => {
        for await (const n of root.bad()) items.push(n)
      }
      const error = await rejectionOf(reading())
      t.ok(error instanceof UnsendableError)
      t.match(error.message, /items\[0\] is Symbol\(bad\)/)
      t.same(items, [0, 1, 2], 'the error comes after the items before it')
      await once('an item that cannot be sent')
    }
  )
})

for (const by of ['ours', 'theirs', 'die'] as const)
  t.test(`the end of the session runs the finally once, and reading rejects: ${by}`, t => {
    const made: Made[] = []
    const mine = new Made()
    return overMemoryAndSocket(
      t,
      () => ({
        begin(name: 'numbers' | 'later') {
          made.push(new Made())
          return made.at(-1)![name]()
        },
        async take(source: AsyncIterator<unknown>) {
          await source.next()
          await source.next()
          return source
        }
      }),
      async ({ root, clientSession, serverSession, breakTransport }, t) => {
        made.length = 0
        mine.finals = 0
        const readers = ['numbers', 'later'].map(async name => {
          const it = (await root.begin(name))[Symbol.asyncIterator]()
          await it.next()
          await it.next()
          return it
        })
        const its = await Promise.all(readers)
        t.equal(await root.take(mine.later()).then((back: Untyped) => typeof back.next), 'function')
        const never = rejectionOf(root.begin('numbers').then((it: Untyped) => it.throw(new Error('x'))))
        await never
        if (by === 'die') breakTransport()
        else await { ours: clientSession, theirs: serverSession }[by].close()
        await Promise.all([clientSession.closed, serverSession.closed])
        await waitUntil(() => mine.finals > 0)
        await waitUntil(() => made.slice(0, 2).every(({ finals }) => finals > 0))
        await turn()
        t.same(
          made.slice(0, 2).map(({ finals }) => finals),
          [1, 1]
        )
        t.equal(mine.finals, 1)
        for (const it of its) {
          const error = await rejectionOf(all(it))
          t.ok(error instanceof SessionEndedError, String(error))
          t.same(await it.next(), { done: true, value: undefined })
          t.same(await it.return(1), { done: true, value: 1 })
        }
      },
      { resumes: false }
    )
  })

t.test('after an interruption, reading continues over the next socket, item by item', async t => {
  const made: Made[] = []
  const { agent, die } = breakableAgent()
  const make = () => {
    made.push(new Made())
    return made.at(-1)!
  }
  await overSocket(
    t,
    {
      numbers: (most: number) => make().numbers(most),
      later: (most: number) => make().later(most),
      sum: async (items: AsyncIterable<number>) => {
        let sum = 0
        for await (const item of items) sum += item
        return sum
      }
    },
    async ({ root, session }, server) => {
      let breaks = 0
      session.on('resumed', () => breaks++)
      for (const name of ['numbers', 'later'] as const) {
        const items: number[] = []
        for await (const n of (root as Untyped)[name](20_000)) {
          items.push(n)
          if (n === 5000 || n === 12_000) die()
        }
        t.same(
          items,
          Array.from({ length: 20_000 }, (_, i) => i),
          name
        )
      }
      t.same(
        made.map(({ finals }) => finals),
        [1, 1]
      )
      const mine = new Made()
      const summing = (root as Untyped).sum(mine.later(5000))
      await waitUntil(() => mine.count > 100)
      die()
      t.equal(await summing, (5000 * 4999) / 2, 'in the other direction')
      t.equal(mine.finals, 1)
      t.ok(breaks > 0, `${breaks} times over`)
      t.equal(server.sessions.size, 1)
    },
    { client: { agent } }
  )
})

t.test('an error in a producer comes after the items before it', t =>
  overMemoryAndSocket(
    t,
    () => ({
      *fails(after: number) {
        for (let i = 0; i < after; i++) yield i
        throw new RangeError('out of numbers')
      },
      async *later(after: number) {
        for (let i = 0; i < after; i++) yield await i
        throw new RangeError('out of numbers')
      },
      odd: () => iterator({ next: () => 5 }),
      oddLater: () => ({ [Symbol.asyncIterator]: () => ({ next: async () => undefined }) }),
      none: () => ({ [Symbol.iterator]: () => ({}) }),
      *rejected() {
        yield 1
        yield Promise.reject(new RangeError('of a promise'))
      },
      *unsendable() {
        yield* []
        throw Symbol('x')
      },
      *largeItem() {
        yield { fn() {}, pad: 'x'.repeat(5000) }
      },
      promised: (how: 'large' | 'limit' | 'getter') => ({
        promise: {
          large: async () => ({ fn() {}, pad: 'x'.repeat(5000) }),
          limit: () =>
            Promise.reject(Object.assign(new LimitError('limit', 'much'), { pad: 'x'.repeat(5000) })),
          getter: async () => ({
            get now() {
              throw new RangeError('in a getter')
            }
          })
        }[how]()
      }),
      carries() {
        throw Object.assign(new Error('with more'), { later: Promise.resolve(1), items: three(), n: 5 })
      },
      *large() {
        yield* []
        throw new Error('x'.repeat(5000))
      },
      returns: () =>
        iterator({
          next: () => ({ done: false, value: 1 }),
          return() {
            throw new RangeError('in return')
          }
        }),
      returnsLater: () =>
        iterator({
          next: () => ({ done: false, value: 1 }),
          async return() {
            throw new RangeError('in return')
          }
        })
    }),
    async ({ root }, t) => {
      for (const name of ['fails', 'later'])
        for (const after of [0, 1, 3000]) {
          const items: unknown[] = []
          const read = async () => {
            for await (const item of root[name](after)) items.push(item)
          }
          t.match(await rejectionOf(read()), { name: 'RangeError', message: 'out of numbers' })
          t.equal(items.length, after)
        }
      t.match(await rejectionOf(all(root.odd())), {
        name: 'TypeError',
        message: /next\(\) of an iterator must return an object, not 5/
      })
      t.match(await rejectionOf(all(root.oddLater())), { message: /must return an object, not undefined/ })
      for (const name of ['odd', 'oddLater'])
        t.match(await rejectionOf((await root[name]()).next(1)), {
          message: /must return an object, not \w+/
        })
      t.match(await rejectionOf(all(root.none())), { name: 'TypeError', message: /next is not a function/ })
      t.match(await rejectionOf(all(root.rejected())), { message: 'of a promise' })
      t.match(await rejectionOf(all(root.unsendable())), { code: 'unsendable' })
      t.match(await rejectionOf(all(root.large())), { name: 'LimitError', message: /characters of JSON/ })
      t.match(await rejectionOf(all(root.largeItem())), { name: 'LimitError' })
      t.match(await rejectionOf((await root.promised('large')).promise), { name: 'LimitError' })
      const untold = (await root.promised('limit')).promise.catch((told: unknown) => ({ told }))
      t.same(await untold, { told: undefined }, 'only the fact of the failure, if the reason is too large')
      t.match(await rejectionOf((await root.promised('getter')).promise), {
        code: 'unsendable',
        message: /ended with a value that cannot be serialized: RangeError/
      })
      const carries = await rejectionOf(root.carries())
      t.equal(carries.n, 5)
      t.notOk('later' in carries || 'items' in carries, 'errors carry data only')
      for (const name of ['returns', 'returnsLater']) {
        const breaking = async () => {
          for await (const _ of root[name]()) break
        }
        t.match(
          await rejectionOf(breaking()),
          { message: 'in return' },
          'an error of closing rejects the loop that breaks'
        )
        const it = await root[name]()
        await it.next()
        Netref.release(it)
      }
      await waitUntil(() => reported.length === 2)
      t.match(reported, [/in return/, /in return/], 'otherwise it goes to onError')
      reported.length = 0
    },
    { limits: { jsonBytes: 4500 }, serving: { onError: error => reported.push(String(error)) } }
  )
)
const reported: string[] = []

t.test('next(value), throw(error) and return(value) reach a generator, in both directions', t => {
  const seen: unknown[] = []
  function* talk(): Generator<unknown, unknown, unknown> {
    let said: unknown = 'hello'
    for (;;) {
      try {
        said = yield said
        seen.push(said)
        if (said === 'bye') return 'returned'
      } catch (error) {
        seen.push((error as Error).message)
        if ((error as Error).message === 'fatal') throw new Error('thrown in turn')
        said = 'caught'
      }
    }
  }
  const converse = async (it: AsyncGenerator<unknown, unknown, unknown>) => {
    const steps: unknown[] = [
      await it.next('ignored'),
      await it.next('one'),
      await it.next({ two: new Date(2) })
    ]
    steps.push(await it.throw(new Error('minor')), await it.next('three'))
    steps.push(await it.next('bye'), await it.next('after'))
    return steps
  }
  const same = [
    { done: false, value: 'hello' },
    { done: false, value: 'one' },
    { done: false, value: { two: new Date(2) } },
    { done: false, value: 'caught' },
    { done: false, value: 'three' },
    { done: true, value: 'returned' },
    { done: true, value: undefined }
  ]
  return overMemoryAndSocket(
    t,
    () => ({
      talk,
      async talkLater() {
        return (async function* () {
          return yield* talk() as Untyped
        })()
      },
      converse,
      plain: three,
      *promises() {
        yield Promise.resolve('there')
      },
      *none() {},
      bare: () => iterator({ next: () => ({ value: 1 }) }),
      closedLater: () =>
        iterator({
          next: async () => ({ done: false, value: 1 }),
          return: async () => ({ done: true, value: 2 })
        }),
      relay: (it: unknown) => it,
      *count() {
        let n = 0
        for (;;) {
          try {
            while (true) yield n++
          } catch {
            n = 1000
          }
        }
      }
    }),
    async ({ root }, t) => {
      seen.length = 0
      t.same(await converse(await root.talk()), same)
      t.same(await converse(await root.talkLater()), same, 'an async generator')
      t.same(await root.converse(talk()), same, 'in the other direction')
      t.same(seen.slice(0, 5), ['one', { two: new Date(2) }, 'minor', 'three', 'bye'])

      const it = await root.talk()
      await it.next()
      t.match(await rejectionOf(it.throw(new Error('fatal'))), { message: 'thrown in turn' })
      t.same(await it.next(), { done: true, value: undefined })
      const fresh = await root.talk()
      t.same(await fresh.return('early'), { done: true, value: 'early' })
      t.same(await fresh.return('again'), { done: true, value: 'again' })
      t.match(await rejectionOf(fresh.throw(new Error('late'))), { message: 'late' })
      t.match(await rejectionOf((await root.talk()).throw(new Error('first'))), { message: 'first' })

      const plain = await root.plain()
      await plain.next()
      t.match(await rejectionOf(plain.throw(new Error('no throw here'))), { message: 'no throw here' })
      t.same(await plain.next(), { done: true, value: undefined })
      t.same(await (await root.promises()).next(), { done: false, value: 'there' })
      t.same(await (await root.promises()).next('by hand'), { done: false, value: 'there' })
      t.same(await (await root.bare()).next('by hand'), { done: false, value: 1 }, 'a result without `done`')

      const unsendable = await root.talk()
      await unsendable.next()
      t.match(await rejectionOf(unsendable.next(Symbol('x'))), { code: 'unsendable' })
      t.same(
        await unsendable.next('still there'),
        { done: false, value: 'still there' },
        'an invalid value rejects only its call'
      )
      await unsendable[Symbol.asyncDispose]()

      const ahead = await root.count()
      for await (const n of {
        [Symbol.asyncIterator]: () => ({ next: () => ahead[Symbol.asyncIterator]().next() })
      })
        if (n === 5) break
      t.match(await rejectionOf(ahead.next('x')), { name: 'TypeError', message: /read ahead/ })
      t.same(await ahead.throw(new Error('go on elsewhere')), { done: false, value: 1000 })
      t.same(
        [await ahead.next(), await ahead.next()].map(({ value }) => value),
        [1001, 1002],
        'reading continues after it'
      )
      const pending = [ahead.next(), ahead.next()]
      t.same(
        (await Promise.all(pending)).map(({ value }) => value),
        [1003, 1004]
      )
      const thrown = ahead.throw(new Error('again'))
      const next = ahead.next()
      t.same(
        [await thrown, await next].map(({ value }) => value),
        [1000, 1001],
        'a pending read, too'
      )
      await ahead.return()
      for (let last = false; !last; ) last = (await ahead.next()).done

      const none = await root.none()
      const late = [
        none.next('a'),
        none.next('b'),
        none.next(),
        none.throw(new Error('late')),
        none.return('r')
      ].map(step => step.catch((error: Error) => error.message))
      const over = { done: true, value: undefined }
      t.same(
        await Promise.all(late),
        [over, over, over, 'late', { done: true, value: 'r' }],
        'requested before the end is known locally'
      )
      const closed = await root.closedLater()
      await closed.next()
      t.match(await rejectionOf(closed.throw(new Error('no throw'))), { message: 'no throw' })
    }
  )
})

t.test('pending reads are done when the iterator is closed', t =>
  overMemoryAndSocket(
    t,
    () => ({
      never: () =>
        iterator({ next: () => new Promise(() => {}), return: () => ({ done: true, value: 'closed' }) }),
      async *gaps() {
        yield 1
        await new Promise(() => {})
      }
    }),
    async ({ root, clientSession }, t) => {
      for (const how of ['return', 'throw', 'release', 'abort'] as const) {
        const controller = new AbortController()
        const it = (await Netref.with(root.never, { signal: controller.signal })())[Symbol.asyncIterator]()
        const waiting = [it.next(), it.next()].map(step => step.catch((error: Error) => error.name))
        await clientSession.ping()
        if (how === 'release') Netref.release(it)
        else if (how === 'abort') controller.abort()
        else if (how === 'throw') t.match(await rejectionOf(it.throw(new Error('x'))), { message: 'x' })
        else t.same(await it.return('r'), { done: true, value: 'r' })
        const done = { done: true, value: undefined }
        const first = { release: 'ReleasedError', abort: 'AbortError', return: done, throw: done }[how]
        t.same(await Promise.all(waiting), [first, done], how)
      }
    }
  )
)

for (const by of ['release', 'ours', 'theirs', 'die'] as const)
  t.test(`an iterator that ends during throw(): ${by}`, t => {
    const caught: unknown[] = []
    let closes = 0
    const settling: ((result: object) => void)[] = []
    return overMemoryAndSocket(
      t,
      () => ({
        slow: () =>
          iterator({
            next: async () => ({ done: false, value: 'read' }),
            throw(error: Error) {
              caught.push(error.message)
              return new Promise(resolve => settling.push(resolve))
            },
            return() {
              closes++
              for (const settle of settling.splice(0)) settle({ done: false, value: 'late' })
              return { done: true, value: undefined }
            }
          })
      }),
      async ({ root, clientSession, serverSession, breakTransport }, t) => {
        caught.length = closes = 0
        const outcomeOf = (step: Promise<{ value: unknown }>) =>
          step.then(
            ({ value }) => value,
            (error: Error) => error.name
          )
        const iterators = []
        for (const readsMeanwhile of [2, 0]) {
          const it = (await root.slow())[Symbol.asyncIterator]()
          t.equal(await outcomeOf(it.next()), 'read')
          const thrown = outcomeOf(it.throw(new Error('why')))
          const reads = Array.from({ length: readsMeanwhile }, () => outcomeOf(it.next()))
          iterators.push({ it, thrown, reads })
        }
        await waitUntil(() => settling.length === 2)
        t.same(caught, ['why', 'why'])
        if (by === 'release') for (const { it } of iterators) Netref.release(it)
        else if (by === 'die') breakTransport()
        else await { ours: clientSession, theirs: serverSession }[by].close()
        const error = by === 'release' ? 'ReleasedError' : 'SessionEndedError'
        for (const { it, thrown, reads } of iterators) {
          t.equal(
            await thrown,
            by === 'release' ? 'late' : error,
            'a call on a released iterator gets its reply'
          )
          const outcomes = await Promise.all([...reads, outcomeOf(it.next()), outcomeOf(it.next())])
          t.same(outcomes, [error, ...outcomes.slice(1).map(() => undefined)], 'the end is reported once')
        }
        await waitUntil(() => closes === 2)
      },
      { resumes: false }
    )
  })

t.test('the signal of the last call that returned the iterator aborts it', async t => {
  const same = new Made().numbers()
  await overMemory(t, { same: () => same }, async ({ root }) => {
    const [first, second] = [new AbortController(), new AbortController()]
    const it = (await Netref.with((root as Untyped).same, { signal: first.signal })())[Symbol.asyncIterator]()
    t.equal(await Netref.with((root as Untyped).same, { signal: second.signal })(), it)
    first.abort()
    t.same(await it.next(), { done: false, value: 0 })
    second.abort(new RangeError('why'))
    t.match(await rejectionOf(it.next()), { message: 'why' })
  })
})

class Bag {
  constructor(readonly items: number[]) {}
  [Symbol.asyncIterator]() {
    const left = [...this.items]
    return iterator({ next: async () => ({ done: left.length === 0, value: left.shift() }) })
  }
}
registerType(Bag, { name: 'Bag', encode: ({ items }) => items, decode: items => new Bag(items) })

t.test('a copy that has an iterator without `return`', async t => {
  await overMemory(t, { bag: () => new Bag([1, 2]) }, async ({ root }) => {
    const bag = (root as Untyped).bag
    t.same(await all(bag()), [1, 2])
    for await (const item of bag()) {
      t.equal(item, 1)
      break
    }
  })
})

class Ending {
  constructor(readonly also: unknown) {}
}
let onEnding: (also?: unknown) => void = () => {}
registerType(Ending, {
  name: 'Ending',
  encode: ({ also }) => also,
  decode(also) {
    onEnding(also)
    return new Ending(also)
  }
})

t.test('a session that ends while an iterator is encoded or decoded: the iterator ends, too', async t => {
  const boxing = pair({ take() {} })
  const mine = new Made().numbers()
  const ends = {
    get now() {
      void boxing.close()
      return 1
    }
  }
  t.ok((await rejectionOf((boxing.root as Untyped).take(ends, mine))) instanceof SessionEndedError)
  t.same(mine.next(), { done: true, value: undefined })
  const unboxing = pair({ take() {} })
  let arrived: Untyped
  onEnding = also => {
    if (also) arrived = (also as Untyped)[1]
    else void unboxing.served.close()
  }
  const theirs = new Made().numbers()
  const taking = rejectionOf((unboxing.root as Untyped).take(new Ending([new Ending(null), theirs])))
  t.ok((await taking) instanceof SessionEndedError)
  t.ok((await rejectionOf(all(arrived))) instanceof SessionEndedError)
  const refusing = pair({ take() {} })
  onEnding = () => {
    void refusing.served.close()
    throw new Error('it is not to be read')
  }
  t.ok(
    (await rejectionOf((refusing.root as Untyped).take(() => {}, new Ending(null)))) instanceof
      SessionEndedError
  )
  for (const { session, served } of [boxing, unboxing, refusing]) await assertClean(t, session, served)
})

t.test('the end of an iterator goes to its reader; an error after return() goes to nobody', async t => {
  let fail: ((error: Error) => void) | undefined
  await overMemoryAndSocket(
    t,
    () => ({
      async *gives() {
        yield 1
        return () => 'here'
      },
      waits: () =>
        iterator({
          next: () => new Promise((_, reject) => (fail = reject)),
          return: async () => ({ done: true, value: undefined })
        })
    }),
    async ({ root }, t) => {
      const gives = await root.gives()
      await gives.next()
      const { done, value } = await gives.next()
      t.equal(done, true)
      t.equal(await value(), 'here')
      Netref.release(value)
      fail = undefined
      const waits = await root.waits()
      const step = waits.next()
      await waitUntil(() => fail !== undefined)
      await waits.return()
      fail!(new Error('too late'))
      t.same(await step, { done: true, value: undefined })
    }
  )
})

t.test('a promise that arrived with two calls is kept for both', async t => {
  const answers: (() => void)[] = []
  const wait = () => new Promise<void>(resolve => answers.push(resolve))
  await overMemoryAndSocket(
    t,
    () => ({ wait }),
    async ({ root }) => {
      const promise = Promise.resolve('data')
      const calls = [root.wait(promise), root.wait(promise)]
      await waitUntil(() => answers.length === 2)
      for (const answer of answers.splice(0)) answer()
      await Promise.all(calls)
    }
  )
})

t.test('yield* over a remote iterator, and forwarding it', t =>
  overMemoryAndSocket(
    t,
    () => ({
      numbers: (most: number) => new Made().numbers(most),
      echo: (value: unknown) => value,
      async isSame(it: unknown, again: unknown) {
        return it === again
      }
    }),
    async ({ root, clientSession }, t) => {
      async function* twice() {
        yield* root.numbers(3)
        yield* await root.numbers(2)
        return 'end'
      }
      t.same(await all(twice()), [0, 1, 2, 0, 1])
      t.same(await all(root.echo(twice())), [0, 1, 2, 0, 1], 'back and forth')
      const mine = new Made().numbers(3)
      t.equal(await root.echo(mine), mine, 'the owner receives the original')
      t.ok(await root.isSame(mine, mine), 'the same object twice is one netref there')
      const theirs = await root.numbers(3)
      t.equal(await root.echo(theirs), theirs)
      t.same(await all(theirs), [0, 1, 2])
      t.same(await all(theirs), [], 'once')

      await overMemory(
        t,
        {
          ask: (what: unknown) => what,
          async *far() {
            const said: unknown = yield 'far'
            yield said
          }
        },
        async other => {
          const middle = other.root as Untyped
          const relayed = await root.echo(await middle.far())
          t.same(await relayed.next(), { done: false, value: 'far' }, 'of a third party, with explicit calls')
          t.same(await relayed.next('through'), { done: false, value: 'through' })
          t.same(await relayed.next(), { done: true, value: undefined })
          const walked = await middle.ask(await root.numbers(2000))
          t.equal((await all(walked)).length, 2000)
          const netref = await middle.ask(await root.echo(expose([1, 2])))
          t.same(await all(netref), [1, 2])
        }
      )
      await clientSession.ping()
    }
  )
)

t.test('an object that is sent again while it is released is valid', async t => {
  const promise = Promise.resolve('settled')
  const generator = new Made().numbers(5)
  await overMemory(
    t,
    { promise: () => ({ promise }), generator: () => generator },
    async ({ root, transports, session }) => {
      const any = root as Untyped
      const [ours] = transports
      for (const name of ['promise', 'generator']) {
        let first = name === 'promise' ? (await any.promise()).promise : await any.generator()
        if (name === 'promise') await first
        else t.same(await all(first), [0, 1, 2, 3, 4])
        const id = session.stats.imports
        ours.hold()
        const second = any[name]()
        // Its release follows the call whose reply sends it again, and crosses that reply.
        if (name === 'promise') Netref.release(first)
        first = undefined
        await runEventLoop()
        t.equal(session.stats.imports <= id, true)
        ours.letGo()
        const again = await second
        if (name === 'promise')
          t.equal(await again.promise, 'settled', 'the outcome of a promise is sent again')
        else t.same(await all(again), [], 'an iterator that has ended sends its end again')
      }
    }
  )
})

t.test(
  'a release that crosses a second reference: the new receiver’s end gets the end of the stream',
  async t => {
    const promise = Promise.resolve('settled')
    const ended = new Made().numbers(2)
    await overMemory(t, { both: () => [{ promise }, ended] }, async ({ root, transports }) => {
      const any = root as Untyped
      const [{ promise: first }, one] = await any.both()
      await first
      t.same(await all(one), [0, 1])
      await runEventLoop()
      const [ours, theirs] = transports
      theirs.hold()
      const second = any.both()
      await runEventLoop()
      ours.hold()
      // It is sent again, and released here before it arrives.
      Netref.release(first)
      Netref.release(one)
      theirs.letGo()
      const [{ promise: again }, two] = await second
      t.not(again, first)
      ours.letGo()
      t.equal(await again, 'settled')
      t.same(await all(two), [])
    })
  }
)

t.test('more than limits.bufferedBytes of unread items fails that iterator alone', async t => {
  await overMemory(
    t,
    {
      long: () => new Made().numbers(undefined, () => 'x'.repeat(1000)),
      short: () => new Made().numbers(10)
    },
    async ({ root, session }) => {
      const any = root as Untyped
      const short = (await any.short())[Symbol.asyncIterator]()
      await short.next()
      const it = (await any.long())[Symbol.asyncIterator]()
      await it.next()
      const read = async () => {
        for (;;) await it.next()
      }
      const error = await rejectionOf(Promise.race([it.next().then(runEventLoop).then(read)]))
      t.ok(error instanceof LimitError, String(error))
      t.match(error.message, /more than 20000 bytes wait to be read \(limits.bufferedBytes\)/)
      t.equal((await all(short)).length, 9, 'another iterator continues')
      t.ok(session.stats.pending === 0)
    },
    { limits: { bufferedBytes: 20_000 } }
  )
})

t.test('calls and items that precede a reply are received before it', t => {
  const tick: (() => void)[] = []
  return overMemoryAndSocket(
    t,
    () => ({
      async work(tell: Untyped, once: Untyped) {
        for (let i = 0; i < 100; i++) {
          tell(i)
          Netref.oneway(once)(i)
          if (i % 10 === 0) await turn()
        }
        return 'done'
      },
      async *ticks() {
        for (let n = 0; ; n++) {
          yield n
          await new Promise<void>(resolve => tick.push(resolve))
        }
      },
      /** Requests an item, and returns when it is produced. */
      async tick() {
        tick.shift()!()
        await turn()
      }
    }),
    async ({ root }, t) => {
      const received: number[] = []
      const noted: number[] = []
      await root.work(
        (i: number) => void received.push(i),
        (i: number) => void noted.push(i)
      )
      const expected = Array.from({ length: 100 }, (_, i) => i)
      t.same([received, noted], [expected, expected])
      const it = root.ticks()[Symbol.asyncIterator]()
      await it.next()
      const waiting = it.next().then(({ value }: Untyped) => received.push(-value))
      await waitUntil(() => tick.length > 0)
      await root.tick()
      t.equal(received.at(-1), -1, 'an item within the window')
      await waiting
      await it.return()
      tick.shift()?.()
    }
  )
})

t.test('promises: in arguments and results, nested, failing, thenables', t =>
  overMemoryAndSocket(
    t,
    () => ({
      async wait(promise: Promise<unknown>) {
        return await promise
      },
      async nested({ a: [promise] }: { a: [Promise<unknown>] }) {
        return { got: await promise, more: Promise.resolve({ deep: Promise.resolve([1]) }) }
      },
      isPromise: (value: unknown) => value instanceof Promise,
      echo: (value: unknown) => ({ value }),
      failing: () => ({ promise: Promise.reject(new RangeError('later')) }),
      unsendable: () => ({ promise: Promise.resolve(Symbol('x')) })
    }),
    async ({ root }, t) => {
      let settle!: (value: unknown) => void
      const late = new Promise(resolve => {
        settle = resolve
      })
      const waited = root.wait(late)
      settle({ at: new Date(0) })
      t.same(await waited, { at: new Date(0) })
      const { got, more } = await root.nested({ a: [Promise.resolve(() => 1)] })
      t.equal(got(), 1, 'a function returned to its owner')
      t.same(await (await more).deep, [1])
      t.equal(await root.wait({ then: (done: (value: number) => void) => done(5) }), 5, 'a thenable')
      t.ok(await root.isPromise(Promise.resolve()))
      t.match(await rejectionOf(root.wait(Promise.reject(new RangeError('mine')))), {
        name: 'RangeError',
        message: 'mine'
      })
      t.ok(await root.isPromise(Promise.reject(new Error('nobody minds'))))
      t.match(await rejectionOf((await root.failing()).promise), { name: 'RangeError', message: 'later' })
      await root.failing()
      t.match(await rejectionOf((await root.unsendable()).promise), { code: 'unsendable' })
      const mine = Promise.resolve(1)
      t.equal((await root.echo(mine)).value, mine, 'the owner receives the original')
      const theirs = (await root.echo((await root.nested({ a: [mine] })).more)).value
      t.ok(theirs instanceof Promise)
      await theirs
      await runEventLoop()
    }
  )
)

t.test('a promise is kept alive until it settles; the end of the session rejects it', async t => {
  let settle!: (value: unknown) => void
  const service = () => ({
    later: () => ({
      promise: new Promise(resolve => {
        settle = resolve
      })
    })
  })
  await overMemory(t, service(), async ({ root, session }) => {
    const received: unknown[] = []
    await (async () => {
      const { promise } = await (root as Untyped).later()
      promise.then((value: unknown) => received.push(value))
    })()
    await collectGarbage()
    await collectGarbage()
    t.equal(session.stats.imports, 1)
    settle('kept')
    await waitUntil(() => received.length > 0)
    t.same(received, ['kept'], 'although only its listeners hold it')
    await collectGarbage(() => session.stats.imports === 0)
  })
  await overMemoryAndSocket(
    t,
    service,
    async ({ root, clientSession, serverSession, breakTransport }, t) => {
      const { promise } = await root.later()
      breakTransport()
      const error = await rejectionOf(promise)
      t.ok(error instanceof SessionEndedError)
      await Promise.all([clientSession.closed, serverSession.closed])
      settle(1)
      await runEventLoop()
    },
    { resumes: false }
  )
})

t.test('abort signals: anywhere in the arguments, with their reason, aborted later or before', t => {
  const got: AbortSignal[] = []
  return overMemoryAndSocket(
    t,
    () => ({
      keep(...args: Untyped[]) {
        const [signal] = args.flatMap(arg => (arg instanceof AbortSignal ? [arg] : [arg?.deep?.[0]?.signal]))
        got.push(signal)
        return [signal instanceof AbortSignal, signal.aborted]
      },
      async until(signal: AbortSignal) {
        if (!signal.aborted) await new Promise(resolve => signal.addEventListener('abort', resolve))
        return signal.reason
      },
      echo: (value: unknown) => value,
      pending: (signal: AbortSignal) =>
        void signal.addEventListener('abort', () => got.push(signal), { once: true }),
      signal: () => AbortSignal.abort('at home')
    }),
    async ({ root }, t) => {
      got.length = 0
      const controller = new AbortController()
      t.same(await root.keep(controller.signal), [true, false])
      t.same(await root.keep({ deep: [{ signal: controller.signal }] }), [true, false])
      t.equal(got[0], got[1], 'the same signal twice is one signal')
      const reason = new RangeError('why', { cause: 'because' })
      const waited = root.until(controller.signal)
      controller.abort(reason)
      t.match(await waited, { name: 'RangeError', message: 'why', cause: 'because' })
      t.ok(got[0]!.aborted)
      t.match(got[0]!.reason, { name: 'RangeError', message: 'why' })
      t.match(await root.until(AbortSignal.abort()), { name: 'AbortError' }, 'a signal that had aborted')
      t.match(await root.until(AbortSignal.abort({ plain: new Date(0) })), { plain: new Date(0) })
      t.match(
        await root.until(AbortSignal.abort(() => 1)),
        { name: 'AbortError' },
        'a reason that is not sent'
      )
      // Its timer does not keep the process alive.
      const [timeout] = await Promise.all([
        root.until(AbortSignal.timeout(1)),
        new Promise(resolve => setTimeout(resolve, 20))
      ])
      t.match(timeout, { name: 'TimeoutError' })
      const mine = new AbortController().signal
      t.equal(await root.echo(mine), mine, 'the owner receives the original')
      t.match(await root.signal(), { aborted: true, reason: 'at home' }, 'in the other direction')
      got.length = 0
      await waitUntil(() => {
        gc()
        return (
          getEventListeners(controller.signal, 'abort').length + getEventListeners(mine, 'abort').length === 0
        )
      })
      t.pass('listeners are removed')
    }
  )
})

t.test(
  'a signal is kept alive by its listeners, and by its holders; the end of the session aborts it',
  async t => {
    const received: unknown[] = []
    let finish!: () => void
    const service = () => ({
      watch(signal: AbortSignal) {
        signal.addEventListener('abort', () => received.push(signal.reason))
        return new Promise<void>(resolve => {
          finish = resolve
        })
      },
      quick: (signal: AbortSignal) => signal.aborted,
      give: () => aborting.signal
    })
    const aborting = new AbortController()
    await overMemory(t, service(), async ({ root, served }) => {
      const controller = new AbortController()
      const watching = (root as Untyped).watch(controller.signal)
      await collectGarbage()
      await collectGarbage()
      controller.abort('why')
      await waitUntil(() => received.length > 0)
      t.same(received, ['why'], 'although its handler keeps only a listener')
      finish()
      await watching
      received.length = 0
      const later = new AbortController()
      await (root as Untyped).quick(later.signal)
      await collectGarbage(() => served.stats.imports === 0)
      t.equal(getEventListeners(later.signal, 'abort').length, 0, 'no listener is left')
      await (async () => {
        const theirs = await (root as Untyped).give()
        t.notOk(theirs.aborted)
      })()
      await collectGarbage(() => served.stats.exports === 0)
      t.equal(getEventListeners(aborting.signal, 'abort').length, 0, 'a signal in a result is released, too')
    })
    await overMemoryAndSocket(
      t,
      service,
      async ({ root, clientSession, serverSession, breakTransport }, t) => {
        received.length = 0
        const watching = rejectionOf(root.watch(new AbortController().signal))
        await clientSession.ping()
        breakTransport()
        t.match(await watching, { name: 'SessionEndedError' })
        await Promise.all([clientSession.closed, serverSession.closed])
        await waitUntil(() => received.length > 0)
        t.ok(received[0] instanceof SessionEndedError)
        finish()
      },
      { resumes: false }
    )
  }
)

declare const gc: () => void

interface Run {
  readonly count: number
  readonly size: number
  readonly gaps: number
  readonly failsAt: number | undefined
  readonly breaksAt: number | undefined
  readonly how: 'break' | 'abort' | 'throw' | 'release'
  readonly pauses: number
  readonly window: number
  readonly isAsync: boolean
}
const run: fc.Arbitrary<Run> = fc.record({
  count: fc.oneof(fc.nat(5), fc.nat(3000)),
  size: fc.oneof(fc.constant(0), fc.nat(200), fc.nat(5000)),
  gaps: fc.nat(50),
  failsAt: fc.option(fc.nat(300), { nil: undefined }),
  breaksAt: fc.option(fc.nat(300), { nil: undefined }),
  how: fc.constantFrom('break', 'abort', 'throw', 'release'),
  pauses: fc.nat(100),
  window: fc.oneof(fc.constant(1024), fc.integer({ min: 1, max: 50 })),
  isAsync: fc.boolean()
})

async function play(script: Run): Promise<void> {
  const { count, size, gaps, failsAt, breaksAt, how, pauses, window, isAsync } = script
  let made = 0
  let finals = 0
  const item = () => {
    if (made === failsAt) throw new RangeError('failed')
    return size === 0 ? made++ : { n: made++, pad: size % 3 === 0 ? new Uint8Array(size) : 'x'.repeat(size) }
  }
  async function* later() {
    try {
      while (made < count) {
        if (gaps > 0 && made % gaps === 0) await turn()
        yield item()
      }
    } finally {
      finals++
    }
  }
  function* now() {
    try {
      while (made < count) yield item()
    } finally {
      finals++
    }
  }
  await using conn = pair({ items: () => (isAsync ? later() : now()) }, { serving: { onError() {} } })
  const root = conn.root as Untyped
  const [ours, theirs] = conn.transports
  let held = 0
  // Delayed frames are delivered one by one: reads and items cross in ever different ways.
  const jam = setInterval(() => {
    if (held++ % 3 === 0) {
      ours.hold()
      theirs.hold()
    }
    ours.letGo(held % 2)
    theirs.letGo(held % 4)
    if (held % 5 === 0) {
      ours.letGo()
      theirs.letGo()
    }
  }, 0)
  try {
    const controller = new AbortController()
    const it = Netref.with(root.items, { window, signal: controller.signal })()
    let read = 0
    let error: Untyped
    const arrived = await it
    try {
      for await (const got of arrived) {
        const n = size === 0 ? got : got.n
        if (n !== read) throw new Error(`${n} came after ${read - 1}`)
        read++
        if (made - read > window + 1) throw new Error(`${made} made, ${read} read, a window of ${window}`)
        if (pauses > 0 && read % pauses === 0) await turn()
        if (read - 1 === breaksAt) {
          if (how === 'break') break
          if (how === 'abort') controller.abort(new DOMException('enough', 'AbortError'))
          else if (how === 'release') Netref.release(arrived)
          else throw new DOMException('enough', 'AbortError')
        }
      }
    } catch (caught) {
      error = caught
    }
    const whole = Math.min(count, failsAt ?? count)
    const stopped = breaksAt !== undefined && breaksAt < whole
    if (read !== (stopped ? breaksAt + 1 : whole))
      throw new Error(`${read} of ${whole} were read: ${error}`, { cause: error })
    const name = stopped
      ? { break: undefined, abort: 'AbortError', throw: 'AbortError', release: 'ReleasedError' }[how]
      : failsAt !== undefined && failsAt < count
        ? 'RangeError'
        : undefined
    if (error?.name !== name) throw new Error(`it ended with ${error}, not ${name}`, { cause: error })
    await waitUntil(() => finals > 0)
    clearInterval(jam)
    ours.letGo()
    theirs.letGo()
    await conn.ping()
    if (finals !== 1) throw new Error(`finally ran ${finals} times`)
    const left = () => {
      const [here, there] = [conn.stats, conn.served.stats]
      return here.imports + here.exports + here.buffered + there.imports + there.exports + there.buffered
    }
    for (let i = 0; left() > 0; i++) {
      if (i > 100) throw new Error('something is left')
      await conn.ping()
      await turn()
    }
  } finally {
    clearInterval(jam)
  }
}

t.test(
  'any producer, any consumer, any delay of frames: each item arrives once, in order, and all iterators end',
  async t => {
    const seed = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)
    t.comment(`NETREF_FUZZ_SEED=${seed}`)
    await fc.assert(fc.asyncProperty(run, play), { numRuns: Number(process.env.NETREF_FLOWS ?? 150), seed })
  }
)

t.test('invalid stream messages end the session, those about released streams do not', async t => {
  const service = () => ({
    all: () => [
      new Promise(() => {}),
      new AbortController().signal,
      new Made().numbers(),
      Symbol.iterator && {}
    ],
    object: () => new Secret(),
    take() {}
  })
  const say = async (messages: unknown[][], expected: object | undefined) => {
    const conn = pair(service())
    const root = conn.root as Untyped
    const mine = [Promise.resolve(1), new Made().numbers()]
    const [, , it] = await root.all()
    const secret = await root.object()
    await root.take(...mine)
    await runEventLoop()
    const [ours] = conn.transports
    ours.send(JSON.stringify([conn.served.stats.framesOut, messages]))
    // Messages that this end sends later would be counted wrong: it is asked before.
    await runEventLoop()
    await runEventLoop()
    const reason = await Promise.race([conn.served.closed, turn()])
    if (expected) t.match(reason, expected, JSON.stringify(messages))
    else t.equal(reason, undefined, JSON.stringify(messages))
    await conn.close()
    t.ok(it && secret)
  }
  const protocol = (message: RegExp) => ({ code: 'protocol', message })
  await say([[19, 1, 0, 5]], protocol(/a pull on 1, which has no items/))
  await say([[19, 4, 0]], protocol(/a pull on 4, which has no items/))
  await say([[19, 99, 0, 5]], protocol(/99, which was never sent/))
  await say([[20, 1, 0, [1]]], protocol(/items for a promise or signal/))
  await say(
    [[21, 2, 1, [1, 2], [['d', []]]]],
    protocol(/a stream pair without a readable and a writable stream/)
  )
  await say(
    [[21, 2, 1, 'x', [['d', []]]]],
    protocol(/a stream pair without a readable and a writable stream/)
  )
  await say(
    [
      [20, 2, 0, [1]],
      [21, 2, 1],
      [21, 2, 0, 'again'],
      [20, 2, 1, [1]],
      [20, 2, 0, []]
    ],
    undefined
  )
  await say(
    [
      [21, 77, 1],
      [20, 77, 0, [1]]
    ],
    undefined
  )
  await say(
    [
      [13, 4, 1],
      [19, 4, 0]
    ],
    undefined
  )
  await say(
    [
      [
        20,
        2,
        0,
        ['invalid', 'x'],
        [
          ['Date', [0]],
          [['custom', 'unknown'], [1]]
        ]
      ]
    ],
    protocol(/not in a list/)
  )
  await say([[20, 2, 0, [['x']], [[['custom', 'unknown'], [0]]]]], undefined)
  await say([[21, 1, 1, ['x'], [[['custom', 'unknown'], []]]]], undefined)
})

t.test('an operation that a stream does not support is rejected', async t => {
  await overMemory(
    t,
    { make: () => [new Made().numbers(), new WritableStream(), Promise.resolve(1)] },
    async ({ root, session, served }) => {
      const [it, stream, promise] = await (root as Untyped).make()
      const { Op } = await import('../../../lib/protocol/messages.js')
      const { referenceOf } = await import('../../../lib/remote/streams/streams.js')
      const drive = (flow: object, method: string, value?: unknown) =>
        rejectionOf(referenceOf(flow)!.request(Op.streamCall, method, value).settled())
      t.match(await drive(it, 'pipe'), { code: 'not-exposed', message: /an iterator has `next`/ })
      t.match(await drive(stream, 'next'), { code: 'not-exposed' })
      t.match(await drive(promise, 'next'), { code: 'not-exposed', message: /iterator or stream/ })
      t.match(await drive(stream, 'pipe', 5), { code: 'not-exposed' })
      t.match(await drive(stream, 'pipe', () => 1), { code: 'not-exposed' })
      const result = referenceOf(stream)!.request(Op.streamCall, 'pipe', new Made().later(3)).settled()
      t.match(
        await drive(stream, 'pipe', new Made().numbers(3)),
        { code: 'not-exposed', message: /takes one iterator/ },
        'twice'
      )
      await result
      await it.return()
      t.equal(served.stats.pending + session.stats.pending, 0)
    }
  )
})

t.test('a promise and a signal that were not sent are unchanged', async t => {
  await overMemory(t, { take: () => 'taken' }, async ({ root }) => {
    const { signal } = new AbortController()
    t.match(await rejectionOf((root as Untyped).take(Promise.resolve(1), signal, Symbol('x'))), {
      code: 'unsendable'
    })
    t.equal(getEventListeners(signal, 'abort').length, 0)
    await runEventLoop()
  })
})

t.test('no error was reported', async t => {
  t.same(faults, [])
})

t.test('one signal for many iterators, and as a value for many sessions: one listener', async t => {
  const stop = new AbortController()
  const host = {
    async *exposed_lines() {
      for (;;) yield 'line'
    },
    exposed_wait: (signal: AbortSignal) =>
      new Promise<void>(done => signal.addEventListener('abort', () => done()))
  }
  const [one, other] = [pair(host), pair(host)]
  const lines = Netref.with(one.root.lines, { signal: stop.signal })
  const walks = await Promise.all([lines(), lines(), lines()])
  for (const walk of walks) await walk.next()
  const waits = [one, other].map(({ root }) => root.wait(stop.signal))
  await Promise.all([one.ping(), other.ping()])
  t.equal(getEventListeners(stop.signal, 'abort').length, 1)
  stop.abort(new Error('enough'))
  for (const walk of walks) {
    const failed = async () => {
      while (!(await walk.next()).done);
    }
    t.match(await rejectionOf(failed()), { message: 'enough' })
  }
  await Promise.all(waits)
  await assertClean(t, one.session, one.served, other.session, other.served)
  t.equal(getEventListeners(stop.signal, 'abort').length, 0)
  await Promise.all([one.close(), other.close()])
})

t.test('yield* over the result of a call forwards throw', t => {
  const caught: unknown[] = []
  const host = {
    async *exposed_items() {
      try {
        yield 1
      } catch (error) {
        caught.push(String(error))
        yield 2
      }
    },
    exposed_list: () => [1, 2],
    exposed_stream: () => ReadableStream.from([1, 2])
  }
  return overMemory(t, host, async ({ root }) => {
    async function* all(items: AsyncIterable<number>) {
      yield* items
    }
    const walk = all(root.items() as unknown as AsyncIterable<number>)
    t.same(await walk.next(), { done: false, value: 1 })
    await rejectionOf(walk.throw(new RangeError('in')))
    for (const items of [root.list(), root.stream()]) {
      const list = all(items as unknown as AsyncIterable<number>)
      t.same(await list.next(), { done: false, value: 1 })
      t.match(await rejectionOf(list.throw(new RangeError('in'))), { message: 'in' })
    }
  })
})

t.test('a raw peer', async t => {
  const COUNT = 200
  const text = 'x'.repeat(100_000)
  const settle: (() => void)[] = []
  let marks = 0
  const service = {
    kept: Array.from({ length: COUNT }, () => Promise.resolve(text)),
    ended: new Made().numbers(0),
    get promises() {
      return [...this.kept]
    },
    later: () =>
      Array.from({ length: COUNT }, () => new Promise(resolve => settle.push(() => resolve(text)))),
    mark: () => ++marks
  }
  const idsOf = (reply: readonly unknown[]) => (reply[2] as [id: number][]).map(([id]) => id)

  t.test('a peer that sends a promise back repeatedly gets its outcome once for each message', async t => {
    await using server = await serve(expose(service), { port: 0 })
    const peer = await RawPeer.open(server.url)
    const [id] = idsOf(await peer.ask(Op.get, 0, 'promises'))
    const told = () => peer.messages.filter(([op, of]) => op === Op.ended && of === id).length
    for (let i = 0; i < 100; i++) await peer.ask(Op.get, 0, 'promises')
    await waitUntil(() => told() === 1)
    peer.messages.length = 0
    const releases = [
      [[Op.release, ...Array.from({ length: 60 }, () => [id, 1]).flat()]],
      Array.from({ length: 20 }, () => [Op.release, id, 2])
    ]
    for (const messages of releases) {
      peer.messages.length = 0
      peer.send(messages)
      await waitUntil(() => told() > 0)
      await peer.ping()
      t.equal(told(), 1)
    }
    await peer.end()
  })

  t.test('a peer that reads the end of an iterator repeatedly gets it once in each turn', async t => {
    await using server = await serve(expose(service), { port: 0 })
    const peer = await RawPeer.open(server.url)
    const [id] = (await peer.ask(Op.get, 0, 'ended'))[2] as [number]
    peer.send(Array.from({ length: 200_000 }, () => [Op.pull, id, 0, 5]))
    await peer.ping()
    await peer.ping()
    const told = peer.messages.filter(([op, of]) => op === Op.ended && of === id).length
    t.ok(told > 0 && told < 1000, `it was told ${told} times`)
    await peer.end()
  })

  t.test('a peer that sends many promises back gets their outcomes as it reads', async t => {
    await using server = await serve(expose(service), { port: 0 })
    const peer = await RawPeer.open(server.url)
    const ids = idsOf(await peer.ask(Op.get, 0, 'promises'))
    await peer.ask(Op.get, 0, 'promises')
    const told = () => peer.messages.filter(([op]) => op === Op.ended).length
    await waitUntil(() => told() === COUNT)
    peer.messages.length = 0
    const [session] = server.sessions
    peer.pause()
    peer.send([[Op.release, ...ids.flatMap(id => [id, 1])]])
    const { framesIn } = session!.stats
    await waitUntil(() => implOf(session!).link.processedFrames > framesIn)
    await runEventLoop()
    const { unackedBytes } = implOf(session!).link.sender
    t.ok(unackedBytes < 10 << 20, `${unackedBytes} bytes are kept for it, of ${COUNT * text.length}`)
    peer.resume()
    await waitUntil(() => told() === COUNT)
    await peer.end()
  })

  t.test('a peer that does not read the outcomes of its promises is not read from', async t => {
    await using server = await serve(expose(service), { port: 0, limits: { bufferedBytes: 1 << 20 } })
    const peer = await RawPeer.open(server.url)
    await peer.call('later')
    peer.pause()
    for (const each of settle) each()
    await runEventLoop()
    peer.send([[Op.call, ++peer.lastCallId, 0, 'mark', []]])
    const [session] = server.sessions
    await waitUntil(() => implOf(session!).link.receiver.isPostponed)
    t.equal(marks, 0)
    peer.resume()
    await peer.reply(peer.lastCallId)
    t.equal(marks, 1)
    await peer.end()
  })
})
