// Formats the line that `netref serve` prints for a call that failed in the service.
import { safeString } from '../util/describe.js'
import { toPrintable } from '../util/printable.js'

/** Where an error was thrown, in its stack: `file:///calculator.js:5:11`. */
const LOCATION = /\n {4}at (?:.*\()?([^()\n]+:\d+:\d+)\)?(?:\n|$)/

/** The call, its error, and the place in the source, in one line. The arguments are not in it. */
export function formatFailedCall(error: unknown, call: string): string {
  const stack: unknown = error instanceof Error ? error.stack : undefined
  const location = typeof stack === 'string' ? LOCATION.exec(stack)?.[1] : undefined
  return toPrintable(`${call} failed: ${safeString(error)}${location === undefined ? '' : ` (${location})`}`)
}
