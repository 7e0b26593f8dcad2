// Specs of JSON-RPC over TCP.
import t from 'tap'
import { callSignal, expose, Service } from '../../../lib/index.js'
import { waitUntil } from '../../support/helpers.js'
import { RawClient, withJsonRpc } from '../../support/json-rpc.js'
import type { Untyped } from '../../support/wire.js'

const gates = new Map<number, (value: unknown) => void>()
let cancelled = 0

class Tutorial extends Service {
  received: unknown[] = []
  exposed_ServiceA = { Add: ({ X, Y, x = X, y = Y }: Record<string, number>) => x! + y! }
  exposed_nothing() {}
  exposed_nil = () => null
  exposed_echo = (value: unknown) => value
  exposed_wait(id: number) {
    callSignal()?.addEventListener('abort', () => cancelled++)
    return new Promise(resolve => gates.set(id, resolve))
  }
  exposed_push(value: unknown) {
    this.received.push(value)
  }
  exposed_received() {
    return this.received
  }
  exposed_open(): Untyped {
    return expose({ close() {} })
  }
  exposed_text = (length: number) => 'x'.repeat(length)
}

t.test('texts may be glued and torn, and each is answered on a line', async t => {
  await withJsonRpc(t, Tutorial, async ({ port, server }) => {
    const client = await RawClient.connect(port)
    await client.send('\r\n ')
    await new Promise(resolve => setTimeout(resolve, 20))
    await client.send('{"id": 0, "params": [{"x": 10, "y": 50}], "method": "ServiceA.Add"}')
    t.same(await client.answers(1), [{ id: 0, result: 60, error: null }])
    t.equal([...server.sessions][0]?.gateway, 'json-rpc')
    await client.send(
      '{"id":1,"method":"ServiceA.Add","params":[{"X":1,"Y":2}]}{"id":2,"method":"ServiceA.Add","params":[{"X":3,"Y":4}]}  \n'
    )
    t.same((await client.answers(3)).map(answer => [answer.id, answer.result]).slice(1), [
      [1, 3],
      [2, 7]
    ])
    const torn = '{"id":3,"method":"ServiceA.Nope","params":[{"X":"}]"}]}'
    for (const part of [torn.slice(0, 20), torn.slice(20, 50), torn.slice(50)]) await client.send(part)
    t.match((await client.answers(4))[3], { id: 3, result: null, error: /Nope/ })
    await client.send(
      '[{"jsonrpc":"2.0","method":"echo","params":[1],"id":9},{"jsonrpc":"2.0","method":"echo"}]'
    )
    t.same((await client.answers(5))[4], [{ jsonrpc: '2.0', id: 9, result: 1 }])
    await client.send(
      '{"jsonrpc":"2.0","method":"echo","params":[1],}{"jsonrpc":"2.0","method":"echo","params":[2],"id":5}'
    )
    t.match((await client.answers(7)).slice(5), [
      { id: null, error: { code: -32700 } },
      { id: 5, result: 2 }
    ])
    await client.end()
  })
})

t.test('Go gets an object in the place of null', async t => {
  await withJsonRpc(t, Tutorial, async ({ port }) => {
    const client = await RawClient.connect(port)
    for (const method of ['nothing', 'nil']) await client.send(`{"method":"${method}","params":[{}],"id":1}`)
    await client.send(
      '{"jsonrpc":"2.0","method":"nothing","id":2}{"version":"1.1","method":"nothing","id":2}'
    )
    t.same(
      (await client.answers(4)).map(({ result }) => result),
      [{}, {}, null, null]
    )
    await client.end()
  })
})

t.test('calls begin in order, and are answered as they settle', async t => {
  await withJsonRpc(
    t,
    () => new Tutorial(),
    async ({ port }) => {
      const client = await RawClient.connect(port)
      const texts = Array.from({ length: 1000 }, (_, i) => `{"method":"push","params":[${i}],"id":${i}}`)
      await client.send(
        `{"method":"wait","params":[1],"id":"slow"}${texts.join('')}{"method":"received","id":"all"}`
      )
      const answers = await client.answers(1001)
      t.same(
        answers.map(({ id }) => id).slice(0, 1000),
        Array.from({ length: 1000 }, (_, i) => i)
      )
      t.same(
        answers[1000].result,
        Array.from({ length: 1000 }, (_, i) => i)
      )
      gates.get(1)!('done')
      t.match((await client.answers(1002))[1001], { id: 'slow', result: 'done' })
      await client.end()
    }
  )
})

