// Specs of JSON-RPC over HTTP, with the examples of the specification of JSON-RPC 2.0.
import { createConnection } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { jsonRpc } from '../../../lib/gateways/json-rpc.js'
import {
  callSession,
  expose,
  exposed,
  Service,
  type Session,
  type StandardSchema
} from '../../../lib/index.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'
import { post, postText, withJsonRpc } from '../../support/json-rpc.js'
import type { Untyped } from '../../support/wire.js'

/** The methods of the examples of the specification. */
class Examples extends Service {
  exposed_subtract = (minuend: number, subtrahend: number) => minuend - subtrahend
  exposed_sum(...numbers: number[]) {
    return numbers.reduce((a, b) => a + b)
  }
  exposed_update(...values: unknown[]) {
    seen.push(['update', ...values])
  }
  exposed_notify_hello(value: unknown) {
    seen.push(['hello', value])
  }
  exposed_notify_sum(...values: unknown[]) {
    seen.push(['sum', ...values])
  }
  exposed_get_data() {
    return ['hello', 5]
  }
}
const seen: unknown[] = []

const PARSE_ERROR = { jsonrpc: '2.0', id: null, error: { code: -32700 } }
const INVALID_REQUEST = { jsonrpc: '2.0', id: null, error: { code: -32600 } }

t.test('the examples of the specification of JSON-RPC 2.0', async t => {
  await withJsonRpc(t, Examples, async ({ url }) => {
    const exchange = async (request: string, answer: unknown) =>
      t.match(await post(url, request), answer as object, request)
    const result = (id: unknown, value: unknown) => ({ jsonrpc: '2.0', result: value, id })
    await exchange('{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', result(1, 19))
    await exchange('{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}', result(2, -19))
    const named = '"params": {"subtrahend": 23, "minuend": 42}'
    await exchange(`{"jsonrpc": "2.0", "method": "subtract", ${named}, "id": 3}`, result(3, 19))
    const renamed = '"params": {"minuend": 42, "subtrahend": 23}'
    await exchange(`{"jsonrpc": "2.0", "method": "subtract", ${renamed}, "id": 4}`, result(4, 19))
    t.equal(await post(url, '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}'), undefined)
    t.equal(await post(url, '{"jsonrpc": "2.0", "method": "foobar"}'), undefined)
    t.same(seen.splice(0), [['update', 1, 2, 3, 4, 5]])
    await exchange('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', {
      ...{ jsonrpc: '2.0', id: '1', error: { code: -32601, message: /foobar/ } }
    })
    await exchange('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', PARSE_ERROR)
    await exchange('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', INVALID_REQUEST)
    await exchange(
      '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"',
      PARSE_ERROR
    )
    await exchange('[]', INVALID_REQUEST)
    await exchange('[1]', [INVALID_REQUEST])
    await exchange('[1,2,3]', [INVALID_REQUEST, INVALID_REQUEST, INVALID_REQUEST])
    const batch = `[
      {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
      {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
      {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
      {"foo": "boo"},
      {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
      {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
    ]`
    await exchange(batch, [
      result('1', 7),
      result('2', 19),
      INVALID_REQUEST,
      { jsonrpc: '2.0', error: { code: -32601 }, id: '5' },
      result('9', ['hello', 5])
    ])
    t.same(seen.splice(0), [['hello', 7]])
    const notifications = `[
      {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
      {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
    ]`
    t.equal(await post(url, notifications), undefined)
    t.same(seen.splice(0), [
      ['sum', 1, 2, 4],
      ['hello', 7]
    ])
  })
})

const NUMBERS: StandardSchema<[number]> = {
  '~standard': {
    version: 1,
    vendor: 'spec',
    validate: value =>
      typeof (value as unknown[])[0] === 'number'
        ? { value: value as [number] }
        : { issues: [{ message: 'a number', path: [0] }] }
  }
}

class Shop extends Service {
  static override help = { price: 'The price of an article' }
  exposed_price(article: string, currency = 'EUR') {
    return `${article} ${currency}`
  }
  exposed_all(...articles: string[]) {
    return articles
  }
  exposed_first({ name }: { name: string }) {
    return name
  }
  exposed_fail(code?: unknown): never {
    throw Object.assign(new RangeError('sold out'), { code, left: 0, when: new Date(0), odd: Number.NaN })
  }
  exposed_plain(): never {
    throw new Error('plain')
  }
  exposed_order(): Untyped {
    return { items: [expose({ cancel() {} })] }
  }
  exposed_nothing() {}
  exposed_big = () => 2n ** 60n
  exposed_nested = { deep: { add: (a: number, b: number) => a + b } }
  exposed_echo = (value: unknown) => value
  exposed_who = () => (callSession() as Session).identity
  exposed_long = () => 'x'.repeat(600)
  get exposed_getter(): never {
    throw new Error('a getter ran')
  }
}
class Typed extends Service {
  @exposed({ schema: NUMBERS })
  half(x: number) {
    return x / 2
  }
}

