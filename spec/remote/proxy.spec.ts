import assert from 'node:assert'
import { Console } from 'node:console'
import { PassThrough } from 'node:stream'
import { format, inspect, isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { expose, Netref, Service } from '../../lib/index.js'
import { overMemory, overSocket, rejectionOf, waitUntil } from '../support/helpers.js'
import { collectGarbage, recordMessages, runEventLoop, type Untyped } from '../support/wire.js'

const { get, set, delete: remove, keys }: Untyped = Netref

class Counter {
  constructor(public exposed_count = 0) {}
  exposed_next() {
    return ++this.exposed_count
  }
}

class Shelf extends Service {
  reads = 0
  exposed_Counter = Counter
  exposed_counter = new Counter(7)
  exposed_config = {
    name: 'deep',
    list: [{ pick: (i: number) => i }, { pick: (i: number) => -i }],
    'a b': 1,
    owner() {
      return this.name
    }
  }
  get exposed_clock() {
    return ++this.reads
  }
  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_adder(a: number) {
    return (b: number) => a + b
  }
  /** Every member whose name means something to a promise, a function or an array. */
  exposed_odd() {
    const says = (word: string) => () => word
    return expose(
      {
        map: says('map'),
        release: says('release'),
        call: says('call'),
        name: 'my name',
        length: 3,
        then: 'not a function',
        toJSON: says('toJSON'),
        catch: says('catch'),
        finally: says('finally'),
        toString: says('toString'),
        [Symbol.for('spec')]: says('symbol')
      },
      {
        read: [
          'map',
          'release',
          'call',
          'name',
          'length',
          'then',
          'toJSON',
          'catch',
          'finally',
          'toString',
          Symbol.for('spec')
        ]
      }
    )
  }
  async exposed_thisOf(use: Netref<() => unknown>) {
    return (await (use as Untyped)()) as unknown
  }
  async exposed_use(api: Untyped) {
    return [await api.whose(), await api.nested.whose(), await api.list[0]()]
  }
  exposed_fail(message: string): never {
    throw new RangeError(message)
  }
}

for (const over of [overMemory, overSocket]) {
  t.test(`reads, calls, constructions, of deep paths too, ${over.name}`, t =>
    over(t, Shelf, async conn => {
      const root: Untyped = conn.root
      t.equal(await root.clock, 1)
      t.equal(await root.add(1, 2), 3)
      const counter = await new root.Counter(5)
      t.equal(await counter.next(), 6)
      t.equal(await counter.count, 6)
      t.equal(await new root.Counter().next(), 1, 'of a pending result')
      t.equal(await root.counter.next(), 8)
      const Class = await root.Counter
      t.equal(await (await new Class(1)).next(), 2, 'by a netref to the class')
      t.equal(await root.config.list[1].pick(4), -4)
      t.equal(await root.config.list.length, 2)
      t.equal(await root.config['a b'], 1)
      t.match(await root.config, { name: 'deep', 'a b': 1 })
      t.equal(await root.config.owner(), 'deep')
      const owner = await root.config.owner
      t.equal(await owner(), 'deep', 'a member function is bound to its object')
      t.equal(await (await root.adder(1))(2), 3)
      t.match(await rejectionOf(root.counter()), { code: 'not-callable', message: /^root\.counter\(\): / })
      t.match(await rejectionOf(new root.add(1)), { code: 'not-callable', message: /^new root\.add\(1\): / })
    })
  )
}

t.test('a path of any depth is one message; looking at a result sends nothing', t =>
  overMemory(t, Shelf, async conn => {
    const root: Untyped = conn.root
    await conn.ping()
    const [out, back] = recordMessages(conn)
    const counter = await new root.Counter(5)
    await counter.count
    await root.config.list[1].pick(4)
    await root.config.list.length
    t.equal(out.length, 4)
    t.equal(back.length, 4)
    const { framesOut } = conn.stats
    await counter.next()
    t.equal(conn.stats.framesOut - framesOut, 1)
    void root.config.list[0].pick
    void root[Symbol('x')]
    await runEventLoop()
    t.equal(out.length, 5, 'naming a member sends nothing')
  })
)

interface Observer {
  next(value: number): void
  error?(message: string): void
  complete?: () => string
}

t.test('an optional member: `?.` decides on a copy, the owner on a netref', t => {
  class Optional extends Service {
    async exposed_feed(observer: Netref<Observer>) {
      await observer.next(1)
      await observer.error?.('no more')
      return observer.complete?.()
    }
    exposed_plugin(): { name: string; stop?(): string; pause?: () => string } {
      return expose({ name: 'a', pause: undefined } as {
        name: string
        stop?(): string
        pause?: () => string
      })
    }
  }
  return overMemory(t, Optional, async conn => {
    const seen: unknown[] = []
    const next = (value: number) => void seen.push(value)
    t.equal(await conn.root.feed({ next }), undefined)
    t.equal(
      await conn.root.feed({ next, error: message => seen.push(message), complete: () => 'done' }),
      'done'
    )
    t.same(seen, [1, 1, 'no more'])
    t.match(await rejectionOf(conn.root.feed(expose({ next }))), { code: 'not-exposed' })
    const plugin = await conn.root.plugin()
    t.match(await rejectionOf(plugin.stop!()), { code: 'not-exposed' })
    t.equal(await Netref.has(plugin, 'stop'), false)
    t.match(
      await rejectionOf(plugin.pause!()),
      { code: 'not-callable' },
      'the member exists and is undefined'
    )
    t.equal(await plugin.pause, undefined)
  })
})

t.test('a call is sent when it is made, once, awaited or not; a read is sent at each `then`', t =>
  overMemory(t, Shelf, async conn => {
    const root: Untyped = conn.root
    await conn.ping()
    await runEventLoop()
    const [out] = recordMessages(conn)
    const call = root.counter.next()
    await runEventLoop()
    t.equal(out.length, 1, 'before it is awaited')
    t.same(await Promise.all([call, call, call.then((n: number) => n)]), [8, 8, 8])
    t.equal(await call, 8)
    t.equal(out.length, 1, 'however often it is awaited')
    root.counter.next()
    await runEventLoop()
    t.equal(await root.counter.count, 9, 'not awaited at all')
    const { clock } = root
    const before = out.length
    t.equal(await clock, 1)
    t.same([await clock, await clock, await clock.then((n: number) => -n)], [2, 3, -4])
    t.equal(out.length - before, 4)
  })
)

t.test('`this` is the original object for members, and undefined for functions passed directly', t =>
  overMemory(t, Shelf, async conn => {
    const root: Untyped = conn.root
    const whose = function (this: unknown) {
      return this === undefined ? 'nobody' : ((this as { name?: string }).name ?? 'somebody')
    }
    t.equal(await root.thisOf(whose), 'nobody')
    const api = { name: 'api', whose, nested: { name: 'nested', whose }, list: [whose] }
    t.same(await root.use(api), ['api', 'nested', 'nobody'], 'the same function, three owners')
    t.equal(await root.counter.next(), 8)
    const { next } = root.counter
    t.equal(await next(), 9, 'a path keeps its object')
    const bound = await root.counter.next
    t.equal(await bound(), 10, 'and so does a function read from it')
  })
)

t.test('typeof is truthful; a netref that has arrived is not thenable', t =>
  overMemory(t, Shelf, async conn => {
    const root: Untyped = conn.root
    const [object, fn, pending] = [await root.odd(), await root.adder(1), root.adder(1)]
    t.same(
      [root, object, fn, root.x, pending].map(it => typeof it),
      ['object', 'object', 'function', 'function', 'function']
    )
    t.same(
      [root, object, fn, root.x, pending].map(it => typeof it.then),
      ['undefined', 'undefined', 'undefined', 'function', 'function']
    )
    t.equal(await root, root)
    t.equal(await object, object)
    t.equal(await fn, fn)
    t.type(pending.catch, 'function')
    t.type(pending.finally, 'function')
    await pending
  })
)

t.test('a proxy has remote members only, with any name', t =>
  overMemory(t, Shelf, async conn => {
    const odd: Untyped = await (conn.root as Untyped).odd()
    for (const name of ['map', 'release', 'call', 'catch', 'finally', 'toString']) {
      t.equal(await odd[name](), name)
    }
    t.equal(await odd.name, 'my name')
    t.equal(await odd.length, 3)
    t.equal(odd.then, undefined, '`then` is local')
    t.equal(await get(odd, 'then'), 'not a function')
    t.equal(odd.toJSON(), '[Netref netref#1]', '`toJSON` is local')
    t.equal(await get(odd, 'toJSON')(), 'toJSON')
    t.equal(odd[Symbol.for('spec')], undefined, 'symbols are local')
    t.equal(await get(odd, Symbol.for('spec'))(), 'symbol')
    t.equal(await (conn.root as Untyped).odd().map(), 'map', 'on a pending result, too')
    const { catch: member } = (conn.root as Untyped).odd
    t.equal(typeof member.then, 'function', 'on a path only `then` is local')
  })
)

t.test('inspection never sends and never throws', t =>
  overMemory(t, Shelf, async conn => {
    const printed = new PassThrough()
    const console = new Console(printed)
    const root: Untyped = conn.root
    const failed = root.fail('x')
    await rejectionOf(failed)
    const arrived = root.add(1, 2)
    await arrived
    const odd = await root.odd()
    const adder = await root.adder(1)
    await conn.ping()
    const [client, server] = conn.transports
    server.hold()
    const pending = root.adder(1)
    const all: Record<string, Untyped> = {
      '[Netref root]': root,
      '[Netref netref#1]': odd,
      '[Netref netref#2]': adder,
      '[Netref root.config["a b"][3].ok]': root.config['a b'][3].ok,
      '[Netref root.größe["3D"]]': root.größe['3D'],
      '[Netref root.adder(1)]': pending,
      '[Netref result]': arrived,
      '[Netref root.fail("x")]': failed
    }
    await runEventLoop()
    const [out] = recordMessages(conn)
    for (const [text, it] of Object.entries(all)) {
      t.equal(inspect(it), text)
      t.equal(
        inspect({ it: [new Map([[it, it]])] }, { breakLength: 1000 }),
        `{ it: [ Map(1) { ${text} => ${text} } ] }`
      )
      t.equal(`${it}`, text)
      t.equal(String(it), text)
      t.equal(`${it + 1}`, `${text}1`)
      t.equal(JSON.stringify({ it }), JSON.stringify({ it: text }))
      t.equal(format('%s %j', it, it), `${text} ${JSON.stringify(text)}`)
      t.equal(Object.prototype.toString.call(it), '[object Netref]')
      console.log(it)
      const looks: (() => unknown)[] = [
        () => inspect(it, { showProxy: true, getters: true }),
        () => inspect(it, { customInspect: false, showHidden: true }),
        () => inspect(it, { depth: 0 }),
        () => inspect(it, { depth: null, showProxy: true }),
        () => format('%o %O %d', it, it, it),
        () => inspect(new Error('x', { cause: it })),
        () => it instanceof Counter,
        () => Array.isArray(it),
        () => isDeepStrictEqual(it, {}),
        () => assert.deepStrictEqual(it, it),
        () => Number(it),
        // biome-ignore lint/suspicious/noDoubleEquals: the coercion is what is tested
        () => it == 'x',
        () => it.constructor.name,
        () => Object.getOwnPropertyDescriptor(it, 'x')
      ]
      for (const look of looks) t.doesNotThrow(look, String(look))
      t.same(it, it)
      t.notOk('add' in it)
      t.notOk('then' in it)
      t.same(Object.keys(it), [])
      t.same(Reflect.ownKeys(it), [])
      t.same({ ...it }, {})
      for (const name in it) t.fail(name)
      t.equal(Object.getPrototypeOf(Object.getPrototypeOf(it)), null)
      t.ok(Object.isFrozen(it))
      t.throws(() => structuredClone(it), { name: 'DataCloneError' })
      // biome-ignore lint/suspicious/noSelfCompare: it is what is tested
      t.ok(it === it)
      if (typeof it === 'function') t.notOk({} instanceof it)
    }
    t.equal(inspect(Object.getPrototypeOf(root)), '[Netref]', 'their prototype can be looked at')
    await runEventLoop()
    t.equal(out.length + client.held, 0, 'nothing was sent')
    server.letGo()
    t.equal(typeof (await pending), 'function')
    t.equal(String(printed.read()), `${Object.keys(all).join('\n')}\n`)
  })
)

t.test('an operation that cannot report its failure throws, and names the alternative', t =>
  overMemory(t, Shelf, async conn => {
    const root: Untyped = conn.root
    const netref = await root.odd()
    const pending = root.adder(1)
    await runEventLoop()
    const [out] = recordMessages(conn)
    for (const it of [root, netref, root.config.name, pending]) {
      const throws = (act: () => unknown, cure: string) => {
        const label = String(it).slice(8, -1)
        t.throws(act, {
          name: 'TypeError',
          message: `${label} is remote, and cannot be changed synchronously: use \`${cure}\``
        })
      }
      throws(() => (it.x = 1), 'await Netref.set(ref, "x", value)')
      throws(() => it.x++, 'await Netref.set(ref, "x", value)')
      throws(() => Object.assign(it, { 'a b': 1 }), 'await Netref.set(ref, "a b", value)')
      throws(() => Object.defineProperty(it, 'x', { value: 1 }), 'await Netref.set(ref, "x", value)')
      throws(() => (it[Symbol.iterator] = 1), 'await Netref.set(ref, Symbol(Symbol.iterator), value)')
      throws(() => delete it.x, 'await Netref.delete(ref, "x")')
      throws(() => Object.setPrototypeOf(it, {}), 'an operation of the remote object')
      throws(() => Object.freeze(it), 'an operation of the remote object')
      throws(() => Object.preventExtensions(it), 'an operation of the remote object')
    }
    await runEventLoop()
    t.equal(out.length, 0)
    await pending
  })
)

t.test('errors name the call as its caller wrote it, and stay short', t =>
  overMemory(
    t,
    () => ({ files: () => ({}) }),
    async conn => {
      const root: Untyped = conn.root
      const long = 'x'.repeat(1000)
      class Dog {}
      const said = async (call: PromiseLike<unknown>) => (await rejectionOf(call)).message.split(': ')[0]
      t.equal(await said(root.no.such.thing), 'root.no.such.thing')
      t.equal(await said(root.no('x')), 'root.no("x")')
      t.equal(await said(root.no(1, -0, 2n, null)), 'root.no(1, -0, 2n, …)')
      t.equal(await said(root.no(long)), `root.no("${'x'.repeat(20)}…")`)
      t.equal(await said(root[long].no[long]()), `root["${'x'.repeat(60)}…"].no["${'x'.repeat(60)}…"]()`)
      t.equal(await said(get(root, Symbol.for(long))), `root[Symbol(${'x'.repeat(53)}…]`)
      t.equal(await said(root.no({ long }, [long], () => long)), 'root.no({…}, […], ƒ)')
      t.equal(await said(root.no(new Dog(), undefined, new Map())), 'root.no(Dog {…}, undefined, Map {…})')
      t.equal(await said(new root['a b'][0].No(true)), 'new root["a b"][0].No(true)')
      t.equal(await said(set(root, 'no', 1)), 'Netref.set(root.no, 1)')
      t.equal(await said(remove(root, 'no')), 'Netref.delete(root.no)')
      t.equal(await said(keys(root.no)), 'Netref.keys(root.no)')
      t.equal(await said(get(root, Symbol.iterator)), 'root[Symbol(Symbol.iterator)]')
      t.equal(await said(root.files().no.such()), 'root.files().no.such()')
    }
  )
)

t.test('bad arguments reject with their path; they never throw', t =>
  overMemory(t, Shelf, async conn => {
    const root: Untyped = conn.root
    const said = async (call: PromiseLike<unknown>) => {
      const error = await rejectionOf(call)
      t.ok(error instanceof TypeError)
      return error.message
    }
    await conn.ping()
    const [out] = recordMessages(conn)
    t.equal(
      await said(root.add({ user: [{ tag: Symbol('x') }] })),
      'root.add({…}): args[0].user[0].tag is Symbol(x), which cannot be sent: a symbol has no meaning outside this process: send a string'
    )
    t.match(await said(new root.Counter(new WeakMap())), /^new root\.Counter\(WeakMap \{…\}\): args\[0\] /)
    t.match(await said(set(root, 'x', Symbol('x'))), /^Netref\.set\(root\.x, .*value is/)
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    t.match(await said(root.add(proxy)), /proxy that has been revoked/)
    const getter = new Error('from a getter')
    const thrown = await rejectionOf(
      root.add({
        get x() {
          throw getter
        }
      })
    )
    t.equal(thrown, getter, 'the call rejects with the error of the accessor')
    t.equal(out.length, 0, 'nothing was sent')
  })
)

t.test('paths and pending calls keep their netref and their arguments alive', async t => {
  let released = 0
  const waiting: ((value: number) => void)[] = []
  const slow = () => new Promise<number>(resolve => waiting.push(resolve))
  class Lender extends Service {
    exposed_lend() {
      return expose({ slow, part: expose({ fast: () => 1 }) }, { released: () => released++ })
    }
    exposed_slow(_argument: unknown) {
      return slow()
    }
  }
  await overMemory(t, Lender, async conn => {
    const root: Untyped = conn.root
    const lend = () => root.lend()
    const calls = [
      await (async () => [(await lend()).slow()])(),
      [lend().slow()],
      await (async () => [root.slow(await lend())])()
    ]
    const paths = await (async () => [(await lend()).part])()
    await waitUntil(() => waiting.length === 3)
    await collectGarbage()
    await conn.ping()
    t.equal(released, 0)
    t.equal(await paths[0].fast(), 1)
    for (const [i, answer] of waiting.entries()) answer(i)
    t.same((await Promise.all(calls.flat())).sort(), [0, 1, 2])
    calls.length = paths.length = 0
    await collectGarbage(() => released === 4)
  })
  t.equal(released, 4)
})
