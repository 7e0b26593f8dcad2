// What a hostile page can send to gateways from a real browser: no method of the service may run.
import { once } from 'node:events'
import { createServer as createWebServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { jsonRpc } from '../../lib/gateways/json-rpc.js'
import { pyro } from '../../lib/gateways/pyro.js'
import { rpyc } from '../../lib/gateways/rpyc.js'
import { xmlRpc } from '../../lib/gateways/xml-rpc.js'
import { type ServeOptions, type Server, serve } from '../../lib/index.js'
import { launchBrowser, noChromium } from '../support/chromium.js'
import { assertClean, waitUntil } from '../support/helpers.js'

// biome-ignore lint/suspicious/noExplicitAny: the DOM, which the types here do not know
type Dom = any
declare const document: Dom
declare const navigator: Dom
declare const RTCPeerConnection: Dom

const options = { skip: noChromium ?? false }

/** Requests that call `hit` if they arrive, by content type. */
const TEXTS = {
  'application/json': '{"jsonrpc":"2.0","id":1,"method":"hit","params":["json"]}',
  'text/xml':
    '<methodCall><methodName>hit</methodName><params><param><value>xml</value></param></params></methodCall>'
} as const
/** One that is JSON as the text of a form, too: `{"…":"=…"}`. */
const FORM_FIELD = ['{"jsonrpc":"2.0","id":1,"method":"hit","params":["', '"]}'] as const

/** Serves `hit` by all gateways, on one port and on a port of their own each. `hits` has the calls that ran. */
async function serveTarget(options: ServeOptions = {}) {
  const hits: unknown[] = []
  const errors: unknown[] = []
  const own = { port: 0 }
  const server = await serve(
    { hit: (...args: unknown[]) => hits.push(...args) },
    {
      port: 0,
      gateways: [
        rpyc(),
        jsonRpc(),
        xmlRpc(),
        pyro(),
        { ...rpyc(own), name: 'rpyc-alone' },
        { ...jsonRpc(own), name: 'json-rpc-alone' },
        { ...pyro(own), name: 'pyro-alone' }
      ],
      onError: error => errors.push(error),
      ...options
    }
  )
  const ports = [server.port, ...Object.values(server.gatewayPorts)]
  return { server, hits, errors, urls: ports.map(port => `http://127.0.0.1:${port}/`) }
}

async function ends(t: Test, server: Server) {
  await waitUntil(() => Object.values(server.metrics.gateways).every(({ clients }) => clients === 0))
  t.equal(server.sessions.size, 0)
  await assertClean(t, ...server.sessions)
  await server.close()
}

/** Serves an empty page without a policy, and opens it in a browser. */
async function openPage(t: Test, browser: Awaited<ReturnType<typeof launchBrowser>>) {
  const web = createWebServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>evil</title>')
  }).listen(0, '127.0.0.1')
  await once(web, 'listening')
  t.teardown(() => web.close().closeAllConnections())
  const origin = `http://localhost:${(web.address() as AddressInfo).port}`
  const page = await browser.newPage()
  await page.goto(`${origin}/`)
  return { page, origin }
}

