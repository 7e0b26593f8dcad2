// Tests topics whose latest value NATS keeps, on a real nats-server.

import { jetstreamManager } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import t from 'tap'
import type { Bus, Topic, TopicSubscription } from '../../../lib/adapters/nats.js'
import { clock } from '../../../lib/util/clock.js'
import { GatedProxy } from '../../support/gated-proxy.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'
import { openBus, read, reconnected } from '../../support/nats-bus.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

const options = { skip: skipWithoutNats }
const KEEP = { keep: true }

async function removeBucket(bus: Bus): Promise<void> {
  const manager = await jetstreamManager(await bus.connection.open())
  await manager.streams.delete('KV_netref_t_x')
}

/** Cuts the connection of a bus, and restores it when `meanwhile` is done. */
async function cut(proxy: GatedProxy, bus: Bus, meanwhile: () => Promise<void>): Promise<void> {
  const back = reconnected(bus)
  proxy.mode = 'refusing'
  proxy.cut()
  await waitUntil(() => !bus.connection.connected)
  await meanwhile()
  proxy.mode = 'open'
  await back
}

t.test('a late subscriber gets the latest value first, then what follows', options, async t => {
  const { url } = await startNatsServer(t)
  const { bus } = openBus(t, url)
  const topic = bus.topic<unknown>('prices', KEEP)
  const early = await topic.subscribe()
  t.equal(
    await Promise.race([early.next(), topic.subscribe().then(() => 'nothing is kept yet')]),
    'nothing is kept yet'
  )
  await topic.publish({ at: new Date(0) })
  await topic.publish(new Uint8Array([1]))
  const late = await topic.subscribe()
  const unaware = await bus.topic<unknown>('prices').subscribe()
  await topic.publish(3)
  await bus.topic<unknown>('prices').publish('not kept')
  t.same(await read(late, 3), [new Uint8Array([1]), 3, 'not kept'])
  t.same(await read(unaware, 2), [3, 'not kept'])
  t.same(await read(await topic.subscribe(), 1), [3])
  t.equal(late.missed, 0)
  for await (const value of topic) {
    t.equal(value, 3)
    break
  }
})

t.test('subscribers that come while others publish read each value once, in order', options, async t => {
  const { url } = await startNatsServer(t)
  const { bus } = openBus(t, url)
  const publishers = [openBus(t, url), openBus(t, url)].map(({ bus }) =>
    bus.topic<[number, number]>('x', KEEP)
  )
  const COUNT = 300
  /** The last number of each publisher that NATS has stored. */
  const stored = [0, 0]
  const subscribers: Promise<{ atLeast: number[]; values: TopicSubscription<[number, number]> }>[] = []
  const subscribe = async () => {
    const atLeast = [...stored]
    return { atLeast, values: await bus.topic<[number, number]>('x', KEEP).subscribe() }
  }
  const publish = async (topic: Topic<[number, number]>, who: number) => {
    for (let n = 1; n <= COUNT; n++) {
      await topic.publish([who, n])
      stored[who] = n
      if (n % 30 === 15) subscribers.push(subscribe())
    }
  }
  await Promise.all(publishers.map(publish))
  const subscriptions = await Promise.all(subscribers)
  for (const [who, topic] of publishers.entries()) await topic.publish([who, COUNT + 1])
  for (const { atLeast, values } of subscriptions) {
    const seen: [number, number][] = []
    while (seen.filter(([, n]) => n === COUNT + 1).length < 2) seen.push(...(await read(values, 1)))
    t.ok(seen[0]![1] >= atLeast[seen[0]![0]]!, 'the first is the latest')
    for (const who of [0, 1]) {
      const numbers = seen.filter(([from]) => from === who).map(([, n]) => n)
      t.same(
        numbers,
        numbers.map((_, i) => numbers[0]! + i)
      )
    }
    t.equal(values.missed, 0)
  }
})

