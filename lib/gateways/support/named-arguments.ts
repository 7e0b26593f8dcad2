// Puts arguments that a foreign client passes by name into the order of the method's parameters.

import { Netref } from '../../index.js'
import type { RemoteHandle } from '../../types/netref.js'
import { quote } from '../../util/describe.js'
import { RefusedCallError } from './call-failure.js'
import { describeMethod } from './introspection.js'
import { noSuchMethod } from './methods.js'

/**
 * The named arguments of a method in order.
 *
 * @param positionCount number of arguments that the client passes by position, before the named ones
 * @returns the arguments after those
 * @throws RefusedCallError as `orderArguments`, and if there is no such method
 */
export async function namedArguments(
  root: RemoteHandle<unknown>,
  method: string,
  named: Readonly<Record<string, unknown>>,
  positionCount = 0
): Promise<unknown[]> {
  if (Object.keys(named).length === 0) return []
  const description = await describeMethod(root, method)
  if (!description && !(await hasMember(root, method))) throw noSuchMethod(method)
  return orderArguments(method, description?.parameters, named, positionCount)
}

function hasMember(root: RemoteHandle<unknown>, method: string): Promise<boolean> {
  const names = method.split('.')
  const last = names.pop()!
  return Netref.has(
    names.reduce((object, key) => Netref.get(object, key), root),
    last
  )
}

/**
 * Orders named arguments. An omitted one is undefined, so that its default applies. A rest parameter has no name that a
 * client can use; a destructured one has that of its position: `arg0`.
 *
 * @param method its name, for error texts
 * @param parameters as in a `Description`: `name`, `name?` with a default, `...name`
 * @param positionCount number of arguments that the client passes by position, before the named ones
 * @returns the arguments after those
 * @throws RefusedCallError if the names are not those of the method, or a parameter without a default is missing
 */
export function orderArguments(
  method: string,
  parameters: readonly string[] | undefined,
  named: Readonly<Record<string, unknown>>,
  positionCount = 0
): unknown[] {
  const given = Object.keys(named)
  const refuse = (what: string) => new RefusedCallError('bad-params', `${method}: ${what}`)
  if (!parameters) {
    if (given.length > 0) throw refuse('the names of its parameters are not known; pass them by position')
    return []
  }
  const list = `its parameters are (${parameters.join(', ')})`
  const names = parameters.map(parameter => parameter.replace(/\?$/, ''))
  const unknown = given.find(name => name.startsWith('...') || !names.includes(name))
  if (unknown !== undefined) throw refuse(`no parameter has the name ${quote(unknown)}; ${list}`)
  const twice = given.find(name => names.indexOf(name) < positionCount)
  if (twice !== undefined)
    throw refuse(`the parameter ${quote(twice)} is passed by position and by name; pass it once`)
  const missing = parameters
    .slice(positionCount)
    .find(parameter => !/^\.{3}|\?$/.test(parameter) && !Object.hasOwn(named, parameter))
  if (missing !== undefined) throw refuse(`the parameter ${quote(missing)} is missing; ${list}`)
  // Parameters behind the last one that was given do not count as arguments.
  const end = 1 + Math.max(-1, ...given.map(name => names.indexOf(name)))
  return names.slice(positionCount, end).map(name => (Object.hasOwn(named, name) ? named[name] : undefined))
}
