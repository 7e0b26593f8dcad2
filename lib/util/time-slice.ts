// How long a side goes on with what has come before everything else in its process has a turn.

import { clock } from './clock.js'

/** In ms. With the longest that a single message takes, it is no more than 50 ms. */
const SLICE_MS = 10
/** What a message is taken for, or a reply of 4 KiB, where a value that is not plain JSON is 1. */
const MESSAGE = 16
/** The clock is looked at after so much. */
const LOOK_AFTER = 16 * MESSAGE
/** So much is a slice by itself. */
const MUCH = 64 * MESSAGE
/** In a frame that is larger, in bytes, a single message may take long: there the clock is looked at after each. */
const LARGE_FRAME_BYTES = 64 << 10

export class TimeSlice {
  /** When it is over; undefined until the clock is looked at. */
  #endMs: number | undefined
  /** What was done since the clock was looked at. */
  #done = 0
  #weight = LOOK_AFTER

  /** It begins before a frame of that size, in bytes, is read: that takes a part of it. */
  start(frameBytes: number): void {
    this.#endMs = frameBytes > LARGE_FRAME_BYTES ? clock.now() + SLICE_MS : undefined
    this.#done = 0
  }

  /** It begins in a later turn: something is done in it, however late it is by then. */
  restart(): void {
    this.#endMs = clock.now() + SLICE_MS
    this.#done = -LOOK_AFTER
  }

  /** From now on it goes to messages of a frame of that size: with small ones the clock is looked at seldom. */
  startFrame(frameBytes: number): void {
    this.#weight = frameBytes > LARGE_FRAME_BYTES ? LOOK_AFTER : MESSAGE
  }

  /** So many bytes of a reply were made in it. */
  countReply(bytes: number): void {
    this.#done += (bytes >> 12) * MESSAGE
  }

  /** So many values that are not plain JSON were made in it. */
  countValues(values: number): void {
    this.#done += values
  }

  /** Whether there is time for one more message. */
  get hasTimeLeft(): boolean {
    this.#done += this.#weight
    if (this.#done < LOOK_AFTER) return true
    const much = this.#done > MUCH
    this.#done = 0
    const now = clock.now()
    this.#endMs ??= much ? now : now + SLICE_MS
    return now < this.#endMs
  }
}
