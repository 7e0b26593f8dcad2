// Specs of sessions over a network: how their transports are opened and accepted.
import t from 'tap'
import { connect, type Netref, Service, type Session, serve, type UpgradeRequest } from '../../lib/index.js'
import { DEFAULT_LIMITS } from '../../lib/protocol/limits.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'
import { MemoryNetwork } from '../support/memory-network.js'

// A network in memory does not keep the process alive.
const keepAlive = setInterval(() => {}, 60_000)
t.teardown(() => clearInterval(keepAlive))

class Counter extends Service {
  #count = 0
  exposed_increment() {
    return ++this.#count
  }
  exposed_never() {
    return new Promise<never>(() => {})
  }
  async exposed_each(items: number[], use: Netref<(item: number) => void>) {
    for (const item of items) await use(item)
  }
}

t.test('a session over a network outlives its transports', async t => {
  const network = new MemoryNetwork()
  await using server = await serve(Counter, { endpoint: network })
  await using conn = connect<Counter>(network, { handshakeTimeout: 1234 })
  t.match(network.openerSetup, { openMs: 1234, renews: false })
  t.equal(server.url, 'memory:Memory/one')
  t.throws(() => server.port, { code: 'not-listening' })
  t.equal(server.unref(), server)
  t.equal(await conn.root.increment(), 1)
  t.same(conn.session.peer, { id: 'one', version: '1.0.0', metadata: {} })
  const [served] = server.sessions
  t.equal(served!.peer, undefined)
  t.match(network.acceptorSetup!.metrics(), { sessions: 1, callsIn: 1 })
  const received: number[] = []
  const each = conn.root.each([1, 2, 3], item => {
    received.push(item)
    if (item === 2) network.sever()
  })
  await each
  t.same(received, [1, 2, 3])
  t.equal(await conn.root.increment(), 2)
  t.same(network.opened, [
    { resumes: false, session: 1 },
    { resumes: true, session: 1 }
  ])
  await assertClean(t, conn.session, served as Session)
})

t.test('a renewed session has an opener of its own', async t => {
  const network = new MemoryNetwork()
  await using first = await serve(Counter, { endpoint: network })
  await using conn = connect<Counter>(network, { renew: true, reconnect: { delay: 1 } })
  t.ok(network.openerSetup!.renews)
  t.equal(await conn.root.increment(), 1)
  const [served] = first.sessions
  await using second = await serve(Counter, { endpoint: network })
  // The new instance does not know the session.
  network.sever()
  t.equal(await conn.root.increment(), 1)
  t.equal(network.opened.at(-1)!.session, 2)
  t.equal(second.sessions.size, 1)
  await assertClean(t, conn.session, ...second.sessions)
  await served!.close()
})

t.test('a draining server leaves the network first, and refuses those who come later', async t => {
  const network = new MemoryNetwork()
  const server = await serve(Counter, { endpoint: network })
  await using conn = connect<Counter>(network)
  const pending = rejectionOf(conn.root.never())
  await conn.ping()
  t.notOk(network.hasLeft)
  const closed = server.close({ drain: 500 })
  t.ok(network.hasLeft)
  await using late = connect<Counter>(network)
  t.match(await late.closed, { code: 'unavailable', message: /the server is going away/ })
  await closed
  t.match(await pending, { code: 'server-closed' })
  t.match(await connect(network).closed, { code: 'connection-lost' })
})

t.test('`authenticate` decides by the token', async t => {
  const network = new MemoryNetwork()
  const requests: UpgradeRequest[] = []
  const errors: unknown[] = []
  await using server = await serve(Counter, {
    endpoint: network,
    limits: { helloMs: 200 },
    onError: error => errors.push(error),
    async authenticate(request) {
      requests.push(request)
      const token = await request.token()
      if (token === 'slow') await new Promise(() => {})
      return token === 'secret' && { name: 'ada' }
    }
  })
  const refused: string[] = []
  server.on('refused', ({ code }) => refused.push(code))
  await using conn = connect<Counter>(network, { token: 'secret' })
  t.equal(await conn.root.increment(), 1)
  const [served] = server.sessions
  t.same(served!.identity, { name: 'ada' })
  t.match(requests[0], { headers: {}, path: '/', address: undefined, secure: false, origin: undefined })
  t.match(await connect(network, { token: 'wrong' }).closed, { code: 'unauthorized' })
  t.match(await connect(network, { token: 'slow', reconnect: false }).closed, { code: 'unavailable' })
  t.same(refused, ['unauthorized', 'unavailable'])
  t.match(errors, [{ code: 'limit', message: /`authenticate` did not settle within 200 ms/ }])
  network.sever()
  t.equal(await conn.root.increment(), 2, 'the token is sent again')
  await assertClean(t, conn.session, served as Session)
})

