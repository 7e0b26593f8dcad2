// Hostile clients of gRPC: whatever they send, their connection or their call ends, and nothing else happens.
//
// NETREF_FUZZ is the number of mutated connections, NETREF_FUZZ_SEED the seed.
import { type EventEmitter, once } from 'node:events'
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  constants,
  type OutgoingHttpHeaders
} from 'node:http2'
import { connect } from 'node:net'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { Server } from '../../../lib/index.js'
import { prototypes, unchanged } from '../../support/fixtures/fuzz-service.js'
import { Client, log, overGrpc } from '../../support/grpc.js'
import { waitUntil } from '../../support/helpers.js'

/** A connection takes as long as this many messages of other gateways. */
const PER_CONNECTION = 50
const COUNT = Math.ceil(Number(process.env.NETREF_FUZZ ?? 3000) / PER_CONNECTION)
const SEED = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)
t.setTimeout(120_000 + COUNT * 50)
t.comment(`NETREF_FUZZ=${COUNT * PER_CONNECTION} NETREF_FUZZ_SEED=${SEED}`)

const before = prototypes()
const faults: unknown[] = []
process.on('unhandledRejection', fault => faults.push(fault))
process.on('uncaughtException', fault => faults.push(fault))

/** Runs `use` with a server, then asserts that it still serves, and that nothing was reported. */
const attacked = (
  t: Test,
  use: (server: Server) => Promise<void>,
  options: Parameters<typeof overGrpc>[2] = {}
): Promise<void> =>
  overGrpc(
    t,
    async (client, server, errors) => {
      await client.unary('add', { x: 1, y: 2 })
      errors.length = 0
      await use(server)
      t.same(await client.unary('add', { x: 1, y: 2 }), { value: 3 }, 'it still serves')
      await waitUntil(() => server.sessions.size === 0)
      // A mutated request may name another host or origin.
      const others = errors.filter(error => !/in allowed(Hosts|Origins)/.test(String(error)))
      t.same(others, [], 'nothing is reported')
      t.same(faults, [])
    },
    options
  )

/** As `once(emitter, 'close')`, which rejects at an error. */
const closeOf = (emitter: EventEmitter): Promise<void> =>
  new Promise(resolve => emitter.once('close', resolve))

/** Sends bytes, and waits for the end of the connection. */
async function sendRaw(port: number, ...chunks: Uint8Array[]): Promise<void> {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  socket.resume()
  for (const chunk of chunks) socket.write(chunk)
  await closeOf(socket)
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const frame = (
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = new Uint8Array()
): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}
const SETTINGS = frame(4, 0, 0)

/** Runs `use` with a connection of HTTP/2. */
async function overHttp2(server: Server, use: (session: ClientHttp2Session) => Promise<void>): Promise<void> {
  const session = connectHttp2(`http://127.0.0.1:${server.port}`).on('error', () => {})
  await once(session, 'connect')
  await use(session)
  session.destroy()
}

/** Makes a request, and returns its headers and trailers. */
async function request(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Uint8Array
): Promise<Record<string, unknown>> {
  const stream = session.request({
    ':method': 'POST',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers
  })
  const got: Record<string, unknown> = {}
  stream
    .on('response', fields => Object.assign(got, fields))
    .on('trailers', fields => Object.assign(got, fields))
  stream.on('error', () => {})
  stream.resume()
  stream.end(body)
  await closeOf(stream)
  return got
}

const ADD = '/netref.spec.Library/add'
const messageOf = (payload: Uint8Array, flags = 0): Buffer => {
  const head = Buffer.alloc(5)
  head[0] = flags
  head.writeUInt32BE(payload.length, 1)
  return Buffer.concat([head, payload])
}

const SHORT = { limits: { helloMs: 100, pauseMs: 100 } }

t.test('bytes that are not HTTP/2 end the connection', t =>
  attacked(
    t,
    async ({ port }) => {
      await sendRaw(port, PREFACE, Buffer.alloc(100, 0xff))
      await sendRaw(port, PREFACE, SETTINGS, frame(4, 1, 0, new Uint8Array(5)))
      await sendRaw(port, PREFACE, SETTINGS, frame(1, 5, 1, Buffer.alloc(50, 0xff)))
      await sendRaw(port, PREFACE, SETTINGS, frame(0, 1, 7, Buffer.alloc(10)))
      await sendRaw(port, PREFACE, SETTINGS, frame(6, 0, 0, Buffer.alloc(7)))
      await sendRaw(port, PREFACE.subarray(0, 10), Buffer.from('GET / HTTP/1.1'))
    },
    SHORT
  )
)

