// Answers the discovery of NATS's micro services (ADR-32) for one instance of a service: PING, INFO and STATS.
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import { INSTANCE_QUEUE, serviceSubject } from '../subjects.js'
import { DEFAULT_VERSION, type ServiceFacts } from './service-facts.js'

/** The endpoint that is announced: where clients dial the service. */
export const ENDPOINT_NAME = 'connect'

export const STATS_TYPE = 'io.nats.micro.v1.stats_response'

/** The instance that is announced. */
export interface AnnouncedInstance extends ServiceFacts {
  readonly name: string
  /** Name of the instance, of its own among all instances. */
  readonly id: string
  /** The metrics of its server. Called for each STATS. */
  readonly metrics: () => object
  /** Number of sessions so far that clients have opened at the endpoint. */
  readonly connects: () => number
  /** Called if an answer cannot be sent. */
  readonly onError: (error: unknown) => void
}

/** The announcement of an instance, until `stop`. NATS renews its subscriptions at each reconnection. */
export class Announcement {
  readonly #instance: AnnouncedInstance
  readonly #identity: object
  readonly #endpoint: object
  readonly #started = new Date().toISOString()
  readonly #subscriptions: readonly Subscription[]

  constructor(connection: NatsConnection, instance: AnnouncedInstance) {
    const { name, id, version = DEFAULT_VERSION, metadata = {} } = instance
    this.#instance = instance
    this.#identity = { name, id, version, metadata: { ...metadata } }
    this.#endpoint = { name: ENDPOINT_NAME, subject: serviceSubject(name), queue_group: INSTANCE_QUEUE }
    this.#subscriptions = ['$SRV.*', `$SRV.*.${name}`, `$SRV.*.${name}.${id}`].map(subject =>
      connection.subscribe(subject, {
        callback: (refusal, request) => {
          // A refusal is an event of the connection, too, which the bus reports.
          if (!refusal) this.#respond(request)
        }
      })
    )
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
  }

  /** Must not throw: that would end the reader of the connection. */
  #respond(request: Msg): void {
    try {
      const answer = this.#answerTo(request.subject.split('.')[1]!)
      if (answer) request.respond(JSON.stringify(answer))
    } catch (error) {
      this.#instance.onError(error)
    }
  }

  /** The answer to a verb; undefined if ADR-32 has no such verb. */
  #answerTo(verb: string): object | undefined {
    switch (verb) {
      case 'PING':
        return { type: 'io.nats.micro.v1.ping_response', ...this.#identity }
      case 'INFO':
        return {
          type: 'io.nats.micro.v1.info_response',
          ...this.#identity,
          description: this.#instance.description ?? '',
          endpoints: [{ ...this.#endpoint, metadata: {} }]
        }
      case 'STATS':
        return this.#stats()
      default:
        return undefined
    }
  }

  /** With the description, which only INFO has by ADR-32: `find` needs one request. */
  #stats(): object {
    const { description, metrics, connects } = this.#instance
    const statistics = {
      num_requests: connects(),
      num_errors: 0,
      last_error: '',
      processing_time: 0,
      average_processing_time: 0
    }
    return {
      type: STATS_TYPE,
      ...this.#identity,
      description,
      started: this.#started,
      endpoints: [{ ...this.#endpoint, ...statistics, data: metrics() }]
    }
  }
}
