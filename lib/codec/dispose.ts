// Disposes of values that are not sent. Arguments are caller-owned: only rejections of their promises are handled. Results
// have no other owner: their streams are cancelled, and their iterators closed.

import type { ReportError } from '../util/emitter.js'
import { isNetref } from '../util/library-copies.js'
import { ignoreRejection, isThenable } from '../util/promises.js'
import { classify, isIterable } from './classify.js'
import { isExposed } from './grants.js'
import { type ItemSource, sourceProviderOf } from './iterable-source.js'
import { encodeInstance } from './registry.js'
import { discardStream, NodeStreamEnd, streamEnds } from './stream-kinds.js'
import type { Payload, ReferenceEncoder, StreamTag } from './types.js'

/** Rolls back the references of a payload that is not sent, and disposes of their objects and of `rest`. */
export function rollbackPayload(
  { references, callerOwned }: Pick<Payload, 'references' | 'callerOwned'>,
  encoder: ReferenceEncoder,
  rest?: unknown
): void {
  const unsent = [references.map(one => encoder.rollback(one)), rest]
  if (callerOwned) ignoreRejections(unsent)
  else encoder.dispose(unsent)
}

/** The side that discards a value. */
export interface DisposingSide {
  /** Whether the peer holds or owns the object. */
  mustStayOpen(object: object): boolean
  readonly report: ReportError
}

/** Handles the rejections of all promises in a caller-owned value. Runs no accessors, and does not throw. */
export function ignoreRejections(value: unknown): void {
  walk(value)
}

/** Disposes of a value that is not caller-owned. Runs no accessors, and does not throw. */
export function dispose(value: unknown, side: DisposingSide): void {
  walk(value, side)
}

/** Closes an iterator, and disposes of the result of its `return`. */
export function stopIterator(
  source: ItemSource | undefined,
  reason: unknown,
  side: DisposingSide,
  failed: ReportError = side.report
): void {
  try {
    const stopped = source?.return?.(reason)
    if (isThenable(stopped)) stopped.then(step => dispose(step, side), failed)
    else dispose(stopped, side)
  } catch (error) {
    failed(error)
  }
}

/** Visits all that would have been sent. Without `side` the value is caller-owned. */
function walk(value: unknown, side?: DisposingSide): void {
  if (typeof value !== 'object' || value === null) return
  // The loop also visits what is added to the set meanwhile.
  const seen = new Set<object>([value])
  const add = (item: unknown) => {
    if (typeof item === 'object' && item !== null) seen.add(item)
  }
  for (const object of seen) {
    try {
      visit(object, add, side)
    } catch {
      // A user's Proxy or `encode` may throw.
    }
  }
}

function visit(object: object, add: (item: unknown) => void, side: DisposingSide | undefined): void {
  if (object instanceof NodeStreamEnd) return side && discardStream(object)
  if (isNetref(object) || isExposed(object)) return
  const transfer = classify(object)
  switch (transfer.as) {
    case 'record':
      return visitRecord(object, add, side)
    case 'array':
      return Object.values(object).forEach(add)
    case 'set':
      return (object as Set<unknown>).forEach(add)
    case 'map':
      return (object as Map<unknown, unknown>).forEach((item, key) => {
        add(key)
        add(item)
      })
    case 'error':
      // Errors carry data only: netref does not own the streams in their fields.
      return ignoreRejections(Object.values(ownData(object, true)))
    case 'registered':
      return add(encodeInstance(object))
    case 'stream-pair':
      return side && Object.values(streamEnds(object)).forEach(discardStream)
    case 'stream':
      return disposeStream(object, transfer.kind, side)
  }
}

function visitRecord(record: object, add: (item: unknown) => void, side: DisposingSide | undefined): void {
  const data = ownData(record)
  if (isIterable(data)) disposeStream(record, 'i', side)
  else if (!isThenable(data)) Object.values(data).forEach(add)
}

/** The own data properties: the enumerable ones, or all with `hidden`. */
function ownData(object: object, hidden = false): Record<PropertyKey, unknown> {
  const data = Object.create(null)
  for (const key of Reflect.ownKeys(object)) {
    const { enumerable, value } = Object.getOwnPropertyDescriptor(object, key)!
    if (enumerable || hidden) data[key] = value
  }
  return data
}

function disposeStream(object: object, tag: StreamTag, side: DisposingSide | undefined): void {
  const staysOpen = !side || side.mustStayOpen(object)
  if (tag === 'p') ignoreRejection(object, staysOpen ? undefined : value => dispose(value, side))
  if (staysOpen) return
  if (tag === 'i') stopIterator(sourceProviderOf(object).source, undefined, side)
  else if (tag === 'r' || tag === 'w') discardStream(object)
}
