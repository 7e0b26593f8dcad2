// Specs of the access rules for all operations, in the order of the design, each in both directions.

import { transformSync } from 'esbuild'
import t, { type Test } from 'tap'
import { DEFAULT_EXPOSURE } from '../../lib/access/access-control.js'
import { type ReportingSession, runInCall } from '../../lib/access/call-context.js'
import { operate } from '../../lib/access/operations.js'
import { rootFactoryOf } from '../../lib/access/service.js'
import {
  type CommonOptions,
  callSession,
  expose,
  exposed,
  Netref,
  pair,
  registerType,
  Service,
  type Session,
  serve
} from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { assertClean, implOf, overMemory, rejectionOf, waitUntil } from '../support/helpers.js'

// biome-ignore lint/suspicious/noExplicitAny: a malicious peer does not respect types
type Untyped = any
const get = Netref.get as unknown as (ref: unknown, name: PropertyKey) => Untyped
const set = Netref.set as (ref: unknown, name: PropertyKey, value: unknown) => Promise<void>
const has = Netref.has as (ref: unknown, name: PropertyKey) => Promise<boolean>
const remove = Netref.delete as (ref: unknown, name: PropertyKey) => Promise<void>
const keys = Netref.keys as (ref: unknown) => Promise<string[]>
const at = (ref: Untyped, ...path: PropertyKey[]): Untyped => path.reduce(get, ref)

class Nothing extends Service {}

/** Checks the same claims on a server’s object that the client uses, and on a client’s object that the server uses. */
function bothWays(
  t: Test,
  name: string,
  offer: () => object,
  options: CommonOptions,
  claims: (t: Test, root: Untyped, home: Session) => Promise<void>
): Promise<unknown> {
  return t.test(name, async t => {
    await t.test('the server’s objects, used by the client', t =>
      overMemory(t, offer(), ({ root, served }) => claims(t, root as Untyped, served), { serving: options })
    )
    await t.test('the client’s objects, used by the server', t =>
      overMemory(
        t,
        Nothing,
        async ({ served, session }) => {
          await session.ping()
          await claims(t, served.root as Untyped, session)
        },
        { service: offer(), ...options }
      )
    )
  })
}

const fails = async (t: Test, code: string, promise: PromiseLike<unknown>, what: string) => {
  const error = await rejectionOf(promise)
  t.equal(error.code, code, `${what}: ${error.message}`)
}
const refused = (t: Test, promise: PromiseLike<unknown>, what: string) =>
  fails(t, 'not-exposed', promise, what)

/** Checks that all operations with this name, as the last name or within the path, are refused. */
async function unreachable(t: Test, ref: Untyped, name: PropertyKey, where: string): Promise<void> {
  const member = get(ref, name)
  const ways: Record<string, PromiseLike<unknown>> = {
    get: member,
    call: member('1'),
    construct: new member('1'),
    set: set(ref, name, 1),
    delete: remove(ref, name),
    keys: keys(member),
    'get past it': at(member, 'a'),
    'call past it': at(member, 'call')(),
    'construct past it': new (at(member, 'constructor'))('return 1'),
    'set past it': set(member, 'polluted', 1),
    'has past it': has(member, 'a'),
    'delete past it': remove(member, 'a')
  }
  const errors = await Promise.all(Object.values(ways).map(rejectionOf))
  const codes = Object.fromEntries(Object.keys(ways).map((way, i) => [way, errors[i]!.code]))
  const none = Object.fromEntries(Object.keys(ways).map(way => [way, 'not-exposed']))
  t.same(codes, none, `${where} has no ${String(name)}`)
  t.equal(await has(ref, name), false)
}

const noneOf = (t: Test, ref: Untyped, names: PropertyKey[], where: string) =>
  Promise.all(names.map(name => unreachable(t, ref, name, where)))

const CLASSES = ['__proto__', 'constructor', 'prototype']
const EVERY_OBJECTS = [
  'valueOf',
  'toString',
  'toLocaleString',
  'hasOwnProperty',
  'isPrototypeOf',
  'propertyIsEnumerable',
  '__defineGetter__',
  '__defineSetter__',
  '__lookupGetter__',
  '__lookupSetter__'
]
const EVERY_FUNCTIONS = ['call', 'apply', 'bind', 'name', 'length', 'arguments', 'caller']
const SYMBOLS = [Symbol.iterator, Symbol.toPrimitive, Symbol.hasInstance, Symbol.for('thing')]
const GENEROUS = { allowPublicAttrs: true, allowSetAttrs: true, allowDeleteAttrs: true }

class Thing {
  static made = 0
  static make() {
    return new Thing()
  }
  field = 1
  _private = 2
  get [Symbol.for('thing')]() {
    return 3
  }
  method() {
    return this.field
  }
  _hidden() {}
  get got() {
    return this.field
  }
}

t.test('never, by any rule', async t => {
  class Told extends Service {
    exposed_constructor = 1
    exposed_prototype = 1
    exposed___proto__ = 1
    exposed_onConnect = 1
    exposed_onDisconnect = 1
    override onConnect() {}
    override onDisconnect() {}
    exposed_thing = new Thing()
    exposed_exposed = expose(new Thing())
    exposed_listed = expose(new Thing(), { read: CLASSES, write: CLASSES })
    exposed_record = { deep: { fn() {} }, list: [[1]] }
    exposed_parsed = JSON.parse('{"__proto__": {"a": 1}, "constructor": {"a": 1}, "prototype": {"a": 1}}')
    exposed_fn = () => {}
    exposed_old = function old() {}
    exposed_class = Thing
    exposed_reflecting = class extends Object {}
    exposed_exposedClass = expose(class extends Thing {})
    exposed_get() {
      return this.exposed_thing
    }
  }
  const objects = [[], ['thing'], ['exposed'], ['record'], ['record', 'deep'], ['record', 'list', 0]]
  const functions = [['fn'], ['old'], ['class'], ['reflecting'], ['exposedClass'], ['record', 'deep', 'fn']]
  const places = [...objects, ...functions, ['listed'], ['parsed']]

  await bothWays(
    t,
    'the ways to classes, and the hooks of a service',
    () => new Told(),
    GENEROUS,
    async (t, root) => {
      for (const place of places) await noneOf(t, at(root, ...place), CLASSES, `root.${place.join('.')}`)
      await noneOf(t, root, ['onConnect', 'onDisconnect'], 'root')
      await noneOf(t, root.get(), CLASSES, 'an answer')
      const [thing, fn, made] = [await root.get(), await root.fn, await new root.class()]
      for (const name of CLASSES) {
        await unreachable(t, thing, name, 'a netref')
        await unreachable(t, fn, name, 'a netref to a function')
        await unreachable(t, made, name, 'an instance made from here')
      }
    }
  )

  await bothWays(
    t,
    'what every object or function has, and symbols, unless it is exposed by name',
    () => new Told(),
    GENEROUS,
    async (t, root) => {
      for (const place of objects)
        await noneOf(t, at(root, ...place), [...EVERY_OBJECTS, ...SYMBOLS], `root.${place.join('.')}`)
      for (const place of functions)
        await noneOf(
          t,
          at(root, ...place),
          [...EVERY_OBJECTS, ...EVERY_FUNCTIONS, ...SYMBOLS],
          `root.${place.join('.')}`
        )
      // A class that extends Object inherits its reflection functions: `getPrototypeOf` gives access to any class.
      for (const name of ['getPrototypeOf', 'getOwnPropertyDescriptor', 'defineProperty', 'assign'])
        await refused(t, get(root.reflecting, name)(), name)
    }
  )
  t.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
  t.equal(Object.hasOwn(Function.prototype, 'polluted'), false)
})

