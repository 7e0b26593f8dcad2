// The receiving half of a link: it processes the frames of the peer, in order, and acknowledges them.
//
// Processing takes at most a time slice in each turn of the event loop. While the peer leaves too many replies unread, its
// frames are queued unparsed, and only the acknowledgement at their beginning is read. Frames that arrived before the end
// of the session are processed before it.

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

/** The session of a receiver. */
export interface FrameProcessor {
  /**
   * Processes the messages of a frame in order, from index `from` on, while the receiver's `mayContinue` is true. Does not
   * throw.
   *
   * @returns the index of the first message not processed
   */
  processMessages(frame: Frame, from: number): number
  /** The peer has received that many frames of this side. */
  onAcknowledged(frames: number): void
  end(reason: Reason): void
}

/** Time that an acknowledgement waits for a frame to leave with; and the frames, and bytes, that do not wait. */
const ACK_DELAY_MS = 250
const ACK_AFTER_FRAMES = 32
const ACK_AFTER_BYTES = 256 << 10
/** Memory of a queued frame besides its text: a peer may send many small ones. */
const ENTRY_OVERHEAD_BYTES = 24

/**
 * - running: a frame is processed when it arrives.
 * - deferred: frames are queued for a later turn of the event loop, and reading is paused.
 * - backpressured: frames are queued until the peer acknowledges replies.
 * - ending: queued frames are processed in later turns, new frames are ignored; then the session ends.
 * - closed: all frames are ignored.
 *
 * | state                     | event                                      | next state                           |
 * | ------------------------- | ------------------------------------------ | ------------------------------------ |
 * | running                   | the time slice is over, frames are left    | deferred                             |
 * | deferred                  | no frames are left                         | running                              |
 * | deferred                  | the session is to end                      | ending                               |
 * | running, deferred, ending | the peer leaves too many replies unread    | backpressured                        |
 * | backpressured             | the peer has read enough of them           | running; if a turn is still scheduled, deferred or ending |
 * | ending                    | no frames are left                         | closed                               |
 * | any                       | the session ends                           | closed                               |
 */
type ReceiverState = 'running' | 'deferred' | 'backpressured' | 'ending' | 'closed'

export class Receiver {
  receivedFrames = 0
  /** Of these, the frames that were processed. */
  processedFrames = 0
  receivedBytes = 0
  /** Number of own frames in the peer's last acknowledgement. */
  peerAck = 0
  /** The frame that is being processed, and the index of its next message. */
  #currentFrame: Frame | undefined
  #nextMessage = 0
  /** Frames that wait, unparsed. */
  readonly #queuedFrames = new Queue<FrameData>()
  #queuedFrameBytes = 0
  /** Queued bytes above which reading is paused. */
  readonly #maxQueuedBytes: number
  #state: ReceiverState = 'running'
  /** Whether a later turn of the event loop continues the processing. */
  #turnScheduled = false
  #readingPaused = false
  readonly #timeSlice = new TimeSlice()
  /** Bytes of frames processed since the last ack-only frame. */
  #bytesToAck = 0
  #ackTimer: Timer | undefined
  /** Reason to end the session once all frames received so far are processed. Later frames are ignored. */
  deferredEnd: Reason | undefined

  constructor(
    /** Undefined while the link waits for another transport. */
    public transport: Transport | undefined,
    private readonly processor: FrameProcessor,
    private readonly sender: Sender,
    private readonly limits: Limits,
    private readonly trace: Trace | undefined
  ) {
    // The largest frame fits, and all that a peer with the same limits holds: its acknowledgement may come last.
    this.#maxQueuedBytes = Math.max(limits.bufferedBytes, maxPayloadBytes(limits))
  }

  /** Whether frames are queued: for a later turn, or until the peer reads. */
  get isPostponed(): boolean {
    return this.#state !== 'running' && this.#state !== 'closed'
  }

  /** Whether frames are queued until the peer reads. */
  get isBackpressured(): boolean {
    return this.#state === 'backpressured'
  }

  /** Whether the transport is not read from. */
  get isReadingPaused(): boolean {
    return this.#readingPaused
  }

  /** Whether frames are queued for a later turn. */
  get isDeferred(): boolean {
    return this.#state === 'deferred' || this.#state === 'ending'
  }

  /** Whether the session may process one more message now. */
  get mayContinue(): boolean {
    return this.#isProcessing() && this.#timeSlice.takeStep()
  }

