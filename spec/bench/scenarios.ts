// The rows of the table: what is measured, and what netref is to reach.
import type { Cores, Launcher, RemoteProcess } from './launch.js'
import { Wire } from './wire.js'
import type { Done, PayloadName, WorkName } from './work.js'

/** A contestant whose processes run. */
export interface RunningContestant {
  readonly launcher: Launcher
  readonly cores: Cores
  readonly server: RemoteProcess
  readonly client: RemoteProcess
  readonly address: string
}

/** What ratios refer to: JSON messages by hand on `ws`, one frame for each message, or one frame for each tick. */
export const BASELINES = ['raw-ws', 'by hand'] as const
export type Baseline = (typeof BASELINES)[number]

export interface Scenario {
  readonly name: string
  readonly unit: string
  readonly better: 'more' | 'less'
  /** What netref is to reach: a ratio to a baseline (raw-ws unless named) in the same round, or a figure. */
  readonly target: { readonly ratio: number; readonly of?: Baseline } | { readonly figure: number }
  /** The part of the target that `--check` demands, if not the usual one: less while the target is not reached. */
  readonly enough?: number
  /** The figure depends on whether the processes share a core: it is measured on one core and on two. */
  readonly dependsOnCores?: boolean
  /** One call at a time, so that busy polling may change the figure: the chart shows it on one core and on two. */
  readonly lone?: boolean
  /** The payload of an echo. */
  readonly payload?: PayloadName
  /** Changes little from round to round and with other load: measured once, for all contestants at the same time. */
  readonly steady?: boolean
  /** How long to warm up before the first round, in ms, if not as long as usual. */
  readonly warmUpMs?: number
  /** Takes long: omitted from `--quick` and `--check`. */
  readonly long?: boolean
  /** Takes about `ms`. @returns the figure; undefined if the contestant cannot do the work */
  measure(running: RunningContestant, ms: number): Promise<number | undefined>
}

interface Load {
  readonly work: WorkName
  readonly inFlight?: number
  readonly lone?: boolean
  readonly enough?: number
  readonly warmUpMs?: number
  /** The least duration of a measurement in ms, if the usual one is too short. */
  readonly leastMs?: number
}

const repeat = ({ client }: RunningContestant, { work, inFlight = 1 }: Load, ms: number) =>
  client.ask({ do: 'work', work, inFlight, ms }) as Promise<Done | undefined>

const rate = async (running: RunningContestant, load: Load, ms: number) => {
  const done = await repeat(running, load, ms)
  return done && (done.units * 1000) / done.ms
}

/** Units of work in a second. */
const throughput = (name: string, ratio: number, load: Load, unit = 'a second'): Scenario => ({
  name,
  unit,
  better: 'more',
  target: { ratio },
  dependsOnCores: true,
  lone: load.lone ?? false,
  enough: load.enough,
  warmUpMs: load.warmUpMs,
  measure: (running, ms) => rate(running, load, Math.max(ms, load.leastMs ?? 0))
})

/** Echoes of 1 MB of plain data in a second. */
const echo = (payload: PayloadName, ratio: number, set = '', name: string = payload): Scenario => ({
  name: `${set}${name}, 1 MB, echo`,
  unit: 'a second',
  better: 'more',
  target: { ratio, of: 'by hand' },
  payload,
  measure: (running, ms) => rate(running, { work: `echo ${payload}` }, ms)
})

/** Some 20 000 calls, after which engines have compiled what runs: cold calls have rows of their own (`--cold`). */
export const LONG_WARM_UP_MS = 3000

/** The CPU time of both processes per unit of work. */
const cpu = (name: string, work: WorkName): Scenario => ({
  name: `CPU of both processes per ${name}`,
  unit: 'µs',
  better: 'less',
  target: { ratio: 1.15, of: 'by hand' },
  // It was measured between ×1.2 and ×1.7.
  enough: 0.6,
  dependsOnCores: true,
  warmUpMs: LONG_WARM_UP_MS,
  async measure(running, ms) {
    const used = async () =>
      ((await running.server.ask({ do: 'cpu' })) as number) +
      ((await running.client.ask({ do: 'cpu' })) as number)
    const before = await used()
    const done = await repeat(running, { work }, ms)
    return done && ((await used()) - before) / done.units
  }
})

const IDLE = 1000
/** Sessions that come first, so that what is loaded once does not count. */
const FIRST = 100
/** How long sessions are idle before the memory is read, in ms. V8 shrinks a space of young objects only after a while. */
const IDLE_MS = 6000

