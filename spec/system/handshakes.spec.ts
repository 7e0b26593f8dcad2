// Resets connections at every byte of every handshake, on both ends: the process survives, and nothing leaks.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net, { type AddressInfo, type Server as NetServer, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'
import { connect, type ServeOptions, serve } from '../../lib/index.js'
import { assertClean, waitUntil } from '../support/helpers.js'
import { headOf, hello, TEXT, upgradeRequest } from '../support/raw-peer.js'

const sums = { add: (a: number, b: number) => a + b }
type Sums = typeof sums

const fixture = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../support/fixtures/${name}`, import.meta.url)))
const KEYS = { key: fixture('localhost.key.pem'), cert: fixture('localhost.cert.pem') }

const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port

async function listening<S extends NetServer>(t: Test, server: S): Promise<S> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return server
}

/** Sends the bytes, then resets the connection. */
async function resetAfter(port: number, bytes: Uint8Array): Promise<void> {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(bytes, () => setImmediate(() => socket.resetAndDestroy()))
  await new Promise(closed => socket.on('close', closed))
}

/** Resets after each number of bytes, several at a time. */
async function resetAtEach(port: number, bytes: Uint8Array): Promise<void> {
  for (let length = 0; length <= bytes.length; length += 16) {
    const some = Array.from({ length: 16 }, (_, i) => bytes.subarray(0, length + i))
    await Promise.all(some.map(part => resetAfter(port, part)))
  }
}

const text = (body: string) => Buffer.concat([headOf(TEXT, body.length), Buffer.from(body)])
const opening = (path: string, headers = {}) =>
  Buffer.concat([
    Buffer.from(upgradeRequest(path, headers)),
    text('{"token":"ada"}'),
    text(JSON.stringify([0, [hello()]]))
  ])

/** Servers, and the request that opens a socket to them. */
const entrances: Record<string, { options?: ServeOptions; path?: string; headers?: object }> = {
  'everybody is let in': {},
  'nobody serves the path': { options: { path: '/rpc' }, path: '/nope' },
  'the origin is not allowed': { headers: { Origin: 'http://evil.example' } },
  'the request is not well formed': { headers: { 'Sec-WebSocket-Key': 'short' } },
  'the token is asked for': { options: { authenticate: request => request.token() } },
  'nobody is let in': { options: { authenticate: () => null } },
  'nobody is let in who is heard': { options: { authenticate: async request => !(await request.token()) } },
  'it takes a while': { options: { authenticate: () => turn(true) } }
}

for (const [name, { options = {}, path = '/', headers = {} }] of Object.entries(entrances)) {
  t.test(`resets at a server: ${name}`, async t => {
    const server = await serve(sums, { port: 0, ...options })
    const { port } = new URL(server.url)
    await resetAtEach(Number(port), opening(path, headers))
    await waitUntil(
      () => server.sessions.size === 0 || [...server.sessions].every(s => s.state === 'interrupted')
    )
    await server.close()
    t.equal(server.sessions.size, 0)
  })
}

t.test('resets at a user’s web server: every socket has an error listener, also at other paths', async t => {
  const web = await listening(t, http.createServer())
  await using server = await serve(sums, { server: web, path: '/rpc' })
  await resetAtEach(portOf(web), opening('/rpc'))
  await resetAtEach(portOf(web), opening('/nope'))
  const left: Socket[] = []
  web.on('upgrade', (_, socket) => {
    t.ok(socket.listenerCount('error') > 0)
    left.push(socket.resume() as Socket)
  })
  await resetAfter(portOf(web), opening('/nope'))
  await waitUntil(() => left.length === 1 && left[0]!.destroyed)
  await using conn = connect<Sums>(server.url)
  t.equal(await conn.root.add(1, 2), 3)
  await assertClean(t, conn.session)
})

t.test('resets at a TLS server', async t => {
  const web = await listening(t, https.createServer(KEYS))
  await using server = await serve(sums, { server: web, authenticate: request => request.token() })
  const helloOfTls = await firstBytes(t, port => tls.connect({ port, host: '127.0.0.1' }))
  await resetAtEach(portOf(web), helloOfTls)
  // All further bytes are encrypted: the same bytes, each in its own record.
  for (let length = 0; length <= opening('/').length; length += 4) {
    const socket = net.connect(portOf(web), '127.0.0.1')
    const secure = tls.connect({ socket, rejectUnauthorized: false })
    for (const each of [socket, secure]) each.on('error', () => {})
    await once(secure, 'secureConnect')
    secure.write(opening('/').subarray(0, length), () => setImmediate(() => socket.resetAndDestroy()))
    await once(socket, 'close')
  }
  await using conn = connect<Sums>(server.url.replace('127.0.0.1', 'localhost'), {
    ca: KEYS.cert,
    token: 'ada'
  })
  t.equal(await conn.root.add(1, 2), 3)
  await assertClean(t, conn.session)
})

/** The first bytes that a client sends to a server that only listens. */
async function firstBytes(t: Test, dial: (port: number) => Socket): Promise<Buffer> {
  const deaf = await listening(t, net.createServer())
  const client = dial(portOf(deaf)).on('error', () => {})
  const [socket] = (await once(deaf, 'connection')) as [Socket]
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  client.destroy()
  return bytes
}

t.test('resets at a client: at each byte until the hello', async t => {
  await using server = await serve(sums, { port: 0 })
  let cutAt = 0
  // Forwards everything to the server, and only some bytes of the answer.
  const proxy = await listening(
    t,
    net.createServer(client => {
      let left = cutAt
      const inner = net.connect(Number(new URL(server.url).port), '127.0.0.1')
      client.pipe(inner).on('error', () => {})
      client.on('error', () => inner.destroy())
      inner.on('data', data => {
        client.write(data.subarray(0, left), () => {
          if (left <= 0) client.resetAndDestroy()
        })
        left -= data.length
      })
    })
  )
  for (; cutAt < 300; cutAt += 2) {
    const conn = connect<Sums>(`ws://127.0.0.1:${portOf(proxy)}`, { reconnect: false })
    const came = await conn.root.add(1, 2).catch(({ code }) => code)
    t.match(String(came), /^(unreachable|connection-lost|3)$/)
    await conn.close()
  }
})

