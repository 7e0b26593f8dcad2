// Many sessions of one client process with one instance: their memory and CPU time, and what a restart of NATS costs them.
import { setTimeout as sleep } from 'node:timers/promises'
import { markdown } from './calls.js'
import { type Figures, minus, System, type Transport } from './system.js'

/** Sessions that come first, so that what is loaded once does not count. */
const FIRST = 100
const AT_ONCE = 100
/** How long sessions are idle before the memory is read, in ms. V8 shrinks a space of young objects only after a while. */
const SETTLE_MS = 2000
/** An interval of the heartbeat. */
const IDLE_MS = 15_000
/** Each session makes a call every two seconds. */
const BUSY_INTERVAL_MS = 2000
const BUSY_MS = 6000

/** What follows when the nats-server is killed and started again at once. */
interface Restart {
  /** Time until one call in each session is answered, in ms, and the CPU time of that, in µs. */
  readonly ms: number
  readonly cpu: Figures
  /** Number of sessions that are lost. */
  readonly lost: number
}

export interface Crowd {
  readonly name: string
  readonly sessions: number
  /** Time to open them, and to make a first call in each, in ms: 100 at a time. */
  readonly openMs: number
  /** Resident memory with the first 100 sessions, in bytes. */
  readonly base: Figures
  /** Resident memory and heap of a session, in bytes. */
  readonly memory: Figures
  readonly heap: Figures
  /** CPU time of all of them while idle, in µs for each second. */
  readonly idle: Figures
  /** CPU time of a call, while each session makes one every two seconds, in µs. */
  readonly call: Figures
  /** Time for one call in each session, all at the same time, in ms. */
  readonly callsMs: number
  /** Undefined over WebSocket. */
  readonly restart: Restart | undefined
}

export async function measureCrowd(transport: Transport, sessions: number): Promise<Crowd> {
  const system = await System.start(transport, 1)
  const { client } = system.pairs[0]!
  const callEach = async () => {
    const began = performance.now()
    const failed = (await client.ask({ do: 'call in each session' })) as number
    return { ms: performance.now() - began, failed }
  }
  const weigh = async () => ({ memory: await system.memory(SETTLE_MS), heap: await system.heap() })
  try {
    await client.ask({ do: 'sessions', count: FIRST, atOnce: AT_ONCE })
    const before = await weigh()
    const began = performance.now()
    await client.ask({ do: 'sessions', count: FIRST + sessions, atOnce: AT_ONCE })
    const openMs = performance.now() - began
    const after = await weigh()
    const forSession = (kind: 'memory' | 'heap') => share(minus(after[kind], before[kind]), sessions)
    const cpuBefore = await system.cpu()
    await sleep(IDLE_MS)
    const idle = share(minus(await system.cpu(), cpuBefore), IDLE_MS / 1000)
    const call = await busy(system, idle)
    const { ms: callsMs, failed } = await callEach()
    if (failed > 0) throw new Error(`${failed} of ${sessions} calls failed over ${transport.name}`)
    return {
      name: transport.name,
      sessions,
      openMs,
      base: before.memory,
      memory: forSession('memory'),
      heap: forSession('heap'),
      idle,
      call,
      callsMs,
      restart: system.server && (await restart(system, callEach))
    }
  } finally {
    system.stop()
  }
}

/** @param idle the CPU time of all sessions while idle, in µs for each second @returns what a call takes beyond it */
async function busy(system: System, idle: Figures): Promise<Figures> {
  const [before, began] = [await system.cpu(), performance.now()]
  const request = { do: 'busy sessions', ms: BUSY_MS, intervalMs: BUSY_INTERVAL_MS } as const
  const calls = (await system.pairs[0]!.client.ask(request)) as number
  const seconds = (performance.now() - began) / 1000
  const used = minus(await system.cpu(), before)
  return share(minus(used, share(idle, 1 / seconds)), calls)
}

async function restart(
  system: System,
  callEach: () => Promise<{ ms: number; failed: number }>
): Promise<Restart> {
  const before = await system.cpu()
  await system.server!.restart()
  const { ms, failed } = await callEach()
  const after = await system.cpu()
  // The CPU time of the server is that of its new process.
  return { ms, lost: failed, cpu: { ...minus(after, before), nats: after.nats } }
}

const share = ({ client, nats, instance }: Figures, by: number): Figures => ({
  client: client / by,
  nats: nats / by,
  instance: instance / by
})

export function crowdTable(crowds: readonly Crowd[]): string {
  const kilobytes = (bytes: number) => (Math.max(bytes, 0) / 1000).toFixed(1)
  const milliseconds = (us: number) => Math.round(us / 1000).toString()
  const roles = ({ name }: Crowd, figures: Figures, format: (figure: number) => string) =>
    (name === 'WebSocket'
      ? [figures.client, figures.instance]
      : [figures.client, figures.nats, figures.instance]
    )
      .map(format)
      .join(' + ')
  const rows: [string, (crowd: Crowd) => string][] = [
    ['time to open all, 100 at a time, ms', ({ openMs }) => Math.round(openMs).toString()],
    [
      `resident memory of a process with ${FIRST} sessions, MB`,
      crowd => roles(crowd, crowd.base, bytes => Math.round(bytes / 1e6).toString())
    ],
    ['resident memory of a session, kB', crowd => roles(crowd, crowd.memory, kilobytes)],
    ['… of which heap of Node, kB', crowd => roles(crowd, crowd.heap, kilobytes)],
    ['CPU of all of them while idle, ms for each second', crowd => roles(crowd, crowd.idle, milliseconds)],
    [
      'CPU of a call, while each makes one every two seconds, µs',
      crowd => roles(crowd, crowd.call, us => Math.round(us).toString())
    ],
    ['a call in each, at the same time, ms', ({ callsMs }) => Math.round(callsMs).toString()],
    [
      'nats-server killed and started again: a call in each is answered after, ms',
      ({ restart }) => (restart ? Math.round(restart.ms).toString() : '')
    ],
    ['… sessions lost', ({ restart }) => (restart ? `${restart.lost}` : '')],
    ['… CPU, ms', crowd => (crowd.restart ? roles(crowd, crowd.restart.cpu, milliseconds) : '')]
  ]
  const head = [`${crowds[0]!.sessions} sessions`, ...crowds.map(crowdHead)]
  return markdown(
    head,
    rows.map(([what, cell]) => [what, ...crowds.map(cell)])
  )
}

const crowdHead = ({ name }: Crowd) =>
  name === 'WebSocket' ? `${name}: client + instance` : `${name}: client + nats-server + instance`
