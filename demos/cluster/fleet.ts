// The processes of the demo: a nats-server, three instances, each started again when it has ended, and a gateway if asked.
import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const ZONES = ['eu-1', 'eu-2', 'us-1']
/** How long an instance stays away before it is started again, in ms. */
const AWAY_MS = 1000

export class Fleet implements AsyncDisposable {
  readonly #processes = new Set<ChildProcess>()
  #natsUrl = process.env.NATS_URL
  #isEnding = false

  /** Starts a nats-server, unless there is one at NATS_URL. @throws Error that says what to install */
  async startNats(): Promise<{ readonly url: string; readonly pid?: number }> {
    if (this.#natsUrl) return { url: this.#natsUrl }
    if (spawnSync('nats-server', ['-v']).error)
      throw new Error(
        'nats-server is not installed. Debian: apt install nats-server; macOS: brew install nats-server. ' +
          'To use another server, set NATS_URL, such as nats://localhost:4222'
      )
    const [started] = await once(this.#start('nats-server.ts'), 'message')
    this.#natsUrl = started.url
    return started
  }

  startInstances(): void {
    for (const zone of ZONES) this.#startInstance(zone, 0)
  }

  #startInstance(zone: string, generation: number): void {
    this.#start('instance.ts', this.#natsUrl!, `1.0.${generation}`, zone).once('exit', () => {
      setTimeout(() => this.#isEnding || this.#startInstance(zone, generation + 1), AWAY_MS).unref()
    })
  }

  /** @returns the address of the gateway */
  async startGateway(): Promise<string> {
    const [url] = await once(this.#start('gateway.ts', this.#natsUrl!), 'message')
    return url
  }

  #start(program: string, ...args: string[]): ChildProcess {
    const child = fork(fileURLToPath(new URL(program, import.meta.url)), args)
    this.#processes.add(child)
    child.once('exit', () => this.#processes.delete(child))
    return child
  }

  /** Kills a process of the fleet, without a chance to say goodbye. @returns whether there is such a process */
  kill(pid: number): boolean {
    const child = [...this.#processes].find(child => child.pid === pid)
    return child?.kill('SIGKILL') ?? false
  }

  /** Ends all processes, the nats-server last. They end by themselves when this process has disconnected from them, or is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    for (const child of [...this.#processes].reverse()) {
      if (child.connected) child.disconnect()
      if (this.#processes.has(child)) await once(child, 'exit')
    }
  }
}
