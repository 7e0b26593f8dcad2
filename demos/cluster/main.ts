// `npm run demo:cluster`: three instances of the line counter on NATS. Every five seconds one of them is killed, and the
// counting goes on. `--gateway` puts a gateway between: WebSocket in front, NATS behind. `--seconds 30` ends it then.
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Connection, connect } from 'netref'
import { nats, type ServiceInstance } from 'netref/nats'
import type { LineCounter } from '../line-counter/line-counter.js'
import { bold, main } from '../terminal.js'
import { type CountLines, countAgainAndAgain, type Totals } from './counter.js'
import { Fleet } from './fleet.js'
import type { Gateway } from './gateway.js'
import { Screen, times } from './screen.js'

/** Number of clients that count at the same time. */
const CLIENTS = 3
const DRAW_MS = 500
const KILL_MS = 5000

await main(async () => {
  const { values } = parseArgs({
    options: { seconds: { type: 'string' }, gateway: { type: 'boolean', default: false } }
  })
  const stop = new AbortController()
  const { signal } = stop
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort())

  await using fleet = new Fleet()
  const { url, pid } = await fleet.startNats()
  const screen = new Screen()
  screen.event(`NATS at ${bold(url)}${pid ? `, process ${pid}` : ''}`)
  await using bus = nats(url)
  const find = async () => {
    const found: ServiceInstance[] = []
    for await (const instance of bus.find('LineCounter')) found.push(instance)
    return found
  }
  // Says so if NATS cannot be reached.
  await find()
  fleet.startInstances()
  const gatewayUrl = values.gateway ? await fleet.startGateway() : undefined
  if (gatewayUrl) screen.event(`a gateway at ${bold(gatewayUrl)}: its clients need no NATS`)
  while (!signal.aborted && (await find()).length === 0) await delay(100)

  const totals: Totals = { lines: 0, runs: 0, begunAgain: 0 }
  let killed = 0
  const describe = () =>
    `${totals.lines} lines in ${times(totals.runs, 'run')}; ` +
    `${times(killed, 'instance')} killed, ${times(totals.begunAgain, 'run')} begun again`

  const connections: Connection<unknown>[] = []
  const openClient = (): CountLines => {
    if (gatewayUrl) {
      const connection = connect<Gateway>(gatewayUrl)
      connections.push(connection)
      return (file, noisy) => connection.root.LineCounter.line_counter(file, noisy)
    }
    const connection = connect<LineCounter>(bus.service('LineCounter'), { renew: true })
    connections.push(connection)
    return (file, noisy) => connection.root.line_counter(file, noisy)
  }
  const clients = Array.from({ length: CLIENTS }, (_, i) =>
    countAgainAndAgain(openClient(), totals, signal, (ms, { code }) =>
      screen.event(`client ${i + 1} counts again after ${(ms / 1000).toFixed(2)} s (${code})`)
    )
  )
  const counting = Promise.all(clients)
  counting.catch(() => stop.abort())
  if (values.seconds) setTimeout(() => stop.abort(), Number(values.seconds) * 1000).unref()

  const known = new Set<string>()
  let killAt = performance.now() + KILL_MS
  for (; !signal.aborted; await delay(DRAW_MS, undefined, { signal }).catch(() => {})) {
    const found = await find()
    for (const { id, version, metadata } of found) {
      if (!known.has(id)) screen.event(`instance ${id} ${version} is there, in ${metadata.zone}`)
      known.add(id)
    }
    screen.draw(found, describe())
    // The one with the most sessions has most to lose.
    const [victim] = found.sort((a, b) => b.metrics.sessions - a.metrics.sessions)
    if (performance.now() < killAt || !victim || !fleet.kill(Number(victim.metadata.pid))) continue
    killAt += KILL_MS
    killed++
    screen.event(`instance ${victim.id} is killed, and with it ${times(victim.metrics.sessions, 'session')}`)
  }
  await Promise.all(connections.map(connection => connection.close()))
  await counting
  screen.end(`${describe()}.\nEach run was complete, and its lines came in order.`)
})
