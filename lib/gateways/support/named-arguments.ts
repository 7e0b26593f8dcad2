// Puts arguments that a foreign client passes by name into the order of the method's parameters.

import { quote } from '../../util/describe.js'
import { RefusedCallError } from './call-failure.js'

/**
 * Orders named arguments. An omitted one is undefined, so that its default applies. A rest parameter has no name that a
 * client can use; a destructured one has that of its position: `arg0`.
 *
 * @param parameters as in a `Description`: `name`, `name?` with a default, `...name`
 * @throws RefusedCallError if the names are not those of the method, or a parameter without a default is missing
 */
export function orderArguments(
  parameters: readonly string[] | undefined,
  named: Readonly<Record<string, unknown>>
): unknown[] {
  const given = Object.keys(named)
  if (!parameters) {
    if (given.length > 0)
      throw badParameters('the names of its parameters are not known: pass them by position')
    return []
  }
  const names = parameters.map(parameter => parameter.replace(/\?$/, ''))
  const unknown = given.find(name => name.startsWith('...') || !names.includes(name))
  if (unknown !== undefined)
    throw badParameters(`it has no parameter ${quote(unknown)} that can be named: (${parameters.join(', ')})`)
  const missing = parameters.find(
    parameter => !/^\.{3}|\?$/.test(parameter) && !Object.hasOwn(named, parameter)
  )
  if (missing !== undefined) throw badParameters(`the parameter ${quote(missing)} is missing`)
  // Parameters behind the last one that was given do not count as arguments.
  const count = 1 + Math.max(-1, ...given.map(name => names.indexOf(name)))
  return names.slice(0, count).map(name => (Object.hasOwn(named, name) ? named[name] : undefined))
}

const badParameters = (message: string) => new RefusedCallError('bad-params', message)