/** Sends what a page can send by scripts. @returns what each attempt came to, by name */
const sendByScripts = (page: Page, url: string) =>
  page.evaluate(
    async ({ url, TEXTS }) => {
      const outcomes: Record<string, string> = {}
      const attempt = async (name: string, send: () => Promise<unknown>) => {
        outcomes[name] = await send().then(String, error => error.message)
      }
      const post = async (body: Dom, init: RequestInit = {}) => {
        const response = await fetch(url, { method: 'POST', body, ...init })
        return `${response.type} ${response.status}`
      }
      for (const [type, text] of Object.entries(TEXTS)) {
        const bytes = new TextEncoder().encode(text)
        for (const mode of ['cors', 'no-cors'] as const) {
          const label = `${type}, ${mode}`
          await attempt(label, () => post(text, { mode, headers: { 'content-type': type } }))
          await attempt(`${label}, text`, () => post(text, { mode }))
          await attempt(`${label}, bytes`, () => post(bytes, { mode }))
          await attempt(`${label}, Blob`, () => post(new Blob([text]), { mode }))
          await attempt(`${label}, Blob with a type`, () => post(new Blob([text], { type }), { mode }))
          await attempt(`${label}, no referrer`, () => post(bytes, { mode, referrerPolicy: 'no-referrer' }))
          await attempt(`${label}, form`, () => post(new URLSearchParams({ [text]: '' }), { mode }))
          await attempt(`${label}, keepalive`, () => post(bytes, { mode, keepalive: true }))
          await attempt(`${label}, credentials`, () => post(bytes, { mode, credentials: 'include' }))
        }
        for (const method of ['PUT', 'PYRO'])
          await attempt(`${type}, ${method}`, () => post(text, { method }))
        for (const body of [text, bytes, new Blob([text]), new Blob([text], { type })])
          navigator.sendBeacon(url, body)
      }
      await attempt('GET', () => fetch(`${url}?${TEXTS['application/json']}`))
      await attempt('TLS', () => fetch(url.replace('http:', 'https:'), { method: 'POST', body: 'x' }))
      await attempt('WebSocket', () => {
        const socket = new WebSocket(url.replace('http:', 'ws:'))
        return new Promise((resolve, reject) => {
          socket.onopen = resolve
          socket.onerror = () => reject(new Error('refused'))
        })
      })
      return outcomes
    },
    { url, TEXTS }
  )

