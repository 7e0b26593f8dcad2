// Frames in: how many came, when they are acted on, and that the other side learns of it.
//
// What takes long to act on is acted on in slices, so that nobody else in the process waits for long. A peer that asks
// and does not acknowledge the replies is not acted on, until it does: its frames wait as they came, and only the count
// at their beginning is read. What it sent before its end is acted on before that.

import { ProtocolError, type Reason, reasonForError } from '../errors.js'
import { type Frame, type FrameData, parseAck, parseFrame } from '../protocol/frame.js'
import { type Limits, maxPayloadBytes } from '../protocol/limits.js'
import { formatMessage, type Trace } from '../protocol/trace.js'
import { HIGH_WATER_MARK_BYTES, type Transport } from '../transport/transport.js'
import { clock, type Timer, unref } from '../util/clock.js'
import { Queue } from '../util/queue.js'
import { yieldToEventLoop } from '../util/scheduler.js'
import { TimeSlice } from '../util/time-slice.js'
import type { Sender } from './sender.js'

/** What a receiver delivers to: the session. */
export interface FrameProcessor {
  /**
   * Acts on the messages of a frame, in order, beginning with number `from`, as long as it `mayGoOn`. Never throws.
   *
   * @returns the number of the first message not acted on
   */
  processMessages(frame: Frame, from: number): number
  /** The peer has received that many of our frames. */
  onAcknowledged(frames: number): void
  end(reason: Reason): void
}

/** How long the count of received frames waits for a frame to ride on, in ms; and how many of them, and bytes, do. */
const ACK_DELAY_MS = 250
const ACK_AFTER_FRAMES = 32
const ACK_AFTER_BYTES = 256 << 10
/** What a frame that waits takes up beside its text, in bytes: a peer may send any number of small ones. */
const ENTRY_OVERHEAD_BYTES = 24

export class ReceivedReferencesHolder {
  receivedFrames = 0
  /** Of these, those that were acted on. */
  processedFrames = 0
  receivedBytes = 0
  /** The count of our frames that the peer told last. */
  peerAck = 0
  /** The frame that is being acted on, up to which message. */
  #currentFrame: Frame | undefined
  #nextMessage = 0
  /** Frames that have come and wait, as they came; and their bytes. */
  readonly #queuedFrames = new Queue<FrameData>()
  #queuedFrameBytes = 0
  /** How much may wait before no more is read. */
  readonly #maxQueuedBytes: number
  /** Whether they wait for the peer to read its replies; else for their turn: `#behind` with the next slice. */
  #backpressured = false
  #deferred = false
  /** Whether the transport is not read from. */
  #readingPaused = false
  readonly #timeSlice = new TimeSlice()
  /** Bytes of frames acted on since the count alone was told. */
  #bytesToAck = 0
  #ackTimer: Timer | undefined
  /** What the session ends for when all that came before has been acted on: what comes after it is not heard. */
  deferredEnd: Reason | undefined
  #closed = false

  constructor(
    /** What frames come from; undefined while another one is awaited. */
    public transport: Transport | undefined,
    private readonly processor: FrameProcessor,
    private readonly sender: Sender,
    private readonly limits: Limits,
    private readonly trace: Trace | undefined
  ) {
    // A frame of the largest has to fit, and all that a peer of the same limits keeps: its count may be at the end of that.
    this.#maxQueuedBytes = Math.max(limits.bufferedBytes, maxPayloadBytes(limits))
  }

  /** Whether nothing more is acted on until the peer reads its replies, or its turn comes. */
  get isPostponed(): boolean {
    return this.#backpressured || this.#deferred
  }

  /** Whether it is the peer that has to read before anything more is acted on. */
  get isBackpressured(): boolean {
    return this.#backpressured
  }

  /** Whether the transport is not read from: silence says nothing then. */
  get isReadingPaused(): boolean {
    return this.#readingPaused
  }

  /** Whether what came waits for nothing but its turn. */
  get isDeferred(): boolean {
    return this.#deferred && !this.#backpressured
  }

  /** Whether the session is to act on one more message now. */
  get mayContinue(): boolean {
    return !this.#backpressured && !this.#closed && this.#timeSlice.hasTimeLeft
  }

  /** Frames come from there now. */
  attach(transport: Transport): void {
    this.transport = transport
    this.#readingPaused = false
    this.#updateReading()
  }

  /** No frames come until there is another transport. */
  detach(): void {
    this.transport = undefined
  }

