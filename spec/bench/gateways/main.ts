// `npm run bench:gateways`: clients of other systems with a gateway of netref, and with the server of their own system.
//
//   -- --rounds 15           the number of rounds
//   -- --seconds 0.3         the duration of each measurement
//   -- --check               fails if netref misses a target
import { parseArgs } from 'node:util'
import { reportContests } from './contests.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '0.3' },
    check: { type: 'boolean', default: false }
  }
})
const isFast = await reportContests(Number(values.rounds), Number(values.seconds))
if (values.check && !isFast) process.exitCode = 1
