// Tests paths and pending results in arguments and results: they travel as what they will be.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import {
  callSignal,
  connect,
  expose,
  exposed,
  MemoryIdempotencyStore,
  Netref,
  type PairOptions,
  pair,
  registerType,
  Service,
  type Session,
  serve
} from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import {
  assertClean,
  overMemory,
  overMemoryAndSocket,
  overSocket,
  rejectionOf,
  waitUntil
} from '../support/helpers.js'
import { hello, RawPeer } from '../support/raw-peer.js'
import { collectGarbage, recordMessages, runEventLoop, type Untyped } from '../support/wire.js'

class Money {
  constructor(readonly amount: unknown) {}
}
registerType(Money, {
  name: 'money of pending arguments',
  encode: ({ amount }) => amount,
  decode: amount => {
    if (amount === 'broken') throw new TypeError('not an amount')
    return new Money(amount)
  }
})

/** A service, what its methods received, and calls that it answers when the spec says so. */
function desk() {
  const received: unknown[] = []
  const waiting: { settle(value: unknown): void; fail(error: unknown): void; signal: AbortSignal }[] = []
  const data = { n: 1, list: [1, 2] }
  const file = expose({ title: 'Notes', lines: ['a'], read: (from: number) => `line ${from}` })
  const root = {
    square: (n: number) => {
      received.push(n)
      return n * n
    },
    later: async (value: unknown) => {
      await turn()
      return value
    },
    wait: () => {
      const signal = callSignal()
      return new Promise((settle, fail) => waiting.push({ settle, fail, signal }))
    },
    fail(message = 'no'): never {
      throw new RangeError(message)
    },
    echo: (value: unknown) => value,
    list: (...items: unknown[]) => {
      received.push(...items)
      return items.length
    },
    data: () => data,
    file: () => file,
    isFile: (value: unknown) => value === file,
    spoil: (value: typeof data) => {
      value.n = 99
      value.list.push(99)
      return data
    },
    *numbers(): Generator<unknown, void, unknown> {
      for (let n = 0; ; n++) received.push(yield n)
    },
    class: class {
      constructor(readonly made: unknown) {
        received.push(made)
      }
    },
    /** Results of the peer in the result. */
    each: (items: unknown[], map: Untyped) => ({ results: items.map(item => map(item)) }),
    one: (callback: Untyped) => ({ result: callback(3) }),
    direct: (callback: Untyped) => callback(3),
    name: (thing: Untyped) => ({ name: thing.name, all: new Map([['name', thing.name]]) }),
    relay: (callback: Untyped, other: Untyped) => other(callback(3))
  }
  return { root: expose(root), received, waiting, data, file }
}

const asUntyped = (root: unknown): Untyped => root
t.test('the handler gets the value, and the whole takes one round trip', t => {
  const { root, received } = desk()
  return overMemoryAndSocket(
    t,
    () => root,
    async ({ root, clientSession }, t) => {
      received.length = 0
      await clientSession.ping()
      const before = clientSession.stats
      const framesBefore = before.framesIn
      t.equal(await root.square(root.square(root.square(2))), 256)
      t.same(received, [2, 4, 16])
      const { framesIn, callsOut } = clientSession.stats
      t.equal(callsOut - before.callsOut, 3)
      t.ok(framesIn - framesBefore <= 2, 'the first call may leave at once, all others leave as one frame')
      t.equal(await root.square(root.later(root.later(3))), 9, 'answers that come later')
      t.equal(await root.square(root.later(4)), 16)
    }
  )
})

t.test('no reply is awaited: a message names the call whose answer it takes', t => {
  const { root } = desk()
  return overMemory(t, root, async joined => {
    const root = asUntyped(joined.root)
    await joined.session.ping()
    const [out, back] = recordMessages(joined)
    const result = root.echo({ a: [root.square(2)], at: root.file().title })
    await runEventLoop()
    const call = joined.session.stats.callsOut
    t.same(out.slice(0, 4), [
      [Op.call, call - 3, 0, 'square', [2]],
      [Op.call, call - 2, 0, 'file', []],
      [Op.get, call - 1, -(call - 2), 'title'],
      [Op.call, call, 0, 'echo', [{ a: [call - 3], at: call - 1 }], [['n', [0, 'a', 0], [0, 'at']]]]
    ])
    t.equal(back.length, 4)
    t.same(await result, { a: [4], at: 'Notes' })
    out.length = 0
    const settled = root.square(3)
    await settled
    t.equal(await root.square(settled), 81)
    t.same(out.at(-1), [Op.call, call + 2, 0, 'square', [9]], 'a settled result is sent as its value')
  })
})

