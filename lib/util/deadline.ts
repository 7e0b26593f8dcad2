// Deadlines that do not count the time in which this process could not read: while it was stopped, blocked or asleep.
// Before a deadline expires, frames that have arrived are read.
import { clock, type Timer, unref } from './clock.js'
import { yieldToEventLoop } from './scheduler.js'

/** Default number of parts. A part that took at least twice as long as it should is not counted. */
const PART_COUNT = 4
/** Longest time of a platform timer, in ms. */
export const MAX_TIMER_MS = 2 ** 31 - 1

/** A time within which something must happen. */
export abstract class Deadline {
  #timer: Timer | undefined
  #keepsAlive = true
  #elapsedParts = 0
  /** Whether the previous part was late, and so not counted. */
  #lastPartIgnored = false
  /** Start of the present part, by both clocks. */
  #partStartMs = 0
  #partStartWallMs = 0

  constructor(
    /** The deadline, in ms after the start. */
    protected readonly timeoutMs: number,
    private readonly partCount = PART_COUNT
  ) {}

  /** Decides how many of the elapsed parts count: fewer if there was progress. */
  protected countElapsedParts(elapsedParts: number, _isLate: boolean): number {
    return elapsedParts
  }

  /** Called when the time is over. The deadline has stopped by then. */
  protected abstract onExpired(): void

  get isRunning(): boolean {
    return this.#timer !== undefined
  }

  /** Starts, or starts anew. */
  start(): void {
    this.stop()
    this.#elapsedParts = 0
    this.#lastPartIgnored = false
    this.#startPart()
    this.#timer = clock.setInterval(() => this.#onPartElapsed(), this.#partMs)
    if (!this.#keepsAlive) unref(this.#timer)
  }

  stop(): void {
    clock.clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Lets the process exit before the deadline, from now on. */
  unref(): this {
    this.#keepsAlive = false
    if (this.#timer) unref(this.#timer)
    return this
  }

  get #partMs(): number {
    return Math.min(this.timeoutMs / this.partCount, MAX_TIMER_MS)
  }

  /** Starts a part. @returns how long the previous one took, in ms; the wall clock includes the sleep of the machine */
  #startPart(): number {
    const [now, wall] = [clock.now(), clock.wallNow()]
    const elapsedMs = Math.max(now - this.#partStartMs, wall - this.#partStartWallMs)
    this.#partStartMs = now
    this.#partStartWallMs = wall
    return elapsedMs
  }

  #onPartElapsed(): void {
    // Of two late parts in a row one is counted, so that deadlines of a process that is always late expire, too.
    const isLate = this.#startPart() >= 2 * this.#partMs && !this.#lastPartIgnored
    this.#lastPartIgnored = isLate
    this.#elapsedParts = this.countElapsedParts(isLate ? this.#elapsedParts : this.#elapsedParts + 1, isLate)
    if (this.#elapsedParts < this.partCount) return
    const timer = this.#timer
    yieldToEventLoop(() => {
      if (this.#timer !== timer) return
      this.#elapsedParts = this.countElapsedParts(this.#elapsedParts, false)
      if (this.#elapsedParts < this.partCount) return
      this.stop()
      this.onExpired()
    })
  }
}

class CallbackDeadline extends Deadline {
  constructor(
    ms: number,
    protected readonly onExpired: () => void
  ) {
    super(ms)
  }
}

/** Starts a deadline that calls a function. */
export function startDeadline(timeoutMs: number, onExpired: () => void): Deadline {
  const deadline = new CallbackDeadline(timeoutMs, onExpired)
  deadline.start()
  return deadline
}
