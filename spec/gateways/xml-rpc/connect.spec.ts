// Specs of connections to servers of XML-RPC: netref's own gateway, and servers of HTTP that answer as told.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import t, { type Test } from 'tap'
import { writeFault, writeResult } from '../../../lib/gateways/xml-rpc/documents.js'
import {
  connectXmlRpc,
  type XmlRpcConnectOptions,
  XmlRpcFault,
  xmlRpc
} from '../../../lib/gateways/xml-rpc.js'
import { type Connection, connect, Netref, type ServeOptions, Service, serve } from '../../../lib/index.js'
import { assertClean, rejectionOf, waitUntil } from '../../support/helpers.js'
import { callXml, readXml } from '../../support/xml-rpc.js'

class Tutorial extends Service {
  static override help = { sum: 'Adds two numbers' }
  exposed_ServiceA = { Add: (x: number, y: number) => x + y, deep: { er: () => 'deeper' } }
  exposed_sum(x: number, y: number) {
    return x + y
  }
  exposed_echo(value: unknown): unknown {
    return value
  }
  exposed_fail() {
    throw Object.assign(new RangeError('no real roots'), { code: 77 })
  }
  exposed_never() {
    return new Promise<void>(() => {})
  }
  exposed_call(f: unknown) {
    return f
  }
}

/** Runs `use` with a connection to a service of netref, and asserts that nothing is left. */
async function connected(
  t: Test,
  use: (conn: Connection<Tutorial>, url: string) => Promise<unknown>,
  options: XmlRpcConnectOptions = {},
  serveOptions: ServeOptions = {}
) {
  await using server = await serve(Tutorial, { port: 0, ...serveOptions, gateways: [xmlRpc()] })
  const url = server.url.replace('ws:', 'http:')
  await using conn = connectXmlRpc<Tutorial>(url, options)
  await use(conn, url)
  await waitUntil(() => server.sessions.size === 0)
  await assertClean(t, conn.session)
}

t.test('methods are called like those of any netref', t =>
  connected(t, async ({ root }) => {
    t.equal(await root.sum(1, 2), 3)
    t.equal(await root.ServiceA.Add(3, 4), 7)
    t.equal(await root.ServiceA.deep.er(), 'deeper')
    const value = { a: [1, -0, 2n ** 60n, new Date(0), null, new Uint8Array([1]), '<é😀>\r\n'], b: {} }
    t.strictSame(await root.echo(value), value)
    t.strictSame(await root.echo(new Map([['a', new Set([undefined])]])), { a: [null] })
    t.equal(
      await (root.echo({ a: { b: 7 } }) as never as { a: { b: Promise<number> } }).a.b,
      7,
      'a part of a result'
    )
    t.same(
      await Promise.all(Array.from({ length: 100 }, (_, i) => root.sum(i, 1))),
      Array.from({ length: 100 }, (_, i) => i + 1)
    )
    t.equal(await Netref.with(root, { timeout: 10_000 }).sum(1, 2), 3)
  })
)

t.test('a fault is an error with its code', t =>
  connected(t, async ({ root }) => {
    t.ok((await rejectionOf(root.fail())) instanceof XmlRpcFault)
    t.match(await rejectionOf(root.fail()), {
      name: 'XmlRpcFault',
      code: 77,
      message: 'RangeError: no real roots'
    })
    t.match(await rejectionOf((root as never as { nix(): Promise<void> }).nix()), {
      name: 'XmlRpcFault',
      code: -32601
    })
  })
)

t.test('XML-RPC has no references, and nothing but methods', t =>
  connected(t, async ({ root }) => {
    const refused = async (call: PromiseLike<unknown>, message: string) =>
      t.equal((await rejectionOf(call)).message, message)
    await refused(
      root.echo({ a: [() => 1] }),
      'args[0].a[0] is a reference, and XML-RPC has none; pass plain data'
    )
    await refused(
      root.echo(new (class A {})()),
      'args[0] is a reference, and XML-RPC has none; pass plain data'
    )
    await refused(
      root.echo(new ReadableStream()),
      'args[0] is a reference, and XML-RPC has none; pass plain data'
    )
    await refused(root.echo([Number.NaN]), 'args[0][0] is NaN, and XML-RPC has none')
    t.match(await rejectionOf(root.echo(Promise.resolve(1))), { message: /args\[0\]/ })
    for (const request of [
      Netref.get(root, 'sum'),
      Netref.set(root, 'sum' as never, 1 as never),
      Netref.obtain(root),
      (root as never as AsyncIterable<unknown>)[Symbol.asyncIterator]().next(),
      (Netref.get(root, Symbol.for('a') as never) as never as () => Promise<unknown>)()
    ] as PromiseLike<unknown>[])
      t.match(await rejectionOf(request), { code: 'not-exposed' })
    t.match(await rejectionOf(Netref.get(root, 'sum')), {
      message: /XML-RPC has methods and nothing else: call one/
    })
  })
)

