// `Netref.lend`: a loan exists until the call settles in any way, and nothing of it is left after that.
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { connect, expose, exposed, Netref, pair, Service, serve } from '../../lib/index.js'
import {
  assertClean,
  breakableAgent,
  overMemory,
  overMemoryAndSocket,
  overSocket,
  rejectionOf,
  type SessionEnds,
  waitUntil
} from '../support/helpers.js'

// biome-ignore lint/suspicious/noExplicitAny: what is called is for the run time to say
type Any = any

class Thing {
  readonly #size = 7
  exposed_size() {
    return this.#size
  }
  get next() {
    return this.#size
  }
}

/** Keeps what it is given, and does what it is told with it. */
class Keeper extends Service {
  kept: Any
  exposed_use(fn: Any, ...args: unknown[]) {
    this.kept = fn
    return fn(...args)
  }
  exposed_keep(value: unknown) {
    this.kept = value
  }
  exposed_kept() {
    return this.kept
  }
  /** Gates that pending calls wait for, one each. */
  readonly opens: (() => void)[] = []
  async exposed_hold(value: Any) {
    this.kept = value
    await new Promise<void>(open => this.opens.push(open))
    return value
  }
  open() {
    this.opens.shift()!()
  }
  exposed_fail(value: unknown) {
    this.kept = value
    throw new RangeError('no')
  }
  exposed_same(one: unknown, other: unknown) {
    this.kept = one
    return one === other
  }
  async *exposed_lines(fn: Any) {
    yield 1
    yield fn()
  }
  exposed_Point() {
    return class {
      constructor(readonly fn: Any) {}
      exposed_run() {
        return this.fn()
      }
    }
  }
  exposed_deep(value: Any) {
    this.kept = value.list[0].get('fn')
    return this.kept()
  }
}

/** No reference is held on either side, without a collection. */
const nothingHeld = async (
  t: Test,
  { clientSession, serverSession }: Pick<SessionEnds, 'clientSession' | 'serverSession'>
) => {
  await clientSession.ping()
  t.same([clientSession.stats.exports, serverSession.stats.imports], [0, 0], 'no reference is held')
}

t.test('a loan ends with its call', async t => {
  const keeper = new Keeper()
  await overMemoryAndSocket(
    t,
    () => keeper,
    async joined => {
      const { root } = joined
      const add = (a: number, b: number) => a + b
      t.equal(await root.use(Netref.lend(add), 1, 2), 3)
      await nothingHeld(t, joined)
      const message = /was lent for a call that has ended: pass it without Netref\.lend to keep it$/
      t.match(await rejectionOf(keeper.kept(1, 2)), { name: 'ReleasedError', code: 'released', message })

      const thing = new Thing()
      const call = root.hold(Netref.lend(thing))
      await joined.clientSession.ping()
      t.equal(await keeper.kept.size(), 7, 'an object')
      keeper.open()
      t.equal(await call, thing, 'the owner receives the original')
      await waitUntil(() => joined.clientSession.stats.exports === 0)
      await nothingHeld(t, joined)
      t.match(await rejectionOf(keeper.kept.size()), { code: 'released' })

      t.equal(
        await root.deep({ list: [new Map([['fn', Netref.lend(() => 'deep')]])] }),
        'deep',
        'at any depth'
      )
      t.match(await rejectionOf(keeper.kept()), { code: 'released' })
      const Point = await root.Point()
      const point = await new Point(Netref.lend(() => 1))
      t.match(await rejectionOf(point.run()), { code: 'released' }, 'a construction is a call')
      Netref.release(point)
      Netref.release(Point)
      await nothingHeld(t, joined)
    }
  )
})

