// Properties of flow control: over any order of delivery all frames arrive, and never more is on the way than a window.
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { BusConnection } from '../../../lib/adapters/nats/bus-connection.js'
import { ProcessWindow, ReceiveWindow, SendWindow } from '../../../lib/adapters/nats/sessions/credit.js'
import { ServiceEndpoint } from '../../../lib/adapters/nats/sessions/service.js'
import { TransportTable } from '../../../lib/adapters/nats/sessions/transport-table.js'
import {
  HEADER_BYTES,
  Kind,
  MAX_WINDOW_BYTES,
  MIN_WINDOW_BYTES,
  parseCredit,
  parseDial,
  parseHello
} from '../../../lib/adapters/nats/sessions/wire.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'
import type { Transport } from '../../../lib/transport/transport.js'
import { random } from '../../support/chaos-proxy.js'
import { MemoryNats, type MessageInTransit } from '../../support/memory-nats.js'

t.test('windows grow with use, and share what the process allows', async t => {
  const shared = new ProcessWindow()
  shared.add()
  let window = MIN_WINDOW_BYTES
  for (let i = 0; i < 10; i++) window = shared.next(window)
  t.equal(window, MAX_WINDOW_BYTES)
  for (let i = 1; i < 100; i++) shared.add()
  t.equal(shared.next(window), Math.floor((32 << 20) / 100), 'a hundred transports have a hundredth each')
  for (let i = 100; i < 100_000; i++) shared.add()
  t.equal(shared.next(window), MIN_WINDOW_BYTES, 'each has the least')
  for (let i = 1; i < 100_000; i++) shared.remove()
  t.equal(shared.next(MIN_WINDOW_BYTES), 2 * MIN_WINDOW_BYTES)
})

t.test('counters may wrap around 2^32', async t => {
  const [send, receive] = [new SendWindow(MIN_WINDOW_BYTES), new ReceiveWindow(new ProcessWindow())]
  const step = 2 ** 31
  for (let i = 0; i < 5; i++) {
    send.sent(step)
    receive.read(step)
    t.ok(send.update(receive.readBytes, MIN_WINDOW_BYTES))
    t.equal(send.bytesOnTheirWay, 0)
  }
  t.notOk(send.update(receive.readBytes + 1, MIN_WINDOW_BYTES), 'more than was sent')
})

/** What one end sends, in bytes of each frame: text if the number is odd. */
const frames = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.nat(2000) },
    { weight: 2, arbitrary: fc.nat(40_000) },
    { weight: 1, arbitrary: fc.nat(400_000) }
  ),
  { maxLength: 25 }
)

const script = fc.record({
  up: frames,
  down: frames,
  /** Other transports of each process, which have their share. */
  others: fc.constantFrom(0, 0, 10, 500, 5000),
  maxPayloadBytes: fc.constantFrom(32_768, 40_000, 65_536, 1 << 20),
  seed: fc.integer()
})

/** Bytes on the way from one end, as its window allows. */
class Account {
  sent = 0
  read = 0
  window = MIN_WINDOW_BYTES
}

