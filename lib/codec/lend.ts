// `Netref.lend`: references that are released when the call settles.

import { describeValue } from '../util/describe.js'
import { hasArrived, isNetref, sharedInRealm } from '../util/library-copies.js'
import { classify } from './classify.js'
import { markConfidential } from './confidential-errors.js'
import { copyGrant, isExposed } from './grants.js'
import type { EncodedReference } from './types.js'

/** The lent objects, by the proxy that is sent in their place. */
const lentObjects = sharedInRealm('lent/1', () => new WeakMap<object, object>())

/** Accessors run on the object itself, as it may have private members. */
const loanHandler = { get: (object: object, name: PropertyKey): unknown => Reflect.get(object, name) }

/**
 * @returns the proxy that is sent in place of the object
 * @throws TypeError for a value that is not passed by reference
 */
export function lend<T extends object>(object: T): T {
  if (!isPassedByReference(object)) {
    const remedy = isNetref(object) ? 'await it first' : 'lend the functions in it, or expose() it'
    throw markConfidential(
      new TypeError(`Netref.lend: ${describeValue(object)} is not passed by reference: ${remedy}`)
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

export const lentObjectOf = (loanProxy: object): object | undefined => lentObjects.get(loanProxy)

/** What the owner says of a lent reference, after its id and name. */
export const LENT = 1

/** Whether an encoded reference is lent. */
export const isLoan = (kind: EncodedReference[0], data: readonly unknown[]): boolean =>
  (kind === 'o' || kind === 'f') && data[2] === LENT

/** The ids of the lent references among these; undefined if there are none. */
export function loansOf(references: readonly EncodedReference[]): number[] | undefined {
  let loans: number[] | undefined
  for (const [kind, data] of references)
    if (isLoan(kind, data as unknown[])) (loans ??= []).push((data as [number])[0])
  return loans
}
