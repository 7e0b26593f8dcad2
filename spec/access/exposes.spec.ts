// Specs of `exposes`, and of the rule that one class exposes its members one way.
import t from 'tap'
import { z } from 'zod'
import {
  connect,
  expose,
  exposed,
  exposes,
  Netref,
  type Pair,
  pair,
  Service,
  type Session,
  serve
} from '../../lib/index.js'
import { assertClean, overMemory, overSocket, rejectionOf } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

interface User {
  admin: boolean
}
const isAdmin = ({ identity }: Session<object, User>) => identity.admin

class Calculator extends Service {
  static {
    exposes(Calculator, {
      add: { schema: z.tuple([z.number(), z.number()]), help: 'Adds two numbers' },
      stop: { if: isAdmin },
      total: true,
      last: { if: session => isAdmin(session as Session<object, User>) },
      square: { schema: z.tuple([z.number()]) },
      name: true
    })
  }
  total = 0
  last = 'none'
  /** A field with a function. */
  square = (n: number) => n * n
  get name() {
    return 'calculator'
  }
  set name(_: string) {}
  add(a: number, b: number) {
    this.total += a + b
    return a + b
  }
  stop() {
    return 'stopped'
  }
  _low() {}
  protected helper() {}
}

t.test('exposes: the listed members, and no others', t =>
  overSocket(t, Calculator, async ({ root }) => {
    t.equal(await root.add(1, 2), 3)
    t.equal(await root.total, 3)
    t.equal(await root.name, 'calculator')
    t.equal(await root.square(3), 9)
    t.same((await Netref.keys(root)).sort(), ['add', 'name', 'square', 'total'])
    for (const name of ['helper', '_low', 'onConnect', 'absent', 'constructor'])
      t.match(await rejectionOf(Netref.get(root, name as never)), { code: 'not-exposed' }, name)
    t.match(await rejectionOf(Netref.set(root, 'total', 5)), { code: 'not-exposed' })
  })
)

t.test('exposes: the options of @exposed', async t => {
  const identity: User = { admin: false }
  await using conn: Pair<Calculator> = pair<Calculator>(Calculator, { identity })
  const { root } = conn
  const invalid = [root.add('1' as never, 2), root.square('3' as never), (await root.square)('3' as never)]
  for (const call of invalid) t.match(await rejectionOf(call), { code: 'invalid-arguments' })
  t.match(await rejectionOf(root.stop()), { code: 'not-exposed' })
  t.match(await rejectionOf(root.last), { code: 'not-exposed' })
  identity.admin = true
  t.equal(await root.stop(), 'stopped')
  t.equal(await root.last, 'none')
  const stop = await root.stop
  identity.admin = false
  t.match(await rejectionOf(stop()), { code: 'not-exposed' }, 'a netref to the method has the condition')
  const [add] = await Netref.describe(root).then(all => all.filter(({ name }) => name === 'add'))
  t.match(add, { name: 'add', kind: 'function', parameters: ['a', 'b'], help: 'Adds two numbers' })
  t.match(add!.input, { prefixItems: [{ type: 'number' }, { type: 'number' }] })
  for (const ref of [stop, ...((await Promise.all([root.square])) as object[])]) Netref.release(ref as never)
  await assertClean(t, conn.session, conn.served)
})

t.test('exposes: in plain JavaScript, for any class, with symbols and fields that come later', async t => {
  const untyped = exposes as (type: unknown, members: unknown, base?: unknown) => void
  class Book {
    title = 'netref'
    pages() {
      return ['one', 'two']
    }
    *[Symbol.iterator]() {
      yield* this.pages()
    }
    hidden() {}
  }
  Object.assign(Book.prototype, { kind: 'book' })
  untyped(Book, { title: true, pages: true, later: true, kind: true, [Symbol.iterator]: true })
  const book = new Book()
  await using conn = pair(expose({ book: () => book }))
  const found = (await conn.root.book()) as Untyped
  t.same([await found.title, await found.kind], ['netref', 'book'])
  t.same(await found.pages(), ['one', 'two'])
  const items: string[] = []
  for await (const item of found) items.push(item)
  t.same(items, ['one', 'two'])
  t.match(await rejectionOf(found.later), { code: 'not-exposed' })
  t.equal(await Netref.has(found, 'later'), false)
  Object.assign(book, { later: 'now' })
  t.equal(await found.later, 'now')
  t.match(await rejectionOf(found.hidden()), { code: 'not-exposed' })
  await using setting = pair(expose({ book: () => book }), { serving: { allowSetAttrs: true } })
  delete (book as { later?: string }).later
  const settable = (await setting.root.book()) as Untyped
  await Netref.set(settable, 'later', 'set')
  t.equal(await settable.later, 'set')
})

