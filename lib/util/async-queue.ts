// What one writes and another reads, one by one: an iterator made of what is put into it.

interface PendingRead {
  resolve(step: IteratorResult<unknown>): void
  reject(error: unknown): void
}

/** An iterator whose items are put in by hand. */
export class AsyncQueue implements AsyncIterableIterator<unknown> {
  #pendingWrite:
    | {
        readonly value: unknown
        readonly resolve: (wanted: boolean) => void
        readonly reject: (error: unknown) => void
      }
    | undefined
  #pendingRead: PendingRead | undefined
  #end: { readonly failed: boolean; readonly error?: unknown } | undefined
  /** Its reader has had enough. */
  #cancelled = false

  /** `discard` is called with each value that no reader takes. */
  constructor(private readonly discard: (value: unknown) => void) {}

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Resolves when it was taken, or with `false` when nothing more is. To be called again only then. */
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
    return new Promise((taken, lost) => {
      this.#pendingWrite = { value, resolve: taken, reject: lost }
    })
  }

  close(): void {
    this.#finish({ failed: false })
  }

  /** Readers and writers get the error. */
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

  /** What nobody takes any more. */
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

  /** The reader has had enough. */
  return(): Promise<IteratorResult<unknown>> {
    this.#cancelled = true
    this.#discardPendingWrite()?.resolve(false)
    this.close()
    return Promise.resolve({ done: true, value: undefined })
  }
}
