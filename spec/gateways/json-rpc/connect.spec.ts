// Specs of calling JSON-RPC servers.
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { connectJsonRpc, JsonRpcError } from '../../../lib/gateways/json-rpc.js'
import { callSignal, expose, Netref, Service } from '../../../lib/index.js'
import { assertClean, rejectionOf, waitUntil } from '../../support/helpers.js'
import { withJsonRpc } from '../../support/json-rpc.js'
import type { Untyped } from '../../support/wire.js'

let cancelled = 0
const notified: unknown[] = []

class Shop extends Service {
  static override help = { price: 'The price of an article' }
  exposed_price(article: string, currency = 'EUR') {
    return `${article} ${currency}`
  }
  exposed_nested = { deep: { add: (a: number, b: number) => a + b } }
  exposed_all = (...all: unknown[]) => all
  exposed_echo = (value: unknown) => value
  exposed_fail(): never {
    throw Object.assign(new RangeError('sold out'), { code: 17, left: 0 })
  }
  exposed_open(): Untyped {
    return expose({ close() {} })
  }
  exposed_never() {
    callSignal()?.addEventListener('abort', () => cancelled++)
    return new Promise<never>(() => {})
  }
  exposed_notify(value: unknown) {
    notified.push(value)
  }
  exposed_text = (length: number) => 'x'.repeat(length)
  exposed_deep = (levels: number) => JSON.parse('['.repeat(levels) + ']'.repeat(levels))
}

for (const protocol of ['http', 'tcp'])
  t.test(`calls over ${protocol} are those of a connection`, async t => {
    await withJsonRpc(t, Shop, async ({ port, server }) => {
      await using conn = connectJsonRpc<Shop>(`${protocol}://127.0.0.1:${port}`)
      const root = conn.root as Untyped
      t.equal(await conn.root.price('tea'), 'tea EUR')
      t.equal(await root.nested.deep.add(1, 2), 3)
      t.equal(await root['nested.deep.add'](1, 2), 3)
      t.same(await root.all(1, 'ä', [null], { a: new Date(0), b: new Map([['c', 1n]]) }), [
        ...[1, 'ä', [null]],
        { a: '1970-01-01T00:00:00.000Z', b: { c: 1 } }
      ])
      t.same(
        await Promise.all(Array.from({ length: 200 }, (_, i) => root.echo(i))),
        Array.from({ length: 200 }, (_, i) => i)
      )
      t.equal(await root.echo(root.echo(5)), 5, 'a pending result as an argument')

      const failure = await rejectionOf(root.fail())
      t.ok(failure instanceof JsonRpcError)
      t.match(failure, {
        name: 'JsonRpcError',
        message: 'sold out',
        code: 17,
        data: { name: 'RangeError', left: 0 }
      })
      t.match(await rejectionOf(root.missing()), { name: 'JsonRpcError', code: -32601 })
      t.match(await rejectionOf(root.open()), {
        message: /^result is a reference, and JSON-RPC has none; pass plain data/
      })
      t.match(await rejectionOf(root.echo({ on: () => {} })), {
        message: 'args[0].on is a reference, and JSON-RPC has none; pass plain data'
      })
      t.match(await rejectionOf(root.echo(1, expose({}))), { message: /^args\[1\] is a reference/ })
      const only = { code: 'not-exposed', message: /a JSON-RPC server has methods and nothing else/ }
      for (const use of [root.price, Netref.set(root, 'x', () => {}), new root.Price(), Netref.obtain(root)])
        t.match(await rejectionOf(use), only)

      t.same(await Netref.describe(root.nested), [{ name: 'deep', kind: 'object' }])
      const described = await Netref.describe(root)
      t.match(
        described.find(({ name }) => name === 'price'),
        { kind: 'function', parameters: ['article', 'currency?'], help: 'The price of an article' }
      )
      t.match(
        described.find(({ name }) => name === 'all'),
        { parameters: ['...all'] }
      )
      t.same(await Netref.keys(root.nested.deep), ['add'])
      t.same([await Netref.has(root, 'price'), await Netref.has(root, 'missing')], [true, false])
      await Netref.oneway(root.notify)(protocol)
      await waitUntil(() => notified.includes(protocol))

      cancelled = 0
      t.match(await rejectionOf(Netref.with(root.never, { timeout: 100 })()), { name: 'TimeoutError' })
      const giveUp = new AbortController()
      const given = Netref.with(root.never, { signal: giveUp.signal })()
      await root.echo(1)
      giveUp.abort(new Error('enough'))
      t.match(await rejectionOf(given), { message: 'enough' })
      if (protocol === 'http') await waitUntil(() => cancelled === 2, 'the requests are aborted')
      await assertClean(t, conn.session)
      const pending = rejectionOf(root.never())
      await root.echo(1)
      await conn.close()
      t.match(await pending, { name: 'SessionEndedError', code: 'closed' })
      await waitUntil(() => server.sessions.size === 0)
    })
  })

