// The runner's hold on a party: a process that does what it is asked, one request after the other.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Request } from './party.js'

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export class Side {
  readonly #process: ChildProcess
  readonly #lines: Interface
  #waiting: { resolve(line: string): void; reject(error: Error): void } | undefined

  constructor(
    readonly name: string,
    command: string,
    args: readonly string[],
    env = process.env
  ) {
    this.#process = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env })
    this.#process.once('exit', () => this.#waiting?.reject(new Error(`${name} ended`)))
    this.#lines = createInterface(this.#process.stdout!)
    this.#lines.on('line', line => this.#waiting?.resolve(line))
  }

  /** @throws Error with what went wrong there */
  async ask(request: Request): Promise<unknown> {
    const answer = new Promise<string>((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
    this.#process.stdin!.write(`${JSON.stringify(request)}\n`)
    const { value, error } = JSON.parse(await answer) as { value?: unknown; error?: string }
    if (error !== undefined) throw new Error(`${this.name}: ${error}`)
    return value ?? undefined
  }

  end(): void {
    this.#waiting = undefined
    this.#process.kill()
  }
}

/** A contestant as the runner sees it: how its processes are started. */
export interface Entrant {
  readonly name: string
  start(role: Role): Side
}

export type Role = 'server' | 'client'
type Command = [command: string, args: readonly string[]]

/** Whether processes can be bound to a core (Linux). */
export const BINDS = availableParallelism() > 1 && spawnSync('taskset', ['-V']).status === 0

/**
 * A command for a core of the role's own. Left alone, a system puts both sides on one core, or on two, as it happens,
 * and ratios change by a factor of three with that.
 */
const bound = (role: Role, command: string, args: readonly string[]): Command =>
  BINDS ? ['taskset', ['-c', role === 'server' ? '1' : '0', command, ...args]] : [command, args]

/** One that runs in Node. `build` is the folder of another build of netref. Comlink's server is a thread of its client. */
export const inNode = (name: string, contestant: string, build?: string): Entrant => ({
  name,
  start(role) {
    const env = build === undefined ? process.env : { ...process.env, NETREF_BUILD: build }
    const args = ['--expose-gc', file('dist/spec/bench/party.js'), contestant]
    const free: Command = [process.execPath, args]
    return new Side(name, ...(contestant === 'comlink' ? free : bound(role, ...free)), env)
  }
})

/** RPyC, with the first Python that has it. */
export const inPython = (name: string, python: string): Entrant => ({
  name,
  start: role => new Side(name, ...bound(role, python, [file('contestants/rpyc_party.py')]))
})
