// What a service can do with objects of Python, copies of plain data, and the order of messages.
import t from 'tap'
import { BrineComplex, BrineSlice } from '../../../lib/gateways/rpyc/brine.js'
import { type Boxed, Handler, type IdPack } from '../../../lib/gateways/rpyc/protocol.js'
import { Netref, Service } from '../../../lib/index.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'
import {
  exception,
  itemsOf,
  own,
  type RaisedError,
  type RpycPeer,
  tuple,
  value,
  withPeer
} from '../../support/rpyc-peer.js'

// biome-ignore lint/suspicious/noExplicitAny: objects of Python have any members
type Any = any

class Python extends Service {
  kept: unknown
  noted: unknown[] = []
  /** Runs one of the operations below on what Python passes. */
  async exposed_run(name: keyof typeof operations, object: Any, ...args: unknown[]) {
    return await (operations[name] as (...args: unknown[]) => unknown)(object, ...args)
  }
  exposed_note(note: unknown) {
    this.noted.push(note)
  }
  exposed_noted() {
    return this.noted
  }
  exposed_keep(object: unknown) {
    this.kept = object
  }
  exposed_kept() {
    return this.kept
  }
  exposed_release() {
    Netref.release(this.kept as Netref<object>)
    this.kept = undefined
  }
  exposed_plain(plain: unknown) {
    return show(plain)
  }
}

/** A copy as text, with the class of each container. */
const show = (plain: unknown): string => {
  if (plain instanceof Map) return `Map{${[...plain].map(([k, v]) => `${show(k)}:${show(v)}`)}}`
  if (plain instanceof Set) return `Set{${[...plain].map(show)}}`
  if (Array.isArray(plain)) return `[${plain.map(show)}]`
  if (Netref.is(plain)) return typeof plain === 'function' ? 'fn' : 'ref'
  if (typeof plain === 'object' && plain !== null)
    return `{${Object.entries(plain).map(([k, v]) => `${k}:${show(v)}`)}}`
  return String(plain)
}

const operations = {
  get: (object: Any, name: string) => object[name],
  getTwo: (object: Any, first: string, second: string) => object[first][second],
  call: (object: Any, name: string, ...args: unknown[]) => object[name](...args),
  apply: (object: Any, ...args: unknown[]) => object(...args),
  applyPromise: (object: Any) => object(Promise.resolve(1)),
  typeOf: (object: Any) => typeof object,
  construct: (object: Any, ...args: unknown[]) => new object(...args),
  oneway: async (object: Any, ...args: unknown[]) => {
    await Netref.oneway(object)(...args)
  },
  set: (object: Any, name: string, plain: unknown) => Netref.set(object, name as never, plain as never),
  delete: (object: Any, name: string) => Netref.delete(object, name as never),
  has: (object: Any, name: string) => Netref.has(object, name),
  keys: (object: Any) => Netref.keys(object),
  describe: async (object: Any) => JSON.stringify(await Netref.describe(object)),
  obtain: async (object: Any) => show(await Netref.obtain(object)),
  symbol: (object: Any) => Netref.get(object, Symbol.toStringTag as never),
  symbolPath: (object: Any) => Netref.get(Netref.get(object, Symbol.iterator as never), 'x' as never),
  symbolCall: async (object: Any) => {
    const iterator = await (Netref.get(object, Symbol.iterator as never) as Any)()
    return (await iterator.next()).value
  },
  otherSymbolCall: (object: Any) => (Netref.get(object, Symbol.toStringTag as never) as Any)(),
  error: async (object: Any) => {
    try {
      await object()
      return 'no error'
    } catch (error) {
      const { name, message, module, args, attributes, traceback } = error as Any
      return JSON.stringify({
        name,
        message,
        module,
        args,
        attributes,
        traceback,
        isTypeError: error instanceof TypeError
      })
    }
  },
  rethrow: async (object: Any) => {
    await object()
  },
  iterate: async (object: Any, count = Number.POSITIVE_INFINITY) => {
    const items = []
    for await (const item of object) {
      items.push(item)
      if (items.length >= count) break
    }
    return items
  },
  iterator: async (object: Any) => {
    const iterator = await object[Symbol.asyncIterator]()
    const reads = await Promise.all([iterator.next(), iterator.next(), iterator.next()])
    return reads.map(({ done, value }: Any) => (done ? 'done' : value))
  },
  abort: async (object: Any) => {
    const controller = new AbortController()
    const result = Netref.with(object, { signal: controller.signal })()
    setTimeout(() => controller.abort(new RangeError('given up')), 10)
    return await result
  }
}