t.test('values of all kinds, at any depth, as if they had been awaited and sent back', t => {
  const { root, data, file } = desk()
  return overMemoryAndSocket(
    t,
    () => root,
    async ({ root }, t) => {
      const echoed = async (value: unknown) => {
        const [early, late] = [root.echo(value), root.later(value)]
        const nested = { list: [early, new Map([[late, new Set([early])]])] }
        const { list } = await root.echo(nested)
        const [[key, set]] = list[1]
        for (const one of [list[0], key, [...set][0], await root.echo(late)]) t.same(one, value)
        return list[0]
      }
      for (const value of [0, -0, Number.NaN, 'text', true, null, undefined, 12n]) await echoed(value)
      await echoed([new Date(5), { deep: [new Map([[1, new Set(['a'])]])] }, new URL('http://a.b/')])
      await echoed(Array.from({ length: 250 }, (_, id) => ({ id, at: new Date(id) })))
      t.ok((await echoed(new RangeError('an error'))) instanceof RangeError)
      t.same(await echoed(new Uint8Array([1, 2, 3])), new Uint8Array([1, 2, 3]))
      t.ok((await echoed(new Money(5))) instanceof Money)
      t.same(await root.echo(new Money([root.square(3)])), new Money([9]), 'inside a registered type')
      const rows = Array.from({ length: 250 }, (_, id) => ({ id, square: root.square(id) }))
      t.same((await root.echo(rows))[249], { id: 249, square: 62_001 }, 'inside a table')
      const cyclic: Untyped = { square: root.square(3), set: new Set() }
      cyclic.set.add(cyclic)
      const back = await root.echo(cyclic)
      t.equal(back.square, 9)
      t.ok(back.set.has(back), 'inside a cycle')
      t.equal(await root.isFile(root.file()), true, 'a reference arrives as the original')
      t.equal(await root.isFile(root.later(root.file())), true)
      const mine = () => 5
      t.equal(await root.direct(root.echo(mine)), 5, 'an object of the caller is a netref to it')
      t.equal(await root.echo(root.later(mine)), mine)
      t.same(await root.spoil(root.data()), { n: 1, list: [1, 2] }, 'data is a copy')
      t.same(await root.spoil(root.later(root.data())), { n: 1, list: [1, 2] })
      t.same(data, { n: 1, list: [1, 2] })
      t.same(await root.list(...Array.from({ length: 3 }, () => root.echo([root.data()]))), 3)
      t.equal(file.title, 'Notes')
      t.same(
        await root.spoil({ ...data, toJSON: root.echo(mine) }),
        data,
        'a function `toJSON` does not arrive'
      )
    }
  )
})

t.test('an answer is a copy of what was sent, not of what became of it', t => {
  const state = { n: 0 }
  const dated = { n: 0, at: new Date(0) }
  const next = (counter: { n: number }) => {
    counter.n++
    return counter
  }
  const service = { next: () => next(state), dated: () => next(dated), echo: (value: unknown) => value }
  return overMemory(t, service, async conn => {
    const root = asUntyped(conn.root)
    const [first] = [root.next(), root.next()]
    const [firstDated] = [root.dated(), root.dated()]
    t.same(await root.echo([first, firstDated]), [{ n: 1 }, { n: 1, at: new Date(0) }])
  })
})

t.test('a path is read like any other, by the same rules', t => {
  const kinds: string[] = []
  const { root, received } = desk()
  class Rules extends Service {
    @exposed({ if: () => false })
    secret() {}
    readonly #open = expose(
      { title: 'Notes', hidden: 1, fn: (n: number) => n + 1 },
      { read: ['title', 'fn'] }
    )
    @exposed get open() {
      return this.#open
    }
    @exposed list(...items: unknown[]) {
      return root.list(...items)
    }
    @exposed run(fn: Untyped) {
      return fn(1)
    }
    @exposed get slow() {
      return Promise.resolve('slow')
    }
  }
  return overMemory(
    t,
    Rules,
    async conn => {
      const root = asUntyped(conn.root)
      t.equal(await root.list(root.open.title, root.slow, [root.open.title]), 3)
      t.same(received, ['Notes', 'slow', ['Notes']])
      t.same(kinds, ['get', 'get', 'get', 'call'])
      t.equal(await root.run(root.open.fn), 2, 'a function arrives as the original')
      received.length = 0
      for (const path of [root.open.hidden, root.secret, root.nothing.more])
        t.equal((await rejectionOf(root.list(path))).code, 'not-exposed')
      t.match(await rejectionOf(root.list(root.forbidden)), { message: 'the hook says no' })
      t.same(received, [], 'the handler does not run')
    },
    {
      serving: {
        before(call) {
          if (call.path[0] === 'forbidden') throw new Error('the hook says no')
          kinds.push(call.kind)
        }
      }
    }
  )
})

t.test('a path beside a cycle is read once', t => {
  let reads = 0
  class Counter extends Service {
    @exposed get next() {
      return ++reads
    }
    @exposed first([first]: unknown[]) {
      return first
    }
  }
  return overMemory(t, Counter, async conn => {
    const root = asUntyped(conn.root)
    const cycle: unknown[] = [root.next]
    cycle.push(cycle)
    t.equal(await root.first(cycle), 1)
    t.equal(reads, 1)
  })
})

t.test('the `before` hook and schemas see the values', t => {
  const seen: unknown[] = []
  const { root } = desk()
  class Checked extends Service {
    @exposed echo(value: unknown) {
      return root.echo(value)
    }
    @exposed({
      '~standard': {
        version: 1,
        vendor: 'spec',
        validate: (args: unknown) =>
          typeof (args as unknown[])[0] === 'number'
            ? { value: args }
            : { issues: [{ message: 'no number' }] }
      }
    } as Untyped)
    double(n: number) {
      return 2 * n
    }
  }
  return overMemory(
    t,
    Checked,
    async conn => {
      const root = asUntyped(conn.root)
      t.equal(await root.double(root.echo(2)), 4)
      t.match(await rejectionOf(root.double(root.echo('2'))), { code: 'invalid-arguments' })
      t.same(seen, [[2], [2], ['2'], ['2']])
    },
    { serving: { before: ({ args }) => void seen.push(args) } }
  )
})

