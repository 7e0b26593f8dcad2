// Names the place of a value in the arguments or the result of a call, for error texts: `result.rows[3].owner`.

import { className, quote } from '../../util/describe.js'

/** What a function or an object passed by reference is. */
const REFERENCE = 'a reference'

/** A value has no form in the other system. */
export class NoFormError extends TypeError {
  override name = 'NoFormError'

  /**
   * @param path `result` or another name of the whole, then the keys that lead to the value
   * @param what the value, e.g. `a reference`
   * @param system the name of the other system
   */
  constructor(path: readonly (string | number)[], what: string, system: string) {
    const advice = what === REFERENCE ? '; pass plain data' : ''
    super(`${formatValuePath(path)} is ${what}, and ${system} has none${advice}`)
  }
}

/** `['result', 'rows', 3]` as `result.rows[3]`. Only the first and the last keys of a long path are shown. */
export function formatValuePath([whole, ...keys]: readonly (string | number)[]): string {
  const parts = keys.map(key =>
    typeof key === 'number' ? `[${key}]` : IDENTIFIER.test(key) ? `.${key}` : `[${quote(key)}]`
  )
  if (parts.length > MAX_KEYS) parts.splice(MAX_KEYS / 2, parts.length - MAX_KEYS, '…')
  return whole + parts.join('')
}

const IDENTIFIER = /^[A-Za-z_$][\w$]{0,63}$/
const MAX_KEYS = 16

/** What an arrived value without a form is. */
export function nounOf(value: object): string {
  const name = className(value)
  return COPIED_CLASSES.has(name) ? `a ${name}` : REFERENCE
}

/** Classes whose instances cross by value, and which few systems have. */
const COPIED_CLASSES: ReadonlySet<string> = new Set(['RegExp', 'Map', 'Set', 'Date', 'URL'])
