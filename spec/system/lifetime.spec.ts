// Tests the lifetime of references under every order of events, and what is left after failures: held objects stay,
// and nothing else does. references.spec.ts has the rest. The fake collector is imported first, since lib reads these
// classes when it is loaded:
import '../support/fake-collector.js'

import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { connect, expose, Netref, pair, registerType, Service, type Session, serve } from '../../lib/index.js'
import { assertClean, overMemory, overSocket, rejectionOf, waitUntil } from '../support/helpers.js'
import { ReferenceSimulation } from '../support/reference-simulation.js'
import { collectGarbage, recordMessages, runEventLoop, type Untyped } from '../support/wire.js'

const SEED = Number(process.env.NETREF_LIFETIME_SEED ?? Date.now() % 2 ** 31)
const SEQUENCES = Number(process.env.NETREF_LIFETIME ?? 2_500)

/** Runs random sequences of steps, and reports the shortest of the failed ones. */
async function interleave(sequences: number, real: boolean) {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  const began = performance.now()
  let [steps, worlds] = [0, 0]
  const seeds = fc.noBias(fc.array(fc.nat(), { minLength: 8, maxLength: 42, size: 'max' }))
  const property = fc.asyncProperty(fc.boolean(), seeds, async (tight, seeds) => {
    const world = new ReferenceSimulation(tight, real)
    await world.begin()
    for (const seed of seeds) await world.step(seed)
    await world.finish()
    steps += seeds.length
    if (++worlds % 20 === 0) await turn()
  })
  const run = await fc.check(property, { numRuns: sequences, seed: SEED })
  Error.stackTraceLimit = stackTraceLimit
  const failure = run.failed ? `${run.errorInstance}\n${JSON.stringify(run.counterexample)}` : undefined
  const took = ((performance.now() - began) / 1000).toFixed(1)
  const summary = `${run.numRuns} sequences, ${steps} steps in ${took} s: NETREF_LIFETIME_SEED=${SEED}`
  return { failure, sequences: run.numRuns, summary }
}

const played = await interleave(SEQUENCES, false)
const real = await interleave(Math.ceil(Math.min(SEQUENCES, 100_000) / 400), true)

// Imported late: it tracks every promise, which takes longer than the simulation itself.
const { default: t } = await import('tap')

t.test('every interleaving leaves the tables correct, with a fake and with the real collector', async t => {
  for (const { failure, sequences, summary } of [played, real]) {
    t.comment(summary)
    t.equal(failure, undefined, `${sequences} sequences`)
  }
  t.equal(played.sequences, SEQUENCES)
})

class Item {
  exposed_hello() {
    return 'hello'
  }
}

/** A type whose instances run code when they are encoded or decoded. */
class Trap {}
const trap = { onEncode: () => {}, onDecode: () => {} }
registerType(Trap, {
  name: 'lifetime.spec/Trap',
  encode: () => {
    trap.onEncode()
    return []
  },
  decode: () => {
    trap.onDecode()
    return new Trap()
  }
})

class Store extends Service {
  item = new Item()
  kept: unknown[] = []
  exposed_item() {
    return this.item
  }
  exposed_items(count: number) {
    return Array.from({ length: count }, () => new Item())
  }
  exposed_echo(value: unknown) {
    return value
  }
  exposed_keep(...values: unknown[]) {
    this.kept.push(...values)
  }
  exposed_drop() {
    this.kept = []
  }
  exposed_never(..._values: unknown[]) {
    return new Promise<never>(() => {})
  }
  exposed_half(flaw: Untyped) {
    return [new Item(), { deep: () => 1 }, HALVES[flaw]!()]
  }
}

const thrower = (error: Error) => () => {
  throw error
}
/** Every reason why a value cannot be sent; each value follows references that can. */
const HALVES: Record<string, () => unknown> = {
  'a symbol': () => Symbol('half'),
  'a symbol in a Map': () => new Map([[() => 1, Symbol('half')]]),
  'an accessor that throws': () =>
    Object.defineProperty({}, 'x', { enumerable: true, get: thrower(new Error('half')) }),
  'too deep': () => {
    let deep: unknown = new Item()
    for (let i = 0; i < 300; i++) deep = [deep]
    return deep
  },
  'too much': () => 'x'.repeat(5 << 20),
  'a cycle that ends badly': () => {
    const ring: Untyped = { item: new Item() }
    ring.ring = ring
    ring.bad = Symbol('half')
    return ring
  },
  'an encode that throws': () => {
    trap.onEncode = thrower(new Error('half'))
    return new Trap()
  }
}