t.test('by name: the prefix', async t => {
  class Prefixed extends Service {
    exposed_field = 1
    hidden = 2
    exposed_both = 'exposed'
    both = 'hidden'
    exposed_call = 'call'
    exposed_name = 'name'
    exposed_then = 'then'
    exposed__low = 'low'
    exposed_toString() {
      return `own ${this.hidden}`
    }
    exposed_method(a: number) {
      return a + this.hidden
    }
    get exposed_got() {
      return this.hidden
    }
  }
  class Heir extends Prefixed {
    override exposed_method(a: number) {
      return super.exposed_method(a) * 2
    }
  }

  await bothWays(
    t,
    'any other name, inherited and overridden, for reading and calling',
    () => new Heir(),
    {},
    async (t, root) => {
      t.equal(await root.field, 1)
      t.equal(await root.got, 2)
      t.equal(await root.method(1), 6)
      t.equal(await root.toString(), 'own 2')
      t.same(await Promise.all(['call', 'name', 'then', '_low', 'both'].map(name => get(root, name))), [
        'call',
        'name',
        'then',
        'low',
        'exposed'
      ])
      t.equal(await has(root, 'method'), true)
      t.same((await keys(root)).sort(), [
        '_low',
        'both',
        'call',
        'field',
        'got',
        'method',
        'name',
        'then',
        'toString'
      ])
      for (const name of ['hidden', 'exposed_field', 'exposed_method', 'missing', ''])
        await unreachable(t, root, name, 'root')
      await refused(t, set(root, 'field', 2), 'set')
      await refused(t, remove(root, 'field'), 'delete')
    }
  )

  class Rpc extends Service {
    rpc_add(a: number, b: number) {
      return a + b
    }
    exposed_add() {}
  }
  await bothWays(
    t,
    'another prefix',
    () => new Rpc(),
    { exposedPrefix: 'rpc_' },
    async (t, root) => {
      t.equal(await root.add(1, 2), 3)
      t.same(await keys(root), ['add'])
      await unreachable(t, root, 'rpc_add', 'root')
      await unreachable(t, root, 'exposed_add', 'root')
    }
  )

  class Plain extends Service {
    fn() {}
    class = Thing
    override onConnect() {}
  }
  const unlucky = {
    con: ['structor'],
    proto: ['type'],
    __: ['proto__', 'defineGetter__', 'lookupGetter__'],
    value: ['Of'],
    to: ['String', 'LocaleString'],
    has: ['OwnProperty'],
    on: ['Connect']
  }
  for (const [exposedPrefix, names] of Object.entries(unlucky))
    await bothWays(
      t,
      `a prefix that makes what is never exposed out of a name: ${exposedPrefix}`,
      () => new Plain(),
      { exposedPrefix, allowSetAttrs: true, allowDeleteAttrs: true },
      async (t, root) => {
        for (const name of names) await unreachable(t, root, name, 'root')
        t.same(await keys(root), [])
      }
    )
  await bothWays(
    t,
    'a prefix that makes names of Function.prototype',
    () => ({ fn() {}, class: Thing }),
    { exposedPrefix: 'b' },
    async (t, root) => {
      for (const fn of [root.fn, root.class, await root.fn]) await unreachable(t, fn, 'ind', 'a function')
    }
  )

  t.throws(() => pair(Prefixed, { exposedPrefix: '' }), { name: 'TypeError', message: /exposedPrefix/ })
})

