// How often other processes are probed.
import { mock } from 'node:test'
import t from 'tap'
import { Presence, type WatchedTransport } from '../../../lib/adapters/nats/sessions/presence.js'
import { useFakeClock } from '../../support/fake-clock.js'

const PROCESSES = 120

/** A transport to a process of its own. */
class Transport implements WatchedTransport {
  #close = () => {}
  onLost(): void {
    this.#close()
  }
  once(_event: 'close', listener: () => void): void {
    this.#close = listener
  }
}

t.test('many processes are probed in turn, 50 each quarter of a second', async t => {
  useFakeClock(t, ['setInterval'])
  const probed: string[] = []
  const presence = new Presence({ subjectOf: token => token, publish: subject => void probed.push(subject) })
  const transports = Array.from({ length: PROCESSES }, () => new Transport())
  for (const [i, transport] of transports.entries())
    presence.watch(`_INBOX.netref.${String(i).padStart(16, '0')}.${'t'.repeat(22)}`, transport)
  mock.timers.tick(250)
  t.equal(probed.length, 50)
  mock.timers.tick(500)
  t.equal(new Set(probed).size, PROCESSES, 'each was probed after three quarters of a second')
  for (const transport of transports) transport.onLost()
  mock.timers.tick(1000)
  t.equal(probed.length, 150, 'nobody is probed without a transport')
})
