import t from 'tap'
import { callSession, expose, Netref, type Pair, pair, registerError, Service } from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { assertClean, overMemory, overSocket, rejectionOf, waitUntil } from '../support/helpers.js'
import { collectGarbage, recordMessages, runEventLoop, type Untyped } from '../support/wire.js'

class Item {
  constructor(public exposed_name = 'item') {}
  exposed_hello() {
    return `hello from ${this.exposed_name}`
  }
}

class Store extends Service {
  item = new Item()
  kept: unknown[] = []
  exposed_item() {
    return this.item
  }
  exposed_fresh(name?: string) {
    return new Item(name)
  }
  exposed_root() {
    return this
  }
  exposed_keep(...values: unknown[]) {
    this.kept.push(...values)
  }
  exposed_kept() {
    return this.kept
  }
  exposed_drop() {
    this.kept = []
  }
  exposed_echo(value: unknown) {
    return value
  }
  exposed_same(a: unknown, b: unknown) {
    return a === b
  }
  exposed_isItem(value: unknown) {
    return value === this.item
  }
  exposed_member() {
    return this.item.exposed_hello
  }
  exposed_isMember(value: unknown) {
    return value === Item.prototype.exposed_hello
  }
  exposed_call(fn: Untyped, ...args: unknown[]) {
    return fn(...args)
  }
  exposed_who() {
    return callSession()
  }
}

for (const over of [overMemory, overSocket]) {
  t.test(`the same object is the same netref, ${over.name}`, t =>
    over(t, Store, async conn => {
      const root: Untyped = conn.root
      const item = await root.item()
      t.equal(await root.item(), item)
      t.equal(await root.root(), root, 'the root is the same netref')
      t.equal(await root.root().root(), root)
      const [a, [b]] = await root.echo([item, [item]])
      t.ok(a === item && b === item)
      const hello = await item.hello
      t.equal(await item.hello, hello, 'the same function of the same object')
      t.equal(await hello(), 'hello from item')
      const other = await root.fresh('other')
      t.not(other, item)
      t.not(await other.hello, hello, 'but not of another object')
      t.equal(await (await other.hello)(), 'hello from other')
      const fn = () => 1
      const own = expose({ fn })
      t.equal(await root.same(fn, fn), true)
      t.equal(await root.same(own, own), true)
      t.equal(await root.same({ fn }, { fn }), false, 'data are copies')
      t.equal(stats(conn).imports, 4)
    })
  )

  t.test(`what comes home is the original, ${over.name}`, t =>
    over(t, Store, async conn => {
      const root: Untyped = conn.root
      const own = new Item('own')
      const fn = () => own
      const api = { fn, list: [fn] }
      t.equal(await root.echo(own), own)
      t.equal(await root.echo(fn), fn)
      const back = await root.echo(api)
      t.ok(back.fn === fn && back.list[0] === fn && back !== api)
      t.same(
        await root.echo(
          new Map<unknown, unknown>([
            [own, fn],
            ['set', new Set([own])]
          ])
        ),
        new Map<unknown, unknown>([
          [own, fn],
          ['set', new Set([own])]
        ])
      )
      const [[[key]], set] = await root.echo([[...new Map([[own, 1]])], new Set([fn])])
      t.ok(key === own && set.has(fn))
      await root.keep(own, api)
      const kept = await root.kept()
      t.ok(kept[0] === own && kept[1].fn === fn, 'also later')
      await root.drop()

      const item = await root.item()
      t.equal(await root.isItem(item), true, 'also at the other side')
      t.equal(await root.same(item, root), false)
      t.equal(
        await root.isMember(await item.hello),
        true,
        'the owner of a bound function receives the original'
      )
      t.equal(await (await item.hello)(), 'hello from item', 'a netref to it is bound')
    })
  )
}

const stats = (conn: { session: { stats: { imports: number } } }) => conn.session.stats

