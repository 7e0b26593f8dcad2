// JSON and bytes → values: what `box` made on the other side, or what somebody who means harm made up.
//
// Every place is looked up in the raw JSON before anything is revived, so that no path can lead through a value into
// an object of this side. Structure that is not of the protocol throws a ProtocolError; a value that this side cannot
// make (an unregistered type, a bad date) throws a Refusal, which rejects the one call.

import { CallRejection, ProtocolError, tooManyValues } from '../errors.js'
import type { Annotations, TypeTag } from '../protocol/messages.js'
import { describe } from '../util/describe.js'
import { isInstanceOf } from '../util/realms.js'
import { BINARY_CLASSES, CONVERSION_METHODS, KEYS_PER_VALUE, valueWeight } from './classify.js'
import { costOf, costOfKeys, DecodeBudget } from './decode-cost.js'
import { createError, type EncodedError, errorPartCount, fillError } from './error-codec.js'
import { markPeerError } from './peer-errors.js'
import { decodeInstance, decodeLeaf, isLeafTag } from './registry.js'
import { createTransform } from './stream-kinds.js'
import { decodeTable, TableBudget } from './table-codec.js'
import type { IsRaw as IsRawArray, JsonPath, Taker as ReferenceDecoder, ReferenceTag } from './types.js'

type JsonContainer = Record<string | number, unknown>
/** A place that stands for something else: where it is, and what the JSON has there. */
interface TaggedSlot {
  readonly tag: TypeTag
  readonly container: JsonContainer
  readonly key: string | number
  readonly raw: unknown
  /** The first step of the way there. */
  readonly firstKey: unknown
}

/** What there is of a message while its values are made. */
interface DecodeState {
  /** What containers that are in cycles will be. */
  readonly shells: Map<unknown, object>
  readonly isRawArray: IsRawArray
  readonly tableBudget: TableBudget
  readonly ranges: Iterator<Uint8Array>
  readonly budget: DecodeBudget
  /** Characters of RegExps so far. */
  regExpCharacters: number
}

/** @throws Refusal where it cannot be made: then all that came with it is given back. */
export function decode(
  json: unknown,
  annotations: Annotations | undefined,
  bytes: readonly Uint8Array[],
  references: ReferenceDecoder
): unknown {
  if (annotations === undefined) return json
  const [first] = annotations
  // A reference by itself, as most are that come as an answer.
  if (annotations.length === 1 && first?.length === 2 && first[1]?.length === 0 && isReferenceTag(first[0])) {
    references.valuesDecoded(valueWeight(first[0]))
    return references.decodeReference(first[0], json)
  }
  const { values: maxValues } = references.limits
  let count = annotations.reduce(
    (sum, { 0: kind, length }) => (kind === 't' ? sum : sum + (length - 1) * valueWeight(kind)),
    0
  )
  if (count > maxValues) throw tooManyValues(maxValues)
  const holder: JsonContainer = [json] as unknown as JsonContainer
  const slots: TaggedSlot[] = []
  for (const [kind, ...places] of annotations) {
    for (const place of places) slots.push(resolvePath(kind, holder, place as JsonPath))
  }
  const revivedLists = new Set<unknown>()
  const isRawArray = (value: unknown): value is unknown[] => Array.isArray(value) && !revivedLists.has(value)
  const state: DecodeState = {
    shells: new Map(),
    isRawArray: isRawArray,
    tableBudget: new TableBudget(),
    ranges: bytes.values(),
    budget: new DecodeBudget(),
    regExpCharacters: 0
  }
  if (annotations.some(([kind]) => kind === 'c')) closeCycles(holder, slots, state.shells)
  let rejection: CallRejection | undefined
  for (const { tag: kind, container, key, raw, firstKey } of slots) {
    if (kind === 'c') continue
    // Else a short list of places could have a long value read over and over.
    if (container[key] !== raw) throw new ProtocolError('two values at one place')
    const isConversion = CONVERSION_METHODS.has(key)
    if (rejection || (isConversion && kind === 'f')) {
      if (isReferenceTag(kind)) references.discardReference(kind, raw)
      delete container[key]
      continue
    }
    count += partCount(kind, raw, isRawArray)
    if (count > maxValues) throw tooManyValues(maxValues)
    let value: unknown
    try {
      value = isReferenceTag(kind)
        ? references.decodeReference(kind, raw, firstKey)
        : revive(kind, raw, references, state)
      if (kind !== 't' && Array.isArray(value)) revivedLists.add(value)
      if (typeof value === 'function' && isConversion) {
        delete container[key]
        continue
      }
    } catch (error) {
      if (error instanceof ProtocolError) throw error
      rejection ??= error instanceof CallRejection ? error : unreadableRejection(kind, error)
    }
    container[key] = value
  }
  references.valuesDecoded(count)
  if (!rejection) return holder[0]
  references.discardReceived()
  throw rejection
}

