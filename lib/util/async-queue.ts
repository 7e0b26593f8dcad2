// What one writes and another reads, one by one: an iterator made of what is put into it.

interface Waiting {
  resolve(step: IteratorResult<unknown>): void
  reject(error: unknown): void
}

/** An iterator whose items are put in by hand. */
export class Feed implements AsyncIterableIterator<unknown> {
  #chunk:
    | {
        readonly value: unknown
        readonly taken: (wanted: boolean) => void
        readonly lost: (error: unknown) => void
      }
    | undefined
  #reader: Waiting | undefined
  #end: { readonly failed: boolean; readonly error?: unknown } | undefined
  /** Its reader has had enough. */
  #unwanted = false

  /** `discard` is called with each value that no reader takes. */
  constructor(private readonly discard: (value: unknown) => void) {}

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Resolves when it was taken, or with `false` when nothing more is. To be called again only then. */
  put(value: unknown): Promise<boolean> {
    if (this.#end?.failed || this.#unwanted) this.discard(value)
    if (this.#end?.failed) return Promise.reject(this.#end.error)
    if (this.#unwanted) return Promise.resolve(false)
    const reader = this.#reader
    this.#reader = undefined
    if (reader) {
      reader.resolve({ done: false, value })
      return Promise.resolve(true)
    }
    return new Promise((taken, lost) => {
      this.#chunk = { value, taken, lost }
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
      this.#dropChunk()?.lost(end.error)
    }
    const reader = this.#reader
    this.#reader = undefined
    if (!reader) return
    if (end.failed) reader.reject(end.error)
    else reader.resolve({ done: true, value: undefined })
  }

  /** What nobody takes any more. */
  #dropChunk() {
    const chunk = this.#chunk
    this.#chunk = undefined
    this.discard(chunk?.value)
    return chunk
  }

  next(): Promise<IteratorResult<unknown>> {
    const chunk = this.#chunk
    this.#chunk = undefined
    if (chunk) {
      chunk.taken(true)
      return Promise.resolve({ done: false, value: chunk.value })
    }
    if (this.#end?.failed) return Promise.reject(this.#end.error)
    if (this.#end) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject }
    })
  }

  /** The reader has had enough. */
  return(): Promise<IteratorResult<unknown>> {
    this.#unwanted = true
    this.#dropChunk()?.taken(false)
    this.close()
    return Promise.resolve({ done: true, value: undefined })
  }
}
