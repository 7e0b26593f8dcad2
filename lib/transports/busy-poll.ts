// Busy polling: who waits for a frame that may come at once looks for it some 200 times before the process sleeps.
//
// To sleep and be woken takes longer than a quick answer does: in a virtual machine 60 µs and more. Between two looks all
// else that has come is acted on. After a look in vain there are fewer: where answers come late, or from this very core,
// it costs next to nothing.

/** About 200 µs in a process that has nothing else to do. */
const LOOKS = 200
/** How many times in a row, at most, nothing is looked for after it was in vain. */
const MOST_SKIPPED = 63

export class BusyPoll {
  /** Looks that are left; 0 when nothing is looked for. */
  #left = 0
  /** Whether the next one is due. */
  #due = false
  /** How many times nothing is looked for after it was in vain; and how many of them are left. */
  #skips = 0
  #skipsLeft = 0

  /** A frame may come soon. */
  expect(): void {
    if (this.#left > 0) return
    if (this.#skipsLeft > 0) {
      this.#skipsLeft--
      return
    }
    this.#left = LOOKS
    if (this.#due) return
    this.#due = true
    setImmediate(BusyPoll.#look, this)
  }

  /** A frame came. That it was there before the first look says nothing of what looking brings. */
  came(): void {
    if (this.#left === 0) return
    if (this.#left < LOOKS - 1) this.#skips >>= 1
    this.#skipsLeft = this.#skips
    this.#left = 0
  }

  static #look(this: void, poll: BusyPoll): void {
    poll.#due = poll.#left > 1
    if (poll.#due) setImmediate(BusyPoll.#look, poll)
    else if (poll.#left === 1) poll.#skipsLeft = poll.#skips = Math.min(2 * poll.#skips + 1, MOST_SKIPPED)
    if (poll.#left > 0) poll.#left--
  }
}
