// Specs of `Listeners`: who is called, who is dropped and why, and how a subscription is given back.
import t from 'tap'
import {
  callSignal,
  connect,
  expose,
  Listeners,
  Netref,
  pair,
  type Session,
  type Subscription
} from '../../lib/index.js'
import {
  assertClean,
  breakableAgent,
  overMemory,
  overMemoryAndSocket,
  overSocket,
  waitUntil
} from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

type Listener = (price: number) => unknown

/** A service with listeners, and the reasons for which it has dropped some. */
function createTicker(timeout?: number) {
  const gone: [listener: unknown, error: Error][] = []
  const listeners = new Listeners<Listener>({ timeout, onGone: (...dropped) => void gone.push(dropped) })
  return {
    gone,
    listeners,
    subscribe: (listener: Netref<Listener>) => listeners.add(listener),
    publish: (price: number) => listeners.emit(price)
  }
}

const never = () => new Promise<never>(() => {})

/** A listener of a peer that answers when its call is cancelled. */
const untilCancelled = () =>
  new Promise<never>((_, reject) =>
    callSignal().addEventListener('abort', () => reject(new Error('cancelled')))
  )

/** What `onGone` was told, without the listeners, which would stay in the tables. */
const errorsOf = ({ gone }: { gone: [unknown, Error][] }) => gone.splice(0).map(([, error]) => error)

t.test('listeners get each event in order until they are given back', t => {
  const ticker = createTicker()
  return overMemoryAndSocket(
    t,
    () => ticker,
    async ({ root }, t) => {
      const prices: number[] = []
      const listener = (price: number) => prices.push(price)
      const subscription = await root.subscribe(listener)
      t.equal(await root.subscribe(listener), subscription, 'one that is added again is called once')
      for (const price of [1, 2, 3]) await root.publish(price)
      t.same(prices, [1, 2, 3], 'each event arrives before the reply to the call that emits it')
      t.equal(ticker.listeners.size, 1)
      t.match(String([...ticker.listeners]), 'Netref')
      await subscription.cancel()
      await subscription.cancel()
      await root.publish(4)
      t.same(prices, [1, 2, 3])
      t.same([ticker.listeners.size, ticker.gone], [0, []], 'a cancelled one is not gone')
      t.same(await Netref.keys(subscription), ['cancel'])
      const again = await root.subscribe(listener)
      t.not(again, subscription, 'a cancelled one may be added again')
      Netref.release(subscription)
      Netref.release(again)
      await root.publish(5)
      t.same([prices, ticker.listeners.size], [[1, 2, 3], 0], 'explicit release cancels')
      await again.cancel()
      t.pass('a released subscription is given back already')
    }
  )
})

t.test('the garbage collector does not cancel', t => {
  const ticker = createTicker()
  return overMemory(t, ticker, async ({ root, served }) => {
    let count = 0
    await root.subscribe(() => ++count)
    await waitUntil(() => {
      gc()
      return served.stats.exports === 0
    })
    await root.publish(1)
    t.same([count, ticker.listeners.size], [1, 1])
    ticker.listeners.emit(2)
    for (const listener of ticker.listeners) (await ticker.listeners.add(listener)).cancel()
  })
})
declare const gc: () => void

t.test('a listener whose session has ended is dropped, and told to onGone', async t => {
  const ticker = createTicker()
  const first = pair(ticker)
  const second = pair(ticker)
  const prices: number[] = []
  const subscription = await first.root.subscribe(untilCancelled)
  await second.root.subscribe(price => prices.push(price))
  ticker.listeners.emit(1)
  await first.close()
  t.equal(ticker.listeners.size, 1)
  const [[listener, error]] = ticker.gone as [[unknown, Error]]
  t.match(String(listener), '[Netref untilCancelled#')
  t.match(error, { name: 'SessionEndedError', code: 'closed' })
  ticker.listeners.emit(2)
  await second.ping()
  t.same(prices, [1, 2])
  await subscription.cancel()
  t.pass('after the end of the session there is nothing left to cancel')
  await second.close()
  t.equal(ticker.gone.length, 2)

  ticker.listeners.add(listener as Untyped)
  await waitUntil(() => ticker.gone.length === 3)
  t.equal(ticker.listeners.size, 0, 'one of an ended session is dropped at once')
  await assertClean(t, first.session, first.served, second.session, second.served)
})

t.test('a listener that is released is dropped', t => {
  const ticker = createTicker()
  const service = { ...ticker, lend: (listener: Netref<Listener>) => void ticker.listeners.add(listener) }
  return overMemory(t, service, async ({ root, served }) => {
    await root.lend(Netref.lend(untilCancelled))
    ticker.listeners.emit(1)
    await waitUntil(() => ticker.listeners.size === 0)
    t.match(ticker.gone, [
      [Function, { name: 'ReleasedError', message: /was lent for a call that has ended/ }]
    ])
    await served.ping()
  })
})

