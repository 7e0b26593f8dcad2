// Decides how a value is passed: by value, by reference, or not at all. The prototype of an object decides.

import { sharedInRealm } from '../util/library-copies.js'
import { isThenable } from '../util/promises.js'
import { builtInClassName, isGlobalObject, isInstanceOf, prototypeChain } from '../util/realms.js'
import { LEAF_CLASSES } from './leaves.js'
import { type StreamKind, streamKindOf } from './stream-kinds.js'
import type { StreamTag } from './types.js'

/** How an object is passed. `reference` is the default. */
export type TransferMode =
  | { readonly as: 'stream'; readonly kind: StreamTag }
  | { readonly as: 'stream-pair' }
  | { readonly as: 'record' | 'array' | 'map' | 'set' | 'error' | 'reference' }
  | { readonly as: 'leaf'; readonly tag: string }
  | { readonly as: 'bytes'; readonly type: string }
  | { readonly as: 'registered'; readonly type: string }
  | { readonly as: 'refused'; readonly what: string; readonly cure: string }

/** Entries of a Map, or members of a Set, that count as one value. */
export const KEYS_PER_VALUE = 2
const RECORD: TransferMode = { as: 'record' }
const ERROR: TransferMode = { as: 'error' }
const REFERENCE: TransferMode = { as: 'reference' }

type BinaryClass = new (buffer: ArrayBuffer, byteOffset?: number, length?: number) => ArrayBufferView
const global = globalThis as unknown as Record<string, (abstract new () => object) | undefined>

/** Classes whose instances are bytes, by name, without those that this runtime lacks. */
export const BINARY_CLASSES: ReadonlyMap<string, BinaryClass> = new Map(
  (
    'ArrayBuffer DataView Buffer Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array ' +
    'Uint32Array Float16Array Float32Array Float64Array BigInt64Array BigUint64Array'
  )
    .split(' ')
    .flatMap(name => (global[name] ? [[name, global[name] as unknown as BinaryClass] as const] : []))
)

/** Built-in classes whose instances are passed by value. Instances of subclasses are not. */
const BY_VALUE_CLASSES: ReadonlyMap<string, TransferMode> = new Map<string, TransferMode>([
  ['Object', RECORD],
  ['Array', { as: 'array' }],
  ['Map', { as: 'map' }],
  ['Set', { as: 'set' }],
  ['Error', ERROR],
  ...LEAF_CLASSES.map(([name, tag]): [string, TransferMode] => [name, { as: 'leaf', tag }]),
  ...[...BINARY_CLASSES.keys()].map((type): [string, TransferMode] => [type, { as: 'bytes', type }])
])

/** The classes of this realm, by prototype. */
const modesByPrototype = new Map<object | null, TransferMode>([[null, RECORD]])
for (const [name, mode] of BY_VALUE_CLASSES)
  if (global[name]) modesByPrototype.set(global[name].prototype, mode)

const unserializable = (what: string, cure: string): TransferMode => ({ as: 'refused', what, cure })
const SEND_PARTS = 'send an object with the members that the peer needs'
/** Objects that cannot be sent. */
const unserializableObjects = new Map<unknown, TransferMode>(
  ['global', 'self', 'window', 'document', 'process', 'globalThis']
    .filter(name => global[name])
    .map(name => [global[name], unserializable(`\`${name}\``, SEND_PARTS)])
)

const ITERATOR: TransferMode = { as: 'stream', kind: 'i' }
const PROMISE: TransferMode = { as: 'stream', kind: 'p' }
const SIGNAL: TransferMode = { as: 'stream', kind: 'a' }
const STREAM_MODES: Readonly<Record<StreamKind, TransferMode>> = {
  readable: { as: 'stream', kind: 'r' },
  writable: { as: 'stream', kind: 'w' },
  pair: { as: 'stream-pair' }
}

const SEND_CONTENTS = 'it has no meaning outside this process: send its contents'
/** Built-in classes that decide how their instances are passed, and those of subclasses. */
const INHERITED_MODES: ReadonlyMap<string, TransferMode> = new Map([
  ['Error', ERROR],
  ['AbortSignal', SIGNAL],
  ...['WeakMap', 'WeakSet', 'WeakRef', 'FinalizationRegistry', 'SharedArrayBuffer'].map(
    (name): [string, TransferMode] => [name, unserializable(`a ${name}`, SEND_CONTENTS)]
  ),
  ...['Window', 'Document', 'WorkerGlobalScope', 'process'].map((name): [string, TransferMode] => [
    name,
    unserializable(`a ${name}`, SEND_PARTS)
  ])
])

/** Classes of netref whose instances, and those of subclasses, cannot be sent; by prototype. */
const unserializableClasses = sharedInRealm('refused/1', () => new WeakMap<object, TransferMode>())

