// Tests how instances of services are found, among others and hostile peers, on a real nats-server.
import { Svcm } from '@nats-io/services'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { Announcement } from '../../../lib/adapters/nats/discovery/announcement.js'
import { findInstances, type ServiceInstance } from '../../../lib/adapters/nats/discovery/find.js'
import { nats } from '../../../lib/adapters/nats.js'
import { connect as connectTo, expose, serve } from '../../../lib/index.js'
import { assertClean, waitUntil } from '../../support/helpers.js'
import { type NatsServerOptions, skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

import { startBuses } from '../../support/nats-sessions.js'

const skip = skipWithoutNats

/** A nats-server, a bus on it, and a connection of others. */
async function start(t: Test, options: NatsServerOptions = {}) {
  const server = await startNatsServer(t, { jetstream: false, ...options })
  const bus = nats(
    { servers: server.url, user: 'a', pass: 'b' },
    { onError: error => t.comment(String(error)) }
  )
  t.teardown(() => bus.close())
  const others = await connect({ servers: server.url, user: 'a', pass: 'b' })
  t.teardown(() => others.close())
  return { server, bus, others }
}

/** Announces instances of a server: `name.id`. */
async function announce(t: Test, connection: NatsConnection, ...instances: string[]) {
  const server = await serve({}, { port: 0 })
  t.teardown(() => server.close())
  for (const instance of instances) {
    const [name, id] = instance.split('.') as [string, string]
    const facts = { version: '1.2.0', description: `Is ${instance}`, metadata: { zone: 'eu' } }
    const onError = (error: unknown) => t.fail(String(error))
    new Announcement(connection, {
      name,
      id,
      ...facts,
      metrics: () => server.metrics,
      connects: () => 0,
      onError
    })
  }
  await connection.flush()
  return server
}

async function all(instances: AsyncIterable<ServiceInstance>): Promise<ServiceInstance[]> {
  const found: ServiceInstance[] = []
  for await (const instance of instances) found.push(instance)
  return found
}

const ids = (instances: readonly ServiceInstance[]) => instances.map(({ name, id }) => `${name}.${id}`).sort()

t.test(
  'the instances of one service, or of all, are found with their facts and metrics',
  { skip },
  async t => {
    const { bus, others } = await start(t)
    const server = await announce(t, others, 'LineCounter.i1', 'LineCounter.i2', 'Other.i1')
    const svcm = new Svcm(others as never)
    const foreign = await svcm.add({ name: 'LineCounter', version: '1.0.0' })
    foreign.addEndpoint('connect', { subject: 'elsewhere', handler() {} })

    t.same(ids(await all(bus.find('LineCounter'))), ['LineCounter.i1', 'LineCounter.i2'])
    t.same(ids(await all(bus.find())), ['LineCounter.i1', 'LineCounter.i2', 'Other.i1'])
    t.same(ids(await findInstances(bus.connection, 'Other')), ['Other.i1'])

    const [found] = await findInstances(bus.connection, 'Other')
    const { gateways, ...metrics } = server.metrics
    t.same(
      Object.keys(found!.metrics).sort(),
      Object.keys(metrics).sort(),
      'all metrics of a server are there'
    )
    t.ok(found!.metrics.uptime > 0 && found!.metrics.uptime <= metrics.uptime)
    t.same(found, {
      name: 'Other',
      id: 'i1',
      version: '1.2.0',
      description: 'Is Other.i1',
      metadata: { zone: 'eu' },
      metrics: { ...metrics, uptime: found!.metrics.uptime }
    })
    await foreign.stop()
  }
)

t.test('the metrics count the sessions, and an instance that drains is not found', { skip }, async t => {
  const setup = await startBuses(t)
  const bus = setup.bus()
  let release = () => {}
  const held = () =>
    new Promise<string>(resolve => {
      release = () => resolve('released')
    })
  const server = await serve(expose({ held }), { endpoint: bus.service('Counter') })
  const conn = connectTo<{ held(): string }>(setup.bus().service('Counter'))
  const result = conn.root.held()
  await waitUntil(() => server.metrics.callsIn === 1)
  t.match(await all(bus.find()), [
    { name: 'Counter', version: '0.0.0', metrics: { sessions: 1, callsIn: 1 } }
  ])
  const draining = server.close({ drain: 10_000 })
  t.same(await all(bus.find()), [])
  release()
  t.equal(await result, 'released')
  await assertClean(t, conn.session)
  await conn.close()
  await draining
})

t.test('where nobody serves, nothing is found, and at once', { skip }, async t => {
  const { bus } = await start(t)
  await bus.connection.open()
  const startedAt = performance.now()
  t.same(await all(bus.find('LineCounter')), [])
  t.same(await all(bus.find()), [])
  t.ok(performance.now() - startedAt < 600, 'the time for answers is not waited for')
})

t.test('who finds may leave early', { skip }, async t => {
  const { bus, others } = await start(t)
  await announce(t, others, 'LineCounter.i1', 'LineCounter.i2')
  for await (const { id } of bus.find()) {
    t.match(id, /^i/)
    break
  }
  t.equal((await all(bus.find())).length, 2)
})

t.test('answers of hostile peers are skipped', { skip }, async t => {
  const { bus, others } = await start(t)
  const endpoint = { name: 'connect', subject: 'netref.svc.X', data: { sessions: 3, unknown: 'x' } }
  const good = {
    type: 'io.nats.micro.v1.stats_response',
    name: 'X',
    id: 'i1',
    version: '1.0.0',
    metadata: {},
    endpoints: [null, 7, { name: 'other' }, endpoint]
  }
  const withData = (data: unknown) => ({ ...good, endpoints: [{ ...endpoint, data }] })
  const malformed: unknown[] = [
    ...['', '{', 'null', '"text"', '[]', '{}', '\xff', '['.repeat(60_000)],
    { ...good, type: 'io.nats.micro.v1.info_response' },
    ...['Y', 'a.b', '>', '', 7, null, undefined].map(name => ({ ...good, name })),
    ...['a.b', '*', '', 'x'.repeat(65), 7, undefined].map(id => ({ ...good, id })),
    ...['1', 7, undefined].map(version => ({ ...good, version })),
    ...[undefined, null, [], 'text', { zone: 7 }].map(metadata => ({ ...good, metadata })),
    ...[7, null, {}].map(description => ({ ...good, description })),
    ...[undefined, null, {}, [], [null], [{ ...endpoint, name: 'x' }], [{ ...endpoint, subject: 'x' }]].map(
      endpoints => ({ ...good, endpoints })
    ),
    ...[undefined, null, 7, { sessions: -1 }, { sessions: '3' }, { sessions: null }, { uptime: {} }].map(
      withData
    ),
    JSON.stringify(withData({ sessions: 7 })).replace('7', '1e999'),
    { ...good, description: 'x'.repeat(66_000) }
  ]
  others.subscribe('$SRV.STATS.X', {
    callback(_, request) {
      for (const answer of malformed)
        request.respond(typeof answer === 'string' ? answer : JSON.stringify(answer))
      request.respond(JSON.stringify(good))
      request.respond(JSON.stringify({ ...good, version: '2.0.0' }))
      const proto = JSON.stringify({ ...good, id: 'i2', metadata: { proto: 'x' } }).replace(
        'proto',
        '__proto__'
      )
      request.respond(proto)
    }
  })
  await others.flush()
  const found = await all(bus.find('X'))
  t.match(found, [
    { id: 'i1', version: '1.0.0', description: undefined, metrics: { sessions: 3, pending: 0 } },
    { id: 'i2' }
  ])
  t.equal(found.length, 2, 'each instance once, by its first answer')
  t.notOk('unknown' in found[0]!.metrics)
  t.equal(Object.getPrototypeOf(found[1]!.metadata), Object.prototype)
})

t.test('a peer that answers without end ends the search', { skip }, async t => {
  const { bus, others } = await start(t)
  const answers = Array.from({ length: 5000 }, (_, i) => {
    const name = `X${i}`
    const endpoints = [{ name: 'connect', subject: `netref.svc.${name}`, data: {} }]
    const type = 'io.nats.micro.v1.stats_response'
    return JSON.stringify({ type, name, id: 'i', version: '1.0.0', metadata: {}, endpoints })
  })
  others.subscribe('$SRV.STATS', {
    callback(_, request) {
      for (const answer of answers) request.respond(answer)
    }
  })
  await others.flush()
  // A slow machine reads fewer of them in time.
  const { length } = await all(bus.find())
  t.ok(length <= 4096, `${length} answers are read`)
})

t.test('without NATS the search rejects', { skip }, async t => {
  const { server, bus, others } = await start(t)
  t.throws(() => bus.find('a b'), { name: 'TypeError', message: /^bus\.find: "a b" is no name; use/ })
  await announce(t, others, 'LineCounter.i1')
  const searching = (async () => {
    for await (const { name } of bus.find('LineCounter')) {
      t.equal(name, 'LineCounter')
      await server.kill()
      await waitUntil(() => !bus.connection.connected)
    }
  })()
  const unreachable = { name: 'NetrefError', code: 'unreachable' }
  await t.rejects(searching, { ...unreachable, message: /^bus\.find: NATS is not reached at present/ })
  await t.rejects(all(bus.find('LineCounter')), unreachable, 'it is known to be away')

  const closing = nats(server.url)
  await t.rejects(all(closing.find()), {
    ...unreachable,
    message: /^cannot reach NATS at 127\.0\.0\.1:\d+: /
  })
  await closing.close()
  await t.rejects(all(closing.find()), { name: 'NetrefError', code: 'closed' })
})

t.test('a bus that is closed amid the search rejects it', { skip }, async t => {
  const { bus, others } = await start(t)
  await announce(t, others, 'LineCounter.i1')
  const searching = (async () => {
    for await (const { name } of bus.find()) {
      t.equal(name, 'LineCounter')
      await bus.close()
    }
  })()
  await t.rejects(searching, { name: 'NetrefError', code: 'closed' })
})

t.test('who may not ask is told', { skip }, async t => {
  const config =
    'authorization { users: [{ user: a, password: b, permissions: { publish: { deny: "$SRV.>" } } }] }'
  const { bus, server } = await start(t, { config })
  await t.rejects(all(bus.find()), {
    name: 'NetrefError',
    code: 'unauthorized',
    message: /^bus\.find: .*\$SRV\.STATS/
  })

  const lines = t.capture(console, 'error')
  await using logging = nats(server.url.replace('//', '//a:b@'))
  await t.rejects(all(logging.find()), { code: 'unauthorized' })
  t.match(
    lines.args(),
    [[/^netref\/nats: PermissionViolationError: .*\$SRV\.STATS/]],
    'and a line is logged by default'
  )
})
