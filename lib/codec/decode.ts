// Decodes JSON and bytes into values: from the peer's encoder, or from a hostile peer.
//
// Four invariants:
// 1. All paths are resolved in the raw JSON before any value is revived. So no path leads through a revived value into
//    an object of this side. "Raw" is what came from the JSON itself.
// 2. Values inside a container are revived before the container, and each place once: the place must still hold what the
//    JSON had there. So a short list of paths cannot have a long value revived many times.
// 3. Structure that is not of the protocol throws a ProtocolError, which ends the session. A value that this side cannot
//    make (an unregistered type, a bad date, a limit) throws a CallRejection, which rejects the one call.
// 4. After a rejection nothing more is revived, but decoding continues and still checks the structure of the message. It
//    discards the references of the message, because the peer has counted them.
//
// A value that names answers of this side is incomplete until they are there. The containers around these names are then
// revived; all else is revived at once.

import { CallRejection, ProtocolError, tooManyValues } from '../errors.js'
import { valueWeight } from '../protocol/limits.js'
import type { Annotations, TypeTag } from '../protocol/messages.js'
import { CONVERSION_METHODS } from '../util/conversion-methods.js'
import { describeValue } from '../util/describe.js'
import { isInstanceOf } from '../util/realms.js'
import { BINARY_CLASSES, KEYS_PER_VALUE } from './classify.js'
import { markPeerError } from './confidential-errors.js'
import { DecodeBudget } from './decode-cost.js'
import { createError, type EncodedError, errorPartCount, fillError } from './error-codec.js'
import { decodeLeaf } from './leaves.js'
import { decodeInstance } from './registry.js'
import { createTransform } from './stream-kinds.js'
import { decodeTable, TableBudget } from './table-codec.js'
import { ANSWER_TAG, type JsonPath, type ReferenceDecoder, type ReferenceTag } from './types.js'

type JsonContainer = Record<string | number, unknown>

/** A tagged place in the JSON. */
interface TaggedSlot {
  readonly tag: TypeTag
  readonly container: JsonContainer
  readonly key: string | number
  /** What the JSON has at this place. */
  readonly raw: unknown
  /** The first key of the path to this place. */
  readonly firstKey: unknown
}

/**
 * The value of a message's JSON.
 *
 * @throws CallRejection if a value cannot be made: the references of the message are then discarded
 * @throws ProtocolError if the structure is not of the protocol
 */
export function decode(
  json: unknown,
  annotations: Annotations | undefined,
  bytes: readonly Uint8Array[],
  references: ReferenceDecoder
): unknown {
  if (annotations === undefined) return json
  const [first] = annotations
  // A single reference, as most results with annotations are.
  if (annotations.length === 1 && first?.length === 2 && first[1]?.length === 0 && isReferenceTag(first[0])) {
    references.valuesDecoded(valueWeight(first[0]))
    return references.decodeReference(first[0], json)
  }
  return new Decoder(json, annotations, bytes, references).decode()
}

/** As `decode`, for a message that may name answers of this side: then the result is an `IncompleteValue`. */
export function decodeWithAnswers(
  json: unknown,
  annotations: Annotations | undefined,
  bytes: readonly Uint8Array[],
  references: ReferenceDecoder
): unknown {
  if (!annotations?.some(([tag]) => tag === ANSWER_TAG)) return decode(json, annotations, bytes, references)
  return new Decoder(json, annotations, bytes, references, true).decode()
}

/** A decoded value that names answers of this side. */
export class IncompleteValue {
  constructor(
    /** Numbers of the answers, one for each place. */
    readonly answerIds: readonly number[],
    /**
     * Puts the values of the answers in their places, in the order of `answerIds`. To be called once.
     *
     * @returns the whole value
     * @throws CallRejection if a container around them cannot be made
     */
    readonly complete: (values: readonly unknown[]) => unknown
  ) {}
}

/** Gives back the references of a message whose value nobody awaits. Decodes nothing. */
export function discardReferences(
  json: unknown,
  annotations: Annotations | undefined,
  references: ReferenceDecoder
): void {
  const root = [json] as unknown as JsonContainer
  for (const [tag, ...paths] of annotations ?? []) {
    if (!isReferenceTag(tag)) continue
    for (const path of paths) {
      const { container, key, raw } = resolvePath(tag, root, path as JsonPath)
      references.discardReference(tag, raw)
      // Two references at one place are an error.
      delete container[key]
    }
  }
}

/** Decodes one message. */
class Decoder {
  /** Holds the value at key 0, so that every place has a container. */
  readonly #root: JsonContainer
  readonly #annotations: Annotations
  readonly #ranges: Iterator<Uint8Array>
  readonly #references: ReferenceDecoder
  readonly #slots: TaggedSlot[] = []
  /** The places of names of answers, and what the JSON has around them. */
  readonly #answerSlots: TaggedSlot[] = []
  readonly #aroundAnswers = new Set<unknown>()
  /** Tagged containers around names of answers. */
  readonly #unrevived: TaggedSlot[] = []
  /** The empty Map, Set or Error for each raw container that a cycle leads back to. */
  readonly #shells = new Map<unknown, object>()
  /** Arrays that were revived into the JSON. Those of tables count as raw. */
  readonly #revivedArrays = new Set<unknown>()
  readonly #isRawArray = (value: unknown): value is unknown[] =>
    Array.isArray(value) && !this.#revivedArrays.has(value)
  readonly #tableBudget = new TableBudget()
  readonly #budget: DecodeBudget
  #valueCount = 0
  #rejection: CallRejection | undefined