  /** Nothing is heard any more, or acted on. */
  close(): void {
    this.#closed = true
    if (this.#readingPaused) this.transport?.resume()
    this.#queuedFrames.clear()
    this.#currentFrame = undefined
  }

  /** What waits, in bytes: the frames, or what they take up beside their text, whichever is more. */
  get #queuedBytes(): number {
    return Math.max(this.#queuedFrameBytes, this.#queuedFrames.size * ENTRY_OVERHEAD_BYTES)
  }

  /** Reads from the transport, or not. */
  #updateReading(): void {
    const pauses = this.#deferred || this.#queuedBytes > this.#maxQueuedBytes
    if (pauses === this.#readingPaused || this.#closed) return
    this.#readingPaused = pauses
    if (pauses) this.transport?.pause()
    else this.transport?.resume()
  }

  /** The session ends: when all that came before has been acted on, or now where that waits for the peer to read. */
  end(reason: Reason): void {
    if (this.isDeferred) this.deferredEnd ??= reason
    else this.processor.end(reason)
  }

  receive(data: FrameData): void {
    this.receivedBytes += data.length
    if (this.deferredEnd || this.#closed) return
    const isIdle = !this.isPostponed && !this.#currentFrame
    try {
      if (isIdle) this.#processNow(data)
      else this.#enqueue(data)
    } catch (error) {
      this.end(reasonForError(error))
    }
  }

  /** A frame that nothing is before. */
  #processNow(data: FrameData): void {
    this.#timeSlice.start(data.length)
    const frame = this.#parse(data)
    this.#handleAck(frame)
    if (frame.isAckOnly) return this.processor.onAcknowledged(frame.ack)
    this.receivedFrames++
    this.#currentFrame = frame
    this.#processFrames()
  }

  /** A frame that waits. */
  #enqueue(data: FrameData): void {
    const ack = parseAck(data)
    this.#handleAck(ack)
    if (!ack.isAckOnly) {
      this.receivedFrames++
      this.#queuedFrames.push(data)
      this.#queuedFrameBytes += data.length
      // Where reading cannot be stopped, or what was on its way comes all the same.
      if (this.#queuedBytes > 2 * this.#maxQueuedBytes + HIGH_WATER_MARK_BYTES)
        throw tooManyBytesError(this.#queuedBytes)
      this.#updateReading()
    }
    this.releaseBackpressure()
  }

  #parse(data: FrameData): Frame {
    const frame = parseFrame(data, this.limits)
    if (this.trace) for (const message of frame.messages) this.trace('←', formatMessage(message))
    return frame
  }

  /** What a frame says of the frames that went the other way. */
  #handleAck({ ack, requestsAck }: Pick<Frame, 'ack' | 'requestsAck'>): void {
    const { sentFrames } = this.sender.replayBuffer
    if (ack > sentFrames || ack < this.peerAck) {
      throw new ProtocolError(`a count of ${ack} frames, of ${sentFrames} sent`)
    }
    this.peerAck = ack
    this.sender.acknowledge(ack)
    if (requestsAck) this.sendAck(false)
  }

  /** The next frame that waits. A bad one ends the session. */
  #dequeue(): Frame | undefined {
    const data = this.#queuedFrames.shift()
    if (data === undefined) return undefined
    this.#queuedFrameBytes -= data.length
    try {
      this.#currentFrame = this.#parse(data)
    } catch (error) {
      this.processor.end(reasonForError(error))
    }
    return this.#currentFrame
  }

  /** Acts on the frames that have come, as long as the peer reads its replies, and for no longer than a slice. */
  #processFrames(): void {
    while (!this.#backpressured) {
      const frame = this.#currentFrame ?? this.#dequeue()
      if (!frame) break
      const { ack, messages, sizeBytes } = frame
      this.sender.cork(messages.length)
      // Much that came in one go causes much that can leave in one go: also what its promises cause.
      if (messages.length > 1) this.sender.flushAtEndOfTick()
      this.#timeSlice.startFrame(sizeBytes)
      this.#nextMessage = this.processor.processMessages(frame, this.#nextMessage)
      if (this.#nextMessage < messages.length) break
      this.#nextMessage = 0
      this.#currentFrame = undefined
      this.processedFrames++
      this.#bytesToAck += sizeBytes
      // Only now: messages of this very frame may build on answers that its count says have arrived.
      this.processor.onAcknowledged(ack)
      if (messages.length > 0) this.#scheduleAck()
    }
    this.sender.uncork()
    if (this.#closed) return
    if (
      this.processedFrames >= this.sender.lastAckSent + ACK_AFTER_FRAMES ||
      this.#bytesToAck >= ACK_AFTER_BYTES
    )
      this.sendAck(false)
    if ((this.#currentFrame || this.#queuedFrames.size > 0) && !this.#backpressured) this.#defer()
    else if (this.#deferred) this.#endDeferral()
  }

  /** The rest waits for another turn of the event loop, and what is still to come for the rest. */
  #defer(): void {
    this.#deferred = true
    this.#updateReading()
    yieldToEventLoop(() => {
      this.#timeSlice.restart()
      if (!this.#closed) this.#processFrames()
    })
  }

  #endDeferral(): void {
    this.#deferred = false
    this.#updateReading()
    if (this.deferredEnd) this.processor.end(this.deferredEnd)
  }

  // The count that the peer is owed.

  /** It goes with the next frame, or alone when none comes soon. */
  #scheduleAck(): void {
    if (this.#ackTimer !== undefined) return
    this.#ackTimer = clock.setTimeout(() => {
      this.#ackTimer = undefined
      if (this.processedFrames > this.sender.lastAckSent) this.sendAck(false)
    }, ACK_DELAY_MS)
    unref(this.#ackTimer)
  }

  sendAck(requestsAck: boolean): void {
    this.#bytesToAck = 0
    this.sender.sendAck(requestsAck)
  }

  // A peer that does not read.

  /** So many bytes of a reply are about to be sent. */
  countReplyBytes(bytes: number): void {
    this.#timeSlice.countReply(bytes)
  }

  /** So many values of a message were made. */
  countDecodedValues(values: number): void {
    this.#timeSlice.countValues(values)
  }

  /** More replies wait for the peer than are to be kept for it: it is not acted on until it has read of them. */
  applyBackpressure(): void {
    if (this.#backpressured) return
    this.#backpressured = true
    this.sender.requestAck()
  }

  /** The peer has read of its replies: if that is enough, it is acted on again. */
  releaseBackpressure(): void {
    if (!this.#backpressured || this.sender.unreadReplyBytes > this.limits.bufferedBytes / 2) return
    this.#backpressured = false
    /* c8 ignore next: whether its turn has come by then is a matter of time. */
    if (this.#deferred) return
    this.#timeSlice.restart()
    this.#processFrames()
    this.#updateReading()
  }

  stop(): void {
    clock.clearTimeout(this.#ackTimer)
    this.#ackTimer = undefined
  }
}

const tooManyBytesError = (bytes: number) =>
  new ProtocolError(`${bytes} bytes of frames while this side could not act on them`, 'limit')
