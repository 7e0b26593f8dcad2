// Frames in: how many came, when they are acted on, and that the other side learns of it.
//
// What takes long to act on is acted on in slices, so that nobody else in the process waits for long. A peer that asks
// and does not read the replies is not read from, until it does. What it sent before its end is acted on before that.
import { clock, type Timer, unref } from './clock.js'
import { formatMessage, type Trace } from './debug.js'
import { ProtocolError, type Reason, reasonOf } from './errors.js'
import { type Frame, type FrameData, parseFrame } from './frame.js'
import type { Limits } from './options.js'
import type { Sender } from './sender.js'
import { Slice } from './slice.js'
import { inALaterTurn, inMicrotask } from './ticks.js'
import type { Transport } from './transport.js'

/** What a receiver delivers to: the session. */
export interface Recipient {
  /**
   * Acts on the messages of a frame of that size, in order, beginning with number `from`, as long as it `mayGoOn`.
   * Never throws.
   *
   * @returns the number of the first message not acted on
   */
  receive(messages: readonly unknown[], bytes: Frame['bytes'], from: number, size: number): number
  /** The peer has received that many of our frames. */
  acknowledged(frames: number): void
  end(reason: Reason): void
}

/** How long the count of received frames waits for a frame to ride on, in ms; and how many of them, and bytes, do. */
const COUNT_AFTER = 250
const COUNT_FRAMES = 32
const COUNT_BYTES = 256 << 10

export class Receiver {
  frames = 0
  bytes = 0
  /** The count of our frames that the peer told last. */
  counted = 0
  /** Frames that have come and wait, the first of them acted on up to `#waitingAt`. */
  readonly #waiting: Frame[] = []
  #waitingAt = 0
  /** Whether they wait for the peer to read its replies; else for their turn: `#behind` with the next slice. */
  #paused = false
  #behind = false
  readonly #slice = new Slice()
  #pauseTimer: Timer | undefined
  /** Bytes that had come when the count alone was told last. */
  #toldBytes = 0
  #countTimer: Timer | undefined
  /** What the session ends for when all that came before has been acted on: what comes after it is not heard. */
  parting: Reason | undefined
  #closed = false

  constructor(
    /** What frames come from; undefined while another one is awaited. */
    public transport: Transport | undefined,
    private readonly listener: Recipient,
    private readonly sender: Sender,
    private readonly limits: Limits,
    private readonly trace: Trace | undefined
  ) {}

  /** Frames that were acted on. */
  get acted(): number {
    return this.frames - this.#waiting.length
  }

  /** Whether nothing more is read until the peer reads its replies, or what it sent has been acted on. */
  get paused(): boolean {
    return this.#paused || this.#behind
  }

  /** Whether what came waits for nothing but its turn. */
  get behind(): boolean {
    return this.#behind && !this.#paused
  }

  /** Whether the session is to act on one more message now. */
  get mayGoOn(): boolean {
    return !this.#paused && !this.#closed && this.#slice.lasts
  }

