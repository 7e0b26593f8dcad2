// `npm run bench:gateways`: clients of other systems with a gateway of netref, and with the server of their own system.
//
//   -- --rounds 15           the number of rounds
//   -- --seconds 0.3         the duration of each measurement
//   -- --check               fails if netref misses a target
import { parseArgs } from 'node:util'
import { median } from '../rounds.js'
import { type Contest, measureContest, ratioOf } from './contest.js'
import { rpycContest } from './rpyc.js'

const CONTESTS: readonly Contest[] = [rpycContest]

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '0.3' },
    check: { type: 'boolean', default: false }
  }
})
const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)]

for (const contest of CONTESTS) {
  const { name, unavailable } = contest
  const reason = unavailable()
  if (reason) {
    console.log(`${name} is left out: ${reason}`)
    continue
  }
  const results = await measureContest(contest, rounds, seconds)
  console.log(
    `\n| clients of ${name}, times a second | its own server | netref | × (median of ${rounds} rounds) | target |`
  )
  console.log('| --- | --- | --- | --- | --- |')
  for (const result of results) {
    const { work, netref, other } = result
    const ratio = ratioOf(result)
    const isReached = ratio >= work.target
    const figures = [other, netref].map(series => Math.round(median(series)))
    console.log(
      `| ${[work.name, ...figures, ratio.toFixed(2), `≥ ${work.target} ${isReached ? '✓' : '✗'}`].join(' | ')} |`
    )
    if (values.check && !isReached) process.exitCode = 1
  }
}