  #isProcessing(): boolean {
    return this.#state !== 'backpressured' && this.#state !== 'closed'
  }

  /** Frames arrive over this transport from now on. */
  attach(transport: Transport): void {
    this.transport = transport
    this.#readingPaused = false
    this.#updateReading()
  }

  /** No frames arrive before there is another transport. */
  detach(): void {
    this.transport = undefined
  }

  /** Frames are ignored from now on, queued ones too. */
  close(): void {
    this.#state = 'closed'
    if (this.#readingPaused) this.transport?.resume()
    this.#queuedFrames.clear()
    this.#currentFrame = undefined
  }

  /** Bytes of queued frames, or of their overhead, whichever is more. */
  get #queuedBytes(): number {
    return Math.max(this.#queuedFrameBytes, this.#queuedFrames.size * ENTRY_OVERHEAD_BYTES)
  }

  /** Pauses or resumes reading from the transport. */
  #updateReading(): void {
    const pauses = this.isDeferred || this.#queuedBytes > this.#maxQueuedBytes
    if (pauses === this.#readingPaused || this.#state === 'closed') return
    this.#readingPaused = pauses
    if (pauses) this.transport?.pause()
    else this.transport?.resume()
  }

  /** Ends the session: once all queued frames are processed, or now if they wait for the peer to read. */
  end(reason: Reason): void {
    if (!this.isDeferred) return this.processor.end(reason)
    this.#state = 'ending'
    this.deferredEnd ??= reason
  }

  receive(data: FrameData): void {
    this.receivedBytes += data.length
    if (this.deferredEnd || this.#state === 'closed') return
    const isIdle = this.#state === 'running' && !this.#currentFrame
    try {
      if (isIdle) this.#processNow(data)
      else this.#enqueue(data)
    } catch (error) {
      this.end(reasonForError(error))
    }
  }

  /** Processes a frame that no other frame precedes. */
  #processNow(data: FrameData): void {
    this.#timeSlice.start(data.length)
    const frame = this.#parse(data)
    this.#handleAck(frame)
    if (frame.isAckOnly) return this.processor.onAcknowledged(frame.ack)
    this.receivedFrames++
    this.#currentFrame = frame
    this.#processFrames()
  }

  /** Queues a frame; its acknowledgement takes effect at once. */
  #enqueue(data: FrameData): void {
    const ack = parseAck(data)
    this.#handleAck(ack)
    if (!ack.isAckOnly) {
      this.receivedFrames++
      this.#queuedFrames.push(data)
      this.#queuedFrameBytes += data.length
      // Frames arrive in spite of the pause if a transport cannot pause, or has them in its buffers.
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

  #handleAck({ ack, requestsAck }: Pick<Frame, 'ack' | 'requestsAck'>): void {
    const { sentFrames } = this.sender.replayBuffer
    if (ack > sentFrames || ack < this.peerAck) {
      throw new ProtocolError(`an acknowledgement of ${ack} frames, but ${sentFrames} were sent`)
    }
    this.peerAck = ack
    this.sender.acknowledge(ack)
    if (requestsAck) this.sendAck(false)
  }

  /** The next queued frame. An invalid one ends the session. */
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

  /** Processes frames for one time slice, while the peer reads its replies. */
  #processFrames(): void {
    while (this.#isProcessing()) {
      const frame = this.#currentFrame ?? this.#dequeue()
      if (!frame) break
      const { ack, messages, sizeBytes } = frame
      this.sender.cork(messages.length)
      // The promises that a long frame settles cause messages, too: all leave as one frame.
      if (messages.length > 1) this.sender.flushAtEndOfTick()
      this.#timeSlice.startFrame(sizeBytes)
      this.#nextMessage = this.processor.processMessages(frame, this.#nextMessage)
      if (this.#nextMessage < messages.length) break
      this.#nextMessage = 0
      this.#currentFrame = undefined
      this.processedFrames++
      this.#bytesToAck += sizeBytes
      // Not before: messages of this frame may refer to answers that its acknowledgement covers.
      this.processor.onAcknowledged(ack)
      if (messages.length > 0) this.#scheduleAck()
    }
    this.sender.uncork()
    if (this.#state === 'closed') return
    if (
      this.processedFrames >= this.sender.lastAckSent + ACK_AFTER_FRAMES ||
      this.#bytesToAck >= ACK_AFTER_BYTES
    )
      this.sendAck(false)
    const isDone = !this.#currentFrame && this.#queuedFrames.size === 0
    if (!isDone && this.#isProcessing()) this.#defer()
    else if (this.deferredEnd) this.processor.end(this.deferredEnd)
    else this.#endDeferral()
  }

  /** Continues in a later turn of the event loop. */
  #defer(): void {
    if (this.#state === 'running') this.#state = 'deferred'
    this.#updateReading()
    this.#turnScheduled = true
    yieldToEventLoop(() => {
      this.#turnScheduled = false
      if (this.#state === 'closed') return
      this.#timeSlice.restart()
      this.#processFrames()
    })
  }

  #endDeferral(): void {
    if (this.#state === 'deferred') this.#state = 'running'
    this.#updateReading()
  }

  /** Sends an ack-only frame, unless another frame leaves soon. */
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

  /** Counts bytes of a reply towards the time slice. */
  countReplyBytes(bytes: number): void {
    this.#timeSlice.addBytes(bytes)
  }

  /** Counts decoded values towards the time slice. */
  countDecodedValues(values: number): void {
    this.#timeSlice.addValues(values)
  }

  /** Too many replies are unread: no frame is processed until the peer has read. */
  applyBackpressure(): void {
    if (!this.#isProcessing()) return
    this.#state = 'backpressured'
    this.sender.requestAck()
  }

  /** Processes frames again, if the peer has read enough of its replies. */
  releaseBackpressure(): void {
    const { unreadReplyBytes } = this.sender
    if (this.#state !== 'backpressured' || unreadReplyBytes > this.limits.bufferedBytes / 2) return
    /* c8 ignore next 4: depends on timing. */
    if (this.#turnScheduled) {
      this.#state = this.deferredEnd ? 'ending' : 'deferred'
      return
    }
    this.#state = 'running'
    this.#timeSlice.restart()
    this.#processFrames()
  }

  stopAckTimer(): void {
    clock.clearTimeout(this.#ackTimer)
    this.#ackTimer = undefined
  }
}

const tooManyBytesError = (bytes: number) =>
  new ProtocolError(`${bytes} bytes of frames, which this side could not process yet`, 'limit')
