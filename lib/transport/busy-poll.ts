// Busy polling: who waits for a frame that may come at once looks for it some 200 times before the process sleeps.
//
// To sleep and be woken takes longer than a quick answer does: in a virtual machine 60 µs and more. Between two looks all
// else that has come is acted on. What was in vain is done more seldom: sockets over which answers come late, or from
// this very core, are looked at once in 256 frames of them all.
import { setImmediate } from '../util/clock.js'

/** About 200 µs in a process that has nothing else to do. */
const LOOKS = 200
/** How many times in a row, at most, nothing is looked for. */
const MOST_SKIPPED = 255

/** How many times nothing is looked for before something is again. */
class Doubt {
  #skips = 0
  #left = 0

  /** Whether it is as large as it gets. */
  get full(): boolean {
    return this.#skips === MOST_SKIPPED
  }

  /** Whether something is to be looked for, this time. */
  yields(): boolean {
    if (this.#left === 0) return true
    this.#left--
    return false
  }

  shrink(): void {
    this.#skips >>= 1
    this.keep()
  }

  keep(): void {
    this.#left = this.#skips
  }

  grow(): void {
    this.#skips = Math.min(2 * this.#skips + 1, MOST_SKIPPED)
    this.keep()
  }
}

export class BusyPoll {
  /** That of all whose frames do not come soon, or are not known to. */
  static readonly #common = new Doubt()
  #doubt = BusyPoll.#common
  /** Looks that are left; 0 when nothing is looked for. */
  #left = 0
  /** Whether the next one is due. */
  #due = false

  /** A frame may come soon. */
  expect(): void {
    if (this.#left > 0 || !this.#doubt.yields()) return
    this.#left = LOOKS
    if (this.#due) return
    this.#due = true
    setImmediate(BusyPoll.#look, this)
  }

  /** A frame came, or none will. That it was there by the first turn says nothing of what looking brings. */
  came(): void {
    if (this.#left === 0) return
    if (this.#left < LOOKS - 1) {
      this.#doubt.shrink()
      if (this.#doubt === BusyPoll.#common) this.#doubt = new Doubt()
    } else this.#doubt.keep()
    this.#left = 0
  }

  static #look(this: void, poll: BusyPoll): void {
    if (poll.#left > 0 && --poll.#left === 0) poll.#inVain()
    poll.#due = poll.#left > 0
    if (poll.#due) setImmediate(BusyPoll.#look, poll)
  }

  #inVain(): void {
    this.#doubt.grow()
    if (this.#doubt.full) this.#doubt = BusyPoll.#common
  }
}
