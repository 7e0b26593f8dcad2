// What an outflow reads: something of a user's, by the rules of `for await`, or a stream.

import { AsyncQueue } from '../util/async-queue.js'
import { describe } from '../util/describe.js'

/** What is read here: of a user's, or over a stream. */
export type ItemSource = {
  next(value?: unknown): unknown
  return?(value?: unknown): unknown
  throw?(error: unknown): unknown
}

/** What is to be read. */
export interface SourceProvider {
  /** The source itself, where it was there before it is read: only that is told to stop unread. */
  readonly source: ItemSource | undefined
  /** What is to be read by the rules of `for await`. */
  open(): ItemSource
  /** Whether what is read stays whose it is where it is not sent. */
  readonly borrowsItems?: boolean
  /** Gives a stream back unread. */
  readonly restore?: () => void
}

/** An iterator over what was handed over, by the rules of `for await`. */
export function sourceProviderOf(object: object): SourceProvider {
  const iterable = object as Partial<AsyncIterable<unknown> & Iterable<unknown> & ItemSource>
  return {
    source: typeof iterable.next === 'function' ? (object as ItemSource) : undefined,
    borrowsItems: object instanceof AsyncQueue,
    open() {
      if (typeof iterable[Symbol.asyncIterator] === 'function') return iterable[Symbol.asyncIterator]!()
      return iterable[Symbol.iterator]!()
    }
  }
}

/** An iterator that says that it is one, with the steps of one that does not. */
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

/** A step as it has to be. @throws TypeError for one that is no object */
export function requireIteratorResult(result: unknown): IteratorResult<unknown> {
  if (typeof result === 'object' && result !== null) return result as IteratorResult<unknown>
  throw new TypeError(`an iterator whose next() gives ${describe(result)}, which is no object`)
}
