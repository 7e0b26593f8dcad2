// Reproduces faults of other libraries over real sockets: netref must not have them. It also sends the frames of a
// hostile peer one by one.
// biome-ignore-all lint/suspicious/noProto: that is what is tried
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { mock } from 'node:test'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import {
  connect,
  expose,
  Netref as Helpers,
  type Server,
  Service,
  type Session,
  serve
} from '../../lib/index.js'
import { useFakeClock } from '../support/fake-clock.js'
import { assertClean, overSocket, rejectionOf, waitUntil } from '../support/helpers.js'

declare const gc: () => void
// biome-ignore lint/suspicious/noExplicitAny: most of this is not what types allow
type Untyped = any
const netref = Helpers as Record<keyof typeof Helpers, Untyped>

class Thing {
  field = 1
  method() {
    return this.field
  }
}

/** Names that other libraries reserve. */
const ODD = 'map dup then catch finally toString toJSON release name length'.split(' ')

/** A service with members of every kind. */
class World extends Service {
  hidden = 1
  exposed_thing = new Thing()
  exposed_odd = expose(Object.fromEntries(ODD.map(name => [`exposed_${name}`, () => name])))
  exposed_list = [{ n: 1 }, { n: 2 }]
  exposed_callbacks: Untyped[] = []
  exposed_log: unknown[] = []
  readonly resolvers: ((value: unknown) => void)[] = []
  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_echo(value: unknown) {
    return value
  }
  exposed_get() {
    return this.exposed_thing
  }
  exposed_keep(...callbacks: Untyped[]) {
    this.exposed_callbacks.push(...callbacks)
    return this.exposed_callbacks.length
  }
  exposed_drop() {
    this.exposed_callbacks.length = 0
  }
  async exposed_tell(...args: unknown[]) {
    return Promise.all(this.exposed_callbacks.map(callback => callback(...args)))
  }
  exposed_note(_: unknown, n: number) {
    this.exposed_log.push(n)
    return n
  }
  exposed_notes() {
    return this.exposed_log
  }
  exposed_never() {
    return new Promise(resolve => this.resolvers.push(resolve))
  }
}

type Use = (t: Test, root: Untyped, session: Session, home: World, server: Server) => Promise<void>
/** Defines a fault; `use` shows that netref does not have it. */
const fault = (name: string, use: Use, client = {}, serving = {}) =>
  t.test(name, async t => {
    const home = new World()
    await overSocket(
      t,
      home,
      async (conn, server) => {
        await conn.ping()
        await use(t, conn.root, conn.session, home, server)
      },
      {
        client,
        server: serving
      }
    )
  })
const refused = async (t: Test, promise: PromiseLike<unknown>) =>
  t.match(await rejectionOf(promise), { code: 'not-exposed' })
const clean = (t: Test) => t.equal(({} as Untyped).polluted, undefined, 'no prototype has changed')

// capnweb

fault('the same object twice is ===', async (t, root, _session, home, { sessions }) => {
  const [a, b] = await Promise.all([root.get(), root.thing])
  t.equal(a, b)
  t.equal(await root.get(), a)
  t.same(await root.echo([a, { b: a }]), [a, { b: a }])
  const mine = new Thing()
  await root.keep(mine, mine)
  t.equal(home.exposed_callbacks[0], home.exposed_callbacks[1])
  t.equal([...sessions][0]!.stats.exports, 1, 'one entry, however often it is sent')
  await root.drop()
})

fault('sent home it is the original, and so is its echo', async (t, root, _session, home) => {
  const [thing, fn] = [new Thing(), () => {}]
  t.equal(await root.echo(thing), thing)
  t.equal(await root.echo(fn), fn)
  const echoed = (await root.echo({ deep: [new Map([['k', thing]])] })) as { deep: [Map<string, Thing>] }
  t.equal(echoed.deep[0].get('k'), thing)
  await root.keep(await root.get())
  t.equal(home.exposed_callbacks[0], home.exposed_thing)
  await root.drop()
})

fault('a callback kept past the call lives, idle or not', async (t, root, session, home) => {
  const seen: unknown[] = []
  await root.keep((line: string) => seen.push(line))
  gc()
  await session.ping()
  gc()
  t.same(await root.tell('one'), [1])
  await home.exposed_callbacks[0]('two')
  home.exposed_callbacks[0]('three')
  await waitUntil(() => seen.length === 3)
  t.same(seen, ['one', 'two', 'three'])
  await root.drop()
})

