// `npm run bench:nats`: calls over NATS beside those over WebSocket, with one instance and with two, and 5000 sessions that share
// one connection to NATS in each process. It needs Linux and nats-server.
//
//   -- --rounds 5          the number of rounds; 0 leaves out the calls
//   -- --seconds 0.2       the duration of each measurement
//   -- --sessions 5000     the number of sessions; 0 leaves them out
//   -- --against FOLDER    adds another build of netref (the folder of its index.js) over NATS
//   -- --check             fails if a lone call or 1000 in flight miss their targets, or if a session is lost
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'
import { CAN_PIN } from '../launch.js'
import { environment } from '../report.js'
import { compile } from '../set-up.js'
import { callTable, measureCalls, verdicts } from './calls.js'
import { type Crowd, crowdTable, measureCrowd } from './crowd.js'
import { planTable } from './plan.js'
import { transports } from './system.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '0.2' },
    sessions: { type: 'string', default: '5000' },
    against: { type: 'string' },
    check: { type: 'boolean', default: false }
  }
})
const [rounds, seconds, sessions] = [values.rounds, values.seconds, values.sessions].map(Number)

/** @param teardown takes what stops the nats-server @returns whether all targets are reached */
async function bench(teardown: (stop: () => unknown) => void): Promise<boolean> {
  compile()
  const server = await startNatsServer({ teardown }, { jetstream: false })
  const build = values.against && pathToFileURL(resolve(values.against, 'index.js')).href
  const all = transports(server, build)
  const pinned = CAN_PIN ? '; clients are pinned to core 0, and instances to core 1' : ''
  console.log(`${environment()}; one nats-server, loopback${pinned}`)
  let isFast = true
  if (rounds! > 0) {
    const rows = await measureCalls(all, { rounds: rounds!, ms: seconds! * 1000 })
    console.log(`\n${callTable(rows, all)}\n`)
    for (const { text, isReached } of verdicts(rows)) {
      console.log(`${text}: ${isReached ? 'reached' : 'MISSED'}`)
      isFast &&= isReached
    }
  }
  if (sessions! > 0) {
    const crowds: Crowd[] = []
    for (const transport of all) crowds.push(await measureCrowd(transport, sessions!))
    console.log(`\n${crowdTable(crowds)}`)
    console.log(`\n${planTable(crowds.find(({ name }) => name === 'NATS')!)}`)
    isFast &&= crowds.every(({ restart }) => !restart?.lost)
  }
  return isFast
}

const unavailable = process.platform === 'linux' ? skipWithoutNats : 'it reads /proc of Linux'
if (unavailable) console.log(`bench:nats is left out: ${unavailable}`)
else {
  const began = performance.now()
  const stops: (() => unknown)[] = []
  try {
    const isFast = await bench(stop => stops.push(stop))
    if (values.check && !isFast) process.exitCode = 1
  } finally {
    for (const stop of stops) await stop()
  }
  console.log(`\n${((performance.now() - began) / 1000).toFixed(0)} s`)
}
