// Busy polling: after a frame was sent, the event loop turns some 200 times instead of sleeping, as the answer may be near.
//
// To sleep and wake up takes longer than a fast answer: 60 µs and more in a virtual machine. Each turn processes all input
// that has arrived. After unanswered polls a socket polls for fewer of its frames. Sockets whose answers are slow, or come
// from the same core, share one backoff, and poll for one of 256 frames.
import { setImmediate } from '../util/clock.js'

/** Turns of the event loop for a frame: about 200 µs in an idle process. */
const MAX_POLLS = 200
/** Frames in a row, at most, for which nothing is polled. */
const MAX_SKIPPED_FRAMES = 255

/** Decides for which of the sent frames a socket polls. */
class Backoff {
  #skippedFrames = 0
  #remainingSkips = 0

  /** Whether it skips as many frames as it may. */
  get isMaximal(): boolean {
    return this.#skippedFrames === MAX_SKIPPED_FRAMES
  }

  /** Whether to poll for this frame. */
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
  /** Of all sockets whose answers are slow, and of new ones. */
  static readonly #shared = new Backoff()
  #backoff = BusyPoll.#shared
  /** 0 while nothing is polled. */
  #remainingPolls = 0
  #pollScheduled = false

  /** A frame was sent, so that an answer may arrive soon. */
  frameSent(): void {
    if (this.#remainingPolls > 0 || !this.#backoff.shouldTry()) return
    this.#remainingPolls = MAX_POLLS
    if (this.#pollScheduled) return
    this.#pollScheduled = true
    setImmediate(BusyPoll.#poll, this)
  }

  /** A frame has arrived, or none will. A frame that arrives in the first turn is no success of polling. */
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
