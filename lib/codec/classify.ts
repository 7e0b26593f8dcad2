// How a value travels: the design's table of values, as one look at its prototype.

import { shared } from '../util/copies.js'
import { isThenable } from '../util/promises.js'
import { builtInWith, isA, isGlobal, prototypesOf } from '../util/realms.js'
import { type StreamKind, streamKindOf } from './stream-kinds.js'
import type { FlowKind } from './types.js'

/** `reference` is what is left: functions and every other object stay home. */
export type Travel =
  | { readonly as: 'flow'; readonly kind: FlowKind }
  | { readonly as: 'pair' }
  | { readonly as: 'record' | 'array' | 'map' | 'set' | 'error' | 'reference' }
  | { readonly as: 'leaf'; readonly type: LeafType }
  | { readonly as: 'bytes'; readonly type: string }
  | { readonly as: 'registered'; readonly type: string }
  | { readonly as: 'refused'; readonly what: string; readonly cure: string }

/** What superjson calls the objects that are leaves. */
export type LeafType = 'Date' | 'regexp' | 'URL'

/** How many entries of a Map, or members of a Set, count as one value. */
export const KEYS_IN_ONE = 2
/** What takes longer to make than a reference counts as so many values. */
const WEIGHTS = new Map<unknown, number>([
  ['i', 2],
  ['p', 2],
  ['r', 12],
  ['w', 12],
  ['a', 12]
])
/** How many values one of that kind counts as, among those of a message that are not plain JSON. */
export const weightOf = (kind: unknown): number => WEIGHTS.get(kind) ?? 1

const RECORD: Travel = { as: 'record' }
const ERROR: Travel = { as: 'error' }
const REFERENCE: Travel = { as: 'reference' }
const DATE: Travel = { as: 'leaf', type: 'Date' }

type BytesClass = new (buffer: ArrayBuffer, byteOffset?: number, length?: number) => ArrayBufferView
const global = globalThis as unknown as Record<string, (abstract new () => object) | undefined>

/** Classes whose instances are bytes, by name; those this runtime lacks are absent. */
export const BYTES: ReadonlyMap<string, BytesClass> = new Map(
  (
    'ArrayBuffer DataView Buffer Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array ' +
    'Uint32Array Float16Array Float32Array Float64Array BigInt64Array BigUint64Array'
  )
    .split(' ')
    .flatMap(name => (global[name] ? [[name, global[name] as unknown as BytesClass] as const] : []))
)

/** Built-in classes whose instances travel by value; those of subclasses do not. */
const VALUES: ReadonlyMap<string, Travel> = new Map<string, Travel>([
  ['Object', RECORD],
  ['Array', { as: 'array' }],
  ['Map', { as: 'map' }],
  ['Set', { as: 'set' }],
  ['Error', ERROR],
  ['Date', DATE],
  ['RegExp', { as: 'leaf', type: 'regexp' }],
  ['URL', { as: 'leaf', type: 'URL' }],
  ...[...BYTES.keys()].map((type): [string, Travel] => [type, { as: 'bytes', type }])
])

/** Those of this realm, by their prototypes. */
const byPrototype = new Map<object | null, Travel>([[null, RECORD]])
for (const [name, travel] of VALUES) if (global[name]) byPrototype.set(global[name].prototype, travel)

const refused = (what: string, cure: string): Travel => ({ as: 'refused', what, cure })
const PARTS = 'hand over an object with just the members the peer needs'
/** Objects that never travel, whatever class they are of. */
const refusedObjects = new Map<unknown, Travel>(
  ['global', 'self', 'window', 'document', 'process', 'globalThis']
    .filter(name => global[name])
    .map(name => [global[name], refused(`\`${name}\``, PARTS)])
)

const ITERATOR: Travel = { as: 'flow', kind: 'i' }
const PROMISE: Travel = { as: 'flow', kind: 'p' }
const SIGNAL: Travel = { as: 'flow', kind: 'a' }
const STREAMS: Readonly<Record<StreamKind, Travel>> = {
  readable: { as: 'flow', kind: 'r' },
  writable: { as: 'flow', kind: 'w' },
  pair: { as: 'pair' }
}

const LOCAL = 'it has no meaning outside this process: send what it holds'
/** Built-in classes that say how instances travel, those of subclasses too. */
const CLASSES: ReadonlyMap<string, Travel> = new Map([
  ['Error', ERROR],
  ['AbortSignal', SIGNAL],
  ...['WeakMap', 'WeakSet', 'WeakRef', 'FinalizationRegistry', 'SharedArrayBuffer'].map(
    (name): [string, Travel] => [name, refused(`a ${name}`, LOCAL)]
  ),
  ...['Window', 'Document', 'WorkerGlobalScope', 'process'].map((name): [string, Travel] => [
    name,
    refused(`a ${name}`, PARTS)
  ])
])

