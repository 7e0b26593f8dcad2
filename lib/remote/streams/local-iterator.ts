// An iterator of this side that the other side reads: its items go in batches, as far ahead as there is credit.

import { ignoreRejections, rollbackPayload, stopIterator } from '../../codec/dispose.js'
import { encodeArguments } from '../../codec/encode.js'
import { type ItemSource, requireIteratorResult, type SourceProvider } from '../../codec/iterable-source.js'
import { CallRejection } from '../../errors.js'
import { formatItems } from '../../protocol/messages.js'
import { isThenable } from '../../util/promises.js'
import type { ReceivedReferences } from '../delivery.js'
import { FlowControlWindow } from './flow-control.js'
import type { FlowPort, HomeFlow } from './types.js'

/** A frame with items is no larger, but for one that is so by itself. */
const MAX_FRAME_BYTES = 16 << 10
/** The same for one with bytes. */
const MAX_BINARY_FRAME_BYTES = 64 << 10
/** Items of that much JSON go together. */
const MAX_BATCH_CHARACTERS = 15 << 10

export class IteratorPump implements HomeFlow {
  #source: ItemSource | undefined
  /** Set when there is nothing more to come of it: then its `finally` has run. */
  #ended = false
  /** What is waited for before there can be another item. */
  #waitsFor: 'item' | 'room' | undefined
  #isPumping = false
  #isRead = false
  /** Items that are boxed and not sent, as JSON. */
  #batch: string[] = []
  #batchBytes = 0
  readonly #window = new FlowControlWindow()

  constructor(
    private readonly id: number,
    private readonly provider: SourceProvider,
    private readonly port: FlowPort,
    /** Where it says that it has items to send at the end of the tick. */
    private readonly pumpsToFlush: Set<IteratorPump>,
    private readonly sendEnd: (ok: boolean, value: unknown) => void
  ) {}

  pull(read: number, window: number | undefined): void {
    if (window !== undefined && read === 0) this.#start(window)
    else this.#window.acknowledge(read, window)
    this.#pump()
  }

  /** It may have been read before, by one that has let go of it. */
  #start(window: number): void {
    if (this.#ended) return this.port.resendEnd(this.id)
    this.#isRead = true
    this.#window.reset(window)
  }

  resendEnd(): void {
    if (this.#ended) this.sendEnd(true, undefined)
  }

  /** Takes items as long as there is room. */
  #pump(): void {
    if (this.#waitsFor || this.#isPumping || !this.#isRead) return
    this.#isPumping = true
    while (!this.#ended && !this.#waitsFor && this.#window.hasRoom(this.#batch.length, this.#batchBytes)) {
      const room = this.port.channel.whenWritable()
      if (room) {
        this.#waitsFor = 'room'
        void room.then(this.#resume)
      } else this.#readItem()
    }
    this.#isPumping = false
  }

  /** Takes one item, now or when it is there. */
  #readItem(): void {
    try {
      this.#source ??= this.provider.open()
      const result = this.#source.next()
      if (isThenable(result)) {
        this.#waitsFor = 'item'
        result.then(this.#onItem, this.#onError)
        return
      }
      const { done, value } = requireIteratorResult(result)
      if (!isThenable(value)) return this.#handleResult(result)
      // As `for await` does over an iterator that is not asynchronous.
      this.#waitsFor = 'item'
      value.then(
        value => this.#onItem({ done, value }),
        error => {
          this.#onError(error)
          this.#closeSource(error)
        }
      )
    } catch (error) {
      this.#finish(false, error)
    }
  }

  readonly #resume = (): void => {
    this.#waitsFor = undefined
    this.#pump()
  }

  readonly #onItem = (result: unknown): void => {
    this.#handleResult(result)
    this.#resume()
  }

