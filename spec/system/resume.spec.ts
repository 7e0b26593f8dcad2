// Tests resumption: sockets break and sessions continue, or end with the right reason.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import {
  type Connection,
  type ConnectOptions,
  connect,
  expose,
  exposed,
  Netref,
  type Reason,
  type ServeOptions,
  type Server,
  Service,
  serve
} from '../../lib/index.js'
import { ChaosProxy } from '../support/chaos-proxy.js'
import { assertClean, CHILD_ENV, implOf, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

class Works extends Service {
  count = 0
  listeners: Netref<(n: number) => void>[] = []
  answer: (value: unknown) => void = () => {}
  exposed_count() {
    return ++this.count
  }
  exposed_later() {
    return new Promise(resolve => {
      this.answer = resolve
    })
  }
  exposed_open() {
    return expose({ size: () => 3 })
  }
  exposed_text(length: number) {
    return 'x'.repeat(length)
  }
  exposed_size(text: string) {
    return text.length
  }
  exposed_subscribe(listener: Netref<(n: number) => void>) {
    this.listeners.push(listener)
  }
  exposed_drop() {
    this.listeners = []
  }
}

const SOON = { delay: 1, maxDelay: 20 }

/** A session through a proxy that can cut it; after `use` both ends must be clean. */
async function throughProxy(
  t: Test,
  use: (conn: Connection<Works>, chaos: ChaosProxy, home: Works, server: Server) => Promise<void>,
  { client = {}, serving = {} }: { client?: ConnectOptions; serving?: ServeOptions } = {}
): Promise<void> {
  const home = new Works()
  await using server = await serve(home, { port: 0, ...serving })
  const chaos = await ChaosProxy.inFrontOf(server.url, 1)
  const conn = connect<Works>(chaos.url, { reconnect: SOON, ...client })
  await conn.ping()
  await use(conn, chaos, home, server)
  if (conn.state !== 'closed') await assertClean(t, conn.session, ...server.sessions)
  await conn.close()
  await chaos.close()
}

t.test('calls, references and callbacks continue over another socket, and both ends emit events', t =>
  throughProxy(t, async (conn, chaos, home, { sessions }) => {
    const events: string[] = []
    const [session] = sessions
    for (const [who, side] of [
      ['client', conn.session],
      ['server', session!]
    ] as const) {
      side.on('interrupted', ({ code }) => events.push(`${who} ${code}`))
      side.on('resumed', () => events.push(`${who} resumed`))
    }
    const delivered: number[] = []
    await conn.root.subscribe(n => void delivered.push(n))
    const thing = await conn.root.open()
    const later = conn.root.later()
    await conn.ping()
    chaos.cutAll()
    await waitUntil(() => conn.state === 'interrupted' && session!.state === 'interrupted')
    const calls = [conn.root.count(), conn.root.count(), thing.size()]
    home.answer('late')
    for (const listener of home.listeners) for (const n of [1, 2, 3]) void listener(n)
    t.same(await Promise.all([...calls, later]), [1, 2, 3, 'late'])
    await waitUntil(() => delivered.length === 3)
    t.same(delivered, [1, 2, 3])
    t.equal(conn.state, 'open')
    t.same(events.sort(), [
      'client connection-lost',
      'client resumed',
      'server connection-lost',
      'server resumed'
    ])
    await conn.root.drop()
  })
)

/** Sends a resume message, and returns the answer. */
async function present(url: string, ...frames: string[]) {
  const socket = new WebSocket(url)
  await once(socket, 'open')
  const delivered: string[] = []
  socket.on('message', data => delivered.push(String(data)))
  const closed = once(socket, 'close').then(([code, text]) => `${code} ${text}`)
  for (const frame of frames) socket.send(frame)
  return { socket, heard: delivered, closed }
}

t.test('a token is valid for one socket and is then replaced; an invalid one discloses nothing', async t => {
  const server = await serve(Works, { port: 0 })
  const first = await present(
    server.url,
    '[0,[[0,1,{"jsonBytes":4096,"frameBytes":4096,"depth":9,"values":10000}],[1,1,0,"count",[]]]]'
  )
  await waitUntil(() => first.heard.length > 0)
  const token = JSON.parse(first.heard[0]!)[1][0][3] as string
  t.match(token, /^\d+\.[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/, 'a random UUID')
  const [session] = server.sessions
  for (const wrong of ['1.AAAAAAAAAAAAAAAAAAAAAA', '2.x', 'x', token.slice(0, -1), `${token}A`]) {
    const stranger = await present(server.url, `["resume","${wrong}",1]`)
    t.match(await stranger.closed, /^4000 session-lost: the server does not know the session/)
    t.same(stranger.heard, [])
  }
  t.equal(session!.state, 'open', 'no other client is notified')

  const second = await present(server.url, `["resume","${token}",1]`)
  t.match(await first.closed, /^4000 connection-lost: another socket resumed the session/)
  await waitUntil(() => second.heard.length > 0)
  const [word, next, received] = JSON.parse(second.heard[0]!)
  t.same([word, received], ['resumed', 1])
  t.not(next, token)
  // The answer may have been lost: no byte of this socket proves that it arrived.
  const third = await present(server.url, `["resume","${token}",1]`)
  await waitUntil(() => third.heard.length > 0)
  third.socket.send('[1,[[8,2]]]')
  await waitUntil(() => third.heard.length > 1)
  t.match(
    await (await present(server.url, `["resume","${token}",1]`)).closed,
    /session-lost/,
    'it was not replaced'
  )
  t.equal(JSON.parse(third.heard[0]!)[1], next, 'a late attempt does not affect the client that resumed')
  t.equal(session!.state, 'open')
  const odd = await present(server.url, `["resume","${next}",99]`)
  t.match(await odd.closed, /^1002 protocol: it received a resume frame that acknowledges 99 frames/)
  t.match(await session!.closed, { code: 'protocol' })
  t.equal(server.sessions.size, 0)
  await server.close()
})

t.test('an acknowledgement below an earlier one ends the session', async t => {
  const server = await serve(Works, { port: 0 })
  const hello = '[0,[[0,1,{"jsonBytes":4096,"frameBytes":4096,"depth":9,"values":10000}]]]'
  const client = await present(server.url, hello)
  await waitUntil(() => client.heard.length > 0)
  const token = JSON.parse(client.heard[0]!)[1][0][3] as string
  const [session] = server.sessions
  client.socket.send('[1]')
  client.socket.send('[1,1]')
  await waitUntil(() => client.heard.length > 1)
  t.equal(client.heard[1], '[1]', 'a request for an acknowledgement is answered')
  const again = await present(server.url, `["resume","${token}",0]`)
  t.match(await again.closed, /^1002 protocol/)
  t.match(await session!.closed, {
    code: 'protocol',
    message: /a resume frame that acknowledges 0 frames/
  })
  await server.close()
})

t.test('a session may be ended by its service while it is resumed', async t => {
  const server = await serve(Works, { port: 0 })
  const client = await present(
    server.url,
    '[0,[[0,1,{"jsonBytes":4096,"frameBytes":4096,"depth":9,"values":10000}]]]'
  )
  await waitUntil(() => client.heard.length > 0)
  const token = JSON.parse(client.heard[0]!)[1][0][3] as string
  const [session] = server.sessions
  session!.on('interrupted', () => void session!.close())
  const again = await present(server.url, `["resume","${token}",1]`)
  t.match(await again.closed, /^1000 closed/)
  await server.close()
})

t.test(
  'after the window the server ends the session, and the client learns it when it reconnects',
  async t => {
    const ended: Reason[] = []
    class Told extends Works {
      override onDisconnect(_session: unknown, reason: Reason) {
        ended.push(reason)
      }
    }
    const server = await serve(Told, { port: 0, resumeWindow: 50 })
    const chaos = await ChaosProxy.inFrontOf(server.url, 1)
    const conn = connect<Works>(chaos.url, { reconnect: { delay: 600 } })
    await conn.root.count()
    const pending = conn.root.later()
    await conn.ping()
    chaos.cutAll()
    await waitUntil(() => ended.length === 1)
    t.match(ended, [{ code: 'connection-lost', message: /the client did not resume within 50 ms/ }])
    t.equal(conn.state, 'interrupted')
    const unsent = conn.root.count()
    t.match(await rejectionOf(pending), { name: 'SessionEndedError', code: 'session-lost', mayHaveRun: true })
    t.match(await rejectionOf(unsent), { code: 'session-lost', mayHaveRun: false })
    t.match(await conn.closed, { code: 'session-lost' })
    await conn.close()
    await server.close()
    await chaos.close()
  }
)

t.test('resumeWindow 0, reconnect false, and an aborted search', async t => {
  for (const serving of [{ resumeWindow: 0 }, {}]) {
    await throughProxy(
      t,
      async (conn, chaos) => {
        chaos.cutAll()
        t.match(await conn.closed, { code: 'connection-lost', message: /was lost: close code 1006/ })
      },
      { serving, client: serving.resumeWindow === 0 ? {} : { reconnect: false } }
    )
  }
  const abort = new AbortController()
  await throughProxy(
    t,
    async (conn, chaos) => {
      chaos.cutAll()
      await waitUntil(() => conn.state === 'interrupted')
      abort.abort(new Error('enough'))
      t.match(await conn.closed, {
        code: 'connection-lost',
        message: /aborted/,
        cause: { message: 'enough' }
      })
    },
    { client: { reconnect: { delay: 10_000, signal: abort.signal } } }
  )
  await throughProxy(
    t,
    async (conn, chaos) => {
      chaos.cutAll()
      t.match(await conn.closed, { code: 'connection-lost' }, 'aborted before the connection was lost')
    },
    { client: { reconnect: { signal: abort.signal } } }
  )
})

t.test('the client of a server that is gone gives up at the end of the window', async t => {
  const server = await serve(Works, { port: 0, resumeWindow: 30, heartbeat: 10 })
  const chaos = await ChaosProxy.inFrontOf(server.url, 1)
  const conn = connect<Works>(chaos.url, { reconnect: SOON })
  const pending = rejectionOf(conn.root.later())
  await conn.ping()
  await chaos.close()
  const lost = performance.now()
  t.match(await pending, { code: 'connection-lost', mayHaveRun: true, message: /ECONNREFUSED/ })
  t.ok(performance.now() - lost >= 45, 'not before')
  await conn.close()
  await server.close()
})

class Account {
  readonly #name: string
  constructor(name: string) {
    this.#name = name
  }
  get name() {
    return this.#name
  }
}

t.test('only the client that began a session may resume it', async t => {
  const errors: Error[] = []
  const acme = (name: string) => ({ org: 'acme', name })
  const kept = new Account('ann')
  const noIdea = () => {
    throw new Error('no idea')
  }
  class User {
    constructor(readonly id: string) {}
  }
  const sameOrg: Untyped = (a: { org: string }, b: { org: string }) => a.org === b.org
  let visits = 0
  for (const [identify, sameIdentity, code, told] of [
    [acme, undefined, 'session-lost'],
    [acme, sameOrg, undefined],
    [acme, noIdea, 'session-lost', 'no idea'],
    [
      acme,
      async () => true,
      'session-lost',
      'sameIdentity returned a promise, but must decide synchronously'
    ],
    [acme, async () => noIdea(), 'session-lost', 'sameIdentity returned a promise'],
    [acme, () => ({ then() {} }), 'session-lost', 'sameIdentity returned a promise'],
    [() => ({ name: 'ann', roles: new Set(['a', 'b']) }), undefined, undefined],
    [() => (visits % 2 ? { a: 1, b: new Date(0) } : { b: new Date(0), a: 1 }), undefined, undefined],
    [() => new User('ann'), undefined, undefined],
    [() => new User(`visitor ${visits}`), undefined, 'session-lost'],
    [(name: string) => new Account(name), undefined, 'session-lost', 'sameIdentity: Account {…} is not data'],
    [() => ({ load: Promise.resolve(visits) }), undefined, 'session-lost', 'sameIdentity: {…} is not data'],
    [() => kept, undefined, undefined]
  ] as const) {
    errors.length = 0
    const server = await serve(Works, {
      port: 0,
      authenticate: async request => identify((await request.token()) as string) as Untyped,
      sameIdentity: sameIdentity as Untyped,
      onError: error => errors.push(error as Error)
    })
    const chaos = await ChaosProxy.inFrontOf(server.url, 1)
    const conn = connect<Works>(chaos.url, { reconnect: SOON, token: () => `visit ${++visits}` })
    t.equal(await conn.root.count(), 1)
    chaos.cutAll()
    await waitUntil(() => conn.state !== 'open')
    if (code === undefined) t.equal(await conn.root.count(), 2)
    else {
      t.match(await rejectionOf(conn.root.count()), {
        code,
        message: /the session belongs to another identity/
      })
      t.equal(server.sessions.size, 1, 'the session keeps waiting for its client')
    }
    t.equal(errors.length, told ? 1 : 0)
    if (told) t.ok(errors[0]!.message.startsWith(told), errors[0]!.message)
    await conn.close()
    await server.close()
    await chaos.close()
  }
})

t.test('a new client takes precedence over an interrupted session', async t => {
  const server = await serve(Works, { port: 0, limits: { sessions: 2 } })
  const chaos = await ChaosProxy.inFrontOf(server.url, 1)
  const patient = { reconnect: { delay: 1000 } }
  const first = connect<Works>(chaos.url, patient)
  await first.ping()
  const second = connect<Works>(chaos.url, patient)
  await second.ping()
  const [oldest] = server.sessions
  chaos.cutAll()
  await waitUntil(() => [...server.sessions].every(({ state }) => state === 'interrupted'))
  const third = connect<Works>(server.url)
  await third.ping()
  t.match(await oldest!.closed, {
    code: 'limit',
    message: /it was ended to accept another client: the server allows 2 sessions/
  })
  t.equal(server.sessions.size, 2)
  // While others use all slots, the client is refused by HTTP and retries.
  await third.close()
  t.match(await first.closed, { code: 'session-lost' })
  t.equal(await second.root.count(), 1)
  await second.close()
  await server.close()
  await chaos.close()
})

t.test('close() ends an interrupted session at once; the server drops it after its window', t =>
  throughProxy(
    t,
    async (conn, chaos, _home, server) => {
      chaos.cutAll()
      await waitUntil(() => conn.state === 'interrupted')
      const call = rejectionOf(conn.root.count())
      await conn.close()
      t.match(await call, { code: 'closed', mayHaveRun: false })
      await waitUntil(() => server.sessions.size === 0)
    },
    { client: { reconnect: { delay: 5000 } }, serving: { resumeWindow: 20 } }
  )
)

t.test('a first connection is retried only with `initial`', async t => {
  const parked = await serve(Works, { port: 0 })
  const { url } = parked
  await parked.close()
  const early = connect<Works>(url, {
    reconnect: { ...SOON, initial: true },
    limits: { bufferedBytes: 5000 }
  })
  t.equal(early.state, 'connecting')
  const call = early.root.count()
  let refused: Error | undefined
  await waitUntil(() => {
    early.root.size('x'.repeat(3000)).catch(error => (refused ??= error))
    return refused !== undefined
  })
  t.match(refused, {
    name: 'LimitError',
    message: /at most 5000 bytes may wait for it \(limits\.bufferedBytes\)/
  })
  const server = await serve(Works, { port: Number(new URL(url).port) })
  t.equal(await call, 1)
  t.equal(early.state, 'open')
  await early.close()
  await server.close()
  const never = connect<Works>(url, { reconnect: { ...SOON, initial: true } })
  t.equal(never.state, 'connecting')
  const left = rejectionOf(never.root.count())
  await new Promise(resolve => setTimeout(resolve, 30))
  await never.close()
  t.match(await left, { code: 'closed' })
})

t.test('calls wait within limits while interrupted, and reject beyond, by name', t =>
  throughProxy(
    t,
    async (conn, chaos) => {
      chaos.cutAll()
      await waitUntil(() => conn.state === 'interrupted')
      const calls = Array.from({ length: 20 }, () => conn.root.size('x'.repeat(1000)))
      const outcomes = await Promise.allSettled(calls)
      const kept = outcomes.filter(({ status }) => status === 'fulfilled').length
      t.ok(kept > 5 && kept < 10, `${kept} of 20 were kept`)
      const [error] = outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason] : []))
      t.match(error, { name: 'LimitError', code: 'limit' })
      t.match(error.message, /^root\.size\("x+…"\): the connection is interrupted, and at most 10000 bytes/)
    },
    { client: { limits: { bufferedBytes: 10_000 } } }
  )
)

