import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { mock } from 'node:test'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { connect, expose, type Netref, pair, type Reason, Service, serve } from '../../lib/index.js'
import { useFakeClock } from '../support/fake-clock.js'
import { implOf, overSocket, rejectionOf, waitUntil } from '../support/helpers.js'

class Calculator extends Service {
  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_never() {
    return new Promise<never>(() => {})
  }
  exposed_echo(value: unknown) {
    return value
  }
}

const read = (name: string) => readFileSync(new URL(`../support/fixtures/${name}.pem`, import.meta.url))

t.test('serve listens on loopback, reports its URL and counts sessions', async t => {
  const server = await serve(Calculator, { port: 0 })
  t.match(server.url, /^ws:\/\/127\.0\.0\.1:\d+$/)
  t.equal(server.sessions.size, 0)
  const begun: unknown[] = []
  const off = server.on('session', session => begun.push(session))
  const conn = connect<Calculator>(server.url)
  t.equal(await conn.root.add(1, 2), 3)
  t.same([...server.sessions], begun)
  off()
  const second = connect<Calculator>(new URL(server.url))
  t.equal(await second.root.add(3, 4), 7)
  t.equal(begun.length, 1)
  t.equal(server.sessions.size, 2)
  await conn.close()
  await waitUntil(() => server.sessions.size === 1)
  const closed = new Promise<void>(resolve => server.on('closed', resolve))
  await Promise.all([server.close(), server.close(), closed])
  t.match(await second.closed, {
    code: 'server-closed',
    message: /^ws:.* ended the session: the server is going away$/
  })
  t.match(await rejectionOf(second.root.add(1, 1)), { code: 'server-closed' })
  t.equal(server.sessions.size, 0)
})

t.test('host, path and port decide the URL that the server reports', async t => {
  for (const [options, url] of [
    [{ host: '0.0.0.0' }, /^ws:\/\/localhost:\d+$/],
    [{ host: '::1' }, /^ws:\/\/\[::1\]:\d+$/],
    [{ path: '/rpc' }, /^ws:\/\/127\.0\.0\.1:\d+\/rpc$/]
  ] as const) {
    await using server = await serve(Calculator, { port: 0, ...options })
    t.match(server.url, url)
    await using conn = connect<Calculator>(server.url)
    t.equal(await conn.root.add(1, 2), 3)
  }
})

t.test('a port in use rejects with one readable error', async t => {
  await using server = await serve(Calculator, { port: 0 })
  const port = Number(new URL(server.url).port)
  const error = await rejectionOf(serve(Calculator, { port }))
  t.equal(
    error.message,
    `serve: cannot listen on 127.0.0.1:${port}: the port is in use; choose another, or 0 for a free one`
  )
  t.match(error, { name: 'NetrefError', code: 'EADDRINUSE', cause: { code: 'EADDRINUSE' } })
  const nowhere = await rejectionOf(serve(Calculator, { port: 0, host: '203.0.113.1' }))
  t.match(nowhere, { code: 'EADDRNOTAVAIL', message: /^serve: cannot listen on 203\.0\.113\.1:0: / })
  await t.rejects(
    serve(Calculator, { port: 70_000 }),
    /serve: port 70000 is not a whole number from 0 to 65535/
  )
  await t.rejects(
    serve('a service' as never),
    /a service must be a class, an object or a function, not "a service"/
  )
})

