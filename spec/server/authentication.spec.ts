import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import {
  type Authenticate,
  connect,
  type ErrorContext,
  pair,
  type ServeOptions,
  type Server,
  type Session,
  serve,
  type UpgradeRequest
} from '../../lib/index.js'
import { HelloBudget } from '../../lib/server/hello-budget.js'
import { PreHelloTransport } from '../../lib/server/pre-hello-transport.js'
import { MemoryTransport } from '../../lib/transport/memory.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'
import { runEventLoop } from '../support/wire.js'

interface User {
  readonly name: string
  readonly admin?: boolean
}

class Guest {
  constructor(private readonly user: User) {}
  exposed_name() {
    return this.user.name
  }
}
class Admin extends Guest {
  exposed_shutdown() {
    return 'off'
  }
}

const USERS: Record<string, User> = { ada: { name: 'Ada', admin: true }, bob: { name: 'Bob' } }
const rootOf = ({ identity }: Session<object, User>) =>
  identity.admin ? new Admin(identity) : new Guest(identity)
const byToken: Authenticate<User> = async ({ token }) => USERS[(await token()) ?? '']

/** A server with authentication, closed at the end of the test. */
async function serveUsers(t: Test, authenticate: Authenticate<User>, options: ServeOptions<User> = {}) {
  const begun: Session[] = []
  const server = await serve(rootOf, { port: 0, authenticate, ...options })
  server.on('session', session => begun.push(session))
  t.teardown(() => server.close())
  return { server, begun }
}

function deferred<T = void>() {
  let resolve!: (value: T) => void
  const promise = new Promise<T>(done => {
    resolve = done
  })
  return { promise, resolve }
}

const messageOf = ({ message }: UpgradeRequest) => message as http.IncomingMessage

/** Sends a raw upgrade request. */
function knock(server: Server): net.Socket {
  const socket = net.connect(Number(new URL(server.url).port), '127.0.0.1')
  const key = Buffer.from('0123456789abcdef').toString('base64')
  socket.write(
    `GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`
  )
  return socket
}

/** The raw answer of a netref server to an upgrade request. */
async function rawAnswer(server: Server): Promise<string> {
  let answer = ''
  for await (const part of knock(server).setEncoding('utf8')) answer += part
  return answer
}

t.test('authenticate receives headers, cookies, query and address', async t => {
  let seen: UpgradeRequest | undefined
  const { server, begun } = await serveUsers(t, request => {
    seen = request
    return USERS.ada
  })
  await using conn = connect<Admin>(`${server.url}?room=a%20b&room=c`, {
    headers: {
      'x-api-key': 'k',
      cookie: 'sid=s%20id; quoted="q"; sid=other; odd=%zz; bare; __proto__=p; eq=a=b'
    }
  })
  t.equal(await conn.root.shutdown(), 'off')
  const { headers, cookies, query, path, address, secure, host, origin, certificate } = seen!
  t.equal(headers['x-api-key'], 'k')
  t.same(Object.entries(cookies), [
    ['sid', 's id'],
    ['quoted', 'q'],
    ['odd', '%zz'],
    ['__proto__', 'p'],
    ['eq', 'a=b']
  ])
  t.same(query.getAll('room'), ['a b', 'c'])
  t.same(
    { path, address, secure, host, origin, certificate },
    {
      path: '/',
      address: '127.0.0.1',
      secure: false,
      host: new URL(server.url).host,
      origin: undefined,
      certificate: undefined
    }
  )
  t.ok(seen!.message instanceof http.IncomingMessage, 'for other middleware')
  t.equal(begun[0]!.identity, USERS.ada)
  await using bare = connect<Admin>(server.url)
  t.equal(await bare.root.name(), 'Ada')
  t.same({ ...seen!.cookies }, {})
  t.equal(conn.session.identity, undefined)
  await assertClean(t, conn.session, bare.session, ...begun)
})

