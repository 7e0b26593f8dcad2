// Puts arguments that a foreign client passes by name into the order of the method's parameters.

import { Netref } from '../../index.js'
import type { RemoteHandle } from '../../types/netref.js'
import { quote } from '../../util/describe.js'
import { RefusedCallError } from './call-failure.js'
import { describeMethod } from './introspection.js'
import { noSuchMethod } from './methods.js'

/**
 * The arguments of a method in order.
 *
 * @throws RefusedCallError as `orderArguments`, and if there is no such method
 */
export async function namedArguments(
  root: RemoteHandle<unknown>,
  method: string,
  named: Readonly<Record<string, unknown>>
): Promise<unknown[]> {
  if (Object.keys(named).length === 0) return []
  const description = await describeMethod(root, method)
  if (!description && !(await hasMember(root, method))) throw noSuchMethod(method)
  return orderArguments(description?.parameters, named)
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
