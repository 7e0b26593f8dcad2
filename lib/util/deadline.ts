// Ends that time decides. A process that is stopped, blocked or asleep does not hear its peers: that time does not count,
// and what has arrived by the end is read before anything ends.
import { clock, type Timer, unref } from './clock.js'
import { inALaterTurn } from './scheduler.js'

/** A deadline comes in as many parts. */
const PARTS = 4
/** The longest time that a timer of the platform can be set for, in ms. */
export const LONGEST = 2 ** 31 - 1

/** A time within which something has to come. */
export abstract class Deadline {
  #timer: Timer | undefined
  #keepsAlive = true
  #passed = 0
  /** Whether the last part did not count. */
  #spared = false
  /** When the present part began. */
  #now = 0
  #wall = 0

  constructor(
    /** In ms. */
    protected readonly ms: number,
    private readonly parts = PARTS
  ) {}

  /** @returns of so many parts in which nothing came, how many count: fewer where something did */
  protected look(passed: number, _late: boolean): number {
    return passed
  }

  /** The time is over. It is not running any more. */
  protected abstract expired(): void

  get running(): boolean {
    return this.#timer !== undefined
  }

  /** Begins, or begins anew. */
  start(): void {
    this.stop()
    this.#passed = 0
    this.#spared = false
    this.#begin()
    this.#timer = clock.setInterval(() => this.#turn(), this.#part)
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

  get #part(): number {
    return Math.min(this.ms / this.parts, LONGEST)
  }

  /** A part begins. @returns how long the one before took: a sleep the wall clock tells of, which may be set, too */
  #begin(): number {
    const [now, wall] = [clock.now(), clock.wall()]
    const took = Math.max(now - this.#now, wall - this.#wall)
    this.#now = now
    this.#wall = wall
    return took
  }

  #turn(): void {
    // Of two that are late in a row one counts: a process that is always late has ends, too.
    const late = this.#begin() >= 2 * this.#part && !this.#spared
    this.#spared = late
    this.#passed = this.look(late ? this.#passed : this.#passed + 1, late)
    if (this.#passed < this.parts) return
    const timer = this.#timer
    inALaterTurn(() => {
      if (this.#timer !== timer) return
      this.#passed = this.look(this.#passed, false)
      if (this.#passed < this.parts) return
      this.stop()
      this.expired()
    })
  }
}

class Timeout extends Deadline {
  constructor(
    ms: number,
    protected readonly expired: () => void
  ) {
    super(ms)
  }
}

/** From now on there are so many ms until `expired` is called. */
export function deadlineIn(ms: number, expired: () => void): Deadline {
  const deadline = new Timeout(ms, expired)
  deadline.start()
  return deadline
}
