// Frames out: when messages leave, and that the other side learns of what has come.
//
// All messages of a tick leave as one frame at its end. What a frame causes at once leaves as one when it has been acted
// on; of much, the first half as soon as it is there. A transport that has enough to carry is given no more.

import { LimitError } from '../errors.js'
import { type FrameData, formatAck } from '../protocol/frame.js'
import { MIN_FRAME_BYTES, type PeerLimits } from '../protocol/messages.js'
import { formatMessage, type Trace } from '../protocol/trace.js'
import { HIGH_WATER_MARK_BYTES, type Transport } from '../transport/transport.js'
import { runAfterMicrotasks, runInMicrotask } from '../util/scheduler.js'
import { copyOrTransfer, isTransferred } from '../util/transfer.js'
import { FRAME_OVERHEAD_BYTES, FrameBuilder } from './frame-builder.js'
import { ReplayBuffer } from './replay-buffer.js'

/** What a sender asks of its link. */
export interface SenderContext {
  /** The frames of the peer that were acted on. */
  readonly processedFrames: number
  /** The frames of ours that the peer has counted. */
  readonly peerAck: number
  /** A message to go along at the end of a tick, if there is one; small ones, and more than one if there is much. */
  takePiggybackMessage(): string | undefined
  /** Whether so much is kept for the peer that who sends more is to wait. */
  readonly isCongested: boolean
}

/** What every side takes. */
const MIN_FRAME_LIMITS = { jsonBytes: MIN_FRAME_BYTES, frameBytes: MIN_FRAME_BYTES }
/** A message that is worth a frame at once: it is on its way meanwhile, and its bytes are copied once and not twice. */
const SEND_AT_ONCE_BYTES = 1 << 15
/** Messages of a frame whose replies are worth two frames: the peer reads the first while the second is being made. */
const SPLIT_REPLIES_FROM_MESSAGES = 8
/** What may wait for the end of the tick before who sends more is asked to wait for that, too. */
const TICK_HIGH_WATER_MARK_BYTES = 64 << 10

export class Sender {
  closedFrames = 0
  sentBytes = 0
  /** The count of frames that the peer was told last. */
  lastAckSent = 0
  /** Whether nothing leaves after the first frame until the peer has said what it takes. */
  awaitsPeerHello = false
  readonly replayBuffer: ReplayBuffer
  #frameBuilder = new FrameBuilder()
  /** The place in its frame of the message that was sent last. */
  lastMessageIndex = 0
  #flushScheduled = false
  /** While a frame is acted on, nothing leaves until there are so many messages, and then if the peer may be idle. */
  #corked = false
  #splitAtMessages = 0
  /** What takes frames, if there is any; and whether it has enough of them. */
  #transport: Transport | undefined
  #transportFull = false
  /** The count that is told alone, if one has not left yet; and whether another one is due then. */
  #ackInTransit = false
  #pendingAck: { readonly requestsAck: boolean } | undefined
  /** How large a frame of more than one message may be. */
  #frameLimits: Pick<PeerLimits, 'jsonBytes' | 'frameBytes'> = MIN_FRAME_LIMITS
  #writable: Promise<void> | undefined
  #resolveWritable: (() => void) | undefined

  constructor(
    private readonly context: SenderContext,
    /** What the peer takes; what it may take, until it has said so. */
    public peerLimits: PeerLimits,
    keepsSentFrames: boolean,
    private readonly trace: Trace | undefined,
    /** Whether frames go in parts. */
    private readonly transfersBuffers: boolean
  ) {
    this.replayBuffer = new ReplayBuffer(keepsSentFrames, transfersBuffers)
  }

  /** The peer has said what it takes. */
  setPeerLimits(limits: PeerLimits): void {
    this.peerLimits = this.#frameLimits = limits
    if (!this.awaitsPeerHello) return
    this.awaitsPeerHello = false
    this.flushAtEndOfTick()
  }

  /** What waits is the first frame. The rest leaves when the peer has answered it: until then nothing else can be lost. */
  sendHelloOnly(): void {
    this.awaitsPeerHello = true
    this.#closeFrame()
  }

  /** Whether what is sent now leaves at once. */
  get canSend(): boolean {
    return (
      this.#transport !== undefined &&
      !this.#transportFull &&
      !(this.awaitsPeerHello && this.replayBuffer.sentFrames > 0)
    )
  }

  /** Whether there is something to be sent. */
  get hasUnsent(): boolean {
    return this.replayBuffer.hasUnsent || !this.#frameBuilder.isEmpty
  }

  /** Whether there is more than the hello. */
  get hasMoreThanHello(): boolean {
    return this.closedFrames + this.#frameBuilder.messageCount > 1
  }

  /** Bytes of replies that the peer has not acknowledged. */
  get unreadReplyBytes(): number {
    return this.replayBuffer.unreadReplyBytes + this.#frameBuilder.replyBytes
  }

