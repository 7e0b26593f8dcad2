// Tests clients before their hello: few bytes are read, time is limited, and others are served meanwhile.
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { connect, type Reason, serve, type UpgradeRequest } from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { HelloBudget } from '../../lib/server/hello-budget.js'
import { PreHelloTransport } from '../../lib/server/pre-hello-transport.js'
import { MemoryTransport } from '../../lib/transport/memory.js'
import { assertClean, waitUntil } from '../support/helpers.js'
import { BINARY, headOf, hello, PING, RawPeer, TEXT, webSocketFrame } from '../support/raw-peer.js'

const service = { size: (bytes: Uint8Array) => bytes.length }
type Sizes = typeof service
const MIB = 1 << 20
/** Bytes that Node reads at once, and once more before it pauses. */
const AHEAD = 256 << 10

const socketOf = (request: UpgradeRequest) => (request.message as IncomingMessage).socket as Socket

/** Sends as much as possible of an incomplete frame. */
async function pour(peer: RawPeer, bytes: number): Promise<void> {
  peer.write(headOf(BINARY, bytes + 1))
  for (let left = bytes; left > 0 && !peer.isClosed; left -= MIB) {
    peer.write(Buffer.alloc(Math.min(left, MIB)))
  }
}

const kinds: Record<string, (peer: RawPeer) => void> = {
  'a frame that is not complete': peer => void pour(peer, 16 * MIB),
  fragments: peer => {
    for (let i = 0; i < 16_000; i++) peer.write(webSocketFrame(i ? 0 : TEXT, Buffer.alloc(1000), false))
  },
  pings: peer => {
    for (let i = 0; i < 100_000; i++) peer.webSocket(PING, Buffer.alloc(100))
  },
  'frames after the token': peer => {
    peer.text('{"token":"x"}')
    for (let i = 0; i < 16_000; i++) peer.text(`[0,["${'x'.repeat(1000)}"]]`)
  }
}
for (const [kind, send] of Object.entries(kinds)) {
  t.test(`few bytes are read before authentication: ${kind}`, async t => {
    let socket: Socket | undefined
    let decide = (_identity: boolean) => {}
    const authenticate = async (request: UpgradeRequest) => {
      socket = socketOf(request)
      await request.token()
      return new Promise<boolean>(resolve => {
        decide = resolve
      })
    }
    await using server = await serve(service, { port: 0, authenticate })
    const peer = await RawPeer.open(server.url, { sendsHello: false })
    t.equal(server.metrics.arriving, 1)
    send(peer)
    await waitUntil(() => socket!.bytesRead > 8 << 10 && socket!.isPaused())
    await new Promise(resolve => setTimeout(resolve, 20))
    t.ok(socket!.bytesRead < AHEAD, `${socket!.bytesRead}`)
    decide(false)
    await peer.end()
    await waitUntil(() => server.metrics.arriving === 0)
  })
}

t.test('a first call may be large, with a token and slow authentication', async t => {
  const authenticate = async (request: UpgradeRequest) => {
    const token = await request.token()
    await new Promise(resolve => setTimeout(resolve, 20))
    return token
  }
  await using server = await serve(service, { port: 0, authenticate })
  await using conn = connect<Sizes>(server.url, { token: 'ada' })
  t.equal(await conn.root.size(new Uint8Array(12 * MIB)), 12 * MIB)
  await assertClean(t, conn.session, ...server.sessions)
})

t.test('a token has at most 8 000 bytes', async t => {
  const authenticate = (request: UpgradeRequest) => request.token()
  await using server = await serve(service, { port: 0, authenticate })
  const conn = connect(server.url, { token: 'é'.repeat(4000) })
  t.match(await conn.closed, {
    code: 'unreachable',
    message: /the token has 8012 bytes, and at most 8000 are allowed/
  })
  await using long = connect(server.url, { token: 'x'.repeat(7980) })
  await long.ping()
  const peer = await RawPeer.open(server.url, { sendsHello: false })
  peer.text(`{"token":"${'x'.repeat(100_000)}"}`)
  t.match(await peer.closed, { code: 3000, reason: /unauthorized/ })
})

const idlers: Record<string, (peer: RawPeer) => unknown> = {
  pings: peer => peer.webSocket(PING, ''),
  fragments: peer => peer.write(webSocketFrame(peer.framesSent++ ? 0 : TEXT, '[', false)),
  'single bytes': peer => peer.write(peer.framesSent++ ? '0' : headOf(TEXT, 100_000))
}
for (const [kind, send] of Object.entries(idlers)) {
  t.test(`the hello must arrive within helloMs: ${kind}`, async t => {
    await using server = await serve(service, { port: 0, limits: { helloMs: 100 } })
    const peer = await RawPeer.open(server.url, { sendsHello: false })
    const timer = setInterval(() => send(peer), 5)
    t.match(await peer.closed, { code: 1009, reason: /no hello was received within 100 ms/ })
    clearInterval(timer)
    t.equal(server.metrics.arriving, 0)
  })
}