t.test('a value that cannot be sent leaves no reference on either side, and sends no message', t => {
  t.teardown(() => {
    trap.onEncode = () => {}
  })
  return overMemory(t, Store, async conn => {
    const root: Untyped = conn.root
    let releasedCalls = 0
    const own = expose({}, { released: () => releasedCalls++ })
    await conn.ping()
    const [out] = recordMessages(conn)
    for (const [flaw, make] of Object.entries(HALVES)) {
      const error = await rejectionOf(root.keep(own, () => 1, { deep: [new Item()] }, make()))
      t.match(error.message, /half|deeper|characters/, `an argument: ${flaw}`)
      t.equal(out.length, 0)
      t.same([conn.stats.exports, conn.stats.pending, conn.served.stats.imports], [0, 0, 0])
      const failed = await rejectionOf(root.half(flaw))
      t.match(failed.message, /half|deeper|characters/, `a result: ${flaw}`)
      t.same([conn.stats.imports, conn.served.stats.exports], [0, 0])
      out.length = 0
    }
    t.equal(releasedCalls, 0)
    await root.keep(own)
    t.equal(conn.stats.exports, 1)
    await rejectionOf(root.keep(own, Symbol('half')))
    t.equal(conn.stats.exports, 1, 'the other side keeps what it already has')
    await root.drop()
    await collectGarbage(() => conn.stats.exports === 0)
    t.equal(releasedCalls, 1)
  })
})

t.test('a call rejected by a limit leaves no reference, not even to its object', t =>
  overMemory(
    t,
    Store,
    async conn => {
      const root: Untyped = conn.root
      await root.keep(() => 1)
      const [gone, functions] = await (async () => {
        const api = { fn() {}, other: () => 1 }
        t.match(await rejectionOf(root.keep(api)), { code: 'limit' })
        return [new WeakRef(api), new WeakRef(api.fn)]
      })()
      await collectGarbage(() => gone.deref() === undefined && functions.deref() === undefined)
      await root.drop()
    },
    { limits: { exports: 1 } }
  )
)

t.test('a rejected call leaves none of its arguments', t =>
  overMemory(t, Store, async conn => {
    const root: Untyped = conn.root
    const released = await root.item()
    Netref.release(released)
    const bring = () => [() => 1, new Item(), { deep: new Map([[1, () => 2]]) }]
    for (const [call, code] of [
      [() => root.nothing(...bring()), 'not-exposed'],
      [() => root.item(...bring()).nothing(...bring()), 'not-exposed'],
      [() => root.echo(1).nothing(...bring()), 'not-exposed'],
      [() => new root.keep(...bring()), 'not-callable'],
      [() => Netref.set(root, 'kept' as never, bring() as never), 'not-exposed'],
      [() => released.hello(...bring()), 'released']
    ] as const) {
      t.match(await rejectionOf(call()), { code })
    }
    await collectGarbage(() => conn.stats.exports === 0)
    t.equal(conn.served.stats.imports, 0)
  })
)

t.test('an ended session leaves nothing, whoever ends it and how', async t => {
  const ends: Record<string, (conn: Untyped) => void> = {
    'its client': conn => void conn.close(),
    'its server': conn => void conn.served.close(),
    'a frame of the client that is not of the protocol': conn => conn.transports[0].send('what?'),
    'a frame of the server that is not of the protocol': conn => conn.transports[1].send('what?')
  }
  for (const [who, end] of Object.entries(ends)) {
    let releasedCalls = 0
    const lend = () => expose(new Item(), { released: () => releasedCalls++ })
    const conn = pair(Store, { service: { lend } })
    const root: Untyped = conn.root
    await root.keep(lend(), lend(), () => 1)
    const items = await root.items(3)
    conn.transports[1].hold()
    const pending = [root.never(lend()), root.items(2), root.echo(lend()), items[0].hello()].map(rejectionOf)
    await runEventLoop()
    end(conn)
    conn.transports[1].letGo()
    await Promise.all([conn.closed, conn.served.closed])
    for (const { stats } of [conn, conn.served]) t.match(stats, { exports: 0, imports: 0, pending: 0 }, who)
    for (const error of await Promise.all(pending)) {
      if (error.message.startsWith('it resolved')) continue
      t.equal(error.name, 'SessionEndedError')
    }
    t.equal(releasedCalls, 4)
    for (const item of items) Netref.release(item)
    t.match(await rejectionOf(items[0].hello()), { name: 'SessionEndedError' }, 'which is why it rejects')
    t.equal(releasedCalls, 4)
  }
})