t.test('each user gets a separate root', async t => {
  const { server, begun } = await serveUsers(t, ({ headers }) => USERS[String(headers['x-user'])])
  await using ada = connect<Admin>(server.url, { headers: { 'x-user': 'ada' } })
  await using bob = connect<Admin>(server.url, { headers: { 'x-user': 'bob' } })
  t.same(await Promise.all([ada.root.name(), bob.root.name()]), ['Ada', 'Bob'])
  t.equal(await ada.root.shutdown(), 'off')
  t.match(await rejectionOf(bob.root.shutdown()), { code: 'not-exposed' })
  await assertClean(t, ada.session, bob.session, ...begun)
})

t.test('pair takes the identity as an option', async t => {
  await using conn = pair<Guest>(session => new Guest(session.identity as User), { identity: USERS.bob })
  t.equal(await conn.root.name(), 'Bob')
  t.equal(conn.served.identity, USERS.bob)
})

t.test('a client without an identity is rejected by HTTP, before a session and without details', async t => {
  const secret = 'the database is at 10.0.0.7'
  const fault = new Error(secret)
  const verdicts: [Authenticate<User>, status: string, reported: unknown[]][] = [
    [() => undefined, '401 Unauthorized', []],
    [() => null, '401 Unauthorized', []],
    [async () => false as const, '401 Unauthorized', []],
    [() => Promise.reject(Object.assign(new Error(secret), { status: 403 })), '403 Forbidden', []],
    [
      () => {
        throw Object.assign(new Error(secret), { status: 429 })
      },
      '429 Too Many Requests',
      []
    ],
    [
      () => {
        throw fault
      },
      '503 Service Unavailable',
      [fault]
    ],
    [() => Promise.reject(undefined), '503 Service Unavailable', [undefined]],
    [() => Promise.reject(Object.assign(fault, { status: 200 })), '503 Service Unavailable', [fault]]
  ]
  for (const [authenticate, status, reported] of verdicts) {
    const errors: unknown[] = []
    const onError = (error: unknown, { session }: ErrorContext) => errors.push(session ?? error)
    const { server, begun } = await serveUsers(t, authenticate, { onError })
    const [head, body] = (await rawAnswer(server)).split('\r\n\r\n')
    t.match(head, new RegExp(`^HTTP/1.1 ${status}\r\n`))
    t.equal(body, `${status.slice(4)}\n`)
    const conn = connect<Guest>(server.url)
    const said = new RegExp(`Unexpected server response: ${status.slice(0, 3)}`)
    const code = /40[13]/.test(status) ? 'unauthorized' : 'unreachable'
    t.match(await rejectionOf(conn.root.name()), { code, message: said })
    t.match(await conn.closed, { code, message: said })
    t.same(errors, [...reported, ...reported])
    t.equal(begun.length, 0)
  }
})

t.test('a token is the first message on the socket, in no URL and no header', async t => {
  const requests: http.IncomingMessage[] = []
  const { server, begun } = await serveUsers(t, request => {
    requests.push(request.message as http.IncomingMessage)
    return byToken(request)
  })
  const conns = [
    connect<Guest>(server.url, { token: 'ada' }),
    connect<Guest>(server.url, { token: () => 'bob' }),
    connect<Guest>(server.url, { token: async () => 'bob' })
  ]
  t.same(await Promise.all(conns.map(conn => conn.root.name())), ['Ada', 'Bob', 'Bob'])
  for (const { url, rawHeaders } of requests) t.notMatch(`${url} ${rawHeaders}`, /ada|bob/)
  await assertClean(t, ...conns.map(({ session }) => session), ...begun)
  for (const conn of conns) await conn.close()
  t.same(
    begun.map(({ identity }) => identity),
    [USERS.ada, USERS.bob, USERS.bob]
  )
})

t.test('a token costs no round trip: the first call is sent with it', async t => {
  const silent = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(silent, 'listening')
  const received: string[] = []
  silent.on('connection', socket => socket.on('message', data => received.push(String(data))))
  const conn = connect<Guest>(`ws://127.0.0.1:${(silent.address() as net.AddressInfo).port}`, {
    token: 'ada'
  })
  const called = rejectionOf(conn.root.name())
  await waitUntil(() => received.some(frame => frame.includes('"name"')))
  t.equal(received[0], '{"token":"ada"}')
  t.equal(conn.stats.framesIn, 0)
  await conn.close()
  t.match(await called, { code: 'closed' })
  silent.close()
})

