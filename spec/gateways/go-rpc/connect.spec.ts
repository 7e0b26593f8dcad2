// Specs of calling servers of Go's net/rpc.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { GobEncoder } from '../../../lib/gateways/go-rpc/gob/encoder.js'
import { RESPONSE } from '../../../lib/gateways/go-rpc/headers.js'
import { connectGoRpc, GoRpcError } from '../../../lib/gateways/go-rpc.js'
import { callSignal, expose, Netref, Service } from '../../../lib/index.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'
import { goType, withGoRpc } from '../../support/go-rpc.js'
import { assertClean, rejectionOf, waitUntil } from '../../support/helpers.js'
import type { Untyped } from '../../support/wire.js'

const gates = new Map<unknown, (value: unknown) => void>()
let cancelled = 0
const notified: unknown[] = []

class Shop extends Service {
  exposed_Shop = {
    Price: ({ Article, Count }: { Article: string; Count: number }) => `${Article} × ${Count}`,
    Fail(text: string): never {
      throw new RangeError(text)
    },
    Wait: (id: unknown) => {
      callSignal()?.addEventListener('abort', () => cancelled++)
      return new Promise(resolve => gates.set(id, resolve))
    },
    Notify: (value: unknown) => void notified.push(value),
    Count: (...args: unknown[]) => args.length,
    Text: (length: number) => 'x'.repeat(length),
    Nest: (levels: number) => Array.from({ length: levels }).reduce(inner => [inner], 1)
  }
  exposed_Deep = { Er: { Echo: (value: unknown) => value } }
  exposed_Echo = (value: unknown) => value
}