t.test('a session that ends while a value is decoded leaves nothing', async t => {
  const ending = (session: () => Session, ...after: unknown[]) =>
    Object.defineProperty({ before: () => 1, at: undefined, after }, 'at', {
      enumerable: true,
      get: () => void session().close()
    })
  const joined = () => {
    const conn = pair({
      value: () =>
        ending(
          () => conn.served,
          () => 1
        ),
      traps: (...values: unknown[]) => [new Item(), new Trap(), new Item(), values.length]
    })
    return conn
  }
  const uses: ((conn: Untyped) => PromiseLike<unknown>)[] = [
    conn => conn.root.value(),
    conn => {
      trap.onDecode = () => void conn.served.close()
      return conn.root.traps(
        () => 1,
        new Trap(),
        () => 2
      )
    },
    conn => {
      trap.onDecode = () => void conn.close()
      return conn.root.traps()
    }
  ]
  t.teardown(() => {
    trap.onDecode = () => {}
  })
  for (const use of uses) {
    const conn = joined()
    await conn.ping()
    use(conn).then(undefined, () => {})
    await Promise.all([conn.closed, conn.served.closed])
    await runEventLoop()
    for (const { stats } of [conn, conn.served]) t.match(stats, { exports: 0, imports: 0, pending: 0 })
    await collectGarbage()
  }
})

for (const over of [overMemory, overSocket]) {
  t.test(`both tables become empty by \`using\`, by release or by collection, ${over.name}`, t =>
    over(t, Store, async conn => {
      const root: Untyped = conn.root
      const { session } = conn
      const counts = async () => {
        await conn.ping()
        return [session.stats.imports, session.stats.exports]
      }
      {
        using item = await root.item()
        using bound = await item.hello
        t.equal(await bound(), 'hello')
        t.same(await counts(), [2, 0])
      }
      t.same(await counts(), [0, 0], 'by `using`')
      const items = await root.items(1000)
      t.same(await counts(), [1000, 0])
      for (const item of items) Netref.release(item)
      for (const item of items) Netref.release(item)
      t.same(await counts(), [0, 0], 'by hand, twice')
      await (async () => {
        await root.keep(...(await root.items(1000)), ...items.map(() => () => 1))
      })()
      t.equal(session.stats.exports, 1000)
      await root.drop()
      await collectGarbage(() => session.stats.imports === 0)
      await waitUntil(() => session.stats.exports === 0, 'by the collector')
    })
  )
}

t.test('`released` is called once for each session, and again if the object was sent again', async t => {
  let releasedCalls = 0
  const lent = expose(new Item(), { released: () => releasedCalls++ })
  const conns = [pair(() => ({ lent: () => lent })), pair(() => ({ lent: () => lent }))]
  const [a, b] = conns.map(({ root }) => root as Untyped)
  const pings = () => Promise.all(conns.map(conn => conn.ping()))
  const [first, again] = await Promise.all([a.lent(), a.lent()])
  t.equal(first, again)
  const other = await b.lent()
  Netref.release(first)
  await pings()
  t.equal(releasedCalls, 1, 'the peer of one session has released its last netref')
  Netref.release(again)
  await pings()
  t.equal(releasedCalls, 1)
  const anew = await a.lent()
  t.not(anew, first)
  Netref.release(other)
  await pings()
  t.equal(releasedCalls, 2, 'the other session')
  Netref.release(anew)
  await pings()
  t.equal(releasedCalls, 3, 'an object sent again is released again')
  await a.lent()
  const [[, server]] = conns.map(({ transports }) => transports) as [Untyped]
  server.hold()
  const late = rejectionOf(a.lent())
  await runEventLoop()
  await conns[0]!.close()
  await Promise.all([late, conns[0]!.served.closed])
  t.equal(releasedCalls, 4, 'the end of the session, with references in transit')
  await collectGarbage()
  await conns[1]!.close()
  t.equal(releasedCalls, 4, 'for an object that was not held, the end calls no hook')
})

t.test('`released` is called if a netref is in transit while the last one is released', t =>
  overMemory(
    t,
    () => {
      let releasedCalls = 0
      const lent = expose(new Item(), { released: () => releasedCalls++ })
      return { lent: () => lent, told: () => releasedCalls }
    },
    async conn => {
      const root: Untyped = conn.root
      const [, server] = conn.transports
      const first = await root.lent()
      server.hold()
      const second = root.lent()
      await waitUntil(() => server.held > 0)
      Netref.release(first)
      await runEventLoop()
      server.letGo()
      const item = await second
      t.equal(await root.told(), 0, 'there is always one that is held')
      Netref.release(item)
      t.equal(await root.told(), 1)
    }
  )
)

