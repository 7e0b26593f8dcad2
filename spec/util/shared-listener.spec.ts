// Listeners on what is a user's: however much hangs on it, Node warns of nothing, and none is left behind.
import { getEventListeners, once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { connect, serve } from '../../lib/index.js'
import { GatedProxy } from '../support/gated-proxy.js'
import { assertClean, rejectionOf, waitUntil } from '../support/helpers.js'
import { startWorker } from '../support/start-worker.js'

interface Sums {
  add(a: number, b: number): number
}
const sums: Sums = { add: (a, b) => a + b }

const MANY = 100
const many = <T>(make: (i: number) => T): T[] => Array.from({ length: MANY }, (_, i) => make(i))

/** @returns what asserts that Node warned of nothing since */
function warnings(t: Test): () => Promise<void> {
  const warned: Error[] = []
  const warn = (warning: Error) => warned.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  return async () => {
    await turn()
    t.same(warned, [])
  }
}

t.test('a hundred services on one web server', async t => {
  const assertNone = warnings(t)
  const web = http.createServer().listen(0, '127.0.0.1')
  await once(web, 'listening')
  const events: number[] = []
  const services = await Promise.all(
    many(i => serve(sums, { server: web, path: `/${i}`, onError: () => events.push(i) }))
  )
  t.equal(web.listenerCount('error'), 1)
  web.emit('error', new Error('too many files are open'))
  t.same(
    events,
    many(i => i),
    'each service gets an error of the server'
  )
  await services[0]!.close()
  web.emit('error', new Error('once more'))
  t.equal(events.length, 2 * MANY - 1, 'except a closed service')
  const { port } = web.address() as AddressInfo
  await using conn = connect<Sums>(`ws://127.0.0.1:${port}/99`)
  t.equal(await conn.root.add(1, 2), 3)
  await assertClean(t, conn.session)
  await conn.close()
  await Promise.all(services.map(service => service.close()))
  t.equal(web.listenerCount('error'), 0)
  await new Promise(closed => web.close(closed))
  await assertNone()
})

t.test('a hundred connections that wait, with one signal', async t => {
  const assertNone = warnings(t)
  const server = await serve(sums, { port: 0 })
  const door = await GatedProxy.inFrontOf(server.url)
  door.mode = 'refusing'
  const { signal, listeners, abort } = search()
  const connections = many(() =>
    connect<Sums>(door.url, { reconnect: { delay: 1, maxDelay: 5, initial: true, signal } })
  )
  const answers = connections.map(conn => conn.root.add(1, 2))
  await waitUntil(() => door.connectionCount > 2 * MANY)
  t.equal(listeners(), 1)
  door.forwardAll()
  t.same(
    await Promise.all(answers),
    many(() => 3)
  )
  t.equal(listeners(), 0, 'no connection is waiting')
  await assertClean(t, ...connections.map(({ session }) => session), ...server.sessions)

  door.mode = 'refusing'
  await server.close({ drain: 0 })
  await Promise.all(connections.map(conn => conn.close()))
  const late = many(() => connect<Sums>(door.url, { reconnect: { initial: true, signal } }))
  const lost = late.map(conn => rejectionOf(conn.root.add(1, 2)))
  const { connectionCount } = door
  await waitUntil(() => door.connectionCount === connectionCount + MANY && listeners() > 0)
  t.equal(listeners(), 1)
  abort()
  for (const error of await Promise.all(lost)) t.match(error, { name: 'SessionEndedError' })
  t.equal(listeners(), 0)
  await door.close()
  await assertNone()
})

function search() {
  const controller = new AbortController()
  const { signal } = controller
  return {
    signal,
    listeners: () => getEventListeners(signal, 'abort').length,
    abort: () => controller.abort()
  }
}

/** Something that sessions go over, and what ends it. */
type Endpoint = MessagePort | Worker
const endpoints: Record<string, (t: Test) => Promise<[endpoint: Endpoint, end: () => unknown]>> = {
  async MessagePort() {
    const { port1, port2 } = new MessageChannel()
    const server = await serve(sums, { endpoint: port2 })
    return [
      port1,
      async () => {
        t.same(listenersOf(port2), [1, 1, 0, 0], 'the server listens once for all clients')
        await server.close()
        t.same(listenersOf(port2), [0, 0, 0, 0])
        port1.close()
      }
    ]
  },
  async Worker(t) {
    const worker = await startWorker(t)
    return [worker, () => worker.terminate()]
  }
}

const listenersOf = (endpoint: Endpoint) =>
  ['message', 'error', 'close', 'exit'].map(type => endpoint.listenerCount(type))

for (const [kind, make] of Object.entries(endpoints)) {
  t.test(`a hundred sessions over one ${kind}, one after the other and at once`, async t => {
    const assertNone = warnings(t)
    const [endpoint, end] = await make(t)
    const before = listenersOf(endpoint)
    for (let i = 0; i < MANY; i++) {
      await using conn = connect<Sums>(endpoint)
      t.equal(await conn.root.add(i, 1), i + 1)
    }
    t.same(listenersOf(endpoint), before)
    const connections = many(() => connect<Sums>(endpoint))
    const answers = connections.map((conn, i) => conn.root.add(i, 1))
    t.ok(
      listenersOf(endpoint).every(listeners => listeners <= 2),
      'a shared emitter has at most two listeners'
    )
    t.same(
      await Promise.all(answers),
      many(i => i + 1)
    )
    await assertClean(t, ...connections.map(({ session }) => session))
    await Promise.all(connections.map(conn => conn.close()))
    t.same(listenersOf(endpoint), before)
    await end()
    await assertNone()
  })
}
