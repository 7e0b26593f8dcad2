// What is lent for one call: what stands for it over there is released when the call settles.

import { hasArrived, isNetref, shared } from '../util/copies.js'
import { describe } from '../util/describe.js'
import { travelOf } from './classify.js'
import { copyGrant, isExposed } from './grants.js'
import { aboutCall } from './peer-errors.js'
import type { Given, ReferenceKind } from './types.js'

/** What was lent, by what stands for it where it is handed over. */
const lent = shared('lent/1', () => new WeakMap<object, object>())

/** Accessors run on the object itself, which may have private members. */
const handler = { get: (object: object, name: PropertyKey): unknown => Reflect.get(object, name) }

/** What stands for an object where it is lent. @throws TypeError for what does not go by reference */
export function lend<T extends object>(object: T): T {
  if (!goesByReference(object)) {
    const cure = isNetref(object) ? 'await it first' : 'lend the functions in it, or expose() it'
    throw aboutCall(new TypeError(`Netref.lend: ${describe(object)} does not go by reference: ${cure}`))
  }
  const standIn = new Proxy<T>(object, handler)
  lent.set(standIn, lentBehind(object) ?? object)
  copyGrant(object, standIn)
  return standIn
}

function goesByReference(object: unknown): boolean {
  if (isNetref(object)) return hasArrived(object)
  if (typeof object !== 'object' || object === null) return typeof object === 'function'
  return isExposed(object) || travelOf(object).as === 'reference'
}

export const lentBehind = (standIn: object): object | undefined => lent.get(standIn)

/** Whether a reference was lent, by what is told of it. */
export const isLoan = (kind: ReferenceKind, data: readonly unknown[]): boolean =>
  (kind === 'o' || kind === 'f') && data[2] === 1

/** Of the references that were given those that were lent, if any were. */
export function loansOf(given: readonly Given[]): number[] | undefined {
  let loans: number[] | undefined
  for (const [kind, data] of given)
    if (isLoan(kind, data as unknown[])) (loans ??= []).push((data as [number])[0])
  return loans
}
