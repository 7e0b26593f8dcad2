// The sending half of a link: it collects messages into frames, sends them, and acknowledges the frames of the peer.

import { LimitError } from '../errors.js'
import { type FrameData, formatAck } from '../protocol/frame.js'
import { MIN_FRAME_BYTES, type PeerLimits } from '../protocol/messages.js'
import { formatMessage, type Trace } from '../protocol/trace.js'
import { HIGH_WATER_MARK_BYTES, type Transport } from '../transport/transport.js'
import { copyOrTransfer, isTransferred } from '../util/transfer.js'
import { FlushPolicy } from './flush-policy.js'
import { FRAME_OVERHEAD_BYTES, FrameBuilder } from './frame-builder.js'
import { ReplayBuffer } from './replay-buffer.js'

/** The link of a sender. */
export interface SenderContext {
  /** Number of frames of the peer that were processed. */
  readonly processedFrames: number
  /** Number of own frames that the peer has acknowledged. */
  readonly peerAck: number
  /** The next message that waits for a frame to leave with; undefined if there is none. */
  takePiggybackMessage(): string | undefined
  /** Whether senders must wait, because too much is held for the peer. */
  readonly isCongested: boolean
}

/** Limits that every peer supports. */
const MIN_FRAME_LIMITS = { jsonBytes: MIN_FRAME_BYTES, frameBytes: MIN_FRAME_BYTES }

export class Sender {
  closedFrames = 0
  sentBytes = 0
  /** Number of frames of the peer in the last acknowledgement sent. */
  lastAckSent = 0
  /** Whether only the first frame may leave before the hello of the peer arrives. */
  awaitsPeerHello = false
  readonly replayBuffer: ReplayBuffer
  #frameBuilder = new FrameBuilder()
  /** Index, within its frame, of the message sent last. */
  lastMessageIndex = 0
  readonly #flushPolicy = new FlushPolicy(() => this.flush())
  /** Undefined while the link has no transport. */
  #transport: Transport | undefined
  #transportFull = false
  /** Whether an ack-only frame has not left yet; and the one to send after it. */
  #ackInTransit = false
  #pendingAck: { readonly requestsAck: boolean } | undefined
  /** Size limits of a frame with more than one message. */
  #frameLimits: Pick<PeerLimits, 'jsonBytes' | 'frameBytes'> = MIN_FRAME_LIMITS
  #writable: Promise<void> | undefined
  #resolveWritable: (() => void) | undefined

  constructor(
    private readonly context: SenderContext,
    /** Limits of the peer; until its hello arrives, the largest it may have. */
    public peerLimits: PeerLimits,
    keepsSentFrames: boolean,
    private readonly trace: Trace | undefined,
    /** Whether the transport transfers buffers, so that a frame is sent in parts. */
    private readonly transfersBuffers: boolean
  ) {
    this.replayBuffer = new ReplayBuffer(keepsSentFrames, transfersBuffers)
  }

  /** The hello of the peer has arrived. */
  setPeerLimits(limits: PeerLimits): void {
    this.peerLimits = this.#frameLimits = limits
    if (!this.awaitsPeerHello) return
    this.awaitsPeerHello = false
    this.flushAtEndOfTick()
  }

  /** Sends the queued messages as the first frame, and nothing else before the peer has answered it: nothing else can be lost. */
  sendHelloOnly(): void {
    this.awaitsPeerHello = true
    this.#closeFrame()
  }

  /** Whether the transport takes a frame now. */
  get canSend(): boolean {
    return (
      this.#transport !== undefined &&
      !this.#transportFull &&
      !(this.awaitsPeerHello && this.replayBuffer.sentFrames > 0)
    )
  }

  /** Whether messages wait to be sent. */
  get hasUnsent(): boolean {
    return this.replayBuffer.hasUnsent || !this.#frameBuilder.isEmpty
  }

  /** Whether there are messages besides the hello. */
  get hasMoreThanHello(): boolean {
    return this.closedFrames + this.#frameBuilder.messageCount > 1
  }

  /** Bytes of replies that the peer has not acknowledged. */
  get unreadReplyBytes(): number {
    return this.replayBuffer.unreadReplyBytes + this.#frameBuilder.replyBytes
  }

