// JSON and bytes → values: what `box` made on the other side, or what somebody who means harm made up.
//
// Every place is looked up in the raw JSON before anything is revived, so that no path can lead through a value into
// an object of this side. Structure that is not of the protocol throws a ProtocolError; a value that this side cannot
// make (an unregistered type, a bad date) throws a Refusal, which rejects the one call.

import { ProtocolError, Refusal, tooManyValues } from '../errors.js'
import type { Groups, Kind } from '../protocol/messages.js'
import { describe } from '../util/describe.js'
import { isA } from '../util/realms.js'
import { BYTES, CONVERSIONS, KEYS_IN_ONE, weightOf } from './classify.js'
import { costOf, costOfKeys, Effort } from './decode-cost.js'
import { type BoxedError, fillError, makeError, partsOfError } from './error-codec.js'
import { saidBy } from './peer-errors.js'
import { decodeLeaf, decodeType, isLeaf } from './registry.js'
import { transformOf } from './stream-kinds.js'
import { recordsOf, TableCount } from './table-codec.js'
import type { IsRaw, Place, ReferenceKind, Taker } from './types.js'

type Container = Record<string | number, unknown>
/** A place that stands for something else: where it is, and what the JSON has there. */
interface Slot {
  readonly kind: Kind
  readonly at: Container
  readonly key: string | number
  readonly raw: unknown
  /** The first step of the way there. */
  readonly step: unknown
}

/** What there is of a message while its values are made. */
interface Made {
  /** What containers that are in cycles will be. */
  readonly shells: Map<unknown, object>
  readonly isRaw: IsRaw
  readonly tables: TableCount
  readonly ranges: Iterator<Uint8Array>
  readonly effort: Effort
  /** Characters of RegExps so far. */
  regExps: number
}

/** @throws Refusal where it cannot be made: then all that came with it is given back. */
export function unbox(
  json: unknown,
  groups: Groups | undefined,
  bytes: readonly Uint8Array[],
  taker: Taker
): unknown {
  if (groups === undefined) return json
  const [first] = groups
  // A reference by itself, as most are that come as an answer.
  if (groups.length === 1 && first?.length === 2 && first[1]?.length === 0 && isReference(first[0])) {
    taker.made(weightOf(first[0]))
    return taker.take(first[0], json)
  }
  const { values } = taker.limits
  let count = groups.reduce(
    (sum, { 0: kind, length }) => (kind === 't' ? sum : sum + (length - 1) * weightOf(kind)),
    0
  )
  if (count > values) throw tooManyValues(values)
  const holder: Container = [json] as unknown as Container
  const slots: Slot[] = []
  for (const [kind, ...places] of groups) {
    for (const place of places) slots.push(find(kind, holder, place as Place))
  }
  const lists = new Set<unknown>()
  const isRaw = (value: unknown): value is unknown[] => Array.isArray(value) && !lists.has(value)
  const made: Made = {
    shells: new Map(),
    isRaw,
    tables: new TableCount(),
    ranges: bytes.values(),
    effort: new Effort(),
    regExps: 0
  }
  if (groups.some(([kind]) => kind === 'c')) closeCycles(holder, slots, made.shells)
  let refusal: Refusal | undefined
  for (const { kind, at, key, raw, step } of slots) {
    if (kind === 'c') continue
    // Else a short list of places could have a long value read over and over.
    if (at[key] !== raw) throw new ProtocolError('two values at one place')
    const isConversion = CONVERSIONS.has(key)
    if (refusal || (isConversion && kind === 'f')) {
      if (isReference(kind)) taker.turnBack(kind, raw)
      delete at[key]
      continue
    }
    count += partsOf(kind, raw, isRaw)
    if (count > values) throw tooManyValues(values)
    let value: unknown
    try {
      value = isReference(kind) ? taker.take(kind, raw, step) : revive(kind, raw, taker, made)
      if (kind !== 't' && Array.isArray(value)) lists.add(value)
      if (typeof value === 'function' && isConversion) {
        delete at[key]
        continue
      }
    } catch (error) {
      if (error instanceof ProtocolError) throw error
      refusal ??= error instanceof Refusal ? error : unreadable(kind, error)
    }
    at[key] = value
  }
  taker.made(count)
  if (!refusal) return holder[0]
  taker.refuse()
  throw refusal
}

