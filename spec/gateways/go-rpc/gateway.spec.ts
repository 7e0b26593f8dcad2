// Specs of the gateway for Go's net/rpc: calls, answers, errors, authentication, and the end of connections.
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import { goRpc } from '../../../lib/gateways/go-rpc.js'
import { jsonRpc } from '../../../lib/gateways/json-rpc.js'
import { rpyc } from '../../../lib/gateways/rpyc.js'
import { callSession, callSignal, expose, Service, serve } from '../../../lib/index.js'
import { certificates } from '../../support/certificates.js'
import { goType, NOTHING, RawGoClient, withGoRpc } from '../../support/go-rpc.js'
import { waitUntil } from '../../support/helpers.js'
import type { Untyped } from '../../support/wire.js'

const gates = new Map<unknown, (value: unknown) => void>()
let cancelled = 0

class Tutorial extends Service {
  exposed_ServiceA = { Add: ({ X, Y }: { X: number; Y: number }) => X + Y }
  exposed_Args = { Count: (...args: unknown[]) => args.length, Echo: (value: unknown) => value }
  exposed_Wait = {
    For(id: unknown) {
      callSignal()?.addEventListener('abort', () => cancelled++)
      return new Promise(resolve => gates.set(id, resolve))
    }
  }
  exposed_Fail = {
    With(message: string): never {
      throw new RangeError(message)
    },
    Coded(): never {
      throw Object.assign(new Error('coded'), { code: 17 })
    },
    Text(): never {
      throw 'text'
    }
  }
  exposed_Open = { File: (): Untyped => ({ Name: 'a', Close: expose({ close() {} }), List: [() => {}] }) }
  exposed_Text = { Of: (length: number) => 'x'.repeat(length) }
  exposed_who = () => String(callSession()!.identity)
  received: unknown[] = []
  exposed_Push(value: unknown) {
    this.received.push(value)
    return this.received.length
  }
}

const ARGS = 'struct { X, Y int }'

t.test('calls are answered, and the numbers of calls repeated', async t => {
  await withGoRpc(t, Tutorial, async ({ port, server }) => {
    const client = await RawGoClient.connect(port)
    t.match(await client.call('ServiceA.Add', ARGS, { X: 10, Y: 20 }), {
      ...{ sequence: 0, method: 'ServiceA.Add', error: '', value: 30 }
    })
    t.equal([...server.sessions][0]!.gateway, 'go-rpc')
    t.same(await client.result('ServiceA.Add', ARGS, { X: 0, Y: -5 }), ['int', -5])
    t.same(await client.result('Push', 'int', 5), ['int', 1], 'a member of the root')
    t.same(
      await client.result('Args.Count', NOTHING, {}),
      ['int', 0],
      'a struct without fields is no argument'
    )
    t.same(await client.result('Args.Count', 'struct { A int }', {}), ['int', 1])
    t.match(server.metrics.gateways, { 'go-rpc': { clients: 1, clientsTotal: 1, clientsRefused: 0 } })
    await client.end()
  })
})

t.test('over HTTP, with lines that end with a line feed or a carriage return, too', async t => {
  await withGoRpc(t, Tutorial, async ({ port, server }) => {
    for (const head of [
      'CONNECT /_goRPC_ HTTP/1.0\n\n',
      'CONNECT /_goRPC_ HTTP/1.0\r\n\r\n',
      'CONNECT /_goRPC_ HTTP/1.1\r\nHost: x\r\nUser-Agent: y\r\n\r\n'
    ]) {
      const client = await RawGoClient.connect(port, head)
      t.same(await client.result('ServiceA.Add', ARGS, { X: 1, Y: 2 }), ['int', 3])
      await client.end()
    }
    const torn = await RawGoClient.connect(port)
    const bytes = Buffer.concat([
      Buffer.from('CONNECT /_goRPC_ HTTP/1.0\r\nA: b\r\n\r\n'),
      torn.encode('ServiceA.Add', goType(ARGS), { X: 1, Y: 2 })
    ])
    torn.socket.removeAllListeners('data')
    let received = ''
    torn.socket.on('data', chunk => {
      received += chunk.toString('latin1')
    })
    for (const byte of bytes) {
      torn.socket.write(Buffer.of(byte))
      await new Promise(setImmediate)
    }
    await waitUntil(() => received.includes('ServiceA.Add'))
    t.match(received, /^HTTP\/1.0 200 Connected to Go RPC\n\n/)
    torn.socket.destroy()
    const other = await fetch(`http://127.0.0.1:${port}/_goRPC_`).catch(error => error)
    t.equal(other.status, 426, 'other requests are those of the server')
    await waitUntil(() => server.metrics.gateways['go-rpc']!.clients === 0)
  })
})

t.test('the first call may be torn', async t => {
  await withGoRpc(t, Tutorial, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    for (const byte of client.encode('ServiceA.Add', goType(ARGS), { X: 1, Y: 2 })) {
      client.socket.write(Buffer.of(byte))
      await new Promise(setImmediate)
    }
    t.equal((await client.answer(0)).value, 3)
    await client.end()
  })
})

