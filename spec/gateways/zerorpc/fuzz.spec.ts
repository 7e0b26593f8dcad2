// Mutated inputs to the ZeroRPC gateway. NETREF_FUZZ is their number, NETREF_FUZZ_SEED the seed.
import * as messagePack from '@msgpack/msgpack'
import t from 'tap'
import { parseEvent } from '../../../lib/gateways/zerorpc/event.js'
import { formatCommand, formatMessage } from '../../../lib/gateways/zerorpc/zmtp.js'
import { expose, Service } from '../../../lib/index.js'
import { waitUntil } from '../../support/helpers.js'
import type { Untyped } from '../../support/wire.js'
import { ByteClient, DealerClient, withZeroRpc } from '../../support/zerorpc.js'

const COUNT = Number(process.env.NETREF_FUZZ ?? 3000)
const SEED = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)
t.setTimeout(60_000 + COUNT * 5)
const INPUTS_PER_CONNECTION = 16

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let z = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32
  }
}

class Target extends Service {
  exposed_echo = (value: unknown) => value
  exposed_nested = { deep: { echo: (value: unknown) => value } }
  exposed_add(a: number, b = 1) {
    return a + b
  }
  exposed_open(): Untyped {
    return { list: [expose({ close() {} }), () => {}], rows: this.exposed_rows() }
  }
  *exposed_rows(): Untyped {
    for (let i = 0; i < 1e6; i++) yield i
  }
  exposed_fail(): never {
    throw Object.assign(new Error('no'), { extra: new Map([[{}, 1]]) })
  }
}

const HEADER = { message_id: 'a', v: 3 }
const ON_CHANNEL = { message_id: 'b', v: 3, response_to: 'a' }
const EVENTS = [
  [HEADER, 'echo', [{ a: [1, null, 1.5, -7, 2 ** 40], b: new Uint8Array(3), c: new Date(0) }]],
  [{ ...HEADER, message_id: Uint8Array.of(1, 2, 255) }, 'nested.deep.echo', ['é'.repeat(50)]],
  [HEADER, 'add', [1, 2]],
  [HEADER, 'open', []],
  [HEADER, 'rows', []],
  [HEADER, 'fail', []],
  [HEADER, '_zerorpc_inspect', []],
  [HEADER, '_zerorpc_help', ['add']],
  [ON_CHANNEL, '_zpc_more', [100]],
  [ON_CHANNEL, '_zpc_hb', [0]]
].map(event => Buffer.from(messagePack.encode(event)))
const HEADS = [
  0x80, 0x90, 0x93, 0xa0, 0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xc9, 0xca, 0xcf, 0xd3, 0xd4, 0xd8, 0xdb, 0xdd, 0xdf,
  0xff
]

const random = randomNumbers(SEED)
const below = (limit: number) => Math.floor(random() * limit)
const pick = <T>(items: readonly T[]): T => items[below(items.length)]!

function mutate(bytes: Buffer): Buffer {
  for (let rest = below(4); rest >= 0; rest--) {
    const at = below(bytes.length + 1)
    const [start, behind] = [bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + below(6)))]
    const change = below(5)
    if (change === 0) bytes = Buffer.concat([start, Buffer.of(pick(HEADS)), behind])
    else if (change === 1) bytes = Buffer.concat([start, behind])
    else if (change === 2) bytes = Buffer.concat([start, Buffer.of(below(256)), bytes.subarray(at)])
    else if (change === 3) bytes = Buffer.concat([start, pick(EVENTS), behind])
    else bytes = Buffer.concat([start, Buffer.alloc(below(40), Buffer.of(pick(HEADS))), behind])
  }
  return bytes
}

const textOf = (value: unknown) =>
  JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? Number(part) : part))

t.test(`${COUNT} mutated messages are events, or refused`, t => {
  t.comment(`NETREF_FUZZ=${COUNT} NETREF_FUZZ_SEED=${SEED}`)
  let events = 0
  for (let i = 0; i < COUNT; i++) {
    const bytes = mutate(pick(EVENTS))
    try {
      const event = parseEvent(messagePack, bytes, { depth: 20 })
      const args = event.args()
      const whole = messagePack.decode(Uint8Array.from(bytes), {
        useBigInt64: true,
        mapKeyConverter: String
      }) as unknown[]
      if (textOf(args) !== textOf(whole[2])) t.same(args, whole[2], bytes.toString('hex'))
      events++
    } catch (error) {
      if ((error as Error).name !== 'ProtocolError') throw error
    }
  }
  t.ok(events > COUNT / 100, `${events} were events`)
  t.end()
})

t.test(`${COUNT} mutated inputs do no harm`, async t => {
  await withZeroRpc(
    t,
    Target,
    async ({ port, server }) => {
      for (let sent = 0; sent < COUNT; ) {
        const client = await ByteClient.connect(port)
        for (let i = 0; i < INPUTS_PER_CONNECTION && sent < COUNT && client.socket.writable; i++, sent++) {
          const content = random() < 0.7 ? mutate(pick(EVENTS)) : pick(EVENTS)
          const message = formatMessage([...client.addresses, content])
          const bytes = random() < 0.2 ? mutate(message) : message
          if (random() < 0.1) await client.write(formatCommand('PING', mutate(Buffer.from('\0\0ping'))))
          const cut = random() < 0.2 ? below(bytes.length) : 0
          await client.write(bytes.subarray(0, cut))
          await client.write(bytes.subarray(cut))
        }
        client.socket.end()
        await client.closed
      }
      const client = new DealerClient(port)
      t.equal(await client.call('add', 1), 2)
      client.close()
      await waitUntil(() => server.sessions.size === 0, 'the end of all sessions')
    },
    { onError: () => {}, limits: { helloMs: 1000 } }
  )
})
