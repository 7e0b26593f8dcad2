// Tests when a client reconnects, and what triggers an early attempt.

import { once } from 'node:events'
import t from 'tap'
import { WebSocketServer } from 'ws'
import { connect, Service, serve, type UpgradeRequest } from '../../lib/index.js'
import { ChaosProxy } from '../support/chaos-proxy.js'
import { GatedProxy } from '../support/gated-proxy.js'
import { assertClean, implOf, rejectionOf, waitUntil } from '../support/helpers.js'

class Clock extends Service {
  static paid = 0
  exposed_now() {
    return 'now'
  }
  exposed_pay() {
    return ++Clock.paid
  }
  exposed_later() {
    return new Promise(() => {})
  }
  exposed_size(text: string, _callback?: () => void) {
    return text.length
  }
}

const SOON = { delay: 1, maxDelay: 20 }

/** Members of a browser's global object, which the spec controls. */
class Page extends EventTarget {
  visibilityState = 'hidden'
}

t.test('a page that goes online or becomes visible reconnects at once', async t => {
  const window = new EventTarget()
  const document = new Page()
  const added: string[] = []
  t.intercept(globalThis as object, 'document' as never, { value: document })
  for (const name of ['addEventListener', 'removeEventListener'] as const) {
    t.intercept(
      globalThis,
      name as never,
      {
        value: (type: string, listener: () => void) => {
          added.push(`${name} ${type}`)
          window[name](type, listener)
        }
      } as never
    )
  }
  const server = await serve(Clock, { port: 0 })
  for (const [target, event] of [
    [window, 'online'],
    [document, 'visibilitychange']
  ] as const) {
    const chaos = await ChaosProxy.inFrontOf(server.url, 1)
    const reconnect = { delay: 1_000_000, maxDelay: 1_000_000 }
    const conn = connect<Clock>(chaos.url, { reconnect, heartbeat: 0 })
    t.equal(await conn.root.now(), 'now')
    chaos.cutAll()
    await waitUntil(() => conn.state === 'interrupted')
    document.visibilityState = 'hidden'
    document.dispatchEvent(new Event('visibilitychange'))
    document.visibilityState = 'visible'
    target.dispatchEvent(new Event(event))
    // A second event during the attempt restarts it.
    target.dispatchEvent(new Event(event))
    t.equal(await conn.root.now(), 'now')
    await conn.close()
    await chaos.close()
  }
  t.same(added.filter(what => what === 'addEventListener online').length, 4)
  t.same(added.filter(what => what === 'removeEventListener online').length >= 2, true)
  await server.close()
})

t.test('a server that answers a resume token with another message ends the session', async t => {
  const server = await serve(Clock, { port: 0 })
  const chaos = await ChaosProxy.inFrontOf(server.url, 1)
  const port = Number(new URL(chaos.url).port)
  const conn = connect<Clock>(chaos.url, { reconnect: { delay: 1, maxDelay: 5 } })
  await conn.ping()
  await chaos.close()
  const other = new WebSocketServer({ port, host: '127.0.0.1' })
  other.on('connection', socket => socket.on('message', () => socket.send('[0,[]]')))
  t.match(await rejectionOf(conn.root.now()), {
    code: 'protocol',
    message: /the answer to the resume token is malformed/
  })
  await conn.close()
  other.close()
  for (const client of other.clients) client.terminate()
  await server.close()
})

t.test('an unanswered attempt is abandoned for the next one', async t => {
  const server = await serve(Clock, { port: 0 })
  const chaos = await ChaosProxy.inFrontOf(server.url, 1)
  const port = Number(new URL(chaos.url).port)
  const conn = connect<Clock>(chaos.url, { heartbeat: 40, reconnect: { delay: 1, maxDelay: 5 } })
  await conn.ping()
  await chaos.close()
  let tries = 0
  const silent = new WebSocketServer({ port, host: '127.0.0.1' })
  silent.on('connection', () => tries++)
  await waitUntil(() => tries >= 3)
  t.equal(conn.state, 'interrupted')
  await conn.close()
  silent.close()
  for (const client of silent.clients) client.terminate()
  await server.close()
})