const call = (method: string, params?: unknown, id: unknown = 1) => ({ jsonrpc: '2.0', method, params, id })

t.test('versions 1.0 and 1.1 are answered in their forms', async t => {
  await withJsonRpc(t, Shop, async ({ url }) => {
    t.same(await post(url, { method: 'price', params: ['tea'], id: 7 }), {
      id: 7,
      result: 'tea EUR',
      error: null
    })
    t.same(await post(url, { method: 'nothing', params: [], id: [1] }), {
      id: [1],
      result: null,
      error: null
    })
    t.same(await post(url, { method: 'fail', params: [], id: 1 }), {
      ...{ id: 1, result: null, error: 'RangeError: sold out' }
    })
    t.same(await post(url, { method: 'plain', params: [], id: 1 }), { id: 1, result: null, error: 'plain' })
    t.match(await post(url, { method: 'missing', params: [], id: 1 }), { error: /^root\.missing\(\)/ })
    t.equal(await post(url, { method: 'nothing', params: [], id: null }), undefined)
    t.same(
      await post(url, {
        version: '1.1',
        method: 'price',
        params: { article: 'tea', currency: 'USD' },
        id: 'a'
      }),
      {
        ...{ version: '1.1', id: 'a', result: 'tea USD' }
      }
    )
    t.same(await post(url, { version: '1.1', method: 'price', params: ['tea'] }), {
      ...{ version: '1.1', result: 'tea EUR' }
    })
    t.match(await post(url, { version: '1.1', method: 'missing' }), {
      ...{ version: '1.1', error: { name: 'JSONRPCError', code: -32601, message: String } }
    })
    t.match(await post(url, { version: '1.1', method: 'price', params: 5, id: 3 }), {
      id: 3,
      error: { code: -32600 }
    })
  })
})

t.test('parameters by name take the places of their names', async t => {
  await withJsonRpc(t, Shop, async ({ url }) => {
    const codeOf = async (method: string, params: unknown) =>
      (await post(url, call(method, params))).error?.code
    t.equal((await post(url, call('price', { currency: 'USD', article: 'tea' }))).result, 'tea USD')
    t.equal((await post(url, call('price', { article: 'tea' }))).result, 'tea EUR')
    t.equal((await post(url, call('nested.deep.add', { b: 1, a: 2 }))).result, 3)
    t.equal((await post(url, call('nothing', {}))).result, null)
    for (const [method, params] of [
      ['price', { currency: 'USD' }],
      ['price', { article: 'tea', size: 1 }],
      ['all', { articles: ['a'] }],
      ['first', { name: 'x' }]
    ] as const)
      t.equal(await codeOf(method, params), -32602, `${method} ${JSON.stringify(params)}`)
    t.equal(await codeOf('missing', { a: 1 }), -32601)
    t.equal(await codeOf('nested.missing', { a: 1 }), -32601)
    t.equal(await codeOf('missing.nested', { a: 1 }), -32601)
  })
  await withJsonRpc(
    t,
    Shop,
    async ({ url }) => {
      t.equal((await post(url, call('price', { article: 'tea' }))).error.code, -32602, 'names are not told')
      t.equal((await post(url, call('missing', { article: 'tea' }))).error.code, -32601)
    },
    { describe: false }
  )
})

