// Specs of ZMTP: the greeting, commands and frames.
import t from 'tap'
import { FrameReader } from '../../../lib/gateways/zerorpc/frame-reader.js'
import {
  checkGreeting,
  checkSocketType,
  formatCommand,
  formatMessage,
  formatOpening,
  isGreeting,
  parseCommand
} from '../../../lib/gateways/zerorpc/zmtp.js'
import { greeting } from '../../support/zerorpc.js'

/** Reads chunks behind a greeting. */
function read(reader: FrameReader, ...chunks: Buffer[]) {
  return [greeting(), ...chunks].flatMap(chunk => [...reader.read(chunk)])
}

t.test('the signature tells ZMTP from other protocols', t => {
  const whole = greeting()
  for (let length = 0; length < 10; length++) t.equal(isGreeting(whole.subarray(0, length)), undefined)
  for (let length = 10; length <= 64; length++) t.equal(isGreeting(whole.subarray(0, length)), true)
  for (const text of ['GET / HTTP/1.1', '{"', '\0\0', '\x16\x03\x01'])
    t.equal(isGreeting(Buffer.from(text)), false)
  t.equal(isGreeting(Buffer.alloc(10, 0xff)), false)
  t.end()
})

t.test('a greeting is of version 3 or later, and without security', t => {
  t.doesNotThrow(() => checkGreeting(greeting()))
  t.doesNotThrow(() => checkGreeting(greeting('NULL', 4)))
  t.throws(() => checkGreeting(greeting('NULL', 2)), /ZMTP 2 is not supported/)
  for (const mechanism of ['PLAIN', 'CURVE', '', 'NULLO', 'null'])
    t.throws(() => checkGreeting(greeting(mechanism)), /security mechanism/)
  t.throws(() => checkGreeting(Buffer.alloc(64)), /not of ZMTP/)
  t.end()
})

t.test('the opening is a greeting and READY', t => {
  const reader = new FrameReader(1000)
  const [ready, ...others] = [...reader.read(formatOpening())]
  t.match(ready, { name: 'READY', data: Buffer.from('\x0bSocket-Type\0\0\0\x06ROUTER', 'latin1') })
  t.same(others, [])
  t.equal(reader.isWithinMessage, false)
  t.end()
})

t.test('a client is a DEALER', t => {
  const property = (name: string, value: string) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(value.length)
    return Buffer.concat([Uint8Array.of(name.length), Buffer.from(name), length, Buffer.from(value)])
  }
  const identity = property('Identity', '')
  t.doesNotThrow(() => checkSocketType(property('Socket-Type', 'DEALER')))
  t.doesNotThrow(() =>
    checkSocketType(Buffer.concat([identity, property('socket-TYPE', 'DEALER'), identity]))
  )
  const whole = property('Socket-Type', 'DEALER')
  for (const metadata of [
    ...[Buffer.alloc(0), identity, property('Socket-Type', 'REQ'), property('Type', 'DEALER')],
    ...[1, 12, 15, 21].map(length => whole.subarray(0, length)),
    Buffer.alloc(10, 0xff)
  ])
    t.throws(() => checkSocketType(metadata), /not a DEALER/)
  t.end()
})

t.test('frames of any length, in chunks of any length', t => {
  const long = Buffer.alloc(300, 'x')
  const messages = [
    [Buffer.from('one')],
    [Buffer.alloc(0), Buffer.from('two')],
    [Buffer.from('a'), Buffer.alloc(255, 'b'), Buffer.alloc(0), long],
    [Buffer.alloc(70_000, 'y')]
  ]
  const bytes = Buffer.concat([...messages.map(formatMessage), formatCommand('PING', Buffer.from('12'))])
  const expected = [...messages, { name: 'PING', data: Buffer.from('12') }]
  t.same(read(new FrameReader(70_000), bytes), expected)
  for (const size of [1, 2, 7, 64, 1000, 65_536]) {
    const reader = new FrameReader(70_000)
    const chunks = []
    const all = Buffer.concat([greeting(), bytes])
    for (let i = 0; i < all.length; i += size) chunks.push(...reader.read(all.subarray(i, i + size)))
    t.same(chunks, expected, `chunks of ${size}`)
    t.equal(reader.isWithinMessage, false)
  }
  const reader = new FrameReader(10)
  read(reader, Buffer.of(1, 0))
  t.equal(reader.isWithinMessage, true, 'the last frame is to come')
  t.end()
})

t.test('frames beyond the bounds are refused at their head', t => {
  const reader = () => new FrameReader(1000)
  const refused = (bytes: number[], message: RegExp) =>
    t.throws(() => read(reader(), Buffer.from(bytes)), { name: 'ProtocolError', message })
  refused([8, 0], /the flags 8/)
  refused([0x80, 0], /the flags 128/)
  refused([5, 6], /the flags 5/)
  refused([2, 0, 0, 0, 0, 0, 0, 3, 233], /a frame of 1001 bytes; 1000 are allowed/)
  refused([2, 255, 255, 255, 255, 255, 255, 255, 255], /a frame of 1844/)
  refused([6, 0, 0, 0, 0, 0, 0, 0x20, 1], /a frame of 8193 bytes/)
  refused([3, 0, 0, 0, 0, 0, 0, 1, 0], /a frame of 256 bytes; 255/)
  refused(new Array(17).fill([1, 0]).flat(), /more than 16 proxies/)
  refused([4, 0], /no name/)
  refused([4, 1, 0], /no name/)
  refused([4, 2, 5, 65], /no name/)
  t.equal(read(reader(), Buffer.from([...new Array(16).fill([1, 0]).flat(), 0, 0])).length, 1)
  t.throws(() => [...reader().read(Buffer.alloc(64))], /not of ZMTP/)
  t.same(parseCommand(Buffer.from('\x04PONG', 'latin1')), { name: 'PONG', data: Buffer.alloc(0) })
  t.end()
})
