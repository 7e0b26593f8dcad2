// Tests sessions of two instances behind the real nginx and HAProxy, with the configurations of the guide: which sockets
// resume, by a cookie and by an affinity id, and what becomes of a session whose client is sent to the other instance.
import type { Server as WebServer } from 'node:http'
import t, { type Test } from 'tap'
import {
  type Connection,
  connect,
  expose,
  exposes,
  type Server,
  type Session,
  serve
} from '../../lib/index.js'
import { bundle, errorsOf, launchBrowser, noChromium, originOf, serveFiles } from '../support/chromium.js'
import { GatedProxy } from '../support/gated-proxy.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'
import { skipUnlessInstalled } from '../support/installed-programs.js'
import { haproxy, nginx, startLoadBalancer } from '../support/load-balancers.js'

const CLIENTS = 40
const CALLS = 50
const CUTS = 4
/** The options of all clients. */
const COMMON = { reconnect: { delay: 20 } }

/** The root of a session. */
class Desk {
  static {
    exposes(Desk, {
      next: true,
      drawer: true,
      where: true,
      label: true,
      put: { idempotent: true },
      sell: true
    })
  }
  #count = 0
  constructor(private readonly instance: Instance) {}
  next() {
    this.instance.calls++
    return ++this.#count
  }
  drawer() {
    return expose({ open: () => 'open' })
  }
  get where() {
    return this.instance.name
  }
  get label() {
    return this.instance.answer('label')
  }
  put() {
    return this.instance.answer('put')
  }
  sell() {
    return this.instance.answer('sell')
  }
}

/** A server, and a door before it that cuts its sockets. */
class Instance {
  /** Number of calls of `next`. */
  calls = 0
  /** What clients have asked; there is no answer while the instance hangs. */
  readonly asked: string[] = []
  hangs = false
  /** Whether new sockets are refused for a while. */
  isBusy = false
  readonly sessions: Session[] = []
  door!: GatedProxy
  server!: Server
  #web!: WebServer

  private constructor(readonly name: string) {}

