// One side of a contestant, in a process of its own: `party.js NAME` does what it reads on stdin, line by line.
import { createInterface } from 'node:readline'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import type { Client, Contestant } from './contestants/contestant.js'
import { CONTESTANTS, type ContestantName } from './contestants/index.js'
import { checkDeeply, latency, rate, type WorkName } from './work.js'

declare const gc: () => void

/** What a party is asked; it answers `{ value }` or `{ error }`. */
export type Request =
  | { do: 'serve' }
  | { do: 'rss'; after: number }
  | { do: 'connect'; address: string }
  | { do: 'check' }
  | { do: 'rate'; work: WorkName; atOnce: number; ms: number }
  | { do: 'latency'; atOnce: number; ms: number; quantile: number }
  | { do: 'adds'; count: number; atOnce: number }
  | { do: 'connects'; ms: number }
  | { do: 'sessions'; count: number }
  | { do: 'hold'; what: 'imports' | 'exports' | 'pending'; count: number }

class Party {
  #client!: Client
  #address = ''
  readonly #idle: Client[] = []

  constructor(private readonly contestant: Contestant) {}

  async do(request: Request): Promise<unknown> {
    switch (request.do) {
      case 'serve':
        return this.contestant.serve()
      case 'rss':
        gc()
        await sleep(request.after)
        for (let i = 0; i < 3; i++) {
          gc()
          await turn()
        }
        return process.memoryUsage.rss()
      case 'connect':
        await this.#client?.close()
        this.#address = request.address
        this.#client = await this.contestant.connect(request.address)
        return
      case 'check':
        return checkDeeply(this.#client)
      case 'rate':
        return rate(this.#client, request.work, request.atOnce, request.ms)
      case 'latency':
        return latency(this.#client, request.atOnce, request.ms, request.quantile)
      case 'adds': {
        const each = Array.from({ length: request.atOnce })
        for (let left = request.count; left > 0; left -= request.atOnce) {
          await Promise.all(each.map(() => this.#client.add(12, 34)))
        }
        return
      }
      case 'connects':
        return this.#connects(request.ms)
      case 'sessions':
        while (this.#idle.length < request.count) {
          const client = await this.contestant.connect(this.#address)
          await client.add(1, 2)
          this.#idle.push(client)
        }
        return
      case 'hold': {
        const { what, count } = request
        return what === 'pending' ? this.#client.leavePending?.(count) : this.#client.hold?.(what, count)
      }
    }
  }

  /** How long it takes to connect and have the first answer, in µs. */
  async #connects(ms: number): Promise<number> {
    const times: number[] = []
    const began = performance.now()
    while (performance.now() - began < ms) {
      const start = performance.now()
      const client = await this.contestant.connect(this.#address)
      await client.add(1, 2)
      times.push(performance.now() - start)
      await client.close()
    }
    return times.sort((a, b) => a - b)[times.length >> 1]! * 1000
  }
}

const party = new Party(await CONTESTANTS[process.argv[2] as ContestantName]())
for await (const line of createInterface(process.stdin)) {
  const answer = await party.do(JSON.parse(line)).then(
    value => ({ value }),
    error => ({ error: String(error?.stack ?? error) })
  )
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
process.exit()
