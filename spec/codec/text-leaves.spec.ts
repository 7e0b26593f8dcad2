// Tests that pages, which have no superjson, read and write the same texts of RegExps and URLs as Node does.
import fc from 'fast-check'
import t from 'tap'
import { encodeLeaf } from '../../lib/codec/leaves.js'
import * as page from '../../lib/codec/text-leaves.browser.js'
import * as node from '../../lib/codec/text-leaves.js'

/** What a decoder makes of a text: the class and the text of the value, or the class of the error. */
function outcomeOf(decode: (text: string) => unknown, text: string): string {
  try {
    const value = decode(text) as object
    return `${value.constructor.name} ${value}`
  } catch (error) {
    return (error as Error).constructor.name
  }
}

t.test('both decode the texts that both encode', async t => {
  for (const regExp of [/a\/b/giu, /\n/, /(?:)/, /[/]\//su, /\//])
    for (const { readRegExp } of [node, page]) {
      const read = readRegExp(encodeLeaf('regexp', regExp)!)
      t.same(read, regExp)
      t.equal((read as RegExp).flags, regExp.flags)
    }
  for (const url of [
    'https://user:secret@example.org:81/a?b=c#d',
    'about:blank',
    'http://xn--bcher-kva.example'
  ])
    for (const { readUrl } of [node, page]) t.same(readUrl(encodeLeaf('URL', new URL(url))!), new URL(url))
})

t.test('both refuse the same texts', async () => {
  const text = fc.oneof(
    fc.string(),
    fc.tuple(fc.string(), fc.constantFrom('', 'g', 'gg', 'giu')).map(([body, flags]) => `/${body}/${flags}`),
    fc.webUrl(),
    fc.constantFrom('', '/', '//', 'a', '/(/', 'http://', 'http:///a/../b')
  )
  fc.assert(
    fc.property(text, text => {
      t.equal(outcomeOf(page.readRegExp, text), outcomeOf(node.readRegExp, text))
      t.equal(outcomeOf(page.readUrl, text), outcomeOf(node.readUrl, text))
    })
  )
})
