// Attacks on the gateways of netref, by the headers and bytes that browsers and others send: no method runs unasked.
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import type { Gateway } from '../../lib/gateway.js'
import { jsonRpc } from '../../lib/gateways/json-rpc.js'
import { rpyc } from '../../lib/gateways/rpyc.js'
import { xmlRpc } from '../../lib/gateways/xml-rpc.js'
import { connect, type ServeOptions, type Server, serve } from '../../lib/index.js'
import { waitUntil } from '../support/helpers.js'

/** Requests that call `hit`, by content type. */
const TEXTS = {
  'application/json': '{"jsonrpc":"2.0","id":1,"method":"hit","params":["json"]}',
  'text/xml':
    '<methodCall><methodName>hit</methodName><params><param><value>xml</value></param></params></methodCall>'
} as const
const JSON_TEXT = TEXTS['application/json']
/** RPyC's request for the root. */
const GET_ROOT = Buffer.from('000000080012515111531152020a', 'hex')

const EVIL = 'http://evil.example'

/** Serves by all gateways, on one port and on a port of their own each. */
async function serveTarget(options: ServeOptions = {}, own: object = {}) {
  const hits: unknown[] = []
  const finishers: ((result: string) => void)[] = []
  const service = {
    hit: (...args: unknown[]) => hits.push(...args),
    slow: () => new Promise<string>(resolve => finishers.push(resolve))
  }
  const errors: string[] = []
  const gateways = [
    rpyc(own),
    jsonRpc(own),
    xmlRpc(),
    { ...rpyc({ ...own, port: 0 }), name: 'rpyc-alone' },
    { ...jsonRpc({ ...own, port: 0 }), name: 'json-rpc-alone' }
  ]
  const onError = (error: unknown) => void errors.push(String(error))
  const server = await serve(service, { port: 0, gateways, onError, ...options })
  const { 'rpyc-alone': rpycPort, 'json-rpc-alone': jsonPort } = server.gatewayPorts
  return {
    server,
    hits,
    errors,
    finishers,
    ports: [server.port, rpycPort!, jsonPort!] as const
  }
}

/** Sends a request. @returns the status and the text; none if the connection is closed without a response */
async function send(
  port: number,
  headers: http.OutgoingHttpHeaders,
  body: string = JSON_TEXT,
  method = 'POST'
): Promise<{ status: number; text: string; headers: http.IncomingHttpHeaders } | undefined> {
  const request = http.request({ port, host: '127.0.0.1', method, headers, agent: false })
  request.end(method === 'OPTIONS' ? undefined : body)
  try {
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    return { status: response.statusCode!, text: await text(response), headers: response.headers }
  } catch {
    return undefined
  }
}

/** Connects and writes. */
function dial(port: number, bytes: string | Uint8Array): Socket {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {}).write(bytes)
  return socket
}

/** Writes, and reads until the server closes. */
async function exchange(port: number, bytes: string | Uint8Array): Promise<string> {
  const socket = dial(port, bytes)
  return text(socket).catch(() => '')
}

async function ends(t: Test, server: Server) {
  await waitUntil(() => server.sessions.size === 0)
  t.match(server.metrics, { exports: 0, imports: 0, pending: 0 })
  await server.close()
}

t.test('requests of pages of other origins', async t => {
  const { server, hits, ports } = await serveTarget()
  const [port, rpycPort, jsonPort] = ports
  const types = [
    ...Object.keys(TEXTS),
    'text/plain',
    'text/plain; charset=utf-8',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    undefined
  ]
  for (const origin of [
    EVIL,
    'null',
    'http://localhost:1',
    `https://127.0.0.1:${port}`,
    'chrome-extension://abc'
  ])
    for (const type of types)
      for (const body of Object.values(TEXTS)) {
        const headers = { origin, ...(type && { 'content-type': type }) }
        t.match(await send(port, headers, body), { status: 403 }, `${origin} ${type}`)
        t.match(await send(jsonPort, headers, body), { status: 403 }, `alone: ${origin} ${type}`)
        t.equal(await send(rpycPort, headers, body), undefined, 'RPyC closes the connection')
      }
  t.match(
    await send(port, { origin: EVIL, 'access-control-request-method': 'POST' }, '', 'OPTIONS'),
    { status: 403, headers: { 'access-control-allow-origin': undefined } },
    'a preflight is not answered'
  )
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH'])
    t.match(await send(jsonPort, { 'content-type': 'application/json' }, JSON_TEXT, method), { status: 405 })
  t.same(hits, [])
  await ends(t, server)
})