t.test('too many replies for an interrupted client end its session', t =>
  throughProxy(
    t,
    async (conn, chaos, home, { sessions }) => {
      const [session] = sessions
      const call = conn.root.later()
      await conn.ping()
      chaos.cutAll()
      await waitUntil(() => session!.state === 'interrupted')
      home.answer('x'.repeat(300_000))
      t.match(await session!.closed, {
        code: 'limit',
        message: /too many replies and calls wait .*bufferedBytes: 100000/
      })
      t.match(await rejectionOf(call), { code: 'session-lost' })
    },
    { client: { reconnect: { delay: 200 } }, serving: { limits: { bufferedBytes: 100_000 } } }
  )
)

t.test('a peer that stopped reading and was then interrupted gets its replies on another socket', t =>
  throughProxy(
    t,
    async (conn, chaos, _home, { sessions }) => {
      const [session] = sessions
      // Data that the client does not read piles up at the server, which then stops reading from it.
      const calls = Array.from({ length: 60 }, () => conn.root.text(1 << 20))
      await waitUntil(() => implOf(session!).link.receiver.isPostponed)
      chaos.cutAll()
      for (const text of await Promise.all(calls)) if (text.length !== 1 << 20) t.fail('a wrong answer')
      await waitUntil(() => !implOf(session!).link.receiver.isPostponed)
    },
    { serving: { limits: { bufferedBytes: 1 << 20 } } }
  )
)

