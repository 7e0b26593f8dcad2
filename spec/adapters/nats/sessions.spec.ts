// Tests sessions over a real nats-server: which instance they are with, how they begin and end, and flow control.
import { connect as connectToNats, type NatsConnection } from '@nats-io/transport-node'
import t from 'tap'
import { nats, type ServiceOptions } from '../../../lib/adapters/nats.js'
import {
  type ConnectOptions,
  callSession,
  connect,
  expose,
  type Netref,
  type ServeOptions,
  Service,
  serve
} from '../../../lib/index.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'
import { type BusSetup, endClean, startBuses } from '../../support/nats-sessions.js'

const skip = skipWithoutNats

class Counter extends Service {
  count = 0
  exposed_next() {
    return ++this.count
  }
  exposed_identity() {
    return callSession()!.identity
  }
  exposed_never() {
    return new Promise<never>(() => {})
  }
  exposed_length(bytes: Uint8Array) {
    return bytes.length
  }
  exposed_tell(listener: Netref<(bytes: Uint8Array) => void>, count: number, size: number) {
    for (let i = 0; i < count; i++) void listener(new Uint8Array(size).fill(i))
    return count
  }
}

/** Serves an instance on a bus of its own. */
async function instance({ bus }: BusSetup, facts: ServiceOptions = {}, options: ServeOptions = {}) {
  return serve(Counter, { ...options, endpoint: bus().service('Counter', facts) })
}

/** The id of an instance, from its address. */
const idOf = (server: { readonly url: string }) => server.url.split('/')[1]!

/** A client on a bus of its own. */
const client = ({ bus }: BusSetup, choice: ServiceOptions = {}, options: ConnectOptions = {}) =>
  connect<Counter>(bus().service('Counter', choice), options)

t.test('a session is with any instance, and stays with it; `session.peer` says which', { skip }, async t => {
  const setup = await startBuses(t)
  const servers = [
    await instance(setup, { version: '1.2.0', metadata: { zone: 'eu' } }),
    await instance(setup, { version: '1.2.0', metadata: { zone: 'us' } })
  ]
  const conns = Array.from({ length: 16 }, () => client(setup))
  for (const conn of conns) for (let i = 1; i <= 3; i++) t.equal(await conn.root.next(), i)
  const peers = conns.map(({ session }) => session.peer!)
  t.same([...new Set(peers.map(({ id }) => id))].sort(), servers.map(idOf).sort(), 'both get sessions')
  const [eu] = servers
  const { zone } = peers.find(({ id }) => id === idOf(eu!))!.metadata
  t.equal(zone, 'eu')
  t.ok(peers.every(({ version }) => version === '1.2.0'))
  t.equal(servers[0]!.sessions.size + servers[1]!.sessions.size, 16)
  for (const server of servers) for (const { peer } of server.sessions) t.equal(peer, undefined)
  for (const conn of conns.slice(1)) await conn.close()
  await endClean(t, conns[0]!, ...servers)
})

t.test('`instance` and `pick` choose the instance', { skip }, async t => {
  const setup = await startBuses(t)
  const eu = await instance(setup, { metadata: { zone: 'eu' } })
  const us = await instance(setup, { metadata: { zone: 'us' } })

  for (const server of [eu, us, eu]) {
    const conn = client(setup, { instance: idOf(server) })
    await conn.root.next()
    t.equal(conn.session.peer!.id, idOf(server))
    await conn.close()
  }
  const calls: number[] = []
  const conn = client(setup, {
    pick(found) {
      calls.push(found.length)
      return found.find(({ metadata }) => metadata.zone === 'us')
    }
  })
  await conn.root.next()
  t.same([conn.session.peer!.metadata, calls], [{ zone: 'us' }, [2]])
  const late = client(setup, { pick: async found => found.find(({ metadata }) => metadata.zone === 'eu') })
  await late.root.next()
  t.same(late.session.peer!.metadata, { zone: 'eu' })
  await late.close()

  t.match(await rejectionOf(client(setup, { instance: 'nobody' }).root.next()), {
    code: 'unreachable',
    message: /^root\.next\(\): .*: cannot reach Counter: the instance nobody of Counter is not there$/
  })
  t.match(await rejectionOf(client(setup, { pick: () => undefined }).root.next()), {
    message: /cannot reach Counter: `pick` chose none of 2 instances$/
  })
  const picksNone = client(setup, { pick: () => ({ id: 'a.>' }) })
  t.match(await rejectionOf(picksNone.root.next()), {
    code: 'unreachable',
    message: /cannot reach Counter: `pick` returned \{…\}; return one of the instances, or undefined$/
  })
  const picksWrong = client(setup, {
    pick: () => {
      throw new Error('no zone is known')
    }
  })
  t.match(await rejectionOf(picksWrong.root.next()), {
    code: 'unreachable',
    message: /cannot reach Counter: `pick` failed: Error: no zone is known$/
  })
  t.match(await picksWrong.closed, { cause: { cause: { message: 'no zone is known' } } })
  await endClean(t, conn, eu, us)
})

