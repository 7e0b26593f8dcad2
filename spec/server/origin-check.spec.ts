import http from 'node:http'
import { networkInterfaces } from 'node:os'
import t from 'tap'
import { connect, type ServeOptions, type Server, serve } from '../../lib/index.js'
import { overSocket, rejectionOf } from '../support/helpers.js'

const service = { transfer: () => 'done' }

/** The answer of a server to an upgrade request with these headers. */
async function knock(
  server: Server,
  headers: Record<string, string>
): Promise<{ status: number; text: string }> {
  const { hostname, port, pathname } = new URL(server.url.replace('localhost', '127.0.0.1'))
  const handshake = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': Buffer.from('0123456789abcdef').toString('base64')
  }
  const request = http.get({ host: hostname, port, path: pathname, headers: { ...handshake, ...headers } })
  const answer = new Promise<{ status: number; text: string }>((resolve, reject) => {
    request.on('error', reject)
    request.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve({ status: response.statusCode!, text: '' })
    })
    request.on('response', async response => {
      let text = ''
      for await (const part of response) text += part
      resolve({ status: response.statusCode!, text: text.trim() })
    })
  })
  return answer
}

/** Requests an upgrade from a server with these options; the host `self` stands for its own address. */
async function answers(options: ServeOptions, headers: Record<string, string>) {
  await using server = await serve(service, { port: 0, onError() {}, ...options })
  const { host, port } = new URL(server.url)
  const own = Object.entries(headers).map(([name, value]) => [
    name,
    value.replace('self', host).replace('PORT', port)
  ])
  const answer = await knock(server, Object.fromEntries(own))
  return { ...answer, text: answer.text.replaceAll(port, 'PORT') }
}

