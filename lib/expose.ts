// How a side says what a peer may touch: `expose()` for one object, `@exposed` for members of a class.

import { knowSymbol } from './names.js'
import { isNetref } from './netref.js'
import { travelOf } from './values.js'

export interface ExposeOptions {
  /**
   * Names, and symbols, that may be read and called.
   *
   * @default its public members, looked up live: those that do not start with `_`
   */
  readonly read?: Iterable<PropertyKey> | undefined
  /**
   * Names that may be set and deleted, if they may be read, too.
   *
   * @default none
   */
  readonly write?: Iterable<PropertyKey> | undefined
  /** Told once per session when its peer has let go of the last netref to the object, or the session ended. */
  readonly released?: (() => void) | undefined
}

/** What `expose()` said of one object. */
export interface Grant {
  /** Undefined: the public members. */
  readonly read: ReadonlySet<PropertyKey> | undefined
  readonly write: ReadonlySet<PropertyKey>
  readonly released: (() => void) | undefined
}

const grants = new WeakMap<object, Grant>()
/** Whether an object that would travel by value was ever exposed: until then no value needs to be looked up. */
let valuesExposed = false

/**
 * Hands an object over by reference, with these members, in every session; a second call replaces the first. For
 * other rights to the same thing hand out another object.
 *
 * @returns the object itself
 * @throws TypeError for a primitive, and for a netref, which its home exposes
 * @example
 * await conn.root.line_counter(expose(file), console.log)
 * await conn.root.edit(expose(doc, { read: ['title', 'text'], write: ['text'] }))
 */
export function expose<T extends object>(object: T, { read, write = [], released }: ExposeOptions = {}): T {
  if ((typeof object !== 'object' || object === null) && typeof object !== 'function') {
    throw new TypeError(`expose: ${String(object)} is not an object`)
  }
  if (isNetref(object)) throw new TypeError(`expose: ${String(object)} is remote: its home exposes it`)
  grants.set(object, { read: read && namesOf('read', read), write: namesOf('write', write), released })
  if (typeof object === 'object' && travelOf(object).as !== 'reference') valuesExposed = true
  return object
}

function namesOf(option: string, keys: Iterable<PropertyKey>): Set<PropertyKey> {
  if (typeof keys === 'string') throw new TypeError(`expose: ${option} is a list of names: ['${keys}']`)
  const names = [...keys].map(key => (typeof key === 'number' ? String(key) : key))
  names.forEach(knowSymbol)
  return new Set(names)
}

/** What `expose()` said of this object, if it did. */
export const grantOf = (object: object): Grant | undefined => grants.get(object)

/** Whether an object that might travel by value goes by reference. */
export const isExposed = (object: object): boolean => valuesExposed && grants.has(object)

const marked = new WeakSet<object>()

type Exposable = (
  target: unknown,
  context: ClassMethodDecoratorContext | ClassGetterDecoratorContext | ClassAccessorDecoratorContext
) => void

/**
 * Exposes a method, getter or accessor under its own name: the same as the `exposed_` prefix. What overrides it in a
 * subclass is exposed as well. Of several decorators it is written first.
 *
 * @example
 * class Clock extends Service {
 *   @exposed now() { return new Date() }
 * }
 */
export const exposed: Exposable = (target, context) => {
  const { kind, name } = context
  if ((kind !== 'method' && kind !== 'getter' && kind !== 'accessor') || context.private) {
    throw new TypeError(
      `@exposed ${String(name)}: it goes on public methods, getters and accessors (\`@exposed accessor ${String(name)}\` for a field)`
    )
  }
  knowSymbol(name)
  marked.add(kind === 'accessor' ? (target as { get: object }).get : (target as object))
}

const idempotents = new WeakSet<object>()

/**
 * Marks a method that may be carried out twice and does the same as if once: a client that renews its session makes
 * calls of it again whose answers were lost with the session before.
 *
 * @example
 * class Store extends Service {
 *   @exposed @idempotent put(key: string, value: string) { this.values.set(key, value) }
 * }
 */
export function idempotent(
  method: (...args: never) => unknown,
  { kind, name }: ClassMethodDecoratorContext
): void {
  if (kind !== 'method') throw new TypeError(`@idempotent ${String(name)}: it goes on methods`)
  idempotents.add(method)
}

export const isIdempotent = (fn: unknown): boolean => typeof fn === 'function' && idempotents.has(fn)

/** Whether this very descriptor came from `@exposed`. */
export const isMarked = ({ get, value }: PropertyDescriptor): boolean =>
  get ? marked.has(get) : typeof value === 'function' && marked.has(value)