t.test('a program that has many types has others before the request', async t => {
  await withGoRpc(t, Tutorial, async ({ port }) => {
    for (const id of ['7f', 'ff81', 'fe0fff', 'fc7fffffff']) {
      const client = await RawGoClient.connect(port)
      const number = Buffer.from(id, 'hex')
      const definition = Buffer.from('0301010752657175657374', 'hex')
      client.socket.write(Buffer.concat([Buffer.of(0x30), number, definition]))
      await waitUntil(() => client.socket.bytesWritten > 0)
      await new Promise(resolve => setTimeout(resolve, 20))
      t.notOk(client.socket.readableEnded, `${id} is of the gateway`)
      client.socket.destroy()
    }
  })
})

t.test('calls begin in order, and are answered as they settle', async t => {
  await withGoRpc(
    t,
    () => new Tutorial(),
    async ({ port }) => {
      const client = await RawGoClient.connect(port)
      gates.clear()
      const slow = client.send('Wait.For', 'string', 'slow')
      const calls = Array.from({ length: 1000 }, (_, i) => client.send('Push', 'int', i))
      for (const [i, call] of calls.entries()) t.equal((await client.answer(call)).value, i + 1)
      t.equal(client.answers.length, 1000)
      gates.get('slow')!('done')
      t.equal((await client.answer(slow)).value, 'done')
      const waiting = Array.from({ length: 100 }, (_, i) => client.send('Wait.For', 'int', i))
      await waitUntil(() => gates.size === 101)
      for (let i = 99; i >= 0; i--) gates.get(i)!(i)
      await Promise.all(waiting.map(call => client.answer(call)))
      t.same(
        client.answers.slice(1001).map(({ value }) => value),
        Array.from({ length: 100 }, (_, i) => 99 - i)
      )
      await client.end()
    }
  )
})

t.test('errors are texts, with a body behind, and the connection goes on', async t => {
  await withGoRpc(t, Tutorial, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    t.match(await client.call('Fail.With', 'string', 'no such thing'), { error: 'no such thing', value: {} })
    t.equal(await client.result('Fail.With', 'string', ''), 'RangeError', 'an empty text would be no error')
    t.equal(await client.result('Fail.Coded', 'int', 0), 'coded')
    t.equal(await client.result('Fail.Text', 'int', 0), 'text')
    for (const method of [
      'Tutorial.Missing',
      'missing',
      '',
      '.',
      'ServiceA.',
      'ServiceA.toString',
      '__proto__.x',
      'ServiceA'
    ])
      t.equal(await client.result(method, 'int', 1), `rpc: can't find service ${method}`)
    t.equal(
      await client.result('Open.File', 'int', 1),
      'result.Close is a reference, and gob has none; pass plain data'
    )
    t.same(await client.result('ServiceA.Add', ARGS, { X: 1, Y: 1 }), ['int', 2])
    await client.end()
  })
})

t.test('with exposeStacks, errors have their stacks', async t => {
  await withGoRpc(
    t,
    Tutorial,
    async ({ port }) => {
      const client = await RawGoClient.connect(port)
      t.match(await client.result('Fail.With', 'string', 'no'), /^RangeError: no\n {4}at .*gateway\.spec/s)
      await client.end()
    },
    { exposeStacks: true }
  )
})

t.test('what a result refers to is given back', async t => {
  await withGoRpc(t, Tutorial, async ({ port, server }) => {
    const client = await RawGoClient.connect(port)
    await client.result('Open.File', 'int', 1)
    await waitUntil(() => [...server.sessions][0]!.stats.exports === 0, 'the release')
    await client.end()
  })
})

t.test('a client that closes its side gets its answers', async t => {
  await withGoRpc(t, Tutorial, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    gates.clear()
    const call = client.send('Wait.For', 'int', 5)
    client.socket.end()
    await waitUntil(() => gates.size === 1)
    gates.get(5)!('late')
    await client.closed
    t.equal((await client.answer(call)).value, 'late')
  })
})

t.test('a client that closes its side is not waited for without end', async t => {
  await withGoRpc(
    t,
    Tutorial,
    async ({ port }) => {
      const client = await RawGoClient.connect(port)
      cancelled = 0
      client.send('Wait.For', 'int', 5)
      client.socket.end()
      await client.closed
      await waitUntil(() => cancelled === 1, 'the cancellation')
      t.same(client.answers, [])
    },
    { limits: { helloMs: 100 } }
  )
})

t.test('the end of a connection cancels its calls', async t => {
  await withGoRpc(t, Tutorial, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    gates.clear()
    cancelled = 0
    client.send('Wait.For', 'int', 5)
    await waitUntil(() => gates.size === 1)
    client.socket.resetAndDestroy()
    await waitUntil(() => cancelled === 1, 'the cancellation')
  })
})