/** Gives back all that came in a message that nobody waits for. Nothing of it is made. */
export function turnBack(json: unknown, groups: Groups | undefined, taker: Taker): void {
  const holder = [json] as unknown as Container
  for (const [kind, ...places] of groups ?? []) {
    if (!isReference(kind)) continue
    for (const place of places) {
      const { at, key, raw } = find(kind, holder, place as Place)
      taker.turnBack(kind, raw)
      // No two references are at one place.
      delete at[key]
    }
  }
}

/** What counts in a value beside itself. */
function partsOf(kind: Kind, raw: unknown, isRaw: IsRaw): number {
  if (kind === 'e') {
    const { fields } = (raw ?? {}) as BoxedError
    return partsOfError(isRaw(fields) ? fields : [])
  }
  return (kind === 'm' || kind === 's') && Array.isArray(raw) ? raw.length / KEYS_IN_ONE : 0
}

const REFERENCES = new Set<unknown>(['o', 'f', 'h', 'i', 'r', 'w', 'p', 'a'])
export const isReference = (kind: Kind): kind is ReferenceKind => REFERENCES.has(kind)

/** `error` may come from a user's `decode`: it may be anything. */
function unreadable(kind: Kind, error: unknown): Refusal {
  const why = isA('Error', error) ? error.message : describe(error)
  return new Refusal('unreadable', `cannot read a ${typeof kind === 'string' ? kind : kind[1]}: ${why}`)
}

const isEnumerable = Object.prototype.propertyIsEnumerable
/** Items and members, and nothing else: not the length of a list, nor a step that is neither a number nor a name. */
const isThere = (at: unknown, key: unknown) =>
  Array.isArray(at)
    ? typeof key === 'number' && at[key] !== undefined
    : typeof at === 'object' && at !== null && typeof key === 'string' && isEnumerable.call(at, key)

/** There may be two million steps in the places of a frame: nothing else has looked at them. */
function find(kind: Kind, holder: Container, place: Place): Slot {
  let at = holder
  let key: string | number = 0
  for (const next of place) {
    at = at[key] as Container
    if (!isThere(at, next)) throw new ProtocolError('a path to nowhere')
    key = next
  }
  return { kind, at, key, raw: at[key], step: place[0] }
}

/** Puts containers where cycles lead back to them: plain ones themselves, others as empty shells to be filled. */
function closeCycles(holder: Container, slots: readonly Slot[], shells: Map<unknown, object>): void {
  // Who sends cycles sends no tables, which could share their columns.
  if (slots.some(({ kind }) => kind === 't')) throw new ProtocolError('a table beside a cycle')
  for (const { kind, raw } of slots) {
    if (kind === 'm') shells.set(raw, new Map())
    if (kind === 's') shells.set(raw, new Set())
    if (kind === 'e') shells.set(raw, makeError(raw))
  }
  const closed: [Slot, object][] = []
  const known = new Set<unknown>()
  for (const slot of slots) {
    if (slot.kind !== 'c') continue
    if (!Array.isArray(slot.raw)) throw new ProtocolError('a cycle that leads nowhere')
    // Else a short list of places could have a long way gone over and over.
    if (known.has(slot.raw)) throw new ProtocolError('two values at one place')
    known.add(slot.raw)
    const { raw } = find('c', holder, slot.raw)
    if (typeof raw !== 'object' || raw === null) throw new ProtocolError('a cycle to no container')
    closed.push([slot, shells.get(raw) ?? raw])
  }
  // Only when all are found: no path leads through what was put in.
  for (const [{ at, key }, container] of closed) at[key] = container
}

function revive(kind: Kind, raw: unknown, taker: Taker, made: Made): unknown {
  const { shells, isRaw, tables, ranges, effort } = made
  if (typeof kind !== 'string') {
    if (!Array.isArray(raw)) throw new ProtocolError(`a ${JSON.stringify(kind[1])} that is not in a list`)
    return decodeType(kind[1], raw[0])
  }
  switch (kind) {
    case 'm':
      return fillMap((shells.get(raw) ?? new Map()) as Map<unknown, unknown>, raw, isRaw, effort)
    case 's':
      return fillSet((shells.get(raw) ?? new Set()) as Set<unknown>, raw, effort)
    case 'e':
      return saidBy(fillError((shells.get(raw) ?? makeError(raw)) as Error, raw, isRaw), taker)
    case 't':
      return recordsOf(raw, isRaw, tables)
    case 'd':
      return transformOf(raw)
    case 'b':
      return reviveBytes(raw, ranges.next().value)
    default:
      if (!isLeaf(kind)) throw new ProtocolError(`the unknown kind ${JSON.stringify(kind)}`)
      if (typeof raw === 'string') checkEffort(kind, raw, taker.limits, made)
      return decodeLeaf(kind, raw)
  }
}