t.test('an error rejects what uses the result, and is reported only there', t => {
  const errors: unknown[] = []
  const { root, received } = desk()
  return overMemory(
    t,
    root,
    async conn => {
      const root = asUntyped(conn.root)
      t.match(await rejectionOf(root.square(root.fail('early'))), { name: 'RangeError', message: 'early' })
      const late = root.later(root.fail('late'))
      t.match(await rejectionOf(root.list([{ late }])), { name: 'RangeError', message: 'late' })
      const known = root.fail('known')
      const error = await rejectionOf(known)
      t.equal(await rejectionOf(root.square(known)), error, 'the error of a settled result itself')
      t.equal(await rejectionOf(Netref.set(conn.root, 'list' as never, known as never)), error)
      t.same(received, [], 'no handler ran')
      t.match(
        await rejectionOf(root.list(root.square(1), root.fail('first'), root.fail('second'))),
        { message: 'first' },
        'the first one in the arguments'
      )
      const code = 'not-exposed'
      t.match(await rejectionOf(root.square(root.nothing())), { code })
      t.same(
        await rejectionOf(root.square(root.nothing.at.all)),
        await rejectionOf(root.square(root.nothing))
      )
      await runEventLoop()
      t.same(errors, [])
      root.square(root.fail('nobody awaits it'))
      await waitUntil(() => errors.length > 0)
      await runEventLoop()
      t.match(errors, [{ message: 'nobody awaits it' }])
    },
    { onError: error => void errors.push(error) }
  )
})

t.test('order: calls wait for the answers they name, others go on', t => {
  const { root, received, waiting } = desk()
  return overMemoryAndSocket(
    t,
    () => root,
    async ({ root }, t) => {
      received.length = waiting.length = 0
      const [one, two] = [root.wait(), root.wait()]
      const calls = [
        root.list('needs two', two),
        root.list('needs both', two, one),
        root.list('at once'),
        root.list('needs one', one),
        one.n.toString(),
        root.list('needs one, too', one)
      ]
      await waitUntil(() => waiting.length === 2)
      t.same(received, ['at once'])
      waiting[1]!.settle('two')
      await waitUntil(() => received.length === 3)
      waiting[0]!.settle('one')
      await Promise.allSettled(calls)
      t.same(received, [
        'at once',
        ...['needs two', 'two'],
        ...['needs both', 'two', 'one'],
        ...['needs one', 'one'],
        ...['needs one, too', 'one']
      ])
      const children = [root.wait(), root.wait()]
      await waitUntil(() => waiting.length === 4)
      const [target, argument] = children
      const read = [target.read(argument), target.read(target.from), target.read(root.square(1))]
      waiting[3]!.settle(7)
      await runEventLoop()
      waiting[2]!.settle(expose({ from: 5, read: (n: number) => `read ${n}` }))
      t.same(
        await Promise.all(read),
        ['read 7', 'read 5', 'read 1'],
        'a pending target with pending arguments'
      )
      const [second, known] = [root.wait(), root.echo(expose({ read: (n: number) => n }))]
      await known
      const third = root.echo(expose({ read: (n: number) => n })).read(second)
      await waitUntil(() => waiting.length === 5)
      waiting[4]!.settle(8)
      t.equal(await third, 8, 'a settled target with a pending argument')
    }
  )
})

t.test('what a waiting call needs is kept until it runs', t => {
  const { root, waiting } = desk()
  return overMemory(t, root, async ({ root, session, served }) => {
    const untyped = asUntyped(root)
    const [late, file] = [untyped.wait(), untyped.file()]
    const call = untyped.list(file, untyped.data(), late)
    const handle = await file
    const read = handle.read(late)
    Netref.release(handle)
    await session.ping()
    await served.ping()
    await collectGarbage(() => served.stats.exports === 0)
    waiting[0]!.settle(3)
    t.equal(await call, 3)
    t.equal(await read, 'line 3', 'the target was released after the call')
  })
})

t.test('a thousand in a list', t => {
  const { root } = desk()
  return overMemoryAndSocket(
    t,
    () => root,
    async ({ root }, t) => {
      const list = await root.echo(Array.from({ length: 1000 }, (_, i) => root.square(i)))
      t.equal(list.length, 1000)
      t.equal(list[999], 998_001)
      const late = await root.echo(Array.from({ length: 1000 }, (_, i) => root.later(i)))
      t.equal(late[999], 999)
      let chain = root.square(1)
      for (let i = 0; i < 1000; i++) chain = root.square(chain)
      t.equal(await chain, 1)
    }
  )
})

t.test('results of callbacks in a result', t => {
  const { root } = desk()
  return overMemoryAndSocket(
    t,
    () => root,
    async ({ root, clientSession }, t) => {
      const addTen = (n: number) => n + 10
      await clientSession.ping()
      const { framesIn } = clientSession.stats
      t.same(await root.one(addTen), { result: 13 })
      t.ok(clientSession.stats.framesIn - framesIn <= 2, 'one round trip')
      t.same(await root.one(async (n: number) => ({ n })), { result: { n: 3 } })
      t.equal(await root.direct(addTen), 13)
      t.same(await root.each([1, 2, 3], addTen), { results: [11, 12, 13] })
      t.same(await root.name(expose({ name: 'thing' })), { name: 'thing', all: new Map([['name', 'thing']]) })
      const made = { n: 1 }
      const { result } = await root.one(() => made)
      t.same(result, made)
      t.not(result, made, 'data is a copy')
      const own = expose({})
      t.equal((await root.one(() => own)).result, own)
      const error = new RangeError('of the callback')
      t.equal(await rejectionOf(root.one(() => Promise.reject(error))), error)
      t.match(await rejectionOf(root.name(expose({}, { read: ['other'] }))), { code: 'not-exposed' })
      t.equal(
        await root.relay(addTen, (n: number) => n * 2),
        26,
        'a callback result as an argument of a callback'
      )
      t.equal(await root.one(addTen).result, 13, 'a path on it')
      t.equal(await root.square(root.one(addTen).result), 169)
      t.match(await rejectionOf(root.list(root.one(addTen))), {
        code: 'unsendable',
        message: /has a stream or a pending result in it: await it first/
      })
    }
  )
})

