// Tests netref behind the real nginx and HAProxy: they terminate TLS, state the client's address, and cut idle
// sockets.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import {
  type ConnectOptions,
  connect,
  type Netref,
  Service,
  serve,
  type UpgradeRequest
} from '../../lib/index.js'
import { certificates } from '../support/certificates.js'
import { assertClean, waitUntil } from '../support/helpers.js'
import { skipUnlessInstalled } from '../support/installed-programs.js'
import { freePort, startProxy } from '../support/proxies.js'

/** Idle timeout of the proxies at the path `/idle`, in seconds. */
const IDLE = 1

interface Place {
  readonly port: number
  /** Port of the server behind the proxy, and an unused port. */
  readonly behind: number
  readonly nowhere: number
}

const nginx = ({ port, behind, nowhere }: Place) => `
daemon off; master_process off; pid nginx.pid; error_log stderr; events {}
http {
  access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  proxy_http_version 1.1;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection upgrade;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate server.crt; ssl_certificate_key server.key;
    location / { proxy_pass http://127.0.0.1:${behind}; }
    location /idle { proxy_pass http://127.0.0.1:${behind}; proxy_read_timeout ${IDLE}s; }
    location /denied { return 403; }
    location /down { proxy_pass http://127.0.0.1:${nowhere}; }
    location /plain { proxy_pass http://127.0.0.1:${behind}; proxy_set_header Connection close; proxy_set_header Upgrade ""; }
  }
}`

const haproxy = ({ port, behind, nowhere }: Place) => `
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend web
  bind 127.0.0.1:${port} ssl crt server.pem
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request deny if { path /denied }
  http-request del-header Upgrade if { path /plain }
  http-request set-header Connection close if { path /plain }
  use_backend idle if { path /idle }
  use_backend down if { path /down }
  default_backend netref
backend netref
  timeout tunnel 1h
  server one 127.0.0.1:${behind}
backend idle
  timeout tunnel ${IDLE}s
  server one 127.0.0.1:${behind}
backend down
  server none 127.0.0.1:${nowhere}
`

const proxies = [
  { name: 'nginx', configure: nginx, run: ['nginx', '-p', '.', '-c', 'proxy.conf', '-e', 'stderr'] },
  { name: 'HAProxy', configure: haproxy, run: ['haproxy', '-db', '-f', 'proxy.conf'] }
]

class Files extends Service {
  exposed_echo(value: unknown) {
    return value
  }
  async exposed_each(items: number[], use: Netref<(item: number) => void>) {
    for (const item of items) await use(item)
  }
}

for (const { name, configure, run } of proxies) {
  t.test(`behind ${name}`, { skip: skipUnlessInstalled(run[0]!, 'openssl') }, async t => {
    const { dir, ca } = await certificates(t)
    const asked: UpgradeRequest[] = []
    const authenticate = (request: UpgradeRequest) => {
      asked.push(request)
      return 'somebody'
    }
    const trusting = await serve(Files, { port: 0, authenticate, trustProxy: true })
    t.teardown(() => trusting.close())
    const behind = Number(new URL(trusting.url).port)
    const place = { behind, port: await freePort(), nowhere: await freePort() }
    await writeFile(join(dir, 'proxy.conf'), configure(place))
    await startProxy(t, dir, run, place.port)
    const host = `localhost:${place.port}`
    const open = (path: string, options: ConnectOptions = {}) =>
      connect<Files>(`wss://${host}${path}`, { ca, ...options })

    await t.test('calls, callbacks and bytes pass through it', async t => {
      await using conn = open('/rpc')
      t.equal(await conn.root.echo('hi'), 'hi')
      const received: number[] = []
      await conn.root.each([1, 2, 3], item => received.push(item))
      t.same(received, [1, 2, 3])
      const bytes = new Uint8Array(4 << 20).fill(7)
      t.equal(Buffer.compare((await conn.root.echo(bytes)) as Uint8Array, bytes), 0)
      await assertClean(t, conn.session, ...trusting.sessions)
    })

    await t.test('its address and host headers count, and those of the client do not', async t => {
      const headers = {
        'x-forwarded-for': '203.0.113.9',
        'x-forwarded-host': 'evil.example',
        'x-forwarded-proto': 'http'
      }
      await using conn = open('/rpc', { headers })
      await conn.ping()
      t.match(asked.at(-1), { address: '127.0.0.1', secure: true, host, path: '/rpc' })
      const forged = { headers, origin: 'http://evil.example' }
      t.match(await open('/rpc', forged).closed, { code: 'unauthorized', message: /403/ })
    })

    await t.test('pages it serves may connect, others may not', async t => {
      await using conn = open('/rpc', { origin: `https://${host}` })
      await conn.ping()
      for (const origin of [`http://${host}`, 'https://evil.example', 'null']) {
        t.match(await open('/rpc', { origin }).closed, { code: 'unauthorized', message: /403/ }, origin)
      }
      t.equal(await conn.root.echo('still'), 'still')
    })

    await t.test('an idle socket is cut and the session resumes; a heartbeat prevents it', async t => {
      const events: string[] = []
      const open = async (who: string, heartbeat?: number) => {
        const begun = new Set(trusting.sessions)
        const conn = connect<Files>(`wss://${host}/idle`, { ca, heartbeat })
        t.equal(await conn.root.echo('hi'), 'hi')
        const [served] = [...trusting.sessions].filter(session => !begun.has(session))
        for (const [end, session] of Object.entries({ client: conn.session, server: served! })) {
          session.on('interrupted', ({ code }) => events.push(`${who} ${end} ${code}`))
          session.on('resumed', () => events.push(`${who} ${end} resumed`))
          session.on('closed', ({ code }) => events.push(`${who} ${end} ${code}`))
        }
        return conn
      }
      await using beating = await open('beating', IDLE * 400)
      await using idle = await open('idle')
      await waitUntil(() => events.length === 4)
      t.same(events.sort(), [
        'idle client connection-lost',
        'idle client resumed',
        'idle server connection-lost',
        'idle server resumed'
      ])
      t.equal(await idle.root.echo('still'), 'still')
      t.equal(await beating.root.echo('still'), 'still')
    })

    await t.test('its refusals and gateway errors are quoted', async t => {
      t.match(await open('/denied').closed, { code: 'unauthorized', message: /cannot reach wss:.*403/ })
      t.match(await open('/down').closed, { code: 'unreachable', message: /50[23]/ })
      t.match(await open('/plain').closed, { code: 'unreachable', message: /426/ })
    })

    await t.test('a server without trustProxy ignores its headers', async t => {
      await trusting.close()
      await using strict = await serve(Files, { port: behind, authenticate, allowedHosts: ['localhost'] })
      await using conn = open('/rpc')
      await conn.ping()
      t.match(asked.at(-1), { address: '127.0.0.1', secure: false, host })
      const own = { origin: `https://${host}` }
      t.match(await open('/rpc', own).closed, { code: 'unauthorized', message: /403/ })
      await waitUntil(() => strict.sessions.size === 1)
    })
  })
}