t.test('requests of a page whose name is resolved to this machine', async t => {
  const { server, hits, ports } = await serveTarget()
  for (const port of [ports[0], ports[2]])
    for (const [type, body] of Object.entries(TEXTS))
      for (const host of [
        `evil.example:${port}`,
        '127.0.0.1.evil.example',
        'localhost.evil.example',
        '0x7f.1@evil'
      ]) {
        const headers = { host, 'content-type': type }
        t.match(await send(port, { ...headers, origin: `http://${host}` }, body), { status: 403 }, host)
        t.match(await send(port, headers, body), { status: 403 }, `${host} without an origin`)
      }
  for (const port of [ports[0], ports[2]])
    for (const head of ['HTTP/1.0', 'HTTP/1.1\r\nHost:']) {
      const request = `POST / ${head}\r\nConnection: close\r\nContent-Type: application/json`
      const said = await exchange(
        port,
        `${request}\r\nContent-Length: ${JSON_TEXT.length}\r\n\r\n${JSON_TEXT}`
      )
      t.match(said, /^HTTP\/1\.1 403 /, 'without a name')
    }
  t.same(hits, [])
  await ends(t, server)
})

t.test('requests of a page that may connect', async t => {
  const { server, hits, ports } = await serveTarget({ allowedOrigins: [EVIL] })
  const [port] = ports
  const preflight = await send(port, { origin: EVIL, 'access-control-request-method': 'POST' }, '', 'OPTIONS')
  t.match(preflight, {
    status: 204,
    headers: {
      'access-control-allow-origin': EVIL,
      'access-control-allow-methods': 'POST',
      'access-control-allow-credentials': undefined,
      vary: 'origin'
    }
  })
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', undefined])
    for (const body of Object.values(TEXTS))
      t.match(await send(port, { origin: EVIL, ...(type && { 'content-type': type }) }, body), {
        status: 415,
        text: /^the content type .* is not accepted here/
      })
  t.same(hits, [], 'none that a page may send unasked')
  for (const [type, body] of Object.entries(TEXTS))
    t.match(await send(port, { origin: EVIL, 'content-type': type }, body), { status: 200 })
  t.same(hits, ['json', 'xml'])
  await ends(t, server)
})

t.test('a request in the body of a request, and behind it', async t => {
  const { server, hits, ports } = await serveTarget()
  const head = (length: number, origin: string) =>
    `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${origin}Content-Length: ${length}\r\n\r\n`
  const inner = head(JSON_TEXT.length, '') + JSON_TEXT
  for (const port of ports) {
    await exchange(port, `${head(inner.length, `Origin: ${EVIL}\r\n`)}${inner}no request\r\n\r\n`)
    await exchange(
      port,
      `POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: ${EVIL}\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`
    )
    await exchange(port, `GET / HTTP/1.1 ${JSON_TEXT}\r\n\r\n`)
  }
  t.same(hits, [])
  await ends(t, server)
})

t.test('first bytes that are of no protocol of the port', async t => {
  const { server, hits, ports } = await serveTarget()
  const [port, rpycPort, jsonPort] = ports
  const foreign: Record<string, string | Uint8Array> = {
    'a TLS client': Buffer.from('16030102000100', 'hex'),
    'an HTTP/2 client': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'a relay of WebRTC': Buffer.from('000300242112a44200000000000000000000000000060008', 'hex'),
    'ICE over TCP': Buffer.from('006c000100582112a442', 'hex'),
    'lower case': `post / HTTP/1.1\r\n\r\n${JSON_TEXT}`,
    'a quote': `"x"${JSON_TEXT}`,
    'a length beyond the first message': Buffer.from('00ffffff00125151', 'hex')
  }
  for (const [name, bytes] of Object.entries(foreign))
    for (const at of ports) t.match(await exchange(at, bytes), /^(HTTP\/1\.1 400 |$)/, name)
  t.equal(await exchange(rpycPort, JSON_TEXT), '', 'JSON for RPyC')
  t.equal(await exchange(jsonPort, GET_ROOT), '', 'RPyC for JSON')
  t.equal(
    await exchange(port, 'GET / HTTP/1.1\r\n\r\n{').then(said => said.slice(0, 12)),
    'HTTP/1.1 400',
    'no Host'
  )
  t.same(hits, [])
  await ends(t, server)
})

