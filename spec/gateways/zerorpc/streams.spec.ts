// Specs of streams and heartbeats of the ZeroRPC gateway.
import { mock } from 'node:test'
import t from 'tap'
import { callSignal, expose, Service } from '../../../lib/index.js'
import { useFakeClock } from '../../support/fake-clock.js'
import { waitUntil } from '../../support/helpers.js'
import type { Untyped } from '../../support/wire.js'
import { ByteClient, DealerClient, withZeroRpc } from '../../support/zerorpc.js'

let returned = 0
let aborted = 0
t.beforeEach(() => {
  returned = aborted = 0
})

class Rows extends Service {
  *exposed_rows(count: number) {
    try {
      for (let i = 0; i < count; i++) {
        yield i
      }
    } finally {
      returned++
    }
  }
  async *exposed_failing(): Untyped {
    yield 1
    throw new RangeError('no more')
  }
  *exposed_references(): Untyped {
    yield { a: 1 }
    yield { b: expose({}) }
  }
  exposed_readable() {
    return new ReadableStream({
      start(controller) {
        for (const item of ['a', 'b']) controller.enqueue(item)
        controller.close()
      }
    })
  }
  *exposed_texts(count: number, length: number) {
    try {
      for (let i = 0; i < count; i++) yield 'x'.repeat(length)
    } finally {
      returned++
    }
  }
  exposed_in_a_list(): Untyped {
    return [this.exposed_rows(1)]
  }
  exposed_wait() {
    return new Promise(resolve => {
      callSignal()!.addEventListener('abort', () => {
        aborted++
        resolve(expose({}))
      })
    })
  }
}

t.test('a stream sends as many items as the client has slots for', async t => {
  await withZeroRpc(t, Rows, async ({ port }) => {
    const client = new DealerClient(port)
    const channel = client.open('rows', 250)
    await client.wait(channel, 1)
    await client.call('_zerorpc_ping')
    t.same(client.of(channel), [{ ...client.of(channel)[0], name: 'STREAM', args: 0 }], 'one slot at first')
    client.on(channel, '_zpc_more', [99])
    await client.wait(channel, 100)
    await client.call('_zerorpc_ping')
    t.equal(client.of(channel).length, 100)
    for (const args of [[-5], [0], ['9'], [], null, 7, [Number.NaN], [0.5], [{}]])
      client.on(channel, '_zpc_more', args)
    client.on(channel, 'other', [1])
    await client.call('_zerorpc_ping')
    t.equal(client.of(channel).length, 100, 'what is no number of slots adds none')
    client.on(channel, '_zpc_more', [150])
    await client.wait(channel, 250)
    await client.call('_zerorpc_ping')
    t.equal(client.of(channel).length, 250, 'the end takes a slot, too')
    client.on(channel, '_zpc_more', [2 ** 40])
    const events = await client.wait(channel, 251)
    t.same(
      events.slice(0, -1).map(({ args }) => args),
      Array.from({ length: 250 }, (_, i) => i)
    )
    t.match(events.at(-1), { name: 'STREAM_DONE', args: null })
    client.on(channel, '_zpc_more', [1])
    t.equal(returned, 1)
    client.close()
  })
})

t.test('streams of all kinds, and their errors', async t => {
  await withZeroRpc(t, Rows, async ({ port }) => {
    const client = new DealerClient(port)
    const read = async (name: string, count: number) => {
      const channel = client.open(name)
      client.on(channel, '_zpc_more', [100])
      return (await client.wait(channel, count)).map(({ name, args }) => [name, args])
    }
    t.same(await read('readable', 3), [
      ['STREAM', 'a'],
      ['STREAM', 'b'],
      ['STREAM_DONE', null]
    ])
    t.same(await read('failing', 2), [
      ['STREAM', 1],
      ['ERR', ['RangeError', 'no more', null]]
    ])
    t.same(await read('references', 2), [
      ['STREAM', { a: 1 }],
      ['ERR', ['NoFormError', 'item.b is a reference, and ZeroRPC has none; pass plain data', null]]
    ])
    t.match(await read('in_a_list', 1), [['ERR', ['NoFormError', /result\[0\] is a reference/, null]]])
    client.close()
  })
})

