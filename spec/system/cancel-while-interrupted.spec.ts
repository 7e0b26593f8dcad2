// Tests cancellation while a session is interrupted: it takes effect locally at once, and at the owner after
// resumption.
import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { WebSocketServer } from 'ws'
import { connect, serve } from '../../lib/index.js'
import { GatedProxy } from '../support/gated-proxy.js'
import { assertClean, iterator, rejectionOf, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

t.setTimeout(120_000)
const SOON = { delay: 1, maxDelay: 5 }

t.test('break, return(), cancel() and abort() do not wait while the session is interrupted', async t => {
  const events: unknown[] = []
  const faults: unknown[] = []
  async function* items(name: string, fault?: Error) {
    try {
      for (let n = 0; ; n++) yield n
    } finally {
      events.push(name)
      // biome-ignore lint/correctness/noUnsafeFinally: that is what is to be told of
      if (fault) throw fault
    }
  }
  const readable = (name: string) =>
    new ReadableStream({
      pull: controller => controller.enqueue(0),
      cancel: why => void events.push(`${name} ${why}`)
    })
  const writable = (name: string) => new WritableStream({ abort: why => void events.push(`${name} ${why}`) })
  /** Not sent: an iterator that was left requests no item. */
  const unreadOne = () =>
    iterator({
      next: () => ({ done: events.push('read') < 0, value: 1 }),
      return: () => ({ done: events.push('unread') > 0, value: undefined })
    })
  const make = () => ({
    looped: items('looped'),
    stepped: items('stepped'),
    failing: items('failing', new Error('in finally')),
    read: readable('read'),
    written: writable('written')
  })
  let inLoop = 0
  let breakLoops = () => {}
  const broken = new Promise<void>(resolve => (breakLoops = resolve))
  const answers: ((iterator: unknown) => void)[] = []
  let returned: (() => void) | undefined
  let given: Untyped
  const service = {
    make,
    take: (things: unknown) => {
      given = things
    },
    late: () => new Promise(resolve => answers.push(resolve)),
    slow: () => ({
      [Symbol.asyncIterator]() {
        return this
      },
      next: () => ({ done: false, value: 1 }),
      return: () => new Promise(resolve => (returned = () => resolve({ done: true, value: 1 })))
    })
  }
  const onError = (error: unknown) => faults.push((error as Error).message)
  const server = await serve(service, { port: 0, onError })
  const door = await GatedProxy.inFrontOf(server.url)
  const conn = connect<typeof service>(door.url, { reconnect: SOON, heartbeat: 0, onError })
  const root = conn.root as Untyped
  const begin = async (things: Untyped) => {
    things.loop = (async () => {
      for await (const _ of things.looped) {
        inLoop++
        await broken
        break
      }
    })()
    await things.stepped.next()
    await things.failing.next()
    return things
  }
  const leave = async (things: Untyped) => {
    await things.loop
    t.same(await things.stepped.return('left'), { done: true, value: 'left' })
    await things.failing.return()
    await things.read.cancel('enough')
    await things.written.getWriter().abort('enough')
    t.same(events, [], 'their owner has not been notified yet')
  }
  const ours = await begin(await root.make())
  await root.take(make())
  const theirs = await begin(given)
  const unread = root.late()[Symbol.asyncIterator]()
  const gone = root.late()[Symbol.asyncIterator]()
  const first = unread.next()
  const [session] = server.sessions
  await conn.ping()
  const slow = await root.slow()
  await slow.next()
  const slowly = slow.return('left')
  await waitUntil(() => returned !== undefined && inLoop === 2)

  door.mode = 'refusing'
  door.cut()
  await waitUntil(() => session!.state === 'interrupted' && conn.state === 'interrupted')
  t.same(await slowly, { done: true, value: 'left' }, 'nor does a read that was pending at the interruption')
  breakLoops()
  await leave(ours)
  await leave(theirs)
  t.same(await unread.return('left'), { done: true, value: 'left' }, 'nor for the iterator itself')
  t.same(await gone.return('left'), { done: true, value: 'left' })

  door.forwardAll()
  await conn.ping()
  returned!()
  for (const answer of answers) answer(unreadOne())
  await waitUntil(() => events.length === 12 && faults.length === 2)
  t.same(await first, { done: true, value: undefined })
  t.same(
    events.sort(),
    ['failing', 'looped', 'read enough', 'stepped', 'written enough']
      .flatMap(name => [name, name])
      .concat('unread', 'unread')
      .sort(),
    'once each'
  )
  t.same(faults, ['in finally', 'in finally'], 'a later failure is reported by the side that left')
  await conn.close()
  await assertClean(t, conn.session, session!)
  await door.close()
  await server.close()
})

t.test('an iterator that was left does not report the end of the session', async t => {
  const faults: unknown[] = []
  const server = await serve({ never: () => new Promise(() => {}) }, { port: 0 })
  const conn = connect<Untyped>(server.url, { onError: error => faults.push(error) })
  const unread = (conn.root as Untyped).never()[Symbol.asyncIterator]()
  t.equal(conn.state, 'connecting')
  t.same(
    await unread.return('left'),
    { done: true, value: 'left' },
    'nor does it wait for the first connection'
  )
  await conn.ping()
  await conn.close()
  await new Promise(resolve => setImmediate(resolve))
  t.same(faults, [])
  await assertClean(t, conn.session)
  await server.close()
})

t.test('close() has a timeout for a server that accepts the connection and sends nothing', async t => {
  const silent = createServer(socket => socket.on('error', () => {})).listen(0, '127.0.0.1')
  const mute = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await Promise.all([once(silent, 'listening'), mute.address() || once(mute, 'listening')])
  const url = (server: { address(): unknown }) =>
    `ws://127.0.0.1:${(server.address() as { port: number }).port}`
  const never = { handshakeTimeout: 0 }
  const conns = [
    connect<Untyped>(url(silent), never),
    connect<Untyped>(url(silent), { ...never, reconnect: { initial: true } }),
    connect<Untyped>(url(mute), { ...never, token: () => new Promise<string>(() => {}) })
  ]
  const calls = conns.map(({ root }) => rejectionOf((root as Untyped).call()))
  conns[0]!.unref()
  const closed = conns.map(conn => conn.close())
  conns[1]!.unref()
  for (const call of calls) t.match(await call, { code: 'closed' })
  await Promise.all(closed)
  for (const conn of conns) t.equal((await conn.closed).code, 'closed')
  await assertClean(t, ...conns.map(({ session }) => session))
  silent.close()
  mute.close()
})
