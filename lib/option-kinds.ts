// Options as users give them: what is no option, or of no kind that the option may be, is refused and not passed over.
// That holds above all for those that keep somebody out.
import { describe } from './labels.js'

/** What an option takes, in words that the `typeof` of it is among; `any` where who uses it says what it takes. */
type Kind =
  | 'any'
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
    const kind = Object.hasOwn(kinds, name) && kinds[name as never]
    if (kind) {
      checkKind(`${call}: \`${name}\` takes`, value, kind)
      continue
    }
    const meant = Object.keys(kinds).find(known => isNear(name, known))
    if (meant) throw new TypeError(`${call}: there is no option \`${name}\`: was \`${meant}\` meant?`)
    if (!open) throw new TypeError(`${call}: there is no option \`${name}\``)
  }
}

function checkKind(takes: string, value: unknown, kind: Kind): void {
  const type = value === null ? 'null' : value instanceof AbortSignal ? 'AbortSignal' : typeof value
  if (kind !== 'any' && !kind.includes(type)) throw new TypeError(`${takes} ${kind}, not ${describe(value)}`)
}

/** Whether two names differ at one place, in a few letters. */
function isNear(name: string, known: string): boolean {
  const [a, b] = [name.toLowerCase(), known.toLowerCase()]
  const shorter = Math.min(a.length, b.length)
  let same = 0
  while (same < shorter && a[same] === b[same]) same++
  for (let end = 1; same < shorter && a.at(-end) === b.at(-end); end++) same++
  return Math.max(a.length, b.length) - same <= Math.min(2, Math.round(a.length / 3))
}