t.test('exposes: a subclass may use another way than its base, and overrides stay exposed', async t => {
  class Advanced extends Calculator {
    static {
      exposes(Advanced, { power: true, stop: true }, Calculator)
    }
    override add(a: number, b: number) {
      return super.add(a, b) * 10
    }
    override stop() {
      return 'really'
    }
    power(a: number, b: number) {
      return a ** b
    }
  }
  await overMemory(t, Advanced, async ({ root }) => {
    t.equal(await root.add(1, 2), 30)
    t.match(await rejectionOf(root.add('1' as never, 2)), { code: 'invalid-arguments' })
    t.equal(await root.power(2, 3), 8)
    t.equal(await root.stop(), 'really', 'an override that is listed has options of its own')
  })

  class Prefixed extends Service {
    exposed_old() {
      return 'old'
    }
    helper() {}
  }
  class Listed extends Prefixed {
    declare readonly '~exposes'?: { young: true }
    static {
      exposes(Listed, { young: true }, Prefixed)
    }
    young() {
      return 'young'
    }
  }
  class Decorated extends Listed {
    declare readonly '~exposes'?: { young: true; youngest: true }
    @exposed youngest() {
      return 'youngest'
    }
  }
  await overMemory(t, Decorated, async ({ root }) => {
    t.same([await root.old(), await root.young(), await root.youngest()], ['old', 'young', 'youngest'])
    t.same((await Netref.keys(root)).sort(), ['old', 'young', 'youngest'])
  })
})

t.test('exposes: what it cannot expose throws, by class and name', async t => {
  const call = exposes as (type: unknown, members: unknown, base?: unknown) => void
  class Base {
    old() {}
  }
  class Sub extends Base {
    add() {}
    get size() {
      return 1
    }
    set only(_: number) {}
  }
  const claims: [args: Parameters<typeof call>, message: string | RegExp][] = [
    [[undefined, {}], 'exposes: undefined is not a class'],
    [[{}, {}], 'exposes: {…} is not a class'],
    [[Sub, undefined], 'exposes(Sub) takes an object, such as { add: true }, not undefined'],
    [[Sub, { add: z.tuple([]) }], 'exposes(Sub): add takes `true` or options: pass the schema as { schema }'],
    [[Sub, { add: false }], 'exposes(Sub): add takes `true` or options, not false'],
    [[Sub, { add: { iff: true } }], 'exposes(Sub): add: there is no option `iff`: did you mean `if`?'],
    [[Sub, { size: { schema: z.tuple([]) } }], 'exposes(Sub): size: only a method can have `schema`'],
    [[Sub, { size: { idempotent: true } }], 'exposes(Sub): size: only a method can have `idempotent`'],
    [[Sub, { old: true }], 'exposes(Sub): old is a member of a base class; list it there, or override it'],
    [[Sub, { only: true }], 'exposes(Sub): only is a setter, which cannot be read; add a getter'],
    [[Sub, { add: true }, Calculator], 'exposes(Sub): the class does not extend Calculator']
  ]
  for (const [args, message] of claims) t.throws(() => call(...args), { name: 'TypeError', message })
  call(Sub, { add: true })
  t.throws(() => call(Sub, { add: true }), {
    message: 'exposes(Sub): it was called before; list all members of a class in one call'
  })
  t.throws(() => call((() => class {})(), { add: 0 }), { message: /^exposes\(the class\): add takes/ })
})

t.test('exposes: a listed member that does not exist is named when the root is known', async t => {
  const call = exposes as (type: unknown, members: unknown) => void
  class Shop extends Service {
    buy() {}
  }
  call(Shop, { buyy: true })
  const errors: Error[] = []
  await using conn = pair(Shop, { onError: () => {}, serving: { onError: e => errors.push(e as Error) } })
  const message = 'exposes(Shop): there is no member buyy: did you mean buy?'
  t.match(await conn.closed, { code: 'service-failed' })
  t.match(errors, [{ name: 'TypeError', message }])
  t.match(await rejectionOf(serve(new Shop(), { port: 0 })), { name: 'TypeError', message })
  t.throws(() => connect('ws://127.0.0.1:1', { service: new Shop() }), { message })
  class Book {}
  call(Book, { title: true })
  t.throws(() => pair(new Book()), {
    message: 'exposes(Book): there is no member title; a listed field must exist after the constructor'
  })
})

t.test('one class exposes its members one way', async t => {
  const untyped = exposed as (target: unknown, context: object) => void
  const call = exposes as (type: unknown, members: unknown) => void
  const both = () => {
    class Mixed extends Service {
      exposed_add() {}
      @untyped multiply() {}
      @untyped get size() {
        return 1
      }
    }
    return Mixed
  }
  const message =
    'Mixed exposes its members in 2 ways, but types see one way of a class: ' +
    'the prefix exposed_ exposes exposed_add; `@exposed` exposes multiply, size; use one of them for all'
  t.match(await rejectionOf(serve(both(), { port: 0 })), { name: 'TypeError', message }, 'as it is served')
  t.throws(() => pair(both()), { message })
  t.throws(() => pair(new (both())()), { message }, 'as an object is served')
  t.throws(() => expose(new (both())()), { message }, 'as an object is exposed')
  class Heir extends both() {}
  t.throws(() => pair(Heir), { message }, 'in a base class')
  await overMemory(t, { get: () => new (both())() }, async ({ root }) => {
    const error = await rejectionOf(root.get())
    t.match(error.message, message, 'as the first instance meets the peer')
  })
  t.throws(() => call(both(), { more: true }), {
    message: /^Mixed exposes its members in 3 ways.*; `exposes` exposes more; use one/
  })
  class Prefixed {
    exposed_add() {}
    multiply() {}
  }
  t.throws(() => call(Prefixed, { multiply: true }), {
    message:
      'Prefixed exposes its members in 2 ways, but types see one way of a class: ' +
      'the prefix exposed_ exposes exposed_add; `exposes` exposes multiply; use one of them for all'
  })
})
