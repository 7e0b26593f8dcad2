// Defines `nats`, which creates a bus: services found by name, queues and topics over one connection to NATS.
import type { ConnectionOptions, NatsConnection } from '@nats-io/transport-node'
import type { IdempotencyStore } from '../../index.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { describeValue } from '../../util/describe.js'
import { runHook } from '../../util/emitter.js'
import { toPrintable } from '../../util/printable.js'
import { parseAddress } from './address.js'
import { BusConnection } from './bus-connection.js'
import { find, type ServiceInstance } from './discovery/find.js'
import { type BusIdempotencyOptions, BusIdempotencyStore } from './jetstream/idempotency-store.js'
import { loadTransport } from './packages.js'
import { Queue } from './queue/queue.js'
import type { QueueOptions } from './queue/queue-storage.js'
import { ServiceEndpoint, type ServiceOptions } from './sessions/service.js'
import { TransportTable } from './sessions/transport-table.js'
import { checkInboxPrefix, checkName } from './subjects.js'
import { Topic, type TopicOptions } from './topics/topic.js'

/** Options of `nats`. */
export interface BusOptions {
  /**
   * First part of the subjects at which this process receives. NATS may allow them to its user alone. If you pass a
   * connection, state that of the connection.
   *
   * @default that of the options of the connection, or '_INBOX'
   */
  readonly inboxPrefix?: string | undefined
  /** Called with each failure that no code awaits. @default logs one line with `console.error` */
  readonly onError?: ((error: unknown) => void) | undefined
}

const BUS_OPTIONS: OptionTypes<BusOptions> = { inboxPrefix: 'a string', onError: 'a function' }

/**
 * A bus: what one connection to NATS carries. `nats` creates it.
 *
 * @example
 * await using bus = nats('nats://localhost:4222')
 */
export class Bus {
  /** @internal */
  readonly connection: BusConnection
  readonly #transports: TransportTable

  /** @internal */
  constructor(
    target: ConnectionOptions | NatsConnection,
    {
      onError = logError,
      inboxPrefix = ('inboxPrefix' in target ? target.inboxPrefix : undefined) ?? '_INBOX'
    }: BusOptions
  ) {
    this.connection = new BusConnection(target, error => void runHook(() => onError(error), logError))
    this.#transports = new TransportTable(this.connection, checkInboxPrefix(inboxPrefix))
  }

  /**
   * A service on the bus, by its name. `serve` adds an instance of it, and `connect` opens a session with one.
   *
   * @throws TypeError for an invalid name or option
   * @example
   * await serve(LineCounter, { endpoint: bus.service('LineCounter', { version: '1.2.0' }) })
   * const conn = connect<LineCounter>(bus.service('LineCounter'), { renew: true })
   */
  service(name: string, options: ServiceOptions = {}): ServiceEndpoint {
    return new ServiceEndpoint(this.#transports, name, options)
  }

  /**
   * Finds the instances of services: whoever answers within 300 ms. Where no service of netref is, this is known at once.
   *
   * @param name of the service. Without it, all services of netref are found
   * @throws TypeError for an invalid name
   * @throws NetrefError at the first read: `unreachable` without NATS, and `unauthorized` if NATS allows no request
   * @example
   * for await (const { id, version, metrics } of bus.find('LineCounter')) console.log(id, version, metrics.sessions)
   */
  find(name?: string): AsyncIterable<ServiceInstance> {
    return find(this.connection, name === undefined ? undefined : checkName('bus.find', name))
  }

  /**
   * A topic: whoever subscribes gets each value that anybody publishes from then on, and the latest one before if it is kept.
   *
   * @throws TypeError for an invalid name or option, and Error if `keep` needs a package that is not installed
   * @example
   * const prices = bus.topic<{ symbol: string; price: number }>('prices')
   * await prices.publish({ symbol: 'X', price: 41 })
   */
  topic<T>(name: string, options: TopicOptions = {}): Topic<T> {
    return new Topic(this.connection, checkName('bus.topic', name), options)
  }

  /**
   * A queue of calls, which workers run: once each, also if workers, or NATS, are killed. It needs JetStream, and the packages
   * `@nats-io/jetstream` and `@nats-io/kv`. Its streams are created at the first use.
   *
   * @throws TypeError and RangeError for an invalid name or option
   * @example
   * const mail = bus.queue<Mailer>('mail')
   * await mail.call.send({ to: 'ada@example.com' })
   */
  queue<T extends object>(name: string, options: QueueOptions = {}): Queue<T> {
    return new Queue(this.connection, checkName('bus.queue', name), options)
  }

  /**
   * A store for the outcomes of calls with an idempotency key, which all servers of a service may share: also if a client comes
   * back to another server, its call does not run again. It needs JetStream, and the packages `@nats-io/jetstream` and
   * `@nats-io/kv`. Its bucket is created at the first use.
   *
   * @throws TypeError and RangeError for an invalid name or option
   * @example
   * const server = await serve(Shop, { authenticate, idempotencyStore: bus.idempotencyStore('shop') })
   */
  idempotencyStore(name: string, options: BusIdempotencyOptions = {}): IdempotencyStore {
    return new BusIdempotencyStore(this.connection, checkName('bus.idempotencyStore', name), options)
  }

  /** Closes the bus and its connection. A connection that was passed to `nats` stays open. */
  close(): Promise<void> {
    return this.connection.close()
  }

  /** `await using bus = nats(…)` closes the bus at the end of the block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/**
 * Creates a bus on NATS. The connection is opened at its first use.
 *
 * @param target the address of a server, the options of a connection, or a connection. An address may have credentials, as
 *   `nats://user:password@host:4222` or `nats://token@host:4222`; `tls://` requires TLS
 * @throws TypeError for an invalid address, any other target or an invalid option, and Error if the package of NATS is not installed
 * @example
 * const bus = nats({ servers: ['nats://a:4222', 'nats://b:4222'], user: 'shop', pass: process.env.NATS_PASSWORD })
 */
export function nats(target: string | ConnectionOptions | NatsConnection, options: BusOptions = {}): Bus {
  checkOptions('nats', options, BUS_OPTIONS)
  if (typeof target !== 'string' && (Object(target) !== target || Array.isArray(target)))
    throw new TypeError(
      `nats: ${describeValue(target)} is no target; pass an address such as "nats://localhost:4222"`
    )
  // A missing package is told here, and not at the first use.
  loadTransport('nats')
  return new Bus(typeof target === 'string' ? parseAddress(target) : target, options)
}

function logError(error: unknown): void {
  console.error(`netref/nats: ${toPrintable(String(error))}`)
}