t.test('`authenticate` decides by the token; a resumed session keeps its identity', { skip }, async t => {
  const setup = await startBuses(t)
  const { server: natsServer } = setup
  const presented: (string | undefined)[] = []
  const server = await instance(
    setup,
    {},
    {
      async authenticate(request) {
        const token = await request.token()
        presented.push(token)
        return token && token !== 'wrong' ? { user: token.replace(/\d/, '') } : undefined
      },
      sameIdentity: (a: unknown, b: unknown) => (a as { user: string }).user === (b as { user: string }).user
    }
  )
  for (const token of ['wrong', undefined])
    t.match(await rejectionOf(client(setup, {}, { token }).root.next()), { code: 'unauthorized' })
  t.equal(server.metrics.clientsRefused, 2)

  let logins = 0
  const token = () => `ada${logins++}`
  const conn = client(setup, {}, { token })
  t.same(await conn.root.identity(), { user: 'ada' })
  const changing = ['eve']
  const other = client(setup, {}, { token: () => changing.shift() ?? 'bob' })
  const pending = rejectionOf(other.root.never())
  await other.ping()
  await natsServer.restart()
  t.equal(await conn.root.next(), 1)
  t.match(await pending, { code: 'session-lost', message: /another identity/ }, 'another is refused')
  for (const session of server.sessions) if (session.state === 'interrupted') await session.close()
  t.ok(presented.filter(token => token?.startsWith('ada')).length >= 2, 'the token is presented anew')
  await endClean(t, conn, server)
})

t.test('limits.sessions', { skip }, async t => {
  const setup = await startBuses(t)
  const server = await instance(setup, {}, { limits: { sessions: 1 }, onError: () => {} })
  const conn = client(setup)
  await conn.root.next()
  t.match(await rejectionOf(client(setup).root.next()), {
    code: 'unavailable',
    message: /its limit of sessions/
  })
  await endClean(t, conn, server)
})

t.test('a server that drains leaves first, and its clients move without an error', { skip }, async t => {
  const setup = await startBuses(t)
  const old = await instance(setup)
  const conns = Array.from({ length: 5 }, () => client(setup, {}, { renew: true }))
  for (const conn of conns) await conn.root.next()
  const next = await instance(setup)
  let calls = 0
  let closing = true
  const work = Promise.all(
    conns.map(async conn => {
      while (closing) {
        await conn.root.next()
        calls++
      }
    })
  )
  await waitUntil(() => calls > 100)
  const drained = old.close({ drain: 5000 })
  const newcomers = Array.from({ length: 5 }, () => client(setup))
  for (const conn of newcomers) {
    await conn.root.next()
    t.equal(conn.session.peer!.id, idOf(next), 'new sessions go elsewhere at once')
    await conn.close()
  }
  await drained
  closing = false
  await work
  for (const conn of conns) t.equal(conn.session.peer!.id, idOf(next))
  for (const conn of conns.slice(1)) await conn.close()
  await endClean(t, conns[0]!, next)
})

t.test('reasons reach the other end', { skip }, async t => {
  const setup = await startBuses(t)
  const server = await instance(setup)
  const first = client(setup)
  await first.root.next()
  const [served] = server.sessions
  await served!.close({ code: 'moved', message: 'You are signed in at another place.' })
  t.same(await first.closed, { code: 'moved', message: 'You are signed in at another place.' })

  const second = client(setup)
  await second.root.next()
  const [next] = server.sessions
  await second.close()
  t.match(await next!.closed, {
    code: 'closed',
    message: 'a client of Counter ended the session: close() was called'
  })

  const third = client(setup)
  await third.root.next()
  await server.close()
  t.match(await third.closed, {
    code: 'server-closed',
    message: /^the instance [\w-]{16} of Counter ended the session: the server is going away$/
  })
  const early = client(setup)
  await early.close()
  t.match(await early.closed, { code: 'closed' })
})

