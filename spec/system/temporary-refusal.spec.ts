// Tests temporary refusals: the server states them, the client retries, and its session is not lost.
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import {
  type Authenticate,
  type Connection,
  type ConnectOptions,
  connect,
  type ServeOptions,
  type Server,
  Service,
  serve,
  type UpgradeRequest
} from '../../lib/index.js'
import { assertClean, breakableAgent, rejectionOf, waitUntil } from '../support/helpers.js'

class Counter extends Service {
  static began = 0
  count = 0
  override onConnect() {
    Counter.began++
  }
  exposed_next() {
    return ++this.count
  }
}

const SOON = { delay: 1, maxDelay: 10 }
const failure = (more = {}) => Object.assign(new Error('the database is away'), more)

/** A session whose socket is then cut while `authenticate` fails; after `use` both ends must be clean. */
async function cutOff(
  t: Test,
  use: (conn: Connection<Counter>, server: Server, visits: () => number) => Promise<unknown>,
  authenticate: (request: UpgradeRequest, visit: number) => unknown,
  { client = {}, serving = {} }: { client?: ConnectOptions; serving?: ServeOptions } = {}
): Promise<void> {
  let visits = 0
  const ask: Authenticate = request => authenticate(request, ++visits)
  await using server = await serve(Counter, { port: 0, authenticate: ask, onError() {}, ...serving })
  const { agent, die } = breakableAgent()
  await using conn = connect<Counter>(server.url, { agent, token: 'ann', reconnect: SOON, ...client })
  t.equal(await conn.root.next(), 1)
  die()
  await waitUntil(() => conn.state !== 'open')
  await use(conn, server, () => visits)
  const there = [...server.sessions].filter(({ state }) => state === 'open')
  if (conn.state !== 'closed') await assertClean(t, conn.session, ...there)
}

/** Failures that say nothing about the client. */
const FOR_NOW: [what: string, fail: () => unknown][] = [
  ['an error', () => Promise.reject(failure())],
  ...[408, 425, 429, 500, 502, 503, 599].map((status): [string, () => unknown] => [
    `the status ${status}`,
    () => Promise.reject(failure({ status }))
  ])
]
FOR_NOW.push(['what is no error', () => Promise.reject(undefined)])

for (const [what, fail] of FOR_NOW) {
  t.test(`a session outlives ${what} of authenticate, before and after the token`, async t => {
    for (const heard of [false, true]) {
      await cutOff(
        t,
        async (conn, _server, visits) => {
          t.equal(await conn.root.next(), 2, 'the session is the same')
          t.equal(visits(), 4)
        },
        async (request, visit) => {
          if (heard) await request.token()
          return visit === 2 || visit === 3 ? fail() : 'ann'
        }
      )
    }
  })
}

t.test('a session outlives slow authentication after the token', t =>
  cutOff(
    t,
    async conn => t.equal(await conn.root.next(), 2),
    async (request, visit) => {
      await request.token()
      return visit === 2 ? new Promise(() => {}) : 'ann'
    },
    { serving: { limits: { helloMs: 200 } } }
  )
)

t.test('a session outlives a token function that is too slow', async t => {
  for (const authenticate of [undefined, (request: UpgradeRequest) => request.token()]) {
    let asked = 0
    const token = () => (++asked === 2 ? new Promise<string>(() => {}) : 'ann')
    await cutOff(
      t,
      async conn => t.equal(await conn.root.next(), 2),
      () => 'ann',
      {
        client: { token },
        serving: { authenticate, limits: { helloMs: 200 } }
      }
    )
    t.equal(asked, 3)
  }
})

t.test('a final refusal ends the session: no identity, or a 4xx status that is not temporary', async t => {
  for (const verdict of [
    () => undefined,
    () => null,
    () => false,
    ...[401, 402, 403, 410, 451].map(status => () => Promise.reject(failure({ status })))
  ]) {
    for (const heard of [false, true]) {
      await cutOff(
        t,
        async conn => t.match(await conn.closed, { code: 'unauthorized' }, String(verdict)),
        async (request, visit) => {
          if (heard) await request.token()
          return visit === 1 ? 'ann' : verdict()
        }
      )
    }
  }
})

