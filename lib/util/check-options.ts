// Options as users give them: what is no option, or of no kind that the option may be, is refused and not passed over.
// That holds above all for those that keep somebody out.
import { MAX_TIMER_MS } from './deadline.js'
import { describe } from './describe.js'
import { isInstanceOf } from './realms.js'

/** What an option takes, in words that the `typeof` of it is among; none where who uses it says what it takes. */
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
 * @param call what the options were given to, for the error
 * @param allowOthers whether other options are passed on: only one that was likely meant to be one of these is refused then
 * @throws TypeError naming the option, what it takes and what it is
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
    const suggestion = didYouMean(name, Object.keys(types))
    if (allowOthers && !suggestion) continue
    throw new TypeError(`${call}: there is no option \`${name}\`${suggestion}`)
  }
}

/** What was likely meant by a name that there is not, as the end of an error; empty where no name is near. */
export function didYouMean(name: string, names: readonly string[], quoteMark = '`'): string {
  const similar = names.find(known => isSimilar(name, known))
  return similar ? `: was ${quoteMark}${similar}${quoteMark} meant?` : ''
}

function checkType(takes: string, value: unknown, type: OptionType): void {
  if (!type || type.includes(typeName(value))) return
  throw new TypeError(`${takes} ${type}, not ${describe(value)}`)
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return isInstanceOf('AbortSignal', value) ? 'AbortSignal' : typeof value
}

/** Whether two names differ at one place, in two letters at most, or one where there are few. */
const isSimilar = (name: string, known: string) =>
  (name.length > 4 ? /^(.*).{0,2}(.*)\n\1.{0,2}\2$/i : /^(.*).?(.*)\n\1.?\2$/i).test(`${name}\n${known}`)

/** @throws RangeError naming the option that is no time */
export function checkMs(name: string, ms: number): number {
  if (typeof ms === 'number' && ms >= 0 && ms <= MAX_TIMER_MS) return ms
  throw new RangeError(`${name}: ${describe(ms)} is not a time in ms, of less than 25 days`)
}