t.test('by name: @exposed', async t => {
  class Marked extends Service {
    calls = 0
    @exposed
    method(a: number) {
      return a + 1
    }
    @exposed
    get got() {
      return ++this.calls
    }
    @exposed
    accessor both = 'both'
    @exposed
    name() {
      return 'name'
    }
    @exposed
    override toString() {
      return 'own'
    }
    @exposed
    _low() {
      return 'low'
    }
    @exposed
    [Symbol.for('marked')]() {
      return 'symbol'
    }
    @exposed
    override onConnect() {}
    hidden() {}
    accessor unmarked = 1
  }
  class Heir extends Marked {
    override method(a: number) {
      return super.method(a) * 10
    }
    override get got() {
      return -1
    }
    @exposed
    more() {
      return 'more'
    }
  }
  class Statics {
    readonly instance = true
    @exposed
    static call() {
      return 'static'
    }
    static hidden() {}
  }

  await bothWays(
    t,
    'on methods, getters and accessors',
    () => new Marked(),
    {},
    async (t, root) => {
      t.equal(await root.method(1), 2)
      t.equal(await root.got, 1)
      t.equal(await root.got, 2)
      t.equal(await root.both, 'both')
      t.equal(await root.name(), 'name')
      t.equal(await root.toString(), 'own')
      t.equal(await root._low(), 'low')
      t.equal(await get(root, Symbol.for('marked'))(), 'symbol')
      t.same((await keys(root)).sort(), ['_low', 'both', 'got', 'method', 'name', 'toString'])
      for (const name of ['hidden', 'unmarked', 'calls', 'onConnect', Symbol.for('other')])
        await unreachable(t, root, name, 'root')
      await refused(t, set(root, 'both', 1), 'set')
    }
  )
  await bothWays(
    t,
    'inherited and overridden',
    () => new Heir(),
    { allowSetAttrs: true },
    async (t, root) => {
      t.equal(await root.method(1), 20)
      t.equal(await root.got, -1)
      t.equal(await root.more(), 'more')
      await set(root, 'both', 'set')
      t.equal(await root.both, 'set')
      const error = await rejectionOf(set(root, 'got', 1))
      t.equal(error.name, 'TypeError', 'a getter without a setter')
      t.match(error.message, /"got" cannot be set: it is read-only/)
      await unreachable(t, root, 'hidden', 'root')
    }
  )
  await bothWays(
    t,
    'on statics',
    () => ({ Statics: () => Statics }),
    {},
    async (t, root) => {
      t.equal(await get(root.Statics(), 'call')(), 'static')
      await unreachable(t, root.Statics(), 'hidden', 'a class')
      await unreachable(t, root.Statics(), 'apply', 'a class')
    }
  )

  await t.test('throws if the compiler calls it as a legacy decorator', t => {
    const compilerOptions = { experimentalDecorators: true }
    for (const decorator of ['@exposed', '@exposed({ help: "size" })']) {
      const { code } = transformSync(`class Old { ${decorator} size() {} }`, {
        loader: 'ts',
        tsconfigRaw: { compilerOptions }
      })
      t.throws(() => new Function('exposed', code)(exposed), {
        name: 'TypeError',
        message: `${decorator.replace(/\(.*/, '')} size: it requires standard decorators; turn \`experimentalDecorators\` off, or use \`exposes\``
      })
    }
    t.end()
  })

  await t.test('@exposed throws on a member that it cannot expose', async t => {
    const nowhere = exposed as (target: unknown, context: unknown) => void
    const field = () => {
      class Field {
        // @ts-expect-error a field has no descriptor on the class
        @exposed size = 1
      }
      return Field
    }
    t.throws(field, { name: 'TypeError', message: /^@exposed size: .*`@exposed accessor size`/ })
    const setter = () => {
      class Setter {
        // @ts-expect-error a setter alone cannot be read
        @exposed set size(_: number) {}
      }
      return Setter
    }
    t.throws(setter, { name: 'TypeError', message: /^@exposed size: only public methods/ })
    const secret = () => {
      class Private {
        @exposed #size() {}
        use = () => this.#size()
      }
      return Private
    }
    t.throws(secret, { name: 'TypeError', message: /^@exposed #size: only public methods/ })
    t.throws(() => nowhere(class {}, { kind: 'class', name: 'Whole' }), { message: /^@exposed Whole: / })
    const getter = () => {
      class Getter {
        // @ts-expect-error only a method can be repeated
        @exposed({ idempotent: true }) get size() {
          return 1
        }
      }
      return Getter
    }
    t.throws(getter, { name: 'TypeError', message: /^@exposed size: only a method can have `idempotent`/ })
  })
})

t.test('by name: expose(object, { read, write, released })', async t => {
  const listed = () => ({
    a: 1,
    b: 2,
    call: 'call',
    name: 'name',
    _low: 'low',
    0: 'zero',
    toString: () => 'own',
    [Symbol.for('listed')]: 'for',
    [Symbol.toPrimitive]: () => 'primitive',
    [Symbol.toStringTag]: 'unlisted'
  })
  const read = [
    'a',
    'call',
    'name',
    '_low',
    'toString',
    0,
    'absent',
    Symbol.for('listed'),
    Symbol.toPrimitive
  ]
  class Base {
    exposed_c = 3
  }
  class Instance extends Base {
    declare readonly '~exposes'?: { d: true }
    a = 1
    b = 2
    name = 'name'
    override toString() {
      return 'own'
    }
    @exposed
    d() {
      return 4
    }
  }
  class Lists extends Service {
    exposed_record = expose(listed(), { read })
    exposed_instance = expose(new Instance(), { read: ['a', 'name'] })
    exposed_array = expose(['x', 'y'], { read: [1, 'length'] })
    exposed_map = expose(new Map([['k', 'v']]), { read: ['get', 'size'] })
    exposed_fn = expose(
      Object.assign((a: number) => a + 1, { own: 'own' }),
      { read: ['name', 'call', 'own'] }
    )
    exposed_error = expose(new RangeError('an error'), { read: ['message'] })
    exposed_date = expose(new Date(5), { read: ['getTime'] })
  }

  await bothWays(
    t,
    'the list decides, whatever is in it, and stands before allowPublicAttrs',
    () => new Lists(),
    { allowPublicAttrs: true },
    async (t, root) => {
      const { record } = root
      t.equal(await record.a, 1)
      t.equal(await get(record, 'call'), 'call')
      t.equal(await get(record, 'name'), 'name')
      t.equal(await record._low, 'low')
      t.equal(await record[0], 'zero')
      t.equal(await record.toString(), 'own')
      t.equal(await get(record, Symbol.for('listed')), 'for')
      t.equal(await get(record, Symbol.toPrimitive)(), 'primitive')
      t.same((await keys(record)).sort(), ['0', '_low', 'a', 'call', 'name', 'toString'])
      for (const name of ['b', 'absent', 'valueOf', Symbol.toStringTag, Symbol.for('other')])
        await unreachable(t, record, name, 'root.record')
      t.equal(Netref.is(await record), true, 'it is passed by reference')

      const { instance } = root
      t.equal(await instance.name, 'name')
      t.equal(await instance.c, 3, 'the prefix exposes the member without expose()')
      t.equal(await instance.d(), 4, '@exposed exposes the member without expose()')
      for (const name of ['b', 'toString']) await unreachable(t, instance, name, 'root.instance')

      t.equal(await root.array[1], 'y')
      t.equal(await root.array.length, 2)
      await unreachable(t, root.array, 0, 'root.array')
      t.equal(await root.map.get('k'), 'v')
      t.equal(await root.map.size, 1)
      await unreachable(t, root.map, 'set', 'root.map')
      t.equal(await root.fn(1), 2)
      t.equal(await root.fn.own, 'own')
      t.equal(await get(root.fn, 'call')(null, 2), 3)
      t.type(await get(root.fn, 'name'), 'string')
      await unreachable(t, root.fn, 'bind', 'root.fn')
      t.equal(await root.error.message, 'an error')
      await unreachable(t, root.error, 'name', 'root.error')
      t.equal(await root.date.getTime(), 5)
      await unreachable(t, root.date, 'setTime', 'root.date')
    }
  )

  class Public extends Service {
    exposed_instance = expose(new Thing())
    exposed_record = expose({ a: 1, _low: 2, toString: () => 'own', fn: () => 'fn' })
    exposed_array = expose(['x'])
    exposed_map = expose(new Map([['k', 'v']]))
    exposed_fn = expose(Object.assign(() => 'called', { own: 1, _low: 2 }))
    exposed_error = expose(new RangeError('an error'))
    exposed_class = expose(class extends Thing {})
    exposed_thenable = expose({ then: () => 'then', also: 1 })
    exposed_grow() {
      Object.assign(this.exposed_instance, { later: 'later' })
    }
  }
  await bothWays(
    t,
    'without a list: the public members, looked up live',
    () => new Public(),
    {},
    async (t, root) => {
      const instance = await root.instance
      t.equal(await instance.method(), 1)
      t.equal(await instance.got, 1)
      t.same((await keys(instance)).sort(), ['field', 'got', 'method'])
      await unreachable(t, instance, 'later', 'root.instance')
      await root.grow()
      t.equal(await instance.later, 'later')
      for (const name of ['_private', '_hidden', 'toString', Symbol.for('thing')])
        await unreachable(t, instance, name, 'root.instance')
      t.equal(await root.record.a, 1)
      t.equal(await root.record.fn(), 'fn')
      t.equal(await root.record.toString(), 'own')
      for (const name of ['_low', 'valueOf']) await unreachable(t, root.record, name, 'root.record')
      t.equal(await root.array[0], 'x')
      t.equal(await root.array.at(0), 'x')
      t.equal(await root.map.get('k'), 'v')
      t.equal(await root.fn(), 'called')
      t.equal(await root.fn.own, 1)
      for (const name of ['_low', 'call', 'name']) await unreachable(t, root.fn, name, 'root.fn')
      t.equal(await root.error.message, 'an error')
      t.equal(await root.error.name, 'RangeError')
      await refused(t, (await new root.class()).constructor, 'the class')
      t.equal(await root.class.made, 0)
      t.equal(await get(root.thenable, 'also'), 1, 'an exposed thenable on a path is not awaited')
      await refused(t, set(instance, 'field', 2), 'nothing may be written')
    }
  )

  await bothWays(
    t,
    'write: names that may be set and deleted, if they may be read',
    () => ({
      draft: expose(
        { title: 'a', text: 'b', secret: 'c' },
        { read: ['title', 'text', 'gone', 'x'], write: ['title', 'gone', 'secret'] }
      ),
      get() {
        return (this as Untyped).draft
      },
      raw() {
        return { ...(this as Untyped).draft }
      },
      frozen: () => expose(Object.freeze({ a: 1 }), { write: ['a'] })
    }),
    {},
    async (t, root) => {
      const draft = await root.get()
      await set(draft, 'title', 'A')
      await set(draft, 'gone', 'new')
      t.same(await root.raw(), { title: 'A', text: 'b', secret: 'c', gone: 'new' })
      await remove(draft, 'gone')
      await remove(root.get(), 'title')
      t.same(await root.raw(), { text: 'b', secret: 'c' })
      for (const name of ['text', 'secret', 'x', 'y', '__proto__', 'constructor']) {
        await refused(t, set(draft, name, 1), `set ${name}`)
        await refused(t, remove(draft, name), `delete ${name}`)
      }
      const frozen = await root.frozen()
      const [error, deletion] = [
        await rejectionOf(set(frozen, 'a', 2)),
        await rejectionOf(remove(frozen, 'a'))
      ]
      t.same([error.name, deletion.name], ['TypeError', 'TypeError'])
      t.match(error.message, /"a" cannot be set: it is read-only/)
      t.match(deletion.message, /"a" cannot be deleted/)
    }
  )

  const thing = new Thing()
  await bothWays(
    t,
    'a second call replaces the first',
    () => ({ get: () => thing }),
    {},
    async (t, root) => {
      expose(thing, { read: ['field'], write: ['field'] })
      const ref = await root.get()
      t.equal(await ref.field, 1)
      await set(ref, 'field', 1)
      await refused(t, ref.got, 'got')
      expose(thing, { read: ['got'] })
      t.equal(await ref.got, 1)
      await refused(t, ref.field, 'field')
      await refused(t, set(ref, 'field', 2), 'set')
      expose(thing)
      t.equal(await ref.method(), 1)
    }
  )

  await t.test('released is called once per session', async t => {
    let released = 0
    const shared = expose({ a: 1 }, { released: () => void released++ })
    const service = { get: () => shared, read: ['a'] }
    const use = async ({ root }: { root: unknown }) => {
      const { get } = root as Untyped
      const [ref, again] = [await get(), await get()]
      t.equal(ref, again)
      Netref.release(ref)
    }
    await overMemory(t, service, async pair => {
      await use(pair)
      await waitUntil(() => released === 1)
    })
    t.equal(released, 1)
    await overMemory(t, service, async pair => {
      await use(pair)
      await waitUntil(() => released === 2)
    })
    const other = pair(service)
    t.equal(await (await (other.root as Untyped).get()).a, 1)
    await other.close()
    await waitUntil(() => released === 3)
  })

  await t.test('values that cannot be exposed', async t => {
    for (const value of [null, undefined, 1, 'text', Symbol('s')])
      t.throws(() => expose(value as never), { name: 'TypeError', message: /^expose: .* is not an object$/ })
    t.throws(() => expose({ title: 1 }, { read: 'title' }), {
      message: "expose: `read` must be a list of names, such as ['title']"
    })
    t.throws(() => expose({ title: 1 }, { write: 'title' }), {
      name: 'TypeError',
      message: /^expose: `write` must be/
    })
    await overMemory(t, { get: () => new Thing() }, async ({ root }) => {
      const { get } = root as Untyped
      const ref = await get()
      t.throws(() => expose(ref), {
        name: 'TypeError',
        message: /Thing#1.* is remote; expose it on the side that owns it/
      })
      t.throws(() => expose(get), { name: 'TypeError', message: /is remote/ })
    })
    const object = {}
    t.equal(expose(object), object, 'otherwise expose() returns the object')
  })
})

t.test('a plain object as root', async t => {
  const plain = () =>
    Object.assign(Object.create(null), {
      secret: 'secret',
      data: { a: 1 },
      list: [1],
      thing: new Thing(),
      add: (a: number, b: number) => a + b,
      _hidden: () => {},
      self() {
        return this.secret
      },
      toString: () => 'own',
      [Symbol.for('fn')]: () => {}
    })
  await bothWays(t, 'exposes its functions, and not its data', plain, {}, async (t, root) => {
    t.equal(await root.add(1, 2), 3)
    t.equal(await root.self(), 'secret')
    t.equal(await root.toString(), 'own')
    t.same(await keys(root), ['add', 'self', 'toString'])
    for (const name of ['secret', 'data', 'list', 'thing', '_hidden', 'valueOf', 'missing', Symbol.for('fn')])
      await unreachable(t, root, name, 'root')
  })
  await bothWays(
    t,
    'functions of its own only',
    () => ({
      get fn() {
        return () => 1
      }
    }),
    {},
    async (t, root) => {
      await unreachable(t, root, 'fn', 'root')
      await unreachable(t, root, 'toString', 'root')
    }
  )
  await bothWays(
    t,
    'its data, too, if it is exposed',
    () => expose(plain()),
    {},
    async (t, root) => {
      t.equal(await root.secret, 'secret')
      t.same(await root.data, { a: 1 })
      t.equal(await root.add(1, 2), 3)
      await unreachable(t, root, '_hidden', 'root')
    }
  )
  await bothWays(t, 'or with allowPublicAttrs', plain, { allowPublicAttrs: true }, async (t, root) => {
    t.equal(await root.secret, 'secret')
    t.equal(await root.thing.method(), 1)
    await unreachable(t, root, '_hidden', 'root')
  })
  await bothWays(
    t,
    'an array as root exposes nothing',
    () => ['secret'],
    {},
    async (t, root) => {
      for (const name of [0, 'length', 'at']) await unreachable(t, root, name, 'root')
    }
  )
  await bothWays(
    t,
    'an exposed Map as root',
    () => expose(new Map([['k', 'v']])),
    {},
    async (t, root) => {
      t.equal(await root.get('k'), 'v')
      await unreachable(t, root, Symbol.iterator, 'root')
    }
  )
  await bothWays(
    t,
    'a function as root',
    () => () => Object.assign(() => {}, { own: 1, exposed_x: 2 }),
    {},
    async (t, root) => {
      await refused(t, root.own, 'own')
      await refused(t, keys(root.own), 'own')
      t.same(await keys(root), ['x'])
    }
  )
})

/** Yields each place where a message can contain a root: the root itself, and inside values that are sent as copies. */
function* places(root: object): Generator<[where: string, sent: unknown, find: (got: Untyped) => unknown]> {
  yield ['as it is', root, got => got]
  yield ['in a record', { root }, got => got.root]
  yield ['in an array', [[root]], got => got[0][0]]
  yield [
    'in a table',
    Array.from({ length: 100 }, (_, i) => ({ index: i, name: 'row', root })),
    got => got[99].root
  ]
  yield ['in a Map', new Map([['root', root]]), got => got.get('root')]
  yield ['as a key of a Map', new Map([[root, 1]]), got => [...got.keys()][0]]
  yield ['in a Set', new Set([root]), got => [...got][0]]
  const cycle: Record<string, unknown> = { root }
  cycle.itself = cycle
  yield ['in a cycle', cycle, got => got.itself.root]
}

class Wrapped {
  constructor(readonly inside: unknown) {}
}
registerType(Wrapped, {
  name: 'Wrapped',
  encode: ({ inside }) => inside,
  decode: inside => new Wrapped(inside)
})

async function all(items: AsyncIterable<unknown>): Promise<unknown[]> {
  const found: unknown[] = []
  for await (const item of items) found.push(item)
  return found
}

t.test('a root is sent by reference wherever a message contains it', async t => {
  const SECRET = 'S3CRET'
  const members = {
    add: (a: number, b: number) => a + b,
    /** Returns the root in each kind of value that can contain it. */
    me(this: object, where?: string) {
      return [...places(this)].find(([name]) => name === where)?.[1] ?? this
    },
    async later(this: object) {
      return this
    },
    *items(this: object) {
      yield this
      yield [this]
    },
    soon(this: object) {
      return { promise: Promise.resolve(this) }
    },
    fails(this: object): never {
      throw Object.assign(new Error('on purpose', { cause: this }), { field: this, fine: 1, errors: [this] })
    },
    gone(this: object) {
      return AbortSignal.abort(this)
    },
    tell(this: object, told: Untyped, how: string) {
      return told([...places(this)].find(([name]) => name === how)![1])
    },
    wrapped(this: object) {
      return new Wrapped(this)
    },
    isMe(this: object, root: unknown) {
      return root === this
    }
  }
  const secrets = { secret: SECRET, data: { secret: SECRET }, _hidden: () => SECRET }
  const exposedMembers = Object.fromEntries(
    Object.entries(members).map(([name, member]) => [`exposed_${name}`, member])
  )
  class Iterates {
    next() {
      return { done: false, value: SECRET }
    }
    [Symbol.asyncIterator]() {
      return this
    }
  }
  class Secretive extends Service {
    secret = SECRET
  }
  const add = (object: object) => Object.assign(object, exposedMembers, { _hidden: () => SECRET })
  const offers: Record<string, () => object> = {
    'a plain object': () => ({ ...members, ...secrets }),
    'an object without a prototype': () => Object.assign(Object.create(null), members, secrets),
    'an object made for each session': () => () => ({ ...members, ...secrets }),
    'a Map': () => add(new Map([['secret', SECRET]])),
    'an array': () => add([SECRET]),
    'an Error': () => add(new Error(SECRET)),
    'a Date': () => add(Object.assign(new Date(0), { secret: SECRET })),
    bytes: () => add(Object.assign(new Uint8Array(Buffer.from(SECRET)), { secret: SECRET })),
    'a registered type': () => add(new Wrapped(SECRET)),
    'a record that makes an iterator': () => ({
      ...members,
      ...secrets,
      [Symbol.iterator]: () => [SECRET].values()
    }),
    'an iterator of a class': () => add(new Iterates()),
    'a stream': () => add(new ReadableStream()),
    'a service': () => add(new Secretive()),
    'a service of a class': () => Secretive,
    exposed: () => expose({ ...members, ...secrets }, { read: Object.keys(members) })
  }
  Object.assign(Secretive.prototype, exposedMembers)
  for (const [name, offer] of Object.entries(offers)) {
    const crossed: string[] = []
    const trace = (_: unknown, message: string) => void crossed.push(message)
    await bothWays(t, name, offer, { trace }, async (t, root) => {
      t.equal(await root.me(), root, 'a result')
      t.equal(await root.later(), root, 'an asynchronous result')
      t.equal(await root.soon().promise, root, 'the result of a promise')
      t.ok(await root.isMe(root), 'the owner receives the original')
      t.equal(await root.me().me().add(1, 2), 3, 'a pending result')
      t.equal((await root.wrapped()).inside, root, 'the result of `encode`')
      for (const [where, , find] of places({})) {
        if (where === 'as it is') continue
        t.equal(find(await root.me(where)), root, `a result, ${where}`)
        const told = await new Promise(resolve => root.tell(resolve, where))
        t.equal(find(told), root, `an argument, ${where}`)
      }
      const items = await all(await root.items())
      t.same([items[0] === root, (items[1] as unknown[])[0] === root], [true, true], 'items')
      const error = await rejectionOf(root.fails())
      t.match(error, { fine: 1, cause: undefined, errors: undefined, omitted: ['cause', 'errors', 'field'] })
      t.match((await root.gone()).reason, { name: 'AbortError' }, 'the reason of a signal')
      const again = await root.me()
      for (const member of ['secret', 'data', '_hidden']) {
        await unreachable(t, again, member, 'a root that came back')
        await refused(t, root.me()[member], `${member} of an answer`)
      }
      t.same(await keys(again), Object.keys(members))
      t.same(await keys(root.me()), Object.keys(members))
      t.same(
        (await Netref.describe(root.me())).map(({ name }: { name: string }) => name),
        Object.keys(members)
      )
      t.same(await Netref.obtain(root), {})
      t.same(await Netref.obtain(root.me()), {})
      await refused(t, all(root.me()), 'its items')
    })
    t.notMatch(crossed.join('\n'), SECRET, `${name}: no private member was sent`)
  }

  await t.test('the root of the client, before the hello of the server', async t => {
    const service = { ...members, ...secrets }
    const take = async (root: Untyped) => {
      t.equal(root, callSession().root, 'it is the root of the client')
      t.equal(await root.add(1, 2), 3)
      await unreachable(t, root, 'secret', 'the root of the client')
    }
    await overMemory(t, { take }, ({ root }) => (root as Untyped).take(service), { service })
  })

  await t.test('in a session with another root', async t => {
    const shared = { ...members, ...secrets }
    const made: object[] = []
    await using first = pair(shared)
    await using second = pair(() => {
      const root = { ...members, ...secrets, number: made.length }
      made.push(root)
      return root
    })
    await first.ping()
    await second.ping()
    await overMemory(t, { hand: () => [shared, made[0]] }, async ({ root }) => {
      for (const other of (await (root as Untyped).hand()) as Untyped[]) {
        t.equal(await other.add(1, 2), 3)
        t.same(await keys(other), Object.keys(members))
        for (const name of ['secret', 'data', '_hidden', 'number'])
          await unreachable(t, other, name, 'the root of another session')
        t.same(await Netref.obtain(other), {})
      }
    })
  })

  await t.test('a root in its own members', async t => {
    const root: Record<string, unknown> = { ...members, ...secrets }
    root.itself = root
    root.list = [root]
    root.find = () => ({ root })
    await using inner = pair(root)
    await inner.ping()
    await overMemory(t, expose({ root, list: [root] }), async conn => {
      const outer = conn.root as Untyped
      for (const way of [outer.root, outer.list[0], outer.root.find().root]) {
        t.equal(await way.add(1, 2), 3)
        for (const name of ['secret', 'data', '_hidden', 'itself', 'list'])
          await refused(t, way[name], `a path past the root to ${name}`)
      }
    })
  })
})

t.test('plain data reached through an exposed member', async t => {
  class Data extends Service {
    exposed_data = {
      a: 1,
      _low: 2,
      deep: { list: ['x', { y: 'y' }], fn: () => 'fn' },
      method() {
        return this.a
      },
      name: 'name',
      length: 7
    }
    exposed_list = [[1, 2], { a: 1 }, (a: number) => a + 1]
    exposed_empty = Object.create(null)
    exposed_hidden = Object.defineProperty({}, 'hidden', { value: 1 })
    exposed_get() {
      return this.exposed_data
    }
    async exposed_later() {
      return this.exposed_data
    }
  }
  await bothWays(
    t,
    'own enumerable members, indices and length',
    () => new Data(),
    {},
    async (t, root) => {
      for (const data of [root.data, root.get(), root.later()]) {
        t.equal(await data.a, 1)
        t.equal(await data._low, 2, 'equal to the copy')
        t.equal(await get(data, 'name'), 'name')
        t.equal(await get(data, 'length'), 7)
        t.equal(await data.method(), 1, 'with the original as `this`')
        t.equal(await data.deep.list[1].y, 'y')
        t.equal(await data.deep.list.length, 2)
        t.equal(await data.deep.fn(), 'fn')
        t.same(await keys(data), ['a', '_low', 'deep', 'method', 'name', 'length'])
        t.same(await keys(data.deep.list), ['length'])
        t.equal(await has(data, 'a'), true)
      }
      for (const name of ['missing', 'toString', 'exposed_a'])
        await unreachable(t, root.data, name, 'root.data')
      for (const name of [5, -1, '01', '1.0', 'map', 'push', 'at', Symbol.iterator])
        await unreachable(t, root.list, name, 'root.list')
      t.equal(await root.list[0][1], 2)
      t.equal(await root.list[2](1), 2)
      t.same(await keys(root.empty), [])
      await unreachable(t, root.empty, 'toString', 'root.empty')
      await unreachable(t, root.hidden, 'hidden', 'root.hidden')
      await refused(t, set(root.data, 'a', 2), 'set')
      await refused(t, remove(root.data, 'a'), 'delete')
    }
  )

  registerType(class Registered {}, { name: 'exposure.Registered', encode: () => 1, decode: () => 1 })
  class Flowing {
    next() {}
    [Symbol.iterator]() {
      return this
    }
  }
  let session: Session
  const values: Record<string, [value: () => unknown, name: string, means: RegExp]> = {
    Date: [
      () => new Date(0),
      'getTime',
      /"getTime" cannot be read from Date \{…\}, which is sent as a copy: await it first/
    ],
    Map: [() => new Map([['a', 1]]), 'get', /Map \{…\}, which is sent as a copy: await it first/],
    Set: [() => new Set(), 'size', /Set \{…\}, which is sent as a copy: await it first/],
    string: [
      () => 'text',
      'length',
      /"length" cannot be read from "text", which is sent as a copy: await it first/
    ],
    number: [() => 1, 'toFixed', /1, which is sent as a copy: await it first/],
    bytes: [() => new Uint8Array(2), 0, /Uint8Array \{…\}, which is sent as a copy: await it first/],
    Error: [
      () => new RangeError('e'),
      'message',
      /RangeError \{…\}, which is sent as a copy: await it first/
    ],
    undefined: [() => undefined, 'a', /undefined, which is sent as a copy: await it first/],
    null: [() => null, 'a', /null, which is sent as a copy: await it first/],
    promise: [() => Promise.resolve({ a: 1 }), 'a', /"a" cannot be read from a promise: await it first/],
    thenable: [() => ({ then() {} }), 'then', /"then" cannot be read from a promise: await it first/],
    'thenable function': [() => Object.assign(() => {}, { then() {} }), 'then', /a promise: await it first/],
    WeakMap: [() => new WeakMap(), 'get', /a WeakMap, which is never sent/],
    iterator: [() => new Flowing(), 'next', /Flowing \{…\}, which is sent as a stream: await it first/],
    'record that iterates': [
      () => ({ sql: 'select', *[Symbol.iterator]() {} }),
      'sql',
      /\{…\}, which is sent as a stream: await it first/
    ],
    stream: [() => new ReadableStream(), 'cancel', /ReadableStream \{…\}, which is sent as a stream/],
    process: [() => process, 'exit', /`process`, which is never sent/],
    globalThis: [() => globalThis, 'eval', /`globalThis`, which is never sent/],
    Session: [
      () => session,
      'setup',
      /a Session, which is never sent: it exists on this side only; send the objects that the peer needs/
    ]
  } as never
  await bothWays(
    t,
    'a path ends at a copy, and at what is never sent',
    () =>
      Object.defineProperties(
        new Nothing(),
        Object.fromEntries(Object.entries(values).map(([name, [get]]) => [name, { get, enumerable: true }]))
      ),
    GENEROUS,
    async (t, root, home) => {
      session = home
      for (const [kind, [, name, means]] of Object.entries(values)) {
        const errors = await Promise.all(
          [
            at(root, kind, name),
            at(root, kind, name)(),
            new (at(root, kind, name))(),
            has(get(root, kind), name),
            set(get(root, kind), name, 1),
            remove(get(root, kind), name),
            at(root, kind, name, 'deeper')
          ].map(rejectionOf)
        )
        t.same(new Set(errors.map(({ code }) => code)), new Set(['not-exposed']), kind)
        for (const { message } of errors) t.match(message, means)
        await refused(t, keys(get(root, kind)), `keys of a ${kind}`)
      }
    }
  )
  await bothWays(
    t,
    'a path ends at an answer that is a copy, before and after it has arrived',
    () => ({ date: () => new Date(0), map: async () => new Map() }),
    GENEROUS,
    async (t, root) => {
      const [date, map] = [root.date(), root.map()]
      await refused(t, date.getTime(), 'on its way')
      await refused(t, map.size, 'on its way')
      t.same([await date, await map], [new Date(0), new Map()])
      await refused(t, date.getTime(), 'arrived')
      await refused(t, map.size, 'arrived')
    }
  )
})

t.test('allowPublicAttrs', async t => {
  class Root extends Service {
    thing = new Thing()
    _private = 1
    exposed_both = 'exposed'
    both = 'public'
    fn = Object.assign(() => 'fn', { own: 'own', _low: 1, call: 2 })
    class = Thing
    list = [1]
    map = new Map()
    open() {
      return new (class extends Thing {
        override toString() {
          return 'own'
        }
      })()
    }
  }
  await bothWays(
    t,
    'opens members that do not start with _',
    () => new Root(),
    { allowPublicAttrs: true },
    async (t, root) => {
      t.equal(await root.thing.field, 1)
      t.equal(await root.thing.method(), 1)
      t.equal(await root.both, 'exposed', 'exposed_ takes precedence')
      t.equal(await root.exposed_both, 'exposed', 'the name without the prefix is public, too')
      t.equal(await root.open().toString(), 'own', 'an own toString is an ordinary member')
      t.equal(await root.fn.own, 'own')
      t.equal(await root.fn(), 'fn')
      t.equal(await root.class.make().field, 1)
      t.equal(await root.list[0], 1)
      t.same((await keys(root.thing)).sort(), ['field', 'got', 'method'])
      t.same((await keys(root.class)).sort(), ['made', 'make'])
      for (const name of ['_private', 'missing']) await unreachable(t, root, name, 'root')
      for (const name of ['_private', '_hidden']) await unreachable(t, root.thing, name, 'root.thing')
      for (const name of ['_low', 'call', 'bind']) await unreachable(t, root.fn, name, 'root.fn')
      for (const name of ['at', 'push']) await unreachable(t, root.list, name, 'root.list')
      await refused(t, root.map.clear(), 'a copy')
      await refused(t, set(root, 'both', 1), 'set')
      await refused(t, remove(root, 'both'), 'delete')
    }
  )
  await bothWays(
    t,
    'without it, a thing handed over shows nothing',
    () => ({ open: () => new Thing() }),
    {},
    async (t, root) => {
      const thing = await root.open()
      for (const name of ['field', 'method', 'got', '_private']) await unreachable(t, thing, name, 'a Thing')
      t.same(await keys(thing), [])
    }
  )

  await t.test('the options of each side apply to its own objects', async t => {
    const service = { echo: (x: Untyped) => x.field, open: () => new Thing() }
    await overMemory(
      t,
      service,
      async ({ root }) => {
        const { echo, open } = root as Untyped
        t.equal(await echo(new Thing()), 1)
        await refused(t, open().field, 'open().field')
      },
      { allowPublicAttrs: true }
    )
  })
})

t.test('allowSetAttrs and allowDeleteAttrs', async t => {
  class Root extends Service {
    exposed_a = 1
    b = 2
    data = { x: 1, _y: 2 }
    list = [1, 2]
    thing: Record<string, unknown> = Object.assign(Object.create({ inherited: 1 }), { own: 1 })
    get computed() {
      return 1
    }
    fn() {}
  }
  const all: Root[] = []
  const make = () => all[all.push(new Root()) - 1]!
  await bothWays(t, 'members that may be read', make, GENEROUS, async (t, root) => {
    const home = all.at(-1)!
    await set(root, 'a', 10)
    t.equal(home.exposed_a, 10, 'under its prefix')
    await set(root, 'b', { deep: [new Date(0)] })
    t.same(home.b, { deep: [new Date(0)] })
    await set(root.data, 'x', -0)
    await set(root.data, '_y', undefined)
    t.same(home.data, { x: -0, _y: undefined })
    await set(root.list, 1, 'two')
    t.same(home.list, [1, 'two'])
    await set(root, 'added', 1)
    t.equal((home as never as { added: number }).added, 1)
    await remove(root, 'a')
    await remove(root, 'added')
    await remove(root.data, 'x')
    t.same(Object.keys(home).sort(), ['b', 'data', 'list', 'thing'])
    t.equal('x' in home.data, false)
    for (const name of ['_z', '__proto__', 'constructor', 'toString', Symbol.for('s'), 'onConnect'])
      await unreachable(t, root, name, 'root')
    await refused(t, set(root.data, 'new', 1), 'plain data has the members it has')
    await refused(t, set(root.list, 5, 1), 'and so has an array')
    t.equal((await rejectionOf(set(root, 'computed', 1))).name, 'TypeError')
    t.match((await rejectionOf(remove(root.list, 'length'))).message, /"length" cannot be deleted/)
    await set(root, 'b', () => 'a function')
    t.equal(await root.b(), 'a function', 'the operation is forwarded')
    await set(root, 'b', 0)
  })
  await bothWays(
    t,
    'neither lets read',
    make,
    { allowSetAttrs: true, allowDeleteAttrs: true },
    async (t, root) => {
      for (const name of ['b', 'data', 'added', 'fn']) await unreachable(t, root, name, 'root')
      await set(root, 'a', 5)
      t.equal(await root.a, 5)
    }
  )
  await bothWays(t, 'each for itself: set', make, { allowSetAttrs: true }, async (t, root) => {
    await set(root, 'a', 5)
    await refused(t, remove(root, 'a'), 'delete')
  })
  await bothWays(t, 'each for itself: delete', make, { allowDeleteAttrs: true }, async (t, root) => {
    await refused(t, set(root, 'a', 5), 'set')
    await remove(root, 'a')
    t.equal(await has(root, 'a'), false)
  })
})

t.test('a write to a read-only member rejects, and the error names the option that allows it', t =>
  overMemory(t, { a: () => 1, exposed_b: 2 }, async ({ root }) => {
    t.match(await rejectionOf(set(root, 'b', 5)), {
      code: 'not-exposed',
      message:
        'Netref.set(root.b, 5): "b" may be read, not set: its owner must set allowSetAttrs, or call expose(…, { write: ["b"] })'
    })
    t.match(await rejectionOf(remove(root, 'a')), {
      code: 'not-exposed',
      message:
        'Netref.delete(root.a): "a" may be read, not deleted: its owner must set allowDeleteAttrs, or call expose(…, { write: ["a"] })'
    })
    t.match((await rejectionOf(set(root, 'none', 5))).message, /"none" is not exposed, or does not exist/)
    for (const [name, text] of [
      [Symbol.iterator, 'expose it in its class, or list it in expose(…, { read })'],
      ['_low', 'expose it in its class, prefix it with exposed_, or list it in expose(…, { read })'],
      ['none', 'expose it in its class, prefix it with exposed_, or expose() its object']
    ] as const) {
      const { message } = await rejectionOf(get(root, name))
      t.equal(message.split(': its owner must ')[1], text, String(name))
    }
  })
)

t.test(
  'an error for a prefixed name suggests the name without the prefix, whether the member exists or not',
  async t => {
    const refusalOf = async (root: Untyped, name: string) => (await rejectionOf(root[name](1))).message
    class Adder extends Service {
      exposed_add = () => 1
      rpc_add = () => 1
    }
    await overMemory(t, Adder, async ({ root }) => {
      for (const name of ['add', 'none'])
        t.equal(
          await refusalOf(root, `exposed_${name}`),
          `root.exposed_${name}(1): "exposed_${name}" is not exposed, or does not exist: call it as "${name}", without the prefix`
        )
    })
    const prefixed = { serving: { exposedPrefix: 'rpc_' } }
    await overMemory(
      t,
      Adder,
      async ({ root }) => {
        t.match(await refusalOf(root, 'rpc_add'), /: call it as "add", without the prefix$/)
        for (const name of ['rpc_', 'exposed_add'])
          t.match(
            await refusalOf(root, name),
            /: its owner must expose it in its class, prefix it with rpc_, or expose\(\) its object$/
          )
      },
      prefixed
    )
  }
)

t.test('getters and proxies', async t => {
  let reads: string[] = []
  class Root extends Service {
    get exposed_value() {
      reads.push('value')
      return 1
    }
    get exposed_data() {
      reads.push('data')
      return {
        get inner() {
          reads.push('inner')
          return { fn: () => 'fn', class: Thing }
        }
      }
    }
    get exposed_fn() {
      reads.push('fn')
      return () => 'called'
    }
    get exposed_class() {
      reads.push('class')
      return Thing
    }
    get secret() {
      reads.push('secret')
      return 1
    }
    get exposed_thrower() {
      throw new RangeError('from the getter')
    }
  }
  await bothWays(
    t,
    'a getter runs once per read, and not to look',
    () => new Root(),
    {},
    async (t, root) => {
      const readBy = async (use: () => PromiseLike<unknown>) => {
        reads = []
        await use().then(undefined, () => {})
        return reads
      }
      t.same(await readBy(() => root.value), ['value'])
      t.same(await readBy(() => root.fn()), ['fn'])
      t.same(await readBy(() => root.class.make()), ['class'])
      t.same(await readBy(() => root.data.inner.fn()), ['data', 'inner'])
      t.same(await readBy(() => new root.data.inner.class()), ['data', 'inner'])
      t.same(await readBy(() => root.data), ['data', 'inner'])
      t.same(await readBy(() => keys(root.data)), ['data'])
      t.same(await readBy(() => has(root, 'value')), [])
      t.same(await readBy(() => keys(root)), [])
      t.same(await readBy(() => set(root, 'value', 1)), [])
      for (const use of [() => root.secret, () => root.secret(), () => has(root, 'secret')])
        t.same(await readBy(use), [], 'a refused member is not read')
      t.match(await rejectionOf(root.thrower), { name: 'RangeError', message: 'from the getter' })
    }
  )
})

t.test('a refused member and a missing member give the same error', async t => {
  class Root extends Service {
    hidden() {}
    _low = 1
    exposed_data = { own: 1 }
    exposed_list = [1]
    exposed_fn = () => {}
    exposed_some = expose({ a: 1, unlisted: 2 }, { read: ['a'] })
    exposed_thing = new Thing()
  }
  const names = [
    'hidden',
    '_low',
    'constructor',
    '__proto__',
    'toString',
    'onConnect',
    'field',
    'unlisted',
    'call'
  ]
  await bothWays(
    t,
    'by their text and by their code, in every operation',
    () => new Root(),
    {},
    async (t, root) => {
      for (const place of [[], ['data'], ['list'], ['fn'], ['some'], ['thing']]) {
        const ref = at(root, ...place)
        const operations: ((name: string) => PromiseLike<unknown>)[] = [
          name => get(ref, name),
          name => get(ref, name)(1),
          name => new (get(ref, name))(1),
          name => set(ref, name, 1),
          name => remove(ref, name),
          name => keys(get(ref, name)),
          name => at(ref, name, 'a', 'b')
        ]
        for (const operation of operations) {
          const textOf = async (name: string) => {
            const { code, message, name: type, ...rest } = await rejectionOf(operation(name))
            return JSON.stringify([code, message.replaceAll(name, '…'), type, rest])
          }
          // The cure depends on the form of the name.
          const isLow = (name: string) => name.startsWith('_')
          const ordinary = [...names.filter(name => !isLow(name)), 'missing']
          for (const alike of [ordinary, [...names.filter(isLow), '_missing']]) {
            const texts = await Promise.all(alike.map(textOf))
            t.equal(new Set(texts).size, 1, texts[0])
          }
        }
      }
      const { name, message } = await rejectionOf(root.files.open('x'))
      t.equal(name, 'ExposureError')
      t.match(message, /^root\.files\.open\("x"\): "files" is not exposed, or does not exist: /)
    }
  )
})

t.test('calling and constructing', async t => {
  class Point {
    constructor(
      readonly x: number,
      readonly y = 0
    ) {
      if (new.target === undefined) throw new Error('without new')
    }
    sum() {
      return this.x + this.y
    }
  }
  class Root extends Service {
    exposed_Point = expose(class extends Point {}, { read: ['of'] })
    exposed_Plain = Point
    exposed_Bound = Point.bind(null, 6)
    exposed_number = 1
    exposed_thing = new Thing()
    exposed_data = { n: 1, fn: () => 'fn', async: async () => 'async' }
    exposed_fns = [
      () => 'first',
      function (this: unknown) {
        return this === undefined ? 'nobody' : 'somebody'
      }
    ]
    exposed_who() {
      return this instanceof Root
    }
    exposed_use(fn: Untyped, ...args: unknown[]) {
      return fn(...args)
    }
    exposed_make(type: Untyped, ...args: unknown[]) {
      return new type(...args).x
    }
    exposed_getFn() {
      return this.exposed_who
    }
    exposed_generator = function* () {}
    async *exposed_asyncGenerator(_count: number) {}
    exposed_failing() {
      throw new RangeError('from the handler')
    }
    exposed_Failing = class {
      constructor() {
        throw new RangeError('from the constructor')
      }
    }
    exposed_returnThis() {
      return this
    }
  }
  await bothWays(
    t,
    'what may be called, constructed, and what not',
    () => new Root(),
    { allowPublicAttrs: true },
    async (t, root) => {
      t.equal(await (await new root.Point(1, 2)).sum(), 3)
      t.equal(await new root.Point(3).sum(), 3, 'in one message')
      t.equal(await new root.Plain(4).x, 4)
      const Type = await root.Point
      t.equal(typeof Type, 'function')
      t.equal(await new Type(5).x, 5)
      t.equal(await new root.Bound().x, 6, 'a bound class can be constructed')
      t.equal(await root.data.fn(), 'fn')
      t.equal(await root.data.async(), 'async')
      t.equal(await root.fns[0](), 'first')

      const who = await root.who
      t.equal(await who(), true, 'a member function that was read from its object stays bound to it')
      t.equal(await root.who(), true)
      const [first, self] = (await root.fns) as Untyped[]
      t.equal(await first!(), 'first', 'a function that was passed to the peer may be called')
      t.equal(await self!(), 'nobody', 'a function from an array has no `this`')
      t.equal(
        await root
          .getFn()()
          .catch(() => 'no this'),
        false
      )
      t.equal(await root.use((a: number) => a + 1, 1), 2)
      t.equal(
        await root.make(Point, 7).catch(({ code }: { code: string }) => code),
        'not-exposed',
        'the local options apply'
      )
      t.equal(
        await root.make(
          class {
            exposed_x = 8
          }
        ),
        8,
        'a class that was passed to the peer may be constructed'
      )
      t.equal(await root.returnThis(), root, 'the root is the same object')

      for (const [what, promise] of Object.entries({
        number: root.number(),
        object: root.thing(),
        'a member of data': root.data.n(),
        'an answer': root.returnThis()()
      }))
        await fails(t, 'not-callable', promise, `call of ${what}`)
      for (const [what, promise] of Object.entries({
        number: new root.number(),
        object: new root.thing(),
        method: new root.who(),
        arrow: new root.data.fn(),
        async: new root.data.async(),
        'a netref to an arrow': new first!(),
        'an answer': new (root.getFn())(),
        generator: new root.generator(),
        'asynchronous generator': new root.asyncGenerator(),
        'a netref to a generator': new (await root.generator)()
      }))
        await fails(t, 'not-callable', promise, `construct of ${what}`)
      t.match(
        (await rejectionOf(new root.asyncGenerator(5))).message,
        /^new root\.asyncGenerator\(5\): "asyncGenerator" is not a class$/,
        'the error is not that of the engine, which quotes the source'
      )
      t.equal((await rejectionOf(root.Point(1))).name, 'TypeError', 'a class called without new')
      t.match(await rejectionOf(root.failing()), { name: 'RangeError', message: 'from the handler' })
      t.match(await rejectionOf(new root.Failing()), { name: 'RangeError', message: 'from the constructor' })
      t.match((await rejectionOf(root.thing())).message, /^root\.thing\(\): "thing" is not a function$/)
      t.match(
        (await rejectionOf(new root.thing(1))).message,
        /^new root\.thing\(1\): "thing" is not a class$/
      )
      t.match((await rejectionOf(root.returnThis()())).message, /: it is not a function$/)
    }
  )

  await t.test('the target itself can be called, constructed and listed only', async t => {
    for (const op of [Op.get, Op.set, Op.has, Op.delete]) {
      t.throws(() => operate(op, { a: 1 }, [], undefined, DEFAULT_EXPOSURE), {
        code: 'not-exposed',
        message: 'the operation requires the name of a member'
      })
    }
    t.same(operate(Op.keys, { a: 1 }, [], undefined, DEFAULT_EXPOSURE), { value: ['a'] })
  })
})

t.test(
  'a netref of another session in a local object: the rest of the path is forwarded to its owner',
  async t => {
    class Far extends Service {
      hidden = 1
      exposed_value = 1
      exposed_data = { deep: [{ x: 'x' }] }
      exposed_Thing = class {
        exposed_made = true
      }
      exposed_add(a: number, b: number) {
        return a + b
      }
      exposed_apply(fn: Untyped, ...args: unknown[]) {
        return fn(...args)
      }
      exposed_echo(value: unknown) {
        return value
      }
    }
    const far = new Far()
    await overMemory(
      t,
      far,
      async ({ root: farRoot }) => {
        class Middle extends Service {
          exposed_far: unknown = farRoot
          exposed_path = (farRoot as Untyped).data.deep
          exposed_pending: unknown
          exposed_get() {
            return farRoot
          }
          exposed_add = (farRoot as Untyped).add
          exposed_list = [farRoot]
        }
        await overMemory(
          t,
          Middle,
          async conn => {
            const root = conn.root as Untyped
            t.equal(await root.far.value, 1)
            t.equal(await root.far.add(1, 2), 3)
            t.equal(await root.add(1, 2), 3, 'a member that is a netref')
            t.equal(await root.list[0].add(1, 2), 3)
            t.equal(await root.get().add(1, 2), 3, 'a result that is a netref')
            t.equal(await root.far.data.deep[0].x, 'x')
            t.equal(await root.path[0].x, 'x', 'a path')
            t.equal(await new root.far.Thing().made, true)
            t.equal(await has(root.far, 'value'), true)
            t.equal(await has(root.far, 'hidden'), false)
            t.same((await keys(root.far)).sort(), ['Thing', 'add', 'apply', 'data', 'echo', 'value'])
            t.same(await keys(root.far.data), ['deep'])
            const ref = await root.far
            t.equal(await ref.add(1, 2), 3)
            t.equal(ref, await root.get())
            t.equal(await ref.apply((a: number) => a + 1, 1), 2, 'a callback through a third party')
            const mine = () => {}
            t.equal(await ref.echo(mine), mine)
            await set(root.far, 'value', 2)
            t.equal(far.exposed_value, 2, 'the options of its owner decide')
            for (const name of ['hidden', '__proto__', 'constructor', 'toString']) {
              await refused(t, get(root.far, name), name)
              await refused(t, at(root.far, 'data', name, 'x'), name)
            }
            await refused(t, set(root, 'far', 1), 'the middle’s own members')
            await refused(t, remove(root.far, 'value'), 'delete')
          },
          { allowSetAttrs: true }
        )
        t.equal(await new (farRoot as Untyped).Thing().made, true)
      },
      { serving: { allowSetAttrs: true } }
    )

    await overMemory(t, { wrap: (Type: Untyped) => ({ Type, fn: Type }) }, async ({ root }) => {
      const { wrap } = root as Untyped
      class Mine {
        exposed_x = 1
      }
      t.equal(
        await new (wrap(Mine).Type)().x,
        1,
        'a netref of the same session: the owner receives the original'
      )
      t.equal(await wrap(() => 5).fn(), 5)
    })
  }
)

t.test('services', async t => {
  class Foo {
    exposed_a() {}
  }
  await t.test('values that cannot be a service', async t => {
    const bad: [service: unknown, message: RegExp][] = [
      [Foo, /^\w+: Foo does not extend Service: extend it, or serve `\(\) => new Foo\(\)`$/],
      [class {}, /^\w+: the class does not extend Service: .*new It\(\)/],
      [Service, /^\w+: Service does not extend Service/],
      [null, /^\w+: a service must be a class, an object or a function, not null$/],
      [undefined, /not undefined$/],
      [5, /not 5$/],
      ['text', /not "text"$/],
      [Symbol('s'), /not Symbol\(s\)$/],
      [Promise.resolve({}), /not Promise/]
    ]
    for (const [service, message] of bad) {
      t.throws(() => pair(service as object), { name: 'TypeError', message })
      if (service !== undefined)
        t.throws(() => pair(Nothing, { service: service as object }), {
          name: 'TypeError',
          message
        })
      await t.rejects(serve(service as object, { port: 0 }), { name: 'TypeError', message })
    }
  })

  await t.test('a class: one instance per session', async t => {
    class Counter extends Service {
      #n = 0
      exposed_next() {
        return ++this.#n
      }
    }
    await overMemory(t, Counter, async one => {
      await overMemory(t, Counter, async two => {
        t.same([await one.root.next(), await one.root.next(), await two.root.next()], [1, 2, 1])
      })
    })
  })

  await t.test('an object: shared', async t => {
    let n = 0
    const shared = { next: () => ++n }
    await overMemory(t, shared, async one => {
      await overMemory(t, shared, async two => {
        t.same([await one.root.next(), await two.root.next(), await one.root.next()], [1, 2, 3])
      })
    })
  })

  await t.test('a function of the session', async t => {
    const sessions: Session[] = []
    const service = (session: Session) => ({
      mine: () => callSession() === session && sessions.push(session)
    })
    await overMemory(t, service, async one => {
      t.same([await one.root.mine(), await one.root.mine()], [1, 2])
      t.same(new Set(sessions), new Set([one.served]))
    })
    function old() {
      return { fn: () => 'fn' }
    }
    await overMemory(t, old, async ({ root }) => {
      t.equal(await root.fn(), 'fn')
    })
  })

  await t.test('a function that does not return an object, or throws', async t => {
    const bad: [service: unknown, message: RegExp][] = [
      [() => 5, /^\w+: a service function must return an object synchronously, not 5$/],
      [() => null, /not null$/],
      [() => undefined, /not undefined$/],
      [async () => ({}), /synchronously, not Promise/],
      [async () => Promise.reject(new Error('unhandled')), /synchronously, not Promise/]
    ]
    for (const [service, message] of bad) {
      t.throws(() => rootFactoryOf(service as object, 'serve')({} as Session), { name: 'TypeError', message })
      const events: unknown[] = []
      const joined = pair(service as object, { serving: { onError: error => events.push(error) } })
      await fails(t, 'service-failed', (joined.root as Untyped).x, 'every call')
      t.equal((await joined.closed).code, 'service-failed')
      t.match(events, [{ name: 'TypeError', message }])
    }
  })
})

t.test('callSession()', async t => {
  const outside = {
    message: /^callSession\(\): no call of a peer is running here; call it before the first `await`/
  }
  t.throws(callSession, outside)

  await t.test('returns the caller’s session in calls, getters and constructors of a service', async t => {
    class Shared extends Service {
      exposed_who() {
        return this.#ask()
      }
      get exposed_got() {
        return this.#ask()
      }
      exposed_Made = class {
        constructor() {
          asked.push(callSession())
        }
      }
      async exposed_later() {
        asked.push(callSession())
        await null
        return asked.push(callSession())
      }
      #ask() {
        return asked.push(callSession())
      }
    }
    const asked: Session[] = []
    const shared = new Shared()
    await overMemory(t, shared, async one => {
      await overMemory(t, shared, async two => {
        await Promise.all([one.root.who(), two.root.who(), one.root.got, new (two.root as Untyped).Made()])
        t.same(asked.map(session => [one.served, two.served].indexOf(implOf(session))).sort(), [0, 0, 1, 1])
        await one.root.later()
        t.same(asked.slice(-2), [one.served, one.served], 'after an await, too')
      })
    })
    t.throws(callSession, outside)
  })

  await t.test('nested calls, over the connection', async t => {
    const asked: Session[] = []
    class Server extends Service {
      async exposed_outer(back: Untyped) {
        asked.push(callSession())
        return back()
      }
      exposed_inner() {
        asked.push(callSession())
        return 'inner'
      }
    }
    await overMemory(t, Server, async ({ root, session, served }) => {
      const back = () => {
        asked.push(callSession())
        return root.inner()
      }
      t.equal(await root.outer(back), 'inner')
      t.same(
        asked.map(session => session === served),
        [true, false, true]
      )
      t.equal(asked[1], session)
    })
  })

  await t.test('nested calls, on the stack', async t => {
    const [a, b] = [{}, {}] as ReportingSession[]
    const by = (session: ReportingSession) => {
      const carrier = {
        session,
        get weakRef() {
          return new WeakRef(carrier)
        },
        signalOf: (id: number) => AbortSignal.abort(id),
        isSettled: () => true
      }
      return carrier
    }
    runInCall(by(a!), 1, () => {
      t.equal(callSession(), a)
      t.throws(() =>
        runInCall(by(b!), 2, () => {
          t.equal(callSession(), b)
          throw new Error('from the handler')
        })
      )
      t.equal(callSession(), a)
    })
    t.throws(callSession, outside)
  })
})

t.test('answers', async t => {
  await t.test('calls on pending results run in the order they were made', async t => {
    const order: string[] = []
    let gate: Promise<void> | undefined
    let open = () => {}
    const close = () => {
      gate = new Promise(resolve => (open = resolve))
    }
    class Node extends Service {
      constructor(readonly path = '') {
        super()
      }
      async exposed_later(name: string) {
        order.push(this.path + name)
        await gate
        return new Node(this.path + name)
      }
      exposed_now(name: string) {
        order.push(this.path + name)
        return new Node(this.path + name)
      }
      exposed_path() {
        return this.path
      }
      async exposed_fails() {
        throw new RangeError('from the handler')
      }
    }
    await overMemory(t, Node, async ({ root, session }) => {
      t.equal(await root.later('a').now('b').later('c').later('d').now('e').path(), 'abcde')
      order.length = 0
      close()
      const a = root.later('a')
      const b = a.now('b')
      const d = a.now('c')
      const last = [b.now('d'), d.now('e'), a.now('f'), b.later('g').now('h')]
      await session.ping()
      t.same(order, ['a'], 'all others wait')
      open()
      await Promise.all(last)
      t.same(order, ['a', 'ab', 'ac', 'abd', 'ace', 'af', 'abg', 'abgh'])
      const failed = root.fails() as unknown as typeof a
      t.match(await Promise.all([failed.now('x'), failed.later('x').now('y').path()].map(rejectionOf)), [
        { name: 'RangeError', message: 'from the handler' },
        { name: 'RangeError' }
      ])
      close()
      let long = root.later('') as unknown as Untyped
      for (let i = 0; i < 5000; i++) long = long.now('')
      const path = long.path()
      await session.ping()
      open()
      t.equal(await path, '', 'for a chain of any length')
    })
  })

  await t.test('a value that cannot be sent rejects only its own call', async t => {
    class Odd {}
    registerType(Odd, {
      name: 'exposure.Odd',
      encode: () => 1,
      decode: () => {
        throw new RangeError('from decode')
      }
    })
    const throwing = {
      get message() {
        throw new RangeError('from a getter')
      }
    }
    class Root extends Service {
      exposed_self() {
        return this
      }
      exposed_symbol() {
        return { deep: [Symbol('s')] }
      }
      async exposed_later() {
        return { deep: [Symbol('s')] }
      }
      exposed_throws(what: string) {
        const thrown: Record<string, unknown> = {
          symbol: Symbol('s'),
          undefined,
          getter: throwing,
          large: 'x'.repeat(6000),
          text: 'text',
          hostile: Object.assign(new Error('e'), { name: Symbol('s') })
        }
        throw thrown[what]
      }
      exposed_large() {
        return 'x'.repeat(6000)
      }
      exposed_both() {
        return [() => {}, 'x'.repeat(6000)]
      }
      exposed_take(_: unknown) {
        return 'taken'
      }
      exposed_getter() {
        return {
          get a() {
            throw new RangeError('from a getter')
          }
        }
      }
      exposed_thenable() {
        return {
          get then() {
            throw new RangeError('from then')
          }
        }
      }
      exposed_promise() {
        return Object.defineProperty(Promise.resolve(1), 'constructor', {
          get() {
            throw new RangeError('from constructor')
          }
        })
      }
    }
    await overMemory(
      t,
      Root,
      async conn => {
        const root = conn.root as Untyped
        await fails(t, 'unsendable', root.symbol(), 'a result')
        await fails(t, 'unsendable', root.later(), 'a later result')
        await fails(t, 'unsendable', root.throws('symbol'), 'what is thrown')
        await fails(t, 'unsendable', root.throws('getter'), 'what is thrown')
        t.match(await rejectionOf(root.throws('hostile')), { name: 'Symbol(s)', message: 'e' })
        await fails(t, 'limit', root.throws('large'), 'what is thrown')
        await fails(t, 'limit', root.large(), 'a result')
        await fails(t, 'limit', root.both(), 'a result with a reference, which is taken back')
        t.equal(await root.throws('undefined').catch((error: unknown) => error), undefined)
        t.equal(await root.throws('text').catch((error: unknown) => error), 'text')
        await fails(t, 'unreadable', root.take(new Odd()), 'an argument')
        await fails(t, 'unreadable', root.self().take(new Odd()), 'an argument of a call on an answer')
        for (const name of ['getter', 'thenable', 'promise'])
          t.match(await rejectionOf(get(root, name)()), { name: 'RangeError' }, name)
        t.equal(await root.take(1), 'taken', 'the session continues')
      },
      { limits: { jsonBytes: 5000 } }
    )
  })

  await t.test('a result after the end of the session is discarded', async t => {
    let finish = (_: unknown) => {}
    let fail = (_: unknown) => {}
    const joined = pair({
      never: () => new Promise(resolve => (finish = resolve)),
      fails: () => new Promise((_, reject) => (fail = reject))
    })
    const calls = [joined.root.never(), joined.root.fails(), joined.root.never()]
    await joined.ping()
    await joined.close()
    finish(1)
    fail(new Error('unhandled'))
    for (const call of calls) t.equal((await rejectionOf(call)).code, 'closed')
    await assertClean(t, joined.session, joined.served)
  })
})

t.test(
  'keys, describe and obtain visit only members that may be listed, and stop above the limit',
  async t => {
    class Bytes extends Uint8Array {
      sum() {
        return this.reduce((sum, byte) => sum + byte, 0)
      }
    }
    class Text extends String {}
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, i]))
    const service = {
      bytes: () => new Bytes(20_000_000),
      sparse: () => expose(new Array(4e9)),
      text: () => new Text('x'.repeat(20_000_000)),
      some: () => expose(many(10)),
      many: () => expose(many(101)),
      map: () => expose(new Map(Object.entries(many(201))))
    }
    await overMemory(
      t,
      service,
      async ({ root }) => {
        const before = process.cpuUsage()
        const bytes = await root.bytes()
        const told = await keys(bytes)
        t.ok(told.includes('sum') && told.includes('length') && !told.includes('0'))
        t.ok((await Netref.describe(bytes as never)).some(({ name }) => name === 'sum'))
        t.ok((await keys(await root.sparse())).includes('length'))
        t.ok((await keys(await root.text())).includes('length'))
        const { user, system } = process.cpuUsage(before)
        t.ok(user + system < 3_000_000, `${(user + system) / 1000} ms`)
        t.equal((await keys(await root.some())).length, 10)
        for (const asked of [
          keys(await root.many()),
          Netref.describe((await root.many()) as never),
          Netref.obtain((await root.many()) as never),
          Netref.obtain((await root.map()) as never),
          Netref.obtain((await root.sparse()) as never)
        ]) {
          t.match(await rejectionOf(asked as Promise<unknown>), {
            code: 'limit',
            message: /it has more than/
          })
        }
      },
      { serving: { allowPublicAttrs: true, limits: { values: 100 } } }
    )
  }
)
