import { mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { Heartbeat } from '../../lib/link/heartbeat.js'
import { useFakeClock } from '../support/fake-clock.js'

/** A link whose events the test sets. */
class FakeLink {
  isReadingPaused = false
  bytesReceived = 0
  pendingWriteBytes = 0
  readonly events: string[] = []
  readonly heartbeat = new Heartbeat(1000, this)
  requestAck() {
    this.events.push('asked')
  }
  onPeerSilent(ms: number) {
    this.events.push(`lost after ${ms}`)
  }
}

t.beforeEach(t => useFakeClock(t, ['setInterval', 'Date']))

/** Lets time pass in small steps, with turns of the event loop between them. */
async function pass(ms: number): Promise<void> {
  for (let i = 0; i < ms / 100; i++) {
    mock.timers.tick(100)
    await turn()
    await turn()
  }
}

t.test('a busy peer gets no request; a silent peer gets one, and is lost within two intervals', async t => {
  const link = new FakeLink()
  link.heartbeat.start()
  for (let i = 0; i < 50; i++) {
    await pass(300)
    link.heartbeat.frames++
  }
  t.same(link.events, [])
  await pass(1000)
  t.same(link.events, ['asked'])
  link.heartbeat.frames++
  await pass(500)
  await pass(500)
  t.same(link.events, ['asked', 'asked'])
  await pass(900)
  t.same(link.events, ['asked', 'asked'])
  await pass(100)
  t.same(link.events, ['asked', 'asked', 'lost after 1500'])
  link.heartbeat.stop()
  await pass(10_000)
  t.equal(link.events.length, 3)
})

t.test('parts of a large frame count as a sign of life, and the peer gets an acknowledgement', async t => {
  const link = new FakeLink()
  link.heartbeat.start()
  for (let i = 0; i < 20; i++) {
    link.bytesReceived += 1000
    await pass(500)
  }
  t.same(link.events, Array(19).fill('asked'))
})

t.test('a peer that reads slowly is alive', async t => {
  const link = new FakeLink()
  link.heartbeat.start()
  link.pendingWriteBytes = 1_000_000
  await pass(1000)
  for (let i = 0; i < 20; i++) {
    link.pendingWriteBytes -= 1000
    await pass(500)
  }
  t.notMatch(link.events, /lost/)
  link.pendingWriteBytes += 1000
  await pass(5000)
  t.match(link.events.at(-1), /lost/, 'bytes sent to the peer do not count')
})

t.test('silence does not count while reading is paused', async t => {
  const link = new FakeLink()
  link.heartbeat.start()
  link.isReadingPaused = true
  await pass(10_000)
  t.same(link.events, [])
})

t.test('time asleep does not count as silence, and the peer gets a request at once', async t => {
  const link = new FakeLink()
  link.heartbeat.start()
  await pass(400)
  link.heartbeat.frames++
  const woken = Date.now() + 3_600_000
  t.intercept(Date, 'now', { value: () => woken })
  mock.timers.tick(100)
  t.same(link.events, ['asked'])
  link.heartbeat.frames++
  await pass(500)
  t.same(link.events, ['asked'])
})

t.test('an acknowledgement that is read in the turn after the last check is in time', async t => {
  const link = new FakeLink()
  link.heartbeat.start()
  await pass(1900)
  t.same(link.events, ['asked'])
  mock.timers.tick(100)
  link.heartbeat.frames++
  await pass(400)
  t.same(link.events, ['asked'])
})

t.test('an interval of 0 turns the heartbeat off', async t => {
  const link = new FakeLink()
  const silent = new Heartbeat(0, link)
  silent.start()
  await pass(100_000)
  t.same(link.events, [])
  silent.stop()
})

t.test('a probe asks at once, and a peer that does not answer it is lost', async t => {
  const link = new FakeLink()
  link.heartbeat.start()
  link.heartbeat.probe()
  t.same(link.events, ['asked'])
  link.heartbeat.frames++
  await pass(400)
  link.heartbeat.probe()
  link.heartbeat.probe()
  link.isReadingPaused = true
  await pass(2000)
  link.isReadingPaused = false
  link.heartbeat.frames++
  t.notMatch(link.events, /lost/)
  link.heartbeat.probe()
  await pass(1000)
  t.match(link.events.at(-1), /lost after 1000/)
  link.heartbeat.stop()
  new Heartbeat(0, link).probe()
})
