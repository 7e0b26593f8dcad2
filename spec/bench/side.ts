// The runner's hold on a party: a process that does what it is asked, one request after the other.
import { type ChildProcess, spawn } from 'node:child_process'
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
  start(): Side
}

/** One that runs in Node. `build` is the folder of another build of netref. */
export const inNode = (name: string, contestant: string, build?: string): Entrant => ({
  name,
  start() {
    const env = build === undefined ? process.env : { ...process.env, NETREF_BUILD: build }
    return new Side(
      name,
      process.execPath,
      ['--expose-gc', file('dist/spec/bench/party.js'), contestant],
      env
    )
  }
})

/** RPyC, with the first Python that has it. */
export const inPython = (name: string, python: string): Entrant => ({
  name,
  start: () => new Side(name, python, [file('contestants/rpyc_party.py')])
})
