// An iterator of this side that the other side reads: its items go in batches, as far ahead as there is credit.

import { silenceAll, stop, unsend } from '../../codec/dispose.js'
import { boxArguments } from '../../codec/encode.js'
import { checked, type Origin, type Source } from '../../codec/iterable-source.js'
import { Refusal } from '../../errors.js'
import { formatItems } from '../../protocol/messages.js'
import { isThenable } from '../../util/promises.js'
import type { Delivery } from '../delivery.js'
import { Credit } from './flow-control.js'
import type { FlowPort, HomeFlow } from './types.js'

/** A frame with items is no larger, but for one that is so by itself. */
const FRAME = 16 << 10
/** The same for one with bytes. */
const BYTE_FRAME = 64 << 10
/** Items of that much JSON go together. */
const BATCH = 15 << 10

export class Outflow implements HomeFlow {
  #source: Source | undefined
  /** Set when there is nothing more to come of it: then its `finally` has run. */
  #ended = false
  /** What is waited for before there can be another item. */
  #waits: 'item' | 'room' | undefined
  #pumping = false
  #reading = false
  /** Items that are boxed and not sent, as JSON. */
  #run: string[] = []
  #runBytes = 0
  readonly #credit = new Credit()

  constructor(
    private readonly id: number,
    private readonly origin: Origin,
    private readonly port: FlowPort,
    /** Where it says that it has items to send at the end of the tick. */
    private readonly waiting: Set<Outflow>,
    private readonly tell: (ok: boolean, value: unknown) => void
  ) {}

  pull(read: number, window: number | undefined): void {
    if (window !== undefined && read === 0) this.#begin(window)
    else this.#credit.read(read, window)
    this.#pump()
  }

  /** It may have been read before, by one that has let go of it. */
  #begin(window: number): void {
    if (this.#ended) return this.port.retell(this.id)
    this.#reading = true
    this.#credit.begin(window)
  }

  retell(): void {
    if (this.#ended) this.tell(true, undefined)
  }

  /** Takes items as long as there is room. */
  #pump(): void {
    if (this.#waits || this.#pumping || !this.#reading) return
    this.#pumping = true
    while (!this.#ended && !this.#waits && this.#credit.lasts(this.#run.length, this.#runBytes)) {
      const room = this.port.channel.room()
      if (room) {
        this.#waits = 'room'
        void room.then(this.#goOn)
      } else this.#step()
    }
    this.#pumping = false
  }

  /** Takes one item, now or when it is there. */
  #step(): void {
    try {
      this.#source ??= this.origin.open()
      const step = this.#source.next()
      if (isThenable(step)) {
        this.#waits = 'item'
        step.then(this.#later, this.#failed)
        return
      }
      const { done, value } = checked(step)
      if (!isThenable(value)) return this.#take(step)
      // As `for await` does over an iterator that is not asynchronous.
      this.#waits = 'item'
      value.then(
        value => this.#later({ done, value }),
        error => {
          this.#failed(error)
          this.#stop(error)
        }
      )
    } catch (error) {
      this.#finish(false, error)
    }
  }

  readonly #goOn = (): void => {
    this.#waits = undefined
    this.#pump()
  }

  readonly #later = (step: unknown): void => {
    this.#take(step)
    this.#goOn()
  }