  /** Frames come from there now. */
  open(transport: Transport): void {
    this.transport = transport
    if (this.#paused) this.#awaitReader()
    else if (this.#behind) this.#holdBack()
  }

  /** No frames come until there is another transport. */
  interrupt(): void {
    this.transport = undefined
    // It is owed what it may not have, again: what it sent before waits until it has that.
    if (!this.parting && this.sender.owed > this.limits.bufferedBytes) this.#paused = true
  }

  /** Nothing is heard any more, or acted on. */
  close(): void {
    this.#closed = true
    if (this.#behind) this.transport?.resume()
  }

  /** The session ends: when all that came before has been acted on, or now where that waits for the peer to read. */
  end(reason: Reason): void {
    if (this.behind) this.parting ??= reason
    else this.listener.end(reason)
  }

  receive(data: FrameData): void {
    this.bytes += data.length
    if (this.parting || this.#closed) return
    const atOnce = !this.#paused && !this.#behind
    if (atOnce) this.#slice.begin(data.length)
    try {
      const frame = parseFrame(data, this.limits)
      if (this.trace) for (const message of frame.messages) this.trace('←', formatMessage(message))
      this.#count(frame)
      if (frame.alone) return
      this.frames++
      this.#waiting.push(frame)
    } catch (error) {
      return this.end(reasonOf(error))
    }
    if (atOnce) this.#act()
    if (this.acted >= this.sender.told + COUNT_FRAMES || this.bytes >= this.#toldBytes + COUNT_BYTES) {
      this.tell(false)
    }
  }

  /** What a frame says of the frames that went the other way. */
  #count({ received, alone, asks }: Frame): void {
    const { frames, kept } = this.sender
    if (received > frames || received < this.counted) {
      throw new ProtocolError(`a count of ${received} frames, of ${frames} sent`)
    }
    this.counted = received
    kept.acknowledge(received)
    // Of a stalled peer, a frame to come will say the same when those before it have been acted on.
    if (alone && this.#waiting.length === 0) this.listener.acknowledged(received)
    if (asks) this.tell(false)
  }

  /** Acts on the frames that have come, as long as the peer reads its replies, and for no longer than a slice. */
  #act(): void {
    for (let frame = this.#waiting[0]; frame && !this.#paused; frame = this.#waiting[0]) {
      const { received, messages, bytes, size } = frame
      this.sender.cork(messages.length)
      // Much that came in one go causes much that can leave in one go: also what its promises cause.
      if (messages.length > 1) this.sender.atEndOfTick()
      this.#slice.take(size)
      this.#waitingAt = this.listener.receive(messages, bytes, this.#waitingAt, size)
      if (this.#waitingAt < messages.length) break
      this.#waitingAt = 0
      this.#waiting.shift()
      // Only now: messages of this very frame may build on answers that its count says have arrived.
      this.listener.acknowledged(received)
      if (messages.length > 0) this.#owe()
    }
    this.sender.uncork()
    if (this.#closed) return
    if (this.#waiting.length > 0 && !this.#paused) this.#fallBehind()
    else if (this.#behind) this.#catchUp()
  }

  /** The rest waits for another turn of the event loop, and what is still to come for the rest. */
  #fallBehind(): void {
    if (!this.#behind) this.#holdBack()
    this.#behind = true
    inALaterTurn(() => {
      this.#slice.goOn()
      if (!this.#closed) this.#act()
    })
  }

  #catchUp(): void {
    this.#behind = false
    if (!this.#paused) this.transport?.resume()
    if (this.parting) this.listener.end(this.parting)
  }

  #holdBack(): void {
    if (this.transport && !this.transport.unstoppable) this.transport.pause()
  }

  // The count that the peer is owed.

  /** It goes with the next frame, or alone when none comes soon. */
  #owe(): void {
    if (this.#countTimer !== undefined) return
    this.#countTimer = clock.setTimeout(() => {
      this.#countTimer = undefined
      if (this.acted > this.sender.told) this.tell(false)
    }, COUNT_AFTER)
    unref(this.#countTimer)
  }

  tell(asks: boolean): void {
    this.#toldBytes = this.bytes
    this.sender.tell(asks)
  }

  // A peer that does not read.

  /** So many bytes of a reply are about to be sent. */
  replies(bytes: number): void {
    this.#slice.count(bytes)
  }

  /** So many values of a message were made. */
  made(values: number): void {
    this.#slice.countValues(values)
  }

  /** The peer leaves more replies unread than are kept for it. */
  overflow(): void {
    const { bufferedBytes } = this.limits
    if (this.transport) {
      if (!this.#paused) this.#awaitReader()
      return
    }
    // What it sent before it went away waits for it, too.
    this.#paused = true
    if (this.sender.owed > 2 * bufferedBytes) {
      const message = `more replies wait for the other side than are kept while it is away (limits.bufferedBytes: ${bufferedBytes})`
      inMicrotask(() => this.listener.end({ code: 'limit', message }))
    }
  }

  #awaitReader(): void {
    this.#paused = true
    this.transport!.pause()
    this.#pauseTimer = clock.setTimeout(() => {
      const message = `it was sent no replies for ${this.limits.pauseMs} ms, for the other side read none`
      this.listener.end({ code: 'peer-not-reading', message })
    }, this.limits.pauseMs)
  }

  /** The transport has room: a peer that has read its replies is read from again. */
  drained(): void {
    if (!this.#paused || this.sender.owed > this.limits.bufferedBytes / 2) return
    this.#paused = false
    clock.clearTimeout(this.#pauseTimer)
    if (this.#behind) return
    this.#slice.goOn()
    this.#act()
    if (!this.#paused && !this.#behind) this.transport?.resume()
  }

  stop(): void {
    clock.clearTimeout(this.#countTimer)
    clock.clearTimeout(this.#pauseTimer)
    this.#countTimer = undefined
  }
}
