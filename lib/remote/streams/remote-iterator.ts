// An iterator of the other side that is read here: its items arrive ahead of their reader, and wait.

import { silenceAll } from '../../codec/dispose.js'
import { isPlainRecord } from '../../codec/grants.js'
import { aboutCall } from '../../codec/peer-errors.js'
import { LimitError, ReleasedError, sayMayHaveRun, writeDown } from '../../errors.js'
import { formatPull, Op } from '../../protocol/messages.js'
import { share } from '../../util/shared-listener.js'
import type { CallOptions } from '../call-options.js'
import type { Delivery } from '../delivery.js'
import type { Ref } from '../proxy.js'
import type { ArrivedFlow, FlowPort } from './types.js'

type Step = IteratorResult<unknown>

/** Items that came together, `next` of them read. */
interface Batch {
  readonly items: readonly unknown[]
  next: number
  readonly ask: boolean
  size: number
  /** What came with those that are not read. */
  readonly delivery: Delivery | undefined
}

/** How it ended: that waits as items do. */
interface End {
  readonly ok: boolean
  readonly value: unknown
  readonly size: number
  readonly delivery?: Delivery | undefined
}

interface Reader {
  resolve(step: Step): void
  reject(error: unknown): void
}

const WINDOW = 1024
const NOTHING: readonly Uint8Array[] = []

export class Inflow implements ArrivedFlow {
  readonly #weak: WeakRef<object>
  /** What the user has of it is held while somebody waits for an item. */
  protected held: object | undefined
  readonly #batches: Batch[] = []
  /** Items in these. */
  #unread = 0
  readonly #readers: Reader[] = []
  #end: End | undefined
  /** What came with the item that was read last. */
  #taken: Delivery | undefined
  /** How many items its home was told that it may be ahead; 0 where none were asked for. */
  #asked = 0
  /** How many the last reader lets it be ahead. */
  #wanted = WINDOW
  /** Whether its home waits to learn how many items were read. */
  #due = false
  #over = false
  /** Its home was told that it may let go of it. */
  #released = false
  /** What is on its way is not for anybody: the iterator goes on from elsewhere. */
  #deaf = false
  #count = 0
  #window = WINDOW
  #unlisten: (() => void) | undefined
  /** What may give up a step that is asked for at home. */
  #options: CallOptions | undefined
  /** How many items its home may have made since it was asked for the first. */
  #allowed = 0
  /** Where more were asked for last: the frame, the place there, and how many were allowed before. */
  #pulled = { frame: 0, place: 0, allowed: 0 }

  constructor(
    readonly ref: Ref,
    private readonly port: FlowPort,
    makeFacade: (inflow: Inflow) => object
  ) {
    this.#weak = new WeakRef(makeFacade(this))
  }

  get facade(): object {
    return this.#weak.deref()!
  }

  /** Whether its home may be past the item that is being read. */
  get ahead(): boolean {
    return this.#asked > 1
  }

  /** The options of the call it is the result of hold for it. */
  use({ window, signal }: CallOptions): void {
    if (window !== undefined) this.#window = window
    if (!signal) return
    this.#options = { signal }
    this.#unlisten?.()
    this.#unlisten = share(signal, 'abort', () => {
      if (this.#readers.length > 0)
        sayMayHaveRun(signal.reason, this.#mayMake(this.port.channel.left(this.#pulled.frame)))
      this.fail(signal.reason)
    })
  }

  mayRun(framesLeft: number): boolean {
    return this.#mayMake(this.#pulled.frame <= framesLeft)
  }

  /** Whether its home may be at an item that has not come: `left` says whether what was asked for last has left. */
  #mayMake(left: boolean): boolean {
    return (left ? this.#allowed : this.#pulled.allowed) > this.#count + this.#unread
  }