t.test('the first heartbeat comes from the server, and a client that answers keeps its call', async t => {
  useFakeClock(t, ['setInterval'])
  await withZeroRpc(t, Rows, async ({ port }) => {
    const client = new DealerClient(port)
    const channel = client.open('wait')
    await client.call('_zerorpc_ping')
    const beats = () => client.events.filter(({ name }) => name === '_zpc_hb')
    for (let i = 1; i <= 10; i++) {
      mock.timers.tick(5000)
      await waitUntil(() => beats().length === i)
      client.on(channel, '_zpc_hb', [0])
      await client.call('_zerorpc_ping')
    }
    t.match(beats()[0], { header: { response_to: channel, v: 3 }, args: [0] })
    t.equal(aborted, 0)
    client.close()
  })
  t.equal(aborted, 1)
})

t.test('a client without heartbeats loses its call and its stream after 10 to 15 s', async t => {
  useFakeClock(t, ['setInterval'])
  await withZeroRpc(t, Rows, async ({ port, server }) => {
    const client = new DealerClient(port)
    const call = client.open('wait')
    const stream = client.open('rows', 1e9)
    const busy = client.open('rows', 1e9)
    client.on(busy, '_zpc_more', [5])
    await client.wait(stream)
    await client.wait(busy, 6)
    mock.timers.tick(5000)
    mock.timers.tick(5000)
    mock.timers.tick(4000)
    await client.call('_zerorpc_ping')
    t.same([aborted, returned], [0, 0])
    mock.timers.tick(1000)
    await waitUntil(() => aborted === 1 && returned === 2)
    await waitUntil(() => [...server.sessions].every(({ stats }) => stats.exports === 0))
    const seen = client.events.length
    for (const channel of [call, stream, busy]) client.on(channel, '_zpc_more', [10])
    mock.timers.tick(60_000)
    t.equal(await client.call('_zerorpc_name'), 'netref', 'the connection goes on')
    t.equal(client.events.length, seen + 1, 'nothing more is sent on these channels')
    client.close()
  })
})

t.test('a client that goes away ends its streams', async t => {
  await withZeroRpc(t, Rows, async ({ port }) => {
    const client = new DealerClient(port)
    await client.wait(client.open('rows', 1e9))
    client.close()
    await waitUntil(() => returned === 1)
  })
})

t.test('a stream goes at the pace at which the client reads', async t => {
  await withZeroRpc(
    t,
    Rows,
    async ({ port }) => {
      const client = await ByteClient.connect(port)
      const channel = client.open('texts', 3000, 10_000)
      await client.wait(channel)
      client.socket.pause()
      client.on(channel, '_zpc_more', [10_000])
      await new Promise(resolve => setTimeout(resolve, 300))
      t.notOk(client.socket.destroyed)
      client.socket.resume()
      t.equal((await client.wait(channel, 3001)).at(-1)!.name, 'STREAM_DONE')
      await client.close()
    },
    { limits: { bufferedBytes: 100_000 } }
  )
})

t.test('a client that reads nothing loses the connection and its streams', async t => {
  await withZeroRpc(
    t,
    Rows,
    async ({ port, server }) => {
      const client = await ByteClient.connect(port)
      const channel = client.open('texts', 1e9, 100_000)
      await client.wait(channel)
      client.socket.pause()
      client.on(channel, '_zpc_more', [10_000])
      await waitUntil(() => server.sessions.size === 0 && returned === 1)
      await client.close()
    },
    { limits: { pauseMs: 200 } }
  )
})

t.test('heartbeats do not count while the client does not read, since nothing of it is read', async t => {
  useFakeClock(t, ['setInterval'])
  await withZeroRpc(t, Rows, async ({ port }) => {
    const client = await ByteClient.connect(port)
    const channel = client.open('texts', 300, 100_000)
    await client.wait(channel)
    client.socket.pause()
    client.on(channel, '_zpc_more', [10_000])
    await new Promise(resolve => setTimeout(resolve, 300))
    for (let i = 0; i < 5; i++) mock.timers.tick(5000)
    client.socket.resume()
    t.equal((await client.wait(channel, 301)).at(-1)!.name, 'STREAM_DONE')
    await client.close()
  })
})

t.test('a server that closes ends streams that wait for slots', async t => {
  await withZeroRpc(t, Rows, async ({ port, server }) => {
    const client = await ByteClient.connect(port)
    const channel = client.open('rows', 1e9)
    await client.wait(channel)
    await server.close()
    await client.closed
    t.match(client.of(channel).at(-1), { name: 'ERR', args: ['SessionEndedError'] })
    t.equal(returned, 1)
  })
})
