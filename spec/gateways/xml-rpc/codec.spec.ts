// Specs of the documents of XML-RPC: what is read, what is written, and that values come back as they were.
import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import sax from 'sax'
import t from 'tap'
import { LimitError } from '../../../lib/errors.js'
import { escapeXml, withoutInvalidCharacters } from '../../../lib/gateways/xml-rpc/characters.js'
import { writeCall, writeFault, writeResult } from '../../../lib/gateways/xml-rpc/documents.js'
import { decodeDocument } from '../../../lib/gateways/xml-rpc/encoding.js'
import { MalformedXmlError } from '../../../lib/gateways/xml-rpc/malformed.js'
import { readDocument } from '../../../lib/gateways/xml-rpc/reader.js'
import { writeValue } from '../../../lib/gateways/xml-rpc/writer.js'
import { Netref, pair } from '../../../lib/index.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'
import { assertClean } from '../../support/helpers.js'

const LIMITS = { ...DEFAULT_LIMITS, depth: 20, bigintDigits: 100 }
const read = (xml: string) => readDocument(sax, xml, LIMITS)
const written = (value: unknown) => writeValue(value, ['result'], LIMITS)

/** Reads the value of a result. */
async function valueIn(xml: string): Promise<unknown> {
  const document = await read(`<methodResponse><params><param>${xml}</param></params></methodResponse>`)
  return document.kind === 'result' ? document.value : document
}

t.test('a call is read', async t => {
  const xml = `<?xml version='1.0'?>
    <!-- a comment --><methodCall a="1">
      <methodName> ServiceA.Add </methodName>
      <params>
        <param> <value><int>2</int></value> </param>
        <param><value>text &amp; <![CDATA[<more>]]></value></param>
      </params>
    </methodCall>
    <?pi?>`
  t.same(await read(xml), { kind: 'call', method: 'ServiceA.Add', params: [2, 'text & <more>'] })
  const bare = '<methodCall><methodName>f</methodName></methodCall>'
  t.same(await read(bare), { kind: 'call', method: 'f', params: [] })
  t.same(await read(writeCall('a&b', [written(1)])), { kind: 'call', method: 'a&b', params: [1] })
})

t.test('a fault is read', async t => {
  const fault = { faultCode: -3, faultString: 'it <failed>' }
  t.same(await read(writeFault(fault)), { kind: 'fault', value: fault })
  const odd = writeFault({ faultCode: 1, faultString: 'a\0b\ud800c😀' })
  t.match(await read(odd), { value: { faultString: 'a\ufffdb\ufffdc😀' } }, 'a fault never fails')
})

