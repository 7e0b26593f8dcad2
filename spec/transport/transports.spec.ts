// A suite that every transport passes, then the particulars of single transports.

import { createHook } from 'node:async_hooks'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import timers from 'node:timers'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type MessagePort, Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { type Connection, connectOverEndpoint } from '../../lib/client/connect.js'
import { type ConnectOptions, connect, Netref, pair, type Reason, serve } from '../../lib/index.js'
import { DEFAULT_LIMITS, maxPayloadBytes } from '../../lib/protocol/limits.js'
import { formatHello, formatOperation, Op } from '../../lib/protocol/messages.js'
import { BusyPoll } from '../../lib/transport/busy-poll.js'
import { DuplexTransport } from '../../lib/transport/duplex.js'
import { TokenSender } from '../../lib/transport/token.js'
import { type BrowserWebSocket, BrowserWebSocketTransport } from '../../lib/transport/websocket.browser.js'
import { WebSocketTransport } from '../../lib/transport/websocket.js'
import { formatWebSocketFrame, maskingFor } from '../../lib/transport/websocket-frame.js'
import { assertClean, CHILD_ENV, implOf, rejectionOf, waitUntil } from '../support/helpers.js'
import { startWorker } from '../support/start-worker.js'
import {
  Echo,
  type Joined,
  joined,
  type OpenSession,
  type Options,
  transportSuite
} from '../support/transport-suite.js'

declare const gc: () => void

/** Opens a session over the transport of that name. */
const transports: Record<string, OpenSession> = {
  memory: async (_t, { client = {}, server: serving = {} } = {}) => {
    const conn = pair(Echo, { ...client, serving })
    const { served, transports } = conn
    await conn.ping()
    return {
      conn,
      served,
      sever: () => transports[0].close({ code: 'connection-lost', message: 'it broke' }),
      async close() {
        implOf(served).end({ code: 'server-closed', message: 'the server is going away' })
        await served.closed
      }
    }
  },

  WebSocket: (t, options) => overSockets(t, options, (url, client) => connect(url, client)),

  // `ws` implements the interface of a browser's WebSocket, too.
  'the WebSocket of a page': (t, options) =>
    overSockets(t, options, (url, client) => {
      return connectOverEndpoint(
        ({ limits }) => new BrowserWebSocketTransport(pageSocket(url), url, maxPayloadBytes(limits)),
        client
      )
    }),

  MessagePort: async (t, { client = {}, server: serving = {} } = {}) => {
    const { port1, port2 } = new MessageChannel()
    const offered = offer(port2)
    const server = await serve(Echo, { ...serving, endpoint: port2 })
    const conn = connect<Echo>(port1, client)
    const port = await offered
    t.teardown(() => port1.close())
    return joined(conn, server, () => port.close())
  },

  'a Unix socket': async (t, { client = {}, server: serving = {} } = {}) => {
    const dir = await mkdtemp(join(tmpdir(), 'netref-')) // The name of a socket may not be long.
    const path = join(dir, 'socket')
    const listener = net.createServer().listen(path)
    t.teardown(() => {
      listener.close()
      return rm(dir, { recursive: true })
    })
    const accepted = once(listener, 'connection')
    const conn = connect<Echo>(net.connect(path), client)
    const [socket] = (await accepted) as [net.Socket]
    return joined(conn, await serve(Echo, { ...serving, endpoint: socket }), () => socket.destroy())
  },

  'a readable and a writable': async (_t, { client = {}, server: serving = {} } = {}) => {
    const [up, down] = [new PassThrough(), new PassThrough()]
    const server = await serve(Echo, { ...serving, endpoint: { readable: up, writable: down } })
    const conn = connect<Echo>({ readable: down, writable: up }, client)
    return joined(conn, server, () => {
      up.destroy()
      down.destroy()
    })
  },

  'streams of the web': async (_t, { client = {}, server: serving = {} } = {}) => {
    const severed = new AbortController()
    const [up, down] = [new TransformStream(), new TransformStream()]
    const [there, back] = [new TransformStream(), new TransformStream()]
    for (const [from, to] of [
      [up, there],
      [back, down]
    ] as const) {
      from.readable.pipeTo(to.writable, severed).catch(() => {})
    }
    const server = await serve(Echo, {
      ...serving,
      endpoint: { readable: there.readable, writable: back.writable }
    })
    const conn = connect<Echo>({ readable: down.readable, writable: up.writable }, client)
    return joined(conn, server, () => severed.abort())
  }
}