t.test('bus.close() ends the sessions at both ends', { skip }, async t => {
  const setup = await startBuses(t)
  const [serverBus, clientBus] = [setup.bus(), setup.bus()]
  const server = await serve(Counter, { endpoint: serverBus.service('Counter') })
  const conn = connect<Counter>(clientBus.service('Counter'))
  await conn.root.next()
  const [served] = server.sessions
  const cutOff = rejectionOf(conn.root.never())
  await conn.ping()
  await clientBus.close()
  t.match(await conn.closed, { code: 'closed', message: 'the bus was closed' })
  t.match(await cutOff, { code: 'closed' })
  t.match(await served!.closed, {
    code: 'closed',
    message: 'a client of Counter ended the session: the bus was closed'
  })
  t.match(await rejectionOf(connect<Counter>(clientBus.service('Counter')).root.next()), {
    code: 'closed',
    message: /: cannot reach Counter: the bus is closed; create another bus$/
  })

  const other = client(setup)
  await other.root.next()
  const [servedOther] = server.sessions
  await serverBus.close()
  await serverBus.close()
  t.match(await servedOther!.closed, { code: 'server-closed', message: 'the bus was closed' })
  t.match(await other.closed, { code: 'server-closed', message: /ended the session: the bus was closed$/ })
  await server.close()
  t.match(await rejectionOf(serve(Counter, { endpoint: serverBus.service('Counter') })), {
    code: 'closed',
    message: /the bus is closed; create another/
  })
})

t.test('a session may be closed while its bus is', { skip }, async t => {
  const setup = await startBuses(t)
  const clientBus = setup.bus()
  const server = await instance(setup)
  server.unref()
  const conn = connect<Counter>(clientBus.service('Counter')).unref()
  t.equal(
    await conn.root.next(),
    1,
    'the connection to NATS keeps the process alive, whatever the session says'
  )
  const closed = clientBus.close()
  await conn.close()
  await closed
  await waitUntil(() => server.sessions.size === 0)
  await server.close()
})