t.test('every kind of value is read', async t => {
  const bytes = new Uint8Array([0, 255, 7])
  const cases: [xml: string, value: unknown][] = [
    ['<int>-7</int>', -7],
    ['<int> +007 </int>', 7],
    ['<int>-0</int>', 0],
    ['<i1>1</i1>', 1],
    ['<i2>2</i2>', 2],
    ['<i4>4</i4>', 4],
    ['<i8>9007199254740991</i8>', 9007199254740991],
    ['<i8>9007199254740993</i8>', 9007199254740993n],
    ['<i8>-9007199254740993</i8>', -9007199254740993n],
    ['<biginteger>123456789012345678901234567890</biginteger>', 123456789012345678901234567890n],
    ['<ex:biginteger>1</ex:biginteger>', 1],
    ['<ex:i1>1</ex:i1>', 1],
    ['<ex:i8>8</ex:i8>', 8],
    ['<double>-1.5e3</double>', -1500],
    ['<double> .5 </double>', 0.5],
    ['<double>5.</double>', 5],
    ['<double>-0.0</double>', -0],
    ['<ex:float>2.5</ex:float>', 2.5],
    ['<boolean>1</boolean>', true],
    ['<boolean> 0 </boolean>', false],
    ['<string> a\n </string>', ' a\n '],
    ['<string/>', ''],
    ['', ''],
    [' \n ', ' \n '],
    ['bare &lt;text&gt; &#233;&#x1F600;&quot;&apos;', 'bare <text> é😀"\''],
    [' <int>1</int>\n', 1],
    ['<base64>AP\n8H\n</base64>', bytes],
    ['<base64/>', new Uint8Array()],
    ['<nil/>', null],
    ['<ex:nil/>', null],
    ['<nil> </nil>', null],
    ['<dateTime.iso8601>20260115T21:30:00</dateTime.iso8601>', new Date('2026-01-15T21:30:00Z')],
    ['<dateTime.iso8601>2026-01-15T213000Z</dateTime.iso8601>', new Date('2026-01-15T21:30:00Z')],
    [
      '<dateTime.iso8601>20260115T21:30:00.1239+0130</dateTime.iso8601>',
      new Date('2026-01-15T20:00:00.123Z')
    ],
    ['<dateTime.iso8601>20240229T00:00:00-01:00</dateTime.iso8601>', new Date('2024-02-29T01:00:00Z')],
    ['<dateTime.iso8601>00010101T00:00:00</dateTime.iso8601>', new Date('0001-01-01T00:00:00Z')],
    ['<array><data/></array>', []],
    ['<array> <data> <value>a</value> <value><nil/></value> </data> </array>', ['a', null]],
    ['<struct/>', {}],
    ['<struct> <member> <name> a </name> <value><i4>1</i4></value> </member> </struct>', { ' a ': 1 }],
    [
      '<struct><member><name>a</name><value>1</value></member><member><name>a</name><value>2</value></member></struct>',
      { a: '2' }
    ]
  ]
  for (const [xml, value] of cases) t.strictSame(await valueIn(`<value>${xml}</value>`), value, xml)
  t.ok(Object.is(await valueIn('<value><double>-0.0</double></value>'), -0))
  t.ok(Object.is(await valueIn('<value><int>-0</int></value>'), 0))
  t.equal((await valueIn('<value><base64/></value>'))?.constructor, Uint8Array, 'it is no Buffer')
  t.equal(await valueIn('<value>a\r\nb\rc&#13;d\n</value>'), 'a\nb\nc\rd\n', 'line ends are those of XML')
})

t.test('a member __proto__ is data', async t => {
  const xml = `<value><struct><member><name>__proto__</name><value><struct>
    <member><name>polluted</name><value>1</value></member></struct></value></member></struct></value>`
  const value = (await valueIn(xml)) as Record<string, unknown>
  t.same(Object.keys(value), ['__proto__'])
  t.equal(Object.getPrototypeOf(value), Object.prototype)
  t.notOk('polluted' in value || 'polluted' in {})
  t.equal(written(value), xml.replace(/\s*\n\s*/g, '').replace('>1<', '><string>1</string><'))
})

const inCall = (xml: string) => `<methodCall><methodName>f</methodName>${xml}</methodCall>`
const inValue = (xml: string) => inCall(`<params><param><value>${xml}</value></param></params>`)
const nested = (depth: number) =>
  inValue('<array><data><value>'.repeat(depth - 1) + '</value></data></array>'.repeat(depth - 1))

