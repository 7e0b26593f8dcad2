// Netrefs to objects of another system: here the other system is this process.
import { setTimeout as later } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { connectForeign } from '../../lib/client/foreign.js'
import { type Connection, connect, Netref, pair, type Reason, type Session, serve } from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { ForeignPeer, type ForeignRequest } from '../../lib/remote/foreign.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'

declare const gc: () => void
// biome-ignore lint/suspicious/noExplicitAny: objects of another system have no types
type Any = any

/** A peer whose objects are those of this process. */
class LocalPeer extends ForeignPeer<Any> {
  readonly performed: string[] = []
  readonly releases: number[] = []
  readonly #ids = new Map<object, string>()
  lastSignal: AbortSignal | undefined

  constructor(carrier: Session) {
    super(carrier)
    carrier.on('closed', reason => this.end(reason))
  }

  override end(reason: Reason) {
    super.end(reason)
  }

  protected perform({ op, key, path, operand, label, signal }: ForeignRequest<Any>): unknown {
    this.performed.push(label)
    this.lastSignal = signal
    const self = path.slice(0, -1).reduce((object, name) => object[name], key)
    const member = path.length > 0 ? self[path.at(-1)!] : key
    if (op === Op.iterate && member instanceof Map) throw new TypeError('broken')
    if (op === Op.iterate)
      return (
        member[Symbol.iterator] &&
        (async function* () {
          yield* member
        })()
      )
    if (op === Op.get) return this.wrap(member)
    if (op === Op.set) return void (self[path.at(-1)!] = operand)
    const result = Reflect.apply(member, self, operand as unknown[])
    return result instanceof Promise ? result.then(this.wrap) : this.wrap(result)
  }

  protected onReleased(_key: Any, count: number) {
    this.releases.push(count)
  }

  readonly wrap = (value: Any): unknown => {
    if (Object(value) !== value || Netref.is(value) || Array.isArray(value)) return value
    const id = this.#ids.get(value) ?? String(this.#ids.size)
    this.#ids.set(value, id)
    return this.netref(id, value, value.constructor.name, typeof value === 'function')
  }
}

class Counter {
  count = 0
  increment() {
    return ++this.count
  }
  *[Symbol.iterator]() {
    yield* [1, 2]
  }
}

const system = {
  kept: new Counter(),
  open: () => new Counter(),
  openLater: async () => new Counter(),
  callBack: async (fn: (n: number) => Promise<number>, n: number) => (await fn(n)) + 1,
  same: (value: unknown) => value,
  fail() {
    throw new RangeError('bad')
  },
  broken: new Map(),
  never: () => new Promise(() => {})
}

const errors: unknown[] = []
const options = { onError: (error: unknown) => void errors.push(String(error)) }

/** Runs `use` with a connection to `system`, then asserts that nothing is left. */
async function overForeign(t: Test, use: (conn: Connection<Any>, peer: () => LocalPeer) => Promise<void>) {
  let peer!: LocalPeer
  const open = async (bridge: Session) => {
    peer = new LocalPeer(bridge)
    return peer.wrap(system) as object
  }
  await using conn = connectForeign<Any>(open, options, 'connectSystem')
  await use(conn, () => peer)
  await assertClean(t, conn.session)
  await waitUntil(() => {
    gc()
    return peer.held <= 1
  })
  t.equal(peer.pendingRequests, 0)
  await conn.close()
  t.equal(peer.held, 0)
  t.equal(peer.peer, undefined)
}

t.test('foreign objects are used like any other', async t => {
  await overForeign(t, async ({ root }, peer) => {
    t.equal(await root.open().increment(), 1)
    t.equal(await root.openLater().increment(), 1)
    t.equal(await root.kept.increment(), 1)
    t.equal(await root.kept.count, 1)
    await Netref.set(root.kept, 'count', 5)
    t.equal(await root.kept.increment(), 6)
    t.equal(await root.callBack((n: number) => n * 2, 21), 43)
    const own = new (class Own {})()
    t.equal(await root.same(own), own)
    const items = []
    for await (const item of await root.kept) items.push(item)
    t.same(items, [1, 2])
    t.equal(peer().performed[0], 'Object#1.open()')
  })
})

t.test('identity, and release', async t => {
  await overForeign(t, async ({ root }, peer) => {
    const counter = await root.open()
    t.equal(await root.same(counter), counter)
    t.equal(peer().held, 2)
    t.equal(peer().keyOf(peer().wrap(system)), system)
    t.equal(peer().keyOf(root), undefined)
    Netref.release(counter)
    await waitUntil(() => peer().releases.length > 0)
    t.same(peer().releases, [1])
  })
})

t.test('a third party uses them over a socket', async t => {
  await overForeign(t, async ({ root }) => {
    await using server = await serve({ get: () => root.kept }, { port: 0 })
    await using conn = connect<{ get(): Counter }>(server.url)
    t.type(await conn.root.get().increment(), 'number')
    await assertClean(t, conn.session, ...server.sessions)
  })
})

