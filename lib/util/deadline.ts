// Ends that time decides. A process that is stopped, blocked or asleep does not hear its peers: that time does not count,
// and what has arrived by the end is read before anything ends.
import { clock, type Timer, unref } from './clock.js'
import { yieldToEventLoop } from './scheduler.js'

/** A deadline comes in as many parts. */
const PART_COUNT = 4
/** The longest time that a timer of the platform can be set for, in ms. */
export const MAX_TIMER_MS = 2 ** 31 - 1

/** A time within which something has to come. */
export abstract class Deadline {
  #timer: Timer | undefined
  #keepsAlive = true
  #elapsedParts = 0
  /** Whether the last part did not count. */
  #lastPartIgnored = false
  /** When the present part began. */
  #partStartMs = 0
  #partStartWallMs = 0

  constructor(
    /** In ms. */
    protected readonly timeoutMs: number,
    private readonly partCount = PART_COUNT
  ) {}

  /** @returns of so many parts in which nothing came, how many count: fewer where something did */
  protected countElapsedParts(elapsedParts: number, _isLate: boolean): number {
    return elapsedParts
  }

  /** The time is over. It is not running any more. */
  protected abstract onExpired(): void

  get isRunning(): boolean {
    return this.#timer !== undefined
  }

  /** Begins, or begins anew. */
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

  /** It keeps the process alive no more, nor does it when it begins anew. */
  unref(): this {
    this.#keepsAlive = false
    if (this.#timer) unref(this.#timer)
    return this
  }

  get #partMs(): number {
    return Math.min(this.timeoutMs / this.partCount, MAX_TIMER_MS)
  }

  /** A part begins. @returns how long the one before took: a sleep the wall clock tells of, which may be set, too */
  #startPart(): number {
    const [now, wall] = [clock.now(), clock.wallNow()]
    const elapsedMs = Math.max(now - this.#partStartMs, wall - this.#partStartWallMs)
    this.#partStartMs = now
    this.#partStartWallMs = wall
    return elapsedMs
  }

  #onPartElapsed(): void {
    // Of two that are late in a row one counts: a process that is always late has ends, too.
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

/** From now on there are so many ms until `expired` is called. */
export function startDeadline(timeoutMs: number, onExpired: () => void): Deadline {
  const deadline = new CallbackDeadline(timeoutMs, onExpired)
  deadline.start()
  return deadline
}
