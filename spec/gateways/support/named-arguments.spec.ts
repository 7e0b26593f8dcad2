// Specs of named arguments.
import t from 'tap'
import { namedArguments, orderArguments } from '../../../lib/gateways/support/named-arguments.js'
import { Service } from '../../../lib/index.js'
import { overMemory, rejectionOf } from '../../support/helpers.js'

const refused = { name: 'RefusedCallError' }

t.test('named arguments take the places of the parameters', async t => {
  t.same(orderArguments('add', ['a', 'b', 'c?'], { b: 2, a: 1 }), [1, 2])
  t.same(orderArguments('add', ['a', 'b?', 'c?'], { a: 1, c: 3 }), [1, undefined, 3])
  t.same(orderArguments('add', ['a?'], {}), [])
  t.same(orderArguments('add', [], {}), [])
  t.same(orderArguments('add', undefined, {}), [])
  t.same(orderArguments('add', ['a', '...rest'], { a: 1 }), [1])
  t.same(orderArguments('add', ['arg0'], { arg0: 1 }), [1])
})

t.test('names that the method does not have are refused', async t => {
  t.throws(() => orderArguments('add', ['a'], { a: 1, b: 2 }), {
    ...refused,
    message: 'add: no parameter has the name "b"; its parameters are (a)'
  })
  t.throws(() => orderArguments('add', ['a', 'b'], { a: 1 }), { ...refused, message: /"b" is missing/ })
  t.throws(() => orderArguments('add', ['...all'], { all: [1] }), refused)
  t.throws(() => orderArguments('add', ['...all'], { '...all': [1] }), refused)
  t.throws(() => orderArguments('add', ['arg0'], { X: 1 }), refused)
  t.throws(() => orderArguments('add', undefined, { a: 1 }), { ...refused, message: /by position/ })
  t.throws(() => orderArguments('add', ['toString'], {}), { ...refused, message: /"toString" is missing/ })
  t.throws(() => orderArguments('add', [], JSON.parse('{"__proto__": 1}')), refused)
})

t.test('arguments by position come before the named ones', async t => {
  t.same(orderArguments('add', ['a', 'b', 'c?'], { b: 2 }, 1), [2])
  t.same(orderArguments('add', ['a', 'b?', 'c?'], { c: 3 }, 1), [undefined, 3])
  t.same(orderArguments('add', ['a', 'b'], {}, 3), [])
  t.throws(() => orderArguments('add', ['a', 'b'], { a: 1 }, 1), {
    ...refused,
    message: 'add: the parameter "a" is passed by position and by name; pass it once'
  })
  t.throws(() => orderArguments('add', ['a', 'b', 'c'], { c: 1 }, 1), {
    ...refused,
    message: 'add: the parameter "b" is missing; its parameters are (a, b, c)'
  })
})

class Shop extends Service {
  exposed_add = (a: number, b = 1) => a + b
  exposed_tools = { cut: (length: number) => length }
}

t.test('the names are those that the service tells', async t => {
  await overMemory(t, Shop, async ({ root }) => {
    t.same(await namedArguments(root, 'add', { a: 5 }), [5])
    t.same(await namedArguments(root, 'tools.cut', { length: 5 }), [5])
    t.same(await namedArguments(root, 'missing', {}), [], 'the call decides')
    t.match(await rejectionOf(namedArguments(root, 'add', { c: 5 })), { kind: 'bad-params' })
    for (const name of ['missing', 'tools.missing'])
      t.match(await rejectionOf(namedArguments(root, name, { a: 5 })), { kind: 'no-method' }, name)
    t.match(await rejectionOf(namedArguments(root, 'missing.cut', { a: 5 })), { code: 'not-exposed' })
  })
  await overMemory(
    t,
    Shop,
    async ({ root }) => {
      t.match(await rejectionOf(namedArguments(root, 'add', { a: 5 })), { kind: 'bad-params' })
      t.match(await rejectionOf(namedArguments(root, 'missing', { a: 5 })), { kind: 'no-method' })
    },
    { serving: { describe: false } }
  )
})
