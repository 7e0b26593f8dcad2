// Tests two copies of netref in one program: the sources, and a bundle of them.
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { z } from 'zod'
import * as ours from '../../lib/index.js'
import { duplicateCopiesNote, PACKAGE_VERSION, thisCopyName } from '../../lib/util/library-copies.js'
import { assertClean, overMemory, rejectionOf } from '../support/helpers.js'
import { loadOtherCopy } from '../support/other-copy.js'
import type { Untyped } from '../support/wire.js'

const file = `${t.testdir()}/other.mjs`
const other = await loadOtherCopy(file)

const { version } = JSON.parse(await readFile('package.json', 'utf8'))
/** Versions and locations of both copies. */
const names = (first: string, second: string) => {
  const name = (place: string) => `${version} at [^ ;]*${place.replaceAll('.', '\\.')}`
  return new RegExp(`${name(first)}; this one is ${name(second)}`)
}
const OTHER_AND_THIS = names('other.mjs', 'lib/util/library-copies.ts')
const THIS_AND_OTHER = names('lib/util/library-copies.ts', 'other.mjs')

t.equal(PACKAGE_VERSION, version, 'the version is that of the package')

t.test('marks of one copy are valid in sessions of the other', async t => {
  for (const [says, holds] of [
    [other, ours],
    [ours, other]
  ] as const) {
    class Account {
      total = 5
      @says.exposed balance() {
        return this.total
      }
      @says.exposed(z.tuple([z.number().positive()])) pay(amount: number) {
        this.total += amount
        return this.total
      }
      @says.exposed({ if: () => false }) seize() {}
      hidden() {}
    }
    const record = says.expose({ a: 1, b: 2, [Symbol.for('c')]: 3 }, { read: ['a', Symbol.for('c')] })
    await using joined = holds.pair(says.expose({ account: () => new Account(), record: () => record }))
    const root = joined.root as Untyped
    const account = await root.account()
    t.equal(await account.balance(), 5)
    t.equal(await account.pay(2), 7)
    for (const [name, code] of [
      ['seize', 'not-exposed'],
      ['hidden', 'not-exposed'],
      ['pay', 'invalid-arguments']
    ] as const) {
      const error = await rejectionOf(account[name](-1))
      t.equal(error.code, code, name)
      if (name === 'pay')
        t.ok(error instanceof holds.ArgumentsError, 'an error of the other copy is an instance of this one')
    }
    const found = await root.record()
    t.equal(await found.a, 1, 'a plain object by reference')
    t.equal(await holds.Netref.get(found, Symbol.for('c')), 3)
    t.match(await rejectionOf(found.b), { code: 'not-exposed' })
    for (const ref of [account, found]) holds.Netref.release(ref)
    await assertClean(t, joined.session as never, joined.served as never)
  }
})

t.test('classes registered with one copy pass through the other', async t => {
  class Money {
    constructor(readonly cents: number) {}
  }
  class Broke extends Error {}
  other.registerType(Money, { name: 'Money', encode: m => m.cents, decode: cents => new Money(cents) })
  other.registerError(Broke, { name: 'Broke' })
  await overMemory(t, { echo: (value: unknown) => value }, async ({ root }) => {
    const { echo } = root as Untyped
    const money = new Money(3)
    const back = await echo(money)
    t.ok(back instanceof Money && back !== money)
    t.ok((await echo(new Broke('no'))) instanceof Broke)
    const bytes = other.Netref.transfer(new Uint8Array([1, 2]))
    t.same(await echo(bytes), new Uint8Array([1, 2]))
    t.equal(bytes.length, 0, 'transferred with the other copy')
  })
})

/** The object that the sessions of one copy own. */
class Shop {
  name = 'shop'
  items = ours.expose(['a', 'b'])
  lent: unknown
  add = (a: number, b: number) => a + b
  call(use: (n: number) => unknown, n: number) {
    return use(n)
  }
  echo = (value: unknown) => value
  log(line: string) {
    this.lent = line
  }
  fail() {
    throw Object.assign(new RangeError('no'), { code: 'E_NO' })
  }
  async *count(n: number) {
    for (let i = 0; i < n; i++) yield i
  }
  Point = class {
    constructor(readonly x: number) {}
  }
}