/** A browser ignores an `error` event without a listener. */
const pageSocket = (url: string) => new WebSocket(url).on('error', () => {}) as unknown as BrowserWebSocket

/** The port that the client offers. */
const offer = (endpoint: MessagePort) =>
  new Promise<MessagePort>(resolve => {
    endpoint.on('message', ({ port }) => {
      if (port) resolve(port)
    })
  })

async function overSockets(
  t: Test,
  { client = {}, server: serving = {} }: Options = {},
  open: (url: string, client: ConnectOptions) => Connection<Echo>
): Promise<Joined> {
  const web = createServer().listen(0, '127.0.0.1')
  await once(web, 'listening')
  t.teardown(() => web.close())
  const accepted = once(web, 'connection')
  const server = await serve(Echo, { ...serving, server: web, resumeWindow: 0 })
  const conn = open(server.url, client)
  const [socket] = (await accepted) as [net.Socket]
  return joined(conn, server, () => socket.destroy())
}

transportSuite(t, transports)

const program = (name: string) => fileURLToPath(new URL(`../support/fixtures/${name}.ts`, import.meta.url))

interface Sums {
  add(a: number, b: number): number
  sum(bytes: Uint8Array): number
  never(): Promise<never>
  exit(): void
  fail(): void
}

t.test('a child process: a service in two lines, and its end', async t => {
  const child = spawn(process.execPath, ['--import', 'tsx', program('stdio')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: CHILD_ENV
  })
  const conn = connect<Sums>({ readable: child.stdout, writable: child.stdin })
  t.equal(await conn.root.add(1, 2), 3)
  const exited = once(child, 'exit')
  await conn.close()
  t.same(await exited, [0, null], 'nothing keeps the child once its session has ended')

  const other = spawn(process.execPath, ['--import', 'tsx', program('stdio')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: CHILD_ENV
  })
  const lost = connect<Sums>({ readable: other.stdout, writable: other.stdin })
  t.match(await rejectionOf(lost.root.exit()), { code: 'connection-lost' })
})

t.test('a thread: two sessions, beside other messages', async t => {
  const worker = await startWorker(t)
  await using first = connect<Sums>(worker)
  await using second = connect<Sums>(worker)
  worker.postMessage('something of the owner')
  worker.postMessage({ netref: 'nothing that netref says' })
  t.equal(await first.root.add(1, 2), 3)
  t.equal(await second.root.sum(new Uint8Array([1, 2, 3])), 6)
  t.equal(worker.listenerCount('message'), 0, 'nothing is left on the worker')
  await first.close()
  t.equal(await second.root.add(3, 4), 7)
  const cutOff = second.root.exit()
  t.match(await rejectionOf(cutOff), {
    code: 'connection-lost',
    message: /the other end of the port is gone/
  })
})

t.test('a thread that is terminated during a call', async t => {
  const worker = await startWorker(t)
  const conn = connect<Sums>(worker)
  await conn.root.add(1, 2)
  const pending = rejectionOf(conn.root.never())
  await worker.terminate()
  t.match(await pending, { code: 'connection-lost', message: /the other end of the port is gone/ })
  t.match(await conn.closed, { code: 'connection-lost' })
  const { exports, imports, pending: calls } = conn.stats
  t.same({ exports, imports, calls }, { exports: 0, imports: 0, calls: 0 })
})

t.test('a thread that fails ends its sessions, but not the process', async t => {
  const conn = connect<Sums>(await startWorker(t))
  await Promise.resolve(conn.root.fail()).catch(() => {})
  const message = 'the worker failed: it failed'
  t.match(await conn.closed, { code: 'connection-lost', message, cause: { message: 'it failed' } })
  const endpoint = await startWorker(t, 'fail')
  const told = new Promise(onError => void serve({}, { endpoint, onError }))
  t.match(await told, { message: 'it did not begin' })
})