t.test('a thousand calls are in flight', async t => {
  await withJsonRpc(t, Tutorial, async ({ port }) => {
    const client = await RawClient.connect(port)
    gates.clear()
    await client.send(
      Array.from({ length: 1000 }, (_, i) => `{"method":"wait","params":[${i}],"id":${i}}`).join('\n')
    )
    await waitUntil(() => gates.size === 1000)
    for (const [id, resolve] of [...gates].reverse()) resolve(id)
    const answers = await client.answers(1000)
    t.same(
      answers.map(({ result }) => result),
      Array.from({ length: 1000 }, (_, i) => 999 - i)
    )
    await client.end()
  })
})

t.test('what a result refers to is given back', async t => {
  await withJsonRpc(t, Tutorial, async ({ port, server }) => {
    const client = await RawClient.connect(port)
    await client.send(
      '{"method":"open","id":1}{"jsonrpc":"2.0","method":"open"}{"method":"echo","params":[1],"id":2}'
    )
    t.match((await client.answers(2))[0], { error: /a reference, and JSON-RPC has none; pass plain data$/ })
    await waitUntil(() => [...server.sessions][0]!.stats.exports === 0, 'the release')
    await client.end()
  })
})

t.test('a client that closes its side gets its answers', async t => {
  await withJsonRpc(t, Tutorial, async ({ port }) => {
    const client = await RawClient.connect(port)
    gates.clear()
    client.socket.end('{"method":"wait","params":[5],"id":1}')
    await waitUntil(() => gates.size === 1)
    gates.get(5)!('late')
    await client.closed
    t.match(await client.answers(1), [{ id: 1, result: 'late' }])
  })
})

t.test('a client that closes its side is not waited for without end', async t => {
  await withJsonRpc(
    t,
    Tutorial,
    async ({ port }) => {
      const client = await RawClient.connect(port)
      cancelled = 0
      client.socket.end('{"method":"wait","params":[5],"id":1}')
      await client.closed
      await waitUntil(() => cancelled === 1, 'the cancellation')
      t.same(client.lines, [])
    },
    { limits: { helloMs: 100 } }
  )
})

t.test('the end of a connection cancels its calls', async t => {
  await withJsonRpc(t, Tutorial, async ({ port }) => {
    const client = await RawClient.connect(port)
    gates.clear()
    cancelled = 0
    await client.send('{"method":"wait","params":[5],"id":1}')
    await waitUntil(() => gates.size === 1)
    client.socket.resetAndDestroy()
    await waitUntil(() => cancelled === 1, 'the cancellation')
  })
})

t.test('a server that closes lets calls finish, and answers the others', async t => {
  await withJsonRpc(t, Tutorial, async ({ port, server }) => {
    const [client, stuck] = await Promise.all([RawClient.connect(port), RawClient.connect(port)])
    gates.clear()
    await client.send('{"method":"wait","params":[6],"id":1}')
    await stuck.send('{"method":"wait","params":[7],"id":1}')
    await waitUntil(() => gates.size === 2)
    const closing = server.close({ drain: 500 })
    gates.get(6)!('drained')
    await Promise.all([closing, client.closed, stuck.closed])
    t.match(await client.answers(1), [{ id: 1, result: 'drained' }])
    t.match(await stuck.answers(1), [{ id: 1, error: /the session has ended/ }])
  })
})

t.test('a client that is refused is disconnected', async t => {
  const refused: unknown[] = []
  await withJsonRpc(
    t,
    Tutorial,
    async ({ port }) => {
      const client = await RawClient.connect(port)
      await client.send('{"method":"echo","params":[1],"id":1}')
      await client.closed
      t.same(client.lines, [])
    },
    { gateway: { authenticate: () => undefined }, onError: error => void refused.push(error) }
  )
  t.same(refused, [])
})

t.test('without tcp there is HTTP only', async t => {
  await withJsonRpc(
    t,
    Tutorial,
    async ({ port }) => {
      const client = await RawClient.connect(port)
      await client.send('{"method":"echo","params":[1],"id":1}')
      await client.closed
      t.notMatch(client.lines.join(''), /result/)
    },
    { gateway: { tcp: false } }
  )
})

t.test('a client that reads slowly is answered as it reads', async t => {
  await withJsonRpc(t, Tutorial, async ({ port }) => {
    const client = await RawClient.connect(port)
    client.socket.pause()
    const count = 200
    for (let i = 0; i < count; i++) void client.send(`{"method":"text","params":[100000],"id":${i}}`)
    await new Promise(setImmediate)
    client.socket.resume()
    t.equal((await client.answers(count)).length, count)
    await client.end()
  })
})
