// Many sessions of one process over one connection to NATS: how often they dial when the connection or the instance is away.
import { connect as connectToNats } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { nats } from '../../../lib/adapters/nats.js'
import { type Connection, connect, type Server, Service, serve } from '../../../lib/index.js'
import { assertClean, rejectionOf } from '../../support/helpers.js'
import { type NatsServer, skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

const SESSIONS = 500

class Counter extends Service {
  #count = 0
  exposed_count() {
    return ++this.#count
  }
}

interface Crowd {
  readonly conns: readonly Connection<Counter>[]
  readonly server: Server
  /** Number of messages that the clients have sent. */
  sent(): number
}

/** Opens the sessions, as many as the instance may have. After a connection is lost and NATS is not there at once, the instance waits before it reconnects. */
async function gather(t: Test, { url }: NatsServer, instanceReconnectMs: number): Promise<Crowd> {
  const open = (ms: number) =>
    connectToNats({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: ms, reconnectJitter: 0 })
  const [ofClients, ofInstance] = await Promise.all([open(50), open(instanceReconnectMs)])
  t.teardown(() => Promise.all([ofClients.close(), ofInstance.close()]))
  const server = await serve(Counter, {
    endpoint: nats(ofInstance).service('Counter'),
    limits: { sessions: SESSIONS }
  })
  const bus = nats(ofClients)
  // On a busy machine some dial twice: a second dial takes a slot until its answer is declined.
  const reconnect = { initial: true }
  const conns = Array.from({ length: SESSIONS }, () =>
    connect<Counter>(bus.service('Counter'), { reconnect })
  )
  return { conns, server, sent: () => ofClients.stats().outMsgs }
}

/** One call in each session. @returns the different results */
const countAll = async ({ conns }: Crowd) => [
  ...new Set(await Promise.all(conns.map(({ root }) => root.count())))
]

async function disperse(t: Test, { conns, server }: Crowd): Promise<void> {
  await Promise.all(conns.map(conn => conn.close()))
  await assertClean(t, ...conns.map(({ session }) => session))
  await server.close()
}

t.test('NATS is killed: all sessions resume, with few messages', { skip: skipWithoutNats }, async t => {
  const server = await startNatsServer(t, { jetstream: false })
  const crowd = await gather(t, server, 50)
  t.strictSame(await countAll(crowd), [1])
  const before = crowd.sent()
  await server.restart()
  t.strictSame(await countAll(crowd), [2], 'each session goes on')
  const sent = (crowd.sent() - before) / SESSIONS
  t.ok(
    sent < 8,
    `a session sends ${sent} messages: that its transport was lost, a dial, its token and its call`
  )
  await disperse(t, crowd)
})

t.test(
  'an instance reconnects late: sessions dial it ever less often',
  { skip: skipWithoutNats },
  async t => {
    const server = await startNatsServer(t, { jetstream: false })
    const crowd = await gather(t, server, 3000)
    t.strictSame(await countAll(crowd), [1])
    const before = crowd.sent()
    await server.restart()
    t.strictSame(await countAll(crowd), [2], 'each session goes on')
    const sent = (crowd.sent() - before) / SESSIONS
    t.ok(sent < 20, `a session sends ${sent} messages in 3 s`)
    await disperse(t, crowd)
  }
)

t.test('an instance that does not answer is dialled ever less often', { skip: skipWithoutNats }, async t => {
  const { url } = await startNatsServer(t, { jetstream: false })
  const connection = await connectToNats({ servers: url })
  t.teardown(() => connection.close())
  const dials: number[] = []
  connection.subscribe('netref.svc.Silent', { callback: () => void dials.push(performance.now()) })
  await connection.flush()
  const conn = connect(nats(connection).service('Silent'), { handshakeTimeout: 4500 })
  await rejectionOf(conn.ping())
  const [first, ...others] = dials.map(at => Math.round((at - dials[0]!) / 1000))
  t.strictSame([first, ...others], [0, 1, 3], 'in seconds')
})