t.test('a call that fails, is rejected or is cancelled ends its loans, too', async t => {
  const keeper = new Keeper()
  await overMemoryAndSocket(
    t,
    () => keeper,
    async joined => {
      const { root, clientSession } = joined
      t.match(await rejectionOf(root.fail(Netref.lend(() => {}))), { name: 'RangeError' })
      await nothingHeld(t, joined)
      t.match(await rejectionOf(root.nothing(Netref.lend(() => {}))), { code: 'not-exposed' })
      await nothingHeld(t, joined)

      const controller = new AbortController()
      const call = Netref.with(root, { signal: controller.signal }).hold(Netref.lend(() => 1))
      await clientSession.ping()
      t.equal(clientSession.stats.exports, 1)
      await keeper.kept()
      controller.abort()
      await rejectionOf(call)
      t.equal(clientSession.stats.exports, 0)
      t.match(await rejectionOf(keeper.kept()), { code: 'released' }, 'its owner no longer exports it')
      keeper.open()
      await waitUntil(() => joined.serverSession.stats.imports === 0)
      t.match(await rejectionOf(keeper.kept()), { code: 'released' })

      t.match(await rejectionOf(Netref.with(root, { timeout: 10 }).hold(Netref.lend(() => 1))), {
        name: 'TimeoutError'
      })
      keeper.open()
      await waitUntil(() => joined.serverSession.stats.imports === 0)
      await nothingHeld(t, joined)

      t.match(
        await rejectionOf(
          root.use(
            Netref.lend(() => {}),
            Symbol('no')
          )
        ),
        { code: 'unsendable' },
        'it was not sent'
      )
      await nothingHeld(t, joined)
    }
  )
})

t.test('an object that is also passed without lend stays exported', async t => {
  const keeper = new Keeper()
  await overMemoryAndSocket(
    t,
    () => keeper,
    async joined => {
      const { root, clientSession } = joined
      const fn = () => 'here'
      const lent = Netref.lend(fn)
      t.ok(await root.same(lent, lent), 'one netref')
      await nothingHeld(t, joined)
      t.ok(await root.same(fn, lent), 'also beside one that is not lent')
      t.equal(await keeper.kept(), 'here')
      t.equal(clientSession.stats.exports, 1)
      // `off` finds the listener, and removes it.
      t.equal(await root.use(Netref.lend(fn)), 'here')
      t.equal(await keeper.kept(), 'here')
      Netref.release(keeper.kept)
      await waitUntil(() => clientSession.stats.exports === 0)

      const first = root.hold(lent)
      const second = root.hold(lent)
      await clientSession.ping()
      keeper.open()
      t.equal(await first, fn)
      t.equal(await keeper.kept(), 'here', 'another call has it, too')
      keeper.open()
      await second
      t.match(await rejectionOf(keeper.kept()), { code: 'released' })
      await waitUntil(() => clientSession.stats.exports === 0)

      const third = root.hold(lent)
      await clientSession.ping()
      Netref.release(keeper.kept)
      keeper.open()
      t.match(await rejectionOf(keeper.kept()), { code: 'released' }, 'its holder may release it before')
      t.match(await rejectionOf(third), { code: 'unsendable' })
      await root.keep(fn)
      t.equal(await keeper.kept(), 'here')
      Netref.release(keeper.kept)
      await waitUntil(() => clientSession.stats.exports === 0)
    }
  )
})

t.test('a one-way call ends when its function is done', async t => {
  const keeper = new Keeper()
  await overMemoryAndSocket(
    t,
    () => keeper,
    async joined => {
      const { root, clientSession } = joined
      await Netref.oneway(root.hold)(Netref.lend(() => 1))
      await clientSession.ping()
      t.equal(await keeper.kept(), 1)
      t.equal(clientSession.stats.exports, 1)
      keeper.open()
      await waitUntil(() => clientSession.stats.exports === 0)
      t.match(await rejectionOf(keeper.kept()), { code: 'released' })

      await Netref.oneway(root.hold)(Netref.lend(() => 1))
      await clientSession.ping()
      Netref.release(keeper.kept)
      keeper.open()
      await waitUntil(() => clientSession.stats.exports === 0)
    },
    { serving: { onError() {} } }
  )
})

t.test('if the import table is full, the call is rejected, and the loan is returned', async t => {
  const errors: Any[] = []
  await overMemory(
    t,
    new Keeper(),
    async ({ root, session, served }) => {
      const { keep, same } = root as Any
      await keep(() => {})
      t.match(await rejectionOf(keep(Netref.lend(() => {}))), { code: 'limit' })
      await Netref.oneway(same)(
        Netref.lend(() => {}),
        Netref.lend(() => {})
      )
      await waitUntil(() => errors.length > 0)
      t.match(errors, [{ code: 'limit' }])
      t.same([session.stats.exports, served.stats.imports], [1, 1])
      await keep(undefined)
    },
    { serving: { limits: { imports: 1 }, onError: error => void errors.push(error) } }
  )
})

