// An instance of a service: it answers those who dial the service, or the instance.
import type { Msg, Subscription } from '@nats-io/transport-node'
import { NetrefError } from '../../../errors.js'
import type { Limits } from '../../../protocol/limits.js'
import type {
  AcceptedTransport,
  AcceptorSetup,
  TransportAcceptor
} from '../../../transport/network-endpoint.js'
import type { PeerInstance } from '../../../types/session.js'
import type { ReportError } from '../../../util/emitter.js'
import { runInMicrotask } from '../../../util/scheduler.js'
import { Announcement } from '../discovery/announcement.js'
import { DEFAULT_VERSION, type ServiceFacts } from '../discovery/service-facts.js'
import {
  createId,
  createToken,
  INSTANCE_QUEUE,
  instanceSubject,
  processOf,
  serviceSubject
} from '../subjects.js'
import { NatsTransport } from './transport.js'
import type { TransportTable } from './transport-table.js'
import { formatHello, parseDial } from './wire.js'

/** The server's end of a transport: it is open from the start. */
class AcceptedNatsTransport extends NatsTransport implements AcceptedTransport {
  readonly clientProcess: string

  constructor(table: TransportTable, limits: Limits, name: string, client: string, windowBytes: number) {
    super(table, createToken(), limits, `a client of ${name}`)
    this.clientProcess = processOf(client)!
    this.connectTo(client, windowBytes)
  }

  /** Clients with `renew` go to another instance. */
  protected readonly busClosedCode = 'server-closed'

  protected begin(): void {
    runInMicrotask(() => {
      if (!this.destroyed) this.emitOpen()
    })
  }
}

export class ServiceAcceptor implements TransportAcceptor {
  readonly url: string
  readonly #instance: PeerInstance
  #announcement: Announcement | undefined
  /** The subscription to the service, and that to this instance. */
  #groupSubscription: Subscription | undefined
  #instanceSubscription: Subscription | undefined
  #removeListener: (() => void) | undefined
  /** Number of clients so far. */
  #connects = 0

  constructor(
    private readonly table: TransportTable,
    private readonly name: string,
    private readonly facts: ServiceFacts,
    private readonly setup: AcceptorSetup
  ) {
    const { version = DEFAULT_VERSION, metadata = {} } = facts
    this.#instance = { id: createId(), version, metadata }
    this.url = `nats:${name}/${this.#instance.id}`
  }

  async open(onTransport: (transport: AcceptedTransport) => void, report: ReportError): Promise<void> {
    const connection = await this.table.open()
    let refusal: Error | undefined
    const callback = (error: Error | null, message: Msg) => {
      if (error) {
        refusal = error
        return
      }
      const transport = this.#answer(message)
      if (transport) onTransport(transport)
    }
    const { name, facts } = this
    const { id } = this.#instance
    this.#instanceSubscription = connection.subscribe(instanceSubject(name, id), { callback })
    this.#groupSubscription = connection.subscribe(serviceSubject(name), { queue: INSTANCE_QUEUE, callback })
    this.#announcement = new Announcement(connection, {
      ...facts,
      name,
      id,
      metrics: this.setup.metrics,
      connects: () => this.#connects,
      onError: report
    })
    // The connection of another owner outlives the bus.
    this.#removeListener = this.table.connection.events.on('closed', () => void this.close())
    // Who finds the instance from now on can reach it.
    await this.table.connection.flush()
    if (!refusal) return
    await this.close()
    throw new NetrefError('unauthorized', `serve: NATS allows no instance of ${name}: ${refusal.message}`)
  }

  /** Answers a dial. @returns undefined if it is malformed: nobody is answered then */
  #answer({ reply, data }: Msg): AcceptedTransport | undefined {
    const windowBytes = parseDial(data)
    if (windowBytes === undefined || reply === undefined || processOf(reply) === undefined) return undefined
    const { table, name, setup } = this
    const transport = new AcceptedNatsTransport(table, setup.limits, name, reply, windowBytes)
    const { subject: to, windowBytes: ownWindowBytes } = transport
    table.publish(reply, formatHello({ ...this.#instance, to, windowBytes: ownWindowBytes }), to)
    this.#connects++
    return transport
  }

  leave(): void {
    this.#announcement?.stop()
    this.#groupSubscription?.unsubscribe()
    this.#groupSubscription = undefined
  }

  async close(): Promise<void> {
    this.#removeListener?.()
    this.leave()
    this.#instanceSubscription?.unsubscribe()
    this.#instanceSubscription = undefined
  }
}
