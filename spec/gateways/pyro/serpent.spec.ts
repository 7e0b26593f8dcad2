// Specs of the literals of Python: what is read, what is written, and what is refused.
import t from 'tap'
import { readSerpent, SerpentError } from '../../../lib/gateways/pyro/serpent-reader.js'
import { toSerpent } from '../../../lib/gateways/pyro/serpent-writer.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'
import { SERPENT } from '../../support/pyro.js'

const LIMITS = { ...DEFAULT_LIMITS, jsonBytes: 1000, bigintDigits: 50, values: 10 }
const read = (text: string) => readSerpent(Buffer.from(text), 10, LIMITS)
const write = (value: unknown, limits = DEFAULT_LIMITS) =>
  toSerpent(value, ['result'], limits).replace(SERPENT, '')

t.test('literals are read', async t => {
  const cases: readonly [literal: string, value: unknown][] = [
    ['None', null],
    ['True', true],
    ['False', false],
    ['0', 0],
    ['-17', -17],
    ['+5', 5],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['9007199254740992', 2n ** 53n],
    ['-1180591620717411303424', -(2n ** 70n)],
    ['1.5', 1.5],
    ['.5', 0.5],
    ['5.', 5],
    ['1e3', 1000],
    ['1.5E-3', 0.0015],
    ['9007199254740993.0', 2 ** 53],
    ['1e30000', Number.POSITIVE_INFINITY],
    ['-1e30000', Number.NEGATIVE_INFINITY],
    ["{'__class__':'float','value':'nan'}", Number.NaN],
    ["''", ''],
    ['""', ''],
    ["'it\\'s'", "it's"],
    ['"it\'s"', "it's"],
    ["'a\"b'", 'a"b'],
    ["u'é'", 'é'],
    ["U'\u{1f600}'", '\u{1f600}'],
    ["'\\n\\r\\t\\a\\b\\f\\v\\\\\\'\\\"\\\n'", '\n\r\t\x07\b\f\v\\\'"'],
    ["'\\x41\\101\\0\\7a\\1234'", 'AA\0\x07aS4'],
    ["'\\u00e9\\ud83d\\ude00\\U0001f600\\ud800'", 'é\u{1f600}\u{1f600}\ud800'],
    ["'\\q\\8'", '\\q\\8'],
    ["b''", new Uint8Array()],
    ["b'a\\xff\\u1234\\N'", Uint8Array.of(97, 255, ...Buffer.from('\\u1234\\N'))],
    ['B"\\377"', Uint8Array.of(255)],
    ["{'data': 'YWL/', 'encoding': 'base64'}", Uint8Array.of(97, 98, 255)],
    ["{'encoding': 'base64', 'data': 'YQ=='}", Uint8Array.of(97)],
    ["{'data': 'YWI=', 'encoding': 'base64'}", Uint8Array.of(97, 98)],
    ["{'data': '', 'encoding': 'base64'}", new Uint8Array()],
    ["{'data': '%%%%', 'encoding': 'base64'}", { data: '%%%%', encoding: 'base64' }],
    ["{'data': 'YWL/', 'encoding': 'hex'}", { data: 'YWL/', encoding: 'hex' }],
    ["{'data': 1, 'encoding': 'base64'}", { data: 1, encoding: 'base64' }],
    ["{'data': 'YWL/', 'encoding': 'base64', 'x': 1}", { data: 'YWL/', encoding: 'base64', x: 1 }],
    ['()', []],
    ['(1)', 1],
    ['(1,)', [1]],
    ['( 1 , 2 )', [1, 2]],
    ['(1,2,)', [1, 2]],
    ['[]', []],
    ['[1,[2,],()]', [1, [2], []]],
    ['{}', {}],
    ["{'a':1,'b':{'c':None},}", { a: 1, b: { c: null } }],
    ["{'a':1,'a':2}", { a: 2 }],
    [
      "{1:2,'x':3,(1,2):4,}",
      new Map<unknown, unknown>([
        [1, 2],
        ['x', 3],
        [[1, 2], 4]
      ])
    ],
    ['{1}', new Set([1])],
    ['{1,(2,3),}', new Set<unknown>([1, [2, 3]])],
    ['# serpent utf-8 python3.2\n\t[1, # one\r\n 2] # end', [1, 2]],
    ["{'__class__':'shop.Person','name':'Ann'}", { __class__: 'shop.Person', name: 'Ann' }],
    ["{'__class__':1}", { __class__: 1 }]
  ]
  for (const [literal, value] of cases) t.strictSame(read(literal), value, literal)
})

