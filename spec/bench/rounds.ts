// Measures rows in rounds: in each round and row all contestants take turns, so that a slow minute of the machine is a
// slow minute for all. Ratios are taken within a round.
import type { Cores, Launcher } from './launch.js'
import { BASELINES, type Baseline, type RunningContestant, type Scenario } from './scenarios.js'
import type { PayloadName } from './work.js'

/** The longest warm-up of a contestant in a row, in ms. */
const MAX_WARM_UP_MS = 600

/** The figures of one contestant in one row, round by round; none if the contestant cannot do the work. */
export interface Series {
  readonly figures: readonly number[]
  readonly failure?: string
}

export interface Row {
  readonly scenario: Scenario
  readonly cores: Cores
  /** By name of the contestant. */
  readonly series: ReadonlyMap<string, Series>
}

/** Starts a contestant's server and client, and connects them. */
export async function start(
  launcher: Launcher,
  cores: Cores,
  payloads: readonly PayloadName[] = []
): Promise<RunningContestant> {
  const [server, client] = [launcher.start('server', cores), launcher.start('client', cores)]
  const address = (await server.ask({ do: 'serve' })) as string
  await client.ask({ do: 'connect', address })
  await client.ask({ do: 'check', payloads })
  return { launcher, cores, server, client, address }
}

export function stop({ server, client }: RunningContestant): void {
  client.end()
  server.end()
}

export interface Plan {
  readonly rounds: number
  /** The least duration of each measurement, in ms. */
  readonly ms: number
}

/** The warm-up of each contestant in each row, in ms. It precedes the rounds. */
export const warmUpMs = ({ ms }: Plan): number => Math.min(MAX_WARM_UP_MS, 2 * ms)

export async function measure(
  running: readonly RunningContestant[],
  scenarios: readonly Scenario[],
  plan: Plan,
  progress: (text: string) => void
): Promise<Row[]> {
  const figures = scenarios.map(() => running.map((): number[] => []))
  const failures = scenarios.map(() => running.map((): string | undefined => undefined))
  const take = async (s: number, r: number, ms: number, counts: boolean) => {
    if (failures[s]![r] !== undefined) return
    try {
      const figure = await scenarios[s]!.measure(running[r]!, ms)
      if (counts && figure !== undefined) figures[s]![r]!.push(figure)
    } catch (error) {
      failures[s]![r] = (error as Error).message
    }
  }
  for (const [s, { name, steady }] of scenarios.entries()) {
    if (!steady) continue
    progress(name)
    await Promise.all(running.map((_, r) => take(s, r, plan.ms, true)))
  }
  // Round 0 is the warm-up.
  for (let round = 0; round <= plan.rounds; round++) {
    for (const [s, { name, steady, warmUpMs: ownWarmUpMs }] of scenarios.entries()) {
      if (steady) continue
      for (const [r, { launcher }] of running.entries()) {
        progress(`${round === 0 ? 'warm-up' : `round ${round} of ${plan.rounds}`}: ${name}: ${launcher.name}`)
        await take(s, r, round === 0 ? (ownWarmUpMs ?? warmUpMs(plan)) : plan.ms, round > 0)
      }
    }
  }
  return scenarios.map((scenario, s) => ({
    scenario,
    cores: running[0]!.cores,
    series: new Map(
      running.map(({ launcher }, r): [string, Series] => {
        const failure = failures[s]![r]
        return [
          launcher.name,
          failure === undefined ? { figures: figures[s]![r]! } : { figures: [], failure }
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

/** What the ratios of a row refer to. */
export const baselineOf = ({ target }: Scenario): Baseline => ('of' in target && target.of) || BASELINES[0]

/** The figures of a contestant as ratios to a baseline in the same round. */
export function ratios({ scenario, series }: Row, name: string, baseline = baselineOf(scenario)): number[] {
  const { figures } = series.get(name)!
  const base = series.get(baseline)!.figures
  return base.length === figures.length ? figures.map((figure, round) => figure / base[round]!) : []
}

/** Whether a contestant reaches the target of a row, of which `part` is enough; undefined if it was not measured. */
export function reaches(row: Row, name: string, part = 1): boolean | undefined {
  const { target, better } = row.scenario
  const series = row.series.get(name)
  if (series === undefined) return undefined
  const { figures, failure } = series
  if (failure !== undefined) return false
  const [values, goal] = 'ratio' in target ? [ratios(row, name), target.ratio] : [figures, target.figure]
  if (values.length === 0) return undefined
  return better === 'more' ? median(values) >= goal * part : median(values) <= goal / part
}
