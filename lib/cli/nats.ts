// Services on NATS in command lines: nats://localhost:4222/LineCounter.
import type { Bus, BusOptions, ServiceInstance } from '../adapters/nats.js'
import { redactCredentials, toPrintable } from '../util/printable.js'
import { checkUsage, EXIT, UsageError } from './command.js'
import { columns } from './help.js'
import { print, type Terminal } from './terminal.js'

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
  options?: Pick<BusOptions, 'onError'>
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

/** Prints the instances of all services. @returns the exit code */
export const printInstances = (address: NatsAddress, terminal: Terminal): Promise<number> =>
  withBus(address, async bus => {
    const instances: ServiceInstance[] = []
    /* c8 ignore start: it needs a NATS server; spec/adapters/nats/cli.spec.ts runs it. */
    for await (const instance of bus.find()) instances.push(instance)
    for (const line of instanceTable(instances)) await print(terminal, line)
    return EXIT.ok
  })
/* c8 ignore stop */

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
