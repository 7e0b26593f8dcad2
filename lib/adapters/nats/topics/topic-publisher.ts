// Publishes the values of a topic, and waits until NATS has them.
import type { NatsConnection } from '@nats-io/transport-node'
import { encodeBytes } from '../../../codec/data-bytes.js'
import { LimitError } from '../../../errors.js'
import { runAfterMicrotasks } from '../../../util/scheduler.js'
import type { BusConnection } from '../bus-connection.js'
import { NUMBER_HEADER } from '../message-headers.js'
import { toBusError, unreachable } from '../nats-error.js'
import { loadTransport } from '../packages.js'
import { unlessLost } from '../unless-lost.js'
import type { KeptValue } from './kept-value.js'
import { MessageNumbers, NUMBER_HEADER_BYTES } from './message-numbers.js'

const CALL = 'topic.publish'

export class TopicPublisher {
  readonly #numbers = new MessageNumbers()
  /** The confirmation of what is published in this tick. */
  #confirmation: Promise<void> | undefined

  constructor(
    private readonly bus: BusConnection,
    private readonly subject: string,
    private readonly kept: KeptValue | undefined
  ) {}

  /** Resolves when NATS has the value. */
  async publish(value: unknown): Promise<void> {
    const bytes = encodeBytes(CALL, 'value', value)
    const connection = await this.bus.open()
    this.#requireSize(bytes)
    // A value that is lost has a number, too.
    const number = this.#numbers.next()
    if (!this.bus.connected) throw unreachable(CALL)
    const headers = loadTransport('nats').headers()
    headers.set(NUMBER_HEADER, number)
    try {
      if (this.kept) return await unlessLost(this.bus.events, this.kept.publish(bytes, headers))
      connection.publish(this.subject, bytes, { headers })
      this.#confirmation ??= Promise.resolve().then(() => this.#confirm(connection))
      await this.#confirmation
    } catch (error) {
      throw toBusError(CALL, error)
    }
  }

  #requireSize({ byteLength }: Uint8Array): void {
    const maxBytes = this.bus.maxPayloadBytes - NUMBER_HEADER_BYTES
    if (byteLength <= maxBytes) return
    throw new LimitError(
      'limit',
      `${CALL}: value takes ${byteLength} bytes, and a value has at most ${maxBytes} (max_payload of NATS, less ${NUMBER_HEADER_BYTES}): publish it in parts`
    )
  }

  /** Resolves when NATS has all that was published so far. */
  async #confirm(connection: NatsConnection): Promise<void> {
    this.#confirmation = undefined
    let refusal: Error | undefined
    const removeListener = this.bus.events.on('error', error => {
      if ((error as { subject?: unknown }).subject === this.subject) refusal = error
    })
    try {
      await unlessLost(this.bus.events, connection.flush())
      // NATS states a refusal before it answers, and the listener is called some microtasks later.
      await new Promise<void>(runAfterMicrotasks)
    } finally {
      removeListener()
    }
    if (refusal) throw refusal
  }
}
