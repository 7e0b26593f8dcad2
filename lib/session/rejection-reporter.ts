// Reports the refusals of one-way calls: their caller gets no reply, and a peer can cause any number of them.

import { NetrefError } from '../errors.js'
import type { ErrorContext } from '../types/session.js'
import { safeString } from '../util/describe.js'
import { toPrintable } from '../util/printable.js'
import { ReportWindow } from '../util/report-window.js'

/** Maximum text of the last refusal in a report, in characters. */
const MAX_ERROR_CHARS = 200

/** Reports the first refusal of a kind at once, and those of the next ten seconds as one error with their count. */
export class RejectionReporter {
  readonly #window: ReportWindow<string>

  constructor(private readonly report: (error: unknown, context: ErrorContext) => void) {
    this.#window = new ReportWindow((repeats, last) => {
      const calls = repeats === 1 ? '1 more one-way call was' : `${repeats} more one-way calls were`
      const error = new NetrefError('repeated', `${calls} refused within 10 s, the last: ${last}`)
      report(error, { session: undefined })
    })
  }

  add(kind: string, error: unknown, context: ErrorContext): void {
    const isFirst = this.#window.isFirst(kind, () => toPrintable(safeString(error), MAX_ERROR_CHARS))
    if (isFirst) this.report(error, context)
  }

  /** Reports the refusals counted so far. */
  flush(): void {
    this.#window.flush()
  }
}