t.test(
  'after a disconnection the latest value is read again, and what is missing is counted',
  options,
  async t => {
    const { url } = await startNatsServer(t)
    const proxy = await GatedProxy.inFrontOf(url)
    t.teardown(() => proxy.close())
    const { bus: publishing } = openBus(t, url)
    const { bus } = openBus(t, proxy.url.replace('ws:', 'nats:'))
    const topic = publishing.topic<number>('x', KEEP)
    const values = await bus.topic<number>('x', KEEP).subscribe()
    await topic.publish(1)
    await topic.publish(2)
    t.same(await read(values, 2), [1, 2])
    await cut(proxy, bus, async () => {
      for (const n of [3, 4, 5]) await topic.publish(n)
    })
    t.same(await read(values, 1), [5])
    t.equal(values.missed, 2)
    await cut(proxy, bus, async () => {})
    await topic.publish(6)
    t.same(await read(values, 1), [6], 'what was read before is not read again')
    t.equal(values.missed, 2)
  }
)

t.test('the value outlives NATS; a bucket that was removed is made anew', options, async t => {
  const server = await startNatsServer(t)
  const { bus } = openBus(t, server.url)
  const topic = bus.topic<number>('x', KEEP)
  const values = await topic.subscribe()
  await topic.publish(1)
  const back = reconnected(bus)
  await server.restart()
  await back
  t.same(await read(await topic.subscribe(), 1), [1])
  await topic.publish(2)

  await removeBucket(bus)
  await topic.publish(3)
  t.same(await read(values, 3), [1, 2, 3], 'numbers of the new bucket begin at 1')
  await topic.publish(4)
  await topic.publish(5)
  t.same(await read(values, 2), [4, 5])
})

t.test('a bucket that was made anew during a disconnection is read', options, async t => {
  const { url } = await startNatsServer(t)
  const proxy = await GatedProxy.inFrontOf(url)
  t.teardown(() => proxy.close())
  const { bus: publishing } = openBus(t, url)
  const { bus } = openBus(t, proxy.url.replace('ws:', 'nats:'))
  const topic = publishing.topic<string>('x', KEEP)
  const values = await bus.topic<string>('x', KEEP).subscribe()
  for (const [before, after] of [
    [2, 1],
    [1, 1],
    [1, 2]
  ] as const) {
    for (let i = 0; i < before; i++) await topic.publish('before')
    t.same(await read(values, before), Array(before).fill('before'))
    await cut(proxy, bus, async () => {
      await removeBucket(publishing)
      for (let i = 1; i <= after; i++) await topic.publish(`${i} of ${after}`)
    })
    t.same(await read(values, 1), [`${after} of ${after}`])
    await topic.publish('last')
    t.same(await read(values, 1), ['last'])
    await removeBucket(publishing)
  }
})

t.test('a removed value is none, and one that cannot be read is reported', options, async t => {
  const { url } = await startNatsServer(t)
  const { bus, errors } = openBus(t, url)
  const topic = bus.topic<unknown>('x', KEEP)
  const values = await topic.subscribe()
  await topic.publish(1)
  const bucket = await new Kvm(await bus.connection.open()).open('netref_t_x')
  await bucket.delete('latest')
  const late = await topic.subscribe()
  await (await jetstreamManager(await bus.connection.open())).streams.purge('KV_netref_t_x')
  const afterPurge = await topic.subscribe()
  await bucket.put('latest', '{"no": "frame"}')
  const later = await topic.subscribe()
  await topic.publish(2)
  t.same(await read(values, 2), [1, 2])
  for (const subscription of [late, afterPurge, later]) t.same(await read(subscription, 1), [2])
  t.match(
    errors,
    Array(4).fill({ code: 'unreadable', message: /^topic: a message on netref\.t\.x was skipped: / })
  )
})