t.test('errors have the codes of JSON-RPC, and say what the method threw', async t => {
  await withJsonRpc(t, Shop, async ({ url }) => {
    const errorOf = async (method: string, params?: unknown) => (await post(url, call(method, params))).error
    t.same(await errorOf('fail'), {
      ...{ code: -32000, message: 'sold out' },
      data: { name: 'RangeError', left: 0, when: '1970-01-01T00:00:00.000Z' }
    })
    t.match(await errorOf('fail', [42]), { code: 42, data: { name: 'RangeError' } })
    t.match(await errorOf('fail', ['E_SOLD']), { code: -32000, data: { code: 'E_SOLD' } })
    t.same(await errorOf('order'), {
      ...{ code: -32000, message: 'result.items[0] is a reference, and JSON-RPC has none; pass plain data' },
      data: { name: 'NoFormError' }
    })
    for (const name of [
      'missing',
      '',
      '.',
      'nested',
      'nested.',
      'nested..deep',
      'constructor',
      '__proto__.x',
      'getter.x'
    ])
      t.equal((await errorOf(name)).code, name === 'getter.x' ? -32000 : -32601, name)
    t.equal((await errorOf('onConnect')).code, -32601)
    t.equal((await errorOf('a.'.repeat(1000))).code, -32601)
    t.notMatch(JSON.stringify(await errorOf('fail')), /spec\.ts/, 'stacks stay home')
  })
  await withJsonRpc(t, Typed, async ({ url }) => {
    t.equal((await post(url, call('half', [3]))).result, 1.5)
    t.match((await post(url, call('half', ['x']))).error, {
      ...{ code: -32602, data: { name: 'ArgumentsError', issues: [{ message: 'a number', path: [0] }] } }
    })
  })
  await withJsonRpc(
    t,
    Shop,
    async ({ url }) => {
      t.match((await post(url, call('fail'))).error.data.stack, /RangeError/)
    },
    { exposeStacks: true }
  )
})

t.test('results of all kinds', async t => {
  await withJsonRpc(t, Shop, async ({ url }) => {
    t.match(await postText(url, JSON.stringify(call('big'))), {
      status: 200,
      text: /"result":1152921504606846976\}$/
    })
    const value = { a: [1, 'ä', null, { b: true }], constructor: 5, ['__proto__']: 6 }
    const sent = JSON.parse(`{"jsonrpc":"2.0","method":"echo","params":[${JSON.stringify(value)}],"id":1}`)
    t.same((await post(url, sent)).result, value)
    const echo = '{"jsonrpc":"2.0","method":"echo","params":[{"__proto__":{"x":1}}],"id":1}'
    t.match((await postText(url, echo)).text, '{"__proto__":{"x":1}}')
    t.notOk('x' in {})
    t.equal((await post(url, '{"jsonrpc":"2.0","method":"echo","params":[1e999],"id":1}')).error.code, -32000)
  })
})

t.test('a batch is bounded', async t => {
  await withJsonRpc(t, Shop, async ({ url }) => {
    const batch = (length: number) => Array.from({ length }, (_, i) => call('echo', [i], i))
    const answers = await post(url, batch(1000))
    t.same(
      answers.map((answer: Untyped) => answer.result),
      Array.from({ length: 1000 }, (_, i) => i)
    )
    t.match(await post(url, batch(1001)), { id: null, error: { code: -32600, message: /at most 1000/ } })
  })
  await withJsonRpc(
    t,
    Shop,
    async ({ url }) => {
      const answers = await post(
        url,
        Array.from({ length: 100 }, (_, i) => call('long', [], i))
      )
      const codes = answers.map((answer: Untyped) => answer.error?.code)
      t.same([codes[0], codes.at(-1)], [undefined, -32005], 'answers beyond limits.frameBytes are replaced')
      t.equal(answers.at(-1).id, 99)
    },
    { limits: { frameBytes: 16_384 } }
  )
})

t.test('a call beyond a limit is busy', async t => {
  await withJsonRpc(
    t,
    Shop,
    async ({ url }) => {
      const batch = [call('echo', [1], 1), call('echo', [2], 2), call('echo', [3], 3)]
      t.match(await post(url, batch), [{ result: 1 }, { result: 2 }, { error: { code: -32005 } }])
    },
    { limits: { callsPerSecond: 2 } }
  )
})

t.test('a failed notification is reported like a one-way call', async t => {
  const errors: unknown[] = []
  await withJsonRpc(
    t,
    Shop,
    async ({ url }) => {
      t.equal(await post(url, { jsonrpc: '2.0', method: 'fail' }), undefined)
      t.equal(await post(url, { jsonrpc: '2.0', method: 'missing' }), undefined)
      await waitUntil(() => errors.length > 0)
    },
    { onError: error => void errors.push(error) }
  )
  t.match(errors, [{ name: 'RangeError', message: 'sold out' }])
})

