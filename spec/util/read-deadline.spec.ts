import { mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { ReadDeadline } from '../../lib/util/read-deadline.js'
import { useFakeClock } from '../support/fake-clock.js'

/** A peer of which it is said what it has read. */
class Peer {
  isBacklogged = true
  peerAck = 0
  pendingWriteBytes = 0
  told: string[] = []
  readonly patience = new ReadDeadline(400, this)
  onReadStalled(ms: number) {
    this.told.push(`not read for ${ms}`)
  }
}

t.beforeEach(t => useFakeClock(t, ['setInterval', 'Date']))

/** Lets time pass, and what arrives be read. */
async function pass(parts: number): Promise<void> {
  for (let i = 0; i < parts; i++) {
    mock.timers.tick(100)
    await turn()
    await turn()
  }
}

t.test('a peer that reads nothing reaches the deadline, and a second start does not extend it', async t => {
  const peer = new Peer()
  peer.patience.start()
  await pass(2)
  peer.patience.start()
  await pass(1)
  t.same(peer.told, [])
  await pass(1)
  t.same(peer.told, ['not read for 400'])
  await pass(10)
  t.same(peer.told.length, 1)
})

t.test('a peer that reads or acknowledges in small steps does not reach the deadline', async t => {
  const peer = new Peer()
  peer.pendingWriteBytes = 1000
  peer.patience.start()
  for (let i = 0; i < 10; i++) {
    await pass(3)
    if (i % 2 === 0) peer.pendingWriteBytes--
    else peer.peerAck++
  }
  t.same(peer.told, [])
  peer.pendingWriteBytes += 1000
  await pass(5)
  t.same(peer.told, ['not read for 400'], 'bytes sent to the peer do not count')
})

t.test('a peer that has read enough has no deadline', async t => {
  const peer = new Peer()
  peer.patience.start()
  await pass(3)
  peer.isBacklogged = false
  await pass(1)
  t.notOk(peer.patience.isRunning)
  await pass(5)
  t.same(peer.told, [])
})

t.test('an acknowledgement that is read in the turn after the last check is in time', async t => {
  const peer = new Peer()
  peer.patience.start()
  await pass(3)
  mock.timers.tick(100)
  peer.peerAck++
  await pass(3)
  t.same(peer.told, [])
})
