// The benchmarks of gateways, and their tables.

import { median } from '../rounds.js'
import { buildNetrefServer, type Contest, measureContest, ratioOf } from './contest.js'
import { goRpcContest } from './go-rpc.js'
import { jsonRpcContest } from './json-rpc.js'
import { rpycContest } from './rpyc.js'
import { xmlRpcContest } from './xml-rpc.js'

const CONTESTS: readonly Contest[] = [rpycContest, jsonRpcContest, xmlRpcContest, goRpcContest]

/** Measures what can run here, and prints tables. @returns whether netref reaches all targets */
export async function reportContests(rounds: number, seconds: number): Promise<boolean> {
  buildNetrefServer()
  let isFast = true
  for (const contest of CONTESTS) {
    const { name } = contest
    const reason = contest.unavailable()
    if (reason) {
      console.log(`\nthe gateway for ${name} is left out: ${reason}`)
      continue
    }
    const results = await measureContest(contest, rounds, seconds)
    console.log(
      `\n| clients of ${name}, µs | its own server | netref | speed × (median of ${rounds} rounds) | target |`
    )
    console.log('| --- | --- | --- | --- | --- |')
    for (const result of results) {
      const { work, netref, other } = result
      const ratio = ratioOf(result)
      const isReached = ratio >= work.target
      const figures = [other, netref].map(series => Math.round(median(series)))
      const target = `≥ ${work.target} ${isReached ? '✓' : '✗'}`
      console.log(`| ${[work.name, ...figures, ratio.toFixed(2), target].join(' | ')} |`)
      isFast &&= isReached
    }
  }
  return isFast
}
