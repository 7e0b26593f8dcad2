// Gateways: one port for several protocols, ports of their own, the user's server, authentication, limits, and the end.
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import { context, trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import t, { type Test } from 'tap'
import type { Gateway } from '../../lib/gateway.js'
import {
  callSession,
  connect,
  type ServeOptions,
  type Server,
  Service,
  type Session,
  serve
} from '../../lib/index.js'
import { metricsText } from '../../lib/operate.js'
import { certificates } from '../support/certificates.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'
import { LineClient, lines, linesWithToken, multiplexed, post, requests } from '../support/test-gateways.js'

let finishSlow: () => void

class Lines extends Service {
  exposed_line(line: string): unknown {
    if (line === 'who') return `${callSession().gateway} ${JSON.stringify(callSession().identity)}`
    if (line === 'span') return trace.getSpanContext(context.active())?.traceId
    if (line === 'fail') throw new RangeError('it fails')
    if (line === 'slow') return new Promise(resolve => (finishSlow = () => resolve('slow')))
    return line.toUpperCase()
  }
}

const errors: string[] = []
const onError = (error: unknown) => void errors.push(String(error))
t.beforeEach(() => void errors.splice(0))

/** The options of `serve`, with gateways of this file's own. */
type Options = Omit<ServeOptions, 'gateways'> & { readonly gateways?: readonly Gateway[] }
const serveLines = (options: Options) => serve(Lines, { port: 0, onError, ...options })
const urlOf = (server: Server, path = '/') => `http://127.0.0.1:${server.port}${path}`

/** All sessions end with their clients, and nothing is left of them. */
async function ends(t: Test, server: Server): Promise<void> {
  await waitUntil(() => server.sessions.size === 0)
  t.match(server.metrics, { exports: 0, imports: 0, pending: 0, buffered: 0 })
  await server.close()
}

t.test('one port serves WebSockets, a protocol of bytes, and HTTP requests', async t => {
  const server = await serveLines({ gateways: [lines(), requests()] })
  const sessions: Session[] = []
  server.on('session', session => void sessions.push(session))
  const client = LineClient.to(server.port)
  t.equal(await client.ask('who'), 'lines undefined')
  t.equal(await client.ask('fail'), 'RangeError: it fails')
  t.match(await post(urlOf(server, '/any'), 'who'), { status: 200, text: 'requests undefined' })
  await using conn = connect<Lines>(server.url)
  t.equal(await conn.root.line('who'), 'undefined undefined')
  t.same(
    sessions.map(({ gateway }) => gateway),
    ['lines', 'requests', undefined]
  )
  t.same(server.metrics.gateways, {
    lines: { clients: 1, clientsTotal: 1, clientsRefused: 0 },
    requests: { clients: 0, clientsTotal: 1, clientsRefused: 0 }
  })
  t.match(metricsText(server), 'netref_gateway_clients_total{gateway="lines"} 1\n')
  t.match(await (await fetch(urlOf(server))).text(), 'Upgrade Required')
  await assertClean(t, conn.session)
  await conn.close()
  client.socket.end()
  await client.closed
  await ends(t, server)
  t.same(errors, [])
})

t.test('the first bytes tell the protocol, also if they are torn', async t => {
  const broken: Gateway = {
    ...lines(),
    name: 'broken',
    detect() {
      throw new Error('detect fails')
    }
  }
  const undecided: Gateway = { ...lines(), name: 'undecided', detect: () => undefined }
  const server = await serveLines({ gateways: [broken, undecided, lines()], limits: { helloMs: 200 } })
  const torn = LineClient.to(server.port)
  torn.socket.write('>')
  await waitUntil(() => errors.length > 0)
  t.equal(errors[0], 'Error: detect fails')
  torn.socket.write('torn\n')
  t.equal(await torn.answer(), 'TORN')
  for (const bytes of ['\0\0', '?'.repeat(24), '>']) {
    const unknown = LineClient.to(server.port)
    unknown.socket.write(bytes)
    await unknown.closed
  }
  t.pass('neither unknown nor too short beginnings keep a connection open')
  const reset = LineClient.to(server.port)
  const decided = new Promise<void>(resolve => {
    undecided.detect = () => void resolve()
  })
  reset.socket.write('?')
  await decided
  reset.socket.resetAndDestroy()
  const halfClosed = LineClient.to(server.port)
  halfClosed.socket.end('?')
  await halfClosed.closed
  torn.socket.destroy()
  await ends(t, server)
})

t.test('of connections that send nothing, the oldest ends', async t => {
  const server = await serveLines({ gateways: [lines()] })
  const first = LineClient.to(server.port)
  await once(first.socket, 'connect')
  const others = Array.from({ length: 1024 }, () => LineClient.to(server.port))
  await first.closed
  t.equal(await others[0]!.ask('a'), 'A')
  await Promise.all([server.close(), ...others.map(({ closed }) => closed)])
  t.pass('a server that closes leaves none open')
})

t.test('a gateway may have a port of its own, with TLS', async t => {
  const { ca, server: pair, ada, eve } = await certificates(t)
  const listening: object[] = []
  const withHooks = (gateway: Gateway): Gateway => ({
    ...gateway,
    opened: address => void listening.push(address),
    closed: async () => {
      throw new Error(`${gateway.name} fails at the end`)
    }
  })
  const server = await serveLines({
    authenticate: ({ certificate, gateway, secure }) =>
      certificate ? `${certificate.subject.CN} ${gateway} ${secure}` : false,
    gateways: [
      withHooks(lines({ port: 0, tls: { ...pair, ca, requestCert: true, rejectUnauthorized: false } })),
      withHooks(requests({ contentTypes: ['application/x-line'] }, { port: 0, host: '127.0.0.2' }))
    ]
  })
  const { lines: port, requests: requestsPort } = server.gatewayPorts
  t.same(listening, [
    { host: '127.0.0.1', port },
    { host: '127.0.0.2', port: requestsPort }
  ])
  server.unref()
  const dial = (credentials: object) =>
    new LineClient(tls.connect({ port: port!, ca, servername: 'localhost', ...credentials }))
  const client = dial(ada)
  t.equal(await client.ask('who'), 'lines "ada lines true"')
  server.unref()
  for (const credentials of [eve, {}]) {
    const unknown = dial(credentials)
    unknown.socket.write('>who\n')
    await unknown.closed
  }
  t.equal(errors.length, 1)
  t.match(errors[0], 'clients of "lines" were refused: they cannot show `authenticate` who they are')
  t.match(await post(`http://127.0.0.2:${requestsPort}/`, 'who'), {
    status: 401,
    text: 'authentication failed\n'
  })
  const get = await fetch(`http://127.0.0.2:${requestsPort}/`)
  t.same([get.status, get.headers.get('allow')], [405, 'POST'])
  t.match(server.metrics.gateways, { lines: { clientsRefused: 2 }, requests: { clientsRefused: 1 } })
  client.socket.destroy()
  await ends(t, server)
  t.same(errors.slice(1), ['Error: lines fails at the end', 'Error: requests fails at the end'])
})

t.test('HTTP gateways beside the requests of a server of yours', async t => {
  const own = http.createServer((request, response) => response.end(`own ${request.url}`))
  own.listen(0, '127.0.0.1')
  await once(own, 'listening')
  const contentTypes = ['application/x-line']
  const first = await serve(Lines, {
    server: own,
    onError,
    gateways: [requests({ path: '/rpc', contentTypes }), lines({ port: 0 })]
  })
  const second = await serve(Lines, {
    server: own,
    path: '/b',
    gateways: [requests({ path: '/b', contentTypes })]
  })
  t.match(await post(urlOf(first, '/rpc?x'), 'who'), { text: 'requests undefined' })
  t.match(await post(urlOf(first, '/b'), 'b'), { text: 'B' })
  t.match(await post(urlOf(first, '/other'), 'b'), { text: 'own /other' })
  const client = LineClient.to(first.gatewayPorts.lines!)
  t.equal(await client.ask('c'), 'C')
  const twice = await rejectionOf(
    serve(Lines, {
      server: own,
      path: '/c',
      gateways: [lines({ port: 0 }), requests({ path: '/rpc', contentTypes })]
    })
  )
  t.match(twice.message, 'requests for "/rpc" of that server already go to a gateway; choose another path')
  await first.close()
  await client.closed
  t.match(await post(urlOf(second, '/rpc'), 'b'), { text: 'own /rpc' })
  await second.close()
  t.equal(own.listenerCount('request'), 1)
  t.equal(own.listenerCount('upgrade'), 0)
  const { port } = own.address() as net.AddressInfo
  t.equal(await (await fetch(`http://127.0.0.1:${port}/b`)).text(), 'own /b')
  own.closeAllConnections()
  own.close()
})

t.test('a server that cannot listen leaves nothing open', async t => {
  const taken = net.createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as net.AddressInfo
  const free = net.createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const freePort = (free.address() as net.AddressInfo).port
  await new Promise(resolve => free.close(resolve))
  const attempts: ServeOptions[] = [
    { port: freePort, gateways: [lines({ port })] },
    { port, gateways: [lines({ port: freePort })] },
    {
      port: 0,
      gateways: [
        {
          ...lines({ port: freePort }),
          opened() {
            throw new Error('opened fails')
          }
        }
      ]
    }
  ]
  const messages: string[] = []
  for (const attempt of attempts) messages.push((await rejectionOf(serveLines(attempt))).message)
  t.match(messages, [/the port is in use/, /the port is in use/, 'opened fails'])
  taken.close()
  const server = await serveLines({ port: freePort })
  t.equal(server.port, freePort)
  t.same(server.gatewayPorts, {})
  await server.close()
})

t.test('gateways are checked at the start', async t => {
  const message = async (gateways: unknown, options: ServeOptions = {}) =>
    (await rejectionOf(serveLines({ ...options, gateways: gateways as Gateway[] }))).message
  const contentTypes = ['a/b']
  const cases: [gateways: unknown, message: string][] = [
    [lines(), 'serve: `gateways` takes a list, such as [rpyc()], not'],
    [[lines], 'serve: gateways[0]: a function is not a gateway; call it, as in [rpyc()]'],
    [[undefined], 'serve: gateways[0]: undefined is not a gateway; pass what rpyc(), say, returns'],
    [[{ name: 'A' }], 'is not a gateway'],
    [[{ name: 'a' }], 'serve: gateways[0]: "a" serves neither connections nor requests'],
    [[{ ...lines(), detect: undefined }], '"lines" must have both `detect` and `handleSocket`, or neither'],
    [[{ ...multiplexed(), detect: undefined }], 'must have both `detect` and `handleConnection`, or neither'],
    [[{ ...lines(), ...multiplexed() }], 'must have `handleSocket` or `handleConnection`, not both'],
    [[{ ...requests(), requests: undefined }], 'must have both `requests` and `handleRequest`, or neither'],
    [[requests({ path: 'rpc', contentTypes })], 'path "rpc" must begin with "/" and have no query'],
    [[lines({ port: 1.5 })], 'port 1.5 is not a whole number from 0 to 65535'],
    [[lines(), lines()], 'the gateway "lines" is there twice; remove one, or give one a `port` of its own'],
    [[lines({ tls: {} })], '`tls` needs a `port` of its own'],
    [
      [requests(), { ...requests(), name: 'other' }],
      'the gateways "requests" and "other" both claim requests at any path'
    ],
    [
      [requests({ path: '/a', contentTypes }), requests({ path: '/a', contentTypes })],
      'both claim requests at /a; give one of them another `path` or a `port`'
    ]
  ]
  for (const [gateways, expected] of cases) t.match(await message(gateways), expected)
  const shared = { server: http.createServer(), port: undefined }
  t.match(
    await message([lines()], shared),
    'the gateway "lines" needs a `port` of its own, or for HTTP a `path`'
  )
  t.match(await message([requests()], shared), 'the gateway "requests" needs a `port` of its own')
  const { port1 } = new MessageChannel()
  const overEndpoint = await rejectionOf(serve(Lines, { endpoint: port1, gateways: [lines()] }))
  t.match(
    overEndpoint.message,
    '`gateways` has no meaning over an endpoint: the clients of other systems need'
  )
  port1.close()
  const server = await serveLines({
    gateways: [
      requests(),
      requests({ path: '/a', contentTypes: ['application/x-line'] }),
      requests({ contentTypes }),
      requests(undefined, { port: 0 })
    ]
  })
  t.match(await post(urlOf(server, '/a'), 'a'), { text: 'A' })
  await ends(t, server)
})

t.test('pages of other origins call nothing', async t => {
  const accepted = ['application/x-line', 'text/plain', '']
  const server = await serveLines({
    gateways: [
      requests({ contentTypes: accepted }),
      { ...requests({ path: '/only', contentTypes: ['a/b'], headers: ['x-only', 'x-more'] }), name: 'only' }
    ],
    allowedOrigins: ['http://app.example']
  })
  const asked = (headers: Record<string, string>, path = '/') => post(urlOf(server, path), 'a', headers)
  t.match(await asked({ origin: 'http://evil.example' }), {
    status: 403,
    text: 'Origin "http://evil.example"'
  })
  t.match(await asked({ origin: 'http://app.example', 'content-type': 'text/plain; charset=utf-8' }), {
    status: 415,
    text: 'the content type "text/plain" is not accepted here from pages; set the header content-type to application/x-line or text/plain'
  })
  t.match(await asked({ 'content-type': 'text/plain' }), { status: 200, text: 'A' })
  const untyped = await fetch(urlOf(server), { method: 'POST', body: new Uint8Array([97]) })
  t.equal(await untyped.text(), 'A')
  t.match(await asked({ 'content-type': 'c/d' }, '/only'), {
    status: 415,
    text: 'the content type "c/d" is not accepted here; set the header content-type to a/b'
  })
  const fromPage = await asked({ origin: 'http://app.example' })
  t.match(fromPage, { status: 200, text: 'A' })
  t.equal(fromPage.headers.get('access-control-allow-origin'), 'http://app.example')
  const preflight = async (path: string) => {
    const { status, headers } = await fetch(urlOf(server, path), {
      method: 'OPTIONS',
      headers: { origin: 'http://app.example' }
    })
    return [status, headers.get('access-control-allow-headers')]
  }
  t.same(await preflight('/'), [204, 'content-type, authorization, traceparent'])
  t.same(await preflight('/only'), [204, 'content-type, authorization, traceparent, x-only, x-more'])
  t.equal((await fetch(urlOf(server), { method: 'OPTIONS' })).status, 405)
  const rebound = http.request({ port: server.port, method: 'POST', headers: { host: 'evil.example' } })
  rebound.end()
  const [response] = (await once(rebound, 'response')) as [http.IncomingMessage]
  t.match([response.statusCode, await text(response)], [403, /Host "evil.example" is not in allowedHosts/])
  t.match(server.metrics.gateways, { requests: { clientsRefused: 2 } })
  await ends(t, server)
  const elsewhere = await serveLines({ gateways: [requests({ path: '/rpc', contentTypes: ['a/b'] })] })
  t.match(await post(urlOf(elsewhere, '/no'), 'a'), { status: 404, text: 'no gateway serves this path' })
  await elsewhere.close()
})

t.test('authentication', async t => {
  const server = await serveLines({
    limits: { helloMs: 200 },
    async authenticate({ headers, token, gateway }) {
      const bearer = await token()
      if (bearer === 'slow') return new Promise(() => {})
      if (bearer === 'broken') throw new Error('the database is down')
      return bearer ?? (headers.authorization ? { gateway, credentials: headers.authorization } : null)
    },
    gateways: [
      requests(),
      lines({ authenticate: ({ address }) => (address ? `at ${address}` : false) }),
      linesWithToken()
    ]
  })
  const asked = (authorization?: string) =>
    post(urlOf(server), 'who', authorization === undefined ? {} : { authorization })
  t.match(await asked('Bearer abc'), { status: 200, text: 'requests "abc"' })
  t.match(await asked('Basic YTpi'), { text: 'requests {"gateway":"requests","credentials":"Basic YTpi"}' })
  t.match(await asked(), { status: 401, text: 'authentication failed' })
  t.match(await asked('Bearer broken'), { status: 503 })
  t.match(await asked('Bearer slow'), { status: 503 })
  const client = LineClient.to(server.port)
  t.equal(await client.ask('who'), 'lines "at 127.0.0.1"')
  const shown = LineClient.to(server.port)
  shown.socket.write('<abc\nwho\n')
  t.equal(await shown.answer(), 'lines-with-token "abc"')
  const hidden = LineClient.to(server.port)
  hidden.socket.write('<\nwho\n')
  await hidden.closed
  t.match(server.metrics.gateways, { 'lines-with-token': { clients: 1, clientsRefused: 1 } })
  t.match(errors, ['Error: the database is down', /`authenticate` did not settle within 200 ms/])
  client.socket.destroy()
  shown.socket.destroy()
  await ends(t, server)
  const closed = await serveLines({
    authenticate: () => true,
    gateways: [
      lines(),
      { ...lines({ authenticate: () => null }), name: 'rejected', detect: ([first]) => first === 0x3c }
    ]
  })
  for (const line of ['>who\n', '<who\n']) {
    const unknown = LineClient.to(closed.port)
    unknown.socket.write(line)
    await unknown.closed
  }
  t.match(closed.metrics.gateways, { lines: { clientsRefused: 1 }, rejected: { clientsRefused: 1 } })
  await ends(t, closed)
  t.equal(errors.length, 3)
})

t.test('limits of sessions, of addresses, and of requests', async t => {
  const server = await serveLines({ limits: { sessions: 1 }, gateways: [lines(), requests()] })
  const client = LineClient.to(server.port)
  t.equal(await client.ask('a'), 'A')
  const second = LineClient.to(server.port)
  second.socket.write('>a\n')
  await second.closed
  const slow = post(urlOf(server), 'slow')
  await waitUntil(() => server.metrics.gateways.requests!.clients === 1 && server.sessions.size === 2)
  t.match(await post(urlOf(server), 'a'), {
    status: 503,
    text: 'the server has reached its limit of sessions'
  })
  finishSlow()
  t.match(await slow, { text: 'slow' })
  client.socket.destroy()
  await ends(t, server)
  t.match(errors, [/all 1 sessions are in use/])

  const perAddress = await serveLines({ limits: { sessionsPerAddress: 1 }, gateways: [lines(), requests()] })
  const only = LineClient.to(perAddress.port)
  t.equal(await only.ask('a'), 'A')
  t.match(await post(urlOf(perAddress), 'a'), {
    status: 503,
    text: 'the limit of clients per address is reached'
  })
  only.socket.destroy()
  await ends(t, perAddress)
  t.match(errors[1], /too many clients come from 127.0.0.1/)

  const proxied = await serveLines({
    trustProxy: true,
    limits: { sessionsPerAddress: 1 },
    gateways: [requests()]
  })
  const headers = { 'x-forwarded-for': '192.0.2.1' }
  const held = post(urlOf(proxied), 'slow', headers)
  await waitUntil(() => proxied.sessions.size === 1)
  t.match(await post(urlOf(proxied), 'a', headers), { status: 503 })
  for (const other of ['192.0.2.2', 'unknown'])
    t.match(await post(urlOf(proxied), 'a', { 'x-forwarded-for': other }), { status: 200 })
  finishSlow()
  await held
  await ends(t, proxied)
  t.equal(errors.length, 2)

  const authenticated = await serveLines({
    limits: { sessions: 1 },
    gateways: [lines({ authenticate: () => true })]
  })
  await using conn = connect<Lines>(authenticated.url)
  await conn.opened
  const refused = LineClient.to(authenticated.port)
  refused.socket.write('>a\n')
  await refused.closed
  await assertClean(t, conn.session)
  await conn.close()
  await ends(t, authenticated)
})

t.test('a gateway that fails ends its client, and no other', async t => {
  const failing: Gateway = {
    name: 'failing',
    detect: ([first]) => first === 0x21,
    handleSocket() {
      throw new Error('handleSocket fails')
    },
    requests: { contentTypes: ['application/x-line'] },
    async handleRequest(request, response) {
      const line = await text(request)
      if (line === 'partial') response.write('partial')
      throw new Error(`handleRequest fails: ${line}`)
    }
  }
  const server = await serveLines({ gateways: [lines(), failing] })
  const bystander = LineClient.to(server.port)
  t.equal(await bystander.ask('a'), 'A')
  const client = LineClient.to(server.port)
  client.socket.write('!')
  await client.closed
  t.match(await post(urlOf(server), 'whole'), { status: 500, text: 'internal error' })
  await t.rejects(post(urlOf(server), 'partial'))
  t.same(
    errors,
    ['handleSocket fails', 'handleRequest fails: whole', 'handleRequest fails: partial'].map(
      e => `Error: ${e}`
    )
  )
  t.equal(await bystander.ask('b'), 'B')
  bystander.socket.destroy()
  await ends(t, server)
})

t.test('a client that leaves before its session has begun', async t => {
  let openLate!: () => Promise<unknown>
  const late: Gateway = {
    ...lines(),
    handleSocket: (socket, client) =>
      new Promise((resolve, reject) => {
        openLate = () => client.openSession().then(() => resolve(), reject)
        socket.resume().once('end', () => socket.destroy())
      }),
    requests: { contentTypes: ['application/x-line'] },
    handleRequest: (request, response, client) =>
      new Promise((resolve, reject) => {
        request.resume()
        response.once('close', () => reject(new Error('the client has gone')))
        openLate = () => client.openSession().then(() => resolve(), reject)
      })
  }
  const server = await serveLines({ gateways: [late] })
  const client = LineClient.to(server.port)
  client.socket.end('>a')
  await client.closed
  await waitUntil(() => server.metrics.gateways.lines!.clients === 0 && openLate !== undefined)
  await openLate()
  const request = http.request({
    port: server.port,
    method: 'POST',
    headers: { 'content-type': 'application/x-line' }
  })
  request.on('error', () => {})
  request.end()
  await waitUntil(() => server.metrics.gateways.lines!.clients === 1)
  request.destroy()
  await ends(t, server)
  t.same(errors, [])
})

t.test('a service that cannot be created', async t => {
  const create = () => {
    throw new Error('no service')
  }
  const server = await serve(create, { port: 0, onError, gateways: [lines(), requests()] })
  const client = LineClient.to(server.port)
  client.socket.write('>a\n')
  await client.closed
  t.match(await post(urlOf(server), 'a'), { status: 503, text: 'the service could not be created' })
  t.same(errors, ['Error: no service', 'Error: no service'])
  await ends(t, server)
})

t.test('a server that drains lets calls finish, and ends clients that wait', async t => {
  const own = http.createServer()
  own.listen(0, '127.0.0.1')
  await once(own, 'listening')
  const contentTypes = ['application/x-line']
  const server = await serve(Lines, {
    server: own,
    onError,
    gateways: [requests({ path: '/rpc', contentTypes }), lines({ port: 0 })]
  })
  const idle = LineClient.to(server.gatewayPorts.lines!)
  t.equal(await idle.ask('a'), 'A')
  const late = LineClient.to(server.gatewayPorts.lines!)
  await once(late.socket, 'connect')
  const slow = post(urlOf(server, '/rpc'), 'slow')
  await waitUntil(() => server.sessions.size === 2)
  const closed = server.close({ drain: 10_000 })
  await idle.closed
  t.match(await post(urlOf(server, '/rpc'), 'a'), { status: 503, text: 'the server is going away' })
  late.socket.write('>a\n')
  await late.closed
  finishSlow()
  t.match(await slow, { status: 200, text: 'slow' })
  await closed
  t.same(errors, [])
  own.closeAllConnections()
  own.close()
})

t.test('a server that closes waits for what clients are owed, but not for long', async t => {
  const deaf: Gateway = {
    ...lines(),
    name: 'deaf',
    async handleSocket(socket, client) {
      await client.openSession()
      socket.resume()
    }
  }
  const server = await serveLines({
    gateways: [deaf, { ...lines({ port: 0 }), handleSocket: socket => void socket.resume() }]
  })
  const client = LineClient.to(server.port)
  client.socket.write('>a\n')
  await waitUntil(() => server.sessions.size === 1)
  const without = LineClient.to(server.gatewayPorts.lines!)
  without.socket.write('>a\n')
  await waitUntil(() => server.metrics.gateways.lines!.clients === 1)
  await Promise.all([server.close(), client.closed, without.closed])
  t.equal(server.metrics.gateways.deaf!.clients, 0)
})

/** A request of `requests`. */
const requestText = (line: string, headers = '') =>
  `POST / HTTP/1.1\r\nhost: 127.0.0.1\r\n${headers}content-type: application/x-line\r\ncontent-length: ${line.length}\r\n\r\n${line}`

t.test('a client that leaves many requests of one connection behind', async t => {
  const server = await serveLines({ gateways: [requests()] })
  const client = LineClient.to(server.port)
  client.socket.write(requestText('slow').repeat(20))
  await waitUntil(() => server.sessions.size === 20)
  client.socket.destroy()
  await waitUntil(() => server.sessions.size === 0)
  t.equal(server.metrics.gateways.requests!.clients, 0)
  await ends(t, server)
  t.same(errors, [])
})

t.test('a client that does not read its response is cut off', async t => {
  const long: Gateway = {
    ...requests(),
    handleRequest: (_, response) => void response.end('x'.repeat(50_000_000))
  }
  const server = await serveLines({ gateways: [long], limits: { pauseMs: 100 } })
  const client = LineClient.to(server.port)
  client.socket.pause()
  client.socket.write(requestText('a'))
  await waitUntil(() => server.metrics.gateways.requests!.clientsTotal === 1)
  await waitUntil(() => server.metrics.gateways.requests!.clients === 0)
  client.socket.destroy()
  await ends(t, server)
})

t.test('a request that offers HTTP/2, as Java and curl do, is served by HTTP/1.1', async t => {
  const server = await serveLines({ gateways: [lines(), requests()] })
  const client = LineClient.to(server.port)
  client.socket.write(requestText('a', 'connection: upgrade\r\nupgrade: h2c\r\n'))
  t.equal(await client.answer(), 'HTTP/1.1 200 OK')
  client.socket.destroy()
  await ends(t, server)
})

t.test('openSession after the server has begun to close', async t => {
  let open!: () => Promise<Session>
  const late: Gateway = {
    ...lines(),
    handleSocket(socket, client) {
      socket.resume()
      open = () => client.openSession()
    }
  }
  const server = await serveLines({ gateways: [late] })
  const client = LineClient.to(server.port)
  client.socket.write('>a\n')
  await waitUntil(() => open !== undefined)
  const first = await open()
  const second = await open()
  t.equal(server.sessions.size, 2)
  void first.close()
  const closed = server.close({ drain: 1000 })
  t.match(await rejectionOf(open()), { code: 'unavailable', message: 'the server is going away' })
  await second.closed
  client.socket.destroy()
  await closed
})

t.test('the trace context of a request goes into the calls', async t => {
  new NodeTracerProvider().register()
  const server = await serveLines({ gateways: [requests()] })
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const inSpan = (traceparent: string) => post(urlOf(server), 'span', { traceparent })
  t.match(await inSpan(`00-${traceId}-b7ad6b7169203331-01`), { text: traceId })
  t.match(await inSpan('nonsense'), { text: 'undefined' })
  await ends(t, server)
})
