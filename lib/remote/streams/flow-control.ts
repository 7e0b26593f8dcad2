// Flow control of one stream: how far the producer may run ahead of the reader, in items and in bytes. The window in
// bytes follows the throughput of about one round trip.

import { clock } from '../../util/clock.js'

/** Default window, in items, unless the reader sets another. */
export const DEFAULT_WINDOW_ITEMS = 1024
/** Bounds of the window, in bytes. */
const MIN_WINDOW_BYTES = 64 << 10
const MAX_WINDOW_BYTES = 1 << 20

/** A position in the sent items. The reader acknowledges it when it gets there. */
interface Checkpoint {
  readonly items: number
  readonly bytes: number
  /** Time of sending, in ms, and number of bytes that were acknowledged before. */
  readonly sentAt: number
  readonly bytesReadBefore: number
}

export class FlowControlWindow {
  /** Items and bytes that were sent and acknowledged, since reading began. */
  #sentItems = 0
  #sentBytes = 0
  #readItems = 0
  #readBytes = 0
  readonly #checkpoints: Checkpoint[] = []
  #checkpointItems = 0
  #checkpointBytes = 0
  #windowItems = DEFAULT_WINDOW_ITEMS
  #windowBytes = MIN_WINDOW_BYTES
  #roundTripMs = Number.POSITIVE_INFINITY

  /** A reader, maybe a new one, begins to read with that window in items. */
  reset(window: number): void {
    this.#windowItems = window
    this.#windowBytes = MIN_WINDOW_BYTES
    this.#sentItems = this.#readItems = this.#checkpointItems = 0
    this.#sentBytes = this.#readBytes = this.#checkpointBytes = 0
    this.#checkpoints.length = 0
  }

  /**
   * The reader has read that many items. It may change the window in items. The window in bytes grows with the measured
   * throughput, as long as the reader is not slower.
   */
  acknowledge(items: number, window = this.#windowItems): void {
    this.#windowItems = window
    let checkpoint = this.#checkpoints[0]
    if (!checkpoint || checkpoint.items > items) return
    for (let next = this.#checkpoints[0]; next && next.items <= items; next = this.#checkpoints[0]) {
      checkpoint = next
      this.#checkpoints.shift()
    }
    this.#readItems = checkpoint.items
    this.#readBytes = checkpoint.bytes
    // Measured over a whole round trip: acknowledgements that arrive together say nothing about the throughput.
    const elapsedMs = Math.max(clock.now() - checkpoint.sentAt, 0.01)
    this.#roundTripMs = Math.min(this.#roundTripMs, elapsedMs)
    const rate = (checkpoint.bytes - checkpoint.bytesReadBefore) / elapsedMs
    this.#windowBytes = Math.min(
      MAX_WINDOW_BYTES,
      Math.max(MIN_WINDOW_BYTES, 1.25 * rate * this.#roundTripMs)
    )
  }

  /** Whether the producer may make one more item while that much waits to be sent. */
  hasRoom(itemsWaiting: number, bytesWaiting: number): boolean {
    const items = this.#sentItems + itemsWaiting - this.#readItems
    const bytes = this.#sentBytes + bytesWaiting - this.#readBytes
    return items === 0 || (items < this.#windowItems && bytes < this.#windowBytes)
  }

  /** Counts sent items. @returns whether the reader must acknowledge them: at each half of the window */
  recordSent(items: number, bytes: number): boolean {
    this.#sentItems += items
    this.#sentBytes += bytes
    const sentItems = this.#sentItems
    const sentBytes = this.#sentBytes
    const isDue =
      2 * (sentItems - this.#checkpointItems) >= this.#windowItems ||
      2 * (sentBytes - this.#checkpointBytes) >= MIN_WINDOW_BYTES
    if (!isDue) return false
    this.#checkpointItems = sentItems
    this.#checkpointBytes = sentBytes
    this.#checkpoints.push({
      items: sentItems,
      bytes: sentBytes,
      sentAt: clock.now(),
      bytesReadBefore: this.#readBytes
    })
    return true
  }
}