const raised = (promise: Promise<unknown>) => rejectionOf(promise) as unknown as Promise<RaisedError>
const withPython = (
  t: Parameters<typeof withPeer>[0],
  use: (
    peer: RpycPeer,
    run: (name: keyof typeof operations, object: IdPack, ...args: unknown[]) => Promise<unknown>,
    root: IdPack
  ) => Promise<void>,
  options: Parameters<typeof withPeer>[3] = {}
) =>
  withPeer(
    t,
    Python,
    async (peer, root) => {
      const run = async (name: keyof typeof operations, object: IdPack, ...args: unknown[]) => {
        const boxed = args.map(arg =>
          Array.isArray(arg) && arg.length === 2 && arg[0] === 4 ? (arg as never) : value(arg)
        )
        return (await peer.call(root, 'run', [value(name), own(object), ...boxed]))[1]
      }
      await use(peer, run, root)
    },
    options
  )

/** An object with attributes. */
const objectWith = (peer: RpycPeer, attributes: Record<string, unknown>, className = 'm.C'): IdPack =>
  peer.object(className, (handler, args) => {
    const name = args[1]?.[1] as string
    switch (handler) {
      case Handler.getAttribute:
        if (!Object.hasOwn(attributes, name)) throw exception('AttributeError', `no ${name}`)
        return Array.isArray(attributes[name]) ? (attributes[name] as never) : value(attributes[name])
      case Handler.setAttribute:
        attributes[name] = args[2]![1]
        return value(null)
      case Handler.deleteAttribute:
        delete attributes[name]
        return value(null)
      case Handler.callAttribute: {
        const [first, second] = itemsOf(args[2]!)
        if (name === '__setitem__') attributes[`item ${first}`] = second
        if (name === '__delitem__') delete attributes[`item ${first}`]
        if (name === '__getitem__') return value(`item ${first}`)
        return value(`${name}(${itemsOf(args[2]!)})`)
      }
      case Handler.dir:
        return value(['__class__', '_hidden', ...Object.keys(attributes), 7])
      case Handler.inspect:
        return value([['twice', 'Doubles'], ['plain', null], ['exposed_open', 'Opens'], 5])
    }
    return value(null)
  })

t.test('members of an object of Python', async t => {
  await withPython(t, async (peer, run) => {
    const inner = objectWith(peer, { name: 'inner' }, 'm.Inner')
    const attributes: Record<string, unknown> = { name: 'outer', text: 'abc', inner: own(inner) }
    const object = objectWith(peer, attributes)
    t.equal(await run('typeOf', object), 'object')
    t.equal(await run('get', object, 'name'), 'outer')
    t.equal(await run('get', object, '3'), 'item 3')
    t.equal(await run('getTwo', object, 'inner', 'name'), 'inner')
    t.same(await run('get', object, 'inner'), inner, 'it comes home')
    t.equal(await run('call', object, 'twice', 1, 'a'), 'twice(1,a)')
    t.equal(await run('has', object, 'name'), true)
    t.equal(await run('has', object, 'nothing'), false)
    t.same(await run('keys', object), ['name', 'text', 'inner'])
    await run('set', object, 'name', 'new')
    await run('set', object, '4', 'four')
    t.equal(attributes.name, 'new')
    t.equal(attributes['item 4'], 'four')
    await run('delete', object, '4')
    await run('delete', object, 'name')
    t.same(Object.keys(attributes), ['text', 'inner'])
    t.match(await run('describe', object), /"name":"text","kind":"accessor"/)
    t.equal(await run('obtain', object), '{text:abc,inner:ref}')
    t.match((await raised(run('get', object, 'nothing'))).exceptionClass, ['builtins', 'AttributeError'])
    t.match((await raised(run('symbol', object))).exceptionClass, ['builtins', 'TypeError'])
    t.match((await raised(run('symbolPath', object))).exceptionClass, ['builtins', 'TypeError'])
    t.match((await raised(run('otherSymbolCall', object))).exceptionClass, ['builtins', 'TypeError'])
    t.match((await raised(run('getTwo', object, 'text', 'nothing'))).exceptionClass, [
      'builtins',
      'AttributeError'
    ])
    const failing = peer.object('m.F', () => {
      throw exception('OSError', 'broken')
    })
    t.match((await raised(run('has', failing, 'x'))).exceptionClass, ['builtins', 'OSError'])
    const service = objectWith(peer, { exposed_open: 1, exposed_twice: 2, get_service_name: 3 }, 'm.Service')
    t.same(await run('keys', service), ['open', 'twice'])
    t.same(JSON.parse((await run('describe', service)) as string), [
      { name: 'open', kind: 'function', help: 'Opens' },
      { name: 'twice', kind: 'function', help: 'Doubles' }
    ])
    const odd = peer.object('m.Odd', handler => (handler === Handler.dir ? value(['a']) : value(7)))
    t.match((await raised(run('describe', odd))).message, /RpycProtocolError/)
  })
})

