// `close({ code, message })`: the reason that an application gives reaches the other side, also when it returns later.
import t from 'tap'
import { WebSocket } from 'ws'
import { connect, pair, type Reason, Service, serve } from '../../lib/index.js'
import { formatCloseReason, parseCloseReason } from '../../lib/transport/close-reason.js'
import { breakableAgent, rejectionOf, waitUntil } from '../support/helpers.js'

class Home extends Service {
  reasons: Reason[] = []
  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_never() {
    return new Promise(() => {})
  }
}

const kicked = { code: 'kicked', message: 'You are signed in at another place.' }

for (const reason of [kicked, { code: 'revoked', message: 'Sign in again.' }])
  t.test(`a client gets the reason ${reason.code}, and does not come back`, async t => {
    await using server = await serve(Home, { port: 0 })
    await using conn = connect<Home>(server.url, { renew: true, reconnect: { delay: 1 } })
    await conn.ping()
    const call = rejectionOf(conn.root.never())
    await conn.ping()
    const [session] = server.sessions
    await session!.close(reason)
    t.same(await session!.closed, reason)
    t.same(await conn.closed, reason)
    t.match(await call, { name: 'SessionEndedError', code: reason.code, reason, mayHaveRun: true })
    t.equal(server.metrics.sessionsTotal, 1)
  })

t.test('a revoked session without words of its own asks for a login', async t => {
  await using server = await serve(Home, { port: 0 })
  await using conn = connect<Home>(server.url, { renew: true })
  await conn.ping()
  const [session] = server.sessions
  await session!.close({ code: 'revoked' })
  t.same(await conn.closed, { code: 'revoked', message: 'please sign in again' })
})

t.test('a client that was not connected gets it when it returns', async t => {
  await using server = await serve(Home, { port: 0 })
  for (const reason of [
    kicked,
    { code: 'revoked', message: 'no' },
    { code: 'closed', message: 'it is late' }
  ]) {
    const { agent, die } = breakableAgent()
    const conn = connect<Home>(server.url, { agent, renew: true, reconnect: { delay: 100 } })
    await conn.ping()
    const [session] = server.sessions
    die()
    await waitUntil(() => session!.state === 'interrupted')
    await session!.close(reason)
    const { code, message } = await conn.closed
    t.equal(code, reason.code)
    t.match(message, reason.message)
  }
  t.match(server.metrics, { sessionsTotal: 3, sessions: 0, clientsRefused: 3 })
})

t.test('only the holder of the token gets it, and only within the resume window', async t => {
  const answerTo = async (url: string, token: string) => {
    const socket = new WebSocket(url)
    socket.once('open', () => socket.send(JSON.stringify(['resume', token, 1])))
    return new Promise<string>(closed => socket.once('close', (_, text) => closed(String(text))))
  }
  await using server = await serve(Home, { port: 0, resumeWindow: 100, heartbeat: 0 })
  for (let i = 1; i < 3; i++) {
    await using conn = connect<Home>(server.url)
    await conn.ping()
    await [...server.sessions][0]!.close(kicked)
    for (const token of [`${i}`, `${i}.`, `${i}.guess`])
      t.match(await answerTo(server.url, token), /^session-lost/, token)
    await new Promise(later => setTimeout(later, 150))
  }
})

t.test('the other side of a server, and of a session without a socket, gets it, too', async t => {
  const reasons: Reason[] = []
  class Leaving extends Home {
    override onDisconnect(_: unknown, reason: Reason) {
      reasons.push(reason)
    }
  }
  await using server = await serve(Leaving, { port: 0 })
  const conn = connect<Home>(server.url)
  await conn.ping()
  await conn.close({ code: 'bye' })
  await waitUntil(() => reasons.length === 1)
  const joined = pair(Leaving)
  await joined.ping()
  await joined.served.close(kicked)
  t.same(await joined.closed, kicked)
  const { port1, port2 } = new MessageChannel()
  await using worker = await serve(Leaving, { endpoint: port1 })
  const client = connect<Home>(port2)
  await client.ping()
  await [...worker.sessions][0]!.close(kicked)
  t.same(await client.closed, kicked)
  t.same(reasons, [{ code: 'bye', message: 'close() was called' }, kicked, kicked])
})

t.test('codes of netref, and unknown options, are refused', async t => {
  await using conn = pair(Home)
  for (const code of [
    'limit',
    'released',
    'invalid-arguments',
    'session-lost',
    'Kicked',
    'a b',
    '',
    'x'.repeat(33)
  ])
    t.throws(() => conn.close({ code }), {
      name: 'TypeError',
      message: `close: the code "${code.slice(0, 5)}`
    })
  t.throws(() => conn.close({ code: 5 as never }), { message: 'close: `code` takes a string, not 5' })
  t.throws(() => conn.close({ drain: 5 } as never), { message: /^close: there is no option `drain`/ })
  t.equal(await conn.root.add(1, 2), 3, 'the session goes on')
})

t.test('a peer cannot pass off a code of netref as one of an application', t => {
  t.equal(formatCloseReason({ code: 'kicked', message: 'x' }), 'closed/kicked: x')
  t.match(parseCloseReason('closed/limit: x', 'it'), { code: 'closed' })
  t.match(parseCloseReason('limit/kicked: x', 'it'), { code: 'limit' })
  t.equal(parseCloseReason('kicked: x', 'it'), undefined)
  t.end()
})