t.test('a failed task of a page’s worker does not end its session', async t => {
  const { port1, port2 } = new MessageChannel()
  await using server = await serve({ add: (a: number, b: number) => a + b }, { endpoint: port2 })
  await using conn = connect<Sums>(port1)
  t.equal(await conn.root.add(1, 2), 3)
  port1.dispatchEvent(new Event('error'))
  t.equal(await conn.root.add(3, 4), 7)
  t.equal(server.sessions.size, 1)
})

t.test('a thread that does not start, that ends, or that serves nothing', async t => {
  t.match(await connect(await startWorker(t, 'fail')).closed, {
    code: 'unreachable',
    message: /^cannot reach the other end of the port: the worker failed: ./,
    cause: { message: 'it did not begin' }
  })
  const ending = new Worker('', { eval: true })
  t.match(await connect(ending).closed, { message: /the worker has ended$/ })
  const pair = new MessageChannel()
  const closing = connect(pair.port1)
  pair.port2.close()
  t.match(await closing.closed, { code: 'unreachable', message: /of the port: it is closed$/ })
  const { port1, port2 } = new MessageChannel()
  const conn = connect(port1, { handshakeTimeout: 1 })
  t.match(await rejectionOf((conn.root as Netref<Sums>).add(1, 2)), {
    code: 'unreachable',
    message: /: cannot reach the other end of the port: no server answered within 1 ms$/
  })
  await conn.close()
  const early = connect(port1)
  await early.close()
  t.match(await early.closed, { code: 'closed' })
  port2.close()
})

t.test(
  'a server at a port may start after its client, and continues after the client disconnects',
  async t => {
    const { port1, port2 } = new MessageChannel()
    port2.on('message', () => {}) // Another listener takes the first offer.
    const conn = connect<Sums>(port1)
    port1.postMessage({ netref: 'serving' }) // The server ignores that something else serves there, too.
    const three = conn.root.add(1, 2)
    await turn()
    const server = await serve({ add: (a: number, b: number) => a + b }, { endpoint: port2 })
    t.throws(() => server.url, { code: 'not-listening' })
    t.throws(() => server.port, { code: 'not-listening' })
    t.equal(await three, 3)
    await conn.close()
    await using again = connect<Sums>(port1)
    t.equal(await again.root.add(3, 4), 7)
    await server.close()
    t.match(await again.closed, { code: 'server-closed' })
    port1.close()
  }
)

t.test('`self` in a SharedWorker accepts a port of each page', async t => {
  const self = Object.assign(new EventTarget(), { onconnect: null })
  const server = await serve(
    { add: (a: number, b: number) => a + b },
    { endpoint: self, limits: { sessions: 1 } }
  )
  const pages = [new MessageChannel(), new MessageChannel()]
  for (const { port2 } of pages) self.dispatchEvent(Object.assign(new Event('connect'), { ports: [port2] }))
  const [first, second] = pages.map(({ port1 }) => connect<Sums>(port1))
  t.equal(await first!.root.add(1, 2), 3)
  t.match(await second!.closed, {
    code: 'unavailable',
    message: /the server has reached its limit of 1 sessions$/
  })
  t.equal(server.sessions.size, 1)
  await first!.close()
  await server.close()
  for (const { port1 } of pages) port1.close()
})

t.test('a port that delivers an invalid message', async t => {
  const shared = new Uint8Array(new SharedArrayBuffer(16))
  for (const [message, code] of [
    [{}, 'protocol'],
    [{ alive: 'once more' }, 'protocol'],
    [-1, 'protocol'],
    [1e9, 'protocol'],
    [shared, 'protocol'],
    [['[0,[],[]]', shared], 'protocol'],
    [['[0,[]]'], 'protocol'],
    [['[0,[],[]]', new Uint8Array(8)], 'protocol'],
    [['[0,[1],[[0,9]]]', new Uint8Array(8)], 'protocol'],
    [['[0,[1],[[0,8,0]]]', new Uint8Array(8)], 'protocol'],
    [{ end: 'farewell' }, 'protocol'],
    [{ end: 'limit: too much' }, 'limit'],
    ['x'.repeat(30 << 20), 'limit']
  ] as const) {
    const { port1, port2 } = new MessageChannel()
    const conn = connect(port1)
    const offered = offer(port2)
    port2.postMessage({ netref: 'serving' })
    const port = await offered
    port.postMessage(null)
    port.postMessage({ alive: 'as far as a page can tell' })
    port.postMessage(message)
    t.match(await conn.closed, { code })
    port1.close()
  }
})