t.test('an unreachable server rejects every call with the address and the cause', async t => {
  const conn = connect<Calculator>('ws://127.0.0.1:1', {})
  const error = await rejectionOf(conn.root.add(1, 2))
  t.match(error, { code: 'unreachable', cause: { code: 'ECONNREFUSED' } })
  t.match(error.message, /^root\.add\(1, 2\): .*cannot reach ws:\/\/127\.0\.0\.1:1: connect ECONNREFUSED/)
  t.match(await conn.closed, { code: 'unreachable' })
  t.match(await rejectionOf(conn.ping()), { code: 'unreachable' })
  await conn.close()
  const addresses = [
    { address: '127.0.0.1', family: 4 },
    { address: '127.0.0.2', family: 4 }
  ]
  const lookup = (_host: string, _options: unknown, done: (error: null, all: object[]) => void) =>
    done(null, addresses)
  const both = connect<Calculator>('ws://several.test:1', { lookup } as object)
  t.match(await both.closed, { message: /ECONNREFUSED 127\.0\.0\.1:1, .*ECONNREFUSED 127\.0\.0\.2:1/ })
})

t.test('no error text contains the password of an address', async t => {
  for (const options of [{}, { token: 'x' }, { token: () => Promise.reject(new Error('none')) }]) {
    const { closed } = connect('ws://ann:p%40w@127.0.0.1:1/at@home', options)
    t.match(
      (await closed).message,
      /(cannot reach|getting the token for) ws:\/\/127\.0\.0\.1:1\/at@home( failed)?: /
    )
  }
})

t.test('an answer without an upgrade is quoted in the error', async t => {
  const web = http.createServer((_, response) => response.writeHead(403).end()).listen(0, '127.0.0.1')
  await once(web, 'listening')
  const conn = connect(`ws://127.0.0.1:${(web.address() as net.AddressInfo).port}`)
  t.match(await conn.closed, { code: 'unauthorized', message: /Unexpected server response: 403/ })
  web.close()
})

t.test('an error quotes one line of plain text from an HTTP response', async t => {
  const web = http.createServer((request, response) => {
    if (request.url === '/page') response.writeHead(502, { 'content-type': 'text/html' }).end('<html>')
    else if (request.url === '/silent')
      response.writeHead(503, { 'content-type': 'text/plain' }).flushHeaders()
    else {
      response.writeHead(503, { 'content-type': 'text/plain' })
      response.write(`too\tbusy\r\n${'.'.repeat(1000)}`)
    }
    if (request.url === '/silent') setImmediate(() => request.socket.destroy())
  })
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  const said = async (path: string) => {
    const { message } = await connect(`ws://127.0.0.1:${(web.address() as net.AddressInfo).port}${path}`)
      .closed
    return message.replace(/^.*: /, '')
  }
  t.equal(await said('/page'), '502')
  t.equal(await said('/silent'), '503')
  t.equal(
    await said('/long'),
    `503 (too busy ${'.'.repeat(190)})`,
    'the error does not wait for the end of the response'
  )
  web.closeAllConnections()
  web.close()
})

t.test('an invalid address throws synchronously and is named', t => {
  t.throws(
    () => connect('localhost:18861'),
    /"localhost:18861" is not .*; did you mean "ws:\/\/localhost:18861"\?/
  )
  t.throws(() => connect('localhost'), TypeError)
  t.throws(() => connect('nats://ada:secret@localhost:4222/Foo'), {
    message:
      'connect: "nats://localhost:4222/Foo" is an address of NATS; pass nats(address).service(name) of netref/nats'
  })
  t.throws(() => connect('ftp://example.org'), /did you mean "ws:\/\/example\.org"/)
  const said = (address: string, message: string) =>
    t.throws(() => connect(address), { name: 'TypeError', message: `connect: ${message}` })
  said('ws://localhost:99999', '"ws://localhost:99999" is not a ws:// or wss:// address')
  said('', '"" is not a ws:// or wss:// address')
  const cure = 'is not an address; pass one such as "ws://localhost:18861", or an endpoint'
  said(undefined as never, `undefined ${cure}`)
  said(null as never, `null ${cure}`)
  said(18861 as never, `18861 ${cure}`)
  for (const host of ['localhost', 'ws://localhost', 'ws://ann:pw@localhost'])
    t.throws(() => connect(host, 18861 as never), {
      name: 'TypeError',
      message: 'connect takes an address and options: connect("ws://localhost:18861")'
    })
  said(
    'wss://a.example/b#c',
    '"wss://a.example/b#c" is not a ws:// or wss:// address; did you mean "wss://a.example/b"?'
  )
  said('ws://ann:pw@x:99999/a@b', '"ws://x:99999/a@b" is not a ws:// or wss:// address')
  t.throws(() => connect('ws://localhost', { limits: { depth: -1 } }), RangeError)
  t.end()
})