t.test('a netref of the other copy is passed as a reference', async t => {
  for (const [far, near] of [
    [other, ours],
    [ours, other]
  ] as const) {
    const shop = new Shop()
    const free = { allowPublicAttrs: true, allowSetAttrs: true }
    await using behind = far.pair({ shop: () => shop }, { serving: free })
    await using before = near.pair({
      keep: (value: unknown) => value,
      run: (use: Untyped, ...args: unknown[]) => use(...args)
    })
    const root = before.root as Untyped
    const netref: Untyped = await (behind.root as Untyped).shop()
    t.ok(near.Netref.is(netref), 'it is a netref')
    t.equal(await root.keep(netref), netref, 'the owner receives the original')
    /** The same object at the other end of a session that forwards it. */
    const through = (use: (netref: Untyped) => unknown) => root.run(near.expose(use), netref)
    let seen: Untyped
    await overBoth(async (passed: Untyped) => {
      seen = near.Netref
      t.equal(await passed.name, 'shop')
      t.equal(await passed.add(1, 2), 3)
      t.equal(await passed.call((n: number) => n * 2, 4), 8, 'a callback through both')
      const mine = { at: 'home' }
      near.expose(mine)
      t.equal(await passed.echo(mine), mine, 'an argument comes back as the original')
      t.match(await rejectionOf(passed.fail()), { name: 'RangeError', message: 'no', code: 'E_NO' })
      t.match(await rejectionOf(passed.none()), { code: 'not-exposed' })
      t.equal(await (await new passed.Point(5)).x, 5)
      await seen.set(passed, 'name', 'store')
      t.equal(shop.name, 'store')
      shop.name = 'shop'
      t.equal(await seen.has(passed, 'add'), true)
      t.equal(await seen.has(passed, '_add'), false)
      t.ok((await seen.keys(passed)).includes('log'))
      t.same(await seen.obtain(passed.items), ['a', 'b'])
      const items: unknown[] = []
      for await (const item of passed.items) items.push(item)
      for await (const item of passed.count(3)) items.push(item)
      t.same(items, ['a', 'b', 0, 1, 2])
      await seen.oneway(passed.log)('line')
      await passed.name
      t.equal(shop.lent, 'line')
      const add = await passed.add
      t.equal(await add(2, 3), 5, 'a function of the other copy')
      const controller = new AbortController()
      controller.abort('enough')
      t.equal(await rejectionOf(seen.with(passed, { signal: controller.signal }).add(1, 2)), 'enough')
    })
    async function overBoth(use: (passed: Untyped) => Promise<void>): Promise<void> {
      await using middle = near.pair({ get: () => netref })
      await use(await (middle.root as Untyped).get())
    }
    t.equal(await through(passed => passed === netref), true)
    const pending = (behind.root as Untyped).shop()
    const { kept } = await root.keep({ kept: [pending, netref.add] })
    t.equal(kept[0], pending, 'the owner receives the original of what it passed as a promise')
    t.equal(await kept[0], netref)
    t.equal(await kept[1](2, 3), 5)
    await pending
    far.Netref.release(netref)
    t.match(await rejectionOf(through(passed => passed.add(1, 2))), { code: 'released' })
  }
})

t.test('errors name both copies', async t => {
  await using joined = other.pair({ get: () => other.expose({}) })
  const netref = await (joined.root as Untyped).get()
  t.throws(() => ours.Netref.release(netref), OTHER_AND_THIS)
  t.match((await rejectionOf(ours.Netref.set(netref, 'a' as never, 1 as never))).message, OTHER_AND_THIS)
  t.throws(() => ours.expose(netref), /is remote; expose it on the side that owns it/)
  const mine = ours.pair({ get: () => ours.expose({}) })
  const own = await (mine.root as Untyped).get()
  t.throws(() => other.Netref.release(own), THIS_AND_OTHER)

  class Far extends other.Service {
    override onConnect(): void {}
    exposed_session = () => ours.callSession()
  }
  t.throws(() => ours.pair(Far), OTHER_AND_THIS)
  t.throws(() => ours.pair(new Far()), /^pair: Far extends the Service of another copy of netref/)
  t.throws(
    () => ours.pair(new (class extends other.Service {})()),
    /^pair: the service extends the Service of/
  )
  await t.rejects(ours.serve(Far, { port: 0 }), OTHER_AND_THIS)
  await t.rejects(other.serve(class extends ours.Service {}, { port: 0 }), THIS_AND_OTHER)
  const errors: Error[] = []
  const onError = (error: unknown) => void errors.push(error as Error)
  const failing = ours.pair(() => new Far(), { serving: { onError } })
  t.equal((await failing.closed).code, 'service-failed')
  t.match(errors[0]?.message, OTHER_AND_THIS)

  await using served = other.pair(Far)
  const asked = await rejectionOf((served.root as Untyped).session())
  t.match(
    asked.message,
    /^callSession\(\): no call of a peer is running here \(there are 2 copies of netref in this program: /
  )
  t.match(asked.message, /0 at .*lib\/util\/library-copies\.ts, .* at .*other\.mjs\); call it before/)

  const { root } = mine as Untyped
  t.match(await rejectionOf(root.get(joined.session)), {
    message: /args\[0\] is a Session, which cannot be sent/
  })
  await mine.close()
})

t.test('hooks of a service of the other copy are not exposed', async t => {
  class Far extends other.Service {
    override onConnect(): void {}
    hello = () => 'hello'
  }
  const far = new Far()
  await overMemory(
    t,
    { get: () => ours.expose(far) },
    async ({ root }) => {
      const { get } = root as Untyped
      t.equal(await get().hello(), 'hello')
      t.match(await rejectionOf(get().onConnect()), { code: 'not-exposed' })
    },
    { serving: { allowPublicAttrs: true } }
  )
})

t.test('the location of a copy is found even if the program formats stacks itself', t => {
  const { prepareStackTrace } = Error
  const named: string[] = []
  for (const make of [
    () => 5,
    () => 'Error\n    at load (C:\\My Programs\\netref.js:1:2)\n    at other (x.js:3:4)',
    () => 'load@http://localhost/netref.js:1:2\nother@http://localhost/x.js:3:4',
    () => {
      throw new Error('none')
    }
  ]) {
    Error.prepareStackTrace = make
    named.push(thisCopyName())
  }
  Error.prepareStackTrace = prepareStackTrace
  t.same(named, [
    `${version} at an unknown place`,
    `${version} at C:\\My Programs\\netref.js`,
    `${version} at http://localhost/netref.js`,
    `${version} at an unknown place`
  ])
  t.end()
})

t.test('a collected copy has no location', async t => {
  const { 'copies/1': copies } = (globalThis as Untyped)[Symbol.for('netref')]
  const collected = { deref: () => undefined }
  const told = duplicateCopiesNote()
  t.match(told, /there are 2 copies/)
  copies.add(collected)
  t.equal(duplicateCopiesNote(), told)
  copies.delete(collected)
})