  constructor(
    json: unknown,
    annotations: Annotations,
    bytes: readonly Uint8Array[],
    references: ReferenceDecoder,
    private readonly mayNameAnswers = false
  ) {
    this.#root = [json] as unknown as JsonContainer
    this.#annotations = annotations
    this.#ranges = bytes.values()
    this.#references = references
    this.#budget = new DecodeBudget(references.limits)
  }

  decode(): unknown {
    this.#resolvePaths()
    if (this.#annotations.some(([tag]) => tag === 'c')) this.#closeCycles()
    for (const slot of this.#slots) {
      if (slot.tag === ANSWER_TAG) this.#reserveSlot(slot)
      else if (this.#aroundAnswers.has(slot.raw)) {
        if (isReferenceTag(slot.tag)) throw new ProtocolError('a name of an answer in a reference')
        this.#unrevived.push(slot)
      } else if (slot.tag !== 'c') this.#reviveSlot(slot)
    }
    this.#references.valuesDecoded(this.#valueCount)
    if (this.#rejection) {
      this.#references.discardReceived()
      throw this.#rejection
    }
    if (this.#answerSlots.length === 0) return this.#root[0]
    const answerIds = this.#answerSlots.map(({ raw }) => raw as number)
    return new IncompleteValue(answerIds, values => this.#complete(values))
  }

  /** Keeps the place of an answer for its value. */
  #reserveSlot(slot: TaggedSlot): void {
    const { container, key, raw } = slot
    if (!(Number.isSafeInteger(raw) && (raw as number) > 0))
      throw new ProtocolError('a name of an answer that is not a number')
    if (container[key] !== raw) throw new ProtocolError('two values at one path')
    container[key] = undefined
    this.#answerSlots.push(slot)
  }

  #complete(values: readonly unknown[]): unknown {
    for (const [i, slot] of this.#answerSlots.entries()) this.#fillSlot(slot, values[i])
    try {
      for (const slot of this.#unrevived) this.#reviveSlot(slot)
    } catch (error) {
      // The message has been accepted: only its call can be rejected.
      this.#rejection = new CallRejection('unreadable', (error as ProtocolError).message)
    }
    if (this.#rejection) throw this.#rejection
    return this.#root[0]
  }

  /** Finds all tagged places. Their number is checked first. */
  #resolvePaths(): void {
    let count = 0
    for (const { 0: tag, length } of this.#annotations)
      if (tag !== 't') count += (length - 1) * valueWeight(tag)
    this.#countValues(count)
    for (const [tag, ...paths] of this.#annotations) {
      if (tag === ANSWER_TAG && !this.mayNameAnswers)
        throw new ProtocolError('a name of an answer that is in no argument or result')
      const around = tag === ANSWER_TAG ? this.#aroundAnswers : undefined
      for (const path of paths) this.#slots.push(resolvePath(tag, this.#root, path as JsonPath, around))
    }
  }

  #countValues(count: number): void {
    const { values } = this.#references.limits
    this.#valueCount += count
    if (this.#valueCount > values) throw tooManyValues(values)
  }

  /** Puts containers where cycles lead back to them: plain ones themselves, others as empty shells to be filled. */
  #closeCycles(): void {
    const slots = this.#slots
    // The encoder makes no tables beside cycles: a cycle could share the columns of one.
    if (slots.some(({ tag }) => tag === 't')) throw new ProtocolError('a table beside a cycle')
    for (const { tag, raw } of slots) {
      if (tag === 'm') this.#shells.set(raw, new Map())
      if (tag === 's') this.#shells.set(raw, new Set())
      if (tag === 'e') this.#shells.set(raw, createError(raw))
    }
    const closed: [TaggedSlot, object][] = []
    const resolved = new Set<unknown>()
    for (const slot of slots) {
      if (slot.tag !== 'c') continue
      if (!Array.isArray(slot.raw)) throw new ProtocolError('a cycle without a path')
      // A short list of places must not have a long path resolved many times.
      if (resolved.has(slot.raw)) throw new ProtocolError('two values at one path')
      resolved.add(slot.raw)
      const { raw } = resolvePath('c', this.#root, slot.raw)
      if (typeof raw !== 'object' || raw === null)
        throw new ProtocolError('a cycle that does not lead to a container')
      closed.push([slot, this.#shells.get(raw) ?? raw])
    }
    // Only after all are resolved: no path may lead through a closed cycle.
    for (const [{ container, key }, target] of closed) container[key] = target
  }

  #reviveSlot(slot: TaggedSlot): void {
    const { tag, container, key, raw } = slot
    if (container[key] !== raw) throw new ProtocolError('two values at one path')
    if (this.#rejection || (CONVERSION_METHODS.has(key) && tag === 'f')) {
      if (isReferenceTag(tag)) this.#references.discardReference(tag, raw)
      delete container[key]
      return
    }
    this.#countValues(this.#partCount(tag, raw))
    this.#fillSlot(slot, this.#tryRevive(slot))
  }

  #fillSlot({ tag, container, key }: TaggedSlot, value: unknown): void {
    if (tag !== 't' && Array.isArray(value)) this.#revivedArrays.add(value)
    if (typeof value === 'function' && CONVERSION_METHODS.has(key)) delete container[key]
    else container[key] = value
  }

  /** What a value counts as beside itself. */
  #partCount(tag: TypeTag, raw: unknown): number {
    if (tag === 'e') {
      const { fields } = (raw ?? {}) as EncodedError
      return errorPartCount(this.#isRawArray(fields) ? fields : [])
    }
    return (tag === 'm' || tag === 's') && Array.isArray(raw) ? raw.length / KEYS_PER_VALUE : 0
  }

  /** The value; undefined, with the rejection noted, if this side cannot make it. */
  #tryRevive({ tag, raw, firstKey }: TaggedSlot): unknown {
    try {
      return isReferenceTag(tag)
        ? this.#references.decodeReference(tag, raw, firstKey)
        : this.#revive(tag, raw)
    } catch (error) {
      if (error instanceof ProtocolError) throw error
      this.#rejection = error instanceof CallRejection ? error : unreadableRejection(tag, error)
      return undefined
    }
  }

  #revive(tag: TypeTag, raw: unknown): unknown {
    if (typeof tag !== 'string') {
      if (!Array.isArray(raw)) throw new ProtocolError(`a ${JSON.stringify(tag[1])} that is not in a list`)
      return decodeInstance(tag[1], raw[0])
    }
    switch (tag) {
      case 'm':
        return this.#reviveMap(raw)
      case 's':
        return this.#reviveSet(raw)
      case 'e':
        return this.#reviveError(raw)
      case 't':
        return decodeTable(raw, this.#isRawArray, this.#tableBudget)
      case 'd':
        return createTransform(raw)
      case 'b':
        return reviveBytes(raw, this.#ranges.next().value)
      default:
        return decodeLeaf(tag, raw, this.#budget)
    }
  }

  #reviveMap(entries: unknown): Map<unknown, unknown> {
    if (!Array.isArray(entries) || !entries.every(entry => this.#isRawArray(entry) && entry.length === 2))
      throw new ProtocolError('a Map that is not a list of entries')
    this.#budget.spendKeys(entries.map(([key]) => key))
    const map = (this.#shells.get(entries) ?? new Map()) as Map<unknown, unknown>
    for (const [key, value] of entries) map.set(key, value)
    return map
  }

  #reviveSet(members: unknown): Set<unknown> {
    if (!Array.isArray(members)) throw new ProtocolError('a Set that is not a list')
    this.#budget.spendKeys(members)
    const set = (this.#shells.get(members) ?? new Set()) as Set<unknown>
    for (const member of members) set.add(member)
    return set
  }

  #reviveError(raw: unknown): Error {
    const error = (this.#shells.get(raw) ?? createError(raw)) as Error
    return markPeerError(fillError(error, raw, this.#isRawArray), this.#references)
  }
}

const REFERENCE_TAGS = new Set<unknown>(['o', 'f', 'h', 'i', 'r', 'w', 'p', 'a'])
export const isReferenceTag = (tag: TypeTag): tag is ReferenceTag => REFERENCE_TAGS.has(tag)

/** `error` may come from a user's `decode`: it may be anything. */
function unreadableRejection(tag: TypeTag, error: unknown): CallRejection {
  const why = isInstanceOf('Error', error) ? error.message : describeValue(error)
  return new CallRejection('unreadable', `cannot read a ${typeof tag === 'string' ? tag : tag[1]}: ${why}`)
}

const isEnumerable = Object.prototype.propertyIsEnumerable
/** Whether a key is the index of an item or the name of a member. The length of an array is neither. */
const hasChild = (container: unknown, key: unknown) =>
  Array.isArray(container)
    ? typeof key === 'number' && container[key] !== undefined
    : typeof container === 'object' &&
      container !== null &&
      typeof key === 'string' &&
      isEnumerable.call(container, key)

/**
 * Resolves one path, and adds what it leads through to `around`. A frame may have two million keys in its paths, which
 * nothing has checked before.
 */
function resolvePath(tag: TypeTag, root: JsonContainer, path: JsonPath, around?: Set<unknown>): TaggedSlot {
  let container = root
  let key: string | number = 0
  for (const next of path) {
    container = container[key] as JsonContainer
    if (!hasChild(container, next)) throw new ProtocolError('a path that does not exist')
    around?.add(container)
    key = next
  }
  return { tag, container, key, raw: container[key], firstKey: path[0] }
}

/**
 * Returns a view on the frame if the bytes are most of the frame. Otherwise it returns a copy, so that a few bytes do not
 * keep a frame alive. Bytes from a transport of another realm are copied into this realm.
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
