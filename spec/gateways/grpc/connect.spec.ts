// Connections to servers of gRPC: calls of all kinds, errors, cancellation, metadata, TLS, and streams that are left.
import * as grpcJs from '@grpc/grpc-js'
import t, { type Test } from 'tap'
import { connectGrpc, type GrpcConnectOptions, GrpcError } from '../../../lib/gateways/grpc.js'
import { connect, ExposureError, Netref, Service, serve } from '../../../lib/index.js'
import { certificates } from '../../support/certificates.js'
import { Lab, LIBRARY, library, log, PROTO } from '../../support/grpc.js'
import { assertClean, rejectionOf, waitUntil } from '../../support/helpers.js'

// biome-ignore lint/suspicious/noExplicitAny: the messages of grpc-js are not typed
type Call = any

/** What a server of grpc-js does, by method. */
const implementation = (events: string[]): grpcJs.UntypedServiceImplementation => ({
  add: ({ request: { x, y } }: Call, done: Call) => done(null, { value: x + y }),
  echo: ({ request }: Call, done: Call) => done(null, request),
  Greet: ({ request }: Call, done: Call) => done(null, { text: `Hello ${request.first_name}` }),
  nothing: (_: Call, done: Call) => done(null, {}),
  who: ({ metadata }: Call, done: Call) => done(null, { text: JSON.stringify(metadata.toJSON()) }),
  fail({ request }: Call, done: Call) {
    const metadata = new grpcJs.Metadata()
    metadata.add('why', 'a')
    metadata.add('why', 'b')
    metadata.add('key-bin', Buffer.from([1, 2]))
    for (const byte of [3, 4]) metadata.add('list-bin', Buffer.from([byte]))
    done({ code: Number(request.text), details: 'it fails', metadata })
  },
  wait(call: Call) {
    events.push(`waits ${call.getDeadline()}`)
    call.on('cancelled', () => events.push('cancelled'))
  },
  count(call: Call) {
    let n = 0
    call.on('cancelled', () => events.push('count cancelled'))
    const next = () => {
      while (n < Number(call.request.count)) if (!call.write({ count: ++n })) return call.once('drain', next)
      call.end()
    }
    next()
  },
  iterate(call: Call) {
    call.write({ text: 'first' })
    setImmediate(() => call.emit('error', { code: 5, details: 'it breaks' }))
  },
  total(call: Call, done: Call) {
    let total = 0
    call.on('data', ({ value }: Call) => {
      total += value
      events.push(`total has ${total}`)
      if (total > 100) call.pause()
      if (total > 100) done(null, { value: total })
    })
    call.on('end', () => done(null, { value: total }))
    call.on('cancelled', () => events.push('total cancelled'))
  },
  shout(call: Call) {
    call.on('data', ({ text }: Call) => call.write({ text: text.toUpperCase() }))
    call.on('end', () => call.end())
    call.on('cancelled', () => events.push('shout cancelled'))
  }
})

/** The methods of the service, as this side calls them. */
interface Library {
  add(message: { x?: number; y?: number }): { value: number }
  echo(message: object): Record<string, unknown>
  greet(message: { first_name: string }): { text: string }
  nothing(message?: object): object
  who(): { text: string }
  fail(message: { text: string }): { text: string }
  wait(): { text: string }
  absent(): object
  count(message: { count: number }): AsyncGenerator<{ count: number }>
  iterate(message: { text: string }): AsyncGenerator<{ text: string }>
  total(numbers: Iterable<object> | AsyncIterable<object>): { value: number }
  shout(lines: Iterable<object> | AsyncIterable<object>): AsyncGenerator<{ text: string }>
}

/** Runs `use` with a connection to a server of grpc-js, then asserts that nothing is left of its session. */
async function overConnection(
  t: Test,
  use: (root: Netref<Library>, events: string[], server: grpcJs.Server) => Promise<void>,
  options: Partial<GrpcConnectOptions> = {}
): Promise<void> {
  const events: string[] = []
  const server = new grpcJs.Server()
  server.addService(LIBRARY, implementation(events))
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpcJs.ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port)
    )
  )
  const conn = connectGrpc<Library>(PROTO, {
    service: 'netref.spec.Library',
    address: `127.0.0.1:${port}`,
    ...options
  })
  await use(conn.root, events, server)
  await assertClean(t, conn.session)
  await conn.close()
  server.forceShutdown()
}