t.test('transferred buffers move through a port: there is one copy', async t => {
  const { port1, port2 } = new MessageChannel()
  const limits = { frameBytes: 128 << 20 }
  const held: Uint8Array[] = []
  const server = await serve({ hold: (bytes: Uint8Array) => held.push(bytes) }, { endpoint: port2, limits })
  const conn = connect<{ hold(bytes: Uint8Array): number }>(port1, { limits })
  // Frees what earlier tests left before memory is measured.
  for (let i = 0; i < 5; i++) {
    gc()
    await conn.ping()
  }
  const size = 64 << 20
  const bytes = new Uint8Array(size)
  const { arrayBuffers } = process.memoryUsage()
  await conn.root.hold(Netref.transfer(bytes))
  const more = process.memoryUsage().arrayBuffers - arrayBuffers
  t.ok(more < size / 2, `${more} bytes more`)
  t.equal(held[0]!.length, size)
  await conn.close()
  await server.close()
  port1.close()
})

t.test('a port lets only a client that reads send more; one that sends more is disconnected', async t => {
  const { port1, port2 } = new MessageChannel()
  const limits = { bufferedBytes: 1, jsonBytes: 65_536, frameBytes: 65_536 }
  const server = await serve(Echo, { endpoint: port2, limits })
  const { port1: ours, port2: theirs } = new MessageChannel()
  let replies = 0
  ours.on('message', message => {
    if (typeof message === 'string') replies += message.length
  })
  port1.postMessage({ netref: 'connect', port: theirs }, [theirs])
  const ended = new Promise<Reason>(resolve => server.on('session', session => session.on('closed', resolve)))
  ours.postMessage(`[0,[${formatHello(DEFAULT_LIMITS)}]]`)
  // It sends calls, and never reports a reply as consumed.
  const text = JSON.stringify('x'.repeat(60_000))
  const asking = setInterval(() => {
    for (let i = 0; i < 10; i++)
      ours.postMessage(`[0,[${formatOperation(Op.call, ++calls, 0, 'echo', `[${text}]`)}]]`)
  })
  let calls = 0
  t.match(await ended, {
    code: 'limit',
    message: 'the other end of the port sent more than may be unconsumed'
  })
  clearInterval(asking)
  t.ok(replies < 1.2 * 2 ** 20, `${replies} characters of replies were sent`)
  await server.close()
  ours.close()
  port1.close()
})

t.test('a stream may deliver frames in any parts', async t => {
  const [up, there, down] = [new PassThrough(), new PassThrough(), new PassThrough()]
  up.on('data', (chunk: Buffer) => {
    for (const byte of chunk) there.write(Buffer.of(byte))
  })
  const server = await serve(Echo, { endpoint: { readable: there, writable: down } })
  await using conn = connect<Echo>({ readable: down, writable: up })
  const value = { text: 'ü€𝄞'.repeat(100), bytes: new Uint8Array(1000).fill(7) }
  t.same(await conn.root.echo(value), value)
  await conn.close()
  await server.close()
})

t.test('a stream that delivers an invalid frame', async t => {
  const frame = (length: number, kind: number, body: Uint8Array = new Uint8Array()) => {
    const header = Buffer.alloc(5)
    header.writeUInt32BE(length)
    header[4] = kind
    return Buffer.concat([header, body])
  }
  for (const [bytes, code] of [
    [frame(1, 3), 'protocol'],
    [frame(100 << 20, 1), 'limit'],
    [frame(1, 0, new Uint8Array([0xff])), 'protocol'],
    [frame(0, 2), 'protocol'],
    [frame(0, 0), 'protocol'],
    [frame(11, 2, Buffer.from('limit: much')), 'limit']
  ] as const) {
    const [up, down] = [new PassThrough(), new PassThrough()]
    const conn = connect({ readable: down, writable: up })
    down.write(bytes)
    t.match(await conn.closed, { code })
  }
  const [up, down] = [new PassThrough(), new PassThrough()]
  const conn = connect<Echo>({ readable: down, writable: up })
  await turn()
  down.destroy(new Error('it broke'))
  t.match(await conn.closed, {
    code: 'connection-lost',
    message: /: it broke$/,
    cause: { message: 'it broke' }
  })
})

