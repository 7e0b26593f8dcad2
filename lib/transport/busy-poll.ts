// Busy polling: who waits for a frame that may come at once looks for it some 200 times before the process sleeps.
//
// To sleep and be woken takes longer than a quick answer does: in a virtual machine 60 µs and more. Between two looks all
// else that has come is acted on. What was in vain is done more seldom: sockets over which answers come late, or from
// this very core, are looked at once in 256 frames of them all.
import { setImmediate } from '../util/clock.js'

/** About 200 µs in a process that has nothing else to do. */
const MAX_POLLS = 200
/** How many times in a row, at most, nothing is looked for. */
const MAX_SKIPPED_FRAMES = 255

/** How many times nothing is looked for before something is again. */
class Backoff {
  #skippedFrames = 0
  #remainingSkips = 0

  /** Whether it is as large as it gets. */
  get isMaximal(): boolean {
    return this.#skippedFrames === MAX_SKIPPED_FRAMES
  }

  /** Whether something is to be looked for, this time. */
  shouldTry(): boolean {
    if (this.#remainingSkips === 0) return true
    this.#remainingSkips--
    return false
  }

  decrease(): void {
    this.#skippedFrames >>= 1
    this.restart()
  }

  restart(): void {
    this.#remainingSkips = this.#skippedFrames
  }

  increase(): void {
    this.#skippedFrames = Math.min(2 * this.#skippedFrames + 1, MAX_SKIPPED_FRAMES)
    this.restart()
  }
}

export class BusyPoll {
  /** That of all whose frames do not come soon, or are not known to. */
  static readonly #shared = new Backoff()
  #backoff = BusyPoll.#shared
  /** Looks that are left; 0 when nothing is looked for. */
  #remainingPolls = 0
  /** Whether the next one is due. */
  #pollScheduled = false

  /** A frame may come soon. */
  frameSent(): void {
    if (this.#remainingPolls > 0 || !this.#backoff.shouldTry()) return
    this.#remainingPolls = MAX_POLLS
    if (this.#pollScheduled) return
    this.#pollScheduled = true
    setImmediate(BusyPoll.#poll, this)
  }

  /** A frame came, or none will. That it was there by the first turn says nothing of what looking brings. */
  frameReceived(): void {
    if (this.#remainingPolls === 0) return
    if (this.#remainingPolls < MAX_POLLS - 1) {
      this.#backoff.decrease()
      if (this.#backoff === BusyPoll.#shared) this.#backoff = new Backoff()
    } else this.#backoff.restart()
    this.#remainingPolls = 0
  }

  static #poll(this: void, poll: BusyPoll): void {
    if (poll.#remainingPolls > 0 && --poll.#remainingPolls === 0) poll.#onUnanswered()
    poll.#pollScheduled = poll.#remainingPolls > 0
    if (poll.#pollScheduled) setImmediate(BusyPoll.#poll, poll)
  }

  #onUnanswered(): void {
    this.#backoff.increase()
    if (this.#backoff.isMaximal) this.#backoff = BusyPoll.#shared
  }
}
