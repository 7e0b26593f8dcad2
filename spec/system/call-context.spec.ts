// Tests the call context of a handler after its first `await`, and the context of callbacks.
import { AsyncLocalStorage } from 'node:async_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import {
  callSession,
  callSignal,
  connect,
  expose,
  exposed,
  Netref,
  Service,
  type Session,
  serve
} from '../../lib/index.js'
import { assertClean, overMemory, overMemoryAndSocket, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

t.setTimeout(120_000)

const OUTSIDE = {
  message: /^callS\w+\(\): no call of a peer is running here; call it before the first `await`/
}

// This must be first: nothing has asked for a call context in this process yet.
t.test('the context of the first call of a process lasts for the whole call', t => {
  const gates: (() => void)[] = []
  class Home extends Service {
    async exposed_first() {
      const session = callSession()
      await turn()
      return this.#isStill(session)
    }
    async exposed_begun() {
      await new Promise<void>(resolve => gates.push(resolve))
      callSession()
    }
    async #isStill(session: Session) {
      await null
      return callSession() === session && !callSignal().aborted
    }
  }
  return overMemory(t, new Home(), async ({ root }) => {
    const begun = root.begun()
    await waitUntil(() => gates.length === 1)
    t.equal(await root.first(), true)
    gates[0]!()
    t.match(await rejectionOf(begun), OUTSIDE, 'a call that was already running is not followed')
    t.throws(callSession, OUTSIDE)
    t.throws(callSignal, OUTSIDE)
  })
})

