// Specs of reading requests.
import t from 'tap'
import { parseText, readRequest } from '../../../lib/gateways/json-rpc/requests.js'

const read = (text: string) => readRequest(JSON.parse(text))

t.test('each message tells its version', async t => {
  t.same(read('{"method":"m","params":[1],"id":0}'), {
    ...{ version: '1.0', id: '0', method: 'm', params: [1], isNotification: false }
  })
  for (const text of [
    '{"method":"m","params":[],"id":null}',
    '{"method":"m"}',
    '{"method":"m","params":null}'
  ])
    t.match(read(text), { version: '1.0', params: [], isNotification: true })
  t.match(read('{"jsonrpc":"1.0","method":"m","id":"a"}'), { version: '1.0', id: '"a"' })
  t.match(read('{"method":"m","id":[{"x":1}]}'), { id: '[{"x":1}]' }, 'an id of version 1.0 is any value')
  t.match(read('{"version":"1.1","method":"m","params":{"a":1}}'), {
    ...{ version: '1.1', id: undefined, params: { a: 1 }, isNotification: false }
  })
  t.match(read('{"jsonrpc":"2.0","method":"m"}'), { version: '2.0', id: undefined, isNotification: true })
  t.match(read('{"jsonrpc":"2.0","method":"m","id":null}'), { id: 'null', isNotification: false })
  t.match(read('{"jsonrpc":"2.0","method":"m","id":1.5}'), { id: '1.5' })
})

t.test('what is no request is invalid', async t => {
  const invalid = (text: string, head: object) => t.match(read(text), { ...head, fault: String }, text)
  for (const text of ['1', '"x"', 'null', 'true', '[]', '{}', '{"foo":"boo"}', '{"method":1,"id":null}'])
    invalid(text, { version: '2.0', id: 'null' })
  invalid('{"jsonrpc":"3.0","method":"m","id":7}', { version: '2.0', id: '7' })
  invalid('{"jsonrpc":2.0,"method":"m","id":"a"}', { version: '2.0', id: '"a"' })
  for (const params of ['"bar"', '1', 'true', 'null'])
    invalid(`{"jsonrpc":"2.0","method":"m","params":${params},"id":1}`, { version: '2.0', id: '1' })
  invalid('{"method":"m","params":"bar","id":1}', { version: '1.0', id: '1' })
  for (const id of ['[]', '{}', 'true', '9007199254740993', '1e999'])
    invalid(`{"jsonrpc":"2.0","method":"m","id":${id}}`, { version: '2.0', id: 'null' })
  invalid('{"method":"m","id":1e400}', { version: '1.0', id: 'null' })
})

t.test('names that mean something to the language are names', async t => {
  const request = read('{"jsonrpc":"2.0","method":"m","params":{"__proto__":[1]},"__proto__":{"id":5}}')
  t.match(request, { id: undefined, isNotification: true })
  t.same(Object.keys((request as { params: object }).params), ['__proto__'])
  t.notOk('method' in (Object.prototype as object))
})

t.test('a text is parsed within the limits', async t => {
  const parse = (text: string | number[]) => parseText(Buffer.from(text as string), { depth: 5 })
  t.same(parse('{"a":[1]}'), { a: [1] })
  t.same(parse('\ufeff[]'), [], 'a byte order mark is ignored')
  t.same(parse('{"a":1,"a":2}'), { a: 2 }, 'of equal names the last counts')
  t.throws(() => parse([0x22, 0xff, 0x22]), /not UTF-8/)
  t.throws(() => parse('[[[[[[[[[]]]]]]]]]'), /nested deeper than 8 levels/)
  t.throws(() => parse(''), { name: 'SyntaxError' })
})