t.test('a released hook that sends the object again, and one that ends the session', async t => {
  const conn = pair(Store, { service: {} })
  const root: Untyped = conn.root
  const events: string[] = []
  const phoenix: object = expose(
    {},
    {
      released: () => {
        events.push('phoenix')
        if (events.length < 3) void root.keep(phoenix)
      }
    }
  )
  await root.keep(phoenix)
  for (let i = 1; i <= 3; i++) {
    await root.drop()
    await collectGarbage(() => events.length === i)
    await conn.ping()
  }
  t.equal(conn.stats.exports, 0)
  const last = expose({}, { released: () => void conn.close() })
  await root.keep(last, phoenix)
  await root.drop()
  await collectGarbage()
  await conn.closed
  t.same(events, ['phoenix', 'phoenix', 'phoenix', 'phoenix'], 'once more, at the end of the session')
})

t.test('in a chain of three sessions each hop releases when the next one does', async t => {
  let releasedCalls = 0
  const stores = Array.from({ length: 3 }, () => new Store())
  const hops = stores.map(store => pair(store))
  const tables = () => hops.map(({ stats, served }) => [stats.exports, served.stats.imports])
  await (async () => {
    // The object lives with the first of four sessions; each passes on what it received.
    let thing: Untyped = expose({ hello: () => 'hello' }, { released: () => releasedCalls++ })
    for (const [i, { root }] of hops.entries()) {
      await (root as Untyped).keep(thing)
      t.equal(await (root as Untyped).echo(thing), thing, 'the owner receives the original')
      thing = stores[i]!.kept[0]
      t.equal(await thing.hello(), 'hello')
    }
  })()
  for (const { root } of hops.slice(0, 2)) await (root as Untyped).drop()
  await collectGarbage()
  t.same([releasedCalls, tables()], [0, [1, 1, 1].map(n => [n, n])], 'each hop holds what the last one holds')
  t.equal(await (stores[2]!.kept[0] as Untyped).hello(), 'hello')
  stores[2]!.kept = []
  await collectGarbage(() => releasedCalls === 1)
  t.same(
    tables(),
    [0, 0, 0].map(n => [n, n])
  )
  await Promise.all(hops.map(hop => hop.close()))
})

t.test('a broken hop releases only references that passed through it', async t => {
  let releasedCalls = 0
  const stores = [new Store(), new Store()]
  const [ab, bc] = stores.map(store => pair(store))
  await (async () => {
    await (ab!.root as Untyped).keep(expose(new Item(), { released: () => releasedCalls++ }))
    const [kept] = stores[0]!.kept
    await (bc!.root as Untyped).keep(kept)
    await ab!.close()
    t.equal(releasedCalls, 1, 'its owner is notified at once')
    t.match(await rejectionOf((stores[1]!.kept[0] as Untyped).hello()), {
      name: 'SessionEndedError',
      code: 'closed'
    })
    t.same([bc!.stats.exports, bc!.served.stats.imports], [1, 1], 'the next hop keeps a netref that rejects')
  })()
  stores[0]!.kept = []
  stores[1]!.kept = []
  await assertClean(t, bc!.session, bc!.served)
  t.equal(releasedCalls, 1)
  await bc!.close()
})

t.test('`server.sessions` is a Set of the current sessions, and `stats` counts them', async t => {
  await using server = await serve(Store, { port: 0 })
  t.ok(server.sessions instanceof Set)
  const conns = [connect<Store>(server.url), connect<Store>(server.url)]
  const [one, two] = conns.map(({ root }) => root as Untyped)
  const held = [await one.item(), await one.items(4), await two.item()]
  await one.keep(() => 1, new Item())
  one.never().catch(() => {})
  await Promise.all(conns.map(conn => conn.ping()))
  t.equal(server.sessions.size, 2)
  const ofOne = [...server.sessions].find(({ stats }) => stats.exports === 5)!
  const { stats } = conns[0]!
  t.match(stats, { exports: 2, imports: 5, pending: 1 })
  t.match(ofOne.stats, { exports: 5, imports: 2, pending: 0 })
  t.ok([...server.sessions].some(({ stats }) => stats.exports === 1))
  for (const [there, here] of [
    ['framesIn', 'framesOut'],
    ['framesOut', 'framesIn'],
    ['bytesIn', 'bytesOut'],
    ['bytesOut', 'bytesIn']
  ] as const) {
    t.ok(stats[here] > 0)
    t.equal(ofOne.stats[there], stats[here], `${there} is the other's ${here}`)
  }
  t.equal(held.length, 3)
  await Promise.all(conns.map(conn => conn.close()))
  await waitUntil(() => server.sessions.size === 0)
})
