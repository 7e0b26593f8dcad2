// Options as users give them: what is no option, or of no kind that the option may be, is refused and not passed over.
// That holds above all for those that keep somebody out.
import { LONGEST } from './deadline.js'
import { describe } from './describe.js'
import { isA } from './realms.js'

/** What an option takes, in words that the `typeof` of it is among; none where who uses it says what it takes. */
type Kind =
  | ''
  | 'a boolean'
  | 'a string'
  | 'a number'
  | 'a function'
  | 'a string or a function'
  | 'an object'
  | 'an AbortSignal'

export type OptionKinds<Options> = { readonly [Name in keyof Required<Options>]: Kind }

/**
 * @param call what the options were given to, for the error
 * @param open whether other options are passed on: only one that was likely meant to be one of these is refused then
 * @throws TypeError naming the option, what it takes and what it is
 */
export function checkOptions(call: string, options: unknown, kinds: OptionKinds<object>, open = false): void {
  checkKind(`${call} takes options:`, options, 'an object')
  for (const [name, value] of Object.entries(options as object)) {
    if (value === undefined) continue
    if (Object.hasOwn(kinds, name)) {
      checkKind(`${call}: \`${name}\` takes`, value, kinds[name as never])
      continue
    }
    const meant = hint(name, Object.keys(kinds))
    if (open && !meant) continue
    throw new TypeError(`${call}: there is no option \`${name}\`${meant}`)
  }
}

/** What was likely meant by a name that there is not, as the end of an error; empty where no name is near. */
export function hint(name: string, names: readonly string[], mark = '`'): string {
  const meant = names.find(known => isNear(name, known))
  return meant ? `: was ${mark}${meant}${mark} meant?` : ''
}

function checkKind(takes: string, value: unknown, kind: Kind): void {
  if (!kind || kind.includes(typeOf(value))) return
  throw new TypeError(`${takes} ${kind}, not ${describe(value)}`)
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return isA('AbortSignal', value) ? 'AbortSignal' : typeof value
}

/** Whether two names differ at one place, in two letters at most, or one where there are few. */
const isNear = (name: string, known: string) =>
  (name.length > 4 ? /^(.*).{0,2}(.*)\n\1.{0,2}\2$/i : /^(.*).?(.*)\n\1.?\2$/i).test(`${name}\n${known}`)

/** @throws RangeError naming the option that is no time */
export function checkMs(name: string, ms: number): number {
  if (typeof ms === 'number' && ms >= 0 && ms <= LONGEST) return ms
  throw new RangeError(`${name}: ${describe(ms)} is not a time in ms, of less than 25 days`)
}