t.test('close() during a late first connection sends nothing that was not sent before', async t => {
  const server = await serve(Clock, { port: 0 })
  const door = await GatedProxy.inFrontOf(server.url)
  door.mode = 'refusing'
  const conn = connect<Clock>(door.url, { reconnect: { ...SOON, initial: true } })
  const pay = rejectionOf(conn.root.pay())
  await waitUntil(() => door.connectionCount > 0)
  door.mode = 'holding'
  await waitUntil(() => door.heldSockets.length > 0)
  const [socket] = door.heldSockets
  await conn.close()
  t.match(await pay, { code: 'closed', mayHaveRun: false })
  const gone = once(socket!, 'close')
  socket!.resume()
  await gone
  t.same([Clock.paid, server.sessions.size], [0, 0])
  await assertClean(t, conn.session)
  await door.close()
  await server.close()
})

t.test('close() before the first connection is open sends the calls, which may have run', async t => {
  const server = await serve(Clock, { port: 0 })
  const conn = connect<Clock>(server.url)
  const pay = rejectionOf(conn.root.pay())
  await conn.close()
  t.match(await pay, { code: 'closed', mayHaveRun: true })
  await waitUntil(() => Clock.paid === 1 && server.sessions.size === 0)
  await assertClean(t, conn.session)
  await server.close()
})

t.test('a first connection that opened late is not retried afterwards', async t => {
  const server = await serve(Clock, { port: 0 })
  const door = await GatedProxy.inFrontOf(server.url)
  door.mode = 'refusing'
  const search = new AbortController()
  const conn = connect<Clock>(door.url, { reconnect: { ...SOON, initial: true, signal: search.signal } })
  const now = conn.root.now()
  await waitUntil(() => door.connectionCount > 0)
  door.forwardAll()
  t.equal(await now, 'now')
  search.abort()
  t.equal(conn.state, 'open', 'no reconnection is running')
  t.equal(await conn.root.now(), 'now')
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await door.close()
  await server.close()
})

for (const cut of ['cutting after the upgrade', 'cutting after the first answer'] as const) {
  t.test(`with \`initial\`, a first connection ${cut} is retried and each call runs once`, async t => {
    for (const token of [undefined, 'ann']) {
      Clock.paid = 0
      const server = await serve(Clock, {
        port: 0,
        authenticate: request => (token ? request.token() : 'nobody')
      })
      const door = await GatedProxy.inFrontOf(server.url)
      door.mode = cut
      const events: string[] = []
      const conn = connect<Clock>(door.url, { token, reconnect: { ...SOON, initial: true } })
      conn.on('interrupted', () => events.push('interrupted'))
      conn.on('resumed', () => events.push('resumed'))
      const calls = [conn.root.pay(), conn.root.size('x'.repeat(100_000))]
      await waitUntil(() => door.connectionCount > 3)
      t.equal(Clock.paid, 0)
      const late = conn.root.pay()
      door.forwardAll()
      t.same(await Promise.all([...calls, late]), [1, 100_000, 2])
      t.equal(Clock.paid, 2)
      t.same(events, [])
      door.cut()
      t.equal(await conn.root.pay(), 3, 'after the first connection the session resumes')
      t.same(events, ['interrupted', 'resumed'])
      // Sessions whose client sent only the hello are still waiting.
      const open = [...server.sessions].filter(({ state }) => state === 'open')
      await assertClean(t, conn.session, ...open)
      await conn.close()
      await door.close()
      await server.close()
    }
  })
}

