// The rows of the table: what is measured, and what netref is to reach.
import type { Entrant, Side } from './side.js'
import { Wire } from './wire.js'
import type { WorkName } from './work.js'

/** A contestant that runs: its two processes, and where the server is. */
export interface Running {
  readonly entrant: Entrant
  readonly server: Side
  readonly client: Side
  readonly address: string
}

export interface Scenario {
  readonly name: string
  readonly unit: string
  /** Which way is better. */
  readonly better: 'more' | 'less'
  /** What netref is to reach: a ratio to raw-ws in the same round, or a figure. */
  readonly target: { readonly ratio: number } | { readonly figure: number }
  /** Hardly changes from round to round, or with what else goes on: once is enough, for all at the same time. */
  readonly steady?: boolean
  /** Takes long: left out where there is but a minute. */
  readonly long?: boolean
  /** @returns the figure; undefined where the contestant cannot do it. It takes about that long, in ms. */
  measure(running: Running, ms: number): Promise<number | undefined>
}

const rate = (name: string, ratio: number, work: WorkName, atOnce = 1, unit = 'a second'): Scenario => ({
  name,
  unit,
  better: 'more',
  target: { ratio },
  measure: ({ client }, ms) => client.ask({ do: 'rate', work, atOnce, ms }) as Promise<number | undefined>
})

const IDLE = 500
/** Sessions that come first, so that what is loaded once is not counted. */
const FIRST = 50
/** For so long they are idle, in ms: an engine that has room for much that is new gives it back only then. */
const IDLE_FOR = 6000

/** Bytes and frames of an add. */
async function traffic(
  { client, address }: Running,
  atOnce: number
): Promise<{ bytes: number; frames: number | undefined } | undefined> {
  if (!URL.canParse(address)) return undefined
  const count = 10 * atOnce
  const wire = await Wire.to(address)
  try {
    await client.ask({ do: 'connect', address: wire.address })
    await client.ask({ do: 'adds', count, atOnce })
    const before = wire.traffic
    await client.ask({ do: 'adds', count, atOnce })
    const { bytes, frames } = wire.traffic
    return {
      bytes: (bytes - before.bytes) / count,
      frames: frames === undefined ? undefined : (frames - before.frames!) / count
    }
  } finally {
    await client.ask({ do: 'connect', address })
    wire.close()
  }
}

const onTheWire = (what: 'bytes' | 'frames', atOnce: number, figure: number): Scenario => ({
  name: `${what} per add, ${atOnce === 1 ? 'one at a time' : `${atOnce} in flight`}`,
  unit: what === 'bytes' ? 'B up and down' : 'each way',
  better: 'less',
  target: { figure },
  steady: true,
  measure: async running => (await traffic(running, atOnce))?.[what]
})

export const SCENARIOS: readonly Scenario[] = [
  rate('add, one at a time', 0.85, 'add'),
  rate('add, 16 in flight', 1.5, 'add', 16),
  rate('add, 100 in flight', 3, 'add', 100),
  rate('add, 1000 in flight', 4, 'add', 1000),
  rate('callback, awaited one by one', 0.85, 'callback'),
  rate('callback, 100 in flight', 3, 'callback', 100),
  rate('line counter, awaited per line', 0.85, 'lines', 1, 'lines a second'),
  rate('line counter, 100 in flight', 2.5, 'lines', 100, 'lines a second'),
  rate('1 MB of nested JSON, echo', 0.9, 'json'),
  rate('8 MB of bytes, echo', 1, 'bytes'),
  rate('Date, Map, Set, bigint, undefined, echo, 16 in flight', 1, 'rich', 16),
  rate('make a reference, call it, release it, 16 in flight', 1.5, 'reference', 16),
  rate('chain of 10 references and a value', 5, 'chain'),
  rate('stream of small items', 8, 'stream', 1, 'items a second'),
  {
    name: 'p50 of an add, 16 in flight',
    unit: 'µs',
    better: 'less',
    target: { ratio: 0.7 },
    measure: ({ client }, ms) =>
      client.ask({ do: 'latency', atOnce: 16, ms, quantile: 0.5 }) as Promise<number>
  },
  {
    name: 'connect and first call',
    unit: 'µs',
    better: 'less',
    target: { ratio: 1.2 },
    measure: ({ client }, ms) => client.ask({ do: 'connects', ms }) as Promise<number>
  },
  onTheWire('bytes', 1, 60),
  onTheWire('bytes', 100, 45),
  onTheWire('frames', 1, 1),
  onTheWire('frames', 100, 0.05),
  {
    name: `memory of a server per idle session, of ${IDLE}`,
    unit: 'kB',
    better: 'less',
    target: { figure: 25 },
    steady: true,
    long: true,
    async measure({ entrant, address: where }) {
      if (!URL.canParse(where)) return undefined
      const [server, client] = [entrant.start('server'), entrant.start('client')]
      try {
        const address = (await server.ask({ do: 'serve' })) as string
        await client.ask({ do: 'connect', address })
        await client.ask({ do: 'sessions', count: FIRST })
        const before = (await server.ask({ do: 'rss', after: IDLE_FOR })) as number
        await client.ask({ do: 'sessions', count: FIRST + IDLE })
        const after = (await server.ask({ do: 'rss', after: IDLE_FOR })) as number
        return (after - before) / IDLE / 1000
      } finally {
        server.end()
        client.end()
      }
    }
  }
]
