// The items of a remote iterator that have arrived and wait to be read. Their bytes count against the session's limit.

import type { ReceivedReferences } from '../received-references.js'
import type { StreamPort } from './types.js'

/** Items of one message; the first `nextIndex` of them are read. */
interface Batch {
  readonly items: readonly unknown[]
  nextIndex: number
  readonly requestsAck: boolean
  size: number
  /** The references in the unread items. */
  readonly received: ReceivedReferences | undefined
}

export class ItemQueue {
  readonly #batches: Batch[] = []
  /** Number of unread items. */
  #length = 0
  /** Whether the owner waits for the number of items read. */
  #ackDue = false
  /** The references in the item that was taken last. */
  #lastReceived: ReceivedReferences | undefined

  constructor(private readonly port: Pick<StreamPort, 'queuedBytes'>) {}

  get length(): number {
    return this.#length
  }

  /** @param requestsAck whether the owner waits until these items are read */
  push(
    items: readonly unknown[],
    requestsAck: boolean,
    size: number,
    received: ReceivedReferences | undefined
  ): void {
    this.#batches.push({ items, nextIndex: 0, requestsAck, size, received })
    this.#length += items.length
    this.port.queuedBytes += size
  }

  /** Takes the first item. The queue must not be empty. */
  take(): unknown {
    const batch = this.#batches[0]!
    this.#lastReceived = batch.received?.split(batch.nextIndex)
    const value = batch.items[batch.nextIndex++]
    this.#length--
    if (batch.nextIndex === batch.items.length) {
      this.#batches.shift()
      this.port.queuedBytes -= batch.size
      if (batch.requestsAck) this.#ackDue = true
    }
    return value
  }

  /** The reader of the last item cannot take it. */
  discardLastItem(): void {
    this.#lastReceived?.discard()
  }

  /** Whether the owner waits for the number of items read; it is then assumed to be sent. */
  takeAckDue(): boolean {
    const isDue = this.#ackDue
    this.#ackDue = false
    return isDue
  }

  /** The session has ended, and does not count the bytes any more. */
  stopCountingBytes(): void {
    for (const batch of this.#batches) {
      this.port.queuedBytes -= batch.size
      batch.size = 0
    }
  }

  clear(): void {
    for (const { size, received } of this.#batches.splice(0)) {
      this.port.queuedBytes -= size
      received?.discard()
    }
    this.#length = 0
  }
}