t.test('resets at a TLS client', async t => {
  const real = await listening(
    t,
    tls.createServer(KEYS, socket => socket.on('error', () => {}))
  )
  const line = net.connect(portOf(real), '127.0.0.1')
  line.write(await firstBytes(t, port => tls.connect({ port, host: '127.0.0.1', servername: 'localhost' })))
  const [flight] = (await once(line, 'data')) as [Buffer]
  line.destroy()
  t.ok(flight.length > 500)
  let cutAt = 0
  const cutting = await listening(
    t,
    net.createServer(socket => {
      socket.on('error', () => {})
      socket.once('data', () => {
        socket.write(flight.subarray(0, cutAt), () => setImmediate(() => socket.resetAndDestroy()))
      })
    })
  )
  for (; cutAt < flight.length; cutAt += 20) {
    const conn = connect(`wss://localhost:${portOf(cutting)}`, { reconnect: false, ca: KEYS.cert })
    t.equal((await conn.closed).code, 'unreachable')
  }
})

t.test('resets of a byte stream', async t => {
  const frame = (body: string) => {
    const head = Buffer.alloc(5)
    head.writeUInt32BE(body.length)
    return Buffer.concat([head, Buffer.from(body)])
  }
  const bytes = Buffer.concat([frame(JSON.stringify([0, [hello()]])), frame('[1]')])
  const ends: Socket[] = []
  const host = await listening(
    t,
    net.createServer(socket => {
      ends.push(socket)
      void serve(sums, { endpoint: socket })
    })
  )
  await resetAtEach(portOf(host), bytes)
  await waitUntil(() => ends.length > bytes.length && ends.every(({ destroyed }) => destroyed))
  t.ok(
    ends.every(socket => socket.listenerCount('error') > 0),
    'late errors have a listener'
  )
})

t.test('a byte stream that is not served after all keeps an error listener', async t => {
  const stream = new PassThrough()
  await t.rejects(serve(null as never, { endpoint: stream }))
  t.ok(stream.listenerCount('error') > 0)
})

t.test('a socket that another handler takes stays with it, and onError is called', async t => {
  const web = await listening(t, http.createServer())
  const others = new WebSocketServer({ server: web })
  others.on('connection', socket => socket.close(4001))
  const errors: unknown[] = []
  await using server = await serve(sums, { server: web, onError: error => errors.push(error) })
  const conn = connect(server.url, { reconnect: false })
  t.match(await conn.closed, { code: 'connection-lost', message: /4001/ })
  t.match(errors, [{ message: /another `upgrade` listener of the server took the socket for \// }])
  t.equal(server.sessions.size, 0)
  others.close()
})
