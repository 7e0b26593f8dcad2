// What Python can do with objects of a service: each request of RPyC, by a peer that sends it.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import t from 'tap'
import { ELLIPSIS, NOT_IMPLEMENTED } from '../../../lib/gateways/rpyc/brine.js'
import { Handler, type IdPack } from '../../../lib/gateways/rpyc/protocol.js'
import { rpyc } from '../../../lib/gateways/rpyc.js'
import { expose, Netref, Service, serve } from '../../../lib/index.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'
import {
  boxTuple,
  itemsOf,
  openPeer,
  packOf,
  type RaisedError,
  theirs,
  value,
  withPeer
} from '../../support/rpyc-peer.js'

class Box {
  size = 2
  label = 'box'
  get(key: string) {
    return `value of ${key}`
  }
  has(key: string) {
    return key === 'a'
  }
  *[Symbol.iterator]() {
    yield* ['a', 'b']
  }
}

class All extends Service {
  static override help = { greet: 'Greets somebody' }
  box = expose(new Box(), { read: ['size', 'label', 'get', 'has', Symbol.iterator], write: ['label'] })
  record = { name: 'Ada', inner: { fn: () => 'called' }, fn: (x: number) => x + 1, other: [1] }
  exposed_title = 'All'
  exposed_nothing() {}
  exposed_same(...args: unknown[]) {
    return args.length === 1 ? args[0] : args
  }
  exposed_greet(name: string, greeting = 'Hello', ..._more: string[]) {
    return `${greeting}, ${name}`
  }
  exposed_box() {
    return this.box
  }
  exposed_record() {
    return this.record
  }
  exposed_values(kind: string): unknown {
    return {
      date: new Date(0),
      invalid: new Date(Number.NaN),
      url: new URL('http://a.b/'),
      buffer: new Uint8Array([1, 2]).buffer,
      view: new DataView(new Uint8Array([1, 2, 3]).buffer, 1),
      floats: new Float64Array([1, 1.5]),
      map: new Map<unknown, unknown>([
        [1, () => 1],
        ['b', { c: new Set([() => 1]) }]
      ]),
      set: new Set([() => 1, 2]),
      dates: new Set([new Date(0)]),
      error: Object.assign(new RangeError('far'), { code: 7 }),
      bigint: 2n ** 80n,
      negativeZero: -0,
      stream: new ReadableStream({
        start(controller) {
          controller.enqueue('x')
          controller.close()
        }
      }),
      promise: { later: Promise.resolve(5) },
      promises: [Promise.resolve(5)],
      signal: [new AbortController().signal],
      deep: Array.from({ length: 190 }).reduce<unknown>(inner => [inner], 1)
    }[kind]
  }
  exposed_array() {
    return expose([1, 2, 3])
  }
  async *exposed_failing(count: number) {
    for (let n = 0; n < count; n++) yield n
    throw new RangeError('no more')
  }
  *exposed_echoes(): Generator<unknown, void, unknown> {
    let sent: unknown = 'first'
    while (true) sent = yield sent
  }
  exposed_fn() {
    return Object.assign(() => 'called', {})
  }
  exposed_describes() {
    return expose({ a: (x: number) => x, class: class {} }, { read: ['a', 'class'] })
  }
}

const raised = (promise: Promise<unknown>) => rejectionOf(promise) as unknown as Promise<RaisedError>

