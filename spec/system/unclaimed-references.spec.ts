// Tests that references that arrive with no receiver are released at once. Nothing is ever collected here, so every
// release is explicit. The fake collector is imported first, since lib reads these classes when it is loaded:
import '../support/fake-collector.js'

import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  callSignal,
  expose,
  exposed,
  MemoryIdempotencyStore,
  Netref,
  type Pair,
  type PairOptions,
  type PeerCall,
  pair,
  registerType,
  type Session,
  type StandardSchema,
  serve
} from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { markCollected, runFinalizer, watchRegistrations } from '../support/fake-collector.js'
import { breakableAgent, iterator, overSocket, waitUntil } from '../support/helpers.js'
import { RawPeer } from '../support/raw-peer.js'
import { runEventLoop, type Untyped } from '../support/wire.js'

const alive: object[] = []
watchRegistrations(netref => void alive.push(netref))

/** A registered type that may fail to decode, whatever it contains. */
class Box {
  constructor(
    readonly content: unknown,
    readonly bad = false
  ) {}
}
registerType(Box, {
  name: 'Box',
  encode: ({ content, bad }) => [content, bad],
  decode: ([content, bad]) => {
    if (bad) throw new RangeError('it cannot be read')
    return new Box(content)
  }
})
const bad = (content?: unknown) => new Box(content, true)

/** Creates one object of a kind; `end` is called when its owner learns of its release. */
type Make = (end: () => void) => unknown
const TOLD: Record<string, Make> = {
  object: released => expose({}, { released }),
  readable: cancel => new ReadableStream({ cancel }),
  writable: abort => new WritableStream({ abort }),
  node: close => new Readable({ read() {} }).on('close', close),
  pair: end => new Pairs(end),
  iterator: end =>
    iterator({ next: () => ({ done: false, value: 1 }), return: () => ({ done: true, value: end() }) }),
  // The result is released, too.
  promise: cancel =>
    turn()
      .then(
        () => turn(),
        () => 0
      )
      .then(() => new ReadableStream({ cancel }))
}
const QUIET: Record<string, Make> = {
  function: () => () => 1,
  signal: () => new AbortController().signal,
  pending: () => new Promise(() => {})
}
/** Containers that hold an object, with values beside it. */
const PLACES: Record<string, (make: () => unknown) => unknown> = {
  itself: make => make(),
  list: make => [1, make(), 2],
  record: make => ({ a: { deep: make() }, n: 1 }),
  map: make => new Map([[make(), new Set([make()])]]),
  registered: make => new Box(make()),
  registeredList: make => [new Box([make()]), make()],
  twice: make => {
    const one = make()
    return typeof (one as ReadableStream).locked === 'boolean' ||
      one instanceof Readable ||
      one instanceof Pairs
      ? one
      : [one, one]
  },
  cycle: make => {
    const cycle: Untyped = { one: make() }
    cycle.cycle = [cycle]
    return cycle
  },
  table: make =>
    Array.from({ length: 20 }, (_, i) => ({ id: i, value: i === 7 ? make() : i, name: 'n', more: 1 }))
}

class Pairs {
  readonly #ends: [ReadableStream, WritableStream]
  constructor(end: () => void) {
    let left = 2
    const one = () => void (--left === 0 && end())
    this.#ends = [new ReadableStream({ cancel: one }), new WritableStream({ abort: one })]
  }
  get readable() {
    return this.#ends[0]
  }
  get writable() {
    return this.#ends[1]
  }
}

/** Objects created, and how many of those that can be notified were released. */
class Made {
  made = 0
  ended = 0
  /** The result of an argument stays the owner's if nobody waits for it. */
  thing(kind: string, place: string, lent: boolean): unknown {
    const told = lent && kind === 'promise' ? undefined : TOLD[kind]
    return PLACES[place]!(() => {
      if (!told) return (QUIET[kind] ?? TOLD[kind])!(() => {})
      this.made++
      return told(() => this.ended++)
    })
  }
}

const tables = (...sessions: Session[]) =>
  sessions.map(({ stats: { exports, imports } }) => ({ exports, imports }))
const EMPTY = { exports: 0, imports: 0 }

/** Asserts that both tables are as before without a collector, and that each object was notified once. */
async function cameHome(
  t: Test,
  { session, served }: Pair<Untyped>,
  made: Made,
  what: string,
  before = [EMPTY, EMPTY]
) {
  for (let i = 0; i < 40; i++) {
    await Promise.all([session, served].map(end => end.ping().catch(() => 0)))
    await turn()
    if (made.ended === made.made && JSON.stringify(tables(session, served)) === JSON.stringify(before)) break
  }
  await runEventLoop()
  t.same([tables(session, served), made.ended], [before, made.made], what)
}

