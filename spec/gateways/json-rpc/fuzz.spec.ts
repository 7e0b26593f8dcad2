// Mutated inputs to the JSON-RPC gateway. NETREF_FUZZ is their number, NETREF_FUZZ_SEED the seed.
import t from 'tap'
import { callSession, expose, Service } from '../../../lib/index.js'
import { waitUntil } from '../../support/helpers.js'
import { post, RawClient, withJsonRpc } from '../../support/json-rpc.js'
import type { Untyped } from '../../support/wire.js'

const COUNT = Number(process.env.NETREF_FUZZ ?? 3000)
const SEED = Number(process.env.NETREF_FUZZ_SEED ?? Date.now() & 0x7fffffff)
t.setTimeout(60_000 + COUNT * 5)
/** Inputs on one connection, unless it ends before. A text that is not finished swallows the later ones, so these are few. */
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
  exposed_echo = (value: unknown) => value
  exposed_add = (a: number, b = 1) => a + b
  exposed_open(): Untyped {
    return { list: [expose({ close() {} }), () => {}], rows: this.exposed_rows() }
  }
  *exposed_rows(): Untyped {
    yield 1
  }
  exposed_fail(): never {
    throw Object.assign(new Error('no'), { code: Number.NaN, extra: new Map([[{}, 1]]) })
  }
  exposed_nested = { deep: { echo: (value: unknown) => value } }
  exposed_session = () => callSession()!.stats.exports
}

const SEEDS = [
  '{"jsonrpc":"2.0","method":"echo","params":[{"a":[1,"}\\"",null]}],"id":1}',
  '{"jsonrpc":"2.0","method":"add","params":{"a":1,"b":2},"id":"x"}',
  '{"version":"1.1","method":"nested.deep.echo","params":[1.5e3],"id":7}',
  '{"method":"open","params":[],"id":2}',
  '{"method":"rows","params":[],"id":null}',
  '{"jsonrpc":"2.0","method":"fail","id":3}',
  '{"jsonrpc":"2.0","method":"session"}',
  '{"jsonrpc":"2.0","method":"system.listMethods","id":4}',
  '{"jsonrpc":"2.0","method":"rpc.discover","id":4}',
  '[{"jsonrpc":"2.0","method":"echo","params":["\\u00e4"],"id":5},{"jsonrpc":"2.0","method":"fail"},1]'
]
const PIECES = [
  ...[
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    ',',
    ':',
    ' ',
    '\n',
    '\0',
    '\xff',
    '1e999',
    '-0',
    '-',
    'null',
    'true',
    '9'.repeat(30)
  ],
  ...[
    '"__proto__":',
    '"constructor":',
    '"then":',
    '"id":',
    '"params":',
    '"method":',
    '"jsonrpc":"2.0"',
    '"version":"1.1"'
  ],
  ...[
    '__proto__',
    'constructor',
    'nested.',
    '.',
    'system.',
    'rpc.',
    '\\ud800',
    '\\u0000',
    '[[[[[[[[[[[[',
    '{"a":'
  ]
]

t.test(`${COUNT} mutated inputs do no harm`, async t => {
  t.comment(`NETREF_FUZZ=${COUNT} NETREF_FUZZ_SEED=${SEED}`)
  const random = randomNumbers(SEED)
  const below = (limit: number) => Math.floor(random() * limit)
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!

  const mutate = (text: string): string => {
    for (let rest = below(4); rest >= 0; rest--) {
      const at = below(text.length + 1)
      const to = Math.min(text.length, at + below(12))
      const change = below(5)
      if (change === 0) text = text.slice(0, at) + pick(PIECES) + text.slice(at)
      else if (change === 1) text = text.slice(0, at) + text.slice(to)
      else if (change === 2) text = text.slice(0, at) + pick(PIECES) + text.slice(to)
      else if (change === 3) text = text.slice(0, at) + text.slice(at, to).repeat(below(20)) + text.slice(to)
      else text += pick(SEEDS)
    }
    return text
  }

  await withJsonRpc(
    t,
    Target,
    async ({ port, url, server }) => {
      let sent = 0
      while (sent < COUNT) {
        const client = await RawClient.connect(port)
        for (let i = 0; i < INPUTS_PER_CONNECTION && sent < COUNT && client.socket.writable; i++, sent++) {
          const bytes = Buffer.from(mutate(pick(SEEDS)), 'latin1')
          const cut = below(bytes.length)
          if (random() < 0.1) {
            await client.send(bytes.subarray(0, cut))
            await client.send(bytes.subarray(cut))
          } else await client.send(bytes)
          await new Promise(setImmediate)
        }
        client.socket.end()
        await client.closed
        for (const line of client.lines) JSON.parse(line)
        await fetch(url, {
          method: 'POST',
          body: mutate(pick(SEEDS)),
          headers: { 'content-type': 'application/json' }
        })
        sent++
      }
      t.equal((await post(url, '{"jsonrpc":"2.0","method":"add","params":[1],"id":1}')).result, 2)
      await waitUntil(() => server.sessions.size === 0, 'the end of all sessions')
    },
    { onError: () => {}, limits: { helloMs: 1000 } }
  )
})
