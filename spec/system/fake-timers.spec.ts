// Tests fake timers (Jest, Vitest, Sinon): they stand still, and nothing in netref waits for them.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { connect, MemoryIdempotencyStore, Netref, Service, serve } from '../../lib/index.js'
import { clock } from '../../lib/util/clock.js'
import { GatedProxy } from '../support/gated-proxy.js'
import { assertClean, CHILD_ENV, overMemory, waitUntil } from '../support/helpers.js'
import type { Untyped } from '../support/wire.js'

t.test('everything works while fake timers stand still', async t => {
  const program = fileURLToPath(new URL('../support/fixtures/frozen-clock.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program], {
    env: CHILD_ENV
  })
  const done = '5000 4498500 3000000 3000000 30000 Error: nobody awaits it'
  t.equal(stdout, `socket ${done}\nmemory ${done}\nlate server-closed\n`)
})

/** Shifts the system clock by some hours from the real time. */
function wallClock(t: Test): (hours: number) => void {
  const { now } = Date
  let ahead = 0
  const wall = () => now() + ahead
  const { wallNow: real } = clock
  clock.wallNow = wall
  t.intercept(Date, 'now', { value: wall })
  t.teardown(() => {
    clock.wallNow = real
  })
  return hours => {
    ahead = hours * 3_600_000
  }
}

class Shop {
  paid = 0
  settle: (() => void)[] = []
  exposed_pay(): number {
    return ++this.paid
  }
  exposed_payLater(): Promise<number> {
    return new Promise(resolve => this.settle.push(() => resolve(++this.paid)))
  }
  exposed_wait(): Promise<void> {
    return new Promise(() => {})
  }
}

t.test('system clock changes by hours do not affect durations', async t => {
  const set = wallClock(t)
  const shop = new Shop()
  const server = await serve(shop, {
    port: 0,
    authenticate: () => 'ann',
    idempotencyStore: new MemoryIdempotencyStore(),
    heartbeat: 200,
    limits: { helloMs: 5000 }
  })
  const door = await GatedProxy.inFrontOf(server.url)
  const conn = connect<Shop>(door.url, { heartbeat: 200, reconnect: { delay: 20, maxDelay: 20 } })
  const events: string[] = []
  conn.on('interrupted', () => events.push('interrupted'))
  conn.on('resumed', () => events.push('resumed'))
  const pay = Netref.with(conn.root.pay, { idempotencyKey: 'order 1' })
  t.equal(await pay(), 1)
  for (const hours of [24, -24, 0]) {
    set(hours)
    t.equal(await pay(), 1, 'its outcome is kept')
    // Both ends call and get answers.
    const { bytesIn, bytesOut } = conn.stats
    await waitUntil(() => conn.stats.bytesIn > bytesIn && conn.stats.bytesOut > bytesOut)
  }
  t.same(events, [])
  const later = Netref.with(conn.root.payLater, { idempotencyKey: 'order 2' })
  for (const hours of [24, -24]) {
    const calls = [later(), later()]
    await waitUntil(() => shop.settle.length === 1)
    door.mode = 'refusing'
    door.cut()
    await waitUntil(() => conn.state === 'interrupted' && [...server.sessions][0]!.state === 'interrupted')
    set(hours)
    const { connectionCount } = door
    await waitUntil(() => door.connectionCount > connectionCount + 2)
    door.forwardAll()
    await waitUntil(() => conn.state === 'open')
    shop.settle.pop()?.()
    t.same(await Promise.all(calls), [2, 2], 'it ran once')
    shop.settle.push(() => {})
  }
  t.same(events, ['interrupted', 'resumed', 'interrupted', 'resumed'])
  t.equal(shop.paid, 2)
  await assertClean(t, conn.session, ...server.sessions)
  conn.root.wait().catch(() => {})
  await conn.ping()
  const began = performance.now()
  const closed = server.close({ drain: 50 })
  set(-48)
  await closed
  t.ok(performance.now() - began < 10_000, 'a drain ends')
  await conn.close()
  await door.close()
})

class Echo extends Service {
  exposed_echo = (value: unknown) => value
}

t.test('a Date made by a fake clock is a Date', async t => {
  const RealDate = Date
  /** As Sinon does it, and with it Jest and Vitest. */
  const clockDate = () =>
    class ClockDate extends RealDate {
      constructor(...time: [number]) {
        super(...time)
        Object.defineProperty(this, 'constructor', { value: RealDate, enumerable: false })
      }
    }
  /** As Vitest does it for `vi.setSystemTime` alone. */
  class MockDate extends RealDate {}
  class Day extends RealDate {}
  await overMemory(t, Echo, async ({ root }) => {
    const { echo } = root as Untyped
    for (const Type of [clockDate(), MockDate]) {
      globalThis.Date = Type as never
      const made = new Date(5)
      const back = await echo(made)
      t.ok(back instanceof Type && back !== made, Type.name)
      globalThis.Date = RealDate
      t.equal(back.getTime(), 5)
      t.ok(back instanceof Date)
    }
    const early = new (clockDate())(7)
    t.not(await echo(early), early, 'created under the fake clock, sent after its removal')
    const day = new Day(5)
    t.equal(await echo(day), day, 'an instance of a program’s class is passed by reference')
  })
})
