// Measures how the cost of a call grows with the number of references, pending calls and sessions. The exponent is the
// slope of the cost over the number, both as logarithms: 0 is no growth, 1 is a cost in proportion.
import { type Launcher, POSSIBLE_CORES } from './launch.js'
import { start, stop } from './rounds.js'
import type { Done } from './work.js'

const KINDS = {
  'references held here': { what: 'imports', most: 1_000_000 },
  'own objects held by the peer': { what: 'exports', most: 1_000_000 },
  'pending calls': { what: 'pending', most: 100_000 },
  sessions: { what: 'sessions', most: 5_000 }
} as const

const IN_FLIGHT = 100
/** The most that an exponent may be: the cost of a call does not depend on what the session holds. */
export const FLAT = 0.1
/** The least of some tries counts, because other load only adds. */
const TRIES = 3

export interface Growth {
  readonly kind: string
  /** How many there are, and the cost of a call then, in µs. */
  readonly points: readonly { readonly count: number; readonly cost: number }[]
  readonly exponent: number
}

/** Measures a contestant with 1, 10, 100, … of each kind, up to `most`. */
export async function growth(
  launcher: Launcher,
  ms: number,
  most: number,
  progress: (text: string) => void
): Promise<Growth[]> {
  const all: Growth[] = []
  for (const [kind, { what, most: usual }] of Object.entries(KINDS)) {
    const running = await start(launcher, POSSIBLE_CORES.at(-1)!)
    const { client } = running
    const cost = async () => {
      const done = (await client.ask({ do: 'work', work: 'add', inFlight: IN_FLIGHT, ms })) as Done
      return (done.ms * 1000) / done.units
    }
    try {
      await cost()
      const points: { count: number; cost: number }[] = []
      for (const count of sizes(Math.min(most, usual))) {
        progress(`growth: ${count} ${kind}`)
        if (what === 'sessions') await client.ask({ do: 'sessions', count })
        else await client.ask({ do: 'hold', what, count: count - (points.at(-1)?.count ?? 0) })
        const costs: number[] = []
        for (let i = 0; i < TRIES; i++) costs.push(await cost())
        points.push({ count, cost: Math.min(...costs) })
      }
      all.push({
        kind,
        points,
        exponent: slope(points.map(({ count, cost }) => [Math.log(count), Math.log(cost)]))
      })
    } finally {
      stop(running)
    }
  }
  return all
}

/** 1, 10, 100, … and `most`. */
function sizes(most: number): number[] {
  const sizes: number[] = []
  for (let size = 1; size < most; size *= 10) sizes.push(size)
  return [...sizes, most]
}

/** The slope of the line of least squares. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [x, y] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))]
  const rise = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0)
  return rise / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
}
