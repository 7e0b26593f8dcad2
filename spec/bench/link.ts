// `npm run bench:link`: what it costs that a session outlives its socket: frames kept and counted, against frames
// sent and forgotten (`resumeWindow: 0`), in turns, in two processes. At most 3 % of throughput at 100 in flight.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, Service, serve } from 'netref'

const ROUNDS = 15
const SECONDS = 0.8
const IN_FLIGHT = 100
const MOST = 0.03

class Calculator extends Service {
  exposed_add(a: number, b: number) {
    return a + b
  }
}

async function home(): Promise<void> {
  const servers = [30_000, 0].map(resumeWindow =>
    serve(Calculator, { port: 0, resumeWindow, busyPoll: true })
  )
  process.send!((await Promise.all(servers)).map(({ url }) => url))
  process.once('disconnect', () => process.exit())
}

type Add = { add(a: number, b: number): Promise<number> }

/** Calls in a second, with so many in flight. */
async function throughput(root: Add): Promise<number> {
  const end = performance.now() + SECONDS * 1000
  let calls = 0
  const lane = async () => {
    for (; performance.now() < end; calls++) await root.add(calls, 1)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
  return calls / SECONDS
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!

async function away(): Promise<void> {
  const child = fork(process.argv[1]!, ['home'])
  const [urls] = (await once(child, 'message')) as [[string, string]]
  const conns = urls.map(url => connect<object>(url, { busyPoll: true }))
  const roots = conns.map(conn => conn.root as unknown as Add)
  for (const root of roots) await throughput(root)
  const ratios: number[] = []
  const kept: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    // Who comes first changes, so that what drifts counts for both.
    const first = round % 2
    const measured = [0, 0]
    for (const i of [first, 1 - first]) measured[i] = await throughput(roots[i]!)
    kept.push(measured[0]!)
    ratios.push(measured[0]! / measured[1]!)
  }
  const cost = 1 - median(ratios)
  console.log(
    `${IN_FLIGHT} in flight, ${ROUNDS} rounds: ${Math.round(median(kept))} calls/s with frames kept; that costs ${(100 * cost).toFixed(1)} %`
  )
  if (cost > MOST) process.exitCode = 1
  for (const conn of conns) await conn.close()
  child.disconnect()
}

await (process.argv[2] === 'home' ? home() : away())