t.test('a server that authenticates: clients of byte streams cannot show who they are', async t => {
  const seen: unknown[] = []
  const { server, hits, errors, ports } = await serveTarget({
    authenticate: async ({ headers, token, gateway }) => {
      const bearer = await token()
      seen.push(gateway)
      return bearer === 'ada' || headers.authorization === 'Basic YWRhOnNlY3JldA==' ? 'ada' : null
    }
  })
  const [port, rpycPort, jsonPort] = ports
  for (const at of [port, rpycPort]) t.equal(await exchange(at, GET_ROOT), '')
  for (const at of [port, jsonPort]) t.equal(await exchange(at, JSON_TEXT), '')
  t.same([hits, seen], [[], []], '`authenticate` is not asked')
  t.match(server.metrics.gateways, { rpyc: { clientsRefused: 1 }, 'json-rpc': { clientsRefused: 1 } })
  t.match(errors.join('\n'), /authenticate/, 'the option that is missing is told')
  for (const [type, body] of Object.entries(TEXTS)) {
    const asked = (headers: object) => send(port, { 'content-type': type, ...headers }, body)
    t.match(await asked({}), { status: 401 })
    t.match(await asked({ authorization: 'Bearer eve' }), { status: 401 })
    t.match(await asked({ authorization: 'Basic ZXZlOng=' }), { status: 401 })
    t.equal(hits.length, 0)
    t.match(await asked({ authorization: 'Bearer ada' }), { status: 200 })
    t.match(await asked({ authorization: 'Basic YWRhOnNlY3JldA==' }), { status: 200 })
    t.same(hits.splice(0).length, 2)
  }
  t.same([...new Set(seen)], ['json-rpc', 'xml-rpc'])
  await ends(t, server)
})

t.test('`authenticate` of a gateway says what its clients are', async t => {
  const { server, hits, ports } = await serveTarget(
    { authenticate: () => null },
    { authenticate: ({ address }: { address: string | undefined }) => `at ${address}` }
  )
  const socket = dial(ports[0], JSON_TEXT)
  await once(socket, 'data')
  const python = dial(ports[0], GET_ROOT)
  await once(python, 'data')
  t.same([...server.sessions].map(({ gateway, identity }) => [gateway, identity]).sort(), [
    ['json-rpc', 'at 127.0.0.1'],
    ['rpyc', 'at 127.0.0.1']
  ])
  t.same(hits, ['json'])
  t.match(await send(ports[0], { 'content-type': 'text/xml' }, TEXTS['text/xml']), { status: 401 })
  socket.destroy()
  python.destroy()
  await ends(t, server)
})

t.test('a server that drains lets calls finish, and ends the idle clients of each gateway', async t => {
  const { server, errors, finishers, ports } = await serveTarget()
  const python = dial(ports[0], GET_ROOT)
  await once(python, 'data')
  const idle = dial(ports[2], JSON_TEXT)
  await once(idle, 'data')
  const conn = connect(server.url)
  await conn.ping()
  const call = JSON_TEXT.replace('hit', 'slow')
  const busy = dial(ports[0], call)
  const answer = text(busy)
  const xml = TEXTS['text/xml'].replace('hit', 'slow').replace(/<params>.*<.params>/, '')
  const response = send(ports[0], { 'content-type': 'text/xml' }, xml)
  await waitUntil(() => finishers.length === 2)
  const closed = server.close({ drain: 10_000 })
  await Promise.all([python, idle].map(socket => once(socket.resume(), 'close')))
  t.equal(busy.destroyed, false)
  for (const finish of finishers) finish('late')
  t.match(await answer, /"result":"late"/)
  t.match(await response, { status: 200, text: '<string>late</string>' })
  await closed
  await conn.close()
  t.equal(server.sessions.size, 0)
  t.same(errors, [])
  for (const port of ports) t.equal(await exchange(port, JSON_TEXT), '', 'nothing listens')
})

t.test('gateways listen on the loopback address unless told otherwise', async t => {
  const addresses: string[] = []
  const spy = (gateway: Gateway): Gateway => ({
    ...gateway,
    opened: ({ host }) => void addresses.push(host)
  })
  const server = await serve(
    {},
    {
      port: 0,
      gateways: [spy(rpyc({ port: 0 })), spy(jsonRpc())]
    }
  )
  t.same(addresses, ['127.0.0.1', '127.0.0.1'])
  await server.close()
  const web = http.createServer().listen(0, '0.0.0.0')
  await once(web, 'listening')
  const beside = await serve({}, { server: web, gateways: [spy(rpyc({ port: 0 }))] })
  t.equal(addresses[2], '127.0.0.1', 'beside a server of yours, too')
  t.equal((web.address() as AddressInfo).address, '0.0.0.0')
  await beside.close()
  web.close()
})