t.test('ping, the root, attributes and calls, in both versions', async t => {
  for (const version of [5, 6] as const)
    await withPeer(
      t,
      All,
      async (peer, root) => {
        t.equal(root[0], 'builtins.object')
        t.same(await peer.root(), root, 'the same root')
        t.same(await peer.ask(Handler.ping, value('abc')), value('abc'))
        t.same(await peer.send([Handler.ping, value([])]), value(null))
        t.same(await peer.get(root, 'title'), value('All'))
        const greet = packOf(await peer.get(root, 'greet'))
        t.equal(greet[0], 'builtins.function')
        t.same(await peer.ask(Handler.call, theirs(greet), value(['Ada'])), value('Hello, Ada'))
        t.same(await peer.call(root, 'greet', [value('Ada')]), value('Hello, Ada'))
        t.same(await peer.call(root, 'exposed_greet', [value('Ada')]), value('Hello, Ada'))
        t.same(await peer.call(root, 'nothing'), value(null))
        t.same(await peer.ask(Handler.getAttribute, theirs(root), value(Buffer.from('title'))), value('All'))
        t.same(await peer.ask(Handler.delete, theirs(greet), value(1)), value(null))
        t.same((await raised(peer.ask(Handler.call, theirs(greet), value([])))).exceptionClass, [
          'builtins',
          'KeyError'
        ])
        t.equal((await raised(peer.get(root, 'missing'))).message, 'AttributeError')
        t.equal((await raised(peer.get(root, '__class__'))).message, 'AttributeError')
        t.equal((await raised(peer.get(root, '_private'))).message, 'AttributeError')
      },
      { version }
    )
})

t.test('keyword arguments by the names of parameters', async t => {
  await withPeer(t, All, async (peer, root) => {
    const keyword = (name: string, plain: unknown) => value([name, plain])
    const greet = packOf(await peer.get(root, 'greet'))
    const call = (args: unknown[], ...keywords: ReturnType<typeof keyword>[]) =>
      peer.ask(Handler.call, theirs(greet), value(args), boxTuple(keywords))
    t.same(await call([], keyword('name', 'Ada')), value('Hello, Ada'))
    t.same(await call(['Ada'], keyword('greeting', 'Hi')), value('Hi, Ada'))
    t.same(
      await peer.call(root, 'greet', [], [keyword('greeting', 'Hi'), keyword('name', 'Bob')]),
      value('Hi, Bob')
    )
    for (const bad of [
      call([], keyword('nobody', 1)),
      call(['x'], keyword('name', 1)),
      call([], keyword('greeting', 1))
    ])
      t.equal((await raised(bad)).message, 'TypeError')
    const fn = packOf(await peer.call(root, 'fn'))
    t.equal(
      (await raised(peer.ask(Handler.call, theirs(fn), value([]), value([['a', 1]])))).message,
      'TypeError'
    )
    t.equal((await raised(peer.call(fn, 'apply', [], [keyword('a', 1)]))).message, 'TypeError')
    const record = packOf(await peer.call(root, 'record'))
    t.equal((await raised(peer.call(record, 'get', [], [keyword('key', 1)]))).message, 'TypeError')
    for (const bad of [value(1), value([1]), value([[1, 2]])])
      t.equal((await raised(peer.ask(Handler.call, theirs(greet), value([]), bad))).message, 'TypeError')
    // A list among the arguments of a call with keywords is fetched first.
    const list = peer.iterable('builtins.list', [value('Ada')])
    t.same(
      await peer.ask(
        Handler.callAttribute,
        theirs(root),
        value('greet'),
        boxTuple([[4, list]]),
        value([['greeting', 'Hi']])
      ),
      value('Hi, Ada')
    )
  })
})

t.test('functions have a name, a help text and members', async t => {
  await withPeer(t, All, async (peer, root) => {
    const greet = packOf(await peer.get(root, 'greet'))
    t.same(await peer.get(greet, '__name__'), value('greet'))
    t.same(await peer.get(greet, '__doc__'), value('Greets somebody'))
    t.same(await peer.call(greet, '__call__', [value('Ada')]), value('Hello, Ada'))
    t.same(await peer.ask(Handler.dir, theirs(greet)), value([]))
    t.same(await peer.ask(Handler.inspect, value(greet)), value([['__call__', null]]))
    t.equal((await raised(peer.get(greet, '__module__'))).message, 'AttributeError')
    t.equal((await raised(peer.get(greet, 'other'))).message, 'AttributeError')
    t.equal((await raised(peer.call(greet, '__len__'))).message, 'AttributeError')
    t.equal((await raised(peer.call(greet, 'other'))).message, 'AttributeError')
    t.equal((await raised(peer.ask(Handler.buffiter, theirs(greet), value(1)))).message, 'TypeError')
    t.equal(
      (await raised(peer.ask(Handler.setAttribute, theirs(greet), value('a'), value(1)))).message,
      'AttributeError'
    )
    t.equal(
      (await raised(peer.ask(Handler.deleteAttribute, theirs(greet), value('a')))).message,
      'AttributeError'
    )
    t.same(await peer.ask(Handler.contextExit, theirs(greet), value(null)), value(null))
    const fn = packOf(await peer.call(root, 'fn'))
    t.same(await peer.get(fn, '__name__'), value('function'))
    t.same(await peer.get(fn, '__doc__'), value(null))
  })
})

