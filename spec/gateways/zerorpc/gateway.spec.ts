// Specs of calls through the ZeroRPC gateway, by a client of ZeroMQ.
import { type } from 'arktype'
import t from 'tap'
import { Dealer, Router, Proxy as ZeroMqProxy } from 'zeromq'
import { jsonRpc } from '../../../lib/gateways/json-rpc.js'
import { zeroRpc } from '../../../lib/gateways/zerorpc.js'
import { callSession, callSignal, expose, exposed, Service, serve } from '../../../lib/index.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'
import { post } from '../../support/json-rpc.js'
import type { Untyped } from '../../support/wire.js'
import { ByteClient, DealerClient, withZeroRpc } from '../../support/zerorpc.js'

class SoldOutError extends Error {
  override name = 'SoldOutError'
}

const gates: (() => void)[] = []
let aborted = 0

class Tutorial extends Service {
  static override help = { add: 'Adds two numbers' }
  readonly #received: unknown[] = []
  exposed_maths = { half: (x: number) => x / 2, deep: { double: (x: number) => x * 2 } }
  exposed_add(a: number, b = 1) {
    return a + b
  }
  exposed_list(...values: unknown[]) {
    return values
  }
  exposed_echo(value: unknown) {
    return value
  }
  exposed_nothing() {}
  exposed_push(value: unknown) {
    this.#received.push(value)
  }
  exposed_received() {
    return this.#received
  }
  exposed_fail(message = 'none left'): never {
    throw new SoldOutError(message)
  }
  exposed_text(): never {
    throw 'a text'
  }
  exposed_open(): Untyped {
    return { list: [1, expose({})] }
  }
  exposed_wait() {
    callSignal()?.addEventListener('abort', () => aborted++)
    return new Promise<string>(resolve => gates.push(() => resolve('done')))
  }
  exposed_who() {
    const { gateway, identity } = callSession()!
    return [gateway, identity]
  }
}

t.test('calls, and paths', async t => {
  await withZeroRpc(t, Tutorial, async ({ port, server }) => {
    const client = new DealerClient(port)
    t.equal(await client.call('add', 1, 2), 3)
    t.equal(await client.call('add', 1), 2)
    t.equal(await client.call('maths.half', 5), 2.5)
    t.equal(await client.call('maths.deep.double', 5), 10)
    t.equal(await client.call('nothing'), null)
    t.same(await client.call('list'), [])
    t.same(await client.call('who'), ['zerorpc', null])
    t.equal([...server.sessions][0]?.gateway, 'zerorpc')
    t.same(server.metrics.gateways.zerorpc, { clients: 1, clientsTotal: 1, clientsRefused: 0 })
    client.close()
  })
})

t.test('events answer the channel, with what identifies it as it came', async t => {
  await withZeroRpc(t, Tutorial, async ({ port }) => {
    const client = new DealerClient(port)
    const id = Uint8Array.of(0, 255, 7)
    client.send({ message_id: id, v: 3 }, 'add', [1, 2])
    client.send({ message_id: 'text é', v: 3, more: { any: 1 } }, 'add', [3, 4])
    const [bytes] = await client.wait(id)
    const [text] = await client.wait('text é')
    t.same(bytes!.header.response_to, Buffer.from(id))
    t.ok(bytes!.header.response_to instanceof Uint8Array)
    t.equal(text!.header.response_to, 'text é')
    t.match(text, { name: 'OK', args: [7], header: { v: 3 } })
    t.not(text!.header.message_id, bytes!.header.message_id)
    client.close()
  })
})

t.test('clients behind proxies share a connection, and each gets its own answers', async t => {
  await withZeroRpc(t, Tutorial, async ({ port, server }) => {
    const client = await ByteClient.connect(port)
    for (const address of ['one', 'two']) {
      client.addresses = [Buffer.from(address), Buffer.from('x'.repeat(200)), Buffer.alloc(0)]
      client.send({ message_id: 'same', v: 3 }, 'wait', [])
    }
    await waitUntil(() => gates.length === 2)
    for (const open of gates.splice(0)) open()
    await waitUntil(() => client.messages.length === 2)
    t.same(
      client.messages.map(frames => frames.slice(0, -1).map(frame => frame.length)),
      [
        [3, 200, 0],
        [3, 200, 0]
      ]
    )
    t.same(
      client.messages.map(([address]) => String(address)),
      ['one', 'two']
    )
    t.equal(server.sessions.size, 1)
    await client.close()
  })
})