t.test('an exception is an error, and __proto__ a member', async t => {
  const error = read(
    "{'__class__':'builtins.ValueError','__exception__':True,'args':('no',1),'attributes':{}}"
  ) as Error
  t.ok(error instanceof Error)
  t.match(error, { name: 'ValueError', message: 'no', args: ['no', 1] })
  t.match(read("{'__class__':'x','__exception__':True}"), { name: 'x', message: '', args: [] })
  const object = read("{'__proto__':{'polluted':1}}") as object
  t.same(Object.keys(object), ['__proto__'])
  t.equal(Object.getPrototypeOf(object), Object.prototype)
})

t.test('what is no literal is refused, with its place', async t => {
  const cases: readonly [text: string, message: RegExp][] = [
    ['', /character 0 of a literal: the end in the place of a value/],
    ['[1,', /the end in the place of a value/],
    ['[1 2]', /character 3 .*"2\]" in the place of ","|"]"/],
    ['(1', /in the place of ","/],
    ['{1:2', /in the place of ","/],
    ['{1:2,3}', /in the place of ":"/],
    ['{1', /in the place of "}"/],
    ['{1:}', /"}" in the place of a value/],
    ['1 1', /in the place of the end/],
    ['nan', /"nan" in the place of a value/],
    ['__import__("os")', /in the place of a value/],
    ['set()', /in the place of a value/],
    ['"a', /a string does not end/],
    ["'a\\'", /a string does not end/],
    ["'a\\", /a string does not end/],
    ["'\\x4'", /a wrong escape/],
    ["'\\xzz'", /a wrong escape/],
    ["'\\u12'", /a wrong escape/],
    ["'\\U00110000'", /a wrong escape/],
    ["'\\N{DIGIT ONE}'", /a character by its name/],
    ["b'é\u0151'", /bytes have a character beyond 255/],
    ["r'a'", /in the place of a value/],
    ['1j', /a complex number has no form/],
    ['(1+2j)', /a complex number has no form/],
    ["{'__class__':'complex','real':1,'imag':2}", /a complex number has no form/],
    ["{'__class__':'Pyro4.core.Proxy','state':()}", /a proxy of Pyro has no form/],
    ["{'__class__':'Pyro5.client.Proxy','state':()}", /a proxy of Pyro has no form/],
    [`${'['.repeat(11)}${']'.repeat(11)}`, /too deep \(limits\.depth\)/],
    ['9'.repeat(51), /too many digits \(limits\.bigintDigits\)/],
    [`[${'0,'.repeat(501)}]`, /too long \(limits\.jsonBytes\)/],
    ['\0', /in the place of a value/],
    ['!', /in the place of a value/],
    ...['{1}', '{1:2}', "b''", '9'.repeat(30), "{'data':'','encoding':'base64'}"].map(
      (heavy): [string, RegExp] => [`[${`${heavy},`.repeat(11)}]`, /too many values .*\(limits\.values\)/]
    )
  ]
  for (const [text, message] of cases) t.throws(() => read(text), { name: 'SerpentError', message }, text)
  t.throws(() => readSerpent(Uint8Array.of(0x27, 0xff, 0x27), 10, LIMITS), SerpentError, 'not UTF-8')
  t.equal((read(`'${'x'.repeat(5000)}'`) as string).length, 5000, 'strings do not count for jsonBytes')
})

t.test('long strings with many escapes take time in proportion', async t => {
  const text = `'${"\\n\\'".repeat(500_000)}'`
  const start = performance.now()
  t.equal((read(text) as string).length, 1_000_000)
  t.ok(performance.now() - start < 5000)
})