t.test('the members are those that the server lists', t =>
  connected(t, async ({ root }) => {
    t.strictSame(await Netref.keys(root), ['ServiceA', 'call', 'echo', 'fail', 'never', 'sum', 'system'])
    t.equal(await Netref.has(root, 'sum'), true)
    t.equal(await Netref.has(root, 'nix' as never), false)
    t.equal(await Netref.has(root.ServiceA, 'Add'), true)
    t.strictSame(await Netref.keys(root.ServiceA), ['Add', 'deep'])
    t.strictSame(await Netref.describe(root.ServiceA), [
      { name: 'Add', kind: 'function' },
      { name: 'deep', kind: 'object' }
    ])
    const members = await Netref.describe(root)
    t.strictSame(members[0], { name: 'ServiceA', kind: 'object' })
    t.strictSame(members[5], { name: 'sum', kind: 'function', help: 'Adds two numbers' })
    t.strictSame(await Netref.describe(root.ServiceA.deep.er as never), [])
  })
)

t.test('a call that is given up ends its request', async t => {
  let closed = 0
  const { url } = await answering(t, (request, response) => {
    request.resume()
    response.once('close', () => closed++)
  })
  const conn = connectXmlRpc<Tutorial>(url)
  t.match(await rejectionOf(Netref.with(conn.root, { timeout: 50 }).never()), { name: 'TimeoutError' })
  await waitUntil(() => closed === 1)
  const controller = new AbortController()
  const call = rejectionOf(Netref.with(conn.root, { signal: controller.signal }).never())
  await waitUntil(() => conn.session.stats.pending === 1)
  controller.abort(new Error('enough'))
  t.match(await call, { message: 'enough' })
  const calls = Array.from({ length: 10 }, () => rejectionOf(conn.root.never()))
  await waitUntil(() => conn.session.stats.pending >= 10)
  await conn.close()
  for (const call of calls) t.match(await call, { code: 'closed' })
  t.match(await rejectionOf(conn.root.sum(1, 2)), { code: 'closed' })
  await assertClean(t, conn.session)
})

t.test('the connection is passed on to the clients of a server', async t => {
  await connected(t, async conn => {
    class Middle extends Service {
      exposed_other() {
        return conn.root
      }
    }
    await using server = await serve(Middle, { port: 0 })
    await using client = connect<Middle>(server.url)
    const other = (await client.root.other()) as never as typeof conn.root
    t.equal(await other.sum(1, 2), 3)
    t.match(await rejectionOf(other.echo(() => 1)), { message: /args\[0\] is a reference/ })
    Netref.release(other)
    await assertClean(t, client.session, ...server.sessions)
  })
})

t.test('a one-way call is sent, and its error is reported', t => {
  const errors: Error[] = []
  return connected(
    t,
    async ({ root }) => {
      await Netref.oneway(root.sum)(1, 2)
      await Netref.oneway(root.fail)()
      await waitUntil(() => errors.length > 0)
      t.match(errors, [{ name: 'XmlRpcFault', code: 77 }])
    },
    { onError: error => errors.push(error as Error) }
  )
})

t.test('the URL may have a name and a password', t =>
  connected(
    t,
    async (_, url) => {
      await using conn = connectXmlRpc<Tutorial>(url.replace('//', '//ann%40x:se%3Acret@'))
      t.equal(await conn.root.sum(1, 2), 3)
      const authorization = `Basic ${Buffer.from('ann@x:se:cret').toString('base64')}`
      await using other = connectXmlRpc<Tutorial>(url, { headers: { authorization } })
      t.equal(await other.root.sum(1, 2), 3)
      await using stranger = connectXmlRpc<Tutorial>(url)
      t.match(await rejectionOf(stranger.root.sum(1, 2)), {
        name: 'HttpStatusError',
        code: 'http-status',
        status: 401,
        message: /127.0.0.1:\d+ responded with the HTTP status 401 Unauthorized/
      })
    },
    {},
    {
      authenticate: ({ headers }) =>
        headers.authorization === `Basic ${Buffer.from('ann@x:se:cret').toString('base64')}`
    }
  )
)

