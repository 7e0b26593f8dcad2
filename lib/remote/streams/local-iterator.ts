// A local iterator that the peer reads: it sends items in batches, as far ahead as the flow-control window allows.

import { ignoreRejections, rollbackPayload, stopIterator } from '../../codec/dispose.js'
import { encodeArguments } from '../../codec/encode.js'
import { type ItemSource, requireIteratorResult, type SourceProvider } from '../../codec/iterable-source.js'
import { CHUNKS, ITEMS } from '../../codec/value-role.js'
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

/**
 * State of the iterator:
 * - `unread`: no pull has arrived, or none since the last `throw()`.
 * - `reading`: items are read ahead, as far as the window allows.
 * - `ended`: it yields nothing more, and its `finally` block has run.
 */
type PumpState = 'unread' | 'reading' | 'ended'

/** What the pump does now: nothing, read items in its loop, wait for an item, or wait for room to send. */
type PumpActivity = 'none' | 'pumping' | 'awaiting-item' | 'awaiting-room'

export class IteratorPump implements LocalStream {
  #source: ItemSource | undefined
  #state: PumpState = 'unread'
  /** One activity at a time: items are read one by one. */
  #activity: PumpActivity = 'none'
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

  pull(readItems: number, window: number | undefined): void {
    if (window !== undefined && readItems === 0) this.#start(window)
    else this.#window.acknowledge(readItems, window)
    this.#pump()
  }

  /** Another reader may have read it before, and released it. */
  #start(window: number): void {
    if (this.#state === 'ended') return this.port.resendEnd(this.id)
    this.#state = 'reading'
    this.#window.reset(window)
  }

