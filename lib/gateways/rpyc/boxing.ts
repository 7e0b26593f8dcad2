// Boxes values for Python. Plain values and tuples of them are copied, all else is referred to.

import { Netref, type Netref as NetrefOf } from '../../index.js'
import type { Limits } from '../../protocol/limits.js'
import type { Any } from '../../util/any.js'
import { className } from '../../util/describe.js'
import { isBrine } from './brine.js'
import type { ExportTable } from './export-table.js'
import { type Boxed, type IdPack, Label } from './protocol.js'
import {
  type FunctionOrigin,
  FunctionView,
  IteratorView,
  MappingView,
  MethodView,
  NetrefView,
  RootView,
  SetView,
  type View
} from './view.js'

/** A value that Python cannot have. */
export class UnboxableError extends TypeError {
  override name = 'UnboxableError'

  constructor(what: string) {
    super(`${what} has no form in RPyC`)
  }
}

const NONE: Boxed = [Label.value, null]
/** Maximum depth of copied tuples. Python reads them by recursion. */
const MAX_DEPTH = 200

/** What boxing needs of the connection. */
export interface BoxingSide {
  readonly limits: Pick<Limits, 'jsonBytes'>
  readonly exports: ExportTable
  /** The object that Python gets as the root of the connection. */
  readonly root: NetrefOf<object>
  /** The identity of an object of Python; undefined for any other value. */
  keyOf(value: unknown): IdPack | undefined
}

/** Boxes one value. */
export class Boxing {
  /** The references that were counted, to be taken back if the value is not sent. */
  readonly #sent: IdPack[] = []
  /** Number of items of arrays. */
  #items = 0

  constructor(private readonly side: BoxingSide) {}

  /**
   * @param origin where the value was read, if it is a function
   * @throws UnboxableError, LimitError
   */
  box(value: unknown, origin?: FunctionOrigin): Boxed {
    return this.#box(value, MAX_DEPTH, origin)
  }

  /** The value was not sent. */
  rollback(): void {
    for (const pack of this.#sent.splice(0)) this.side.exports.rollback(pack)
  }

  #box(value: unknown, depth: number, origin?: FunctionOrigin): Boxed {
    switch (typeof value) {
      case 'string':
      case 'number':
      case 'boolean':
      case 'bigint':
        return [Label.value, value]
      case 'symbol':
        return [Label.value, value]
      case 'function':
        return this.#boxObject(value, depth, origin)
      case 'object':
        return value === null ? NONE : this.#boxObject(value, depth, origin)
      default:
        return NONE
    }
  }

  #boxObject(object: object, depth: number, origin?: FunctionOrigin): Boxed {
    if (Array.isArray(object)) return this.#boxItems(object, depth)
    const pack = this.side.keyOf(object)
    if (pack) return [Label.local, pack]
    if (object === this.side.root) return this.#export(object, () => new RootView(this.side.root))
    if (Netref.is(object)) return this.#export(object, () => viewOfNetref(object, origin))
    const copy = copyOf(object)
    if (copy !== undefined) return [Label.value, copy]
    if (object instanceof Set) {
      const items = this.#boxItems([...object], depth)
      if (items[0] === Label.value) return [Label.value, new Set(items[1] as unknown[])]
    }
    return this.#export(object, () => viewOf(object))
  }

  /** A tuple: copied as a whole if all items are. */
  #boxItems(items: readonly unknown[], depth: number): Boxed {
    if (depth === 0) throw new UnboxableError(`an array of more than ${MAX_DEPTH} levels`)
    this.#items += items.length
    // An array of the session has fewer, unless one is in it many times, which makes each a tuple of its own.
    const { jsonBytes } = this.side.limits
    if (2 * this.#items > jsonBytes)
      throw new UnboxableError(`an array of more than ${this.#items} items (limits.jsonBytes)`)
    const boxed: Boxed[] = []
    let isPlain = true
    for (const item of items) {
      const one = this.#box(item, depth - 1)
      isPlain &&= one[0] === Label.value
      boxed.push(one)
    }
    return isPlain ? [Label.value, boxed.map(([, value]) => value)] : [Label.tuple, boxed]
  }

  #export(object: object, createView: () => View): Boxed {
    const pack = this.side.exports.add(object, createView)
    this.#sent.push(pack)
    return [Label.remote, pack]
  }
}

function viewOfNetref(netref: NetrefOf<unknown>, origin: FunctionOrigin | undefined): View {
  return typeof netref === 'function'
    ? new FunctionView(netref, origin)
    : new NetrefView(netref as NetrefOf<object>)
}

/** What is copied in place of an object of a class of JavaScript; undefined if none is. */
function copyOf(object: object): unknown {
  if (object instanceof Uint8Array) return object
  if (object instanceof Date) return Number.isNaN(object.getTime()) ? null : object.toISOString()
  if (object instanceof URL || object instanceof RegExp) return String(object)
  if (object instanceof ArrayBuffer) return new Uint8Array(object)
  if (object instanceof DataView) return new Uint8Array(object.buffer, object.byteOffset, object.byteLength)
  if (ArrayBuffer.isView(object)) return Array.from(object as unknown as ArrayLike<unknown>)
  return isBrine(object) ? object : undefined
}

function viewOf(object: object): View {
  if (object instanceof MethodView) return object
  if (object instanceof Map) return new MappingView(object, undefined)
  if (object instanceof Set) return new SetView(object)
  if (object instanceof Error) return new MappingView(object, fieldsOf(object))
  if (object instanceof Promise || object instanceof AbortSignal || object instanceof WritableStream)
    throw new UnboxableError(`a ${className(object)}`)
  const { [Symbol.asyncIterator]: iterateAsync, [Symbol.iterator]: iterate } = object as {
    [Symbol.asyncIterator]?: () => AsyncIterator<unknown>
    [Symbol.iterator]?: () => Iterator<unknown>
  }
  const makeIterator = iterateAsync ?? iterate
  if (typeof makeIterator === 'function')
    return new IteratorView(object, Reflect.apply(makeIterator, object, []))
  return new MappingView(object, object as Readonly<Record<string, unknown>>)
}

const fieldsOf = (error: Error): Record<string, unknown> => ({
  name: error.name,
  message: error.message,
  ...(error as Any)
})