fault('what is forgotten is let go, what is held is not', async (t, root, _session, _home, { sessions }) => {
  const [served] = sessions
  const held = await root.get()
  await root.echo([() => {}, new Thing()]).then(() => {})
  for (let i = 0; i < 10; i++) await root.echo(() => i)
  await waitUntil(() => {
    gc()
    return served!.stats.imports === 0
  })
  t.equal(served!.stats.exports, 1)
  await refused(t, held.method())
})

fault('class, name, code, cause and fields of errors are kept', async (t, root) => {
  class PaymentError extends Error {
    override name = 'PaymentError'
    code = 'E_PAY'
    amount = 5
  }
  const thrower = () => {
    throw new PaymentError('no money', { cause: new RangeError('the cause') })
  }
  await root.keep(thrower)
  const error = await rejectionOf(root.tell())
  t.match(error, { name: 'PaymentError', message: 'no money', code: 'E_PAY', amount: 5 })
  t.ok(error.cause instanceof RangeError)
  const { errors } = (await root.echo(new AggregateError([new TypeError('a')], 'all'))) as AggregateError
  t.ok(errors[0] instanceof TypeError)
  await root.drop()
})

fault('bad arguments reject and never throw synchronously', async (t, root, session) => {
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const bad = [Symbol('s'), new WeakMap(), Promise.resolve(), process, session, { deep: [Symbol('s')] }]
  for (const value of [...bad, revoked.proxy]) {
    let call: PromiseLike<unknown> | undefined
    t.doesNotThrow(() => {
      call = root.echo(1, value)
    })
    t.ok(await rejectionOf(call!))
  }
  t.match(await rejectionOf(root.echo({ user: { tag: Symbol('s') } })), {
    name: 'UnsendableError',
    message: /^root\.echo\(\{…\}\): args\[0\]\.user\.tag is Symbol\(s\), which cannot be sent/
  })
  t.equal(await root.add(1, 2), 3)
})

fault('an async iterable, an iterator, a stream never arrives as {}', async (t, root) => {
  async function* generator() {
    yield 1
  }
  for (const value of [generator(), [1].values(), ReadableStream.from([1])]) {
    const items = []
    for await (const item of root.echo(value)) items.push(item)
    t.same(items, [1])
  }
  const aborted = AbortSignal.abort('it')
  t.equal(await root.echo(aborted), aborted)
})

fault(
  'one bad value, or one too large, rejects one call',
  async (t, root, session) => {
    const large = 'x'.repeat(20_000)
    const [symbol, tooLarge, ok] = [root.echo(Symbol('s')), root.echo(large), root.add(1, 2)]
    t.match(await rejectionOf(symbol), { code: 'unsendable' })
    t.match(await rejectionOf(tooLarge), { code: 'limit' })
    t.match(await rejectionOf(root.echo(new Uint8Array(200_000))), { code: 'limit' })
    t.equal(await ok, 3)
    await root.keep(() => large)
    t.match(await rejectionOf(root.tell()), { code: 'limit' }, 'a result')
    await root.drop()
    t.equal(await root.add(1, 2), 3)
    t.equal(session.stats.pending, 0)
  },
  { limits: { jsonBytes: 10_000, frameBytes: 100_000 } },
  { limits: { jsonBytes: 10_000, frameBytes: 100_000 } }
)

fault('a call is two frames; a chain, or many calls of one tick, at most four', async (t, root, session) => {
  await root.add(1, 2)
  const frames = () => session.stats.framesIn + session.stats.framesOut
  const framesOf = async (use: () => PromiseLike<unknown>) => {
    const before = frames()
    await use()
    return frames() - before
  }
  t.equal(await framesOf(() => root.add(1, 2)), 2)
  t.equal(await framesOf(() => root.list[1].n), 2, 'a path is one message')
  t.ok((await framesOf(() => rejectionOf(root.get().method().x.y()))) <= 4, 'and so is a chain')
  t.ok((await framesOf(() => Promise.all(Array.from({ length: 100 }, (_, i) => root.add(i, i))))) <= 4)
})

fault('members named map, dup, then, toString, release, name, length are reachable', async (t, root) => {
  const { odd } = root
  for (const ref of [odd, await odd]) {
    for (const name of ODD) t.equal(await netref.get(ref, name)(), name)
    for (const name of ODD.filter(name => !['then', 'toJSON'].includes(name)))
      t.equal(await ref[name](), name)
  }
})

