// An iterator of this side that the other side reads: its items go in batches, as far ahead as there is credit.
import { boxArguments } from './box.js'
import type { FlowPort, HomeFlow } from './flows.js'
import { formatItems } from './protocol.js'
import { isThenable } from './values.js'

/** What is read here: of a user's, or over a stream. */
export type Source = {
  next(value?: unknown): unknown
  return?(value?: unknown): unknown
  throw?(error: unknown): unknown
}

/** Items of that much JSON go together, in a frame of their own. */
const BATCH = 15 << 10
/** How far a producer may be ahead of its reader, unless that says otherwise. */
const WINDOW_ITEMS = 1024
/** The same in bytes, at least and at most: between, it is what the line carries in two round trips. */
const WINDOW_BYTES = 64 << 10
const WINDOW_MOST = 1 << 20

/** An iterator over what was handed over: the thing itself, unless it makes iterators. */
export function openIterator(object: object): () => Source {
  return () => {
    const iterable = object as Partial<AsyncIterable<unknown> & Iterable<unknown>>
    if (typeof iterable[Symbol.asyncIterator] === 'function') return iterable[Symbol.asyncIterator]!()
    if (typeof iterable[Symbol.iterator] === 'function') return iterable[Symbol.iterator]!()
    return object as Source
  }
}

/** A place in what was sent, of which the reader will tell when it gets there. */
interface Mark {
  readonly items: number
  readonly bytes: number
  readonly at: number
}

export class Outflow implements HomeFlow {
  #source: Source | undefined
  /** Set when there is nothing more to come of it: then its `finally` has run. */
  #ended = false
  #busy = false
  #reading = false
  /** Items that are boxed and not sent, as JSON. */
  #run: string[] = []
  #runBytes = 0
  /** What was sent, and of that what was read, since reading began. */
  #sent = { items: 0, bytes: 0 }
  #read = { items: 0, bytes: 0 }
  readonly #marks: Mark[] = []
  #marked = { items: 0, bytes: 0 }
  #windowItems = WINDOW_ITEMS
  #windowBytes = WINDOW_BYTES
  #roundTrip = Number.POSITIVE_INFINITY
  #readAt = 0

  constructor(
    private readonly id: number,
    private readonly open: () => Source,
    private readonly port: FlowPort,
    /** Where it says that it has items to send at the end of the tick. */
    private readonly waiting: Set<Outflow>,
    private readonly tell: (ok: boolean, value: unknown) => void,
    private readonly restore?: () => void
  ) {}

  pull(read: number, window: number | undefined): void {
    if (window !== undefined) this.#begin(window)
    else this.#credit(read)
    this.#pump()
  }

  #begin(window: number): void {
    this.#reading = true
    this.#windowItems = window
    this.#windowBytes = WINDOW_BYTES
    for (const total of [this.#sent, this.#read, this.#marked]) total.items = total.bytes = 0
    this.#marks.length = 0
    this.#readAt = performance.now()
  }

  /** The reader has come to a mark. The window follows what the line carries, as long as that is read at once. */
  #credit(read: number): void {
    let mark = this.#marks[0]
    if (!mark || mark.items > read) return
    const now = performance.now()
    const before = this.#read.bytes
    for (let next = this.#marks[0]; next && next.items <= read; next = this.#marks[0]) {
      mark = next
      this.#marks.shift()
    }
    this.#read = { items: mark.items, bytes: mark.bytes }
    this.#roundTrip = Math.min(this.#roundTrip, now - mark.at)
    const rate = (mark.bytes - before) / Math.max(now - this.#readAt, 0.01)
    this.#windowBytes = Math.min(WINDOW_MOST, Math.max(WINDOW_BYTES, 1.25 * rate * this.#roundTrip))
    this.#readAt = now
  }

  get #room(): boolean {
    const items = this.#sent.items + this.#run.length - this.#read.items
    const bytes = this.#sent.bytes + this.#runBytes - this.#read.bytes
    return items === 0 || (items < this.#windowItems && bytes < this.#windowBytes)
  }

  /** Takes items as long as there is room. */
  #pump(): void {
    if (this.#busy || !this.#reading) return
    this.#busy = true
    try {
      while (!this.#ended && this.#room) {
        const step = this.#iterator.next()
        if (isThenable(step)) {
          step.then(this.#later, this.#failed)
          return
        }
        const { value } = step as IteratorResult<unknown>
        // As `for await` does over an iterator that is not asynchronous.
        if (isThenable(value)) {
          value.then(
            value => this.#later({ done: (step as IteratorResult<unknown>).done, value }),
            this.#failed
          )
          return
        }
        this.#take(step)
      }
    } catch (error) {
      this.#fail(error)
    }
    this.#busy = false
  }

  readonly #later = (step: unknown): void => {
    this.#busy = false
    try {
      this.#take(step)
    } catch (error) {
      this.#fail(error)
    }
    this.#pump()
  }

  readonly #failed = (error: unknown): void => {
    this.#busy = false
    this.#fail(error)
  }

