// `npm run bench:crowd`: how long a lone call takes beside 5 000 busy sessions, at netref and at raw-ws, in turns. Each
// session makes one call every two seconds, or has one call in flight all the time. The server has core 1; the client processes
// and the lone callers have core 0. It ends with code 1 if netref's 99th percentile is over the target.
//
//   -- --sessions 500  fewer sessions
//   -- --rounds 1      fewer rounds
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { inNode, type Launcher, POSSIBLE_CORES, placement, type RemoteProcess } from './launch.js'
import { environment } from './report.js'
import { median } from './rounds.js'
import { compile } from './set-up.js'

const { values } = parseArgs({
  options: { sessions: { type: 'string', default: '5000' }, rounds: { type: 'string', default: '3' } }
})
const SESSIONS = Number(values.sessions)
const ROUNDS = Number(values.rounds)
const CLIENT_PROCESSES = 4
/** Each has a session of its own, and makes one call at a time. */
const LONE_CALLERS = 10
const WARM_UP_MS = 3000
const MEASURE_MS = 10_000
/** The most that netref's 99th percentile may be, as a ratio to that of raw-ws under the same load. */
const MOST = 3
/** Descriptors of a process beside its sockets. */
const OTHER_DESCRIPTORS = 100

const LOADS = [
  { what: 'one call every two seconds each', intervalMs: 2000 },
  { what: 'one call in flight each', intervalMs: 0 }
]

const cores = POSSIBLE_CORES.at(-1)!

interface Crowd {
  readonly server: RemoteProcess
  readonly clients: readonly RemoteProcess[]
  /** The process of the lone callers. */
  readonly lone: RemoteProcess
}

/** The hard limit of open files, to which Node raises its soft limit. */
function openFiles(): number {
  const limit = String(spawnSync('sh', ['-c', 'ulimit -Hn']).stdout).trim()
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit)
}

async function gather(launcher: Launcher): Promise<Crowd> {
  const start = (role: 'server' | 'client') => launcher.start(role, cores)
  const server = start('server')
  const address = (await server.ask({ do: 'serve' })) as string
  const clients = Array.from({ length: CLIENT_PROCESSES }, () => start('client'))
  const lone = start('client')
  const counts = clients.map((_, i) =>
    Math.floor(SESSIONS / CLIENT_PROCESSES + (i < SESSIONS % CLIENT_PROCESSES ? 1 : 0))
  )
  const join = async (client: RemoteProcess, count: number) => {
    await client.ask({ do: 'connect', address })
    await client.ask({ do: 'sessions', count })
  }
  await Promise.all([...clients.map((client, i) => join(client, counts[i]!)), join(lone, LONE_CALLERS)])
  return { server, clients, lone }
}

/** @returns the 99th percentile of lone calls, in µs, and how many calls a second the crowd made */
async function measure(
  { clients, lone }: Crowd,
  intervalMs: number
): Promise<{ p99: number; callsPerSecond: number }> {
  const ms = WARM_UP_MS + MEASURE_MS
  const calls = Promise.all(clients.map(client => client.ask({ do: 'busy sessions', ms, intervalMs })))
  const latency = (ms: number) =>
    lone.ask({ do: 'latency', lanes: LONE_CALLERS, of: 'sessions', ms, quantile: 0.99 })
  await latency(WARM_UP_MS)
  const p99 = (await latency(MEASURE_MS)) as number
  const total = ((await calls) as number[]).reduce((sum, calls) => sum + calls, 0)
  return { p99, callsPerSecond: (total * 1000) / ms }
}

const limit = openFiles()
const needed = SESSIONS + LONE_CALLERS + OTHER_DESCRIPTORS
if (limit < needed) {
  console.error(`crowd: ${needed} open files are needed, and the hard limit is ${limit}; raise ulimit -n`)
  process.exit(1)
}
compile()
console.log(
  `${environment()}; ${placement(cores)}\n${SESSIONS} sessions from ${CLIENT_PROCESSES} processes over loopback, ${LONE_CALLERS} lone callers; ulimit -n ${limit}; ${ROUNDS} rounds of ${MEASURE_MS / 1000} s after ${WARM_UP_MS / 1000} s of warm-up`
)
const began = performance.now()
const launchers = ['raw-ws', 'netref'].map(name => inNode(name, name))
const found = LOADS.map(() => launchers.map((): { p99: number; callsPerSecond: number }[] => []))
for (let round = 0; round < ROUNDS; round++) {
  for (const [l, launcher] of launchers.entries()) {
    const crowd = await gather(launcher)
    try {
      for (const [i, { intervalMs }] of LOADS.entries()) found[i]![l]!.push(await measure(crowd, intervalMs))
    } finally {
      for (const member of [crowd.server, crowd.lone, ...crowd.clients]) member.end()
    }
  }
}

const range = (values: readonly number[], digits: number) =>
  `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`
for (const [i, { what }] of LOADS.entries()) {
  const [raw, netref] = found[i]!
  const ratios = netref!.map(({ p99 }, round) => p99 / raw![round]!.p99)
  const isFine = median(ratios) <= MOST
  console.log(`\n${what}`)
  for (const [l, { name }] of launchers.entries()) {
    const own = found[i]![l]!
    const ms = own.map(({ p99 }) => p99 / 1000)
    console.log(
      `  ${name.padEnd(7)} p99 of a lone call ${range(ms, 1)} ms; the sessions made ${range(
        own.map(({ callsPerSecond }) => callsPerSecond),
        0
      )} calls a second`
    )
  }
  console.log(
    `  netref is at ×${range(ratios, 2)} of raw-ws, at most ×${MOST}: ${isFine ? 'reached' : 'MISSED'}`
  )
  if (!isFine) process.exitCode = 1
}
console.log(`\n${((performance.now() - began) / 1000).toFixed(0)} s`)