type Thing = [kind: string, place: string]
const THINGS = [...Object.keys(TOLD), ...Object.keys(QUIET)]
  .map(kind => [kind, 'itself'])
  .concat(
    Object.keys(PLACES)
      .slice(1)
      .flatMap(place => ['object', 'readable'].map(kind => [kind, place]))
  ) as Thing[]

/** A stream continues at its position: one that returns is another one. */
const NO_STREAMS = THINGS.filter(([kind]) => !['readable', 'writable', 'node', 'pair'].includes(kind))

/** Situations in which values arrive with no receiver: the receiver must release the value. */
type Act = (root: Untyped, make: () => unknown, joined: Pair<Untyped>) => unknown

/** Runs a test for each object in one session. */
function place(
  t: Test,
  name: string,
  act: Act,
  {
    lent = t.name === 'arguments',
    things = THINGS,
    ...options
  }: PairOptions & { lent?: boolean; things?: Thing[] } = {},
  service: () => object = servant
) {
  return t.test(name, async t => {
    await using joined = pair(service(), {
      onError() {},
      ...options,
      serving: { onError() {}, ...options.serving }
    }) as Pair<Untyped>
    await joined.ping()
    for (const [kind, where] of things) {
      const made = new Made()
      await act(joined.root, () => made.thing(kind, where, lent), joined)
      await cameHome(t, joined, made, `${kind}, ${where}`)
    }
  })
}

/** The result may be a promise that never settles. */
const settled = (promise: PromiseLike<unknown>) => Promise.allSettled([promise])

let give: () => unknown = () => 0
let settle: (value: unknown) => void = () => {}
const later = () => new Promise(resolve => (settle = resolve))
const numbers = {
  type: 'numbers',
  '~standard': {
    version: 1,
    vendor: 'spec',
    validate: (args: unknown) => ({ issues: [{ message: `no ${typeof args}` }] })
  }
} as const

type Schema = StandardSchema<[], []>

const before = ({ path }: { readonly path: readonly unknown[] }) => {
  if (path[0] === 'take') throw new Error('it is refused')
}

class Servant {
  @exposed give() {
    return give()
  }
  @exposed later() {
    return later()
  }
  @exposed async keep(...args: object[]) {
    await later()
    for (const arg of args) Netref.release(arg as never)
  }
  @exposed fail() {
    throw new Error('it failed')
  }
  @exposed take() {}
  @exposed({ if: () => false }) never() {}
  @exposed(numbers as never as Schema) checked() {}
  @exposed get text() {
    return 'a text'
  }
  @exposed get broken() {
    throw new Error('a getter')
  }
  @exposed get arrow() {
    return () => 1
  }
  @exposed get readOnly() {
    return 1
  }
  hidden() {}
}
const servant = () => new Servant()

t.test('arguments', async t => {
  const refused =
    (call: (root: Untyped, value: unknown) => PromiseLike<unknown>): Act =>
    (root, make) =>
      settled(call(root, make()))
  await place(
    t,
    'of what is not there',
    refused((root, v) => root.nothing(v))
  )
  await place(
    t,
    'of what is not exposed',
    refused((root, v) => root.hidden(1, v))
  )
  await place(
    t,
    'of what is no function',
    refused((root, v) => root.text(v))
  )
  await place(
    t,
    'of what is no class',
    refused((root, v) => new root.arrow(v))
  )
  await place(
    t,
    'behind a getter that throws',
    refused((root, v) => root.broken.call(v))
  )
  await place(
    t,
    'past a copy',
    refused((root, v) => root.text.more(v))
  )
  await place(
    t,
    'that a rule refuses',
    refused((root, v) => root.never(v))
  )
  await place(
    t,
    'that a schema refuses',
    refused((root, v) => root.checked(v))
  )
  await place(
    t,
    'that `before` refuses',
    refused((root, v) => root.take(v)),
    {
      serving: { before }
    }
  )
  await place(
    t,
    'that cannot be read',
    refused((root, v) => root.take(v, bad(), v === undefined ? 1 : 2))
  )
  await place(
    t,
    'behind what cannot be read',
    refused((root, v) => root.take(bad(), v))
  )
  await place(
    t,
    'in what cannot be read',
    refused((root, v) => root.take(bad(v)))
  )
  await place(
    t,
    'of a call on an answer that failed',
    refused((root, v) => root.fail().more(v))
  )
  await place(
    t,
    'of a call on an answer that is no object',
    refused((root, v) => root.take().more(v))
  )
  await place(
    t,
    'of a path that is too long',
    refused((root, v) =>
      Array(60)
        .fill('a')
        .reduce(
          (at, name) => at[name],
          root
        )(v)
    ),
    { serving: { limits: { depth: 50 } } }
  )
  await place(
    t,
    'of calls that are too many',
    async (root, make) => {
      const first = root.later()
      await settled(root.take(make()))
      settle(0)
      await first
    },
    { serving: { limits: { pendingCalls: 1 } } }
  )
  await place(
    t,
    'that are too many netrefs',
    refused((root, v) =>
      root.take(
        v,
        Array.from({ length: 4 }, () => () => 1)
      )
    ),
    { serving: { limits: { imports: 3 } } }
  )
  await place(t, 'of a call that was given up before its turn', async (root, make, joined) => {
    const stop = new AbortController()
    const waits = settled(Netref.with(root.later(), { signal: stop.signal }).more(make()))
    await joined.ping()
    stop.abort()
    // The answer that the call builds on is still pending.
    await waits
  })
  await place(t, 'of a call without an answer', (root, make) => Netref.oneway(root.nothing)(make()))
  await place(t, 'of one that cannot be read', (root, make) => Netref.oneway(root.take)(bad(make())))
  await place(t, 'of one that `before` refuses', (root, make) => Netref.oneway(root.take)(make()), {
    serving: { before }
  })
  await place(
    t,
    'a value that may not be set',
    refused((root, v) => Netref.set(root, 'text', v))
  )
  await place(
    t,
    'a value that cannot be set',
    refused((root, v) => Netref.set(root, 'readOnly', v)),
    { serving: { allowSetAttrs: true } }
  )
  await place(
    t,
    'a value to set that cannot be read',
    refused((root, v) => Netref.set(root, 'readOnly', [v, bad()])),
    { serving: { allowSetAttrs: true } }
  )
  await place(t, 'a reason that nobody asked for', async (root, make, joined) => {
    const stop = new AbortController()
    const failed = settled(Netref.with(root.later, { signal: stop.signal })())
    await joined.ping()
    stop.abort(make())
    await failed
    settle(0)
  })
})