t.test('what is no document of XML-RPC is refused, and the error says what is wrong', async t => {
  const cases: [xml: string, message: RegExp][] = [
    ['', /no element/],
    ['  ', /no element/],
    ['text', /Non-whitespace before first tag/],
    ['<?xml version="1.0"?>', /no element/],
    ['<methodCall>', /Unclosed root tag/],
    ['<methodCall></methodNam>', /Unexpected close tag/],
    ['<methodCall/>', /an element is missing in methodCall/],
    ['<methodResponse/>', /an element is missing in methodResponse/],
    ['<methodResponse><params/></methodResponse>', /0 results/],
    ['<value>1</value>', /the element "value" in the document/],
    [`${inCall('')}${inCall('')}`, /the element "methodCall" in the document/],
    [`${inCall('')}text`, /Text data outside of root node/],
    [`${inCall('')}<![CDATA[text]]>`, /text in the document/],
    [inCall('<params/><params/>'), /the element "params" in methodCall/],
    [inCall('<methodName>g</methodName>'), /the element "methodName" in methodCall/],
    [inCall('text'), /text in methodCall/],
    [inCall('<params><value/></params>'), /the element "value" in params/],
    [inCall('<params><param/></params>'), /an element is missing in param/],
    [inCall('<params><param><value/><value/></param></params>'), /the element "value" in param/],
    [inValue('<int>1</int><int>2</int>'), /the element "int" in value/],
    [inValue('<int>1</int> text'), /text beside the type in <value>/],
    [inValue('<int><int>1</int></int>'), /the element "int" in int/],
    [inValue('<integer>1</integer>'), /the element "integer" in value/],
    [inValue('<constructor/>'), /the element "constructor" in value/],
    [inValue('<x:nil/>'), /the element "x:nil" in value/],
    [inValue(`<${'x'.repeat(1000)}/>`), /the element "x{36}…" in value/],
    [inValue('<array/>'), /an element is missing in array/],
    [inValue('<array><value/></array>'), /the element "value" in array/],
    [inValue('<struct><member><name>a</name></member></struct>'), /an element is missing in member/],
    [inValue('<struct><member><value/><name>a</name></member></struct>'), /the element "value" in member/],
    [inValue('<int/>'), /"" in <int>/],
    [inValue('<int>1.5</int>'), /"1.5" in <int>/],
    [inValue('<int>0x10</int>'), /"0x10" in <int>/],
    [inValue('<int>1 2</int>'), /"1 2" in <int>/],
    [inValue(`<i8>${'9'.repeat(101)}</i8>`), /"9{20}…" in <i8>/],
    [inValue('<double/>'), /"" in <double>/],
    [inValue('<double>nan</double>'), /"nan" in <double>/],
    [inValue('<double>inf</double>'), /"inf" in <double>/],
    [inValue('<double>Infinity</double>'), /"Infinity" in <double>/],
    [inValue('<double>1e999</double>'), /"1e999" in <double>/],
    [inValue('<double>.</double>'), /"." in <double>/],
    [inValue('<boolean>true</boolean>'), /"true" in <boolean>/],
    [inValue('<boolean>2</boolean>'), /"2" in <boolean>/],
    [inValue('<base64>A*==</base64>'), /"A\*==" in <base64>/],
    [inValue('<base64>=AAA</base64>'), /"=AAA" in <base64>/],
    [inValue('<nil>x</nil>'), /"x" in <nil>/],
    [inValue('<dateTime.iso8601>today</dateTime.iso8601>'), /"today" in <dateTime.iso8601>/],
    [inValue('<dateTime.iso8601>20260231T00:00:00</dateTime.iso8601>'), /20260231T00:00:00" in/],
    [inValue('<dateTime.iso8601>20230229T00:00:00</dateTime.iso8601>'), /20230229T00:00:00" in/],
    [inValue('<dateTime.iso8601>20261301T00:00:00</dateTime.iso8601>'), /20261301T00:00:00" in/],
    [inValue('<dateTime.iso8601>20260101T25:00:00</dateTime.iso8601>'), /20260101T25:00:00" in/],
    [inValue('<dateTime.iso8601>20260101T00:00:00+99:99</dateTime.iso8601>'), /in <dateTime.iso8601>/],
    [inValue('&nbsp;'), /Invalid character entity/],
    [inValue('&constructor;'), /Invalid character entity/],
    [inValue('&toString;'), /Invalid character entity/],
    [inValue('&#0;'), /Invalid character entity/],
    [inValue('&#xD800;'), /Invalid character entity/],
    [inValue('a & b'), /Invalid character in entity name/],
    [inValue('a\0b'), /the character "\\u0000"/],
    [inValue('\ufffe'), /the character/],
    [nested(21), /a value deeper than 20 \(limits.depth\)/],
    [`<!DOCTYPE methodCall>${inCall('')}`, /a declaration, such as DOCTYPE/],
    [`<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>${inValue('&b;')}`, /a declaration/],
    [`<!DOCTYPE m SYSTEM "file:///etc/passwd">${inCall('')}`, /a declaration/],
    [`<!FOO>${inCall('')}`, /a declaration/],
    [inValue('<!ENTITY a "b">'), /Unclosed root tag/]
  ]
  for (const [xml, message] of cases) {
    const error: Error = await read(xml).then(
      document => new Error(`it was read: ${JSON.stringify(document)}`),
      error => error
    )
    t.match(error, { name: 'MalformedXmlError', message }, xml.slice(0, 120))
  }
  t.match(await read(nested(20)), { kind: 'call' }, 'the depth of the limit is accepted')
})

t.test('a long document is read in slices, between which other work has its turn', async t => {
  const texts = Array.from({ length: 5000 }, (_, i) => `text ${i} é😀`)
  const xml = writeResult(written(texts))
  t.ok(xml.length > 3 << 16)
  let turns = 0
  const count = setInterval(() => turns++, 0)
  t.same(await read(xml), { kind: 'result', value: texts })
  clearInterval(count)
  t.ok(turns > 0)
  const name = `<${'n'.repeat(200_000)}/>`
  await t.rejects(read(inValue(name)), MalformedXmlError, 'a giant name')
  await t.rejects(read(`<!--${' '.repeat(200_000)}`), MalformedXmlError)
})

t.test('every kind of value is written', async t => {
  const cases: [value: unknown, xml: string][] = [
    [undefined, '<nil/>'],
    [null, '<nil/>'],
    [true, '<boolean>1</boolean>'],
    [false, '<boolean>0</boolean>'],
    [0, '<int>0</int>'],
    [-0, '<double>-0.0</double>'],
    [2 ** 31 - 1, '<int>2147483647</int>'],
    [2 ** 31, '<i8>2147483648</i8>'],
    [-(2 ** 31), '<int>-2147483648</int>'],
    [-(2 ** 31) - 1, '<i8>-2147483649</i8>'],
    [2 ** 60, '<double>1152921504606847000</double>'],
    [1.5, '<double>1.5</double>'],
    [1e300, '<double>1e+300</double>'],
    [5n, '<i8>5</i8>'],
    [2n ** 63n - 1n, '<i8>9223372036854775807</i8>'],
    ['a<b>&\r\n\t"\'', '<string>a&lt;b&gt;&amp;&#13;\n\t"\'</string>'],
    [new Uint8Array([0, 255]), '<base64>AP8=</base64>'],
    [Buffer.from([0, 255]), '<base64>AP8=</base64>'],
    [new Uint8Array([0, 255]).buffer, '<base64>AP8=</base64>'],
    [new Uint8Array([1, 0, 255, 1]).subarray(1, 3), '<base64>AP8=</base64>'],
    [new Date('2026-01-15T21:30:00.999Z'), '<dateTime.iso8601>20260115T21:30:00</dateTime.iso8601>'],
    [new Date('0001-01-01T00:00:00Z'), '<dateTime.iso8601>00010101T00:00:00</dateTime.iso8601>'],
    [[], '<array><data></data></array>'],
    [new Set([1]), '<array><data><value><int>1</int></value></data></array>'],
    [{}, '<struct></struct>'],
    [
      { 'a<': [null] },
      '<struct><member><name>a&lt;</name><value><array><data><value><nil/></value></data></array></value></member></struct>'
    ],
    [
      Object.assign(Object.create(null), { a: 1 }),
      '<struct><member><name>a</name><value><int>1</int></value></member></struct>'
    ],
    [new Map([['a', 1]]), '<struct><member><name>a</name><value><int>1</int></value></member></struct>']
  ]
  for (const [value, xml] of cases) t.equal(written(value), `<value>${xml}</value>`)
})

t.test('a value that XML-RPC does not have is refused by its path', async t => {
  const cyclic: unknown[] = []
  cyclic.push(cyclic)
  const cases: [value: unknown, message: string][] = [
    [Number.NaN, 'result is NaN, and XML-RPC has none'],
    [{ a: [0, Number.NEGATIVE_INFINITY] }, 'result.a[1] is -Infinity, and XML-RPC has none'],
    [{ 'a b': 'x\0' }, 'result["a b"] is a text with "\\u0000", and XML-RPC has none'],
    [{ 'a\x01': 1 }, 'result["a\\u0001"] is a text with "\\u0001", and XML-RPC has none'],
    ['\ud800', 'result is a text with "\\ud800", and XML-RPC has none'],
    [[2n ** 63n], 'result[0] is a bigint of more than 64 bits, and XML-RPC has none'],
    [() => 1, 'result is a reference, and XML-RPC has none; pass plain data'],
    [{ f() {} }, 'result.f is a reference, and XML-RPC has none; pass plain data'],
    [[new (class A {})()], 'result[0] is a reference, and XML-RPC has none; pass plain data'],
    [Symbol('a'), 'result is a symbol, and XML-RPC has none'],
    [/a/, 'result is a RegExp, and XML-RPC has none'],
    [new Date(Number.NaN), 'result is a Date without a year of four digits, and XML-RPC has none'],
    [new Date(-(10 ** 15)), 'result is a Date without a year of four digits, and XML-RPC has none'],
    [new Map([[1, 2]]), 'result is a Map with the key 1, and XML-RPC has none']
  ]
  for (const [value, message] of cases) t.throws(() => written(value), { name: 'NoFormError', message })
  t.throws(() => written(cyclic), LimitError)
  t.throws(() => written(cyclic), {
    message: /^result(\[0\]){8}….*is too deep \(limits.depth\), or in a cycle/
  })
})

t.test('a netref is refused', async t => {
  class Shop {
    exposed_open() {
      return new Shop()
    }
  }
  await using conn = pair<Shop>(new Shop())
  const shop = await conn.root.open()
  t.throws(() => written([shop]), {
    message: 'result[0] is a reference, and XML-RPC has none; pass plain data'
  })
  Netref.release(shop)
  await assertClean(t, conn.session, conn.served)
})

const text = fc.string({ unit: 'binary' }).map(text => withoutInvalidCharacters(text))
const value = fc.letrec(tie => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noDefaultInfinity: true, noNaN: true }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).filter(n => !Number.isSafeInteger(Number(n))),
    text,
    fc.uint8Array(),
    fc
      .date({
        min: new Date('0000-01-01T00:00:00Z'),
        max: new Date('9999-12-31T23:59:59Z'),
        noInvalidDate: true
      })
      .map(date => new Date(Math.floor(date.getTime() / 1000) * 1000)),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(fc.oneof(text, fc.constant('__proto__')), tie('value'), {
      maxKeys: 5,
      noNullPrototype: true
    })
  )
})).value

