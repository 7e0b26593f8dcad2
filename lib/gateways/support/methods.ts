// Finds the method that a foreign client names: `ServiceA.Add` is `root.ServiceA.Add`.

import { Netref } from '../../index.js'
import type { RemoteHandle } from '../../types/netref.js'
import { quote } from '../../util/describe.js'
import { RefusedCallError } from './call-failure.js'

/** A path to a member of a service whose type is not known. */
export type MethodPath = RemoteHandle<unknown> & ((...args: unknown[]) => Promise<unknown>)

/**
 * The path to a method. Sends nothing: the session decides about the call.
 *
 * @param name member names, joined by dots
 * @param maxNames maximum number of names, `limits.depth`
 * @throws RefusedCallError for a name that no method can have
 */
export function methodAt(root: RemoteHandle<unknown>, name: string, maxNames: number): MethodPath {
  const names = name.split('.', maxNames + 1)
  if (names.length > maxNames || names.includes('')) throw noSuchMethod(name)
  return names.reduce<RemoteHandle<unknown>>((object, key) => Netref.get(object, key), root) as MethodPath
}

/** The error for a method that does not exist. */
export const noSuchMethod = (name: string): RefusedCallError =>
  new RefusedCallError('no-method', `${quote(name)} is not exposed or missing`)
