import { Kvm } from '@nats-io/kv'
import { connect as connectNats } from '@nats-io/transport-node'
import t from 'tap'
import { OwnerShares } from '../../../lib/adapters/nats/jetstream/owner-shares.js'
import { nats } from '../../../lib/adapters/nats.js'
import {
  connect,
  exposes,
  type IdempotencyStore,
  Netref,
  Service,
  serve,
  type UpgradeRequest
} from '../../../lib/index.js'
import { assertClean, rejectionOf, waitUntil } from '../../support/helpers.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

const options = { skip: skipWithoutNats }
const under = <F>(fn: F, idempotencyKey: string): F => Netref.with(fn as never, { idempotencyKey }) as F

class Shop extends Service {
  static {
    exposes(Shop, { pay: true, wait: true })
  }
  static paid: number[] = []
  static release = () => {}
  pay(amount: number) {
    Shop.paid.push(amount)
    return { paid: amount }
  }
  async wait(amount: number) {
    Shop.paid.push(amount)
    await new Promise<void>(resolve => (Shop.release = resolve))
    return amount
  }
}

t.beforeEach(() => {
  Shop.paid = []
})

t.test('two servers that share a store run a call once', options, async t => {
  const { url } = await startNatsServer(t)
  await using here = nats(url)
  await using there = nats(url)
  const authenticate = (request: UpgradeRequest) => request.token()
  const serveShop = (idempotencyStore: IdempotencyStore) =>
    serve(Shop, { port: 0, authenticate, idempotencyStore })
  await using first = await serveShop(here.idempotencyStore('shop'))
  await using second = await serveShop(there.idempotencyStore('shop'))
  await using ada = connect<Shop>(first.url, { token: 'ada' })
  await using later = connect<Shop>(second.url, { token: 'ada' })
  await using eve = connect<Shop>(second.url, { token: 'eve' })
  t.same(await under(ada.root.pay, 'key')(1), { paid: 1 })
  t.same(await under(later.root.pay, 'key')(1), { paid: 1 })
  t.same(await under(eve.root.pay, 'key')(2), { paid: 2 }, 'a key of another identity')
  t.same(Shop.paid, [1, 2])
  t.match(await rejectionOf(under(later.root.pay, 'key')(5)), { code: 'unreadable' })

  const waiting = under(ada.root.wait, 'long')(3)
  await waitUntil(() => Shop.paid.length === 3)
  t.match(await rejectionOf(under(later.root.wait, 'long')(3)), { code: 'may-have-run' })
  Shop.release()
  t.equal(await waiting, 3)
  t.equal(await under(later.root.wait, 'long')(3), 3)
  t.equal(Shop.paid.length, 3)
  await assertClean(t, ada.session, later.session, eve.session, ...first.sessions, ...second.sessions)
})

t.test('of servers that start a call at once, one starts it', options, async t => {
  const { url } = await startNatsServer(t)
  const buses = Array.from({ length: 4 }, () => nats(url))
  const stores = buses.map(bus => bus.idempotencyStore('race'))
  for (let i = 0; i < 20; i++) {
    const started = await Promise.all(
      stores.map(store => store.start!(`name${i}`, { requestDigest: 'digest' }, 'ada'))
    )
    t.equal(started.filter(record => record === undefined).length, 1)
    t.match(started.find(Boolean), { requestDigest: 'digest', reply: undefined })
  }
  await stores[0]!.set('name0', { requestDigest: 'digest', reply: '[1,0,5]' }, 'ada')
  t.match(await stores[1]!.start!('name0', { requestDigest: 'digest' }, 'ada'), { reply: '[1,0,5]' })
  t.match(await stores[2]!.get('name0'), { reply: '[1,0,5]' })
  t.equal(await stores[3]!.get('unknown'), undefined)
  await Promise.all(buses.map(bus => bus.close()))
  t.match(await rejectionOf(Promise.resolve(stores[0]!.get('name0'))), { code: 'closed' })
})

