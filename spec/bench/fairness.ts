// Whether one client that asks for very much makes others wait: the 99th percentile of lone calls beside it.
import { median, start, stop } from './rounds.js'
import type { Entrant } from './side.js'

const UNDER_WAY = 10_000
/** How much longer than beside a greedy client of the baseline a lone call may take. */
export const FAIR = 3

/** @returns for each contestant the 99th percentile of lone calls, in µs, round by round */
export async function fairness(
  entrants: readonly Entrant[],
  { rounds, ms }: { rounds: number; ms: number },
  progress: (text: string) => void
): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>(entrants.map(({ name }) => [name, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const entrant of entrants) {
      progress(`fairness: round ${round} of ${rounds}: ${entrant.name}`)
      const running = await start(entrant)
      const greedy = entrant.start('client')
      try {
        await greedy.ask({ do: 'connect', address: running.address })
        await greedy.ask({ do: 'rate', work: 'add', atOnce: UNDER_WAY, ms })
        const done = greedy.ask({ do: 'rate', work: 'add', atOnce: UNDER_WAY, ms: 2 * ms })
        const p99 = await running.client.ask({ do: 'latency', atOnce: 1, ms, quantile: 0.99 })
        found.get(entrant.name)!.push(p99 as number)
        await done
      } finally {
        greedy.end()
        stop(running)
      }
    }
  }
  return found
}

/** How much longer than beside the baseline's, by rounds. */
export const unfairness = (own: readonly number[], base: readonly number[]): number =>
  median(own.map((p99, round) => p99 / base[round]!))
