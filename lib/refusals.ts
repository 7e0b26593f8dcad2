// Refusals of one-way calls: the caller does not hear of them, and a peer can cause any number.
import { clock, type Timer, unref } from './clock.js'
import { ArgumentsError, NetrefError, Refusal } from './errors.js'
import { textOf } from './labels.js'
import type { ErrorContext } from './options.js'
import { printable } from './printable.js'

/** How long refusals are counted, in ms. */
const WINDOW = 10_000
/** How much is told of the last one, in characters. */
const LAST = 200

/** What `before` has thrown. */
const denials = new WeakSet<object>()

/** Runs what decides on a call: what it throws is a refusal. */
export function deciding(decide: () => void): void {
  try {
    decide()
  } catch (error) {
    if (typeof error === 'object' && error !== null) denials.add(error)
    throw error
  }
}

/** What kind of refusal an error is; undefined where the method itself failed. */
export function refusalKind(error: unknown): string | undefined {
  if (error instanceof Refusal || error instanceof ArgumentsError) return error.code
  return denials.has(error as object) ? 'before' : undefined
}

/** Reports the first refusal of a kind at once, and those of the ten seconds after it as one error with their count. */
export class Refusals {
  readonly #kinds = new Map<string, { repeats: number; last: string }>()
  #timer: Timer | undefined

  constructor(private readonly report: (error: unknown, context: ErrorContext) => void) {}

  tell(kind: string, error: unknown, context: ErrorContext): void {
    const known = this.#kinds.get(kind)
    if (known) {
      known.repeats++
      known.last = printable(textOf(error), LAST)
      return
    }
    this.#kinds.set(kind, { repeats: 0, last: '' })
    if (!this.#timer) {
      this.#timer = clock.setTimeout(() => this.flush(), WINDOW)
      unref(this.#timer)
    }
    this.report(error, context)
  }

  /** Reports what was counted. */
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