  static async start(name: string, files: Parameters<typeof serveFiles>[0] = {}): Promise<Instance> {
    const instance = new Instance(name)
    instance.#web = await serveFiles(files)
    instance.door = await GatedProxy.inFrontOf(originOf(instance.#web))
    instance.server = await serve(() => new Desk(instance), {
      server: instance.#web,
      trustProxy: true,
      authenticate: () => {
        if (instance.isBusy) throw Object.assign(new Error('busy'), { status: 503 })
        return true
      }
    })
    instance.server.on('session', session => instance.sessions.push(session))
    return instance
  }

  answer(what: string): string | Promise<never> {
    this.asked.push(what)
    return this.hangs ? new Promise(() => {}) : `${what} of ${this.name}`
  }

  /** Ends it, and asserts that nothing is left of its sessions. */
  async end(t: Test): Promise<void> {
    await this.server.close()
    await assertClean(t, ...this.sessions)
    await this.door.close()
    this.#web.closeAllConnections()
    this.#web.close()
  }
}

/** Runs `use` with two instances behind a load balancer. */
async function behind(
  t: Test,
  balancer: typeof nginx,
  use: (url: string, instances: readonly [Instance, Instance]) => Promise<void>,
  files?: Parameters<typeof serveFiles>[0]
): Promise<void> {
  const instances = [await Instance.start('one', files), await Instance.start('two', files)] as const
  const ports = instances.map(({ door }) => Number(new URL(door.url).port))
  try {
    await use(`ws://127.0.0.1:${await startLoadBalancer(t, balancer, ports)}`, instances)
  } finally {
    for (const instance of instances) await instance.end(t)
  }
}

/** Calls `next` one time after the other. @returns the numbers */
async function count(conn: Connection<Desk>): Promise<number[]> {
  const numbers: number[] = []
  while (numbers.length < CALLS) numbers.push(await conn.root.next())
  return numbers
}
const COUNTED = Array.from({ length: CALLS }, (_, i) => i + 1)

const sum = (instances: readonly Instance[], of: (instance: Instance) => number) =>
  instances.map(of).reduce((a, b) => a + b)

/**
 * Cuts the sockets of all clients several times while they count. No cut comes during a handshake: the load balancer would
 * then ask the other instance.
 */
async function cutWhile<T>(
  instances: readonly Instance[],
  clients: number,
  counting: Promise<T>
): Promise<T> {
  const counted = () => sum(instances, ({ calls }) => calls)
  const resumed = () => sum(instances, ({ server }) => server.metrics.sessionsResumed)
  for (let i = 0; i < CUTS; i++) {
    await waitUntil(() => counted() > (i * clients * CALLS) / CUTS && resumed() === i * clients)
    for (const { door } of instances) door.cut()
  }
  await waitUntil(() => resumed() === CUTS * clients)
  return counting
}

/** Asserts that each call ran once, at the instance where the session began. */
function assertCounted(t: Test, instances: readonly Instance[], counted: readonly number[][]): void {
  for (const numbers of counted) t.same(numbers, COUNTED)
  t.equal(
    sum(instances, ({ calls }) => calls),
    counted.length * CALLS,
    'each call runs once'
  )
  t.equal(
    sum(instances, ({ sessions }) => sessions.length),
    counted.length,
    'no session is renewed'
  )
}

for (const balancer of [nginx, haproxy]) {
  const { name, run } = balancer
  const options = { skip: skipUnlessInstalled(run[0]!) }

  const ways = {
    'their affinity id': async (url: string) => connect<Desk>(url, { ...COMMON, affinity: true }),
    'the cookie, which a client in Node must send itself': async (url: string) => {
      const [cookie] = (await fetch(url.replace('ws', 'http'))).headers.getSetCookie()
      return connect<Desk>(url, { ...COMMON, headers: { cookie: cookie!.split(';')[0]! } })
    }
  }
  for (const [way, open] of Object.entries(ways)) {
    t.test(`${name}: sessions resume by ${way}`, options, t =>
      behind(t, balancer, async (url, instances) => {
        const conns = await Promise.all(Array.from({ length: CLIENTS }, () => open(url)))
        await Promise.all(conns.map(({ opened }) => opened))
        assertCounted(t, instances, await cutWhile(instances, CLIENTS, Promise.all(conns.map(count))))
        for (const { sessions } of instances) t.ok(sessions.length > 0, 'both instances have sessions')
        await assertClean(t, ...conns.map(({ session }) => session))
        await Promise.all(conns.map(conn => conn.close()))
      })
    )
  }

  t.test(`${name}: without either, sessions are lost to the other instance`, options, t =>
    behind(t, balancer, async (url, instances) => {
      const conns = Array.from({ length: CLIENTS }, () => connect<Desk>(url, COMMON))
      await Promise.all(conns.map(({ opened }) => opened))
      for (const { door } of instances) door.cut()
      const ends = await Promise.all(
        conns.map(conn =>
          conn.root.next().then(
            () => 'resumed',
            error => error.code
          )
        )
      )
      t.same(new Set(ends), new Set(['resumed', 'session-lost']))
      await assertClean(t, ...conns.map(({ session }) => session))
      await Promise.all(conns.map(conn => conn.close()))
    })
  )

  t.test(`${name}: clients of an instance that is gone go on at the other by renew`, options, t =>
    behind(t, balancer, async (url, [one, two]) => {
      const open = async () => {
        const conn = connect<Desk>(url, { ...COMMON, affinity: true, renew: true })
        const events: string[] = []
        for (const event of ['interrupted', 'renewed', 'closed'] as const)
          conn.on(event, () => events.push(event))
        return { conn, events, drawer: await conn.root.drawer(), where: await conn.root.where }
      }
      const openMany = () => Promise.all(Array.from({ length: CLIENTS / 2 }, open))
      const first = await openMany()
      const moving = first.filter(({ where }) => where === 'one')
      const staying = first.filter(({ where }) => where === 'two')
      t.ok(moving.length > 0 && staying.length > 0, 'both instances have sessions')

      one.hangs = true
      const pending = moving.map(({ conn: { root } }) => ({
        label: root.label.then(label => label),
        put: root.put(),
        sell: rejectionOf(root.sell())
      }))
      await waitUntil(() => one.asked.length === 3 * moving.length)
      one.door.mode = 'refusing'
      one.door.cut()
      for (const { label, put, sell } of pending) {
        t.equal(await label, 'label of two', 'a read runs again')
        t.equal(await put, 'put of two', 'a call of an idempotent method runs again')
        t.match(await sell, { code: 'may-have-run', mayHaveRun: true }, 'another call does not')
      }
      t.notOk(two.asked.includes('sell'))
      for (const { conn, events, drawer } of moving) {
        t.same(events, ['interrupted', 'renewed'])
        t.equal(await conn.root.where, 'two')
        t.equal(await conn.root.next(), 1, 'the root is a new one')
        t.match(await rejectionOf(drawer.open()), { code: 'session-lost', mayHaveRun: false })
      }
      for (const { events, drawer } of staying) {
        t.equal(await drawer.open(), 'open')
        t.same(events, [], 'the clients of the other instance notice nothing')
      }

      const second = await openMany()
      t.same(new Set(second.map(({ where }) => where)), new Set(['two']), 'so do new clients')
      one.door.mode = 'open'
      one.hangs = false
      const third = await openMany()
      t.same(
        new Set(third.map(({ where }) => where)),
        new Set(['one', 'two']),
        'an instance that is back is used at once'
      )

      two.door.cut()
      for (const { conn } of [...first, ...second, ...third]) t.match(await conn.root.where, /one|two/)
      const renewed = (clients: typeof first) =>
        clients.filter(({ events }) => events.at(-1) === 'renewed').length
      t.ok(renewed(second) > 0, 'ids that belong to it take their clients there, by renew')
      t.equal(renewed([...staying, ...third]), 0, 'all others resume')
      t.same(
        [...first, ...second, ...third].flatMap(({ events }) => events).filter(e => e === 'closed'),
        []
      )
      await Promise.all([...first, ...second, ...third].map(({ conn }) => conn.close()))
    })
  )
}

for (const { what, configuration, survives } of [
  {
    what: 'as in the guide, a refused client costs no other its session',
    configuration: nginx.configuration,
    survives: true
  },
  {
    what: 'with max_fails and http_503, a refused client costs others their sessions',
    configuration: nginx.configuration
      .replaceAll(' max_fails=0', '')
      .replace('error timeout', 'error timeout http_503'),
    survives: false
  }
]) {
  t.test(`nginx: ${what}`, { skip: skipUnlessInstalled('nginx') }, t =>
    behind(t, { ...nginx, configuration }, async (url, [one]) => {
      const open = (id: number) => connect<Desk>(`${url}?affinity=${id}`, COMMON)
      let id = 0
      let conn = open(id)
      while ((await conn.root.where) !== 'one') {
        await conn.close()
        conn = open(++id)
      }
      one.isBusy = true
      const other = open(id)
      if (survives) t.match(await other.closed, { message: /503/ })
      else t.equal(await other.root.where, 'two')
      one.isBusy = false
      one.door.cut()
      if (survives) t.equal(await conn.root.next(), 1)
      else t.match(await rejectionOf(conn.root.next()), { code: 'session-lost' })
      await Promise.all([conn.close(), other.close()])
    })
  )
}

// biome-ignore lint/suspicious/noExplicitAny: what runs in a page is of the page
declare const netref: any

t.test('the sessions of a page resume by the cookie', { skip: noChromium ?? false }, async t => {
  const SESSIONS = 10
  const script = "import * as netref from './netref.js'\nwindow.netref = netref"
  const files = {
    '/': '<!doctype html><title>netref</title><script type="module" src="page.js"></script>',
    '/page.js': script,
    '/netref.js': { file: await bundle(t.testdir({})) }
  }
  await using browser = await launchBrowser()
  for (const balancer of [nginx, haproxy]) {
    const { name, run } = balancer
    await t.test(`of ${name}`, { skip: skipUnlessInstalled(run[0]!) }, t =>
      behind(
        t,
        balancer,
        async (url, instances) => {
          const page = await browser.newPage()
          const errors = errorsOf(page)
          await page.goto(url.replace('ws', 'http'))
          await page.waitForFunction(() => 'netref' in globalThis)
          const counting = page.evaluate(
            async ([url, sessions, calls]) => {
              const conns = Array.from({ length: sessions }, () =>
                netref.connect(url, { reconnect: { delay: 20 } })
              )
              await Promise.all(conns.map(({ opened }) => opened))
              return Promise.all(
                conns.map(async ({ root }) => {
                  const numbers: number[] = []
                  while (numbers.length < calls) numbers.push(await root.next())
                  return numbers
                })
              )
            },
            [url, SESSIONS, CALLS] as const
          )
          assertCounted(t, instances, await cutWhile(instances, SESSIONS, counting))
          t.same(
            instances.map(({ sessions }) => sessions.length).sort(),
            [0, SESSIONS],
            'all at one instance'
          )
          await page.close()
          t.same(errors, [])
        },
        files
      )
    )
  }
})
