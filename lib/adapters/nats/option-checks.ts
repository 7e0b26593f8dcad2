// Checks options that are numbers.
import { checkMs } from '../../util/check-options.js'
import { describeValue } from '../../util/describe.js'

/** NATS rounds shorter times. */
const MIN_MS = 100

/** @param name the call and the option, for error texts. @throws RangeError for anything but a time of 100 ms or more */
export function checkTime(name: string, ms: number): number {
  if (checkMs(name, ms) >= MIN_MS) return ms
  throw new RangeError(`${name}: ${ms} is less than ${MIN_MS} ms`)
}

/** @param name the call and the option, for error texts. @throws RangeError for anything but a positive whole number */
export function checkCount(name: string, count: number): number {
  if (Number.isSafeInteger(count) && count > 0) return count
  throw new RangeError(`${name}: ${describeValue(count)} is not a positive whole number`)
}