fault('typeof is truthful, so a netref can be told from a function', async (t, root) => {
  t.equal(typeof root, 'object')
  t.equal(typeof (await root.get()), 'object')
  await root.keep(() => 1)
  t.equal(typeof (await root.callbacks)[0], 'function')
  await root.drop()
})

// RPyC

fault('pipelined calls with by-reference arguments run in order', async (t, root) => {
  const calls = [0, 1, 2, 3, 4].map(n =>
    root.note(n % 2 ? [new Thing(), root.list] : [() => n, Symbol('s')], n).catch(() => n)
  )
  await Promise.all(calls)
  t.same(await root.notes(), [1, 3], 'the values that could be sent')
  await Promise.all([5, 6, 7, 8, 9].map(n => root.note(n % 2 ? new Thing() : { fn: () => n }, n)))
  t.same(await root.notes(), [1, 3, 5, 6, 7, 8, 9])
})

fault('every operation passes the one check', async (t, root) => {
  for (const ref of [root, root.get(), await root.get(), root.thing]) {
    for (const name of ['hidden', 'field', 'method', '_x', 'constructor']) {
      const member = netref.get(ref, name) as Untyped
      for (const promise of [
        member,
        member(),
        new member(),
        netref.set(ref, name, 1),
        netref.delete(ref, name),
        netref.keys(member),
        netref.has(member, 'x'),
        member.toString()
      ])
        await refused(t, promise)
      t.equal(await netref.has(ref, name), false)
    }
    t.notOk((await netref.keys(ref)).includes('hidden'))
  }
})

fault('data goes by value: its items are not asked for one by one', async (t, root, session) => {
  const list = await root.list
  const { framesOut } = session.stats
  let sum = 0
  for (const { n } of list) sum += n
  t.equal(sum, 3)
  t.equal(session.stats.framesOut, framesOut)
})

fault('64 kB do not wait for Nagle', async (t, root) => {
  const bytes = new Uint8Array(64 << 10)
  await root.echo(bytes)
  const began = performance.now()
  for (let i = 0; i < 20; i++) await root.echo(bytes)
  t.ok(performance.now() - began < 20 * 40, 'an echo takes less than a delayed acknowledgement')
})

fault('no call times out unless asked', async (t, root, session, home) => {
  const call = root.never()
  await session.ping()
  useFakeClock(t, ['setTimeout', 'setInterval'])
  mock.timers.tick(24 * 60 * 60 * 1000)
  home.resolvers[0]!('late')
  t.equal(await call, 'late')
})

fault('looking at a proxy sends nothing and throws nothing', async (t, root, session) => {
  const thing = await root.get()
  const { framesOut } = session.stats
  for (const ref of [root, thing, root.some.path, () => root]) {
    inspect(ref, { depth: 5, showProxy: true })
    inspect(ref)
    String(ref)
    JSON.stringify({ ref })
    Object.keys(ref)
    Reflect.ownKeys(ref)
    t.equal('x' in ref, false)
    t.type(`${ref}`, 'string')
    Object.getOwnPropertyDescriptor(ref, 'x')
    t.equal(ref instanceof Thing, false)
    t.same({ ...ref }, {})
  }
  t.equal(session.stats.framesOut, framesOut)
})

// Comlink

fault('api.constructor.constructor runs no code', async (t, root) => {
  const code = 'globalThis.ran = true'
  for (const ref of [root, root.add, root.get(), await root.get(), await root.add, root.list, root.list[0]]) {
    await refused(t, ref.constructor.constructor(code)())
    await refused(t, ref.constructor.constructor(code))
    await refused(t, new ref.constructor(code))
    await refused(t, new ref.constructor.constructor(code))
    await refused(t, ref.__proto__.constructor.constructor(code))
  }
  t.equal((globalThis as Untyped).ran, undefined)
})

fault('what fails to be set is seen to fail', async (t, root) => {
  const thing = await root.get()
  for (const ref of [root, thing, root.thing]) {
    t.throws(() => (ref.field = 2), {
      name: 'TypeError',
      message: /await Netref\.set\(ref, "field", value\)/
    })
    t.throws(() => delete ref.field, { name: 'TypeError', message: /Netref\.delete/ })
    await refused(t, netref.set(ref, 'field', 2))
  }
  t.equal(await root.thing.method().catch(() => 'refused'), 'refused')
})