t.test('what NATS’s package cannot publish is told, and sent again', { skip }, async t => {
  const setup = await startBuses(t)
  const connection = await connectToNats({ servers: setup.server.url })
  t.teardown(() => connection.close())
  let fails = 0
  // As a connection does while it is closing.
  const publish: NatsConnection['publish'] = (...args) => {
    if (fails-- > 0) throw new Error('closing')
    connection.publish(...args)
  }
  const failing = new Proxy(connection, {
    get(target, key) {
      const value = key === 'publish' ? publish : Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
  const errors: unknown[] = []
  await using own = nats(failing, { onError: error => errors.push(error) })
  const server = await instance(setup)
  const conn = connect<Counter>(own.service('Counter'), { heartbeat: 100 })
  t.equal(await conn.root.next(), 1)
  fails = 1
  t.equal(await conn.root.next(), 2)
  t.match(errors, [{ message: 'closing' }])
  await endClean(t, conn, server)
})

t.test('a closed connection that is not the bus’s: the client ends, the server waits', { skip }, async t => {
  const { server: natsServer, bus } = await startBuses(t)
  const connection = await connectToNats({ servers: natsServer.url, inboxPrefix: '_INBOX.ada' })
  await using own = nats(connection, { inboxPrefix: '_INBOX.ada' })
  const server = await serve(Counter, { endpoint: bus().service('Counter'), resumeWindow: 100 })
  const conn = connect<Counter>(own.service('Counter'))
  t.equal(await conn.root.next(), 1)
  const [served] = server.sessions
  await own.close()
  t.match(await conn.closed, { code: 'closed' })
  t.match(await served!.closed, { code: 'closed' })
  await connection.flush()
  t.notOk(connection.isClosed(), 'the bus leaves it open')

  await using again = nats(connection, { inboxPrefix: '_INBOX.ada' })
  const lost = connect<Counter>(again.service('Counter'))
  t.equal(await lost.root.next(), 1)
  await connection.close()
  t.match(await lost.closed, { code: 'closed' }, 'the bus cannot open another')
  await waitUntil(() => server.sessions.size === 0)
  await server.close()
})

t.test('what a user meets: NATS away, no instance, wrong arguments', { skip }, async t => {
  const { server: natsServer, bus } = await startBuses(t)
  const nobody = bus()
  t.match(await rejectionOf(connect<Counter>(nobody.service('Counter')).root.next()), {
    code: 'unreachable',
    message:
      'root.next(): the session has ended (unreachable): cannot reach Counter: no instance of Counter is there'
  })
  const patient = connect<Counter>(nobody.service('Counter'), { reconnect: { initial: true, delay: 20 } })
  const answer = patient.root.next()
  const server = await serve(Counter, { endpoint: nobody.service('Counter') })
  t.equal(await answer, 1, 'reconnect.initial waits for one')
  await patient.close()
  await server.close()

  await natsServer.kill()
  await using away = nats(natsServer.url)
  t.match(await rejectionOf(connect<Counter>(away.service('Counter')).root.next()), {
    code: 'unreachable',
    message:
      /: cannot reach Counter: cannot reach NATS at 127\.0\.0\.1:\d+: .*ECONNREFUSED|connection refused/
  })
  t.match(await rejectionOf(serve(Counter, { endpoint: away.service('Counter') })), {
    code: 'unreachable',
    message: /cannot reach NATS/
  })
  const slow = connect<Counter>(nobody.service('Counter'), { handshakeTimeout: 50 })
  t.match(await rejectionOf(slow.root.next()), {
    code: 'unreachable',
    message:
      'root.next(): the session has ended (unreachable): cannot reach Counter: no instance of Counter answered within 50 ms'
  })

  t.throws(
    () => away.service('Line Counter'),
    new TypeError(
      'bus.service: "Line Counter" is no name; use up to 64 letters, digits, "_" and "-", such as "LineCounter"'
    )
  )
  t.throws(() => away.service('Counter', { instance: 'a.b' }), /^bus\.service: `instance`: "a\.b" is no name/)
  t.throws(
    () => away.service('Counter', { instance: 'a', pick: ([first]) => first }),
    /`instance` cannot be combined with `pick`; remove one of them/
  )
  t.throws(() => away.service('Counter', { picks: 1 } as never), /bus\.service.*picks/)
  for (const inboxPrefix of [
    '',
    '$JS.API',
    '_INBOX.>',
    'a b',
    'a..b',
    'a.',
    'netref.q.mail',
    'x'.repeat(129),
    'ü'
  ])
    t.throws(
      () => nats(natsServer.url, { inboxPrefix }),
      /^nats: .* is no `inboxPrefix`; use up to 128 characters/
    )
  t.throws(() => nats({ servers: natsServer.url, inboxPrefix: 'a b' }), /is no `inboxPrefix`/)
  t.throws(
    () => nats(7 as never),
    new TypeError('nats: 7 is no target; pass an address such as "nats://localhost:4222"')
  )
  // The package of NATS would connect to its default address.
  t.throws(() => nats([natsServer.url] as never), /^nats: \[…\] is no target/)
  t.match(
    await rejectionOf(serve(Counter, { endpoint: away.service('Counter'), port: 0 })),
    { message: /port/ },
    'an endpoint has no port'
  )
})

t.test('frames far larger than max_payload arrive in parts, in order with small ones', { skip }, async t => {
  const setup = await startBuses(t, { config: 'max_payload: 65536' })
  const server = await instance(setup)
  const conn = client(setup)
  const sizes = [10, 5 << 20, 1, 65_535, 65_536, 65_537, 3 << 20, 7]
  t.same(await Promise.all(sizes.map(size => conn.root.length(new Uint8Array(size)))), sizes)
  const heard: number[] = []
  await conn.root.tell(bytes => void heard.push(bytes.length), 5, 300_000)
  await waitUntil(() => heard.length === 5)
  t.same(heard, Array(5).fill(300_000))
  await endClean(t, conn, server)
})

t.test('a max_payload in which an answer to a dial may not fit is told at both ends', { skip }, async t => {
  const { bus } = await startBuses(t, { config: 'max_payload: 4096' })
  const endpoint = bus().service('Counter')
  const message = /NATS takes messages of up to 4096 bytes; set its max_payload to 32768 or more/
  t.match(await rejectionOf(serve(Counter, { endpoint })), { code: 'limit', message })
  const conn = connect<Counter>(endpoint, { reconnect: { initial: true } })
  t.match(await conn.closed, { code: 'limit', message })
})

t.test('the owner of a connection may give it to many buses', { skip }, async t => {
  const { url } = await startNatsServer(t, { jetstream: false })
  const connection = await connectToNats({ servers: url })
  t.teardown(() => connection.close())
  await using one = nats(connection)
  await using other = nats(connection)
  const server = await serve(Counter, { endpoint: one.service('Counter') })
  const conn = connect<Counter>(other.service('Counter'))
  const ref = expose(() => {})
  t.equal(await conn.root.tell(ref as never, 1, 1), 1)
  await endClean(t, conn, server)
})