t.test('methods are listed and described', async t => {
  await withJsonRpc(t, Shop, async ({ url }) => {
    const names = (await post(url, call('system.listMethods', []))).result
    t.ok(
      ['price', 'nested.deep.add', 'rpc.discover', 'system.methodHelp'].every(name => names.includes(name))
    )
    t.equal((await post(url, call('system.methodHelp', { name: 'price' }))).result, 'The price of an article')
    t.equal((await post(url, call('system.methodSignature', ['price']))).result, 'signatures not supported')
    t.equal((await post(url, call('system.methodHelp'))).error.code, -32602)
    const document = (await post(url, call('rpc.discover'))).result
    t.match(document, { openrpc: '1.3.2', info: { title: String, version: String } })
    const methods = new Map<string, Untyped>(document.methods.map((method: Untyped) => [method.name, method]))
    t.same(methods.get('price'), {
      ...{ name: 'price', description: 'The price of an article', paramStructure: 'either' },
      params: [
        { name: 'article', required: true, schema: {} },
        { name: 'currency', required: false, schema: {} }
      ],
      result: { name: 'result', schema: {} }
    })
    t.match(methods.get('all'), {
      paramStructure: 'by-position',
      params: [{ name: '...articles', required: false }]
    })
    t.ok(methods.has('nested.deep.add'))
  })
  await withJsonRpc(
    t,
    Shop,
    async ({ url }) => {
      for (const method of ['rpc.discover', 'system.listMethods'])
        t.equal((await post(url, call(method))).error.code, -32601)
    },
    { gateway: { discover: false } }
  )
  await withJsonRpc(
    t,
    Shop,
    async ({ url }) => {
      t.equal((await post(url, call('rpc.discover'))).error.code, -32601)
    },
    { describe: false }
  )
})

t.test('requests are bounded, and their path and type count', async t => {
  await withJsonRpc(
    t,
    Shop,
    async ({ url }) => {
      const path = `${url}rpc`
      const ok = JSON.stringify(call('nothing'))
      for (const type of ['application/json', 'application/json-rpc; charset=utf-8'])
        t.equal((await postText(path, ok, { 'content-type': type })).status, 200)
      t.equal(
        (await postText(path, Buffer.from(ok), { 'content-type': '' })).status,
        200,
        'a client may name no type'
      )
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'text/xml'])
        t.equal((await postText(path, ok, { 'content-type': type })).status, 415)
      t.equal((await postText(url, ok)).status, 404)
      t.equal((await postText(path, `"${'x'.repeat(5000)}"`)).status, 413)
      t.equal((await postText(path, ok, { origin: 'http://evil.example' })).status, 403)
      t.match(await post(path, `[${'['.repeat(400)}`), {
        error: { code: -32700, message: /deeper than 203/ }
      })
      t.match(await post(path, ''), { error: { code: -32700 } })
    },
    { limits: { jsonBytes: 5000 }, gateway: { path: '/rpc' }, onError: () => {} }
  )
})

t.test('authenticate decides who calls', async t => {
  await withJsonRpc(
    t,
    Shop,
    async ({ url }) => {
      const who = JSON.stringify(call('who'))
      t.match(await postText(url, who), { status: 401 })
      t.match(await postText(url, who, { authorization: 'Bearer secret' }), {
        status: 200,
        text: /"result":"ada"/
      })
    },
    { authenticate: async request => ((await request.token()) === 'secret' ? 'ada' : undefined) }
  )
})

t.test('options are checked', async t => {
  t.throws(() => jsonRpc({ pth: '/' } as never), /jsonRpc: there is no option `pth`/)
  t.throws(() => jsonRpc({ tcp: 'yes' } as never), /`tcp` takes a boolean/)
  t.match(
    await rejectionOf(withJsonRpc(t, Shop, async () => {}, { gateway: { path: 'rpc' } })),
    /must begin with/
  )
  t.notOk(jsonRpc({ tcp: false }).handleSocket)
})

t.test('a client of plain HTTP with JSON, such as an interface of Feign', async t => {
  await withJsonRpc(t, Examples, async ({ port }) => {
    // What this interface sends by Java's own client of HTTP:
    //   @RequestLine("POST /calculator") @Headers("Content-Type: application/json")
    //   @Body("%7B\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subtract\",\"params\":[{a},{b}]%7D")
    //   Answer subtract(@Param("a") int a, @Param("b") int b);
    const body = '{"jsonrpc":"2.0","id":1,"method":"subtract","params":[42,23]}'
    const socket = createConnection(port, '127.0.0.1')
    socket.write(
      [
        'POST /calculator HTTP/1.1',
        'Content-Type: application/json',
        'Accept: */*',
        'User-Agent: Java/17.0.13',
        `Host: 127.0.0.1:${port}`,
        'Connection: close',
        `Content-Length: ${body.length}`,
        '',
        body
      ].join('\r\n')
    )
    const [head, answer] = (await text(socket)).split('\r\n\r\n')
    t.match(head, /^HTTP\/1\.1 200 /)
    t.match(head, /^content-type: application\/json/im)
    t.same(JSON.parse(answer!), { jsonrpc: '2.0', id: 1, result: 19 })
  })
})
