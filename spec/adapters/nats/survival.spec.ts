// Kills NATS servers and instances amid work: each call, item and callback takes effect once and in order. NETREF_CHAOS_SEED
// is the seed of the lost messages.
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectToNats, type NatsConnection } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { nats } from '../../../lib/adapters/nats.js'
import { type Connection, connect, serve } from '../../../lib/index.js'
import { random } from '../../support/chaos-proxy.js'
import { rejectionOf, waitUntil } from '../../support/helpers.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'
import { endClean, startBuses, startInstance } from '../../support/nats-sessions.js'
import { startWork, Works } from '../../support/nats-works.js'

const skip = skipWithoutNats
const SEED = Number(process.env.NETREF_CHAOS_SEED ?? Date.now() & 0x7fffffff)

/** Waits until further calls are done. */
async function moreCalls(done: { readonly calls: number }, count = 20) {
  const before = done.calls
  await waitUntil(() => done.calls >= before + count)
}

/** Counts the sessions that replaced others. */
function countRenewals(conn: Connection<Works>) {
  const counted = { renewed: 0, interrupted: 0 }
  conn.on('renewed', () => counted.renewed++)
  conn.on('interrupted', () => counted.interrupted++)
  return counted
}

t.test('NATS is killed five times amid calls, streams and callbacks', { skip }, async t => {
  const { server: natsServer, bus } = await startBuses(t)
  const server = await serve(Works, { endpoint: bus().service('Works') })
  const conn = connect<Works>(bus().service('Works'), { renew: true })
  const counted = countRenewals(conn)
  let goesOn = true
  const { done, finished } = startWork(t, conn, () => goesOn)
  for (let i = 0; i < 5; i++) {
    await moreCalls(done)
    await natsServer.restart()
  }
  await moreCalls(done)
  goesOn = false
  await finished
  t.match(counted, { renewed: 0, interrupted: 5 })
  await endClean(t, conn, server)
})

t.test('an instance is killed: `renew` goes to another in under a second', { skip }, async t => {
  const { server: natsServer, bus } = await startBuses(t)
  const first = await startInstance(t, [natsServer.url], { NETREF_ANSWERS: 'no' })
  const conn = connect<Works>(bus().service('Works'), { renew: true })
  t.equal(await conn.root.pid, first.process.pid)
  const second = await startInstance(t, [natsServer.url])
  const mayHaveRun = rejectionOf(conn.root.never())
  const repeated = conn.root.onceMore()
  await conn.ping()

  const killed = performance.now()
  first.process.kill('SIGKILL')
  t.match(await mayHaveRun, { name: 'MayHaveRunError', code: 'may-have-run' })
  t.equal(await repeated, second.process.pid, 'an idempotent call runs again')
  const ms = Math.round(performance.now() - killed)
  t.comment(`the other instance answered ${ms} ms after the kill`)
  t.ok(ms < 3000)
  t.equal(await conn.root.next(), 1, 'of a new session')
  t.equal(conn.session.peer!.id, second.id)
  await conn.close()
})

t.test('an idle session notices soon that its peer has gone, at either end', { skip }, async t => {
  const { server: natsServer, bus } = await startBuses(t)
  const instance = await startInstance(t, [natsServer.url])
  const conn = connect<Works>(bus().service('Works'))
  await conn.ping()
  const interrupted = new Promise(resolve => conn.on('interrupted', resolve))
  let began = performance.now()
  instance.process.kill('SIGKILL')
  t.match(await interrupted, {
    code: 'connection-lost',
    message: /^the connection to the instance [\w-]+ of Works was lost: it has gone$/
  })
  let ms = Math.round(performance.now() - began)
  t.comment(`the client noticed it after ${ms} ms`)
  t.ok(ms < 1500)
  t.match(await conn.closed, { code: 'session-lost', message: /^the instance [\w-]+ of Works is gone$/ })
  t.comment(`the session was given up after ${Math.round(performance.now() - began)} ms`)

  const server = await serve(Works, { endpoint: bus().service('Other') })
  const connection = await connectToNats({ servers: natsServer.url })
  const other = connect<Works>(nats(connection).service('Other'), { reconnect: { delay: 60_000 } })
  await other.ping()
  const [served] = server.sessions
  const lost = new Promise(resolve => served!.on('interrupted', resolve))
  began = performance.now()
  await connection.close()
  t.match(await lost, { code: 'connection-lost', message: /a client of Other was lost: it has gone/ })
  ms = Math.round(performance.now() - began)
  t.comment(`the server noticed it after ${ms} ms`)
  t.ok(ms < 1500)
  await other.close()
  await served!.close()
  await server.close()
})

