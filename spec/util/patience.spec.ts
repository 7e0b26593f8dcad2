import { mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { Patience } from '../../lib/util/patience.js'
import { setClock } from '../support/clock.js'

/** A peer of which it is said what it has read. */
class Peer {
  unread = true
  counted = 0
  outgoing = 0
  told: string[] = []
  readonly patience = new Patience(400, this)
  notRead(ms: number) {
    this.told.push(`not read for ${ms}`)
  }
}

t.beforeEach(t => setClock(t, ['setInterval', 'Date']))

/** Lets time pass, and what arrives be read. */
async function pass(parts: number): Promise<void> {
  for (let i = 0; i < parts; i++) {
    mock.timers.tick(100)
    await turn()
    await turn()
  }
}

t.test('who reads nothing is waited for for so long, and begun with again that is no longer', async t => {
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

t.test('who reads or acknowledges a little at a time is waited for', async t => {
  const peer = new Peer()
  peer.outgoing = 1000
  peer.patience.start()
  for (let i = 0; i < 10; i++) {
    await pass(3)
    if (i % 2 === 0) peer.outgoing--
    else peer.counted++
  }
  t.same(peer.told, [])
  peer.outgoing += 1000
  await pass(5)
  t.same(peer.told, ['not read for 400'], 'that more is sent to it says nothing')
})

t.test('who has read enough is waited for no more', async t => {
  const peer = new Peer()
  peer.patience.start()
  await pass(3)
  peer.unread = false
  await pass(1)
  t.notOk(peer.patience.running)
  await pass(5)
  t.same(peer.told, [])
})

t.test('an acknowledgement that is read in the turn after the last look is in time', async t => {
  const peer = new Peer()
  peer.patience.start()
  await pass(3)
  mock.timers.tick(100)
  peer.counted++
  await pass(3)
  t.same(peer.told, [])
})
