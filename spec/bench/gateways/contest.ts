// What the benchmarks of gateways have in common: clients of other systems, each with the netref server and with the server
// of its own system.

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { median } from '../rounds.js'

/** A work, and the least speed of netref as a ratio to that of the other server. */
export interface Work {
  readonly name: string
  readonly target: number
}

/** The clients of one system, which call the netref server and the server of their own system. */
export interface Contest {
  readonly name: string
  readonly works: readonly Work[]
  /** Why it cannot run here; false if it can. */
  unavailable(): string | false
  /** Starts both servers, and a client of each. */
  start(): Promise<{ readonly netref: Contestant; readonly other: Contestant; stop(): void }>
}

/** A client, connected to a server. */
export interface Contestant {
  /** @returns the median duration of the work in µs: a loaded machine delays some runs */
  measure(work: string, seconds: number): Promise<number>
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const SERVER = here('../dist/gateways-server.js')

/** Builds the netref server, with netref as its package is built. */
export function buildNetrefServer(): void {
  buildSync({
    entryPoints: [here('netref-server.ts')],
    outfile: SERVER,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external'
  })
}

type Program = ChildProcessByStdio<Writable, Readable, null>

/** A program that answers lines with lines. */
export class LineProgram {
  readonly #program: Program
  readonly #lines: AsyncIterator<string>

  constructor(command: string, args: readonly string[]) {
    this.#program = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface(this.#program.stdout)[Symbol.asyncIterator]()
  }

  async readLine(): Promise<string> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error(`${this.#program.spawnargs.join(' ')} has ended`)
    return value
  }

  ask(line: string): Promise<string> {
    this.#program.stdin.write(`${line}\n`)
    return this.readLine()
  }

  async stop(): Promise<void> {
    this.#program.kill()
    if (this.#program.exitCode === null && this.#program.signalCode === null)
      await once(this.#program, 'exit')
  }
}

/** A contestant in a program that reads `SECONDS WORK` and writes the median duration of the work in µs. */
export const inProgram = (program: LineProgram): Contestant => ({
  measure: async (work, seconds) => Number(await program.ask(`${seconds} ${work}`))
})

/** A program, and its arguments. */
export type Command = readonly [program: string, ...args: string[]]

/** Starts the netref server, another server, and a client of each. A server prints its port. */
export async function startContestants(
  otherServer: Command,
  client: (port: string) => Command
): ReturnType<Contest['start']> {
  const start = ([program, ...args]: Command) => new LineProgram(program, args)
  const servers = [start([process.execPath, SERVER]), start(otherServer)]
  const ports = await Promise.all(servers.map(server => server.readLine()))
  const [netref, other] = ports.map(port => start(client(port)))
  const stop = () => void Promise.all([netref!, other!, ...servers].map(program => program.stop()))
  return { netref: inProgram(netref!), other: inProgram(other!), stop }
}

/** As `startContestants`, with programs in Python. */
export const startInPython = (
  python: string,
  serverProgram: string,
  clientProgram: string
): ReturnType<Contest['start']> =>
  startContestants([python, here(serverProgram)], port => [python, here(clientProgram), port])

export interface Result {
  readonly work: Work
  /** Median durations in µs, by round. */
  readonly netref: readonly number[]
  readonly other: readonly number[]
}

/** The warm-up of each work, as a multiple of a measurement: engines compile what runs often. */
const WARM_UP = 8

/** Both take turns within a round. Round 0 is the warm-up. */
export async function measureContest(contest: Contest, rounds: number, seconds: number): Promise<Result[]> {
  const { netref, other, stop } = await contest.start()
  try {
    const results = contest.works.map(work => ({ work, netref: [] as number[], other: [] as number[] }))
    for (let round = 0; round <= rounds; round++)
      for (const { work, ...figures } of results)
        for (const [name, contestant] of [
          ['netref', netref],
          ['other', other]
        ] as const) {
          const figure = await contestant.measure(work.name, round === 0 ? WARM_UP * seconds : seconds)
          if (round > 0) figures[name].push(figure)
        }
    return results
  } finally {
    stop()
  }
}

/** The speed of netref as a ratio to that of the other server: the median of the rounds. */
export const ratioOf = ({ netref, other }: Result): number =>
  median(netref.map((figure, round) => other[round]! / figure))