t.test('functions, classes, objects with __call__', async t => {
  await withPython(t, async (peer, run, root) => {
    const calls: unknown[][] = []
    const fn = peer.function((...args) => {
      calls.push(args)
      return value(args.length)
    })
    t.equal(await run('typeOf', fn), 'function')
    t.equal(await run('apply', fn, 1, 'a', null), 3)
    await run('oneway', fn, 'one way')
    t.same(calls, [[1, 'a', null], ['one way']])
    const type = peer.object('m.T', () => value('made'), 0)
    t.equal(await run('construct', type), 'made')
    const callable = peer.object('m.Callable', handler =>
      handler === Handler.inspect ? value([['__call__', null]]) : value('called')
    )
    t.equal(await run('apply', callable), 'called')
    t.equal(await run('typeOf', callable), 'function')
    const inspections = peer.heard.filter(({ handler }) => handler === Handler.inspect)
    t.equal(inspections.length, 1, 'a class is asked about once')
    const second = peer.object('m.Callable', () => value('second'))
    t.equal(await run('apply', second), 'second')
    const silent = peer.object('m.Silent', () => {
      throw exception('AttributeError', 'no __call__')
    })
    t.equal(await run('typeOf', silent), 'object')
    t.equal(
      await run(
        'typeOf',
        peer.object('m.Strange', () => value(7))
      ),
      'object'
    )
    // Two objects of a class that is not known, in one message.
    const twins = [1, 2].map(() => own(peer.object('m.Twin', () => value([['__call__', null]]))))
    t.equal((await peer.call(root, 'plain', [tuple(...twins)]))[1], '[fn,fn]')
    t.match((await raised(run('apply', peer.object('builtins.object')))).exceptionClass, [
      'builtins',
      'TypeError'
    ])
  })
})

t.test('errors of Python, and home again as they were', async t => {
  await withPython(t, async (peer, run) => {
    const failing = (record: unknown) =>
      peer.function(() => {
        throw record
      })
    t.same(JSON.parse((await run('error', failing(exception('KeyError', 'mine')))) as string), {
      name: 'KeyError',
      message: 'mine',
      module: 'builtins',
      args: ['mine'],
      attributes: { errno: 7 },
      isTypeError: false
    })
    const many = JSON.parse((await run('error', failing(exception('ValueError', 1, 2)))) as string)
    t.equal(many.message, '1, 2')
    t.equal(
      JSON.parse((await run('error', failing(exception('TypeError', 'x')))) as string).isTypeError,
      true
    )
    t.equal(JSON.parse((await run('error', failing(1))) as string).name, 'StopIteration')
    t.equal(JSON.parse((await run('error', failing('old'))) as string).message, 'old')
    const bare = [['m', 'E'], [], [], 7]
    t.match(JSON.parse((await run('error', failing(bare))) as string), {
      name: 'E',
      message: '',
      module: 'm'
    })
    const record = exception('KeyError', 'mine', 2) as unknown as readonly unknown[]
    const home = await raised(run('rethrow', failing(record)))
    t.same(home.exceptionClass, ['builtins', 'KeyError'])
    t.same(home.exceptionArgs, ['mine', 2])
    t.same((home.record as unknown as readonly unknown[])[2], [
      ['errno', 7],
      ['_remote_version', '5.3.0']
    ])
    t.equal(await raised(run('rethrow', failing(1))).then(error => error.record), 1)
    t.same((await raised(run('rethrow', failing(exception('ExceptionGroup', 'x'))))).exceptionClass, [
      'netref',
      'ExceptionGroup'
    ])
  })
  await withPython(
    t,
    async (peer, run) => {
      const fn = peer.function(() => {
        throw exception('KeyError', 'x')
      })
      t.match(JSON.parse((await run('error', fn)) as string).traceback, /Traceback/)
      const [, , , text] = (await raised(run('get', fn, '__x'))).record as unknown as string[]
      t.match(text, /\n {4}at /)
    },
    { exposeStacks: true }
  )
})