t.test('a peer that does not read and opens another socket gets its replies there', async t => {
  const server = await serve(Works, { port: 0, limits: { bufferedBytes: 1 << 20 } })
  const mute = await present(
    server.url,
    '[0,[[0,1,{"jsonBytes":4194304,"frameBytes":4194304,"depth":9,"values":10000}]]]'
  )
  await waitUntil(() => mute.heard.length > 0)
  const token = JSON.parse(mute.heard[0]!)[1][0][3] as string
  const [session] = server.sessions
  const ids = Array.from({ length: 40 }, (_, i) => i + 1)
  mute.socket.pause()
  mute.socket.send(`[1,[${ids.map(id => `[1,${id},0,"text",[500000]]`)}]]`)
  await waitUntil(() => implOf(session!).link.receiver.isPostponed)
  const reading = await present(server.url, `["resume","${token}",1]`)
  let received = 1
  reading.socket.on('message', data => {
    if (/^\[\d+,\[/.test(String(data))) reading.socket.send(`[${++received}]`)
  })
  await waitUntil(() => received === 1 + ids.length)
  const frames = reading.heard.filter(frame => /^\[\d+,\[/.test(frame))
  t.same(
    frames.flatMap(frame => JSON.parse(frame)[1]).map(([, id]) => id),
    ids
  )
  await waitUntil(() => !implOf(session!).link.receiver.isPostponed)
  mute.socket.terminate()
  await server.close()
})

t.test('a silent socket is abandoned, and another one resumes the session', async t => {
  await throughProxy(
    t,
    async (conn, chaos) => {
      const reasons: Reason[] = []
      conn.on('interrupted', reason => reasons.push(reason))
      chaos.blackHoleAll()
      const call = conn.root.count()
      await waitUntil(() => reasons.length === 1)
      t.equal(await call, 1)
      t.match(reasons, [{ code: 'connection-lost', message: /the other side has sent nothing for \d+ ms/ }])
    },
    { client: { heartbeat: 60 }, serving: { heartbeat: 0 } }
  )
})

t.test('a closing server drains calls, accepts no client, and sends its reason', async t => {
  const home = new Works()
  const server = await serve(home, { port: 0 })
  const conn = connect<Works>(server.url)
  const idle = connect<Works>(server.url)
  await idle.ping()
  const later = conn.root.later()
  await conn.ping()
  const { url } = server
  const closed = server.close({ drain: 20_000 })
  const refused = connect<Works>(url)
  t.match(await refused.closed, { code: 'unreachable', message: /ECONNREFUSED/ })
  t.match(await idle.closed, { code: 'server-closed' }, 'a session without calls ends at once')
  t.equal(conn.state, 'open')
  home.answer('done')
  t.equal(await later, 'done')
  await closed
  t.match(await conn.closed, { code: 'server-closed' })
  const hasty = await serve(home, { port: 0 })
  const cut = connect<Works>(hasty.url)
  const never = rejectionOf(cut.root.later())
  await cut.ping()
  await hasty.close({ drain: 50 })
  t.match(await never, { code: 'server-closed', mayHaveRun: true })
})

t.test('invalid durations throw and are named', async t => {
  t.throws(() => connect('ws://localhost', { heartbeat: -1 }), /heartbeat: -1 is not a time in ms/)
  t.throws(() => connect('ws://localhost', { reconnect: { delay: Number.NaN } }), /reconnect\.delay: NaN/)
  t.throws(
    () => connect('ws://localhost', { reconnect: { maxDelay: '1' as never } }),
    /reconnect\.maxDelay: "1"/
  )
  await t.rejects(serve(Works, { port: 0, resumeWindow: 2 ** 31 }), /resumeWindow: 2147483648/)
})

/** Starts a server in a process of its own. */
async function start(t: Test, port = 0): Promise<{ child: ChildProcess; url: string }> {
  const program = fileURLToPath(new URL('../support/fixtures/resumable-server.ts', import.meta.url))
  const child = fork(program, [String(port)], { env: CHILD_ENV, execArgv: ['--import', 'tsx'] })
  t.teardown(() => child.kill('SIGKILL'))
  const [url] = (await once(child, 'message')) as [string]
  return { child, url }
}

t.test(
  'kill -9: every pending call rejects with the right code within a second of the reconnection',
  async t => {
    const { child, url } = await start(t)
    const conn = connect<Works & { exposed_never(): void }>(url, { reconnect: SOON })
    t.equal(await conn.root.count(), 1)
    const calls = [1, 2, 3].map(() => rejectionOf(conn.root.never()))
    await conn.ping()
    child.kill('SIGKILL')
    await waitUntil(() => conn.state === 'interrupted')
    const unsent = rejectionOf(conn.root.count())
    await start(t, Number(new URL(url).port))
    const back = performance.now()
    for (const error of await Promise.all(calls)) t.match(error, { code: 'session-lost', mayHaveRun: true })
    t.match(await unsent, { code: 'session-lost', mayHaveRun: false })
    t.ok(performance.now() - back < 1000, `${performance.now() - back} ms`)
    t.match(await conn.closed, { code: 'session-lost', message: /the server does not know the session/ })
    await conn.close()
  }
)

t.test('kill -STOP for less than the window only takes time', async t => {
  const { child, url } = await start(t)
  const conn = connect<Works>(url, { reconnect: SOON, heartbeat: 100 })
  t.equal(await conn.root.count(), 1)
  child.kill('SIGSTOP')
  const call = conn.root.count()
  await waitUntil(() => conn.state === 'interrupted')
  child.kill('SIGCONT')
  t.equal(await call, 2)
  t.equal(await conn.root.count(), 3)
  t.match(conn.stats, { exports: 0, imports: 0, pending: 0 })
  await conn.close()
})

class Store extends Service {
  static values: string[] = []
  static asked = 0
  static go: () => void = () => {}
  @exposed({ idempotent: true }) put(value: string) {
    Store.values.push(value)
    return new Promise<string>(resolve => {
      Store.go = () => resolve(value)
    })
  }
  @exposed({ idempotent: true }) ask(answer: Netref<(times: number) => string>) {
    return ++Store.asked === 1 ? new Promise<string>(() => {}) : answer(Store.asked)
  }
  @exposed({ idempotent: true }) measure(_bytes: object) {
    return new Promise<number>(() => {})
  }
  @exposed append(value: string) {
    Store.values.push(value)
    return new Promise<void>(() => {})
  }
  @exposed watch(listener: Netref<(value: string) => void>) {
    return listener('watched')
  }
  @exposed open() {
    return expose({ name: () => 'thing', wait: () => new Promise<void>(() => {}) })
  }
  @exposed use(thing: object) {
    return thing
  }
  @exposed get size() {
    return new Promise<number>(resolve => {
      if (Store.values.includes('size')) resolve(Store.values.length)
    })
  }
}

t.test('renew: a new session replaces a lost one and retries its calls', async t => {
  const first = await serve(Store, { port: 0, resumeWindow: 0 })
  const port = Number(new URL(first.url).port)
  const conn = connect<Store>(first.url, { renew: true, reconnect: SOON })
  const events: string[] = []
  for (const event of ['interrupted', 'resumed', 'renewed', 'closed'] as const)
    conn.on(event, () => events.push(event))
  const { root } = conn
  const thing = await root.open()
  const put = root.put('a')
  const { signal } = new AbortController()
  const asked = Netref.with(root.ask, { signal })(times => `asked ${times} times`)
  const given = { text: 'b' }
  const append = rejectionOf(root.append('b'))
  const chained = rejectionOf(root.open().wait())
  const held = rejectionOf(thing.wait())
  const withOld = rejectionOf(root.use(thing).then(() => new Promise(() => {})))
  const size = Promise.resolve(root.size)
  const moved = rejectionOf(root.measure(Netref.transfer(new Uint8Array(3))))
  let reads = 0
  const once = rejectionOf(
    root.measure({
      bytes: new Uint8Array(3),
      get name() {
        if (++reads > 1) throw new Error('it can be read once')
        return 'once'
      }
    })
  )
  await conn.ping()
  given.text = 'changed'
  const pinged = rejectionOf(conn.ping())
  await first.close()
  t.match(await pinged, { code: 'server-closed' }, 'a ping goes to the new session')
  const again = conn.root
  t.not(again, root)
  t.equal(conn.state, 'connecting')
  Store.values.push('size')
  const second = await serve(Store, { port })
  await waitUntil(() => events.includes('renewed'))
  for (const error of [await chained, await held, await moved, await once])
    t.match(error, { name: 'SessionEndedError', code: 'server-closed', mayHaveRun: true })
  t.match(await append, {
    name: 'MayHaveRunError',
    code: 'may-have-run',
    mayHaveRun: true,
    message: 'root.append("b"): "append" may have run before the session was lost, and is not idempotent'
  })
  await waitUntil(() => Store.values.filter(value => value === 'a').length === 2)
  Store.go()
  t.equal(await put, 'a', 'an idempotent call has run again')
  t.equal(await asked, 'asked 2 times', 'a reference is sent again')
  t.equal(await size, Store.values.length, 'a read has been repeated')
  t.equal(Store.values.filter(value => value === 'b').length, 1)
  t.equal(await conn.root.watch(value => value.toUpperCase()), 'WATCHED')
  t.match(await rejectionOf(thing.name()), { code: 'server-closed' }, 'old netrefs stay released')
  t.match(await rejectionOf(root.put('c')), { code: 'server-closed' })
  t.same(events, ['renewed'])
  void withOld
  await assertClean(t, conn.session, ...second.sessions)
  await conn.close()
  t.match(await conn.closed, { code: 'closed' })
  t.same(events, ['renewed', 'closed'])
  await second.close()
  t.throws(
    () => connect('ws://localhost', { renew: true, reconnect: false }),
    /`renew` cannot be combined with/
  )

  const third = await serve(Store, { port: 0 })
  const abort = new AbortController()
  const last = connect<Store>(third.url, { renew: true, reconnect: { signal: abort.signal } })
  await last.ping()
  abort.abort()
  await third.close()
  t.match(await last.closed, { code: 'server-closed' }, 'a closed client opens no new session')
})
