// Tests what keeps a process alive: an open connection does, a closed or unreferenced one does not.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { MessageChannel } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { connect, pair, type Server, serve } from '../../lib/index.js'
import { assertClean, breakableAgent, CHILD_ENV, implOf, waitUntil } from '../support/helpers.js'
import { upgradeRequest } from '../support/raw-peer.js'

t.setTimeout(60_000)

const PROGRAM = fileURLToPath(new URL('../support/fixtures/idle-client.ts', import.meta.url))

function start(t: Test, ...args: string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, ...args], {
    env: CHILD_ENV,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const printed: string[] = []
  const heard = child.stdout.setEncoding('utf8').on('data', (text: string) => printed.push(text))
  t.teardown(() => child.kill('SIGKILL'))
  return {
    idle: once(heard, 'data'),
    ended: once(child, 'close').then(([code]) => `${printed.join('')}${code}`)
  }
}

t.test('an idle client keeps its process alive, unless closed or after `unref()`', async t => {
  const server = await serve({}, { port: 0, resumeWindow: 0 })
  const [unref, idle] = [start(t, server.url, 'unref'), start(t, server.url)]
  t.equal(await unref.ended, 'idle\n0')
  await idle.idle
  await waitUntil(() => server.sessions.size === 1)
  const [session] = server.sessions
  for (let i = 0; i < 10; i++) await session!.ping()
  await server.close()
  t.equal(await idle.ended, 'idle\nserver-closed\n0')
})

/** Resources of these kinds that keep this process alive. */
const alive = (...kinds: string[]) =>
  process.getActiveResourcesInfo().filter(kind => kinds.includes(kind)).length

/** Waits until former resources are gone; a timer keeps this process alive. */
async function idle() {
  await waitUntil(() => alive('TCPSocketWrap', 'TCPServerWrap', 'MessagePort') === 0)
  return setInterval(() => {}, 1000)
}

/** A stream without a `close` event, whose other end sends nothing by itself. */
class Quiet extends Duplex {
  constructor(private readonly reads = true) {
    super({ emitClose: false })
  }
  override _read() {}
  override _write(_chunk: unknown, _encoding: unknown, done: () => void) {
    if (this.reads) done()
  }
}

t.test('a closed session keeps no process alive, also over a stream without a close event', async t => {
  const before = alive('Timeout')
  const begun = connect(new Quiet())
  await waitUntil(() => implOf(begun.session).link.state === 'open')
  await begun.close()
  await connect(new Quiet()).close()
  // Its other end sends a close reason, and reads nothing.
  const unread = new Quiet(false)
  const left = connect(unread)
  const text = 'closed: enough'
  unread.push(Buffer.concat([Buffer.from([0, 0, 0, text.length, 2]), Buffer.from(text)]))
  t.match(await left.closed, { message: /enough/ })
  await waitUntil(() => unread.destroyed && alive('Timeout') === before)
})

t.test('`unref()` applies to a connection that waits for a silent server, or reconnects', async t => {
  const holding = await idle()
  const kept = () => alive('TCPSocketWrap', 'Timeout')
  const sockets = alive('TCPSocketWrap')
  const silent = net.createServer().listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const before = kept()
  const accepted = once(silent, 'connection') as Promise<[net.Socket]>
  const { port } = silent.address() as AddressInfo
  const conn = connect(`ws://127.0.0.1:${port}`, { reconnect: { delay: 600_000, initial: true } })
  const [socket] = await accepted
  t.equal(kept(), before + 2)
  t.equal(conn.unref(), conn)
  t.equal(kept(), before + 1)
  socket.destroy()
  silent.close()
  await waitUntil(() => kept() === before)
  await conn.close()
  const searching = connect(`ws://127.0.0.1:${port}`, { reconnect: { delay: 600_000, initial: true } })
  await waitUntil(() => alive('TCPSocketWrap') === sockets && kept() === before + 1)
  searching.unref()
  t.equal(kept(), before)
  await searching.close()

  const { agent, die } = breakableAgent()
  await using server = await serve({}, { port: 0 })
  const resuming = connect(server.url, { agent, reconnect: { delay: 1 } })
  await resuming.ping()
  const deaf = net.createServer().listen(0, '127.0.0.1')
  await once(deaf, 'listening')
  const { port: nowhere } = deaf.address() as AddressInfo
  Object.assign(agent, { createConnection: () => net.connect(nowhere, '127.0.0.1') })
  die()
  const [tried] = (await once(deaf, 'connection')) as [net.Socket]
  const trying = kept()
  resuming.unref()
  t.equal(kept(), trying - 2, 'neither the attempt nor its deadline keeps it alive')
  await resuming.close()
  tried.destroy()
  deaf.close()
  clearInterval(holding)
})

t.test('`unref()` applies to later sockets, sessions and clients', async t => {
  const holding = await idle()
  const kept = () => alive('TCPSocketWrap', 'TCPServerWrap', 'Timeout')
  const before = kept()
  let server: Server = await serve({}, { port: 0 })
  const { port } = new URL(server.url)
  const { agent, die } = breakableAgent()
  const knocks = net.connect(Number(port), '127.0.0.1')
  knocks.write(upgradeRequest())
  await once(knocks, 'data')
  const conn = connect(server.url, { agent, renew: true, reconnect: { delay: 1, maxDelay: 1 } })
  await conn.ping()
  knocks.unref()
  conn.unref()
  server.unref()
  const late = connect(server.url).unref()
  await late.ping()
  await waitUntil(() => kept() === before)
  const events: string[] = []
  for (const what of ['interrupted', 'resumed'] as const) conn.on(what, () => events.push(what))
  die()
  await waitUntil(() => events.length === 2 && kept() === before)
  const { session } = conn
  await server.close()
  server = (await serve({}, { port: Number(port) })).unref()
  await waitUntil(() => conn.session !== session && conn.state === 'open')
  await waitUntil(() => kept() === before)
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await server.close()
  knocks.destroy()
  clearInterval(holding)
})

t.test('`unref()` over a stream, a port, and in this process', async t => {
  const holding = await idle()
  const kept = () => alive('TCPSocketWrap', 'PipeWrap', 'MessagePort', 'Timeout')
  const before = kept()
  const listening = net.createServer().listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const [[accepted], socket] = await Promise.all([
    once(listening, 'connection') as Promise<[net.Socket]>,
    net.connect((listening.address() as AddressInfo).port, '127.0.0.1')
  ])
  const server = await serve({}, { endpoint: accepted })
  const conn = connect(socket)
  await conn.ping()
  conn.unref()
  server.unref()
  t.equal(kept(), before)
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  listening.close()

  const { port1, port2 } = new MessageChannel()
  const early = connect(port1).unref()
  const serving = await serve({}, { endpoint: port2 })
  await early.ping()
  serving.unref()
  port1.unref()
  port2.unref()
  await waitUntil(() => kept() === before)
  await assertClean(t, early.session, ...serving.sessions)
  await early.close()
  await serving.close()
  port1.close()

  await using near = pair({})
  t.equal(near.unref(), near)
  await near.ping()
  await assertClean(t, near.session, near.served)
  clearInterval(holding)
})
