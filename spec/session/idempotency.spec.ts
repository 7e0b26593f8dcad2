// Calls with a key: each runs once, and is answered again with what came of it.

import { once } from 'node:events'
import fc from 'fast-check'
import t from 'tap'
import { WebSocket } from 'ws'
import {
  connect,
  expose,
  exposed,
  type IdempotencyRecord,
  type IdempotencyStore,
  LimitError,
  MemoryIdempotencyStore,
  Netref,
  pair,
  type ServeOptions,
  Service,
  serve
} from '../../lib/index.js'
import { formatIdempotent, formatTraced } from '../../lib/protocol/messages.js'
import { parseMessage } from '../../lib/protocol/parse-message.js'
import { formatMessage } from '../../lib/protocol/trace.js'
import { ChaosProxy } from '../support/chaos-proxy.js'
import {
  assertClean,
  implOf,
  overMemory,
  overMemoryAndSocket,
  rejectionOf,
  waitUntil
} from '../support/helpers.js'
import { recordMessages, type Untyped } from '../support/wire.js'

class Shop extends Service {
  static runs: unknown[] = []
  static go: (value: unknown) => void = () => {}
  @exposed pay(amount: unknown, how?: unknown) {
    Shop.runs.push(amount)
    if (amount === 'dear') throw new RangeError('too dear')
    return how ?? { paid: amount, at: new Date(0) }
  }
  @exposed later(amount: unknown) {
    Shop.runs.push(amount)
    return new Promise(resolve => {
      Shop.go = resolve
    })
  }
  @exposed({ idempotent: true }) touch(amount: unknown) {
    return this.later(amount)
  }
  @exposed open(amount: unknown) {
    Shop.runs.push(amount)
    return expose({ amount: () => amount })
  }
  @exposed text(length: number) {
    return 'x'.repeat(length)
  }
  @exposed nothing() {
    Shop.runs.push('nothing')
  }
  @exposed symbol() {
    Shop.runs.push('symbol')
    return { self: () => 1, symbol: Symbol('s') }
  }
  @exposed getter() {
    Shop.runs.push('getter')
    return {
      get now() {
        throw new RangeError('not now')
      }
    }
  }
  @exposed fail() {
    Shop.runs.push('fail')
    throw Symbol('s')
  }
  @exposed bytes() {
    return new Uint8Array(3)
  }
  hidden() {}
}

t.beforeEach(() => {
  Shop.runs = []
})

const SOON = { delay: 1, maxDelay: 20 }
const under = <F>(fn: F, key: string): F => Netref.with(fn as Untyped, { idempotencyKey: key }) as F

t.test('a call with a known key gets the first outcome', async t => {
  const serving = { idempotencyStore: new MemoryIdempotencyStore() }
  await overMemoryAndSocket(
    t,
    () => new Shop(),
    async ({ root }, t) => {
      Shop.runs = []
      const pay = under(root.pay, 'a')
      t.same(await Promise.all([pay(1), pay(1)]), Array(2).fill({ paid: 1, at: new Date(0) }))
      t.same(await pay(1), { paid: 1, at: new Date(0) })
      t.same(await pay(1).paid, 1, 'a pipelined call gets it, too')
      t.same(Shop.runs, [1])
      t.match(await rejectionOf(pay(2)), {
        code: 'unreadable',
        message: /the key was used before, with other/
      })
      await under(root.pay, 'b')(1)
      await under(root.nothing, 'a')()
      t.equal(await under(root.nothing, 'a')(), undefined)
      t.same(Shop.runs, [1, 1, 'nothing'], 'another key, another path')
      for (let i = 0; i < 2; i++) {
        t.match(await rejectionOf(under(root.pay, 'c')('dear')), { name: 'RangeError', message: 'too dear' })
        t.match(await rejectionOf(under(root.hidden, 'c')()), { code: 'not-exposed' })
      }
      t.same(Shop.runs, [1, 1, 'nothing', 'dear'])
      const later = under(root.later, 'd')
      const [first, second] = [later(1), later(1)]
      await waitUntil(() => Shop.runs.length === 5)
      t.match(await rejectionOf(later(2)), { code: 'unreadable' })
      Shop.go('done')
      t.same(await Promise.all([first, second]), ['done', 'done'])
      const open = under(root.open, 'e')
      const things = [await open(3), await open(3)]
      t.equal(things[0], things[1], 'references, within the session')
      t.equal(await things[0].amount(), 3)
      for (const thing of things) Netref.release(thing)
      t.equal((await under(root.text, 'f')(70_000)).length, 70_000)
      t.equal((await under(root.text, 'f')(70_000)).length, 70_000)
      t.equal((await under(root.bytes, 'f')()).length, 3)
      Shop.runs = []
      const rows = Array.from({ length: 20 }, (_, id) => ({ id }))
      for (const [value, other] of [
        [new Map([[1, 2]]), new Map([[1, 3]])],
        [new Set([1]), new Set([2])],
        [5n, 6n],
        [new Error('a'), new Error('b')],
        [rows, rows.slice(1)]
      ]) {
        const alike = under(root.pay, `of ${typeof value} ${Shop.runs.length}`)
        for (let i = 0; i < 2; i++) t.same((await alike(value)).paid, value)
        t.match(await rejectionOf(alike(other)), { code: 'unreadable', message: /with other arguments/ })
      }
      t.equal(Shop.runs.length, 5, 'arguments are compared as they were sent')
    },
    { serving }
  )
})

