// Tests netref in a real browser: supported features, limits, and page shutdown.
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import {
  expose,
  type Netref,
  type Reason,
  Service,
  type Session,
  serve,
  type UpgradeRequest
} from '../../lib/index.js'
import { bundle, errorsOf, launchBrowser, noChromium, originOf, serveFiles } from '../support/chromium.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'

const options = { skip: noChromium ?? false }

type Callback = Netref<(...args: unknown[]) => unknown>

/** The service of each page. */
interface Visitor {
  never(): Promise<never>
  double(n: number): number
}

/** The service that the pages use. */
class Lab extends Service {
  kept: Callback | undefined
  ended: Reason | undefined
  exposed_echo(value: unknown) {
    return value
  }
  exposed_buffer() {
    return Buffer.from([1, 2, 3])
  }
  exposed_fail() {
    throw Object.assign(new RangeError('out of range'), { code: 'E_RANGE', at: 7 })
  }
  exposed_keep(callback: Callback) {
    this.kept = callback
  }
  exposed_lend() {
    return () => 'lent'
  }
  exposed_drop() {
    this.kept = undefined
  }
  exposed_call(...args: unknown[]) {
    return this.kept!(...args)
  }
  exposed_never() {
    return new Promise<never>(() => {})
  }
  async *exposed_count(to: number) {
    for (let i = 1; i <= to; i++) yield i
  }
  async exposed_sum(stream: AsyncIterable<number>) {
    let sum = 0
    for await (const item of stream) sum += item
    return sum
  }
  readonly controllers: AbortController[] = []
  exposed_signal() {
    const controller = new AbortController()
    this.controllers.push(controller)
    return controller.signal
  }
  exposed_abort() {
    for (const controller of this.controllers.splice(0)) controller.abort('why')
  }
  exposed_forget() {
    this.controllers.length = 0
  }
  reason: unknown
  exposed_hear(signal: AbortSignal) {
    signal.addEventListener('abort', () => {
      this.reason = signal.reason
    })
  }
  exposed_heard() {
    return this.reason
  }
  override onDisconnect(_session: Session, reason: Reason) {
    this.ended = reason
  }
}

const WORKER = `
import { serve } from './netref.js'
const service = {
  add: (a, b) => a + b,
  sum: bytes => bytes.reduce((sum, byte) => sum + byte, 0),
  call: (callback, ...args) => callback(...args),
  never: () => new Promise(() => {})
}
await serve(service, { endpoint: self })
`
const SHARED = `
import { serve } from './netref.js'
let pages = 0
const service = () => ({
  add: (a, b) => a + b,
  page: (number => () => number)(++pages),
  sessions: () => server.sessions.size
})
const server = await serve(service, { endpoint: self })
`
const FRAME = `
import { serve } from './netref.js'
addEventListener('message', ({ origin, ports }) => {
  if (origin === location.origin) serve({ where: () => location.pathname }, { endpoint: ports[0] })
}, { once: true })
parent.postMessage('ready', location.origin)
`

const html = (script: string) =>
  `<!doctype html><title>netref</title><script type="module" src="${script}"></script>`
/** The page sets up only \`connect\` and a few globals for the specs. */
const PAGE = `
import * as netref from './netref.js'
addEventListener('securitypolicyviolation', event => netrefSpec.violations.push(event.violatedDirective))
// The policy requires trusted script URLs for workers.
const policy = trustedTypes.createPolicy('spec', { createScriptURL: url => url })
const script = url => policy.createScriptURL(url)
const workerOf = url => new Worker(script(url), { type: 'module' })
const sharedWorkerOf = url => new SharedWorker(script(url), { type: 'module' })
window.netrefSpec = { workerOf, sharedWorkerOf, ...netref, violations: [], url: location.origin.replace('http', 'ws') }
`

// biome-ignore lint/suspicious/noExplicitAny: what runs in a page is of the page
declare const netrefSpec: any
declare const gc: () => void
// biome-ignore lint/suspicious/noExplicitAny: this program has no types of a page
type Dom = any

