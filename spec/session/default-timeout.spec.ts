// The default timeout of a session: it covers each call that has a reply, and costs one timer.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { connect, Netref, pair, Service, type Session, serve } from '../../lib/index.js'
import { assertClean, breakableAgent, overMemory, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

class Slow extends Service {
  exposed_never() {
    return new Promise<number>(() => {})
  }
  get exposed_member() {
    return this.exposed_never()
  }
  exposed_open() {
    return new Slow()
  }
  exposed_fine() {
    return 'fine'
  }
  async exposed_late(ms: number) {
    await sleep(ms)
    return 'late'
  }
  async *exposed_items() {
    yield 1
    await sleep(60)
    yield 2
  }
  override onConnect(session: Session) {
    this.session = session
  }
  session: Session | undefined
}

const expected = { name: 'TimeoutError', message: /: no reply within 20 ms$/, mayHaveRun: true }

t.test('calls, reads and calls on arrived netrefs have it; Netref.with overrides it', async t => {
  await using conn = pair<Slow>(Slow, { timeout: 20 })
  const root = conn.root as Untyped
  t.match(await rejectionOf(root.never()), { ...expected, message: 'root.never(): no reply within 20 ms' })
  t.match(await rejectionOf(root.member), expected)
  t.match(await rejectionOf(root.never().first()), expected)
  using opened = await Netref.with(root, { timeout: 1000 }).open()
  t.match(await rejectionOf(opened.never()), expected)
  t.equal(await root.fine(), 'fine')
  for (const timeout of [Infinity, 1000])
    t.equal(await Netref.with(root, { timeout }).late(60), 'late', `with ${timeout} ms`)
  t.match(await rejectionOf(Netref.with(root.never, { timeout: 1 })()), {
    message: 'root.never(): no reply within 1 ms'
  })
  const { signal } = new AbortController()
  t.match(await rejectionOf(Netref.with(root, { signal }).never()), expected, 'other options keep it')
})

t.test('an iterator is covered until it is returned; one-way calls and pings are not', async t => {
  await overMemory(
    t,
    Slow,
    async conn => {
      const items: number[] = []
      for await (const item of conn.root.items()) items.push(item)
      t.same(items, [1, 2])
      const stepwise = (await conn.root.items()) as unknown as AsyncGenerator<number>
      await stepwise.next('go' as never)
      t.match(await stepwise.next('on' as never), { value: 2 })
      await stepwise.return(undefined)
      conn.transports[1].hold()
      const ping = conn.ping()
      await Netref.oneway(conn.root.fine)()
      await sleep(60)
      conn.transports[1].letGo()
      t.ok((await ping) >= 20)
    },
    { timeout: 20 }
  )
})

t.test('a server may have one for its calls of clients', async t => {
  const sessions: Session[] = []
  await using server = await serve(Slow, { port: 0, timeout: 20 })
  server.on('session', session => void sessions.push(session))
  await using conn = connect<Slow>(server.url, { service: new Slow() })
  await conn.ping()
  t.match(await rejectionOf((sessions[0]!.root as Untyped).never()), expected)
})

t.test('a call that waits for a connection expires unsent, and so do calls on its result', async t => {
  const service = new Slow()
  await using server = await serve(service, { port: 0 })
  const { agent, die } = breakableAgent()
  await using conn = connect<Slow>(server.url, { agent, timeout: 20, reconnect: { delay: 200 } })
  await conn.ping()
  die()
  await waitUntil(() => conn.state === 'interrupted')
  const open = conn.root.open()
  const fine = rejectionOf(open.fine())
  t.match(await rejectionOf(open), { ...expected, mayHaveRun: false })
  t.match(await fine, { ...expected, mayHaveRun: false })
  await waitUntil(() => conn.state === 'open')
  await assertClean(t, conn.session, ...server.sessions)
})

t.test('replies that have arrived while the process was busy are read first', async t => {
  await using server = await serve(new Slow(), { port: 0 })
  await using conn = connect<Slow>(server.url, { timeout: 30 })
  await conn.ping()
  const late = conn.root.late(1)
  await conn.ping()
  await sleep(10)
  for (const end = performance.now() + 50; performance.now() < end; );
  t.equal(await late, 'late')
})

t.test('calls expire one after the other, and the end of the session stops the timer', async t => {
  const conn = pair<Slow>(Slow, { timeout: 300 })
  const first = rejectionOf(conn.root.never())
  await sleep(150)
  const began = performance.now()
  const second = rejectionOf(conn.root.never())
  t.match(await first, { name: 'TimeoutError' })
  t.match(await second, { name: 'TimeoutError' })
  t.ok(performance.now() - began >= 299)
  const third = rejectionOf(conn.root.never())
  await conn.close()
  t.match(await third, { name: 'SessionEndedError' })
  t.match(await rejectionOf(conn.root.never()), { name: 'SessionEndedError' })
})

t.test('invalid timeouts are refused', async t => {
  t.throws(() => pair(Slow, { timeout: 0 }), {
    name: 'RangeError',
    message: /^pair: timeout: with 0 .*Infinity means no timeout/
  })
  for (const timeout of [-1, Number.NaN, 2 ** 31, '5' as never])
    t.throws(() => connect('ws://localhost:1', { timeout }), {
      name: 'RangeError',
      message: /^connect: timeout: /
    })
  await pair(Slow, { timeout: Infinity }).close()
})