/** @internal Marks a class whose instances cannot be sent. `name` is for error texts: a minifier may change the class's own. */
export function markUnserializable(
  { prototype }: abstract new (...args: never[]) => object,
  name: string
): void {
  const cure = 'it exists on this side only; send the objects that the peer needs'
  unserializableClasses.set(prototype, unserializable(`a ${name}`, cure))
}

/** Classes of `registerType`, by prototype. */
const registeredClasses = sharedInRealm('registered/1', () => new WeakMap<object, TransferMode>())

/** How an object is passed that is no function, no netref and not exposed. */
export function classify(object: object): TransferMode {
  const prototype = Object.getPrototypeOf(object)
  const plainMode = modesByPrototype.get(prototype)
  const special = plainMode ?? registeredClasses.get(prototype) ?? unserializableObjects.get(object)
  if (special) return special
  const classMode = cachedModeFromClass(object, prototype)
  if (classMode !== REFERENCE && classMode !== SIGNAL) return classMode
  if (isGlobalObject(object)) return unserializable('the global object of another realm', SEND_PARTS)
  if (isThenable(object)) return PROMISE
  if (classMode !== REFERENCE) return classMode
  return streamMode(object) ?? (isIterator(object) ? ITERATOR : REFERENCE)
}

/** By prototype. */
const modesByClass = new WeakMap<object, TransferMode>()
let checkClasses: ((prototype: object) => void) | undefined
/** Calls `check` with the prototype of each class whose first instance is passed. An error rejects the call. */
export const checkPassedClasses = (check: (prototype: object) => void): void => {
  checkClasses = check
}

function cachedModeFromClass(object: object, prototype: object): TransferMode {
  let mode = modesByClass.get(prototype)
  if (!mode) {
    checkClasses?.(prototype)
    modesByClass.set(prototype, (mode = modeFromClass(object, prototype)))
  }
  return mode
}

function modeFromClass(object: object, prototype: object): TransferMode {
  const value = BY_VALUE_CLASSES.get(builtInClassName(prototype))
  if (value) return value
  for (const at of prototypeChain(object)) {
    const mode = unserializableClasses.get(at) ?? INHERITED_MODES.get(builtInClassName(at))
    if (mode) return mode
  }
  return isFakeTimersDate(object, prototype) ? BY_VALUE_CLASSES.get('Date')! : REFERENCE
}

/** Fake timers of tests replace `Date` by a subclass, or give each instance a `constructor` of its own. */
function isFakeTimersDate(object: object, prototype: object): boolean {
  if (!isInstanceOf('Date', object)) return false
  const ownConstructor = Object.getOwnPropertyDescriptor(object, 'constructor')?.value
  return (
    prototype === Date.prototype ||
    (typeof ownConstructor === 'function' && builtInClassName(ownConstructor.prototype) === 'Date')
  )
}

/** Whether instances of the class with this prototype are passed by value without `registerType`. */
export const isPassedByValue = (prototype: object): boolean =>
  modesByPrototype.has(prototype) || BY_VALUE_CLASSES.has(builtInClassName(prototype))

/** Marks the class with this prototype as a registered type. */
export function markRegistered(prototype: object, type: string): void {
  registeredClasses.set(prototype, { as: 'registered', type })
}

function streamMode(object: object): TransferMode | undefined {
  const kind = streamKindOf(object)
  return kind && STREAM_MODES[kind]
}

/** Whether an object is an iterator, or makes one. `next` alone does not tell: observers and pages of a list have one. */
export function isIterable(object: object): boolean {
  const { [Symbol.asyncIterator]: makeAsyncIterator, [Symbol.iterator]: makeIterator } = object as Record<
    symbol,
    unknown
  >
  return typeof (makeAsyncIterator ?? makeIterator) === 'function'
}

/** An instance that makes iterators, but is none, is a collection, which is passed by reference. */
const isIterator = (object: object): boolean =>
  isIterable(object) && typeof (object as { next?: unknown }).next === 'function'

/** Whether a name is an array index. */
export const isIndex = (name: string): boolean => String(Number(name) >>> 0) === name

const { includes } = Array.prototype

/** Whether an array, with these enumerable members, has no hole and no named key. False if an item is undefined. */
export const isDense = (array: readonly unknown[], members: readonly unknown[]): boolean =>
  members.length === array.length && !includes.call(array, undefined)

/** The first key of an array that is not an index. */
export const firstNamedKey = (array: readonly unknown[]): string | undefined =>
  isDense(array, Object.values(array)) ? undefined : Object.keys(array).find(key => !isIndex(key))

/** Whether JSON carries a primitive unchanged. */
export const isJsonPrimitive = (value: unknown): value is string | number | boolean | null =>
  typeof value === 'string' ||
  (typeof value === 'number'
    ? value - value === 0 && (value !== 0 || 1 / value > 0)
    : value === null || typeof value === 'boolean')