/** Classes of netref's own whose instances, those of subclasses too, never travel, by their prototypes. */
const refusedClasses = shared('refused/1', () => new WeakMap<object, Travel>())

/** @internal Declares that instances of a class never travel. Its name is given, as a minifier may change it. */
export function refuse(
  { prototype }: abstract new (...args: never[]) => object,
  cure: string,
  name: string
): void {
  refusedClasses.set(prototype, refused(`a ${name}`, cure))
}

/** Classes that were registered, by their prototypes. */
const registered = shared('registered/1', () => new WeakMap<object, Travel>())

/** How an object that is neither a function nor a netref travels, unless `expose()` says otherwise. */
export function travelOf(object: object): Travel {
  const prototype = Object.getPrototypeOf(object)
  const known = byPrototype.get(prototype)
  const special = known ?? registered.get(prototype) ?? refusedObjects.get(object)
  if (special) return special
  const ofClass = travelOfClass(object, prototype)
  if (ofClass !== REFERENCE && ofClass !== SIGNAL) return ofClass
  if (isGlobal(object)) return refused('the global object of another realm', PARTS)
  if (isThenable(object)) return PROMISE
  if (ofClass !== REFERENCE) return ofClass
  return streamOf(object) ?? (isIterator(object) ? ITERATOR : REFERENCE)
}

/** What the class of an object says, by its prototype: looked for once. */
const byClass = new WeakMap<object, Travel>()

function travelOfClass(object: object, prototype: object): Travel {
  let travel = byClass.get(prototype)
  if (!travel) byClass.set(prototype, (travel = classify(object, prototype)))
  return travel
}

function classify(object: object, prototype: object): Travel {
  const value = VALUES.get(builtInWith(prototype))
  if (value) return value
  for (const at of prototypesOf(object)) {
    const travel = refusedClasses.get(at) ?? CLASSES.get(builtInWith(at))
    if (travel) return travel
  }
  return isDateOfATest(object, prototype) ? DATE : REFERENCE
}

/** A clock of a test puts a class of its own in the place of `Date`, or says of each instance that it is a plain one. */
function isDateOfATest(object: object, prototype: object): boolean {
  if (!isA('Date', object)) return false
  const said = Object.getOwnPropertyDescriptor(object, 'constructor')?.value
  return (
    prototype === Date.prototype || (typeof said === 'function' && builtInWith(said.prototype) === 'Date')
  )
}

/** Whether instances of the class with this prototype travel by value without being registered. */
export const isValue = (prototype: object): boolean =>
  byPrototype.has(prototype) || VALUES.has(builtInWith(prototype))

/** Declares that instances of the class with this prototype travel as the registered type of that name. */
export function declareType(prototype: object, type: string): void {
  registered.set(prototype, { as: 'registered', type })
}

function streamOf(object: object): Travel | undefined {
  const kind = streamKindOf(object)
  return kind && STREAMS[kind]
}

/** Whether a record is an iterator, or makes one. A `next` alone says nothing: observers and pages of a list have one. */
export function isIterable(object: object): boolean {
  const { [Symbol.asyncIterator]: later, [Symbol.iterator]: now } = object as Record<symbol, unknown>
  return typeof (later ?? now) === 'function'
}

/**
 * Members that the language calls when somebody looks at an object. In a received copy they are never functions: a
 * peer's code does not run because somebody awaits, prints or writes down what it sent.
 */
export const CONVERSIONS: ReadonlySet<unknown> = new Set(['then', 'toJSON', 'toString', 'valueOf'])

/** An instance that only makes iterators is a collection, and stays home. */
const isIterator = (object: object): boolean =>
  isIterable(object) && typeof (object as { next?: unknown }).next === 'function'

/** Whether a name is that of an item of an array. */
export const isIndex = (name: string): boolean => String(Number(name) >>> 0) === name

/** The first key of an array that is a name. Names come last, and of most arrays the last key is known. */
export function nameIn(array: unknown[]): string | undefined {
  const keys = Object.keys(array)
  const last = keys[keys.length - 1]
  if (last === undefined || last === String(array.length - 1) || isIndex(last)) return undefined
  return keys.find(key => !isIndex(key))
}

/** Whether it is in JSON what it is here. */
export function isPlainPrimitive(value: unknown): value is string | number | boolean | null {
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