t.test('close() sends pending calls, also before the socket is open', async t => {
  const received: unknown[] = []
  const server = await serve({ note: (item: unknown) => void received.push(item) }, { port: 0 })
  const early = connect<{ note(item: unknown): void }>(server.url)
  early.root.note('early').catch(() => {})
  const closed = early.close()
  t.equal(early.state, 'connecting', 'until the socket is open')
  await closed
  const late = connect<{ note(item: unknown): void }>(server.url)
  await late.root.note('first')
  late.root.note('second').catch(() => {})
  late.root.note('third').catch(() => {})
  await late.close()
  await waitUntil(() => received.length === 4)
  t.same(received, ['early', 'first', 'second', 'third'])
  const idle = connect(server.url)
  await idle.close()
  t.match(await idle.closed, { code: 'closed' }, 'close() does not wait if nothing is to be sent')
  await server.close()
})

t.test('calls made before the socket is open may exceed one frame', t =>
  overSocket(t, Calculator, async conn => {
    const texts = [1, 2, 3, 4].map(i => String(i).repeat(2 << 20))
    const echoes = texts.map(text => conn.root.echo(text))
    t.ok((await Promise.all(echoes)).every((text, i) => text === texts[i]))
  })
)

t.test('without resumption a broken socket ends the session and rejects every pending call', async t => {
  const web = http.createServer().listen(0, '127.0.0.1')
  await once(web, 'listening')
  const server = await serve(Calculator, { server: web, resumeWindow: 0 })
  const conn = connect<Calculator>(server.url, { reconnect: false })
  const [socket] = (await once(web, 'connection')) as [net.Socket]
  await conn.root.add(1, 2)
  const [session] = server.sessions
  const events: Reason[] = []
  const off = conn.on('closed', reason => events.push(reason))
  conn.on('closed', reason => events.push(reason))
  off()
  const pending = conn.root.never()
  t.match(await rejectionOf((session!.root as Netref<{ x(): void }>).x()), { code: 'not-exposed' })
  await conn.ping()
  socket.destroy()
  t.match(await rejectionOf(pending), {
    code: 'connection-lost',
    message: /^root\.never\(\): .*was lost: close code 1006/
  })
  t.match(await session!.closed, {
    code: 'connection-lost',
    message: /^the connection to the client at 127\.0\.0\.1:\d+ was lost/
  })
  t.equal(events.length, 1)
  for (const { stats } of [conn, session!]) t.match(stats, { exports: 0, imports: 0, pending: 0 })
  await server.close()
  web.close()
})

t.test('a frame too large for the server ends the session with `limit` on both ends', async t => {
  const server = await serve(Calculator, { port: 0, limits: { frameBytes: 5000, jsonBytes: 4900 } })
  const conn = connect<Calculator>(server.url)
  const served = new Promise<Reason>(resolve =>
    server.on('session', session => void session.closed.then(resolve))
  )
  await conn.ping()
  t.match(
    await rejectionOf(conn.root.echo('x'.repeat(4950))),
    { code: 'limit' },
    'a client that knows the limit rejects the call'
  )
  const socket = new WebSocket(server.url)
  await once(socket, 'open')
  socket.send('x'.repeat(20_000))
  const [code] = await once(socket, 'close')
  t.equal(code, 1009)
  t.equal(await conn.root.add(1, 2), 3, 'other clients are served')
  await conn.close()
  t.match(await served, { code: 'closed' })
  await server.close()
})

