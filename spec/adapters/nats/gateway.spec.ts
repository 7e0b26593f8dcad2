// Tests a gateway as the guide has it: clients come by WebSocket, and the services are on a real nats-server.
import t from 'tap'
import {
  callSession,
  connect,
  expose,
  type Netref,
  type Server,
  Service,
  type Session,
  serve
} from '../../../lib/index.js'
import { assertClean, breakableAgent, rejectionOf, waitUntil } from '../../support/helpers.js'
import { skipWithoutNats } from '../../support/nats-server.js'
import { type BusSetup, startBuses } from '../../support/nats-sessions.js'

const skip = skipWithoutNats

class Counter extends Service {
  #count = 0
  exposed_next = () => ++this.#count
  exposed_identity = () => callSession().identity
  exposed_self = () => expose({ next: () => ++this.#count })
  exposed_echo = (value: unknown) => value
  async exposed_each(callback: Netref<(n: number) => number>, count: number) {
    let sum = 0
    for (let n = 1; n <= count; n++) sum += await callback(n)
    return sum
  }
}

type Identity = { readonly name: string; readonly token: string }

const authenticate = async ({ token }: { token(): Promise<string | undefined> }) => {
  const text = await token()
  return text?.startsWith('secret of ') && { name: text.slice('secret of '.length), token: text }
}

const instance = ({ bus }: BusSetup) => serve(Counter, { endpoint: bus().service('Counter'), authenticate })

/** A gateway on a bus of its own, and the clients that it lets in. */
async function startGateway({ bus: startBus }: BusSetup) {
  const bus = startBus()
  const sessions: Session[] = []
  const gateway = (session: Session<object, Identity>) => {
    const options = { token: session.identity.token, renew: true, reconnect: { initial: true } }
    const counter = connect<Counter>(bus.service('Counter'), options)
    sessions.push(counter.session)
    session.on('closed', () => void counter.close())
    return expose({
      get Counter() {
        return counter.root
      }
    })
  }
  const server: Server = await serve(gateway, { port: 0, authenticate })
  const client = (name: string, options = {}) =>
    connect<ReturnType<typeof gateway>>(server.url, { token: `secret of ${name}`, ...options })
  return { server, client, sessions }
}

t.test('each client has sessions of its own with the services, by its identity', { skip }, async t => {
  const setup = await startBuses(t)
  const counters = await instance(setup)
  const { server, client, sessions } = await startGateway(setup)
  const [ada, bob] = [client('ada'), client('bob')]
  t.equal(await ada.root.Counter.next(), 1)
  t.equal(await ada.root.Counter.next(), 2)
  t.equal(await bob.root.Counter.next(), 1)
  t.match(await ada.root.Counter.identity(), { name: 'ada' })
  t.match(await bob.root.Counter.identity(), { name: 'bob' })
  t.match(await rejectionOf(connect<Counter>(server.url).root.next()), { code: 'unauthorized' })
  for (const name of ['Mail', 'bus', 'constructor'])
    t.match(await rejectionOf((ada.root as never)[name]), { code: 'not-exposed' }, `no ${name}`)

  const { framesOut } = ada.stats
  t.equal(await ada.root.Counter.next(), 3)
  t.equal(ada.stats.framesOut, framesOut + 1, 'one message to the gateway')
  const own = expose({ hello: () => 'hello' })
  t.equal(await ada.root.Counter.echo(own), own)
  t.equal(await ada.root.Counter.each(n => n, 100), 5050)
  const bytes = new Uint8Array(3_000_000).fill(7)
  t.equal(Buffer.compare(bytes, (await ada.root.Counter.echo(bytes)) as Uint8Array), 0, 'above max_payload')

  await assertClean(t, ada.session, bob.session, ...server.sessions, ...sessions, ...counters.sessions)
  t.equal(counters.metrics.sessions, 2)
  await ada.close()
  await waitUntil(() => counters.metrics.sessions === 1, 'the session of a client that has left ends')
  await bob.close()
  await waitUntil(() => counters.metrics.sessions === 0)
  await server.close()
  await counters.close()
})

t.test('an instance goes: the next call reaches another, and old netrefs reject', { skip }, async t => {
  const setup = await startBuses(t)
  const { server, client } = await startGateway(setup)
  const conn = client('ada')
  const early = conn.root.Counter.next()
  await conn.ping()
  const first = await instance(setup)
  t.equal(await early, 1, 'a call waits for the first instance')
  const self = await conn.root.Counter.self()
  t.equal(await self.next(), 2)

  await first.close()
  const second = await instance(setup)
  t.match(await rejectionOf(self.next()), {
    code: 'server-closed',
    message: 'another session of the peer has ended (server-closed)'
  })
  t.equal(await conn.root.Counter.next(), 1, 'the state of the instance is gone with it')
  t.equal(conn.state, 'open')
  const third = await instance(setup)
  await second.close({ drain: 5000 })
  t.equal(await conn.root.Counter.next(), 1)
  await conn.close()
  await waitUntil(() => third.metrics.sessions === 0)
  await server.close()
  await third.close()
})

t.test('NATS is killed and sockets break amid calls: each takes effect once', { skip }, async t => {
  const setup = await startBuses(t)
  const counters = await instance(setup)
  const { server, client, sessions } = await startGateway(setup)
  const { agent, die } = breakableAgent()
  const conn = client('ada', { agent, reconnect: { delay: 10 } })
  t.equal(await conn.root.Counter.next(), 1)
  const interrupted = { front: 0, behind: 0 }
  conn.on('interrupted', () => interrupted.front++)
  sessions[0]!.on('interrupted', () => interrupted.behind++)
  const counts: Promise<number>[] = []
  for (let round = 0; round < 3; round++) {
    const restarted = setup.server.restart()
    for (let i = 0; i < 100; i++) counts.push(conn.root.Counter.next() as Promise<number>)
    die()
    await Promise.all([restarted, ...counts])
  }
  t.same(interrupted, { front: 3, behind: 3 })
  t.same(
    await Promise.all(counts),
    counts.map((_, i) => i + 2)
  )
  await assertClean(t, conn.session, ...server.sessions, ...sessions, ...counters.sessions)
  await conn.close()
  await waitUntil(() => counters.metrics.sessions === 0)
  await server.close()
  await counters.close()
})
