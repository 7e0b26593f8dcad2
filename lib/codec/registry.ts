// The registry of types that are passed by value, and of error classes.
import {
  ArgumentsError,
  ExposureError,
  LimitError,
  NetrefError,
  ReleasedError,
  SessionEndedError,
  UnsendableError
} from '../errors.js'
import { sharedInRealm } from '../util/library-copies.js'
import { builtInClassName, isInstanceOf, prototypeChain } from '../util/realms.js'
import { isPassedByValue, markRegistered } from './classify.js'

// biome-ignore lint/suspicious/noExplicitAny: a class is registered whatever its constructor takes.
export type Class<T = unknown> = abstract new (...args: any[]) => T

/** By name. superjson's custom transformers are not used: it would try each of them on each leaf. */
const typesByName = sharedInRealm('types/1', () => new Map<string, TypeOptions<unknown, unknown>>())
/** By prototype: an instance of a class that was replaced is encoded by the options of its own class. */
const typesByPrototype = sharedInRealm(
  'classes/1',
  () => new WeakMap<object, TypeOptions<unknown, unknown>>()
)
const errorNamesByPrototype = sharedInRealm('error-names/1', () => new WeakMap<object, string>())
const errorClassesByName = sharedInRealm('errors/1', () => new Map<string, Class<Error>>())

/** Options of `registerType`: how an instance of T is sent as a W. */
export interface TypeOptions<T, W> {
  /** The name of the class on both sides. The same name again replaces the class, as a reloaded module does. */
  readonly name: string
  /** Returns what is sent for an instance: any value that can be sent, also references and bytes. */
  readonly encode: (instance: T) => W
  /**
   * Returns the instance for what arrived. A hostile peer may send any value: other data, netrefs, even objects of this
   * side. If `decode` throws, the call that carried the value rejects, and the netrefs of the message are released.
   */
  readonly decode: (sent: W) => T
}

/**
 * Passes the instances of a class by value. Both sides must register it under the same name. Instances of subclasses are
 * still passed by reference. A later class of the same name replaces an earlier one: values decode to the later class.
 * Instances of the earlier class are encoded as before.
 *
 * @throws TypeError if the class is passed by value already, also under another name, or an option is missing
 * @example
 * registerType(Point, { name: 'Point', encode: p => [p.x, p.y], decode: ([x, y]) => new Point(x, y) })
 */
export function registerType<T extends object, W>(type: Class<T>, options: TypeOptions<T, W>): void {
  const { name, encode, decode }: Partial<TypeOptions<T, W>> = Object(options)
  const complete = [type, encode, decode].every(given => typeof given === 'function')
  if (!complete || typeof name !== 'string' || name === '')
    throw new TypeError('registerType: pass a class, a `name`, and the functions `encode` and `decode`')
  if (isPassedByValue(type.prototype))
    throw new TypeError(`registerType: ${type.name} is already passed by value`)
  checkName('registerType', type, typesByPrototype.get(type.prototype)?.name, name)
  const registered = { name, encode, decode } as TypeOptions<unknown, unknown>
  typesByName.set(name, registered)
  typesByPrototype.set(type.prototype, registered)
  markRegistered(type.prototype, name)
}

/**
 * Lets errors of a class arrive as that class: `instanceof` holds on the other side, if it registers the class under the
 * same name. The constructor does not run there: name, message, code, cause, and own fields that are data are copied. A
 * later class of the same name replaces an earlier one, for example when a module is reloaded. In JavaScript, `{ name }`
 * may be omitted if the prototype of the class has a `name` of its own.
 *
 * @param options `name` is the name of the class on both sides: a minifier changes the one in the source
 * @throws TypeError if the class is no error or registered under another name, or the name is missing or that of a
 * built-in class
 * @example
 * registerError(NotFound, { name: 'NotFound' })
 */
export function registerError(type: Class<Error>, options: { readonly name: string }): void {
  if (!isInstanceOf('Error', type.prototype))
    throw new TypeError(`registerError: ${type.name || 'the class'} is not an Error`)
  const own = Object.hasOwn(type.prototype, 'name') ? type.prototype.name : undefined
  const name: unknown = (options as typeof options | undefined)?.name ?? own
  if (typeof name !== 'string' || name === '') {
    const example = `registerError(${type.name || 'Class'}, { name: "${type.name || 'Class'}" })`
    throw new TypeError(`registerError: pass a name, as a minifier changes that of the class: ${example}`)
  }
  if (builtInErrors.has(name)) throw new TypeError(`registerError: "${name}" is the name of a built-in class`)
  checkName('registerError', type, errorNamesByPrototype.get(type.prototype), name)
  errorClassesByName.set(name, type)
  errorNamesByPrototype.set(type.prototype, name)
}

/** @throws TypeError if the class is registered under another name */
function checkName(call: string, type: Class, known: string | undefined, name: string): void {
  if (known === undefined || known === name) return
  throw new TypeError(
    `${call}: ${type.name} is already registered as "${known}": a class can have only one name`
  )
}

/** Classes of the language and of netref, by names that no minifier changes. No other class can be registered as one. */
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

/** What the user's `encode` returns for an instance. */
export const encodeInstance = (instance: object): unknown =>
  typesByPrototype.get(Object.getPrototypeOf(instance))!.encode(instance)

/** @throws TypeError if the type is not registered here, and what the user's `decode` throws */
export function decodeInstance(name: string, sent: unknown): unknown {
  const type = typesByName.get(name)
  if (!type) throw new TypeError(`a value of type "${name}", which is not registered here (registerType)`)
  return type.decode(sent)
}

/** The name of the nearest class of an error, of any realm, that the other side may know. */
export function knownErrorName(error: Error): string {
  for (const prototype of prototypeChain(error)) {
    const name = errorNamesByPrototype.get(prototype) ?? builtInClassName(prototype)
    if (builtInErrors.has(name) || errorClassesByName.has(name)) return name
  }
  /* c8 ignore next 2: each error has `Error` among its classes, except a Proxy whose prototype changes. */
  return 'Error'
}
export const errorClass = (name: string): Class<Error> =>
  builtInErrors.get(name) ?? errorClassesByName.get(name) ?? Error