/** Submits forms with each encoding, into frames of the page. */
const submitForms = (page: Page, url: string) =>
  page.evaluate(
    async ({ url, texts, FORM_FIELD }) => {
      const fields = [FORM_FIELD, ...texts.map(text => [text, ''] as const)]
      for (const enctype of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'])
        for (const referrerPolicy of ['', 'no-referrer'])
          for (const [name, value] of fields) {
            const frame = document.createElement('iframe')
            frame.name = `frame${document.querySelectorAll('iframe').length}`
            frame.referrerPolicy = referrerPolicy
            const form = document.createElement('form')
            Object.assign(form, { method: 'POST', action: url, target: frame.name, enctype })
            if (referrerPolicy) form.rel = 'noreferrer'
            const field = document.createElement('textarea')
            Object.assign(field, { name, value })
            form.append(field)
            document.body.append(frame, form)
            const loaded = new Promise(resolve => {
              frame.onload = resolve
            })
            form.submit()
            await loaded
          }
    },
    { url, texts: Object.values(TEXTS), FORM_FIELD }
  )

t.test('a page of another origin, by scripts and by forms', options, async t => {
  const { server, hits, errors, urls } = await serveTarget()
  await using browser = await launchBrowser()
  const { page } = await openPage(t, browser)
  for (const url of urls) {
    const outcomes = await sendByScripts(page, url)
    for (const [name, outcome] of Object.entries(outcomes))
      t.match(outcome, /^(Failed to fetch|refused|opaque 0)$/, `${url} ${name}: the page learns nothing`)
    await submitForms(page, url)
  }
  await page.close()
  t.same(hits, [], 'no method ran')
  const refused = Object.values(server.metrics.gateways).map(({ clientsRefused }) => clientsRefused)
  t.ok(refused[1]! + refused[2]! > 50 && refused[5]! > 50, 'the requests arrived')
  t.match(errors.join('\n'), /Origin "http:\/\/localhost:\d+" is neither/, 'the reason is reported')
  t.equal(errors.length, 1, 'once, not for each request')
  await ends(t, server)
})

t.test('a page without an origin: a sandboxed frame', options, async t => {
  const { server, hits, urls } = await serveTarget()
  await using browser = await launchBrowser()
  const { page } = await openPage(t, browser)
  await page.setContent('<!doctype html><iframe sandbox="allow-scripts" srcdoc="hello"></iframe>')
  const frame = page.frames()[1]!
  t.equal(await frame.evaluate(() => (globalThis as Dom).origin), 'null')
  for (const url of urls) {
    for (const [type, text] of Object.entries(TEXTS))
      for (const mode of ['cors', 'no-cors'])
        await frame.evaluate(
          ({ url, type, text, mode }) =>
            fetch(url, {
              method: 'POST',
              mode: mode as 'cors',
              body: new TextEncoder().encode(text),
              ...(mode === 'cors' && { headers: { 'content-type': type } })
            }).catch(() => {}),
          { url, type, text, mode }
        )
  }
  t.same(hits, [])
  await ends(t, server)
})

/** The name is resolved to this machine, and the browser's own check of requests to local networks is off. */
const REBINDING = [
  '--host-resolver-rules=MAP evil.example 127.0.0.1',
  '--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests'
]

t.test('a page whose name is then resolved to this machine (DNS rebinding)', options, async t => {
  const { server, hits, urls } = await serveTarget()
  await using browser = await launchBrowser({}, ...REBINDING)
  const page = await browser.newPage()
  for (const url of urls) {
    const rebound = url.replace('127.0.0.1', 'evil.example')
    await page.route(`${rebound}page`, route => route.fulfill({ body: 'evil', contentType: 'text/html' }))
    await page.goto(`${rebound}page`)
    for (const [type, text] of Object.entries(TEXTS)) {
      const status = await page.evaluate(
        ({ url, type, text }) =>
          fetch(url, { method: 'POST', body: text, headers: { 'content-type': type } }).then(
            response => response.status,
            () => 0
          ),
        { url: rebound, type, text }
      )
      t.ok(status === 403 || status === 0, `${rebound} ${type}: ${status}`)
    }
  }
  t.same(hits, [])
  await page.close()
  await ends(t, server)
})

/** Lets a page use a server as a relay of WebRTC, by TCP: bytes that begin as a page likes less than by HTTP. */
const askRelay = (page: Page, port: number) =>
  page.evaluate(async port => {
    const urls = `turn:127.0.0.1:${port}?transport=tcp`
    const connection = new RTCPeerConnection({
      iceServers: [{ urls, username: '{"method":"hit","params":["stun"],"id":1}', credential: 'x' }]
    })
    const gathered = new Promise<void>(resolve => {
      connection.onicegatheringstatechange = () => connection.iceGatheringState === 'complete' && resolve()
    })
    connection.createDataChannel('x')
    await connection.setLocalDescription(await connection.createOffer())
    await gathered
    connection.close()
  }, port)

t.test('a page that takes a gateway for a relay of WebRTC', options, async t => {
  const { server, hits, urls } = await serveTarget()
  await using browser = await launchBrowser()
  const { page } = await openPage(t, browser)
  let received = Buffer.alloc(0)
  const relay = createServer(socket => {
    socket
      .on('error', () => {})
      .on('data', data => {
        received = Buffer.concat([received, data])
        socket.destroy()
      })
  }).listen(0, '127.0.0.1')
  await once(relay, 'listening')
  await askRelay(page, (relay.address() as AddressInfo).port)
  relay.close()
  t.equal(received.readUInt16BE(), 3, 'the browser sends a STUN Allocate request')
  for (const url of urls) await askRelay(page, Number(new URL(url).port))
  t.same(hits, [])
  await page.close()
  await ends(t, server)
})

t.test(
  'a page of an allowed origin calls by HTTP, and only with the content types of gateways',
  options,
  async t => {
    await using browser = await launchBrowser()
    const { page, origin } = await openPage(t, browser)
    const { server, hits, urls } = await serveTarget({ allowedOrigins: [origin] })
    const [url] = urls
    const called = await page.evaluate(
      async ({ url, TEXTS }) => {
        const texts: string[] = []
        for (const [type, body] of Object.entries(TEXTS)) {
          const response = await fetch(url!, { method: 'POST', body, headers: { 'content-type': type } })
          texts.push(await response.text())
        }
        return texts
      },
      { url, TEXTS }
    )
    t.match(called, ['"result":1', '<int>2</int>'])
    t.same(hits, ['json', 'xml'])
    const outcomes = await sendByScripts(page, url!)
    const succeeded = Object.entries(outcomes).filter(([, outcome]) => outcome === 'cors 200')
    t.same(
      succeeded.map(([name]) => name),
      [
        'application/json, cors',
        'application/json, cors, Blob with a type',
        'text/xml, cors',
        'text/xml, cors, Blob with a type'
      ],
      'those that name their content type, and were asked about before'
    )
    await submitForms(page, url!)
    t.same(hits.slice(2).sort(), ['json', 'json', 'xml', 'xml'])
    await page.close()
    await ends(t, server)
  }
)