t.test('answers', async t => {
  const givenUp: Act = async (root, make, joined) => {
    const stop = new AbortController()
    const failed = settled(Netref.with(root.later, { signal: stop.signal })())
    await joined.ping()
    stop.abort()
    await failed
    settle(make())
  }
  await place(t, 'of a call that was given up', givenUp)
  await place(t, 'of a call that took too long', async (root, make) => {
    await settled(Netref.with(root.later, { timeout: 0 })())
    settle(make())
  })
  await place(t, 'a failure of a call that was given up', async (root, make, joined) => {
    const stop = new AbortController()
    const failed = settled(Netref.with(root.later, { signal: stop.signal })())
    await joined.ping()
    stop.abort()
    await failed
    settle(Promise.reject(make()))
  })
  const refused: Act = (root, make) => {
    give = make
    return settled(root.give())
  }
  const among =
    (put: (make: () => unknown) => unknown): Act =>
    (root, make, joined) =>
      refused(root, () => put(make), joined)
  await place(
    t,
    'beside what cannot be read',
    among(make => [make(), bad()])
  )
  await place(
    t,
    'behind what cannot be read',
    among(make => ({ bad: bad(), made: make() }))
  )
  await place(
    t,
    'in what cannot be read',
    among(make => bad(make()))
  )
  await place(
    t,
    'with what a netref is one too many of',
    among(make => [make(), ...Array.from({ length: 4 }, () => () => 1)]),
    { limits: { imports: 3 } }
  )
})

/** Items before those that are not read: the first lets the owner read ahead. */
const READ = 2
/** Reads these, and waits until the items behind them have arrived. */
async function readSome(it: AsyncIterator<unknown>, { session, served }: Pair<Untyped>) {
  for (let i = 0; i < READ; i++) await it.next()
  await session.ping()
  await served.ping()
  await runEventLoop()
}

