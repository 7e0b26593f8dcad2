// An iterator of the other side that is read here: its items arrive ahead of their reader, and wait.

import { ignoreRejections } from '../../codec/dispose.js'
import { isPlainRecord } from '../../codec/grants.js'
import { markConfidential } from '../../codec/peer-errors.js'
import { LimitError, markMayHaveRun, materializeStacks, ReleasedError } from '../../errors.js'
import { formatPull, Op } from '../../protocol/messages.js'
import { addSharedListener } from '../../util/shared-listener.js'
import type { CallOptions } from '../call-options.js'
import type { ReceivedReferences } from '../delivery.js'
import type { Reference } from '../proxy.js'
import type { ArrivedFlow, FlowPort } from './types.js'

type NextResult = IteratorResult<unknown>

/** Items that came together, `next` of them read. */
interface Batch {
  readonly items: readonly unknown[]
  nextIndex: number
  readonly requestsAck: boolean
  size: number
  /** What came with those that are not read. */
  readonly received: ReceivedReferences | undefined
}

/** How it ended: that waits as items do. */
interface StreamEnd {
  readonly ok: boolean
  readonly value: unknown
  readonly size: number
  readonly received?: ReceivedReferences | undefined
}

interface PendingRead {
  resolve(step: NextResult): void
  reject(error: unknown): void
}

const DEFAULT_WINDOW_ITEMS = 1024
const NO_BYTES: readonly Uint8Array[] = []

export class ReadAheadBuffer implements ArrivedFlow {
  readonly #weakWrapper: WeakRef<object>
  /** What the user has of it is held while somebody waits for an item. */
  protected keptAlive: object | undefined
  readonly #queue: Batch[] = []
  /** Items in these. */
  #queuedItems = 0
  readonly #pendingReads: PendingRead[] = []
  #end: StreamEnd | undefined
  /** What came with the item that was read last. */
  #lastReceived: ReceivedReferences | undefined
  /** How many items its home was told that it may be ahead; 0 where none were asked for. */
  #requestedWindow = 0
  /** How many the last reader lets it be ahead. */
  #readerWindow = DEFAULT_WINDOW_ITEMS
  /** Whether its home waits to learn how many items were read. */
  #ackDue = false
  #isClosed = false
  /** Its home was told that it may let go of it. */
  #isReleased = false
  /** What is on its way is not for anybody: the iterator goes on from elsewhere. */
  #discarding = false
  #readItems = 0
  #window = DEFAULT_WINDOW_ITEMS
  #removeListener: (() => void) | undefined
  /** What may give up a step that is asked for at home. */
  #callOptions: CallOptions | undefined
  /** How many items its home may have made since it was asked for the first. */
  #allowedItems = 0
  /** Where more were asked for last: the frame, the place there, and how many were allowed before. */
  #lastPull = { frameNumber: 0, messageIndex: 0, allowedBefore: 0 }

  constructor(
    readonly reference: Reference,
    private readonly port: FlowPort,
    createWrapper: (inflow: ReadAheadBuffer) => object
  ) {
    this.#weakWrapper = new WeakRef(createWrapper(this))
  }

  get wrapper(): object {
    return this.#weakWrapper.deref()!
  }

  /** Whether its home may be past the item that is being read. */
  get isReadAhead(): boolean {
    return this.#requestedWindow > 1
  }