  resendEnd(): void {
    if (this.#state === 'ended') this.sendEnd(true, undefined)
  }

  /** Reads items while the window allows it. */
  #pump(): void {
    if (this.#activity !== 'none') return
    this.#activity = 'pumping'
    while (this.#mayReadItem()) {
      const writable = this.port.channel.whenWritable()
      if (writable) {
        this.#activity = 'awaiting-room'
        void writable.then(this.#resume)
      } else this.#readItem()
    }
    if (this.#activity === 'pumping') this.#activity = 'none'
  }

  #mayReadItem(): boolean {
    return (
      this.#state === 'reading' &&
      this.#activity === 'pumping' &&
      this.#window.hasRoom(this.#batch.length, this.#batchBytes)
    )
  }

  /** Reads one item, synchronously or asynchronously. */
  #readItem(): void {
    try {
      this.#source ??= this.provider.open()
      const result = this.#source.next()
      if (isThenable(result)) return this.#awaitItem(result, this.#onItem, this.#onError)
      const { done, value } = requireIteratorResult(result)
      if (!isThenable(value)) return this.#handleResult(result)
      // `for await` does the same over a synchronous iterator.
      this.#awaitItem(
        value,
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

  /** The callbacks never run synchronously, also if a user's own `then` does. */
  #awaitItem(
    item: PromiseLike<unknown>,
    onItem: (result: unknown) => void,
    onError: (error: unknown) => void
  ): void {
    this.#activity = 'awaiting-item'
    Promise.resolve(item).then(onItem, onError)
  }

  readonly #resume = (): void => {
    this.#activity = 'none'
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

  /** An error follows the items before it. If an item cannot be sent, the iterator itself is not at fault: it is closed. */
  #handleResult(result: unknown): void {
    let item: unknown
    try {
      const { done, value } = requireIteratorResult(result)
      if (this.#state === 'ended') return this.#discard(value)
      if (done) return this.#finish(true, value)
      item = value
    } catch (error) {
      return this.#finish(false, error)
    }
    try {
      this.#sendItem(item)
    } catch (error) {
      this.#finish(false, error)
      this.#closeSource(error)
    }
  }

  /** Batches small plain items. An item with references or bytes, or a long one, is sent by itself. */
  #sendItem(value: unknown): void {
    const { references, channel } = this.port
    const payload = encodeArguments([value], references, this.provider.borrowsItems ? CHUNKS : ITEMS)
    const { json, hasAnnotations, bytes } = payload
    const size = bytes.reduce((sum, range) => sum + range.byteLength, json.length)
    // A frame must not exceed the peer's limits, which are at least a few KiB.
    const { jsonBytes, frameBytes } = channel.peerLimits
    const maxBatch = Math.min(MAX_BATCH_CHARACTERS, jsonBytes / 2, frameBytes / 2)
    if (this.#batchBytes + size > maxBatch || hasAnnotations) this.#flush()
    if (!hasAnnotations && size <= maxBatch) return this.#addToBatch(json.slice(1, -1), size)
    channel.closeFrameIfOver(size, bytes.length > 0 ? MAX_BINARY_FRAME_BYTES : MAX_FRAME_BYTES)
    try {
      channel.send(formatItems(this.id, this.#window.recordSent(1, size), json), bytes)
    } catch (error) {
      rollbackPayload(payload, references)
      throw error
    }
    if (size > MAX_BATCH_CHARACTERS) channel.closeFrameIfOver(MAX_BATCH_CHARACTERS, MAX_FRAME_BYTES)
  }

  #addToBatch(json: string, size: number): void {
    this.#batch.push(json)
    this.#batchBytes += size
    if (this.#batch.length > 1) return
    this.pumpsToFlush.add(this)
    this.port.channel.flushAtEndOfTick()
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
    this.#dropBatch()
    this.port.channel.closeFrameIfOver(size, MAX_FRAME_BYTES)
    return formatItems(this.id, this.#window.recordSent(items.length, size), `[${items.join(',')}]`)
  }

  #dropBatch(): void {
    this.#batch = []
    this.#batchBytes = 0
  }

  #finish(ok: boolean, value: unknown): void {
    if (this.#state === 'ended') return this.#discard(value)
    this.#state = 'ended'
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
        if (this.#state === 'ended') return DONE
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
      this.#state = 'ended'
      throw error
    }
    try {
      const result = call()
      return isThenable(result) ? result.then(result => this.#toReply(result), fail) : this.#toReply(result)
    } catch (error) {
      return fail(error)
    }
  }

  #toReply(result: unknown): unknown {
    const { done = false, value } = requireIteratorResult(result)
    if (done) this.#state = 'ended'
    return isThenable(value) ? value.then(value => ({ done, value })) : { done, value }
  }

  /** Stops reading ahead until the holder pulls again. An iterator without `throw` is closed. */
  #throw(error: unknown, received: ReceivedReferences | undefined): unknown {
    this.#dropBatch()
    const source = this.#calledSource
    if (this.#state !== 'ended') {
      this.#state = 'unread'
      if (source?.throw) {
        received?.markPassedToUser()
        return this.#callSource(() => source.throw!(error))
      }
    }
    const rethrow = (result: unknown) => {
      this.#discard(result)
      throw error
    }
    const closed = this.#state === 'ended' ? undefined : this.#return(undefined)
    return isThenable(closed) ? closed.then(rethrow) : rethrow(closed)
  }

  /**
   * An iterator that is busy with an item closes after it, which may be never, so it is not awaited. A stream can be
   * cancelled at any time.
   */
  #return(value: unknown, received?: ReceivedReferences): unknown {
    const closed = { done: true, value }
    if (this.#state === 'ended') return closed
    this.#state = 'ended'
    this.#dropBatch()
    received?.markPassedToUser()
    if (this.#activity === 'awaiting-item' && !this.provider.restore) {
      this.#closeSource(value)
      return closed
    }
    return this.#callSource(() => this.#calledSource?.return?.(value) ?? closed)
  }

  close(reason?: Error): void {
    this.pumpsToFlush.delete(this)
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#closeSource(reason)
  }

  rollback(): void {
    this.provider.restore?.()
  }
}

const DONE = { done: true, value: undefined }
