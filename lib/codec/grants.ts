// Grants of `expose()`: exposed objects are passed by reference, and a peer may use the members of the grant.
import { sharedInRealm } from '../util/library-copies.js'

/** The members of one object that a peer may use. */
export interface Grant {
  /** Undefined for all public members. */
  readonly read: ReadonlySet<PropertyKey> | undefined
  readonly write: ReadonlySet<PropertyKey>
  readonly help: ReadonlyMap<string, string>
  readonly released: (() => void) | undefined
  /** The object that the exposed one stands in for. `restrict()` made it, and the peer may use nothing beyond the lists. */
  readonly original?: object | undefined
  /** Whether it is a subscription: `cancel` gives it back, and the end of the session does so, too. */
  readonly isSubscription?: boolean
}

export const grants = sharedInRealm('grants/1', () => new WeakMap<object, Grant>())

/** Whether any object that would be passed by value is exposed: before, the encoder needs no lookup. */
export const exposedValues = sharedInRealm('exposing/1', () => ({ any: false }))

/** The grant of a root that is not exposed. The rules for roots hold for it, however a peer gets it. */
export const ROOT_GRANT: Grant = sharedInRealm('root/1', () => ({
  read: undefined,
  write: new Set(),
  help: new Map(),
  released: undefined
}))

/** The grant of an object, if it has one. */
export const grantOf = (object: object): Grant | undefined => grants.get(object)

/** Whether any object has a stand-in: before, no operation needs a lookup. */
export const standIns = sharedInRealm('stand-ins/1', () => ({ any: false }))

/** The object that a stand-in of `restrict()` stands for; undefined for any other object. */
export const originalOf = (object: object): object | undefined =>
  standIns.any ? grants.get(object)?.original : undefined

/** Gives the grant of one object to another. */
export function copyGrant(from: object, to: object): void {
  const grant = grants.get(from)
  if (grant) grants.set(to, grant)
}

/** Whether an object that might be passed by value is exposed. */
export const isExposed = (object: object): boolean => exposedValues.any && grants.has(object)

/** @internal Whether a value is a plain object that is passed by value, key by key: it is not exposed, and no root. */
export const isPlainRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' &&
  value !== null &&
  Object.getPrototypeOf(value) === Object.prototype &&
  !isExposed(value)
