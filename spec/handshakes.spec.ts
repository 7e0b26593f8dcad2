// Resets: at every byte of every handshake, on both ends. Whatever the socket is, the process lives, and nothing is left.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net, { type AddressInfo, type Server as NetServer, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'
import { connect, type ServeOptions, serve } from '../lib/index.js'
import { assertClean, CHILD_ENV, until } from './helpers.js'
import { headOf, hello, TEXT, upgradeRequest } from './raw-peer.js'

const sums = { add: (a: number, b: number) => a + b }
type Sums = typeof sums

const fixture = (name: string) => readFileSync(fileURLToPath(new URL(`fixtures/${name}`, import.meta.url)))
const KEYS = { key: fixture('localhost.key.pem'), cert: fixture('localhost.cert.pem') }

const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port

async function listening<S extends NetServer>(t: Test, server: S): Promise<S> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return server
}

/** Sends the bytes, and resets the connection. */
async function resetAfter(port: number, bytes: Uint8Array): Promise<void> {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(bytes, () => setImmediate(() => socket.resetAndDestroy()))
  await new Promise(closed => socket.on('close', closed))
}

/** Resets after each number of the bytes, some at a time. */
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

/** Servers, and what opens a socket to them. */
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
  t.test(`a server is reset: ${name}`, async t => {
    const server = await serve(sums, { port: 0, ...options })
    const { port } = new URL(server.url)
    await resetAtEach(Number(port), opening(path, headers))
    await until(
      () => server.sessions.size === 0 || [...server.sessions].every(s => s.state === 'interrupted')
    )
    await server.close()
    t.equal(server.sessions.size, 0)
  })
}

t.test('a web server of a user is reset: no socket is without somebody who hears its errors', async t => {
  const web = await listening(
    t,
    http.createServer((_, response) => response.end('the page'))
  )
  const sockets: Socket[] = []
  await using server = await serve(sums, { server: web, path: '/rpc' })
  web.on('upgrade', (_, socket) => {
    t.ok(socket.listenerCount('error') > 0, 'also where it is left to others, and they leave it')
    sockets.push(socket as Socket)
    if (sockets.length === 1) queueMicrotask(() => socket.destroy(new Error('it broke')))
  })
  for (const path of ['/nope', '/nope', '/rpc']) await resetAfter(portOf(web), opening(path))
  await until(() => sockets.length === 3 && sockets.every(({ destroyed }) => destroyed))
  await using conn = connect<Sums>(server.url)
  t.equal(await conn.root.add(1, 2), 3)
  await assertClean(t, conn.session)
})

t.test('a socket that breaks while it is refused', async t => {
  const web = await listening(t, http.createServer())
  const breaking: Socket[] = []
  web.on('connection', socket => breaking.push(socket))
  await using server = await serve(sums, { server: web, path: '/rpc', limits: { sessions: 1 } })
  const answer = server.url && opening('/nope')
  const broken = http.Server.prototype.emit
  web.emit = function (this: http.Server, name: string, ...args: unknown[]) {
    const heard = broken.call(this, name, ...args)
    if (name === 'upgrade') (args[1] as Socket).destroy(new Error('it broke'))
    return heard
  } as typeof web.emit
  await resetAfter(portOf(web), answer)
  await until(() => breaking.length === 1 && breaking[0]!.destroyed)
  await turn()
  t.equal(server.sessions.size, 0)
})

t.test('TLS: a server is reset', async t => {
  const web = await listening(t, https.createServer(KEYS))
  await using server = await serve(sums, { server: web, authenticate: () => true })
  const heard = await listening(
    t,
    net.createServer(socket => socket.on('error', () => {}))
  )
  const client = tls.connect({ port: portOf(heard), host: '127.0.0.1', servername: 'localhost' })
  client.on('error', () => {})
  const [socket] = (await once(heard, 'connection')) as [Socket]
  const [clientHello] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  client.destroy()
  await resetAtEach(portOf(web), clientHello)
  // From there on all is encrypted: the same bytes in one record each.
  for (let length = 0; length <= 400; length += 8) {
    const through = tls.connect({ port: portOf(web), host: '127.0.0.1', rejectUnauthorized: false })
    through.on('error', () => {})
    await once(through, 'secureConnect')
    through.write(opening('/').subarray(0, length), () => setImmediate(() => through.resetAndDestroy()))
    await new Promise(closed => through.on('close', closed))
  }
  await using conn = connect<Sums>(server.url, { ca: KEYS.cert })
  t.equal(await conn.root.add(1, 2), 3)
  await assertClean(t, conn.session)
})

