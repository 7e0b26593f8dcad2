// Tests that calls wait for an asynchronous onConnect, and that no method waits for itself.
import { AsyncLocalStorage } from 'node:async_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import {
  callSession,
  connect,
  MemoryIdempotencyStore,
  Netref,
  pair,
  Service,
  type Session,
  serve
} from '../../lib/index.js'
import { assertClean, overMemoryAndSocket, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

t.setTimeout(120_000)

const current = new AsyncLocalStorage<string>()

t.test('calls of the root wait until onConnect settles; its own calls to the peer do not', t => {
  const events: unknown[] = []
  let go = () => {}
  class Home extends Service {
    #user = 'nobody'
    override async onConnect(session: Session) {
      current.enterWith('onConnect')
      const peer = session.root as Untyped
      events.push(await peer.each((n: number) => n + 1), await peer.name())
      for await (const item of peer.items()) events.push(item)
      await new Promise<void>(resolve => (go = resolve))
      this.#user = await peer.name()
      events.push('ready')
    }
    exposed_who() {
      events.push('who')
      return { name: () => this.#user }
    }
    exposed_say(word: string) {
      events.push(word)
      return current.getStore()
    }
    async exposed_read(
      items: AsyncIterable<unknown>,
      later: Promise<unknown>,
      noisy: () => Promise<unknown>
    ) {
      const read: unknown[] = [await later, await noisy()]
      for await (const item of items) read.push(item)
      return read
    }
    get exposed_user() {
      return this.#user
    }
  }
  const service = {
    each: async (fn: (n: number) => Promise<unknown>) => [await fn(1), await fn(2)],
    name: () => 'ann',
    *items() {
      yield* ['an item', 'another']
    }
  }
  return overMemoryAndSocket(
    t,
    () => Home as unknown as object,
    async ({ root, clientSession, serverSession }, t) => {
      await waitUntil(() => events.includes('another'))
      const stop = new AbortController()
      const calls = [
        root.who().name(),
        root.say('one'),
        root.user,
        root.read([1][Symbol.iterator](), Promise.resolve('later'), () => 'noisy')
      ]
      const givenUp = Netref.with(root.say, { signal: stop.signal })('never')
      await Netref.oneway(root.say)('one way')
      calls.push(root.say('last'))
      stop.abort(new RangeError('given up'))
      t.match(await rejectionOf(givenUp), { message: 'given up' })
      await clientSession.ping()
      t.equal(serverSession.stats.pending, 0)
      t.same(
        events.splice(0),
        [[2, 3], 'ann', 'an item', 'another'],
        'its own calls and callbacks are processed at once'
      )
      go()
      t.same(await Promise.all(calls), ['ann', undefined, 'ann', ['later', 'noisy', 1], undefined])
      t.same(events.splice(0), ['ready', 'who', 'one', 'one way', 'last'], 'in their order')
    },
    { service }
  )
})

t.test('calls with an idempotency key wait, too, and run once', async t => {
  let go = () => {}
  let runs = 0
  class Home extends Service {
    override onConnect() {
      return new Promise<void>(resolve => (go = resolve))
    }
    exposed_pay() {
      return ++runs
    }
  }
  const server = await serve(Home, {
    port: 0,
    authenticate: () => 'ann',
    idempotencyStore: new MemoryIdempotencyStore()
  })
  const conn = connect<Home>(server.url)
  const pay = Netref.with(conn.root, { idempotencyKey: 'a' }).pay
  const calls = [pay(), pay()]
  for (let i = 0; i < 5; i++) await conn.ping()
  t.equal(runs, 0)
  go()
  t.same(await Promise.all(calls), [1, 1])
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await server.close()
})

t.test(
  'onConnect that does not settle ends the session after limits.helloMs; one that fails does not',
  async t => {
    const faults: string[] = []
    const onError = (error: unknown) => void faults.push((error as Error).message)
    class Never extends Service {
      override onConnect() {
        return new Promise<void>(() => {})
      }
      exposed_say() {
        faults.push('it ran')
      }
    }
    const server = await serve(Never, { port: 0, onError, limits: { helloMs: 20 } })
    const conn = connect<Never>(server.url)
    const message = 'onConnect did not settle within 20 ms (limits.helloMs)'
    t.match(await rejectionOf(conn.root.say()), { reason: { code: 'service-failed', message } })
    t.same(faults.splice(0), [message])
    await assertClean(t, conn.session)
    await server.close()

    class Failing extends Service {
      override async onConnect() {
        await turn()
        throw new Error('from onConnect')
      }
      exposed_say() {
        return faults.splice(0)
      }
    }
    const failing = pair(Failing, { serving: { onError } })
    t.same(await failing.root.say(), ['from onConnect'], 'onError receives the error, and calls continue')
    await failing.close()
    await assertClean(t, failing.session, failing.served)
  }
)

t.test('a session that ends during onConnect; more calls than may wait', async t => {
  let go = () => {}
  let runs = 0
  class Home extends Service {
    override onConnect(session: Session) {
      if (runs < 0) session.close()
      return new Promise<void>(resolve => (go = resolve))
    }
    exposed_run() {
      return ++runs
    }
  }
  const conn = pair(Home, { serving: { limits: { pendingCalls: 2 } } })
  const calls = [conn.root.run(), conn.root.run(), conn.root.run()].map(call => rejectionOf(call))
  t.match(await calls[2], { code: 'limit', message: /2 calls are pending \(limits.pendingCalls\)/ })
  await conn.close()
  for (const call of calls.slice(0, 2)) t.match(await call, { code: 'closed' })
  go()
  await turn()
  t.equal(runs, 0, 'nothing runs after the end')
  await assertClean(t, conn.session, conn.served)
  runs = -1
  const ended = pair(Home)
  t.match(await rejectionOf(ended.root.run()), { code: 'closed' })
  t.equal(runs, -1)
})

t.test(
  'a method that awaits server.close({ drain }) gets an error, since it would wait for itself',
  async t => {
    const SELF = {
      message:
        /^server\.close\(\{ drain \}\): it would wait for the method that awaits it; do not await it in a method$/
    }
    const DRAIN = { drain: 60_000 }
    const closed: string[] = []
    let close: (options?: typeof DRAIN) => Promise<void> = async () => {}
    const service = {
      async waits() {
        await close(DRAIN)
      },
      returns: () => close(DRAIN),
      async waitsLater() {
        callSession()
        await turn()
        await Promise.all([close(DRAIN)].map(async closing => closing))
      },
      hangsOn() {
        close(DRAIN).then(() => closed.push('hangs on'))
        return 'bye'
      },
      async besides() {
        void this.stop()
        return 'bye'
      },
      async ofAnother() {
        await other.close(DRAIN)
        return 'bye'
      },
      async atOnce() {
        await close()
        closed.push('at once')
      },
      stop: async () => {
        await close(DRAIN)
        closed.push('besides')
      }
    }
    const other = await serve({}, { port: 0 })
    for (const method of [
      'waits',
      'returns',
      'waitsLater',
      'hangsOn',
      'besides',
      'ofAnother',
      'atOnce'
    ] as const) {
      const server = await serve(service, { port: 0 })
      close = options => server.close(options)
      const conn = connect<typeof service>(server.url)
      const call = (conn.root as Untyped)[method]()
      if (method.startsWith('wait') || method === 'returns') t.match(await rejectionOf(call), SELF, method)
      else if (method === 'atOnce') t.match(await rejectionOf(call), { code: 'server-closed' })
      else t.equal(await call, 'bye', method)
      if (method !== 'ofAnother')
        t.match(await conn.closed, { code: 'server-closed' }, 'the server closes nevertheless')
      await server.close()
      await conn.close()
      await assertClean(t, conn.session)
    }
    await waitUntil(() => closed.length === 3)
    t.same(closed, ['hangs on', 'besides', 'at once'])
  }
)