t.test('methods of all four kinds', t =>
  overConnection(t, async root => {
    t.same(await root.add({ x: 1, y: 2 }), { value: 3 })
    t.same(await root.greet({ first_name: 'Ada' }), { text: 'Hello Ada' }, 'of Greet')
    t.same(await root.nothing(), {})
    const counted: number[] = []
    for await (const { count } of await root.count({ count: 1000 })) counted.push(count)
    t.equal(counted.at(-1), 1000)
    t.same(await root.total([{ value: 1 }, { value: 2 }]), { value: 3 })
    const lines = async function* () {
      for (const text of ['one', 'two']) yield { text }
    }
    t.same(await root.total(new Set([{ value: 5 }]).values()), { value: 5 })
    const shouted: unknown[] = []
    for await (const line of await root.shout(lines())) shouted.push(line)
    t.same(shouted, [{ text: 'ONE' }, { text: 'TWO' }])
    const { int64, bytes, inner } = await root.echo({
      int64: 2n ** 60n,
      bytes: new Uint8Array([1]),
      inner: {}
    })
    t.same([int64, bytes], [2n ** 60n, new Uint8Array([1])])
    t.match(inner, { color: 'RED' })
  })
)

t.test('the members are the methods', t =>
  overConnection(t, async root => {
    t.match(await Netref.keys(root), ['Greet', 'absent', 'add'])
    t.match(
      (await Netref.describe(root)).filter(({ name }) => name === 'add' || name === 'nothing'),
      [
        { name: 'add', kind: 'function', parameters: ['message'], help: 'Adds two numbers.' },
        { name: 'nothing', kind: 'function', parameters: [] }
      ]
    )
    t.equal(await Netref.has(root, 'add'), true)
    t.equal(await Netref.has(root, 'secret'), false)
    // biome-ignore lint/suspicious/noExplicitAny: what does not exist
    const any = root as any
    t.match(await rejectionOf(any.adde({})), ExposureError)
    t.match(await rejectionOf(any.adde({})), { message: 'did you mean "add"?' })
    t.match(await rejectionOf(any.add({}, {})), { message: 'add takes one argument, not 2' })
    t.match(await rejectionOf(any.add({ x: 'a' })), {
      message: 'args[0].x is "a"; the type double is needed'
    })
    t.match(await rejectionOf(any.total({ value: 1 })), {
      message: 'args[0] is {…}; a stream needs an iterator'
    })
    t.match(await rejectionOf(any.add({ x: () => 1 })), {
      message: 'args[0].x is a reference, and gRPC has none'
    })
  })
)

t.test('a call that fails rejects with the status', t =>
  overConnection(t, async root => {
    const error = await rejectionOf(root.fail({ text: '5' }))
    t.ok(error instanceof GrpcError)
    t.match(error, {
      name: 'GrpcError',
      message: 'it fails',
      code: 5,
      status: 'NOT_FOUND',
      details: 'it fails',
      metadata: {
        why: 'a, b',
        'key-bin': new Uint8Array([1, 2]),
        'list-bin': [new Uint8Array([3]), new Uint8Array([4])]
      }
    })
    t.match(await rejectionOf(root.fail({ text: '99' })), { code: 99, status: 'UNKNOWN' })
    t.match(await rejectionOf(root.absent()), { code: 12, status: 'UNIMPLEMENTED' })
    const items: unknown[] = []
    const broken = await rejectionOf(
      (async () => {
        for await (const item of await root.iterate({ text: 'x' })) items.push(item)
      })()
    )
    t.match(broken, { name: 'GrpcError', status: 'NOT_FOUND', message: 'it breaks' })
    t.same(items, [{ text: 'first' }])
    t.equal(new GrpcError(5, '').message, 'NOT_FOUND')
  })
)