t.test('a listener that is slower than the timeout is dropped, and holds up no other', t => {
  const ticker = createTicker(50)
  return overMemory(t, ticker, async ({ root }) => {
    const prices: number[] = []
    const signals: unknown[] = []
    await root.subscribe(price => prices.push(price))
    await root.subscribe(untilCancelled)
    const local = ticker.listeners.add(never)
    await root.publish(1)
    await root.publish(2)
    t.same([prices, ticker.listeners.size], [[1, 2], 3])
    await waitUntil(() => ticker.listeners.size === 1)
    t.match(errorsOf(ticker), [
      { name: 'TimeoutError', message: /^the listener untilCancelled#\d has not answered within 50 ms$/ },
      { name: 'TimeoutError', message: 'a local listener has not answered within 50 ms' }
    ])
    local.cancel()
    await root.publish(3)
    t.same([prices, signals], [[1, 2, 3], []])
    for (const listener of ticker.listeners) ticker.listeners.add(listener).cancel()
  })
})

t.test('the timeout is for one call, not for those that follow it', async t => {
  const { listeners, gone } = createTicker(200)
  const answers: (() => void)[] = []
  const subscription = listeners.add(() => new Promise<void>(resolve => answers.push(resolve)))
  const began = performance.now()
  listeners.emit(1)
  while (performance.now() - began < 500) {
    listeners.emit(2)
    await new Promise(resolve => setTimeout(resolve, 20))
    answers.shift()!()
  }
  t.same([listeners.size, gone], [1, []])
  listeners.emit(3)
  answers.pop()!()
  await new Promise(resolve => setTimeout(resolve, 5))
  for (const answer of answers) answer()
  await new Promise(resolve => setTimeout(resolve, 250))
  t.same([listeners.size, gone], [1, []], 'no deadline runs without calls')
  subscription.cancel()
})

t.test('a listener that sleeps without a socket does not hold up emit', t => {
  const ticker = createTicker(100)
  return overSocket(t, ticker, async ({ root }, server) => {
    const { agent, die } = breakableAgent()
    const asleep = connect<typeof ticker>(server.url, { agent, reconnect: { delay: 60_000 } })
    const prices: number[] = []
    await asleep.root.subscribe(() => {})
    await root.subscribe(price => prices.push(price))
    die()
    await waitUntil(() => [...server.sessions].some(({ state }) => state === 'interrupted'))
    await root.publish(1)
    t.same(prices, [1])
    await waitUntil(() => ticker.listeners.size === 1)
    t.match(errorsOf(ticker), [{ name: 'TimeoutError' }])
    await asleep.close()
    for (const session of server.sessions) if (session.state === 'interrupted') await session.close()
    for (const listener of ticker.listeners) ticker.listeners.add(listener).cancel()
  })
})

t.test('what waits for a slow listener is bounded', async t => {
  const ticker = createTicker()
  await overMemory(t, ticker, async ({ root }) => {
    await root.subscribe(untilCancelled)
    for (let i = 0; i <= 10_000; i++) ticker.listeners.emit(i)
    t.match(errorsOf(ticker), [{ name: 'LimitError', message: /has not answered 10000 calls$/ }])
    await root.publish(1)
  })
  const big = createTicker()
  const limits = { bufferedBytes: 20_000, jsonBytes: 8192 }
  await overMemory(
    t,
    big,
    async ({ root, transports }) => {
      await root.subscribe(untilCancelled)
      transports[1].hold()
      for (let i = 0; i < 10; i++) big.listeners.emit('x'.repeat(4000) as Untyped)
      await waitUntil(() => big.listeners.size === 0)
      t.match(errorsOf(big), [{ name: 'LimitError', message: /limits\.bufferedBytes/ }])
      transports[1].letGo()
    },
    { serving: { limits, onError: () => {} } }
  )
})

t.test('a peer that refuses an event for a limit is too slow', t => {
  const ticker = createTicker()
  return overMemory(
    t,
    ticker,
    async ({ root }) => {
      await root.subscribe(untilCancelled)
      for (let i = 0; i < 5; i++) ticker.listeners.emit(i)
      await waitUntil(() => ticker.listeners.size === 0)
      t.match(errorsOf(ticker), [{ name: 'LimitError', message: /limits\.pendingCalls/ }])
      await root.publish(1)
    },
    { limits: { pendingCalls: 3 } }
  )
})

t.test('a listener that fails breaks no other, and is not dropped', t => {
  const said = t.capture(console, 'error')
  const errors: [string, string | undefined][] = []
  const ticker = createTicker()
  const onError = (error: unknown, { call }: { call?: string | undefined }) => {
    errors.push([String(error), call?.replace(/#\d/, '')])
  }
  return overMemory(
    t,
    ticker,
    async ({ root }) => {
      const prices: number[] = []
      const local = [
        ticker.listeners.add(() => {
          throw new Error('local')
        }),
        ticker.listeners.add(() => Promise.reject(new Error('local, later')))
      ]
      await root.subscribe(function fail() {
        throw new Error('remote')
      })
      await root.subscribe(price => prices.push(price))
      t.equal(ticker.listeners.emit(1), undefined)
      ;(ticker.listeners.emit as Untyped)(Symbol('unsendable'))
      await root.publish(2)
      t.same(prices, [1, 2])
      t.equal(ticker.listeners.size, 4)
      await waitUntil(() => errors.length === 4)
      t.same(
        errors.filter(([error]) => error === 'Error: remote'),
        Array(2)
          .fill(['Error: remote', 'fail(…)'])
          .map((_, i) => ['Error: remote', `fail(${i + 1})`])
      )
      t.equal(errors.filter(([error]) => error.startsWith('UnsendableError')).length, 2)
      t.same(
        said()
          .map(({ args }) => args[0])
          .slice(0, 2),
        ['netref: a listener failed: Error: local', 'netref: a listener failed: Error: local']
      )
      for (const subscription of local) subscription.cancel()
      for (const listener of ticker.listeners) ticker.listeners.add(listener).cancel()
    },
    { serving: { onError } }
  )
})

t.test('a listener may cancel itself and others while it is called', async t => {
  const calls: string[] = []
  const listeners = new Listeners<() => unknown>()
  const subscriptions: Subscription[] = [
    listeners.add(() => {
      calls.push('first')
      for (const subscription of subscriptions) subscription.cancel()
      return Promise.reject(new Error('ignored: it was cancelled'))
    }),
    listeners.add(() => calls.push('second'))
  ]
  listeners.emit()
  listeners.emit()
  await new Promise(setImmediate)
  t.same([calls, listeners.size], [['first'], 0])
})

t.test('an onGone that throws is reported', async t => {
  const said = t.capture(console, 'error')
  const errors: unknown[] = []
  const onGone = () => {
    throw new Error('onGone')
  }
  const listeners = new Listeners<Listener>({ timeout: 1, onGone })
  listeners.add(never)
  listeners.emit(1)
  await waitUntil(() => listeners.size === 0)
  t.same(
    said().map(({ args }) => args[0]),
    ['netref: a listener failed: Error: onGone']
  )
  const onError = (error: unknown) => void errors.push(error)
  const joined = pair(
    { subscribe: (listener: Netref<Listener>) => listeners.add(listener) },
    { serving: { onError } }
  )
  await joined.root.subscribe(() => {})
  await joined.close()
  t.match(errors, [{ message: 'onGone' }])
  await assertClean(t, joined.session, joined.served)
})

t.test('a path is a listener, too, and options of a view hold', async t => {
  const prices: number[] = []
  const listeners = new Listeners<Listener>()
  let session: Session<{ show: Listener }> | undefined
  const service = { start: () => {} }
  await overMemory(
    t,
    () => service,
    async ({ root, served }) => {
      await root.start()
      session = served as Untyped as Session<{ show: Listener }>
      const path = listeners.add(session.root.show)
      const view = listeners.add(Netref.with(session.root.show, { timeout: 1000 }))
      listeners.emit(7)
      await root.start()
      t.same(prices, [7, 7])
      path.cancel()
      view.cancel()
    },
    { service: { show: (price: number) => prices.push(price) } }
  )
})

t.test('invalid listeners and options are refused', async t => {
  const untyped = Listeners as Untyped
  t.throws(() => new untyped({ timout: 5 }), { name: 'TypeError', message: /no option `timout`.*timeout/ })
  t.throws(() => new untyped({ timeout: -1 }), { name: 'RangeError', message: /^timeout: -1 is not a time/ })
  t.throws(() => new untyped({ onGone: 5 }), {
    name: 'TypeError',
    message: /`onGone` takes a function, not 5/
  })
  await overMemory(
    t,
    { subscribe: (listener: Untyped) => void new Listeners().add(listener) },
    async ({ root }) => {
      const message = /^Listeners\.add: the listener must be a function or a netref to one, not /
      await t.rejects(root.subscribe(5), { name: 'TypeError', message })
      await t.rejects(root.subscribe(expose({})), { name: 'TypeError', message })
    }
  )
})
