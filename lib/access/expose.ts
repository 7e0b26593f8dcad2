// Declares what a peer may use of one object: `expose()`.

import { classify } from '../codec/classify.js'
import { exposedValues, grants, originalOf, ROOT_GRANT } from '../codec/grants.js'
import { registerSymbol } from '../protocol/path.js'
import type { Exposed } from '../types/netref.js'
import { checkOptions, type OptionTypes } from '../util/check-options.js'
import { isNetref } from '../util/library-copies.js'
import { classChecks } from './exposed-members.js'

/** Options of `expose`: what a peer may do with the object. */
export interface ExposeOptions {
  /**
   * The names and symbols of members that the peer may read and call.
   *
   * @default the public members, looked up at each use: those whose names do not start with `_`
   */
  readonly read?: Iterable<PropertyKey> | undefined
  /**
   * The names of members that the peer may set and delete, if it may also read them.
   *
   * @default none
   */
  readonly write?: Iterable<PropertyKey> | undefined
  /** Help texts of the members, by name. `Netref.describe` returns them. @default no help texts */
  readonly help?: Readonly<Record<string, string>> | undefined
  /** Called once per session, when its peer has released the last netref to the object or the session has ended. */
  readonly released?: (() => void) | undefined
}

const EXPOSE_OPTIONS: OptionTypes<ExposeOptions> = {
  read: '',
  write: '',
  help: 'an object',
  released: 'a function'
}

/**
 * Makes every session pass the root of a session by reference, whatever its type. Its data and private members are not
 * sent. An object that `expose()` exposed keeps its members.
 */
export function declareRoot<T extends object>(object: T): T {
  if (typeof object === 'function' || isNetref(object)) return object
  classChecks()?.checkFields(object)
  if (grants.has(object)) return object
  classChecks()?.checkClasses(Object.getPrototypeOf(object))
  if (classify(object).as === 'reference') return object
  grants.set(object, ROOT_GRANT)
  exposedValues.any = true
  return object
}

/**
 * Makes every session pass an object by reference, with these members. A second call replaces the first one. To give
 * other rights to the same data, pass another object.
 *
 * @returns the object itself
 * @throws TypeError for a primitive, for a netref, which only its owner exposes, and for an invalid option
 * @example
 * await conn.root.line_counter(expose(file), console.log)
 * await conn.root.edit(expose(doc, { read: ['title', 'text'], write: ['text'] }))
 */
export function expose<T extends object>(object: T, options: ExposeOptions = {}): T & Exposed<T> {
  if ((typeof object !== 'object' || object === null) && typeof object !== 'function') {
    throw new TypeError(`expose: ${String(object)} is not an object`)
  }
  if (isNetref(object))
    throw new TypeError(`expose: ${String(object)} is remote; expose it on the side that owns it`)
  if (originalOf(object)) throw new TypeError('expose: the object is restricted; expose its original')
  checkOptions('expose', options, EXPOSE_OPTIONS)
  classChecks()?.checkClasses(Object.getPrototypeOf(object))
  const { read, write = [], help = {}, released } = options
  grants.set(object, {
    read: read && checkedNames('expose', 'read', read),
    write: checkedNames('expose', 'write', write),
    help: new Map(Object.entries(help)),
    released
  })
  if (typeof object === 'object' && classify(object).as !== 'reference') exposedValues.any = true
  return object as T & Exposed<T>
}

/** The names of an option, as a peer sends them. @throws TypeError for a string */
export function checkedNames(call: string, option: string, keys: Iterable<PropertyKey>): Set<PropertyKey> {
  if (typeof keys === 'string')
    throw new TypeError(`${call}: \`${option}\` must be a list of names, such as ['${keys}']`)
  const names = [...keys].map(key => (typeof key === 'number' ? String(key) : key))
  names.forEach(registerSymbol)
  return new Set(names)
}
