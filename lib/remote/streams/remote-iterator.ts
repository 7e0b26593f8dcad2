// A remote iterator that is read here: its items arrive ahead of the reader, and are queued.

import { markConfidential } from '../../codec/confidential-errors.js'
import { ignoreRejections } from '../../codec/dispose.js'
import { isPlainRecord } from '../../codec/grants.js'
import { LimitError, markMayHaveRun, materializeStacks, ReleasedError } from '../../errors.js'
import { NO_BYTES } from '../../protocol/frame.js'
import { formatPull, Op } from '../../protocol/messages.js'
import { addSharedListener } from '../../util/shared-listener.js'
import type { CallOptions } from '../call-options.js'
import type { Reference } from '../proxy.js'
import type { ReceivedReferences } from '../received-references.js'
import { DEFAULT_WINDOW_ITEMS } from './flow-control.js'
import { ItemQueue } from './item-queue.js'
import type { RemoteStream, StreamPort } from './types.js'

type NextResult = IteratorResult<unknown>

/** The end of the stream, queued after its items. */
interface StreamEnd {
  readonly ok: boolean
  readonly value: unknown
  readonly size: number
  readonly received?: ReceivedReferences | undefined
}

interface PendingRead {
  resolve(result: NextResult): void
  reject(error: unknown): void
}

/**
 * State of a buffer:
 * - `open`: arriving items are queued.
 * - `throwing`: the owner performs `throw()`. Arriving items are discarded, as the iterator continues elsewhere.
 * - `ended`: the end is queued after the items.
 * - `errored`: the same, and the netref is released.
 * - `closed`: the end was reported, and the netref is released.
 */
type BufferState = 'open' | 'throwing' | 'ended' | 'errored' | 'closed'

export class ReadAheadBuffer implements RemoteStream {
  readonly #weakWrapper: WeakRef<object>
  /** The user's object, kept alive while a read is pending. */
  protected keptAlive: object | undefined
  #state: BufferState = 'open'
  readonly #queue: ItemQueue
  /** Set in the states `ended` and `errored`. */
  #end: StreamEnd | undefined
  readonly #pendingReads: PendingRead[] = []
  /** The window in items that the owner knows; 0 before the first pull. */
  #requestedWindow = 0
  /** The window in items that the last read allows. */
  #readerWindow = DEFAULT_WINDOW_ITEMS
  /** Number of items read since the first pull. */
  #readItems = 0
  /** Number of items that the owner may have produced since the first pull. */
  #allowedItems = 0
  /** The last pull: its frame, its index in that frame, and the number of items allowed before it. */
  #lastPull = { frameNumber: 0, messageIndex: 0, allowedBefore: 0 }
  /** The window of the call that returned the iterator, in items. */
  #window = DEFAULT_WINDOW_ITEMS
  /** The options that can cancel a call of the iterator's methods. */
  #callOptions: CallOptions | undefined
  #removeListener: (() => void) | undefined

  constructor(
    readonly reference: Reference,
    private readonly port: StreamPort,
    createWrapper: (buffer: ReadAheadBuffer) => object
  ) {
    this.#queue = new ItemQueue(port)
    this.#weakWrapper = new WeakRef(createWrapper(this))
  }

  get wrapper(): object {
    return this.#weakWrapper.deref()!
  }

  /** Whether the owner may be past the item that is being read. */
  get isReadAhead(): boolean {
    return this.#requestedWindow > 1
  }