t.test('pending calls reject on close, on both ends, with the reason', async t => {
  const home = new World()
  for (const end of ['client', 'server', 'socket'] as const) {
    const sockets: Socket[] = []
    const http = createServer().on('connection', socket => sockets.push(socket))
    await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
    const server = await serve(home, { server: http, resumeWindow: 0 })
    const conn = connect<World>(server.url)
    const root = conn.root as Untyped
    await root.keep(() => new Promise(() => {}))
    const calls = [root.never(), root.never().then(), root.tell('x'), root.never().a.b()].map(rejectionOf)
    const theirs = rejectionOf(home.exposed_callbacks[0]())
    await conn.ping()
    home.exposed_callbacks = []
    const [served] = server.sessions as Set<Session>
    if (end === 'client') await conn.close()
    else if (end === 'server') await server.close()
    else for (const socket of sockets) socket.destroy()
    const code = { client: 'closed', server: 'server-closed', socket: 'connection-lost' }[end]
    t.equal((await conn.closed).code, code)
    t.equal((await served!.closed).code, code)
    for (const error of [...(await Promise.all(calls)), await theirs]) {
      t.match(error, {
        name: 'SessionEndedError',
        code,
        message: /^[^:]+: the session has ended \([a-z-]+\): ./
      })
    }
    t.match(await rejectionOf(root.add(1, 2)), { code }, 'and so does every later call')
    await assertClean(t, conn.session, served!)
    await server.close()
    http.close()
  }
})

// kkrpc

fault(
  'remote.__proto__.polluted = 1 does not pollute',
  async (t, root) => {
    for (const ref of [root, root.thing, root.list, root.list[0], root.add, await root.get()]) {
      t.throws(() => (ref.__proto__.polluted = 1))
      await refused(t, netref.set(ref.__proto__, 'polluted', 1))
      await refused(t, netref.set(ref, '__proto__', { polluted: 1 }))
      await refused(t, netref.set(ref.constructor.prototype, 'polluted', 1))
      await refused(t, netref.set(ref.constructor, 'polluted', 1))
    }
    const bad = JSON.parse('{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}')
    const echoed = await root.echo([bad, new Map([['k', bad]]), Object.assign(new Error('e'), { bad })])
    t.same(Object.keys(echoed[0]), ['__proto__', 'constructor'], 'data is data')
    t.equal(Object.getPrototypeOf(echoed[0]), Object.prototype)
    clean(t)
  },
  {},
  { allowPublicAttrs: true, allowSetAttrs: true, allowDeleteAttrs: true }
)

fault('a release that crosses a re-send does not free', async (t, root, _session, home) => {
  let calls = 0
  const callback = () => ++calls
  for (let i = 0; i < 50; i++) {
    const kept = root.keep(callback)
    await kept
    netref.release(home.exposed_callbacks.pop())
    const again = root.keep(callback)
    await again
    await root.tell()
    home.exposed_callbacks.length = 0
  }
  t.ok(calls >= 50)
})

// birpc

fault('rpc.valueOf does not kill the server', async (t, root) => {
  for (const name of ['valueOf', 'toString', 'hasOwnProperty', '__defineGetter__']) {
    for (const ref of [root, root.add, root.get(), root.list, await root.get(), await root.add]) {
      await refused(t, ref[name]('x'))
      await refused(t, ref[name].call('x'))
    }
  }
  t.equal(await root.add(1, 2), 3)
})

// StreamJsonRpc

fault(
  'calls of both directions have the same numbers and are not confused',
  async (t, root, session, home) => {
    await root.keep((n: number) => `client ${n}`)
    const [ours, theirs] = await Promise.all([
      Promise.all(Array.from({ length: 50 }, (_, i) => root.echo(`server ${i}`))),
      Promise.all(Array.from({ length: 50 }, (_, i) => home.exposed_callbacks[0](i)))
    ])
    t.same(
      ours,
      Array.from({ length: 50 }, (_, i) => `server ${i}`)
    )
    t.same(
      theirs,
      Array.from({ length: 50 }, (_, i) => `client ${i}`)
    )
    t.equal(session.stats.pending, 0)
    await root.drop()
  }
)

// Pyro5, captp

fault('what was given is freed when nobody holds it', async (t, root) => {
  let callback: (() => void) | undefined = () => {}
  const weak = new WeakRef(callback)
  await root.keep(callback)
  callback = undefined
  await new Promise(setImmediate)
  gc()
  t.ok(weak.deref(), 'it stays exported while the peer holds it')
  await root.drop()
  await waitUntil(() => {
    gc()
    return weak.deref() === undefined
  })
})

// A hostile peer.

