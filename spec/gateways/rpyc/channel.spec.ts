import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { BrineValue } from '../../../lib/gateways/rpyc/brine.js'
import {
  Channel,
  type ChannelLimits,
  MSG_EXCEPTION,
  MSG_REPLY,
  MSG_REQUEST,
  type RpycVersion
} from '../../../lib/gateways/rpyc/channel.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'

const FUZZ = Number(process.env.NETREF_FUZZ ?? 4_000)
const SEED = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)
t.comment(`NETREF_FUZZ=${FUZZ} NETREF_FUZZ_SEED=${SEED}`)

const GETROOT = { 5: '00000008 00 12 51 50 11 53 11 51 02 0a', 6: '00000008 00 01 11 50 11 53 11 51 02 0a' }
const bytesOf = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex')
const frame = (body: Uint8Array, flag = 0) => {
  const bytes = Buffer.alloc(body.length + 6)
  bytes.writeUInt32BE(body.length)
  bytes[4] = flag
  bytes.set(body, 5)
  bytes[body.length + 5] = 0x0a
  return bytes
}
const body = (frame: string) => bytesOf(frame).subarray(5, -1)

/** What one end of a socket received, with promises for what comes. */
class Recorder {
  readonly messages: [type: number, seq: number, args: BrineValue][] = []
  #wake = () => {}
  failsWith: Error | undefined
  readonly closed: Promise<Error | undefined>
  #onClosed!: (error: Error | undefined) => void

  constructor() {
    this.closed = new Promise(resolve => {
      this.#onClosed = resolve
    })
  }

  onMessage(type: number, seq: number, args: BrineValue): void {
    if (this.failsWith) throw this.failsWith
    this.messages.push([type, seq, args])
    this.#wake()
  }

  onClosed(error: Error | undefined): void {
    this.#onClosed(error)
  }

  async received(count: number): Promise<this['messages']> {
    while (this.messages.length < count)
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    return this.messages
  }
}

interface Ends {
  /** The raw end. */
  readonly peer: Socket
  /** The socket of the channel. */
  readonly socket: Socket
  readonly channel: Channel
  readonly recorder: Recorder
}

/** A channel at the one end of a socket on loopback, whose other end writes bytes. */
async function open(t: Test, limits: Partial<ChannelLimits> = {}, version?: RpycVersion): Promise<Ends> {
  const server = createServer({ noDelay: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const peer = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true })
  peer.on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [Socket]
  const recorder = new Recorder()
  const channel = new Channel(socket, { ...DEFAULT_LIMITS, ...limits }, recorder, version)
  t.teardown(async () => {
    peer.destroy()
    channel.destroy()
    await recorder.closed
    server.close()
  })
  return { peer, socket, channel, recorder }
}

/** The next bytes at the raw end. */
const read = async (peer: Socket, count: number): Promise<Buffer> => {
  let bytes = Buffer.alloc(0)
  while (bytes.length < count) bytes = Buffer.concat([bytes, (await once(peer, 'data'))[0] as Buffer])
  return bytes
}

for (const version of [5, 6] as const) {
  t.test(`RPyC ${version}: the version is told by the first message, and answered`, async t => {
    const { peer, channel, recorder } = await open(t)
    t.equal(channel.version, undefined)
    peer.write(bytesOf(GETROOT[version]))
    t.strictSame(await recorder.received(1), [[MSG_REQUEST, 0, [3, [1, []]]]])
    t.equal(channel.version, version)
    channel.send(MSG_REPLY, 3, [1, null])
    const reply = version === 5 ? '00000006 00 12 52 53 11 51 00 0a' : '00000006 00 02 11 53 11 51 00 0a'
    t.equal((await read(peer, 12)).toString('hex'), reply.replaceAll(' ', ''))
    channel.send(MSG_EXCEPTION, 12, 1)
    const stop = version === 5 ? '00000004 00 12 53 5c 51 0a' : '00000004 00 03 11 5c 51 0a'
    t.equal((await read(peer, 10)).toString('hex'), stop.replaceAll(' ', ''))
  })

  t.test(`RPyC ${version}: a client speaks first`, async t => {
    const { peer, channel } = await open(t, {}, version)
    channel.send(MSG_REQUEST, 0, [3, [1, []]])
    t.equal((await read(peer, 14)).toString('hex'), GETROOT[version].replaceAll(' ', ''))
  })
}

t.test('a channel that is told no version speaks as RPyC 6', async t => {
  const { peer, channel } = await open(t)
  channel.send(MSG_REQUEST, 0, [3, [1, []]])
  t.equal((await read(peer, 14)).toString('hex'), GETROOT[6].replaceAll(' ', ''))
})