t.test('an invalid or missing token ends the session with `unauthorized` and no details', async t => {
  const { server, begun } = await serveUsers(t, byToken)
  const options = [{ token: 'eve' }, {}, { token: '' }]
  for (const option of options) {
    const conn = connect<Guest>(server.url, option)
    t.match(await rejectionOf(conn.root.name()), { code: 'unauthorized', message: /authentication failed$/ })
    t.match(await conn.closed, {
      code: 'unauthorized',
      message: /^ws:.* ended the session: authentication failed$/
    })
  }
  t.equal(begun.length, 0)
  for (const first of ['{"token":7}', '{"tok', '{}', '[]', Buffer.from('{"token":"ada"}')]) {
    const socket = new WebSocket(server.url)
    await once(socket, 'open')
    socket.send(first)
    const [code, text] = await once(socket, 'close')
    t.same([code, String(text)], [3000, 'unauthorized: authentication failed'], String(first))
  }
  t.equal(begun.length, 0)
})

t.test('a token function that fails makes the server unreachable', async t => {
  const { server } = await serveUsers(t, byToken)
  const failing: [token: () => unknown, why: RegExp][] = [
    [() => Promise.reject(new Error('offline')), /^getting the token for ws:.* failed: offline$/],
    [
      () => {
        throw 'no string'
      },
      /: no string$/
    ],
    [async () => 7, /: the token must be a string, not 7$/]
  ]
  for (const [token, why] of failing) {
    const conn = connect<Guest>(server.url, { token: token as () => string })
    t.match(await conn.closed, { code: 'unreachable', message: why })
  }
  // The token promise if the socket closes first.
  let give: (token: string) => void = () => {}
  const conn = connect<Guest>(server.url, {
    token: () => new Promise<string>(resolve => (give = resolve))
  })
  await conn.close()
  give('ada')
  t.match(await conn.closed, { code: 'closed' })
  let fail: (error: Error) => void = () => {}
  const other = connect<Guest>('ws://127.0.0.1:1', {
    token: () => new Promise<string>((_, reject) => (fail = reject))
  })
  t.match(await other.closed, { code: 'unreachable', message: /ECONNREFUSED/ })
  fail(new Error('too late'))
})

t.test('a token that the server does not read is skipped', async t => {
  await using server = await serve({ hi: () => 'hi' }, { port: 0 })
  await using conn = connect<{ hi(): string }>(server.url, { token: 'ada' })
  t.equal(await conn.root.hi(), 'hi')
  await using other = await serve({ hi: () => 'hi' }, { port: 0, authenticate: () => true })
  await using also = connect<{ hi(): string }>(other.url, { token: 'ada' })
  t.equal(await also.root.hi(), 'hi')
  await assertClean(t, conn.session, also.session, ...server.sessions, ...other.sessions)
})

t.test('frames that arrive during authentication wait, and are processed in order', async t => {
  const decided = deferred<User>()
  const asked = deferred<string | undefined>()
  const { server, begun } = await serveUsers(t, async request => {
    asked.resolve(await request.token())
    t.equal(await request.token(), 'x', 'the frame may be requested again')
    return decided.promise
  })
  await using conn = connect<Guest>(server.url, { token: 'x' })
  const calls = Array.from({ length: 100 }, () => conn.root.name())
  const settled: unknown[] = []
  for (const [i, call] of calls.entries()) call.then(() => settled.push(i)).catch(() => {})
  t.equal(await asked.promise, 'x')
  t.equal(begun.length, 0)
  t.equal(settled.length, 0)
  decided.resolve(USERS.ada!)
  t.same(await Promise.all(calls), Array(100).fill('Ada'))
  t.same(settled, [...Array(100).keys()])
  await assertClean(t, conn.session, ...begun)
})