t.test('a call that waited for the hello of a server that refuses the client has not run', async t => {
  const server = await serve(Clock, { port: 0, authenticate: () => undefined })
  const conn = connect<Clock>(server.url, { reconnect: { ...SOON, initial: true } })
  t.match(await rejectionOf(conn.root.pay()), { code: 'unauthorized', mayHaveRun: false })
  await server.close()
})

t.test('without `initial` the first call is sent with the hello, and rejects if it is cut', async t => {
  Clock.paid = 0
  const server = await serve(Clock, { port: 0 })
  const door = await GatedProxy.inFrontOf(server.url)
  door.mode = 'cutting after the first answer'
  const conn = connect<Clock>(door.url, { reconnect: SOON })
  t.match(await rejectionOf(conn.root.pay()), { code: 'connection-lost', mayHaveRun: true })
  t.same([Clock.paid, door.connectionCount], [1, 1])
  await assertClean(t, conn.session)
  await conn.close()
  await door.close()
  await server.close()
})

t.test('with `initial`, close() before the hello sends pending calls if there is a socket', async t => {
  Clock.paid = 0
  const server = await serve(Clock, { port: 0 })
  const door = await GatedProxy.inFrontOf(server.url)
  const conn = connect<Clock>(door.url, { reconnect: { ...SOON, initial: true } })
  const pay = rejectionOf(conn.root.pay())
  await waitUntil(() => implOf(conn.session).link.state === 'open')
  await conn.close()
  t.match(await pay, { code: 'closed', mayHaveRun: true })
  await waitUntil(() => Clock.paid === 1)
  door.mode = 'cutting after the first answer'
  const next = connect<Clock>(door.url, { reconnect: { delay: 600_000, maxDelay: 600_000, initial: true } })
  const unpaid = rejectionOf(next.root.pay())
  await waitUntil(() => implOf(next.session).link.state === 'open')
  await waitUntil(() => implOf(next.session).link.state === 'connecting')
  await next.close()
  t.match(await unpaid, { code: 'closed', mayHaveRun: false })
  const idle = connect<Clock>(door.url, { reconnect: { ...SOON, initial: true } })
  await idle.close()
  t.match(await idle.closed, { code: 'closed' })
  t.equal(Clock.paid, 1)
  await assertClean(t, conn.session, next.session, idle.session)
  await door.close()
  await server.close()
})

t.test('a renewed session that is cut before the hello is retried and a call runs once', async t => {
  Clock.paid = 0
  const server = await serve(Clock, { port: 0, resumeWindow: 0 })
  const door = await GatedProxy.inFrontOf(server.url)
  const conn = connect<Clock>(door.url, { renew: true, reconnect: SOON })
  t.equal(await conn.root.pay(), 1)
  door.mode = 'cutting after the first answer'
  const { session } = conn
  door.cut()
  await waitUntil(() => conn.session !== session)
  const renewed = conn.session
  const pay = conn.root.pay()
  await waitUntil(() => door.connectionCount > 3)
  door.forwardAll()
  t.equal(await pay, 2)
  t.equal(conn.session, renewed)
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await door.close()
  await server.close()
})

t.test(
  'with `affinity`, the sockets of a session have one id in their URL, and a renewed session has another',
  async t => {
    const asked: string[] = []
    const authenticate = ({ query }: UpgradeRequest) => asked.push(String(query))
    const servers = [
      await serve(Clock, { port: 0, authenticate, sameIdentity: () => true }),
      await serve(Clock, { port: 0, authenticate })
    ] as const
    for (const query of ['', '?room=1']) {
      asked.length = 0
      const door = await GatedProxy.inFrontOf(servers[0].url)
      const conn = connect<Clock>(`${door.url}${query}`, { affinity: true, renew: true, reconnect: SOON })
      t.equal(await conn.root.now(), 'now')
      door.cut()
      t.equal(await conn.root.now(), 'now')
      door.target = servers[1].url
      const moved = new Promise<void>(resolve => conn.on('renewed', resolve))
      door.cut()
      await moved
      const [began, resumed, lost, renewed] = asked
      t.match(began, query ? /^room=1&affinity=\w{8,}$/ : /^affinity=\w{8,}$/)
      t.equal(asked.length, 4)
      t.same([resumed, lost], [began, began])
      t.not(renewed, began)
      await assertClean(t, conn.session, ...servers[1].sessions)
      await conn.close()
      await door.close()
    }
    for (const server of servers) await server.close()
  }
)