t.test('items', async t => {
  /** The iterator yields these items, and `end` continues it. */
  const giving = (make: () => unknown, end: () => unknown = () => new Promise(() => {})) => {
    give = async function* () {
      for (let i = 0; i < READ; i++) yield i
      for (let i = 0; i < 3; i++) yield [make()]
      return await end()
    }
  }
  const left =
    (
      leave: (it: Untyped, joined: Pair<Untyped>) => unknown,
      end?: (make: () => unknown) => () => unknown
    ): Act =>
    async (root, make, joined) => {
      giving(make, end?.(make))
      const it = await root.give()
      await readSome(it, joined)
      await leave(it, joined)
    }
  const loop =
    (leave: (joined: Pair<Untyped>) => unknown): Act =>
    async (root, make, joined) => {
      giving(make)
      let read = 0
      const loop = async () => {
        for await (const _ of root.give()) {
          if (++read < READ) continue
          await leave(joined)
          break
        }
      }
      await loop().catch(() => {})
    }
  await place(t, 'of a loop that was left', loop(runEventLoop))
  await place(
    t,
    'of a loop that was left at once',
    loop(() => {})
  )
  await place(
    t,
    'of a loop that failed',
    loop(async () => {
      await runEventLoop()
      throw new Error('it failed')
    })
  )
  await place(
    t,
    'of an iterator that was returned',
    left(it => it.return())
  )
  await place(
    t,
    'of an iterator that was thrown at',
    left(
      it => settled(it.throw(new Error('it failed'))),
      () => () => 0
    )
  )
  await place(
    t,
    'of an iterator that was let go of',
    left(it => Netref.release(it))
  )
  await place(
    t,
    'that are on their way to an iterator that was let go of',
    async (root, make, { session, transports: [, server] }) => {
      giving(make)
      const it = await root.give()
      for (let i = 0; i < READ; i++) await it.next()
      server.hold()
      await runEventLoop()
      Netref.release(it)
      server.letGo()
      await session.ping()
    }
  )
  await place(t, 'of an iterator whose call was given up', async (root, make, joined) => {
    giving(make)
    const stop = new AbortController()
    const it = await Netref.with(root.give, { signal: stop.signal })()
    await readSome(it, joined)
    stop.abort()
  })
  await place(
    t,
    'that are too much',
    async (root, make) => {
      giving(() => [make(), 'x'.repeat(9000)])
      const it = await root.give()
      await it.next()
      await it.next()
      await runEventLoop()
      Netref.release(it)
    },
    { limits: { bufferedBytes: 10_000 }, serving: { limits: { bufferedBytes: 10_000 } } }
  )
  await place(t, 'that cannot be read', async (root, make, joined) => {
    giving(() => [make(), bad(), make()])
    const it = await root.give()
    await readSome(it, joined)
    await settled(it.next())
  })
  await place(t, 'behind one that cannot be read', async (root, make, joined) => {
    let first = true
    giving(() => (first ? (first = false) || bad(make()) : make()))
    const it = await root.give()
    await readSome(it, joined)
    await settled(it.next())
  })
  await place(
    t,
    'returned',
    left(
      it => it.return(),
      make => () => [make()]
    )
  )
  await place(
    t,
    'failed with',
    left(
      it => it.return(),
      make => () => Promise.reject(make())
    )
  )
})

t.test('chunks', async t => {
  const giving = (make: () => unknown) => {
    const chunks = Array.from({ length: READ + 3 }, (_, i) => (i < READ ? i : make()))
    give = () =>
      new ReadableStream(
        { pull: stream => void (chunks.length > 0 && stream.enqueue(chunks.shift())) },
        { highWaterMark: 0 }
      )
  }
  const read =
    (leave: (reader: Untyped, stream: Untyped) => unknown): Act =>
    async (root, make, joined) => {
      giving(make)
      const stream = await root.give()
      const reader = stream.getReader()
      await readSome({ next: () => reader.read() } as never, joined)
      await leave(reader, stream)
    }
  await place(
    t,
    'of a stream that was cancelled',
    read(reader => reader.cancel())
  )
  await place(t, 'of a stream that was let go of', async (root, make) => {
    giving(make)
    for await (const _ of await root.give()) break
  })
  await place(t, 'that come as their stream is cancelled', async (root, make, { transports: [, server] }) => {
    let begin!: (value: unknown) => void
    const begins = new Promise(resolve => (begin = resolve))
    give = () =>
      new ReadableStream({
        async pull(stream) {
          stream.enqueue(await begins)
          return new Promise(() => {})
        }
      })
    const stream = await root.give()
    const cancelled = stream.getReader()
    const read = cancelled.read()
    await runEventLoop()
    const cancelling = root.later().then(() => cancelled.cancel())
    await runEventLoop()
    server.hold()
    settle(0)
    await runEventLoop()
    begin(make())
    await runEventLoop()
    server.letGo()
    await cancelling
    await read
  })
})