t.test('a result that has failed already rejects the call that returns it', t => {
  const told: unknown[] = []
  const service = {
    async keep(callback: Untyped) {
      const failed = callback()
      await failed.catch(() => {})
      return { failed }
    }
  }
  return overMemory(
    t,
    service,
    async ({ root }) => {
      const error = await rejectionOf(asUntyped(root).keep(() => Promise.reject(new RangeError('failed'))))
      t.match(error, { name: 'RangeError', message: 'failed' })
      t.match(told, [{ name: 'RangeError' }], 'its owner learns of it')
    },
    { serving: { onCallError: error => void told.push(error) } }
  )
})

t.test('what cannot be copied rejects the call that takes it', t => {
  const bytes = new Uint8Array(8)
  let held: Untyped
  const service = {
    bytes: () => bytes,
    detach: () => void structuredClone(bytes.buffer, { transfer: [bytes.buffer] }),
    broken: () => [new Money('broken'), () => 1, new Date(0)],
    stream: () => new ReadableStream(),
    hold: (value: unknown) => {
      held = value
    },
    held: () => [held],
    drop: () => Netref.release(held),
    echo: (value: unknown) => value
  }
  return overMemory(t, service, async conn => {
    const root = asUntyped(conn.root)
    const codeOf = async (pending: unknown, ...before: (() => unknown)[]) => {
      for (const call of before) void call()
      return (await rejectionOf(root.echo(pending))).code
    }
    t.equal(await codeOf(root.bytes(), root.detach), 'unsendable')
    const broken = root.broken()
    t.equal(await codeOf(broken), 'unreadable')
    await rejectionOf(broken)
    await root.hold(() => 1)
    t.equal(await codeOf(root.held(), root.drop), 'released')
    const stream = root.stream()
    t.equal(await codeOf(stream), 'unsendable')
    await (await stream).cancel()
    held = undefined
  })
})

t.test('a result that waits for a callback is a pending call', async t => {
  const { root } = desk()
  let answer: (value: unknown) => void = () => {}
  const callback = () => new Promise(resolve => (answer = resolve))
  await overMemory(t, root, async ({ root, session, served }) => {
    const untyped = asUntyped(root)
    const pending = untyped.one(callback)
    await runEventLoop()
    t.equal(session.stats.pending, 1)
    answer(1)
    t.same(await pending, { result: 1 })
    const late = await rejectionOf(Netref.with(untyped, { timeout: 5 }).one(callback))
    t.match(late, { name: 'TimeoutError', mayHaveRun: true })
    t.equal(session.stats.pending, 0)
    answer(2)
    await served.ping()
    const stop = new AbortController()
    const stopped = Netref.with(untyped, { signal: stop.signal }).one(callback)
    await runEventLoop()
    stop.abort('enough')
    t.equal(await rejectionOf(stopped), 'enough')
    answer(3)
  })
  await using joined = pair(root)
  const pending = asUntyped(joined.root).one(callback)
  await runEventLoop()
  await joined.served.close()
  t.match(await rejectionOf(pending), { code: 'closed', mayHaveRun: true })
  answer(4)
})

t.test('a default timeout applies to results that wait for callbacks', t => {
  const { root, waiting } = desk()
  return overMemory(
    t,
    root,
    async ({ root }) => {
      const untyped = asUntyped(root)
      const settle: ((value: unknown) => void)[] = []
      const callback = () => new Promise(resolve => settle.push(resolve))
      const early = untyped.one(callback)
      const own = Netref.with(untyped, { timeout: 10_000 }).one(callback)
      const other = untyped.wait()
      await new Promise(resolve => setTimeout(resolve, 10))
      const late = untyped.one(callback)
      for (const call of [early, other, late]) t.match(await rejectionOf(call), { name: 'TimeoutError' })
      for (const done of settle) done(1)
      t.same(await own, { result: 1 })
      waiting[0]!.settle(1)
    },
    { timeout: 30 }
  )
})

t.test('to another session, and where no answer can be named, it is a promise', async t => {
  const { root, received } = desk()
  const other = desk()
  await overMemory(t, root, async far => {
    await overMemory(t, other.root, async near => {
      const [a, b] = [asUntyped(far.root), asUntyped(near.root)]
      t.equal(await b.list(a.square(3), [a.file().title]), 2)
      t.ok(other.received[0] instanceof Promise)
      t.equal(await other.received[0], 9)
      t.equal(await (other.received[1] as unknown[])[0], 'Notes')
      const settled = a.square(2)
      await settled
      await b.list(settled)
      t.equal(await other.received[2], 4, 'also if it has settled')
      await b.list(a.fail('far'))
      t.match(await rejectionOf(other.received[3] as Promise<unknown>), { message: 'far' })
      const book = a.echo(await b.file())
      await book
      await a.list(book.title)
      t.equal(await received.at(-1), 'Notes', 'a path on an object of another session')
      const { signal } = new AbortController()
      const oneWay = Netref.oneway(Netref.with(a.square, { signal }))(5)
      t.equal(await a.list(oneWay), 1)
      t.equal(await received.at(-1), undefined)
      other.received.length = 0
    })
    received.length = 0
  })
})

