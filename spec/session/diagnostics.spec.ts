import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import t, { type Test } from 'tap'
import { connect, type Diagnostics, expose, Netref, Service, type Session, serve } from '../../lib/index.js'
import { assertClean, overMemory, overSocket, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

type Name = keyof Diagnostics
type Told = [Name, Diagnostics[Name]]

/** What these channels tell while a test runs. */
function listen(t: Test, ...names: Name[]): Told[] {
  const reported: Told[] = []
  for (const name of names) {
    const listener = (event: unknown) => reported.push([name, event as Diagnostics[Name]])
    subscribe(name, listener)
    t.teardown(() => unsubscribe(name, listener))
  }
  return reported
}

class Home extends Service {
  exposed_value = 1
  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_fail() {
    throw new RangeError('no')
  }
  exposed_open() {
    return expose({ read: () => 'text', Page: class {} })
  }
  exposed_ask(tell: Untyped) {
    return tell('you')
  }
  exposed_never() {
    return new Promise(() => {})
  }
}

const plain = ([name, { session: _, ms, ...event }]: Untyped) => ({ name, ...event })

t.test('calls and replies, on both ends', async t => {
  const told = listen(t, 'netref:call', 'netref:reply')
  await overMemory(t, Home, async ({ root, session, served }: Untyped) => {
    t.equal(await root.add(1, 2), 3)
    const call = { id: 1, operation: 'call', path: 'root.add', args: [1, 2] }
    t.same(told.splice(0).map(plain), [
      { name: 'netref:call', direction: 'out', ...call },
      { name: 'netref:call', direction: 'in', ...call },
      { name: 'netref:reply', direction: 'in', ...call, ok: true, value: 3 },
      { name: 'netref:reply', direction: 'out', ...call, ok: true, value: 3 }
    ])
    await root.add(1, 2)
    const sessions = told.map(([, event]) => event.session)
    t.ok(sessions[0] === session && sessions[1] === served && sessions[2] === served)
    for (const [, event] of told.splice(0).slice(2)) {
      const { ms } = event as Diagnostics['netref:reply']
      t.ok(ms >= 0 && ms < 60_000)
    }

    const error = await rejectionOf(root.fail())
    t.match(plain(told[3]), { direction: 'out', ok: false, error })
    t.match(plain(told.splice(0)[2]), {
      direction: 'in',
      ok: false,
      error: { name: 'RangeError', message: 'no' }
    })

    t.match(await rejectionOf(root.secret()), { code: 'not-exposed' })
    t.match(plain(told.splice(0)[3]), { path: 'root.secret', ok: false, error: { code: 'not-exposed' } })

    t.match(await rejectionOf(root.add(Symbol('x'))), { code: 'unsendable' })
    t.same(told, [], 'a call that was never sent is published')

    await root.ask((name: string) => `hello ${name}`)
    t.match(told.splice(0).map(plain), [
      { path: 'root.ask', direction: 'out' },
      { path: 'root.ask', direction: 'in' },
      { path: /^.+#1$/, direction: 'out', args: ['you'] },
      { path: '#1', direction: 'in', args: ['you'] },
      { path: '#1', direction: 'in', value: 'hello you' },
      { direction: 'out', value: 'hello you' },
      { path: 'root.ask', direction: 'in', value: 'hello you' },
      { path: 'root.ask', direction: 'out', value: 'hello you' }
    ])
  })
})

t.test('every operation, and calls on results', async t => {
  const told = listen(t, 'netref:call')
  await overMemory(
    t,
    Home,
    async ({ root }: Untyped) => {
      const {
        set,
        has,
        keys,
        describe,
        delete: remove
      }: Untyped = (await import('../../lib/index.js')).Netref
      await root.value
      await set(root, 'value', 2)
      await has(root, 'value')
      await keys(root)
      await describe(root)
      await rejectionOf(remove(root, 'value'))
      await root.open().read()
      await new (root.open().Page)()
      const incoming = told.map(plain).filter(({ direction }: Untyped) => direction === 'in')
      t.same(
        incoming.map(({ operation, path, args }: Untyped) => [operation, path, args]),
        [
          ['get', 'root.value', []],
          ['set', 'root.value', [2]],
          ['has', 'root.value', []],
          ['keys', 'root', []],
          ['describe', 'root', []],
          ['delete', 'root.value', []],
          ['call', 'root.open', []],
          ['call', 'answer of call 7.read', []],
          ['call', 'root.open', []],
          ['construct', 'answer of call 9.Page', []]
        ]
      )
    },
    { serving: { allowSetAttrs: true } }
  )
})

t.test('sessions begin and end; pending calls are answered then', async t => {
  const told = listen(t, 'netref:session', 'netref:closed', 'netref:reply')
  let served: Session | undefined
  await overSocket(t, Home, async (conn, server) => {
    await conn.root.add(1, 1)
    served = [...server.sessions][0]
    told.splice(0)
    const never = rejectionOf(conn.root.never())
    await conn.ping()
    await conn.close()
    t.match(await never, { code: 'closed' })
    await waitUntil(() => told.length === 3)
  })
  const replied = told.find(([name]) => name === 'netref:reply')!
  t.match(plain(replied), { direction: 'out', ok: false, error: { code: 'closed' } })
  const closed = told.filter(([name]) => name === 'netref:closed')
  t.match(
    closed.map(([, event]) => (event as Diagnostics['netref:closed']).reason.code),
    ['closed', 'closed']
  )
  t.ok(closed.some(([, { session }]) => session === served))
})

t.test('each session is published when it has begun; a session that never began is not', async t => {
  const told = listen(t, 'netref:session', 'netref:closed')
  await overSocket(t, Home, async (conn, server) => {
    await conn.root.add(1, 1)
    const ends = told.map(([name, { session }]) => [name, session])
    t.equal(ends.length, 2)
    for (const session of [conn.session, ...server.sessions]) {
      t.ok(ends.some(([name, begun]) => name === 'netref:session' && begun === session))
    }
    told.splice(0)
    const { connect } = await import('../../lib/index.js')
    const nowhere = connect('ws://127.0.0.1:1')
    t.match(await nowhere.closed, { code: 'unreachable' })
    t.same(told, [])
  })
})

t.test('a subscriber to calls may end the session', async t => {
  await overMemory(t, Home, async ({ root, session }: Untyped) => {
    const end = () => void session.close()
    subscribe('netref:call', end)
    t.teardown(() => unsubscribe('netref:call', end))
    const control = new AbortController()
    const error = await rejectionOf(Netref.with(root, { signal: control.signal }).never())
    unsubscribe('netref:call', end)
    t.match(error, { code: 'closed' })
    control.abort()
    t.equal(session.stats.pending, 0, 'the call has ended')
  })
})

t.test('a late subscriber receives later calls only', async t => {
  await overMemory(t, Home, async ({ root }: Untyped) => {
    const result = root.add(1, 2)
    const told = listen(t, 'netref:reply')
    await result
    t.match(
      told.map(([, { direction }]: Untyped) => direction),
      told.length === 1 ? ['in'] : []
    )
    told.splice(0)
    await root.add(3, 4)
    t.same(
      told.map(([, { direction }]: Untyped) => direction),
      ['in', 'out']
    )
  })
})

t.test('a session that continues over another socket', async t => {
  const told = listen(t, 'netref:interrupted', 'netref:resumed')
  const sockets = new Set<Socket>()
  const http = createServer().on('connection', socket => sockets.add(socket))
  await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
  t.teardown(() => http.close())
  await using server = await serve(Home, { server: http })
  await using conn = connect<Untyped>(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`)
  await conn.root.add(1, 1)
  const [served] = server.sessions
  for (const socket of sockets) socket.destroy()
  await waitUntil(() => told.length === 4)
  const events = (session: unknown) =>
    told
      .filter(([, event]) => event.session === session)
      .map(([name, { reason }]: Untyped) => [name, reason?.code])
  const expected = [
    ['netref:interrupted', 'connection-lost'],
    ['netref:resumed', undefined]
  ]
  t.same(events(conn.session), expected)
  t.same(events(served), expected)
  await assertClean(t, conn.session, served!)
})