t.test('frames arrive torn and glued in any way', async t => {
  const { peer, recorder } = await open(t)
  const big = Buffer.from([1, 0x11, 0x51, 0x0f, 0, 1, 0x11, 0x70, ...Buffer.alloc(70_000)])
  const all = Buffer.concat([
    bytesOf(GETROOT[6]),
    frame(big),
    frame(deflateSync(big), 1),
    bytesOf(GETROOT[6])
  ])
  const bytes = fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 90_000 })))
  let expected = 0
  await fc.assert(
    fc.asyncProperty(bytes, async sizes => {
      let start = 0
      for (const size of sizes) {
        const piece = all.subarray(start, start + size)
        start += piece.length
        await new Promise(resolve => peer.write(piece, resolve))
      }
      peer.write(all.subarray(start))
      expected += 4
      const last = (await recorder.received(expected)).slice(-4)
      const [first, plain, compressed, end] = last
      return (
        first![1] === 0 &&
        (plain![2] as Buffer).length === 70_000 &&
        (compressed![2] as Buffer).length === 70_000 &&
        end![1] === 0
      )
    }),
    { numRuns: 40, seed: SEED }
  )
  t.equal(recorder.messages.length, expected)
})

t.test('a message does not wait for the newline, nor two compressed ones for each other', async t => {
  const { peer, recorder } = await open(t)
  peer.write(bytesOf(GETROOT[6]).subarray(0, -1))
  await recorder.received(1)
  const compressed = frame(deflateSync(body(GETROOT[6])), 1)
  peer.write(Buffer.concat([Buffer.from('\n'), compressed, compressed, compressed.subarray(0, 3)]))
  await recorder.received(3)
  peer.write(compressed.subarray(3))
  await recorder.received(4)
  peer.end()
  t.equal(await recorder.closed, undefined)
})

t.test('the messages of a tick leave in one write', async t => {
  const { peer, socket, channel } = await open(t)
  let writes = 0
  const write = socket.write
  socket.write = ((...args: Parameters<typeof write>) => {
    writes++
    return write.apply(socket, args)
  }) as typeof write
  for (let i = 0; i < 10; i++) {
    channel.send(MSG_REQUEST, i, null)
    await undefined
  }
  await read(peer, 100)
  t.equal(writes, 1)
})

t.test('bytes that are no messages end the channel', async t => {
  const refused: [frames: Buffer | string, message: RegExp, limits?: Partial<ChannelLimits>][] = [
    ['GET / HTTP/1.1\r\n\r\n', /a frame of \d+ bytes/],
    [bytesOf('00000009 00'), /frame of 9 bytes \(limits.frameBytes is 8\)/, { frameBytes: 8 }],
    [frame(Buffer.alloc(0)), /not one of RPyC 6/],
    [frame(bytesOf('01 12 50 50 50')), /not one of RPyC 6/],
    [frame(bytesOf('04 11 50 50')), /unknown type 4/],
    [frame(bytesOf('12 54 50 50')), /unknown type 4/],
    [frame(bytesOf('01 11 02 50')), /without a number/],
    [frame(bytesOf('01 11 18 3ff8000000000000 50')), /without a number/],
    [frame(bytesOf('01 11 50')), /2 items|1 bytes where 0|tuple/],
    [frame(bytesOf('01 11 50 07')), /unknown tag 7/],
    [Buffer.concat([bytesOf(GETROOT[6]), bytesOf(GETROOT[5])]), /not one of RPyC 6/],
    [Buffer.concat([bytesOf(GETROOT[5]), bytesOf(GETROOT[6])]), /not one of RPyC 5/],
    [frame(Buffer.from('no zlib'), 1), /compressed frame/],
    [frame(deflateSync(Buffer.alloc(1000)), 1), /compressed frame.*too long/, { frameBytes: 500 }],
    [frame(deflateSync(bytesOf('04 11 50 50')), 1), /unknown type 4/]
  ]
  for (const [bytes, message, limits] of refused) {
    const { peer, recorder } = await open(t, limits)
    peer.write(bytes)
    t.match(await recorder.closed, { message }, String(message))
  }
})

t.test('an error of the handler ends the channel, and no message is reported after the end', async t => {
  const first = await open(t)
  const error = new Error('no such object')
  first.recorder.failsWith = error
  first.peer.write(bytesOf(GETROOT[6]))
  t.equal(await first.recorder.closed, error)
  const second = await open(t)
  second.recorder.onMessage = () => second.channel.end()
  second.peer.write(bytesOf(GETROOT[6] + GETROOT[6]))
  await once(second.peer.resume(), 'end')
  second.peer.write(bytesOf(GETROOT[6]))
  second.channel.send(MSG_REPLY, 0, null)
  second.channel.end()
  second.peer.end()
  t.equal(await second.recorder.closed, undefined)
})