t.test('a key requires a call of the root, with data', async t => {
  await overMemory(
    t,
    Shop,
    async conn => {
      const root = conn.root as Untyped
      const [out] = recordMessages(conn)
      t.throws(() => under(root.pay, ''), /`idempotencyKey` must be a string of 1 to 200 characters, not ""/)
      t.throws(() => Netref.with(root.pay, { idempotencyKey: 5 } as Untyped), /not 5/)
      const thing = await root.open(1)
      t.throws(() => under(thing.amount, 'a'), /applies only to calls of a path from the root/)
      t.throws(() => under(root.open(1).amount, 'a'), /applies only to calls of a path from the root/)
      t.match(await rejectionOf(under(root.pay, 'a')(() => {})), {
        code: 'unsendable',
        message: /accepts only data/
      })
      t.match(await rejectionOf(under(root.pay, 'a')(new Uint8Array(1))), { code: 'unsendable' })
      t.equal(await Netref.has(under(root, 'a'), 'pay'), true, 'a read does not accept a key')
      t.equal(
        out.some(([op]) => op === 23),
        false
      )
      Netref.release(thing)
    },
    { serving: { idempotencyStore: new MemoryIdempotencyStore() } }
  )
  await overMemory(t, Shop, async ({ root }) => {
    await under(root.pay, 'a')(1)
    await under(root.pay, 'a')(1)
    t.same(Shop.runs.slice(-2), [1, 1], 'without a store a key has no effect')
  })
})

t.test('references and bytes are refused on both sides', async t => {
  for (const [json, groups, bytes] of [
    [[[40, 'f']], [['f', [0]]], []],
    [['Uint8Array'], [['b', [0]]], [new Uint8Array(1)]]
  ] as const) {
    await using conn = pair(Shop, { serving: { idempotencyStore: new MemoryIdempotencyStore() } })
    await conn.ping()
    const [, back] = recordMessages(conn)
    const messages = [[23, 'a', 1, 2, 0, 'pay', json, groups]]
    const text = JSON.stringify([0, messages])
    const frame = {
      ack: 0,
      messages,
      bytes: new Map([[0, bytes]]),
      sizeBytes: text.length,
      json: text,
      isAckOnly: false,
      requestsAck: false
    }
    implOf(conn.served).processMessages(frame, 0)
    await waitUntil(() => back.length > 0)
    t.match(back, [[12, 2, 'unreadable', 'a call with an idempotency key accepts only data as arguments']])
    // The client made no such call.
    t.match(await conn.closed, { code: 'protocol' })
    await assertClean(t, conn.session, conn.served)
  }
  t.same(Shop.runs, [])
})

