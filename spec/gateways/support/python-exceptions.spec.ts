// Specs of the exceptions of Python that errors become.
import t from 'tap'
import { RefusedCallError } from '../../../lib/gateways/support/call-failure.js'
import { builtInExceptionOf, isExceptionAttribute } from '../../../lib/gateways/support/python-exceptions.js'
import { NoFormError } from '../../../lib/gateways/support/value-path.js'
import { ArgumentsError, ExposureError, ReleasedError, SessionEndedError } from '../../../lib/index.js'

t.test('each error becomes the exception that says the same', async t => {
  const cases: readonly [error: Error, exception: string | undefined][] = [
    [new Error('x'), 'Exception'],
    [new RangeError('x'), 'ValueError'],
    [new TypeError('x'), 'TypeError'],
    [Object.assign(new Error('x'), { name: 'KeyError' }), 'KeyError'],
    [Object.assign(new Error('x'), { name: 'AbortError' }), 'TimeoutError'],
    [Object.assign(new Error('x'), { name: 'OutOfStock' }), undefined],
    [Object.assign(new Error('x'), { name: 'constructor' }), undefined],
    [new ExposureError('not-exposed', 'x'), 'AttributeError'],
    [new ExposureError('not-callable', 'x'), 'TypeError'],
    [new ArgumentsError('x', []), 'TypeError'],
    [new RefusedCallError('no-method', 'x'), 'AttributeError'],
    [new RefusedCallError('bad-params', 'x'), 'TypeError'],
    [new ReleasedError('released', 'x'), 'ReferenceError'],
    [new SessionEndedError({ code: 'closed', message: 'x' }), 'ConnectionError'],
    [new NoFormError(['result'], 'a reference', 'Pyro'), 'TypeError']
  ]
  for (const [error, exception] of cases) t.equal(builtInExceptionOf(error, error.name), exception)
})

t.test('attributes of exceptions have names of Python, and replace nothing', async t => {
  for (const name of ['code', 'left_over', 'x1']) t.ok(isExceptionAttribute(name), name)
  for (const name of [
    'args',
    'with_traceback',
    'add_note',
    'characters_written',
    '__class__',
    '_private',
    'no-name',
    '1x',
    ''
  ])
    t.notOk(isExceptionAttribute(name), name)
})
