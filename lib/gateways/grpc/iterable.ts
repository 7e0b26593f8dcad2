// Recognizes what can be sent as a stream.

import { describeValue } from '../../util/describe.js'

/** @throws TypeError for a value that cannot be iterated over */
export function iterableOf(value: unknown, name: string): Iterable<unknown> | AsyncIterable<unknown> {
  const object = Object(value)
  if (typeof value === 'object' && (Symbol.asyncIterator in object || Symbol.iterator in object))
    return object
  throw new TypeError(
    `${name} is ${describeValue(value)}; a stream needs an iterator, a list or a ReadableStream`
  )
}
