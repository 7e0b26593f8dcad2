// Connections of gRPC: one port for several protocols, TLS, authentication, reflection, limits, and the end of the server.
import { once } from 'node:events'
import { join } from 'node:path'
import { credentials, loadPackageDefinition, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { context, trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import t from 'tap'
import { type GrpcOptions, grpc } from '../../../lib/gateways/grpc.js'
import { jsonRpc } from '../../../lib/gateways/json-rpc.js'
import { connect, Service, serve } from '../../../lib/index.js'
import { certificates } from '../../support/certificates.js'
import { Client, Lab, library, log, metadataOf, overGrpc, PROTO } from '../../support/grpc.js'
import { assertClean, rejectionOf, waitUntil } from '../../support/helpers.js'

t.test('one port serves gRPC, WebSockets and HTTP', async t => {
  const server = await serve(Lab, { port: 0, onError: () => {}, gateways: [jsonRpc(), library()] })
  const client = new Client(`localhost:${server.port}`)
  t.same(await client.unary('add', { x: 1, y: 2 }), { value: 3 })
  await using conn = connect<Lab>(server.url)
  t.equal(await conn.root.add(1, 2), 3)
  const response = await fetch(server.url.replace('ws', 'http'), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"id":1,"method":"who","params":[]}'
  })
  t.match(await response.json(), { result: 'json-rpc undefined' })
  t.same(await client.unary('who'), { text: 'grpc undefined' })
  await waitUntil(() => server.sessions.size === 1)
  t.match(server.metrics.gateways.grpc, { clients: 0, clientsTotal: 2, clientsRefused: 0 })
  client.close()
  await assertClean(t, conn.session)
  await conn.close()
  await server.close()
})

t.test('each call is authenticated by its metadata', t =>
  overGrpc(
    t,
    async (client, server) => {
      const who = (metadata: Record<string, string>) => client.unary('who', {}, metadata)
      t.match(await rejectionOf(who({})), { code: status.UNAUTHENTICATED, details: 'authentication failed' })
      t.match(await who({ authorization: 'Bearer abc', 'x-user': 'ada' }), {
        text: `grpc {"bearer":"abc","user":"ada","path":"/netref.spec.Library/who","host":"127.0.0.1:${server.port}"}`
      })
      t.match(await rejectionOf(who({ authorization: 'Bearer down' })), { code: status.UNAVAILABLE })
      t.match(await rejectionOf(who({ authorization: 'Bearer abc', origin: 'http://evil.example' })), {
        code: status.UNAUTHENTICATED,
        details: /Origin "http:\/\/evil.example" is neither/
      })
      const slow = client.unary('who', {}, { authorization: 'Bearer slow' }, { deadline: Date.now() + 100 })
      t.match(await rejectionOf(slow), { code: status.DEADLINE_EXCEEDED })
    },
    {
      authenticate: async ({ token, headers, path, host }) => {
        const bearer = await token()
        if (bearer === 'down') throw new Error('the database is down')
        if (bearer === 'slow') return new Promise(() => {})
        return bearer && { bearer, user: headers['x-user'], path, host }
      }
    }
  )
)

t.test('`authenticate` of the gateway, and binary metadata', async t => {
  const server = await serve(Lab, {
    port: 0,
    onError: () => {},
    authenticate: () => null,
    gateways: [
      library({ port: 0, authenticate: ({ headers }) => ({ key: headers['key-bin'], many: headers.many }) })
    ]
  })
  const client = new Client(`127.0.0.1:${server.gatewayPorts.grpc}`)
  const metadata = metadataOf({ many: 'a' })
  metadata.add('many', 'b')
  metadata.set('key-bin', Buffer.from([1, 2, 3]))
  metadata.add('key-bin', Buffer.from([4]))
  const reply = await new Promise((resolve, reject) =>
    client.stub.who!({}, metadata, (error: Error | null, reply: unknown) =>
      error ? reject(error) : resolve(reply)
    )
  )
  t.same(reply, { text: 'grpc {"key":["AQID","BA=="],"many":"a, b"}' })
  client.close()
  await server.close()
})

t.test('TLS, with client certificates', async t => {
  const { ca, server: own, ada } = await certificates(t)
  const files = (pair: { key: string; cert: string }) =>
    [Buffer.from(pair.key), Buffer.from(pair.cert)] as const
  const [key, cert] = files(own)
  const server = await serve(Lab, {
    port: 0,
    onError: () => {},
    authenticate: ({ certificate, secure }) => certificate && `${certificate.subject.CN} ${secure}`,
    gateways: [library({ port: 0, tls: { key, cert, ca, requestCert: true, rejectUnauthorized: false } })]
  })
  const address = `localhost:${server.gatewayPorts.grpc}`
  const client = new Client(address, credentials.createSsl(Buffer.from(ca), ...files(ada)))
  t.same(await client.unary('who'), { text: 'grpc "ada true"' })
  const unknown = new Client(address, credentials.createSsl(Buffer.from(ca)))
  t.match(await rejectionOf(unknown.unary('who')), { code: status.UNAUTHENTICATED })
  client.close()
  unknown.close()
  await server.close()
})

