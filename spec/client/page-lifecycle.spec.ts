// Tests what happens to a connection when its page is closed, enters the back/forward cache, or changes its network.

import { once } from 'node:events'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { followPage } from '../../lib/client/page-lifecycle.js'
import { connect, type Reason, Service, type Session, serve } from '../../lib/index.js'
import { ChaosProxy } from '../support/chaos-proxy.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'
import { hello } from '../support/raw-peer.js'

class Room extends Service {
  session: Session | undefined
  ended: Reason | undefined
  override onConnect(session: Session) {
    this.session = session
  }
  override onDisconnect(_: Session, reason: Reason) {
    this.ended = reason
  }
  exposed_now() {
    return 'now'
  }
}

/** Gives this realm the events of a page. @returns a function that emits one */
function beAPage(t: Test): (type: string, persisted?: boolean) => void {
  const window = new EventTarget()
  for (const name of ['addEventListener', 'removeEventListener'] as const) {
    const value = (type: string, listener: () => void) => window[name](type, listener)
    t.intercept(globalThis, name as never, { value } as never)
  }
  return (type, persisted) => void window.dispatchEvent(Object.assign(new Event(type), { persisted }))
}

t.test('a page that is closed ends its session at once', async t => {
  const emit = beAPage(t)
  const room = new Room()
  await using server = await serve(() => room, { port: 0 })
  const conn = connect<Room>(server.url)
  await conn.root.now()
  emit('pagehide', false)
  t.match(await room.session!.closed, { code: 'closed' })
  t.match(await conn.closed, { code: 'closed' })
  t.equal(server.metrics.sessions, 0)
  emit('pagehide', false)
  emit('pageshow', true)
})

t.test('the close code of a browser that leaves the page ends the session, too', async t => {
  const room = new Room()
  await using server = await serve(() => room, { port: 0 })
  const socket = new WebSocket(server.url)
  await once(socket, 'open')
  socket.send(JSON.stringify([0, [hello()]]))
  await once(socket, 'message')
  socket.close(1001)
  await waitUntil(() => server.metrics.sessions === 0)
  t.match(room.ended, { code: 'closed', message: /has closed its page$/ })
})

t.test(
  'a page in the back/forward cache has no socket, and continues its session when it returns',
  async t => {
    const emit = beAPage(t)
    const room = new Room()
    await using server = await serve(() => room, { port: 0 })
    await using conn = connect<Room>(server.url, { reconnect: { delay: 1, maxDelay: 1 } })
    t.equal(await conn.root.now(), 'now')
    const interrupted = new Promise(resolve => conn.on('interrupted', resolve))
    emit('pagehide', true)
    t.match(await interrupted, { message: /back\/forward cache/ })
    await waitUntil(() => room.session!.state === 'interrupted')
    emit('online')
    t.equal(conn.state, 'interrupted', 'it makes no attempt there')
    const answer = conn.root.now()
    emit('pageshow', true)
    t.equal(await answer, 'now')
    emit('pageshow', true)
    emit('pageshow', false)
    t.equal(await conn.root.now(), 'now')
    t.equal(room.ended, undefined)

    // During an attempt.
    const chaos = await ChaosProxy.inFrontOf(server.url, 1)
    const other = connect<Room>(chaos.url, { reconnect: { delay: 1, maxDelay: 1 } })
    await other.opened
    chaos.cutAll()
    await waitUntil(() => other.state === 'interrupted')
    emit('pagehide', true)
    emit('pageshow', true)
    t.equal(await other.root.now(), 'now')
    await assertClean(t, other.session, conn.session)
    await other.close()
    await chaos.close()
  }
)

t.test(
  'a page that stays in the cache for longer than its session makes no attempt until it returns',
  async t => {
    const emit = beAPage(t)
    const room = new Room()
    await using server = await serve(() => room, { port: 0, resumeWindow: 50 })
    const conn = connect<Room>(server.url)
    await conn.root.now()
    emit('pagehide', true)
    t.match(await room.session!.closed, { code: 'connection-lost' })
    // The client's own resume window of 50 ms ends by then, too.
    await new Promise(resolve => setTimeout(resolve, 100))
    t.equal(server.metrics.clientsRefused, 0, 'no attempt')
    t.equal(conn.state, 'interrupted')
    emit('pageshow', true)
    t.match(await conn.closed, { code: 'session-lost' })
    t.equal(server.metrics.clientsRefused, 1)
    await assertClean(t, conn.session)
  }
)

