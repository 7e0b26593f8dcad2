// Services on NATS in command lines: nats://localhost:4222/LineCounter.
import type { Bus, BusOptions, ServiceInstance } from '../adapters/nats.js'
import { redactCredentials, toPrintable } from '../util/printable.js'
import { checkUsage, UsageError } from './command.js'
import { columns } from './help.js'

/** An address on NATS. */
export interface NatsAddress {
  /** Address of the NATS server. */
  readonly server: string
  /** Name of the service; empty if the address has none. */
  readonly name: string
}

const ADDRESS = /^((?:nats|tls):\/\/[^/]*)\/?(.*)$/is

/** @returns undefined if it is no address on NATS */
export function parseNatsAddress(address: string): NatsAddress | undefined {
  const [, server, name] = ADDRESS.exec(address) ?? []
  return server === undefined ? undefined : { server, name: name! }
}

/** @throws UsageError if the address names no service */
export function requireServiceName({ server, name }: NatsAddress): string {
  if (name !== '') return name
  const address = redactCredentials(server)
  throw new UsageError(`${address} names no service; add its name, as in ${address}/LineCounter`)
}

/** Runs `use` with a bus, and closes it. @throws UsageError for an invalid address */
export async function withBus<T>(
  { server }: NatsAddress,
  use: (bus: Bus) => Promise<T>,
  options?: BusOptions
): Promise<T> {
  // Loaded when it is used: users install the package of NATS.
  const { nats } = await import('../adapters/nats.js')
  const bus = checkUsage(() => nats(server, options))
  try {
    return await use(bus)
  } finally {
    await bus.close()
  }
}

/** The instances of all services, as a table. */
export const listInstances = (address: NatsAddress): Promise<string[]> =>
  withBus(address, async bus => {
    const instances: ServiceInstance[] = []
    /* c8 ignore next: spec/adapters/nats/cli.spec.ts runs it. */
    for await (const instance of bus.find()) instances.push(instance)
    return instanceTable(instances)
  })

/** A line for each instance: its service, its id, version, sessions, metadata and description. */
export function instanceTable(instances: readonly ServiceInstance[]): string[] {
  const rows = instances.map(({ name, id, version, description = '', metadata, metrics }) => [
    name,
    id,
    version,
    metrics.sessions === 1 ? '1 session' : `${metrics.sessions} sessions`,
    Object.entries(metadata)
      .map(([key, value]) => `${key}=${value}`)
      .join(' '),
    description
  ])
  rows.sort(([name, id], [otherName, otherId]) => (`${name} ${id}` < `${otherName} ${otherId}` ? -1 : 1))
  return columns(
    rows.map(row => row.map(cell => toPrintable(cell))),
    ''
  )
}