t.test('any frames arrive in order, over any order of delivery, with pauses', async t => {
  let inParts = 0
  await fc.assert(
    fc.asyncProperty(script, async ({ up, down, others, maxPayloadBytes, seed }) => {
      const accounts = new Map<string, Account>()
      /** The account of the end that sends to a subject. */
      const accountOf = (subject: string) => {
        if (!accounts.has(subject)) accounts.set(subject, new Account())
        return accounts.get(subject)!
      }
      const onPublish = ({ subject, data }: MessageInTransit) => {
        if (data.length > maxPayloadBytes) throw new Error('it is larger than NATS allows')
        if (!subject.startsWith('_INBOX') || data.length < HEADER_BYTES || data[0]! > Kind.part) return
        if (data[0] === Kind.part) inParts++
        const account = accountOf(subject)
        account.sent += data.length
        if (account.sent - account.read > account.window)
          throw new Error('more than the window is on the way')
      }
      /** A delivered message may tell its receiver of the window of its sender. */
      const onDelivered = ({ subject, data, reply }: MessageInTransit) => {
        const body = data.subarray(HEADER_BYTES)
        const credit = data[0] === Kind.credit ? parseCredit(body) : undefined
        const hello = data[0] === Kind.hello ? parseHello(body) : undefined
        const windowBytes =
          credit?.windowBytes ??
          hello?.windowBytes ??
          (subject.startsWith('netref') ? parseDial(data) : undefined)
        if (windowBytes === undefined) return
        const account = accountOf(hello?.to ?? reply!)
        account.window = windowBytes
        if (credit) account.read = credit.readBytes
      }
      const network = new MemoryNats(maxPayloadBytes, onPublish)
      const endpoint = () => {
        const connection = new BusConnection(network.connect(), error => {
          throw error
        })
        const table = new TransportTable(connection, '_INBOX')
        for (let i = 0; i < others; i++) table.processWindow.add()
        return new ServiceEndpoint(table, 'Echo', {})
      }
      const received: { up: number[]; down: number[] } = { up: [], down: [] }
      const listen = (transport: Transport, sizes: number[]) =>
        new Promise<void>(onOpen =>
          transport.start({
            onOpen,
            onFrame: frame => {
              const isText = typeof frame === 'string'
              const bytes = Buffer.from(frame as Uint8Array)
              if (bytes.some(byte => byte !== 32 + (sizes.length % 64))) throw new Error('a frame is damaged')
              if (isText !== (bytes.length % 2 === 1)) throw new Error('text and bytes are confused')
              sizes.push(bytes.length)
            },
            onClose: ({ message }) => {
              throw new Error(`it closed: ${message}`)
            }
          })
        )
      const server = endpoint().createAcceptor({ limits: DEFAULT_LIMITS, metrics: () => ({}) } as never)
      let accepted!: Transport
      await server.open(
        transport => {
          accepted = transport
          void listen(transport, received.up)
        },
        () => {}
      )
      const client = endpoint().createOpener({ limits: DEFAULT_LIMITS, openMs: 10_000, renews: false })(false)
      const opened = listen(client, received.down)

      const next = random(seed)
      const pick = (count: number) => Math.floor(next() * count)
      const deliver = (to: number) => {
        const [message] = network.inTransit[to]!
        if (!message) return
        onDelivered(message)
        network.deliver(to)
      }
      await turn()
      while (!network.isEmpty) {
        deliver(pick(2))
        await Promise.resolve()
      }
      await opened
      const ends = [
        { transport: client, frames: up, sent: 0 },
        { transport: accepted, frames: down, sent: 0 }
      ]
      const paused = [false, false]
      const isDone = () => received.up.length === up.length && received.down.length === down.length
      for (let step = 0; !isDone(); step++) {
        if (step > 1_000_000) throw new Error('it does not end')
        const end = ends[pick(2)]!
        if (next() < 0.2 && end.sent < end.frames.length) {
          const size = end.frames[end.sent]!
          const filler = 32 + (end.sent++ % 64)
          end.transport.send(
            size % 2 ? String.fromCharCode(filler).repeat(size) : new Uint8Array(size).fill(filler)
          )
        }
        const at = pick(2)
        if (next() < 0.02) {
          paused[at] = !paused[at]
          if (paused[at]) ends[at]!.transport.pause()
          else ends[at]!.transport.resume()
        }
        deliver(pick(2))
        if (step % 16 === 0) await Promise.resolve()
      }
      if (received.up.join() !== up.join() || received.down.join() !== down.join())
        throw new Error('frames differ')
      if (ends.some(({ transport }) => transport.bufferedAmount !== 0)) throw new Error('something is left')
      for (const { transport } of ends) transport.abandon({ code: 'closed', message: 'done' })
    }),
    { numRuns: 150 }
  )
  t.ok(inParts > 100, `${inParts} parts`)
})
