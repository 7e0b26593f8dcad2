// `restrict()`: a stand-in for an object, with rights of its own.

import { classify } from '../codec/classify.js'
import { exposedValues, grantOf, grants, originalOf, standIns } from '../codec/grants.js'
import type { Exposed, ExposedKey, ExposedMember } from '../types/netref.js'
import { checkOptions, type OptionTypes } from '../util/check-options.js'
import { describeValue } from '../util/describe.js'
import { isNetref, sharedInRealm } from '../util/library-copies.js'
import { checkedNames } from './expose.js'

/** The rights of a peer that gets the stand-in. */
export interface Rights<R extends PropertyKey = PropertyKey> {
  /**
   * The names and symbols of members that the peer may read and call. The list also hides members that the class of the
   * object exposes.
   *
   * @default the public members, and those that the class exposes, looked up at each use
   */
  readonly read?: Iterable<R> | undefined
  /**
   * The names of members that the peer may set and delete, if it may also read them. `allowSetAttrs` and
   * `allowDeleteAttrs` add none.
   *
   * @default none
   */
  readonly write?: Iterable<PropertyKey> | undefined
}

/** The names of members, as the peer uses them. */
type RestrictedKey<T> = ExposedKey<T> | Exclude<keyof T, `exposed_${string}`>
/** A T with these members only. */
type View<T, R extends PropertyKey> = Pick<T, R & keyof T> & {
  readonly [K in Exclude<R, keyof T> & ExposedKey<T>]: ExposedMember<T, K>
}

const RIGHTS: OptionTypes<Rights> = { read: '', write: '' }

interface StandIn {
  readonly proxy: object
  readonly read: ReadonlySet<PropertyKey> | undefined
  readonly write: ReadonlySet<PropertyKey>
}

const standInsByOriginal = sharedInRealm('stand-ins-of/1', () => new WeakMap<object, StandIn[]>())

/**
 * Returns a stand-in for an object: peers that get it may use these members only, whatever the object itself exposes. The
 * same object and the same rights give the same stand-in, so the peer holds one netref. Methods and accessors run with
 * the original object as `this`. If they return that object, or a promise of it, the peer gets the stand-in. Inside another
 * value the original is sent as such. So list no member that puts it in an array, or passes it to a callback as `forEach`
 * does.
 *
 * On this side the stand-in can be used like the object, without restriction. A stand-in that a peer sends back arrives as
 * the stand-in; `unrestricted()` returns the original.
 *
 * @throws TypeError for a value that is not an object, and for a function, which its holder may call in any case
 * @throws TypeError for a netref, which only its owner restricts, for a stand-in, and for an unknown right
 * @example
 * class Library extends Service {
 *   exposed_document() {
 *     return restrict(doc, { read: ['text'], write: isEditor(callSession()) ? ['text'] : [] })
 *   }
 * }
 */
export function restrict<T extends object, const R extends RestrictedKey<T>>(
  object: T,
  rights: Rights<R> & { readonly read: Iterable<R> }
): T & Exposed<View<T, R>>
export function restrict<T extends object>(
  object: T,
  rights: Rights & { readonly read?: undefined }
): T & Exposed<T>
export function restrict(object: object, rights: Rights): object {
  if (typeof object !== 'object' || object === null) throw new TypeError(`restrict: ${reasonAgainst(object)}`)
  if (isNetref(object))
    throw new TypeError(`restrict: ${String(object)} is remote; restrict it on the side that owns it`)
  if (originalOf(object))
    throw new TypeError(
      `restrict: ${describeValue(object)} is restricted already; restrict the original, which unrestricted() returns`
    )
  checkOptions('restrict', rights, RIGHTS)
  const read = rights.read && checkedNames('restrict', 'read', rights.read)
  const write = checkedNames('restrict', 'write', rights.write ?? [])
  return standInFor(object, read, write)
}

const reasonAgainst = (value: unknown) =>
  typeof value === 'function'
    ? 'a function has no rights to take away, because its holder may call it; restrict an object with the members that the peer needs'
    : `${describeValue(value)} is not an object`

function standInFor(
  original: object,
  read: ReadonlySet<PropertyKey> | undefined,
  write: ReadonlySet<PropertyKey>
): object {
  const known = standInsByOriginal.get(original) ?? []
  const same = known.find(one => isSameSet(one.read, read) && isSameSet(one.write, write))
  if (same) return same.proxy
  const proxy = new Proxy(original, new StandInHandler())
  const help = grantOf(original)?.help ?? new Map()
  grants.set(proxy, { read, write, help, released: undefined, original })
  standIns.any = true
  if (classify(original).as !== 'reference') exposedValues.any = true
  standInsByOriginal.set(original, [...known, { proxy, read, write }])
  return proxy
}

const isSameSet = (
  a: ReadonlySet<PropertyKey> | undefined,
  b: ReadonlySet<PropertyKey> | undefined
): boolean => a === b || (a !== undefined && a.size === b?.size && [...a].every(name => b.has(name)))

/**
 * The object that a stand-in of `restrict()` stands for, to look it up or to pass it on with other rights. Any other value
 * is returned unchanged.
 *
 * @example
 * const readOnly = restrict(doc, { read: ['text'] })
 * console.log(unrestricted(readOnly) === doc) // true
 */
export const unrestricted = <T>(value: T): T =>
  ((typeof value === 'object' && value !== null && originalOf(value)) || value) as T

/** On this side a stand-in has the members of its original, which run with the original as `this`. */
class StandInHandler implements ProxyHandler<object> {
  readonly #methods = new WeakMap<object, object>()

  get(original: object, name: PropertyKey): unknown {
    const value: unknown = Reflect.get(original, name)
    if (typeof value !== 'function' || isNetref(value) || !isReplaceable(original, name)) return value
    let method = this.#methods.get(value)
    if (!method) {
      method = new Proxy(value, { apply: (fn, _standIn, args) => Reflect.apply(fn, original, args) })
      this.#methods.set(value, method)
    }
    return method
  }

  set(original: object, name: PropertyKey, value: unknown): boolean {
    return Reflect.set(original, name, value)
  }
}

/** Whether a Proxy may return another function: not for a constant property, nor for the class of the object. */
function isReplaceable(original: object, name: PropertyKey): boolean {
  const own = Object.getOwnPropertyDescriptor(original, name)
  return name !== 'constructor' && (own === undefined || own.configurable === true || own.writable === true)
}
