// Mutated inputs to the Pyro gateway. NETREF_FUZZ is their number, NETREF_FUZZ_SEED the seed.
import { deflateSync } from 'node:zlib'
import t from 'tap'
import { readSerpent, SerpentError } from '../../../lib/gateways/pyro/serpent-reader.js'
import { toSerpent } from '../../../lib/gateways/pyro/serpent-writer.js'
import { expose, Service } from '../../../lib/index.js'
import { DEFAULT_LIMITS } from '../../../lib/protocol/limits.js'
import { pyroMessage, RawPyro, SERPENT, Type, VERSIONS, withPyro } from '../../support/pyro.js'
import type { Untyped } from '../../support/wire.js'

const COUNT = Number(process.env.NETREF_FUZZ ?? 3000)
const SEED = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)
t.setTimeout(60_000 + COUNT * 5)
/** Inputs on one connection, unless it ends before. */
const INPUTS_PER_CONNECTION = 8

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
  exposed_title = 'target'
  exposed_echo = (value: unknown) => value
  exposed_add = (a: number, b = 1) => a + b
  exposed_open(): Untyped {
    return { list: [expose({ close() {} }), () => {}], rows: this.exposed_rows() }
  }
  *exposed_rows(): Untyped {
    for (let i = 0; ; i++) yield i
  }
  exposed_fail(): never {
    throw Object.assign(new Error('no'), { code: Number.NaN, extra: new Map([[{}, 1]]) })
  }
  exposed_nested = { deep: { echo: (value: unknown) => value } }
}

const LITERALS = [
  "('x','echo',({'a':[1,'}\\'',None,-1.5e3,True]},),{})",
  "('x','add',(1,),{'b':2})",
  "('nested.deep','echo',(b'\\xff',{1,2},{1:2}),None)",
  "('x','open',(),{})",
  "('x','rows',(),{})",
  "('x','fail',(),{})",
  "('x','__getattr__',('title',),None)",
  "('x','__setattr__',('title',1),None)",
  "('Pyro.Daemon','get_metadata',['nested'],{'as_lists':True})",
  "('Pyro.Daemon','get_next_stream_item',['x'],{})",
  "('Pyro.Daemon','close_stream',['x'],{})",
  "('x','<batch>',[('add',(1,),{'b':2}),('fail',(),{}),('rows',(),{})],{})",
  '{"object":"x","method":"echo","params":[{"a":[1,null]}],"kwargs":{}}',
  "{'handshake':'hello','object':'x'}",
  "[u'\\u00e9\\U0001f600',123456789012345678901234567890,{'__class__':'float','value':'nan'}]"
]
const PIECES = [
  ...[
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    ',',
    ':',
    "'",
    '"',
    '\\',
    '#',
    '\n',
    '\0',
    'é',
    ' ',
    '-',
    '.',
    '0',
    '1e999'
  ],
  ...[
    'None',
    'True',
    "b'",
    "u'",
    "'__class__':'x',",
    "'__proto__':",
    "'then':",
    'constructor',
    'Pyro.',
    '__'
  ],
  ...['<batch>', '1j', '9'.repeat(30), '((((((((((', '[[[[[[[[[[', "{'data':'YQ==','encoding':'base64'}"]
]

/** Mutations by a source of random numbers. */
class Mutator {
  constructor(readonly random: () => number) {}

  below(limit: number): number {
    return Math.floor(this.random() * limit)
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }

  literal(): string {
    let text = this.pick(LITERALS)
    for (let rest = this.below(4); rest > 0; rest--) {
      const at = this.below(text.length + 1)
      const to = Math.min(text.length, at + this.below(12))
      const middle = this.pick([this.pick(PIECES), '', text.slice(at, to).repeat(this.below(20))])
      text = text.slice(0, at) + middle + text.slice(this.pick([at, to]))
    }
    return text
  }

  message(version: 4 | 5): Uint8Array {
    const literal = SERPENT + this.literal()
    const flags = this.pick([0, 0, 0, 2, 4, 8, 12, 16, 32, 64, this.below(0x10000)])
    const isDeflated = (flags & 2) !== 0 && this.random() < 0.8
    const bytes = pyroMessage(version, {
      type: this.pick([Type.invoke, Type.invoke, Type.invoke, Type.ping, Type.connect, this.below(256)]),
      serializer: this.pick([1, 1, 1, 1, version === 4 ? 2 : 3, this.below(256)]),
      flags,
      seq: this.below(0x10000),
      data: isDeflated ? deflateSync(literal) : literal,
      annotations: this.random() < 0.2 ? { ABCD: Buffer.alloc(this.below(40)) } : {}
    })
    // Most mutations of a header end the connection, so these are few.
    for (let rest = this.random() < 0.2 ? this.below(3) : 0; rest > 0; rest--)
      bytes[this.below(bytes.length)] = this.below(256)
    return this.random() < 0.05 ? bytes.subarray(0, this.below(bytes.length)) : bytes
  }
}

t.test(`${COUNT} mutated literals are read, or refused`, async t => {
  t.comment(`NETREF_FUZZ=${COUNT} NETREF_FUZZ_SEED=${SEED}`)
  const mutator = new Mutator(randomNumbers(SEED))
  let readCount = 0
  for (let i = 0; i < COUNT; i++) {
    const literal = mutator.literal()
    try {
      const value = readSerpent(Buffer.from(literal), 50, DEFAULT_LIMITS)
      readCount++
      const written = toSerpent(value, ['value'], DEFAULT_LIMITS)
      const again = toSerpent(
        readSerpent(Buffer.from(written), 50, DEFAULT_LIMITS),
        ['value'],
        DEFAULT_LIMITS
      )
      if (again !== written) t.equal(again, written, literal)
    } catch (error) {
      const isRefused = error instanceof SerpentError || (error as Error).name === 'NoFormError'
      if (!isRefused) t.fail(literal, { error })
    }
  }
  t.ok(readCount > COUNT / 10, `${readCount} of them are literals`)
})

t.test(`${COUNT} mutated inputs do no harm`, async t => {
  const mutator = new Mutator(randomNumbers(SEED + 1))
  await withPyro(
    t,
    Target,
    async ({ port, server }) => {
      let sent = 0
      while (sent < COUNT) {
        const version = mutator.pick(VERSIONS)
        const client =
          mutator.random() < 0.05 ? await RawPyro.dial(port, version) : await RawPyro.connect(port, version)
        for (let i = 0; i < INPUTS_PER_CONNECTION && sent < COUNT && client.socket.writable; i++, sent++) {
          const bytes = mutator.message(version)
          const cut = mutator.below(bytes.length)
          if (mutator.random() < 0.1) {
            await client.send(bytes.subarray(0, cut))
            await client.send(bytes.subarray(cut))
          } else await client.send(bytes)
          await new Promise(setImmediate)
        }
        client.socket.end()
        await client.closed
        // It parses what was received.
        for (const { text, type, serializer } of client.received)
          if (type === Type.result && serializer === 1)
            readSerpent(Buffer.from(text), 300, { ...DEFAULT_LIMITS, bigintDigits: 1e6 })
      }
      const client = await RawPyro.connect(port, 5)
      t.equal(await client.call('add', '(1,)'), '2')
      await client.endClean(t, { port, server })
    },
    { onError: () => {}, limits: { helloMs: 1000 }, gateway: { port: 0 } }
  )
})
