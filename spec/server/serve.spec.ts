// Tests serve on existing web servers: with pages, with other sockets, and with several services.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import tls from 'node:tls'
import { serve as serveHono } from '@hono/node-server'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { connect, type ServeOptions, Service, serve, type UpgradeRequest } from '../../lib/index.js'
import { certificates } from '../support/certificates.js'
import { assertClean, waitUntil } from '../support/helpers.js'
import { skipUnlessInstalled } from '../support/installed-programs.js'

class Calculator extends Service {
  exposed_add(a: number, b: number) {
    return a + b
  }
}

type WebServer = http.Server | https.Server

/** Each kind of server, with a page at `/`. */
const servers: Record<string, (t: Test) => Promise<WebServer>> = {
  async 'node:http'(t) {
    const web = http.createServer((_, response) => response.end('the page'))
    web.listen(0, '127.0.0.1')
    await once(web, 'listening')
    t.teardown(() => web.close())
    return web
  },
  async Express(t) {
    const app = express()
    app.get('/', (_, response) => void response.send('the page'))
    const web = app.listen(0, '127.0.0.1')
    await once(web, 'listening')
    t.teardown(() => web.close())
    return web
  },
  async Fastify(t) {
    const app = fastify()
    app.get('/', () => 'the page')
    await app.listen({ port: 0, host: '127.0.0.1' })
    t.teardown(() => app.close())
    return app.server
  },
  async Hono(t) {
    const app = new Hono()
    app.get('/', context => context.text('the page'))
    const web = serveHono({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as http.Server
    await once(web, 'listening')
    t.teardown(() => web.close())
    return web
  }
}

const fixture = (name: string) =>
  readFileSync(new URL(`../support/fixtures/localhost.${name}.pem`, import.meta.url))
const KEYS = { key: fixture('key'), cert: fixture('cert') }

/** Requests the page repeatedly on one connection and offers `h2c` each time, as Java and curl do. */
async function askWithH2c(t: Test, web: WebServer, times: number): Promise<string[]> {
  const { port } = web.address() as AddressInfo
  const secure = 'setSecureContext' in web
  const socket = secure
    ? tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
    : net.connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  await once(socket, secure ? 'secureConnect' : 'connect')
  const answers: string[] = []
  for (let i = 0; i < times; i++) {
    const body = 'x'.repeat(100_000)
    const head = [
      'POST /page HTTP/1.1',
      'Host: localhost',
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
      'X-Name: caf\xe9',
      `Content-Length: ${body.length}`
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`, 'latin1')
    answers.push(String((await once(socket, 'data'))[0]))
  }
  return answers
}

for (const scheme of ['http', 'https'] as const) {
  t.test(`${scheme}: requests that offer another protocol are answered as ordinary requests`, async t => {
    const handle: http.RequestListener = (request, response) => {
      let size = 0
      request.on('data', ({ length }) => {
        size += length
      })
      request.on('end', () => response.end(JSON.stringify([request.rawHeaders, size])))
    }
    const web = scheme === 'http' ? http.createServer(handle) : https.createServer(KEYS, handle)
    web.listen(0, '127.0.0.1')
    await once(web, 'listening')
    t.teardown(() => web.close())
    const warnings: Error[] = []
    const warned = (warning: Error) => warnings.push(warning)
    process.on('warning', warned)
    t.teardown(() => process.off('warning', warned))
    const body = (answer: string) => answer.slice(answer.indexOf('['))
    const before = (await askWithH2c(t, web, 1)).map(body)
    t.match(before[0], /"Upgrade","h2c".*,100000\]$/)
    const server = await serve(Calculator, { server: web })
    t.strictSame((await askWithH2c(t, web, 1)).map(body), before)
    const many = await askWithH2c(t, web, 20)
    t.ok(many.every(answer => body(answer) === before[0]))
    t.same(warnings, [], 'no listener is left on the connection')
    await server.close()
    t.equal(web.listenerCount('upgrade'), 0)
    t.strictSame((await askWithH2c(t, web, 1)).map(body), before)
  })
}

t.test('an upgrade to another protocol is left to another handler of the server', async t => {
  const web = await servers['node:http']!(t)
  await using _ = await serve(Calculator, { server: web })
  web.on('upgrade', (request, socket) => socket.end(`HTTP/1.1 101 ${request.headers.upgrade}\r\n\r\n`))
  t.match(await askWithH2c(t, web, 1), ['HTTP/1.1 101 h2c'])
})

t.test('a server that closes while it answers such a request stops listening', async t => {
  const web = http.createServer((_, response) => {
    void server.close()
    response.end('the page')
  })
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  t.teardown(() => web.close())
  const server = await serve(Calculator, { server: web })
  t.match(await askWithH2c(t, web, 1), [/the page$/])
  t.equal(web.listenerCount('upgrade'), 0)
})

const urlOf = (web: WebServer, scheme = 'http') =>
  `${scheme}://127.0.0.1:${(web.address() as AddressInfo).port}`

for (const [name, listen] of Object.entries(servers)) {
  t.test(`${name} serves its pages, and the service beside them`, async t => {
    const web = await listen(t)
    await using server = await serve(Calculator, { server: web, path: '/rpc' })
    t.equal(server.url, `${urlOf(web, 'ws')}/rpc`)
    t.equal(await (await fetch(urlOf(web))).text(), 'the page')
    await using conn = connect<Calculator>(server.url)
    t.equal(await conn.root.add(1, 2), 3)
    await using page = connect<Calculator>(server.url, { origin: urlOf(web) })
    t.equal(await page.root.add(1, 2), 3, 'for the pages of that server')
    t.match(await connect(server.url, { origin: 'http://evil.example' }).closed, { code: 'unauthorized' })
    t.match(await connect(`${urlOf(web, 'ws')}/other`).closed, { code: 'unreachable', message: /404/ })
    t.equal(await (await fetch(urlOf(web))).text(), 'the page')
    await assertClean(t, conn.session, page.session, ...server.sessions)
    await conn.close()
    await page.close()
    await server.close()
    t.ok(web.listening, 'a server passed as `server` is not closed')
    t.equal(await (await fetch(urlOf(web), { headers: { connection: 'close' } })).text(), 'the page')
  })
}

t.test('several services share one server by path, with a default', async t => {
  const web = await servers['node:http']!(t)
  const say = (word: string) => ({ word: () => word })
  const serveAt = (word: string, options: ServeOptions) => serve(say(word), { server: web, ...options })
  const hear = async (path: string) => {
    await using conn = connect<{ word(): string }>(`${urlOf(web, 'ws')}${path}`)
    return await conn.root.word()
  }
  const a = await serveAt('a', { path: '/a' })
  await using b = await serveAt('b', { path: '/b', limits: { sessions: 1 } })
  t.same([await hear('/a'), await hear('/b'), await hear('/b?query=1')], ['a', 'b', 'b'])
  t.match(await connect(`${urlOf(web, 'ws')}/a/more`).closed, { message: /404/ })
  await t.rejects(serveAt('x', { path: '/a' }), {
    message: 'serve: path "/a" of that server is already in use; choose another path'
  })
  await using rest = await serveAt('rest', {})
  t.same([await hear('/a'), await hear('/c'), await hear('/')], ['a', 'rest', 'rest'])
  await t.rejects(serveAt('x', {}), {
    message: 'serve: any path of that server is already in use; choose another path'
  })
  await a.close()
  t.equal(await hear('/a'), 'rest', 'a path can be used again when its service is closed')
  await rest.close()
  t.match(await connect(`${urlOf(web, 'ws')}/a`).closed, { message: /404/ })
  t.equal(await hear('/b'), 'b')
  await b.close()
  t.equal(web.listenerCount('upgrade'), 0, 'nothing is left behind')
  await using again = await serveAt('again', { path: '/a' })
  t.equal(await hear('/a'), 'again')
  t.ok(again.url)
})

t.test('serve works beside other WebSocket servers on the same server', async t => {
  const web = await servers['node:http']!(t)
  const others = new WebSocketServer({ noServer: true })
  web.on('upgrade', (request, socket, head) => {
    if (request.url !== '/chat') return
    others.handleUpgrade(request, socket, head, client => client.send('chat'))
  })
  await using server = await serve(Calculator, { server: web, path: '/rpc' })
  await using conn = connect<Calculator>(server.url)
  t.equal(await conn.root.add(1, 2), 3)
  const chat = new WebSocket(`${urlOf(web, 'ws')}/chat`)
  const [message] = await once(chat, 'message')
  t.equal(String(message), 'chat')
  chat.close()
  await server.close()
  const later = new WebSocket(`${urlOf(web, 'ws')}/chat`)
  t.equal(String((await once(later, 'message'))[0]), 'chat', 'they continue when it is closed')
  later.close()
})

t.test('an invalid server or path throws at once', async t => {
  const path = (path: string) => serve(Calculator, { port: 0, path })
  await t.rejects(path('rpc'), /^serve: path "rpc" must begin with "\/" and have no query/)
  await t.rejects(path('/rpc?a'), TypeError)
  for (const server of [express(), fastify(), new Hono(), {}, { on() {} }, null, 7]) {
    await t.rejects(serve(Calculator, { server: server as object }), /^serve: `server` is not an HTTP server/)
  }
})

t.test(
  'https: clients connect by wss:// and are identified by certificates',
  { skip: skipUnlessInstalled('openssl') },
  async t => {
    const { ca, server: own, ada, eve } = await certificates(t)
    const web = https.createServer({ ...own, ca, requestCert: true, rejectUnauthorized: false })
    web.listen(0, '127.0.0.1')
    await once(web, 'listening')
    t.teardown(() => web.close())
    const asked: UpgradeRequest[] = []
    await using server = await serve(({ identity }) => ({ name: () => identity }), {
      server: web,
      authenticate(request: UpgradeRequest) {
        asked.push(request)
        return request.certificate?.subject.CN
      }
    })
    t.match(server.url, /^wss:/)
    type Named = { name(): unknown }
    await using conn = connect<Named>(server.url, { ca, ...ada })
    t.equal(await conn.root.name(), 'ada')
    t.match(asked[0], { secure: true, certificate: { issuer: { CN: 'the ca' }, subject: { CN: 'ada' } } })
    t.match(await connect(server.url, { ca }).closed, { code: 'unauthorized', message: /401/ }, 'without one')
    t.match(
      await connect(server.url, { ca, ...eve }).closed,
      { code: 'unauthorized', message: /401/ },
      'of no CA'
    )
    t.same(
      asked.slice(1).map(({ certificate }) => certificate),
      [undefined, undefined]
    )
    t.match(await connect(server.url, { ...ada }).closed, { code: 'unreachable', message: /certificate/ })
    await using page = connect<Named>(server.url, { ca, ...ada, origin: urlOf(web, 'https') })
    t.equal(await page.root.name(), 'ada', 'a page from https is of the same origin')
    t.match(await connect(server.url, { ca, ...ada, origin: urlOf(web) }).closed, { message: /403/ })
    await assertClean(t, conn.session, page.session, ...server.sessions)
  }
)

t.test('express middleware reads the request and its session cookie', async t => {
  const users = new Map([['s1', 'ada']])
  const app = express()
  // Like `express-session`: it stores its result on the request.
  const session: express.RequestHandler = (request, _response, next) => {
    const sid = /sid=(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? ''
    Object.assign(request, { session: { user: users.get(sid) } })
    next()
  }
  app.use(session)
  const web = app.listen(0, '127.0.0.1')
  await once(web, 'listening')
  t.teardown(() => web.close())
  await using server = await serve(({ identity }) => ({ name: () => identity }), {
    server: web,
    path: '/rpc',
    authenticate: (request: UpgradeRequest) =>
      new Promise<unknown>(resolve => {
        const message = request.message as express.Request & { session?: { user: unknown } }
        session(message, {} as express.Response, () => resolve(message.session?.user))
      })
  })
  await using conn = connect<{ name(): unknown }>(server.url, { headers: { cookie: 'sid=s1' } })
  t.equal(await conn.root.name(), 'ada')
  t.match(await connect(server.url, { headers: { cookie: 'sid=s2' } }).closed, { code: 'unauthorized' })
  await waitUntil(() => server.sessions.size === 1)
})

t.test('a server of its own closes at once despite idle connections', { timeout: 10_000 }, async t => {
  const server = await serve(Calculator, { port: 0 })
  const { port } = new URL(server.url)
  const agent = new http.Agent({ keepAlive: true })
  const request = http.get({ host: '127.0.0.1', port, agent })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  response.resume()
  await once(response, 'end')
  await server.close()
  agent.destroy()
  t.pass()
})
