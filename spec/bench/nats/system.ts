// What is measured: netref over WebSocket, and over NATS. Clients, instances and the nats-server are processes of their own.
import type { Request } from '../contestant-process.js'
import { inNode, POSSIBLE_CORES, type RemoteProcess } from '../launch.js'
import { cpuMicroseconds, residentBytes } from './process-files.js'

/** An instance, and a client that has a session with it. */
export interface Pair {
  readonly client: RemoteProcess
  readonly instance: RemoteProcess
}

/** A figure of all clients, one of the nats-server, and one of all instances. Without NATS that is 0. */
export interface Figures {
  readonly client: number
  readonly nats: number
  readonly instance: number
}

export const combine = (a: Figures, b: Figures, each: (a: number, b: number) => number): Figures => ({
  client: each(a.client, b.client),
  nats: each(a.nats, b.nats),
  instance: each(a.instance, b.instance)
})
export const minus = (a: Figures, b: Figures) => combine(a, b, (a, b) => a - b)
export const plus = (a: Figures, b: Figures) => combine(a, b, (a, b) => a + b)

/** The nats-server, whose process may change. */
export interface NatsServer {
  readonly url: string
  readonly pid: number
  restart(): Promise<void>
}

/** Running pairs over one transport. */
export class System {
  private constructor(
    readonly name: string,
    readonly pairs: readonly Pair[],
    /** Undefined over WebSocket. */
    readonly server: NatsServer | undefined
  ) {}

  /** Starts pairs of a contestant. */
  static async start({ name, contestant, variables, server }: Transport, count: number): Promise<System> {
    const launcher = inNode(name, contestant, variables)
    const cores = POSSIBLE_CORES.at(-1)!
    const pairs: Pair[] = []
    for (let i = 0; i < count; i++) {
      const [instance, client] = [launcher.start('server', cores), launcher.start('client', cores)]
      pairs.push({ instance, client })
      await client.ask({ do: 'connect', address: (await instance.ask({ do: 'serve' })) as string })
      await client.ask({ do: 'check', payloads: [] })
    }
    return new System(name, pairs, server)
  }

  async #figures(request: Request, ofServer: (pid: number) => number): Promise<Figures> {
    const total = async (role: keyof Pair) => {
      const all = (await Promise.all(this.pairs.map(pair => pair[role].ask(request)))) as number[]
      return all.reduce((sum, one) => sum + one, 0)
    }
    const [client, instance] = await Promise.all([total('client'), total('instance')])
    return { client, nats: this.server ? ofServer(this.server.pid) : 0, instance }
  }

  /** CPU time so far, in µs. */
  cpu(): Promise<Figures> {
    return this.#figures({ do: 'cpu' }, cpuMicroseconds)
  }

  /** Resident memory after so many ms and garbage collection, in bytes. */
  memory(afterMs: number): Promise<Figures> {
    return this.#figures({ do: 'memory', after: afterMs }, residentBytes)
  }

  /** Heaps of Node after garbage collection, in bytes. */
  heap(): Promise<Figures> {
    return this.#figures({ do: 'heap' }, () => 0)
  }

  stop(): void {
    for (const { client, instance } of this.pairs) {
      client.end()
      instance.end()
    }
  }
}

/** How netref is carried. */
export interface Transport {
  readonly name: string
  readonly contestant: string
  /** Variables of the environment of its processes. */
  readonly variables: NodeJS.ProcessEnv
  /** Undefined over WebSocket. */
  readonly server: NatsServer | undefined
}

/** WebSocket first, then NATS. `build` is the address of another build's index.js, which NATS carries, too. */
export function transports(server: NatsServer, build: string | undefined): Transport[] {
  const contestant = 'netref over NATS'
  const variables = { NETREF_NATS: server.url }
  return [
    { name: 'WebSocket', contestant: 'netref', variables: {}, server: undefined },
    { name: 'NATS', contestant, variables, server },
    ...(build === undefined
      ? []
      : [{ name: 'NATS, other build', contestant, variables: { ...variables, NETREF_BUILD: build }, server }])
  ]
}