t.test('without JetStream, without permission, or with another bucket, it rejects', options, async t => {
  t.throws(() => openBus(t, 'nats://127.0.0.1:1').bus.topic('x', { keep: 1 } as never), {
    message: 'bus.topic: `keep` takes a boolean, not 1'
  })
  const { url: plain } = await startNatsServer(t, { jetstream: false })
  const without = openBus(t, plain).bus.topic<number>('x', KEEP)
  const noJetStream = {
    name: 'NetrefError',
    code: 'unavailable',
    message: /NATS has no JetStream; start nats-server with `-js`$/
  }
  t.match(await rejectionOf(without.publish(1)), noJetStream)
  t.match(await rejectionOf(without.subscribe()), noJetStream)

  const { url } = await startNatsServer(t, {
    config: `authorization { users: [
      { user: a, password: a },
      { user: b, password: b, permissions: { publish: "$JS.API.STREAM.MSG.GET.KV_netref_t_x", subscribe: [ "netref.t.x", "_INBOX.>" ] } }
      { user: d, password: d, permissions: { subscribe: "_INBOX.>", publish: [
        "$KV.netref_t_mine.latest", "$JS.API.INFO", "$JS.API.STREAM.INFO.KV_netref_t_mine", "$JS.API.STREAM.CREATE.KV_netref_t_mine"
      ] } }
      { user: c, password: c, permissions: { publish: "x" } }
    ] }`
  })
  const { bus } = openBus(t, { servers: url, user: 'a', pass: 'a' })
  const { bus: reader } = openBus(t, { servers: url, user: 'b', pass: 'b' })
  const { bus: stranger } = openBus(t, { servers: url, user: 'c', pass: 'c' })
  await bus.topic<number>('x', KEEP).publish(1)
  t.same(
    await read(await reader.topic<number>('x', KEEP).subscribe(), 1),
    [1],
    'a reader needs no more permissions'
  )
  const { bus: publisher } = openBus(t, { servers: url, user: 'd', pass: 'd' })
  await publisher.topic<number>('mine', KEEP).publish(1)
  t.same(await read(await bus.topic<number>('mine', KEEP).subscribe(), 1), [1])
  const unauthorized = { name: 'NetrefError', code: 'unauthorized' }
  t.match(await rejectionOf(reader.topic<number>('x', KEEP).publish(2)), unauthorized)
  t.match(await rejectionOf(stranger.topic<number>('x', KEEP).subscribe()), unauthorized)

  await new Kvm(await bus.connection.open()).create('netref_t_other')
  t.match(await rejectionOf(bus.topic('other', KEEP).publish(1)), {
    code: 'unavailable',
    message: 'topic.publish: the bucket netref_t_other does not republish to netref.t.other; remove it'
  })
  const manager = await jetstreamManager(await bus.connection.open())
  await manager.streams.update('KV_netref_t_x', { max_msg_size: 100 })
  t.match(await rejectionOf(bus.topic<string>('x', KEEP).publish('x'.repeat(200))), {
    code: 'unavailable',
    message: /^topic\.publish: message size exceeds maximum allowed/
  })
})

t.test('what NATS does not confirm rejects', options, async t => {
  const server = await startNatsServer(t)
  const { bus } = openBus(t, server.url)
  const topic = bus.topic<number>('x', KEEP)
  await topic.publish(1)
  await server.pause()
  const [publishing, subscribing] = [rejectionOf(topic.publish(2)), rejectionOf(topic.subscribe())]
  await server.kill()
  t.match(await publishing, { code: 'connection-lost', message: /^topic\.publish: NATS did not confirm it/ })
  t.match(await subscribing, { code: 'unreachable' })
})

t.test('the value is read when JetStream is ready again, or that is reported', options, async t => {
  const { setTimeout: original } = clock
  clock.setTimeout = ((run: () => void, ms: number) => original(run, ms / 20)) as typeof clock.setTimeout
  t.teardown(() => {
    clock.setTimeout = original
  })
  const server = await startNatsServer(t)
  const { bus, errors } = openBus(t, server.url)
  const values = await bus.topic<number>('x', KEEP).subscribe()
  const ended = await bus.topic<number>('x', KEEP).subscribe()
  await server.kill()
  const without = await startNatsServer(t, { jetstream: false, port: server.port })
  await waitUntil(() => bus.connection.connected !== undefined)
  await ended.return()
  await waitUntil(() => errors.length > 0)
  t.match(errors, [{ code: 'unavailable', message: /^topic: NATS has no JetStream/ }])
  await without.kill()
  await server.restart()
  await waitUntil(() => bus.connection.connected !== undefined)
  await bus.topic<number>('x', KEEP).publish(7)
  t.same(await read(values, 1), [7])
})
