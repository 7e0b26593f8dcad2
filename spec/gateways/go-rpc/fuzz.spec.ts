// Mutated streams to the gateway for Go's net/rpc and to its codec. NETREF_FUZZ is their number, NETREF_FUZZ_SEED the seed.
import t from 'tap'
import { GobDecoder } from '../../../lib/gateways/go-rpc/gob/decoder.js'
import { GobEncoder } from '../../../lib/gateways/go-rpc/gob/encoder.js'
import { GobError } from '../../../lib/gateways/go-rpc/gob/gob-error.js'
import { MessageCutter } from '../../../lib/gateways/go-rpc/gob/message-cutter.js'
import { REQUEST } from '../../../lib/gateways/go-rpc/headers.js'
import { SentTypes } from '../../../lib/gateways/go-rpc/sent-types.js'
import { expose, LimitError, Service } from '../../../lib/index.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'
import { goType, RawGoClient, withGoRpc } from '../../support/go-rpc.js'
import { waitUntil } from '../../support/helpers.js'
import type { Untyped } from '../../support/wire.js'

const COUNT = Number(process.env.NETREF_FUZZ ?? 3000)
const SEED = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)
t.setTimeout(60_000 + COUNT * 10)
t.comment(`NETREF_FUZZ_SEED=${SEED}`)
/** Of this many mutated streams, one goes to the gateway, and all to the codec. */
const STREAMS_PER_CONNECTION = 10
/** Bytes by which the gateway is told. */
const DETECTED = 16

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let z = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32
  }
}
const random = randomNumbers(SEED)
const below = (end: number) => Math.floor(random() * end)

class Target extends Service {
  exposed_Echo = (value: unknown) => value
  exposed_Nested = { Deep: { Echo: (value: unknown) => value } }
  exposed_Open = (): Untyped => [expose({ close() {} }), () => {}]
  exposed_Fail(): never {
    throw new Error('no')
  }
}

const PERSON =
  'struct { Name string; Age int; Score float64; Tags []string; Data []byte; Meta map[string]int; Boss *List; Any any; At [2]struct { X, Y int } }'
const CALLS: readonly (readonly [method: string, type: string, value: unknown])[] = [
  ['Echo', 'int', 5],
  ['Nested.Deep.Echo', '[]string', ['a', 'bc', '']],
  [
    'Echo',
    PERSON,
    { Name: 'Ada', Age: 36, Tags: ['a'], Meta: { k: 1 }, Boss: { Value: 1, Next: {} }, Any: 5 }
  ],
  ['Echo', PERSON, { Any: [1, 2], At: [{ X: 1, Y: 0 }, {}], Data: Uint8Array.of(1, 2) }],
  ['Echo', 'map[int][]time.Time', new Map([[1, [new Date(0)]]])],
  ['Echo', '[]any', [1, 'a', null, 2.5, true, Uint8Array.of(1), ['x'], { Radius: 1 }]],
  ['Open', 'struct {}', {}],
  ['Fail', 'complex128', { real: 1, imag: 2 }],
  ['Missing', 'uint64', 2n ** 63n]
]

/** The stream of a client that makes some calls, in random order. */
function validStream(): Buffer {
  const types = new SentTypes(
    { types: new Map(), registered: new Map([['main.Circle', goType('struct { Radius float64 }')]]) },
    DEFAULT_LIMITS
  )
  const encoder = new GobEncoder(DEFAULT_LIMITS, (value, writer) => types.registeredType(value, writer))
  encoder.define(REQUEST)
  const messages: Buffer[] = []
  for (let i = 0; i < 3; i++) {
    const [method, type, value] = CALLS[below(CALLS.length)]!
    const header = encoder.encodeOwn(REQUEST, { ServiceMethod: method, Seq: i })
    const body = encoder.encode(goType(type), value, 'value')
    messages.push(...encoder.takeDefinitions(), header, body)
  }
  return Buffer.concat(messages)
}

/** Bytes that say something in gob. */
const BYTES = [0, 1, 2, 3, 0x7f, 0x80, 0x81, 0x82, 0xf8, 0xfe, 0xff]

function mutate(stream: Buffer): Buffer {
  let bytes = Buffer.from(stream)
  for (let count = 1 + below(4); count > 0 && bytes.length > 0; count--) {
    const at = below(bytes.length)
    switch (below(6)) {
      case 0:
        bytes[at] = BYTES[below(BYTES.length)]!
        break
      case 1:
        bytes[at] = below(256)
        break
      case 2:
        bytes[at]! ^= 1 << below(8)
        break
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(4))])
        break
      case 4:
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.of(BYTES[below(BYTES.length)]!),
          bytes.subarray(at)
        ])
        break
      default: {
        const from = below(bytes.length)
        const part = bytes.subarray(from, from + below(40))
        bytes = Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at)])
      }
    }
  }
  return bytes
}

t.test('the codec decodes mutated streams, or throws its own errors', async t => {
  let decoded = 0
  let refused = 0
  const limits = { ...DEFAULT_LIMITS, frameBytes: 1 << 16 }
  for (let i = 0; i < COUNT; i++) {
    const stream = mutate(validStream())
    const decoder = new GobDecoder(limits)
    try {
      for (const message of new MessageCutter(limits.frameBytes).cut(stream))
        if (decoder.decode(message)) decoded++
    } catch (error) {
      if (!(error instanceof GobError || error instanceof LimitError)) throw error
      refused++
    }
  }
  t.ok(decoded > COUNT && refused > COUNT / 5, `${decoded} values decoded, ${refused} streams refused`)
  t.end()
})

t.test('the gateway survives them, and nothing stays', async t => {
  const limits = { helloMs: 300 }
  await withGoRpc(
    t,
    Target,
    async ({ port, server }) => {
      for (let i = 0; i < COUNT / STREAMS_PER_CONNECTION; i += 20) {
        const clients = await Promise.all(Array.from({ length: 20 }, () => RawGoClient.connect(port)))
        for (const client of clients) {
          client.socket.removeAllListeners('data')
          client.socket.resume()
          // The gateway is told by the definition of the request.
          const stream = validStream()
          client.socket.write(
            Buffer.concat([stream.subarray(0, DETECTED), mutate(stream.subarray(DETECTED))])
          )
          client.socket.end()
        }
        await Promise.all(clients.map(({ closed }) => closed))
      }
      await waitUntil(() => server.metrics.gateways['go-rpc']!.clients === 0)
      const client = await RawGoClient.connect(port)
      t.equal((await client.call('Echo', 'int', 5)).value, 5)
      await client.end()
    },
    { limits }
  )
})
