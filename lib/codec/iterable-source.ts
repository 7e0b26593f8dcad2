// Sources of items: a user's object, read by the rules of `for await`, or a stream.

import { describeValue } from '../util/describe.js'

/** An iterator whose results are not checked yet. */
export type ItemSource = {
  next(value?: unknown): unknown
  return?(value?: unknown): unknown
  throw?(error: unknown): unknown
}

/** Provides the source to read. */
export interface SourceProvider {
  /** The source, if it existed before reading. Only such a source is closed if it is never read. */
  readonly source: ItemSource | undefined
  /** Starts reading by the rules of `for await`. */
  open(): ItemSource
  /** Whether unsent items still belong to their owner. */
  readonly borrowsItems?: boolean
  /** Unlocks a stream that was not read. */
  readonly restore?: () => void
}

/** Iterators of netref whose items belong to the user until they are sent. */
export const borrowingIterators = new WeakSet<object>()

/** The source of an object's items, by the rules of `for await`. */
export function sourceProviderOf(object: object): SourceProvider {
  const iterable = object as Partial<AsyncIterable<unknown> & Iterable<unknown> & ItemSource>
  return {
    source: typeof iterable.next === 'function' ? (object as ItemSource) : undefined,
    borrowsItems: borrowingIterators.has(object),
    open() {
      if (typeof iterable[Symbol.asyncIterator] === 'function') return iterable[Symbol.asyncIterator]!()
      return iterable[Symbol.iterator]!()
    }
  }
}

/** The same iterator with `Symbol.asyncIterator`. */
export function asAsyncIterable(source: ItemSource): ItemSource & AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]() {
      return this as AsyncIterator<unknown>
    },
    next: value => source.next(value),
    return: value => source.return?.(value),
    throw: source.throw && (error => source.throw!(error))
  }
}

/** @returns the result as it is @throws TypeError if it is not an object */
export function requireIteratorResult(result: unknown): IteratorResult<unknown> {
  if (typeof result === 'object' && result !== null) return result as IteratorResult<unknown>
  throw new TypeError(`next() of an iterator must return an object, not ${describeValue(result)}`)
}
