// Encodes one value: finds what is not plain JSON, and tags it.
//
// Plain containers are not copied: `JSON.stringify` gets them as they are. A container is copied if anything in it is tagged.
// So the accessors and Proxies of plain values are read twice, once here and once by `JSON.stringify`, which writes what the
// second reading returns. What is not plain is read once.
//
// The first pass does not track which containers it has seen, as tracking is slow and most values have no cycle. A pass that
// gets too deep or too long restarts as a second pass. That one encodes each container once, and then refers to it by its
// path.

import { className } from '../util/describe.js'
import { hasArrived, isNetref } from '../util/library-copies.js'
import {
  classify,
  firstNamedKey,
  isIterable,
  isJsonPrimitive,
  KEYS_PER_VALUE,
  type TransferMode
} from './classify.js'
import { ignoreRejections, rollbackPayload } from './dispose.js'
import { encodeError, errorPartCount } from './error-codec.js'
import { isExposed } from './grants.js'
import { encodeLeaf } from './leaves.js'
import { lentObjectOf } from './lend.js'
import { PayloadBuilder, plainPayload, toJson } from './payload-builder.js'
import { hasToJson, MAX_UNTRACKED_CONTAINERS, PlainDataCheck } from './plain-data.js'
import { encodeInstance } from './registry.js'
import { IMPORT_STREAMS, isLocked, streamEnds, streamLabel } from './stream-kinds.js'
import { type DataRecord, readColumns } from './table-codec.js'
import type {
  DataEncoder,
  EncodedReference,
  JsonPath,
  Payload,
  ReferenceEncoder,
  StreamTag
} from './types.js'
import { ARGUMENTS, type ValueRole } from './value-role.js'

/** Thrown by the first pass if the value may have a cycle. */
const RESTART_TRACKING_CYCLES = Symbol('restart tracking cycles')

/** Whether encoding the reference has locked a stream. */
const isLockingStream = ([tag]: EncodedReference): boolean => tag === 'r' || tag === 'w'

type EncodedAnswer = NonNullable<ReturnType<ReferenceEncoder['encodeAnswer']>>

/** One pass over one value. */
export class Encoder implements DataEncoder {
  readonly #payload: PayloadBuilder
  readonly #plainData: PlainDataCheck
  #containers = 0
  /** Streams encoded in this pass. */
  #encodedStreams: Set<object> | undefined
  /** Whether no references may be encoded: never, or not in the fields of an error. */
  #dataOnly: boolean
  /** What a failed pass had read, in nested arrays: values that accessors made are nowhere else. */
  #unsentReads: unknown

  constructor(
    role: ValueRole,
    readonly references: ReferenceEncoder,
    /** A list is encoded as an array, never as a table. */
    private readonly isList = false,
    /** The path of each container; of the second pass only. */
    private readonly seen?: Map<object, JsonPath>,
    /** What the first pass encoded for paths and pending results: a path is read once. */
    private answers?: Map<object, EncodedAnswer | undefined>
  ) {
    this.#payload = new PayloadBuilder(role)
    this.#dataOnly = role.isDataOnly === true
    this.#plainData = new PlainDataCheck(references.encodeLimits)
  }

  encode(value: unknown, self?: object): Payload {
    try {
      if (typeof value === 'object' && value !== null && !this.seen && this.#plainData.isPlain(value, 0))
        return plainPayload(toJson(value))
      return this.#payload.build(this.encodeItem(value, 0, self), this.references.encodeLimits.values)
    } catch (error) {
      if (error === RESTART_TRACKING_CYCLES) return this.#encodeTrackingCycles(value, self)
      this.#rollback(this.#payload.references, value)
      throw error
    }
  }

  #encodeTrackingCycles(value: unknown, self?: object): Payload {
    const { role, references } = this.#payload
    // The second pass encodes the streams again, so they must not be locked by this one.
    for (const reference of references) if (isLockingStream(reference)) this.references.rollback(reference)
    try {
      return new Encoder(role, this.references, this.isList, new Map(), this.answers).encode(value, self)
    } finally {
      // After the second pass, so that the count of a reference that both have encoded does not fall to 0 in between.
      this.#rollback(references.filter(reference => !isLockingStream(reference)))
    }
  }