t.test('objects by reference: members, text, identity, len, items, with', async t => {
  await withPeer(t, All, async (peer, root) => {
    const box = packOf(await peer.call(root, 'box'))
    t.equal(box[0], 'netref.Netref')
    t.same(packOf(await peer.call(root, 'box')), box, 'the same object')
    t.match((await peer.ask(Handler.str, theirs(box)))[1], /Box/)
    t.match((await peer.ask(Handler.repr, theirs(box)))[1], /^<.*Box.*>$/)
    t.same(await peer.ask(Handler.hash, theirs(box)), value(box[2]))
    t.same(await peer.ask(Handler.dir, theirs(box)), value(['size', 'label', 'get', 'has']))
    const compare = async (other: unknown, operator: string) =>
      (await peer.ask(Handler.compare, theirs(box), other as never, value(operator)))[1]
    t.equal(await compare(theirs(box), '__eq__'), true)
    t.equal(await compare(theirs(box), '__ne__'), false)
    t.equal(await compare(theirs(root), '__eq__'), false)
    t.equal(await compare(value(1), '__ne__'), true)
    t.equal(await compare(value(1), '__lt__'), NOT_IMPLEMENTED)
    t.same(await peer.ask(Handler.instanceCheck, theirs(box), value(['a', 1, 0])), value(false))
    t.equal((await raised(peer.ask(Handler.oldSlicing, theirs(box)))).message, 'ValueError')
    const keywords = value([['size', 1]])
    t.equal((await raised(peer.ask(Handler.call, theirs(box), value([]), keywords))).message, 'TypeError')
    const methods = new Map((await peer.ask(Handler.inspect, value(box)))[1] as [string, unknown][])
    for (const name of [
      'get',
      'has',
      '__len__',
      '__getitem__',
      '__contains__',
      '__iter__',
      '__enter__',
      '__exit__'
    ])
      t.ok(methods.has(name), name)
    t.same(await peer.call(box, '__len__'), value(2))
    t.same(await peer.call(box, '__getitem__', [value('a')]), value('value of a'))
    t.same(await peer.call(box, '__contains__', [value('a')]), value(true))
    t.equal((await raised(peer.call(box, '__missing__'))).message, 'AttributeError')
    t.same(packOf(await peer.call(box, '__enter__')), box)
    const iterator = packOf(await peer.call(box, '__iter__'))
    t.same(await peer.ask(Handler.buffiter, theirs(iterator), value(9)), value(['a', 'b']))
    t.same(await peer.ask(Handler.setAttribute, theirs(box), value('label'), value('new')), value(null))
    t.same(await peer.get(box, 'label'), value('new'))
    t.equal(
      (await raised(peer.ask(Handler.setAttribute, theirs(box), value('size'), value(1)))).message,
      'AttributeError'
    )
    t.equal(
      (await raised(peer.ask(Handler.deleteAttribute, theirs(box), value('size')))).message,
      'AttributeError'
    )
    t.equal((await raised(peer.ask(Handler.getAttribute, theirs(box), value(1)))).message, 'TypeError')
    t.same(await peer.ask(Handler.contextExit, theirs(box), value(null)), value(false))
    t.equal((await raised(peer.get(box, 'size'))).message, 'ReferenceError')

    const array = packOf(await peer.call(root, 'array'))
    t.same(await peer.call(array, '__len__'), value(3))
    t.same(await peer.call(array, '__getitem__', [value(0)]), value(1))
    t.same(await peer.call(array, '__getitem__', [value(-1)]), value(3))
    t.equal((await raised(peer.call(array, '__getitem__', [value(9)]))).message, 'IndexError')
    t.equal((await raised(peer.call(array, '__getitem__', [value('x')]))).message, 'KeyError')
    t.equal((await raised(peer.call(array, '__getitem__', [value(null)]))).message, 'TypeError')
    t.same(await peer.call(array, '__contains__', [value(9)]), value(false))

    const described = packOf(await peer.call(root, 'describes'))
    t.ok(((await peer.ask(Handler.inspect, value(described)))[1] as unknown[]).length >= 4)
  })
  await withPeer(
    t,
    All,
    async (peer, root) => {
      const box = packOf(await peer.call(root, 'box'))
      t.same(
        await peer.ask(Handler.inspect, value(box)),
        value(['__iter__', '__enter__', '__exit__'].map(n => [n, null]))
      )
      t.equal((await raised(peer.ask(Handler.dir, theirs(box)))).message, 'AttributeError')
    },
    { describe: false }
  )
})

