// Specs of cutting a byte stream into JSON texts.
import t from 'tap'
import { JsonTextCutter } from '../../../lib/gateways/json-rpc/text-cutter.js'

const LIMITS = { jsonBytes: 1000, depth: 5 }
const TEXTS = ['{"a":"}\\"]{\\\\"}', '[1,[2,{"ä€😀":"\\""}]]', '{}', '[[],[]]', '{"b":"\\\\"}']

/** The texts that a cutter makes of chunks. */
function cut(chunks: readonly (string | Uint8Array)[], limits = LIMITS): string[] {
  const cutter = new JsonTextCutter(limits)
  const texts = chunks.flatMap(chunk => [...cutter.cut(Buffer.from(chunk as string))].map(String))
  t.notOk(cutter.isWithinText)
  return texts
}

t.test('texts are cut wherever they are torn', async t => {
  const stream = Buffer.from(TEXTS.join(''))
  t.same(cut([stream]), TEXTS, 'glued')
  t.same(cut([TEXTS.join(' \r\n\t')]), TEXTS, 'with blanks')
  t.same(cut([...stream].map(byte => Uint8Array.of(byte))), TEXTS, 'byte by byte')
  for (let i = 1; i < stream.length; i++)
    t.same(cut([stream.subarray(0, i), stream.subarray(i)]), TEXTS, `torn at ${i}`)
  t.same(cut([' ', '\n']), [])
})

t.test('a text that has begun is known', async t => {
  const cutter = new JsonTextCutter(LIMITS)
  for (const [part, isWithin] of [
    ['[', true],
    ['"', true],
    [']', true],
    ['"', true],
    [']', false]
  ] as const) {
    t.same([...cutter.cut(Buffer.from(part))].length, isWithin ? 0 : 1)
    t.equal(cutter.isWithinText, isWithin, part)
  }
})

t.test('foreign bytes and texts beyond the limits are refused', async t => {
  const refused = (message: RegExp, ...chunks: string[]) => t.throws(() => cut(chunks), message)
  for (const foreign of ['x', '1', '"', '}', ']', '\0', 'POST / HTTP/1.1', '{}x', '{} ,'])
    refused(/neither \{ nor \[/, foreign)
  refused(/nested deeper than 8 levels \(limits\.depth\)/, '[[[[[[[[[')
  t.same(cut(['[[[[[[[[]]]]]]]]']), ['[[[[[[[[]]]]]]]]'])
  refused(/longer than 1000 bytes \(limits\.jsonBytes\)/, `["${'x'.repeat(1000)}`)
  refused(
    /longer than 1000 bytes/,
    ...Array(11)
      .fill(`[${' '.repeat(100)}`)
      .slice(0, 1),
    ' '.repeat(500),
    ' '.repeat(500)
  )
  const longest = `["${'x'.repeat(996)}"]`
  t.same(cut([longest + longest]), [longest, longest], 'the bound is that of each text')
})
