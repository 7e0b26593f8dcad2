// Tests deadlines in a process that was stopped, blocked or suspended: a peer that answered in time is not penalized.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { mock } from 'node:test'
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { connect, serve } from '../../lib/index.js'
import { clock } from '../../lib/util/clock.js'
import { type Deadline, startDeadline } from '../../lib/util/deadline.js'
import { ChaosProxy } from '../support/chaos-proxy.js'
import { useFakeClock } from '../support/fake-clock.js'
import { GatedProxy } from '../support/gated-proxy.js'
import { assertClean, CHILD_ENV, waitUntil } from '../support/helpers.js'
import { hello, RawPeer } from '../support/raw-peer.js'

const SOON = { delay: 1, maxDelay: 20 }

/** Blocks the event loop. */
function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

class Counter {
  count = 0
  exposed_next() {
    return ++this.count
  }
  exposed_never() {
    return new Promise<never>(() => {})
  }
}

t.test('a deadline counts only parts that were on time, and gives one more turn at the end', async t => {
  useFakeClock(t, ['setInterval', 'Date'])
  let wall = Date.now()
  clock.wallNow = () => wall
  let expired = 0
  /** Lets one part of a deadline pass, which takes this long. */
  const pass = async (ms = 100) => {
    wall += ms
    mock.timers.tick(100)
    await turn()
    await turn()
  }
  const set = (): Deadline => {
    expired = 0
    return startDeadline(400, () => expired++)
  }
  await t.test('on time', async t => {
    const deadline = set()
    for (const _ of '123') await pass()
    t.equal(expired, 0)
    t.ok(deadline.isRunning)
    await pass()
    t.equal(expired, 1)
    t.notOk(deadline.isRunning)
    await pass(10_000)
    t.equal(expired, 1)
  })
  await t.test('late', async t => {
    set()
    await pass(100_000)
    for (const _ of '123') await pass(199)
    t.equal(expired, 0)
    await pass(200)
    t.equal(expired, 0)
    await pass()
    t.equal(expired, 1)
  })
  await t.test('always late', async t => {
    set()
    for (const _ of '1234567') await pass(1000)
    t.equal(expired, 0)
    await pass(1000)
    t.equal(expired, 1, 'the extensions are limited')
  })
  await t.test('the system clock is set back', async t => {
    set()
    for (const _ of '123') await pass(-3_600_000)
    t.equal(expired, 0)
    await pass()
    t.equal(expired, 1)
  })
  await t.test('an event in the turn after the last part is on time', async t => {
    const deadline = set()
    for (const _ of '123') await pass()
    mock.timers.tick(100)
    deadline.stop()
    await pass()
    t.equal(expired, 0)
  })
})

t.test('helloMs: a hello that arrived while the server was blocked is on time', async t => {
  const server = await serve(new Counter(), { port: 0, limits: { helloMs: 50 } })
  const peer = await RawPeer.open(server.url, { sendsHello: false })
  peer.send([hello()])
  block(100)
  await waitUntil(() => server.sessions.size === 1 || peer.isClosed)
  t.equal(server.sessions.size, 1)
  await assertClean(t, ...server.sessions)
  await peer.end()
  await server.close()
})

t.test('helloMs: a token, and a hello that waits for `authenticate`, are on time', async t => {
  const server = await serve(new Counter(), {
    port: 0,
    authenticate: async request => (await request.token()) === 'ann' && block(100) === undefined,
    limits: { helloMs: 50 }
  })
  const peer = await RawPeer.open(server.url, { sendsHello: false })
  peer.text('{"token":"ann"}')
  block(100)
  peer.send([hello({ more: 'x'.repeat(100_000) })])
  await waitUntil(() => server.sessions.size === 1 || peer.isClosed)
  t.equal(server.sessions.size, 1)
  await assertClean(t, ...server.sessions)
  await peer.end()
  await server.close()
})

