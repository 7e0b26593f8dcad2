// What is not sent after all. What was lent, as arguments are, stays its owner's: only the rejections of its promises are
// handled. What was handed over, as results are, nobody else will close: its streams are cancelled, its iterators returned.
import type { Giver, Payload } from './box.js'
import type { Report } from './events.js'
import { isExposed } from './expose.js'
import { isNetref } from './netref.js'
import { encodeType } from './registry.js'
import { originOf, type Source } from './source.js'
import { discard, endsOf, NodeEnd } from './streams.js'
import { type FlowKind, isIterable, isThenable, silence, travelOf } from './values.js'

/** What errors call what is lent. */
const LENT: ReadonlySet<string> = new Set(['args', 'chunks', 'reason', 'value'])

/** Whether what errors call so stays its owner's where it is not sent. */
export const isLent = (name: string): boolean => LENT.has(name)

/** References that were given are not sent after all, and neither is `rest`. */
export function unsend({ given, lent }: Pick<Payload, 'given' | 'lent'>, giver: Giver, rest?: unknown): void {
  const unsent = [given.map(one => giver.takeBack(one)), rest]
  if (lent) silenceAll(unsent)
  else giver.letGo(unsent)
}

/** The side that hands over. */
export interface Home {
  /** Whether the peer holds the object all the same, or it is the peer's own: then it goes on. */
  keeps(object: object): boolean
  readonly report: Report
}

/** Handles the rejections of all promises in a value that is lent and not sent. Runs no accessor; never throws. */
export function silenceAll(value: unknown): void {
  walk(value)
}

/** Lets go of a value that was to be handed over and is not sent. Runs no accessor; never throws. */
export function letGo(value: unknown, home: Home): void {
  walk(value, home)
}

/** Stops an iterator. What that comes to is let go of. */
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

/** One walk over all that would have crossed: without a `home` it is lent. */
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
      // What has a flow does not cross in an error: it stays whose it is.
      return silenceAll(Object.values(dataOf(object, true)))
    case 'registered':
      return add(encodeType(travel.type, object))
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
