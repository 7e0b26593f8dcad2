import t from 'tap'
import { DialTurns } from '../../../lib/adapters/nats/sessions/dial-turns.js'

const MOST = 256

t.test('so many dials to a subject wait for an answer, and the others for their turn', async t => {
  const turns = new DialTurns()
  const dialled: number[] = []
  const ends = Array.from({ length: MOST + 4 }, (_, i) => turns.take('a', () => dialled.push(i)))
  t.equal(dialled.length, MOST)

  turns.take('b', () => dialled.push(-1))()
  t.equal(dialled.pop(), -1, 'those to other subjects do not wait')

  ends[MOST]!()
  t.equal(dialled.length, MOST, 'one gives up before its turn')
  ends[7]!()
  ends[0]!()
  t.strictSame(
    dialled.slice(MOST),
    [MOST + 1, MOST + 2],
    'each that ends its turn gives it to the next one, in order'
  )

  for (const [i, end] of ends.entries()) if (![0, 7, MOST].includes(i)) end()
  t.strictSame(dialled.slice(MOST), [MOST + 1, MOST + 2, MOST + 3])

  const again: number[] = []
  for (let i = 0; i <= MOST; i++) turns.take('a', () => again.push(i))
  t.equal(again.length, MOST, 'all turns are free again')
})
