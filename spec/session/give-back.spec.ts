// Specs of giving back what is gone: no failure after the end of a session, and none for a released netref.
import { EventEmitter } from 'node:events'
import t from 'tap'
import { connect, expose, Listeners, Netref, pair, Service, serve } from '../../lib/index.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

class Hub extends Service {
  readonly listeners = new Listeners<() => void>()
  readonly emitter = expose(new EventEmitter())
  exposed_subscribe(listener: Untyped) {
    return this.listeners.add(listener)
  }
  exposed_emitter(): Untyped {
    return this.emitter
  }
  exposed_order() {
    return expose({ cancel: () => 'cancelled', off: (_name: string) => {} })
  }
  async *exposed_rows() {
    yield 1
    yield 2
  }
  exposed_list() {
    return expose([1, 2, 3])
  }
  exposed_never() {
    return new Promise<never>(() => {})
  }
}

t.test('after the end of the session, what gives something back succeeds', async t => {
  const said = t.capture(console, 'error')
  const joined = pair(Hub)
  const root = joined.root as Untyped
  const listener = () => {}
  const [subscription, released, emitter, order] = await Promise.all([
    root.subscribe(listener),
    root.subscribe(() => {}),
    root.emitter(),
    root.order()
  ])
  await emitter.on('tick', listener)
  const started = (await root.rows()) as AsyncGenerator<number>
  await started.next()
  const unstarted = (await root.rows()) as AsyncGenerator<number>
  const list = await root.list()
  const ofList = list[Symbol.asyncIterator]()
  const ofResult = root.rows()[Symbol.asyncIterator]()
  const stream = (await root.rows()) as AsyncGenerator<number>
  const pending = [emitter.off('tick', listener), subscription.cancel()]
  await joined.close()
  t.same(await Promise.all(pending), [undefined, undefined], 'calls that had no answer')
  await subscription.cancel()
  await Netref.oneway(subscription.cancel)()
  for (const remove of ['off', 'removeListener', 'removeEventListener', 'unsubscribe'])
    await emitter[remove]('tick', listener)
  await root.emitter.off(listener)
  for (const iterator of [started, unstarted, ofList, ofResult])
    t.match(await iterator.return(5), { done: true, value: 5 })
  await stream[Symbol.asyncDispose]()
  Netref.release(released)
  Netref.release(subscription)
  Netref.release(started)
  await released.cancel()
  await joined.close()

  const isEnded = { name: 'SessionEndedError', code: 'closed' }
  t.match(await rejectionOf(order.cancel()), isEnded, 'another `cancel` may not be done')
  t.match(await rejectionOf(order.off('tick')), isEnded, 'it takes back no function')
  t.match(await rejectionOf(emitter.on('tick', listener)), isEnded)
  t.match(await rejectionOf(emitter.off), isEnded, 'it is read, not called')
  t.match(await rejectionOf(subscription.other()), isEnded)
  t.match(await rejectionOf(started.throw(new RangeError('x'))), { name: 'RangeError' })
  await assertClean(t, joined.session, joined.served)
  t.same(said(), [])
})

t.test('of a released netref', async t => {
  await using joined = pair(Hub)
  const root = joined.root as Untyped
  const listener = () => {}
  const [subscription, emitter, list] = await Promise.all([
    root.subscribe(listener),
    root.emitter(),
    root.list()
  ])
  await emitter.on('tick', listener)
  const iterator = list[Symbol.asyncIterator]()
  for (const netref of [subscription, emitter, list, subscription]) Netref.release(netref)
  await subscription.cancel()
  t.match(await iterator.return(), { done: true })
  t.match(
    await rejectionOf(emitter.off('tick', listener)),
    { name: 'ReleasedError' },
    'the peer can still call the listener'
  )
  await root.emitter().off('tick', listener)
})

t.test('one-way calls that wait for room', async t => {
  const errors: unknown[] = []
  await using server = await serve(Hub, { port: 0 })
  const conn = connect<Hub>(server.url, { reconnect: false, onError: error => void errors.push(error) })
  const emitter = (await conn.root.emitter()) as Untyped
  const { signal } = new AbortController()
  const off = Netref.oneway(Netref.with(emitter.off, { signal }) as Untyped)('tick', () => {})
  const on = Netref.oneway(Netref.with(emitter.on, { signal }) as Untyped)('tick', () => {})
  await conn.close()
  t.equal(await off, undefined)
  await Promise.resolve(on).catch(() => {})
  await waitUntil(() => server.sessions.size === 0)
  t.same(errors, [])
})

t.test('with `renew`, it is not repeated in the next session', async t => {
  await using server = await serve(Hub, { port: 0 })
  await using conn = connect<Hub>(server.url, { renew: true, reconnect: { delay: 1 } })
  const root = conn.root as Untyped
  await root.list()
  const isEnded = rejectionOf(root.never())
  const off = root.emitter.off(() => {})
  for (const session of server.sessions) (session as Untyped).end({ code: 'session-lost', message: 'test' })
  t.equal(await off, undefined)
  t.match(await isEnded, { code: /may-have-run|closed|session-lost/ })
})
