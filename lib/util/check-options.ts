// Checks a user's options: unknown names and wrong types throw, so that a misspelled `authenticate` cannot leave a server
// open.
import { MAX_TIMER_MS } from './deadline.js'
import { describeValue } from './describe.js'
import { didYouMean, isSimilar } from './nearest.js'
import { isInstanceOf } from './realms.js'

/** The type of an option, in words that include its `typeof`; empty if the function that uses the option checks it. */
type OptionType =
  | ''
  | 'a boolean'
  | 'a string'
  | 'a number'
  | 'a function'
  | 'a string or a function'
  | 'an object'
  | 'an AbortSignal'

export type OptionTypes<Options> = { readonly [Name in keyof Required<Options>]: OptionType }

/**
 * @param call the function that takes the options, for error texts
 * @param allowOthers whether other options are allowed, unless their name is similar to one of `types`
 * @throws TypeError with the option, its type, and the value
 */
export function checkOptions(
  call: string,
  options: unknown,
  types: OptionTypes<object>,
  allowOthers = false
): void {
  checkType(`${call} takes options:`, options, 'an object')
  for (const [name, value] of Object.entries(options as object)) {
    if (value === undefined) continue
    if (Object.hasOwn(types, name)) {
      checkType(`${call}: \`${name}\` takes`, value, types[name as never])
      continue
    }
    const known = Object.keys(types)
    if (allowOthers && !known.some(other => isSimilar(name, other))) continue
    throw new TypeError(`${call}: there is no option \`${name}\`${didYouMean(name, known)}`)
  }
}

function checkType(takes: string, value: unknown, type: OptionType): void {
  if (!type || type.includes(typeName(value))) return
  throw new TypeError(`${takes} ${type}, not ${describeValue(value)}`)
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return isInstanceOf('AbortSignal', value) ? 'AbortSignal' : typeof value
}

/** @throws RangeError if the option is not a time in ms */
export function checkMs(name: string, ms: number): number {
  if (typeof ms === 'number' && ms >= 0 && ms <= MAX_TIMER_MS) return ms
  throw new RangeError(`${name}: ${describeValue(ms)} is not a time in ms, of less than 25 days`)
}
