import t from 'tap'
import { connect, expose, Service, serve } from '../../lib/index.js'
import { assertClean, waitUntil } from '../support/helpers.js'

class Home extends Service {
  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_open() {
    return expose({ x: 1 })
  }
}

t.test('the counters of a server include sessions that have ended', async t => {
  await using server = await serve(Home, { port: 0 })
  const { uptime, gateways, ...nothing } = server.metrics
  t.same(gateways, {})
  t.ok(uptime >= 0)
  t.same(new Set(Object.values(nothing)), new Set([0]))

  const first = connect<Home>(server.url)
  await using second = connect<Home>(server.url)
  const held = await first.root.open()
  await second.root.add(1, 2)
  await second.root.add(3, 4)
  const [a, b] = [...server.sessions].map(({ stats }) => stats)
  t.match(server.metrics, {
    sessions: 2,
    sessionsTotal: 2,
    exports: 1,
    imports: 0,
    pending: 0,
    callsIn: 3,
    callsOut: 0,
    framesIn: a!.framesIn + b!.framesIn,
    bytesOut: a!.bytesOut + b!.bytesOut
  })
  t.ok(held)
  t.match(first.stats, { callsOut: 1, callsIn: 0, imports: 1 })

  const before = server.metrics
  await first.close()
  await waitUntil(() => server.sessions.size === 1)
  const after = server.metrics
  t.match(after, { sessions: 1, sessionsTotal: 2, exports: 0, callsIn: 3 })
  for (const name of ['framesIn', 'bytesIn', 'framesOut', 'bytesOut', 'uptime'] as const) {
    t.ok(after[name] >= before[name], `${name} never goes down`)
  }

  const mute = new (await import('ws')).WebSocket(server.url)
  await new Promise(opened => mute.once('open', opened))
  t.equal(server.metrics.sessionsTotal, 2, 'a client without a hello is not a session')
  mute.terminate()
  await assertClean(t, second.session, ...server.sessions)
})

t.test('a server over an endpoint has no waiting clients', async t => {
  const { port1, port2 } = new MessageChannel()
  await using server = await serve(Home, { endpoint: port1 })
  t.equal(server.metrics.arriving, 0)
  await using conn = connect<Home>(port2)
  t.equal(await conn.root.add(1, 2), 3)
  t.match(server.metrics, { arriving: 0, sessions: 1 })
  await assertClean(t, conn.session, ...server.sessions)
})