  readonly #failed = (error: unknown): void => {
    this.#finish(false, error)
    this.#goOn()
  }

  /** What it failed with comes after the items before it. What cannot be sent is no fault of its own: it is stopped. */
  #take(step: unknown): void {
    let item: unknown
    try {
      const { done, value } = checked(step)
      if (this.#ended) return this.#unsent(value)
      if (done) return this.#finish(true, value)
      item = value
    } catch (error) {
      return this.#finish(false, error)
    }
    try {
      this.#item(item)
    } catch (error) {
      this.#finish(false, error)
      this.#stop(error)
    }
  }

  /** Small plain items go together; one with references or bytes goes by itself, and so does a long one. */
  #item(value: unknown): void {
    const { references, channel } = this.port
    const payload = boxArguments([value], references, this.origin.lends ? 'chunks' : 'items')
    const { json, grouped, bytes } = payload
    const size = bytes.reduce((sum, range) => sum + range.byteLength, json.length)
    // No frame may be more than the peer takes: at the least that is a few KiB.
    const batch = Math.min(BATCH, channel.peer.jsonBytes / 2, channel.peer.frameBytes / 2)
    if (this.#runBytes + size > batch || grouped) this.#flush()
    if (!grouped && size <= batch) {
      this.#run.push(json.slice(1, -1))
      this.#runBytes += size
      if (this.#run.length > 1) return
      this.waiting.add(this)
      return channel.atEndOfTick()
    }
    const most = bytes.length > 0 ? BYTE_FRAME : FRAME
    channel.cut(size, most)
    try {
      channel.push(formatItems(this.id, this.#credit.spend(1, size), json), bytes)
    } catch (error) {
      unsend(payload, references)
      throw error
    }
    if (size > BATCH) channel.cut(BATCH, FRAME)
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
    this.port.channel.cut(size, FRAME)
    return formatItems(this.id, this.#credit.spend(items.length, size), `[${items.join(',')}]`)
  }

  #finish(ok: boolean, value: unknown): void {
    if (this.#ended) return this.#unsent(value)
    this.#ended = true
    this.#flush()
    this.tell(ok, value)
  }

  #stop(reason: unknown): void {
    const { references, report } = this.port
    // What a stream fails with, whoever made it knows.
    stop(this.#driven, reason, references, this.origin.restore ? () => {} : report)
  }

  /** It came too late to be sent. */
  #unsent(value: unknown): void {
    if (this.origin.lends) silenceAll(value)
    else this.port.references.letGo(value)
  }

  /**
   * What is asked of it by hand goes to the iterator that was handed over. What was not read, and only makes iterators, has
   * nothing to close.
   */
  get #driven(): Source | undefined {
    this.#source ??= this.origin.source
    return this.#source
  }

  drive(method: string, value: unknown, delivery: Delivery | undefined): unknown {
    switch (method) {
      case 'next':
        if (this.#ended) return DONE
        this.#source ??= this.origin.source ?? this.origin.open()
        delivery?.handOver()
        return this.#answer(() => this.#source!.next(value))
      case 'throw':
        return this.#throw(value, delivery)
      case 'return':
        return this.#return(value, delivery)
      default:
        throw new Refusal('not-exposed', 'an iterator has `next`, `return` and `throw`')
    }
  }

  /** What the holder asked for by hand is its answer. An iterator that fails is through. */
  #answer(act: () => unknown): unknown {
    const failed = (error: unknown): never => {
      this.#ended = true
      throw error
    }
    try {
      const step = act()
      return isThenable(step) ? step.then(step => this.#answered(step), failed) : this.#answered(step)
    } catch (error) {
      return failed(error)
    }
  }

  #answered(step: unknown): unknown {
    const { done = false, value } = checked(step)
    if (done) this.#ended = true
    return isThenable(value) ? value.then(value => ({ done, value })) : { done, value }
  }

  /** Nothing more is read ahead until the holder begins again. One that cannot be thrown at is closed. */
  #throw(error: unknown, delivery: Delivery | undefined): unknown {
    this.#reading = false
    this.#drop()
    const source = this.#driven
    if (!this.#ended && source?.throw) {
      delivery?.handOver()
      return this.#answer(() => source.throw!(error))
    }
    const rethrow = (step: unknown) => {
      this.#unsent(step)
      throw error
    }
    const closed = this.#ended ? undefined : this.#return(undefined)
    return isThenable(closed) ? closed.then(rethrow) : rethrow(closed)
  }

  /**
   * An iterator in the midst of an item closes when it is through with it, which may be never: it is not waited for.
   * A stream can be cancelled at any time.
   */
  #return(value: unknown, delivery?: Delivery): unknown {
    const closed = { done: true, value }
    if (this.#ended) return closed
    this.#ended = true
    this.#drop()
    delivery?.handOver()
    if (this.#waits === 'item' && !this.origin.restore) {
      this.#stop(value)
      return closed
    }
    return this.#answer(() => this.#driven?.return?.(value) ?? closed)
  }

  #drop(): void {
    this.#run = []
    this.#runBytes = 0
  }

  end(reason?: Error): void {
    this.waiting.delete(this)
    if (this.#ended) return
    this.#ended = true
    this.#stop(reason)
  }

  undo(): void {
    this.origin.restore?.()
  }
}

const DONE = { done: true, value: undefined }
