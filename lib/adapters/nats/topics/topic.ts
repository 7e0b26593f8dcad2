// A topic: values that anybody publishes, and that all who subscribe get.
import type { DataOnly, Received } from '../../../types/netref.js'
import { checkOptions, type OptionTypes } from '../../../util/check-options.js'
import type { BusConnection } from '../bus-connection.js'
import { unreachable } from '../nats-error.js'
import { topicSubject } from '../subjects.js'
import { KeptValue } from './kept-value.js'
import { TopicPublisher } from './topic-publisher.js'
import { type SubscribeOptions, TopicSubscription } from './topic-subscription.js'

/** Options of `bus.topic`. */
export interface TopicOptions {
  /**
   * Whether NATS keeps the latest value that is published by this object, and a subscriber by this object gets it first.
   * Each value is stored before it is published, which takes JetStream.
   *
   * @default false
   */
  readonly keep?: boolean | undefined
}

const TOPIC_OPTIONS: OptionTypes<TopicOptions> = { keep: 'a boolean' }
const SUBSCRIBE_OPTIONS: OptionTypes<SubscribeOptions> = { signal: 'an AbortSignal' }

/**
 * A topic on the bus: whoever subscribes gets each value that anybody publishes from then on. Values are data.
 * `bus.topic` returns it. Each object numbers the values that it publishes: keep it, and publish by it.
 *
 * @example
 * const prices = bus.topic<{ symbol: string; price: number }>('prices')
 * await prices.publish({ symbol: 'X', price: 41 })
 * for await (const { symbol, price } of prices) console.log(symbol, price)
 */
export class Topic<T> {
  readonly #bus: BusConnection
  readonly #subject: string
  readonly #kept: KeptValue | undefined
  readonly #publisher: TopicPublisher

  /** @internal */
  constructor(bus: BusConnection, name: string, options: TopicOptions) {
    checkOptions('bus.topic', options, TOPIC_OPTIONS)
    this.#bus = bus
    this.#subject = topicSubject(name)
    this.#kept = options.keep ? new KeptValue(bus, name) : undefined
    this.#publisher = new TopicPublisher(bus, this.#subject, this.#kept)
  }

  /**
   * Publishes a value. Resolves when NATS has it, not when subscribers have it. It is not repeated: after `connection-lost`
   * subscribers may have the value.
   *
   * @throws UnsendableError with the path to what is not data
   * @throws LimitError for more than NATS's `max_payload`, and for more than the default limits of a session
   * @throws NetrefError `unreachable` if it was not published since NATS is not reached, `connection-lost` if NATS did not
   * confirm it, `unauthorized` if NATS does not allow it, and `closed` if the bus is closed
   */
  publish(value: DataOnly<T>): Promise<void> {
    return this.#publisher.publish(value)
  }

  /**
   * Subscribes to the values that are published from now on. Resolves when NATS has the subscription.
   *
   * @throws TypeError for an invalid option
   * @throws NetrefError `unreachable` if NATS is not reached, `unauthorized` if NATS does not allow it, and `closed` if the
   * bus is closed
   */
  async subscribe(options: SubscribeOptions = {}): Promise<TopicSubscription<T>> {
    checkOptions('topic.subscribe', options, SUBSCRIBE_OPTIONS)
    const connection = await this.#bus.open()
    if (!this.#bus.connected) throw unreachable('topic.subscribe')
    const { signal } = options
    const subscription = new TopicSubscription<T>(this.#bus, connection, this.#subject, this.#kept, signal)
    await subscription.start(connection)
    return subscription
  }

  /** `for await (const value of topic)` subscribes, and ends the subscription when the loop is left. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Received<T>, void, undefined> {
    yield* await this.subscribe()
  }
}