t.test('errors, cancellation and timeouts', async t => {
  await overForeign(t, async ({ root }, peer) => {
    t.match(await rejectionOf(root.fail()), { name: 'RangeError', message: 'bad' })
    t.match(await rejectionOf(root.fail().more()), { name: 'RangeError' })
    const timedOut = await rejectionOf(Netref.with(root.never, { timeout: 20 })())
    t.match(timedOut.message, 'root.never(): no reply within 20 ms')
    await waitUntil(() => peer().lastSignal!.aborted)
    await Netref.oneway(root.fail)()
    await waitUntil(() => errors.length > 0)
    t.match(errors.splice(0), [/RangeError: bad/])
    await Netref.oneway(root.open)()
    await root.open()
  })
})

t.test('a peer uses its own netrefs', async t => {
  await overForeign(t, async ({ root, session }, getPeer) => {
    await root.open()
    const peer = getPeer()
    const own = peer.wrap(system) as Any
    t.equal(await own.open().increment(), 1)
    t.equal(await own.openLater().increment(), 1)
    const aborted = AbortSignal.abort(new Error('aborted'))
    t.match(await rejectionOf(Netref.with(own.open, { signal: aborted })()), { message: 'aborted' })
    const counter = await own.open()
    const other = await own.open()
    Netref.release(other)
    Netref.release(other)
    t.same(peer.releases, [1])
    const pair = await own.same([3, 4])
    t.same(pair, [3, 4])
    const result = own.same([5])
    await result
    t.equal(await result[0], 5)
    const bridge = Netref.session(own)
    t.equal(bridge.state, 'open')
    t.equal(bridge.identity, undefined)
    t.equal(bridge.gateway, undefined)
    t.type(bridge.stats.callsIn, 'number')
    t.same(bridge.tables.imports, [])
    t.ok(Netref.is(bridge.root))
    t.type(await bridge.ping(), 'number')
    bridge.on('closed', () => {})()
    own.fail()
    await waitUntil(() => errors.length > 0)
    t.match(errors.splice(0), [/Object#1.fail\(\)|RangeError/])
    const iterator = own.kept[Symbol.asyncIterator]()
    t.same(await iterator.next(), { done: false, value: 1 })
    await iterator.return()
    const pending = rejectionOf(own.never())
    const broken = own.broken[Symbol.asyncIterator]()
    t.match(await rejectionOf(broken.next()), { name: 'TypeError' })
    t.match(await rejectionOf(broken.return()), { name: 'TypeError' })
    const leaving = own.kept[Symbol.asyncIterator]()
    await leaving.next()
    await bridge[Symbol.asyncDispose]()
    t.match(await bridge.closed, { code: 'closed' })
    await bridge.close()
    t.match(await pending, { code: 'closed', message: /^Object#1\.never\(\): the session has ended/ })
    t.match(await rejectionOf(own.open()), { code: 'closed' })
    peer.end({ code: 'closed', message: 'again' })
    t.same(await leaving.return(), { done: true, value: undefined })
    const late = own.kept[Symbol.asyncIterator]()
    t.match(await rejectionOf(late.next()), { code: 'closed' })
    t.same(await late.return(), { done: true, value: undefined })
    Netref.release(counter)
    await session.closed
  })
})

t.test('a server that cannot be reached, and a client that gives up', async t => {
  const cause = new Error('connection refused')
  await using unreachable = connectForeign<Any>(() => Promise.reject(cause), {}, 'connectSystem')
  t.match(await rejectionOf(unreachable.root.open()), { code: 'unreachable' })
  t.match(await unreachable.closed, {
    code: 'unreachable',
    message: 'the other end ended the session: connectSystem: connection refused',
    cause
  })
  let bridgeReason: Reason | undefined
  const slow = async (bridge: Session) => {
    bridge.on('closed', reason => (bridgeReason = reason))
    await later(1)
    return {}
  }
  const givenUp = connectForeign<Any>(slow, {}, 'connectSystem')
  await givenUp.close()
  t.match(bridgeReason, { code: 'closed' })
  await later(5)
})

t.test('a root is not released, and its calls have their idempotency keys', async t => {
  class Recorder extends ForeignPeer<string> {
    readonly root_ = this.rootNetref('key', 'queue') as Any
    readonly requests: ForeignRequest<string>[] = []
    protected perform(request: ForeignRequest<string>) {
      this.requests.push(request)
    }
    /* c8 ignore next: the root is not released. */
    protected onReleased() {}
  }
  await using carrier = pair({})
  const peer = new Recorder(carrier.session)
  const root = peer.root_
  Netref.release(root)
  await root.a.b(1)
  await Netref.with(root.send, { idempotencyKey: 'order 7' })(2)
  t.match(peer.requests, [
    { key: 'key', path: ['a', 'b'], operand: [1], label: 'queue.a.b(1)', idempotencyKey: undefined },
    { path: ['send'], label: 'queue.send(2)', idempotencyKey: 'order 7' }
  ])
  await assertClean(t, carrier.session, carrier.served)
})
