// The iterators that clients of Pyro read: each item is a call that names the iterator by an id.

import { randomUUID } from 'node:crypto'
import { PythonRaise } from './python-exception.js'

/** A connection whose client has iterators. They end with its session. */
export interface StreamOwner {
  /** The ids of its iterators. */
  readonly ids: Set<string>
  hasEnded: boolean
}

interface ItemStream {
  readonly iterator: AsyncIterator<unknown>
  readonly owner: StreamOwner
}

/** The iterators of all connections of a gateway: a client may close one by another connection. Nobody else knows its id. */
export class ItemStreams {
  readonly #streams = new Map<string, ItemStream>()

  /** @returns the id; nobody learns it if the connection has ended meanwhile */
  open(iterator: AsyncIterator<unknown>, owner: StreamOwner): string {
    const id = randomUUID()
    if (owner.hasEnded) return id
    this.#streams.set(id, { iterator, owner })
    owner.ids.add(id)
    return id
  }

  /** The next item. Rejects with StopIteration at the end. An error of the iterator is its end, too. */
  async next(id: string): Promise<unknown> {
    const stream = this.#streams.get(id)
    if (!stream) throw new PythonRaise('errors', 'PyroError', ['item stream terminated'])
    let isOver = true
    try {
      const { done, value } = await stream.iterator.next()
      if (done) throw new PythonRaise('builtins', 'StopIteration')
      isOver = false
      return value
    } finally {
      if (isOver) this.#forget(id, stream)
    }
  }

  /** Ends an iterator. One that is not known has ended. */
  close(id: string): void {
    const stream = this.#streams.get(id)
    if (!stream) return
    this.#forget(id, stream)
    stream.iterator.return?.().catch(() => {})
  }

  /** The connection has ended, and its iterators with it. */
  endAll(owner: StreamOwner): void {
    owner.hasEnded = true
    for (const id of owner.ids) this.#streams.delete(id)
  }

  #forget(id: string, { owner }: ItemStream): void {
    this.#streams.delete(id)
    owner.ids.delete(id)
  }
}