t.test('handshakeTimeout: an answer that arrived while the client was blocked is on time', async t => {
  const web = http.createServer().listen(0, '127.0.0.1')
  await once(web, 'listening')
  const server = await serve(new Counter(), { server: web, authenticate: () => block(100) === undefined })
  let upgrades = 0
  web.on('upgrade', () => upgrades++)
  const conn = connect<Counter>(`ws://127.0.0.1:${(web.address() as AddressInfo).port}`, {
    handshakeTimeout: 50
  })
  t.equal(await conn.root.next(), 1)
  t.equal(upgrades, 1)
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await server.close()
  web.close()
})

t.test('an attempt to resume is answered on time while the client is blocked', async t => {
  let tries = 0
  const sameIdentity = () => {
    tries++
    block(100)
    return true
  }
  const server = await serve(new Counter(), { port: 0, authenticate: () => 'ann', sameIdentity })
  const chaos = await ChaosProxy.inFrontOf(server.url, 1)
  const conn = connect<Counter>(chaos.url, { reconnect: SOON, heartbeat: 50 })
  t.equal(await conn.root.next(), 1)
  chaos.cutAll()
  t.equal(await conn.root.next(), 2)
  t.equal(tries, 1)
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await chaos.close()
  await server.close()
})

/** Starts a server in a process of its own. */
async function start(t: Test, resumeWindow = 30_000): Promise<{ child: ChildProcess; url: string }> {
  const program = fileURLToPath(new URL('../support/fixtures/resumable-server.ts', import.meta.url))
  const child = fork(program, ['0', String(resumeWindow)], {
    env: CHILD_ENV,
    execArgv: ['--import', 'tsx']
  })
  t.teardown(() => child.kill('SIGKILL'))
  const [url] = (await once(child, 'message')) as [string]
  return { child, url }
}

t.test(
  'resumeWindow: a server stopped for longer still accepts clients that connected meanwhile',
  async t => {
    const { child, url } = await start(t, 400)
    const chaos = await ChaosProxy.inFrontOf(url, 1)
    const conn = connect<{ count(): number }>(chaos.url, { reconnect: SOON, heartbeat: 5000 })
    t.equal(await conn.root.count(), 1)
    const interrupted = once(child, 'message')
    chaos.cutAll()
    await interrupted
    child.kill('SIGSTOP')
    const call = conn.root.count()
    await delay(1000)
    child.kill('SIGCONT')
    t.equal(await call, 2)
    t.match(conn.stats, { exports: 0, imports: 0, pending: 0 })
    await conn.close()
    await chaos.close()
    child.disconnect()
  }
)

t.test('heartbeat: a server stopped for longer than the heartbeat drops no client', async t => {
  const { child, url } = await start(t)
  const events: unknown[] = []
  child.on('message', message => events.push(message))
  const conn = connect<{ count(): number }>(url, { heartbeat: 5000 })
  t.equal(await conn.root.count(), 1)
  child.kill('SIGSTOP')
  await delay(500)
  child.kill('SIGCONT')
  // Longer than the server waits for an answer.
  await delay(400)
  t.equal(await conn.root.count(), 2)
  t.same(events, [])
  await conn.close()
  child.disconnect()
})

t.test('a session survives both ends being stopped for longer than the resume window', async t => {
  const server = await serve(new Counter(), { port: 0, resumeWindow: 400, heartbeat: 10 })
  const door = await GatedProxy.inFrontOf(server.url)
  const conn = connect<Counter>(door.url, { reconnect: SOON, heartbeat: 0 })
  t.equal(await conn.root.next(), 1)
  const [session] = server.sessions
  door.mode = 'refusing'
  door.cut()
  await waitUntil(() => conn.state === 'interrupted' && session!.state === 'interrupted')
  block(1000)
  const { connectionCount } = door
  await waitUntil(() => door.connectionCount > connectionCount)
  door.forwardAll()
  t.equal(await conn.root.next(), 2)
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await door.close()
  await server.close()
})
