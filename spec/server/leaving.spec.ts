// Tests how a server that is closed with `drain` leaves its clients, and how they move to another one.

import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import {
  type Connection,
  type ConnectOptions,
  connect,
  Netref,
  Service,
  type Session,
  serve
} from '../../lib/index.js'
import { Op } from '../../lib/protocol/messages.js'
import { GatedProxy } from '../support/gated-proxy.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'
import { hello, RawPeer } from '../support/raw-peer.js'

const RENEWING = { renew: true, reconnect: { delay: 1, maxDelay: 20 } } satisfies ConnectOptions
const DRAIN = { drain: 20_000 }
/** What a drain of a server without running calls takes less than, in ms. */
const SOON_MS = 5000

type Callback = (value: number) => unknown

/** A server's service: calls wait until they are told to go on. */
class Shop {
  ran = 0
  session!: Session
  readonly #waiting: (() => void)[] = []
  #open = false

  readonly service = (session: Session) => {
    this.session = session
    return {
      where: () => this.name,
      sell: async (use?: Netref<Callback>) => {
        const number = ++this.ran
        await this.#gate()
        return use ? await use(number) : number
      },
      open: () => new Till(),
      hold: async (use: Netref<Callback>) => {
        this.held = use
      },
      pause: (ms: number) => sleep(ms, this.name)
    }
  }

  held!: Netref<Callback>

  constructor(readonly name: string) {}

  async #gate(): Promise<void> {
    if (!this.#open) await new Promise<void>(resolve => this.#waiting.push(resolve))
  }

