// Frames in: how many came, when they are acted on, and that the other side learns of it.
//
// What takes long to act on is acted on in slices, so that nobody else in the process waits for long. A peer that asks
// and does not acknowledge the replies is not acted on, until it does: its frames wait as they came, and only the count
// at their beginning is read. What it sent before its end is acted on before that.

import { ProtocolError, type Reason, reasonOf } from '../errors.js'
import { type Frame, type FrameData, parseCount, parseFrame } from '../protocol/frame.js'
import { type Limits, maxPayload } from '../protocol/limits.js'
import { formatMessage, type Trace } from '../protocol/trace.js'
import { ROOM, type Transport } from '../transport/transport.js'
import { clock, type Timer, unref } from '../util/clock.js'
import { Queue } from '../util/queue.js'
import { inALaterTurn } from '../util/scheduler.js'
import { Slice } from '../util/time-slice.js'
import type { Sender } from './sender.js'

/** What a receiver delivers to: the session. */
export interface Recipient {
  /**
   * Acts on the messages of a frame, in order, beginning with number `from`, as long as it `mayGoOn`. Never throws.
   *
   * @returns the number of the first message not acted on
   */
  receive(frame: Frame, from: number): number
  /** The peer has received that many of our frames. */
  acknowledged(frames: number): void
  end(reason: Reason): void
}

/** How long the count of received frames waits for a frame to ride on, in ms; and how many of them, and bytes, do. */
const COUNT_AFTER = 250
const COUNT_FRAMES = 32
const COUNT_BYTES = 256 << 10
/** What a frame that waits takes up beside its text, in bytes: a peer may send any number of small ones. */
const ENTRY = 24