t.test('results of promises and signals', async t => {
  /** Sends an object without a result so far. */
  const giving = (make: () => unknown) => (give = () => ({ it: make() }))
  const onItsWay =
    (come: (make: () => unknown) => unknown): Act =>
    async (root, make, { session, transports: [, server] }) => {
      giving(() => come(make))
      const { it } = await root.give()
      server.hold()
      settle(0)
      await runEventLoop()
      Netref.release(it)
      server.letGo()
      await session.ping()
    }
  await place(
    t,
    'to a promise that was let go of',
    onItsWay(make => later().then(make))
  )
  await place(
    t,
    'to a failed promise that was let go of',
    onItsWay(make => later().then(() => Promise.reject(make())))
  )
  await place(t, 'to a promise that is in an item of a loop that was left', async (root, make, joined) => {
    give = async function* () {
      for (let i = 0; i < READ; i++) yield i
      yield [later().then(make)]
      await new Promise(() => {})
    }
    const it = await root.give()
    await readSome(it, joined)
    settle(0)
    await runEventLoop()
    await it.return()
  })
  await place(
    t,
    'to a promise of a call that was given up before its turn',
    async (root, make, joined) => {
      const stop = new AbortController()
      const waits = settled(
        Netref.with(root.later(), { signal: stop.signal }).more(turn().then(() => [make()]))
      )
      await joined.ping()
      await runEventLoop()
      await joined.ping()
      stop.abort()
      await waits
    },
    { lent: true }
  )
  await place(t, 'to a promise, and cannot be read', async (root, make) => {
    giving(() => later().then(() => [make(), bad()]))
    const { it } = await root.give()
    settle(0)
    await settled(it)
    Netref.release(it)
  })
  await place(
    t,
    'to promises, and is too much',
    async (root, make, joined) => {
      const long = 'x'.repeat(6000)
      const call = root.keep(
        turn().then(() => long),
        turn()
          .then(() => turn())
          .then(() => [make(), long])
      )
      await joined.ping()
      await runEventLoop()
      await joined.ping()
      settle(0)
      await call
    },
    { lent: true, serving: { limits: { bufferedBytes: 10_000 } } }
  )
  await place(t, 'to a signal that nobody holds', async (root, make, joined) => {
    const stop = new AbortController()
    giving(() => stop.signal)
    const { it } = await root.give()
    markCollected(it)
    stop.abort(make())
    await joined.ping()
    Netref.release(it)
  })
  await t.test('a promise that is settled twice', async t => {
    await using joined = pair(servant()) as Pair<Untyped>
    const made = new Made()
    const promise = later().then(() => made.thing('function', 'list', false))
    giving(() => promise)
    await joined.root.give()
    const first = alive.at(-1)!
    markCollected(first)
    const { it } = await joined.root.give()
    settle(0)
    Netref.release((await it)[1])
    await joined.ping()
    // The owner learns only now that the first is gone; it cannot know about the other.
    runFinalizer(first)
    await joined.ping()
    await joined.served.ping()
    Netref.release(it)
    await cameHome(t, joined, made, 'what came once more')
  })
})

t.test('functions that an inspection would call', async t => {
  await using joined = pair(servant()) as Pair<Untyped>
  const { root } = joined
  give = () => ({ toJSON: () => 1, deep: [{ toString: () => '', valueOf: () => 1 }] })
  t.same(await root.give(), { deep: [{}] })
  await root.take({ toJSON: () => 1 })
  give = () => () => 1
  const home = await root.give()
  await root.take({ toJSON: home })
  Netref.release(home)
  await cameHome(t, joined, new Made(), 'they are left out')
})

t.test('stream calls on iterators and streams', async t => {
  const refused = {
    lent: true,
    serving: {
      before: ({ path }: { readonly path: readonly unknown[] }) => {
        if (path[0] !== 'give') throw new Error('it is refused')
      }
    }
  }
  const drive =
    (made: () => unknown, act: (it: Untyped, value: unknown, joined: Pair<Untyped>) => unknown): Act =>
    async (root, make, joined) => {
      give = made
      const it = await root.give()
      await act(it, make(), joined)
      Netref.release(it)
    }
  const endless = () => iterator({ next: () => ({ done: false, value: 1 }) })
  const over = () => iterator({ next: () => ({ done: true, value: 0 }) })
  await place(
    t,
    'a value that `before` refuses',
    drive(endless, (it, value) => settled(it.next(value))),
    refused
  )
  await place(
    t,
    'an error to throw that `before` refuses',
    drive(endless, (it, value) => settled(it.throw(value))),
    refused
  )
  await place(
    t,
    'a value to return with that `before` refuses',
    drive(endless, (it, value) => settled(it.return(value))),
    refused
  )
  await place(
    t,
    'a value for what is over',
    drive(
      () => iterator({ next: () => ({ done: true, value: 0 }) }),
      async (it, value, { transports: [, server] }) => {
        // This side learns of the end with its next request.
        server.hold()
        const last = it.next(0)
        const next = it.next(value)
        await runEventLoop()
        server.letGo()
        await Promise.all([last, settled(next)])
      }
    ),
    { lent: true }
  )
  await place(
    t,
    'an error for what cannot be thrown at',
    drive(endless, (it, value) => settled(it.throw(value))),
    { lent: true, things: NO_STREAMS }
  )
  await place(
    t,
    'an error for what is over',
    drive(over, async (it, value, { transports: [, server] }) => {
      server.hold()
      const last = it.next(0)
      const thrown = settled(it.throw(value))
      await runEventLoop()
      server.letGo()
      await last
      await thrown
    }),
    { lent: true, things: NO_STREAMS }
  )
  await place(
    t,
    'a reason that a stream to write may not be aborted with',
    drive(
      () => new WritableStream(),
      (it, value) => settled(it.abort(value))
    ),
    refused
  )
})