t.test('a flooding client is not read from during authentication', async t => {
  const [client, server] = MemoryTransport.pair()
  client.start({ onOpen() {}, onFrame() {}, onClose() {} })
  const arriving = new PreHelloTransport(
    Object.assign(server, { onRawData: () => () => {}, terminate() {} }),
    new HelloBudget(1),
    1
  )
  const frames = Array.from({ length: 100 }, (_, i) => `[${i}]`)
  for (const frame of ['{"token":"ada"}', ...frames]) client.send(frame)
  t.equal(await arriving.token, 'ada')
  await runEventLoop()
  t.equal(client.held, 99, 'all but one frame are not taken from the other end')
  const events: unknown[] = []
  arriving.start({
    onOpen: () => events.push('opened'),
    onFrame: frame => {
      events.push(frame)
      if (frame === '[0]') arriving.pause()
    },
    onClose: ({ code }) => events.push(code)
  })
  t.same(events, ['opened'])
  await runEventLoop()
  t.same(events, ['opened', '[0]'], 'a session that pauses at once gets no further frame')
  arriving.resume()
  await runEventLoop()
  t.same(events.slice(1), frames)
  client.close({ code: 'closed', message: '' })
  await runEventLoop()
  t.equal(events.at(-1), 'closed')
})

t.test('authenticate that does not settle times out', async t => {
  const never = () => new Promise<never>(() => {})
  const limits = { helloMs: 100 }
  const events: unknown[] = []
  const { server } = await serveUsers(t, never, { limits, onError: error => events.push(String(error)) })
  for (const _ of [1, 2])
    t.match(await connect<Guest>(server.url).closed, { code: 'unreachable', message: /503/ })
  t.same(events, [
    'NetrefError: serve: a client was refused: `authenticate` did not settle within 100 ms (limits.helloMs); raise it, or make authenticate faster'
  ])
  const { server: open, begun } = await serveUsers(t, request => request.token().then(never), { limits })
  t.match(await connect<Guest>(open.url, { token: 'ada' }).closed, {
    code: 'unavailable',
    message: /authentication took longer than 100 ms/
  })
  let give: (token: string) => void = () => {}
  const slow = connect<Guest>(open.url, {
    token: () =>
      new Promise<string>(resolve => {
        give = resolve
      })
  })
  t.match(await slow.closed, { code: 'unreachable', message: /authentication took longer than 100 ms/ })
  give('ada')
  const silent = new WebSocket(open.url)
  const [code, text] = await once(silent, 'close')
  t.same([code, String(text)], [1009, 'limit: authentication took longer than 100 ms'])
  t.equal(begun.length, 0)
  let lateToken: Promise<string | undefined> | undefined
  const { server: late, begun: none } = await serveUsers(
    t,
    async request => {
      await new Promise(resolve => setTimeout(resolve, 200))
      lateToken = request.token()
      return USERS.ada
    },
    { limits }
  )
  t.match(await connect<Guest>(late.url).closed, { code: 'unreachable', message: /503/ })
  await waitUntil(() => lateToken !== undefined)
  t.equal(await lateToken, undefined, 'a token read after the rejection opens no socket')
  t.equal(none.length, 0, 'a late result has no effect')
})

t.test('clients being authenticated count, and may disconnect', async t => {
  const decided = deferred<User>()
  const waiting: UpgradeRequest[] = []
  const { server, begun } = await serveUsers(
    t,
    request => {
      waiting.push(request)
      return decided.promise
    },
    { limits: { sessions: 2 } }
  )
  const gone = knock(server)
  const conn = connect<Guest>(server.url)
  await waitUntil(() => waiting.length === 2)
  t.match(await connect(server.url).closed, { code: 'unreachable', message: /503/ })
  gone.resetAndDestroy()
  await once(gone, 'close')
  decided.resolve(USERS.bob!)
  t.equal(await conn.root.name(), 'Bob')
  t.equal(begun.length, 1)
  const after = connect<Guest>(server.url)
  t.equal(await after.root.name(), 'Bob', 'the slot of a disconnected client is free')
  t.match(await connect(server.url).closed, { message: /503/ })
  await assertClean(t, conn.session, after.session, ...begun)
  await conn.close()
  await after.close()
})

