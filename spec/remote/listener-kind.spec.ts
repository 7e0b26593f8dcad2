// Netrefs to functions as event listeners: event sources call them with `apply`, `call` or `bind`, find them to remove
// them, and are not harmed by one that fails.
import { EventEmitter } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { type ErrorContext, expose, Netref, Service } from '../../lib/index.js'
import { overMemory, overMemoryAndSocket, overSocket, rejectionOf, waitUntil } from '../support/helpers.js'

// biome-ignore lint/suspicious/noExplicitAny: what is called is for the run time to say
type Any = any

class Functions extends Service {
  exposed_join() {
    return Object.assign((...words: unknown[]) => words.join(' '), { call: 'a member' })
  }
  exposed_self() {
    return function (this: unknown) {
      return this === undefined
    }
  }
  exposed_Point() {
    return class Point {
      constructor(
        readonly x: number,
        readonly y: number
      ) {}
      exposed_sum() {
        return this.x + this.y
      }
    }
  }
  exposed_phone() {
    return expose({
      call: (number: number) => `calling ${number}`,
      apply: () => 'applied',
      bind: () => 'bound'
    })
  }
  exposed_same(one: unknown, other: unknown) {
    return one === other
  }
  exposed_run(fn: (...args: unknown[]) => unknown, ...args: unknown[]) {
    return fn(...args)
  }
}

t.test('apply, call and bind of a netref to a function work as those of a function', t =>
  overMemoryAndSocket(
    t,
    () => new Functions(),
    async ({ root }, t) => {
      const join: Any = await root.join()
      t.equal(await join.call(undefined, 'a', 1), 'a 1')
      t.equal(await join.apply({ not: () => 'sent' }, ['a', 1]), 'a 1')
      t.equal(await join.apply(null), '')
      t.equal(await Netref.with(join, { timeout: 10_000 }).call(null, 'a'), 'a')
      t.equal(join.call, join.call)
      const bound = join.bind({ not: 'sent' }, 'a', 'b')
      t.equal(await bound('c'), 'a b c')
      t.equal(await bound.call(undefined, 'c'), 'a b c')
      t.equal(await root.run(bound, 'c'), 'a b c', 'a function bound locally is local')
      t.notOk(await root.same(join, bound))
      t.ok(await root.same(join, join))
      const Point: Any = await root.Point()
      const Right = Point.bind(null, 1)
      t.equal(await new Right(2).sum(), 3)
      t.ok(await (await root.self()).call({ stays: 'here' }), '`this` is not sent')
    }
  )
)

t.test('on an object and on a path they are remote members', t =>
  overMemory(t, new Functions(), async ({ root }) => {
    const phone: Any = await root.phone()
    t.same(
      [await phone.call(110), await phone.apply(), await phone.bind()],
      ['calling 110', 'applied', 'bound']
    )
    t.equal(await (root as Any).phone().call(110), 'calling 110')
    t.match(await rejectionOf((root as Any).join.call(null)), { code: 'not-exposed' })
  })
)

class Sources extends Service {
  readonly emitter = new EventEmitter({ captureRejections: true })
  readonly target = new EventTarget()
  exposed_emitter() {
    return expose(this.emitter)
  }
  exposed_target() {
    return expose(this.target)
  }
  emit(...args: unknown[]) {
    this.emitter.emit('told', ...args)
    this.target.dispatchEvent(new Event('told'))
  }
}

t.test('a netref listens to an EventEmitter and an EventTarget until it is removed', async t => {
  const service = new Sources()
  await overMemoryAndSocket(
    t,
    () => service,
    async ({ root, serverSession }, t) => {
      const received: unknown[] = []
      const emitter: Any = await root.emitter()
      const target: Any = await root.target()
      const listener = (...args: unknown[]) => void received.push(args)
      const happened = async (count: number, ...args: unknown[]) => {
        service.emit(...args)
        await serverSession.ping()
        t.equal(received.splice(0).length, count)
      }
      await emitter.on('told', listener)
      await emitter.once('told', () => void received.push('once'))
      await happened(2, 1, 'two')
      t.equal(service.emitter.listenerCount('told'), 1)
      await emitter.prependOnceListener('told', listener)
      await happened(2)
      await emitter.off('told', listener)
      t.equal(service.emitter.listenerCount('told'), 0, '`off` finds it')

      const handler = expose({ handleEvent: () => void received.push('handled') })
      await target.addEventListener('told', listener)
      await target.addEventListener('told', listener)
      await target.addEventListener('told', handler)
      await target.addEventListener('told', () => void received.push('once'), { once: true })
      await happened(3)
      await happened(2)
      await target.removeEventListener('told', listener)
      await target.removeEventListener('told', handler)
      await happened(0)
    }
  )
})

/** All ways in which Node calls a listener and uses its result. */
function listen({ emitter, target }: Sources, ref: Any, observer: Any): void {
  emitter.on('told', ref)
  emitter.once('told', ref)
  emitter.on('told', ref.bind({}))
  emitter.on('told', Netref.oneway(ref))
  emitter.on('told', Netref.with(ref, { timeout: 10_000 }))
  target.addEventListener('told', ref)
  target.addEventListener('told', ref.bind({}))
  target.addEventListener('told', observer)
  target.addEventListener('told', observer.handleEvent)
  target.addEventListener('told', { handleEvent: ref })
}

class Listening extends Sources {
  exposed_listen(ref: Netref<() => void>, observer: Netref<object>) {
    listen(this, ref, observer)
  }
}

t.test('if a listener fails, or its session has ended, only onError gets the error', async t => {
  const service = new Listening()
  const events: [error: Any, call: string | undefined][] = []
  const onError = (error: unknown, { call }: ErrorContext) => void events.push([error, call])
  const fail = () => {
    throw new RangeError('no room')
  }
  await overSocket(
    t,
    service,
    async (conn, server) => {
      await (conn.root as Any).listen(fail, expose({ handleEvent: fail }))
      service.emit()
      // The one-way call fails at the owner.
      await waitUntil(() => events.length === 9)
      for (const [error] of events.splice(0)) t.match(error, { name: 'RangeError', message: 'no room' })
      const [session] = server.sessions
      await conn.close()
      await session!.closed
      service.emit()
      await waitUntil(() => events.length > 0)
      await turn()
      t.match(events, [[{ name: 'SessionEndedError', code: 'closed' }]], 'one of them reports the error')
    },
    { server: { onError }, client: { onError() {} } }
  )
})

t.test('code that awaits a listener’s call, or handles its rejection, gets the error', async t => {
  const errors: unknown[] = []
  const fail = () => {
    throw new RangeError('no room')
  }
  const service = {
    async run(fn: Any) {
      const emitter = Object.assign(new EventEmitter(), { fn })
      const failed = (error: Error) => error.message
      const event = new Event('told')
      const object = { fn }
      return [
        await emitter.fn().catch(failed),
        await emitter.fn().then(undefined, failed),
        await fn.call(emitter).then(() => 0, failed),
        await fn.call(new EventTarget(), event).catch(failed),
        await object.fn(event).catch(failed),
        await fn.call('text').catch(failed),
        await Promise.resolve(fn.apply(emitter)).catch(failed)
      ]
    }
  }
  await overMemory(
    t,
    service,
    async ({ root }) => {
      t.same(await (root as Any).run(fail), ['no room', undefined, ...Array(5).fill('no room')])
      await waitUntil(() => errors.length > 0)
      t.match(errors, [{ message: 'no room' }], 'except for a listener of rejections only, as Node has one')
    },
    { serving: { onError: error => void errors.push(error) } }
  )
})
