// Finds the instances of services by the discovery of NATS's micro services (ADR-32).
import type { NatsConnection } from '@nats-io/transport-node'
import { NetrefError } from '../../../errors.js'
import type { ServerMetrics } from '../../../index.js'
import type { BusConnection } from '../bus-connection.js'
import { isName, serviceSubject } from '../subjects.js'
import { ENDPOINT_NAME, STATS_TYPE } from './announcement.js'
import { isMetadata, isVersion } from './service-facts.js'

/** The metrics of an instance, as `server.metrics` has them. */
export type InstanceMetrics = Omit<ServerMetrics, 'gateways'>

/** An instance of a service: a process that serves it at present. */
export interface ServiceInstance {
  /** Name of the service. */
  readonly name: string
  /** Name of the instance: no other has it. */
  readonly id: string
  /** Version of the service, as SemVer has it. */
  readonly version: string
  /** What the service does. */
  readonly description: string | undefined
  /** Facts such as its zone. */
  readonly metadata: Readonly<Record<string, string>>
  /** The metrics of its server. Those that its version of netref does not have are 0. */
  readonly metrics: InstanceMetrics
}

/** How long answers are awaited, in ms. */
const ANSWERS_MS = 300
/** Most answers that are read, so that no peer fills the memory. */
const MAX_ANSWERS = 4096
const MAX_ANSWER_BYTES = 65_536

/**
 * Yields each instance that answers in time, once. What is no answer of a service of netref is skipped.
 *
 * @param name of the service. Without it, all services of netref are found
 * @throws NetrefError `unreachable` without NATS, and `unauthorized` if NATS allows no request
 */
export async function* find(bus: BusConnection, name?: string): AsyncGenerator<ServiceInstance, void> {
  const connection = await bus.open()
  let isReached = bus.connected !== undefined
  const removeListener = bus.events.on('disconnected', () => {
    isReached = false
  })
  try {
    if (isReached) yield* findOn(connection, name)
  } catch (error) {
    // A closed bus says so.
    await bus.open()
    throw error
  } finally {
    removeListener()
  }
  // Answers may have been lost.
  if (!isReached) throw new NetrefError('unreachable', 'bus.find: NATS is not reached at present; try again')
}

async function* findOn(connection: NatsConnection, name?: string): AsyncGenerator<ServiceInstance, void> {
  const ids = new Set<string>()
  for await (const answer of requestStats(connection, name)) {
    const instance = parseAnswer(answer)
    if (!instance || (name !== undefined && instance.name !== name)) continue
    const id = `${instance.name}.${instance.id}`
    if (!ids.has(id)) yield instance
    ids.add(id)
  }
}

/** All that `find` yields. */
export async function findInstances(bus: BusConnection, name: string): Promise<ServiceInstance[]> {
  const instances: ServiceInstance[] = []
  for await (const instance of find(bus, name)) instances.push(instance)
  return instances
}

/** The answers to STATS; none, and at once, if NATS knows that nobody listens. */
async function* requestStats(connection: NatsConnection, name?: string): AsyncGenerator<Uint8Array> {
  const subject = name === undefined ? '$SRV.STATS' : `$SRV.STATS.${name}`
  const options = { strategy: 'count', maxMessages: MAX_ANSWERS, maxWait: ANSWERS_MS } as const
  try {
    for await (const { data } of await connection.requestMany(subject, '', options)) yield data
  } catch (error) {
    // By name: the connection may be of another copy of NATS's package.
    const { name, message } = error as Error
    if (name === 'NoResponders') return
    const code = name === 'PermissionViolationError' ? 'unauthorized' : 'unreachable'
    throw new NetrefError(code, `bus.find: ${message}`, { cause: error })
  }
}

/** The instance that answered; undefined if it is malformed, or no service of netref. */
function parseAnswer(data: Uint8Array): ServiceInstance | undefined {
  const answer = data.length <= MAX_ANSWER_BYTES && parseRecord(data)
  if (!answer || answer.type !== STATS_TYPE) return undefined
  const { name, id, version, description, metadata, endpoints } = answer
  if (!isName(name) || !isName(id) || !isVersion(version) || !isMetadata(metadata)) return undefined
  if (description !== undefined && typeof description !== 'string') return undefined
  const metrics = parseMetrics(endpointData(endpoints, serviceSubject(name)))
  return metrics && { name, id, version, description, metadata, metrics }
}

function parseRecord(data: Uint8Array): Record<string, unknown> | undefined {
  try {
    return Object(JSON.parse(new TextDecoder().decode(data)))
  } catch {
    return undefined
  }
}

/** The data of the endpoint at which clients dial. A service without it is none of netref. */
function endpointData(endpoints: unknown, subject: string): unknown {
  const list: readonly unknown[] = Array.isArray(endpoints) ? endpoints : []
  const endpoint = (list as readonly Readonly<Record<string, unknown>>[]).find(
    one => one?.name === ENDPOINT_NAME && one.subject === subject
  )
  return endpoint?.data
}

const NO_METRICS: InstanceMetrics = {
  sessions: 0,
  sessionsTotal: 0,
  sessionsInterrupted: 0,
  sessionsResumed: 0,
  arriving: 0,
  clientsRefused: 0,
  exports: 0,
  imports: 0,
  pending: 0,
  buffered: 0,
  callsIn: 0,
  callsOut: 0,
  callsFailed: 0,
  framesIn: 0,
  framesOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  uptime: 0
}

/** The known metrics; undefined if one is no number of at least 0. */
function parseMetrics(data: unknown): InstanceMetrics | undefined {
  if (typeof data !== 'object' || data === null) return undefined
  const given = Object.entries(data).filter(([name]) => Object.hasOwn(NO_METRICS, name))
  return given.every(([, value]) => Number.isFinite(value) && value >= 0)
    ? { ...NO_METRICS, ...Object.fromEntries(given) }
    : undefined
}