t.test('a preface that does not go on ends the connection', t =>
  attacked(
    t,
    async ({ port }) => {
      await sendRaw(port, PREFACE.subarray(0, 10))
    },
    SHORT
  )
)

t.test('requests that are not of gRPC', t =>
  attacked(t, server =>
    overHttp2(server, async session => {
      t.match(await request(session, { ':path': ADD, 'content-type': 'text/plain' }), { ':status': 415 })
      t.match(await request(session, { ':path': ADD, ':method': 'GET' }), { 'grpc-status': '12' })
      t.match(await request(session, { ':path': '/no' }), { 'grpc-status': '12' })
      t.match(await request(session, { ':path': '/netref.spec.Library/secret' }), { 'grpc-status': '12' })
      t.match(await request(session, { ':path': '/netref.spec.Library/__proto__' }), { 'grpc-status': '12' })
      t.match(await request(session, { ':path': ADD }), {
        'grpc-status': '12',
        'grpc-message': encodeURI(`${ADD} takes one message, not none`)
      })
      t.match(await request(session, { ':path': ADD }, Buffer.alloc(10)), { 'grpc-status': '12' })
      t.match(await request(session, { ':path': ADD, 'grpc-timeout': 'soon' }, messageOf(Buffer.alloc(0))), {
        'grpc-status': '13'
      })
      t.match(
        await request(session, { ':path': ADD, 'grpc-timeout': '99999999H' }, messageOf(Buffer.alloc(0))),
        {
          'grpc-status': /^(0|4)$/
        }
      )
    })
  )
)

t.test('messages that are broken', t =>
  attacked(t, server =>
    overHttp2(server, async session => {
      const add = (body: Uint8Array, headers: OutgoingHttpHeaders = {}) =>
        request(session, { ':path': ADD, ...headers }, body)
      t.match(await add(messageOf(Buffer.from([0x0f]))), { 'grpc-status': '13' })
      t.match(await add(messageOf(Buffer.from([9, 1]))), { 'grpc-status': '13' })
      t.match(await add(messageOf(Buffer.alloc(0), 1), { 'grpc-encoding': 'gzip' }), {
        'grpc-status': /^(12|13)$/
      })
      t.match(await add(messageOf(Buffer.alloc(5), 1), { 'grpc-encoding': 'zip' }), { 'grpc-status': '12' })
      const long = Buffer.from([0, 255, 255, 255, 255])
      t.match(await add(long), { 'grpc-status': '8' })
      const stream = await request(
        session,
        { ':path': '/netref.spec.Library/total' },
        Buffer.concat([
          messageOf(Buffer.from([9, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f])),
          messageOf(Buffer.from([0x0f]))
        ])
      )
      t.match(stream, { 'grpc-status': '13' })
      t.ok(
        log.events.includes('total: MalformedMessageError') ||
          log.events.some(event => event.startsWith('total: '))
      )
    })
  )
)

t.test('streams that are opened and reset', t =>
  attacked(t, server =>
    overHttp2(server, async session => {
      for (let i = 0; i < 500 && !session.destroyed; i++) {
        const stream = session.request({
          ':method': 'POST',
          ':path': '/netref.spec.Library/wait',
          'content-type': 'application/grpc'
        })
        stream.on('error', () => {})
        stream.write(messageOf(Buffer.alloc(0)))
        stream.close(constants.NGHTTP2_CANCEL)
        if (i % 50 === 0) await new Promise(setImmediate)
      }
      await waitUntil(() => server.sessions.size === 0)
    })
  )
)

t.test('more streams than are allowed wait, and pings hurt nobody', t =>
  attacked(t, server =>
    overHttp2(server, async session => {
      await once(session, 'remoteSettings')
      const streams = Array.from({ length: 1100 }, () => {
        const stream = session.request({
          ':method': 'POST',
          ':path': '/netref.spec.Library/total',
          'content-type': 'application/grpc'
        })
        return stream.on('error', () => {})
      })
      await waitUntil(() => server.sessions.size === 1000)
      for (let i = 0; i < 2000 && !session.destroyed; i++) {
        session.ping(() => {})
        if (i % 9 === 0) await new Promise(setImmediate)
      }
      t.ok(server.sessions.size <= 1000)
      for (const stream of streams) stream.destroy()
    })
  )
)