t.test('a client counts once during and after authentication', async t => {
  const decided = deferred<void>()
  const { server, begun } = await serveUsers(
    t,
    async request => {
      const user = await byToken(request)
      await decided.promise
      return user
    },
    { limits: { sessions: 2 } }
  )
  const conns = ['ada', 'bob'].map(token => connect<Guest>(server.url, { token }))
  await Promise.all(conns.map(conn => waitUntil(() => conn.stats.framesOut > 0)))
  decided.resolve()
  t.same(await Promise.all(conns.map(conn => conn.root.name())), ['Ada', 'Bob'])
  await assertClean(t, ...conns.map(({ session }) => session), ...begun)
  for (const conn of conns) await conn.close()
})

t.test('a closing server rejects the clients being authenticated', async t => {
  // Handles that keep the process alive.
  const timers = () => process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length
  const before = timers()
  const asked: UpgradeRequest[] = []
  const decide = async (request: UpgradeRequest) => {
    asked.push(request)
    if (request.query.has('token')) await request.token()
    return new Promise<never>(() => {})
  }
  const { server } = await serveUsers(t, decide, { limits: { helloMs: 600_000 } })
  const [plain, heard] = [connect<Guest>(server.url), connect<Guest>(`${server.url}?token`, { token: 'ada' })]
  await waitUntil(() => asked.length === 2 && heard.stats.framesOut > 0)
  await server.close()
  t.match(await plain.closed, { code: 'unreachable', message: /503/ })
  t.match(await heard.closed, { code: 'unavailable', message: /the server is going away/ })
  await waitUntil(() => timers() <= before)
})

t.test('a malformed request is rejected as such, even with an identity', async t => {
  const { server, begun } = await serveUsers(t, () => USERS.ada)
  const { port } = new URL(server.url)
  const request = http.get({
    port,
    host: '127.0.0.1',
    headers: { connection: 'Upgrade', upgrade: 'websocket' }
  })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  t.equal(response.statusCode, 400)
  response.resume()
  const plain = http.get({ port, host: '127.0.0.1' })
  const [required] = (await once(plain, 'response')) as [http.IncomingMessage]
  t.equal(required.statusCode, 426)
  t.equal(required.headers.upgrade, 'websocket')
  required.resume()
  t.equal(begun.length, 0)
})

t.test('messages sent before a disconnect during authentication still take effect', async t => {
  const decided = deferred<true>()
  const notes: unknown[] = []
  const authenticate: Authenticate = async request => {
    await request.token()
    return decided.promise
  }
  await using server = await serve(
    { note: (text: string) => void notes.push(text) },
    { port: 0, authenticate }
  )
  const conn = connect<{ note(text: string): void }>(server.url, { token: 'x' })
  conn.root.note('kept').catch(() => {})
  await waitUntil(() => conn.stats.framesOut > 0)
  const closed = conn.close()
  decided.resolve(true)
  await closed
  await waitUntil(() => notes.length === 1)
  t.same(notes, ['kept'])
})

t.test('a disconnect during authentication frees the slot', async t => {
  const decided = deferred<User>()
  const asked: UpgradeRequest[] = []
  const { server, begun } = await serveUsers(t, async request => {
    asked.push(request)
    if (request.query.has('token')) await request.token()
    return request.query.has('good') ? decided.promise : undefined
  })
  const heard = new WebSocket(`${server.url}?token&good`)
  await once(heard, 'open')
  const left = deferred()
  messageOf(asked[0]!).socket.once('close', left.resolve)
  heard.send('{"token":"ada"}')
  heard.close()
  await left.promise
  decided.resolve(USERS.ada!)
  // The client is gone: nobody receives the answer to its request.
  const answer = deferred<undefined>()
  const { server: slow } = await serveUsers(t, request => {
    asked.push(request)
    return answer.promise
  })
  const gone = knock(slow)
  await waitUntil(() => asked.length === 2)
  gone.resetAndDestroy()
  await once(gone, 'close')
  const closed = deferred()
  messageOf(asked[1]!).socket.once('close', closed.resolve)
  answer.resolve(undefined)
  await closed.promise
  t.equal(begun.length, 0)
})
