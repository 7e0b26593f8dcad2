// A time budget: how long a session processes messages before it yields to the event loop.
import { clock } from './clock.js'

/** A slice and the longest single message together take no more than 50 ms. */
const SLICE_MS = 10
/** Reading the clock for every message would cost more than a small message does. */
const STEPS_PER_CLOCK_READING = 16
const BYTES_PER_CLOCK_READING = 64 << 10
/** So many bytes before the first clock reading end the slice: its start time is unknown then. */
const MAX_UNTIMED_BYTES = 256 << 10
/** A decoded value that is not plain JSON takes about as long as so many bytes. */
const VALUE_BYTES = 256

/**
 * Steps are messages. A slice starts without a clock reading, since most frames are short. The clock is read every 16
 * steps or 64 KiB, and after every step of a frame of more than 64 KiB.
 */
export class TimeSlice {
  /** When the slice ends, in ms of `clock.now()`; undefined before the first clock reading. */
  #endMs: number | undefined
  /** Steps since the last clock reading. */
  #steps = 0
  /** Bytes processed since the last clock reading. */
  #bytes = 0
  #stepsPerReading = 1

  /** Starts the slice before a frame is parsed: parsing a large frame is part of the slice. */
  start(frameBytes: number): void {
    this.#endMs = frameBytes > BYTES_PER_CLOCK_READING ? clock.now() + SLICE_MS : undefined
    this.#steps = 0
    this.#bytes = 0
  }

  /** Starts the slice in a later turn of the event loop. Its first step is always taken. */
  restart(): void {
    this.#endMs = clock.now() + SLICE_MS
    this.#steps = -1
    this.#bytes = 0
  }

  /** The next steps are the messages of a frame of that size. */
  startFrame(frameBytes: number): void {
    this.#stepsPerReading = frameBytes > BYTES_PER_CLOCK_READING ? 1 : STEPS_PER_CLOCK_READING
  }

  /** Counts bytes of a reply that was made within the slice. */
  addBytes(bytes: number): void {
    this.#bytes += bytes
  }

  /** Counts decoded values that are not plain JSON. */
  addValues(count: number): void {
    this.#bytes += count * VALUE_BYTES
  }

  /** Takes a step if there is time left for it. @returns whether there is */
  takeStep(): boolean {
    if (++this.#steps < this.#stepsPerReading && this.#bytes < BYTES_PER_CLOCK_READING) return true
    const now = clock.now()
    this.#endMs ??= this.#bytes < MAX_UNTIMED_BYTES ? now + SLICE_MS : now
    this.#steps = 0
    this.#bytes = 0
    return now < this.#endMs
  }
}