t.test('several services are members of the root', async t => {
  const reports: string[] = []
  class Both extends Service {
    exposed_Library = { add: (x: number, y: number) => x + y }
    exposed_Other = { add: () => 42 }
  }
  const server = await serve(Both, {
    port: 0,
    onError: error => void reports.push(String(error)),
    gateways: [library({ service: ['netref.spec.Library', 'netref.spec.Other'] })]
  })
  const address = `127.0.0.1:${server.port}`
  const [client, other] = [new Client(address), Client.other(address)]
  t.same(await client.unary('add', { x: 1, y: 2 }), { value: 3 })
  t.same(await other.unary('add', { x: 1, y: 2 }), { value: 42 })
  t.match(reports, [/no member `Library.sum` \(\/netref.spec.Library\/sum\), `Library.Greet`/])
  for (const { stub } of [client, other]) stub.close()
  await server.close()
})

t.test('a service that does not describe itself', async t => {
  const reports: unknown[] = []
  const server = await serve(
    { add: ({ x, y }: { x: number; y: number }) => x + y, Greet: () => 'hello' },
    { port: 0, describe: false, onError: error => void reports.push(error), gateways: [library()] }
  )
  const client = new Client(`127.0.0.1:${server.port}`)
  t.same(await client.unary('add', { x: 1, y: 2 }), { value: 3 }, 'the message is the argument')
  t.same(await client.unary('Greet'), { text: 'hello' })
  t.same(reports, [])
  client.close()
  await server.close()
})

t.test('reflection tells of the services to clients who may call them', t =>
  overGrpc(
    t,
    async (_, server) => {
      const path = join(
        'node_modules',
        '@grpc',
        'reflection',
        'build/proto/grpc/reflection/v1/reflection.proto'
      )
      // biome-ignore lint/suspicious/noExplicitAny: the messages of grpc-js are not typed
      const { ServerReflection } = (loadPackageDefinition(loadSync(path)) as any).grpc.reflection.v1
      const reflection = new ServerReflection(`127.0.0.1:${server.port}`, credentials.createInsecure())
      const ask = async (authorization: string, request: object) => {
        const call = reflection.ServerReflectionInfo(metadataOf({ authorization }))
        call.end(request)
        const [answer] = await call.toArray()
        return answer
      }
      t.match(await ask('Bearer abc', { listServices: '*' }), {
        listServicesResponse: { service: [{ name: 'netref.spec.Library' }] }
      })
      t.match(await ask('Bearer abc', { fileContainingSymbol: 'netref.spec.Values' }), {
        fileDescriptorResponse: { fileDescriptorProto: [Buffer] }
      })
      t.match(await rejectionOf(ask('Basic abc', { listServices: '*' })), { code: status.UNAUTHENTICATED })
      reflection.close()
    },
    { gateway: { reflection: true }, authenticate: async ({ token }) => await token() }
  )
)

t.test('limits of messages, sessions and calls', t =>
  overGrpc(
    t,
    async client => {
      t.same(
        await client.unary('echo', { bytes: Buffer.alloc(90_000) }).then(({ bytes }) => bytes.length),
        90_000
      )
      t.match(await rejectionOf(client.unary('echo', { bytes: Buffer.alloc(110_000) })), {
        code: status.RESOURCE_EXHAUSTED,
        details: /larger than max/
      })
      const deep = Array.from({ length: 30 }).reduce<object>(inner => ({ inner }), {})
      t.match(await rejectionOf(client.unary('echo', deep)), {
        code: status.RESOURCE_EXHAUSTED,
        details: 'a message is nested deeper than 20 levels (limits.depth)'
      })
      const wait = client.stub.wait!({}, () => {})
      await log.waitFor('waits')
      t.match(await rejectionOf(client.unary('add')), {
        code: status.UNAVAILABLE,
        details: 'the server has reached its limit of sessions'
      })
      wait.cancel()
    },
    { limits: { frameBytes: 100_000, depth: 20, sessions: 1 } }
  )
)

t.test('a thousand calls in flight on one connection', t =>
  overGrpc(t, async client => {
    const calls = Array.from({ length: 1000 }, (_, x) => client.unary('add', { x, y: 1 }))
    t.same(
      (await Promise.all(calls)).map(({ value }) => value),
      calls.map((_, x) => x + 1)
    )
  })
)