/** A server of HTTP that answers each request in the same way. */
async function answering(t: Test, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const urls: (string | undefined)[] = []
  const server = createServer((request, response) => {
    urls.push(request.url)
    answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, urls }
}

t.test('what is no answer of XML-RPC rejects the call', async t => {
  const cases: [answer: (response: ServerResponse) => void, error: object][] = [
    [response => response.end('<html>'), { name: 'MalformedXmlError', message: /"html" in the document/ }],
    [
      response => response.end(callXml('f')),
      { name: 'MalformedXmlError', message: 'the response is a call' }
    ],
    [response => response.end(Buffer.from([0xff])), { name: 'MalformedXmlError', message: /not utf-8/ }],
    [response => response.end('x'.repeat(70_000)), { message: /the body is longer than 65536 bytes/ }],
    [
      response => response.writeHead(500).end('it\nbroke'),
      { name: 'HttpStatusError', status: 500, message: /status 500 Internal Server Error: it\\nbroke$/ }
    ],
    [response => response.writeHead(302, { location: '/' }).end(), { name: 'HttpStatusError', status: 302 }],
    [
      response => response.destroy(),
      { code: 'ECONNRESET', message: /^127.0.0.1:\d+ did not respond: ECONNRESET$/ }
    ],
    [
      response => {
        response.writeHead(200, { 'content-length': 100 }).write('x')
        setImmediate(() => response.destroy())
      },
      { message: /the connection closed before the end of the body/ }
    ],
    [
      response => response.writeHead(200, { 'content-length': 100 }).write('x'),
      { message: /no byte of the body arrived for 100 ms/ }
    ],
    [
      response => response.end(writeFault({ faultCode: 4, faultString: 'no' })),
      { name: 'XmlRpcFault', code: 4, message: 'no' }
    ],
    [
      response =>
        response.end(
          writeResult('<value>x</value>')
            .replace(/params/g, 'fault')
            .replace(/<.?param>/g, '')
        ),
      { name: 'XmlRpcFault', code: Number.NaN, message: 'undefined' }
    ]
  ]
  let next = 0
  const { url } = await answering(t, (request, response) => {
    request.resume()
    cases[next++]![0](response)
  })
  await using conn = connectXmlRpc<Tutorial>(url, { limits: { jsonBytes: 65_536, helloMs: 100 } })
  for (const [, error] of cases) t.match(await rejectionOf(conn.root.sum(1, 2)), error)
  await assertClean(t, conn.session)
})

t.test('a server without introspection, or with half of it', async t => {
  let multicall = true
  let names: unknown = ['b', 'a', 'b.c', 'd.e', 'd']
  const { url } = await answering(t, async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const call = await readXml(Buffer.concat(chunks).toString())
    const value = (xml: string) => response.end(writeResult(`<value>${xml}</value>`))
    if (call.kind === 'call' && call.method === 'system.listMethods' && Array.isArray(names))
      value(`<array><data>${names.map(name => `<value>${name}</value>`).join('')}</data></array>`)
    else if (multicall) value('text')
    else response.end(writeFault({ faultCode: 1, faultString: 'no multicall' }))
  })
  await using conn = connectXmlRpc<object>(url)
  const members = [
    { name: 'a', kind: 'function' },
    { name: 'b', kind: 'function' },
    { name: 'd', kind: 'function' }
  ]
  t.strictSame(await Netref.describe(conn.root), members, 'an odd answer gives no help')
  multicall = false
  t.strictSame(await Netref.describe(conn.root), members, 'nor does a server without multicall')
  names = ['<int>1</int>']
  t.match(await rejectionOf(Netref.keys(conn.root)), { name: 'MalformedXmlError' })
  names = undefined
  t.match(await rejectionOf(Netref.keys(conn.root)), { name: 'XmlRpcFault', message: 'no multicall' })
  await assertClean(t, conn.session)
})

t.test('a failure that is no fault fails the description', async t => {
  let requests = 0
  const { url } = await answering(t, (request, response) => {
    request.resume()
    if (requests++ === 0)
      response.end(writeResult('<value><array><data><value>a</value></data></array></value>'))
    else response.destroy()
  })
  await using conn = connectXmlRpc<object>(url)
  t.match(await rejectionOf(Netref.describe(conn.root)), { code: 'ECONNRESET' })
  await assertClean(t, conn.session)
})

t.test('a server that cannot be reached rejects the calls, and may come later', async t => {
  const server = createTcpServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  await using conn = connectXmlRpc<Tutorial>(`http://localhost:${port}`)
  t.match(await rejectionOf(conn.root.sum(1, 2)), {
    code: 'ECONNREFUSED',
    message: `localhost:${port} did not respond: ECONNREFUSED`
  })
  await using late = await serve(Tutorial, { port, host: 'localhost', gateways: [xmlRpc()] })
  t.equal(await conn.root.sum(1, 2), 3)
  t.equal(late.sessions.size, 0)
})

t.test('the path is /RPC2 unless the address has one', async t => {
  const { url, urls } = await answering(t, (_, response) => response.end(writeResult('<value/>')))
  for (const address of [url, `${url}/`, `${url}/a?b=c`, new URL(url)]) {
    await using conn = connectXmlRpc<Tutorial>(address)
    await conn.root.sum(1, 2)
  }
  t.strictSame(urls, ['/RPC2', '/', '/a?b=c', '/'])
})

t.test('wrong addresses and options throw at once', async t => {
  for (const url of ['ws://localhost', 'localhost:8000', '', 7, undefined])
    t.throws(() => connectXmlRpc(url as string), {
      name: 'TypeError',
      message: /^connectXmlRpc: .* is not an address; pass one such as "http:\/\/localhost:8000"$/
    })
  t.throws(() => connectXmlRpc('http://a', { servise: 1 } as never), TypeError)
  t.throws(() => connectXmlRpc('http://a', { service: Tutorial } as never), TypeError)
  t.throws(() => connectXmlRpc('http://a', { limits: { depth: -1 } }), RangeError)
})

t.test('https', async t => {
  const conn = connectXmlRpc<Tutorial>('https://127.0.0.1:1/')
  t.match(await rejectionOf(conn.root.sum(1, 2)), { code: 'ECONNREFUSED' })
  await conn.close()
})