t.test('errors have a name, a message, and a traceback if stacks are exposed', async t => {
  await withZeroRpc(t, Tutorial, async ({ port }) => {
    const client = new DealerClient(port)
    for (const name of [
      'missing',
      'maths',
      'maths.missing',
      'add.constructor',
      '',
      'a..b',
      '_zpc_hb',
      '__proto__'
    ])
      t.match(await rejectionOf(client.call(name)), { name: 'NameError', message: name, traceback: null })
    t.match(await rejectionOf(client.call('fail')), {
      name: 'SoldOutError',
      message: 'none left',
      traceback: null
    })
    t.match(await rejectionOf(client.call('fail', '\ud800')), { message: '\ufffd' })
    t.match(await rejectionOf(client.call('text')), { name: 'Error', message: 'a text' })
    t.match(await rejectionOf(client.call('open')), {
      name: 'NoFormError',
      message: 'result.list[1] is a reference, and ZeroRPC has none; pass plain data'
    })
    for (const args of [null, 1, 'text', { a: 1 }]) {
      client.send({ message_id: `args ${args}`, v: 3 }, 'add', args)
      const [event] = await client.wait(`args ${args}`)
      t.match(event, { name: 'ERR', args: ['TypeError', 'add: the arguments are not a list', null] })
    }
    client.close()
  })
  await withZeroRpc(
    t,
    Tutorial,
    async ({ port }) => {
      const client = new DealerClient(port)
      t.match(await rejectionOf(client.call('fail')), { traceback: /SoldOutError: none left\n +at / })
      t.match(await rejectionOf(client.call('text')), { traceback: null })
      client.close()
    },
    { exposeStacks: true }
  )
})

t.test('arguments that do not match the schema are a TypeError', async t => {
  class Checked extends Service {
    @exposed(type(['number']))
    half(x: number) {
      return x / 2
    }
  }
  await withZeroRpc(t, Checked, async ({ port }) => {
    const client = new DealerClient(port)
    t.equal(await client.call('half', 5), 2.5)
    t.match(await rejectionOf(client.call('half', '5')), { name: 'TypeError', message: /number/ })
    client.close()
  })
})

t.test('clients behind a proxy of ZeroMQ', async t => {
  await withZeroRpc(t, Tutorial, async ({ port, server }) => {
    const [front, back] = [new Router({ linger: 0 }), new Dealer({ linger: 0 })]
    await front.bind('tcp://127.0.0.1:*')
    back.connect(`tcp://127.0.0.1:${port}`)
    const proxy = new ZeroMqProxy(front, back)
    const running = proxy.run()
    const frontPort = Number(new URL(front.lastEndpoint!).port)
    const clients = [new DealerClient(frontPort), new DealerClient(frontPort)]
    t.same(await Promise.all(clients.map((client, i) => client.call('add', i, 10))), [10, 11])
    t.equal(server.sessions.size, 1)
    for (const client of clients) client.close()
    proxy.terminate()
    await running
  })
})

t.test('every server of ZeroRPC has methods that describe it', async t => {
  await withZeroRpc(t, Tutorial, async ({ port }) => {
    const client = new DealerClient(port)
    const names: string[] = await client.call('_zerorpc_list')
    t.match(names, ['add', 'echo'])
    t.ok(names.includes('maths.deep.double'))
    t.equal(await client.call('_zerorpc_name'), 'netref')
    t.same(await client.call('_zerorpc_ping'), ['pong', 'netref'])
    t.equal(await client.call('_zerorpc_help', 'add'), 'Adds two numbers')
    t.equal(await client.call('_zerorpc_help', 'maths.half'), null)
    t.same(await client.call('_zerorpc_args', 'add'), [['a', 'b'], null, null, [null]])
    t.same(await client.call('_zerorpc_args', 'list'), [[], 'values', null, null])
    const { name, methods } = await client.call('_zerorpc_inspect')
    t.equal(name, 'netref')
    t.same(methods.add, { args: [{ name: 'a' }, { name: 'b', default: null }], doc: 'Adds two numbers' })
    t.same(methods['maths.half'], { args: [{ name: 'x' }], doc: null })
    t.match(await rejectionOf(client.call('_zerorpc_help', 'missing')), {
      name: 'NameError',
      message: 'missing'
    })
    for (const args of [[], [1], ['add', 'list']])
      t.match(await rejectionOf(client.call('_zerorpc_help', ...args)), {
        name: 'TypeError',
        message: '_zerorpc_help takes the name of a method'
      })
    t.match(await rejectionOf(client.call('_zerorpc_list', 1)), { message: '_zerorpc_list takes nothing' })
    client.close()
  })
  await withZeroRpc(t, { bound: ((a: number) => a).bind(null) }, async ({ port }) => {
    const client = new DealerClient(port)
    t.equal(await client.call('_zerorpc_args', 'bound'), null)
    t.same((await client.call('_zerorpc_inspect')).methods, { bound: { args: null, doc: null } })
    client.close()
  })
  await withZeroRpc(
    t,
    Tutorial,
    async ({ port }) => {
      const client = new DealerClient(port)
      t.match(await rejectionOf(client.call('_zerorpc_inspect')), { name: 'NameError' })
      t.same(await client.call('_zerorpc_ping'), ['pong', 'netref'])
      client.close()
    },
    { describe: false }
  )
})