t.test('keys belong to an identity, or without one to the session', async t => {
  const results = new MemoryIdempotencyStore()
  const runs = async (identity: unknown) => {
    Shop.runs = []
    for (let i = 0; i < 2; i++) {
      const options = { identity, serving: { idempotencyStore: results } }
      await overMemory(t, Shop, async ({ root }) => void (await under(root.pay, 'a')(1)), options)
    }
    return Shop.runs.length
  }
  t.equal(await runs({ name: 'ann', since: new Date(0) }), 1)
  t.equal(await runs({ name: 'ben', since: new Date(0) }), 1)
  t.equal(await runs({ name: 'ann', since: new Date(0) }), 0)
  t.equal(await runs(undefined), 2)
  t.equal(
    await runs({ name: 'ann', can: () => true }),
    2,
    'an identity that is not data is a new owner each time'
  )
  const options = { identity: 'ann', serving: { idempotencyStore: results } }
  await overMemory(t, Shop, async ({ root }) => void (await under(root.open, 'o')(1)), options)
  await overMemory(
    t,
    Shop,
    async ({ root }) => {
      t.match(await rejectionOf(under(root.open, 'o')(1)), {
        code: 'may-have-run',
        message: /an earlier call with this key has started, and its outcome is unknown/
      })
    },
    options
  )
})

t.test('limits of the store, and stores that fail', async t => {
  const few = new MemoryIdempotencyStore(1000, 1500)
  await overMemory(
    t,
    Shop,
    async ({ root }) => {
      await under(root.pay, 'a')(1)
      const error = await rejectionOf(under(root.pay, 'b')(1))
      t.ok(error instanceof LimitError)
      t.match(error, { code: 'limit', message: /the stored calls of this client take up 512 bytes: wait/ })
      const again = () =>
        under(
          root.pay,
          'b'
        )(1).then(
          () => true,
          () => false
        )
      while (!(await again()));
    },
    { identity: 'ann', serving: { idempotencyStore: few } }
  )
  const errors: unknown[] = []
  let broken = (_: IdempotencyRecord) => false
  const kept = new Map<string, IdempotencyRecord>()
  const results: IdempotencyStore = {
    get: async name => kept.get(name),
    set(name, result) {
      if (broken(result)) throw new Error('the disk is full')
      kept.set(name, result)
    }
  }
  await overMemory(
    t,
    Shop,
    async ({ root }) => {
      broken = ({ reply }) => reply === undefined
      t.match(await rejectionOf(under(root.pay, 'a')('never')), { message: 'the disk is full' })
      t.notOk(Shop.runs.includes('never'))
      broken = ({ reply }) => reply !== undefined
      await under(root.pay, 'a')('once')
      t.match(errors, [{ message: 'the disk is full' }])
      t.match(await rejectionOf(under(root.pay, 'a')('once')), { code: 'may-have-run' })
    },
    { identity: 'ann', serving: { idempotencyStore: results, onError: error => errors.push(error) } }
  )
})

t.test('of outcomes that are not data the latest are kept, up to a number of bytes', async t => {
  await overMemory(
    t,
    Shop,
    async ({ root }) => {
      for (let i = 0; i < 1000; i++) Netref.release(await under(root.open, `o${i}`)(1))
      t.match(await rejectionOf(under(root.open, 'o0')(1)), { code: 'may-have-run' })
      Netref.release(await under(root.open, 'o999')(1))
      t.equal((await under(root.text, 'f')(300_000)).length, 300_000)
      t.match(
        await rejectionOf(under(root.open, 'o500')(1)),
        { code: 'may-have-run' },
        'a long outcome counts more'
      )
      t.equal((await under(root.text, 'f')(300_000)).length, 300_000)
      await under(root.text, 'g')(600_000)
      t.match(
        await rejectionOf(under(root.text, 'g')(600_000)),
        { code: 'may-have-run' },
        'one outcome is too long'
      )
      t.equal(Shop.runs.length, 1000)
      for (let i = 0; i < 2; i++) {
        t.match(await rejectionOf(under(root.symbol, 's')()), { code: 'unsendable' })
        t.match(await rejectionOf(under(root.fail, 's')()), { code: 'unsendable' })
      }
      t.match(await rejectionOf(under(root.getter, 's')()), { message: 'not now' })
      t.match(await rejectionOf(under(root.getter, 's')()), { code: 'unsendable' })
      t.equal(Shop.runs.length, 1003, 'an outcome that cannot be sent is recorded, too')
    },
    { serving: { idempotencyStore: new MemoryIdempotencyStore() } }
  )
})

