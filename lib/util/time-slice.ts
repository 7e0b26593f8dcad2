// How long a side goes on with what has come before everything else in its process has a turn.

import { clock } from './clock.js'

/** In ms. With the longest that a single message takes, it is no more than 50 ms. */
const SLICE = 10
/** What a message is taken for, or a reply of 4 KiB, where a value that is not plain JSON is 1. */
const MESSAGE = 16
/** The clock is looked at after so much. */
const LOOK_AFTER = 16 * MESSAGE
/** So much is a slice by itself. */
const MUCH = 64 * MESSAGE
/** In a frame that is larger, in bytes, a single message may take long: there the clock is looked at after each. */
const LARGE = 64 << 10

export class Slice {
  /** When it is over; undefined until the clock is looked at. */
  #end: number | undefined
  /** What was done since the clock was looked at. */
  #done = 0
  #weight = LOOK_AFTER

  /** It begins before a frame of that size, in bytes, is read: that takes a part of it. */
  begin(frame: number): void {
    this.#end = frame > LARGE ? clock.now() + SLICE : undefined
    this.#done = 0
  }

  /** It begins in a later turn: something is done in it, however late it is by then. */
  goOn(): void {
    this.#end = clock.now() + SLICE
    this.#done = -LOOK_AFTER
  }

  /** From now on it goes to messages of a frame of that size: with small ones the clock is looked at seldom. */
  take(frame: number): void {
    this.#weight = frame > LARGE ? LOOK_AFTER : MESSAGE
  }

  /** So many bytes of a reply were made in it. */
  count(bytes: number): void {
    this.#done += (bytes >> 12) * MESSAGE
  }

  /** So many values that are not plain JSON were made in it. */
  countValues(values: number): void {
    this.#done += values
  }

  /** Whether there is time for one more message. */
  get lasts(): boolean {
    this.#done += this.#weight
    if (this.#done < LOOK_AFTER) return true
    const much = this.#done > MUCH
    this.#done = 0
    const now = clock.now()
    this.#end ??= much ? now : now + SLICE
    return now < this.#end
  }
}
