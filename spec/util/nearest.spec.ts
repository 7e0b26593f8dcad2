import t from 'tap'
import { didYouMean, isSimilar, nearestNames } from '../../lib/util/nearest.js'

t.test('similar names differ by one letter, or two if they are long; case does not count', async t => {
  const pairs: [name: string, known: string, similar: boolean][] = [
    ['lien_counter', 'line_counter', true],
    ['Token', 'token', true],
    ['drian', 'drain', true],
    ['iff', 'if', true],
    ['cert', 'path', false],
    ['colour', 'close', false]
  ]
  for (const [name, known, similar] of pairs) t.equal(isSimilar(name, known), similar, `${name} ${known}`)
})

t.test('the nearest names come first, and at most three', async t => {
  t.same(nearestNames('lien_counter', ['line_counter', 'text_file']), ['line_counter'])
  t.same(nearestNames('ADD', ['and', 'add', 'odd', 'ada']), ['add', 'and', 'odd'])
  t.same(nearestNames('li', ['lines', 'list', 'x']), ['list', 'lines'], 'names with the same beginning')
  t.same(nearestNames('x', ['lines']), [])
})

t.test('an error text suggests the nearest name, if there is one', async t => {
  t.equal(didYouMean('tokn', ['renew', 'token']), ': did you mean `token`?')
  t.equal(didYouMean('sesion', ['session'], '"'), ': did you mean "session"?')
  t.equal(didYouMean('colour', ['token']), '')
})