export class Receiver {
  frames = 0
  /** Of these, those that were acted on. */
  acted = 0
  bytes = 0
  /** The count of our frames that the peer told last. */
  counted = 0
  /** The frame that is being acted on, up to which message. */
  #current: Frame | undefined
  #actedTo = 0
  /** Frames that have come and wait, as they came; and their bytes. */
  readonly #waiting = new Queue<FrameData>()
  #waitingBytes = 0
  /** How much may wait before no more is read. */
  readonly #most: number
  /** Whether they wait for the peer to read its replies; else for their turn: `#behind` with the next slice. */
  #paused = false
  #behind = false
  /** Whether the transport is not read from. */
  #stopped = false
  readonly #slice = new Slice()
  /** Bytes of frames acted on since the count alone was told. */
  #untold = 0
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
  ) {
    // A frame of the largest has to fit, and all that a peer of the same limits keeps: its count may be at the end of that.
    this.#most = Math.max(limits.bufferedBytes, maxPayload(limits))
  }

  /** Whether nothing more is acted on until the peer reads its replies, or its turn comes. */
  get paused(): boolean {
    return this.#paused || this.#behind
  }

  /** Whether it is the peer that has to read before anything more is acted on. */
  get awaitsReader(): boolean {
    return this.#paused
  }

  /** Whether the transport is not read from: silence says nothing then. */
  get stopped(): boolean {
    return this.#stopped
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
    this.#stopped = false
    this.#restrain()
  }

  /** No frames come until there is another transport. */
  interrupt(): void {
    this.transport = undefined
  }

  /** Nothing is heard any more, or acted on. */
  close(): void {
    this.#closed = true
    if (this.#stopped) this.transport?.resume()
    this.#waiting.clear()
    this.#current = undefined
  }

  /** What waits, in bytes: the frames, or what they take up beside their text, whichever is more. */
  get #waits(): number {
    return Math.max(this.#waitingBytes, this.#waiting.size * ENTRY)
  }

  /** Reads from the transport, or not. */
  #restrain(): void {
    const stop = this.#behind || this.#waits > this.#most
    if (stop === this.#stopped || this.#closed) return
    this.#stopped = stop
    if (stop) this.transport?.pause()
    else this.transport?.resume()
  }

  /** The session ends: when all that came before has been acted on, or now where that waits for the peer to read. */
  end(reason: Reason): void {
    if (this.behind) this.parting ??= reason
    else this.listener.end(reason)
  }

  receive(data: FrameData): void {
    this.bytes += data.length
    if (this.parting || this.#closed) return
    const atOnce = !this.paused && !this.#current
    try {
      if (atOnce) this.#receive(data)
      else this.#keep(data)
    } catch (error) {
      this.end(reasonOf(error))
    }
  }

  /** A frame that nothing is before. */
  #receive(data: FrameData): void {
    this.#slice.begin(data.length)
    const frame = this.#parse(data)
    this.#count(frame)
    if (frame.alone) return this.listener.acknowledged(frame.received)
    this.frames++
    this.#current = frame
    this.#act()
  }

  /** A frame that waits. */
  #keep(data: FrameData): void {
    const count = parseCount(data)
    this.#count(count)
    if (!count.alone) {
      this.frames++
      this.#waiting.push(data)
      this.#waitingBytes += data.length
      // Where reading cannot be stopped, or what was on its way comes all the same.
      if (this.#waits > 2 * this.#most + ROOM) throw tooMuch(this.#waits)
      this.#restrain()
    }
    this.relieve()
  }

  #parse(data: FrameData): Frame {
    const frame = parseFrame(data, this.limits)
    if (this.trace) for (const message of frame.messages) this.trace('←', formatMessage(message))
    return frame
  }

  /** What a frame says of the frames that went the other way. */
  #count({ received, asks }: Pick<Frame, 'received' | 'asks'>): void {
    const { sent } = this.sender.kept
    if (received > sent || received < this.counted) {
      throw new ProtocolError(`a count of ${received} frames, of ${sent} sent`)
    }
    this.counted = received
    this.sender.acknowledge(received)
    if (asks) this.tell(false)
  }

  /** The next frame that waits. A bad one ends the session. */
  #next(): Frame | undefined {
    const data = this.#waiting.shift()
    if (data === undefined) return undefined
    this.#waitingBytes -= data.length
    try {
      this.#current = this.#parse(data)
    } catch (error) {
      this.listener.end(reasonOf(error))
    }
    return this.#current
  }

  /** Acts on the frames that have come, as long as the peer reads its replies, and for no longer than a slice. */
  #act(): void {
    while (!this.#paused) {
      const frame = this.#current ?? this.#next()
      if (!frame) break
      const { received, messages, size } = frame
      this.sender.cork(messages.length)
      // Much that came in one go causes much that can leave in one go: also what its promises cause.
      if (messages.length > 1) this.sender.atEndOfTick()
      this.#slice.take(size)
      this.#actedTo = this.listener.receive(frame, this.#actedTo)
      if (this.#actedTo < messages.length) break
      this.#actedTo = 0
      this.#current = undefined
      this.acted++
      this.#untold += size
      // Only now: messages of this very frame may build on answers that its count says have arrived.
      this.listener.acknowledged(received)
      if (messages.length > 0) this.#owe()
    }
    this.sender.uncork()
    if (this.#closed) return
    if (this.acted >= this.sender.told + COUNT_FRAMES || this.#untold >= COUNT_BYTES) this.tell(false)
    if ((this.#current || this.#waiting.size > 0) && !this.#paused) this.#fallBehind()
    else if (this.#behind) this.#catchUp()
  }

  /** The rest waits for another turn of the event loop, and what is still to come for the rest. */
  #fallBehind(): void {
    this.#behind = true
    this.#restrain()
    inALaterTurn(() => {
      this.#slice.goOn()
      if (!this.#closed) this.#act()
    })
  }

  #catchUp(): void {
    this.#behind = false
    this.#restrain()
    if (this.parting) this.listener.end(this.parting)
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
    this.#untold = 0
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

  /** More replies wait for the peer than are to be kept for it: it is not acted on until it has read of them. */
  overflow(): void {
    if (this.#paused) return
    this.#paused = true
    this.sender.ask()
  }

  /** The peer has read of its replies: if that is enough, it is acted on again. */
  relieve(): void {
    if (!this.#paused || this.sender.owed > this.limits.bufferedBytes / 2) return
    this.#paused = false
    /* c8 ignore next: whether its turn has come by then is a matter of time. */
    if (this.#behind) return
    this.#slice.goOn()
    this.#act()
    this.#restrain()
  }

  stop(): void {
    clock.clearTimeout(this.#countTimer)
    this.#countTimer = undefined
  }
}

const tooMuch = (bytes: number) =>
  new ProtocolError(`${bytes} bytes of frames while this side could not act on them`, 'limit')