t.test('values are written', async t => {
  const cases: readonly [value: unknown, literal: string][] = [
    [undefined, 'None'],
    [null, 'None'],
    [true, 'True'],
    [false, 'False'],
    [1, '1'],
    [-0, '-0.0'],
    [1.5, '1.5'],
    [2 ** 53, '9007199254740992.0'],
    [1e21, '1e+21'],
    [1e-7, '1e-7'],
    [Number.NaN, "{'__class__':'float','value':'nan'}"],
    [Number.POSITIVE_INFINITY, '1e30000'],
    [Number.NEGATIVE_INFINITY, '-1e30000'],
    [2n ** 70n, '1180591620717411303424'],
    ['a"\\\n\0é\ud800', '"a\\"\\\\\\n\\u0000é\\ud800"'],
    [[], '[]'],
    [[1, [undefined]], '[1,[None]]'],
    [{}, '{}'],
    [Object.assign(Object.create(null), { a: 1, 'b c': [2] }), '{"a":1,"b c":[2]}'],
    [
      new Map<unknown, unknown>([
        [1, 'a'],
        [[1, [2]], true],
        [null, 2n]
      ]),
      '{1:"a",(1,(2,),):True,None:2}'
    ],
    [new Set(), '()'],
    [new Set<unknown>([1, 'a', [2, 'b']]), '{1,"a",(2,"b",)}'],
    [new Date(0), '"1970-01-01T00:00:00.000+00:00"'],
    [Uint8Array.of(97, 98, 255), '{"data":"YWL/","encoding":"base64"}'],
    [new Uint8ClampedArray([1]), '{"data":"AQ==","encoding":"base64"}'],
    [new DataView(new ArrayBuffer(1)), '{"data":"AA==","encoding":"base64"}'],
    [new ArrayBuffer(1), '{"data":"AA==","encoding":"base64"}'],
    [new Float64Array([1.5, 2]), '[1.5,2]'],
    [new URL('http://a.example/'), '"http://a.example/"'],
    [
      Object.assign(new RangeError('no'), { code: 1 }),
      '{"__class__":"builtins.ValueError","__exception__":True,"args":["no"],"attributes":{"code":1}}'
    ]
  ]
  for (const [value, literal] of cases) t.equal(write(value), literal)
})

t.test('what has no literal is refused, with its path', async t => {
  const cyclic: unknown[] = []
  cyclic.push(cyclic)
  const cyclicKey = new Map<unknown, unknown>([[cyclic, 1]])
  const cases: readonly [value: unknown, message: RegExp][] = [
    [() => 1, /^result is a reference, and Pyro has none/],
    [[{ a: Symbol.iterator }], /^result\[0\]\.a is a reference/],
    [[/x/], /^result\[0\] is a RegExp/],
    [new Date(Number.NaN), /an invalid Date/],
    [cyclic, /a cycle, or too deep/],
    [cyclicKey, /a cycle, or too deep/],
    [new Map([[{}, 1]]), /a key of a Map or an item of a Set that is an object/],
    [new Set([new Date()]), /a key of a Map or an item of a Set that is an object/],
    [new Set([Number.NaN]), /a key of a Map or an item of a Set/],
    [new Set([[{}]]), /a key of a Map or an item of a Set/]
  ]
  for (const [value, message] of cases) t.throws(() => write(value), { name: 'NoFormError', message })
  const long = Array.from({ length: 40 }, () => 'x'.repeat(1 << 20))
  t.throws(() => write(long), { name: 'LimitError' })
})

t.test('what is written is read', async t => {
  const value = {
    list: [null, true, -1.5, 2n ** 64n, 'é\u2028\n', Uint8Array.of(1, 2, 3)],
    map: new Map<unknown, unknown>([[1, new Set(['a'])]]),
    nan: Number.NaN,
    big: Number.NEGATIVE_INFINITY
  }
  t.strictSame(read(write(value)), value)
})