/** Some texts of a few characters take a thousand times as long to read as others. */
function checkEffort(kind: string, text: string, limits: Taker['limits'], made: Made): void {
  const { bigintDigits } = limits
  if (kind === 'bigint' && text.length > bigintDigits)
    throw new Refusal(
      'limit',
      `a bigint of more than ${bigintDigits} digits (limits.bigintDigits): send it as text`
    )
  if (kind === 'regexp') return checkRegExp(text, limits, made)
  const cost = costOf(kind, text)
  if (cost > 0 && !made.effort.allows(cost))
    throw new Refusal(
      'limit',
      `a ${kind} that takes too long to read, alone or with others: send fewer at a time`
    )
}

/** However short it is, a RegExp may take hours on the text that it is used on. */
function checkRegExp(text: string, { regExpLength }: Taker['limits'], made: Made): void {
  made.regExps += text.length
  if (made.regExps > regExpLength)
    throw new Refusal(
      'limit',
      `more than ${regExpLength} characters of RegExps (limits.regExpLength): send the source as a string, or raise that limit where it arrives`
    )
  // A class of such a pattern may stand for thousands of strings.
  if (text.lastIndexOf('v') > text.lastIndexOf('/'))
    throw new Refusal('limit', 'a RegExp with the flag `v`: send the source as a string')
}

function fillMap(
  map: Map<unknown, unknown>,
  entries: unknown,
  isRaw: IsRaw,
  effort: Effort
): Map<unknown, unknown> {
  if (!Array.isArray(entries) || !entries.every(entry => isRaw(entry) && entry.length === 2)) {
    throw new ProtocolError('a Map that is not a list of entries')
  }
  const add = (i: number) => map.set(entries[i][0], entries[i][1])
  addAll(entries.length, add, i => map.has(entries[i][0]), effort)
  return map
}

function fillSet(set: Set<unknown>, members: unknown, effort: Effort): Set<unknown> {
  if (!Array.isArray(members)) throw new ProtocolError('a Set that is not a list')
  const add = (i: number) => set.add(members[i])
  addAll(members.length, add, i => set.has(members[i]), effort)
  return set
}

/** Adds keys one by one, and from time to time sees whether that goes as it should. */
function addAll(count: number, add: (i: number) => void, find: (i: number) => boolean, effort: Effort): void {
  for (let i = 0; i < count; ) {
    add(i++)
    if (i >= 256 && (i & (i - 1)) === 0 && !effort.allows(costOfKeys(i, find)))
      throw new Refusal('limit', 'keys of a Map or Set that take too long to find')
  }
}

/**
 * A view on the frame where it is most of the frame; else a copy, so that a few bytes do not keep a frame alive. What a
 * transport of another realm brought is copied into this one.
 */
function reviveBytes(given: unknown, range: Uint8Array | undefined): unknown {
  /* c8 ignore next 2: where there is no Buffer, which is what Node makes of a Uint8Array. */
  const type = given === 'Buffer' && !BYTES.has(given) ? 'Uint8Array' : given
  if (range === undefined || typeof type !== 'string')
    throw new ProtocolError('bytes that are not in the frame')
  const Bytes = BYTES.get(type)
  if (!Bytes) throw new TypeError(`this runtime has no ${type}`)
  const size = (Bytes as unknown as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1
  if (range.byteLength % size !== 0) throw new ProtocolError(`${range.byteLength} bytes for a ${type}`)
  const { length } = range
  const whole = length > 0 && length === range.buffer.byteLength
  const most = type !== 'ArrayBuffer' && length * 2 > range.buffer.byteLength && range.byteOffset % 8 === 0
  const shared = (whole || most) && range.buffer instanceof ArrayBuffer
  const { buffer, byteOffset, byteLength } = shared ? range : new Uint8Array(range)
  if (type === 'ArrayBuffer') return buffer
  if (type === 'Buffer') return Buffer.from(buffer, byteOffset, byteLength)
  return new Bytes(buffer as ArrayBuffer, byteOffset, byteLength / size)
}
