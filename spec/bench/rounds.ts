// The measuring: for each row all contestants in turn, A B C, and that in rounds, so that a slow minute of the machine
// is a slow minute for all. Ratios are taken within a round.
import type { Running, Scenario } from './scenarios.js'
import type { Entrant } from './side.js'

/** How long each is warmed up in each row, at most, in ms. */
const WARM_UP = 600

/** What all are compared with. */
export const BASELINE = 'raw-ws'

/** Figures of one contestant in one row, round by round; none where it cannot do it. */
export interface Series {
  readonly figures: readonly number[]
  /** To the baseline, in the same round. */
  readonly ratios: readonly number[]
  /** What went wrong. */
  readonly failure?: string
}

export interface Row {
  readonly scenario: Scenario
  /** By name of the contestant. */
  readonly series: ReadonlyMap<string, Series>
}

/** Starts a contestant's server and client, and joins them. */
export async function start(entrant: Entrant): Promise<Running> {
  const [server, client] = [entrant.start('server'), entrant.start('client')]
  const address = (await server.ask({ do: 'serve' })) as string
  await client.ask({ do: 'connect', address })
  await client.ask({ do: 'check' })
  return { entrant, server, client, address }
}

export function stop({ server, client }: Running): void {
  client.end()
  server.end()
}

export interface Plan {
  readonly rounds: number
  /** How long each measurement takes, at least, in ms. */
  readonly ms: number
}

export async function measure(
  running: readonly Running[],
  scenarios: readonly Scenario[],
  { rounds, ms }: Plan,
  progress: (text: string) => void
): Promise<Row[]> {
  const figures = scenarios.map(() => running.map((): number[] => []))
  const failures = scenarios.map(() => running.map((): string | undefined => undefined))
  const take = async (s: number, r: number, time: number, counts: boolean) => {
    if (failures[s]![r] !== undefined) return
    try {
      const figure = await scenarios[s]!.measure(running[r]!, time)
      if (counts && figure !== undefined) figures[s]![r]!.push(figure)
    } catch (error) {
      failures[s]![r] = (error as Error).message
    }
  }
  for (const [s, { name, steady }] of scenarios.entries()) {
    if (!steady) continue
    progress(name)
    await Promise.all(running.map((_, r) => take(s, r, ms, true)))
  }
  // Round 0 warms up, and does not count.
  for (let round = 0; round <= rounds; round++) {
    for (const [s, { name, steady }] of scenarios.entries()) {
      if (steady) continue
      for (const [r, { entrant }] of running.entries()) {
        progress(`${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${name}: ${entrant.name}`)
        await take(s, r, round === 0 ? Math.min(WARM_UP, 2 * ms) : ms, round > 0)
      }
    }
  }
  const base = running.findIndex(({ entrant }) => entrant.name === BASELINE)
  return scenarios.map((scenario, s) => ({
    scenario,
    series: new Map(
      running.map(({ entrant }, r): [string, Series] => {
        const own = figures[s]![r]!
        const ratios = own.map((figure, round) => figure / figures[s]![base]![round]!)
        const failure = failures[s]![r]
        return [
          entrant.name,
          failure === undefined ? { figures: own, ratios } : { figures: [], ratios: [], failure }
        ]
      })
    )
  }))
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Whether netref reaches what it is to reach, of which `part` is enough; undefined where it was not measured. */
export function reaches({ scenario, series }: Row, name: string, part = 1): boolean | undefined {
  const { target, better } = scenario
  const { ratios, figures, failure } = series.get(name)!
  if (failure !== undefined) return false
  const [values, goal] = 'ratio' in target ? [ratios, target.ratio] : [figures, target.figure]
  if (values.length === 0) return undefined
  return better === 'more' ? median(values) >= goal * part : median(values) <= goal / part
}