t.test('an error while an item is read is raised as it is', async t => {
  const service = {
    list: () =>
      expose(
        {
          get size() {
            throw new RangeError('broken')
          },
          length: 1
        },
        { read: ['size', 'length'] }
      )
  }
  await withPeer(t, service, async (peer, root) => {
    const list = packOf(await peer.call(root, 'list'))
    t.equal((await raised(peer.call(list, '__getitem__', [value('size')]))).message, 'ValueError')
  })
})

t.test('copied records are dicts', async t => {
  await withPeer(t, All, async (peer, root) => {
    const record = packOf(await peer.call(root, 'record'))
    t.equal(record[0], 'builtins.dict')
    t.same(await peer.get(record, 'name'), value('Ada'))
    t.same(await peer.call(record, '__len__'), value(4))
    t.same(await peer.call(record, '__getitem__', [value('name')]), value('Ada'))
    t.same(await peer.call(record, '__contains__', [value('nobody')]), value(false))
    t.equal((await raised(peer.call(record, '__getitem__', [value('nobody')]))).message, 'KeyError')
    t.same(await peer.call(record, 'get', [value('nobody')]), value(null))
    t.same(await peer.call(record, 'get', [value('name')]), value('Ada'))
    t.same(await peer.call(record, 'keys'), value(['name', 'inner', 'fn', 'other']))
    t.equal(itemsOf(await peer.call(record, 'values')).length, 4)
    t.same((itemsOf(await peer.call(record, 'items'))[0] as unknown[])[1] ?? null, ['name', 'Ada'][1])
    const iterator = packOf(await peer.call(record, '__iter__'))
    t.same(await peer.call(iterator, '__next__'), value('name'))
    t.ok(((await peer.ask(Handler.dir, theirs(record)))[1] as string[]).includes('keys'))
    t.ok(((await peer.ask(Handler.inspect, value(record)))[1] as unknown[]).length > 4)
    t.match((await peer.ask(Handler.str, theirs(record)))[1], /^\{"name": "Ada"/)
    const keys = packOf(await peer.get(record, 'keys'))
    t.same(await peer.get(keys, '__name__'), value('keys'))
    t.same(await peer.ask(Handler.call, theirs(keys), value([])), value(['name', 'inner', 'fn', 'other']))
    t.same(await peer.call(keys, '__call__'), value(['name', 'inner', 'fn', 'other']))
    t.match((await peer.ask(Handler.str, theirs(keys)))[1], /keys/)
    t.same(await peer.ask(Handler.dir, theirs(keys)), value([]))
    t.same(await peer.ask(Handler.inspect, value(keys)), value([['__call__', null]]))
    t.equal((await raised(peer.get(keys, 'other'))).message, 'AttributeError')
    t.equal((await raised(peer.call(keys, 'other'))).message, 'AttributeError')
    t.equal((await raised(peer.get(record, 'nobody'))).message, 'AttributeError')
    t.equal((await raised(peer.get(record, '__len__'))).message, 'AttributeError')
    t.equal((await raised(peer.call(record, 'nobody'))).message, 'AttributeError')
    t.equal((await raised(peer.ask(Handler.call, theirs(record), value([])))).message, 'TypeError')
    const same = packOf(await peer.call(root, 'same', [theirs(record)]))
    t.not(same[2], record[2], 'a record comes back as a copy')
    t.same(await peer.ask(Handler.compare, theirs(record), theirs(record), value('__eq__')), value(true))
    const dict = peer.dict([[value('a'), value(1)]])
    const copy = packOf(await peer.call(root, 'same', [[4, dict]]))
    t.same(await peer.ask(Handler.compare, theirs(copy), [4, dict], value('__eq__')), value(true))
    t.same(await peer.ask(Handler.compare, theirs(copy), [4, dict], value('__ne__')), value(false))
  })
})

t.test('netrefs in a record live as long as the record', async t => {
  await withPeer(t, All, async (peer, root, server) => {
    const [session] = server.sessions
    const record = packOf(await peer.call(root, 'record'))
    const inner = packOf(await peer.get(record, 'inner'))
    const drop = (pack: IdPack) => peer.ask(Handler.delete, theirs(pack), value(1))
    const fn = packOf(await peer.get(record, 'fn'))
    t.same(await peer.ask(Handler.call, theirs(fn), value([1])), value(2))
    await drop(fn)
    const again = packOf(await peer.get(record, 'fn'))
    t.not(again[2], fn[2], 'a new object for Python')
    t.same(await peer.ask(Handler.call, theirs(again), value([1])), value(2), 'and the same function')
    t.same(await peer.call(record, 'fn', [value(4)]), value(5), 'called as a member')
    await drop(record)
    t.same(await peer.ask(Handler.call, theirs(again), value([1])), value(2), 'held by itself')
    t.same(await peer.call(inner, 'fn', []), value('called'))
    await drop(again)
    await drop(inner)
    await waitUntil(() => session!.stats.exports === 0, 'nothing is held')
  })
})

t.test('values of JavaScript', async t => {
  await withPeer(t, All, async (peer, root) => {
    const get = async (kind: string) => peer.call(root, 'values', [value(kind)])
    t.same(await get('date'), value('1970-01-01T00:00:00.000Z'))
    t.same(await get('invalid'), value(null))
    t.same(await get('url'), value('http://a.b/'))
    t.same(await get('buffer'), value(new Uint8Array([1, 2])))
    t.same(await get('view'), value(new Uint8Array([2, 3])))
    t.same(await get('floats'), value([1, 1.5]))
    t.same(await get('bigint'), value(2n ** 80n))
    t.ok(Object.is((await get('negativeZero'))[1], -0))
    t.same(await get('dates'), value(new Set(['1970-01-01T00:00:00.000Z'])))
    const map = packOf(await get('map'))
    t.same(await peer.call(map, '__len__'), value(2))
    t.same(await peer.ask(Handler.dir, theirs(map)), value(await methodsOf(peer, map)))
    t.equal(packOf(await peer.call(map, '__getitem__', [value(1)]))[0], 'builtins.function')
    t.equal((await raised(peer.call(map, 'nobody'))).message, 'AttributeError')
    const set = packOf(await get('set'))
    t.equal(set[0], 'builtins.set')
    t.same(await peer.call(set, '__len__'), value(2))
    t.same(await peer.call(set, '__contains__', [value(2)]), value(true))
    t.match((await peer.ask(Handler.str, theirs(set)))[1], /^\{.*, 2\}$/)
    const items = packOf(await peer.call(set, '__iter__'))
    t.equal(itemsOf(await peer.ask(Handler.buffiter, theirs(items), value(9))).length, 2)
    const error = packOf(await get('error'))
    t.same(await peer.get(error, 'message'), value('far'))
    t.same(await peer.get(error, 'code'), value(7))
    const stream = packOf(await get('stream'))
    t.same(await peer.call(stream, '__next__'), value('x'))
    t.match((await peer.ask(Handler.str, theirs(stream)))[1], /iterator/)
    t.equal((await raised(peer.call(stream, '__next__'))).message, '1', 'StopIteration')
    const later = packOf(await get('promise'))
    t.same(await peer.get(later, 'later'), value(5), 'a field that is a promise is awaited')
    t.equal((await raised(get('promises'))).message, 'TypeError')
    t.equal((await raised(get('signal'))).message, 'TypeError')
    t.equal((await raised(get('deep'))).message === 'RaisedError', false)
    // What only brine has.
    for (const plain of [NOT_IMPLEMENTED, ELLIPSIS])
      t.same(await peer.call(root, 'same', [value(plain)]), value(null))
    t.same(await peer.call(root, 'same', [value(new Set([1, 'a']))]), value(new Set([1, 'a'])))
    t.same(await peer.call(root, 'same', [value(new Uint8Array([9]))]), value(new Uint8Array([9])))
  })
})

async function methodsOf(
  peer: Parameters<Parameters<typeof withPeer>[2]>[0],
  pack: IdPack
): Promise<string[]> {
  return ((await peer.ask(Handler.inspect, value(pack)))[1] as [string, unknown][]).map(([name]) => name)
}

t.test('iterators: next, batches, send, close, errors', async t => {
  await withPeer(t, All, async (peer, root) => {
    const failing = packOf(await peer.call(root, 'failing', [value(2)]))
    t.equal(failing[0], 'builtins.generator')
    t.same(packOf(await peer.call(failing, '__iter__')), failing)
    t.same(packOf(await peer.call(failing, '__enter__')), failing)
    t.same(
      await peer.ask(Handler.buffiter, theirs(failing), value(9)),
      value([0, 1]),
      'the items before the error'
    )
    t.equal((await raised(peer.ask(Handler.buffiter, theirs(failing), value(9)))).message, 'ValueError')
    t.same(await peer.ask(Handler.buffiter, theirs(failing), value(9)), value([]))
    t.equal((await raised(peer.call(failing, '__next__'))).message, '1')
    t.ok(((await peer.ask(Handler.dir, theirs(failing)))[1] as string[]).includes('__next__'))
    t.ok(((await peer.ask(Handler.inspect, value(failing)))[1] as unknown[]).length > 3)
    const failsAtOnce = packOf(await peer.call(root, 'failing', [value(0)]))
    t.equal((await raised(peer.call(failsAtOnce, '__next__'))).message, 'ValueError')
    const echoes = packOf(await peer.call(root, 'echoes'))
    t.same(await peer.call(echoes, '__next__'), value('first'))
    t.same(await peer.call(echoes, 'send', [value('second')]), value('second'))
    t.same(await peer.call(echoes, 'send', [value(null)]), value(null))
    t.equal((await raised(peer.ask(Handler.buffiter, theirs(echoes), value('x')))).message, 'TypeError')
    t.same(await peer.call(echoes, 'close'), value(null))
    t.same(await peer.ask(Handler.contextExit, theirs(echoes), value(null)), value(null))
    t.same(await peer.ask(Handler.buffiter, theirs(echoes), value(9)), value([]))
  })
})

t.test('references are counted; requests on what is no object here fail', async t => {
  await withPeer(t, All, async (peer, root) => {
    const box = packOf(await peer.call(root, 'box'))
    await peer.call(root, 'box')
    await peer.ask(Handler.delete, theirs(box))
    t.same(await peer.get(box, 'size'), value(2), 'one reference is left')
    t.equal((await raised(peer.ask(Handler.delete, theirs(box), value(-1)))).message, 'ValueError')
    t.equal((await raised(peer.ask(Handler.delete, theirs(box), value('x')))).message, 'ValueError')
    await peer.ask(Handler.delete, theirs(box), value(1000))
    t.equal((await raised(peer.get(box, 'size'))).message, 'KeyError')
    t.equal((await raised(peer.ask(Handler.delete, theirs(box), value(1)))).message, 'KeyError')
    for (const pack of [
      ['other', root[1], root[2]],
      [root[0], 99, root[2]],
      [root[0], root[1], 99]
    ])
      t.equal((await raised(peer.get(pack as unknown as IdPack, 'title'))).message, 'KeyError')
    t.equal((await raised(peer.ask(Handler.getAttribute, value(1), value('title')))).message, 'TypeError')
    t.equal((await raised(peer.call(root, 'same', [theirs(box)]))).message, 'KeyError')
    t.equal((await raised(peer.ask(99))).message, 'ValueError')
    t.equal((await raised(peer.send([null, value([])]))).message, 'ValueError')
    t.equal((await raised(peer.ask(Handler.call, theirs(root), value(1)))).message, 'TypeError')
    await peer.ask(Handler.delete, theirs(root), value(2))
    t.same(await peer.get(await peer.root(), 'title'), value('All'), 'the root can be had again')
  })
})

t.test('limits.exports: a result that would add an object is refused', async t => {
  const service = { fn: () => () => 1 }
  await withPeer(
    t,
    service,
    async (peer, root) => {
      packOf(await peer.call(root, 'fn'))
      t.same((await raised(peer.call(root, 'fn'))).exceptionClass, ['netref', 'LimitError'])
    },
    { limits: { exports: 2 } }
  )
})

t.test('a value that cannot be encoded leaves no references behind', async t => {
  const service = { values: () => [() => 1, '\ud800'], many: () => [() => 1, [Promise.resolve(1)]] }
  await withPeer(t, service, async (peer, root, server) => {
    t.equal((await raised(peer.call(root, 'values'))).message, 'ValueError')
    t.equal((await raised(peer.call(root, 'many'))).message, 'TypeError')
    t.ok([...server.sessions][0])
  })
})

t.test('close ends the connection; the end of the session does, too', async t => {
  await withPeer(t, All, async peer => {
    void peer.ask(Handler.close).catch(() => {})
    await waitUntil(() => peer.closedBy !== undefined)
    t.equal(peer.closedBy!.error, undefined)
  })
  await withPeer(t, All, async (peer, _, server) => {
    for (const session of server.sessions) await session.close()
    await waitUntil(() => peer.closedBy !== undefined)
    t.equal(peer.closedBy!.error, undefined)
  })
})

t.test('detection by the first bytes', async t => {
  const { detect } = rpyc()
  const bytes = (...all: number[]) => detect!(Uint8Array.from(all))
  t.equal(bytes(), undefined)
  t.equal(bytes(0, 0, 0, 8, 0, 0x12), undefined)
  t.equal(bytes(0, 0, 0, 8, 0, 0x12, 0x51), true)
  t.equal(bytes(0, 0, 0, 8, 0, 1, 0x11), true)
  t.equal(bytes(0, 0, 1, 8, 1, 0x78, 1), true, 'compressed')
  t.equal(bytes(0, 0, 0, 8, 0, 2, 0x11), false, 'a reply')
  t.equal(bytes(0, 0, 0, 8, 2, 1, 0x11), false)
  t.equal(bytes(0, 1, 0, 8, 0, 1, 0x11), false)
  t.equal(bytes(71), false)
  t.equal(bytes(0, 71), false)
  t.throws(() => rpyc({ copys: false } as object), /there is no option `copys`/)
})

t.test('with authenticate, a client gets no session unasked', async t => {
  const server = await serve(All, {
    port: 0,
    gateways: [rpyc()],
    authenticate: () => ({}),
    onError: () => {}
  })
  const peer = await openPeer(server)
  await rejectionOf(peer.root())
  t.ok(peer.closedBy)
  t.equal(server.sessions.size, 0)
  await server.close()
})

t.test('a page that posts to the port reaches no gateway of RPyC', async t => {
  const server = await serve(All, { port: 0, gateways: [rpyc({ port: 0 })] })
  const socket = connectTcp(server.gatewayPorts.rpyc!, '127.0.0.1')
  socket.write('POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n\0\0\0\x08\0\x01\x11')
  await new Promise(resolve => socket.on('error', resolve).on('close', resolve).resume())
  t.equal(server.sessions.size, 0)
  await server.close()
  t.ok(Netref)
})

t.test('errors of a service as exceptions', async t => {
  const errors: Record<string, () => unknown> = {
    text: () => 'only a text',
    own: () =>
      Object.assign(new Error('it failed'), {
        name: 'Own',
        code: 7,
        nested: {},
        _hidden: 1,
        with_traceback: 1
      }),
    python: () =>
      Object.assign(new Error('x'), {
        name: 'KeyError',
        module: 'builtins',
        args: [{ a: 1 }, 'b'],
        attributes: 5
      }),
    surrogate: () => Object.assign(new Error('\ud800'), { code: '\ud800' }),
    plain: () => new Error('\ud800'),
    abort: () => new DOMException('too late', 'AbortError')
  }
  const service = {
    data: 1,
    fail: (kind: string) => {
      throw errors[kind]!()
    }
  }
  await withPeer(t, expose(service, { read: ['data', 'fail'] }), async (peer, root) => {
    const fail = async (kind: string) => {
      const { record } = await raised(peer.call(root, 'fail', [value(kind)]))
      return record as unknown as readonly unknown[]
    }
    t.same(await fail('text'), [
      ['builtins', 'Exception'],
      ['only a text'],
      [['_remote_version', '5.3.0']],
      'Exception: only a text'
    ])
    const [type, args, attributes] = await fail('own')
    t.same([type, args], [['netref', 'Own'], ['it failed']])
    t.same(attributes, [
      ['code', 7],
      ['_remote_version', '5.3.0']
    ])
    t.same((await fail('python')).slice(0, 2), [
      ['builtins', 'KeyError'],
      ['[object Object]', 'b']
    ])
    t.same((await fail('surrogate')).slice(1, 3), [
      ['\ufffd'],
      [
        ['code', '\ufffd'],
        ['_remote_version', '5.3.0']
      ]
    ])
    t.same((await fail('plain'))[1], ['\ufffd'])
    t.same((await fail('abort'))[0], ['builtins', 'TimeoutError'])
    t.same((await raised(peer.call(root, 'data'))).exceptionClass, ['builtins', 'TypeError'], 'not callable')
  })
})

t.test('obtain: plain data as a pickle', async t => {
  await withPeer(t, { record: () => ({ a: 1 }) }, async (peer, root) => {
    const record = packOf(await peer.call(root, 'record'))
    const pickled = (await peer.ask(Handler.pickle, theirs(record), value(3)))[1] as Uint8Array
    t.equal(pickled[0], 0x80)
  })
})

t.test('a result deeper than Python reads', async t => {
  const service = { deep: () => Array.from({ length: 250 }).reduce<unknown>(inner => [inner], 1) }
  await withPeer(
    t,
    service,
    async (peer, root) => {
      t.equal((await raised(peer.call(root, 'deep'))).message, 'TypeError')
    },
    { limits: { depth: 300 } }
  )
})

t.test('the port is told to a registry', async t => {
  const registry = createSocket('udp4').bind(0, '127.0.0.1')
  await once(registry, 'listening')
  const names = ['ALL']
  const options = { names, host: '127.0.0.1', port: registry.address().port }
  const server = await serve(All, { port: 0, gateways: [rpyc({ registry: options })] })
  const [datagram] = (await once(registry, 'message')) as [Buffer]
  t.ok(datagram.includes('REGISTER'))
  await server.close()
  registry.close()
})