t.test('one identity uses at most half of the store, and no call runs twice', async t => {
  const results = new MemoryIdempotencyStore(300_000, 200_000)
  const as = (identity: unknown, use: (root: Untyped) => Promise<void>) =>
    overMemory(t, Shop, ({ root }) => use(root), { identity, serving: { idempotencyStore: results } })
  await as('ben', async root => void (await under(root.pay, 'rent')(1)))
  let mine = 0
  await as('eve', async root => {
    for (; ; mine++) {
      const error = await under(
        root.pay,
        `k${mine}`
      )('x'.repeat(100)).then(
        () => undefined,
        (error: Error) => error
      )
      if (!error) continue
      t.match(error, { code: 'limit' })
      break
    }
    t.ok(mine > 150 && mine < 250, `${mine} calls, in half of the store`)
    Shop.runs = []
    t.match(
      await rejectionOf(under(root.pay, 'k0')('x'.repeat(100))),
      { code: 'may-have-run' },
      'its oldest outcomes are dropped'
    )
  })
  await as('ben', async root => void t.same(await under(root.pay, 'rent')(1), { paid: 1, at: new Date(0) }))
  t.same(Shop.runs, [], 'no call has run again')
  await as('cid', async root => {
    for (let i = 0; i < 30; i++) await under(root.pay, `k${i}`)(i)
    for (let i = 0; i < 30; i++) t.equal((await under(root.pay, `k${i}`)(i)).paid, i)
  })
  t.equal(Shop.runs.length, 30)
})

t.test('calls without an identity use nothing of the store', async t => {
  const results = new MemoryIdempotencyStore(300_000, 10_000)
  let asked = 0
  const store: IdempotencyStore = {
    get(name) {
      asked++
      return results.get(name)
    },
    set: (name, result, owner) => results.set(name, result, owner)
  }
  const serving = { idempotencyStore: store }
  for (const identity of [undefined, { can: () => true }, new Shop()]) {
    const use = async ({ root }: Untyped) => {
      for (let i = 0; i < 200; i++) await under(root.pay, `${i}`)(i)
      for (let i = 0; i < 200; i++) t.equal((await under(root.pay, `${i}`)(i)).paid, i)
    }
    await overMemory(t, Shop, use, { identity, serving })
  }
  t.equal(Shop.runs.length, 600)
  t.equal(asked, 0)
  await overMemory(t, Shop, async ({ root }) => void (await under(root.pay, 'a')(1)), {
    identity: 'ann',
    serving
  })
  t.equal(asked, 1)
})

t.test('the memory store after any sequence of operations', t => {
  const MOST = 8192
  const step = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(9), fc.option(fc.nat(1500)))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), steps => {
      const results = new MemoryIdempotencyStore(300_000, MOST)
      const begun = new Map<string, Set<string>>()
      const weightOf = (owner: string) =>
        [...(begun.get(owner) ?? [])].reduce(
          (sum, name) => sum + 512 + 2 * (results.get(name)!.reply?.length ?? 0),
          0
        )
      for (const [owner, key, length] of steps) {
        const name = owner + key
        const known = results.get(name)
        const free = MOST - [...begun.keys()].reduce((sum, owner) => sum + weightOf(owner), 0)
        const had = weightOf(owner)
        const others = [...begun].filter(([other]) => other !== owner).map(([other]) => weightOf(other))
        try {
          const result = { requestDigest: name, reply: length === null ? undefined : 'x'.repeat(length) }
          results.set(name, known ? result : { requestDigest: name }, owner)
          begun.set(owner, (begun.get(owner) ?? new Set()).add(name))
        } catch (error) {
          if (!(error instanceof LimitError) || known || had + 512 <= free - 512) throw error
        }
        const after = [...begun].filter(([other]) => other !== owner).map(([other]) => weightOf(other))
        if (String(others) !== String(after))
          throw new Error('one identity has changed what is kept of others')
        if ([...begun.keys()].reduce((sum, owner) => sum + weightOf(owner), 0) > MOST)
          throw new Error('more is kept than may be')
      }
      for (const names of begun.values())
        for (const name of names) if (!results.get(name)) throw new Error('a call that began is forgotten')
    })
  )
  t.end()
})