/** Bytes and frames of an add. */
async function traffic(
  { client, address }: RunningContestant,
  inFlight: number
): Promise<{ bytes: number; frames: number | undefined } | undefined> {
  if (!URL.canParse(address)) return undefined
  const count = 10 * inFlight
  const wire = await Wire.to(address)
  try {
    await client.ask({ do: 'connect', address: wire.address })
    await client.ask({ do: 'adds', count, inFlight })
    const before = wire.traffic
    await client.ask({ do: 'adds', count, inFlight })
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

const onTheWire = (what: 'bytes' | 'frames', inFlight: number, figure: number): Scenario => ({
  name: `${what} per add, ${inFlight === 1 ? 'one at a time' : `${inFlight} in flight`}`,
  unit: what === 'bytes' ? 'B up and down' : 'each way',
  better: 'less',
  target: { figure },
  steady: true,
  measure: async running => (await traffic(running, inFlight))?.[what]
})

const SECOND = 'second set: '

export const SCENARIOS: readonly Scenario[] = [
  throughput('add, one at a time', 0.95, { work: 'add', lone: true }),
  cpu('add, one at a time', 'add'),
  throughput('add, 16 in flight', 1.5, { work: 'add', inFlight: 16 }),
  throughput('add, 100 in flight', 3, { work: 'add', inFlight: 100 }),
  throughput('add, 1000 in flight', 4, { work: 'add', inFlight: 1000 }),
  throughput('callback, awaited one by one', 0.9, { work: 'callback', lone: true }),
  cpu('callback, awaited one by one', 'callback'),
  throughput('callback, 100 in flight', 3, { work: 'callback', inFlight: 100 }),
  throughput('line counter, awaited per line', 0.85, { work: 'lines', lone: true }, 'lines a second'),
  throughput('line counter, 100 in flight', 2.5, { work: 'lines', inFlight: 100 }, 'lines a second'),
  throughput('Date, Map, Set, bigint, undefined, echo, 16 in flight', 1, { work: 'rich', inFlight: 16 }),
  throughput(`${SECOND}order with rich values, echo, 16 in flight`, 1, { work: 'rich order', inFlight: 16 }),
  throughput('make a reference, call it, release it, 16 in flight', 1.8, { work: 'reference', inFlight: 16 }),
  throughput('chain of 10 references and a value', 5, {
    work: 'chain',
    // It was measured between ×1.3 and ×2.7 on one core.
    enough: 0.2,
    warmUpMs: LONG_WARM_UP_MS,
    // netrefs request a collection at once, then pause. Beside payloads of 1 MB it takes longer than a usual measurement.
    leastMs: 500
  }),
  throughput(
    'stream of small items from a generator',
    12,
    // It was measured between ×2.6 and ×11 on one core.
    { work: 'stream', enough: 0.15 },
    'items a second'
  ),
  {
    name: 'p50 of an add, 16 in flight',
    unit: 'µs',
    better: 'less',
    target: { ratio: 0.7 },
    dependsOnCores: true,
    measure: ({ client }, ms) =>
      client.ask({ do: 'latency', lanes: 16, of: 'client', ms, quantile: 0.5 }) as Promise<number>
  },
  {
    name: 'connect and first call',
    unit: 'µs',
    better: 'less',
    target: { ratio: 1.2 },
    dependsOnCores: true,
    measure: ({ client }, ms) => client.ask({ do: 'connects', ms }) as Promise<number>
  },
  {
    name: 'nested records, 1 MB, echo',
    unit: 'a second',
    better: 'more',
    target: { ratio: 0.9 },
    measure: (running, ms) => rate(running, { work: 'json' }, ms)
  },
  echo('records', 0.95, '', 'lists of records (sent as a table)'),
  echo('optional fields', 0.95),
  echo('numbers', 0.95),
  echo('long strings', 0.95),
  echo('trees', 0.9),
  echo('pairs', 0.9),
  echo('dictionaries', 0.85),
  echo('geo', 0.9, SECOND),
  echo('lockfile', 0.85, SECOND),
  echo('orders', 0.95, SECOND),
  echo('series', 0.9, SECOND),
  echo('logs', 0.95, SECOND),
  echo('thread', 0.9, SECOND),
  {
    name: 'bytes, 8 MB, echo',
    unit: 'a second',
    better: 'more',
    target: { ratio: 1 },
    measure: (running, ms) => rate(running, { work: 'bytes' }, ms)
  },
  onTheWire('bytes', 1, 60),
  onTheWire('bytes', 100, 45),
  onTheWire('frames', 1, 1),
  onTheWire('frames', 100, 0.05),
  {
    name: `memory of a server per idle session, of ${IDLE}`,
    unit: 'kB',
    better: 'less',
    target: { ratio: 1.2 },
    steady: true,
    long: true,
    async measure({ launcher, cores, address: where }) {
      if (!URL.canParse(where)) return undefined
      const [server, client] = [launcher.start('server', cores), launcher.start('client', cores)]
      try {
        const address = (await server.ask({ do: 'serve' })) as string
        await client.ask({ do: 'connect', address })
        await client.ask({ do: 'sessions', count: FIRST })
        const before = (await server.ask({ do: 'memory', after: IDLE_MS })) as number
        await client.ask({ do: 'sessions', count: FIRST + IDLE })
        const after = (await server.ask({ do: 'memory', after: IDLE_MS })) as number
        return (after - before) / IDLE / 1000
      } finally {
        server.end()
        client.end()
      }
    }
  }
]
