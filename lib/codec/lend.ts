// What is lent for one call: what stands for it over there is released when the call settles.

import { hasArrived, isNetref, sharedInRealm } from '../util/copies.js'
import { describe } from '../util/describe.js'
import { classify } from './classify.js'
import { copyGrant, isExposed } from './grants.js'
import { markConfidential } from './peer-errors.js'
import type { EncodedReference, ReferenceTag } from './types.js'

/** What was lent, by what stands for it where it is handed over. */
const lentObjects = sharedInRealm('lent/1', () => new WeakMap<object, object>())

/** Accessors run on the object itself, which may have private members. */
const loanHandler = { get: (object: object, name: PropertyKey): unknown => Reflect.get(object, name) }

/** What stands for an object where it is lent. @throws TypeError for what does not go by reference */
export function lend<T extends object>(object: T): T {
  if (!isPassedByReference(object)) {
    const remedy = isNetref(object) ? 'await it first' : 'lend the functions in it, or expose() it'
    throw markConfidential(
      new TypeError(`Netref.lend: ${describe(object)} does not go by reference: ${remedy}`)
    )
  }
  const loanProxy = new Proxy<T>(object, loanHandler)
  lentObjects.set(loanProxy, lentObjectOf(object) ?? object)
  copyGrant(object, loanProxy)
  return loanProxy
}

function isPassedByReference(object: unknown): boolean {
  if (isNetref(object)) return hasArrived(object)
  if (typeof object !== 'object' || object === null) return typeof object === 'function'
  return isExposed(object) || classify(object).as === 'reference'
}

export const lentObjectOf = (standIn: object): object | undefined => lentObjects.get(standIn)

/** Whether a reference was lent, by what is told of it. */
export const isLoan = (kind: ReferenceTag, data: readonly unknown[]): boolean =>
  (kind === 'o' || kind === 'f') && data[2] === 1

/** Of the references that were given those that were lent, if any were. */
export function loansOf(references: readonly EncodedReference[]): number[] | undefined {
  let loans: number[] | undefined
  for (const [kind, data] of references)
    if (isLoan(kind, data as unknown[])) (loans ??= []).push((data as [number])[0])
  return loans
}