const HELLO = [0, 1, { jsonBytes: 1 << 20, frameBytes: 1 << 20, depth: 200, values: 1000 }]

/** A client that speaks WebSocket, but not netref. */
async function rawClient(server: Server) {
  const socket = new WebSocket(server.url)
  const frames: string[] = []
  const closed = new Promise<{ code: number; text: string }>(resolve => {
    socket.on('close', (code, text) => resolve({ code, text: String(text) }))
  })
  // A pure acknowledgement is not a message.
  socket.on('message', data => JSON.parse(String(data)).length > 1 && frames.push(String(data)))
  socket.on('error', () => {})
  await new Promise(resolve => socket.on('open', resolve))
  return {
    socket,
    frames,
    closed,
    send: (...messages: unknown[]) => socket.send(JSON.stringify([frames.length, messages])),
    async hello(limits = HELLO) {
      this.send(limits)
      await waitUntil(() => frames.length === 1)
    }
  }
}

const binary = (length: number, json: string | Uint8Array, ...bytes: number[]) => {
  const text = Buffer.from(json as string)
  const header = Buffer.alloc(8)
  header.writeUInt32BE(length < 0 ? text.length : length)
  return Buffer.concat([header, text, Buffer.alloc(-text.length & 7), Buffer.from(bytes)])
}
const call = (id: number, target: unknown, path: unknown, ...rest: unknown[]) =>
  JSON.stringify([1, [[1, id, target, path, ...rest]]])
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const LIMITS = { jsonBytes: 10_000, frameBytes: 20_000, depth: 50 }