  /** Bytes that wait to leave, here and in the transport. */
  get unsentBytes(): number {
    return this.replayBuffer.unsentBytes + (this.#transport?.bufferedAmount ?? 0)
  }

  /** Resolves when all that was sent has been given to a transport, and is not too much. */
  whenSent(): Promise<void> {
    this.#writable ??= new Promise(resolve => {
      this.#resolveWritable = resolve
    })
    return this.#writable
  }

  /** The same, but undefined when most of it has been. */
  whenWritable(): Promise<void> | undefined {
    return this.canSend && this.#frameBuilder.size < TICK_HIGH_WATER_MARK_BYTES && !this.context.isCongested
      ? undefined
      : this.whenSent()
  }

  #signalWritable(): void {
    this.#writable = undefined
    this.#resolveWritable?.()
  }

  /** Bytes that are kept for the peer. */
  get unackedBytes(): number {
    const { bytes, keepsSentFrames } = this.replayBuffer
    const inTransport = keepsSentFrames ? 0 : (this.#transport?.bufferedAmount ?? 0)
    return bytes + inTransport + this.#frameBuilder.size
  }

  /** The peer has that many frames. */
  acknowledge(ack: number): void {
    this.replayBuffer.acknowledge(ack)
    if (this.#writable && this.canSend && !this.context.isCongested) this.#signalWritable()
  }

  /** The transport takes frames from now on: first those that are kept. */
  attach(transport: Transport): void {
    this.#transport = transport
    this.#transportFull = this.#ackInTransit = false
    this.#pendingAck = undefined
    this.flush()
    this.flushAtEndOfTick()
  }

  /** The transport takes no more frames; what it was given may have to be sent again. */
  detach(): void {
    this.#transport = undefined
    this.replayBuffer.rewind()
  }

  /** Gives the transport all that waits, as the last thing, however much that is. */
  close(): void {
    this.awaitsPeerHello = false
    while (this.#transport) {
      this.#transportFull = false
      this.flush()
      if (!this.hasUnsent) break
    }
    this.#transport = undefined
    this.replayBuffer.clear()
    this.#signalWritable()
  }

  /**
   * Sends a message, with the bytes that belong to it: they are copied unless they leave at once, and moved where they
   * were given up. So many bytes of it are owed to the peer.
   *
   * @returns the number of the frame the message is in
   * @throws LimitError for more than the peer takes; nothing is sent then
   */
  send(message: string, bytes: readonly Uint8Array[], size: number, replyBytes: number): number {
    const { jsonBytes, frameBytes } = this.peerLimits
    const jsonLength = message.length + FRAME_OVERHEAD_BYTES
    if (jsonLength > jsonBytes)
      throw this.#tooLargeError(`${jsonLength} characters of JSON`, 'jsonBytes', replyBytes > 0)
    if (jsonLength + size > frameBytes)
      throw this.#tooLargeError(`${jsonLength + size} bytes`, 'frameBytes', replyBytes > 0)
    this.#addPiggybackMessages()
    if (!this.#frameBuilder.fits(message, size, this.#frameLimits)) this.#closeFrame()
    const atOnce = message.length + size > SEND_AT_ONCE_BYTES && this.canSend && !this.replayBuffer.hasUnsent
    const ownsBytes = bytes.length > 0 && (!atOnce || this.transfersBuffers || bytes.some(isTransferred))
    this.lastMessageIndex = this.#frameBuilder.messageCount
    this.#frameBuilder.add(message, ownsBytes ? copyOrTransfer(bytes) : bytes)
    this.#frameBuilder.replyBytes += replyBytes
    const frame = this.closedFrames + 1
    if (atOnce) this.#closeFrame()
    if (!this.#corked) this.flushAtEndOfTick()
    else if (
      this.#frameBuilder.messageCount >= this.#splitAtMessages &&
      this.closedFrames === this.context.peerAck
    )
      this.#closeFrame()
    return frame
  }

  /** Whether a transport was given the frame of that number. */
  isFrameSent(frame: number): boolean {
    return frame <= this.closedFrames && this.replayBuffer.isFrameSent(frame)
  }

  /** Withdraws a message that has not left; `instead` stands in its place. */
  withdraw(frame: number, index: number, replacement: string): void {
    if (frame > this.closedFrames) this.#frameBuilder.withdraw(index, replacement)
    else this.replayBuffer.withdraw(frame, index, replacement)
  }

  /** Ends the frame that is being filled if `size` more would make it larger than `most`. */
  closeFrameIfOver(size: number, maxBytes: number): void {
    if (!this.#frameBuilder.fits('', size, { jsonBytes: maxBytes, frameBytes: maxBytes })) this.#closeFrame()
  }

  /** Sees to it that what waits leaves at the end of this tick. */
  flushAtEndOfTick(): void {
    if (this.#flushScheduled) return
    this.#flushScheduled = true
    runInMicrotask(this.#scheduleFlush)
  }

  /** The end of a tick is when all is done that is under way, promises included, before anything new is read. */
  readonly #scheduleFlush = () => runAfterMicrotasks(this.#onEndOfTick)

  readonly #onEndOfTick = () => {
    this.#flushScheduled = false
    this.flush()
  }

  /** A frame with so many messages is going to be acted on. */
  cork(messages: number): void {
    this.#corked = true
    this.#splitAtMessages = Math.max(SPLIT_REPLIES_FROM_MESSAGES, messages) / 2
  }

  /** A frame has been acted on: all it caused at once leaves. */
  uncork(): void {
    this.#corked = false
    if (!this.#flushScheduled && !this.#frameBuilder.isEmpty) this.flush()
  }

  /** Sends what waits, if the transport takes it. */
  flush(): void {
    this.#addPiggybackMessages()
    this.#transmit()
    if (this.canSend && !this.#frameBuilder.isEmpty) this.#closeFrame()
    if (this.canSend && !this.context.isCongested) this.#signalWritable()
    this.#sendPendingAck()
  }

  /** Asks the peer at the end of the tick what it has received. */
  requestAck(): void {
    this.#pendingAck = { requestsAck: true }
    this.flushAtEndOfTick()
  }

  /**
   * Tells the count alone, once the transport takes it and the one before has left: a peer that asks for many and reads none
   * makes no queue. It must not overtake a message that waits, as that may build on an answer.
   */
  sendAck(requestsAck: boolean): void {
    const transport = this.#transport
    if (!this.canSend || this.#ackInTransit) {
      this.#pendingAck = { requestsAck: requestsAck || this.#pendingAck?.requestsAck === true }
      return
    }
    if (this.#frameBuilder.isEmpty) this.lastAckSent = this.context.processedFrames
    const ackFrame = formatAck(this.lastAckSent, requestsAck)
    this.sentBytes += ackFrame.length
    this.#ackInTransit = true
    transport!.send(ackFrame, () => {
      if (transport !== this.#transport) return
      this.#ackInTransit = false
      this.#sendPendingAck()
    })
  }

  #sendPendingAck(): void {
    const pending = this.#pendingAck
    this.#pendingAck = undefined
    if (pending) this.sendAck(pending.requestsAck)
  }

  /** What is to go along goes before what is sent after it. */
  #addPiggybackMessages(): void {
    for (
      let message = this.context.takePiggybackMessage();
      message !== undefined;
      message = this.context.takePiggybackMessage()
    ) {
      if (!this.#frameBuilder.fits(message, 0, this.#frameLimits)) this.#closeFrame()
      this.#frameBuilder.add(message, [])
    }
  }

  #closeFrame(): void {
    this.lastAckSent = this.context.processedFrames
    this.#frameBuilder.close(this.lastAckSent)
    this.closedFrames++
    this.replayBuffer.add(this.#frameBuilder)
    this.#frameBuilder = new FrameBuilder()
    this.#transmit()
  }

  #transmit(): void {
    const { replayBuffer, trace } = this
    while (this.canSend && replayBuffer.hasUnsent) {
      if (trace)
        for (const message of replayBuffer.nextNewMessages) trace('→', formatMessage(JSON.parse(message)))
      // Who was told of it may have ended the session.
      if (!replayBuffer.hasUnsent) return
      const { sentFrames } = replayBuffer
      const frame = replayBuffer.takeNext()
      // One that is sent again counts once.
      if (replayBuffer.sentFrames > sentFrames) this.sentBytes += frame.length
      this.#sendFrame(this.#transport!, frame)
    }
  }

  #sendFrame(transport: Transport, frame: FrameData): void {
    this.#transportFull = transport.bufferedAmount + frame.length > HIGH_WATER_MARK_BYTES
    if (this.#transportFull) transport.send(frame, () => this.#onDrain(transport))
    else transport.send(frame)
  }

  #onDrain(transport: Transport): void {
    if (transport !== this.#transport) return
    this.#transportFull = false
    this.flush()
  }

  /** What is owed is an answer: then it is the peer that reads the error. */
  #tooLargeError(size: string, limit: 'jsonBytes' | 'frameBytes', isReply: boolean): LimitError {
    const maximum = this.peerLimits[limit]
    if (isReply) {
      return new LimitError(
        'limit',
        `the answer has ${size}, more than its caller takes (its limits.${limit}: ${maximum}): raise it, or let the method return an iterator`
      )
    }
    const limitsKnown = this.#frameLimits !== MIN_FRAME_LIMITS
    const accepts = limitsKnown ? 'takes' : 'is known to take before it has answered'
    const remedy = limitsKnown ? 'send it in parts' : 'await `ping()` first, or send it in parts'
    return new LimitError(
      'limit',
      `${size} are more than the other side ${accepts} (limits.${limit}: ${maximum}): ${remedy}`
    )
  }
}