for (const head of ['', 'GET / HTTP/1.1\r\nHost: a\r\n']) {
  t.test(`the request head must arrive within helloMs: ${head.length} characters came`, async t => {
    await using server = await serve(service, { port: 0, limits: { helloMs: 100 } })
    const peer = await RawPeer.dial(server.url)
    peer.write(head)
    await peer.closed
    t.match(peer.httpHead, /^HTTP\/1.1 408 /)
  })
}

t.test('a first frame without a hello is rejected', async t => {
  await using server = await serve(service, { port: 0 })
  for (const frame of ['[0]', '[0,1]', '[0,[]]']) {
    const peer = await RawPeer.open(server.url, { sendsHello: false })
    peer.text(frame)
    t.match(await peer.closed, { code: 1002, reason: /no hello/ })
  }
  t.equal(server.sessions.size, 0)
})

t.test('an authenticated client has helloMs from the opening of its socket', async t => {
  const authenticate = async (request: UpgradeRequest) => {
    await request.token()
    await new Promise(resolve => setTimeout(resolve, 150))
    return true
  }
  await using server = await serve(service, { port: 0, authenticate, limits: { helloMs: 200 } })
  const peer = await RawPeer.open(server.url, { sendsHello: false })
  const began = performance.now()
  peer.text('{"token":"x"}')
  t.match(await peer.closed, { code: 1009 })
  t.ok(performance.now() - began < 340)
})

t.test('all clients before their hello share one budget, and others are served', async t => {
  const peak = { bytes: 0 }
  const sockets = new Set<Socket>()
  const authenticate = (request: UpgradeRequest) => {
    sockets.add(socketOf(request))
    return true
  }
  await using server = await serve(service, { port: 0, authenticate, limits: { helloBytes: 2 * MIB } })
  const peers = await Promise.all(
    Array.from({ length: 20 }, () => RawPeer.open(server.url, { sendsHello: false }))
  )
  await Promise.all(peers.map(peer => pour(peer, 8 * MIB)))
  await waitUntil(() => {
    peak.bytes = [...sockets].reduce((sum, socket) => sum + (socket.destroyed ? 0 : socket.bytesRead), 0)
    return peak.bytes > 8 * MIB
  })
  t.ok(peak.bytes < (8 + 2) * MIB + 20 * AHEAD, `${peak.bytes}`)
  await using conn = connect<Sizes>(server.url)
  t.equal(await conn.root.size(new Uint8Array(1000)), 1000)
  await Promise.all(peers.map(peer => peer.end()))
  await waitUntil(() => server.metrics.arriving === 0)
  await assertClean(t, conn.session)
})

t.test('large first calls beyond the budget take turns', async t => {
  await using server = await serve(service, { port: 0, limits: { helloBytes: MIB } })
  const peers = await Promise.all(
    Array.from({ length: 6 }, () => RawPeer.open(server.url, { sendsHello: false }))
  )
  const call = [Op.call, 1, 0, ['size'], ['x'.repeat(3 * MIB)]]
  for (const peer of peers) peer.send([hello(), call])
  const replies = await Promise.all(peers.map(peer => peer.reply(1)))
  t.same(replies, Array(6).fill([Op.result, 1, 3 * MIB]))
  await Promise.all(peers.map(peer => peer.end()))
})

t.test('a client that exceeds twice the budget is disconnected, and small ones are not', async t => {
  await using server = await serve(service, { port: 0, limits: { helloBytes: 1 } })
  const first = await RawPeer.open(server.url, { sendsHello: false })
  await pour(first, MIB)
  await waitUntil(() => first.socket.bytesWritten > MIB)
  const peer = await RawPeer.open(server.url, { sendsHello: false })
  void pour(peer, MIB)
  t.equal((await peer.closed).code, 1006)
  t.notOk(first.isClosed)
  await first.end()
  const small = await RawPeer.open(server.url, { sendsHello: false })
  small.send([hello()])
  await small.ping()
  await small.end()
})

t.test('a client that disconnects in the turn of its acceptance is removed', async t => {
  const [near] = MemoryTransport.pair()
  const socket = Object.assign(near, { onRawData: () => () => {}, terminate() {} })
  const arriving = new PreHelloTransport(socket, new HelloBudget(MIB), MIB)
  const events: Reason[] = []
  arriving.start({ onOpen() {}, onFrame() {}, onClose: reason => events.push(reason) })
  const reason: Reason = { code: 'connection-lost', message: 'it has gone' }
  arriving.onClose(reason)
  t.same(events, [])
  await turn()
  t.same(events, [reason])
})

t.test('endless pings do not replace a hello', async t => {
  const limits = { jsonBytes: 16_384, frameBytes: 16_384 }
  await using server = await serve(service, { port: 0, limits })
  const peer = await RawPeer.open(server.url, { sendsHello: false })
  for (let i = 0; i < 2000; i++) peer.webSocket(PING, Buffer.alloc(100))
  t.equal((await peer.closed).code, 1006)
})
