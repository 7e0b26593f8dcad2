// One walk over a value: it copies what plain JSON can carry, and puts the rest beside, as groups, bytes and references.

import { hasArrived, isNetref } from '../util/copies.js'
import { isIterable, isPlainPrimitive, KEYS_IN_ONE, nameIn, type Travel, travelOf } from './classify.js'
import { isLent, silenceAll, unsend } from './dispose.js'
import { boxError, partsOfError } from './error-codec.js'
import { isExposed } from './grants.js'
import { lentBehind } from './lend.js'
import { Marks } from './payload-builder.js'
import { encodeObject, encodePrimitive, encodeType } from './registry.js'
import { endsOf, isLocked } from './stream-kinds.js'
import { columnsOf, type DataRecord, namesOf, savedBy, TableCount } from './table-codec.js'
import type { DataWalk, FlowKind, Given, Giver, Payload, Place } from './types.js'

/** Thrown where a walk seems to have no end: it is done again, by one that knows what it has met. */
const ENDLESS = Symbol('endless')
/** Containers after which a walk seems to have no end. What is shared at every level is finite, but not in practice. */
const LONG_WALK = 100_000

const isStream = ([kind]: Given): boolean => kind === 'r' || kind === 'w'

/** One walk over one value. */
export class Boxing extends Marks implements DataWalk {
  #containers = 0
  /** Streams that were given in this walk. */
  #streams: Set<object> | undefined
  #tableCount: TableCount | undefined
  /** Set while fields of an error are boxed: references stay home there. */
  #dataOnly = false
  /** Of a walk that fails, what it was reading, in lists: what an accessor made is nowhere else. */
  #read: unknown

  constructor(
    name: string,
    readonly giver: Giver,
    /** A list of arguments crosses as a list, whatever stands in it. */
    private readonly isArguments = false,
    /** Where each container was met first; kept on the second walk only. */
    private readonly met?: Map<object, Place>
  ) {
    super(name)
  }

  whole(value: unknown, self?: object): Payload {
    try {
      return this.payload(this.box(value, 0, self), this.giver.boxing.values)
    } catch (error) {
      if (error === ENDLESS) return this.#again(value, self)
      this.#takeBack(this.given, value)
      throw error
    }
  }

