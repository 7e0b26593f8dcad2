// Specs of the classification of failed calls.
import t from 'tap'
import { callFailureOf, RefusedCallError } from '../../../lib/gateways/support/call-failure.js'
import { methodAt } from '../../../lib/gateways/support/methods.js'
import {
  ArgumentsError,
  ExposureError,
  exposed,
  pair,
  Service,
  type StandardSchema
} from '../../../lib/index.js'
import { assertClean } from '../../support/helpers.js'

const TWO_NUMBERS: StandardSchema<[number, number]> = {
  '~standard': {
    version: 1,
    vendor: 'spec',
    validate: (value: unknown) =>
      Array.isArray(value) && value.every(Number.isFinite)
        ? { value: value as [number, number] }
        : { issues: [{ message: 'numbers' }] }
  }
}

class Shop extends Service {
  @exposed({ schema: TWO_NUMBERS })
  add(a: number, b: number) {
    return a + b
  }
  @exposed
  accessor namespace = {}
  @exposed
  numbered() {
    throw Object.assign(new RangeError('out of stock'), { code: 17, left: 3 })
  }
  @exposed
  named() {
    throw Object.assign(new Error('gone'), { name: 'Gone', code: 'E_GONE' })
  }
  @exposed
  text() {
    throw 'only text'
  }
  @exposed
  plain() {
    throw new Error('plain')
  }
}

t.test('the error of a call is one of four kinds', async t => {
  await using joined = pair(Shop)
  const failureOf = async (name: string, ...args: unknown[]) => {
    try {
      await methodAt(joined.root, name, 200)(...args)
    } catch (error) {
      return callFailureOf(error)
    }
    throw new Error('it did not fail')
  }
  t.match(await failureOf('missing'), { kind: 'no-method', name: 'ExposureError', message: /"missing"/ })
  t.match(await failureOf('__proto__.x'), { kind: 'no-method' })
  t.match(await failureOf('constructor'), { kind: 'no-method' })
  t.match(await failureOf('namespace'), { kind: 'no-method', message: /not a function/ })
  t.match(await failureOf('add', 1, 'x'), { kind: 'bad-params', name: 'ArgumentsError' })
  const numbered = await failureOf('numbered')
  t.match(numbered, { kind: 'error', code: 17, name: 'RangeError', message: 'out of stock', stack: String })
  t.same(numbered.data, { left: 3 })
  t.match(await failureOf('named'), { kind: 'error', name: 'Gone', data: { code: 'E_GONE' } })
  t.same(await failureOf('text'), { kind: 'error', name: 'Error', message: 'only text' })
  t.notOk('data' in (await failureOf('plain')))
  await assertClean(t, joined.session, joined.served)
  await joined.close()
  t.match(await failureOf('add', 1, 2), { kind: 'busy', name: 'SessionEndedError' })
})

t.test('a call beyond a limit finds the service busy', async t => {
  await using joined = pair(Shop, { serving: { limits: { callsPerSecond: 1 } } })
  const call = methodAt(joined.root, 'plain', 200)
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => call()))
  t.match(callFailureOf((outcomes.at(-1) as PromiseRejectedResult).reason), {
    kind: 'busy',
    name: 'LimitError'
  })
})

t.test('a gateway refuses calls by itself', async t => {
  t.match(callFailureOf(new RefusedCallError('bad-params', 'no')), { kind: 'bad-params', message: 'no' })
  const issues = [{ message: 'a number', path: [0] }]
  t.same(callFailureOf(new ArgumentsError('no', issues)), {
    ...{ kind: 'bad-params', name: 'ArgumentsError', message: 'no', data: { issues } }
  })
  t.notOk('stack' in callFailureOf(new ExposureError('not-exposed', 'no')))
  const bare = new Error('bare')
  delete bare.stack
  t.same(callFailureOf(bare), { kind: 'error', name: 'Error', message: 'bare' })
})

t.test('names that no method has are refused before anything is sent', async t => {
  await using joined = pair(Shop)
  for (const name of ['', '.', 'a.', '.a', 'a..b', 'a.b.c.d'])
    t.throws(() => methodAt(joined.root, name, 3), { name: 'RefusedCallError' }, name)
  t.equal(joined.session.stats.callsOut, 0)
})
