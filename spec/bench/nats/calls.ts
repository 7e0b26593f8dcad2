// Calls over NATS and over WebSocket, in rounds: in each round and row the transports take turns.
import { median } from '../rounds.js'
import type { Done, WorkName } from '../work.js'
import { type Figures, minus, plus, System, type Transport } from './system.js'

/** What NATS may cost a lone call beyond WebSocket, in µs, and its least part of WebSocket's calls with 1000 in flight. */
const MOST_BEYOND_US = 250
const LEAST_SPEED = 0.5

const LONE = 'lone call, median'
const FULL = '1000 in flight'

/** What is timed. */
interface Work {
  readonly name: string
  /** What is counted. */
  readonly unit: string
  /** Numbers of pairs with which it is measured. */
  readonly pairs: readonly number[]
  /** Takes about `ms`. @returns the time in µs for each unit, and the number of units if CPU time is to be measured */
  measure(system: System, ms: number): Promise<{ us: number; units?: number }>
}

/** A work of the clients, all at the same time. */
const together = (name: string, work: WorkName, inFlight: number, unit: string, pairs: number[]): Work => ({
  name,
  unit,
  pairs,
  async measure(system, ms) {
    const request = { do: 'work', work, inFlight, ms } as const
    const done = (await Promise.all(system.pairs.map(({ client }) => client.ask(request)))) as Done[]
    const units = done.reduce((sum, { units }) => sum + units, 0)
    return { us: (Math.max(...done.map(({ ms }) => ms)) * 1000) / units, units }
  }
})

const WORKS: readonly Work[] = [
  {
    name: LONE,
    unit: 'call',
    pairs: [1, 2],
    async measure({ pairs }, ms) {
      const times: number[] = []
      // The other pairs are idle.
      for (const { client } of pairs)
        times.push(
          (await client.ask({
            do: 'latency',
            lanes: 1,
            of: 'client',
            ms: ms / pairs.length,
            quantile: 0.5
          })) as number
        )
      return { us: median(times) }
    }
  },
  together('lone call, mean', 'add', 1, 'call', [1]),
  together('16 in flight', 'add', 16, 'call', [1, 2]),
  together('100 in flight', 'add', 100, 'call', [1, 2]),
  together(FULL, 'add', 1000, 'call', [1, 2]),
  together('awaited one by one', 'callback', 1, 'callback', [1]),
  together('stream of small items', 'stream', 1, 'item', [1]),
  together('1 MB of JSON', 'json', 1, 'echo', [1]),
  together('8 MB of bytes', 'bytes', 1, 'echo', [1]),
  {
    name: 'with its first call',
    unit: 'session',
    pairs: [1],
    measure: async ({ pairs }, ms) => ({ us: (await pairs[0]!.client.ask({ do: 'connects', ms })) as number })
  }
]

/** The figures of a work over one transport. */
class Series {
  /** In µs for each unit, one for each round. */
  readonly times: number[] = []
  #cpu: Figures = { client: 0, nats: 0, instance: 0 }
  #units = 0

  async take({ measure }: Work, system: System, ms: number, counts: boolean): Promise<void> {
    const before = await system.cpu()
    const { us, units = 0 } = await measure(system, ms)
    if (!counts) return
    this.times.push(us)
    this.#units += units
    this.#cpu = plus(this.#cpu, minus(await system.cpu(), before))
  }

  /** CPU time in µs for each unit, of all rounds; undefined if it is not measured. */
  get cpu(): Figures | undefined {
    const { client, nats, instance } = this.#cpu
    const units = this.#units
    return units === 0
      ? undefined
      : { client: client / units, nats: nats / units, instance: instance / units }
  }
}

export interface Row {
  readonly work: Work
  readonly pairs: number
  /** In the order of the transports. */
  readonly series: readonly Series[]
}

export interface Plan {
  readonly rounds: number
  /** Duration of each measurement, in ms. */
  readonly ms: number
}

export async function measureCalls(transports: readonly Transport[], plan: Plan): Promise<Row[]> {
  const rows: Row[] = []
  for (const pairs of [1, 2]) rows.push(...(await measureWith(pairs, transports, plan)))
  return rows
}

/** Round 0 is the warm-up. */
async function measureWith(
  pairs: number,
  transports: readonly Transport[],
  { rounds, ms }: Plan
): Promise<Row[]> {
  const rows = WORKS.filter(work => work.pairs.includes(pairs)).map(work => ({
    work,
    pairs,
    series: transports.map(() => new Series())
  }))
  const systems: System[] = []
  try {
    for (const transport of transports) systems.push(await System.start(transport, pairs))
    for (let round = 0; round <= rounds; round++)
      for (const { work, series } of rows)
        for (const [s, system] of systems.entries()) await series[s]!.take(work, system, ms, round > 0)
  } finally {
    for (const system of systems) system.stop()
  }
  return rows
}

/** The figures of NATS beside those of WebSocket in the same round: the median of the rounds. */
function compare({ series }: Row, s: number, how: (webSocket: number, nats: number) => number): number {
  const [webSocket] = series
  return median(series[s]!.times.map((us, round) => how(webSocket!.times[round]!, us)))
}

const beyond = (row: Row, s: number) => compare(row, s, (webSocket, nats) => nats - webSocket)
/** How many times as fast as WebSocket. */
const speed = (row: Row, s: number) => compare(row, s, (webSocket, nats) => webSocket / nats)

/** A time in µs. */
const time = (us: number) => (us >= 100 ? Math.round(us).toString() : us.toPrecision(2))

function cells(row: Row, s: number): string[] {
  const { times, cpu } = row.series[s]!
  const own = time(median(times))
  if (s === 0) return [own, cpu ? `${time(cpu.client)} + ${time(cpu.instance)}` : '']
  const used = cpu ? `${time(cpu.client)} + ${time(cpu.nats)} + ${time(cpu.instance)}` : ''
  return [own, `×${speed(row, s).toFixed(2)}`, used]
}

const instances = (pairs: number) => (pairs === 1 ? 'one instance' : 'two instances')

export function callTable(rows: readonly Row[], transports: readonly Transport[]): string {
  const heads = transports.flatMap(({ name }, s) =>
    s === 0 ? [name, 'CPU: client + instance'] : [name, 'speed', 'CPU: client + nats-server + instance']
  )
  const lines = rows.map(row => {
    const { name, unit } = row.work
    const where = row.pairs === 1 ? '' : `, ${instances(row.pairs)}`
    return [`${unit}: ${name}${where}`, ...transports.flatMap((_, s) => cells(row, s))]
  })
  return markdown(['µs for each', ...heads], lines)
}

export const markdown = (head: readonly string[], lines: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...lines].map(cells => `| ${cells.join(' | ')} |`).join('\n')

/** What NATS is to reach, in sentences, and whether it does. */
export function verdicts(rows: readonly Row[]): { readonly text: string; readonly isReached: boolean }[] {
  return rows.flatMap(row => {
    const where = instances(row.pairs)
    if (row.work.name === LONE) {
      const us = beyond(row, 1)
      const text = `${where}: a lone call takes ${Math.round(us)} µs more than over WebSocket, at most ${MOST_BEYOND_US}`
      return [{ text, isReached: us <= MOST_BEYOND_US }]
    }
    if (row.work.name === FULL) {
      const ratio = speed(row, 1)
      const text = `${where}: with 1000 calls in flight, the speed is ×${ratio.toFixed(2)} of WebSocket's, at least ×${LEAST_SPEED}`
      return [{ text, isReached: ratio >= LEAST_SPEED }]
    }
    return []
  })
}
