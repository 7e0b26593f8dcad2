// The messages of a subscription that its reader has not read. There is a bound, beyond which the oldest are dropped.
import { Queue } from '../../../util/queue.js'

/** Most messages, and most bytes of them, that wait for the reader. */
const MAX_MESSAGES = 1024
const MAX_BYTES = 16 << 20

export class UnreadMessages {
  readonly #messages = new Queue<Uint8Array>()
  #bytes = 0

  /** @returns how many messages were dropped: the queue has more than it may */
  push(message: Uint8Array): number {
    this.#messages.push(message)
    this.#bytes += message.byteLength
    let dropped = 0
    const isFull = () => this.#messages.size > MAX_MESSAGES || this.#bytes > MAX_BYTES
    // A message larger than all that may wait is kept alone.
    for (; isFull() && this.#messages.size > 1; dropped++) this.shift()
    return dropped
  }

  shift(): Uint8Array | undefined {
    const message = this.#messages.shift()
    this.#bytes -= message?.byteLength ?? 0
    return message
  }

  clear(): void {
    this.#messages.clear()
    this.#bytes = 0
  }
}