  /** The next item, which is asked for if need be: its home may have made so many that are not consumed. */
  read(window = this.#window): Promise<Step> {
    this.#wanted = window
    if (!this.#over && !this.#end && this.#readers.length === 0) this.#goOn()
    if (this.#batches.length > 0) return Promise.resolve(this.#take())
    if (this.#over || this.#end) return this.#atEnd()
    this.held = this.facade
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
  }

  /** An item is consumed when the next one is asked for: only then does its home learn of it. */
  #goOn(): void {
    const isFirst = this.#asked === 0
    if (isFirst) this.#count = this.#allowed = 0
    const wider = isFirst || this.#wanted > this.#asked ? this.#wanted : undefined
    if (wider !== undefined) this.#asked = wider
    else if (!this.#due) return
    this.#due = false
    const { channel } = this.port
    const frame = channel.push(formatPull(this.ref.id, this.#count, wider), NOTHING)
    this.#pulled = { frame, place: channel.place, allowed: this.#allowed }
    this.#allowed = this.#count + this.#asked
  }

  /** Nobody is to read on: what asks for more is withdrawn if it has not left. */
  #withdraw(): void {
    const { channel } = this.port
    const { frame, place } = this.#pulled
    if (!channel.left(frame)) channel.withdraw(frame, place)
  }

  #take(): Step {
    const batch = this.#batches[0]!
    this.#taken = batch.delivery?.take(batch.next)
    const value = batch.items[batch.next++]
    this.#count++
    this.#unread--
    if (batch.next === batch.items.length) {
      this.#batches.shift()
      this.port.buffered -= batch.size
      if (batch.ask) this.#due = true
    }
    return { done: false, value }
  }

  /** Who asked for the item that was read last cannot have it. */
  unread(): void {
    this.#taken?.giveBack()
  }

  /** Told once how it ended; later it is just over. */
  #atEnd(): Promise<Step> {
    const { ok, value, delivery } = this.#end ?? { ok: true, value: undefined }
    delivery?.handOver()
    this.#endWith(undefined)
    this.#finish()
    return ok ? Promise.resolve({ done: true, value }) : Promise.reject(value)
  }

  items(items: unknown[], ask: boolean, size: number, delivery: Delivery | undefined): void {
    if (this.#over || this.#end || this.#deaf || items.length === 0) return delivery?.giveBack()
    this.#batches.push({ items, next: 0, ask, size, delivery })
    this.#unread += items.length
    this.port.buffered += size
    while (this.#readers.length > 0 && this.#batches.length > 0) this.#readers.shift()!.resolve(this.#take())
    if (this.#readers.length === 0) this.held = undefined
    else this.#goOn()
    if (this.#failsBeyondLimit()) return
    if (this.#unread > 2 * Math.max(this.#window, WINDOW)) {
      // Once as many are on their way where another netref has read before.
      const message = `${this.ref.label}: far more items came than were asked for`
      this.fail(aboutCall(new LimitError('limit', message), this.port.references))
    }
  }

  ended(ok: boolean, value: unknown, size = 0, delivery?: Delivery): void {
    if (this.#over || this.#end || this.#deaf) return delivery?.giveBack()
    this.#endWith({ ok, value, size, delivery })
    if (this.#readers.length > 0) this.#tellReaders()
    else this.#failsBeyondLimit()
  }

  #endWith(end: End | undefined): void {
    this.port.buffered += (end?.size ?? 0) - (this.#end?.size ?? 0)
    this.#end?.delivery?.giveBack()
    this.#end = end
  }

  #failsBeyondLimit(): boolean {
    const { buffered, bufferedBytes, references } = this.port
    if (buffered <= bufferedBytes) return false
    const message = `${this.ref.label}: more than ${bufferedBytes} bytes wait to be read (limits.bufferedBytes)`
    const error = aboutCall(new LimitError('limit', message), references)
    writeDown(error)
    this.fail(error)
    return true
  }

  #tellReaders(): void {
    for (const { resolve, reject } of this.#readers.splice(0)) this.#atEnd().then(resolve, reject)
    this.held = undefined
  }

  /** Nothing more comes. What came before may still be read, unless it was released. */
  lost(reason: Error): void {
    if (this.#released) return
    this.#unlisten?.()
    if (reason instanceof ReleasedError) {
      this.#withdraw()
      this.#drop()
      this.#endWith(undefined)
    }
    // They are no business of a session that has ended.
    for (const batch of this.#batches) {
      this.port.buffered -= batch.size
      batch.size = 0
    }
    this.ended(false, reason)
  }

  /** It ends here and now, whatever was still to come; its home is told. */
  fail(error: unknown): void {
    if (this.#over) return
    this.#withdraw()
    this.#drop()
    this.#endWith({ ok: false, value: error, size: 0 })
    if (this.#readers.length > 0) this.#tellReaders()
    else this.#release()
  }

  /** It is over: its home may let go of it. */
  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.#drop()
    this.#release()
    if (this.#readers.length > 0) this.#tellReaders()
  }

  #drop(): void {
    for (const { size, delivery } of this.#batches.splice(0)) {
      this.port.buffered -= size
      delivery?.giveBack()
    }
    this.#unread = 0
  }

  #release(): void {
    this.#released = true
    this.#unlisten?.()
    this.port.session.release(this.ref)
  }

  /** Does at home what the iterator's own methods do, one step at a time. */
  drive(method: 'next' | 'return' | 'throw', value: unknown): Promise<Step> {
    const gone = this.#over || this.#end !== undefined
    if (method === 'next') {
      if (!gone) return this.#ask(method, value)
      silenceAll(value)
      return this.#atEnd()
    }
    this.#drop()
    if (method === 'return') return this.#return(value, gone)
    this.#endWith(undefined)
    if (!gone) return this.#throw(value)
    this.#finish()
    return Promise.reject(value)
  }

  async #return(value: unknown, gone: boolean): Promise<Step> {
    this.#withdraw()
    this.#endWith({ ok: true, value: undefined, size: 0 })
    for (const { resolve } of this.#readers.splice(0)) resolve({ done: true, value: undefined })
    this.held = undefined
    try {
      const over = { done: true, value }
      return gone ? over : await this.port.session.unlessAway(this.#ask('return', value), over)
    } finally {
      this.#finish()
    }
  }

  /** A generator that goes on goes on from there: what was read ahead of it is dropped. */
  async #throw(error: unknown): Promise<Step> {
    this.#deaf = true
    try {
      return await this.#ask('throw', error)
    } finally {
      this.#deaf = false
      this.#asked = 0
      if (this.#readers.length > 0) this.#goOn()
    }
  }

  /** An iterator that fails is over, but not where it was never asked, as what it was to be given cannot be sent. */
  async #ask(method: 'next' | 'return' | 'throw', value: unknown): Promise<Step> {
    const result = this.ref.request(Op.drive, method, value, this.#options)
    let over = true
    try {
      const step = (await result.settled()) as Step
      // Of an object of this side nothing is read: the other one may have no right to.
      if (!isPlainRecord(step))
        throw aboutCall(new TypeError(`${this.ref.label}: what ${method}() came to is no step`))
      over = step.done === true
      return step
    } finally {
      if (over && result.id > 0) this.#finish()
    }
  }
}

/**
 * An iterator whose home is the other side. Its home makes no item before the first `next()`, and does not go on after the
 * first item before the second `next()`; from then on it may be ahead by `window` items. Until then, and always where that
 * is 1, `next(value)` and `throw(error)` reach a generator as they do at home.
 */
export class RemoteIterator implements AsyncGenerator<unknown, unknown, unknown> {
  readonly #inflow: Inflow
  /** Whether an item was asked for: the steps after the first may read ahead. */
  #begun = false

  constructor(inflow: Inflow) {
    this.#inflow = inflow
  }

  /** The iterator, which may read ahead from its first item on: for what is a stream, and no context. */
  static ahead(iterator: RemoteIterator): RemoteIterator {
    iterator.#begun = true
    return iterator
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return(undefined)
  }

  next(value?: unknown): Promise<Step> {
    const isFirst = !this.#begun
    this.#begun = true
    if (value === undefined) return this.#inflow.read(isFirst ? 1 : undefined)
    if (!this.#inflow.ahead) return this.#inflow.drive('next', value)
    silenceAll(value)
    const message =
      'next(value): items were read ahead of it; pass a value from the second next() on, or set `window: 1`'
    return Promise.reject(new TypeError(message))
  }

  return(value: unknown): Promise<Step> {
    return this.#inflow.drive('return', value)
  }

  throw(error: unknown): Promise<Step> {
    return this.#inflow.drive('throw', error)
  }
}
