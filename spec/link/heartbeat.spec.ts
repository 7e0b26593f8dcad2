import { mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { Heartbeat } from '../../lib/link/heartbeat.js'
import { useFakeClock } from '../support/fake-clock.js'

/** A line of which it is said what comes, and when. */
class Line {
  isReadingPaused = false
  bytesReceived = 0
  pendingWriteBytes = 0
  readonly told: string[] = []
  readonly heartbeat = new Heartbeat(1000, this)
  requestAck() {
    this.told.push('asked')
  }
  onPeerSilent(ms: number) {
    this.told.push(`lost after ${ms}`)
  }
}

t.beforeEach(t => useFakeClock(t, ['setInterval', 'Date']))

/** Lets time pass, a little at a time, and what arrives be read. */
async function pass(ms: number): Promise<void> {
  for (let i = 0; i < ms / 100; i++) {
    mock.timers.tick(100)
    await turn()
    await turn()
  }
}

t.test(
  'a line that is used is not asked; a silent one is asked once, and lost within two intervals',
  async t => {
    const line = new Line()
    line.heartbeat.start()
    for (let i = 0; i < 50; i++) {
      await pass(300)
      line.heartbeat.frameReceived = true
    }
    t.same(line.told, [])
    await pass(1000)
    t.same(line.told, ['asked'])
    line.heartbeat.frameReceived = true
    await pass(500)
    await pass(500)
    t.same(line.told, ['asked', 'asked'])
    await pass(900)
    t.same(line.told, ['asked', 'asked'])
    await pass(100)
    t.same(line.told, ['asked', 'asked', 'lost after 1500'])
    line.heartbeat.stop()
    await pass(10_000)
    t.equal(line.told.length, 3)
  }
)

t.test(
  'what is on its way in a large frame is a sign of life; and the other side hears of this one',
  async t => {
    const line = new Line()
    line.heartbeat.start()
    for (let i = 0; i < 20; i++) {
      line.bytesReceived += 1000
      await pass(500)
    }
    t.same(line.told, Array(19).fill('asked'))
  }
)

t.test('a peer that reads what it is sent, however slowly, is there', async t => {
  const line = new Line()
  line.heartbeat.start()
  line.pendingWriteBytes = 1_000_000
  await pass(1000)
  for (let i = 0; i < 20; i++) {
    line.pendingWriteBytes -= 1000
    await pass(500)
  }
  t.notMatch(line.told, /lost/)
  line.pendingWriteBytes += 1000
  await pass(5000)
  t.match(line.told.at(-1), /lost/, 'that more is sent to it says nothing')
})

t.test('silence says nothing where this side does not listen', async t => {
  const line = new Line()
  line.heartbeat.start()
  line.isReadingPaused = true
  await pass(10_000)
  t.same(line.told, [])
})

t.test('who slept does not take that for silence, and asks at once', async t => {
  const line = new Line()
  line.heartbeat.start()
  await pass(400)
  line.heartbeat.frameReceived = true
  const woken = Date.now() + 3_600_000
  t.intercept(Date, 'now', { value: () => woken })
  mock.timers.tick(100)
  t.same(line.told, ['asked'])
  line.heartbeat.frameReceived = true
  await pass(500)
  t.same(line.told, ['asked'])
})

t.test('an answer that is read in the turn after the last look is in time', async t => {
  const line = new Line()
  line.heartbeat.start()
  await pass(1900)
  t.same(line.told, ['asked'])
  mock.timers.tick(100)
  line.heartbeat.frameReceived = true
  await pass(400)
  t.same(line.told, ['asked'])
})

t.test('no interval, no questions', async t => {
  const line = new Line()
  const silent = new Heartbeat(0, line)
  silent.start()
  await pass(100_000)
  t.same(line.told, [])
  silent.stop()
})
