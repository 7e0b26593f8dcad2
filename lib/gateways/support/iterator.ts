// Recognizes results that are read item by item.

import { Netref } from '../../index.js'

/** Whether a result is an iterator or a stream. A netref is none: its owner decides whether it can be iterated over. */
export const isIterator = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && !Netref.is(value) && Symbol.asyncIterator in value