t.test('forwarded references', async t => {
  await using far = pair(servant()) as Pair<Untyped>
  const away = pair(servant()) as Pair<Untyped>
  await Promise.all([far.ping(), away.ping()])
  await away.close()
  class Middle {
    @exposed get far() {
      return far.root
    }
    @exposed get give() {
      return far.root.give
    }
    @exposed get away() {
      return away.root
    }
  }
  const oneway =
    (act: (root: Untyped) => PromiseLike<void>): Act =>
    async (root, make) => {
      give = make
      await act(root)
      await cameHome(t, far, new Made(), 'in the middle')
    }
  /** An object that was not sent gets no release. */
  const things = THINGS.filter(([kind]) => kind !== 'object')
  const middle = () => new Middle()
  await place(
    t,
    'an answer to nobody',
    oneway(root => Netref.oneway(root.give)()),
    { things },
    middle
  )
  await place(
    t,
    'one by its path',
    oneway(root => Netref.oneway(root.far.give)()),
    { things },
    middle
  )
  await place(
    t,
    'an answer of a call that was given up',
    async (root, make, joined) => {
      const stop = new AbortController()
      const failed = settled(Netref.with(root.far.later, { signal: stop.signal })())
      await joined.ping()
      await far.ping()
      stop.abort()
      await failed
      await joined.ping()
      await far.ping()
      settle(make())
      await cameHome(t, far, new Made(), 'in the middle')
    },
    {},
    middle
  )
  await place(
    t,
    'arguments that cannot be',
    (root, make) => settled(root.away.take(make())),
    { lent: true },
    middle
  )
})

t.test('references that end with their session', async t => {
  for (const [kind, where] of THINGS) {
    const made = new Made()
    const joined = pair(servant(), { onError() {} }) as Pair<Untyped>
    give = () => made.thing(kind, where, false)
    const calls = [joined.root.later().more(made.thing(kind, where, true)), joined.root.give()].map(settled)
    await joined.ping()
    await joined.close()
    await Promise.all(calls)
    await cameHome(t, joined, made, `${kind}, ${where}`)
  }
})

t.test('references that are held stay', async t => {
  const kept: Untyped[] = []
  class Keeper {
    @exposed keep(value: unknown) {
      kept.push(value)
      throw new Error('it is kept all the same')
    }
    @exposed get slot() {
      return kept.at(-1)
    }
    set slot(value: unknown) {
      this.keep(value)
    }
    @exposed get Made() {
      return class {
        constructor(value: unknown) {
          kept.push(value)
          throw new Error('it is kept all the same')
        }
      }
    }
    @exposed steps() {
      return iterator({
        next(value: unknown) {
          kept.push(value)
          throw new Error('it is kept all the same')
        },
        throw: (error: unknown) => void kept.push(error),
        return: (value: unknown) => void kept.push(value)
      })
    }
    @exposed sink() {
      return new WritableStream({ abort: reason => void kept.push(reason) })
    }
    @exposed wait() {
      const signal = callSignal()
      return new Promise(resolve => signal.addEventListener('abort', () => resolve(kept.push(signal.reason))))
    }
    @exposed refused() {}
  }
  const before = ({ path, args }: PeerCall) => {
    if (path[0] !== 'refused') return
    kept.push(args[0])
    throw new Error('it is refused')
  }
  await using joined = pair(new Keeper(), {
    onError() {},
    serving: { before, onError() {}, allowSetAttrs: true }
  }) as Pair<Untyped>
  const { root } = joined
  const ways: Record<string, (fn: () => number) => unknown> = {
    'what a method keeps that throws': fn => root.keep(fn),
    'what a constructor keeps that throws': fn => new root.Made(fn),
    'what a setter keeps that throws': fn => Netref.set(root, 'slot', fn),
    'what an iterator keeps that throws': async fn => (await root.steps()).next(fn),
    'what an iterator keeps that is thrown at': async fn => (await root.steps()).throw(fn),
    'what an iterator keeps that is closed': async fn => (await root.steps()).return(fn),
    'what a stream keeps that is aborted': async fn => (await root.sink()).abort(fn),
    'a reason that was asked for': async fn => {
      const stop = new AbortController()
      const waits = settled(Netref.with(root.wait, { signal: stop.signal })())
      await joined.ping()
      stop.abort(fn)
      await waits
    }
  }
  for (const [what, give] of Object.entries(ways)) {
    await settled(give(() => 1) as Promise<unknown>)
    await joined.ping()
    const [fn] = kept.splice(0)
    t.equal(await fn(), 1, what)
    Netref.release(fn)
  }
  const fn = () => 2
  await settled(root.refused(fn))
  t.match(
    (await settled(kept[0]()))[0],
    { reason: { code: 'released' } },
    'references that `before` keeps from a refused call stay valid'
  )
  await settled(root.keep(fn))
  await settled(root.refused(fn))
  await settled(root.nothing(fn, [fn]))
  t.same(joined.session.tables.exports.length, 1)
  for (const netref of kept.slice(1)) t.equal(await netref(), 2, 'earlier references are unchanged')
  t.equal(kept[1], kept[2])
  Netref.release(kept.pop())
  await cameHome(t, joined, new Made(), 'all of it is given back')
})