/** A server is lost while a call is under way there; what comes of the call at the next one. */
async function lost(
  t: Untyped,
  [first, second]: ServeOptions[],
  use: (call: Promise<unknown>, root: Untyped) => Promise<unknown>,
  method: 'later' | 'touch' = 'later'
): Promise<void> {
  const one = await serve(Shop, { port: 0, resumeWindow: 0, ...first })
  const port = Number(new URL(one.url).port)
  const conn = connect<Shop>(one.url, { renew: true, reconnect: SOON })
  const call = Promise.resolve(under(conn.root[method] as Untyped, 'a')(1))
  await waitUntil(() => Shop.runs.length === 1)
  const renewed = new Promise<void>(resolve => conn.on('renewed', () => resolve()))
  await one.close()
  const two = await serve(Shop, { port, ...second })
  await renewed
  await use(call, conn.root)
  await assertClean(t, conn.session, ...two.sessions)
  await conn.close()
  await two.close()
}

t.test('a call repeated in another session is answered from the store', async t => {
  const authenticate = () => 'ann'
  const results = new MemoryIdempotencyStore()
  const both = { authenticate, idempotencyStore: results }
  await lost(t, [both, both], async (call, root) => {
    let there = false
    void call.then(() => (there = true))
    await root.nothing()
    await root.nothing()
    t.equal(there, false, 'it waits while the first runs')
    Shop.go('done')
    t.equal(await call, 'done')
    t.same(Shop.runs, [1, 'nothing', 'nothing'])
    t.equal(await under(root.later, 'a')(1), 'done')
  })
  const forgetful = { authenticate, idempotencyStore: new MemoryIdempotencyStore() }
  Shop.runs = []
  await lost(t, [{ authenticate, idempotencyStore: new MemoryIdempotencyStore() }, forgetful], async call =>
    t.match(await rejectionOf(call), { code: 'may-have-run', message: /is not idempotent/ })
  )
  Shop.runs = []
  await lost(
    t,
    [both, both].map(({ idempotencyStore }) => ({ idempotencyStore })),
    async call =>
      t.match(
        await rejectionOf(call),
        { code: 'may-have-run' },
        'without an identity the session is another owner'
      )
  )
})

t.test('after the loss of the socket and the session the same server answers', async t => {
  const server = await serve(Shop, {
    port: 0,
    resumeWindow: 0,
    authenticate: () => 'ann',
    idempotencyStore: new MemoryIdempotencyStore()
  })
  const chaos = await ChaosProxy.inFrontOf(server.url, 1)
  const conn = connect<Shop>(chaos.url, { renew: true, reconnect: SOON })
  const call = Promise.resolve(under(conn.root.later, 'a')(1))
  await waitUntil(() => Shop.runs.length === 1)
  const renewed = new Promise<void>(resolve => conn.on('renewed', () => resolve()))
  chaos.cutAll()
  await renewed
  await conn.root.nothing()
  Shop.go('done')
  t.equal(await call, 'done')
  t.same(Shop.runs, [1, 'nothing'])
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await chaos.close()
  await server.close()
})