t.test('iterables of Python', async t => {
  await withPython(t, async (peer, run) => {
    const items = Array.from({ length: 3000 }, (_, n) => value(n))
    const generator = peer.iterable('builtins.generator', items)
    t.same(
      await run('iterate', generator),
      items.map(([, n]) => n)
    )
    const batches = peer.heard.filter(({ handler }) => handler === Handler.buffiter)
    t.ok(batches.length < 1000, `${batches.length} batches`)
    t.same(await run('iterate', generator, 2), [0, 1])
    t.same(
      await run(
        'iterator',
        peer.iterable('builtins.generator', [value(1), own(peer.iterable('builtins.list', [value(2)]))])
      ),
      [1, [2], 'done']
    )
    t.equal(await run('symbolCall', generator), 0)
    const broken = peer.object('builtins.generator', (handler, args) => {
      if (handler === Handler.callAttribute) return own(broken)
      throw exception('OSError', `broken after ${args[1]![1]}`)
    })
    t.match((await raised(run('iterate', broken))).exceptionClass, ['builtins', 'OSError'])
    const notIterable = peer.object('builtins.object', () => {
      throw exception('AttributeError', 'no __iter__')
    })
    t.match((await raised(run('iterate', notIterable))).exceptionClass, ['builtins', 'AttributeError'])
  })
})

t.test('plain data is copied where it is an argument or the result of a call', async t => {
  await withPython(t, async (peer, run, root) => {
    const plain = async (pack: IdPack) => (await peer.call(root, 'plain', [own(pack)]))[1]
    const list = (...items: Boxed[]) => peer.iterable('builtins.list', items)
    t.equal(
      await plain(list(value(1), own(list(value('a'))), tuple(value(2), own(list())))),
      '[1,[a],[2,[]]]'
    )
    t.equal(await plain(peer.iterable('builtins.set', [value(1)])), 'Set{1}')
    t.equal(
      await plain(peer.iterable('builtins.frozenset', [tuple(own(peer.function(() => value(1))))])),
      'Set{[fn]}'
    )
    t.equal(
      await plain(
        peer.dict([
          [value('a'), value(1)],
          [value('__proto__'), own(list())]
        ])
      ),
      '{a:1,__proto__:[]}'
    )
    t.equal(
      await plain(
        peer.dict([
          [value(1), value('a')],
          [value('b'), value(2)]
        ])
      ),
      'Map{1:a,b:2}'
    )
    t.equal(await plain(peer.dict([[value('a'), own(list(value(5)))]], false)), '{a:[5]}', 'without items')
    t.equal(await plain(peer.dict([])), '{}')
    const shared = list(value(1))
    t.equal(
      await plain(list(own(shared), own(shared), own(peer.dict([[value('x'), own(shared)]])))),
      '[[1],[1],{x:[1]}]'
    )
    const late = peer.object('m.New', () => value([]))
    t.equal(
      await plain(
        peer.dict([
          [value('z'), own(late)],
          [value('y'), value(1)]
        ])
      ),
      '{z:ref,y:1}',
      'in order'
    )
    t.equal(await plain(peer.dict([[own(late), value(1)]])), 'Map{ref:1}')
    const many = Array.from({ length: 2300 }, (_, n) =>
      n % 1000 === 7 ? tuple(own(list()), value(n)) : value(n)
    )
    t.equal(
      ((await plain(list(...many))) as string).length,
      show(many.map(([, n]) => (Array.isArray(n) ? [[], 7] : n))).length + 6
    )
    for (const name of [
      'builtins.list',
      'builtins.set',
      'builtins.dict',
      'builtins.dict_items',
      'builtins.list_iterator'
    ])
      t.equal(peer.givenBack(name), receivedOf(peer, name), `all of ${name} are given back`)
    const fn = peer.function(() => own(list(value(1), value(2))))
    t.same(await run('apply', fn), [1, 2], 'the result of a call')
    const object = objectWith(peer, { list: own(list(value(1))) }, 'm.Holder')
    const read = (await run('get', object, 'list')) as IdPack
    t.equal(read[0], 'builtins.list', 'what is read as an attribute is not copied')
  })
})

