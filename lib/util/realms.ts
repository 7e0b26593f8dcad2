// Built-in classes of whichever realm: a `vm` context, a test runner and an iframe each have an `Error`, a `Date` and a
// `Map` of their own, which `instanceof` here knows nothing of.

/** Classes that are written in JavaScript in some runtimes and in jsdom: a tag on the prototype tells their name. */
const TAGGED = new Set([
  'URL',
  'AbortSignal',
  'DOMException',
  'ReadableStream',
  'WritableStream',
  'TransformStream',
  'Window',
  'Document',
  'WorkerGlobalScope'
])
const NATIVE = /\{\s*\[native code\]\s*\}$/

const names = new WeakMap<object, string>()

/** The name of the built-in class with this prototype, of any realm; empty for a class of a program's own. */
export function builtInWith(prototype: object): string {
  let name = names.get(prototype)
  if (name === undefined) names.set(prototype, (name = find(prototype)))
  return name
}

function find(prototype: object): string {
  const type = classWith(prototype)
  if (typeof type !== 'function' || type.prototype !== prototype) return ''
  const name = own(type, 'name')
  if (typeof name !== 'string') return ''
  if (NATIVE.test(Function.prototype.toString.call(type))) return name
  const isThis = TAGGED.has(name) && own(prototype, Symbol.toStringTag) === name
  return isThis || (globalThis as Record<string, unknown>)[name] === type ? name : ''
}

const own = (object: object, key: PropertyKey): unknown => Object.getOwnPropertyDescriptor(object, key)?.value

/**
 * What a prototype says its class is, read without running a getter of the user's. In a realm that is locked down a
 * getter and a setter may stand there for good, so that what inherits them can be assigned a `constructor` of its own.
 */
export function classWith(prototype: object): unknown {
  const said = Object.getOwnPropertyDescriptor(prototype, 'constructor')
  return said?.set && !said.configurable ? said.get?.call(prototype) : said?.value
}

/** The prototypes of an object, the nearest first. */
export function* prototypesOf(object: object): Generator<object> {
  for (let at = Object.getPrototypeOf(object); at !== null; at = Object.getPrototypeOf(at)) yield at
}

interface BuiltIns {
  AbortSignal: AbortSignal
  ArrayBuffer: ArrayBuffer
  Date: Date
  Error: Error
  Map: Map<unknown, unknown>
  Promise: Promise<unknown>
  Set: Set<unknown>
  Uint8Array: Uint8Array
}

/** `instanceof` for a built-in class of any realm. */
export function isA<N extends keyof BuiltIns>(name: N, value: unknown): value is BuiltIns[N] {
  if (typeof value !== 'object' || value === null) return false
  for (const prototype of prototypesOf(value)) if (builtInWith(prototype) === name) return true
  return false
}

/** Whether it is the global object of a realm. */
export const isGlobal = (object: object): boolean => own(object, 'globalThis') === object
