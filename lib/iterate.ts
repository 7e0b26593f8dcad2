// What `for await` does with what stands for something remote.
import type { CallOptions } from './call-options.js'
import { type Ref, stateOf } from './netref.js'
import { Op } from './protocol.js'

type Step = IteratorResult<unknown>
type Steps = AsyncIterator<unknown> | Iterator<unknown>

/** Walks a remote collection, or an object whose iterator is exposed: its home hands over an iterator. */
export function iterateNetref(ref: Ref, options?: CallOptions): AsyncIterableIterator<unknown> {
  return new Walk(() => ref.request(Op.iterate, [], undefined, options).settled(), options)
}

/** Walks what a result or a member turns out to be: a remote iterator, a stream, a netref, or a copied collection. */
export function iterateLater(
  read: () => Promise<unknown>,
  options?: CallOptions
): AsyncIterableIterator<unknown> {
  return new Walk(read, options)
}

class Walk implements AsyncIterableIterator<unknown> {
  #steps: Steps | undefined
  #begun: Promise<Steps> | undefined

  constructor(
    private readonly read: () => Promise<unknown>,
    private readonly options: CallOptions | undefined
  ) {}

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<Step> {
    if (this.#steps) return this.#steps.next() as Promise<Step>
    return this.#begin().then(steps => steps.next())
  }

  async return(value?: unknown): Promise<Step> {
    const steps = await this.#begin()
    return (await steps.return?.(value)) ?? { done: true, value }
  }

  #begin(): Promise<Steps> {
    this.#begun ??= this.read().then(found => {
      const steps = stepsOf(found, this.options)
      // What is walked here is a copy: each step of it is there at once.
      if (Symbol.asyncIterator in steps) this.#steps = steps
      return steps
    })
    return this.#begun
  }
}

function stepsOf(found: unknown, options: CallOptions | undefined): Steps {
  const ref = stateOf(found)?.ref
  if (ref) return iterateNetref(ref, options)
  if (typeof found === 'object' && found !== null) {
    if (Symbol.asyncIterator in found) return (found as AsyncIterable<unknown>)[Symbol.asyncIterator]()
    if (Symbol.iterator in found) return (found as Iterable<unknown>)[Symbol.iterator]()
  }
  throw new TypeError('for await: what came is nothing to iterate over')
}
