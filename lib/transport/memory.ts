// Two transports in one process, joined: for a user's own tests, and for ours.
import type { Reason } from '../errors.js'
import { runInMicrotask } from '../util/scheduler.js'
import type { Transport, TransportListener } from './transport.js'

interface InTransit {
  readonly content: string | Uint8Array | Reason
  readonly onSent: (() => void) | undefined
}

/** One end of a pair. What it sends arrives at the other end in a microtask, unless it is held back. */
export class MemoryTransport implements Transport {
  readonly transfersBuffers = false
  readonly bytesReceived = undefined
  #other!: MemoryTransport
  #listener: TransportListener | undefined
  /** Frames on the way to the other end, and at last the reason this end closed for. */
  #inTransit: InTransit[] = []
  #holding = false
  #paused = false
  #deliveryScheduled = false
  #closed = false
  /** Bytes under way. */
  bufferedAmount = 0

  private constructor() {}

  static pair(): [MemoryTransport, MemoryTransport] {
    const [a, b] = [new MemoryTransport(), new MemoryTransport()]
    a.#other = b
    b.#other = a
    return [a, b]
  }

  /** Frames sent and not yet arrived. */
  get held(): number {
    return this.#inTransit.length
  }

  start(listener: TransportListener): void {
    this.#listener = listener
    runInMicrotask(() => {
      if (!this.#closed) listener.onOpen()
    })
  }

  send(frame: string | Uint8Array, onSent?: () => void): void {
    this.bufferedAmount += frame.length
    this.#inTransit.push({ content: frame, onSent: onSent })
    this.#scheduleDelivery()
  }

  close(reason: Reason): void {
    if (this.#closed) return
    this.#closed = true
    this.#inTransit.push({ content: reason, onSent: undefined })
    this.#scheduleDelivery()
    runInMicrotask(() => this.#listener?.onClose(reason))
  }

  /** There is nothing in it that keeps a process alive. */
  unref(): void {}

  get pendingWriteBytes(): number {
    return this.bufferedAmount
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#other.#scheduleDelivery()
  }

  /** Holds back what this end sends from now on. */
  hold(): void {
    this.#holding = true
  }

  /** Lets go what was held back: the first `frames` of it, or all, and what comes after. */
  letGo(frames?: number): void {
    if (frames === undefined) {
      this.#holding = false
      this.#scheduleDelivery()
    } else for (let i = 0; i < frames; i++) this.#deliver()
  }

  #scheduleDelivery(): void {
    if (this.#deliveryScheduled) return
    this.#deliveryScheduled = true
    runInMicrotask(() => {
      this.#deliveryScheduled = false
      while (!this.#holding && !this.#other.#paused && this.#inTransit.length > 0) this.#deliver()
    })
  }

  #deliver(): void {
    const next = this.#inTransit.shift()
    const other = this.#other
    if (next === undefined || other.#closed) return
    const { content, onSent } = next
    if (typeof content === 'string' || ArrayBuffer.isView(content)) {
      this.bufferedAmount -= content.length
      other.#listener?.onFrame(content)
      onSent?.()
    } else {
      other.#closed = true
      other.#listener?.onClose({ ...content, message: `the other end ended the session: ${content.message}` })
    }
  }
}