t.test('the owner’s released hook runs once, when the last call with the object has ended', async t => {
  const keeper = new Keeper()
  let releasedCalls = 0
  const thing = expose({ at: 5 }, { released: () => void releasedCalls++ })
  await overMemory(t, keeper, async ({ root, session }) => {
    const { hold } = root as Any
    const calls = [hold(Netref.lend(thing)), hold(Netref.lend(thing))]
    await session.ping()
    keeper.open()
    t.equal(await calls[0], thing)
    t.equal(releasedCalls, 0)
    keeper.open()
    await calls[1]
    t.equal(releasedCalls, 1)
  })
  const joined = pair(keeper)
  joined.root.hold(Netref.lend(thing) as Any).catch(() => {})
  await joined.session.ping()
  await joined.close()
  t.equal(releasedCalls, 2, 'or when its session has ended')
  keeper.open()
})

t.test('a call whose reply is an iterator settles with that reply', async t => {
  const keeper = new Keeper()
  await overMemoryAndSocket(
    t,
    () => keeper,
    async ({ root }) => {
      const lines = await root.lines(Netref.lend(() => 2))
      t.equal((await lines.next()).value, 1)
      t.match(await rejectionOf(lines.next()), { code: 'released' })
      const items: unknown[] = []
      for await (const line of root.lines(() => 2)) items.push(line)
      t.same(items, [1, 2])
    }
  )
})

t.test('callbacks lend, too, and a lent object can be lent to a third party', async t => {
  const far = pair(new Keeper())
  t.teardown(() => far.close())
  const seen: Any[] = []
  const middle = {
    call: (callback: Any) => callback(Netref.lend(() => 'inner')),
    pass: (callback: Any) => far.root.use(Netref.lend(callback)),
    kept: () => far.root.kept()
  }
  await overMemory(t, middle, async ({ root, session, served }) => {
    t.equal(
      await (root as Any).call(async (inner: Any) => {
        seen.push(inner)
        return inner()
      }),
      'inner'
    )
    t.match(await rejectionOf(seen[0]()), { code: 'released' })
    t.same([served.stats.exports, session.stats.imports], [0, 0])
    t.equal(await (root as Any).pass(Netref.lend(() => 'far')), 'far')
    t.equal(far.session.stats.exports, 0)
  })
  await assertClean(t, far.session, far.served)
})

t.test('a loan survives an interruption', async t => {
  const keeper = new Keeper()
  const { agent, die } = breakableAgent()
  await overSocket(
    t,
    keeper,
    async (conn, server) => {
      const root = conn.root as Any
      const call = root.hold(Netref.lend(() => 'here'))
      await conn.ping()
      die()
      await waitUntil(() => conn.session.state === 'interrupted')
      const fn = () => 'there'
      const controller = new AbortController()
      const withdrawn = Netref.with(root.keep, { signal: controller.signal })(
        Netref.lend(fn),
        Netref.lend(fn)
      )
      const used = root.use(Netref.lend(fn))
      controller.abort()
      t.match(await rejectionOf(withdrawn), { mayHaveRun: false })
      t.equal(await used, 'there', 'a withdrawn call returns only its own loans')
      keeper.open()
      await call
      const [theirs] = server.sessions
      await waitUntil(() => conn.stats.exports === 0)
      await nothingHeld(t, { clientSession: conn.session, serverSession: theirs! })
    },
    { client: { agent } }
  )
})

t.test('a call that is retried in another session lends again', async t => {
  let called = 0
  let kept: Any
  class Home extends Service {
    @exposed({ idempotent: true }) use(fn: Netref<() => string>): unknown {
      called++
      kept = fn
      return called === 1 ? new Promise(() => {}) : fn()
    }
  }
  const one = await serve(Home, { port: 0, resumeWindow: 0 })
  const conn = connect<Home>(one.url, { renew: true, reconnect: { delay: 1, maxDelay: 5 } })
  const call = conn.root.use(Netref.lend(() => 'again'))
  await waitUntil(() => called === 1)
  const port = Number(new URL(one.url).port)
  await one.close()
  const two = await serve(Home, { port })
  t.equal(await call, 'again')
  t.match(await rejectionOf(kept()), { code: 'released' })
  const [theirs] = two.sessions
  await nothingHeld(t, { clientSession: conn.session, serverSession: theirs! })
  await assertClean(t, conn.session, theirs!)
  await conn.close()
  await two.close()
})