  /** Whether items may still arrive. */
  get #isOpen(): boolean {
    return this.#state === 'open' || this.#state === 'throwing'
  }

  /** Applies the options of the call that returned the iterator. */
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

  mayHaveRun(framesSent: number): boolean {
    return this.#mayHaveProduced(this.#lastPull.frameNumber <= framesSent)
  }

  /** Whether the owner may be producing an item that has not arrived. */
  #mayHaveProduced(isPullSent: boolean): boolean {
    const allowed = isPullSent ? this.#allowedItems : this.#lastPull.allowedBefore
    return allowed > this.#readItems + this.#queue.length
  }

  /** Reads the next item, and pulls if necessary. The owner may produce `window` items ahead. */
  read(window = this.#window): Promise<NextResult> {
    this.#readerWindow = window
    if (this.#isOpen && this.#pendingReads.length === 0) this.#pull()
    if (this.#queue.length > 0) return Promise.resolve(this.#dequeue())
    if (!this.#isOpen) return this.#reportEnd()
    this.keptAlive = this.wrapper
    return new Promise((resolve, reject) => this.#pendingReads.push({ resolve, reject }))
  }

  /** An item is consumed when the next one is requested. Only then is it acknowledged. */
  #pull(): void {
    const isFirst = this.#requestedWindow === 0
    if (isFirst) this.#readItems = this.#allowedItems = 0
    const newWindow = isFirst || this.#readerWindow > this.#requestedWindow ? this.#readerWindow : undefined
    const isAckDue = this.#queue.takeAckDue()
    if (newWindow !== undefined) this.#requestedWindow = newWindow
    else if (!isAckDue) return
    const { channel } = this.port
    const frameNumber = channel.send(formatPull(this.reference.id, this.#readItems, newWindow), NO_BYTES)
    this.#lastPull = {
      frameNumber,
      messageIndex: channel.lastMessageIndex,
      allowedBefore: this.#allowedItems
    }
    this.#allowedItems = this.#readItems + this.#requestedWindow
  }

  /** Withdraws the last pull if it is not sent, as no code will read on. */
  #cancelPull(): void {
    const { channel } = this.port
    const { frameNumber, messageIndex } = this.#lastPull
    if (!channel.isFrameSent(frameNumber)) channel.withdraw(frameNumber, messageIndex)
  }

  #dequeue(): NextResult {
    this.#readItems++
    return { done: false, value: this.#queue.take() }
  }

  /** The reader of the last item cannot take it. */
  discardLastItem(): void {
    this.#queue.discardLastItem()
  }

  onItems(
    items: unknown[],
    requestsAck: boolean,
    size: number,
    received: ReceivedReferences | undefined
  ): void {
    if (this.#state !== 'open' || items.length === 0) return received?.discard()
    this.#queue.push(items, requestsAck, size, received)
    while (this.#pendingReads.length > 0 && this.#queue.length > 0)
      this.#pendingReads.shift()!.resolve(this.#dequeue())
    if (this.#pendingReads.length === 0) this.keptAlive = undefined
    else this.#pull()
    if (this.#failsOverLimit()) return
    // The same number may still be in transit if another netref read before.
    if (this.#queue.length > 2 * Math.max(this.#window, DEFAULT_WINDOW_ITEMS)) {
      const message = `${this.reference.label}: far more items arrived than were requested`
      this.error(markConfidential(new LimitError('limit', message), this.port.references))
    }
  }

  onEnd(ok: boolean, value: unknown, size = 0, received?: ReceivedReferences): void {
    if (this.#state !== 'open') return received?.discard()
    this.#queueEnd({ ok, value, size, received })
  }

  #queueEnd(end: StreamEnd): void {
    this.#state = 'ended'
    this.#setEnd(end)
    if (this.#pendingReads.length > 0) this.#endPendingReads()
    else this.#failsOverLimit()
  }

  /** Disposes of the end that it replaces. */
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

  /** The end is reported once; after that the iterator is just done. */
  #reportEnd(): Promise<NextResult> {
    const { ok, value, received } = this.#end ?? { ok: true, value: undefined }
    received?.markPassedToUser()
    this.#setEnd(undefined)
    this.#close()
    return ok ? Promise.resolve({ done: true, value }) : Promise.reject(value)
  }

  #endPendingReads(): void {
    for (const { resolve, reject } of this.#pendingReads.splice(0)) this.#reportEnd().then(resolve, reject)
    this.keptAlive = undefined
  }

  /** Nothing more arrives. Queued items can still be read, unless the netref was released. */
  disconnect(reason: Error): void {
    if (this.#state === 'errored' || this.#state === 'closed') return
    this.#removeListener?.()
    const isReleased = reason instanceof ReleasedError
    if (isReleased) {
      this.#cancelPull()
      this.#queue.clear()
    }
    this.#queue.stopCountingBytes()
    if (isReleased || this.#isOpen) this.#queueEnd({ ok: false, value: reason, size: 0 })
  }

  /** Ends the stream with an error immediately, drops the queue, and releases the netref. */
  error(error: unknown): void {
    if (this.#state === 'closed') return
    this.#cancelPull()
    this.#queue.clear()
    this.#setEnd({ ok: false, value: error, size: 0 })
    this.#state = 'errored'
    if (this.#pendingReads.length > 0) this.#endPendingReads()
    else this.#release()
  }

  /** The stream is over: the netref is released. */
  #close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#queue.clear()
    this.#release()
    if (this.#pendingReads.length > 0) this.#endPendingReads()
  }

  #release(): void {
    this.#removeListener?.()
    this.port.session.release(this.reference)
  }

  /** Calls a method of the owner's iterator. */
  call(method: 'next' | 'return' | 'throw', value: unknown): Promise<NextResult> {
    if (method === 'next') {
      if (this.#isOpen) return this.#callOwner(method, value)
      ignoreRejections(value)
      return this.#reportEnd()
    }
    this.#queue.clear()
    if (method === 'return') return this.#return(value)
    if (this.#isOpen) return this.#throw(value)
    this.#setEnd(undefined)
    this.#close()
    return Promise.reject(value)
  }

  async #return(value: unknown): Promise<NextResult> {
    const wasOpen = this.#isOpen
    const done = { done: true, value }
    this.#cancelPull()
    this.#setEnd(undefined)
    if (wasOpen) this.#state = 'ended'
    for (const { resolve } of this.#pendingReads.splice(0)) resolve({ done: true, value: undefined })
    this.keptAlive = undefined
    try {
      if (!wasOpen) return done
      return await this.port.session.unlessDisconnected(this.#callOwner('return', value), done)
    } finally {
      this.#close()
    }
  }

  /** A generator that continues after `throw` continues from there: items read ahead are dropped. */
  async #throw(error: unknown): Promise<NextResult> {
    this.#state = 'throwing'
    try {
      return await this.#callOwner('throw', error)
    } finally {
      if (this.#state === 'throwing') this.#state = 'open'
      this.#requestedWindow = 0
      if (this.#pendingReads.length > 0) this.#pull()
    }
  }

  /** An iterator that throws is finished, unless the call was never sent, because its value could not be encoded. */
  async #callOwner(method: 'next' | 'return' | 'throw', value: unknown): Promise<NextResult> {
    const result = this.reference.request(Op.streamCall, method, value, this.#callOptions)
    let isFinished = true
    try {
      const next = (await result.settled()) as NextResult
      // A local object's members must not be read: the peer may not have the right to.
      if (!isPlainRecord(next))
        throw markConfidential(
          new TypeError(`${this.reference.label}: ${method}() must return an iterator result`)
        )
      isFinished = next.done === true
      return next
    } finally {
      if (isFinished && result.id > 0) this.#close()
    }
  }
}

/**
 * An iterator that the peer owns. The owner produces no item before the first `next()`, and does not continue after the
 * first item before the second `next()`. From then on it may be ahead by `window` items. Before that, and always with a
 * window of 1, `next(value)` and `throw(error)` reach a generator as they do locally.
 */
export class RemoteIterator implements AsyncGenerator<unknown, unknown, unknown> {
  readonly #buffer: ReadAheadBuffer
  /** Whether an item was requested: reads after the first may read ahead. */
  #isStarted = false

  constructor(buffer: ReadAheadBuffer) {
    this.#buffer = buffer
  }

  /** Lets an iterator read ahead from its first item on: for streams. */
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
