// The subscription of one reader to a topic: an iterator over its values.
import type { Msg, MsgHdrs, NatsConnection, Subscription } from '@nats-io/transport-node'
import { decodeBytes } from '../../../codec/data-bytes.js'
import { NetrefError } from '../../../errors.js'
import type { Received } from '../../../types/netref.js'
import { clock } from '../../../util/clock.js'
import { ReportWindow } from '../../../util/report-window.js'
import type { Signal } from '../../../util/web-types.js'
import type { BusConnection } from '../bus-connection.js'
import { isRemoval, numberIn, sequenceIn, tryHeaders } from '../message-headers.js'
import { connectionEnded, toBusError, unreachable } from '../nats-error.js'
import { unlessLost } from '../unless-lost.js'
import { KeptOrder } from './kept-order.js'
import type { KeptValue } from './kept-value.js'
import { MissedMessages } from './message-numbers.js'
import { UnreadMessages } from './unread-messages.js'

const CALL = 'topic.subscribe'
/** How often reading the kept value is tried after a disconnection, and the time in between, in ms. */
const MAX_ATTEMPTS = 10
const RETRY_MS = 1000

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
  readonly #unread = new UnreadMessages()
  readonly #missed = new MissedMessages()
  readonly #order = new KeptOrder()
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
    private readonly kept: KeptValue | undefined,
    signal: Signal | undefined
  ) {
    this.#malformed = new ReportWindow((repeats, last) =>
      bus.report(
        new NetrefError('repeated', `${repeats} more such messages arrived within 10 s, the last: ${last}`)
      )
    )
    this.#subscription = connection.subscribe(subject, {
      callback: (error, message) => (error ? this.#finish(toBusError(CALL, error)) : this.#receive(message))
    })
    const onAbort = () => void this.return()
    signal?.addEventListener('abort', onAbort)
    const removeListeners = [
      bus.events.on('closed', cause => this.#finish(cause && connectionEnded(cause))),
      bus.events.on('reconnected', () => void this.#readKeptAgain())
    ]
    this.#removeListeners = () => {
      for (const remove of removeListeners) remove()
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
      const message = this.#unread.shift()
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
    this.#unread.clear()
    this.#finish(undefined)
    return { done: true, value: undefined }
  }

  /** `await using` ends the subscription at the end of the block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  /** Resolves when NATS has the subscription, and the kept value is read. @throws NetrefError @internal */
  async start(connection: NatsConnection): Promise<void> {
    try {
      await unlessLost(this.bus.events, connection.flush())
      if (!this.#end) await this.#readKept()
    } catch (cause) {
      this.#finish(toReadError(CALL, cause))
    }
    if (this.#end?.error) throw this.#end.error
  }

  #receive(message: Msg): void {
    const headers = tryHeaders(() => message.headers)
    const sequence = this.kept && sequenceIn(headers, this.kept.stream)
    if (sequence === undefined || this.#order.isNewPublished(sequence, numberIn(headers)))
      this.#accept(headers, message.data)
  }

  /** Reads the value that is kept, which may have been published before the subscription, or while NATS was not reached. */
  async #readKept(): Promise<void> {
    const { latest } = this.#order
    const message = this.kept && (await unlessLost(this.bus.events, this.kept.read()))
    if (!message || this.#end) return
    const headers = tryHeaders(() => message.header)
    if (this.#order.isNewRead(message.seq, numberIn(headers), latest)) this.#accept(headers, message.data)
  }

  /** JetStream may not be ready when NATS is reached again. */
  async #readKeptAgain(): Promise<void> {
    for (let attempt = 1; !this.#end && this.bus.connected; attempt++) {
      try {
        return await this.#readKept()
      } catch (error) {
        if (attempt === MAX_ATTEMPTS) return this.bus.report(toReadError('topic', error))
      }
      await new Promise(resolve => clock.setTimeout(resolve, RETRY_MS))
    }
  }

  #accept(headers: MsgHdrs | undefined, data: Uint8Array): void {
    if (headers && isRemoval(headers)) return
    this.#missed.note(headers)
    // A view would keep all that arrived with it.
    this.#missed.count += this.#unread.push(data.slice())
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

/** As `toBusError`, for what nothing depends on but its answer. */
function toReadError(call: string, cause: unknown): NetrefError {
  const error = toBusError(call, cause)
  return error.code === 'connection-lost' ? unreachable(call, cause) : error
}