t.test(
  'any interleaving of calls that lend and calls that pass leaves no released netref in use',
  async t => {
    const fns = [() => 0, () => 1]
    const step = fc.record({
      how: fc.constantFrom('keep', 'use', 'hold', 'fail', 'oneway', 'give up', 'open', 'release', 'pass'),
      lent: fc.boolean(),
      fn: fc.constantFrom(...fns)
    })
    const run = async (steps: readonly { how: string; lent: boolean; fn: () => number }[]) => {
      const keeper = new Keeper()
      const seen = new Set<Any>()
      const see = (value: Any) => void seen.add(value)
      Object.defineProperty(keeper, 'kept', { set: see })
      const joined = pair(keeper, { serving: { onError() {} } })
      const { session, served } = joined
      const root = joined.root as Any
      const calls: PromiseLike<unknown>[] = []
      for (const { how, lent, fn } of steps) {
        const given = lent ? Netref.lend(fn) : fn
        if (how === 'open') keeper.opens.shift()?.()
        else if (how === 'release') seen.forEach(ref => void Netref.release(ref))
        else if (how === 'oneway') calls.push(Netref.oneway(root.hold)(given))
        else if (how === 'pass') calls.push(root.same(given, Netref.lend(fn)))
        else if (how === 'give up') {
          const controller = new AbortController()
          calls.push(rejectionOf(Netref.with(root, { signal: controller.signal }).hold(given)))
          if (lent) await session.ping()
          controller.abort()
        } else calls.push(how === 'fail' ? rejectionOf(root.fail(given)) : root[how](given))
      }
      await session.ping()
      while (keeper.opens.length > 0) keeper.open()
      await Promise.allSettled(calls)
      for (const ref of seen) Netref.release(ref)
      await session.ping()
      await served.ping()
      t.same([session.stats.exports, served.stats.imports], [0, 0])
      await joined.close()
    }
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 12 }), run), { numRuns: 100 })
  }
)

t.test('a lent object is used locally as itself', async t => {
  class Shape {
    readonly #side = 3
    get side() {
      return this.#side
    }
  }
  const add = Netref.lend((a: number, b: number) => a + b)
  t.equal(add(1, 2), 3)
  t.equal(Netref.lend(new Shape()).side, 3)
  await overMemory(t, new Keeper(), async ({ root }) => {
    await (root as Any).keep((callback: Any) => callback())
    const home = (root as Any).kept()
    await home
    t.equal(await home(Netref.lend(() => 'local')), 'local')
    await (root as Any).keep(undefined)
  })
})

t.test('a value that is copied cannot be lent, nor a value outside the arguments', async t => {
  const refused = [
    [undefined, 'undefined'],
    [7, '7'],
    ['text', '"text"'],
    [{ fn() {} }, '{…}'],
    [[() => {}], '[…]'],
    [new Date(), 'Date {…}'],
    [Promise.resolve(), 'Promise {…}']
  ] as const
  for (const [value, name] of refused) {
    t.throws(() => Netref.lend(value as Any), {
      name: 'TypeError',
      message: `Netref.lend: ${name} is not passed by reference: lend the functions in it, or expose() it`
    })
  }
  const service = {
    make: () => Netref.lend(() => {}),
    *items() {
      yield Netref.lend(() => {})
    },
    take: (value: Any) => value.at,
    root: {} as Any
  }
  await overMemory(t, service, async ({ root, session, served }) => {
    t.throws(() => Netref.lend((root as Any).make), { message: /: await it first$/ })
    t.match(await rejectionOf((root as Any).make()), { message: /result is lent, which cannot be sent: / })
    const items = await (root as Any).items()
    t.match(await rejectionOf(items.next()), { message: /items\[0\] is lent/ })
    t.match(await rejectionOf(Netref.set(root as Any, 'root', Netref.lend(() => {}) as Any)), {
      message: /value is lent/
    })
    const thing = Netref.lend(expose({ at: 5 }))
    t.equal(await (root as Any).take(thing), 5, 'but an exposed one can')
    t.equal(await (root as Any).take(Netref.lend(thing)), 5)
    t.equal(session.stats.exports, 0)
    t.equal(served.stats.exports, 0)
  })
})