t.test('a server that closes lets calls finish, and answers the others', async t => {
  await withGoRpc(t, Tutorial, async ({ port, server }) => {
    const [client, stuck, idle] = await Promise.all([1, 2, 3].map(() => RawGoClient.connect(port)))
    gates.clear()
    const call = client!.send('Wait.For', 'int', 6)
    const stuckCall = stuck!.send('Wait.For', 'int', 7)
    await idle!.call('Push', 'int', 1)
    await waitUntil(() => gates.size === 2)
    const closing = server.close({ drain: 500 })
    await idle!.closed
    const late = client!.encode('Push', goType('int'), 1)
    await new Promise<void>(sent => client!.socket.write(late, () => sent()))
    gates.get(6)!('drained')
    await Promise.all([closing, client!.closed, stuck!.closed])
    t.equal((await client!.answer(call)).value, 'drained')
    t.match((await stuck!.answer(stuckCall)).error, /the session has ended/)
  })
})

t.test('a client that reads slowly is answered as it reads', async t => {
  await withGoRpc(t, Tutorial, async ({ port }) => {
    const client = await RawGoClient.connect(port)
    client.socket.pause()
    const calls = Array.from({ length: 200 }, () => client.send('Text.Of', 'int', 100_000))
    await new Promise(setImmediate)
    client.socket.resume()
    for (const call of calls) await client.answer(call)
    t.equal(client.answers.length, 200)
    await client.end()
  })
})

t.test('with authenticate, clients that cannot show who they are need that of the gateway', async t => {
  const refused: unknown[] = []
  for (const [authenticate, identity] of [
    [undefined, undefined],
    [() => undefined, undefined],
    [({ gateway, address }: Untyped) => `${gateway} at ${address}`, 'go-rpc at 127.0.0.1']
  ] as const)
    for (const head of [undefined, 'CONNECT /_goRPC_ HTTP/1.0\n\n']) {
      const server = await serve(Tutorial, {
        port: 0,
        host: '127.0.0.1',
        authenticate: () => 'anybody',
        gateways: [goRpc(authenticate ? { authenticate } : {})],
        onError: error => void refused.push(error)
      })
      const client = await RawGoClient.connect(server.port, identity && head)
      if (!identity && head) client.socket.write(head)
      if (identity) t.same(await client.result('who', NOTHING, {}), ['string', identity])
      else {
        client.send('who', NOTHING, {})
        await client.closed
        t.same(client.answers, [])
        t.match(server.metrics.gateways, { 'go-rpc': { clientsRefused: 1 } })
      }
      client.socket.destroy()
      await server.close()
      t.equal(server.sessions.size, 0)
    }
})

t.test('a certificate shows who a client is', async t => {
  const { ca, server: pair, ada } = await certificates(t)
  const server = await serve(Tutorial, {
    port: 0,
    host: '127.0.0.1',
    authenticate: ({ certificate }) => certificate?.subject.CN,
    gateways: [goRpc({ port: 0, tls: { ...pair, ca, requestCert: true, rejectUnauthorized: false } })]
  })
  const socket = connectTls({
    ...{ port: server.gatewayPorts['go-rpc']!, host: '127.0.0.1', servername: 'localhost', ca, ...ada }
  })
  socket.write('CONNECT /_goRPC_ HTTP/1.0\n\n')
  for await (const chunk of socket) {
    t.equal(String(chunk), 'HTTP/1.0 200 Connected to Go RPC\n\n')
    break
  }
  await server.close()
})

t.test('it shares a port with other gateways', async t => {
  await withGoRpc(
    t,
    Tutorial,
    async ({ port }) => {
      const client = await RawGoClient.connect(port)
      t.same(await client.result('ServiceA.Add', ARGS, { X: 1, Y: 2 }), ['int', 3])
      const response = await fetch(`http://127.0.0.1:${port}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"method":"ServiceA.Add","params":[{"X":1,"Y":2}],"id":1}'
      })
      t.match(await response.json(), { result: 3 })
      await client.end()
    },
    { gateways: [rpyc(), jsonRpc(), goRpc()] }
  )
})

t.test('options are checked', async t => {
  const fails = (options: object, message: string | RegExp) =>
    t.throws(() => goRpc(options as never), { name: 'TypeError', message })
  fails({ type: {} }, /goRpc: .*did you mean `types`/)
  fails({ types: 1 }, /goRpc: .*types/)
  fails({ types: { A: 1 } }, 'goRpc: types["A"] is 1; write a type as Go does: "[]string"')
  fails(
    { types: { A: 'chan int' } },
    'goRpc: types["A"] is not a type of Go: "chan" is not a type of Go that is known here'
  )
  fails({ types: { A: '[]B', B: 'A', C: 'C' } }, 'goRpc: types["C"] is only itself')
  fails({ types: { A: 'B', B: 'A' } }, 'goRpc: types["A"] is only itself')
  fails(
    { registered: { 'main.T': 'struct {' } },
    'goRpc: registered["main.T"] is not a type of Go: it has no end'
  )
  goRpc({ types: { A: '[]B', B: 'struct { Bs []B }' }, registered: { 'main.B': 'B' } })
})
