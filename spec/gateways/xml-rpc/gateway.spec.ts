// Specs of the gateway of XML-RPC over real HTTP requests.
import t, { type Test } from 'tap'
import { z } from 'zod'
import { type XmlRpcOptions, xmlRpc } from '../../../lib/gateways/xml-rpc.js'
import {
  callSession,
  expose,
  exposed,
  type ServeOptions,
  type Server,
  Service,
  type Session,
  serve
} from '../../../lib/index.js'
import { assertClean, waitUntil } from '../../support/helpers.js'
import { callXml, type Fault, outcomeOf, postXml, readXml } from '../../support/xml-rpc.js'

class Counter {
  #count = 0
  increment() {
    return ++this.#count
  }
}

class Halves {
  @exposed({ schema: z.tuple([z.number(), z.int().optional()]), returns: z.number() }) half(
    x: number,
    _digits?: number
  ) {
    return x / 2
  }
}

class Tutorial extends Service {
  static override help = { sum: 'Adds two numbers' }
  exposed_ServiceA = { Add: (x: number, y: number) => x + y, deep: { er: () => 'deeper' } }
  exposed_value = 7
  exposed_halves = new Halves()

  exposed_sum(x: number, y: number) {
    return x + y
  }
  exposed_echo(...values: unknown[]) {
    return values.length === 1 ? values[0] : values
  }
  exposed_nothing() {}
  exposed_open() {
    return { kept: [expose(new Counter())] }
  }
  exposed_fail(code?: unknown) {
    throw Object.assign(new RangeError('no real <roots>'), code === undefined ? {} : { code })
  }
  exposed_throw() {
    throw 'a text'
  }
  exposed_who() {
    return callSession()?.identity
  }
  exposed_long(length: number) {
    return 'x'.repeat(length)
  }
  secret() {
    return 'not for you'
  }
}

interface Served {
  readonly server: Server
  readonly url: string
  /** Calls a method. @returns the result, or the fault */
  call(method: string, ...params: unknown[]): Promise<unknown>
}

/** Runs `use` with a server, then asserts that its sessions have ended with empty tables. */
async function serving(
  t: Test,
  use: (served: Served) => Promise<unknown>,
  { gateway = {}, ...options }: ServeOptions & { gateway?: XmlRpcOptions } = {}
): Promise<void> {
  await using server = await serve(Tutorial, { port: 0, ...options, gateways: [xmlRpc(gateway)] })
  const sessions: Session[] = []
  server.on('session', session => sessions.push(session))
  const url = server.url.replace('ws:', 'http:')
  await use({ server, url, call: (method, ...params) => outcomeOf(url, callXml(method, ...params)) })
  await waitUntil(() => server.sessions.size === 0)
  await assertClean(t, ...sessions)
}

t.test('a call is answered with its result', t =>
  serving(t, async ({ url, call, server }) => {
    const response = await postXml(url, callXml('sum', 1, 2))
    t.equal(response.status, 200)
    t.equal(response.headers.get('content-type'), 'text/xml; charset=utf-8')
    const body = await response.text()
    t.equal(response.headers.get('content-length'), String(body.length))
    t.equal(
      body,
      "<?xml version='1.0'?>\n<methodResponse><params><param><value><int>3</int></value></param></params></methodResponse>"
    )
    t.equal(await call('ServiceA.Add', 1, 2), 3)
    t.equal(await call('ServiceA.deep.er'), 'deeper')
    t.equal(await call('nothing'), null)
    const values = [
      true,
      -7,
      3.25,
      '<&>"é€😀\r\n',
      new Uint8Array([0, 255]),
      new Date(0),
      null,
      [],
      { a: [{}] }
    ]
    t.strictSame(await call('echo', values), values)
    t.strictSame(await call('echo', 2n ** 60n, new Map([['a', new Set([1])]])), [2n ** 60n, { a: [1] }])
    const member = await call('echo', JSON.parse('{"__proto__":{"a":1}}'))
    t.strictSame(Object.entries(member as object), [['__proto__', { a: 1 }]])
    t.equal((await postXml(`${url}/any/path`, callXml('sum', 1, 2))).status, 200)
    t.equal((await postXml(url, callXml('sum', 1, 2), { 'content-type': 'application/xml' })).status, 200)
    t.match(server.metrics.gateways, { 'xml-rpc': { clientsTotal: 9, clientsRefused: 0 } })
  })
)

