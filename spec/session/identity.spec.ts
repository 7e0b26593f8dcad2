// Identities are compared as data: what is equal, what is not, and what nobody can say.
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { expose, registerType } from '../../lib/index.js'
import { equalIdentity, identityText } from '../../lib/session/identity.js'

class Point {
  constructor(readonly at: number[]) {}
}
registerType(Point, {
  name: 'identity.Point',
  encode: ({ at }) => at,
  decode: at => new Point(at as number[])
})

const data = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withNullPrototype: true,
  withSparseArray: true
})

/** So few values that two of them are often equal. */
const few = fc.letrec(tie => ({
  value: fc.oneof(
    { maxDepth: 2, depthSize: 'small' },
    fc.constantFrom(0, -0, 1, '1', null, undefined, 'a', 1n),
    fc.array(tie('value'), { maxLength: 2 }),
    fc.dictionary(fc.constantFrom('a', 'b'), tie('value'), { maxKeys: 2, noNullPrototype: true }),
    fc.array(tie('value'), { maxLength: 2 }).map(list => new Set(list))
  )
})).value

t.test('equal data is the same identity, other data another one', t => {
  fc.assert(
    fc.property(data, value => {
      const copy = structuredClone(value)
      return equalIdentity(value, copy)
    })
  )
  fc.assert(
    fc.property(few, few, (one, other) => equalIdentity(one, other) === isDeepStrictEqual(one, other)),
    { numRuns: 1000 }
  )
  for (const [one, other] of [
    [
      { a: 1, b: { c: 2, d: 3 } },
      { b: { d: 3, c: 2 }, a: 1 }
    ],
    [new Set([1, { a: 1, b: 2 }]), new Set([{ b: 2, a: 1 }, 1])],
    [
      new Map([
        ['a', 1],
        ['b', 2]
      ]),
      new Map([
        ['b', 2],
        ['a', 1]
      ])
    ],
    [new URL('http://a/'), new URL('http://a')],
    [/a/g, /a/g],
    [Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
    [new Point([1, 2]), new Point([1, 2])],
    [Number.NaN, Number.NaN]
  ])
    t.equal(equalIdentity(one, other), true)
  for (const [one, other] of [
    [new URL('http://a'), new URL('http://b')],
    [/a/g, /a/i],
    [new Date(0), new Date(0).toISOString()],
    [1n, '1'],
    [1n, 1],
    [new Map([[1, 2]]), [[1, 2]]],
    [new Set([1]), [1]],
    [{ a: undefined }, {}],
    [[1, 2], { 0: 1, 1: 2 }],
    [['a', 'b'], ['a,b']],
    [new Uint8Array([1, 2]), new Uint8Array([12])],
    [new Uint8Array([1]), new Int8Array([1])],
    [new Point([1]), new Point([2])],
    [new Point([1]), [1]],
    [0, -0],
    [undefined, null],
    ['<1 []>', 1n],
    [new Error('a'), new Error('b')]
  ])
    t.equal(equalIdentity(one, other), false, `${identityText(one)} ${identityText(other)}`)
  t.end()
})

t.test('a value that is not data equals only itself', t => {
  const secret = () =>
    new (class {
      readonly #id = Math.random()
      get id() {
        return this.#id
      }
    })()
  const circular: unknown[] = []
  circular.push(circular)
  for (const make of [
    secret,
    () => Promise.resolve(Math.random()),
    () => new WeakMap(),
    () => ({ name: 'ann', can: () => true }),
    () => ({ inner: [new Map([[1, secret()]])] }),
    () => Object.assign([1], { name: 'ann' }),
    () => Object.assign(new Map(), { name: 'ann' }),
    () => Object.assign(new Date(0), { name: 'ann' }),
    () => ({ next: () => ({ done: true }) }),
    () => expose(() => 1),
    () => Symbol('ann'),
    () => structuredClone(circular),
    () => ({
      get name() {
        throw new Error('not now')
      }
    })
  ]) {
    const [one, other] = [make(), make()]
    t.equal(equalIdentity(one, one), true)
    t.throws(
      () => equalIdentity(one, other),
      /sameIdentity: .* is not data, so it cannot be compared: return data/
    )
    t.throws(() => equalIdentity('ann', other), /is not data/)
    t.equal(identityText(one), undefined)
  }
  t.end()
})

class User {
  constructor(
    readonly id: number,
    readonly roles: string[] = ['guest']
  ) {}
}
class Admin extends User {}
class Account {
  readonly owner: User
  constructor(id: number) {
    this.owner = new User(id)
  }
}

t.test('instances are compared by class and own enumerable members, except for idempotency keys', t => {
  for (const make of [
    (id: number) => new User(id),
    (id: number) => new Admin(id),
    (id: number) => new Account(id),
    (id: number) => ({ user: new User(id) }),
    (id: number) => new Map([['user', new User(id)]]),
    (id: number) => expose(new User(id)),
    (id: number) => Object.assign(Object.create(Object.create(null)), { id })
  ]) {
    t.equal(equalIdentity(make(1), make(1)), true)
    t.equal(equalIdentity(make(1), make(2)), false)
    t.equal(identityText(make(1)), undefined)
  }
  t.equal(equalIdentity(new User(1), new Admin(1)), false)
  t.equal(equalIdentity(new User(1), { id: 1, roles: ['guest'] }), false)
  t.equal(equalIdentity(new User(1), new User(1, ['root'])), false)
  class Names extends Map<string, string> {
    readonly kind = 'names'
  }
  t.throws(() => equalIdentity(new Names([['a', 'b']]), new Names()), /is not data/)
  class Bound extends User {
    readonly can = () => this.id
  }
  t.throws(() => equalIdentity(new Bound(1), new Bound(1)), /is not data/)
  t.end()
})