t.test('a stream whose items fail', t =>
  overConnection(t, async (root, events) => {
    const failing = async function* () {
      yield { value: 1 }
      await waitUntil(() => events.includes('total has 1'))
      throw new RangeError('no more')
    }
    t.match(await rejectionOf(root.total(failing())), { name: 'RangeError', message: 'no more' })
    t.match(await rejectionOf(root.total([{ value: 'x' }])), {
      message: 'args[0][0].value is "x"; the type double is needed'
    })
    await waitUntil(() => events.includes('total cancelled'))
    const shouted = await root.shout([{ text: 1 }])
    t.match(await rejectionOf(shouted.next()), { message: 'args[0][0].text is 1; the type string is needed' })
  })
)

t.test('a server that does not read its stream to the end', t =>
  overConnection(t, async root => {
    let ended = false
    const endless = async function* () {
      try {
        for (;;) yield { value: 60 }
      } finally {
        ended = true
      }
    }
    t.same(await root.total(endless()), { value: 120 })
    await waitUntil(() => ended)
  })
)

t.test('an answer that is no message, or that is too large', t =>
  overConnection(
    t,
    async (root, _, server) => {
      const path = '/netref.spec.Library/absent'
      let answer = Buffer.from([0x0f])
      const identity = (bytes: Buffer) => bytes
      server.unregister(path)
      server.register(path, (_: Call, done: Call) => done(null, answer), identity, identity, 'unary')
      t.match(await rejectionOf(root.absent()), {
        status: 'INTERNAL',
        details: 'the answer is no message of the type: a field of the wire type 7'
      })
      answer = Buffer.alloc(10_000, Buffer.from([0x0a, 0]))
      t.match(await rejectionOf(root.absent()), { name: 'LimitError' })
      const stream = '/netref.spec.Library/iterate'
      server.unregister(stream)
      server.register(
        stream,
        (call: Call) => call.write(Buffer.from([0x0f])),
        identity,
        identity,
        'serverStream'
      )
      const items = await root.iterate({ text: '' })
      t.match(await rejectionOf(items.next()), { status: 'INTERNAL' })
    },
    { limits: { jsonBytes: 4096 } }
  )
)

t.test('timeouts and signals cancel calls, and a stream that is left is cancelled', t =>
  overConnection(t, async (root, events) => {
    await root.nothing()
    t.match(await rejectionOf(Netref.with(root, { timeout: 200 }).wait()), { name: 'TimeoutError' })
    await waitUntil(() => events.includes('cancelled'))
    events.length = 0
    const controller = new AbortController()
    const wait = rejectionOf(Netref.with(root, { signal: controller.signal }).wait())
    await waitUntil(() => events.length === 1)
    controller.abort()
    t.match(await wait, { name: 'AbortError' })
    await waitUntil(() => events.includes('cancelled'))
    for await (const { count } of await root.count({ count: 1_000_000 })) if (count === 3) break
    await waitUntil(() => events.includes('count cancelled'))
    const never = new ReadableStream<object>()
    const shouted = await root.shout(never)
    const next = shouted.next()
    await shouted.return(undefined)
    t.equal((await next).done, true)
  })
)

t.test('a connection that closes ends its calls', async t => {
  const server = await serve(Lab, { port: 0, onError: () => {}, gateways: [library()] })
  const conn = connectGrpc<Library>(PROTO, {
    service: 'netref.spec.Library',
    address: `127.0.0.1:${server.port}`
  })
  log.events.length = 0
  const wait = rejectionOf(conn.root.wait())
  await log.waitFor('waits')
  await conn.close()
  t.match(await wait, { name: 'SessionEndedError' })
  await waitUntil(() => server.sessions.size === 0)
  const { port } = server
  await server.close()
  const gone = connectGrpc<Library>(PROTO, {
    service: 'netref.spec.Library',
    address: `127.0.0.1:${port}`
  })
  t.match(await rejectionOf(gone.root.add({})), { name: 'GrpcError', status: 'UNAVAILABLE' })
  await gone.close()
})

