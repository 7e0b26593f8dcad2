// Tests `netref/lite` without the rest of netref, and with `netref/streams`. Nothing but dynamic imports may load that rest.
import t from 'tap'
import { pair } from '../../lib/client/pair.js'
import { type Connection, connect, Netref, type NetrefError, Service } from '../../lib/lite.js'
import { Op } from '../../lib/protocol/messages.js'
import { handlerOf } from '../../lib/remote/proxy.js'
import { MemoryNetwork } from '../support/memory-network.js'
import { loadOtherCopy } from '../support/other-copy.js'
import type { Untyped } from '../support/wire.js'

/** The other end: a copy of netref of its own, which has streams. */
const other = await loadOtherCopy(`${t.testdir()}/other.mjs`)

let settle: (value: unknown) => void
class Shop extends other.Service {
  kept: Untyped
  exposed_add = (a: number, b: number) => a + b
  exposed_list = () => [1, 2]
  exposed_counter = (n = 0) => ({ add: other.expose(() => ++n) })
  exposed_fail() {
    throw new RangeError('out of range')
  }
  async *exposed_count(to: number) {
    for (let i = 1; i <= to; i++) yield i
  }
  exposed_later = () => ({ value: new Promise(resolve => (settle = resolve)) })
  exposed_bytes = () => new Blob(['abc']).stream()
  exposed_signal = () => [AbortSignal.abort('over'), new Map([['key', new Date(5)]])]
  async exposed_sum(items: AsyncIterable<number>) {
    let sum = 0
    for await (const item of items) sum += item
    return sum
  }
  async exposed_call(callback: Untyped) {
    return callback(2)
  }
  async exposed_failing(callback: Untyped) {
    return await callback(2).catch((error: NetrefError) => `${error.code}: ${error.message}`)
  }
}

const server = await other.serve(Shop, { port: 0 })
t.teardown(() => server.close())

class Page extends Service {
  exposed_double = (n: number) => 2 * n
}
const lite: Connection<Untyped> = connect(server.url, { service: Page, heartbeat: 0 })
const cut: Connection<Untyped> = connect(server.url)
let held: unknown
const joined = pair<Untyped>({
  hold: (value: unknown) => {
    held = value
  }
})
const hostile = [pair<Untyped>({}), pair<Untyped>({})] as const

const messageOf = (run: () => unknown): string => {
  try {
    return String(run())
  } catch (error) {
    return String(error)
  }
}
const { port1 } = new MessageChannel()
const refusals = [
  messageOf(() => connect(port1)),
  messageOf(() => connect(new MemoryNetwork())),
  messageOf(() => connect(server.url, { reconnect: {} })),
  messageOf(() => connect(server.url, { renew: true }))
]

/** From here on new sessions have all of netref; those above do not. */
const { assertClean, rejectionOf, waitUntil } = await import('../support/helpers.js')

t.test('what lite lacks throws', async t => {
  t.same(
    refusals,
    ['a session over an endpoint', 'a session over an endpoint', '`reconnect`', '`renew`'].map(
      what => `TypeError: connect: ${what} is not part of 'netref/lite'; import 'netref'`
    )
  )
})

t.test('calls, callbacks, references and errors', async t => {
  const { root } = lite
  t.equal(await root.add(1, 2), 3)
  const { add } = await root.counter(5)
  t.equal(await add(), 6)
  Netref.release(add)
  t.equal(await root.call((n: number) => 10 * n), 20)
  t.match(await rejectionOf(root.fail()), { name: 'RangeError', message: 'out of range' })
  const items: unknown[] = []
  for await (const item of root.list()) items.push(item)
  t.same(items, [1, 2], 'a list that was copied')
  const [session] = server.sessions
  t.equal(await (session!.root as Untyped).double(4), 8)
})

t.test('streams of the peer are unreadable, and released', async t => {
  const { root } = lite
  for (const [call, what] of [
    ['count', 'an iterator'],
    ['later', 'a promise'],
    ['bytes', 'a stream'],
    ['signal', 'a signal']
  ])
    t.match(await rejectionOf(root[call!](1)), {
      code: 'unreadable',
      message: `root.${call}(1): cannot read ${what}: import 'netref/streams' before you connect`
    })
  const [session] = server.sessions
  await waitUntil(() => session!.stats.exports === 0)
  t.match(await rejectionOf(root.later()), { code: 'unreadable' })
  // The outcome crosses the release.
  settle(1)
  t.equal(await root.add(1, 1), 2, 'the session goes on')
})

t.test('own streams cannot be sent', async t => {
  const { root } = lite
  const hint = "which cannot be sent: import 'netref/streams' before you connect"
  const numbers = (function* () {
    yield 1
  })()
  t.match(await rejectionOf(root.sum(numbers)), {
    name: 'UnsendableError',
    message: `root.sum({…}): args[0] is an iterator, ${hint}`
  })
  t.match(await rejectionOf(root.add({ a: Promise.resolve(1) })), {
    message: `root.add({…}): args[0].a is a promise, ${hint}`
  })
  t.match(
    await root.failing(() => numbers),
    /unsendable: .*result is an iterator, which cannot be sent: import 'netref\/streams' before you connect$/
  )
  await assertClean(t, lite.session, ...server.sessions)
  await lite.close()
})

t.test('a session ends with its socket', async t => {
  t.equal(await cut.root.add(1, 2), 3)
  const { transport } = (cut.session as Untyped).link
  transport.terminate()
  t.match(await cut.closed, { code: 'connection-lost' })
})

t.test('messages of streams that were never sent', async t => {
  await joined.root.hold(() => {})
  const method = handlerOf(held)!.reference!.request(Op.streamCall, 'next')
  t.match(await rejectionOf(method.settled()), {
    code: 'not-exposed',
    message: /it is not an iterator or stream/
  })
  await joined.close()
  const [pull, items] = hostile
  await Promise.all([pull.session.ping(), items.session.ping()])
  pull.transports[1].send('[2,[[19,1,0,5]]]')
  t.match(await pull.closed, { code: 'protocol', message: /a pull on 1, which has no items/ })
  items.transports[1].send('[2,[[20,1,0,[[1,"f"]],[["f",[0]]]]]]')
  items.transports[1].send('[2,[[99]]]')
  t.match(await items.closed, { code: 'protocol', message: /a message that is not of the protocol/ })
})

t.test('with `netref/streams` the same connection reads and sends them', async t => {
  await import('../../lib/streams.js')
  await using conn = connect<Untyped>(server.url, { reconnect: false })
  const items: unknown[] = []
  for await (const item of await conn.root.count(3)) items.push(item)
  t.same(items, [1, 2, 3])
  const numbers = (function* () {
    yield* [1, 2]
  })()
  t.equal(await conn.root.sum(numbers), 3)
  await assertClean(t, conn.session)
})