t.test('a stream whose other end does not end is destroyed', async t => {
  const [up, down] = [new PassThrough(), new PassThrough()]
  const conn = connect({ readable: down, writable: up })
  await turn()
  await conn.close()
  t.match(await conn.closed, { code: 'closed' })
  t.ok(up.destroyed && down.destroyed)
})

t.test('a stream that never opens, one that is closed before, and one that gives text', async t => {
  const conn = connect(net.connect('/nowhere/at/all'))
  t.match(await conn.closed, { code: 'unreachable', message: /ENOENT/, cause: { code: 'ENOENT' } })
  const early = connect(net.connect(1, '127.0.0.1'))
  await early.close()
  t.match(await early.closed, { code: 'closed' })
  const text = new PassThrough({ encoding: 'utf8' })
  t.throws(() => connect(text), /the stream has an encoding/)
})

t.test('a stream that is destroyed before it starts', async t => {
  const destroyed = new PassThrough().destroy()
  const over = new PassThrough().end()
  over.resume()
  await once(over, 'end')
  for (const endpoint of [destroyed, over, { readable: new PassThrough(), writable: destroyed }]) {
    const conn = connect(endpoint)
    t.match(await rejectionOf((conn.root as Netref<{ add(a: number, b: number): number }>).add(1, 2)), {
      code: 'unreachable'
    })
    await conn.close()
    await assertClean(t, conn.session)
  }
})

t.test('values that are not endpoints', async t => {
  for (const nothing of [{}, null, 1, () => {}]) {
    t.throws(() => connect(nothing as never), TypeError)
    t.match(await rejectionOf(serve(Echo, { endpoint: nothing as never })), {
      name: 'TypeError',
      message: /is not an endpoint: pass a Worker, a MessagePort/
    })
  }
  const window = { postMessage() {} }
  Object.assign(window, { window })
  t.throws(() => connect(window), /a window cannot be an endpoint: make a MessageChannel/)
})

t.test('options of sockets are rejected over an endpoint', async t => {
  const { port1, port2 } = new MessageChannel()
  t.teardown(() => port1.close())
  const refused = (name: string) => ({
    name: 'TypeError',
    message: new RegExp(`\\\`${name}\\\` has no meaning over an endpoint: \\w`)
  })
  for (const name of [
    ...['authenticate', 'sameIdentity', 'allowedOrigins', 'allowedHosts', 'trustProxy', 'resumeWindow'],
    ...['heartbeat', 'host', 'port', 'path', 'server', 'backlog', 'busyPoll']
  ]) {
    t.match(
      await rejectionOf(serve(Echo, { endpoint: port2, [name]: name === 'busyPoll' || 1 })),
      refused(name)
    )
  }
  for (const name of [
    ...['token', 'reconnect', 'renew', 'heartbeat', 'headers', 'origin', 'agent', 'ca', 'cert', 'key'],
    ...['passphrase', 'servername', 'rejectUnauthorized', 'busyPoll', 'affinity']
  ]) {
    const given = { token: 'x', renew: true, busyPoll: true, affinity: true }[name] ?? 1
    t.throws(() => connect(port1, { [name]: given }), refused(name))
  }
  t.match(await rejectionOf(serve(Echo, { endpoint: port2, port: 0 })), refused('port'))
  t.match(await rejectionOf(serve(Echo, { endpoint: port2, authenticate: () => 'ann' })), {
    message: /^serve: `authenticate` .* keep the endpoint private, or authenticate in the service$/
  })
  const duplex = new PassThrough()
  t.throws(() => connect(duplex, { handshakeTimeout: 1 }), refused('handshakeTimeout'))

  const server = await serve(Echo, {
    endpoint: port2,
    heartbeat: 0,
    resumeWindow: 0,
    authenticate: undefined
  })
  await using conn = connect<Echo>(port1, {
    reconnect: false,
    renew: false,
    heartbeat: 0,
    handshakeTimeout: 5000
  })
  t.equal(await conn.root.echo(1), 1, 'options with the value that holds anyway are accepted')
  await conn.close()
  await server.close()
})

