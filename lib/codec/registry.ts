// What travels by value besides plain data: superjson's leaves, registered types, and the classes of errors.
import { SuperJSON } from 'superjson'
import {
  ArgumentsError,
  ExposureError,
  LimitError,
  NetrefError,
  ReleasedError,
  SessionEndedError,
  UnsendableError
} from '../errors.js'
import { sharedInRealm } from '../util/copies.js'
import { builtInClassName, isInstanceOf, prototypeChain } from '../util/realms.js'
import { isPassedByValue, type LeafTag, markRegistered } from './classify.js'

// biome-ignore lint/suspicious/noExplicitAny: a class is registered whatever its constructor takes.
export type Class<T = unknown> = abstract new (...args: any[]) => T

const superjson = new SuperJSON()
/** Not superjson's custom transformers: it would ask each of them about each leaf, and finds `constructor` registered. */
const typesByName = sharedInRealm('types/1', () => new Map<string, TypeOptions<unknown, unknown>>())
/** By prototypes: an instance of a class that was replaced is encoded as was said of its own. */
const typesByPrototype = sharedInRealm(
  'classes/1',
  () => new WeakMap<object, TypeOptions<unknown, unknown>>()
)
const errorNamesByPrototype = sharedInRealm('error-names/1', () => new WeakMap<object, string>())
const errorClassesByName = sharedInRealm('errors/1', () => new Map<string, Class<Error>>())

export interface TypeOptions<T, W> {
  /** The name both sides know the class by. The same name again replaces the class, as a reloaded module does. */
  readonly name: string
  /** What is sent for an instance: any value netref carries, references and bytes included. */
  readonly encode: (instance: T) => W
  /**
   * The instance that stands for what arrived, which a peer may have made up: other data, netrefs, even objects of this
   * side. If it throws, the call that carried the value rejects, and the netrefs it was given are given back.
   */
  readonly decode: (sent: W) => T
}

/**
 * Lets the instances of a class travel by value. Both sides must register it, under the same name.
 * Instances of its subclasses go on travelling by reference. A class registered under the same name before is replaced:
 * what arrives is of the new class, and its own instances, where there still are some, travel as before.
 *
 * @throws TypeError when the class travels by value already, under another name too, or an option is missing.
 * @example
 * registerType(Point, { name: 'Point', encode: p => [p.x, p.y], decode: ([x, y]) => new Point(x, y) })
 */
export function registerType<T extends object, W>(type: Class<T>, options: TypeOptions<T, W>): void {
  const { name, encode, decode }: Partial<TypeOptions<T, W>> = Object(options)
  const complete = [type, encode, decode].every(given => typeof given === 'function')
  if (!complete || typeof name !== 'string' || name === '')
    throw new TypeError('registerType: a class goes with a `name` and the functions `encode` and `decode`')
  if (isPassedByValue(type.prototype))
    throw new TypeError(`registerType: ${type.name} travels by value already`)
  checkName('registerType', type, typesByPrototype.get(type.prototype)?.name, name)
  const registered = { name, encode, decode } as TypeOptions<unknown, unknown>
  typesByName.set(name, registered)
  typesByPrototype.set(type.prototype, registered)
  markRegistered(type.prototype, name)
}

/**
 * Lets errors of a class arrive as that class: `instanceof` holds on the other side, if it registered the class too.
 * The constructor is not run there; name, message, code, cause and own fields that are data are carried over. A class
 * registered under the same name before is replaced, as a reloaded module does; built-in ones are not.
 *
 * @throws TypeError when the class is no error or registered under another name, or the name is that of a built-in class.
 * @example
 * registerError(NotFound)
 */
