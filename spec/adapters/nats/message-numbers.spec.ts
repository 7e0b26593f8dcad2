// Tests how the numbers of published messages are given and counted.
import { headers as newHeaders } from '@nats-io/transport-node'
import t from 'tap'
import { NUMBER_HEADER } from '../../../lib/adapters/nats/message-headers.js'
import { MessageNumbers, MissedMessages } from '../../../lib/adapters/nats/topics/message-numbers.js'

const withNumber = (text: string) => {
  const headers = newHeaders()
  headers.set(NUMBER_HEADER, text)
  return headers
}

t.test('what is missing between two numbers of a publisher is counted', async t => {
  const numbers = [new MessageNumbers(), new MessageNumbers()] as const
  const missed = new MissedMessages()
  const arrives = (publisher: MessageNumbers, count: number) => {
    missed.note(withNumber(publisher.next()))
    t.equal(missed.count, count)
  }
  for (let i = 0; i < 7; i++) numbers[0].next()
  arrives(numbers[0], 0)
  arrives(numbers[1], 0)
  arrives(numbers[0], 0)
  numbers[0].next()
  numbers[0].next()
  numbers[1].next()
  arrives(numbers[0], 2)
  arrives(numbers[1], 3)
  t.equal(missed.count, 3)
})

t.test('numbers that are malformed, repeated or reset count for nothing', async t => {
  const missed = new MissedMessages()
  missed.note(undefined)
  missed.note(newHeaders())
  for (const text of [
    'x 5',
    'x 5',
    'x 2',
    'x 3',
    'x',
    'x 0',
    'x -9',
    'x 1e9',
    'x 9999999999999999',
    'a b 9',
    '__proto__ 7'
  ])
    missed.note(withNumber(text))
  t.equal(missed.count, 0)
  missed.note(withNumber('x 5'))
  t.equal(missed.count, 1)
})

t.test('the last numbers of 1024 publishers are known, of those that published last', async t => {
  const missed = new MissedMessages()
  missed.note(withNumber('active 1'))
  missed.note(withNumber('silent 1'))
  for (let i = 0; i < 1022; i++) missed.note(withNumber(`p${i} 1`))
  missed.note(withNumber('active 2'))
  missed.note(withNumber('another 1'))
  missed.note(withNumber('silent 9'))
  t.equal(missed.count, 0, 'it was forgotten')
  missed.note(withNumber('active 9'))
  t.equal(missed.count, 6)
})
