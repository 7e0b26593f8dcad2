// Recognises instances of built-in classes of any realm. A `vm` context, a test runner and an iframe each have their own
// `Error`, `Date` and `Map`, for which `instanceof` fails.

/** Built-in classes that some runtimes and jsdom write in JavaScript. `Symbol.toStringTag` of the prototype names them. */
const TAGGED_CLASSES = new Set([
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
const NATIVE_SOURCE = /\{\s*\[native code\]\s*\}$/

const builtInNames = new WeakMap<object, string>()

/** The name of the built-in class with this prototype, of any realm; empty for other classes. */
export function builtInClassName(prototype: object): string {
  let name = builtInNames.get(prototype)
  if (name === undefined) builtInNames.set(prototype, (name = findBuiltInClassName(prototype)))
  return name
}

function findBuiltInClassName(prototype: object): string {
  const type = constructorOf(prototype)
  if (typeof type !== 'function' || type.prototype !== prototype) return ''
  const name = ownValue(type, 'name')
  if (typeof name !== 'string') return ''
  if (NATIVE_SOURCE.test(Function.prototype.toString.call(type))) return name
  const isTagged = TAGGED_CLASSES.has(name) && ownValue(prototype, Symbol.toStringTag) === name
  return isTagged || (globalThis as Record<string, unknown>)[name] === type ? name : ''
}

const ownValue = (object: object, key: PropertyKey): unknown =>
  Object.getOwnPropertyDescriptor(object, key)?.value

/**
 * The `constructor` of a prototype, read without running a user's getter. A locked-down realm (SES) replaces the property
 * by a permanent getter and setter, so that inheriting objects can be assigned their own: that getter runs.
 */
export function constructorOf(prototype: object): unknown {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, 'constructor')
  return descriptor?.set && !descriptor.configurable ? descriptor.get?.call(prototype) : descriptor?.value
}

/** The prototypes of an object, nearest first. */
export function* prototypeChain(object: object): Generator<object> {
  for (
    let prototype = Object.getPrototypeOf(object);
    prototype !== null;
    prototype = Object.getPrototypeOf(prototype)
  )
    yield prototype
}

interface BuiltInClasses {
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
export function isInstanceOf<N extends keyof BuiltInClasses>(
  name: N,
  value: unknown
): value is BuiltInClasses[N] {
  if (typeof value !== 'object' || value === null) return false
  for (const prototype of prototypeChain(value)) if (builtInClassName(prototype) === name) return true
  return false
}

/** Whether an object is the global object of a realm. */
export const isGlobalObject = (object: object): boolean => ownValue(object, 'globalThis') === object
