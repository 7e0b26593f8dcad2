// Specs of the names of places in values.
import t from 'tap'
import { formatValuePath, NoFormError, nounOf } from '../../../lib/gateways/support/value-path.js'

t.test('a path is written as in a program', async t => {
  t.equal(formatValuePath(['result']), 'result')
  t.equal(formatValuePath(['result', 'rows', 3, 'owner']), 'result.rows[3].owner')
  t.equal(formatValuePath(['args', 0, 'a b', '']), 'args[0]["a b"][""]')
  t.equal(formatValuePath(['result', ...Array(100).fill(1)]), `result${'[1]'.repeat(8)}…${'[1]'.repeat(8)}`)
})

t.test('the error names the place, the value and the system', async t => {
  t.match(new NoFormError(['result', 'x'], 'a reference', 'XML-RPC'), {
    name: 'NoFormError',
    message: 'result.x is a reference, and XML-RPC has none; pass plain data'
  })
  t.equal(nounOf(/a/), 'a RegExp')
  t.equal(nounOf(new Map()), 'a Map')
  t.equal(nounOf(new (class Money {})()), 'a reference')
})
