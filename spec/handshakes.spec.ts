// Resets at every byte of a server's handshakes: the process lives, whatever the socket is at.
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { type ServeOptions, serve } from '../lib/index.js'
import { until } from './helpers.js'
import { headOf, hello, TEXT, upgradeRequest } from './raw-peer.js'

const sums = { add: (a: number, b: number) => a + b }

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

t.test(
  'a socket at a path that nobody serves has an error listener, also where another handler takes it',
  async t => {
    const web = http.createServer()
    web.listen(0, '127.0.0.1')
    await once(web, 'listening')
    const server = await serve(sums, { server: web, path: '/rpc' })
    const taken = once(web, 'upgrade')
    await resetAfter((web.address() as AddressInfo).port, opening('/nope'))
    const [, socket] = (await taken) as [unknown, Socket]
    t.ok(socket.listenerCount('error') > 0)
    socket.destroy(new Error('it broke'))
    await server.close()
    web.close()
  }
)