t.test('a server that drains lets calls and streams end', async t => {
  log.events.length = 0
  const server = await serve(Lab, { port: 0, onError: () => {}, gateways: [library()] })
  const address = `127.0.0.1:${server.port}`
  const [idle, client] = [new Client(address), new Client(address)]
  await idle.unary('add')
  const shout = client.bidi('shout')
  const lines = shout[Symbol.asyncIterator]()
  shout.write({ text: 'a' })
  t.same((await lines.next()).value, { text: 'A' })
  const { call, reply } = client.clientStream('total')
  call.write({ value: 1 })
  await waitUntil(() => server.sessions.size === 2)
  const closed = server.close({ drain: 10_000 })
  await waitUntil(() => server.state === 'draining')
  t.match(await rejectionOf(idle.unary('add')), { code: status.UNAVAILABLE })
  shout.write({ text: 'b' })
  t.same((await lines.next()).value, { text: 'B' })
  shout.end()
  t.equal((await lines.next()).done, true)
  call.end({ value: 2 })
  t.same(await reply, { value: 3 })
  await closed
  for (const { stub } of [idle, client]) stub.close()
})

t.test('a server that closes ends calls with UNAVAILABLE', async t => {
  log.events.length = 0
  const server = await serve(Lab, { port: 0, onError: () => {}, gateways: [library()] })
  const client = new Client(`127.0.0.1:${server.port}`)
  const wait = rejectionOf(client.unary('wait'))
  const stuck = client.serverStream('iterate', { text: 'stuck' }).on('error', () => {})
  await once(stuck, 'data')
  await log.waitFor('waits')
  const failed = once(stuck, 'error')
  await server.close()
  t.match(await wait, { code: status.UNAVAILABLE })
  t.match(await failed, [{ code: status.UNAVAILABLE }])
  client.close()
})

t.test('exposeStacks adds the stack of the error', t =>
  overGrpc(
    t,
    async client => {
      t.match(await rejectionOf(client.unary('fail', { text: 'it fails' })), {
        details: /RangeError: it fails\n +at .*exposed_fail/
      })
    },
    { exposeStacks: true }
  )
)

t.test('the trace context of the metadata goes into the call', async t => {
  new NodeTracerProvider().register()
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const server = await serve(
    { who: () => String(trace.getSpanContext(context.active())?.traceId) },
    { port: 0, onError: () => {}, gateways: [library()] }
  )
  const client = new Client(`127.0.0.1:${server.port}`)
  t.same(await client.unary('who', {}, { traceparent: `00-${traceId}-b7ad6b7169203331-01` }), {
    text: traceId
  })
  client.close()
  await server.close()
})

t.test('options and files are checked', t => {
  const options = { service: 'netref.spec.Library' }
  const message = (file: unknown, given: unknown = options) => {
    try {
      grpc(file as string, given as GrpcOptions)
      return undefined
    } catch (error) {
      return (error as Error).message
    }
  }
  t.match(message(5), 'grpc: the first argument is the path of a .proto file, not 5')
  t.match(message('file:///a.proto'), 'not "file:///a.proto"; of a file: URL, fileURLToPath(url)')
  t.match(message('no.proto'), /^grpc: cannot read "no.proto": ENOENT[^;]*$/)
  t.throws(() => (grpc as (file: string) => unknown)(PROTO), {
    message: "grpc: name the service of the file: { service: 'package.Service' }"
  })
  t.match(message(PROTO, { service: 'netref.spec.Librari' }), 'did you mean "netref.spec.Library"?')
  t.match(message(PROTO, {}), 'has no service undefined; it has "netref.spec.Library", "netref.spec.Other"')
  t.match(message(PROTO, { ...options, reflexion: true }), '`reflexion`')
  t.match(message(PROTO, { ...options, includeDirs: '.' }), 'grpc: `includeDirs` takes a list, not "."')
  const dir = t.testdir({
    elsewhere: { 'part.proto': 'syntax = "proto3"; message Part {}' },
    'main.proto':
      'syntax = "proto3"; import "part.proto"; import "google/protobuf/empty.proto"; service S { rpc go(Part) returns (google.protobuf.Empty); }',
    'bad.proto': 'syntax = "proto3"; service {',
    'empty.proto': 'syntax = "proto3";'
  })
  const main = join(dir, 'main.proto')
  t.match(message(main, { service: 'S' }), /ENOENT.*; `includeDirs` takes the directories of the files/)
  t.equal(message(main, { service: 'S', includeDirs: [dir, join(dir, 'elsewhere')] }), undefined)
  t.equal(message(main, { service: 'S', includeDirs: [join(dir, 'elsewhere')], reflection: true }), undefined)
  t.match(message(join(dir, 'bad.proto')), "illegal service name '{'")
  t.match(message(join(dir, 'empty.proto')), /has no service "netref.spec.Library"$/)
  t.end()
})