t.test('in Chromium', options, async t => {
  const netref = await bundle(t.testdir({}))
  await using context = await launchBrowser()
  const web = await serveFiles({
    '/': html('page.js'),
    '/page.js': PAGE,
    '/frame.html': html('frame.js'),
    '/frame.js': FRAME,
    '/empty.html': '<!doctype html><title>empty</title>',
    '/worker.js': WORKER,
    '/shared.js': SHARED,
    '/netref.js': { file: netref }
  })
  const sockets = new Set<Socket>()
  web.on('connection', socket => sockets.add(socket))
  const server = await serve(Lab, { server: web, resumeWindow: 60_000 })

  /** A new page, and its errors. */
  async function open(t: Test, path = '/'): Promise<Page> {
    const page = await context.newPage()
    page.on('pageerror', error => t.fail(error.message))
    await page.goto(originOf(web) + path)
    await page.waitForFunction(() => 'netrefSpec' in globalThis)
    return page
  }
  /** Its session at the server, once there is one. */
  async function sessionOf(page: Page): Promise<Session> {
    const begun = new Promise<Session>(resolve => server.on('session', resolve))
    await page.evaluate(async () => {
      const service = { never: () => new Promise(() => {}), double: (n: number) => 2 * n }
      netrefSpec.conn = netrefSpec.connect(netrefSpec.url, { service })
      await netrefSpec.conn.ping()
    })
    return begun
  }

  await t.test('a page under a strict policy: round trips of every value, errors, identity', async t => {
    const page = await open(t)
    const globals = await page.evaluate(() => Object.keys(globalThis).length)
    const session = await sessionOf(page)
    const found = await page.evaluate(async () => {
      const { root } = netrefSpec.conn
      const cycle: Dom = { name: 'cycle' }
      cycle.self = cycle
      const values: Record<string, unknown> = {
        null: null,
        number: 1.5,
        text: 'ü€𝄞',
        undefined: undefined,
        nan: Number.NaN,
        infinity: -Infinity,
        zero: -0,
        bigint: 2n ** 70n,
        date: new Date(86_400_000),
        invalid: new Date(Number.NaN),
        url: new URL('https://example.org/?q'),
        map: new Map([['k', new Set([1])]]),
        bytes: new Uint8Array([1, 2, 3]).subarray(1),
        floats: new Float64Array([Math.PI]),
        buffer: new Uint8Array([9]).buffer,
        view: new DataView(new ArrayBuffer(2)),
        nested: [[[{ deep: [undefined] }]]]
      }
      const text = (value: unknown): string => {
        const name = Object.prototype.toString.call(value)
        if (ArrayBuffer.isView(value))
          return `${name} ${new Uint8Array(value.buffer, value.byteOffset, value.byteLength)}`
        if (value instanceof ArrayBuffer) return `${name} ${new Uint8Array(value)}`
        if (value instanceof Map || value instanceof Set) return `${name} ${[...value].map(text)}`
        if (Array.isArray(value)) return `[${value.map(text)}]`
        if (Object.is(value, -0)) return '-0'
        if (name === '[object Object]')
          return Object.entries(value as object)
            .map(([k, v]) => `${k}:${text(v)}`)
            .join()
        return `${name} ${String(value)}`
      }
      const differing: string[] = []
      for (const [name, value] of Object.entries(values)) {
        const echoed = text(await root.echo(value))
        if (echoed !== text(value)) differing.push(`${name}: ${echoed} for ${text(value)}`)
      }
      const back = await root.echo(cycle)
      const fn = () => {}
      const error = await root.fail().catch((e: unknown) => e)
      const refused = await root.nothing().catch((e: unknown) => e)
      return {
        differing,
        cycle: back.self === back,
        identity: (await root.echo(fn)) === fn,
        node: text(await root.buffer()),
        error: [error instanceof RangeError, error.message, error.code, error.at],
        refused: [refused instanceof netrefSpec.ExposureError, refused.name, refused.code],
        unsendable: (await root.echo(globalThis).catch((e: Error) => e.message)).split(':')[1],
        violations: netrefSpec.violations,
        globals: Object.keys(globalThis).length
      }
    })
    t.same(found, {
      differing: [],
      cycle: true,
      identity: true,
      node: '[object Uint8Array] 1,2,3',
      error: [true, 'out of range', 'E_RANGE', 7],
      refused: [true, 'ExposureError', 'not-exposed'],
      unsendable: ' args[0] is `globalThis`, which cannot be sent',
      violations: [],
      globals
    })
    await page.evaluate(() => netrefSpec.conn.close())
    t.match(await session.closed, { code: 'closed' })
    await page.close()
  })

  await t.test('callbacks, iterators and streams', async t => {
    const page = await open(t)
    const session = await sessionOf(page)
    const found = await page.evaluate(async () => {
      const { root } = netrefSpec.conn
      const received: unknown[] = []
      await root.keep((...args: unknown[]) => received.push(args.join('')))
      await root.call('a', 1)
      await root.call('b', 2)
      await root.drop()
      const counted: number[] = []
      for await (const i of await root.count(1000)) counted.push(i as number)
      const stream = new ReadableStream({
        start(controller) {
          for (let i = 1; i <= 100; i++) controller.enqueue(i)
          controller.close()
        }
      })
      return { heard: received, counted: [counted.length, counted.at(-1)], sum: await root.sum(stream) }
    })
    t.same(found, { heard: ['a1', 'b2'], counted: [1000, 1000], sum: 5050 })
    await page.evaluate(() => gc())
    await waitUntil(() => session.stats.exports === 0)
    await assertClean(t, session)
    await page.close()
  })

  await t.test('netrefs that the page drops are released by its collector', async t => {
    const page = await open(t)
    const session = await sessionOf(page)
    await page.evaluate(async () => {
      await netrefSpec.conn.root.keep(() => {})
      netrefSpec.held = await netrefSpec.conn.root.lend()
    })
    t.equal(session.stats.imports, 1, 'the callback of the page')
    t.equal(session.stats.exports, 1, 'what the page holds')
    await page.evaluate(async () => {
      await netrefSpec.conn.root.drop()
      netrefSpec.held = undefined
      gc()
    })
    await assertClean(t, session)
    const empty = await page.evaluate(async () => {
      await netrefSpec.conn.ping()
      const { exports, imports, pending } = netrefSpec.conn.stats
      return { exports, imports, pending }
    })
    t.same(empty, { exports: 0, imports: 0, pending: 0 })
    await page.close()
  })

  await t.test('a signal that only its listeners hold aborts in a page, and from a page', async t => {
    const page = await open(t)
    const session = await sessionOf(page)
    const ways = await page.evaluate(async () => {
      const { root } = netrefSpec.conn
      const received: string[] = (netrefSpec.heard = [])
      const listening: Record<string, (signal: AbortSignal, hear: () => void) => void> = {
        addEventListener: (signal, hear) => signal.addEventListener('abort', hear),
        onabort: (signal, hear) => Object.assign(signal, { onabort: hear }),
        'AbortSignal.any': (signal, hear) => AbortSignal.any([signal]).addEventListener('abort', hear),
        'AbortSignal.any twice': (signal, hear) =>
          AbortSignal.any([AbortSignal.any([signal])]).addEventListener('abort', hear),
        pipeTo: (signal, hear) => new ReadableStream().pipeTo(new WritableStream(), { signal }).catch(hear)
      }
      const listen = (how: string, signal: AbortSignal) => listening[how]!(signal, () => received.push(how))
      for (const how in listening) listen(how, await root.signal())
      netrefSpec.controller = new AbortController()
      await root.hear(netrefSpec.controller.signal)
      return Object.keys(listening)
    })
    await page.evaluate(async () => {
      for (let i = 0; i < 5; i++) {
        await (gc as (how: object) => unknown)({ type: 'major', execution: 'async' })
        await netrefSpec.conn.ping()
      }
      netrefSpec.controller.abort('why')
      await netrefSpec.conn.root.abort()
    })
    const heard = await page.evaluate(async most => {
      const { conn, heard } = netrefSpec
      for (let i = 0; i < 50 && heard.length < most; i++) await conn.ping()
      return heard
    }, ways.length)
    t.same(heard.sort(), ways.sort())
    t.equal(await page.evaluate(async () => await netrefSpec.conn.root.heard()), 'why')

    // A page cannot observe listeners: it holds signals that may still abort, and no longer.
    await page.evaluate(async () => {
      for (let i = 0; i < 10; i++) await netrefSpec.conn.root.signal()
      await netrefSpec.conn.root.forget()
    })
    for (let i = 0; i < 100 && session.stats.exports > 0; i++) {
      gc()
      await page.evaluate(() => gc())
    }
    await assertClean(t, session)
    await page.close()
  })

  await t.test('a page that is closed during a call', async t => {
    const page = await open(t)
    const session = await sessionOf(page)
    await page.evaluate(() => {
      netrefSpec.conn.root.keep(() => new Promise(() => {})).catch(() => {})
      netrefSpec.conn.root.never().catch(() => {})
      return netrefSpec.conn.ping()
    })
    const pending = rejectionOf((session.root as Netref<Visitor>).never())
    await page.close()
    t.match(await pending, { code: 'closed' }, 'at once: the server does not wait for it')
    await session.closed
    const { exports, imports, pending: calls } = session.stats
    t.same({ exports, imports, calls }, { exports: 0, imports: 0, calls: 0 })
  })

  await t.test(
    'a page that leaves for the back/forward cache continues its session when it returns',
    async t => {
      const page = await open(t)
      const session = await sessionOf(page)
      await page.evaluate(async () => {
        const window = globalThis as Dom
        netrefSpec.heard = 0
        netrefSpec.shown = []
        window.addEventListener('pageshow', (event: Dom) => netrefSpec.shown.push(event.persisted))
        await netrefSpec.conn.root.keep(() => ++netrefSpec.heard)
      })
      await page.goto(`${originOf(web)}/empty.html`)
      await waitUntil(() => session.state === 'interrupted')
      // playwright would wait for an event `load`, which a page from the cache does not have.
      await page.evaluate(() => void (globalThis as Dom).history.back())
      await waitUntil(() => session.state === 'open')
      t.same(
        await page.evaluate(async () => [
          await netrefSpec.conn.root.call(),
          netrefSpec.heard,
          netrefSpec.shown
        ]),
        [1, 1, [true]]
      )
      await page.close()
      t.match(await session.closed, { code: 'closed' })
    }
  )

  await t.test('a page that is left without the cache ends its session', async t => {
    const page = await open(t)
    const session = await sessionOf(page)
    await page.evaluate(() => (globalThis as Dom).addEventListener('unload', () => {}))
    await page.reload()
    t.match(await session.closed, { code: 'closed' })
    await page.close()
  })

  await t.test('a page that goes offline during a call, and returns', async t => {
    await using patient = await serve(Lab, { server: web, path: '/patient', heartbeat: 500 })
    const page = await open(t)
    await page.evaluate(async () => {
      const conn = netrefSpec.connect(`${netrefSpec.url}/patient`, { heartbeat: 500 })
      netrefSpec.conn = conn
      netrefSpec.events = []
      for (const name of ['interrupted', 'resumed']) conn.on(name, () => netrefSpec.events.push(name))
      netrefSpec.heard = 0
      await conn.root.keep(() => ++netrefSpec.heard)
    })
    const [session] = patient.sessions
    await context.setOffline(true)
    await page.waitForFunction(() => netrefSpec.events.includes('interrupted'))
    await page.evaluate(() => {
      netrefSpec.pending = netrefSpec.conn.root.call()
    })
    await context.setOffline(false)
    const found = await page.evaluate(async () => [await netrefSpec.pending, netrefSpec.heard])
    t.same(found, [1, 1], 'each call runs once')
    t.same(await page.evaluate(() => netrefSpec.events), ['interrupted', 'resumed'])
    t.ok(patient.sessions.has(session!) && patient.sessions.size === 1, 'the session is the same')
    await page.evaluate(() => netrefSpec.conn.close())
    await page.close()
  })

  await t.test('a page in the background answers as before', async t => {
    const page = await open(t)
    const session = await sessionOf(page)
    const front = await context.newPage()
    await front.bringToFront()
    const client = session.root as Netref<Visitor>
    const doubled = await Promise.all(Array.from({ length: 100 }, (_, i) => client.double(i)))
    t.same(
      doubled,
      Array.from({ length: 100 }, (_, i) => 2 * i)
    )
    await front.close()
    await page.close()
  })

  await t.test('a frozen page, as in the background, resumes', async t => {
    const lab = new Lab()
    await using patient = await serve(() => lab, { server: web, path: '/frozen', heartbeat: 200 })
    const page = await open(t)
    await page.evaluate(async () => {
      const conn = netrefSpec.connect(`${netrefSpec.url}/frozen`, { heartbeat: 200 })
      netrefSpec.conn = conn
      netrefSpec.heard = 0
      await conn.root.keep(() => ++netrefSpec.heard)
    })
    const [session] = patient.sessions
    const devtools = await context.newCDPSession(page)
    await devtools.send('Debugger.enable')
    await devtools.send('Debugger.pause')
    await waitUntil(() => session!.state === 'interrupted')
    // It is interrupted at the server, and waits for the page.
    const called = lab.kept!()
    await devtools.send('Debugger.disable')
    t.equal(await called, 1, 'each call runs once')
    t.equal(session!.state, 'open')
    t.same([...patient.sessions], [session], 'the session is the same')
    await page.evaluate(() => netrefSpec.conn.close())
    await page.close()
  })

  await t.test('an unreachable server, and one that refuses a page', async t => {
    const page = await open(t)
    const reasons = await page.evaluate(async () => {
      const conn = netrefSpec.connect(netrefSpec.url.replace(/\d+$/, '1'))
      const reason = await conn.closed
      const thrown = (use: () => void) => {
        try {
          use()
          return ''
        } catch (error) {
          return String(error)
        }
      }
      return [
        reason.code,
        thrown(() => netrefSpec.connect(netrefSpec.url, { headers: {} })),
        thrown(() => netrefSpec.connect(globalThis))
      ]
    })
    t.equal(reasons[0], 'unreachable')
    t.match(reasons[1], /TypeError: connect: headers cannot be set in a browser; remove it/)
    t.match(reasons[2], /TypeError: a window cannot be an endpoint/)
    await page.close()
  })

  await t.test('a page sends a token, and its cookies', async t => {
    const asked: unknown[] = []
    const authenticate = async (request: UpgradeRequest) => {
      asked.push(request.cookies.sid)
      const token = await request.token()
      return token === 'of-ada' && 'ada'
    }
    const whoami = ({ identity }: Session) => ({ whoami: () => identity })
    await using _members = await serve(whoami, { server: web, path: '/members', authenticate })
    const page = await open(t)
    const found = await page.evaluate(async () => {
      const { connect, url } = netrefSpec
      const dom = globalThis as Dom
      dom.document.cookie = 'sid=of-the-user'
      const conn = connect(`${url}/members`, { token: async () => 'of-ada' })
      const name = await conn.root.whoami()
      await conn.close()
      return [name, (await connect(`${url}/members`, { token: 'a guess' }).closed).code]
    })
    t.same(found, ['ada', 'unauthorized'])
    t.same(asked.splice(0), ['of-the-user', 'of-the-user'])
    await page.close()
  })

  await t.test('a Worker', async t => {
    const page = await open(t)
    const found = await page.evaluate(async () => {
      const { connect, Netref, workerOf } = netrefSpec
      const worker = workerOf('/worker.js')
      const conn = connect(worker)
      const bytes = new Uint8Array(1 << 20).fill(1)
      const done = [
        await conn.root.add(1, 2),
        await conn.root.sum(bytes),
        bytes.length,
        await conn.root.sum(Netref.transfer(bytes)),
        bytes.length,
        await conn.root.call((a: number) => a + 1, 1)
      ]
      await conn.close()
      return { done, failed: (await connect(workerOf('/nowhere.js')).closed).code }
    })
    t.same(found, { done: [3, 1 << 20, 1 << 20, 1 << 20, 0, 2], failed: 'unreachable' })
    await page.close()
  })

  await t.test('a Worker that is terminated during a call', async t => {
    const page = await open(t)
    const found = await page.evaluate(async () => {
      const { connect, workerOf } = netrefSpec
      const worker = workerOf('/worker.js')
      const conn = connect(worker)
      await conn.root.add(1, 2)
      const pending = conn.root.never().catch((error: Dom) => error.code)
      worker.terminate()
      return [await pending, (await conn.closed).code]
    })
    t.same(found, ['connection-lost', 'connection-lost'])
    await page.close()
  })

  await t.test('a SharedWorker', async t => {
    const page = await open(t)
    const found = await page.evaluate(async () => {
      const { connect, sharedWorkerOf } = netrefSpec
      const first = connect(sharedWorkerOf('/shared.js').port)
      const done = [await first.root.add(1, 2), await first.root.page()]
      const second = connect(sharedWorkerOf('/shared.js').port)
      done.push(await second.root.page())
      await first.close()
      await second.close()
      return done
    })
    t.same(found, [3, 1, 2])
    const join = async () => {
      netrefSpec.shared = netrefSpec.connect(netrefSpec.sharedWorkerOf('/shared.js').port)
      await netrefSpec.shared.ping()
    }
    const other = await open(t)
    await page.evaluate(join)
    await other.evaluate(join)
    await page.waitForFunction(async () => (await netrefSpec.shared.root.sessions()) === 2)
    await other.close()
    await page.waitForFunction(async () => (await netrefSpec.shared.root.sessions()) === 1)
    await page.close()
  })

  await t.test('an iframe, by a port of a channel', async t => {
    const page = await open(t)
    const found = await page.evaluate(async () => {
      const { document, location, addEventListener } = globalThis as Dom
      const frame = document.createElement('iframe')
      const ready = new Promise(resolve => addEventListener('message', resolve, { once: true }))
      frame.src = '/frame.html'
      document.body.append(frame)
      await ready
      const { port1, port2 } = new MessageChannel()
      frame.contentWindow.postMessage('netref', location.origin, [port2])
      const conn = netrefSpec.connect(port1)
      const where = await conn.root.where()
      await conn.close()
      return where
    })
    t.equal(found, '/frame.html')
    await page.close()
  })

  await server.close()
  web.closeAllConnections()
  web.close()
})