  /** The calls that wait may go on, and all later ones. */
  goOn(): void {
    this.#open = true
    for (const resolve of this.#waiting) resolve()
  }
}

class Till extends Service {
  exposed_add = (n: number) => n + 1
}

// biome-ignore lint/suspicious/noExplicitAny: specs of what happens, not of types
type Home = any

const eventsOf = (conn: Connection<Home>) => {
  const events: string[] = []
  for (const name of ['leaving', 'interrupted', 'renewed', 'state', 'closed'] as const)
    conn.on(name, detail => {
      const { code = detail } = Object(detail)
      events.push(code === undefined ? name : `${name} ${code}`)
    })
  return events
}

/** Serves a shop, behind a connected client with `renew`. */
async function open(options: ConnectOptions = RENEWING) {
  const shop = new Shop('first')
  const server = await serve(shop.service, { port: 0 })
  const { url, port } = server
  const conn = connect<Home>(url, options)
  await conn.ping()
  return { shop, server, url, port, conn, events: eventsOf(conn) }
}

async function msOf(work: Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work
  return performance.now() - began
}

t.test('a client moves, its calls and their callbacks finish where they run', async t => {
  const { shop, server, port, conn, events } = await open()
  const old = conn.session
  const told: string[] = []
  shop.session.on('leaving', () => told.push(`leaving ${shop.session.state}`))
  const calls = [1, 2, 3].map(() => conn.root.sell((n: number) => n * 10))
  const till = await conn.root.open()
  const closed = server.close(DRAIN)
  t.same(told, ['leaving open'])
  t.equal(server.state, 'draining')
  const second = new Shop('second')
  await using next = await serve(second.service, { port })
  await waitUntil(() => events.includes('renewed'))
  t.same(events, ['leaving', 'renewed'], 'the connection is open all the time')
  t.not(conn.session, old)
  t.equal(await conn.root.where(), 'second')
  t.equal(await till.add(1), 2, 'netrefs work while calls are under way')
  t.equal(old.state, 'open')
  shop.goOn()
  t.same(await Promise.all(calls), [10, 20, 30])
  t.ok((await msOf(closed)) < SOON_MS)
  t.match(await old.closed, { code: 'server-closed' })
  t.equal(shop.ran, 3)
  t.match(await rejectionOf(till.add(1)), { code: 'server-closed', mayHaveRun: false })
  t.same(events, ['leaving', 'renewed'])
  await assertClean(t, old, conn.session, ...next.sessions)
  await conn.close()
  t.same(events, ['leaving', 'renewed', 'state closed', 'closed closed'])
})

t.test('idle clients, with `renew` and without, do not delay the end', async t => {
  const { server, url, port, conn, events } = await open()
  const plain = connect<Home>(url)
  const plainEvents = eventsOf(plain)
  await plain.opened
  t.ok((await msOf(server.close(DRAIN))) < SOON_MS)
  t.match(await plain.closed, { code: 'server-closed' })
  t.same(plainEvents, ['state open', 'leaving', 'state closed', 'closed server-closed'])
  t.same(events, ['leaving', 'state connecting'], 'there is no other server')
  const waiting = conn.root.where()
  await using next = await serve(new Shop('second').service, { port })
  t.equal(await waiting, 'second')
  t.same(events, ['leaving', 'state connecting', 'renewed', 'state open'])
  await assertClean(t, conn.session, plain.session, ...next.sessions)
  await conn.close()
})

t.test('a drain ends under steady traffic: no call is lost by `renew`, none runs twice', async t => {
  const { server, port, url, conn } = await open()
  const plain = connect<Home>(url)
  let stopped = false
  const names = new Set<string>()
  const loops = [11, 12, 13].map(async ms => {
    while (!stopped) names.add(await conn.root.pause(ms))
  })
  const failures: unknown[] = []
  const plainLoops = [11, 12, 13].map(async ms => {
    while (!stopped) await plain.root.pause(ms)
  })
  for (const loop of plainLoops) loop.catch(error => failures.push(error))
  await plain.ping()
  t.ok((await msOf(server.close(DRAIN))) < SOON_MS)
  await waitUntil(() => failures.length === 3)
  for (const failure of failures)
    t.match(failure, { name: 'SessionEndedError', code: 'server-closed', mayHaveRun: false })
  await using next = await serve(new Shop('second').service, { port })
  await waitUntil(() => names.has('second'))
  stopped = true
  await Promise.all(loops)
  t.same([...names], ['first', 'second'])
  await assertClean(t, conn.session, plain.session, ...next.sessions)
  await conn.close()
})

/** The error of the first call that fails, of calls made one after the other. */
async function firstFailure(call: () => Promise<unknown>): Promise<unknown> {
  for (;;) {
    try {
      await call()
    } catch (error) {
      return error
    }
    await sleep(5)
  }
}

t.test('after a while, a client begins no call although others are under way', async t => {
  const { shop, server, conn } = await open({})
  const call = conn.root.sell(() => conn.root.where())
  const closed = server.close(DRAIN)
  const began = performance.now()
  t.match(await firstFailure(() => conn.root.where()), {
    name: 'SessionEndedError',
    message: 'root.where(): the session has ended (server-closed): the server is going away',
    mayHaveRun: false
  })
  t.ok(performance.now() - began < SOON_MS)
  t.equal(conn.state, 'open')
  shop.goOn()
  t.equal(await call, 'first', 'the call under way finishes, with its callback')
  await closed
  await assertClean(t, conn.session)
})

t.test('calls that a call under way needs still run, in both directions', async t => {
  const seen: unknown[] = []
  let goOn = () => {}
  const gate = new Promise<void>(resolve => {
    goOn = resolve
  })
  class Asking extends Service {
    override async onClosing({ root }: Session) {
      seen.push('closing')
      await (root as Home).bye()
    }
    exposed_double(n: number) {
      return n * 2
    }
  }
  class Client extends Service {
    async exposed_ask() {
      await gate
      return await conn.root.double(4)
    }
    exposed_at_once() {
      return conn.root.double(5)
    }
    exposed_bye() {
      seen.push('bye')
    }
  }
  const server = await serve(Asking, { port: 0 })
  const conn = connect<Home>(server.url, { service: Client })
  await conn.ping()
  const [session] = server.sessions
  const root = session!.root as Home
  const asked = root.ask()
  const closed = server.close(DRAIN)
  t.equal(await root.at_once(), 10)
  t.match(await firstFailure(() => root.at_once()), { code: 'server-closed', mayHaveRun: false })
  t.equal(session!.state, 'open', 'the server begins no further call')
  goOn()
  t.equal(await asked, 8)
  t.ok((await msOf(closed)) < SOON_MS)
  t.same(seen, ['closing', 'bye'], 'onClosing may call')
  await assertClean(t, conn.session, session!)
})

t.test('a one-way call is waited for', async t => {
  const { shop, server, conn } = await open()
  await Netref.oneway(conn.root.sell)()
  await conn.ping()
  const closed = server.close(DRAIN)
  await waitUntil(() => conn.state === 'connecting')
  t.equal(shop.session.state, 'open')
  shop.goOn()
  await closed
  t.equal(shop.ran, 1)
  await conn.close()
})

t.test('giving back a subscription is no failure then', async t => {
  const { shop, server, conn } = await open({})
  const call = conn.root.sell()
  const closed = server.close(DRAIN)
  await firstFailure(() => conn.root.where())
  await conn.root.off('change', () => {})
  shop.goOn()
  await Promise.all([call, closed])
  await assertClean(t, conn.session)
})

t.test('a peer that does not know the message gets none', async t => {
  const { shop, server, url, conn } = await open()
  const [idle, busy] = [await RawPeer.open(url), await RawPeer.open(url)]
  busy.send([[Op.call, 1, 0, 'sell', []]])
  await waitUntil(() => shop.ran === 1)
  const closed = server.close(DRAIN)
  t.match(await idle.closed, { code: 1001 })
  busy.send([[Op.call, 2, 0, 'where', []]])
  t.equal((await busy.message(([op, id]) => op === Op.result && id === 2))[2], 'first', 'its calls run')
  shop.goOn()
  t.equal((await busy.message(([op, id]) => op === Op.result && id === 1))[2], 1)
  await closed
  t.equal([...idle.messages, ...busy.messages].filter(([op]) => op === Op.leaving).length, 0)
  await conn.close()
})

t.test('a client that does not answer holds up the end for a while only', async t => {
  const { server, url, conn } = await open()
  const asleep = await RawPeer.open(url, { sendsHello: false })
  asleep.send([hello({ leaving: 1 })])
  await asleep.message(([op]) => op === Op.hello)
  const closed = server.close(DRAIN)
  const [, ms] = await asleep.message(([op]) => op === Op.leaving)
  t.ok(Number(ms) > 19_000 && Number(ms) <= 20_000)
  t.ok((await msOf(closed)) < SOON_MS)
  await conn.close()
})

t.test('a `leaving` out of turn is not of the protocol', async t => {
  const { server, url, conn } = await open()
  for (const messages of [[[Op.leaving]], [[Op.leaving, 5]]]) {
    const peer = await RawPeer.open(url)
    peer.send(messages)
    t.match(await peer.closed, { code: 1002, reason: /protocol: it received an unexpected `leaving`/ })
  }
  await conn.close()
  await server.close()

  const listener = net.createServer(async socket => {
    const peer = RawPeer.accept(socket)
    await peer.upgrade()
    peer.send([hello(), [Op.leaving, 60_000], [Op.leaving, 60_000]])
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const fooled = connect(`ws://127.0.0.1:${(listener.address() as AddressInfo).port}`)
  t.match(await fooled.closed, { code: 'protocol', message: /an unexpected `leaving`/ })
  listener.close()
})

t.test('the session that is left is lost: its calls follow the rules of `renew`', async t => {
  const shop = new Shop('first')
  const server = await serve(shop.service, { port: 0 })
  const door = await GatedProxy.inFrontOf(server.url)
  const conn = connect<Home>(door.url, RENEWING)
  await conn.ping()
  const old = conn.session
  const events = eventsOf(conn)
  const sale = rejectionOf(conn.root.sell())
  await using next = await serve(new Shop('second').service, { port: 0 })
  const closed = server.close(DRAIN)
  door.target = next.url
  await waitUntil(() => events.includes('renewed'))
  door.cut()
  t.match(await sale, { code: 'may-have-run' })
  t.match(await old.closed, { code: 'session-lost' })
  t.equal(await conn.root.where(), 'second')
  shop.goOn()
  await closed
  await conn.close()
  await door.close()
})

t.test('closing a connection that moves closes all of its sessions', async t => {
  const { shop, server, url, conn, events } = await open()
  const call = rejectionOf(conn.root.sell())
  const old = conn.session
  const closed = server.close(DRAIN)
  await waitUntil(() => events.includes('state connecting'))
  t.not(conn.session, old)
  t.throws(() => conn.close({ code: 'limit' }), TypeError)
  await conn.close()
  t.match(await call, { code: 'closed', mayHaveRun: true })
  t.match([await old.closed, await conn.closed], [{ code: 'closed' }, { code: 'closed' }])
  t.same(events, ['leaving', 'state connecting', 'state closed', 'closed closed'])
  shop.goOn()
  await closed
  t.ok(await rejectionOf(RawPeer.dial(url)), 'nothing listens, and no attempt follows')
})

t.test('no session follows one that this side closes', async t => {
  let goOn = () => {}
  const gate = new Promise<void>(resolve => {
    goOn = resolve
  })
  class Client extends Service {
    override onClosing() {
      return gate
    }
  }
  const { shop, server, port, conn, events } = await open({ ...RENEWING, service: Client })
  const call = rejectionOf(conn.root.sell())
  const { session } = conn
  const closed = server.close(DRAIN)
  await waitUntil(() => events.includes('leaving'))
  const ended = session.close()
  await using next = await serve(new Shop('second').service, { port })
  await waitUntil(() => next.sessions.size === 1)
  await waitUntil(() => next.sessions.size === 0)
  t.equal(conn.session, session)
  goOn()
  await ended
  t.match(await call, { code: 'closed' })
  t.same(events, ['leaving', 'state closed', 'closed closed'])
  shop.goOn()
  await closed
})

t.test('the attempts end with the connection', async t => {
  const { shop, server, port, conn, events } = await open({ ...RENEWING, service: class extends Service {} })
  const call = rejectionOf(conn.root.sell())
  const closed = server.close(DRAIN)
  await waitUntil(() => events.includes('leaving'))
  await conn.session.close()
  await call
  shop.goOn()
  await closed
  await using next = await serve(new Shop('second').service, { port })
  await sleep(50)
  t.equal(next.metrics.sessionsTotal, 0)
  t.same(events, ['leaving', 'state closed', 'closed closed'])
})

t.test('an aborted signal lets no session follow', async t => {
  const abort = new AbortController()
  const { shop, server, conn, events } = await open({
    renew: true,
    reconnect: { ...RENEWING.reconnect, signal: abort.signal }
  })
  const call = conn.root.sell()
  abort.abort()
  const closed = server.close(DRAIN)
  await waitUntil(() => events.includes('leaving'))
  shop.goOn()
  t.equal(await call, 1)
  await closed
  t.match(await conn.closed, { code: 'server-closed' })
  t.same(events, ['leaving', 'state closed', 'closed server-closed'])
})

t.test('a next server that rejects the client: the old session is used to its end', async t => {
  const { shop, server, port, conn, events } = await open()
  const call = conn.root.sell()
  const closed = server.close(DRAIN)
  let asked = 0
  await using next = await serve({}, { port, authenticate: () => void asked++ })
  await waitUntil(() => asked === 1)
  t.equal(conn.state, 'open')
  shop.goOn()
  t.equal(await call, 1)
  await closed
  t.match(await conn.closed, { code: 'unauthorized' })
  t.equal(events[0], 'leaving')
  t.equal(next.sessions.size, 0)
})

t.test('the next server leaves, too', async t => {
  const { shop, server, port, conn, events } = await open()
  const call = conn.root.sell()
  const closed = server.close(DRAIN)
  const second = new Shop('second')
  const next = await serve(second.service, { port })
  await waitUntil(() => events.includes('renewed'))
  const another = conn.root.sell()
  await waitUntil(() => second.ran === 1)
  const nextClosed = next.close(DRAIN)
  await using last = await serve(new Shop('last').service, { port })
  await waitUntil(() => events.filter(event => event === 'renewed').length === 2)
  t.equal(await conn.root.where(), 'last')
  shop.goOn()
  second.goOn()
  t.same(await Promise.all([call, another]), [1, 1])
  await Promise.all([closed, nextClosed])
  t.same(events, ['leaving', 'renewed', 'leaving', 'renewed'])
  await assertClean(t, conn.session, ...last.sessions)
  await conn.close()
})

t.test('at most eight sessions are open: the oldest that was left ends', async t => {
  const { shop, server, port, conn, events } = await open()
  const [old, call] = [conn.session, conn.root.sell()]
  const leaving = [{ shop, server }]
  for (let moves = 1; moves <= 8; moves++) {
    const last = leaving.at(-1)!
    await waitUntil(() => last.shop.ran === 1)
    t.equal(old.state, 'open')
    void last.server.close(DRAIN)
    const next = new Shop(`${moves}`)
    leaving.push({ shop: next, server: await serve(next.service, { port }) })
    await waitUntil(() => events.filter(event => event === 'renewed').length === moves)
    if (moves < 8) conn.root.sell().catch(() => {})
  }
  t.match(await rejectionOf(call), { code: 'closed', mayHaveRun: true })
  t.equal(conn.state, 'open')
  for (const { shop } of leaving) shop.goOn()
  await conn.close()
  await Promise.all(leaving.map(({ server }) => server.close()))
  await assertClean(t, old, conn.session)
})

t.test('a shared HTTP server answers with 503 while it drains', async t => {
  const web = http.createServer((_, response) => response.end('web'))
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  const shop = new Shop('first')
  const server = await serve(shop.service, { server: web })
  const conn = connect<Home>(server.url)
  const call = conn.root.sell()
  await conn.ping()
  const closed = server.close(DRAIN)
  const refused = connect(server.url)
  t.match(await refused.closed, { code: 'unreachable', message: /503 \(the server is going away\)/ })
  t.equal(await (await fetch(server.url.replace('ws', 'http'))).text(), 'web')
  shop.goOn()
  t.equal(await call, 1)
  await closed
  t.equal(web.listening, true)
  web.close()
  web.closeAllConnections()
})

t.test('clients that arrive are told to try again', async t => {
  const { shop, server, url, conn } = await open({})
  const call = conn.root.sell()
  const late = await RawPeer.open(url, { sendsHello: false })
  const never = await RawPeer.open(url, { sendsHello: false })
  await waitUntil(() => server.metrics.arriving === 2)
  const closed = server.close(DRAIN)
  late.send([hello()])
  t.match(await late.closed, { code: 1013, reason: 'unavailable: the server is going away' })
  shop.goOn()
  await Promise.all([call, closed])
  t.match(await never.closed, { code: 1013, reason: 'unavailable: the server is going away' })
})

t.test('authentication that is under way when the drain begins', async t => {
  const shop = new Shop('first')
  let asked = 0
  const authenticate = () => (asked++ === 0 ? 'ann' : new Promise<never>(() => {}))
  const server = await serve(shop.service, { port: 0, authenticate })
  const conn = connect<Home>(server.url)
  const call = conn.root.sell()
  await conn.ping()
  const waiting = connect(server.url)
  await waitUntil(() => asked === 2)
  const closed = server.close(DRAIN)
  t.match(await waiting.closed, { code: 'unreachable', message: /503/ })
  shop.goOn()
  await Promise.all([call, closed])
})