  readonly #onError = (error: unknown): void => {
    this.#finish(false, error)
    this.#resume()
  }

  /** What it failed with comes after the items before it. What cannot be sent is no fault of its own: it is stopped. */
  #handleResult(result: unknown): void {
    let item: unknown
    try {
      const { done, value } = requireIteratorResult(result)
      if (this.#ended) return this.#discard(value)
      if (done) return this.#finish(true, value)
      item = value
    } catch (error) {
      return this.#finish(false, error)
    }
    try {
      this.#enqueueItem(item)
    } catch (error) {
      this.#finish(false, error)
      this.#closeSource(error)
    }
  }

  /** Small plain items go together; one with references or bytes goes by itself, and so does a long one. */
  #enqueueItem(value: unknown): void {
    const { references, channel } = this.port
    const payload = encodeArguments([value], references, this.provider.borrowsItems ? 'chunks' : 'items')
    const { json, hasAnnotations, bytes } = payload
    const size = bytes.reduce((sum, range) => sum + range.byteLength, json.length)
    // No frame may be more than the peer takes: at the least that is a few KiB.
    const maxBatch = Math.min(
      MAX_BATCH_CHARACTERS,
      channel.peerLimits.jsonBytes / 2,
      channel.peerLimits.frameBytes / 2
    )
    if (this.#batchBytes + size > maxBatch || hasAnnotations) this.#flush()
    if (!hasAnnotations && size <= maxBatch) {
      this.#batch.push(json.slice(1, -1))
      this.#batchBytes += size
      if (this.#batch.length > 1) return
      this.pumpsToFlush.add(this)
      return channel.flushAtEndOfTick()
    }
    const maxFrameBytes = bytes.length > 0 ? MAX_BINARY_FRAME_BYTES : MAX_FRAME_BYTES
    channel.closeFrameIfOver(size, maxFrameBytes)
    try {
      channel.send(formatItems(this.id, this.#window.recordSent(1, size), json), bytes)
    } catch (error) {
      rollbackPayload(payload, references)
      throw error
    }
    if (size > MAX_BATCH_CHARACTERS) channel.closeFrameIfOver(MAX_BATCH_CHARACTERS, MAX_FRAME_BYTES)
  }

  #flush(): void {
    const message = this.takeItems()
    if (message !== undefined) this.port.channel.send(message, [])
  }

  /** A message with the items that wait, which do not wait any more. */
  takeItems(): string | undefined {
    if (this.#batch.length === 0) return undefined
    const items = this.#batch
    const size = this.#batchBytes
    this.#batch = []
    this.#batchBytes = 0
    this.port.channel.closeFrameIfOver(size, MAX_FRAME_BYTES)
    return formatItems(this.id, this.#window.recordSent(items.length, size), `[${items.join(',')}]`)
  }

  #finish(ok: boolean, value: unknown): void {
    if (this.#ended) return this.#discard(value)
    this.#ended = true
    this.#flush()
    this.sendEnd(ok, value)
  }

  #closeSource(reason: unknown): void {
    const { references, report } = this.port
    // What a stream fails with, whoever made it knows.
    stopIterator(this.#calledSource, reason, references, this.provider.restore ? () => {} : report)
  }

  /** It came too late to be sent. */
  #discard(value: unknown): void {
    if (this.provider.borrowsItems) ignoreRejections(value)
    else this.port.references.dispose(value)
  }

  /**
   * What is asked of it by hand goes to the iterator that was handed over. What was not read, and only makes iterators, has
   * nothing to close.
   */
  get #calledSource(): ItemSource | undefined {
    this.#source ??= this.provider.source
    return this.#source
  }

  call(method: string, value: unknown, received: ReceivedReferences | undefined): unknown {
    switch (method) {
      case 'next':
        if (this.#ended) return DONE
        this.#source ??= this.provider.source ?? this.provider.open()
        received?.markPassedToUser()
        return this.#callSource(() => this.#source!.next(value))
      case 'throw':
        return this.#throw(value, received)
      case 'return':
        return this.#return(value, received)
      default:
        throw new CallRejection('not-exposed', 'an iterator has `next`, `return` and `throw`')
    }
  }

  /** What the holder asked for by hand is its answer. An iterator that fails is through. */
  #callSource(call: () => unknown): unknown {
    const fail = (error: unknown): never => {
      this.#ended = true
      throw error
    }
    try {
      const result = call()
      return isThenable(result)
        ? result.then(step => this.#toIteratorResult(step), fail)
        : this.#toIteratorResult(result)
    } catch (error) {
      return fail(error)
    }
  }

  #toIteratorResult(result: unknown): unknown {
    const { done = false, value } = requireIteratorResult(result)
    if (done) this.#ended = true
    return isThenable(value) ? value.then(value => ({ done, value })) : { done, value }
  }

  /** Nothing more is read ahead until the holder begins again. One that cannot be thrown at is closed. */
  #throw(error: unknown, received: ReceivedReferences | undefined): unknown {
    this.#isRead = false
    this.#dropBatch()
    const source = this.#calledSource
    if (!this.#ended && source?.throw) {
      received?.markPassedToUser()
      return this.#callSource(() => source.throw!(error))
    }
    const rethrow = (result: unknown) => {
      this.#discard(result)
      throw error
    }
    const closed = this.#ended ? undefined : this.#return(undefined)
    return isThenable(closed) ? closed.then(rethrow) : rethrow(closed)
  }

  /**
   * An iterator in the midst of an item closes when it is through with it, which may be never: it is not waited for.
   * A stream can be cancelled at any time.
   */
  #return(value: unknown, received?: ReceivedReferences): unknown {
    const closed = { done: true, value }
    if (this.#ended) return closed
    this.#ended = true
    this.#dropBatch()
    received?.markPassedToUser()
    if (this.#waitsFor === 'item' && !this.provider.restore) {
      this.#closeSource(value)
      return closed
    }
    return this.#callSource(() => this.#calledSource?.return?.(value) ?? closed)
  }

  #dropBatch(): void {
    this.#batch = []
    this.#batchBytes = 0
  }

  close(reason?: Error): void {
    this.pumpsToFlush.delete(this)
    if (this.#ended) return
    this.#ended = true
    this.#closeSource(reason)
  }

  rollback(): void {
    this.provider.restore?.()
  }
}

const DONE = { done: true, value: undefined }