t.test('end sends what is owed', async t => {
  const { peer, channel, recorder } = await open(t)
  channel.send(MSG_REPLY, 0, new Uint8Array(5_000_000))
  channel.end()
  t.ok((await read(peer, 5_000_000)).length > 5_000_000)
  peer.end()
  t.equal(await recorder.closed, undefined)
})

t.test('a peer that does not end its side is cut off', async t => {
  const { peer, channel, recorder } = await open(t)
  peer.resume()
  peer.allowHalfOpen = true
  channel.end()
  t.equal(await recorder.closed, undefined)
})

t.test('a stream that breaks or ends within a frame is told', async t => {
  const cut = await open(t)
  cut.peer.end(bytesOf(GETROOT[6]).subarray(0, 9))
  t.match(await cut.recorder.closed, { message: 'the stream ended within a frame' })
  const reset = await open(t)
  reset.peer.resetAndDestroy()
  t.match(await reset.recorder.closed, { code: 'ECONNRESET' })
  const compressed = await open(t)
  compressed.peer.write(frame(deflateSync(body(GETROOT[6])), 1), () => compressed.channel.destroy())
  t.equal(await compressed.recorder.closed, undefined)
})

t.test('a frame that was begun must go on arriving', async t => {
  const { peer, recorder } = await open(t, { helloMs: 200 })
  const bytes = bytesOf(GETROOT[6])
  for (let i = 0; i < bytes.length - 1; i++) {
    peer.write(bytes.subarray(i, i + 1))
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  t.equal((await recorder.received(1)).length, 1, 'slowly')
  peer.write(bytes.subarray(0, 8))
  t.match(await recorder.closed, { message: /nothing more for 200 ms/ })
})

t.test('a peer that does not read is not read, and then cut off', async t => {
  const { peer, socket, channel, recorder } = await open(t, { pauseMs: 400, helloMs: 100 })
  peer.pause()
  peer.write(Buffer.concat([frame(deflateSync(body(GETROOT[6])), 1), bytesOf(GETROOT[6]).subarray(0, 9)]))
  await recorder.received(1)
  // More than the buffers of the system hold.
  channel.send(MSG_REPLY, 0, new Uint8Array(12_000_000))
  await new Promise(setImmediate)
  t.ok(socket.isPaused())
  // Longer than a peer may take for the rest of a frame that is read.
  await new Promise(resolve => setTimeout(resolve, 200))
  peer.resume()
  await once(socket, 'drain')
  peer.write(bytesOf(GETROOT[6]).subarray(9))
  await recorder.received(2)
  peer.pause()
  channel.send(MSG_REPLY, 0, new Uint8Array(12_000_000))
  t.match(await recorder.closed, { message: /read nothing for 400 ms/ })
})

t.test('a peer that does not read cannot make this side hold more than twice bufferedBytes', async t => {
  const { peer, channel, recorder } = await open(t, { bufferedBytes: 1 << 20 })
  peer.pause()
  let count = 0
  for (; count < 100 && !recorder.messages.length; count++) {
    channel.send(MSG_REPLY, 0, new Uint8Array(1 << 20))
    await new Promise(setImmediate)
  }
  t.match(await recorder.closed, { message: /bytes wait for it/ })
})

t.test('a drain after the end does nothing', async t => {
  const { peer, channel, recorder } = await open(t)
  peer.pause()
  channel.send(MSG_REPLY, 0, new Uint8Array(12_000_000))
  await new Promise(setImmediate)
  channel.end()
  peer.resume()
  await once(peer, 'end')
  t.equal(await recorder.closed, undefined)
})

t.test('mutated frames end the channel, or are messages', async t => {
  const whole = Buffer.concat([
    bytesOf(GETROOT[6]),
    frame(deflateSync(body(GETROOT[6])), 1),
    bytesOf(GETROOT[6])
  ])
  const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255))
  let ended = 0
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async changes => {
      const { peer, recorder } = await open(t)
      const bytes = Buffer.from(whole)
      for (const [at, byte] of changes) bytes[at] = byte
      peer.end(bytes)
      const error = await recorder.closed
      if (error) ended++
      return recorder.messages.length <= 4
    }),
    { numRuns: Math.ceil(FUZZ / 20), seed: SEED }
  )
  t.ok(ended > 0)
})
