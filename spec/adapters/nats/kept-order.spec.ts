// Tests which messages of a kept topic are new, in any order of what is published and read.

import { headers as newHeaders } from '@nats-io/transport-node'
import fc from 'fast-check'
import t from 'tap'
import { sequenceIn } from '../../../lib/adapters/nats/message-headers.js'
import { KeptOrder } from '../../../lib/adapters/nats/topics/kept-order.js'

t.test('each message is new once, in order, however reading overtakes publishing', async t => {
  // Each step stores a message, delivers the next one stored, asks for the latest one, or gets the answer.
  const steps = fc.array(fc.constantFrom('store', 'deliver', 'ask', 'answer'), { maxLength: 60 })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(steps, steps => {
        const order = new KeptOrder()
        const seen: number[] = []
        const answers: { sequence: number; asked: number }[] = []
        let stored = 0
        let delivered = 0
        for (const step of [...steps, 'ask', 'answer', ...Array(60).fill('deliver')]) {
          if (step === 'store') stored++
          else if (step === 'deliver' && delivered < stored) {
            if (order.isNewPublished(++delivered, `me ${delivered}`)) seen.push(delivered)
          } else if (step === 'ask' && stored > 0) answers.push({ sequence: stored, asked: order.latest })
          else if (step === 'answer') {
            const { sequence, asked } = answers.shift() ?? { sequence: 0, asked: 0 }
            if (sequence > 0 && order.isNewRead(sequence, `me ${sequence}`, asked)) seen.push(sequence)
          }
        }
        return (
          seen.every((sequence, i) => i === 0 || sequence > seen[i - 1]!) && (seen.at(-1) ?? 0) === stored
        )
      })
    )
  )
})

t.test('the number in a stream is read from what NATS has published from that stream', async t => {
  const of = (stream: string, sequence: string) => {
    const headers = newHeaders()
    headers.set('Nats-Stream', stream)
    headers.set('Nats-Sequence', sequence)
    return sequenceIn(headers, 'KV_netref_t_x')
  }
  t.equal(of('KV_netref_t_x', '7'), 7)
  t.equal(of('other', '7'), undefined)
  t.equal(of('KV_netref_t_x', 'seven'), undefined)
  t.equal(sequenceIn(undefined, 'KV_netref_t_x'), undefined)
})