  get #iterator(): Source {
    this.#source ??= this.open()
    return this.#source
  }

  #take(step: unknown): void {
    if (this.#ended) return
    if (typeof step !== 'object' || step === null)
      throw new TypeError(`an iterator whose next() gives ${String(step)}, which is no object`)
    const { done, value } = step as IteratorResult<unknown>
    if (done) this.#finish(true, value)
    else this.#item(value)
  }

  /** Plain items go together; one with references or bytes goes by itself. */
  #item(value: unknown): void {
    const { references } = this.port
    const { json, grouped, bytes, given } = boxArguments([value], references)
    const size = bytes.reduce((sum, range) => sum + range.byteLength, json.length)
    if (grouped) {
      this.#flush()
      try {
        this.#send(json, 1, size, bytes)
      } catch (error) {
        for (const one of given) references.takeBack(one)
        throw error
      }
      if (size > BATCH) this.port.channel.cut()
      return
    }
    this.#run.push(json.slice(1, -1))
    this.#runBytes += size
    if (this.#runBytes > BATCH) {
      this.#flush()
      this.port.channel.cut()
    } else if (this.#run.length === 1) {
      this.waiting.add(this)
      this.port.channel.atEndOfTick()
    }
  }

  #flush(): void {
    const message = this.takeItems()
    if (message !== undefined) this.port.channel.push(message, [])
  }

  /** A message with the items that wait, which do not wait any more. */
  takeItems(): string | undefined {
    if (this.#run.length === 0) return undefined
    const items = this.#run
    const size = this.#runBytes
    this.#run = []
    this.#runBytes = 0
    return formatItems(this.id, this.#count(items.length, size), `[${items.join(',')}]`)
  }

  #send(json: string, items: number, size: number, bytes: readonly Uint8Array[]): void {
    this.port.channel.push(formatItems(this.id, this.#count(items, size), json), bytes)
  }

  /** Counts what is sent. @returns whether the reader is to tell when it has come so far: at each half of the window */
  #count(items: number, bytes: number): boolean {
    this.#sent.items += items
    this.#sent.bytes += bytes
    const { items: sent, bytes: size } = this.#sent
    const due =
      2 * (sent - this.#marked.items) >= this.#windowItems || 2 * (size - this.#marked.bytes) >= WINDOW_BYTES
    if (!due) return false
    this.#marked = { items: sent, bytes: size }
    this.#marks.push({ items: sent, bytes: size, at: performance.now() })
    return true
  }

  /** What it failed with comes after the items before it; if it goes on, it is told to stop. */
  #fail(error: unknown): void {
    if (this.#ended) return
    this.#finish(false, error)
    this.#stop()
  }

  #finish(ok: boolean, value: unknown): void {
    this.#ended = true
    this.#flush()
    this.tell(ok, value)
  }

  #stop(reason?: unknown): void {
    // What a stream fails with, whoever made it knows.
    const failed = (error: unknown) => this.restore ?? this.port.report(error)
    try {
      const stopped = this.#iterator.return?.(reason)
      if (isThenable(stopped)) stopped.then(undefined, failed)
    } catch (error) {
      failed(error)
    }
  }

  drive(method: string, value: unknown): unknown {
    switch (method) {
      case 'next':
        return this.#ended ? DONE : this.#driven(this.#iterator.next(value))
      case 'throw':
        this.#reading = false
        if (this.#ended || !this.#iterator.throw) return this.#return(undefined, value)
        return this.#driven(this.#iterator.throw(value))
      case 'return':
        return this.#return(value)
      default:
        return undefined
    }
  }

  /** What the holder asked for by hand is its answer. */
  #driven(step: unknown): unknown {
    if (isThenable(step)) return step.then(step => this.#driven(step))
    const { done = false, value } = step as IteratorResult<unknown>
    if (done) this.#ended = true
    return { done, value }
  }

  #return(value: unknown, error?: unknown): unknown {
    const ended = this.#ended
    this.#ended = true
    this.#run = []
    const done = ended ? DONE : this.#iterator.return?.(value)
    if (error !== undefined) throw error
    return done === undefined ? { done: true, value } : this.#driven(done)
  }

  end(): void {
    this.waiting.delete(this)
    if (this.#ended) return
    this.#ended = true
    this.#stop()
  }

  undo(): void {
    this.restore?.()
  }
}

const DONE = { done: true, value: undefined }
