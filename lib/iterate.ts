// What `for await` does with what stands for something remote.
import type { CallOptions } from './call-options.js'
import { type Ref, type Requester, stateOf } from './netref.js'
import { Op } from './protocol.js'

type Step = IteratorResult<unknown>

/** Walks a remote collection, or an object whose iterator is exposed: its home hands over an iterator. */
export function iterateNetref(ref: Ref, options?: CallOptions): AsyncIterableIterator<unknown> {
  const read = () => ref.request(Op.iterate, [], undefined, options).settled()
  return new Walk(ref.session, read, options, ref.proxy)
}

/** Walks what a result or a member turns out to be: a remote iterator, a stream, a netref, or a copied collection. */
export function iterateLater(
  session: Requester,
  read: () => Promise<unknown>,
  options?: CallOptions
): AsyncIterableIterator<unknown> {
  return new Walk(session, read, options)
}

class Walk implements AsyncIterableIterator<unknown> {
  #steps: AsyncIterator<unknown> | undefined
  #begun: Promise<AsyncIterator<unknown>> | undefined

  constructor(
    private readonly session: Requester,
    private readonly read: () => Promise<unknown>,
    private readonly options: CallOptions | undefined,
    /** The netref that is walked, kept alive until that has begun. */
    protected origin?: object
  ) {}

  [Symbol.asyncIterator](): this {
    return this
  }

  next(value?: unknown): Promise<Step> {
    return this.#do(steps => steps.next(value))
  }

  return(value?: unknown): Promise<Step> {
    const over = { done: true, value }
    return this.session.unlessAway(
      this.#do(async steps => (await steps.return?.(value)) ?? over),
      over
    )
  }

  throw(reason?: unknown): Promise<Step> {
    return this.#do(async steps => {
      if (steps.throw) return steps.throw(reason)
      await steps.return?.()
      throw reason
    })
  }

  /** One step after the other, also of those that were asked for before it had begun. */
  #do(step: (steps: AsyncIterator<unknown>) => Promise<Step>): Promise<Step> {
    return this.#steps ? step(this.#steps) : this.#begin().then(step)
  }

  #begin(): Promise<AsyncIterator<unknown>> {
    this.#begun ??= this.read().then(found => {
      this.origin = undefined
      this.#steps = stepsOf(found, this.options)
      return this.#steps
    })
    return this.#begun
  }
}

function stepsOf(found: unknown, options: CallOptions | undefined): AsyncIterator<unknown> {
  const ref = stateOf(found)?.ref
  if (ref) return iterateNetref(ref, options)
  if (typeof found === 'object' && found !== null) {
    if (Symbol.asyncIterator in found) return (found as AsyncIterable<unknown>)[Symbol.asyncIterator]()
    if (Symbol.iterator in found) return stepsOfCopy(found as Iterable<unknown>)
  }
  throw new TypeError('for await: what came is nothing to iterate over')
}

/** As `for await` does it: a promise in a copied list is waited for. */
async function* stepsOfCopy(found: Iterable<unknown>): AsyncGenerator<unknown> {
  yield* found
}
