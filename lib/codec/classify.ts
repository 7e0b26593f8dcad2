// How a value travels: the design's table of values, as one look at its prototype.

import { sharedInRealm } from '../util/copies.js'
import { isThenable } from '../util/promises.js'
import { builtInClassName, isGlobalObject, isInstanceOf, prototypeChain } from '../util/realms.js'
import { type StreamKind, streamKindOf } from './stream-kinds.js'
import type { FlowKind as StreamTag } from './types.js'

/** `reference` is what is left: functions and every other object stay home. */
export type TransferMode =
  | { readonly as: 'flow'; readonly kind: StreamTag }
  | { readonly as: 'pair' }
  | { readonly as: 'record' | 'array' | 'map' | 'set' | 'error' | 'reference' }
  | { readonly as: 'leaf'; readonly type: LeafTag }
  | { readonly as: 'bytes'; readonly type: string }
  | { readonly as: 'registered'; readonly type: string }
  | { readonly as: 'refused'; readonly what: string; readonly cure: string }

/** What superjson calls the objects that are leaves. */
export type LeafTag = 'Date' | 'regexp' | 'URL'

/** How many entries of a Map, or members of a Set, count as one value. */
export const KEYS_PER_VALUE = 2
/** What takes longer to make than a reference counts as so many values. */
const VALUE_WEIGHTS = new Map<unknown, number>([
  ['i', 2],
  ['p', 2],
  ['r', 12],
  ['w', 12],
  ['a', 12]
])
/** How many values one of that kind counts as, among those of a message that are not plain JSON. */
export const valueWeight = (tag: unknown): number => VALUE_WEIGHTS.get(tag) ?? 1

const RECORD: TransferMode = { as: 'record' }
const ERROR: TransferMode = { as: 'error' }
const REFERENCE: TransferMode = { as: 'reference' }
const DATE: TransferMode = { as: 'leaf', type: 'Date' }

type BinaryClass = new (buffer: ArrayBuffer, byteOffset?: number, length?: number) => ArrayBufferView
const global = globalThis as unknown as Record<string, (abstract new () => object) | undefined>

/** Classes whose instances are bytes, by name; those this runtime lacks are absent. */
export const BINARY_CLASSES: ReadonlyMap<string, BinaryClass> = new Map(
  (
    'ArrayBuffer DataView Buffer Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array ' +
    'Uint32Array Float16Array Float32Array Float64Array BigInt64Array BigUint64Array'
  )
    .split(' ')
    .flatMap(name => (global[name] ? [[name, global[name] as unknown as BinaryClass] as const] : []))
)

/** Built-in classes whose instances travel by value; those of subclasses do not. */
const BY_VALUE_CLASSES: ReadonlyMap<string, TransferMode> = new Map<string, TransferMode>([
  ['Object', RECORD],
  ['Array', { as: 'array' }],
  ['Map', { as: 'map' }],
  ['Set', { as: 'set' }],
  ['Error', ERROR],
  ['Date', DATE],
  ['RegExp', { as: 'leaf', type: 'regexp' }],
  ['URL', { as: 'leaf', type: 'URL' }],
  ...[...BINARY_CLASSES.keys()].map((type): [string, TransferMode] => [type, { as: 'bytes', type }])
])

/** Those of this realm, by their prototypes. */
const modesByPrototype = new Map<object | null, TransferMode>([[null, RECORD]])
for (const [name, mode] of BY_VALUE_CLASSES)
  if (global[name]) modesByPrototype.set(global[name].prototype, mode)

const unserializable = (what: string, cure: string): TransferMode => ({ as: 'refused', what, cure })
const SEND_PARTS = 'hand over an object with just the members the peer needs'
/** Objects that never travel, whatever class they are of. */
const unserializableObjects = new Map<unknown, TransferMode>(
  ['global', 'self', 'window', 'document', 'process', 'globalThis']
    .filter(name => global[name])
    .map(name => [global[name], unserializable(`\`${name}\``, SEND_PARTS)])
)

const ITERATOR: TransferMode = { as: 'flow', kind: 'i' }
const PROMISE: TransferMode = { as: 'flow', kind: 'p' }
const SIGNAL: TransferMode = { as: 'flow', kind: 'a' }
const STREAM_MODES: Readonly<Record<StreamKind, TransferMode>> = {
  readable: { as: 'flow', kind: 'r' },
  writable: { as: 'flow', kind: 'w' },
  pair: { as: 'pair' }
}

