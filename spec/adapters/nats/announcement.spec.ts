// Tests the announcement of an instance with NATS's own client of micro services, on a real nats-server.
import { Svcm } from '@nats-io/services'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { type AnnouncedInstance, Announcement } from '../../../lib/adapters/nats/discovery/announcement.js'
import { checkServiceFacts } from '../../../lib/adapters/nats/discovery/service-facts.js'
import { checkName } from '../../../lib/adapters/nats/subjects.js'
import { type Server, serve } from '../../../lib/index.js'
import { waitUntil } from '../../support/helpers.js'
import { type NatsServerOptions, skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

const skip = skipWithoutNats

/** A nats-server, connections of a service and a client, and a server whose metrics are announced. */
async function start(t: Test, options: NatsServerOptions = {}) {
  const nats = await startNatsServer(t, { jetstream: false, ...options })
  const open = async () => {
    const connection = await connect({
      servers: nats.url,
      user: 'a',
      pass: 'b',
      reconnectTimeWait: 50,
      maxReconnectAttempts: -1
    })
    t.teardown(() => connection.close())
    return connection
  }
  const server = await serve({}, { port: 0 })
  t.teardown(() => server.close())
  return { nats, provider: await open(), client: await open(), server }
}

/** What is announced, and the errors that it reported. */
const instanceOf = (
  server: Server,
  facts: Partial<AnnouncedInstance> = {}
): AnnouncedInstance & { errors: unknown[] } => {
  const errors: unknown[] = []
  const given = { name: 'LineCounter', id: 'i1', metrics: () => server.metrics, connects: () => 7 }
  return { ...given, onError: error => errors.push(error), errors, ...facts }
}

/** NATS's own client. It has an older version of the core package, and its types. */
const discovery = (connection: NatsConnection) =>
  new Svcm(connection as never).client({ strategy: 'timer', maxWait: 150 } as never)

async function all<T>(items: Promise<AsyncIterable<T>>): Promise<T[]> {
  const found: T[] = []
  for await (const item of await items) found.push(item)
  return found
}

t.test("NATS's own client pings, and reads info and statistics", { skip }, async t => {
  const { provider, client, server } = await start(t)
  const facts = { version: '1.2.0', description: 'Counts lines', metadata: { zone: 'eu' } }
  const announcement = new Announcement(provider, instanceOf(server, facts))
  new Announcement(provider, instanceOf(server, { id: 'i2' }))
  new Announcement(provider, instanceOf(server, { name: 'Other' }))
  await provider.flush()
  const services = discovery(client)

  const identity = { name: 'LineCounter', id: 'i1', version: '1.2.0', metadata: { zone: 'eu' } }
  const pong = { type: 'io.nats.micro.v1.ping_response', ...identity }
  t.same(await all(services.ping('LineCounter', 'i1')), [pong])
  const ids = (found: readonly { name: string; id: string }[]) =>
    found.map(({ name, id }) => `${name}.${id}`).sort()
  t.same(ids(await all(services.ping('LineCounter'))), ['LineCounter.i1', 'LineCounter.i2'])
  t.same(ids(await all(services.ping())), ['LineCounter.i1', 'LineCounter.i2', 'Other.i1'])

  const endpoint = { name: 'connect', subject: 'netref.svc.LineCounter', queue_group: 'netref' }
  t.same(await all(services.info('LineCounter', 'i1')), [
    {
      type: 'io.nats.micro.v1.info_response',
      ...identity,
      description: 'Counts lines',
      endpoints: [{ ...endpoint, metadata: {} }]
    }
  ])
  t.match(await all(services.info('LineCounter', 'i2')), [
    { version: '0.0.0', description: '', metadata: {} }
  ])

  const before = Date.now()
  const [stats] = await all(services.stats('LineCounter', 'i1'))
  const { data, ...statistics } = stats!.endpoints![0]!
  t.match(stats, { type: 'io.nats.micro.v1.stats_response', ...identity })
  t.ok(Date.parse(stats!.started) <= before, stats!.started)
  t.same(statistics, {
    ...endpoint,
    num_requests: 7,
    num_errors: 0,
    last_error: '',
    processing_time: 0,
    average_processing_time: 0
  })
  t.match(data, { ...server.metrics, uptime: Number }, 'the metrics of the server are its data')
  t.equal((await all(services.stats())).length, 3)

  announcement.stop()
  await provider.flush()
  t.same(ids(await all(services.ping())), ['LineCounter.i2', 'Other.i1'], 'a stopped one is not found')
})

t.test('what is no request of ADR-32 is not answered', { skip }, async t => {
  const { provider, client, server } = await start(t)
  const instance = instanceOf(server)
  new Announcement(provider, instance)
  await provider.flush()
  client.publish('$SRV.PING')
  await client.flush()
  const answers = await all(client.requestMany('$SRV.NONE', '', { maxWait: 100 }))
  t.same(answers, [])
  t.same(instance.errors, [])
})

t.test('an announcement holds over a restart of NATS', { skip }, async t => {
  const { nats, provider, client, server } = await start(t)
  new Announcement(provider, instanceOf(server))
  const reconnected = Promise.all([provider, client].map(isReconnected))
  await nats.restart()
  await reconnected
  await provider.flush()
  t.equal((await all(discovery(client).ping('LineCounter'))).length, 1)
})

async function isReconnected(connection: NatsConnection): Promise<void> {
  for await (const { type } of connection.status()) if (type === 'reconnect') return
}

t.test(
  'an answer above max_payload is an error that is reported, and the connection lives',
  { skip },
  async t => {
    const { provider, client, server } = await start(t, { config: 'max_payload: 400' })
    const instance = instanceOf(server)
    new Announcement(provider, instance)
    await provider.flush()
    t.same(await all(discovery(client).stats('LineCounter')), [])
    t.match(instance.errors, [{ message: /max_payload/ }])
    t.equal((await all(discovery(client).ping('LineCounter'))).length, 1)
  }
)

t.test('an instance that may not subscribe is not found, which the connection reports', { skip }, async t => {
  const config =
    'authorization { users: [{ user: a, password: b, permissions: { subscribe: { deny: "$SRV.>" } } }] }'
  const { provider, client, server } = await start(t, { config })
  const instance = instanceOf(server)
  const refusals: unknown[] = []
  void (async () => {
    for await (const status of provider.status()) refusals.push(status)
  })()
  new Announcement(provider, instance)
  await waitUntil(() => refusals.length === 3)
  t.match(refusals, Array(3).fill({ type: 'error', error: { name: 'PermissionViolationError' } }))
  await t.rejects(all(discovery(client).ping()), { name: 'NoResponders' })
  t.same(instance.errors, [])
})

t.test('names and facts are checked', async t => {
  t.equal(checkName('bus.find', 'Line_Counter-2'), 'Line_Counter-2')
  for (const name of ['', 'a b', 'a.b', '*', '>', 'é', 'a\n', 'x'.repeat(65), 7, null] as string[])
    t.throws(() => checkName('bus.find', name), {
      name: 'TypeError',
      message: /^bus\.find: .* is no name; use/
    })

  const check = (facts: object) => () => checkServiceFacts('bus.service', facts)
  for (const version of ['0.0.0', '1.2.3', '10.20.30-alpha.1+build.5', '1.0.0-0A.is.legal', '1.0.0+meta'])
    t.doesNotThrow(check({ version }), version)
  for (const version of [
    '',
    '1',
    '1.2',
    'v1.2.3',
    '01.2.3',
    '1.2.3-',
    '1.2.3-01',
    '1.2.3+',
    '1.2.3\n',
    1,
    `1.2.3-${'a'.repeat(200)}`
  ])
    t.throws(check({ version }), {
      name: 'TypeError',
      message: /^bus\.service: `version` takes a version as of semver/
    })
  t.doesNotThrow(check({}))
  t.doesNotThrow(check({ description: 'Counts', metadata: { zone: 'eu' } }))
  t.throws(check({ description: 7 }), new TypeError('bus.service: `description` takes a string, not 7'))
  for (const metadata of [null, 'eu', ['eu']])
    t.throws(check({ metadata }), { name: 'TypeError', message: /`metadata` takes strings by name, not/ })
  t.throws(
    check({ metadata: { zone: 'eu', weight: 3 } }),
    new TypeError('bus.service: `metadata` takes strings by name, not 3 at "weight"')
  )
  t.throws(
    check({ metadata: { text: 'x'.repeat(9000) } }),
    new TypeError('bus.service: `description` and `metadata` are 9024 characters of JSON; use up to 8192')
  )
})