t.test('calls begin in order, and a thousand are in flight', async t => {
  await withZeroRpc(
    t,
    () => new Tutorial(),
    async ({ port }) => {
      const client = new DealerClient(port)
      const channels = Array.from({ length: 1000 }, () => client.open('wait'))
      const pushed = Array.from({ length: 1000 }, (_, i) => client.call('push', i))
      await Promise.all(pushed)
      t.same(
        await client.call('received'),
        Array.from({ length: 1000 }, (_, i) => i)
      )
      await waitUntil(() => gates.length === 1000)
      for (const open of gates.splice(0)) open()
      await waitUntil(() => channels.every(channel => client.of(channel).length === 1))
      client.close()
    }
  )
})

t.test('two gateways show the same service', async t => {
  const numbers: number[] = []
  const service = { push: (n: number) => numbers.push(n), all: () => numbers }
  await withZeroRpc(
    t,
    service,
    async ({ port, server }) => {
      const client = new DealerClient(port)
      await client.call('push', 1)
      const url = `http://127.0.0.1:${server.port}/`
      t.equal((await post(url, { jsonrpc: '2.0', method: 'push', params: [2], id: 1 })).result, 2)
      t.same(await client.call('all'), [1, 2])
      client.close()
    },
    { gateways: [zeroRpc(), jsonRpc()] }
  )
})

t.test('a port of its own', async t => {
  await withZeroRpc(
    t,
    Tutorial,
    async ({ port, server }) => {
      t.not(port, server.port)
      const client = new DealerClient(port)
      t.equal(await client.call('add', 1, 2), 3)
      client.close()
    },
    { gateway: { port: 0 } }
  )
})

t.test('a server with authenticate refuses clients, unless the gateway says what they are', async t => {
  let refused = 0
  const server = await serve(Tutorial, {
    port: 0,
    authenticate: () => 'ada',
    gateways: [zeroRpc()],
    onError: () => {}
  })
  server.on('refused', () => refused++)
  const client = await ByteClient.connect(server.port)
  await client.closed
  t.same(client.commands, [], 'nothing is sent to it')
  t.equal(refused, 1)
  t.equal(server.metrics.gateways.zerorpc!.clientsRefused, 1)
  await server.close()

  await withZeroRpc(
    t,
    Tutorial,
    async ({ port }) => {
      const client = new DealerClient(port)
      t.same(await client.call('who'), ['zerorpc', 'a client at 127.0.0.1'])
      client.close()
    },
    {
      authenticate: () => 'ada',
      gateway: { authenticate: ({ address }) => `a client at ${address}` }
    }
  )
  await withZeroRpc(
    t,
    Tutorial,
    async ({ port }) => {
      const client = await ByteClient.connect(port)
      await client.closed
      t.same(client.commands, [])
    },
    { gateway: { authenticate: () => false } }
  )
})

t.test('a client that goes away aborts its calls', async t => {
  aborted = 0
  gates.length = 0
  await withZeroRpc(t, Tutorial, async ({ port }) => {
    const client = new DealerClient(port)
    client.open('wait')
    await waitUntil(() => gates.length === 1)
    client.close()
    await waitUntil(() => aborted === 1)
    gates.pop()!()
  })
})

t.test('a server that drains answers what is under way, and closes the connection', async t => {
  gates.length = 0
  const server = await serve(Tutorial, { port: 0, gateways: [zeroRpc()] })
  const client = await ByteClient.connect(server.port)
  const idle = await ByteClient.connect(server.port)
  const channel = client.open('wait')
  await waitUntil(() => gates.length === 1)
  const closing = server.close({ drain: 10_000 })
  await idle.closed
  gates.pop()!()
  await Promise.all([client.closed, closing])
  t.match(client.of(channel), [{ name: 'OK', args: ['done'] }])

  const other = await serve(Tutorial, { port: 0, gateways: [zeroRpc()] })
  const late = await ByteClient.connect(other.port)
  const lost = late.open('wait')
  await waitUntil(() => gates.length === 1)
  await other.close()
  await late.closed
  t.match(late.of(lost), [{ name: 'ERR', args: ['SessionEndedError', String, null] }])
})

t.test('no more calls and streams are under way than limits.pendingCalls', async t => {
  gates.length = 0
  await withZeroRpc(
    t,
    Tutorial,
    async ({ port }) => {
      const client = new DealerClient(port)
      for (let i = 0; i < 3; i++) client.open('wait')
      t.match(await rejectionOf(client.call('add', 1)), {
        name: 'LimitError',
        message: '3 calls and streams are under way (limits.pendingCalls)'
      })
      for (const open of gates.splice(0)) open()
      await waitUntil(() => client.events.length === 4)
      t.equal(await client.call('add', 1), 2)
      client.close()
    },
    { limits: { pendingCalls: 3 } }
  )
})

t.test('options are checked', async t => {
  t.throws(() => zeroRpc({ heartbeat: 1 } as object), /zeroRpc: .*heartbeat/)
  t.throws(() => zeroRpc({ port: '1' } as object), /zeroRpc: .*port/)
})
