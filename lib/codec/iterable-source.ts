// What an outflow reads: something of a user's, by the rules of `for await`, or a stream.

import { Feed } from '../util/async-queue.js'
import { describe } from '../util/describe.js'

/** What is read here: of a user's, or over a stream. */
export type Source = {
  next(value?: unknown): unknown
  return?(value?: unknown): unknown
  throw?(error: unknown): unknown
}

/** What is to be read. */
export interface Origin {
  /** The source itself, where it was there before it is read: only that is told to stop unread. */
  readonly source: Source | undefined
  /** What is to be read by the rules of `for await`. */
  open(): Source
  /** Whether what is read stays whose it is where it is not sent. */
  readonly lends?: boolean
  /** Gives a stream back unread. */
  readonly restore?: () => void
}

/** An iterator over what was handed over, by the rules of `for await`. */
export function originOf(object: object): Origin {
  const iterable = object as Partial<AsyncIterable<unknown> & Iterable<unknown> & Source>
  return {
    source: typeof iterable.next === 'function' ? (object as Source) : undefined,
    lends: object instanceof Feed,
    open() {
      if (typeof iterable[Symbol.asyncIterator] === 'function') return iterable[Symbol.asyncIterator]!()
      return iterable[Symbol.iterator]!()
    }
  }
}

/** An iterator that says that it is one, with the steps of one that does not. */
export function steppedBy(steps: Source): Source & AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]() {
      return this as AsyncIterator<unknown>
    },
    next: value => steps.next(value),
    return: value => steps.return?.(value),
    throw: steps.throw && (error => steps.throw!(error))
  }
}

/** A step as it has to be. @throws TypeError for one that is no object */
export function checked(step: unknown): IteratorResult<unknown> {
  if (typeof step === 'object' && step !== null) return step as IteratorResult<unknown>
  throw new TypeError(`an iterator whose next() gives ${describe(step)}, which is no object`)
}