t.test('callbacks stay valid as long as the other side holds them', t =>
  overMemory(t, Store, async conn => {
    const root: Untyped = conn.root
    const received: unknown[] = []
    const server = conn.served
    await root.keep((word: string) => received.push(word))
    await collectGarbage()
    t.equal(conn.stats.exports, 1, 'the call that passed it has ended')
    const [callback] = (await root.kept()) as [(word: string) => void]
    callback('home')
    await root.call(callback, 'again')
    t.same(received, ['home', 'again'])
    t.equal(server.stats.imports, 1)
    await root.drop()
    await collectGarbage(() => conn.stats.exports === 0)
    t.equal(server.stats.imports, 0)
  })
)

t.test(
  'three parties: an object of A that B passes to C is used by C, and A gets the original back',
  async t => {
    class Lost extends Error {}
    registerError(Lost, { name: 'references.spec/Lost' })
    class Thing {
      exposed_size = 1
      exposed_nested = { pick: (i: number) => [i, this] }
      exposed_Inner = Item
      exposed_double(fn: Untyped) {
        return fn(this.exposed_size)
      }
      exposed_lose() {
        throw new Lost('lost')
      }
    }
    // A is the client of B, and C that of B, too.
    class B extends Service {
      static shelf: unknown
      exposed_put(value: unknown) {
        B.shelf = value
      }
      exposed_get() {
        return B.shelf
      }
      exposed_inside() {
        return { thing: B.shelf, fn: (B.shelf as Untyped).double }
      }
      exposed_isShelved(value: unknown) {
        return value === B.shelf
      }
    }
    const a: Pair<B> = pair(B, { allowSetAttrs: true, allowDeleteAttrs: true })
    const c: Pair<B> = pair(B)
    const inner = async (thing: Untyped, fn: Untyped) => {
      await (a.root as Untyped).put(thing)
      const remote = await (c.root as Untyped).get()
      t.not(remote, thing)
      t.match(String(remote), /^\[Netref Thing#\d+\]$/, 'it keeps its name')
      t.equal(await remote.size, 1, 'C reads')
      t.equal(await remote.double((n: number) => n * 2), 2, 'C calls, with its own callback')
      t.equal(await (await remote.double)((n: number) => n * 3), 3)
      t.equal(await (c.root as Untyped).get().double((n: number) => n * 4), 4, 'before the result arrives')
      t.equal(await (c.root as Untyped).get().nested.pick(3)[0], 3)
      const [three, again] = await remote.nested.pick(3)
      t.equal(three, 3)
      t.equal(again, remote, 'it is one netref on any path')
      t.equal(await (await new remote.Inner('inner')).hello(), 'hello from inner', 'C constructs')
      const set = Netref.set as Untyped
      await set(remote, 'size', 5)
      t.equal(thing.exposed_size, 5, 'C sets, as A allows')
      t.equal(await Netref.has(remote, 'size'), true)
      t.equal(await Netref.has(remote, 'nope'), false)
      t.same(await Netref.keys(remote.nested), ['pick'])
      t.ok((await Netref.keys(remote)).includes('double' as never))
      await (Netref.delete as Untyped)(remote, 'size')
      t.notOk('exposed_size' in thing)
      for (const call of [remote.lose(), remote.lose().further()]) {
        const error = await rejectionOf(call)
        t.ok(error instanceof Lost, 'errors cross with their class')
        t.equal(error.message, 'lost')
      }
      t.match(await rejectionOf(remote.nope), { code: 'not-exposed' })

      t.equal(await (c.root as Untyped).isShelved(remote), true, 'it is the same for B')
      await (c.root as Untyped).put([remote, new Map([['it', remote]]), fn])
      const [home, map, back] = await (a.root as Untyped).get()
      t.ok(home === thing && map.get('it') === thing, 'the owner receives the original')
      t.equal(await back(1), 'of C 1')
      const [sameRemote, , sameFn] = await (c.root as Untyped).get()
      t.ok(sameRemote === remote && sameFn === fn, 'and so is the object of C')
      await (c.root as Untyped).put(0)
    }
    await inner(new Thing(), (n: number) => `of C ${n}`)
    await assertClean(t, a.session, a.served, c.session, c.served)
    await Promise.all([a.close(), c.close()])
  }
)

t.test('a netref that is a member is bound at its owner, and is the same on any path', async t => {
  const a = pair(Store)
  let held: Untyped
  const b = pair({ both: () => ({ one: held, other: { same: held } }), off: () => expose({ held }) })
  await (async () => {
    held = await (await (a.root as Untyped).item()).hello
    const { one, other } = await (b.root as Untyped).both()
    t.equal(one, other.same)
    t.equal(await (b.root as Untyped).off().held, one)
    t.equal(await one(), 'hello from item')
    t.equal(await (b.root as Untyped).both().other.same(), 'hello from item')
    held = undefined
  })()
  await assertClean(t, a.session, a.served, b.session, b.served)
  await Promise.all([a.close(), b.close()])
})

t.test('the collector releases what no code holds, in one message without a reply', t =>
  overMemory(t, Store, async conn => {
    const root: Untyped = conn.root
    await (async () => {
      const items = await Promise.all(Array.from({ length: 100 }, () => root.fresh()))
      await Promise.all(items.map(item => item.hello()))
      t.equal(conn.served.stats.exports, 100)
    })()
    await conn.ping()
    await runEventLoop()
    const [out, back] = recordMessages(conn)
    await collectGarbage(() => conn.stats.imports === 0)
    await waitUntil(() => conn.served.stats.exports === 0)
    t.ok(out.every(([op]) => op === Op.release))
    t.ok(out.length < 20, `${out.length} messages for 100 netrefs`)
    t.equal(back.length, 0)
  })
)

t.test('a release that crosses a second reference frees no live object', t =>
  overMemory(t, Store, async conn => {
    const root: Untyped = conn.root
    const [client, server] = conn.transports
    const first = await root.item()
    const id = String(first)
    await runEventLoop()
    // The item is in transit a second time, and the release of the first in the other direction.
    server.hold()
    const second = root.item()
    await waitUntil(() => server.held > 0)
    client.hold()
    Netref.release(first)
    await waitUntil(() => client.held > 0)
    server.letGo()
    const item = await second
    t.not(item, first, 'a new netref')
    t.equal(String(item), id, 'to the same object')
    client.letGo()
    await conn.ping()
    t.equal(conn.served.stats.exports, 1)
    t.equal(await item.hello(), 'hello from item')

    // The same in the other order: it arrives first, and counts another reference to the same netref.
    server.hold()
    const third = root.item()
    await waitUntil(() => server.held > 0)
    server.letGo()
    t.equal(await third, item)
    Netref.release(item)
    await conn.ping()
    t.equal(conn.served.stats.exports, 0, 'both references are released')
    t.match(await rejectionOf(item.hello()), { code: 'released' })
    t.match(String(await root.item()), /Item#/, 'the object may be sent again')
  })
)

t.test('reference counts are independent: an old netref cannot free the object of a new one', t =>
  overMemory(t, Store, async conn => {
    const root: Untyped = conn.root
    const [, server] = conn.transports
    let item: Untyped
    await (async () => {
      const old = await root.item()
      server.hold()
      item = root.item()
      await waitUntil(() => server.held > 0)
      Netref.release(old)
      server.letGo()
      item = await item
      t.not(item, old)
    })()
    await collectGarbage()
    await conn.ping()
    t.equal(conn.served.stats.exports, 1, 'nor can its finalizer')
    t.equal(await root.item(), item, 'the new netref stays in the table')
    t.equal(await item.hello(), 'hello from item')
    Netref.release(item)
    Netref.release(item)
    item = undefined
    await collectGarbage()
    await conn.ping()
    t.equal(conn.served.stats.exports, 0)
  })
)

t.test('a netref that is collected while its object is in transit again: the new one works', t =>
  overMemory(t, Store, async conn => {
    const root: Untyped = conn.root
    const [, server] = conn.transports
    await (async () => void (await root.item()))()
    for (let i = 0; i < 3; i++) {
      server.hold()
      const next = root.item()
      await waitUntil(() => server.held > 0)
      await collectGarbage()
      server.letGo()
      t.equal(await (await next).hello(), 'hello from item')
    }
  })
)

t.test('the released hook runs when an object is released, also at the end of the session', async t => {
  const events: string[] = []
  const lend = (name: string) => expose(new Item(name), { released: () => events.push(name) })
  const errors: unknown[] = []
  const service = {
    lend,
    faulty: () =>
      expose(
        {},
        {
          released() {
            throw new Error('from released')
          }
        }
      )
  }
  const conn = pair(service, { serving: { onError: error => void errors.push(error) } })
  const root: Untyped = conn.root
  const first = await root.lend('first')
  await root.lend('second').name
  const third = await root.lend('third')
  const faulty = await root.faulty()
  Netref.release(first)
  Netref.release(faulty)
  await conn.ping()
  t.ok(events.includes('first'))
  t.notOk(events.includes('third'))
  t.match(errors, [{ message: 'from released' }])
  await conn.close()
  await conn.served.closed
  t.same(events.sort(), ['first', 'second', 'third'])
  t.match(await rejectionOf(third.hello()), { code: 'closed' })
  Netref.release(third)
})

t.test('a netref has a short label with its class or function', t => {
  class Short {}
  const long = { ['x'.repeat(1000)]() {} }['x'.repeat(1000)]
  return overMemory(
    t,
    () => ({ short: () => new Short(), long: () => long, none: () => expose({}), fn: () => Short }),
    async conn => {
      const root: Untyped = conn.root
      t.equal(String(await root.short()), '[Netref Short#1]')
      t.equal(String(await root.long()), `[Netref ${'x'.repeat(60)}#2]`)
      t.equal(String(await root.none()), '[Netref netref#3]')
      t.equal(String(await root.fn()), '[Netref Short#4]')
    }
  )
})

t.test('a value that cannot be sent releases the references in it', t =>
  overMemory(t, Store, async conn => {
    const root: Untyped = conn.root
    const item = await root.item()
    const before = conn.stats.exports
    t.match(await rejectionOf(root.keep(() => 1, new Item(), item, root, Symbol('x'))), {
      code: 'unsendable'
    })
    Netref.release(item)
    t.match(await rejectionOf(root.keep(() => 1, item)), { message: /args\[1\] is a released netref/ })
    t.match(await rejectionOf(root.who()), { code: 'unsendable', message: /result is a Session/ })
    t.equal(conn.stats.exports, before)
  })
)

t.test('invalid references end the session; a released one rejects the call', async t => {
  const given = '["o",[0]]'
  const home = '["h",[0]]'
  for (const [json, group, says] of [
    ['7', given, 'a reference without an id and a name'],
    ['["x","y"]', given, 'a reference without an id and a name'],
    ['[-1,"y"]', given, 'a reference without an id and a name'],
    ['[1,2]', given, 'a reference without an id and a name'],
    ['"x"', home, 'a local reference without an id'],
    ['99', home, 'the reference 99, which was never sent']
  ]) {
    const conn = pair(Store)
    await conn.ping()
    await runEventLoop()
    const { framesIn } = conn.served.stats
    conn.transports[0].send(`[${framesIn},[[${Op.call},2,0,"echo",[${json}],[${group}]]]]`)
    t.match(await conn.served.closed, { code: 'protocol', message: `it received ${says}` })
    await conn.closed
  }

  const conn = pair(Store)
  const root: Untyped = conn.root
  const own = new Item()
  await root.keep(own)
  await root.drop()
  await collectGarbage(() => conn.stats.exports === 0)
  await runEventLoop()
  const [out] = recordMessages(conn)
  const { framesIn } = conn.served.stats
  // The server, which has released it, sends it back once more, with the number of its own first call.
  conn.transports[1].send(`[${framesIn},[[${Op.call},1,0,"any",[1],[["h",[0]]]]]]`)
  await waitUntil(() => out.length > 0)
  t.same(out, [[Op.refused, 1, 'released', 'it refers to #1, which was released']])
  await conn.closed
})

t.test('members of one object are separate references, however many', t =>
  overMemory(t, { one: () => 1, two: () => 2, three: () => 3 }, async ({ root, served }: Untyped) => {
    const members = [await root.one, await root.two, await root.three]
    t.equal(served.stats.exports, 3)
    t.equal(await root.three, members[2])
    t.same(await Promise.all(members.map(member => member())), [1, 2, 3])
    for (const member of members) Netref.release(member)
  })
)