t.test('generators and streams have the context of their call', async t => {
  const signals: AbortSignal[] = []
  const who = (session: Session) => {
    signals.push(callSignal())
    return callSession() === session
  }
  class Home extends Service {
    #session!: Session
    override onConnect(session: Session) {
      this.#session = session
    }
    async *exposed_items() {
      yield who(this.#session)
      await turn()
      yield who(this.#session)
    }
    *exposed_steps() {
      yield who(this.#session)
      yield who(this.#session)
    }
    exposed_stream() {
      const pull = async (controller: ReadableStreamDefaultController) => {
        controller.enqueue(who(this.#session))
        await turn()
        controller.enqueue(who(this.#session))
        controller.close()
      }
      return new ReadableStream({ pull }, { highWaterMark: 0 })
    }
  }
  for (const window of [1, 16]) {
    const past: AbortSignal[] = []
    await overMemoryAndSocket(
      t,
      () => new Home(),
      async ({ root }, t) => {
        for (const make of ['items', 'steps', 'stream']) {
          const made = []
          for await (const item of await Netref.with(root, { window })[make]()) made.push(item)
          t.same(made, [true, true], make)
        }
        t.notOk(signals.some(signal => signal.aborted))
        past.push(...signals.splice(0))
      }
    )
    t.ok(past.length === 12 && past.every(signal => signal.aborted), 'the end of the session aborts')
  }
})

t.test('close() called from a generator does not wait for that generator', async t => {
  let close = async (): Promise<void> => {}
  const items = async function* () {
    callSession()
    yield 1
    await close()
  }
  const server = await serve(expose({ items }), { port: 0 })
  close = () => server.close({ drain: 10_000 })
  await using conn = connect<Untyped>(server.url)
  await conn.ping()
  const [theirs] = server.sessions
  const it = conn.root.items()[Symbol.asyncIterator]()
  t.match(await it.next(), { value: 1 })
  t.match(await rejectionOf(it.next()), { code: 'server-closed' })
  await assertClean(t, conn.session, theirs!)
})

t.test('callSession() and callSignal() work during the whole call', t => {
  const gates: (() => void)[] = []
  const signals: AbortSignal[] = []
  const sessions: Session[] = []
  let late: (() => unknown)[] = []
  class Home extends Service {
    async exposed_who(back: Netref<() => Promise<void>>) {
      await turn()
      sessions.push(callSession())
      await back()
      sessions.push(await this.#deeper())
    }
    async #deeper() {
      await null
      return callSession()
    }
    async exposed_wait() {
      await new Promise<void>(resolve => gates.push(resolve))
      signals.push(callSignal())
      const signal = callSignal()
      if (!signal.aborted) await new Promise(resolve => signal.addEventListener('abort', resolve))
    }
    async exposed_later() {
      await turn()
      late.push(
        AsyncLocalStorage.bind(() => callSession()),
        AsyncLocalStorage.bind(() => callSignal())
      )
    }
    exposed_atOnce() {
      signals.push(callSignal())
      late.push(AsyncLocalStorage.bind(() => callSignal()))
    }
  }
  return overMemoryAndSocket(
    t,
    () => new Home(),
    async ({ root, clientSession, serverSession }, t) => {
      sessions.length = signals.length = gates.length = 0
      const back = async () => {
        await turn()
        t.equal(callSession(), clientSession, 'a callback is called by the other side')
      }
      await Promise.all(Array.from({ length: 20 }, () => root.who(back)))
      t.equal(sessions.length, 40)
      t.ok(sessions.every(session => session === serverSession))

      const [stop, other] = [new AbortController(), new AbortController()]
      const calls = [stop, stop, other].map(({ signal }) => rejectionOf(Netref.with(root.wait, { signal })()))
      await waitUntil(() => gates.length === 3)
      gates[0]!()
      gates[2]!()
      await waitUntil(() => signals.length === 2)
      stop.abort(new RangeError('enough'))
      await Promise.all(calls.slice(0, 2))
      await waitUntil(() => signals[0]!.aborted)
      t.match(signals[0]!.reason, { name: 'RangeError', message: 'enough' })
      t.equal(signals[1]!.aborted, false, 'another call does not affect it')
      gates[1]!()
      await waitUntil(() => signals.length === 3)
      t.match(
        signals[2]!.reason,
        { message: 'enough' },
        'the signal is available after the cancellation, too'
      )
      const last = new AbortController()
      calls.push(rejectionOf(Netref.with(root.wait, { signal: last.signal })()))
      await waitUntil(() => gates.length === 4)
      last.abort(expose({ why: () => 'enough' }))
      await calls.at(-1)
      await clientSession.ping()
      gates[3]!()
      await waitUntil(() => signals.length === 4)
      t.match(signals[3]!.reason, { name: 'AbortError' }, 'but not a reason with references')
      other.abort()
      await Promise.all(calls)
      await waitUntil(() => signals[1]!.aborted)

      await Netref.oneway(root.later)()
      await waitUntil(() => late.length === 2)
      await root.later()
      await root.atOnce()
      const [session, , , signal, another] = late
      t.equal(session!(), serverSession, 'code started by a call can get its session')
      for (const ask of [signal!, another!])
        t.throws(ask, { message: 'callSignal(): the call has ended; get the signal before that' })
      late = []
    }
  )
})

t.test('after the session ends, callbacks still see its call context, and an aborted signal', async t => {
  let go = () => {}
  const told = new Promise<void>(resolve => {
    go = resolve
  })
  const received: unknown[] = []
  const service = {
    async wait() {
      await told
      received.push(callSession().state, callSignal().reason)
    }
  }
  const server = await serve(service, { port: 0, resumeWindow: 0 })
  const conn = connect<typeof service>(server.url)
  const call = rejectionOf(conn.root.wait())
  await conn.ping()
  await conn.close()
  await call
  await waitUntil(() => server.sessions.size === 0)
  go()
  await waitUntil(() => received.length === 2)
  t.match(received, ['closed', { name: 'SessionEndedError' }])
  await assertClean(t, conn.session)
  await server.close()
})

const current = new AsyncLocalStorage<string>()

t.test('each run of a callback has a copy of the context of its call', t => {
  const kept: Untyped[] = []
  class Home extends Service {
    exposed_keep(...things: unknown[]) {
      kept.push(...things)
      return things.length
    }
    exposed_call(fn: Untyped) {
      return fn()
    }
    async exposed_read(items: AsyncIterable<unknown>) {
      const read: unknown[] = []
      for await (const item of items) read.push(item)
      return read
    }
    exposed_make() {
      return () => current.getStore()
    }
  }
  return overMemoryAndSocket(
    t,
    () => new Home(),
    async ({ root, serverSession }, t) => {
      kept.length = 0
      const who = () => current.getStore()
      const enter = () => current.enterWith('entered')
      const later = async () => {
        await turn()
        return who()
      }
      for (const name of ['ann', 'bob'])
        await current.run(name, () => root.keep(() => current.getStore(), expose({ who, later, enter })))
      const called: unknown[] = []
      for (const [fn, observer] of [kept.slice(0, 2), kept.slice(2)] as Untyped[][]) {
        await observer!.enter()
        called.push(await fn!(), await observer!.who(), await observer!.later())
      }
      t.same(called, ['ann', 'ann', 'ann', 'bob', 'bob', 'bob'])

      t.equal(await current.run('carl', () => root.call(who)), 'carl')
      const shared = await Promise.all([current.run('dora', () => root.keep(who)), root.keep(who)])
      t.same(shared, [1, 1])
      t.equal(await kept.at(-1)!(), undefined, 'for a function passed twice, the context of the last call')
      function* items() {
        for (let i = 0; i < 3; i++) yield current.getStore()
      }
      async function* slowly() {
        for (let i = 0; i < 3; i++) {
          await turn()
          yield current.getStore()
        }
      }
      for (const make of [items, slowly])
        t.same(await current.run('emil', () => root.read(make())), ['emil', 'emil', 'emil'])
      t.equal(
        await (await current.run('ours', () => root.make()))(),
        undefined,
        'but not the result of a call'
      )
      t.ok(serverSession.stats.imports > 0)
      for (const thing of kept.splice(0)) Netref.release(thing)
    }
  )
})

t.test('a call retried in another session keeps the context of its callbacks', async t => {
  let called = 0
  class Home extends Service {
    @exposed({ idempotent: true }) use(fn: Netref<() => string | undefined>): unknown {
      called++
      return called === 1 ? new Promise(() => {}) : fn()
    }
  }
  const one = await serve(Home, { port: 0, resumeWindow: 0 })
  const conn = connect<Home>(one.url, { renew: true, reconnect: { delay: 1, maxDelay: 5 } })
  const call = current.run('ann', () => conn.root.use(() => current.getStore()))
  await waitUntil(() => called === 1)
  const port = Number(new URL(one.url).port)
  await one.close()
  const two = await serve(Home, { port })
  t.equal(await call, 'ann')
  await assertClean(t, conn.session, ...two.sessions)
  await conn.close()
  await two.close()
})
