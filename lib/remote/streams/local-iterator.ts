// A local iterator that the peer reads: it sends items in batches, as far ahead as the flow-control window allows.

import { ignoreRejections, rollbackPayload, stopIterator } from '../../codec/dispose.js'
import { encodeArguments } from '../../codec/encode.js'
import { type ItemSource, requireIteratorResult, type SourceProvider } from '../../codec/iterable-source.js'
import { CallRejection } from '../../errors.js'
import { formatItems } from '../../protocol/messages.js'
import { isThenable } from '../../util/promises.js'
import type { ReceivedReferences } from '../received-references.js'
import { FlowControlWindow } from './flow-control.js'
import type { LocalStream, StreamPort } from './types.js'

/** Maximum size of a frame with items, unless a single item is larger. */
const MAX_FRAME_BYTES = 16 << 10
/** Maximum size of a frame with items that contain bytes. */
const MAX_BINARY_FRAME_BYTES = 64 << 10
/** Maximum length of the JSON of items that are sent as one batch. */
const MAX_BATCH_CHARACTERS = 15 << 10

export class IteratorPump implements LocalStream {
  #source: ItemSource | undefined
  /** Set when the iterator yields nothing more: its `finally` block has run. */
  #ended = false
  /** What must happen before the next item is read. */
  #waitsFor: 'item' | 'room' | undefined
  #isPumping = false
  #isRead = false
  /** Encoded items that are not sent yet, as JSON. */
  #batch: string[] = []
  #batchBytes = 0
  readonly #window = new FlowControlWindow()

  constructor(
    private readonly id: number,
    private readonly provider: SourceProvider,
    private readonly port: StreamPort,
    /** The pumps that have items to send at the end of the tick. */
    private readonly pumpsToFlush: Set<IteratorPump>,
    private readonly sendEnd: (ok: boolean, value: unknown) => void
  ) {}

  pull(read: number, window: number | undefined): void {
    if (window !== undefined && read === 0) this.#start(window)
    else this.#window.acknowledge(read, window)
    this.#pump()
  }

  /** Another reader may have read it before, and released it. */
  #start(window: number): void {
    if (this.#ended) return this.port.resendEnd(this.id)
    this.#isRead = true
    this.#window.reset(window)
  }

  resendEnd(): void {
    if (this.#ended) this.sendEnd(true, undefined)
  }

  /** Reads items while the window allows it. */
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

  /** Reads one item, synchronously or asynchronously. */
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
      // Awaits the promise, as `for await` does over a synchronous iterator.
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

  /**
   * An error follows the items before it. If an item cannot be sent, the iterator itself is not at fault: it is closed.
   */
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

  /** Batches small plain items. An item with references or bytes, or a long one, is sent by itself. */
  #enqueueItem(value: unknown): void {
    const { references, channel } = this.port
    const payload = encodeArguments([value], references, this.provider.borrowsItems ? 'chunks' : 'items')
    const { json, hasAnnotations, bytes } = payload
    const size = bytes.reduce((sum, range) => sum + range.byteLength, json.length)
    // A frame must not exceed the peer's limits, which are at least a few KiB.
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

  /** @returns a message with the batched items, which are removed from the batch */
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
    // The creator of a stream knows its error.
    stopIterator(this.#calledSource, reason, references, this.provider.restore ? () => {} : report)
  }

  /** Disposes of a value that is too late to be sent. */
  #discard(value: unknown): void {
    if (this.provider.borrowsItems) ignoreRejections(value)
    else this.port.references.dispose(value)
  }

  /**
   * The iterator that explicit calls go to. An object that only creates iterators, and was not read, has nothing to
   * close.
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

  /** The result of an explicit call is its reply. An iterator that throws is finished. */
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

  /** Stops reading ahead until the holder reads again. An iterator without `throw` is closed. */
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
   * An iterator that is busy with an item closes after it, which may be never, so it is not awaited. A stream can be
   * cancelled at any time.
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