t.test('each netref lives as long as something holds it', async () => {
  const objects = Array.from({ length: 4 }, (_, i) => expose({ id: () => i }))
  const which = fc.array(fc.nat(objects.length - 1), { minLength: 1, maxLength: 3 })
  const step = fc.record({
    how: fc.constantFrom('taken', 'taken', 'given up', 'unreadable', 'loop', 'refused', 'released', 'later'),
    which,
    deep: fc.nat(3)
  })
  const nest = (list: readonly unknown[], deep: number): unknown =>
    [list, new Map([[1, list]]), { a: [new Box(list)] }, [new Set(list), { b: list }]][deep]
  const unnest = (value: Untyped, found: Untyped[] = []): Untyped[] => {
    if (Netref.is(value)) found.push(value)
    else if (value instanceof Map || value instanceof Set)
      for (const item of value.values()) unnest(item, found)
    else if (typeof value === 'object' && value !== null)
      for (const item of Object.values(value)) unnest(item, found)
    return found
  }
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 15 }), async steps => {
      await using joined = pair(servant(), { onError() {}, serving: { onError() {} } }) as Pair<Untyped>
      const { root, session, served } = joined
      await joined.ping()
      const held = new Map<number, Untyped>()
      const take = async (value: unknown) => {
        for (const netref of unnest(value)) held.set(await netref.id(), netref)
      }
      for (const { how, which, deep } of steps) {
        const made = nest(
          which.map(i => objects[i]),
          deep
        )
        give = () => made
        if (how === 'taken') await take(await root.give())
        if (how === 'released') {
          for (const i of which) {
            if (held.has(i)) Netref.release(held.get(i))
            held.delete(i)
          }
        }
        if (how === 'refused') await settled(root.nothing(nest([...held.values()], deep)))
        if (how === 'unreadable') {
          give = () => [made, bad(made)]
          await settled(root.give())
        }
        if (how === 'given up') {
          const late = settled(Netref.with(root.later, { timeout: 0 })())
          await late
          settle(made)
        }
        if (how === 'later') {
          give = () => ({ late: later() })
          const { late } = await root.give()
          settle(made)
          await take(await late)
          Netref.release(late)
        }
        if (how === 'loop') {
          give = async function* () {
            for (let i = 0; i < READ; i++) yield [made]
            yield* which.map(i => [objects[i]])
            await new Promise(() => {})
          }
          let read = 0
          for await (const item of root.give()) {
            await take(item)
            if (++read < READ) continue
            if (deep % 2) await runEventLoop()
            break
          }
        }
        await Promise.all([session.ping(), served.ping()])
        await Promise.all([session.ping(), served.ping()])
        const { exports } = served.tables
        const { imports } = session.tables
        const ids = (entries: typeof exports) =>
          entries.map(({ id, refCount: receipts }) => [id, receipts]).sort()
        if (JSON.stringify(ids(exports)) !== JSON.stringify(ids(imports)))
          throw new Error(`${how}: ${JSON.stringify([ids(exports), ids(imports)])}`)
        if (exports.length !== held.size)
          throw new Error(`${how}: ${exports.length} are out, ${held.size} are held`)
        for (const [id, netref] of held) if ((await netref.id()) !== id) throw new Error('another one')
      }
    }),
    { numRuns: 50 }
  )
})