const SEND_CONTENTS = 'it has no meaning outside this process: send what it holds'
/** Built-in classes that say how instances travel, those of subclasses too. */
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

/** Classes of netref's own whose instances, those of subclasses too, never travel, by their prototypes. */
const unserializableClasses = sharedInRealm('refused/1', () => new WeakMap<object, TransferMode>())

/** @internal Declares that instances of a class never travel. Its name is given, as a minifier may change it. */
export function markUnserializable(
  { prototype }: abstract new (...args: never[]) => object,
  cure: string,
  name: string
): void {
  unserializableClasses.set(prototype, unserializable(`a ${name}`, cure))
}

/** Classes that were registered, by their prototypes. */
const registeredClasses = sharedInRealm('registered/1', () => new WeakMap<object, TransferMode>())

/** How an object that is neither a function nor a netref travels, unless `expose()` says otherwise. */
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

/** What the class of an object says, by its prototype: looked for once. */
const modesByClass = new WeakMap<object, TransferMode>()

function cachedModeFromClass(object: object, prototype: object): TransferMode {
  let mode = modesByClass.get(prototype)
  if (!mode) modesByClass.set(prototype, (mode = modeFromClass(object, prototype)))
  return mode
}

function modeFromClass(object: object, prototype: object): TransferMode {
  const value = BY_VALUE_CLASSES.get(builtInClassName(prototype))
  if (value) return value
  for (const at of prototypeChain(object)) {
    const mode = unserializableClasses.get(at) ?? INHERITED_MODES.get(builtInClassName(at))
    if (mode) return mode
  }
  return isFakeTimersDate(object, prototype) ? DATE : REFERENCE
}

/** A clock of a test puts a class of its own in the place of `Date`, or says of each instance that it is a plain one. */
function isFakeTimersDate(object: object, prototype: object): boolean {
  if (!isInstanceOf('Date', object)) return false
  const ownConstructor = Object.getOwnPropertyDescriptor(object, 'constructor')?.value
  return (
    prototype === Date.prototype ||
    (typeof ownConstructor === 'function' && builtInClassName(ownConstructor.prototype) === 'Date')
  )
}

/** Whether instances of the class with this prototype travel by value without being registered. */
export const isPassedByValue = (prototype: object): boolean =>
  modesByPrototype.has(prototype) || BY_VALUE_CLASSES.has(builtInClassName(prototype))

/** Declares that instances of the class with this prototype travel as the registered type of that name. */
export function markRegistered(prototype: object, type: string): void {
  registeredClasses.set(prototype, { as: 'registered', type })
}

function streamMode(object: object): TransferMode | undefined {
  const kind = streamKindOf(object)
  return kind && STREAM_MODES[kind]
}

/** Whether a record is an iterator, or makes one. A `next` alone says nothing: observers and pages of a list have one. */
export function isIterable(object: object): boolean {
  const { [Symbol.asyncIterator]: makeAsyncIterator, [Symbol.iterator]: makeIterator } = object as Record<
    symbol,
    unknown
  >
  return typeof (makeAsyncIterator ?? makeIterator) === 'function'
}

/**
 * Members that the language calls when somebody looks at an object. In a received copy they are never functions: a
 * peer's code does not run because somebody awaits, prints or writes down what it sent.
 */
export const CONVERSION_METHODS: ReadonlySet<unknown> = new Set(['then', 'toJSON', 'toString', 'valueOf'])

/** An instance that only makes iterators is a collection, and stays home. */
const isIterator = (object: object): boolean =>
  isIterable(object) && typeof (object as { next?: unknown }).next === 'function'

/** Whether a name is that of an item of an array. */
export const isIndex = (name: string): boolean => String(Number(name) >>> 0) === name

/** The first key of an array that is a name. Names come last, and of most arrays the last key is known. */
export function firstNamedKey(array: unknown[]): string | undefined {
  const keys = Object.keys(array)
  const last = keys[keys.length - 1]
  if (last === undefined || last === String(array.length - 1) || isIndex(last)) return undefined
  return keys.find(key => !isIndex(key))
}

/** Whether it is in JSON what it is here. */
export function isJsonPrimitive(value: unknown): value is string | number | boolean | null {
  switch (typeof value) {
    case 'number':
      return value - value === 0 && (value !== 0 || 1 / value > 0)
    case 'string':
    case 'boolean':
      return true
    default:
      return value === null
  }
}