  /** Bytes not sent yet, here and in the transport. */
  get unsentBytes(): number {
    return this.replayBuffer.unsentBytes + (this.#transport?.bufferedAmount ?? 0)
  }

  /** Resolves when all messages were given to a transport, and the link is not congested. */
  whenSent(): Promise<void> {
    this.#writable ??= new Promise(resolve => {
      this.#resolveWritable = resolve
    })
    return this.#writable
  }

  /** Resolves when more may be sent; undefined if that is now. */
  whenWritable(): Promise<void> | undefined {
    const isWritable = this.canSend && this.#flushPolicy.isWritable(this.#frameBuilder.size)
    return isWritable && !this.context.isCongested ? undefined : this.whenSent()
  }

  #signalWritable(): void {
    this.#writable = undefined
    this.#resolveWritable?.()
  }

  /** Bytes held for the peer until it acknowledges them. */
  get unackedBytes(): number {
    const { bytes, keepsSentFrames } = this.replayBuffer
    const inTransport = keepsSentFrames ? 0 : (this.#transport?.bufferedAmount ?? 0)
    return bytes + inTransport + this.#frameBuilder.size
  }

  /** The peer has received that many frames. */
  acknowledge(ack: number): void {
    this.replayBuffer.acknowledge(ack)
    if (this.#writable && this.canSend && !this.context.isCongested) this.#signalWritable()
  }

  /** Sends over this transport from now on, beginning with the frames in the replay buffer. */
  attach(transport: Transport): void {
    this.#transport = transport
    this.#transportFull = this.#ackInTransit = false
    this.#pendingAck = undefined
    this.flush()
    this.flushAtEndOfTick()
  }

  /** The transport is gone; frames that were given to it may be sent again. */
  detach(): void {
    this.#transport = undefined
    this.replayBuffer.rewind()
  }

  /** Gives the transport all queued messages, regardless of its high-water mark, and sends nothing after them. */
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
   * Sends a message, with the byte ranges that belong to it. They are copied unless they are sent at once; buffers marked
   * as transferred are moved. `replyBytes` is the size of a reply, 0 for other messages.
   *
   * @returns the number of the message's frame
   * @throws LimitError if the message is too large for the peer; nothing is sent
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
    const isIdle = this.canSend && !this.replayBuffer.hasUnsent
    const atOnce = isIdle && this.#flushPolicy.sendsAtOnce(message.length + size)
    const ownsBytes = bytes.length > 0 && (!atOnce || this.transfersBuffers || bytes.some(isTransferred))
    this.lastMessageIndex = this.#frameBuilder.messageCount
    this.#frameBuilder.add(message, ownsBytes ? copyOrTransfer(bytes) : bytes)
    this.#frameBuilder.replyBytes += replyBytes
    const frame = this.closedFrames + 1
    if (atOnce) this.#closeFrame()
    const splits = this.#flushPolicy.messageAdded(this.#frameBuilder.messageCount)
    if (splits && this.closedFrames === this.context.peerAck) this.#closeFrame()
    return frame
  }

  /** Whether a transport was given the frame of that number. */
  isFrameSent(frame: number): boolean {
    return frame <= this.closedFrames && this.replayBuffer.isFrameSent(frame)
  }

  /** Withdraws a message that was not sent, and puts `replacement` in its place. */
  withdraw(frame: number, index: number, replacement: string): void {
    if (frame > this.closedFrames) this.#frameBuilder.withdraw(index, replacement)
    else this.replayBuffer.withdraw(frame, index, replacement)
  }

  /** Closes the frame that is being built, if `size` more bytes would make it larger than `maxBytes`. */
  closeFrameIfOver(size: number, maxBytes: number): void {
    if (!this.#frameBuilder.fits('', size, { jsonBytes: maxBytes, frameBytes: maxBytes })) this.#closeFrame()
  }

  /** Sends all queued messages at the end of this tick. */
  flushAtEndOfTick(): void {
    this.#flushPolicy.atEndOfTick()
  }

  /** A received frame with that many messages is about to be processed. */
  cork(messages: number): void {
    this.#flushPolicy.cork(messages)
  }

  /** A received frame has been processed. */
  uncork(): void {
    if (this.#flushPolicy.uncork() && !this.#frameBuilder.isEmpty) this.flush()
  }

  /** Sends all queued messages, if the transport takes them. */
  flush(): void {
    this.#addPiggybackMessages()
    this.#transmit()
    if (this.canSend && !this.#frameBuilder.isEmpty) this.#closeFrame()
    if (this.canSend && !this.context.isCongested) this.#signalWritable()
    this.#sendPendingAck()
  }

  /** Requests an acknowledgement of the peer at the end of the tick. */
  requestAck(): void {
    this.#pendingAck = { requestsAck: true }
    this.flushAtEndOfTick()
  }

  /**
   * Sends an ack-only frame, when the transport accepts it and the previous one has left. So a peer that requests many
   * and reads none does not cause a queue. It acknowledges no frame that a queued message may depend on.
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

  /** Piggyback messages come before the messages sent after them. */
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
      // The trace function may have ended the session.
      if (!replayBuffer.hasUnsent) return
      const { sentFrames: sent } = replayBuffer
      const frame = replayBuffer.takeNext()
      // A replayed frame counts once.
      if (replayBuffer.sentFrames > sent) this.sentBytes += frame.length
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

  /** The peer reads the error of a reply. */
  #tooLargeError(size: string, limit: 'jsonBytes' | 'frameBytes', isReply: boolean): LimitError {
    const maximum = this.peerLimits[limit]
    if (isReply) {
      return new LimitError(
        'limit',
        `the reply has ${size}, more than the caller accepts (its limits.${limit}: ${maximum}): raise it, or let the method return an iterator`
      )
    }
    const limitsKnown = this.#frameLimits !== MIN_FRAME_LIMITS
    const accepts = limitsKnown ? 'accepts' : 'is known to accept before its hello'
    const remedy = limitsKnown ? 'send it in parts' : 'await `ping()` first, or send it in parts'
    return new LimitError(
      'limit',
      `${size} are more than the other side ${accepts} (limits.${limit}: ${maximum}): ${remedy}`
    )
  }
}