/** Gives back all that came in a message that nobody waits for. Nothing of it is made. */
export function discardReferences(
  json: unknown,
  annotations: Annotations | undefined,
  references: ReferenceDecoder
): void {
  const holder = [json] as unknown as JsonContainer
  for (const [kind, ...places] of annotations ?? []) {
    if (!isReferenceTag(kind)) continue
    for (const place of places) {
      const { container, key, raw } = resolvePath(kind, holder, place as JsonPath)
      references.discardReference(kind, raw)
      // No two references are at one place.
      delete container[key]
    }
  }
}

/** What counts in a value beside itself. */
function partCount(tag: TypeTag, raw: unknown, isRaw: IsRawArray): number {
  if (tag === 'e') {
    const { fields } = (raw ?? {}) as EncodedError
    return errorPartCount(isRaw(fields) ? fields : [])
  }
  return (tag === 'm' || tag === 's') && Array.isArray(raw) ? raw.length / KEYS_PER_VALUE : 0
}

const REFERENCE_TAGS = new Set<unknown>(['o', 'f', 'h', 'i', 'r', 'w', 'p', 'a'])
export const isReferenceTag = (tag: TypeTag): tag is ReferenceTag => REFERENCE_TAGS.has(tag)

/** `error` may come from a user's `decode`: it may be anything. */
function unreadableRejection(tag: TypeTag, error: unknown): CallRejection {
  const why = isInstanceOf('Error', error) ? error.message : describe(error)
  return new CallRejection('unreadable', `cannot read a ${typeof tag === 'string' ? tag : tag[1]}: ${why}`)
}

const isEnumerable = Object.prototype.propertyIsEnumerable
/** Items and members, and nothing else: not the length of a list, nor a step that is neither a number nor a name. */
const hasChild = (container: unknown, key: unknown) =>
  Array.isArray(container)
    ? typeof key === 'number' && container[key] !== undefined
    : typeof container === 'object' &&
      container !== null &&
      typeof key === 'string' &&
      isEnumerable.call(container, key)

/** There may be two million steps in the places of a frame: nothing else has looked at them. */
function resolvePath(tag: TypeTag, holder: JsonContainer, path: JsonPath): TaggedSlot {
  let container = holder
  let key: string | number = 0
  for (const next of path) {
    container = container[key] as JsonContainer
    if (!hasChild(container, next)) throw new ProtocolError('a path to nowhere')
    key = next
  }
  return { tag: tag, container: container, key, raw: container[key], firstKey: path[0] }
}

/** Puts containers where cycles lead back to them: plain ones themselves, others as empty shells to be filled. */
function closeCycles(
  holder: JsonContainer,
  slots: readonly TaggedSlot[],
  shells: Map<unknown, object>
): void {
  // Who sends cycles sends no tables, which could share their columns.
  if (slots.some(({ tag }) => tag === 't')) throw new ProtocolError('a table beside a cycle')
  for (const { tag: kind, raw } of slots) {
    if (kind === 'm') shells.set(raw, new Map())
    if (kind === 's') shells.set(raw, new Set())
    if (kind === 'e') shells.set(raw, createError(raw))
  }
  const closed: [TaggedSlot, object][] = []
  const closedPaths = new Set<unknown>()
  for (const slot of slots) {
    if (slot.tag !== 'c') continue
    if (!Array.isArray(slot.raw)) throw new ProtocolError('a cycle that leads nowhere')
    // Else a short list of places could have a long way gone over and over.
    if (closedPaths.has(slot.raw)) throw new ProtocolError('two values at one place')
    closedPaths.add(slot.raw)
    const { raw } = resolvePath('c', holder, slot.raw)
    if (typeof raw !== 'object' || raw === null) throw new ProtocolError('a cycle to no container')
    closed.push([slot, shells.get(raw) ?? raw])
  }
  // Only when all are found: no path leads through what was put in.
  for (const [{ container: at, key }, container] of closed) at[key] = container
}

function revive(tag: TypeTag, raw: unknown, references: ReferenceDecoder, state: DecodeState): unknown {
  const { shells, isRawArray, tableBudget, ranges, budget } = state
  if (typeof tag !== 'string') {
    if (!Array.isArray(raw)) throw new ProtocolError(`a ${JSON.stringify(tag[1])} that is not in a list`)
    return decodeInstance(tag[1], raw[0])
  }
  switch (tag) {
    case 'm':
      return fillMap((shells.get(raw) ?? new Map()) as Map<unknown, unknown>, raw, isRawArray, budget)
    case 's':
      return fillSet((shells.get(raw) ?? new Set()) as Set<unknown>, raw, budget)
    case 'e':
      return markPeerError(
        fillError((shells.get(raw) ?? createError(raw)) as Error, raw, isRawArray),
        references
      )
    case 't':
      return decodeTable(raw, isRawArray, tableBudget)
    case 'd':
      return createTransform(raw)
    case 'b':
      return reviveBytes(raw, ranges.next().value)
    default:
      if (!isLeafTag(tag)) throw new ProtocolError(`the unknown kind ${JSON.stringify(tag)}`)
      if (typeof raw === 'string') checkDecodeCost(tag, raw, references.limits, state)
      return decodeLeaf(tag, raw)
  }
}

