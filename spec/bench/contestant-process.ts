// The program of a server or client process: `contestant-process.js NAME` does what it reads on stdin, line by line.
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { type Client, type Contestant, each } from './contestants/contestant.js'
import { CONTESTANTS, ON_NATS } from './contestants/index.js'
import { checkDeeply, keepBusy, latency, type PayloadName, repeat, type WorkName } from './work.js'

declare const gc: () => void

/** What the runner asks of a process, which replies `{ value }` or `{ error }`. */
export type Request =
  | { do: 'serve' }
  /** The CPU time of the process so far, in µs, from the operating system. */
  | { do: 'cpu' }
  /** The resident memory after so many ms and garbage collection, in bytes. */
  | { do: 'memory'; after: number }
  /** The used heap after garbage collection, in bytes. */
  | { do: 'heap' }
  | { do: 'connect'; address: string }
  | { do: 'check'; payloads: readonly PayloadName[] }
  | { do: 'work'; work: WorkName; inFlight: number; ms: number }
  | { do: 'latency'; lanes: number; of: 'client' | 'sessions'; ms: number; quantile: number }
  | { do: 'adds'; count: number; inFlight: number }
  | { do: 'connects'; ms: number }
  /** Opens further sessions until there are so many, `atOnce` at a time: one unless told. */
  | { do: 'sessions'; count: number; atOnce?: number }
  /** Makes one call in each session at the same time. The reply is the number of those that failed. */
  | { do: 'call in each session' }
  | { do: 'busy sessions'; ms: number; intervalMs: number }
  | { do: 'hold'; what: 'imports' | 'exports' | 'pending'; count: number }

class ContestantProcess {
  #client!: Client
  #address = ''
  readonly #sessions: Client[] = []

  constructor(private readonly contestant: Contestant) {}

  async do(request: Request): Promise<unknown> {
    switch (request.do) {
      case 'serve':
        return this.contestant.serve()
      case 'cpu': {
        const { user, system } = process.cpuUsage()
        return user + system
      }
      case 'memory':
        gc()
        await sleep(request.after)
        for (let i = 0; i < 3; i++) {
          gc()
          await turn()
        }
        return residentBytes()
      case 'heap':
        gc()
        return process.memoryUsage().heapUsed
      case 'connect':
        await this.#client?.close()
        this.#address = request.address
        this.#client = await this.contestant.connect(request.address)
        return
      case 'check':
        return checkDeeply(this.#client, request.payloads)
      case 'work':
        return repeat(this.#client, request.work, request.inFlight, request.ms)
      case 'latency': {
        const clients = request.of === 'client' ? [this.#client] : this.#sessions
        return latency(clients, request.lanes, request.ms, request.quantile)
      }
      case 'adds': {
        const each = Array.from({ length: request.inFlight })
        for (let left = request.count; left > 0; left -= request.inFlight) {
          await Promise.all(each.map(() => this.#client.add(12, 34)))
        }
        return
      }
      case 'connects':
        return this.#connects(request.ms)
      case 'sessions':
        await each(request.count - this.#sessions.length, request.atOnce ?? 1, async () => {
          const client = await this.contestant.connect(this.#address)
          await client.add(1, 2)
          this.#sessions.push(client)
        })
        return
      case 'call in each session': {
        const calls = await Promise.allSettled(this.#sessions.map((client, i) => client.add(i, 1)))
        return calls.filter(({ status }) => status === 'rejected').length
      }
      case 'busy sessions':
        return keepBusy(this.#sessions, request.ms, request.intervalMs)
      case 'hold': {
        const { what, count } = request
        return what === 'pending' ? this.#client.leavePending?.(count) : this.#client.hold?.(what, count)
      }
    }
  }

  /** The median time to connect and receive the first reply, in µs. */
  async #connects(ms: number): Promise<number> {
    const times: number[] = []
    const start = performance.now()
    while (performance.now() - start < ms) {
      const began = performance.now()
      const client = await this.contestant.connect(this.#address)
      await client.add(1, 2)
      times.push(performance.now() - began)
      await client.close()
    }
    return times.sort((a, b) => a - b)[times.length >> 1]! * 1000
  }
}

/** Without mapped files, where the system tells (Linux): their pages come and go whatever the process does. */
async function residentBytes(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]
  return kilobytes === undefined ? process.memoryUsage.rss() : Number(kilobytes) * 1024
}

const contestant = new ContestantProcess(
  await { ...CONTESTANTS, ...ON_NATS }[process.argv[2] as keyof typeof CONTESTANTS | keyof typeof ON_NATS]()
)
for await (const line of createInterface(process.stdin)) {
  const reply = await contestant.do(JSON.parse(line)).then(
    value => ({ value }),
    error => ({ error: String(error?.stack ?? error) })
  )
  process.stdout.write(`${JSON.stringify(reply)}\n`)
}
process.exit()