t.test('the client parses the close reason of the server', async t => {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(sockets, 'listening')
  const url = `ws://127.0.0.1:${(sockets.address() as net.AddressInfo).port}`
  const ends: [end: (socket: WebSocket) => void, reason: object][] = [
    [
      socket => socket.close(4000, 'version: version 9'),
      { code: 'version', message: `${url} ended the session: version 9` }
    ],
    [socket => socket.close(1009), { code: 'limit', message: /rejected a frame as too large/ }],
    [socket => socket.close(1001, 'going'), { code: 'connection-lost', message: /was lost: going/ }],
    [socket => socket.close(1011), { code: 'connection-lost', message: /close code 1011/ }],
    [socket => socket.terminate(), { code: 'connection-lost', message: /close code 1006/ }],
    [socket => socket.send('{'), { code: 'protocol', message: 'it received a frame that is not JSON' }],
    [
      socket => socket.send(Buffer.alloc(3)),
      { code: 'protocol', message: /a binary frame without a header/ }
    ],
    [
      socket => socket.send('x'.repeat(2 << 20)),
      { code: 'limit', message: /sent an invalid frame: Max payload/ }
    ],
    [
      socket => socketOf(socket).write(Buffer.from([0xff, 0xff])),
      { code: 'protocol', message: /sent an invalid frame/ }
    ]
  ]
  for (const [end, reason] of ends) {
    sockets.once('connection', end)
    const conn = connect(url, { limits: { frameBytes: 1 << 20, jsonBytes: 1 << 18 } })
    t.match(await conn.closed, reason)
    t.match(await rejectionOf((conn.root as Netref<{ x(): void }>).x()), { code: (reason as Reason).code })
  }
  for (const client of sockets.clients) client.terminate()
  sockets.close()
})

/** The TCP socket under a WebSocket of `ws`, to write bytes without WebSocket framing. */
const socketOf = (socket: WebSocket) => (socket as unknown as { _socket: net.Socket })._socket

t.test('a socket that never opens times out', async t => {
  const silent = net.createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const conn = connect<Calculator>(`ws://127.0.0.1:${(silent.address() as net.AddressInfo).port}`, {
    handshakeTimeout: 50
  })
  const called = rejectionOf(conn.root.add(1, 2))
  await conn.close()
  t.match(await called, { code: 'closed' })
  silent.close()
})

t.test('errors of a user’s HTTP server are reported, and there is no URL before it listens', async t => {
  const errors: unknown[] = []
  const web = http.createServer()
  const handled: unknown[] = []
  web.on('error', error => handled.push(error))
  const server = await serve(Calculator, { server: web, onError: error => void errors.push(error) })
  t.throws(() => server.url, { code: 'not-listening' })
  t.throws(() => server.port, { code: 'not-listening', message: /^server.port: / })
  await using other = await serve(Calculator, { port: 0 })
  web.listen(Number(new URL(other.url).port), '127.0.0.1')
  await waitUntil(() => errors.length === 1 && handled.length === 1)
  t.match(errors, [{ code: 'EADDRINUSE' }])
  await server.close()
  await t.rejects(serve(Calculator, { port: '18861' as never }), /serve: port "18861" is not a whole number/)
})

t.test('a client that never closes its end is terminated', { timeout: 10_000 }, async t => {
  useFakeClock(t, ['setInterval'])
  const server = await serve(Calculator, { port: 0 })
  const socket = net.connect(Number(new URL(server.url).port), '127.0.0.1')
  const key = Buffer.from('0123456789abcdef').toString('base64')
  socket.write(
    `GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`
  )
  await once(socket, 'data')
  const gone = once(socket, 'close')
  const closed = server.close()
  mock.timers.tick(2000)
  await closed
  socket.end()
  await gone
  t.equal(server.sessions.size, 0)
})

