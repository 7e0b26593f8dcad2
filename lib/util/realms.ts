// Built-in classes of whichever realm: a `vm` context, a test runner and an iframe each have an `Error`, a `Date` and a
// `Map` of their own, which `instanceof` here knows nothing of.

/** Classes that are written in JavaScript in some runtimes and in jsdom: a tag on the prototype tells their name. */
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

/** The name of the built-in class with this prototype, of any realm; empty for a class of a program's own. */
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
 * What a prototype says its class is, read without running a getter of the user's. In a realm that is locked down a
 * getter and a setter may stand there for good, so that what inherits them can be assigned a `constructor` of its own.
 */
export function constructorOf(prototype: object): unknown {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, 'constructor')
  return descriptor?.set && !descriptor.configurable ? descriptor.get?.call(prototype) : descriptor?.value
}

/** The prototypes of an object, the nearest first. */
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

/** Whether it is the global object of a realm. */
export const isGlobalObject = (object: object): boolean => ownValue(object, 'globalThis') === object
