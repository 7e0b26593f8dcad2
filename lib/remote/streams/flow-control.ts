// How far a producer may be ahead of its reader: so many items, and as many bytes as the line carries in two round trips.

import { clock } from '../../util/clock.js'

/** Unless the reader says otherwise. */
const WINDOW_ITEMS = 1024
/** In bytes, at least and at most. */
const WINDOW_BYTES = 64 << 10
const WINDOW_MOST = 1 << 20

/** A place in what was sent, of which the reader will tell when it gets there. */
interface Mark {
  readonly items: number
  readonly bytes: number
  /** When it was sent, and how many bytes had been read by then. */
  readonly at: number
  readonly read: number
}

export class Credit {
  /** What was sent, and of that what was read, since reading began. */
  #sentItems = 0
  #sentBytes = 0
  #readItems = 0
  #readBytes = 0
  readonly #marks: Mark[] = []
  #markedItems = 0
  #markedBytes = 0
  #windowItems = WINDOW_ITEMS
  #windowBytes = WINDOW_BYTES
  #roundTrip = Number.POSITIVE_INFINITY

  /** Reading begins, with that many items ahead: by another reader, it may be. */
  begin(window: number): void {
    this.#windowItems = window
    this.#windowBytes = WINDOW_BYTES
    this.#sentItems = this.#readItems = this.#markedItems = 0
    this.#sentBytes = this.#readBytes = this.#markedBytes = 0
    this.#marks.length = 0
  }

  /**
   * The reader has come so far, and may say how far ahead of it the producer may be from now on. The window in bytes
   * follows what the line carries, as long as that is read at once.
   */
  read(items: number, window = this.#windowItems): void {
    this.#windowItems = window
    let mark = this.#marks[0]
    if (!mark || mark.items > items) return
    for (let next = this.#marks[0]; next && next.items <= items; next = this.#marks[0]) {
      mark = next
      this.#marks.shift()
    }
    this.#readItems = mark.items
    this.#readBytes = mark.bytes
    // Over a whole round trip: tidings that come in one go say nothing of the line.
    const took = Math.max(clock.now() - mark.at, 0.01)
    this.#roundTrip = Math.min(this.#roundTrip, took)
    const rate = (mark.bytes - mark.read) / took
    this.#windowBytes = Math.min(WINDOW_MOST, Math.max(WINDOW_BYTES, 1.25 * rate * this.#roundTrip))
  }

  /** Whether there may be one more item, where so much waits to be sent. */
  lasts(itemsWaiting: number, bytesWaiting: number): boolean {
    const items = this.#sentItems + itemsWaiting - this.#readItems
    const bytes = this.#sentBytes + bytesWaiting - this.#readBytes
    return items === 0 || (items < this.#windowItems && bytes < this.#windowBytes)
  }

  /** Counts what is sent. @returns whether the reader is to tell when it has come so far: at each half of the window */
  spend(items: number, bytes: number): boolean {
    this.#sentItems += items
    this.#sentBytes += bytes
    const sent = this.#sentItems
    const size = this.#sentBytes
    const due =
      2 * (sent - this.#markedItems) >= this.#windowItems || 2 * (size - this.#markedBytes) >= WINDOW_BYTES
    if (!due) return false
    this.#markedItems = sent
    this.#markedBytes = size
    this.#marks.push({ items: sent, bytes: size, at: clock.now(), read: this.#readBytes })
    return true
  }
}