t.test('a failed call is answered with a fault', t =>
  serving(t, async ({ call, url }) => {
    const fault = async (
      faultCode: number,
      faultString: string | RegExp,
      method: string,
      ...params: unknown[]
    ) => t.match(await call(method, ...params), { faultCode, faultString }, method)
    await fault(1, 'RangeError: no real <roots>', 'fail')
    await fault(77, 'RangeError: no real <roots>', 'fail', 77)
    await fault(-77, 'RangeError: no real <roots>', 'fail', -77)
    await fault(1, 'RangeError: no real <roots>', 'fail', 2 ** 31)
    await fault(1, 'RangeError: no real <roots>', 'fail', 'text')
    await fault(1, 'Error: a text', 'throw')
    await fault(-32601, /"missing" is not exposed/, 'missing')
    await fault(-32601, /"secret" is not exposed/, 'secret')
    await fault(-32601, /"exposed_sum" is not exposed/, 'exposed_sum')
    await fault(-32601, /not exposed/, 'ServiceA.constructor')
    await fault(-32601, /not a function|cannot be called/, 'value')
    await fault(-32601, /"a..b" is not exposed or missing/, 'a..b')
    await fault(-32601, /"" is not exposed or missing/, '')
    await fault(-32601, /not exposed or missing/, Array(300).fill('a').join('.'))
    await fault(-32602, /ArgumentsError/, 'halves.half', 'text')
    await fault(
      1,
      'NoFormError: result.kept[0] is a reference, and XML-RPC has none; pass plain data',
      'open'
    )
    t.match(await outcomeOf(url, '<methodCall>'), { faultCode: -32700, faultString: /not XML-RPC: Unclosed/ })
    t.match(await outcomeOf(url, new Uint8Array([0xff])), { faultCode: -32700, faultString: /not utf-8/ })
    const response = await (await postXml(url, callXml('nothing'))).text()
    t.match(await outcomeOf(url, response), { faultCode: -32700, faultString: /a response/ })
  })
)

t.test('faults have stacks if the server exposes them', t =>
  serving(
    t,
    async ({ call }) => {
      t.match(await call('fail'), { faultString: /^RangeError: no real <roots>\n +at .*gateway.spec.ts/s })
      t.match(await call('missing'), { faultString: /^ExposureError: .*\S$/ })
    },
    { exposeStacks: true }
  )
)

t.test('a limit is a fault', t =>
  serving(
    t,
    async ({ call }) => {
      const first = await call('echo', 1)
      t.equal(first, 1)
      const dates = Array.from({ length: 100 }, () => new Date(0))
      t.match(await call('echo', dates), { faultCode: 1, faultString: /^LimitError: .*limits.values/ })
    },
    { limits: { values: 10 } }
  )
)

t.test('methods are listed and described', t =>
  serving(t, async ({ call }) => {
    t.strictSame(await call('system.listMethods'), [
      'ServiceA.Add',
      'ServiceA.deep.er',
      'echo',
      'fail',
      'halves.half',
      'long',
      'nothing',
      'open',
      'sum',
      'system.listMethods',
      'system.methodHelp',
      'system.methodSignature',
      'system.multicall',
      'throw',
      'who'
    ])
    t.equal(await call('system.methodHelp', 'sum'), 'Adds two numbers')
    t.equal(await call('system.methodHelp', 'fail'), '')
    t.equal(await call('system.methodSignature', 'sum'), 'signatures not supported')
    t.same(await call('system.methodSignature', 'halves.half'), [
      ['double', 'double'],
      ['double', 'double', 'int']
    ])
    t.match(await call('system.methodHelp'), { faultCode: -32602 })
    t.match(await call('system.nothing'), { faultCode: -32601 })
  })
)

t.test('the list of methods is not for everybody: describe: false', t =>
  serving(t, async ({ call }) => t.match(await call('system.listMethods'), { faultCode: -32601 }), {
    describe: false
  })
)