t.test('a temporary refusal of a first connection ends it, and nothing has run', async t => {
  const authenticate = async (request: UpgradeRequest) => {
    await request.token()
    throw failure({ retryAfter: 0.5 })
  }
  await using server = await serve(Counter, { port: 0, authenticate, onError() {} })
  const conn = connect<Counter>(server.url, { token: 'ann' })
  t.match(await rejectionOf(conn.root.next()), {
    code: 'unavailable',
    message: /authentication is temporarily unavailable/,
    mayHaveRun: false
  })
  t.match(await conn.closed, { code: 'unavailable', retryAfter: 0.5 })
})

t.test('with `initial` a refused first connection is retried, and each call runs once', async t => {
  const events: string[] = []
  let visits = 0
  let open = false
  const authenticate = async (request: UpgradeRequest) => {
    await request.token()
    visits++
    if (!open) throw failure()
    return 'ann'
  }
  Counter.began = 0
  await using server = await serve(Counter, { port: 0, authenticate, onError() {} })
  await using conn = connect<Counter>(server.url, { token: 'ann', reconnect: { ...SOON, initial: true } })
  conn.on('interrupted', () => events.push('interrupted'))
  conn.on('resumed', () => events.push('resumed'))
  const calls = [conn.root.next(), conn.root.next()]
  await waitUntil(() => visits > 2 && conn.state === 'connecting')
  const late = conn.root.next()
  open = true
  t.same(await Promise.all([...calls, late]), [1, 2, 3])
  t.equal(Counter.began, 1)
  t.same(events, [])
  await assertClean(t, conn.session, ...server.sessions)
})

t.test('a full server accepts the client when a slot is free', async t => {
  await using server = await serve(Counter, { port: 0, limits: { sessions: 1 } })
  const first = connect<Counter>(server.url)
  await first.ping()
  const refused = connect<Counter>(server.url)
  t.match(await refused.closed, { code: 'unreachable', message: /503/ })
  await using next = connect<Counter>(server.url, { reconnect: { ...SOON, initial: true } })
  const called = next.root.next()
  await first.close()
  t.equal(await called, 1)
  await assertClean(t, next.session, ...server.sessions)
})

t.test('the client retries no earlier than the server asks', async t => {
  for (const [heard, asked, least] of [
    [true, 0.2, 200],
    [false, 0.2, 1000],
    [true, -1, 0],
    [true, Number.NaN, 0],
    [true, 1e300, 0],
    [true, '9', 0]
  ] as const) {
    const visits: number[] = []
    await cutOff(
      t,
      async conn => {
        t.equal(await conn.root.next(), 2)
        t.ok(visits[2]! - visits[1]! >= least, `${asked} s`)
      },
      async (request, visit) => {
        visits.push(performance.now())
        if (heard) await request.token()
        if (visit === 2) throw failure({ status: 503, retryAfter: asked })
        return 'ann'
      }
    )
  }
})

t.test('the last attempt is no later than the end of the resume window', async t => {
  await cutOff(
    t,
    async conn => t.match(await conn.closed, { code: 'session-lost' }),
    async (request, visit) => {
      await request.token()
      if (visit === 2) throw failure({ retryAfter: 1000 })
      return 'ann'
    },
    { serving: { resumeWindow: 20, heartbeat: 10 } }
  )
})

t.test('Retry-After of another web server: seconds, or a date', async t => {
  const answers: [header: string, seconds: (seconds: number | undefined) => boolean][] = [
    ['120', seconds => seconds === 120],
    [new Date(Date.now() + 60_000).toUTCString(), seconds => seconds! > 50 && seconds! <= 60],
    [new Date(0).toUTCString(), seconds => seconds === undefined],
    ['soon', seconds => seconds === undefined]
  ]
  for (const [header, holds] of answers) {
    const web = http.createServer().on('upgrade', (_request, socket) => {
      socket.end(`HTTP/1.1 503 Busy\r\nRetry-After: ${header}\r\nContent-Length: 0\r\n\r\n`)
    })
    await new Promise<void>(resolve => web.listen(0, '127.0.0.1', resolve))
    const { retryAfter, code } = await connect(`ws://127.0.0.1:${(web.address() as AddressInfo).port}`).closed
    t.equal(code, 'unreachable')
    t.ok(holds(retryAfter), `${header}: ${retryAfter}`)
    web.close()
  }
})

t.test('a client with another identity loses the session, and begins a new one with `renew`', t =>
  cutOff(
    t,
    async conn => {
      t.equal(await conn.root.next(), 1, 'a new session')
      t.equal(conn.state, 'open')
    },
    async (request, visit) => ({ sub: await request.token(), iat: visit }),
    { client: { renew: true } }
  )
)
