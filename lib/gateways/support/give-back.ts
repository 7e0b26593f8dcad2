// Gives back the references in a value that a gateway does not pass on.

import { Netref } from '../../index.js'

/** Releases every netref and stream in an arrived value. Does not throw. */
export function giveBack(value: unknown): void {
  // The loop also visits what is added to the set meanwhile.
  const seen = new Set<unknown>([value])
  for (const item of seen) {
    try {
      if (Netref.is(item)) Netref.release(item)
      else if (typeof item === 'object' && item !== null) for (const part of partsOf(item)) seen.add(part)
    } catch {
      // An instance of a registered type may have anything in it.
    }
  }
}

/** The values in an arrived object. A stream is released, and has none. */
function partsOf(object: object): Iterable<unknown> {
  if (object instanceof Map) return [...object.keys(), ...object.values()]
  if (object instanceof Set) return object
  if (ArrayBuffer.isView(object)) return []
  if (object instanceof ReadableStream) object.cancel().catch(ignore)
  else if (object instanceof WritableStream) object.abort().catch(ignore)
  else if (isStream(object)) {
    if (object instanceof Promise) object.catch(ignore)
    Netref.release(object)
  } else return Object.values(object)
  return []
}

const isStream = (object: object): object is Parameters<typeof Netref.release>[0] & object =>
  object instanceof Promise || object instanceof AbortSignal || Symbol.asyncIterator in object

const ignore = () => {}