/** Number of references to objects of a class that the peer has sent so far. */
function receivedOf(peer: RpycPeer, name: string): number {
  return peer.sent.filter(([one]) => one === name).length
}

t.test(
  'a message that is not complete holds up those after it, but not the answers that it waits for',
  async t => {
    await withPython(t, async (peer, _run, root) => {
      peer.hold()
      const list = peer.iterable('builtins.list', [value(0)])
      const first = peer.call(root, 'note', [own(list)])
      const rest = [1, 2, 3].map(n => peer.call(root, 'note', [value(n)]))
      const inspected = await peer.ask(Handler.inspect, value(root))
      t.ok(inspected, 'a description does not wait')
      const second = peer.call(root, 'note', [own(peer.object('m.Unknown', () => value([])))])
      const last = peer.call(root, 'note', [value(4)])
      t.equal(peer.heard.length, 1, 'the rest of the list')
      peer.answer()
      await Promise.all([first, ...rest, second, last])
      const noted = itemsOf(await peer.call(root, 'noted'))
      t.equal(noted.length, 6)
      t.same(
        noted.slice(0, 4),
        [[1, [0]], 1, 2, 3].map(n => (Array.isArray(n) ? [0] : n))
      )
      t.equal(noted[5], 4)
    })
  }
)

t.test('netrefs to objects of Python: identity, and their release', async t => {
  await withPython(t, async (peer, _run, root) => {
    const object = peer.object('m.Kept', () => value([]))
    await peer.call(root, 'keep', [own(object)])
    await peer.call(root, 'keep', [own(object)])
    t.same(await peer.call(root, 'kept'), [3, object], 'it comes home')
    await peer.call(root, 'keep', [value(null)])
    const isReleased = () => {
      ;(globalThis as unknown as { gc(): void }).gc()
      return peer.givenBack('m.Kept') === 2
    }
    await waitUntil(isReleased, 'both references are given back')
  })
})

t.test('limits of plain data and of netrefs', async t => {
  await withPython(
    t,
    async (peer, _run, root) => {
      const plain = (pack: IdPack) => peer.call(root, 'plain', [own(pack)])
      let deep = peer.iterable('builtins.list', [])
      for (let depth = 0; depth < 30; depth++) deep = peer.iterable('builtins.list', [own(deep)])
      t.same((await raised(plain(deep))).exceptionClass, ['netref', 'LimitError'])
      const long = peer.iterable(
        'builtins.list',
        Array.from({ length: 6000 }, () => value(1))
      )
      t.same((await raised(plain(long))).exceptionClass, ['netref', 'LimitError'])
      const functions = () => peer.function(() => value(1))
      const many = tuple(...Array.from({ length: 20 }, () => own(functions())))
      t.same((await raised(peer.call(root, 'plain', [many]))).exceptionClass, ['netref', 'LimitError'])
    },
    { limits: { depth: 20, jsonBytes: 8192, imports: 10 } }
  )
})

