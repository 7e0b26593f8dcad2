// Two transports in one process, joined: for a user's own tests, and for ours.
import type { Reason } from '../errors.js'
import { inMicrotask } from '../util/scheduler.js'
import type { Transport, TransportListener } from './transport.js'

interface UnderWay {
  readonly what: string | Uint8Array | Reason
  readonly sent: (() => void) | undefined
}

/** One end of a pair. What it sends arrives at the other end in a microtask, unless it is held back. */
export class MemoryTransport implements Transport {
  readonly moves = false
  readonly arrived = undefined
  #other!: MemoryTransport
  #listener: TransportListener | undefined
  /** Frames on the way to the other end, and at last the reason this end closed for. */
  #underWay: UnderWay[] = []
  #held = false
  #paused = false
  #scheduled = false
  #closed = false
  /** Bytes under way. */
  buffered = 0

  private constructor() {}

  static pair(): [MemoryTransport, MemoryTransport] {
    const [a, b] = [new MemoryTransport(), new MemoryTransport()]
    a.#other = b
    b.#other = a
    return [a, b]
  }

  /** Frames sent and not yet arrived. */
  get held(): number {
    return this.#underWay.length
  }

  start(listener: TransportListener): void {
    this.#listener = listener
    inMicrotask(() => {
      if (!this.#closed) listener.opened()
    })
  }

  send(frame: string | Uint8Array, sent?: () => void): void {
    this.buffered += frame.length
    this.#underWay.push({ what: frame, sent })
    this.#schedule()
  }

  close(reason: Reason): void {
    if (this.#closed) return
    this.#closed = true
    this.#underWay.push({ what: reason, sent: undefined })
    this.#schedule()
    inMicrotask(() => this.#listener?.closed(reason))
  }

  /** There is nothing in it that keeps a process alive. */
  unref(): void {}

  get outgoing(): number {
    return this.buffered
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#other.#schedule()
  }

  /** Holds back what this end sends from now on. */
  hold(): void {
    this.#held = true
  }

  /** Lets go what was held back: the first `frames` of it, or all, and what comes after. */
  letGo(frames?: number): void {
    if (frames === undefined) {
      this.#held = false
      this.#schedule()
    } else for (let i = 0; i < frames; i++) this.#deliver()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    inMicrotask(() => {
      this.#scheduled = false
      while (!this.#held && !this.#other.#paused && this.#underWay.length > 0) this.#deliver()
    })
  }

  #deliver(): void {
    const next = this.#underWay.shift()
    const other = this.#other
    if (next === undefined || other.#closed) return
    const { what, sent } = next
    if (typeof what === 'string' || ArrayBuffer.isView(what)) {
      this.buffered -= what.length
      other.#listener?.received(what)
      sent?.()
    } else {
      other.#closed = true
      other.#listener?.closed({ ...what, message: `the other end ended the session: ${what.message}` })
    }
  }
}