  /** The options of the call it is the result of hold for it. */
  setOptions({ window, signal }: CallOptions): void {
    if (window !== undefined) this.#window = window
    if (!signal) return
    this.#callOptions = { signal }
    this.#removeListener?.()
    this.#removeListener = addSharedListener(signal, 'abort', () => {
      if (this.#pendingReads.length > 0)
        markMayHaveRun(
          signal.reason,
          this.#mayHaveProduced(this.port.channel.isFrameSent(this.#lastPull.frameNumber))
        )
      this.error(signal.reason)
    })
  }

  mayHaveRun(framesLeft: number): boolean {
    return this.#mayHaveProduced(this.#lastPull.frameNumber <= framesLeft)
  }

  /** Whether its home may be at an item that has not come: `left` says whether what was asked for last has left. */
  #mayHaveProduced(left: boolean): boolean {
    return (left ? this.#allowedItems : this.#lastPull.allowedBefore) > this.#readItems + this.#queuedItems
  }

  /** The next item, which is asked for if need be: its home may have made so many that are not consumed. */
  read(window = this.#window): Promise<NextResult> {
    this.#readerWindow = window
    if (!this.#isClosed && !this.#end && this.#pendingReads.length === 0) this.#pull()
    if (this.#queue.length > 0) return Promise.resolve(this.#dequeue())
    if (this.#isClosed || this.#end) return this.#settleEnd()
    this.keptAlive = this.wrapper
    return new Promise((resolve, reject) => this.#pendingReads.push({ resolve, reject }))
  }

  /** An item is consumed when the next one is asked for: only then does its home learn of it. */
  #pull(): void {
    const isFirst = this.#requestedWindow === 0
    if (isFirst) this.#readItems = this.#allowedItems = 0
    const widerWindow = isFirst || this.#readerWindow > this.#requestedWindow ? this.#readerWindow : undefined
    if (widerWindow !== undefined) this.#requestedWindow = widerWindow
    else if (!this.#ackDue) return
    this.#ackDue = false
    const { channel } = this.port
    const frame = channel.send(formatPull(this.reference.id, this.#readItems, widerWindow), NO_BYTES)
    this.#lastPull = {
      frameNumber: frame,
      messageIndex: channel.lastMessageIndex,
      allowedBefore: this.#allowedItems
    }
    this.#allowedItems = this.#readItems + this.#requestedWindow
  }

  /** Nobody is to read on: what asks for more is withdrawn if it has not left. */
  #cancelPull(): void {
    const { channel } = this.port
    const { frameNumber, messageIndex } = this.#lastPull
    if (!channel.isFrameSent(frameNumber)) channel.withdraw(frameNumber, messageIndex)
  }

  #dequeue(): NextResult {
    const batch = this.#queue[0]!
    this.#lastReceived = batch.received?.split(batch.nextIndex)
    const value = batch.items[batch.nextIndex++]
    this.#readItems++
    this.#queuedItems--
    if (batch.nextIndex === batch.items.length) {
      this.#queue.shift()
      this.port.queuedBytes -= batch.size
      if (batch.requestsAck) this.#ackDue = true
    }
    return { done: false, value }
  }

  /** Who asked for the item that was read last cannot have it. */
  discardLastItem(): void {
    this.#lastReceived?.discard()
  }

  /** Told once how it ended; later it is just over. */
  #settleEnd(): Promise<NextResult> {
    const { ok, value, received } = this.#end ?? { ok: true, value: undefined }
    received?.markPassedToUser()
    this.#setEnd(undefined)
    this.#close()
    return ok ? Promise.resolve({ done: true, value }) : Promise.reject(value)
  }

  onItems(items: unknown[], ask: boolean, size: number, delivery: ReceivedReferences | undefined): void {
    if (this.#isClosed || this.#end || this.#discarding || items.length === 0) return delivery?.discard()
    this.#queue.push({ items, nextIndex: 0, requestsAck: ask, size, received: delivery })
    this.#queuedItems += items.length
    this.port.queuedBytes += size
    while (this.#pendingReads.length > 0 && this.#queue.length > 0)
      this.#pendingReads.shift()!.resolve(this.#dequeue())
    if (this.#pendingReads.length === 0) this.keptAlive = undefined
    else this.#pull()
    if (this.#failsOverLimit()) return
    if (this.#queuedItems > 2 * Math.max(this.#window, DEFAULT_WINDOW_ITEMS)) {
      // Once as many are on their way where another netref has read before.
      const message = `${this.reference.label}: far more items came than were asked for`
      this.error(markConfidential(new LimitError('limit', message), this.port.references))
    }
  }

  onEnd(ok: boolean, value: unknown, size = 0, delivery?: ReceivedReferences): void {
    if (this.#isClosed || this.#end || this.#discarding) return delivery?.discard()
    this.#setEnd({ ok, value, size, received: delivery })
    if (this.#pendingReads.length > 0) this.#endPendingReads()
    else this.#failsOverLimit()
  }

  #setEnd(end: StreamEnd | undefined): void {
    this.port.queuedBytes += (end?.size ?? 0) - (this.#end?.size ?? 0)
    this.#end?.received?.discard()
    this.#end = end
  }

  #failsOverLimit(): boolean {
    const { queuedBytes, maxBufferedBytes, references } = this.port
    if (queuedBytes <= maxBufferedBytes) return false
    const message = `${this.reference.label}: more than ${maxBufferedBytes} bytes wait to be read (limits.bufferedBytes)`
    const error = markConfidential(new LimitError('limit', message), references)
    materializeStacks(error)
    this.error(error)
    return true
  }

  #endPendingReads(): void {
    for (const { resolve, reject } of this.#pendingReads.splice(0)) this.#settleEnd().then(resolve, reject)
    this.keptAlive = undefined
  }

  /** Nothing more comes. What came before may still be read, unless it was released. */
  disconnect(reason: Error): void {
    if (this.#isReleased) return
    this.#removeListener?.()
    if (reason instanceof ReleasedError) {
      this.#cancelPull()
      this.#clearQueue()
      this.#setEnd(undefined)
    }
    // They are no business of a session that has ended.
    for (const batch of this.#queue) {
      this.port.queuedBytes -= batch.size
      batch.size = 0
    }
    this.onEnd(false, reason)
  }

  /** It ends here and now, whatever was still to come; its home is told. */
  error(error: unknown): void {
    if (this.#isClosed) return
    this.#cancelPull()
    this.#clearQueue()
    this.#setEnd({ ok: false, value: error, size: 0 })
    if (this.#pendingReads.length > 0) this.#endPendingReads()
    else this.#release()
  }

  /** It is over: its home may let go of it. */
  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#clearQueue()
    this.#release()
    if (this.#pendingReads.length > 0) this.#endPendingReads()
  }

  #clearQueue(): void {
    for (const { size, received } of this.#queue.splice(0)) {
      this.port.queuedBytes -= size
      received?.discard()
    }
    this.#queuedItems = 0
  }

  #release(): void {
    this.#isReleased = true
    this.#removeListener?.()
    this.port.session.release(this.reference)
  }

  /** Does at home what the iterator's own methods do, one step at a time. */
  call(method: 'next' | 'return' | 'throw', value: unknown): Promise<NextResult> {
    const hasEnded = this.#isClosed || this.#end !== undefined
    if (method === 'next') {
      if (!hasEnded) return this.#callOwner(method, value)
      ignoreRejections(value)
      return this.#settleEnd()
    }
    this.#clearQueue()
    if (method === 'return') return this.#return(value, hasEnded)
    this.#setEnd(undefined)
    if (!hasEnded) return this.#throw(value)
    this.#close()
    return Promise.reject(value)
  }

  async #return(value: unknown, hasEnded: boolean): Promise<NextResult> {
    this.#cancelPull()
    this.#setEnd({ ok: true, value: undefined, size: 0 })
    for (const { resolve } of this.#pendingReads.splice(0)) resolve({ done: true, value: undefined })
    this.keptAlive = undefined
    try {
      const closed = { done: true, value }
      return hasEnded
        ? closed
        : await this.port.session.unlessDisconnected(this.#callOwner('return', value), closed)
    } finally {
      this.#close()
    }
  }

  /** A generator that goes on goes on from there: what was read ahead of it is dropped. */
  async #throw(error: unknown): Promise<NextResult> {
    this.#discarding = true
    try {
      return await this.#callOwner('throw', error)
    } finally {
      this.#discarding = false
      this.#requestedWindow = 0
      if (this.#pendingReads.length > 0) this.#pull()
    }
  }

  /** An iterator that fails is over, but not where it was never asked, as what it was to be given cannot be sent. */
  async #callOwner(method: 'next' | 'return' | 'throw', value: unknown): Promise<NextResult> {
    const result = this.reference.request(Op.streamCall, method, value, this.#callOptions)
    let isOver = true
    try {
      const next = (await result.settled()) as NextResult
      // Of an object of this side nothing is read: the other one may have no right to.
      if (!isPlainRecord(next))
        throw markConfidential(new TypeError(`${this.reference.label}: what ${method}() came to is no step`))
      isOver = next.done === true
      return next
    } finally {
      if (isOver && result.id > 0) this.#close()
    }
  }
}

/**
 * An iterator whose home is the other side. Its home makes no item before the first `next()`, and does not go on after the
 * first item before the second `next()`; from then on it may be ahead by `window` items. Until then, and always where that
 * is 1, `next(value)` and `throw(error)` reach a generator as they do at home.
 */
export class RemoteIterator implements AsyncGenerator<unknown, unknown, unknown> {
  readonly #buffer: ReadAheadBuffer
  /** Whether an item was asked for: the steps after the first may read ahead. */
  #isStarted = false

  constructor(buffer: ReadAheadBuffer) {
    this.#buffer = buffer
  }

  /** The iterator, which may read ahead from its first item on: for what is a stream, and no context. */
  static allowReadAhead(iterator: RemoteIterator): RemoteIterator {
    iterator.#isStarted = true
    return iterator
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return(undefined)
  }

  next(value?: unknown): Promise<NextResult> {
    const isFirst = !this.#isStarted
    this.#isStarted = true
    if (value === undefined) return this.#buffer.read(isFirst ? 1 : undefined)
    if (!this.#buffer.isReadAhead) return this.#buffer.call('next', value)
    ignoreRejections(value)
    const message =
      'next(value): items were read ahead of it; pass a value from the second next() on, or set `window: 1`'
    return Promise.reject(new TypeError(message))
  }

  return(value: unknown): Promise<NextResult> {
    return this.#buffer.call('return', value)
  }

  throw(error: unknown): Promise<NextResult> {
    return this.#buffer.call('throw', error)
  }
}