t.test('limits.sessions holds, also while clients are authenticated', async t => {
  const errors: unknown[] = []
  const options = { limits: { sessions: 1 }, onError: (error: unknown) => errors.push(error) }
  const network = new MemoryNetwork()
  await using server = await serve(Counter, { ...options, endpoint: network })
  await using conn = connect<Counter>(network)
  await conn.root.increment()
  t.match(await connect(network).closed, { code: 'unavailable', message: /limit of sessions/ })
  t.equal(server.metrics.clientsRefused, 1)

  const other = new MemoryNetwork()
  const asked: (() => void)[] = []
  const authenticate = () => new Promise<true>(resolve => asked.push(() => resolve(true)))
  const authenticating = await serve(Counter, { ...options, endpoint: other, authenticate })
  const first = connect<Counter>(other)
  await waitUntil(() => asked.length === 1)
  t.equal(authenticating.metrics.arriving, 1)
  t.match(await connect(other).closed, { code: 'unavailable' })
  const closed = authenticating.close()
  t.match(await first.closed, { code: 'unavailable', message: /the server is going away/ })
  await closed
  asked[0]!()
  t.match(errors, [{ message: /limits\.sessions/ }, { message: /limits\.sessions/ }])
})

t.test('a full server keeps the slots of interrupted sessions for their processes', async t => {
  const network = new MemoryNetwork()
  await using server = await serve(Counter, { endpoint: network, limits: { sessions: 2 } })
  const conns = [connect<Counter>(network), connect<Counter>(network)]
  for (const round of [1, 2, 3]) {
    t.same(await Promise.all(conns.map(({ root }) => root.increment())), [round, round])
    for (const transport of network.transports)
      transport.close({ code: 'connection-lost', message: 'it broke' })
  }
  t.same(await Promise.all(conns.map(({ root }) => root.increment())), [4, 4])
  t.equal(server.metrics.clientsRefused, 0)
  await assertClean(t, ...conns.map(({ session }) => session), ...server.sessions)
  await Promise.all(conns.map(conn => conn.close()))
})

t.test('limits.sessionsPerAddress holds for the process of a client', async t => {
  const network = new MemoryNetwork()
  await using server = await serve(Counter, { endpoint: network, limits: { sessionsPerAddress: 1 } })
  await using conn = connect<Counter>(network)
  t.equal(await conn.root.increment(), 1)
  t.match(await connect(network).closed, { code: 'unavailable', message: /limit of clients per address/ })
  network.transports[0]!.close({ code: 'connection-lost', message: 'it broke' })
  t.equal(await conn.root.increment(), 2)
  t.equal(server.metrics.clientsRefused, 1)
})

t.test('a client that is gone before it is identified gets no session', async t => {
  const network = new MemoryNetwork()
  let accept!: (identity: true) => void
  const identified = new Promise<true>(resolve => {
    accept = resolve
  })
  await using server = await serve(Counter, { endpoint: network, authenticate: () => identified })
  // It sends nothing: a server reads no further than the first frame before it has decided.
  network.createOpener({ limits: DEFAULT_LIMITS, openMs: 1000, renews: false })(false)
  await waitUntil(() => server.metrics.arriving === 1)
  network.sever()
  accept(true)
  await waitUntil(() => server.metrics.arriving === 0)
  t.equal(server.sessions.size, 0)
})

t.test('options that have no meaning over a network are named', async t => {
  const network = new MemoryNetwork()
  for (const [name, value, why] of [
    ['port', 1, 'an endpoint needs no address'],
    ['allowedOrigins', ['http://a'], 'no page connects over an endpoint'],
    ['gateways', [], 'the clients of other systems need a port']
  ] as const) {
    const message = `serve: \`${name}\` has no meaning over an endpoint: ${why}`
    t.match(await rejectionOf(serve(Counter, { endpoint: network, [name]: value })), { message })
  }
  t.throws(() => connect(network, { headers: { a: 'b' } }), { message: /`headers` has no meaning/ })
  t.throws(() => connect(network, { handshakeTimeout: -1 }), RangeError)
  await rejectionOf(serve(Counter, { endpoint: network, resumeWindow: -1 }))
})