t.test('what is written is read as it was', async t => {
  const property = fc.asyncProperty(fc.array(value, { maxLength: 4 }), text, async (params, name) => {
    const method = name.trim()
    const values = params.map(param => writeValue(param, ['args'], DEFAULT_LIMITS))
    const xml = decodeDocument(Buffer.from(writeCall(method, values)))
    deepStrictEqual(await readDocument(sax, xml, DEFAULT_LIMITS), { kind: 'call', method, params })
  })
  await t.resolves(fc.assert(property, { numRuns: 300 }))
})

t.test('a document is decoded by its encoding', async t => {
  const latin1 = Buffer.from('é', 'latin1')
  t.equal(decodeDocument(Buffer.from('\ufeffé')), 'é')
  t.equal(decodeDocument(latin1, 'text/xml; charset="iso-8859-1"'), 'é')
  const declared = Buffer.concat([Buffer.from('<?xml version="1.0" encoding="ISO-8859-1"?>'), latin1])
  t.match(decodeDocument(declared), /é$/)
  t.equal(decodeDocument(Buffer.from('é', 'utf16le'), 'text/xml;charset=utf-16'), 'é')
  const refused = (bytes: Uint8Array, type: string | undefined, message: string) =>
    t.throws(() => decodeDocument(bytes, type), { name: 'MalformedXmlError', message })
  refused(latin1, undefined, 'bytes that are not utf-8')
  refused(latin1, 'text/xml; charset=klingon', 'the encoding "klingon"')
  refused(Buffer.from('<?xml version="1.0" encoding="x-y"?>'), undefined, 'the encoding "x-y"')
})

t.test('reserved characters are escaped', async t => {
  t.equal(escapeXml('<a>&amp;\r'), '&lt;a&gt;&amp;amp;&#13;')
})

t.test('a text for a value that has parts many times is bounded', async t => {
  let part: unknown = { text: 'x'.repeat(100_000) }
  for (let i = 0; i < 15; i++) part = [part, part]
  t.throws(() => written(part), { name: 'LimitError', message: /too long/ })
})