const LET_IN = { status: 101 }
const FOREIGN = { status: 403, text: /^Origin ".*" is neither the server's own nor in allowedOrigins$/ }
const MISNAMED = { status: 403, text: /^Host ".*" is not in allowedHosts$/ }

t.test('a client other than a browser sends no origin and is accepted', async t => {
  t.match(await answers({}, {}), LET_IN)
  await overSocket(t, service, async conn => {
    t.equal(await conn.root.transfer(), 'done')
  })
})

t.test('attack: a page of another site opens a socket with the user’s cookies', async t => {
  const hijack = { origin: 'https://evil.example', cookie: 'sid=of-the-user' }
  t.match(await answers({}, hijack), FOREIGN)
  let asked = 0
  const authenticate = ({ cookies }: { cookies: object }) => {
    asked++
    return 'sid' in cookies
  }
  t.match(await answers({ authenticate }, hijack), FOREIGN)
  t.equal(asked, 0, '`authenticate` is not called')
  t.match(await answers({ authenticate }, { ...hijack, origin: 'http://self' }), LET_IN)
  t.equal(asked, 1)
  // Similar origins: another port or scheme of this machine, names with the same beginning or end, a list.
  for (const origin of [
    'http://127.0.0.1:1',
    'https://self',
    'http://self.evil.example',
    'http://evil.example#self',
    'http://evil@self',
    'http://self, http://evil.example',
    'file://',
    ''
  ]) {
    t.match(await answers({}, { origin }), FOREIGN, origin)
  }
})

t.test('onError receives each refused origin once, up to a maximum', async t => {
  const events: unknown[] = []
  const onError = (error: unknown) => events.push(error)
  await using server = await serve(service, { port: 0, onError })
  const origin = 'http://localhost:5173'
  const knocks: Record<string, string>[] = [{ origin }, { origin }, { host: 'rebound.example' }]
  for (const headers of knocks) t.equal((await knock(server, headers)).status, 403)
  t.match(events, [
    {
      name: 'NetrefError',
      code: 'unauthorized',
      message:
        'serve: a client was refused: Origin "http://localhost:5173" is neither the server\'s own nor in allowedOrigins; add it there to accept it'
    },
    { message: /^serve: a client was refused: Host "rebound\.example" is not in allowedHosts; add it/ }
  ])
  t.equal(events.length, 2)
  for (let i = 0; i < 120; i++) await knock(server, { origin: `http://page-${i}.example` })
  t.equal(events.length, 100)
})

t.test('a refused client other than a page gets the reason', async t => {
  await using server = await serve(service, { port: 0, onError() {} })
  const { closed } = connect(server.url, { origin: 'http://localhost:5173' })
  t.match(await closed, {
    code: 'unauthorized',
    message:
      /response: 403 \(Origin "http:\/\/localhost:5173" is neither the server's own nor in allowedOrigins\)$/
  })
})

t.test('attack: DNS rebinding', async t => {
  const rebound = { host: 'evil.example:PORT', origin: 'http://evil.example:PORT' }
  t.match(await answers({}, rebound), MISNAMED)
  t.match(await answers({ host: 'localhost' }, rebound), MISNAMED)
  t.match(
    await answers({ host: '0.0.0.0' }, rebound),
    MISNAMED,
    'the connection came by loopback, for any bound address'
  )
  t.match(await answers({ allowedOrigins: '*' }, rebound), MISNAMED)
  t.match(await answers({}, { host: 'evil.example' }), MISNAMED, 'the port may be the usual one')
  for (const host of [
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil.example#localhost',
    'a@localhost',
    '::1'
  ]) {
    t.match(await answers({}, { host }), MISNAMED, host)
  }
  for (const host of [
    'localhost:PORT',
    'LOCALHOST',
    'app.localhost:PORT',
    'localhost.',
    '127.8.8.8',
    '[::1]:PORT'
  ]) {
    t.match(
      await answers({}, { host, origin: `http://${host.replace('LOCALHOST', 'localhost')}` }),
      LET_IN,
      host
    )
  }
})

t.test('attack: a page without an origin, as in a sandboxed frame', async t => {
  t.match(await answers({}, { origin: 'null' }), FOREIGN)
  t.match(await answers({ allowedOrigins: ['https://app.example'] }, { origin: 'null' }), FOREIGN)
  t.match(await rejectionOf(serve(service, { port: 0, allowedOrigins: ['null'] })), {
    message: /^serve: allowedOrigins: "null" is not an origin/
  })
})

t.test('attack: forged proxy headers without a proxy', async t => {
  const forged = {
    origin: 'https://evil.example',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    'x-forwarded-for': '203.0.113.9',
    forwarded: 'host=evil.example;proto=https'
  }
  t.match(await answers({}, forged), FOREIGN)
  t.match(
    await answers({}, { ...forged, origin: 'https://self' }),
    FOREIGN,
    'the forwarded scheme is ignored'
  )
  t.match(await answers({}, { ...forged, host: 'evil.example' }), MISNAMED)
  const addresses: unknown[] = []
  const authenticate = ({ address, secure }: { address: string | undefined; secure: boolean }) =>
    addresses.push(address, secure)
  t.match(await answers({ authenticate }, { ...forged, origin: 'http://self' }), LET_IN)
  t.match(await answers({ authenticate, trustProxy: true }, forged), LET_IN)
  t.same(addresses, ['127.0.0.1', false, '203.0.113.9', true])
})

t.test('with trustProxy the last forwarded value counts', async t => {
  const trust = { trustProxy: true }
  const site = {
    origin: 'https://app.example',
    'x-forwarded-host': 'app.example',
    'x-forwarded-proto': 'https'
  }
  t.match(await answers(trust, site), LET_IN)
  t.match(await answers(trust, { ...site, 'x-forwarded-proto': 'wss' }), LET_IN)
  t.match(await answers(trust, { ...site, 'x-forwarded-proto': 'http' }), FOREIGN)
  t.match(await answers(trust, { ...site, 'x-forwarded-host': 'evil.example, app.example' }), LET_IN)
  t.match(await answers(trust, { ...site, 'x-forwarded-host': 'app.example, evil.example' }), FOREIGN)
  t.match(await answers({ ...trust, allowedHosts: ['rpc.example'] }, site), MISNAMED)
  t.match(await answers({ ...trust, allowedHosts: ['app.example'] }, site), LET_IN)
  t.match(
    await answers(trust, { host: 'evil.example', origin: 'http://evil.example' }),
    MISNAMED,
    'a client that bypasses the proxy is an ordinary client'
  )
})

t.test('origins and hosts may be allowed by name', async t => {
  const allowedOrigins = ['https://App.example:443/', 'http://localhost:5173', 'chrome-extension://abc']
  for (const origin of ['https://app.example', 'http://localhost:5173', 'chrome-extension://abc']) {
    t.match(await answers({ allowedOrigins }, { origin }), LET_IN, origin)
  }
  for (const origin of ['http://app.example', 'https://app.example:8443', 'https://sub.app.example']) {
    t.match(await answers({ allowedOrigins }, { origin }), FOREIGN, origin)
  }
  for (const origin of ['https://evil.example', 'null', 'file://']) {
    t.match(await answers({ allowedOrigins: '*' }, { origin }), LET_IN, origin)
  }
  const allowedHosts = ['rpc.example', '[fe80::1]']
  const host = 'RPC.example:PORT'
  t.match(await answers({ allowedHosts }, { host, origin: 'http://rpc.example:PORT' }), LET_IN)
  t.match(await answers({ allowedHosts }, { host: 'evil.example' }), MISNAMED)
})

t.test('invalid origins and hosts throw and are named', async t => {
  for (const origin of [
    'app.example',
    '*',
    'https://app.example/path',
    'https://',
    'https://*.example',
    7 as never
  ]) {
    await t.rejects(serve(service, { port: 0, allowedOrigins: [origin] }), TypeError, String(origin))
  }
  for (const host of ['https://rpc.example', 'rpc.example:80', 'rpc.example/a', '', '*.example']) {
    await t.rejects(
      serve(service, { port: 0, allowedHosts: [host] }),
      /^serve: allowedHosts: ".*" is not/,
      String(host)
    )
  }
})

const outward = Object.values(networkInterfaces())
  .flat()
  .find(at => at && at.family === 'IPv4' && !at.internal)?.address

t.test(
  'a non-loopback address accepts any Host unless allowedHosts is set',
  { skip: outward === undefined && 'this machine has no address but the loopback one' },
  async t => {
    const seen = { host: outward }
    const page = { host: 'box.example', origin: 'http://box.example' }
    t.match(await answers(seen, page), LET_IN)
    t.match(await answers(seen, { ...page, origin: 'http://evil.example' }), FOREIGN)
    t.match(await answers({ ...seen, allowedHosts: ['box.example'] }, page), LET_IN)
    t.match(await answers({ ...seen, allowedHosts: ['rpc.example'] }, page), MISNAMED)
  }
)
