// A queue between one writer and one reader, as an async iterator. It holds one value.

interface PendingRead {
  resolve(step: IteratorResult<unknown>): void
  reject(error: unknown): void
}

/** An async iterator over the values that are put into it. */
export class AsyncQueue implements AsyncIterableIterator<unknown> {
  #pendingWrite:
    | {
        readonly value: unknown
        readonly resolve: (isTaken: boolean) => void
        readonly reject: (error: unknown) => void
      }
    | undefined
  #pendingRead: PendingRead | undefined
  #end: { readonly failed: boolean; readonly error?: unknown } | undefined
  /** Whether the reader has called `return`. */
  #cancelled = false

  /** @param discard called with each value that the reader does not take */
  constructor(private readonly discard: (value: unknown) => void) {}

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Resolves with `true` once the value is taken, or `false` if the reader has left. Must not be called again before. */
  put(value: unknown): Promise<boolean> {
    if (this.#end?.failed || this.#cancelled) this.discard(value)
    if (this.#end?.failed) return Promise.reject(this.#end.error)
    if (this.#cancelled) return Promise.resolve(false)
    const pendingRead = this.#pendingRead
    this.#pendingRead = undefined
    if (pendingRead) {
      pendingRead.resolve({ done: false, value })
      return Promise.resolve(true)
    }
    return new Promise((resolve, reject) => {
      this.#pendingWrite = { value, resolve, reject }
    })
  }

  close(): void {
    this.#finish({ failed: false })
  }

  /** Ends the queue with an error, which the reader and the writer get. */
  fail(error: unknown): void {
    this.#finish({ failed: true, error })
  }

  #finish(end: { failed: boolean; error?: unknown }): void {
    if (this.#end) return
    this.#end = end
    if (end.failed) {
      this.#discardPendingWrite()?.reject(end.error)
    }
    const pendingRead = this.#pendingRead
    this.#pendingRead = undefined
    if (!pendingRead) return
    if (end.failed) pendingRead.reject(end.error)
    else pendingRead.resolve({ done: true, value: undefined })
  }

  /** Discards the value that waits for the reader, if there is one. */
  #discardPendingWrite() {
    const write = this.#pendingWrite
    this.#pendingWrite = undefined
    this.discard(write?.value)
    return write
  }

  next(): Promise<IteratorResult<unknown>> {
    const write = this.#pendingWrite
    this.#pendingWrite = undefined
    if (write) {
      write.resolve(true)
      return Promise.resolve({ done: false, value: write.value })
    }
    if (this.#end?.failed) return Promise.reject(this.#end.error)
    if (this.#end) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => {
      this.#pendingRead = { resolve, reject }
    })
  }

  /** The reader takes no more values. */
  return(): Promise<IteratorResult<unknown>> {
    this.#cancelled = true
    this.#discardPendingWrite()?.resolve(false)
    this.close()
    return Promise.resolve({ done: true, value: undefined })
  }
}
