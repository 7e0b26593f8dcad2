// Counts repeated reports, which a peer may cause in any number. The first of a kind is reported at once, those of the next
// ten seconds are reported as one.
import { clock, type Timer, unref } from './clock.js'

/** Time in which reports are counted, in ms. */
const WINDOW_MS = 10_000

export class ReportWindow<T> {
  readonly #kinds = new Map<string, { repeats: number; last: T | undefined }>()
  #timer: Timer | undefined

  constructor(
    /** Called at the end of the window for each kind that was repeated, with the last report. */
    private readonly onRepeated: (repeats: number, last: T) => void
  ) {}

  /** Number of kinds in the present window. */
  get size(): number {
    return this.#kinds.size
  }

  has(kind: string): boolean {
    return this.#kinds.has(kind)
  }

  /** @returns true for the first report of a kind, which the caller must pass on; any other is counted */
  isFirst(kind: string, last: () => T): boolean {
    const counted = this.#kinds.get(kind)
    if (counted) {
      counted.repeats++
      counted.last = last()
      return false
    }
    this.#kinds.set(kind, { repeats: 0, last: undefined })
    if (!this.#timer) {
      this.#timer = clock.setTimeout(() => this.flush(), WINDOW_MS)
      unref(this.#timer)
    }
    return true
  }

  /** Passes on what was counted so far. */
  flush(): void {
    clock.clearTimeout(this.#timer)
    this.#timer = undefined
    const counted = [...this.#kinds.values()]
    this.#kinds.clear()
    for (const { repeats, last } of counted) if (repeats > 0) this.onRepeated(repeats, last!)
  }
}