t.test('one of two NATS servers is killed: nothing is lost but time', { skip }, async t => {
  for (const [what, ofClient, ofInstance] of [
    ['that of the instance', 1, 0],
    ['that of the client', 0, 1],
    ['that of both', 0, 0]
  ] as const) {
    await t.test(what, async t => {
      const first = await startNatsServer(t, { cluster: { routes: [] } })
      const second = await startNatsServer(t, { cluster: { routes: [first.clusterUrl!] } })
      const urls = [first.url, second.url]
      const busAt = (at: number) => {
        const servers = at === 0 ? urls : [...urls].reverse()
        const bus = nats({ servers, noRandomize: true }, { onError: error => t.fail(String(error)) })
        t.teardown(() => bus.close())
        return bus
      }
      const server = await serve(Works, { endpoint: busAt(ofInstance).service('Works') })
      const conn = connect<Works>(busAt(ofClient).service('Works'), {
        reconnect: { initial: true },
        renew: true
      })
      const counted = countRenewals(conn)
      let goesOn = true
      const { done, finished } = startWork(t, conn, () => goesOn)
      await moreCalls(done)
      const began = performance.now()
      await first.kill()
      await moreCalls(done, 2)
      t.comment(`calls went on after ${Math.round(performance.now() - began)} ms`)
      await moreCalls(done)
      goesOn = false
      await finished
      t.match(counted, { renewed: 0, interrupted: 1 }, 'the session is the same')
      await endClean(t, conn, server)
    })
  }
})

t.test('NATS is paused for two seconds', { skip }, async t => {
  const { server: natsServer, bus } = await startBuses(t)
  const server = await serve(Works, { endpoint: bus().service('Works') })
  const conn = connect<Works>(bus().service('Works'))
  const counted = countRenewals(conn)
  let goesOn = true
  const { done, finished } = startWork(t, conn, () => goesOn)
  await moreCalls(done)
  process.kill(natsServer.pid, 'SIGSTOP')
  await delay(2000)
  process.kill(natsServer.pid, 'SIGCONT')
  await moreCalls(done)
  goesOn = false
  await finished
  t.equal(counted.interrupted, 0)
  await endClean(t, conn, server)
})

/** A connection that loses some of the messages that it is told to publish. */
function lossy(connection: NatsConnection, loses: () => boolean): NatsConnection {
  const publish: NatsConnection['publish'] = (...args) => {
    if (!loses()) connection.publish(...args)
  }
  return new Proxy(connection, {
    get(target, key) {
      if (key === 'publish') return publish
      const value = Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}

t.test(`messages are lost on their way (seed ${SEED})`, { skip }, async t => {
  const { server: natsServer } = await startBuses(t)
  const next = random(SEED)
  let lost = 0
  let goesOn = true
  const loses = () => goesOn && next() < 0.01 && ++lost > 0
  const open = async (t: Test) => {
    const connection = await connectToNats({ servers: natsServer.url })
    t.teardown(() => connection.close())
    return nats(lossy(connection, loses))
  }
  const [serverBus, clientBus] = [await open(t), await open(t)]
  const haste = { heartbeat: 200, reconnect: { delay: 5, maxDelay: 40, initial: true } }
  const server = await serve(Works, { endpoint: serverBus.service('Works'), heartbeat: 200 })
  const conn = connect<Works>(clientBus.service('Works'), haste)
  const counted = countRenewals(conn)
  const { finished } = startWork(t, conn, () => goesOn)
  await waitUntil(() => lost >= 15)
  goesOn = false
  await finished
  t.comment(`${lost} messages were lost; the session was interrupted ${counted.interrupted} times`)
  t.ok(counted.interrupted > 0)
  await endClean(t, conn, server)
  await serverBus.close()
  await clientBus.close()
})

t.test('a paused process is not cut off, and what waits for it is bounded', { skip }, async t => {
  const { server: natsServer, bus } = await startBuses(t, { config: 'write_deadline: "1s"' })
  const instance = await startInstance(t, [natsServer.url])
  const conn = connect<Works>(bus().service('Works'))
  const counted = countRenewals(conn)
  await conn.ping()
  let given = 0
  let goesOn = true
  const chunk = new Uint8Array(100_000)
  async function* chunks() {
    while (goesOn) {
      given++
      yield chunk
    }
  }
  const taken = conn.root.drink(chunks())
  await waitUntil(() => given > 20)
  instance.process.kill('SIGSTOP')
  const before = given
  await delay(2500)
  const whilePaused = given - before
  t.comment(`${whilePaused} chunks of 100 kB were given while the other process was paused`)
  t.ok(whilePaused < 60)
  instance.process.kill('SIGCONT')
  const resumed = given
  await waitUntil(() => given > resumed + 20)
  goesOn = false
  t.equal(await taken, given)
  t.same([counted.interrupted, instance.interruptions], [0, []], 'NATS has cut off nobody')
  await conn.close()
  const exited = once(instance.process, 'exit')
  instance.process.kill('SIGKILL')
  await exited
})