t.test('pings without an end', t =>
  attacked(t, async ({ port }) => {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    const closed = closeOf(socket)
    socket.write(Buffer.concat([PREFACE, SETTINGS]))
    const ping = frame(6, 0, 0, Buffer.alloc(8))
    // The answers are not read.
    socket.pause()
    for (let i = 0; i < 200 && !socket.destroyed; i++) {
      socket.write(Buffer.concat(Array(1000).fill(ping)))
      await new Promise(setImmediate)
    }
    socket.destroy()
    await closed
  })
)

t.test('headers of an odd form reach `authenticate` as they are, or not at all', t =>
  attacked(t, server =>
    overHttp2(server, async session => {
      const body = messageOf(Buffer.alloc(0))
      t.match(await request(session, { ':path': ADD, 'x-bin': '%%%' }, body), { 'grpc-status': '0' })
      t.match(await request(session, { ':path': ADD, constructor: 'x', __proto__x: 'y' }, body), {
        'grpc-status': '0'
      })
      t.match(await request(session, { ':path': ADD, traceparent: 'x'.repeat(1000) }, body), {
        'grpc-status': '0'
      })
      const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`x-${i}`, 'y']))
      await request(session, { ':path': ADD, ...many }, body)
    })
  )
)

t.test('a client that stays, and reads none of its replies, is cut', t =>
  attacked(
    t,
    async ({ port }) => {
      const session = connectHttp2(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 0 } })
      const closed = closeOf(session.on('error', () => {}))
      await once(session, 'remoteSettings')
      const data = Buffer.concat([Buffer.from([0x7a, 0x80, 0x80, 0x04]), Buffer.alloc(1 << 16)])
      for (let i = 0; i < 4; i++)
        session
          .request({
            ':method': 'POST',
            ':path': '/netref.spec.Library/echo',
            'content-type': 'application/grpc'
          })
          .on('error', () => {})
          .end(messageOf(data))
      await closed
    },
    { limits: { helloMs: 100, pauseMs: 100, bufferedBytes: 1 << 16 } }
  )
)

t.test('a client that stops within a message, or before it, loses its call', t =>
  attacked(
    t,
    server =>
      overHttp2(server, async session => {
        const statuses: unknown[] = []
        for (const bytes of [Buffer.alloc(0), Buffer.from([0, 0, 1, 0, 0, 1, 2, 3])]) {
          const stream = session.request({
            ':method': 'POST',
            ':path': ADD,
            'content-type': 'application/grpc'
          })
          stream.on('error', () => {})
          if (bytes.length > 0) stream.write(bytes)
          const [headers] = await once(stream, 'response')
          statuses.push(headers['grpc-status'], decodeURI(headers['grpc-message']))
        }
        t.same(statuses, Array(2).fill(['4', 'the message took longer than 300 ms (limits.pauseMs)']).flat())
      }),
    { limits: { pauseMs: 300 } }
  )
)

/** What a client of grpc-js sends for two calls. */
async function recorded(server: Server): Promise<Buffer> {
  const { createServer } = await import('node:net')
  const chunks: Buffer[] = []
  const proxy = createServer(socket => {
    const upstream = connect(server.port, '127.0.0.1')
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      upstream.write(chunk)
    })
    upstream.pipe(socket)
    for (const one of [socket, upstream]) one.on('error', () => {})
    socket.on('close', () => upstream.destroy())
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const client = new Client(`127.0.0.1:${(proxy.address() as { port: number }).port}`)
  await client.unary('add', { x: 1, y: 2 })
  await client.unary('echo', { list: [1, 2, 3], map: { a: { string: 'x' } } })
  client.close()
  proxy.close()
  return Buffer.concat(chunks)
}

t.test('connections that are mutated', t =>
  attacked(
    t,
    async server => {
      const bytes = await recorded(server)
      await fc.assert(
        fc.asyncProperty(
          fc.nat(bytes.length),
          fc.uint8Array({ minLength: 1, maxLength: 20 }),
          fc.boolean(),
          async (at, mutation, replaces) => {
            const rest = bytes.subarray(replaces ? at + mutation.length : at)
            const socket = connect(server.port, '127.0.0.1').on('error', () => {})
            const closed = closeOf(socket)
            socket.resume()
            socket.end(Buffer.concat([bytes.subarray(0, at), mutation, rest]))
            await closed
          }
        ),
        { numRuns: COUNT, seed: SEED }
      )
    },
    SHORT
  )
)

t.test('nothing is left unhandled, and no prototype has changed', async t => {
  t.same(faults, [])
  t.ok(unchanged(before))
})
