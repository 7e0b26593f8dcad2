// One walk over a value: it copies what plain JSON can carry, and puts the rest beside, as groups, bytes and references.

import { hasArrived, isNetref } from '../util/copies.js'
import {
  classify,
  firstNamedKey,
  isIterable,
  isJsonPrimitive,
  KEYS_PER_VALUE,
  type TransferMode
} from './classify.js'
import { ignoreRejections, isLent, rollbackPayload } from './dispose.js'
import { encodeError, errorPartCount } from './error-codec.js'
import { isExposed } from './grants.js'
import { lentObjectOf } from './lend.js'
import { PayloadBuilder } from './payload-builder.js'
import { encodeInstance, encodeObjectLeaf, encodePrimitiveLeaf } from './registry.js'
import { isLocked, streamEnds } from './stream-kinds.js'
import { charactersSaved, columnNames, type DataRecord, readColumns, TableBudget } from './table-codec.js'
import type { DataWalk, EncodedReference, FlowKind, Giver, JsonPath, Payload } from './types.js'

/** Thrown where a walk seems to have no end: it is done again, by one that knows what it has met. */
const RESTART_TRACKING_CYCLES = Symbol('endless')
/** Containers after which a walk seems to have no end. What is shared at every level is finite, but not in practice. */
const MAX_UNTRACKED_CONTAINERS = 100_000

const isLockingStream = ([kind]: EncodedReference): boolean => kind === 'r' || kind === 'w'

/** One walk over one value. */
export class Encoder extends PayloadBuilder implements DataWalk {
  #containers = 0
  /** Streams that were given in this walk. */
  #encodedStreams: Set<object> | undefined
  #tableBudget: TableBudget | undefined
  /** Set while fields of an error are boxed: references stay home there. */
  #dataOnly = false
  /** Of a walk that fails, what it was reading, in lists: what an accessor made is nowhere else. */
  #unsentReads: unknown

  constructor(
    name: string,
    readonly references: Giver,
    /** A list of arguments crosses as a list, whatever stands in it. */
    private readonly isArguments = false,
    /** Where each container was met first; kept on the second walk only. */
    private readonly seen?: Map<object, JsonPath>
  ) {
    super(name)
  }

  encode(value: unknown, self?: object): Payload {
    try {
      return this.build(this.encodeItem(value, 0, self), this.references.encodeLimits.values)
    } catch (error) {
      if (error === RESTART_TRACKING_CYCLES) return this.#encodeTrackingCycles(value, self)
      this.#rollback(this.encodedReferences, value)
      throw error
    }
  }