export function registerError(type: Class<Error>, { name = type.name }: { name?: string } = {}): void {
  if (!isInstanceOf('Error', type.prototype))
    throw new TypeError(`registerError: ${type.name || 'the class'} is not an Error`)
  if (!name) throw new TypeError('registerError: a class without a name needs `{ name }`')
  if (builtInErrors.has(name)) throw new TypeError(`registerError: "${name}" is the name of a built-in class`)
  checkName('registerError', type, errorNamesByPrototype.get(type.prototype), name)
  errorClassesByName.set(name, type)
  errorNamesByPrototype.set(type.prototype, name)
}

/** @throws TypeError for a class known by another name */
function checkName(call: string, type: Class, known: string | undefined, name: string): void {
  if (known === undefined || known === name) return
  throw new TypeError(`${call}: ${type.name} is registered already, as "${known}": a class has one name`)
}

/** Classes of the language's and of netref's own, by names that outlive a minifier: no other class can have one of them. */
const builtInErrors = new Map<string, Class<Error>>()
for (const [name, type] of Object.entries({
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
  AggregateError,
  // Not there in every realm.
  DOMException: globalThis.DOMException,
  NetrefError,
  ExposureError,
  ReleasedError,
  LimitError,
  SessionEndedError,
  UnsendableError,
  ArgumentsError
})) {
  /* c8 ignore next: a platform may lack one; Node has them all. */
  if (!type) continue
  builtInErrors.set(name, type as Class<Error>)
  errorNamesByPrototype.set(type.prototype, name)
}

/** What is sent for an instance of a registered type. */
export const encodeInstance = (instance: object): unknown =>
  typesByPrototype.get(Object.getPrototypeOf(instance))!.encode(instance)

/** @throws when the type is not registered here, or its `decode` does. */
export function decodeInstance(name: string, sent: unknown): unknown {
  const type = typesByName.get(name)
  if (!type) throw new TypeError(`a value of type "${name}", which is not registered here (registerType)`)
  return type.decode(sent)
}

/** The name of the nearest class of an error, of any realm, that both sides may know. */
export function knownErrorName(error: Error): string {
  for (const prototype of prototypeChain(error)) {
    const name = errorNamesByPrototype.get(prototype) ?? builtInClassName(prototype)
    if (builtInErrors.has(name) || errorClassesByName.has(name)) return name
  }
  /* c8 ignore next 2: each error has `Error` among its classes, but for a Proxy that changes what it says. */
  return 'Error'
}
export const errorClass = (name: string): Class<Error> =>
  builtInErrors.get(name) ?? errorClassesByName.get(name) ?? Error

/** The superjson types of a single value, the only ones taken from a peer. */
const LEAF_TAGS = new Set(['undefined', 'bigint', 'Date', 'regexp', 'URL', 'number'])
export const isLeafTag = (kind: string): boolean => LEAF_TAGS.has(kind)

/** The superjson type of a primitive that is a leaf, and its JSON: as superjson does it, in a part of the time. */
export function encodePrimitiveLeaf(leaf: undefined | bigint | number): [kind: string, json: unknown] {
  if (leaf === undefined) return ['undefined', null]
  return typeof leaf === 'bigint'
    ? ['bigint', String(leaf)]
    : ['number', Object.is(leaf, -0) ? '-0' : String(leaf)]
}

/** The JSON of an object that is a leaf, of any realm: superjson asks for those of this one. */
export function encodeObjectLeaf(type: LeafTag, leaf: object): string {
  if (type !== 'Date') return String(leaf)
  const date = leaf as Date
  return Number.isNaN(date.getTime()) ? 'invalid' : date.toISOString()
}

/** @throws when the JSON is not of that kind of leaf. */
export function decodeLeaf(kind: string, json: unknown): unknown {
  if (kind === 'undefined') return undefined
  if (typeof json !== 'string') throw new TypeError(`a ${kind} that is not written as a string`)
  if (kind === 'Date') return new Date(json)
  if (kind === 'number') return Number(json)
  if (kind === 'bigint') return BigInt(json)
  return superjson.deserialize({ json, meta: { values: [kind as 'Date'], v: 1 } }, { inPlace: true })
}