t.test('React: a netref as state; an unmounted component leaves nothing', options, async t => {
  const dir = t.testdir({})
  const app = join(dir, 'app.js')
  await build({
    entryPoints: [fileURLToPath(new URL('../support/fixtures/react-app.js', import.meta.url))],
    outfile: app,
    bundle: true,
    format: 'esm',
    alias: { netref: await bundle(dir) },
    define: { 'process.env.NODE_ENV': '"development"' }
  })
  const web = await serveFiles({
    '/': '<!doctype html><title>React</title><div id="app"></div><script type="module" src="app.js"></script>',
    '/app.js': { file: app }
  })
  let begun = 0
  class Counters extends Service {
    exposed_counter() {
      let count = 0
      return expose({ increment: () => ++count })
    }
  }
  const server = await serve(Counters, { server: web })
  server.on('session', () => begun++)
  await using context = await launchBrowser()
  const page = await context.newPage()
  const errors = errorsOf(page)
  await page.goto(originOf(web))

  await page.click('button:enabled')
  await page.click('button:enabled')
  await page.waitForSelector('text=count 2')
  await waitUntil(() => server.sessions.size === 1)
  t.ok(begun >= 1, 'StrictMode runs effects twice, and one session is left')

  await page.evaluate(() => netrefSpec.render(2))
  await page.click('button:enabled')
  await page.waitForSelector('text=count 1')
  await waitUntil(() => server.sessions.size === 1)
  const [session] = server.sessions
  t.equal(session!.stats.exports, 1, 'the counter of the mounted component')

  await page.evaluate(() => netrefSpec.unmount())
  await waitUntil(() => server.sessions.size === 0)
  t.same(errors, [], 'React prints no warning')
  await context.close()
  await server.close()
  web.close()
})