t.test('a client of a silent server gives up at the end of the resume window', async t => {
  const server = await serve(Clock, { port: 0, resumeWindow: 100, heartbeat: 50 })
  const door = await GatedProxy.inFrontOf(server.url)
  const conn = connect<Clock>(door.url, { reconnect: SOON, heartbeat: 50 })
  await conn.ping()
  const call = rejectionOf(conn.root.later())
  door.mode = 'holding'
  door.cut()
  t.match(await call, { code: 'connection-lost', message: /the server did not answer within 50 ms/ })
  await assertClean(t, conn.session)
  await conn.close()
  await door.close()
  await server.close()
})

t.test('renew: only a call beyond the known limits of the new server rejects', async t => {
  const limits = { jsonBytes: 64 << 20, frameBytes: 64 << 20 }
  const first = await serve(Clock, { port: 0, limits, resumeWindow: 0 })
  const port = Number(new URL(first.url).port)
  const conn = connect<Clock>(first.url, { renew: true, reconnect: SOON })
  const early = await rejectionOf(conn.root.size('x'.repeat(5 << 20)))
  t.match(early, {
    name: 'LimitError',
    message: /is known to accept before its hello \(limits\.jsonBytes: 4194304\): await `ping\(\)` first/
  })
  await conn.ping()
  const text = 'x'.repeat(5 << 20)
  const [large, given, small] = [
    rejectionOf(conn.root.size(text)),
    rejectionOf(conn.root.size(text, () => {})),
    rejectionOf(conn.root.size('x'))
  ]
  await first.close()
  t.match([await large, await given], [{ code: 'server-closed' }, { code: 'server-closed' }])
  const second = await serve(Clock, { port, limits })
  t.match(await small, { code: 'may-have-run' }, 'the new server receives the call')
  t.equal(await conn.root.size('x'.repeat(5 << 20)), 5 << 20)
  await assertClean(t, conn.session, ...second.sessions)
  await conn.close()
  await second.close()
})

t.test('many calls before the hello of a server with small limits', async t => {
  const server = await serve(Clock, { port: 0, limits: { jsonBytes: 4096, frameBytes: 4096 } })
  const conn = connect<Clock>(server.url)
  const sizes = await Promise.all(Array.from({ length: 500 }, (_, i) => conn.root.size('x'.repeat(i))))
  t.equal(sizes.at(-1), 499)
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await server.close()
})

t.test('a draining server waits for an interrupted client that has not received its answer', async t => {
  let answer = (_: string) => {}
  const asked = { exposed_ask: () => new Promise<string>(resolve => (answer = resolve)) }
  const server = await serve(asked, { port: 0 })
  const door = await GatedProxy.inFrontOf(server.url)
  const conn = connect<typeof asked>(door.url, { reconnect: SOON })
  await conn.ping()
  const call = (conn.root as unknown as { ask(): Promise<string> }).ask()
  const [session] = server.sessions
  await waitUntil(() => session!.stats.callsIn > 1)
  door.mode = 'refusing'
  door.cut()
  await waitUntil(() => session!.state === 'interrupted')
  answer('there')
  await waitUntil(() => implOf(session!).link.sender.hasUnsent)
  const closed = server.close({ drain: 10_000 })
  door.forwardAll()
  t.equal(await call, 'there')
  await closed
  t.match(await conn.closed, { code: 'server-closed' })
  await assertClean(t, conn.session, session!)
  await door.close()
})
