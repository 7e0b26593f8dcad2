// Connections of gateways that carry many requests: each request has its own client, identity, session and span.
import { context, trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import t, { type Test } from 'tap'
import type { Gateway } from '../../lib/gateway.js'
import { callSession, type ServeOptions, type Server, Service, serve } from '../../lib/index.js'
import { waitUntil } from '../support/helpers.js'
import { LineClient, lines, multiplexed } from '../support/test-gateways.js'

const slow = new Map<string, () => void>()

class Lines extends Service {
  exposed_line(line: string): unknown {
    if (line === 'who') return `${callSession().gateway} ${JSON.stringify(callSession().identity)}`
    if (line === 'span') return trace.getSpanContext(context.active())?.traceId
    if (line.startsWith('slow')) return new Promise(resolve => slow.set(line, () => resolve(line)))
    return line.toUpperCase()
  }
}

const errors: string[] = []
t.beforeEach(() => void errors.splice(0))
const serveLines = (
  options: Omit<ServeOptions, 'gateways'> & { readonly gateways?: readonly Gateway[] } = {}
) =>
  serve(Lines, {
    port: 0,
    onError: error => void errors.push(String(error)),
    gateways: [multiplexed()],
    ...options
  })

async function ends(t: Test, server: Server): Promise<void> {
  await waitUntil(() => server.sessions.size === 0)
  t.match(server.metrics, { exports: 0, imports: 0, pending: 0, buffered: 0 })
  await server.close()
}

t.test('requests of one connection have sessions of their own, which end with them', async t => {
  const server = await serveLines()
  const client = LineClient.to(server.port)
  client.request('slow')
  await waitUntil(() => server.sessions.size === 1)
  client.request('who')
  t.equal(await client.answer(), 'multiplexed undefined')
  await waitUntil(() => server.sessions.size === 1)
  slow.get('slow')!()
  t.equal(await client.answer(), 'slow')
  await waitUntil(() => server.sessions.size === 0)
  t.notOk(client.socket.closed)
  t.same(server.metrics.gateways, { multiplexed: { clients: 0, clientsTotal: 2, clientsRefused: 0 } })
  client.request('slow 1')
  client.request('slow 2')
  await waitUntil(() => server.sessions.size === 2)
  client.socket.destroy()
  await ends(t, server)
  t.same(errors, [])
})

t.test('a connection is accepted, and each request is authenticated by its headers', async t => {
  const server = await serveLines({
    limits: { helloMs: 200 },
    authenticate: async ({ token, path, headers, address, gateway }) => {
      const bearer = await token()
      if (bearer === 'slow') return new Promise(() => {})
      return bearer && { bearer, path, user: headers['x-user'], address, gateway }
    },
    gateways: [multiplexed(), multiplexed({ port: 0, authenticate: () => 'anybody' }), lines()]
  })
  const client = LineClient.to(server.port)
  client.request('who')
  t.equal(await client.answer(), 'NetrefError: authentication failed')
  client.request('who', { authorization: 'Bearer abc', 'x-user': 'ada' }, '/a/b?c')
  t.equal(
    await client.answer(),
    'multiplexed {"bearer":"abc","path":"/a/b","user":"ada","address":"127.0.0.1","gateway":"multiplexed"}'
  )
  client.request('who', { authorization: 'Bearer slow' })
  t.match(await client.answer(), /authentication took longer/)
  client.request('who', { authorization: 'Bearer abc', origin: 'http://evil.example' })
  t.match(await client.answer(), /Origin "http:\/\/evil.example" is neither/)
  client.request('who', { authorization: 'Bearer abc', host: 'evil.example' })
  t.match(await client.answer(), /Host "evil.example" is not in allowedHosts/)
  const other = LineClient.to(server.gatewayPorts.multiplexed!)
  other.request('who')
  t.equal(await other.answer(), 'multiplexed "anybody"')
  const unidentified = LineClient.to(server.port)
  unidentified.socket.write('>who\n')
  await unidentified.closed
  t.match(server.metrics.gateways.multiplexed, { clientsTotal: 4, clientsRefused: 4 })
  for (const { socket } of [client, other]) socket.destroy()
  await ends(t, server)
})

t.test('limits.sessions bounds the requests that are served at a time', async t => {
  const server = await serveLines({ limits: { sessions: 1 } })
  const client = LineClient.to(server.port)
  client.request('slow')
  await waitUntil(() => server.sessions.size === 1)
  client.request('a')
  t.match(await client.answer(), /reached its limit of sessions/)
  slow.get('slow')!()
  t.equal(await client.answer(), 'slow')
  await waitUntil(() => server.sessions.size === 0)
  client.request('a')
  t.equal(await client.answer(), 'A')
  client.socket.destroy()
  await ends(t, server)
})

t.test('a client that leaves during authentication', async t => {
  let identify!: (identity: unknown) => void
  const server = await serveLines({ authenticate: () => new Promise(resolve => (identify = resolve)) })
  const client = LineClient.to(server.port)
  client.request('a')
  await waitUntil(() => identify !== undefined)
  client.socket.destroy()
  await waitUntil(() => server.metrics.gateways.multiplexed!.clients === 0)
  identify('ada')
  t.equal(server.metrics.arriving, 0)
  await ends(t, server)
  t.same(errors, [])
})

t.test('a server that drains lets requests finish, and ends connections that wait', async t => {
  const server = await serveLines({ gateways: [multiplexed(), multiplexed({ port: 0 })] })
  const idle = LineClient.to(server.gatewayPorts.multiplexed!)
  idle.request('a')
  t.equal(await idle.answer(), 'A')
  const client = LineClient.to(server.port)
  client.request('slow')
  await waitUntil(() => slow.delete('slow'))
  client.request('slow')
  await waitUntil(() => slow.has('slow'))
  const closed = server.close({ drain: 10_000 })
  await idle.closed
  client.request('late')
  t.equal(await client.answer(), 'NetrefError: the server is going away')
  slow.get('slow')!()
  t.equal(await client.answer(), 'slow')
  client.socket.destroy()
  await closed
  t.same(errors, [])
})

t.test('a server that closes ends requests under way, and connections', async t => {
  const silent: Gateway = {
    ...multiplexed({ port: 0 }),
    handleConnection: socket => void socket.resume()
  }
  const server = await serveLines({ gateways: [multiplexed(), silent] })
  const client = LineClient.to(server.port)
  client.request('slow')
  const unserved = LineClient.to(server.gatewayPorts.multiplexed!)
  unserved.socket.write('{\n')
  const late = LineClient.to(server.port)
  late.request('a')
  t.equal(await late.answer(), 'A')
  await waitUntil(() => server.sessions.size === 1)
  const closed = server.close()
  t.match(await client.answer(), /the server is going away/)
  await Promise.all([closed, client.closed, unserved.closed, late.closed])
  t.same(errors, [])
})

t.test('a connection whose protocol is known only after the server has begun to close', async t => {
  let asked = 0
  const undecided: Gateway = { ...multiplexed(), detect: () => ++asked > 1 || undefined }
  const server = await serveLines({ gateways: [undecided, multiplexed({ port: 0 })] })
  const busy = LineClient.to(server.gatewayPorts.multiplexed!)
  busy.request('slow')
  await waitUntil(() => server.sessions.size === 1)
  const late = LineClient.to(server.port)
  late.socket.write('{')
  await waitUntil(() => asked === 1)
  const closed = server.close({ drain: 10_000 })
  late.socket.write('{')
  await late.closed
  slow.get('slow')!()
  t.equal(await busy.answer(), 'slow')
  await closed
})

t.test('the span of a request holds for its calls', async t => {
  new NodeTracerProvider().register()
  const server = await serveLines()
  const client = LineClient.to(server.port)
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  client.request('span', { traceparent: `00-${traceId}-b7ad6b7169203331-01` })
  t.equal(await client.answer(), traceId)
  client.socket.destroy()
  await ends(t, server)
})
