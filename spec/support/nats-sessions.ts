// Buses on a real nats-server for specs of sessions, and the checks at their end.
import type { ConnectionOptions } from '@nats-io/transport-node'
import type { Test } from 'tap'
import { type Bus, type BusOptions, nats } from '../../lib/adapters/nats.js'
import type { Connection, Server } from '../../lib/index.js'
import { assertClean, waitUntil } from './helpers.js'
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
