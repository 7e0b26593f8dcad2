// Reports the refusals of one-way calls: their caller gets no reply, and a peer can cause any number of them.

import { NetrefError } from '../errors.js'
import type { ErrorContext } from '../types/session.js'
import { clock, type Timer, unref } from '../util/clock.js'
import { safeString } from '../util/describe.js'
import { toPrintable } from '../util/printable.js'

/** Time in which refusals are counted, in ms. */
const WINDOW_MS = 10_000
/** Maximum text of the last refusal in a report, in characters. */
const MAX_ERROR_CHARS = 200

/** Reports the first refusal of a kind at once, and those of the next ten seconds as one error with their count. */
export class RejectionReporter {
  readonly #kinds = new Map<string, { repeats: number; last: string }>()
  #timer: Timer | undefined

  constructor(private readonly report: (error: unknown, context: ErrorContext) => void) {}

  add(kind: string, error: unknown, context: ErrorContext): void {
    const counted = this.#kinds.get(kind)
    if (counted) {
      counted.repeats++
      counted.last = toPrintable(safeString(error), MAX_ERROR_CHARS)
      return
    }
    this.#kinds.set(kind, { repeats: 0, last: '' })
    if (!this.#timer) {
      this.#timer = clock.setTimeout(() => this.flush(), WINDOW_MS)
      unref(this.#timer)
    }
    this.report(error, context)
  }

  /** Reports the refusals counted so far. */
  flush(): void {
    clock.clearTimeout(this.#timer)
    this.#timer = undefined
    const counted = [...this.#kinds.values()]
    this.#kinds.clear()
    for (const { repeats, last } of counted) {
      if (repeats === 0) continue
      const calls = repeats === 1 ? '1 more one-way call was' : `${repeats} more one-way calls were`
      const error = new NetrefError('repeated', `${calls} refused within 10 s, the last: ${last}`)
      this.report(error, { session: undefined })
    }
  }
}
