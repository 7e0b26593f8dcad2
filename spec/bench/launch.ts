// Starts the processes of a contestant, pins them to cores, and asks them to work, one request after the other.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Request } from './contestant-process.js'

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export class RemoteProcess {
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

  /** @throws Error with what went wrong in the process */
  async ask(request: Request): Promise<unknown> {
    const reply = new Promise<string>((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
    this.#process.stdin!.write(`${JSON.stringify(request)}\n`)
    const { value, error } = JSON.parse(await reply) as { value?: unknown; error?: string }
    if (error !== undefined) throw new Error(`${this.name}: ${error}`)
    return value ?? undefined
  }

  end(): void {
    this.#waiting = undefined
    this.#process.kill()
  }
}

/** How many cores server and client have: both share core 0, or each has its own. */
export type Cores = 1 | 2
export type Role = 'server' | 'client'

const SEVERAL = availableParallelism() > 1
/** Whether processes can be pinned to cores (Linux). */
export const CAN_PIN = SEVERAL && spawnSync('taskset', ['-V']).status === 0
/** What can be measured here. Without `taskset` the system places the processes, which may change ratios threefold. */
export const POSSIBLE_CORES: readonly Cores[] = CAN_PIN ? [1, 2] : SEVERAL ? [2] : [1]

/** Where the processes run, in words. */
export const placement = (cores: Cores): string =>
  cores === 1
    ? `one core: ${SEVERAL ? 'server and client are pinned to core 0' : 'the machine has one core'}`
    : `two cores: ${CAN_PIN ? 'the server is pinned to core 1, the client to core 0' : 'nothing is pinned, because taskset is missing'}`

/** How to start the processes of a contestant. */
export interface Launcher {
  readonly name: string
  start(role: Role, cores: Cores): RemoteProcess
}

type Command = [command: string, ...args: string[]]

function pinned(core: string, command: Command): Command {
  return CAN_PIN ? ['taskset', '-c', core, ...command] : command
}
const coreOf = (role: Role, cores: Cores) => (cores === 2 && role === 'server' ? '1' : '0')

/** A contestant in Node, with further variables of its environment. `NETREF_BUILD` is the address of another build's index.js. */
export const inNode = (name: string, contestant: string, variables: NodeJS.ProcessEnv = {}): Launcher => ({
  name,
  start(role, cores) {
    const program = file('dist/spec/bench/contestant-process.js')
    // Comlink's server is a thread of the client process, so that process has both cores.
    const core = contestant === 'comlink' && cores === 2 ? '0,1' : coreOf(role, cores)
    const [command, ...args] = pinned(core, [process.execPath, '--expose-gc', program, contestant])
    return new RemoteProcess(name, command, args, { ...process.env, ...variables })
  }
})

/** RPyC, with the first Python that has it. */
export const inPython = (name: string, python: string): Launcher => ({
  name,
  start(role, cores) {
    const [command, ...args] = pinned(coreOf(role, cores), [python, file('contestants/rpyc_process.py')])
    return new RemoteProcess(name, command, args)
  }
})
