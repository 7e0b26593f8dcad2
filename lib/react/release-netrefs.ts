// Releases the netrefs in a value that no component uses any more.
import { Netref } from '../index.js'
import { handlerOf, type Reference } from '../remote/proxy.js'
import { streamReferenceOf } from '../remote/streams/registry.js'

/** By netref that others received, too: number of values with it that were given up. */
const givenUp = new WeakMap<Reference, number>()

/**
 * Releases the netrefs in a value, except those in `kept`. An object that its owner sent several times is one netref. It is
 * released when each value that it came with is given up. User code that received it keeps it.
 */
export function releaseNetrefs(value: unknown, kept: readonly unknown[]): void {
  const keptReferences = new Set(kept.map(referenceOf))
  for (const object of objectsIn(value)) {
    const reference = referenceOf(object)
    if (!reference || reference.released || keptReferences.has(reference)) continue
    const count = (givenUp.get(reference) ?? 0) + 1
    if (count < reference.refCount) givenUp.set(reference, count)
    else Netref.release(object as never)
  }
}

const isObject = (value: unknown): value is object =>
  typeof value === 'function' || (typeof value === 'object' && value !== null)

const referenceOf = (value: unknown): Reference | undefined =>
  isObject(value) ? (streamReferenceOf(value) ?? handlerOf(value)?.reference) : undefined

/** The objects in a value, each once: those in copied lists, records, Maps and Sets. */
function objectsIn(value: unknown): Set<object> {
  // The loop also visits what is added to the set meanwhile.
  const objects = new Set<object>()
  const add = (item: unknown) => {
    if (isObject(item)) objects.add(item)
  }
  add(value)
  for (const object of objects) {
    if (referenceOf(object)) continue
    if (object instanceof Map) for (const entry of object) entry.forEach(add)
    else if (object instanceof Set || Array.isArray(object)) object.forEach(add)
    else if (Object.getPrototypeOf(object) === Object.prototype) Object.values(object).forEach(add)
  }
  return objects
}