t.test('items, reasons and outcomes of promises have promises', t => {
  const { root, received } = desk()
  return overMemory(t, root, async ({ root }) => {
    const untyped = asUntyped(root)
    await untyped.list(
      (function* () {
        yield { item: untyped.square(2) }
      })(),
      Promise.resolve({ outcome: untyped.square(3) })
    )
    const [items, promise] = received.filter(one => typeof one === 'object') as [
      AsyncIterable<Untyped>,
      Promise<Untyped>
    ]
    for await (const { item } of items) {
      t.ok(item instanceof Promise)
      t.equal(await item, 4)
    }
    const { outcome } = await promise
    t.equal(await outcome, 9)
    received.length = 0
    const error: Untyped = Object.assign(new Error('x'), { pending: untyped.square(4) })
    await untyped.list(error)
    t.same((received.at(-1) as Untyped).omitted, ['pending'], 'an error has data only')
    received.length = 0
  })
})

t.test('one-way calls, constructions, Netref.set and next(value)', t => {
  const { root, received, waiting } = desk()
  const errors: { error: unknown; call: unknown }[] = []
  const target = expose({ value: 0 }, { write: ['value'] })
  return overMemory(
    t,
    expose({ ...root, target, echo: root.echo, wait: root.wait }),
    async ({ root }) => {
      const untyped = asUntyped(root)
      await new untyped.class(untyped.square(2))
      t.same(received.splice(0), [2, 4])
      await Netref.set(untyped.target, 'value', untyped.echo(untyped.square(3)))
      t.equal(target.value, 9)
      t.same(
        await rejectionOf(Netref.set(untyped.target, 'value', untyped.fail('set'))),
        new RangeError('set')
      )
      t.equal(target.value, 9)
      received.length = 0
      await Netref.oneway(untyped.list)(untyped.wait())
      await waitUntil(() => waiting.length === 1)
      t.same(received, [])
      waiting[0]!.settle('waited')
      await waitUntil(() => received.length === 1)
      t.same(received.splice(0), ['waited'])
      await Netref.oneway(untyped.list)(untyped.fail('one way'))
      await waitUntil(() => errors.length > 0)
      t.match(
        errors,
        [{ error: { message: 'one way' }, call: 'root.list()' }],
        'its owner learns of the error'
      )
      const numbers = await untyped.numbers()
      await numbers.next()
      await numbers.next(untyped.echo('sent'))
      t.same(received, ['sent'])
      await numbers.return()
      received.length = 0
    },
    { serving: { onError: (error, { call }) => void errors.push({ error, call }) } }
  )
})

t.test('Netref.lend: a pending result cannot be lent, and other arguments can', t => {
  const { root } = desk()
  return overMemory(t, root, async ({ root, session }) => {
    const untyped = asUntyped(root)
    t.throws(() => Netref.lend(untyped.file()), /is not passed by reference: await it first/)
    const lent = Netref.lend(() => 1)
    t.equal(await untyped.list(lent, untyped.square(2)), 2)
    t.equal(session.stats.exports, 0, 'the loan ended with the call')
    t.same(await untyped.one(Netref.lend((n: number) => n)), { result: 3 })
    t.match(
      await rejectionOf(
        untyped.list(
          Netref.lend(() => 1),
          untyped.fail()
        )
      ),
      { message: 'no' }
    )
    t.equal(session.stats.exports, 0)
  })
})

t.test('an idempotency key takes values, and refuses what is pending', async t => {
  const { root, received } = desk()
  await overSocket(
    t,
    root,
    async conn => {
      const untyped = asUntyped(conn.root)
      const keyed = (key: string) => Netref.with(untyped.square, { idempotencyKey: key })
      const pending = untyped.echo(3)
      t.match(await rejectionOf(keyed('a')(pending)), {
        code: 'unsendable',
        message: /only data as arguments/
      })
      await pending
      t.equal(await keyed('a')(pending), 9)
      t.equal(await keyed('a')(3), 9)
      t.same(received, [3], 'it ran once')
      const once = Netref.with(untyped.one, { idempotencyKey: 'b' })
      t.match(await rejectionOf(once(() => 1)), { code: 'unsendable' })
    },
    { server: { idempotencyStore: new MemoryIdempotencyStore() } }
  )
})

t.test('results of calls with an idempotency key may have results of callbacks', async t => {
  let callback: Untyped
  const service = () =>
    expose({
      register: (given: unknown) => {
        callback = given
      },
      once: () => ({ result: callback(4) })
    })
  await overSocket(
    t,
    service,
    async conn => {
      const untyped = asUntyped(conn.root)
      let calls = 0
      await untyped.register((n: number) => n + ++calls)
      const once = Netref.with(untyped.once, { idempotencyKey: 'k' })
      t.same(await once(), { result: 5 })
      t.same(await once(), { result: 5 })
      callback = undefined
    },
    { server: { idempotencyStore: new MemoryIdempotencyStore() } }
  )
})