/** Frames after a valid hello, and the error they cause. */
const badFrames: Record<string, [frame: string | Uint8Array, means: RegExp]> = {
  'no JSON': ['{', /^protocol: it received a frame that is not JSON/],
  nothing: ['', /^protocol: .* not JSON/],
  'no array': ['{}', /^protocol: it received a frame that is not \[received, messages\]/],
  null: ['null', /^protocol: /],
  'no messages': ['[1,{}]', /^protocol: /],
  'a count with too much': ['[1,1,1]', /^protocol: /],
  'a binary count': [binary(-1, '[1]'), /^protocol: /],
  'a count alone of frames never sent': [
    '[7]',
    /^protocol: it received an acknowledgement of 7 frames, but 1 were sent/
  ],
  'a socket that would carry on what it is': ['["resume","1.x",1]', /^protocol: /],
  'a negative count': ['[-1,[]]', /^protocol: /],
  'a broken count': ['[1.5,[]]', /^protocol: /],
  'a count of frames never sent': ['[7,[]]', /^protocol: it received an acknowledgement of /],
  'a message that is none': ['[1,[5]]', /^protocol: it received a message that is not of the protocol/],
  'an unknown operation': ['[1,[[99,1]]]', /^protocol: /],
  'an operation of Object.prototype': ['[1,[["constructor",1]]]', /^protocol: /],
  'a call without a path': ['[1,[[1,1,0]]]', /^protocol: /],
  'a call without arguments': [call(1, 0, 'add'), /^protocol: /],
  'arguments that are no array': [call(1, 0, 'add', { length: 1e9 }), /^protocol: /],
  'a call too long': [call(1, 0, 'add', [], [], 1), /^protocol: /],
  'a target that is no number': [call(1, 'add', 'add', []), /^protocol: /],
  'a path of numbers': [call(1, 0, [0], []), /^protocol: /],
  'a symbol of no kind': [call(1, 0, [['constructor', 'x']], []), /^protocol: /],
  'a second hello': [
    JSON.stringify([1, [HELLO]]),
    /^protocol: it received a second hello, or another message before the hello/
  ],
  'a skipped call': [call(2, 0, 'add', [1, 2]), /^protocol: it received call 2 after call 0/],
  'a call twice': ['[1,[[8,1],[8,1]]]', /^protocol: it received call 1 after call 1/],
  'a reply to no call': ['[1,[[10,1,5]]]', /^protocol: it received a reply to call 1, which/],
  'an error to no call': ['[1,[[11,1,5]]]', /^protocol: it received a reply to call 1/],
  'a refusal to no call': ['[1,[[12,1,"released",""]]]', /^protocol: it received a reply to call 1/],
  'a refusal of no kind': ['[1,[[12,1,"constructor",""]]]', /^protocol: /],
  'a release of what was never given': ['[1,[[13,7,1]]]', /^protocol: .*reference 7, which was never sent/],
  'half a release': ['[1,[[13,7]]]', /^protocol: /],
  'a release of nothing': ['[1,[[13]]]', /^protocol: /],
  'a release of no receipts': ['[1,[[13,1,0]]]', /^protocol: .*not of the protocol/],
  'a negative release': ['[1,[[13,1,-1]]]', /^protocol: /],
  'a call of what was never given': [call(1, 7, 'add', []), /^protocol: .*reference 7, which was never sent/],
  'an answer of a call to come': [
    call(1, -1, 'add', []),
    /^protocol: it received a call on the result of call 1, which was not made/
  ],
  'a reference home never given': [
    call(1, 0, 'add', [7], [['h', [0]]]),
    /^protocol: .*7, which was never sent/
  ],
  'a reference without an id': [call(1, 0, 'add', [{}], [['o', [0]]]), /^protocol: it received a reference/],
  'an unknown kind': [
    call(1, 0, 'add', [1], [['constructor', [0]]]),
    /^protocol: it received the unknown type tag/
  ],
  'a path that does not exist': [
    call(1, 0, 'add', [1], [['Date', [5]]]),
    /^protocol: it received a path that does not exist/
  ],
  'a path to a prototype': [
    call(1, 0, 'add', [{}], [['Date', [0, '__proto__']]]),
    /^protocol: .*path that does not exist/
  ],
  'a path to a method': [
    call(1, 0, 'add', [[]], [['Date', [0, 'push']]]),
    /^protocol: .*path that does not exist/
  ],
  'a Map that is none': [call(1, 0, 'add', [5], [['m', [0]]]), /^protocol: it received a Map/],
  'an error that is none': [call(1, 0, 'add', [5], [['e', [0]]]), /^protocol: it received an error/],
  'bytes that are not there': [call(1, 0, 'add', [[0, 'Uint8Array']], [['b', [0]]]), /^protocol: .*bytes/],
  'a text frame with sizes of bytes': [
    '[1,[],[[0,4]]]',
    /^protocol: it received a text frame with sizes of bytes/
  ],
  'too much JSON': [
    call(1, 0, 'add', ['x'.repeat(10_000)]),
    /^limit: it received a frame of more than 10000/
  ],
  'too much of a frame': [new Uint8Array(50_000), /^$/],
  'too deep': [`[1,[[1,1,0,"add",[${nested(100)}]]]]`, /^limit: it received a frame nested deeper than 50/],
  'far too deep': [`[1,[[1,1,0,"add",[${nested(4900)}]]]]`, /^limit: /],
  'a short binary frame': [new Uint8Array(3), /^protocol: .*header/],
  'a binary frame whose header gives a wrong length': [
    binary(1000, '[1,[],[]]'),
    /^protocol: .*header gives a wrong length/
  ],
  'a binary frame that is not UTF-8': [binary(2, Buffer.from([0xff, 0xfe])), /^protocol: .*not UTF-8/],
  'a binary frame without sizes': [binary(-1, '[1,[]]'), /^protocol: .*without sizes/],
  'a binary frame with invalid sizes': [binary(-1, '[1,[],[[0,4]]]'), /^protocol: .*invalid sizes/],
  'a binary frame that is too short': [binary(-1, '[1,[[8,1]],[[0,64]]]', 1, 2), /^protocol: .*shorter/]
}

t.test('a malformed frame ends its session on both ends, and no other session', async t => {
  const errors: unknown[] = []
  const home = new World()
  const server = await serve(home, { port: 0, limits: LIMITS, onError: error => errors.push(error) })
  const conn = connect<World>(server.url)
  const bystander = conn.root as Untyped
  await bystander.add(1, 2)
  for (const [what, [frame, means]] of Object.entries(badFrames)) {
    const client = await rawClient(server)
    let session: Session | undefined
    const off = server.on('session', begun => {
      session = begun
    })
    await client.hello()
    off()
    client.socket.send(frame)
    const { code, text } = await client.closed
    const reason = await session!.closed
    const isLimit = reason.code === 'limit'
    t.match(text, means, what)
    t.equal(code, isLimit ? 1009 : 1002)
    t.ok(isLimit || reason.code === 'protocol', reason.message)
    t.same([session!.stats.exports, session!.stats.imports, session!.stats.pending], [0, 0, 0])
    t.equal(await bystander.add(1, 2), 3)
  }
  t.same([...server.sessions].length, 1, 'no other session ended')
  clean(t)
  t.same(errors, [])
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await server.close()
})

