import { once } from 'node:events'
import net from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { type Bus, nats, type Topic } from '../../../lib/adapters/nats.js'
import { expose, LimitError, NetrefError, UnsendableError } from '../../../lib/index.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'
import { hasSubscribers, openBus, read, reconnected } from '../../support/nats-bus.js'
import { type NatsServer, skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

const options = { skip: skipWithoutNats }

interface Price {
  readonly symbol: string
  readonly price: number
}

t.test('all who subscribe get each value, in order, as it was', options, async t => {
  const { url } = await startNatsServer(t)
  const { bus: here } = openBus(t, url)
  const { bus: there } = openBus(t, url)
  const topic = here.topic<unknown>('all')
  const subscriptions = [
    await topic.subscribe(),
    await there.topic<unknown>('all').subscribe(),
    await there.topic<unknown>('all').subscribe()
  ]
  const values = [
    { symbol: 'X', price: 41 },
    new Map([[new Date(0), new Set([undefined, 7n])]]),
    new Uint8Array([1, 2, 3]),
    new RangeError('too far'),
    undefined,
    ...Array.from({ length: 500 }, (_, i) => i)
  ]
  await Promise.all(values.map(value => topic.publish(value)))
  for (const subscription of subscriptions) {
    t.same(await read(subscription, values.length), values)
    t.equal(subscription.missed, 0)
    await subscription.return()
  }
  await there.connection.connected!.flush()
  t.notOk(await hasSubscribers(here, 'all'))
})

t.test(
  'leaving the loop ends the subscription, and so do a signal and the end of a block',
  options,
  async t => {
    const { url } = await startNatsServer(t)
    const { bus } = openBus(t, url)
    const prices: Topic<Price> = bus.topic('prices')
    const seen: number[] = []
    const loop = (async () => {
      for await (const { price } of prices) {
        seen.push(price)
        if (price === 2) break
      }
    })()
    await waitUntil(() => bus.connection.connected !== undefined)
    while (!(await hasSubscribers(bus, 'prices'))) await bus.connection.connected!.flush()
    for (const price of [1, 2, 3]) await prices.publish({ symbol: 'X', price })
    await loop
    t.same(
      seen.filter(price => price),
      [1, 2]
    )
    t.notOk(await hasSubscribers(bus, 'prices'))

    const controller = new AbortController()
    const aborted = await prices.subscribe({ signal: controller.signal })
    const next = aborted.next()
    await prices.publish({ symbol: 'X', price: 4 })
    t.same(await next, { done: false, value: { symbol: 'X', price: 4 } })
    await prices.publish({ symbol: 'X', price: 5 })
    controller.abort()
    t.same(await aborted.next(), { done: true, value: undefined }, 'what was not read is dropped')
    t.same(await (await prices.subscribe({ signal: controller.signal })).next(), {
      done: true,
      value: undefined
    })
    {
      await using held = await prices.subscribe()
      const nexts = [held.next(), held.next()]
      await prices.publish({ symbol: 'X', price: 6 })
      await prices.publish({ symbol: 'X', price: 7 })
      t.same(
        (await Promise.all(nexts)).map(({ value }) => value?.price),
        [6, 7],
        'reads may be made ahead'
      )
      t.ok(await hasSubscribers(bus, 'prices'))
    }
    t.notOk(await hasSubscribers(bus, 'prices'))
  }
)

t.test('closing the bus ends its loops, after what has arrived', options, async t => {
  const { url } = await startNatsServer(t)
  const { bus } = openBus(t, url)
  const { bus: other } = openBus(t, await bus.connection.open())
  const [one, two] = [await bus.topic<number>('x').subscribe(), await other.topic<number>('x').subscribe()]
  await bus.topic<number>('x').publish(1)
  const loop = (async () => {
    for await (const value of bus.topic('y')) t.fail(`it read ${value}`)
  })()
  await other.close()
  t.same(await two.next(), { done: false, value: 1 })
  t.same(await two.next(), { done: true, value: undefined })
  t.ok(bus.connection.connected, 'the connection stays with its owner')
  await bus.close()
  await loop
  t.same(await one.next(), { done: false, value: 1 })
  t.same(await one.next(), { done: true, value: undefined })
  t.same(await one.return(), { done: true, value: undefined })
  t.match(await rejectionOf(bus.topic('x').publish(1)), { name: 'NetrefError', code: 'closed' })
  t.match(await rejectionOf(bus.topic('x').subscribe()), { name: 'NetrefError', code: 'closed' })
})

t.test('names, options, and values that are no data are refused', options, async t => {
  const { url } = await startNatsServer(t, { config: 'max_payload: 2000' })
  const { bus } = openBus(t, url)
  t.throws(() => bus.topic('a b'), {
    name: 'TypeError',
    message: /^bus\.topic: "a b" is no name; use up to 64 letters/
  })
  const topic = bus.topic<unknown>('x')
  await t.rejects(topic.subscribe({ signl: 1 } as never), {
    message: /^topic\.subscribe: there is no option `signl`/
  })
  const values = await topic.subscribe()
  const unsendable = await rejectionOf(topic.publish({ user: { notify: () => 1 } }))
  t.type(unsendable, UnsendableError)
  t.match(
    unsendable.message,
    /^topic\.publish: value\.user\.notify is a function, which cannot be sent: pass data in its place$/
  )
  t.match(await rejectionOf(topic.publish([expose({})])), {
    message: /^topic\.publish: value\[0\] is an object/
  })
  const large = await rejectionOf(topic.publish('x'.repeat(2000)))
  t.type(large, LimitError)
  t.match(
    large.message,
    /^topic\.publish: value takes 2015 bytes, and a value has at most 1872 \(max_payload of NATS, less 128\): publish it in parts$/
  )
  await topic.publish('x'.repeat(1850))
  t.equal((await read(values, 1))[0], 'x'.repeat(1850))
  t.match(await rejectionOf(topic.publish('x'.repeat(2000))), { code: 'limit' })
  await topic.publish(1)
  t.same(await read(values, 1), [1])
  t.equal(values.missed, 0, 'what was refused was not published')
})

t.test('what NATS does not allow rejects', options, async t => {
  const { url } = await startNatsServer(t, {
    config: `authorization { users: [{
      user: a, password: a, permissions: { publish: "netref.t.open", subscribe: "netref.t.open" }
    }] }`
  })
  const { bus, errors } = openBus(t, { servers: url, user: 'a', pass: 'a' })
  const values = await bus.topic<number>('open').subscribe()
  const [publish, opened] = await Promise.all([
    rejectionOf(bus.topic('secret').publish(1)),
    bus.topic<number>('open').publish(1)
  ])
  t.equal(opened, undefined)
  t.match(publish, {
    name: 'NetrefError',
    code: 'unauthorized',
    message: /^topic\.publish: .*netref\.t\.secret/
  })
  t.match(await rejectionOf(bus.topic('secret').subscribe()), {
    name: 'NetrefError',
    code: 'unauthorized',
    message: /^topic\.subscribe: .*netref\.t\.secret/
  })
  t.same(await read(values, 1), [1], 'the others go on')
  t.ok(errors.length > 0, 'NATS tells the bus, too')
})

t.test('a slow reader misses the oldest values, and knows how many', options, async t => {
  const { url } = await startNatsServer(t)
  const { bus } = openBus(t, url)
  const topic = bus.topic<unknown>('fast')
  const slow = await topic.subscribe()
  await Promise.all(Array.from({ length: 3000 }, (_, i) => topic.publish(i)))
  t.equal(slow.missed, 3000 - 1024)
  t.same(
    await read(slow, 1024),
    Array.from({ length: 1024 }, (_, i) => 3000 - 1024 + i)
  )

  const bytes = new Uint8Array(1_000_000)
  for (let i = 0; i < 20; i++) await topic.publish(bytes)
  t.equal(slow.missed, 3000 - 1024 + 4)
  t.same(
    (await read(slow, 16)).map(value => (value as Uint8Array).length),
    Array(16).fill(1_000_000)
  )
  await topic.publish('after')
  t.same(await read(slow, 1), ['after'])
})

t.test('a message larger than all that may wait is kept alone', options, async t => {
  const { url } = await startNatsServer(t, { config: 'max_payload: 32MB\nmax_pending: 64MB' })
  const { bus } = openBus(t, url)
  const topic = bus.topic<Uint8Array>('large')
  const values = await topic.subscribe()
  await topic.publish(new Uint8Array(1))
  await topic.publish(new Uint8Array(17 << 20))
  t.equal((await read(values, 1))[0]!.length, 17 << 20)
  t.equal(values.missed, 1)
})

t.test(
  'a subscription goes on when NATS was killed and restarted, and counts what it missed',
  options,
  async t => {
    const server = await startNatsServer(t)
    const { bus } = openBus(t, server.url)
    const { bus: publishing } = openBus(t, server.url)
    const values = await bus.topic<number>('x').subscribe()
    const topic = publishing.topic<number>('x')
    let published = 0
    const all: number[] = []
    for (let i = 0; i < 3; i++) {
      await topic.publish(++published)
      all.push(...(await read(values, 1)))
      const back = [reconnected(bus), reconnected(publishing)]
      await server.kill()
      await waitUntil(() => !bus.connection.connected && !publishing.connection.connected)
      for (let lost = 0; lost < 3; lost++)
        t.match(await rejectionOf(topic.publish(++published)), {
          code: 'unreachable',
          message: 'topic.publish: NATS is not reached at present; try again'
        })
      t.match(await rejectionOf(bus.topic('y').subscribe()), {
        code: 'unreachable',
        message: 'topic.subscribe: NATS is not reached at present; try again'
      })
      await server.restart()
      await Promise.all(back)
    }
    await topic.publish(++published)
    all.push(...(await read(values, 1)))
    t.same(all, [1, 5, 9, 13])
    t.equal(values.missed, 9)
  }
)

t.test('what others publish while one server of a cluster is away is counted', options, async t => {
  const one = await startNatsServer(t, { cluster: { routes: [] } })
  const two = await startNatsServer(t, { cluster: { routes: [one.clusterUrl!] } })
  const { bus: publishing } = openBus(t, one.url)
  const { bus } = openBus(t, { servers: two.url, ignoreClusterUpdates: true })
  const values = await bus.topic<number>('x').subscribe()
  const topic = publishing.topic<number>('x')
  let published = 0
  /** Publishes until a value is read, since a server learns of the subscriptions at the others by and by. */
  const publishUntilRead = async () => {
    let isRead = false
    const next = values.next().finally(() => (isRead = true))
    while (!isRead) await topic.publish(++published)
    return (await next).value as number
  }
  let last = await publishUntilRead()
  while (last < published) [last] = (await read(values, 1)) as [number]
  t.equal(values.missed, 0)
  const back = reconnected(bus)
  await two.kill()
  for (let i = 0; i < 5; i++) await topic.publish(++published)
  await two.restart()
  await back
  const next = await publishUntilRead()
  t.ok(next > last + 5)
  t.equal(values.missed, next - last - 1)
})

t.test('what NATS does not confirm rejects', options, async t => {
  const server = await startNatsServer(t)
  const { bus } = openBus(t, server.url)
  await bus.connection.open()
  await server.pause()
  const publishing = rejectionOf(bus.topic<number>('x').publish(1))
  const subscribing = rejectionOf(bus.topic<number>('x').subscribe())
  await turn()
  await server.kill()
  t.match(await publishing, {
    name: 'NetrefError',
    code: 'connection-lost',
    message: /^topic\.publish: NATS did not confirm it, and may have it: /
  })
  t.match(await subscribing, { name: 'NetrefError', code: 'unreachable' })
})

t.test('closing the bus ends what waits for NATS', options, async t => {
  const server = await startNatsServer(t)
  const { bus: owner } = openBus(t, server.url)
  const { bus } = openBus(t, await owner.connection.open())
  await bus.connection.open()
  await server.pause()
  const publishing = rejectionOf(bus.topic<number>('x').publish(1))
  const subscribing = bus.topic<number>('x').subscribe()
  await turn()
  await bus.close()
  t.match(await publishing, { name: 'NetrefError', code: 'connection-lost' })
  t.same(await (await subscribing).next(), { done: true, value: undefined })
})

t.test('a connection that ends for good ends the loop with an error', options, async t => {
  const server = await startNatsServer(t)
  const { bus } = openBus(t, { servers: server.url, maxReconnectAttempts: 1, reconnectTimeWait: 10 })
  const values = await bus.topic<number>('x').subscribe()
  await bus.topic<number>('x').publish(1)
  await server.kill()
  t.same(await read(values, 1), [1])
  t.match(await rejectionOf(values.next()), {
    name: 'NetrefError',
    code: 'connection-lost',
    message: /^the connection to NATS has ended: /
  })
  t.same(await values.next(), { done: true, value: undefined })
})

t.test('messages that cannot be read are skipped and reported, and the loop goes on', options, async t => {
  const server: NatsServer = await startNatsServer(t)
  const { bus, errors } = openBus(t, server.url)
  const topic = bus.topic<unknown>('x')
  const values = await topic.subscribe()
  const connection = await bus.connection.open()
  for (let i = 0; i < 5; i++) connection.publish('netref.t.x', `{"no": "frame ${i}"}`)
  await topic.publish('between')
  const socket = net.connect(server.port, '127.0.0.1')
  const header = 'NATS/1.0\r\nbad\u0001 key: 1\r\nNetref-Number: me 0\r\n\r\n'
  const payload = '[0,[[10,1,"malformed headers"]]]'
  socket.write(
    `CONNECT {"headers":true,"verbose":false}\r\nHPUB netref.t.x ${header.length} ${header.length + payload.length}\r\n${header}${payload}\r\nPING\r\n`
  )
  for (let said = ''; !said.includes('PONG'); ) said += (await once(socket, 'data'))[0]
  socket.destroy()
  connection.publish('netref.t.x', '[0,[[10,1,{"__proto__":{"polluted":1}}]]]')
  connection.publish('netref.t.x', '[0,[[10,1,{"then":[0,""]},[["f",["then"]]]]]]')
  connection.publish('netref.t.x', '')
  await topic.publish('last')
  const got = await read(values, 4)
  t.same([got[0], got[1], got[3]], ['between', 'malformed headers', 'last'])
  t.equal((got[2] as { polluted?: unknown }).polluted, undefined)
  t.equal(values.missed, 0)
  t.match(errors, [
    {
      name: 'NetrefError',
      code: 'unreadable',
      message: 'topic: a message on netref.t.x was skipped: a frame that is not [received, messages]'
    }
  ])
  await values.return()
  t.match(errors.slice(1), [
    {
      name: 'NetrefError',
      code: 'repeated',
      message:
        /^6 more such messages arrived within 10 s, the last: topic: a message on netref\.t\.x was skipped: /
    }
  ])
  t.type(errors[0], NetrefError)
})

t.test('an error of `onError` is logged, and ends no loop', options, async t => {
  const { url } = await startNatsServer(t)
  const logged = t.capture(console, 'error')
  const bus = nats(url, {
    onError: error => {
      throw error
    }
  })
  t.teardown(() => bus.close())
  const values = await bus.topic<number>('x').subscribe()
  const connection = await bus.connection.open()
  connection.publish('netref.t.x', 'no frame')
  await bus.topic<number>('x').publish(1)
  t.same(await read(values, 1), [1])
  t.match(logged(), [
    { args: [/^netref\/nats: NetrefError: topic: a message on netref\.t\.x was skipped: /] }
  ])
})

// Never called: what is no data does not compile.
export function compiles(bus: Bus): void {
  void bus.topic<Price>('prices').publish({ symbol: 'X', price: 41 })
  void bus.topic<{ at: Date; tags: Set<string> }>('x').publish({ at: new Date(), tags: new Set() })
  // @ts-expect-error: it lacks a member
  void bus.topic<Price>('prices').publish({ symbol: 'X' })
  // @ts-expect-error: a function is no data
  void bus.topic<{ notify(): void }>('x').publish({ notify() {} })
  // @ts-expect-error: a promise is no data
  void bus.topic<{ later: Promise<number> }>('x').publish({ later: Promise.resolve(1) })
}