t.test('cancellation: a call that names a withdrawn call never runs', t => {
  const { root, received, waiting } = desk()
  return overMemory(t, root, async ({ root, session }) => {
    const untyped = asUntyped(root)
    await session.ping()
    const withdraw = async (use: (pending: Untyped) => unknown[]) => {
      await session.ping()
      void session.ping()
      const stop = new AbortController()
      const pending = Netref.with(untyped, { signal: stop.signal }).square(2)
      const calls = use(pending)
      stop.abort('withdrawn')
      for (const call of [pending, ...calls])
        t.equal(await rejectionOf(call as Promise<unknown>), 'withdrawn')
      await session.ping()
      t.same(received, [], 'nothing ran')
    }
    await withdraw(pending => [untyped.list(pending), untyped.list(pending, pending)])
    await withdraw(pending => [
      untyped.list([untyped.list({ pending })]),
      Netref.oneway(untyped.list)(pending)
    ])
    await withdraw(pending => [
      untyped.list(pending.at),
      untyped.list(pending.at(1)),
      untyped.list(pending).x()
    ])
    await withdraw(pending => [Netref.set(untyped, 'list', pending)])
    await withdraw(pending => [
      untyped.list(
        pending,
        Netref.lend(() => 1),
        untyped.echo(pending)
      )
    ])
    t.equal(session.stats.exports, 0)

    const stop = new AbortController()
    const sent = Netref.with(untyped, { signal: stop.signal }).wait()
    const call = untyped.list(sent)
    await waitUntil(() => waiting.length === 1)
    stop.abort('late')
    t.equal(await rejectionOf(sent), 'late')
    await waitUntil(() => waiting[0]!.signal.aborted)
    waiting[0]!.settle('all the same')
    t.equal(await call, 1, 'a call that was sent gets the answer that its owner gives')
    t.same(received.splice(0), ['all the same'])

    const late = untyped.wait()
    const cancelled = Netref.with(untyped, { timeout: 5 }).list(late, new Date())
    t.match(await rejectionOf(cancelled), { name: 'TimeoutError' })
    await session.ping()
    waiting[1]!.settle(1)
    await late
    await session.ping()
    t.same(received, [], 'a call that is cancelled while it waits does not run')
  })
})

t.test('while the session is interrupted, and after it has resumed', t => {
  const { root, received, waiting } = desk()
  return overMemoryAndSocket(
    t,
    () => root,
    async ({ root, clientSession, breakTransport }, t) => {
      if (t.name === 'over memory') return
      received.length = waiting.length = 0
      await clientSession.ping()
      const before = root.wait()
      const sent = root.list('sent', before)
      await waitUntil(() => waiting.length === 1)
      const interrupted = new Promise(resolve => clientSession.on('interrupted', resolve))
      breakTransport()
      await interrupted
      const meanwhile = root.list('meanwhile', before, root.square(2))
      const callback = root.one((n: number) => n)
      waiting[0]!.settle('before')
      t.equal(await sent, 2)
      t.equal(await meanwhile, 3)
      t.same(await callback, { result: 3 })
      t.same(received, ['sent', 'before', 2, 'meanwhile', 'before', 4])
    }
  )
})

t.test(
  'a call on a result takes results: the object is there before them, or they fail before it',
  async t => {
    const { root, waiting } = desk()
    const made = () => expose({ add: (a: unknown, b: unknown) => [a, b] })
    await overMemory(t, expose({ ...root, made, madeLater: () => turn().then(made) }), async conn => {
      const untyped = asUntyped(conn.root)
      const sum = untyped.made().add(untyped.wait(), 2)
      await conn.ping()
      waiting.shift()!.settle(1)
      t.same(await sum, [1, 2])
      t.match(await rejectionOf(untyped.madeLater().add(untyped.fail('no'), 2)), { message: 'no' })
      const both = untyped.madeLater().add(untyped.wait(), 3)
      await conn.ping()
      await turn()
      await turn()
      waiting.shift()!.settle(2)
      t.same(await both, [2, 3])
    })
  }
)

t.test('renew: calls and the answers they name are made again together', async t => {
  const received: unknown[] = []
  const serveClock = (port: number, wait: boolean) => {
    class Clock extends Service {
      @exposed({ idempotent: true }) now() {
        return wait ? new Promise(() => {}) : 'now'
      }
      @exposed({ idempotent: true }) log(...items: unknown[]) {
        received.push(...items)
        return items.length
      }
      @exposed risky() {
        return wait ? new Promise(() => {}) : 'risky'
      }
      @exposed get title() {
        return wait ? new Promise(() => {}) : 'title'
      }
    }
    return serve(Clock, { port, resumeWindow: 0 })
  }
  const first = await serveClock(0, true)
  const { port } = new URL(first.url)
  const conn = connect(first.url, { renew: true, reconnect: { delay: 1, maxDelay: 5 } })
  const root = asUntyped(conn.root)
  await conn.ping()
  const now = root.now()
  const logged = root.log('a', now)
  const deep = root.log('b', [{ logged }])
  const risky = root.risky()
  const doubtful = root.log('c', risky)
  const path = root.log('d', root.title, now)
  const { signal } = new AbortController()
  const builtOnCancellable = root.log('e', Netref.with(root.now, { signal })())
  await conn.ping()
  await first.close()
  const second = await serveClock(Number(port), false)
  t.equal(await logged, 2)
  t.equal(await deep, 2)
  t.equal(await builtOnCancellable, 2)
  t.match(await rejectionOf(risky), { code: 'may-have-run' })
  t.match(await rejectionOf(doubtful), { code: 'may-have-run' })
  const lost = await rejectionOf(path)
  t.match(lost, { name: 'SessionEndedError', mayHaveRun: true }, 'a path of the session that is lost')
  t.same(received, ['a', 'now', 'b', [{ logged: 2 }], 'e', 'now'])
  await assertClean(t, conn.session, ...second.sessions)
  await conn.close()
  await second.close()
})

