// The transport within one process, for tests.
import type { Reason } from '../errors.js'
import { runInMicrotask } from '../util/scheduler.js'
import { BaseTransport } from './base-transport.js'
import { formatCloseReason, parseCloseReason } from './close-reason.js'

interface InTransit {
  readonly content: string | Uint8Array | Reason
  readonly onSent: (() => void) | undefined
}

/** One end of a pair. Frames arrive at the other end in a microtask, unless they are held back. */
export class MemoryTransport extends BaseTransport {
  /** Whether buffers are moved and not copied: never. */
  readonly transfersBuffers = false
  /** Undefined: frames arrive whole. */
  readonly bytesReceived = undefined
  #other!: MemoryTransport
  /** Frames on their way to the other end, and finally the close reason of this end. */
  #inTransit: InTransit[] = []
  #holding = false
  #paused = false
  #deliveryScheduled = false
  #closed = false
  /** Bytes of frames on their way. */
  bufferedAmount = 0

  private constructor() {
    super()
  }

  /** Creates two transports, each of which is the other end of the other. */
  static pair(): [MemoryTransport, MemoryTransport] {
    const [a, b] = [new MemoryTransport(), new MemoryTransport()]
    a.#other = b
    b.#other = a
    return [a, b]
  }

  /** Number of frames that were sent and have not arrived. */
  get held(): number {
    return this.#inTransit.length
  }

  protected begin(): void {
    runInMicrotask(() => {
      if (!this.#closed) this.emitOpen()
    })
  }

  /** Sends a frame. `onSent` is called when it has arrived. */
  send(frame: string | Uint8Array, onSent?: () => void): void {
    this.bufferedAmount += frame.length
    this.#inTransit.push({ content: frame, onSent })
    this.#scheduleDelivery()
  }

  /** Closes both ends; the other one gets the reason after the frames on their way. */
  close(reason: Reason): void {
    if (this.#closed) return
    this.#closed = true
    this.#inTransit.push({ content: reason, onSent: undefined })
    this.#scheduleDelivery()
    runInMicrotask(() => this.emitClose(reason))
  }

  /** A memory transport does not keep the process alive. */
  unref(): void {}

  /** Bytes of frames on their way: the same as `bufferedAmount`. */
  get pendingWriteBytes(): number {
    return this.bufferedAmount
  }

  /** Stops the delivery of frames to this end. */
  pause(): void {
    this.#paused = true
  }

  /** Continues the delivery of frames to this end. */
  resume(): void {
    this.#paused = false
    this.#other.#scheduleDelivery()
  }

  /** Holds back the frames that this end sends from now on. */
  hold(): void {
    this.#holding = true
  }

  /** Delivers the first `frames` of those held back; without an argument all, and holds back no more. */
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
      other.listener.onFrame(content)
      onSent?.()
    } else {
      other.#closed = true
      // As over other transports, but with its cause.
      other.emitClose({ ...content, ...parseCloseReason(formatCloseReason(content), 'the other end') })
    }
  }
}