t.test('messages of a peer of another implementation', async t => {
  let leave!: () => void
  const left = new Promise<void>(resolve => (leave = resolve))
  class Reader {
    @exposed async read(items: AsyncIterable<unknown>, count: number) {
      let read = 0
      for await (const _ of items) {
        if (++read < count) continue
        await left
        return
      }
    }
    @exposed hold(_: unknown) {
      return new Promise(() => {})
    }
    @exposed take() {}
    @exposed steps() {
      return iterator({ next: () => ({ done: false, value: 1 }) })
    }
    @exposed sink() {
      return new WritableStream()
    }
  }
  await using server = await serve(() => new Reader(), {
    port: 0,
    onError() {},
    idempotencyStore: new MemoryIdempotencyStore()
  })
  const peer = await RawPeer.open(server.url)
  await peer.ping()
  const [session] = server.sessions
  /** Released ids, each with its count. */
  const released = async () => {
    await peer.ping()
    await peer.ping()
    const all = peer.messages
      .filter(([op]) => op === Op.release)
      .flatMap(message => message.slice(1) as number[])
    return Array.from({ length: all.length / 2 }, (_, i) => [all[2 * i], all[2 * i + 1]]).sort()
  }
  const fn = (id: number) => [id, 'fn']
  let last = peer.lastCallId

  // Several items in one message, of which some are read.
  peer.send([[Op.call, ++peer.lastCallId, 0, 'read', [[1, 'iterator'], 2], [['i', [0]]]]])
  await peer.message(([op, id]) => op === Op.pull && id === 1)
  peer.send([
    [Op.items, 1, 0, [fn(2), fn(3), fn(4), { f: fn(4) }, fn(5)], [['f', [0], [1], [2], [3, 'f'], [4]]]]
  ])
  peer.send([[Op.ended, 1, 1, fn(6), [['f', []]]]])
  peer.send([[Op.ended, 1, 1, fn(66), [['f', []]]]])
  await peer.ping()
  t.same(session!.stats.imports, 6)
  leave()
  await peer.reply(last + 1)
  t.same(
    await released(),
    [
      [1, 1],
      [4, 2],
      [5, 1],
      [6, 1],
      [66, 1]
    ],
    'references that were not read'
  )

  // Messages about an iterator that is gone, known or not.
  peer.send([
    [Op.items, 1, 0, [fn(7), [fn(7), fn(2)]], [['f', [0], [1, 0], [1, 1]]]],
    [Op.ended, 99, 0, fn(8), [['f', []]]],
    [
      Op.items,
      99,
      0,
      [{ root: [0, 'root'] }, 1],
      [
        ['o', [0, 'root']],
        ['h', [1]]
      ]
    ]
  ])
  t.same(
    (await released()).slice(5),
    [
      [7, 1],
      [7, 1],
      [8, 1]
    ],
    'references of released streams'
  )
  t.equal(session!.stats.imports, 2, 'references that are held are unchanged')

  // A call with an idempotency key accepts only data as arguments.
  last = peer.lastCallId
  peer.send([[Op.idempotent, 'a key', Op.call, ++peer.lastCallId, 0, 'take', [fn(9)], [['f', [0]]]]])
  t.match(await peer.reply(last + 1), [Op.refused])
  // A released reference, and a streamed one, have no members.
  const [, , [gone]] = (await peer.call('steps')) as [number, number, [number]]
  t.match(await peer.ask(Op.call, gone, 'x', [fn(10)], [['f', [0]]]), [Op.refused])
  peer.send([[Op.release, gone, 1]])
  t.match(await peer.ask(Op.call, gone, 'x', [fn(11)], [['f', [0]]]), [Op.refused])
  // A stream is written by one iterator.
  const [, , [sink]] = (await peer.call('sink')) as [number, number, [number]]
  t.match(await peer.ask(Op.streamCall, sink, 'pipe', fn(12), [['f', []]]), [Op.refused])
  t.match(await peer.ask(Op.streamCall, sink, 'other', fn(13), [['f', []]]), [Op.refused])
  t.same(
    (await released()).map(([id]) => id).filter(id => id! > 8 && id! < 66),
    [9, 10, 11, 12, 13].sort(),
    'references of refused calls'
  )
  await peer.end()

  for (const [what, message] of [
    ['no reference', [Op.ended, 99, 1, ['x'], [['f', []]]]],
    ['no way there', [Op.ended, 99, 1, fn(1), [['f', [0, 1, 2]]]]],
    [
      'two at one place',
      [
        Op.items,
        99,
        0,
        [fn(1)],
        [
          ['f', [0]],
          ['f', [0]]
        ]
      ]
    ]
  ] as const) {
    const peer = await RawPeer.open(server.url)
    peer.send([message])
    t.match(await peer.closed, { code: 1002 }, what)
  }
})

t.test('over a socket that breaks', async t => {
  const { agent, die } = breakableAgent()
  const made = new Made()
  const thing = () => ['object', 'readable', 'iterator'].map(kind => made.thing(kind, 'list', false))
  await overSocket(
    t,
    servant,
    async (conn, server) => {
      const root = conn.root as Untyped
      await conn.ping()
      const [served] = server.sessions
      const late = settled(Netref.with(root.later, { timeout: 10 })())
      const refused = settled(root.nothing(thing()))
      give = async function* () {
        for (let i = 0; i < READ; i++) yield i
        for (let i = 0; i < 100; i++) yield thing()
      }
      let read = 0
      for await (const _ of root.give()) {
        if (++read < READ) continue
        const interrupted = new Promise<void>(resolve => conn.on('interrupted', () => resolve()))
        die()
        settle(thing())
        await interrupted
        break
      }
      await Promise.all([late, refused])
      const empty = JSON.stringify([EMPTY, EMPTY])
      await waitUntil(
        () => made.ended === made.made && JSON.stringify(tables(conn.session, served!)) === empty
      )
    },
    { client: { agent } }
  )
})
