// Specs of each member rule. `access-control.spec.ts` shows that the rules apply to peers.
import t from 'tap'
import { declareRoot } from '../../lib/access/expose.js'
import { MEMBER_RULES } from '../../lib/access/member-rules.js'
import { expose, exposed, restrict, Service } from '../../lib/index.js'

const OPTIONS = { exposedPrefix: 'exposed_', allowPublicAttrs: false }
const DENIED = null
const NEXT = undefined

class Point {
  x = 1
  exposed_norm() {}
  exposed_() {}
  exposed_constructor() {}
  plain() {}
}
class Sized extends Point {
  declare readonly '~exposes'?: { size: true }
  @exposed size() {}
}
class Account extends Service {}
class Override extends Sized {
  override size() {}
}

/** The decision of a rule on a name. */
const decide =
  (rule: keyof typeof MEMBER_RULES, options = OPTIONS) =>
  (object: object, name: string | symbol, isCreation = false) =>
    MEMBER_RULES[rule](object, name, options, isCreation)

t.test('the rules, in order', async t => {
  t.same(Object.keys(MEMBER_RULES), [
    'denyReserved',
    'denyUnlisted',
    'allowPrefixed',
    'allowExposedByClass',
    'followReadList',
    'denySymbols',
    'allowFunctionsOfPlainRoot',
    'followOwnProperties',
    'followItems',
    'denyPrivate',
    'denyUnexposed',
    'denyInheritedFromObject',
    'allowExisting'
  ])
})

t.test('denyReserved', async t => {
  const rule = decide('denyReserved')
  for (const name of ['__proto__', 'constructor', 'prototype']) t.equal(rule({}, name), DENIED, name)
  for (const name of ['onConnect', 'onClosing', 'onDisconnect']) {
    t.equal(rule(new Account(), name), DENIED, `${name} of a service`)
    t.equal(rule({ [name]() {} }, name), NEXT, `${name} of another object`)
  }
  t.equal(rule({}, 'x'), NEXT)
})

t.test('denyUnlisted', async t => {
  const rule = decide('denyUnlisted')
  const point = new Point()
  t.equal(rule(point, 'norm'), NEXT)
  t.equal(rule(expose(new Point(), { read: ['x'] }), 'norm'), NEXT)
  t.equal(rule(restrict(point, {}), 'norm'), NEXT)
  const listed = restrict(point, { read: ['x'] })
  t.equal(rule(listed, 'x'), NEXT)
  t.equal(rule(listed, 'norm'), DENIED)
})

t.test('allowPrefixed', async t => {
  const rule = decide('allowPrefixed')
  t.equal(rule(new Point(), 'norm'), 'exposed_norm')
  t.equal(rule(new Point(), 'plain'), NEXT)
  t.equal(rule(new Point(), Symbol.iterator), NEXT)
  t.equal(decide('allowPrefixed', { ...OPTIONS, exposedPrefix: 'on' })(new Account(), 'Connect'), NEXT)
  t.equal(decide('allowPrefixed', { ...OPTIONS, exposedPrefix: 'to' })(new Point(), 'String'), NEXT)
})

t.test('allowExposedByClass', async t => {
  const rule = decide('allowExposedByClass')
  t.equal(rule(new Sized(), 'size'), 'size')
  t.equal(rule(new Override(), 'size'), 'size', 'an override')
  t.equal(rule({ size() {} }, 'size'), NEXT, 'the same name elsewhere')
  t.equal(rule(new Point(), 'plain'), NEXT)
})

t.test('followReadList', async t => {
  const rule = decide('followReadList')
  const listed = expose(new Point(), { read: ['x', 'later'] })
  t.equal(rule(listed, 'x'), 'x')
  t.equal(rule(listed, 'plain'), DENIED)
  t.equal(rule(listed, 'later'), DENIED, 'a listed member that does not exist')
  t.equal(rule(listed, 'later', true), 'later', 'the same, if it is set')
  t.equal(rule(expose(new Point()), 'x'), NEXT, 'exposed without a list')
  t.equal(rule(new Point(), 'x'), NEXT)
})

t.test('denySymbols', async t => {
  t.equal(decide('denySymbols')({}, Symbol.iterator), DENIED)
  t.equal(decide('denySymbols')({}, 'x'), NEXT)
})

t.test('allowFunctionsOfPlainRoot', async t => {
  const rule = decide('allowFunctionsOfPlainRoot')
  const root = declareRoot({ add() {}, _hidden() {}, limit: 1 })
  t.equal(rule(root, 'add'), 'add')
  for (const name of ['_hidden', 'limit', 'toString', 'absent']) t.equal(rule(root, name), NEXT, name)
  t.equal(rule({ add() {} }, 'add'), NEXT, 'no root')
  t.equal(rule(declareRoot([() => {}]), '0'), NEXT, 'no plain object')
})

t.test('followOwnProperties', async t => {
  const rule = decide('followOwnProperties')
  const data = Object.defineProperty({ a: 1, _b: 2 }, 'hidden', { value: 3 })
  for (const name of ['a', '_b']) t.equal(rule(data, name), name)
  for (const name of ['hidden', 'toString', 'absent']) t.equal(rule(data, name), DENIED, name)
  for (const other of [new Point(), [1], () => {}, declareRoot({ a: 1 }), expose({ a: 1 })])
    t.equal(rule(other, 'a'), NEXT)
})

t.test('followItems', async t => {
  const rule = decide('followItems')
  for (const name of ['0', 'length']) t.equal(rule([1], name), name)
  for (const name of ['1', '-1', 'at', 'absent']) t.equal(rule([1], name), DENIED, name)
  for (const other of [{ length: 1 }, declareRoot([1]), expose([1])]) t.equal(rule(other, 'length'), NEXT)
})

t.test('denyPrivate', async t => {
  t.equal(decide('denyPrivate')({}, '_a'), DENIED)
  t.equal(decide('denyPrivate')({}, 'a_'), NEXT)
})

t.test('denyUnexposed', async t => {
  const rule = decide('denyUnexposed')
  t.equal(rule(new Point(), 'x'), DENIED)
  t.equal(rule(declareRoot({}), 'x'), DENIED, 'a root')
  t.equal(rule(expose(new Point()), 'x'), NEXT)
  t.equal(decide('denyUnexposed', { ...OPTIONS, allowPublicAttrs: true })(new Point(), 'x'), NEXT)
})

t.test('denyInheritedFromObject', async t => {
  const rule = decide('denyInheritedFromObject')
  for (const name of ['toString', 'hasOwnProperty']) t.equal(rule(new Point(), name), DENIED, name)
  for (const name of ['call', 'bind', 'name']) t.equal(rule(Point, name), DENIED, `${name} of a function`)
  t.equal(rule(class extends Object {}, 'assign'), DENIED, 'a static member of Object')
  t.equal(rule({ toString: () => 'own' }, 'toString'), NEXT, 'an own member')
  t.equal(rule(new Point(), 'x'), NEXT)
})

t.test('allowExisting', async t => {
  const rule = decide('allowExisting')
  t.equal(rule(new Point(), 'x'), 'x')
  t.equal(rule(new Point(), 'plain'), 'plain')
  t.equal(rule(new Point(), 'absent'), undefined)
  t.equal(rule(new Point(), 'absent', true), 'absent', 'it is set')
})
