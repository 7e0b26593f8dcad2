// What `expose()` says of single objects: they are passed by reference, with these members.
import { sharedInRealm } from '../util/copies.js'

/** What `expose()` said of one object. */
export interface Grant {
  /** Undefined: the public members. */
  readonly read: ReadonlySet<PropertyKey> | undefined
  readonly write: ReadonlySet<PropertyKey>
  readonly help: ReadonlyMap<string, string>
  readonly released: (() => void) | undefined
}

export const grants = sharedInRealm('grants/1', () => new WeakMap<object, Grant>())

/** Whether any object that would travel by value goes by reference: until then no value needs to be looked up. */
export const exposing = sharedInRealm('exposing/1', () => ({ any: false }))

/** Of a root that was not exposed. The rules for roots hold for it, wherever a peer comes across it. */
export const ROOT: Grant = sharedInRealm('root/1', () => ({
  read: undefined,
  write: new Set(),
  help: new Map(),
  released: undefined
}))

/** What `expose()` said of this object, if it did; `ROOT` for a root of which it said nothing. */
export const grantOf = (object: object): Grant | undefined => grants.get(object)

/** What it said of one object holds for another, too. */
export function copyGrant(from: object, to: object): void {
  const grant = grants.get(from)
  if (grant) grants.set(to, grant)
}

/** Whether an object that might travel by value goes by reference. */
export const isExposed = (object: object): boolean => exposing.any && grants.has(object)

/** @internal Whether it is what crosses as data, key by key: a plain object that was not exposed, and is no root. */
export const isPlainRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' &&
  value !== null &&
  Object.getPrototypeOf(value) === Object.prototype &&
  !isExposed(value)