  /** By a walk that meets each container once. */
  #encodeTrackingCycles(value: unknown, self?: object): Payload {
    // A stream is locked while it is given.
    for (const given of this.encodedReferences) if (isLockingStream(given)) this.references.rollback(given)
    try {
      return new Encoder(this.name, this.references, this.isArguments, new Map()).encode(value, self)
    } finally {
      // Not before the second walk, so that what is given in both was never taken back altogether.
      this.#rollback(this.encodedReferences.filter(given => !isLockingStream(given)))
    }
  }

  /** What was given, or is known to this walk alone, is not sent after all; nor is `value`. */
  #rollback(given: readonly EncodedReference[], value?: unknown): void {
    rollbackPayload({ references: given, lent: isLent(this.name) }, this.references, [
      this.#unsentReads,
      value
    ])
  }

  /** The walk fails. @throws the error */
  #failAfterRead(read: unknown, error: unknown): never {
    this.#unsentReads = [this.#unsentReads, read]
    throw error
  }

  encodeItem(value: unknown, depth: number, self?: object): unknown {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value
      case 'number':
        return isJsonPrimitive(value) ? value : this.#encodeLeaf(value)
      case 'object':
        return value === null ? null : this.#encodeObject(value, depth)
      case 'function':
        return this.#encodeReference(value, self)
      case 'symbol':
        throw this.unsendable(String(value), 'a symbol has no meaning outside this process: send a string')
      default:
        return this.#encodeLeaf(value as undefined | bigint)
    }
  }

  /** Boxes what stands at `key` of the present place. */
  encodeChild(key: string | number, value: unknown, depth: number, self?: object): unknown {
    this.path.push(key)
    const isObject = typeof value === 'object' && value !== null
    const encoded = isObject ? this.#encodeObject(value, depth) : this.encodeItem(value, depth, self)
    this.path.pop()
    return encoded
  }

  /** Boxes what `read` finds at `place` below the present one if it is data through and through; else leaves no trace. */
  encodeDataOnly(path: JsonPath, read: () => unknown, depth: number): { boxed: unknown } | undefined {
    const checkpoint = this.checkpoint()
    const seenCount = this.seen?.size
    const outerDataOnly = this.#dataOnly
    this.#dataOnly = true
    this.path.push(...path)
    const outerReads = this.#unsentReads
    let data: { boxed: unknown } | undefined
    let value: unknown
    try {
      value = read()
      data = { boxed: this.encodeItem(value, depth) }
    } catch (error) {
      if (error === RESTART_TRACKING_CYCLES) throw error
      ignoreRejections([value, this.#unsentReads])
      this.#unsentReads = outerReads
      this.restore(checkpoint)
      if (this.seen) for (const object of [...this.seen.keys()].slice(seenCount)) this.seen.delete(object)
    }
    this.path.length = checkpoint.pathLength
    this.#dataOnly = outerDataOnly
    return data
  }

  #encodeLeaf(value: undefined | bigint | number): unknown {
    const [kind, json] = encodePrimitiveLeaf(value)
    return this.tag(kind, json)
  }

  #encodeReference(object: object, self?: object): unknown {
    if (this.#dataOnly) throw this.unsendable('a reference', 'errors carry data only')
    const lent = lentObjectOf(object)
    if (lent && !(this.isArguments && this.name === 'args'))
      throw this.unsendable('lent', 'that ends with a call, of which only arguments are lent')
    if (isNetref(object) && !hasArrived(object))
      throw this.unsendable('remote and not here yet', 'await it first')
    if (this.references.isReleased(object))
      throw this.unsendable('a released netref', 'send it before it is released')
    const encoded = this.references.encodeReference(lent ?? object, self, lent !== undefined)
    this.encodedReferences.push(encoded)
    return this.tag(encoded[0], encoded[1])
  }

  #encodeObject(object: object, depth: number): unknown {
    // What most objects are is known at a glance.
    const prototype: unknown = Object.getPrototypeOf(object)
    const isRecord = prototype === Object.prototype
    if (!this.seen && (isRecord || prototype === Array.prototype) && !isExposed(object)) {
      this.#enterContainer(depth)
      return isRecord
        ? this.#encodeRecord(object as Record<string, unknown>, depth)
        : this.#encodeArray(object as unknown[], depth)
    }
    if (isNetref(object) || isExposed(object)) return this.#encodeReference(object)
    const transfer = classify(object)
    switch (transfer.as) {
      case 'leaf':
        this.requireNoExtraKeys(object)
        return this.tag(transfer.type, encodeObjectLeaf(transfer.type, object))
      case 'bytes':
        return this.addBytes(object as ArrayBuffer | ArrayBufferView, transfer.type)
      case 'refused':
        throw this.unsendable(transfer.what, transfer.cure)
      case 'flow':
        return this.#encodeStream(object, transfer.kind, depth)
      case 'pair':
        return this.#encodeStreamPair(object, depth)
      case 'reference':
        return this.#encodeReference(object)
    }
    return this.seen
      ? this.#encodeOnce(object, transfer, depth, this.seen)
      : this.#encodeContainer(object, transfer, depth)
  }

  #encodeStream(object: object, tag: FlowKind, depth: number): unknown {
    if (this.#dataOnly) throw this.unsendable('a reference', 'errors carry data only')
    this.#requireUnlocked(object)
    const encoded = this.references.encodeStream(object, tag, isLent(this.name))
    this.encodedReferences.push(encoded)
    if (isLockingStream(encoded)) this.#encodedStreams = (this.#encodedStreams ?? new Set()).add(object)
    const [encodedTag, data] = encoded
    if (encodedTag === 'a' && (object as AbortSignal).aborted) {
      const { reason } = object as AbortSignal
      const sent = this.encodeDataOnly([3], () => reason, depth + 1)
      return this.tag('a', [...(data as unknown[]), 1, ...(sent ? [sent.boxed] : [])])
    }
    return this.tag(encodedTag, data)
  }

  /** A stream that is met twice may be in a cycle: the second walk, which meets each container once, knows. */
  #requireUnlocked(stream: object): void {
    if (!isLocked(stream)) return
    if (!this.seen && this.#encodedStreams?.has(stream)) throw RESTART_TRACKING_CYCLES
    throw this.unsendable('a stream that is locked', 'send it once, before it is read or written')
  }

  #encodeStreamPair(object: object, depth: number): unknown {
    this.#requireUnlocked(object)
    const { readable, writable } = streamEnds(object)
    this.#encodedStreams = (this.#encodedStreams ?? new Set()).add(object)
    const encodeEnd = (key: number, end: object, kind: FlowKind) => {
      this.path.push(key)
      const boxed = this.#encodeStream(end, kind, depth + 1)
      this.path.pop()
      return boxed
    }
    return this.tag('d', [encodeEnd(0, readable, 'r'), encodeEnd(1, writable, 'w')])
  }

  /** A container on the second walk, which sends each once. An instance of a registered type is there when decoded only. */
  #encodeOnce(object: object, travel: TransferMode, depth: number, met: Map<object, JsonPath>): unknown {
    const first = met.get(object)
    const registered = travel.as === 'registered'
    if (first && registered) throw this.unsendable('part of itself', 'a registered type cannot hold itself')
    if (first) return this.tag('c', first)
    met.set(object, this.path.slice())
    const boxed = this.#encodeContainer(object, travel, depth)
    if (registered) met.delete(object)
    return boxed
  }

  /** @throws ENDLESS, or UnsendableError, where this is too deep */
  #enterContainer(depth: number): void {
    const limit = this.references.encodeLimits.depth
    if (!this.seen && (depth >= limit || ++this.#containers > MAX_UNTRACKED_CONTAINERS))
      throw RESTART_TRACKING_CYCLES
    if (depth >= limit)
      throw this.unsendable(`nested deeper than ${limit} (limits.depth)`, 'send it in parts, or expose() it')
  }

  #encodeContainer(object: object, travel: TransferMode, depth: number): unknown {
    this.#enterContainer(depth)
    switch (travel.as) {
      case 'record':
        return this.#encodeRecord(object as Record<string, unknown>, depth)
      case 'array':
        return this.#encodeArray(object as unknown[], depth)
      case 'map': {
        this.requireNoExtraKeys(object)
        const entries = [...(object as Map<unknown, unknown>)].map((entry, i) =>
          this.encodeChild(i, entry, depth + 1)
        )
        this.values += entries.length / KEYS_PER_VALUE
        return this.tag('m', entries)
      }
      case 'set': {
        this.requireNoExtraKeys(object)
        const members = [...(object as Set<unknown>)].map((member, i) =>
          this.encodeChild(i, member, depth + 1)
        )
        this.values += members.length / KEYS_PER_VALUE
        return this.tag('s', members)
      }
      case 'error':
        return this.#encodeError(object as Error, depth)
      case 'registered':
        return this.#encodeRegistered(object, travel.type, depth)
      /* c8 ignore next 2: every other way of travelling was taken before. */
      default:
        throw new Error(travel.as)
    }
  }

  #encodeError(error: Error, depth: number): unknown {
    const boxed = encodeError(error, this, depth)
    this.values += errorPartCount(boxed.fields)
    return this.tag('e', boxed)
  }

  /** A copy made in one step, so that accessors and proxies are read once; then boxed in place. */
  #encodeRecord(object: Record<string, unknown>, depth: number): unknown {
    const copy = { ...object }
    if (isIterable(copy)) return this.#encodeStream(object, 'i', depth)
    if (typeof copy.then === 'function') return this.#encodeStream(object, 'p', depth)
    try {
      for (const key in copy) {
        const item = copy[key]
        // What Object.prototype may have is not sent.
        if (isJsonPrimitive(item) || !Object.hasOwn(copy, key)) continue
        copy[key] = this.encodeChild(key, item, depth + 1, object)
      }
    } catch (error) {
      this.#failAfterRead(copy, error)
    }
    return copy
  }

  #encodeArray(array: unknown[], depth: number): unknown {
    if (array.length > this.references.encodeLimits.jsonBytes)
      throw this.unsendable('an array too long to send', 'send it in parts')
    const copy = [...array]
    const extra = firstNamedKey(array)
    if (extra !== undefined)
      throw this.unsendable(
        `an array with the named key "${extra}"`,
        'send an object, or the array without it'
      )
    return this.#encodeItems(copy, depth)
  }

  /** Boxes a list of our own in place. `owners` are the objects that functions in it are members of. */
  #encodeItems(items: unknown[], depth: number, owners?: readonly object[]): unknown {
    const table = this.#encodeTable(items, depth)
    if (table) return table
    for (let i = 0; i < items.length; i++) {
      if (!isJsonPrimitive(items[i])) items[i] = this.encodeChild(i, items[i], depth + 1, owners?.[i])
    }
    return items
  }

  /** The list as a table, where that may be and pays. The second walk makes none, as it sends what is shared once. */
  #encodeTable(items: unknown[], depth: number): unknown[] | undefined {
    const names = this.seen || (depth === 0 && this.isArguments) ? undefined : columnNames(items)
    if (!names || charactersSaved(items.length, names) < this.tagCharacters) return undefined
    if (!(this.#tableBudget ??= new TableBudget()).tryAdd(items.length, names.length)) return undefined
    this.#enterContainer(depth + 1)
    const records = items as DataRecord[]
    const columns = readColumns(records, names)
    try {
      return columns && this.addTable(names, columns, column => this.#encodeItems(column, depth + 1, records))
    } catch (error) {
      this.#failAfterRead(columns, error)
    }
  }

  /** What `encode` returns stands one deeper, under the key 0, so that it is boxed before its instance. */
  #encodeRegistered(object: object, type: string, depth: number): unknown {
    const encoded = encodeInstance(object)
    try {
      return this.tag(['custom', type], [this.encodeChild(0, encoded, depth + 1)])
    } catch (error) {
      this.#failAfterRead(encoded, error)
    }
  }
}
