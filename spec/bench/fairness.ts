// Measures whether a client with very many calls in flight delays others: the 99th percentile of lone calls beside it.
import { type Launcher, POSSIBLE_CORES } from './launch.js'
import { median, start, stop } from './rounds.js'

const IN_FLIGHT = 10_000
/** The most that the 99th percentile may be, as a ratio to that of raw-ws beside the same client. */
export const FAIR = 3

/** @returns for each contestant the 99th percentile of lone calls, in µs, round by round */
export async function fairness(
  launchers: readonly Launcher[],
  { rounds, ms }: { rounds: number; ms: number },
  progress: (text: string) => void
): Promise<Map<string, number[]>> {
  const cores = POSSIBLE_CORES.at(-1)!
  const found = new Map<string, number[]>(launchers.map(({ name }) => [name, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const launcher of launchers) {
      progress(`fairness: round ${round} of ${rounds}: ${launcher.name}`)
      const running = await start(launcher, cores)
      const greedy = launcher.start('client', cores)
      try {
        await greedy.ask({ do: 'connect', address: running.address })
        await greedy.ask({ do: 'work', work: 'add', inFlight: IN_FLIGHT, ms })
        const done = greedy.ask({ do: 'work', work: 'add', inFlight: IN_FLIGHT, ms: 2 * ms })
        const p99 = await running.client.ask({ do: 'latency', lanes: 1, of: 'client', ms, quantile: 0.99 })
        found.get(launcher.name)!.push(p99 as number)
        await done
      } finally {
        greedy.end()
        stop(running)
      }
    }
  }
  return found
}

/** The median of the ratios to the baseline, by rounds. */
export const unfairness = (own: readonly number[], base: readonly number[]): number =>
  median(own.map((p99, round) => p99 / base[round]!))