t.test('before its hello a client can send nothing, and only a supported version', async t => {
  const server = await serve(new World(), { port: 0, onError: error => t.fail(String(error)) })
  const bad: Record<string, [hello: unknown[], code: number, means: RegExp]> = {
    'a call': [
      [[1, 1, 0, 'add', [1, 2]]],
      1002,
      /^protocol: it received a second hello, or another message before the hello/
    ],
    'a reply': [[[10, 1]], 1002, /^protocol: /],
    'a ping': [[[8, 1]], 1002, /^protocol: /],
    'another version': [
      [[0, 2, HELLO[2]]],
      4000,
      /^version: it received version 2 of the protocol, but this/
    ],
    'no version': [[[0, 'constructor', HELLO[2]]], 1002, /^protocol: /],
    'no limits': [[[0, 1, null]], 1002, /^protocol: /],
    'limits that are none': [
      [[0, 1, { jsonBytes: '1', frameBytes: -1, depth: 0.5, values: -1 }]],
      1002,
      /^protocol: /
    ]
  }
  for (const [what, [messages, code, means]] of Object.entries(bad)) {
    const client = await rawClient(server)
    client.send(...messages)
    const closed = await client.closed
    t.equal(closed.code, code, what)
    t.match(closed.text, means)
    t.same(client.frames, [], 'it gets no information')
  }
  t.equal(server.sessions.size, 0)
  await server.close()
})

t.test('a client with tiny limits ends its session, not the server', async t => {
  const server = await serve(new World(), { port: 0, resumeWindow: 0 })
  for (const path of ['missing', 'list', 'never', 'tell'])
    for (const room of [1, 60, 100, 160, 300]) {
      const client = await rawClient(server)
      let reason: { code: string } | undefined
      const off = server.on('session', session => void session.closed.then(told => (reason = told)))
      client.send([0, 1, { jsonBytes: room, frameBytes: room, depth: 1, values: 1 }])
      await waitUntil(() => client.frames.length === 1 || client.socket.readyState > 1)
      if (client.frames.length > 0) {
        client.send([1, 1, 0, path, []], [2, 2, 0, `${path}${'x'.repeat(20)}`], [1, 3, -1, 'x', []])
        await waitUntil(() => client.frames.length > 1 || client.socket.readyState > 1)
      }
      client.socket.close()
      await client.closed
      off()
      await waitUntil(() => server.sessions.size === 0)
      t.ok(
        !reason || ['limit', 'protocol', 'connection-lost'].includes(reason.code),
        `${path}: ${reason?.code}`
      )
    }
  await overSocket(t, World, async conn => t.equal(await conn.root.add(1, 2), 3) as never)
  await server.close()
})

t.test('a peer with a reference cannot read members that are not exposed', async t => {
  class Vault extends Array<unknown> {
    value = 'pin 1234'
    done = false
    async *[Symbol.asyncIterator]() {
      yield this.value
    }
  }
  class Bank extends Service {
    exposed_vault() {
      return Object.assign(new Vault(), ['pin 1', 'pin 2'])
    }
    exposed_pair() {
      return new TransformStream()
    }
    exposed_echo(value: unknown) {
      return value
    }
    async exposed_first(it: AsyncIterator<unknown>) {
      return (await it.next('by hand')).value
    }
  }
  const server = await serve(new Bank(), { port: 0, resumeWindow: 0 })
  const home = ['h', []]
  const tries: Record<string, unknown[][]> = {
    'by its names': [
      [2, 3, 1, 'value'],
      [2, 4, 1, '0'],
      [16, 5, 1, '']
    ],
    'as a column': [
      [
        1,
        3,
        0,
        'echo',
        [[['cell'], 1]],
        [
          ['h', [0, 1]],
          ['t', [0]]
        ]
      ]
    ],
    'as names': [
      [
        1,
        3,
        0,
        'echo',
        [[1, [5], [6]]],
        [
          ['h', [0, 0]],
          ['t', [0]]
        ]
      ]
    ],
    'as the entry of a Map': [
      [
        1,
        3,
        0,
        'echo',
        [[1]],
        [
          ['h', [0, 0]],
          ['m', [0]]
        ]
      ]
    ],
    'as fields of an error': [
      [
        ...[1, 3, 0, 'echo', [{ class: 'Error', name: 'e', message: 'm', fields: 1 }]],
        [
          ['h', [0, 'fields']],
          ['e', [0]]
        ]
      ]
    ],
    'as what a stream is to write': [
      [19, 2, 0, 100],
      [17, 3, 3, 'pipe', 1, [home]]
    ],
    'as a step of an iterator': [
      [1, 3, 0, 'first', [[9, 'iterator']], [['i', [0]]]],
      [10, 1, 1, [home]]
    ]
  }
  for (const [what, messages] of Object.entries(tries)) {
    const client = await rawClient(server)
    await client.hello()
    client.send([1, 1, 0, 'vault', []], [1, 2, 0, 'pair', []])
    await waitUntil(() => client.frames.length > 1)
    for (const message of messages) {
      const before = client.frames.length
      client.send(message)
      await waitUntil(
        () => client.frames.length > before || client.socket.readyState > 1 || message[0] === 19
      )
    }
    t.notMatch(client.frames.join(), /pin/, what)
    client.socket.close()
    await client.closed
    await waitUntil(() => server.sessions.size === 0)
  }
  await server.close()
})

