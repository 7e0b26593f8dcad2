// Buses on a real nats-server for specs of sessions, and the checks at their end.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ConnectionOptions } from '@nats-io/transport-node'
import type { Test } from 'tap'
import { type Bus, type BusOptions, nats } from '../../lib/adapters/nats.js'
import type { Connection, Server } from '../../lib/index.js'
import { assertClean, CHILD_ENV, waitUntil } from './helpers.js'
import { type NatsServer, type NatsServerOptions, startNatsServer } from './nats-server.js'

export interface BusSetup {
  readonly server: NatsServer
  /** Creates a bus on the server. The end of the test closes it. A fault that it reports fails the test. */
  bus(options?: Partial<ConnectionOptions> & BusOptions): Bus
}

/** Starts a nats-server without JetStream. */
export async function startBuses(t: Test, options: NatsServerOptions = {}): Promise<BusSetup> {
  const server = await startNatsServer(t, { jetstream: false, ...options })
  return {
    server,
    bus({ onError = (error: unknown) => void t.fail(String(error)), inboxPrefix, ...connection } = {}) {
      const bus = nats({ servers: server.url, ...connection }, { onError, inboxPrefix })
      t.teardown(() => bus.close())
      return bus
    }
  }
}

/** Asserts that both ends are clean, then closes both. Nothing is left in the server. */
export async function endClean<T>(t: Test, conn: Connection<T>, ...servers: Server[]): Promise<void> {
  await assertClean(t, conn.session, ...servers.flatMap(({ sessions }) => [...sessions]))
  await conn.close()
  await waitUntil(() => servers.every(({ sessions }) => sessions.size === 0))
  await Promise.all(servers.map(server => server.close()))
}

/** An instance of `Works` in a process of its own. */
export interface InstanceProcess {
  readonly process: ChildProcess
  readonly id: string
  /** Sessions of it that were interrupted, so far. */
  readonly interruptions: readonly string[]
}

const PROGRAM = fileURLToPath(new URL('./fixtures/nats-instance.ts', import.meta.url))

/** Starts a process that serves `Works`. The end of the test kills it. */
export async function startInstance(
  t: Test,
  servers: readonly string[],
  env: Record<string, string> = {}
): Promise<InstanceProcess> {
  const child = fork(PROGRAM, servers, {
    env: { ...CHILD_ENV, ...env },
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc']
  })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = once(child, 'exit').then(() => Promise.reject(new Error('the instance ended')))
  const [{ url }] = (await Promise.race([once(child, 'message'), ended])) as [{ url: string }]
  ended.catch(() => {})
  const interruptions: string[] = []
  child.on('message', ({ interrupted }: { interrupted: string }) => interruptions.push(interrupted))
  return { process: child, id: url.split('/')[1]!, interruptions }
}