t.test('what NATS has confirmed outlives it', options, async t => {
  const server = await startNatsServer(t)
  await using bus = nats(server.url)
  const store = bus.idempotencyStore('kept')
  await store.start!('name', { requestDigest: 'digest' }, 'ada')
  const lost = new Promise<void>(resolve => bus.connection.events.on('disconnected', () => resolve()))
  await server.kill()
  await lost
  const found = store.get('name')
  await server.restart()
  t.match(await found, { requestDigest: 'digest' })
})

t.test('a start that NATS has stored, but not confirmed, is the own one', options, async t => {
  const { url } = await startNatsServer(t)
  await using bus = nats(url)
  const store = bus.idempotencyStore('doubt')
  await store.get('name')
  const connection = await connectNats({ servers: url })
  const bucket = await new Kvm(connection).open('netref_i_doubt')
  await bucket.put('name', JSON.stringify({ requestDigest: 'digest', start: 'this one' }))
  t.intercept(crypto, 'randomUUID', { value: () => 'this one' })
  t.equal(await store.start!('name', { requestDigest: 'digest' }, 'ada'), undefined)
  await connection.close()
})

t.test('no identity uses more than is free for others', options, async t => {
  const { url } = await startNatsServer(t)
  const limits = { maxEntries: 6, ttl: 60_000 }
  const open = (options = limits) => {
    const bus = nats(url)
    t.teardown(() => bus.close())
    return bus.idempotencyStore('small', options)
  }
  const start = async (store: IdempotencyStore, name: string, owner: string) =>
    store.start!(name, { requestDigest: 'd' }, owner)
  const [one, two] = [open(), open()]
  for (const name of ['a0', 'a1', 'a2']) await start(one, name, 'ada')
  t.match(await rejectionOf(start(one, 'a3', 'ada')), {
    code: 'limit',
    message: /this client has stored as many calls as are free for others/
  })
  await start(one, 'b', 'bea')
  await start(two, 'c', 'ada')
  await start(two, 'd', 'ada')
  const full = { code: 'limit', message: /the store small is full \(maxEntries\)/ }
  t.match(await rejectionOf(start(two, 'e', 'eve')), full)
  await two.set('a0', { requestDigest: 'd', reply: '[1,0]' }, 'ada')
  t.match(await one.get('a0'), { reply: '[1,0]' }, 'there is room for the outcomes of all that have started')
  t.match(await start(two, 'a0', 'zoe'), { reply: '[1,0]' })
  for (const name of ['a0', 'a1', 'a2', 'b', 'c', 'd']) t.ok(await one.get(name), 'nothing was dropped')
  t.match(await rejectionOf(Promise.resolve(open({ ...limits, maxEntries: 7 }).get('c'))), {
    code: 'unavailable',
    message: /^bus\.idempotencyStore: the bucket netref_i_small exists with maxEntries 6, not 7/
  })
})

t.test('options are checked', options, async t => {
  await using bus = nats('nats://localhost:4222')
  t.throws(() => bus.idempotencyStore('a b'), /"a b" is no name/)
  t.throws(() => bus.idempotencyStore('a', { ttls: 5 } as never), /no option `ttls`/)
  t.throws(() => bus.idempotencyStore('a', { ttl: 5 }), /bus\.idempotencyStore: ttl: 5 is less than 100 ms/)
  t.throws(() => bus.idempotencyStore('a', { maxEntries: 0 }), RangeError)
  t.throws(() => bus.idempotencyStore('a', { replicas: 0.5 }), RangeError)
})

t.test('what is written counts for a time', async t => {
  const shares = new OwnerShares(160, 4)
  t.ok(shares.add('ada') && shares.add('ada'))
  t.notOk(shares.add('ada'))
  t.ok(shares.add('bea'))
  const began = Date.now()
  while (!shares.add('ada')) await new Promise(resolve => setTimeout(resolve, 10))
  t.ok(Date.now() - began > 100)
})