t.test('the WebSocket of a browser gives few details', async t => {
  const nowhere = pageSocket('ws://127.0.0.1:1')
  const lost = connectOverEndpoint(() => new BrowserWebSocketTransport(nowhere, 'ws://x', 100), {})
  t.match(await lost.closed, {
    code: 'unreachable',
    message: /^cannot reach ws:\/\/x \(browsers hide the cause/
  })

  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(sockets, 'listening')
  const url = `ws://127.0.0.1:${(sockets.address() as net.AddressInfo).port}`
  for (const [act, reason] of [
    [(socket: WebSocket) => socket.close(1009), { code: 'limit' }],
    [(socket: WebSocket) => socket.close(1001), { code: 'connection-lost', message: /close code 1001$/ }],
    [(socket: WebSocket) => socket.close(4000, 'bye'), { code: 'connection-lost', message: /bye$/ }],
    [
      (socket: WebSocket) => socket.send('x'.repeat(101)),
      { code: 'limit', message: /sent a frame that is too large/ }
    ]
  ] as const) {
    const accepted = once(sockets, 'connection')
    const conn = connectOverEndpoint(() => new BrowserWebSocketTransport(pageSocket(url), url, 100), {})
    t.equal(conn.unref(), conn)
    const [other] = (await accepted) as [WebSocket]
    act(other)
    t.match(await conn.closed, reason)
    await conn.close()
  }

  const lastAccepted = once(sockets, 'connection')
  const last = new BrowserWebSocketTransport(pageSocket(url), url, 100)
  let sent = 0
  const gone = new Promise<Reason>(resolve =>
    last.start({
      onOpen: () => last.send('x'.repeat(64 << 20), () => sent++),
      onFrame() {},
      onClose: resolve
    })
  )
  const [unread] = (await lastAccepted) as [WebSocket]
  unread.pause()
  unread.terminate()
  t.match(await gone, { code: 'connection-lost' })
  t.equal(sent, 0, '`onSent` is not called for a frame that was not sent')
  sockets.close()
})

t.test('a page that is busy with one frame keeps later frames, also over a wrapped socket', async t => {
  const limits = { jsonBytes: 65_536, frameBytes: 65_536 }
  const rows = {
    text: (length: number) => 'x'.repeat(length),
    push: async (callback: Netref<() => void>, times: number) => {
      await Promise.all(Array.from({ length: times }, () => callback()))
    }
  }
  await using server = await serve(rows, { port: 0 })
  const open = ({ limits }: { limits: typeof DEFAULT_LIMITS }) =>
    new TokenSender(
      new BrowserWebSocketTransport(pageSocket(server.url), server.url, maxPayloadBytes(limits)),
      'token',
      server.url
    )
  await using conn = connectOverEndpoint<typeof rows>(open as Parameters<typeof connectOverEndpoint>[0], {
    limits
  })
  await conn.ping()
  const busy = () => {
    for (const end = performance.now() + 2; performance.now() < end; );
  }
  const pushed = conn.root.push(busy, 100)
  // More than a page may receive while it has asked for a pause.
  const texts = await Promise.all(Array.from({ length: 50 }, () => conn.root.text(60_000)))
  t.equal(texts.length, 50)
  await pushed
  await assertClean(t, conn.session, ...server.sessions)
})

t.test('a lost socket is destroyed at once, whatever is still to be sent', async t => {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(sockets, 'listening')
  const { port } = sockets.address() as net.AddressInfo
  const accepted = once(sockets, 'connection')
  const transport = new WebSocketTransport(new WebSocket(`ws://127.0.0.1:${port}`), 'the server', true)
  const ended: Reason[] = []
  const opened = new Promise<void>(resolve =>
    transport.start({ onOpen: resolve, onFrame() {}, onClose: reason => ended.push(reason) })
  )
  const [unread] = (await accepted) as [WebSocket]
  unread.pause()
  await opened
  transport.send(new Uint8Array(64 << 20))
  transport.close({ code: 'connection-lost', message: 'nothing came' })
  t.ok(transport.bufferedAmount > 1 << 20)
  await waitUntil(() => ended.length > 0)
  t.match(ended, [{ code: 'connection-lost' }])
  unread.terminate()
  sockets.close()
})

t.test('a memory transport breaks once', async t => {
  const conn = pair(Echo)
  await conn.ping()
  const [transport] = conn.transports
  for (const message of ['first', 'second']) transport.close({ code: 'connection-lost', message })
  t.match(await conn.closed, { code: 'connection-lost', message: 'first' })
  t.match(await conn.served.closed, { code: 'connection-lost', message: /: first$/ })
})

t.test('the frames written to a socket are those of the WebSocket protocol', async t => {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1', maxPayload: 1 << 20 })
  await once(sockets, 'listening')
  const { port } = sockets.address() as net.AddressInfo
  const socket = net.connect(port, '127.0.0.1')
  socket.write(
    'GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  )
  const [peer] = (await once(sockets, 'connection')) as [WebSocket]
  const lengths = [0, 1, 2, 3, 4, 5, 125, 126, 127, 16_384, 16_385, 65_535, 65_536, 70_001]
  // More random keys than are drawn at once.
  for (const length of [...lengths, ...Array<number>(2100).fill(9)]) {
    const text = 'é€ x'.repeat(length).slice(0, length)
    const bytes = new Uint8Array(length).map((_, i) => i * 7)
    for (const frame of [text, bytes, bytes.subarray(1)]) {
      for (const masking of ['zero', 'random'] as const) {
        for (const piece of formatWebSocketFrame(frame, masking)) socket.write(piece!)
        const [data, isBinary] = (await once(peer, 'message')) as [Buffer, boolean]
        const same = typeof frame === 'string' ? String(data) === frame : data.equals(frame)
        if (!same || isBinary === (typeof frame === 'string')) t.fail(`${masking}, ${length}`)
      }
    }
  }
  const [head, rest] = formatWebSocketFrame(new Uint8Array(20_000), 'none')
  t.same([...head], [0x82, 126, 0x4e, 0x20], 'a server does not mask')
  t.equal(rest?.length, 20_000, 'nor copy large payloads')
  socket.destroy()
  sockets.close()
  await once(sockets, 'close')
})

t.test('masking keys are random if a proxy could read the frames', async t => {
  const zero = [
    'wss://example.org/',
    'ws://localhost/',
    'ws://localhost:1/',
    'ws://127.0.0.1:80/',
    'ws://[::1]:5/a'
  ]
  const random = [
    'ws://example.org/',
    'ws://localhost.example.org/',
    'ws://127.0.0.1.example.org/',
    'ws://localhost:password@example.org/',
    'ws://[::2]/'
  ]
  t.same(
    zero.map(maskingFor),
    zero.map(() => 'zero')
  )
  t.same(
    random.map(maskingFor),
    random.map(() => 'random')
  )
})

t.test('`busyPoll` polls after each frame sent; by default no socket polls', async t => {
  const framesSent = t.capture(BusyPoll.prototype, 'frameSent')
  for (const [busyPoll, isPolling] of [
    [undefined, false],
    [true, true]
  ] as const) {
    const server = await serve(Echo, { port: 0, busyPoll })
    const conn = connect<Echo>(server.url, { busyPoll })
    t.equal(await conn.root.echo(1), 1)
    await conn.close()
    await server.close()
    t.equal(framesSent().length > 0, isPolling)
  }
  t.throws(() => connect('ws://x', { busyPoll: 1 as never }), /`busyPoll` takes a boolean/)
  await t.rejects(serve(Echo, { port: 0, busyPoll: 'yes' as never }), /`busyPoll` takes a boolean/)
})

t.test('a frame that is sent before the last poll has ended starts no second poll', async t => {
  const poll = new BusyPoll()
  // More frames than any poll skips.
  const sendMany = () => {
    for (let i = 0; i < 300; i++) poll.frameSent()
  }
  let immediates = 0
  const hook = createHook({ init: (_id, type) => void (type === 'Immediate' && immediates++) }).enable()
  sendMany()
  poll.frameReceived()
  sendMany()
  hook.disable()
  t.equal(immediates, 1)
  poll.frameReceived()
  await turn()
})

t.test('a duplex transport that closes twice sends one reason', async t => {
  const [there, back] = [new PassThrough(), new PassThrough()]
  const transport = new DuplexTransport({ readable: back, writable: there }, 1000)
  const reasons: Reason[] = []
  transport.start({ onOpen() {}, onFrame() {}, onClose() {} })
  new DuplexTransport({ readable: there, writable: back }, 1000).start({
    onOpen: () => transport.close({ code: 'closed', message: 'first' }),
    onFrame() {},
    onClose: reason => reasons.push(reason)
  })
  await waitUntil(() => reasons.length > 0)
  transport.close({ code: 'closed', message: 'second' })
  t.match(reasons, [{ message: 'first' }])
})

/** Number of polls for a frame that arrives after `arrivesAfter` polls, or not at all. */
async function polls(poll: BusyPoll, arrivesAfter?: number): Promise<number> {
  let immediates = 0
  let turns = 0
  const hook = createHook({
    init(_id, type) {
      if (type === 'Immediate') immediates++
    }
  }).enable()
  poll.frameSent()
  for (let more = true; more; turns++) {
    if (immediates - turns === arrivesAfter) poll.frameReceived()
    const before = immediates
    await turn()
    more = immediates > before + 1
  }
  hook.disable()
  return immediates - turns
}

/** Number of frames without a poll before one with polls. */
async function skippedFrames(poll: () => BusyPoll, arrivesAfter?: number): Promise<number> {
  for (let skipped = 0; ; skipped++) if ((await polls(poll(), arrivesAfter)) > 0) return skipped
}

/** A poll of a socket over which a frame has arrived fast. */
async function fastPoll(): Promise<() => BusyPoll> {
  const poll = new BusyPoll()
  await skippedFrames(() => poll, 5)
  return () => poll
}

t.test('frames are polled for, less often after polls without success', async t => {
  const poll = await fastPoll()
  t.equal(await polls(poll(), 5), 5, 'until it arrives')
  const whole = await polls(poll())
  t.ok(whole > 100 && whole < 400, 'and for some time')
  poll().frameReceived()
  t.equal(await polls(poll()), 0, 'a later frame is no success')
  const failed: number[] = []
  for (let i = 0; i < 4; i++) failed.push(await skippedFrames(poll))
  t.same(failed, [0, 3, 7, 15])
  const immediate: number[] = []
  for (let i = 0; i < 3; i++) immediate.push(await skippedFrames(poll, 1))
  t.same(immediate, [31, 31, 31], 'a frame that arrives at once is no success')
  const found: number[] = []
  for (let i = 0; i < 7; i++) found.push(await skippedFrames(poll, 5))
  t.same(found, [31, 15, 7, 3, 1, 0, 0], 'after successes more frames are polled for')

  const busy = await fastPoll()
  for (let i = 0; i < 1000; i++) {
    busy().frameSent()
    await turn()
  }
  await skippedFrames(busy)
  t.equal(await skippedFrames(busy), 31, 'frames sent meanwhile do not prolong a poll')
})

t.test('sockets with slow answers share one backoff', async t => {
  const poll = await fastPoll()
  for (let i = 0; i < 8; i++) await skippedFrames(poll)
  const any = () => new BusyPoll()
  for (let i = 0; i < 10; i++) await skippedFrames(any)
  t.equal(await skippedFrames(any), 255, 'all new ones')
  let turns = 0
  t.equal(
    await skippedFrames(() => (turns++ % 2 === 0 ? poll() : any())),
    255,
    'and those without success for long'
  )
  t.equal(await skippedFrames(any, 5), 255)
  t.equal(await skippedFrames(any, 5), 127, 'until one of them succeeds')
})

t.test('a fake clock of a test does not affect polling', async t => {
  const poll = await fastPoll()
  const real = timers.setImmediate
  const never = (() => t.fail('the fake clock was used')) as unknown as typeof real
  globalThis.setImmediate = timers.setImmediate = never
  syncBuiltinESMExports()
  try {
    poll().frameSent()
  } finally {
    globalThis.setImmediate = timers.setImmediate = real
    syncBuiltinESMExports()
  }
  t.ok((await polls(poll())) > 100, 'the frame is polled for nevertheless')
})