t.test('answers beyond the limits reject', async t => {
  await withJsonRpc(t, Shop, async ({ port }) => {
    const limits = { jsonBytes: 5000, depth: 10 }
    await using web = connectJsonRpc<Shop>(`http://127.0.0.1:${port}`, { limits })
    t.match(await rejectionOf(web.root.text(10_000)), /5000 bytes/)
    t.match(await rejectionOf(web.root.deep(50)), { message: /not JSON: a value is nested deeper/ })
    t.equal(await web.root.echo(1), 1, 'other calls work')
    await using tcp = connectJsonRpc<Shop>(`tcp://127.0.0.1:${port}`, { limits })
    t.match(await rejectionOf(tcp.root.text(10_000)), { name: 'SessionEndedError', code: 'protocol' })
    t.match(await tcp.closed, { code: 'protocol', message: /5000 bytes/ })
  })
})

/** Serves the answers that `answer` gives to texts, over HTTP. */
async function serveAnswers(
  t: Test,
  answer: (message: Untyped, request: IncomingMessage) => [status: number, text: string]
) {
  const server = createHttpServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const [status, body] = answer(JSON.parse(text), request)
    response.writeHead(status).end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('servers of other makes', async t => {
  const answers: Record<string, [status: number, text: string]> = {
    old: [200, '{"id":1,"result":5,"error":null}'],
    oldError: [200, '{"id":1,"result":null,"error":"no such thing"}'],
    oddError: [200, '{"id":1,"error":{"trace":"x"}}'],
    status: [500, '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"not here"}}'],
    broken: [500, 'Internal error'],
    html: [502, '{"result":1}'],
    text: [200, 'hello'],
    empty: [200, ''],
    number: [200, '5'],
    neither: [200, '{}'],
    done: [204, ''],
    'system.listMethods': [200, '{"result":["add","divide","math.sub","system.listMethods"]}'],
    'system.methodHelp': [200, '{"result":"help"}']
  }
  const seen: string[] = []
  const address = await serveAnswers(t, ({ method, params }, { headers, url }) => {
    seen.push(`${headers.authorization} ${headers['x-key']} ${url} ${method}`)
    if (method === 'system.methodHelp' && params[0] === 'add') return [200, '{"result":""}']
    if (method === 'system.methodHelp' && params[0] === 'divide') return [200, '{"result":5}']
    if (method === 'system.methodHelp' && params[0] === 'math.sub') return [200, '{"error":"none"}']
    return answers[method] ?? [200, '{"error":{"code":-32601,"message":"Method not found"}}']
  })
  await using conn = connectJsonRpc(`http://ada:p%40ss@${address}/rpc?a=b`, { headers: { 'x-key': '7' } })
  const root = conn.root as Untyped
  t.equal(await root.old(), 5)
  t.equal(seen[0], `Basic ${btoa('ada:p@ss')} 7 /rpc?a=b old`)
  t.match(await rejectionOf(root.oldError()), {
    name: 'JsonRpcError',
    message: 'no such thing',
    code: undefined
  })
  t.match(await rejectionOf(root.oddError()), { message: '{"trace":"x"}' })
  t.match(await rejectionOf(root.status()), { message: 'not here', code: -32601 })
  for (const name of ['broken', 'html'])
    t.match(await rejectionOf(root[name]()), { code: 'http-status', message: /HTTP status 50/ })
  t.match(await rejectionOf(root.broken()), {
    message: `${address} responded with the HTTP status 500 Internal Server Error: Internal error`
  })
  for (const name of ['text', 'empty', 'number', 'neither'])
    t.match(await rejectionOf(root[name]()), { code: 'protocol', message: /^the answer is not/ }, name)
  t.equal(await Netref.oneway(root.done)(), undefined)
  t.same(await Netref.describe(root), [
    { name: 'add', kind: 'function' },
    { name: 'divide', kind: 'function' },
    { name: 'math', kind: 'object' },
    { name: 'system', kind: 'object' }
  ])
  t.same(await Netref.describe(root.system), [{ name: 'listMethods', kind: 'function', help: 'help' }])
  delete answers['system.listMethods']
  t.match(await rejectionOf(Netref.keys(root)), { code: -32601 })
  answers['rpc.discover'] = [
    200,
    '{"result":{"methods":[{"name":"add","summary":"Adds","params":[{"name":"a"}]},{"name":"x.y"}]}}'
  ]
  t.same(await Netref.describe(root), [
    { name: 'add', kind: 'function', parameters: ['a?'], help: 'Adds' },
    { name: 'x', kind: 'object' }
  ])
  answers['rpc.discover'] = [500, '']
  t.match(await rejectionOf(Netref.keys(root)), { code: 'http-status' })
})

t.test('a one-way call that fails is reported', async t => {
  const address = await serveAnswers(t, () => [500, ''])
  const errors: unknown[] = []
  await using conn = connectJsonRpc(`http://${address}`, { onError: error => errors.push(error) })
  await Netref.oneway((conn.root as Untyped).add)(1)
  await waitUntil(() => errors.length > 0)
  t.match(errors, [{ code: 'http-status' }])
})

/** Serves a TCP connection. */
async function serveSocket(t: Test, onSocket: (socket: Socket) => void) {
  const server = createServer(socket => onSocket(socket.on('error', () => {}))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('the end of a TCP connection ends the session', async t => {
  const closing = connectJsonRpc(
    await serveSocket(t, socket => socket.once('data', () => socket.destroySoon()))
  )
  t.match(await rejectionOf((closing.root as Untyped).add(1)), {
    ...{ name: 'SessionEndedError', code: 'connection-lost', mayHaveRun: true }
  })
  t.match(await closing.closed, { code: 'connection-lost' })
  const resetting = connectJsonRpc(
    await serveSocket(t, socket => socket.once('data', () => socket.resetAndDestroy()))
  )
  t.match(await rejectionOf((resetting.root as Untyped).add(1)), { code: 'connection-lost' })
  const foreign = connectJsonRpc(
    await serveSocket(t, socket => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  )
  t.match(await rejectionOf((foreign.root as Untyped).add(1)), { code: 'protocol' })
  const broken = connectJsonRpc(await serveSocket(t, socket => socket.write('{"id":1,}')))
  t.match(await broken.closed, { code: 'protocol' })
})

t.test('a server that could not read a call ends the session: nobody knows which call it was', async t => {
  const url = await serveSocket(t, socket =>
    socket.once('data', () => socket.write('{"id":null,"error":{"code":-32700,"message":"what?"}}'))
  )
  const conn = connectJsonRpc(url)
  t.match(await rejectionOf((conn.root as Untyped).add(1)), {
    code: 'protocol',
    message: /could not read a call: what\?/
  })
})

t.test('answers that nobody waits for are ignored', async t => {
  const url = await serveSocket(t, socket => {
    socket.write('{"id":77,"result":1}{"id":null,"result":1}[]')
    socket.on('data', () => socket.write('{"id":1,"result":"ok","error":null}'))
  })
  await using conn = connectJsonRpc(url)
  t.equal(await (conn.root as Untyped).add(1), 'ok')
})

t.test('a server that reads nothing makes calls reject', async t => {
  const errors: Error[] = []
  const url = await serveSocket(t, socket => socket.pause())
  await using conn = connectJsonRpc(url, {
    limits: { bufferedBytes: 1 << 20 },
    onError: error => errors.push(error as Error)
  })
  const add = Netref.oneway((conn.root as Untyped).add)
  for (let i = 0; i < 200 && errors.length === 0; i++) {
    await add('x'.repeat(1 << 19))
    await conn.ping()
  }
  t.match(errors[0], { name: 'LimitError', message: /reads too slowly/ })
})

t.test('a server that is not there', async t => {
  const tcp = connectJsonRpc('tcp://127.0.0.1:1')
  t.match(await rejectionOf((tcp.root as Untyped).add(1)), { code: 'unreachable' })
  t.match(await tcp.closed, { code: 'unreachable' })
  await using web = connectJsonRpc('http://127.0.0.1:1')
  t.match(await rejectionOf(web.root.add(1)), { code: 'ECONNREFUSED' })
  t.equal(web.session.state, 'open')
})

t.test('a connection may be closed before it is open', async t => {
  const url = await serveSocket(t, () => {})
  const conn = connectJsonRpc(url)
  await conn.close()
  t.match(await conn.closed, { code: 'closed' })
})

t.test('addresses and options are checked', async t => {
  for (const address of ['', 'localhost:5', 'ws://a', 'tcp://a', 'ftp://a:1'])
    t.throws(() => connectJsonRpc(address), /is not an address/, address)
  t.throws(() => connectJsonRpc('http://a', { header: {} } as never), /there is no option `header`/)
  t.throws(() => connectJsonRpc('http://a', { service: Shop } as never), /there is no option `service`/)
  await using conn = connectJsonRpc(new URL('http://[::1]:1/'))
  t.ok(conn)
  t.match(await connectJsonRpc('tcp://[::1]:1').closed, { code: 'unreachable', message: /::1/ })
})