t.test('a page in the cache has no socket, also while its connection moves to another server', async t => {
  const emit = beAPage(t)
  let goOn = (_: string) => {}
  const slow = { ask: () => new Promise<string>(resolve => (goOn = resolve)), now: () => 'first' }
  const server = await serve(slow, { port: 0 })
  const { port } = server
  const conn = connect<typeof slow>(server.url, { renew: true, reconnect: { delay: 1, maxDelay: 5 } })
  const call = conn.root.ask()
  await conn.ping()
  const old = conn.session
  const [served] = server.sessions
  const closed = server.close({ drain: 20_000 })
  await new Promise<void>(resolve => conn.on('leaving', () => resolve()))
  emit('pagehide', true)
  await waitUntil(() => served!.state === 'interrupted')
  await using next = await serve({ ask: slow.ask, now: () => 'second' }, { port })
  await new Promise(resolve => setTimeout(resolve, 50))
  t.equal(next.metrics.sessionsTotal + next.metrics.clientsRefused, 0, 'no attempt')
  emit('pageshow', true)
  t.equal(await conn.root.now(), 'second')
  goOn('late')
  t.match(await rejectionOf(call), { code: 'may-have-run' }, 'the server that has gone away cannot resume')
  await closed
  await assertClean(t, conn.session, old, ...next.sessions)
  await conn.close()
})

t.test('the network changes: a silent server is noticed soon, one that answers is kept', async t => {
  const emit = beAPage(t)
  const room = new Room()
  await using server = await serve(() => room, { port: 0 })
  await using conn = connect<Room>(server.url, { heartbeat: 200 })
  emit('offline')
  await conn.opened
  emit('offline')
  emit('online')
  await conn.ping()
  t.equal(conn.state, 'open')
  await assertClean(t, conn.session, room.session!)
})

t.test('Node has no such events', async () => {
  followPage({ close() {}, suspend() {}, resume() {}, probe() {} })()
})

t.test('`opened`, `open` and `state` say how far a connection is', async t => {
  await using server = await serve(Room, { port: 0 })
  const chaos = await ChaosProxy.inFrontOf(server.url, 1)
  const conn = connect<Room>(chaos.url, { reconnect: { delay: 1, maxDelay: 1 }, renew: true })
  const events: string[] = []
  conn.on('open', () => events.push('open'))
  conn.on('renewed', () => events.push('renewed'))
  const off = conn.on('state', state => {
    events.push(`state ${state}`)
    t.equal(conn.state, state)
  })
  const served = new Promise<Session>(resolve => server.on('session', resolve))
  t.equal(conn.state, 'connecting')
  await conn.opened
  t.equal(conn.state, 'open')
  const states: string[] = []
  const session = await served
  session.on('state', state => states.push(state))
  chaos.cutAll()
  await waitUntil(() => conn.state === 'interrupted')
  await conn.root.now()
  await session.close()
  await waitUntil(() => conn.state === 'closed')
  t.same(events, ['open', 'state open', 'state interrupted', 'state open', 'state closed'])
  t.same(states, ['interrupted', 'open', 'closed'])
  off()
  await conn.close()
  await chaos.close()

  const nobody = connect('ws://127.0.0.1:1')
  t.match(await rejectionOf(nobody.opened), {
    code: 'unreachable',
    message: /^opened: the session has ended/
  })
  await nobody.close()
})

t.test('a renewed connection is connecting until the next server accepts it', async t => {
  let server = await serve(Room, { port: 0 })
  const { port } = new URL(server.url)
  const conn = connect<Room>(server.url, { reconnect: { delay: 1, maxDelay: 5 }, renew: true })
  await conn.opened
  const events: string[] = []
  for (const name of ['open', 'renewed', 'closed', 'state'] as const)
    conn.on(name, detail => events.push(typeof detail === 'string' ? `${name} ${detail}` : name))
  const renewed = new Promise(resolve => conn.on('renewed', () => resolve(undefined)))
  await server.close()
  server = await serve(Room, { port: Number(port) })
  await renewed
  t.equal(await conn.root.now(), 'now')
  t.same(events, ['state connecting', 'renewed', 'state open'])
  await assertClean(t, conn.session)
  await conn.close()
  await server.close()
})