t.test('system.multicall makes many calls, each with its own outcome', t =>
  serving(
    t,
    async ({ call }) => {
      const multicall = (...calls: unknown[]) =>
        call('system.multicall', calls) as Promise<(unknown[] | Fault)[]>
      const of = (methodName: unknown, ...params: unknown[]) => ({ methodName, params })
      const outcomes = await multicall(
        of('sum', 1, 2),
        of('nothing'),
        of('fail', 5),
        of('missing'),
        of('open'),
        of('ServiceA.Add', 3, 4),
        of('system.methodHelp', 'sum'),
        of('system.multicall', []),
        of(7),
        { methodName: 'sum' },
        { params: [] },
        'sum',
        null
      )
      t.match(outcomes, [
        [3],
        [null],
        { faultCode: 5, faultString: 'RangeError: no real <roots>' },
        { faultCode: -32601 },
        { faultCode: 1, faultString: /result.kept\[0\] is a reference/ },
        [7],
        ['Adds two numbers'],
        { faultCode: -32602, faultString: /system.multicall does not call itself/ },
        ...Array(5).fill({ faultCode: -32602, faultString: /takes calls with a `methodName` and `params`/ })
      ])
      t.same(await multicall(), [])
      const many = await multicall(...Array.from({ length: 1000 }, (_, i) => of('sum', i, 1)))
      t.strictSame(
        many,
        Array.from({ length: 1000 }, (_, i) => [i + 1])
      )
      for (const params of [[], [7], [[], []]])
        t.match(await call('system.multicall', ...params), { faultCode: -32602 })
      const long = await multicall(...Array(4).fill(of('long', 60_000)))
      t.match(long, [
        [/x/],
        [/x/],
        { faultCode: 1, faultString: /^LimitError: .*limits.frameBytes/ },
        { faultCode: 1 }
      ])
    },
    { limits: { frameBytes: 100_000 } }
  )
)

const basic = (name: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
})

t.test('authenticate decides, with what the request says', t =>
  serving(
    t,
    async ({ url }) => {
      t.equal((await postXml(url, callXml('who'))).status, 401)
      t.equal((await postXml(url, callXml('who'), basic('ann', 'wrong'))).status, 401)
      const response = await postXml(url, callXml('who'), basic('ann', 'right'))
      t.match(await readXml(await response.text()), { value: 'ann' })
    },
    {
      authenticate: ({ headers, gateway }) => {
        t.equal(gateway, 'xml-rpc')
        const [, credentials = ''] = String(headers.authorization).split(' ')
        const [name, password] = Buffer.from(credentials, 'base64').toString().split(':')
        return password === 'right' && name
      }
    }
  )
)

t.test('a gateway may have its own rule for who its clients are', t =>
  serving(t, async ({ call }) => t.equal(await call('who'), 'a program'), {
    authenticate: () => false,
    gateway: { authenticate: () => 'a program' }
  })
)

t.test('other requests are not for the gateway', t =>
  serving(
    t,
    async ({ url }) => {
      const xml = callXml('sum', 1, 2)
      t.equal((await postXml(`${url}/RPC2?a=1`, xml)).status, 200)
      t.equal((await postXml(`${url}/other`, xml)).status, 404)
      t.equal((await fetch(`${url}/RPC2`)).status, 405)
      for (const type of [
        'text/plain',
        'application/json',
        'application/x-www-form-urlencoded',
        'text/xmlx',
        ''
      ])
        t.equal((await postXml(`${url}/RPC2`, xml, { 'content-type': type })).status, 415, type)
      const origin = { origin: 'https://evil.example' }
      t.equal((await postXml(`${url}/RPC2`, xml, origin)).status, 403, 'a page')
    },
    { gateway: { path: '/RPC2' } }
  )
)

t.test('a port of its own', async t => {
  await using server = await serve(Tutorial, { port: 0, gateways: [xmlRpc({ port: 0 })] })
  const url = `http://127.0.0.1:${server.gatewayPorts['xml-rpc']}`
  t.equal(await outcomeOf(url, callXml('sum', 1, 2)), 3)
  t.equal(server.sessions.size, 0)
})

t.test('the session ends with its client', async t => {
  let session: Session | undefined
  class Slow extends Service {
    exposed_wait() {
      session = callSession()
      return new Promise(() => {})
    }
  }
  await using server = await serve(Slow, { port: 0, gateways: [xmlRpc()] })
  const controller = new AbortController()
  const url = server.url.replace('ws:', 'http:')
  const call = fetch(url, {
    method: 'POST',
    body: callXml('wait'),
    headers: { 'content-type': 'text/xml' },
    signal: controller.signal
  })
  await waitUntil(() => session !== undefined)
  controller.abort()
  await t.rejects(call)
  t.match(await session!.closed, { code: 'closed' })
  await assertClean(t, session!)
  t.equal(server.sessions.size, 0)
})

t.test('options are checked', async t => {
  t.throws(() => xmlRpc({ paht: '/' } as never), {
    message: 'xmlRpc: there is no option `paht`: did you mean `path`?'
  })
  t.throws(() => xmlRpc({ path: 7 } as never), TypeError)
})