  /** By a walk that meets each container once. */
  #again(value: unknown, self?: object): Payload {
    // A stream is locked while it is given.
    for (const given of this.given) if (isStream(given)) this.giver.takeBack(given)
    try {
      return new Boxing(this.name, this.giver, this.isArguments, new Map()).whole(value, self)
    } finally {
      // Not before the second walk, so that what is given in both was never taken back altogether.
      this.#takeBack(this.given.filter(given => !isStream(given)))
    }
  }

  /** What was given, or is known to this walk alone, is not sent after all; nor is `value`. */
  #takeBack(given: readonly Given[], value?: unknown): void {
    unsend({ given, lent: isLent(this.name) }, this.giver, [this.#read, value])
  }

  /** The walk fails. @throws the error */
  #fail(read: unknown, error: unknown): never {
    this.#read = [this.#read, read]
    throw error
  }

  box(value: unknown, depth: number, self?: object): unknown {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value
      case 'number':
        return isPlainPrimitive(value) ? value : this.#leaf(value)
      case 'object':
        return value === null ? null : this.#object(value, depth)
      case 'function':
        return this.#reference(value, self)
      case 'symbol':
        throw this.refusal(String(value), 'a symbol has no meaning outside this process: send a string')
      default:
        return this.#leaf(value as undefined | bigint)
    }
  }

  /** Boxes what stands at `key` of the present place. */
  inside(key: string | number, value: unknown, depth: number, self?: object): unknown {
    this.place.push(key)
    const isObject = typeof value === 'object' && value !== null
    const boxed = isObject ? this.#object(value, depth) : this.box(value, depth, self)
    this.place.pop()
    return boxed
  }

  /** Boxes what `read` finds at `place` below the present one if it is data through and through; else leaves no trace. */
  data(place: Place, read: () => unknown, depth: number): { boxed: unknown } | undefined {
    const point = this.point()
    const met = this.met?.size
    const outer = this.#dataOnly
    this.#dataOnly = true
    this.place.push(...place)
    const known = this.#read
    let data: { boxed: unknown } | undefined
    let value: unknown
    try {
      value = read()
      data = { boxed: this.box(value, depth) }
    } catch (error) {
      if (error === ENDLESS) throw error
      silenceAll([value, this.#read])
      this.#read = known
      this.forget(point)
      if (this.met) for (const object of [...this.met.keys()].slice(met)) this.met.delete(object)
    }
    this.place.length = point.place
    this.#dataOnly = outer
    return data
  }

  #leaf(value: undefined | bigint | number): unknown {
    const [kind, json] = encodePrimitive(value)
    return this.mark(kind, json)
  }

  #reference(object: object, self?: object): unknown {
    if (this.#dataOnly) throw this.refusal('a reference', 'errors carry data only')
    const lent = lentBehind(object)
    if (lent && !(this.isArguments && this.name === 'args'))
      throw this.refusal('lent', 'that ends with a call, of which only arguments are lent')
    if (isNetref(object) && !hasArrived(object))
      throw this.refusal('remote and not here yet', 'await it first')
    if (this.giver.isReleased(object))
      throw this.refusal('a released netref', 'send it before it is released')
    const given = this.giver.give(lent ?? object, self, lent !== undefined)
    this.given.push(given)
    return this.mark(given[0], given[1])
  }

  #object(object: object, depth: number): unknown {
    // What most objects are is known at a glance.
    const prototype: unknown = Object.getPrototypeOf(object)
    const isRecord = prototype === Object.prototype
    if (!this.met && (isRecord || prototype === Array.prototype) && !isExposed(object)) {
      this.#descend(depth)
      return isRecord
        ? this.#record(object as Record<string, unknown>, depth)
        : this.#array(object as unknown[], depth)
    }
    if (isNetref(object) || isExposed(object)) return this.#reference(object)
    const travel = travelOf(object)
    switch (travel.as) {
      case 'leaf':
        this.plainOnly(object)
        return this.mark(travel.type, encodeObject(travel.type, object))
      case 'bytes':
        return this.range(object as ArrayBuffer | ArrayBufferView, travel.type)
      case 'refused':
        throw this.refusal(travel.what, travel.cure)
      case 'flow':
        return this.#flow(object, travel.kind, depth)
      case 'pair':
        return this.#pair(object, depth)
      case 'reference':
        return this.#reference(object)
    }
    return this.met ? this.#onceOnly(object, travel, depth, this.met) : this.#container(object, travel, depth)
  }

  #flow(object: object, kind: FlowKind, depth: number): unknown {
    if (this.#dataOnly) throw this.refusal('a reference', 'errors carry data only')
    this.#unlocked(object)
    const given = this.giver.giveFlow(object, kind, isLent(this.name))
    this.given.push(given)
    if (isStream(given)) this.#streams = (this.#streams ?? new Set()).add(object)
    const [made, data] = given
    if (made === 'a' && (object as AbortSignal).aborted) {
      const { reason } = object as AbortSignal
      const sent = this.data([3], () => reason, depth + 1)
      return this.mark('a', [...(data as unknown[]), 1, ...(sent ? [sent.boxed] : [])])
    }
    return this.mark(made, data)
  }

  /** A stream that is met twice may be in a cycle: the second walk, which meets each container once, knows. */
  #unlocked(stream: object): void {
    if (!isLocked(stream)) return
    if (!this.met && this.#streams?.has(stream)) throw ENDLESS
    throw this.refusal('a stream that is locked', 'send it once, before it is read or written')
  }

  #pair(object: object, depth: number): unknown {
    this.#unlocked(object)
    const { readable, writable } = endsOf(object)
    this.#streams = (this.#streams ?? new Set()).add(object)
    const flow = (key: number, end: object, kind: FlowKind) => {
      this.place.push(key)
      const boxed = this.#flow(end, kind, depth + 1)
      this.place.pop()
      return boxed
    }
    return this.mark('d', [flow(0, readable, 'r'), flow(1, writable, 'w')])
  }

  /** A container on the second walk, which sends each once. An instance of a registered type is there when decoded only. */
  #onceOnly(object: object, travel: Travel, depth: number, met: Map<object, Place>): unknown {
    const first = met.get(object)
    const registered = travel.as === 'registered'
    if (first && registered) throw this.refusal('part of itself', 'a registered type cannot hold itself')
    if (first) return this.mark('c', first)
    met.set(object, this.place.slice())
    const boxed = this.#container(object, travel, depth)
    if (registered) met.delete(object)
    return boxed
  }

  /** @throws ENDLESS, or UnsendableError, where this is too deep */
  #descend(depth: number): void {
    const limit = this.giver.boxing.depth
    if (!this.met && (depth >= limit || ++this.#containers > LONG_WALK)) throw ENDLESS
    if (depth >= limit)
      throw this.refusal(`nested deeper than ${limit} (limits.depth)`, 'send it in parts, or expose() it')
  }

  #container(object: object, travel: Travel, depth: number): unknown {
    this.#descend(depth)
    switch (travel.as) {
      case 'record':
        return this.#record(object as Record<string, unknown>, depth)
      case 'array':
        return this.#array(object as unknown[], depth)
      case 'map': {
        this.plainOnly(object)
        const entries = [...(object as Map<unknown, unknown>)].map((entry, i) =>
          this.inside(i, entry, depth + 1)
        )
        this.values += entries.length / KEYS_IN_ONE
        return this.mark('m', entries)
      }
      case 'set': {
        this.plainOnly(object)
        const members = [...(object as Set<unknown>)].map((member, i) => this.inside(i, member, depth + 1))
        this.values += members.length / KEYS_IN_ONE
        return this.mark('s', members)
      }
      case 'error':
        return this.#error(object as Error, depth)
      case 'registered':
        return this.#registered(object, travel.type, depth)
      /* c8 ignore next 2: every other way of travelling was taken before. */
      default:
        throw new Error(travel.as)
    }
  }

  #error(error: Error, depth: number): unknown {
    const boxed = boxError(error, this, depth)
    this.values += partsOfError(boxed.fields)
    return this.mark('e', boxed)
  }

  /** A copy made in one step, so that accessors and proxies are read once; then boxed in place. */
  #record(object: Record<string, unknown>, depth: number): unknown {
    const copy = { ...object }
    if (isIterable(copy)) return this.#flow(object, 'i', depth)
    if (typeof copy.then === 'function') return this.#flow(object, 'p', depth)
    try {
      for (const key in copy) {
        const item = copy[key]
        // What Object.prototype may have is not sent.
        if (isPlainPrimitive(item) || !Object.hasOwn(copy, key)) continue
        copy[key] = this.inside(key, item, depth + 1, object)
      }
    } catch (error) {
      this.#fail(copy, error)
    }
    return copy
  }

  #array(array: unknown[], depth: number): unknown {
    if (array.length > this.giver.boxing.jsonBytes)
      throw this.refusal('an array too long to send', 'send it in parts')
    const copy = [...array]
    const extra = nameIn(array)
    if (extra !== undefined)
      throw this.refusal(`an array with the named key "${extra}"`, 'send an object, or the array without it')
    return this.#items(copy, depth)
  }

  /** Boxes a list of our own in place. `owners` are the objects that functions in it are members of. */
  #items(items: unknown[], depth: number, owners?: readonly object[]): unknown {
    const table = this.#table(items, depth)
    if (table) return table
    for (let i = 0; i < items.length; i++) {
      if (!isPlainPrimitive(items[i])) items[i] = this.inside(i, items[i], depth + 1, owners?.[i])
    }
    return items
  }

  /** The list as a table, where that may be and pays. The second walk makes none, as it sends what is shared once. */
  #table(items: unknown[], depth: number): unknown[] | undefined {
    const names = this.met || (depth === 0 && this.isArguments) ? undefined : namesOf(items)
    if (!names || savedBy(items.length, names) < this.sizeOfMark) return undefined
    if (!(this.#tableCount ??= new TableCount()).allows(items.length, names.length)) return undefined
    this.#descend(depth + 1)
    const records = items as DataRecord[]
    const columns = columnsOf(records, names)
    try {
      return columns && this.table(names, columns, column => this.#items(column, depth + 1, records))
    } catch (error) {
      this.#fail(columns, error)
    }
  }

  /** What `encode` returns stands one deeper, under the key 0, so that it is boxed before its instance. */
  #registered(object: object, type: string, depth: number): unknown {
    const encoded = encodeType(object)
    try {
      return this.mark(['custom', type], [this.inside(0, encoded, depth + 1)])
    } catch (error) {
      this.#fail(encoded, error)
    }
  }
}
