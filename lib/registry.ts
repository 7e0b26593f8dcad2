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
} from './errors.js'
import { declareType, isValue } from './values.js'

// biome-ignore lint/suspicious/noExplicitAny: a class is registered whatever its constructor takes.
export type Class<T = unknown> = abstract new (...args: any[]) => T

const superjson = new SuperJSON()
/** Not superjson's custom transformers: it would ask each of them about each leaf, and finds `constructor` registered. */
const types = new Map<string, TypeOptions<unknown, unknown>>()
const errorNames = new Map<object, string>()
const errorClasses = new Map<string, Class<Error>>()

export interface TypeOptions<T, W> {
  /** The name both sides know the class by. A name already taken throws. */
  readonly name: string
  /** What is sent for an instance: any value netref carries, references and bytes included. */
  readonly encode: (instance: T) => W
  /**
   * The instance that stands for what arrived, which a peer may have made up: other data, netrefs, even objects of this
   * side. If it throws, the call that carried the value rejects.
   */
  readonly decode: (sent: W) => T
}

/**
 * Lets the instances of a class travel by value. Both sides must register it, under the same name.
 * Instances of its subclasses go on travelling by reference.
 *
 * @throws TypeError when the name is taken, the class travels by value already, or an option is missing.
 * @example
 * registerType(Point, { name: 'Point', encode: p => [p.x, p.y], decode: ([x, y]) => new Point(x, y) })
 */
export function registerType<T extends object, W>(type: Class<T>, options: TypeOptions<T, W>): void {
  const { name, encode, decode }: Partial<TypeOptions<T, W>> = Object(options)
  const complete = [type, encode, decode].every(given => typeof given === 'function')
  if (!complete || typeof name !== 'string' || name === '')
    throw new TypeError('registerType: a class goes with a `name` and the functions `encode` and `decode`')
  if (types.has(name)) throw new TypeError(`registerType: "${name}" is taken`)
  if (isValue(type.prototype)) throw new TypeError(`registerType: ${type.name} travels by value already`)
  types.set(name, options as TypeOptions<unknown, unknown>)
  declareType(type.prototype, name)
}

/**
 * Lets errors of a class arrive as that class: `instanceof` holds on the other side, if it registered the class too.
 * The constructor is not run there; name, message, code, cause and own fields that are data are carried over.
 *
 * @throws TypeError when the name or the class is registered already.
 * @example
 * registerError(NotFound)
 */
export function registerError(type: Class<Error>, { name = type.name }: { name?: string } = {}): void {
  if (!(type.prototype instanceof Error) && type !== Error)
    throw new TypeError(`registerError: ${type.name || 'the class'} is not an Error`)
  if (!name) throw new TypeError('registerError: a class without a name needs `{ name }`')
  if (errorClasses.has(name)) throw new TypeError(`registerError: "${name}" is taken`)
  if (errorNames.has(type.prototype)) throw new TypeError(`registerError: ${type.name} is registered already`)
  errorClasses.set(name, type)
  errorNames.set(type.prototype, name)
}

for (const type of [
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
  AggregateError
]) {
  registerError(type)
}
// By names of their own: those of classes do not outlive a minifier.
for (const [name, type] of Object.entries({
  NetrefError,
  ExposureError,
  ReleasedError,
  LimitError,
  SessionEndedError,
  UnsendableError,
  ArgumentsError
})) {
  registerError(type as Class<Error>, { name })
}
registerError(DOMException)

/** What is sent for an instance of a registered type. */
export const encodeType = (name: string, instance: unknown): unknown => types.get(name)!.encode(instance)

/** @throws when the type is not registered here, or its `decode` does. */
export function decodeType(name: string, sent: unknown): unknown {
  const type = types.get(name)
  if (!type) throw new TypeError(`a value of type "${name}", which is not registered here (registerType)`)
  return type.decode(sent)
}

/** The name of the nearest class of an error that both sides may know. */
export function errorName(error: Error): string {
  let prototype: object = Object.getPrototypeOf(error)
  while (!errorNames.has(prototype)) prototype = Object.getPrototypeOf(prototype)
  return errorNames.get(prototype)!
}
export const errorClass = (name: string): Class<Error> => errorClasses.get(name) ?? Error

/** The superjson types of a single value, the only ones taken from a peer. */
const LEAVES = new Set(['undefined', 'bigint', 'Date', 'regexp', 'URL', 'number'])
export const isLeaf = (kind: string): boolean => LEAVES.has(kind)

/** A leaf's superjson type and its JSON. */
export function encodeLeaf(leaf: unknown): [kind: string, json: unknown] {
  // What there may be many of; superjson does the same, in some times as long.
  switch (typeof leaf) {
    case 'undefined':
      return ['undefined', null]
    case 'bigint':
      return ['bigint', String(leaf)]
    case 'number':
      return ['number', Object.is(leaf, -0) ? '-0' : String(leaf)]
  }
  if (leaf instanceof Date) return ['Date', Number.isNaN(leaf.getTime()) ? 'invalid' : leaf.toISOString()]
  const { json, meta } = superjson.serialize(leaf)
  return [(meta!.values as [string])[0], json]
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