t.test('metadata', t =>
  overConnection(
    t,
    async root => {
      const { text } = await root.who()
      t.match(JSON.parse(text), {
        authorization: ['Bearer abc'],
        many: ['a, b'],
        'key-bin': [{ data: [1, 2] }]
      })
    },
    { metadata: { authorization: 'Bearer abc', many: ['a', 'b'], 'key-bin': new Uint8Array([1, 2]) } }
  )
)

t.test('TLS', async t => {
  const { ca, server: own, ada } = await certificates(t)
  const server = await serve(Lab, {
    port: 0,
    onError: () => {},
    authenticate: ({ certificate }) => certificate?.subject.CN,
    gateways: [library({ port: 0, tls: { ...own, ca, requestCert: true, rejectUnauthorized: false } })]
  })
  const options = { service: 'netref.spec.Library', address: `localhost:${server.gatewayPorts.grpc}` }
  await using conn = connectGrpc<Library>(PROTO, { ...options, tls: { ca, ...ada } })
  t.same(await conn.root.who(), { text: 'grpc "ada"' })
  await using untrusting = connectGrpc<Library>(PROTO, { ...options, tls: true })
  t.match(await rejectionOf(untrusting.root.who()), { status: 'UNAVAILABLE' })
  await assertClean(t, conn.session, untrusting.session)
  await Promise.all([conn.close(), untrusting.close()])
  await server.close()
})

t.test('a service of netref passes on a server of gRPC to its own clients', async t => {
  const back = await serve(Lab, { port: 0, onError: () => {}, gateways: [library()] })
  const conn = connectGrpc<Library>(PROTO, {
    service: 'netref.spec.Library',
    address: `127.0.0.1:${back.port}`
  })
  class Front extends Service {
    exposed_library() {
      return conn.root
    }
  }
  const front = await serve(Front, { port: 0, onError: () => {} })
  const client = connect<Front>(front.url)
  // biome-ignore lint/suspicious/noExplicitAny: a netref of another connection
  const remote = (await client.root.library()) as any
  t.same(await remote.add({ x: 1, y: 2 }), { value: 3 })
  const counted: unknown[] = []
  for await (const { count } of await remote.count({ count: 3 })) counted.push(count)
  t.same(counted, [1, 2, 3])
  t.match(await rejectionOf(remote.fail({ text: '5' })), { name: 'GrpcError', code: 5, details: '5' })
  Netref.release(remote)
  await client.close()
  await front.close()
  await assertClean(t, conn.session)
  await conn.close()
  await back.close()
})

t.test('options are checked', t => {
  const options = { service: 'netref.spec.Library', address: 'localhost:1' }
  const failure = (given: object) => {
    try {
      connectGrpc(PROTO, { ...options, ...given })
      return undefined
    } catch (error) {
      return (error as Error).message
    }
  }
  t.match(
    failure({ address: 'http://localhost:1' }),
    'connectGrpc: "http://localhost:1" is not an address: leave out "http://"'
  )
  t.match(failure({ address: 'ws://localhost:1' }), 'leave out "ws://"')
  t.match(failure({ address: '' }), 'is not an address: pass "localhost:50051"')
  t.match(failure({ adress: 'x' }), '`adress`')
  t.match(failure({ service: 'x' }), 'connectGrpc: ')
  t.match(
    failure({ metadata: { 'a b': 'x' } }),
    'connectGrpc: metadata.a b: Metadata key "a b" contains illegal characters'
  )
  t.match(failure({ metadata: { 'a-bin': 'x' } }), 'must have Buffer values')
  t.end()
})

t.test('a list of services', async t => {
  class Both extends Service {
    exposed_Library = { add: (x: number, y: number) => x + y }
    exposed_Other = { add: () => 42 }
  }
  const service = ['netref.spec.Library', 'netref.spec.Other']
  const server = await serve(Both, { port: 0, onError: () => {}, gateways: [library({ service })] })
  const conn = connectGrpc(PROTO, { service, address: `127.0.0.1:${server.port}` })
  t.same(await conn.root.Other.add({}), { value: 42 })
  t.same(await Netref.keys(conn.root), ['Library', 'Other'])
  await conn.close()
  await server.close()
})