t.test('a client is reset: at each byte of the answer to its request, and of the hello', async t => {
  await using server = await serve(sums, { port: 0 })
  let cutAt = 0
  let most = 0
  // Brings all to the server, and of what comes back only so much.
  const proxy = await listening(
    t,
    net.createServer(client => {
      let left = cutAt
      const inner = net.connect(Number(new URL(server.url).port), '127.0.0.1')
      client.pipe(inner)
      client.on('error', () => inner.destroy())
      inner.on('error', () => {})
      inner.on('data', data => {
        most = Math.max(most, data.length)
        client.write(data.subarray(0, left), () => {
          if (left <= 0) client.resetAndDestroy()
        })
        left -= data.length
      })
    })
  )
  const url = `ws://127.0.0.1:${portOf(proxy)}`
  for (; cutAt < 300; cutAt++) {
    const conn = connect<Sums>(url, { reconnect: false, token: 'ada' })
    if (cutAt === 0) t.match(await conn.closed, { code: 'unreachable' })
    const call = conn.root.add(1, 2).then(
      sum => sum,
      ({ code }) => code
    )
    t.match(await call, /^(unreachable|connection-lost|3)$/)
    await conn.close()
  }
})

t.test('a client of TLS is reset', async t => {
  const answers: Buffer[] = []
  const real = await listening(
    t,
    tls.createServer(KEYS, socket => socket.on('error', () => {}))
  )
  const probe = net.connect(portOf(real), '127.0.0.1')
  const client = tls.connect({ socket: probe, servername: 'localhost', ca: KEYS.cert })
  probe.on('data', data => answers.push(data))
  await once(client, 'secureConnect')
  client.destroy()
  const flight = Buffer.concat(answers)
  t.ok(flight.length > 500)
  let cutAt = 0
  const web = await listening(
    t,
    net.createServer(socket => {
      socket.on('error', () => {})
      socket.once('data', () =>
        socket.write(flight.subarray(0, cutAt), () => setImmediate(() => socket.resetAndDestroy()))
      )
    })
  )
  for (; cutAt < flight.length; cutAt += 5) {
    const conn = connect(`wss://localhost:${portOf(web)}`, { reconnect: false, ca: KEYS.cert })
    t.equal((await conn.closed).code, 'unreachable')
  }
})

t.test('a stream of bytes is reset', async t => {
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
  await until(() => ends.length > bytes.length && ends.every(({ destroyed }) => destroyed))
  t.ok(
    ends.every(socket => socket.listenerCount('error') > 0),
    'whatever comes late is heard'
  )
})

t.test('a socket that others take, too: they keep it, and who runs the server is told', async t => {
  const web = await listening(t, http.createServer())
  const others = new WebSocketServer({ server: web })
  others.on('connection', socket => socket.send('[0,[]]'))
  const errors: unknown[] = []
  await using server = await serve(sums, {
    server: web,
    onError: error => errors.push(error),
    limits: { helloMs: 50 }
  })
  const conn = connect(server.url, { reconnect: false })
  await until(() => errors.length === 1)
  t.match(errors, [{ message: /another `upgrade` listener of the server took a socket for \// }])
  t.equal(server.sessions.size, 0)
  await conn.close()
  others.close()
})

t.test('a worker that fails while a session is open', async t => {
  const worker = new Worker(
    `import { serve } from ${JSON.stringify(new URL('../lib/index.js', import.meta.url).href)}
import { parentPort } from 'node:worker_threads'
await serve({ fail: () => void setImmediate(() => { throw new Error('it failed') }) }, { endpoint: parentPort })`,
    { eval: true, env: CHILD_ENV }
  )
  const conn = connect<{ fail(): void }>(worker)
  await conn.root.fail().catch(() => {})
  t.match(await conn.closed, {
    code: 'connection-lost',
    message: /^the worker failed: it failed$/,
    cause: { message: 'it failed' }
  })
})