t.test('lite: what cannot be named needs streams', t =>
  overMemory(t, desk().root, async ({ root, session, served }) => {
    const untyped = asUntyped(root)
    t.equal(await untyped.square(untyped.square(2)), 16)
    for (const one of [session, served] as Session[]) t.equal(one.stats.pending, 0)
  })
)

t.test('diagnostics: a call with pending arguments has none yet', async t => {
  const events: Untyped[] = []
  const note = (event: unknown) => void events.push(event)
  subscribe('netref:call', note)
  t.teardown(() => unsubscribe('netref:call', note))
  await overMemory(t, desk().root, async ({ root }) => {
    const untyped = asUntyped(root)
    await untyped.square(untyped.square(2))
    const args = events.filter(({ direction }) => direction === 'in').map(({ args }) => args)
    t.same(args, [[2], []])
  })
})

// Hostile peers.

/** Opens a raw peer at a service with these limits. */
async function hostile(
  use: (peer: RawPeer, sessions: Session[]) => Promise<void>,
  options: PairOptions['serving'] = {}
): Promise<void> {
  const { root, waiting } = desk()
  await using server = await serve(expose({ ...root, wait: root.wait }), {
    port: 0,
    resumeWindow: 0,
    ...options
  })
  const peer = await RawPeer.open(server.url)
  await peer.ping()
  const sessions = [...server.sessions]
  await use(peer, sessions)
  await peer.end()
  await waitUntil(() => server.sessions.size === 0)
  for (const { stats } of sessions)
    t.match(stats, { exports: 0, imports: 0, pending: 0, buffered: 0 }, 'nothing is left')
  for (const { settle } of waiting) settle(1)
}
const naming = (id: unknown, ...more: unknown[]) => [[id], [['n', [0], ...more]]]

t.test('a name of an answer that is not of the protocol ends the session', async t => {
  const cases: Record<string, (next: number) => unknown[]> = {
    'of its own call': next => [Op.call, next, 0, 'echo', ...naming(next)],
    'of a future call': next => [Op.call, next, 0, 'echo', ...naming(next + 1)],
    'of a future call, beside a good one': next => [
      ...[Op.call, next, 0, 'echo', [1, next + 5]],
      [['n', [0], [1]]]
    ],
    'of a future call, on an answer': next => [Op.call, next, -1, 'echo', ...naming(next + 1)],
    'of no call': next => [Op.call, next, 0, 'echo', ...naming(0)],
    'as text': next => [Op.call, next, 0, 'echo', ...naming('1')],
    'in an object': next => [Op.call, next, 0, 'echo', ...naming({})],
    twice: next => [Op.call, next, 0, 'echo', ...naming(1, [0])],
    'with another value at its place': next => [
      Op.call,
      next,
      0,
      'echo',
      [1],
      [
        ['n', [0]],
        ['undefined', [0]]
      ]
    ],
    'inside a reference': next => [
      ...[Op.call, next, 0, 'echo', [[1, 'thing']]],
      [
        ['n', [0, 0]],
        ['o', [0]]
      ]
    ],
    'in a reason': next => [Op.cancel, next - 1, 1, [['n', []]]],
    'in items': () => [Op.items, 1, 0, [1], [['n', [0]]]],
    'in a one-way call, of a future call': next => [Op.oneway, 0, 0, 'echo', ...naming(next + 1)]
  }
  for (const [name, message] of Object.entries(cases)) {
    await hostile(async peer => {
      peer.send([
        name === 'in items'
          ? [Op.call, ++peer.lastCallId, 0, 'list', [[1, 'i']], [['i', [0]]]]
          : [Op.ping, ++peer.lastCallId]
      ])
      peer.send([message(peer.lastCallId + 1)])
      t.match(await peer.closed, { reason: /^(protocol|limit)/ }, name)
    })
  }
})

t.test('a name of an answer that cannot be used rejects the call', async t => {
  await hostile(
    async peer => {
      const rejected = async (...args: unknown[]) => {
        const [op, , code] = await peer.ask(Op.call, 0, 'echo', ...args)
        t.equal(op, Op.refused)
        return code
      }
      const [, first] = await peer.call('echo', 5)
      await peer.ping()
      peer.text(`[${peer.framesReceived}]`)
      await peer.ping()
      t.equal(await rejected(...naming(first)), 'limit', 'an answer that was acknowledged')
      // A container around the name that is not of the protocol.
      const ask = (...args: unknown[]) => {
        const id = ++peer.lastCallId
        const named = JSON.parse(JSON.stringify(args).replaceAll('"N"', String(id)))
        peer.send([
          [Op.call, id, 0, 'echo', [['a', 1]]],
          [Op.call, ++peer.lastCallId, 0, 'echo', ...named]
        ])
        return peer.reply(peer.lastCallId)
      }
      t.match(
        await ask(
          [['N']],
          [
            ['n', [0, 0]],
            ['s', [0]]
          ]
        ),
        [Op.result],
        'in a Set'
      )
      t.match(
        await ask(
          [['N']],
          [
            ['n', [0, 0]],
            ['m', [0]]
          ]
        ),
        [Op.refused, Number, 'unreadable'],
        'an entry of a Map'
      )
      t.match(
        await ask(
          [[['a'], 'N']],
          [
            ['n', [0, 1]],
            ['t', [0]]
          ]
        ),
        [Op.refused, Number, 'unreadable']
      )
      t.match(
        await ask(
          [{ a: ['N'] }],
          [
            ['n', [0, 'a', 0]],
            [
              ['custom', 'nobody'],
              [0, 'a']
            ]
          ]
        ),
        [Op.refused, Number, 'unreadable']
      )
    },
    { limits: { jsonBytes: 65_536 } }
  )
  await hostile(
    async peer => {
      // Answers that are larger than a message may be.
      const text = 'x'.repeat(30_000)
      peer.send([[Op.call, ++peer.lastCallId, 0, 'echo', [[text]]]], 0)
      const large = peer.lastCallId
      peer.send([[Op.call, ++peer.lastCallId, 0, 'list', [large, large, large], [['n', [0], [1], [2]]]]], 0)
      t.match(await peer.reply(peer.lastCallId), [
        Op.refused,
        Number,
        'limit',
        /larger than a message may be/
      ])
    },
    { limits: { jsonBytes: 65_536 } }
  )
})

