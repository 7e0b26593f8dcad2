// A server tells of the clients that it does not accept, with their address and why, however many there are.
import { mock } from 'node:test'
import t from 'tap'
import { WebSocket } from 'ws'
import { connect, type Refusal, type ServeOptions, type Server, Service, serve } from '../../lib/index.js'
import { Refusals } from '../../lib/server/refusals.js'
import { useFakeClock } from '../support/fake-clock.js'
import { assertClean, breakableAgent, rejectionOf, waitUntil } from '../support/helpers.js'

class Home extends Service {
  exposed_add(a: number, b: number) {
    return a + b
  }
}

/** A server, its refusals, and an attempt to use it. */
async function refusing(options: ServeOptions) {
  const server = await serve(Home, { port: 0, onError() {}, ...options })
  const refusals: Refusal[] = []
  server.on('refused', refusal => void refusals.push(refusal))
  const attempt = async (client: Parameters<typeof connect>[1] = {}) => {
    await using conn = connect<Home>(server.url, client)
    return (await rejectionOf(conn.root.add(1, 2))).code
  }
  return { server, refusals, attempt }
}

const local = { address: '127.0.0.1', count: 1 }

async function ends(server: Server) {
  await assertClean(t, ...server.sessions)
  await server.close()
}

t.test('clients that `authenticate` does not accept', async t => {
  const broken = new Error('the database is down')
  const banned = Object.assign(new Error('banned'), { status: 403 })
  const { server, refusals, attempt } = await refusing({
    async authenticate(request) {
      const token = await request.token()
      if (token === 'broken') throw broken
      if (token === 'banned') throw banned
      return null
    }
  })
  t.equal(await attempt({ token: 'eve' }), 'unauthorized')
  t.equal(await attempt({ token: 'broken', reconnect: false }), 'unavailable')
  t.equal(await attempt({ token: 'banned' }), 'unauthorized')
  t.same(refusals, [
    { ...local, code: 'unauthorized', message: 'authentication failed' },
    { ...local, code: 'unavailable', message: 'authentication is temporarily unavailable', cause: broken }
  ])
  t.match(server.metrics, { clientsRefused: 3, sessions: 0, callsFailed: 0 })
  await ends(server)
  t.same(refusals.slice(2), [
    { ...local, code: 'unauthorized', message: 'authentication failed', cause: banned }
  ])
})

t.test('behind a proxy the address is that of the client', async t => {
  const { server, refusals, attempt } = await refusing({ trustProxy: true, authenticate: () => null })
  await attempt({ headers: { 'x-forwarded-for': '192.0.2.1' } })
  await attempt({ headers: { 'x-forwarded-for': '2001:db8::7' } })
  t.same(
    refusals.map(({ address }) => address),
    ['192.0.2.1', '2001:db8::7']
  )
  await ends(server)
})

t.test('pages of other origins, and too many clients', async t => {
  const { server, refusals, attempt } = await refusing({ limits: { sessions: 1, sessionsPerAddress: 3 } })
  await attempt({ origin: 'http://evil.example' })
  await using first = connect<Home>(server.url)
  t.equal(await first.root.add(1, 2), 3)
  await attempt({ reconnect: false })
  t.match(refusals, [
    { code: 'unauthorized', message: /^Origin "http:\/\/evil\.example" is neither/ },
    { code: 'unavailable', message: 'the server has reached its limit of sessions' }
  ])
  await ends(server)
})

t.test('too many clients of one address, and of all while they are authenticated', async t => {
  const { server, refusals, attempt } = await refusing({
    limits: { sessions: 1, sessionsPerAddress: 1 },
    authenticate: () => new Promise(() => {})
  })
  const waiting = connect<Home>(server.url)
  const failed = rejectionOf(waiting.root.add(1, 2))
  await waitUntil(() => server.metrics.arriving === 1)
  await attempt({ reconnect: false })
  t.match(refusals, [{ code: 'unavailable', message: 'the limit of clients per address is reached' }])
  await ends(server)
  await failed
  t.match(refusals[1], { ...local, code: 'unavailable', message: 'the server is going away' })
})

t.test('a client without a hello, with another version, or with another protocol', async t => {
  const { server, refusals } = await refusing({ limits: { helloMs: 100 } })
  for (const first of [
    undefined,
    '[0,[[0,999,{"jsonBytes":99999,"frameBytes":99999,"depth":9,"values":9}]]]',
    '[]'
  ]) {
    const socket = new WebSocket(server.url)
    if (first !== undefined) socket.once('open', () => socket.send(first))
    await new Promise(closed => socket.once('close', closed))
  }
  await waitUntil(() => server.metrics.clientsRefused === 3)
  t.same(refusals.map(({ code }) => code).sort(), ['limit', 'protocol', 'version'])
  await ends(server)
})

t.test('a session that cannot be resumed, and the counts of those that can', async t => {
  const { server, refusals } = await refusing({})
  const { agent, die } = breakableAgent()
  await using conn = connect<Home>(server.url, { agent, reconnect: { delay: 1 } })
  await conn.ping()
  die()
  await new Promise(resumed => conn.on('resumed', () => resumed(undefined)))
  t.equal(await conn.root.add(1, 2), 3)
  t.match(server.metrics, { sessionsInterrupted: 1, sessionsResumed: 1, clientsRefused: 0 })

  const socket = new WebSocket(server.url)
  socket.once('open', () => socket.send('["resume","77.no",3]'))
  await new Promise(closed => socket.once('close', closed))
  t.match(refusals, [{ code: 'session-lost', message: /does not know the session/ }])
  await assertClean(t, conn.session, ...server.sessions)
  await server.close()
})

t.test('a flood has one event for each address in ten seconds, and one for the rest', async t => {
  useFakeClock(t, ['setTimeout'])
  const events: string[] = []
  const refusals = new Refusals(({ address, count, message }) =>
    events.push(`${address} ${count} ${message}`)
  )
  for (let i = 0; i < 300; i++)
    refusals.add(`10.0.0.${i % 150}`, { code: 'unauthorized', message: `no ${i}` })
  t.equal(refusals.count, 300)
  t.equal(events.length, 101, 'a hundred addresses, and the first of the others')
  t.same([events[0], events[100]], ['10.0.0.0 1 no 0', '10.0.0.100 1 no 100'])
  mock.timers.tick(10_000)
  t.equal(events.length, 202)
  t.same([events[101], events[201]], ['10.0.0.0 1 no 150', 'undefined 99 no 299'])
  refusals.add('10.0.0.0', { code: 'unauthorized', message: 'again' })
  t.equal(events[202], '10.0.0.0 1 again')
  refusals.flush()
  t.equal(events.length, 203)
})