t.test('valid but hostile messages reject only their calls', async t => {
  const server = await serve(new World(), { port: 0, allowSetAttrs: true, resumeWindow: 0 })
  const client = await rawClient(server)
  await client.hello()
  const bad: Record<string, [message: (id: number) => unknown[], code: string]> = {
    'set through __proto__': [id => [4, id, 0, ['__proto__', 'polluted'], 1], 'not-exposed'],
    'set through a prototype': [id => [4, id, 0, ['constructor', 'prototype', 'polluted'], 1], 'not-exposed'],
    'set __proto__': [id => [4, id, 0, '__proto__', { polluted: 1 }], 'not-exposed'],
    'set of the root itself': [id => [4, id, 0, [], 1], 'not-exposed'],
    'get of the root itself': [id => [2, id, 0, []], 'not-exposed'],
    'call of the root itself': [id => [1, id, 0, [], []], 'not-callable'],
    'construct of the root itself': [id => [3, id, 0, [], []], 'not-callable'],
    'call of Function': [id => [1, id, 0, ['add', 'constructor'], ['globalThis.ran = 1']], 'not-exposed'],
    'construct of Function': [
      id => [3, id, 0, ['add', 'constructor'], ['globalThis.ran = 1']],
      'not-exposed'
    ],
    'a well-known symbol': [id => [2, id, 0, [['well-known', 'iterator']]], 'not-exposed'],
    'a symbol nobody knows': [id => [2, id, 0, [['well-known', 'constructor']]], 'not-exposed'],
    'a symbol of everybody’s': [
      id => [2, id, 0, ['list', ['for', 'nodejs.util.inspect.custom']]],
      'not-exposed'
    ],
    'an answer that was none': [id => [2, id, 1 - id, 'x'], 'not-exposed'],
    'a bad Date': [id => [1, id, 0, 'echo', [{}], [['Date', [0]]]], 'unreadable'],
    'a bad bigint': [id => [1, id, 0, 'echo', ['x'], [['bigint', [0]]]], 'unreadable'],
    'a type nobody knows': [id => [1, id, 0, 'echo', [[1]], [[['custom', 'constructor'], [0]]]], 'unreadable']
  }
  const cases = Object.entries(bad)
  client.send(...cases.map(([, [message]], i) => message(i + 1)))
  const id = cases.length + 1
  const data = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}')
  const error = {
    class: '__proto__',
    name: 'e',
    message: 'm',
    fields: [...Object.entries(data).flat(), 'then', 1, 'toString', 1]
  }
  await waitUntil(() => client.frames.length > 1)
  client.send([1, id, 0, 'echo', [data]], [1, id + 1, 0, 'echo', [error], [['e', [0]]]])
  const replies = () =>
    client.frames.flatMap(
      frame => JSON.parse(frame)[1] as [op: number, id: number, said: Untyped, text: string][]
    )
  const reply = (id: number) => replies().find(([op, answered]) => op >= 10 && op < 13 && answered === id)
  await waitUntil(() => reply(id + 1) !== undefined)
  for (const [i, [what, [, code]]] of cases.entries())
    t.match(reply(i + 1), [12, i + 1, code, String], `${what}: ${reply(i + 1)?.[3]}`)
  t.same(Object.keys(reply(id)![2]), ['__proto__', 'constructor'], 'data is data')
  t.same(reply(id + 1)![2], { class: 'Error', name: 'e', message: 'm' }, 'but not in an error')
  clean(t)
  t.equal((globalThis as Untyped).ran, undefined)
  client.socket.close()
  await client.closed
  await waitUntil(() => server.sessions.size === 0)
  await server.close()
})