  /** Rolls back references, and disposes of what only this pass holds and of `value`. */
  #rollback(references: readonly EncodedReference[], value?: unknown): void {
    const payload = { references, callerOwned: this.#payload.role.isCallerOwned }
    rollbackPayload(payload, this.references, [this.#unsentReads, value])
  }

  /** Notes what was read before the pass failed. @throws the error */
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
        return this.#encodeReference(value, depth, self)
      case 'symbol':
        throw this.#payload.unsendable(
          String(value),
          'a symbol has no meaning outside this process: send a string'
        )
      default:
        return this.#encodeLeaf(value as undefined | bigint)
    }
  }

  /** Encodes the child at `key` of the present path. */
  encodeChild(key: string | number, value: unknown, depth: number, self?: object): unknown {
    this.#payload.path.push(key)
    const isObject = typeof value === 'object' && value !== null
    const encoded = isObject ? this.#encodeObject(value, depth) : this.encodeItem(value, depth, self)
    this.#payload.path.pop()
    return encoded
  }

  /** Encodes what `read` returns, at `path` below the present path. Undefined, without a trace, if it is not data only. */
  encodeDataOnly(path: JsonPath, read: () => unknown, depth: number): { encoded: unknown } | undefined {
    const checkpoint = this.#payload.checkpoint()
    const seenCount = this.seen?.size
    const outerDataOnly = this.#dataOnly
    this.#dataOnly = true
    this.#payload.path.push(...path)
    const outerReads = this.#unsentReads
    let data: { encoded: unknown } | undefined
    let value: unknown
    try {
      value = read()
      data = { encoded: this.encodeItem(value, depth) }
    } catch (error) {
      if (error === RESTART_TRACKING_CYCLES) throw error
      ignoreRejections([value, this.#unsentReads])
      this.#unsentReads = outerReads
      this.#payload.restore(checkpoint)
      if (this.seen) for (const object of [...this.seen.keys()].slice(seenCount)) this.seen.delete(object)
    }
    this.#payload.path.length = checkpoint.pathLength
    this.#dataOnly = outerDataOnly
    return data
  }

  #encodeLeaf(value: undefined | bigint | number): unknown {
    return this.#payload.tag(typeof value, encodeLeaf(typeof value, value))
  }

  #encodeReference(object: object, depth: number, self?: object): unknown {
    if (this.#dataOnly) throw this.#notData(referenceLabel(object))
    const lent = lentObjectOf(object)
    if (lent && this.#payload.role !== ARGUMENTS)
      throw this.#payload.unsendable('lent', 'a loan lasts for one call; lend only arguments of a call')
    if (isNetref(object) && !hasArrived(object)) return this.#encodePending(object, depth)
    if (this.references.isReleased(object))
      throw this.#payload.unsendable('a released netref', 'send it before it is released')
    return this.#payload.addReference(
      this.references.encodeReference(lent ?? object, self, lent !== undefined)
    )
  }

  /** A path or a pending result is sent as what it will be. */
  #encodePending(pending: object, depth: number): unknown {
    const answer = this.#payload.role.mayNameAnswers ? this.#encodeAnswer(pending) : undefined
    if (!answer) return this.#encodeStream(pending, 'p', depth)
    return 'value' in answer ? this.encodeItem(answer.value, depth) : this.#payload.addReference(answer)
  }

  #encodeAnswer(pending: object): EncodedAnswer | undefined {
    this.answers ??= new Map()
    if (!this.answers.has(pending)) this.answers.set(pending, this.references.encodeAnswer(pending))
    return this.answers.get(pending)
  }

  #encodeObject(object: object, depth: number): unknown {
    // Most objects are plain records and arrays: these need no `classify`.
    const prototype: unknown = Object.getPrototypeOf(object)
    const isRecord = prototype === Object.prototype
    if (!this.seen && (isRecord || prototype === Array.prototype) && !isExposed(object)) {
      if (!this.#plainData.hasRead(object) && this.#plainData.isPlain(object, depth)) return object
      this.#enterContainer(depth)
      return isRecord
        ? this.#encodeRecord(object as Record<string, unknown>, depth)
        : this.#encodeArray(object as unknown[], depth)
    }
    if (isNetref(object) || isExposed(object)) return this.#encodeReference(object, depth)
    const transfer = classify(object)
    switch (transfer.as) {
      case 'leaf':
        this.#payload.requireNoExtraKeys(object)
        return this.#payload.tag(transfer.tag, encodeLeaf(transfer.tag, object))
      case 'bytes':
        return this.#payload.addBytes(object as ArrayBuffer | ArrayBufferView, transfer.type)
      case 'refused':
        throw this.#payload.unsendable(transfer.what, transfer.cure)
      case 'stream':
        return this.#encodeStream(object, transfer.kind, depth)
      case 'stream-pair':
        return this.#encodeStreamPair(object, depth)
      case 'reference':
        return this.#encodeReference(object, depth)
    }
    return this.seen
      ? this.#encodeOnce(object, transfer, depth, this.seen)
      : this.#encodeContainer(object, transfer, depth)
  }

  #encodeStream(object: object, tag: StreamTag, depth: number): unknown {
    if (this.#dataOnly) throw this.#notData(streamLabel(tag))
    this.#requireUnlocked(object)
    const encoded = this.references.encodeStream(object, tag, this.#payload.role.isCallerOwned)
    if (!encoded) throw this.#payload.unsendable(streamLabel(tag), IMPORT_STREAMS)
    this.#payload.references.push(encoded)
    if (isLockingStream(encoded)) this.#encodedStreams = (this.#encodedStreams ?? new Set()).add(object)
    const [encodedTag, data] = encoded
    if (encodedTag === 'a' && (object as AbortSignal).aborted) {
      const { reason } = object as AbortSignal
      const sent = this.encodeDataOnly([3], () => reason, depth + 1)
      return this.#payload.tag('a', [...(data as unknown[]), 1, ...(sent ? [sent.encoded] : [])])
    }
    return this.#payload.tag(encodedTag, data)
  }

  #notData(what: string): Error {
    return this.#payload.unsendable(what, 'pass data in its place')
  }

  /** A stream that the first pass encodes twice may be in a cycle, which the second pass finds out. */
  #requireUnlocked(stream: object): void {
    if (!isLocked(stream)) return
    if (!this.seen && this.#encodedStreams?.has(stream)) throw RESTART_TRACKING_CYCLES
    throw this.#payload.unsendable('a stream that is locked', 'send it once, before it is read or written')
  }

  #encodeStreamPair(object: object, depth: number): unknown {
    if (this.#dataOnly) throw this.#notData('a pair of streams')
    this.#requireUnlocked(object)
    const { readable, writable } = streamEnds(object)
    this.#encodedStreams = (this.#encodedStreams ?? new Set()).add(object)
    const encodeEnd = (key: number, end: object, tag: StreamTag) => {
      this.#payload.path.push(key)
      const encoded = this.#encodeStream(end, tag, depth + 1)
      this.#payload.path.pop()
      return encoded
    }
    return this.#payload.tag('d', [encodeEnd(0, readable, 'r'), encodeEnd(1, writable, 'w')])
  }

  /**
   * Encodes a container in the second pass, each once. An instance of a registered type does not exist before it is
   * decoded: it is encoded again wherever it is.
   */
  #encodeOnce(object: object, transfer: TransferMode, depth: number, seen: Map<object, JsonPath>): unknown {
    const firstPath = seen.get(object)
    const isRegistered = transfer.as === 'registered'
    if (firstPath && isRegistered)
      throw this.#payload.unsendable('part of itself', 'a registered type cannot hold itself')
    if (firstPath) return this.#payload.tag('c', firstPath)
    seen.set(object, this.#payload.path.slice())
    const encoded = this.#encodeContainer(object, transfer, depth)
    if (isRegistered) seen.delete(object)
    return encoded
  }

  /** @throws RESTART_TRACKING_CYCLES in the first pass, UnsendableError in the second, if this is too deep */
  #enterContainer(depth: number): void {
    const limit = this.references.encodeLimits.depth
    if (!this.seen && (depth >= limit || ++this.#containers > MAX_UNTRACKED_CONTAINERS))
      throw RESTART_TRACKING_CYCLES
    if (depth >= limit)
      throw this.#payload.unsendable(
        `nested deeper than ${limit} (limits.depth)`,
        'send it in parts, or expose() it'
      )
  }

  #encodeContainer(object: object, transfer: TransferMode, depth: number): unknown {
    this.#enterContainer(depth)
    switch (transfer.as) {
      case 'record':
        return this.#encodeRecord(object as Record<string, unknown>, depth)
      case 'array':
        return this.#encodeArray(object as unknown[], depth)
      case 'map': {
        this.#payload.requireNoExtraKeys(object)
        const entries = [...(object as Map<unknown, unknown>)]
        this.#encodeItems(entries, depth)
        this.#payload.addValues(entries.length / KEYS_PER_VALUE)
        return this.#payload.tag('m', entries)
      }
      case 'set': {
        this.#payload.requireNoExtraKeys(object)
        const members = [...(object as Set<unknown>)]
        this.#encodeItems(members, depth)
        this.#payload.addValues(members.length / KEYS_PER_VALUE)
        return this.#payload.tag('s', members)
      }
      case 'error':
        return this.#encodeError(object as Error, depth)
      case 'registered':
        return this.#encodeRegistered(object, transfer.type, depth)
      /* c8 ignore next 2: #encodeObject handles all other modes. */
      default:
        throw new Error(transfer.as)
    }
  }

  #encodeError(error: Error, depth: number): unknown {
    const encoded = encodeError(error, this, depth)
    this.#payload.addValues(errorPartCount(encoded.fields))
    return this.#payload.tag('e', encoded)
  }

  /** A record that is plain is returned as it is, any other as a copy. All members are read in one step. */
  #encodeRecord(record: Record<string, unknown>, depth: number): unknown {
    const read = this.#plainData.takeRead(record)
    if (isIterableRecord(record)) return this.#encodeStream(record, 'i', depth)
    if (isThenableRecord(record)) return this.#encodeStream(record, 'p', depth)
    const names = Object.keys(record)
    const isRead = read?.members.length === names.length
    const members = isRead ? read.members : names.map(name => record[name])
    let copy = hasToJson(record) || Array.isArray(record) ? copyMembers(names, members) : undefined
    try {
      for (let i = isRead ? read.plainMembers : 0; i < names.length; i++) {
        if (isJsonPrimitive(members[i])) continue
        const encoded = this.encodeChild(names[i]!, members[i], depth + 1, record)
        if (encoded === members[i]) continue
        copy ??= copyMembers(names, members)
        setMember(copy, names[i]!, encoded)
      }
    } catch (error) {
      this.#failAfterRead(members, error)
    }
    return copy ?? record
  }

  /** An array that is plain is returned as it is, any other as a copy. Functions in it are members of `owners`. */
  #encodeArray(array: unknown[], depth: number, owners?: readonly object[]): unknown {
    if (array.length > this.references.encodeLimits.jsonBytes)
      throw this.#payload.unsendable('an array too long to send', 'send it in parts')
    const read = this.#plainData.takeRead(array)
    const copy = read?.members ?? [...array]
    const extra = firstNamedKey(array)
    if (extra !== undefined)
      throw this.#payload.unsendable(
        `an array with the named key "${extra}"`,
        'send an object, or remove the key'
      )
    // The second pass makes no tables: it encodes shared containers once.
    const names = read || this.seen ? read?.columns : this.#plainData.columnsOf(copy)
    const table = names && this.#encodeTable(copy as DataRecord[], names, depth)
    if (table) return table
    const isChanged = this.#encodeItems(copy, depth, read?.plainMembers, owners)
    return isChanged || hasToJson(array) || !Array.isArray(array) ? copy : array
  }

  /** The records as a table, if accessors do not change them meanwhile. */
  #encodeTable(records: DataRecord[], names: readonly string[], depth: number): unknown[] | undefined {
    const columns = depth === 0 && this.isList ? undefined : readColumns(records, names)
    if (!columns) return undefined
    try {
      this.#enterContainer(depth + 1)
      return this.#payload.addTable(names, columns, column =>
        this.#plainData.isPlain(column, depth + 1) ? column : this.#encodeArray(column, depth + 1, records)
      )
    } catch (error) {
      this.#failAfterRead(columns, error)
    }
  }

  /** Encodes the items of a container in place, from the first that may not be plain. @returns whether one is not */
  #encodeItems(items: unknown[], depth: number, from = 0, owners?: readonly object[]): boolean {
    let changed = false
    try {
      for (let i = from; i < items.length; i++) {
        const item = items[i]
        if (isJsonPrimitive(item)) continue
        const encoded = this.encodeChild(i, item, depth + 1, owners?.[i])
        if (encoded === item) continue
        items[i] = encoded
        changed = true
      }
    } catch (error) {
      this.#failAfterRead(items, error)
    }
    return changed
  }

  /** The result of the user's `encode` is at key 0 of a list, so that it is decoded before the instance. */
  #encodeRegistered(object: object, type: string, depth: number): unknown {
    const encoded = encodeInstance(object)
    try {
      return this.#payload.tag(['custom', type], [this.encodeChild(0, encoded, depth + 1)])
    } catch (error) {
      this.#failAfterRead(encoded, error)
    }
  }
}

const { hasOwn } = Object
const isEnumerable = Object.prototype.propertyIsEnumerable
const { iterator, asyncIterator } = Symbol

const isIterableRecord = (record: object): boolean =>
  (hasOwn(record, iterator) || hasOwn(record, asyncIterator)) && isIterable({ ...record })

const isThenableRecord = (record: Record<string, unknown>): boolean =>
  hasOwn(record, 'then') && isEnumerable.call(record, 'then') && typeof record.then === 'function'

function copyMembers(names: readonly string[], members: readonly unknown[]): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (let i = 0; i < names.length; i++) setMember(copy, names[i]!, members[i])
  return copy
}

/** Sets a member of a copy: `__proto__` is one like any other. */
function setMember(copy: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') copy[name] = value
  else Object.defineProperty(copy, name, { value, enumerable: true, configurable: true, writable: true })
}

function referenceLabel(object: object): string {
  if (isNetref(object)) return hasArrived(object) ? 'a netref' : 'a remote value that is not awaited'
  if (typeof object === 'function') return 'a function'
  const name = className(object)
  return name === '' ? 'an object passed by reference' : `an instance of ${name}`
}
