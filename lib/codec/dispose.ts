// Disposes of values that are discarded unsent. Arguments are lent: the caller still owns them, so only rejections of
// their promises are handled. Results have no other owner: their streams are cancelled and their iterators returned.

import { isNetref } from '../util/copies.js'
import type { Report } from '../util/emitter.js'
import { isThenable, silence } from '../util/promises.js'
import { isIterable, travelOf } from './classify.js'
import { isExposed } from './grants.js'
import { originOf, type Source } from './iterable-source.js'
import { encodeType } from './registry.js'
import { discard, endsOf, NodeEnd } from './stream-kinds.js'
import type { FlowKind, Giver, Payload } from './types.js'

/** The names of lent values in error texts. */
const LENT: ReadonlySet<string> = new Set(['args', 'chunks', 'reason', 'value'])

/** Whether a value with this name in error texts is lent. */
export const isLent = (name: string): boolean => LENT.has(name)

/** Takes back references that are not sent, and disposes of them and of `rest`. */
export function unsend({ given, lent }: Pick<Payload, 'given' | 'lent'>, giver: Giver, rest?: unknown): void {
  const unsent = [given.map(one => giver.takeBack(one)), rest]
  if (lent) silenceAll(unsent)
  else giver.letGo(unsent)
}

/** The side that discards a value. */
export interface Home {
  /** Whether the peer holds or owns the object: then it must stay open. */
  keeps(object: object): boolean
  readonly report: Report
}

/** Handles the rejections of all promises in a lent value. Runs no accessor; does not throw. */
export function silenceAll(value: unknown): void {
  walk(value)
}

/** Disposes of a value that is not lent. Runs no accessor; does not throw. */
export function letGo(value: unknown, home: Home): void {
  walk(value, home)
}

/** Stops an iterator, and disposes of what its `return` gives. */
export function stop(
  source: Source | undefined,
  reason: unknown,
  home: Home,
  failed: Report = home.report
): void {
  try {
    const stopped = source?.return?.(reason)
    if (isThenable(stopped)) stopped.then(step => letGo(step, home), failed)
    else letGo(stopped, home)
  } catch (error) {
    failed(error)
  }
}

/** Visits all that would have been sent. Without a `home` the value is lent. */
function walk(value: unknown, home?: Home): void {
  if (typeof value !== 'object' || value === null) return
  // What is added to a set while it is gone through is gone through as well.
  const met = new Set<object>([value])
  const add = (item: unknown) => {
    if (typeof item === 'object' && item !== null) met.add(item)
  }
  for (const object of met) {
    try {
      visit(object, add, home)
    } catch {
      // A Proxy of a user's may throw whatever is asked of it, and so may an `encode`.
    }
  }
}

function visit(object: object, add: (item: unknown) => void, home: Home | undefined): void {
  if (object instanceof NodeEnd) return home && discard(object)
  if (isNetref(object) || isExposed(object)) return
  const travel = travelOf(object)
  switch (travel.as) {
    case 'record':
      return visitRecord(object, add, home)
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
      // An error carries data only: streams in its fields are not netref's to close.
      return silenceAll(Object.values(dataOf(object, true)))
    case 'registered':
      return add(encodeType(object))
    case 'pair':
      return home && Object.values(endsOf(object)).forEach(discard)
    case 'flow':
      return end(object, travel.kind, home)
  }
}

function visitRecord(record: object, add: (item: unknown) => void, home: Home | undefined): void {
  const data = dataOf(record)
  if (isIterable(data)) end(record, 'i', home)
  else if (!isThenable(data)) Object.values(data).forEach(add)
}

/** The own enumerable properties that are no accessors; with `hidden` the others, too. */
function dataOf(object: object, hidden = false): Record<PropertyKey, unknown> {
  const data = Object.create(null)
  for (const key of Reflect.ownKeys(object)) {
    const { enumerable, value } = Object.getOwnPropertyDescriptor(object, key)!
    if (enumerable || hidden) data[key] = value
  }
  return data
}

function end(object: object, kind: FlowKind, home: Home | undefined): void {
  const goesOn = !home || home.keeps(object)
  if (kind === 'p') silence(object, goesOn ? undefined : value => letGo(value, home))
  if (goesOn) return
  if (kind === 'i') stop(originOf(object).source, undefined, home)
  else if (kind === 'r' || kind === 'w') discard(object)
}