t.test('a slow client is not terminated before it has received all data', async t => {
  useFakeClock(t, ['setInterval'])
  const server = await serve({ text: (length: number) => 'x'.repeat(length) }, { port: 0 })
  const socket = new WebSocket(server.url)
  const received: number[] = []
  socket.on('message', data => received.push(String(data).length))
  await once(socket, 'open')
  socket.send('[0,[[0,1,{"jsonBytes":4194304,"frameBytes":4194304,"depth":9,"values":10000}]]]')
  await waitUntil(() => received.length === 1)
  const [session] = server.sessions
  socket.pause()
  const calls = [1, 2, 3, 4].map(id => `[1,${id},0,"text",[3500000]]`)
  socket.send(`[1,[${calls}]]`)
  await waitUntil(() => session!.stats.callsIn === 4)
  const closed = session!.close()
  mock.timers.tick(2000)
  socket.resume()
  const [code] = await once(socket, 'close')
  t.equal(code, 1000)
  t.equal(received.slice(1).filter(length => length > 3_500_000).length, 4)
  await closed
  await server.close()
})

t.test('long close reasons are cut at a character boundary', async t => {
  const server = await serve(
    () => {
      throw new Error('never told')
    },
    { port: 0, onError: () => {} }
  )
  const conn = connect<Calculator>(server.url)
  t.match(await conn.closed, { code: 'service-failed', message: /the service could not be created/ })
  await server.close()
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(sockets, 'listening')
  const url = `ws://127.0.0.1:${(sockets.address() as net.AddressInfo).port}`
  const told = once(sockets, 'connection').then(([socket]) => once(socket as WebSocket, 'close'))
  const long = connect(url)
  await waitUntil(() => long.stats.framesOut === 1)
  implOf(long.session).end({ code: 'internal', message: 'é'.repeat(100) })
  const [code, text] = (await told) as [number, Buffer]
  t.equal(code, 1011)
  t.equal(String(text), `internal: ${'é'.repeat(56)}`)
  sockets.close()
})

t.test('options of ws and TLS pass through: wss, ca and headers, on a user’s HTTPS server', async t => {
  const cert = read('localhost.cert')
  const web = https.createServer({ cert, key: read('localhost.key') }).listen(0, '127.0.0.1')
  await once(web, 'listening')
  const asked = once(web, 'upgrade')
  const server = await serve(Calculator, { server: web, path: '/rpc' })
  t.match(server.url, /^wss:\/\/127\.0\.0\.1:\d+\/rpc$/)
  const conn = connect<Calculator>(server.url, { ca: cert, headers: { 'x-who': 'me' } })
  t.equal(await conn.root.add(1, 2), 3)
  const [request] = (await asked) as [http.IncomingMessage]
  t.equal(request.headers['x-who'], 'me')
  t.match(await connect(server.url).closed, { code: 'unreachable', message: /self-signed certificate/ })
  t.match(await connect(server.url.replace('rpc', 'else'), { ca: cert }).closed, {
    code: 'unreachable',
    message: /404/
  })
  await conn.close()
  await server.close()
  t.ok(web.listening, 'a server passed as `server` is not closed')
  web.close()
})

t.test('pair joins both ends in one process, with separate options', async t => {
  await using conn = pair(Calculator, { service: { hi: () => 'hi' }, serving: { exposeStacks: true } })
  t.equal(await conn.root.add(1, 2), 3)
  t.equal(await (conn.served.root as Netref<{ hi(): string }>).hi(), 'hi')
  t.equal(conn.session.stats.pending, 0)
  await using session = conn.served
  t.ok(session)
})

t.test('bytes cross a real socket unchanged', t =>
  overSocket(t, Calculator, async conn => {
    const sent = new Float64Array([1.5, -0, Number.NaN])
    t.same(await conn.root.echo([sent, Buffer.from('hi'), expose(sent) === sent]), [
      sent,
      Buffer.from('hi'),
      true
    ])
  })
)
