// The subscription of one reader to a topic: an iterator over its values.
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import { decodeBytes } from '../../codec/data-bytes.js'
import { NetrefError } from '../../errors.js'
import type { Received } from '../../types/netref.js'
import { ReportWindow } from '../../util/report-window.js'
import type { Signal } from '../../util/web-types.js'
import type { BusConnection } from './bus-connection.js'
import { headersOf } from './headers.js'
import { MissedMessages } from './message-numbers.js'
import { MessageQueue } from './message-queue.js'
import { connectionEnded, unauthorized, unreachable } from './nats-error.js'
import { unlessLost } from './unless-lost.js'

const CALL = 'topic.subscribe'

/** Options of `topic.subscribe`. */
export interface SubscribeOptions {
  /** Ends the subscription: its loop ends, and what it has not read is dropped. */
  readonly signal?: Signal | undefined
}

/**
 * A subscription to a topic. It ends when its loop is left, by its signal, or with the bus: then its loop ends. At most 1024
 * values, or 16 MiB, wait for the reader. Of more, the oldest are dropped.
 *
 * @example
 * await using prices = await bus.topic<Price>('prices').subscribe()
 * for await (const { symbol, price } of prices) console.log(symbol, price, prices.missed)
 */
export class TopicSubscription<T> implements AsyncIterableIterator<Received<T>> {
  readonly #messages = new MessageQueue()
  readonly #missed = new MissedMessages()
  readonly #malformed: ReportWindow<string>
  readonly #subscription: Subscription
  readonly #removeListeners: () => void
  /** Ends the wait of the reader for a message, or for the end. */
  #wake: (() => void) | undefined
  #arrival: Promise<void> | undefined
  #end: { readonly error: Error | undefined } | undefined

  /** @internal */
  constructor(
    private readonly bus: BusConnection,
    connection: NatsConnection,
    private readonly subject: string,
    signal: Signal | undefined
  ) {
    this.#malformed = new ReportWindow((repeats, last) =>
      bus.report(
        new NetrefError('repeated', `${repeats} more such messages arrived within 10 s, the last: ${last}`)
      )
    )
    this.#subscription = connection.subscribe(subject, {
      callback: (error, message) => (error ? this.#finish(unauthorized(CALL, error)) : this.#receive(message))
    })
    const onAbort = () => void this.return()
    signal?.addEventListener('abort', onAbort)
    const removeListener = bus.events.on('closed', cause => this.#finish(cause && connectionEnded(cause)))
    this.#removeListeners = () => {
      removeListener()
      signal?.removeEventListener('abort', onAbort)
    }
    if (signal?.aborted) onAbort()
  }

  /**
   * Number of values that were published since the subscription began, and never reach this reader. The oldest are dropped
   * for a slow reader, and values are lost while NATS is not reached. Each publisher numbers its values, so the loss of a
   * value is known once a later one of the same publisher arrives. A `publish` that has failed counts, too.
   */
  get missed(): number {
    return this.#missed.count
  }

  /** `for await` reads the values. */
  [Symbol.asyncIterator](): this {
    return this
  }

  /** The next value. A message that cannot be read is skipped, and reported to the `onError` of the bus. */
  async next(): Promise<IteratorResult<Received<T>, undefined>> {
    for (;;) {
      const message = this.#messages.shift()
      if (message) {
        const decoded = this.#tryDecode(message)
        if (decoded) return { done: false, value: decoded.value }
      } else if (this.#end) {
        const { error } = this.#end
        this.#end = { error: undefined }
        if (error) throw error
        return { done: true, value: undefined }
      } else await (this.#arrival ??= new Promise(resolve => (this.#wake = resolve)))
    }
  }

  /** Ends the subscription. */
  async return(): Promise<IteratorResult<Received<T>, undefined>> {
    this.#messages.clear()
    this.#finish(undefined)
    return { done: true, value: undefined }
  }

  /** `await using` ends the subscription at the end of the block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  /** Resolves when NATS has the subscription. @throws NetrefError `unreachable`, and `unauthorized` @internal */
  async start(connection: NatsConnection): Promise<void> {
    try {
      await unlessLost(this.bus, connection.flush())
    } catch (cause) {
      this.#finish(unreachable(CALL, cause))
    }
    if (this.#end?.error) throw this.#end.error
  }

  #receive(message: Msg): void {
    this.#missed.note(headersOf(message))
    // A view would keep all that arrived with it.
    this.#missed.count += this.#messages.push(message.data.slice())
    this.#wakeReader()
  }

  #tryDecode(message: Uint8Array): { readonly value: Received<T> } | undefined {
    try {
      const source = `topic: a message on ${this.subject} was skipped`
      return { value: decodeBytes(source, message) as Received<T> }
    } catch (error) {
      const { message } = error as Error
      if (this.#malformed.isFirst('malformed', () => message)) this.bus.report(error)
      return undefined
    }
  }

  #finish(error: Error | undefined): void {
    if (this.#end) return
    this.#end = { error }
    this.#subscription.unsubscribe()
    this.#removeListeners()
    this.#malformed.flush()
    this.#wakeReader()
  }

  #wakeReader(): void {
    this.#wake?.()
    this.#wake = this.#arrival = undefined
  }
}
