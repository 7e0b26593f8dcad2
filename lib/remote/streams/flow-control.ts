// How far a producer may be ahead of its reader: so many items, and as many bytes as the line carries in two round trips.

import { clock } from '../../util/clock.js'

/** Unless the reader says otherwise. */
const DEFAULT_WINDOW_ITEMS = 1024
/** In bytes, at least and at most. */
const MIN_WINDOW_BYTES = 64 << 10
const MAX_WINDOW_BYTES = 1 << 20

/** A place in what was sent, of which the reader will tell when it gets there. */
interface Checkpoint {
  readonly items: number
  readonly bytes: number
  /** When it was sent, and how many bytes had been read by then. */
  readonly sentAt: number
  readonly bytesReadBefore: number
}

export class FlowControlWindow {
  /** What was sent, and of that what was read, since reading began. */
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

  /** Reading begins, with that many items ahead: by another reader, it may be. */
  reset(window: number): void {
    this.#windowItems = window
    this.#windowBytes = MIN_WINDOW_BYTES
    this.#sentItems = this.#readItems = this.#checkpointItems = 0
    this.#sentBytes = this.#readBytes = this.#checkpointBytes = 0
    this.#checkpoints.length = 0
  }

  /**
   * The reader has come so far, and may say how far ahead of it the producer may be from now on. The window in bytes
   * follows what the line carries, as long as that is read at once.
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
    // Over a whole round trip: tidings that come in one go say nothing of the line.
    const elapsedMs = Math.max(clock.now() - checkpoint.sentAt, 0.01)
    this.#roundTripMs = Math.min(this.#roundTripMs, elapsedMs)
    const rate = (checkpoint.bytes - checkpoint.bytesReadBefore) / elapsedMs
    this.#windowBytes = Math.min(
      MAX_WINDOW_BYTES,
      Math.max(MIN_WINDOW_BYTES, 1.25 * rate * this.#roundTripMs)
    )
  }

  /** Whether there may be one more item, where so much waits to be sent. */
  hasRoom(itemsWaiting: number, bytesWaiting: number): boolean {
    const items = this.#sentItems + itemsWaiting - this.#readItems
    const bytes = this.#sentBytes + bytesWaiting - this.#readBytes
    return items === 0 || (items < this.#windowItems && bytes < this.#windowBytes)
  }

  /** Counts what is sent. @returns whether the reader is to tell when it has come so far: at each half of the window */
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
