// NATS in memory: each message waits until the spec delivers it, so that a spec decides which of two arrives first.
import type { Msg, NatsConnection } from '@nats-io/transport-node'

interface MemorySubscription {
  readonly subject: string
  readonly deliver: (message: Msg) => void
}

/** A message on its way. */
export interface MessageInTransit {
  readonly subject: string
  readonly data: Buffer
  readonly reply: string | undefined
}

export class MemoryNats {
  readonly #subscriptions: MemorySubscription[][] = []
  /** Messages on their way to each connection, in order. */
  readonly inTransit: MessageInTransit[][] = []

  constructor(
    private readonly maxPayloadBytes: number,
    /** Called with each message when it is published. */
    private readonly onPublish: (message: MessageInTransit) => void
  ) {}

  /** A connection, which has what netref uses of one. */
  connect(): NatsConnection {
    const subscriptions: MemorySubscription[] = []
    this.#subscriptions.push(subscriptions)
    this.inTransit.push([])
    const connection = {
      info: { max_payload: this.maxPayloadBytes },
      publish: (subject: string, data: Uint8Array | string, { reply }: { reply?: string } = {}) => {
        const message = { subject, data: Buffer.from(data as Uint8Array), reply }
        this.onPublish(message)
        const at = this.#subscriptions.findIndex(list => list.some(each => matches(each.subject, subject)))
        if (at >= 0) this.inTransit[at]!.push(message)
      },
      subscribe: (subject: string, { callback }: { callback: (error: null, message: Msg) => void }) => {
        const subscription = { subject, deliver: (message: Msg) => callback(null, message) }
        subscriptions.push(subscription)
        return { unsubscribe: () => void subscriptions.splice(subscriptions.indexOf(subscription), 1) }
      },
      flush: () => Promise.resolve(),
      closed: () => new Promise(() => {}),
      status: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) })
    }
    return connection as unknown as NatsConnection
  }

  /** Delivers the next message to a connection. @returns it, or undefined if there is none */
  deliver(to: number): MessageInTransit | undefined {
    const message = this.inTransit[to]!.shift()
    const receiver = this.#subscriptions[to]!.find(
      ({ subject }) => message && matches(subject, message.subject)
    )
    if (message) receiver?.deliver(message as unknown as Msg)
    return message
  }

  get isEmpty(): boolean {
    return this.inTransit.every(messages => messages.length === 0)
  }
}

/** Whether a subscription gets the messages to a subject. */
function matches(pattern: string, subject: string): boolean {
  const [words, given] = [pattern.split('.'), subject.split('.')]
  return words.length === given.length && words.every((word, i) => word === '*' || word === given[i])
}