t.test(
  'a call of a stream that is released while its arguments are pending is no call of its members',
  async t => {
    let calls = 0
    let settle = () => {}
    const answer = new Promise<void>(resolve => (settle = resolve))
    const stream = { secret: () => void calls++, async *[Symbol.asyncIterator]() {} }
    await using server = await serve(expose({ stream: () => stream, wait: () => answer }), {
      port: 0,
      resumeWindow: 0
    })
    const peer = await RawPeer.open(server.url)
    await peer.call('stream')
    const [session] = server.sessions
    const wait = ++peer.lastCallId
    peer.send([[Op.call, wait, 0, 'wait', []]])
    const secret = ++peer.lastCallId
    peer.send([
      [Op.call, secret, 1, 'secret', ...naming(wait)],
      [Op.release, 1, 1]
    ])
    await peer.ping()
    settle()
    t.match(await peer.reply(secret), [Op.refused, secret, 'not-exposed'])
    t.equal(calls, 0)
    await peer.end()
    await waitUntil(() => server.sessions.size === 0)
    t.match(session!.stats, { exports: 0, imports: 0, pending: 0 })
  }
)

t.test('thousands of names, and copies that waiting calls hold, stay within the limits', async t => {
  await hostile(async peer => {
    peer.send([[Op.call, ++peer.lastCallId, 0, 'wait', []]])
    const id = peer.lastCallId
    const many = Array.from({ length: 10_000 }, () => id)
    const places = many.map((_, i) => [i])
    peer.send([[Op.call, ++peer.lastCallId, 0, 'list', many, [['n', ...places]]]])
    await peer.ping()
    peer.send([[Op.call, ++peer.lastCallId, 0, 'list', [...many, id], [['n', ...places, [10_000]]]]])
    t.match(await peer.closed, { reason: /^limit/ })
  })
  await hostile(
    async peer => {
      const text = 'x'.repeat(50_000)
      peer.send(
        [
          [Op.call, ++peer.lastCallId, 0, 'echo', [[text]]],
          [Op.call, ++peer.lastCallId, 0, 'wait', []]
        ],
        0
      )
      const wait = peer.lastCallId
      const replies: Promise<readonly unknown[]>[] = []
      for (let i = 0; i < 10; i++) {
        const args = [[wait - 1, wait], [['n', [0], [1]]]]
        peer.send([[Op.call, ++peer.lastCallId, 0, 'list', ...args]], 0)
        if (i === 9) replies.push(peer.reply(peer.lastCallId))
      }
      t.match(await replies[0], [Op.refused, Number, 'limit', /pending calls hold more than/])
    },
    { limits: { bufferedBytes: 131_072 } }
  )
  // The limit is reached between two calls, or between the two copies of one.
  for (const held of [0, 1])
    await hostile(
      async peer => {
        const call = (name: string, args: unknown[]) => [Op.call, ++peer.lastCallId, 0, name, [args]] as const
        const text = 'x'.repeat(30_000)
        peer.send([call('echo', [text]), call('echo', [text]), call('wait', [])], 0)
        const wait = peer.lastCallId
        const list = (...ids: number[]) => {
          peer.send([[Op.call, ++peer.lastCallId, 0, 'list', ids, [['n', ...ids.map((_, i) => [i])]]]], 0)
          return peer.reply(peer.lastCallId)
        }
        if (held) list(wait - 1, wait).catch(() => {})
        const replies = Array.from({ length: 12 }, () => list(wait - 2, wait - 1, wait))
        t.match(await replies.at(-1), [Op.refused, Number, 'limit', /pending calls hold more than/])
        for (const reply of replies) reply.catch(() => {})
      },
      { limits: { bufferedBytes: 131_072 } }
    )
})

t.test('a server that names answers of its client badly', async t => {
  for (const json of ['[10,1,5,[["n",[]]]]', '[10,1,"x",[["n",[]]]]', '[11,1,1,[["n",[]]]]']) {
    const sockets = createServer().listen(0, '127.0.0.1')
    await once(sockets, 'listening')
    const conn = connect(`ws://127.0.0.1:${(sockets.address() as { port: number }).port}`, {
      reconnect: false
    })
    const call = asUntyped(conn.root).anything()
    const peer = RawPeer.accept((await once(sockets, 'connection'))[0])
    await peer.upgrade()
    peer.send([hello()])
    await peer.message(([op]) => op === Op.call)
    peer.send([json])
    t.match(await rejectionOf(call), { code: 'protocol' })
    t.equal(conn.session.stats.pending, 0)
    await peer.end()
    sockets.close()
  }
})