t.test('copies: false leaves lists and dicts at Python', async t => {
  await withPython(
    t,
    async (peer, run, root) => {
      const list = peer.iterable('builtins.list', [value(1), value(2)])
      t.equal((await peer.call(root, 'plain', [own(list)]))[1], 'ref')
      t.same(await run('iterate', list), [1, 2])
      const dict = peer.dict([[value('a'), value(1)]])
      t.equal(await run('obtain', list), '[1,2]')
      t.equal(await run('obtain', dict), '{a:1}')
      const cycle: Boxed[] = []
      const pack = peer.iterable('builtins.list', cycle)
      cycle.push(own(pack))
      t.equal((await raised(run('obtain', pack))).message.length > 0, true)
    },
    { rpyc: { copies: false } }
  )
})

t.test('a cycle of plain data is copied', async t => {
  const service = { isCycle: (list: unknown[]) => list[0] === list }
  await withPeer(t, service, async (peer, root) => {
    const items: Boxed[] = []
    const list = peer.iterable('builtins.list', items)
    items.push(own(list))
    t.same(await peer.call(root, 'isCycle', [own(list)]), value(true))
  })
})

t.test('an object that holds plain data is obtained with it', async t => {
  await withPython(t, async (peer, run) => {
    const object = objectWith(peer, {
      list: own(peer.iterable('builtins.list', [value(1)])),
      fn: own(peer.function(() => value(1)))
    })
    t.equal(await run('obtain', object), '{list:[1]}')
  })
})

t.test('calls that Python has not answered fail when it goes, or when their caller gives up', async t => {
  await withPython(t, async (peer, run) => {
    const silent = peer.function(() => new Promise(() => {}))
    t.same((await raised(run('abort', silent))).exceptionArgs, ['given up'])
    const pending = run('apply', silent)
    const list = peer.object('builtins.list', () => new Promise(() => {}))
    const copying = run('typeOf', list)
    await waitUntil(() => peer.heard.length >= 3)
    await peer.close()
    t.match(await rejectionOf(pending), /closed/)
    t.match(await rejectionOf(copying), /closed/)
  })
})

t.test('answers of another form fail what they answer', async t => {
  await withPython(t, async (peer, _run, root) => {
    const plain = (pack: IdPack) => raised(peer.call(root, 'plain', [own(pack)]))
    t.match((await plain(peer.object('builtins.list', () => value(7)))).message, /RpycProtocolError/)
    t.match((await plain(peer.object('builtins.dict', () => value(7)))).message, /RpycProtocolError/)
    const oddItems = peer.object('builtins.dict', () =>
      own(peer.iterable('builtins.dict_items', [value([1])]))
    )
    t.match((await plain(oddItems)).message, /RpycProtocolError/)
    const broken = peer.object('builtins.dict', () => {
      throw exception('OSError', 'broken')
    })
    t.match((await plain(broken)).exceptionClass, ['builtins', 'OSError'])
    const own3 = peer.function(() => [3, ['a', 1, 99]])
    t.match((await raised(peer.call(root, 'run', [value('apply'), own(own3)]))).exceptionClass, [
      'builtins',
      'KeyError'
    ])
  })
})

t.test('what brine has and JavaScript has not', async t => {
  await withPython(t, async (peer, run, root) => {
    const plain = async (it: unknown) => (await peer.call(root, 'plain', [value(it)]))[1]
    t.equal(await plain(new BrineComplex(1, 2)), '{real:1,imag:2}')
    t.equal(await plain(new BrineSlice(1, [2], null)), '{start:1,stop:[2],step:null}')
    t.match(
      (
        await raised(
          run(
            'applyPromise',
            peer.function(() => value(1))
          )
        )
      ).exceptionClass,
      ['builtins', 'TypeError']
    )
  })
})

t.test('a loop over a generator of a client that goes', async t => {
  await withPython(t, async (peer, run) => {
    const generator = peer.object('builtins.generator', (handler, args) => {
      if (handler === Handler.callAttribute) return own(generator)
      return args[1]![1] === 1 ? value([1]) : new Promise(() => {})
    })
    const looping = run('iterate', generator)
    await waitUntil(() => peer.heard.filter(({ handler }) => handler === Handler.buffiter).length >= 2)
    await peer.close()
    t.match(await rejectionOf(looping), /closed/)
  })
})