for (const http of [false, true])
  t.test(`calls over ${http ? 'HTTP' : 'TCP'} are those of a connection`, async t => {
    await withGoRpc(t, Shop, async ({ port, server }) => {
      await using conn = connectGoRpc<Shop>(`127.0.0.1:${port}`, { http })
      const root = conn.root as Untyped
      t.equal(await root.Shop.Price({ Article: 'tea', Count: 2 }), 'tea × 2')
      t.equal(await root['Shop.Price']({ Article: 'tea', Count: 0 }), 'tea × 0')
      t.equal(await root.Deep.Er.Echo('x'), 'x')
      t.equal(await root.Shop.Count(), 0, 'no argument')
      t.equal(await root.Shop.Count(undefined), 0)
      t.equal(await root.Echo(null), undefined)
      t.same(
        await Promise.all(Array.from({ length: 200 }, (_, i) => root.Echo(i))),
        Array.from({ length: 200 }, (_, i) => i)
      )
      t.equal(await root.Echo(root.Echo(5)), 5, 'a pending result as an argument')
      const failure = await rejectionOf(root.Shop.Fail('sold out'))
      t.ok(failure instanceof GoRpcError)
      t.match(failure, { name: 'GoRpcError', message: 'sold out' })
      t.match(await rejectionOf(root.Shop.Missing()), {
        name: 'GoRpcError',
        message: "rpc: can't find service Shop.Missing"
      })
      t.match(await rejectionOf(root.Echo(1, 2)), {
        name: 'TypeError',
        message: "Echo: a method of Go's net/rpc has one argument, not 2; pass an object"
      })
      t.match(await rejectionOf(root.Echo({ On: () => {} })), {
        message: 'args[0].On is a reference, and gob has none; pass plain data'
      })
      t.match(await rejectionOf(root.Echo(expose({}))), { message: /^args\[0\] is a reference/ })
      t.match(await rejectionOf(root.Echo([])), {
        message:
          'an empty list or object tells no type of Go; declare the type: types: { "Echo": "[]string" }'
      })
      const only = { code: 'not-exposed', message: /a server of Go's net\/rpc has methods and nothing else/ }
      for (const use of [root.Shop, Netref.set(root, 'x', 1), new root.Shop(), Netref.obtain(root)])
        t.match(await rejectionOf(use), only)
      for (const use of [Netref.keys(root), Netref.describe(root.Shop), Netref.has(root, 'Shop')])
        t.match(await rejectionOf(use), { message: /a server of Go's net\/rpc does not tell its methods/ })
      await Netref.oneway(root.Shop.Notify)(`http ${http}`)
      await waitUntil(() => notified.includes(`http ${http}`))

      cancelled = 0
      gates.clear()
      t.match(await rejectionOf(Netref.with(root.Shop.Wait, { timeout: 50 })('late')), {
        name: 'TimeoutError'
      })
      await waitUntil(() => gates.size === 1)
      gates.get('late')!('the answer to a call that was given up')
      t.equal(await root.Echo(1), 1)
      await assertClean(t, conn.session)
      const pending = rejectionOf(root.Shop.Wait('pending'))
      await root.Echo(1)
      await conn.close()
      t.match(await pending, { name: 'SessionEndedError', code: 'closed' })
      await waitUntil(() => server.sessions.size === 0)
      await waitUntil(() => cancelled === 1, 'the server learns it')
    })
  })

t.test('`types` says the types of arguments', async t => {
  await withGoRpc(t, Shop, async ({ port }) => {
    const types = {
      Echo: 'struct { Price float64; Tags []string; Data []byte; Left *Node }',
      Node: 'struct { Left *Node }'
    }
    await using conn = connectGoRpc(`127.0.0.1:${port}`, { types })
    t.same(await conn.root.Echo({ Price: 5, Left: { Left: {} } }), {
      ...{ Price: 5, Tags: [], Data: new Uint8Array() },
      Left: { Left: { Left: null } }
    })
    t.match(await rejectionOf(conn.root.Echo({ Price: 'x' })), {
      message: 'args[0].Price is "x": its Go type should be float64'
    })
  })
})

t.test('a struct that the server has sent is the type of objects with its fields', async t => {
  await withGoRpc(
    t,
    Shop,
    async ({ port }) => {
      await using conn = connectGoRpc(`127.0.0.1:${port}`)
      const item = await conn.root.Deep.Er.Echo({ Price: 5 })
      t.same(item, { Price: 5 })
      t.same(await conn.root.Echo(item), { Price: 5 })
    },
    { gateway: { types: { 'Deep.Er.Echo': 'struct { Price float64 }', Echo: 'struct { Price float64 }' } } }
  )
})

/** Serves bytes: `answer` gets each chunk. */
async function serveBytes(t: Test, answer: (socket: Socket, chunk: Buffer) => void): Promise<string> {
  const server = createServer(socket => {
    socket.on('error', () => {}).on('data', chunk => answer(socket, chunk))
    sockets.add(socket)
  }).listen(0, '127.0.0.1')
  const sockets = new Set<Socket>()
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An answer as a server of Go sends it. */
function answerBytes(sequence: number, error: string, type: string, value: unknown): Buffer {
  const encoder = new GobEncoder(DEFAULT_LIMITS, () => {
    throw new Error('no interfaces')
  })
  const body = encoder.encode(goType(type), value, 'value')
  const header = encoder.encode(RESPONSE, { ServiceMethod: 'X', Seq: sequence, Error: error }, 'response')
  return Buffer.concat([...encoder.takeDefinitions(), header, body])
}

t.test('what Go says of a wrong type has an advice behind', async t => {
  const declare = (type: string) => `declare the type of the argument: types: { "A.B": "${type}" }`
  const noStruct = 'gob: type mismatch in decoder: want struct type main.Args; got non-struct'
  const local = (type: string, remote: string) =>
    `gob: decoding into local type *${type}, received remote type ${remote}`
  for (const [text, argument, advice] of [
    [
      'gob: wrong type (float64) for received field Args.X',
      { X: 1, Name: 'x', In: { Y: 1 } },
      declare('struct { X float64; Name string; In struct { … } }')
    ],
    ['gob: wrong type (float64) for received field .X', { X: 1 }, declare('struct { X float64 }')],
    ['gob: wrong type (float64) for received field Item.X', [{ X: 1 }], declare('struct { … }')],
    ['gob: type mismatch: another', { X: 1 }, declare('struct { X int }')],
    [
      'gob: type mismatch: no fields matched compiling decoder for Args',
      { Z: 1 },
      'no name of the object is'
    ],
    [noStruct, { x: 1 }, "names of the fields of Go's structs begin with a capital letter"],
    [noStruct, 5, 'pass an object with the names of the fields'],
    [local('float64', 'int'), 5, declare('float64')],
    [local('map[string]main.Item', 'map[string]int'), { a: 1 }, declare('map[string]struct { … }')],
    [local('float64', 'string'), 'x', "pass a value of Go's float64"],
    [local('[]string', 'int'), 5, "pass a value of Go's []string"],
    ['gob: wrong type (float64) for received field .X', { X: 'x' }, "pass a value of Go's float64 as X"]
  ] as const) {
    const address = await serveBytes(t, socket => socket.write(answerBytes(0, text, 'struct {}', {})))
    await using conn = connectGoRpc(address)
    const failure = await rejectionOf(conn.root.A.B(argument))
    t.match(failure, { name: 'GoRpcError' })
    t.ok((failure as Error).message.startsWith(`${text}; ${advice}`), (failure as Error).message)
  }
})

t.test('a server of HTTP answers the first line at once: the first call rejects', async t => {
  const server = createServer(socket => {
    socket
      .on('error', () => {})
      .on('data', chunk => {
        if (chunk.includes('\n')) socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
      })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  await using conn = connectGoRpc(`127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.match(await rejectionOf(conn.root.A.B(1)), { name: 'SessionEndedError', code: 'protocol' })
  t.match(await conn.closed, { message: /the server speaks HTTP; set `http: true`/ })
})

t.test('a type that was wrong is not that of later arguments', async t => {
  await withGoRpc(t, Shop, async ({ port }) => {
    await using conn = connectGoRpc(`127.0.0.1:${port}`)
    t.match(await rejectionOf(conn.root.Shop.Fail(2.5)), { message: '2.5' })
    t.match(await rejectionOf(conn.root.Shop.Fail(2)), { message: '2' })
    t.match(await rejectionOf(conn.root.Shop.Fail('gob: wrong type (string) for received field A.B')), {
      message: /declare the type of the argument: types: { "Shop.Fail": "struct { … }" }/
    })
    t.match(
      await rejectionOf(conn.root.Shop.Fail([])),
      { message: /an empty list/ },
      'nothing is known any more'
    )
  })
})

t.test('a result beyond the limits rejects, and the connection goes on', async t => {
  await withGoRpc(
    t,
    Shop,
    async ({ port }) => {
      await using conn = connectGoRpc(`127.0.0.1:${port}`, { limits: { depth: 10 } })
      t.match(await rejectionOf(conn.root.Shop.Nest(20)), { name: 'LimitError', message: /deeper than 10/ })
      t.equal(await conn.root.Echo(1), 1)
    },
    {}
  )
  await withGoRpc(t, Shop, async ({ port }) => {
    await using conn = connectGoRpc(`127.0.0.1:${port}`, { limits: { frameBytes: 5000 } })
    t.match(await rejectionOf(conn.root.Shop.Text(10_000)), { name: 'SessionEndedError', code: 'protocol' })
    t.match(await conn.closed, {
      code: 'protocol',
      message: /its answer is not of net\/rpc: .*frameBytes is 5000/
    })
  })
})

t.test('answers that are not of net/rpc end the connection', async t => {
  for (const [bytes, code] of [
    [Buffer.from(`HTTP/1.1 400 Bad Request\r\n\r\n${'x'.repeat(100)}`), 'protocol'],
    [Buffer.from('03040004', 'hex'), 'protocol'],
    [Buffer.from('0304000403040004', 'hex'), 'protocol'],
    [Buffer.alloc(0), 'connection-lost']
  ] as const) {
    const address = await serveBytes(t, socket => socket.end(bytes))
    await using conn = connectGoRpc(address)
    t.match(await rejectionOf(conn.root.A.B(1)), { name: 'SessionEndedError', code })
    t.match(await conn.closed, { code })
  }
})

t.test('an answer to no call is ignored', async t => {
  const address = await serveBytes(t, socket => {
    socket.write(Buffer.concat([answerBytes(7, 'no', 'int', 1)]))
    setTimeout(() => socket.destroy(), 20)
  })
  await using conn = connectGoRpc(address)
  t.match(await rejectionOf(conn.root.A.B(1)), { code: 'connection-lost' })
})

t.test('a server that cannot be reached, or does not answer', async t => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  for (const http of [false, true]) {
    await using conn = connectGoRpc(`127.0.0.1:${port}`, { http })
    t.match(await conn.closed, { code: 'unreachable', message: /connectGoRpc: .*ECONNREFUSED/ })
  }
  const silent = await serveBytes(t, () => {})
  const limits = { helloMs: 100 }
  await using waiting = connectGoRpc(silent, { http: true, limits })
  t.match(await waiting.closed, {
    code: 'unreachable',
    message: /did not answer within 100 ms \(limits.helloMs\); not HTTP\? leave out `http: true`/
  })
  const closed = connectGoRpc(silent, { http: true })
  await closed.close()
  t.match(await closed.closed, { code: 'closed' })
  for (const [answer, message] of [
    [
      'HTTP/1.0 404 Not Found\r\n\r\n',
      /the server answered "HTTP\/1.0 404 Not Found", and not as Go's net\/rpc/
    ],
    ['\n\n', /the server answered ""/],
    ['x'.repeat(10_000), /a head of HTTP that is too long/],
    ['', /the server closed the connection/]
  ] as const) {
    const address = await serveBytes(t, socket => socket.end(answer))
    await using conn = connectGoRpc(address, { http: true })
    t.match(await conn.closed, { code: 'unreachable', message })
  }
})

t.test('the answer of HTTP may be torn, and the first answer be glued to it', async t => {
  const address = await serveBytes(t, (socket, chunk) => {
    if (!chunk.toString('latin1').startsWith('CONNECT /_goRPC_ HTTP/1.0\n\n')) return
    socket.write('HTTP/1.0 200 Connec')
    setTimeout(
      () =>
        socket.write(
          Buffer.concat([Buffer.from('ted to Go RPC\n\n'), answerBytes(0, '', 'string', 'early')])
        ),
      20
    )
  })
  await using conn = connectGoRpc(address, { http: true })
  t.match(
    await Promise.race([rejectionOf(conn.root.A.B(1)), conn.root.A.B(1).catch(() => 'lost')]),
    /early|lost/
  )
})

t.test('calls that were given up count until the server answers them', async t => {
  const address = await serveBytes(t, socket => socket.resume())
  await using conn = connectGoRpc(address, { limits: { pendingCalls: 3 } })
  for (let i = 0; i < 3; i++)
    t.match(await rejectionOf(Netref.with(conn.root.A.B, { timeout: 1 })(i)), { name: 'TimeoutError' })
  t.match(await rejectionOf(conn.root.A.B(3)), {
    code: 'limit',
    message: /the server has not answered 3 calls, those that were given up included \(limits.pendingCalls\)/
  })
})

t.test('a server that does not read makes calls reject', async t => {
  const errors: Error[] = []
  const address = await serveBytes(t, socket => socket.pause())
  await using conn = connectGoRpc(address, { limits: { bufferedBytes: 1 << 20 } })
  const isSlow = () => errors.some(({ message }) => /the server reads too slowly \(limits/.test(message))
  // Calls that are given up hold nothing, but have been sent.
  for (let i = 0; i < 200 && !isSlow(); i++) {
    const giveUp = new AbortController()
    const call = Netref.with(conn.root.A.B, { signal: giveUp.signal })('x'.repeat(1 << 18))
    call.catch((error: Error) => errors.push(error))
    await conn.ping()
    giveUp.abort()
  }
  t.ok(isSlow())
})

t.test('addresses and options are checked', async t => {
  for (const address of [
    '',
    'localhost',
    'localhost:0',
    'localhost:99999',
    'http://localhost:1',
    '::1:5',
    5,
    undefined
  ])
    t.throws(() => connectGoRpc(address as never), {
      name: 'TypeError',
      message: /^connectGoRpc: .* is not an address; pass one such as "localhost:9000"/
    })
  t.throws(() => connectGoRpc('a:1', { https: true } as never), { message: /did you mean `http`/ })
  t.throws(() => connectGoRpc('a:1', { types: { A: 'Item' } }), {
    message: /connectGoRpc: types\["A"\] .*: "Item" is not a type .*; declare it in `types`, too/
  })
  t.throws(() => connectGoRpc('a:1', { service: {} } as never), { name: 'TypeError' })
})