/** Some texts of a few characters take a thousand times as long to read as others. */
function checkDecodeCost(
  tag: string,
  text: string,
  limits: ReferenceDecoder['limits'],
  state: DecodeState
): void {
  const { bigintDigits } = limits
  if (tag === 'bigint' && text.length > bigintDigits)
    throw new CallRejection(
      'limit',
      `a bigint of more than ${bigintDigits} digits (limits.bigintDigits): send it as text`
    )
  if (tag === 'regexp') return checkRegExp(text, limits, state)
  const cost = costOf(tag, text)
  if (cost > 0 && !state.budget.trySpend(cost))
    throw new CallRejection(
      'limit',
      `a ${tag} that takes too long to read, alone or with others: send fewer at a time`
    )
}

/** However short it is, a RegExp may take hours on the text that it is used on. */
function checkRegExp(text: string, { regExpLength }: ReferenceDecoder['limits'], state: DecodeState): void {
  state.regExpCharacters += text.length
  if (state.regExpCharacters > regExpLength)
    throw new CallRejection(
      'limit',
      `more than ${regExpLength} characters of RegExps (limits.regExpLength): send the source as a string, or raise that limit where it arrives`
    )
  // A class of such a pattern may stand for thousands of strings.
  if (text.lastIndexOf('v') > text.lastIndexOf('/'))
    throw new CallRejection('limit', 'a RegExp with the flag `v`: send the source as a string')
}

function fillMap(
  map: Map<unknown, unknown>,
  entries: unknown,
  isRawArray: IsRawArray,
  budget: DecodeBudget
): Map<unknown, unknown> {
  if (!Array.isArray(entries) || !entries.every(entry => isRawArray(entry) && entry.length === 2)) {
    throw new ProtocolError('a Map that is not a list of entries')
  }
  const add = (i: number) => map.set(entries[i][0], entries[i][1])
  addKeys(entries.length, add, i => map.has(entries[i][0]), budget)
  return map
}

function fillSet(set: Set<unknown>, members: unknown, budget: DecodeBudget): Set<unknown> {
  if (!Array.isArray(members)) throw new ProtocolError('a Set that is not a list')
  const add = (i: number) => set.add(members[i])
  addKeys(members.length, add, i => set.has(members[i]), budget)
  return set
}

/** Adds keys one by one, and from time to time sees whether that goes as it should. */
function addKeys(
  count: number,
  add: (i: number) => void,
  find: (i: number) => boolean,
  effort: DecodeBudget
): void {
  for (let i = 0; i < count; ) {
    add(i++)
    if (i >= 256 && (i & (i - 1)) === 0 && !effort.trySpend(costOfKeys(i, find)))
      throw new CallRejection('limit', 'keys of a Map or Set that take too long to find')
  }
}

/**
 * A view on the frame where it is most of the frame; else a copy, so that a few bytes do not keep a frame alive. What a
 * transport of another realm brought is copied into this one.
 */
function reviveBytes(typeName: unknown, range: Uint8Array | undefined): unknown {
  /* c8 ignore next 2: where there is no Buffer, which is what Node makes of a Uint8Array. */
  const type = typeName === 'Buffer' && !BINARY_CLASSES.has(typeName) ? 'Uint8Array' : typeName
  if (range === undefined || typeof type !== 'string')
    throw new ProtocolError('bytes that are not in the frame')
  const Bytes = BINARY_CLASSES.get(type)
  if (!Bytes) throw new TypeError(`this runtime has no ${type}`)
  const size = (Bytes as unknown as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1
  if (range.byteLength % size !== 0) throw new ProtocolError(`${range.byteLength} bytes for a ${type}`)
  const { length } = range
  const isWholeBuffer = length > 0 && length === range.buffer.byteLength
  const isMostOfBuffer =
    type !== 'ArrayBuffer' && length * 2 > range.buffer.byteLength && range.byteOffset % 8 === 0
  const sharesBuffer = (isWholeBuffer || isMostOfBuffer) && range.buffer instanceof ArrayBuffer
  const { buffer, byteOffset, byteLength } = sharesBuffer ? range : new Uint8Array(range)
  if (type === 'ArrayBuffer') return buffer
  if (type === 'Buffer') return Buffer.from(buffer, byteOffset, byteLength)
  return new Bytes(buffer as ArrayBuffer, byteOffset, byteLength / size)
}
