// Tests how a client chooses an instance of a service, and stays with it, on a real nats-server.
import { connect as connectNats } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { type Bus, nats, type ServiceInstance, type ServiceOptions } from '../../../lib/adapters/nats.js'
import { connect, type Server, Service, serve } from '../../../lib/index.js'
import { assertClean, rejectionOf, waitUntil } from '../../support/helpers.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

const skip = skipWithoutNats

class Counter extends Service {
  static release = () => {}
  #count = 0
  exposed_count() {
    return ++this.#count
  }
  exposed_held() {
    return new Promise<string>(resolve => {
      Counter.release = () => resolve('released')
    })
  }
}

async function startBus(t: Test) {
  const { url } = await startNatsServer(t, { jetstream: false })
  const bus = nats(url)
  t.teardown(() => bus.close())
  return bus
}

/** Serves an instance in a zone. */
async function serveIn(t: Test, bus: Bus, zone: string): Promise<Server> {
  const facts = { version: '1.2.0', description: 'Counts', metadata: { zone } }
  const server = await serve(Counter, { endpoint: bus.service('Counter', facts) })
  t.teardown(() => server.close())
  return server
}

const connectTo = (bus: Bus, options?: ServiceOptions) => connect<Counter>(bus.service('Counter', options))

async function find(bus: Bus): Promise<ServiceInstance[]> {
  const found: ServiceInstance[] = []
  for await (const instance of bus.find('Counter')) found.push(instance)
  return found
}

t.test(
  'a session stays with one instance: any, the one that is named, or the one that is picked',
  { skip },
  async t => {
    const bus = await startBus(t)
    const servers = [await serveIn(t, bus, 'eu'), await serveIn(t, bus, 'us')]
    const [eu] = (await find(bus)).filter(({ metadata }) => metadata.zone === 'eu')

    const anywhere = Array.from({ length: 20 }, () => connectTo(bus))
    for (const [i, conn] of anywhere.entries())
      t.equal(await conn.root.count(), 1, `session ${i} has its own counter`)
    t.ok(
      servers.every(({ sessions }) => sessions.size > 0),
      'both instances have sessions'
    )
    const sessions = (await find(bus)).map(({ metrics }) => metrics.sessions)
    t.equal(sessions[0]! + sessions[1]!, 20, 'which the metrics count')

    const named = connectTo(bus, { instance: eu!.id })
    t.equal(await named.root.count(), 1)
    t.same(named.session.peer, { id: eu!.id, version: '1.2.0', metadata: { zone: 'eu' } })
    let given: readonly ServiceInstance[] = []
    const picked = connectTo(bus, {
      pick: async found => {
        given = found
        return found.find(({ metadata }) => metadata.zone === 'us')
      }
    })
    t.equal(await picked.root.count(), 1)
    t.equal(picked.session.peer?.metadata.zone, 'us')
    t.match(
      given.map(({ description }) => description),
      ['Counts', 'Counts']
    )
    t.equal(await picked.root.count(), 2, 'it is the same object')

    const conns = [...anywhere, named, picked]
    await assertClean(
      t,
      ...conns.map(({ session }) => session),
      ...servers.flatMap(({ sessions }) => [...sessions])
    )
    await Promise.all(conns.map(conn => conn.close()))
    await waitUntil(() => servers.every(({ sessions }) => sessions.size === 0))
  }
)

t.test('a choice of nothing, or of an instance that is not there, is unreachable', { skip }, async t => {
  const bus = await startBus(t)
  const server = await serveIn(t, bus, 'eu')
  const failure = async (options?: ServiceOptions, name = 'Counter') => {
    await using conn = connect<Counter>(bus.service(name, options))
    const { code, message, reason } = await rejectionOf(conn.root.count())
    t.equal(code, 'unreachable')
    return { message, cause: (reason as { cause?: unknown }).cause }
  }
  t.match(await failure({ pick: () => undefined }), {
    message: /cannot reach Counter: `pick` chose none of 1 instances/
  })
  const cause = new Error('no zone')
  t.match(
    await failure({
      pick: () => {
        throw cause
      }
    }),
    { message: /cannot reach Counter: no zone/, cause }
  )
  t.match(await failure({ instance: 'i1' }), {
    message: /cannot reach Counter: the instance i1 of Counter is not there/
  })
  t.match(await failure({}, 'Nobody'), { message: /cannot reach Nobody: no instance of Nobody is there/ })
  t.equal(server.sessions.size, 0)

  const invalid = (name: string, options: object, message: string) =>
    t.throws(() => bus.service(name, options), { name: 'TypeError', message })
  invalid('a b', {}, 'bus.service: "a b" is no name; use up to 64 letters, digits, "_" and "-"')
  invalid(
    'X',
    { version: '1' },
    'bus.service: `version` takes a version as of semver.org, such as "1.2.0", not "1"'
  )
  invalid('X', { instance: 'a.b' }, 'bus.service: `instance`: "a.b" is no name')
  invalid(
    'X',
    { instance: 'a', pick: () => undefined },
    'bus.service: `instance` cannot be combined with `pick`'
  )
  invalid('X', { zone: 'eu' }, 'bus.service: there is no option `zone`')
})

t.test('an instance that drains is neither found nor chosen, and its calls finish', { skip }, async t => {
  const bus = await startBus(t)
  const leaving = await serveIn(t, bus, 'eu')
  await using conn = connectTo(bus)
  const held = conn.root.held()
  await waitUntil(() => leaving.metrics.callsIn === 1)
  const staying = await serveIn(t, bus, 'us')
  const closing = leaving.close({ drain: 10_000 })

  t.match(await find(bus), [{ metadata: { zone: 'us' } }])
  const others = Array.from({ length: 10 }, () => connectTo(bus))
  for (const other of others) t.equal(await other.root.count(), 1)
  t.equal(staying.sessions.size, 10)
  Counter.release()
  t.equal(await held, 'released')
  await closing
  await assertClean(t, ...others.map(({ session }) => session), ...staying.sessions)
  await Promise.all(others.map(other => other.close()))
})

t.test('a bus over a connection of the user leaves it open', { skip }, async t => {
  const { url } = await startNatsServer(t, { jetstream: false })
  const connection = await connectNats({ servers: url })
  t.teardown(() => connection.close())
  const bus = nats(connection)
  await serveIn(t, bus, 'eu')
  await using conn = connectTo(bus)
  t.equal(await conn.root.count(), 1)
  await assertClean(t, conn.session)
  await conn.close()
  await bus.close()
  t.notOk(connection.isClosed())
  await connection.flush()

  const never = nats(connection)
  await never.close()
  for (const target of [null, undefined, 7, true] as never[])
    t.throws(() => nats(target), {
      name: 'TypeError',
      message: /^nats: .* is no target; pass an address such as/
    })
})

t.test('by default an error that nobody awaits is one line', { skip }, async t => {
  const config =
    'authorization { users: [{ user: a, password: b, permissions: { publish: { deny: "$SRV.>" } } }] }'
  const { port } = await startNatsServer(t, { jetstream: false, config })
  const lines = t.capture(console, 'error')
  await using bus = nats(`nats://a:b@127.0.0.1:${port}`)
  await t.rejects(find(bus), { code: 'unauthorized' })
  t.match(lines.args(), [
    [/^netref\/nats: PermissionViolationError: Permissions Violation for Publish to "\$SRV\.STATS/]
  ])
})