t.test('an identity is read when a session begins, not for a silent or a resuming client', async t => {
  let reads = 0
  const authenticate = () => ({
    get name() {
      reads++
      return 'ann'
    }
  })
  const options = { authenticate, sameIdentity: () => true, idempotencyStore: new MemoryIdempotencyStore() }
  const server = await serve(Shop, { port: 0, ...options })
  const silent = new WebSocket(server.url)
  await once(silent, 'open')
  const chaos = await ChaosProxy.inFrontOf(server.url, 1)
  const conn = connect<Shop>(chaos.url, { reconnect: SOON })
  await conn.root.nothing()
  t.equal(reads, 1)
  const resumed = new Promise<void>(resolve => conn.on('resumed', () => resolve()))
  chaos.cutAll()
  await resumed
  await conn.root.nothing()
  t.equal(reads, 1)
  silent.terminate()
  await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await chaos.close()
  await server.close()
})

t.test('a call that a durable store does not know has not run, and runs', async t => {
  const authenticate = () => 'ann'
  // The first server never came to it.
  const stuck: IdempotencyStore = {
    get() {
      Shop.runs.push('asked')
      return new Promise(() => {})
    },
    set() {}
  }
  const lasting = new Map<string, IdempotencyRecord>()
  await lost(
    t,
    [
      { authenticate, idempotencyStore: stuck },
      {
        authenticate,
        idempotencyStore: {
          durable: true,
          get: name => lasting.get(name),
          set: (name, result) => lasting.set(name, result)
        }
      }
    ],
    async call => {
      await waitUntil(() => Shop.runs.includes(1))
      Shop.go('run')
      t.equal(await call, 'run')
    }
  )
  Shop.runs = []
  await lost(
    t,
    [
      { authenticate, idempotencyStore: new MemoryIdempotencyStore() },
      { authenticate, idempotencyStore: new MemoryIdempotencyStore() }
    ],
    async call => {
      await waitUntil(() => Shop.runs.length === 2)
      Shop.go('twice')
      t.equal(await call, 'twice', 'an idempotent call may run again')
    },
    'touch'
  )
})

t.test('the message of the error', t => {
  const call = '[1,7,0,"pay",[1]]'
  const keyed = JSON.parse(formatIdempotent('k"', call))
  t.same(parseMessage(keyed), [23, 'k"', 1, 7, 0, 'pay', [1]])
  t.equal(formatMessage(keyed), 'call 7 root.pay [1] under "k\\""')
  const span = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  parseMessage(JSON.parse(formatIdempotent('k', formatTraced(span, call))))
  for (const message of [
    [23, 'k', 2, 7, 0, 'pay'],
    [23, 'k', 1, 7, 5, 'pay', []],
    [23, '', 1, 7, 0, 'pay', []],
    [23, 'k'.repeat(201), 1, 7, 0, 'pay', []],
    [23, 'k', 23, 'k', 1, 7, 0, 'pay', []],
    [23, 'k']
  ])
    t.throws(() => parseMessage(message), /not of the protocol/, JSON.stringify(message))
  t.end()
})

t.test('of several servers that share a store with `start`, one starts the call', async t => {
  class SharedStore extends MemoryIdempotencyStore {
    readonly durable = true
    override get() {
      return undefined
    }
    start(name: string, record: IdempotencyRecord, owner: string) {
      const known = super.get(name)
      if (!known) this.set(name, record, owner)
      return known && { ...known }
    }
  }
  const serving = { idempotencyStore: new SharedStore() }
  await using first = pair(Shop, { identity: 'ada', serving })
  await using second = pair(Shop, {
    identity: 'ada',
    serving: {
      idempotencyStore: new Proxy(serving.idempotencyStore, {
        get: (store, name) => {
          const value = Reflect.get(store, name, store)
          return typeof value === 'function' ? value.bind(store) : value
        }
      })
    }
  })
  const calls = [first, second].map(({ root }) => under((root as Untyped).later, 'shared')(1))
  await waitUntil(() => Shop.runs.length === 1)
  t.match(await rejectionOf(calls[1]!), { code: 'may-have-run' })
  Shop.go('done')
  t.equal(await calls[0], 'done')
  t.equal(await under((second.root as Untyped).later, 'shared')(1), 'done')
  t.equal(Shop.runs.length, 1)
  await assertClean(t, first.session, second.session)
})
