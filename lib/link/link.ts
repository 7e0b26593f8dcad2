// Frames over one transport after another, and what becomes of the transport.
//
// A frame is kept until the other side has counted it, and sent again on the next transport: each takes effect once and
// in order, whatever died whenever.

import {
  isRefusedByServer,
  isTransportLoss,
  LimitError,
  ProtocolError,
  type Reason,
  reasonForError
} from '../errors.js'
import type { FrameData } from '../protocol/frame.js'
import { type Limits, MAX_BUFFERED_FACTOR } from '../protocol/limits.js'
import type { PeerLimits } from '../protocol/messages.js'
import type { Trace } from '../protocol/trace.js'
import { IGNORE_EVENTS, type Transport, type TransportListener } from '../transport/transport.js'
import type { SessionState } from '../types/session.js'
import { type Deadline, startDeadline } from '../util/deadline.js'
import { ReadDeadline, type ReadProgress } from '../util/patience.js'
import { runInMicrotask } from '../util/scheduler.js'
import { sizeOfRanges } from './frame-builder.js'
import { Heartbeat, type HeartbeatTarget } from './heartbeat.js'
import { type FrameProcessor, ReceivedReferencesHolder } from './receiver.js'
import type { ResumeStrategy } from './recovery.js'
import { Sender, type SenderContext } from './sender.js'

/** What a link delivers to: the session above it. */
export interface LinkListener extends FrameProcessor {
  /** A message to go along at the end of a tick, if there is one; small ones, and more than one if there is much. */
  takePiggybackMessage(): string | undefined
  /** About what is held for calls of the peer's that are under way, in bytes. */
  readonly incomingCallBytes: number
  /** The transport was lost, and another one is awaited. */
  onInterrupted(reason: Reason): void
  /** Another transport carries on. */
  onResumed(): void
}

export interface LinkSetup {
  readonly limits: Limits
  /** In ms; 0 for none. @default 0 */
  readonly heartbeat?: number | undefined
  /** Without it the session ends with its transport. */
  readonly resumeStrategy?: ResumeStrategy | undefined
  /** Told of each message that crosses. */
  readonly trace: Trace | undefined
}

/** How long the transport may take to open once the session is to close, in ms. */
const OPEN_BEFORE_CLOSE_TIMEOUT_MS = 2000
const UNREAD_REPLIES_MESSAGE = 'the caller has not read the replies it was sent before'

export class Link implements TransportListener, SenderContext, HeartbeatTarget, ReadProgress {
  state: SessionState = 'connecting'
  readonly sender: Sender
  readonly receiver: ReceivedReferencesHolder
  readonly #limits: Limits
  readonly #resumeStrategy: ResumeStrategy | undefined
  readonly #heartbeat: Heartbeat
  readonly #readDeadline: ReadDeadline
  #closeReason: Reason | undefined
  /** Until the transport has to be open, where the session closes once what was called is sent. */
  #openDeadline: Deadline | undefined
  #keepsProcessAlive = true
  #resolveTransportClosed: (() => void) | undefined
  /** Resolves when the transport is gone. */
  readonly transportClosed = new Promise<void>(resolve => {
    this.#resolveTransportClosed = resolve
  })

  constructor(
    private transport: Transport,
    private readonly listener: LinkListener,
    { limits, heartbeat = 0, resumeStrategy, trace }: LinkSetup
  ) {
    this.#limits = limits
    this.#resumeStrategy = resumeStrategy
    this.#heartbeat = new Heartbeat(heartbeat, this)
    this.#readDeadline = new ReadDeadline(limits.pauseMs, this)
    this.sender = new Sender(this, limits, resumeStrategy !== undefined, trace, transport.transfersBuffers)
    this.receiver = new ReceivedReferencesHolder(transport, listener, this.sender, limits, trace)
  }

  /** Begins with its transport; or with another one, where that never opened. */
  start(transport = this.transport): void {
    this.transport = transport
    if (!this.#keepsProcessAlive) transport.unref()
    transport.start(this)
  }

  /** Goes on over another transport, whose other end has received that many frames, and is first sent `greeting`. */
  resume(transport: Transport, peerAck: number, firstFrame?: string): void {
    const { replayBuffer } = this.sender
    const { deferredEnd } = this.receiver
    if (deferredEnd) return transport.close(deferredEnd)
    if (!replayBuffer.isPlausibleAck(peerAck)) {
      const reason = reasonForError(new ProtocolError(`a count of ${peerAck} frames to go on from`))
      transport.close(reason)
      return this.end(reason)
    }
    if (this.state === 'open') {
      this.#abandonTransport({ code: 'connection-lost', message: 'another socket carries the session on' })
    }
    // Who was told of that may have ended the session.
    if (this.#closeReason) return transport.close(this.#closeReason)
    this.#resumeStrategy!.stop(transport)
    if (firstFrame !== undefined) transport.send(firstFrame)
    this.sender.acknowledge(peerAck)
    this.start(transport)
  }

  /** Sends a call. @throws LimitError for more than the peer takes, or more than may wait for it; nothing is sent then */
  sendCall(message: string, bytes: readonly Uint8Array[]): number {
    const size = sizeOfRanges(bytes)
    const { bufferedBytes } = this.#limits
    const allowedBytes = bufferedBytes - message.length - size
    const hasTransport = this.receiver.transport !== undefined
    // One that is larger than what may wait goes all the same while not much does.
    if (
      this.sender.unackedBytes > (hasTransport ? Math.max(allowedBytes, bufferedBytes / 2) : allowedBytes)
    ) {
      if (hasTransport) this.#readDeadline.start()
      const detail = hasTransport
        ? 'the other side has not read or acted on what it was sent'
        : 'the connection is interrupted'
      throw new LimitError(
        'limit',
        `${detail}, and no more than ${bufferedBytes} bytes wait for it (limits.bufferedBytes): wait for calls to settle`
      )
    }
    return this.sender.send(message, bytes, size, 0)
  }

  send(message: string, bytes: readonly Uint8Array[]): number {
    return this.sender.send(message, bytes, sizeOfRanges(bytes), 0)
  }

  get lastMessageIndex(): number {
    return this.sender.lastMessageIndex
  }

  isFrameSent(frame: number): boolean {
    return this.sender.isFrameSent(frame)
  }

  withdraw(frame: number, index: number, replacement = ''): void {
    this.sender.withdraw(frame, index, replacement)
  }

  /** Neither this transport nor another one, nor the search for that, keeps the process alive any more. */
  unref(): void {
    this.#keepsProcessAlive = false
    this.transport.unref()
    this.#openDeadline?.unref()
    this.#resumeStrategy?.unref()
  }

  closeFrameIfOver(size: number, maxBytes: number): void {
    this.sender.closeFrameIfOver(size, maxBytes)
  }

  flushAtEndOfTick(): void {
    this.sender.flushAtEndOfTick()
  }

  whenWritable(): Promise<void> | undefined {
    const writable = this.sender.whenWritable()
    if (writable && this.isCongested) {
      this.sender.requestAck()
      if (this.receiver.transport) this.#readDeadline.start()
    }
    return writable
  }

  whenSent(): Promise<void> {
    return this.sender.whenSent()
  }

  countDecodedValues(values: number): void {
    this.receiver.countDecodedValues(values)
  }

  sendReply(message: string, bytes: readonly Uint8Array[]): number {
    const { bufferedBytes } = this.#limits
    if (this.sender.unreadReplyBytes > MAX_BUFFERED_FACTOR * bufferedBytes) {
      throw new LimitError(
        'limit',
        `${UNREAD_REPLIES_MESSAGE} (limits.bufferedBytes of their home: ${bufferedBytes})`
      )
    }
    return this.sendRequiredReply(message, bytes)
  }

  sendRequiredReply(message: string, bytes: readonly Uint8Array[]): number {
    const { sender, receiver } = this
    const { bufferedBytes } = this.#limits
    const size = sizeOfRanges(bytes)
    // Nobody is there to read it.
    if (!receiver.transport && receiver.deferredEnd) return sender.closedFrames
    receiver.countReplyBytes(message.length + size)
    const frame = sender.send(message, bytes, size, message.length + size)
    if (sender.unreadReplyBytes <= bufferedBytes) return frame
    receiver.applyBackpressure()
    if (receiver.transport) this.#readDeadline.start()
    else if (this.#isOverDisconnectedLimit) runInMicrotask(() => this.#endOverDisconnectedLimit())
    return frame
  }

  /** Whether more is kept than may be while the peer is away. */
  get #isOverDisconnectedLimit(): boolean {
    return (
      this.sender.unreadReplyBytes + this.listener.incomingCallBytes >
      MAX_BUFFERED_FACTOR * this.#limits.bufferedBytes
    )
  }

  #endOverDisconnectedLimit(): void {
    const { bufferedBytes } = this.#limits
    const message = `more replies and calls wait for the other side than are kept while it is away (limits.bufferedBytes: ${bufferedBytes})`
    this.end({ code: 'limit', message })
  }

  /**
   * Sends what waits, then closes. What was called before the transport is open waits for that, but not for long.
   *
   * @returns how many frames have left, or may leave yet
   */
  close(reason: Reason): number {
    const first = !this.#closeReason
    this.#closeReason = reason
    this.receiver.close()
    const { transport } = this.receiver
    if (first && this.state === 'connecting' && transport && this.sender.hasMoreThanHello) {
      this.#openDeadline = startDeadline(OPEN_BEFORE_CLOSE_TIMEOUT_MS, () => this.close(reason))
      if (!this.#keepsProcessAlive) this.#openDeadline.unref()
      return Number.POSITIVE_INFINITY
    }
    const hasTransport = transport && this.state !== 'closed'
    this.sender.close()
    this.#stop()
    if (hasTransport) transport.close(reason)
    else this.#resolveTransportClosed!()
    return this.sender.replayBuffer.sentFrames
  }

  /** No transport carries the link any more, and none will. */
  #stop(): void {
    this.#stopTimers()
    this.#openDeadline?.stop()
    this.#resumeStrategy?.stop()
    this.state = 'closed'
  }

  onOpen(): void {
    const { state } = this
    if (state === 'connecting') this.#resumeStrategy?.stop(this.transport)
    this.state = 'open'
    this.#heartbeat.start()
    this.receiver.attach(this.transport)
    this.sender.attach(this.transport)
    this.receiver.releaseBackpressure()
    if (this.isBacklogged) this.#readDeadline.start()
    if (this.#closeReason) this.close(this.#closeReason)
    else if (state === 'interrupted') this.listener.onResumed()
  }

  onFrame(data: FrameData): void {
    this.#heartbeat.frameReceived = true
    this.receiver.receive(data)
  }

  onClose(reason: Reason): void {
    this.#stopTimers()
    const { receiver } = this
    if ((isRefusedByServer(reason) && receiver.receivedFrames === 0) || this.sender.awaitsPeerHello)
      this.#resetUnopened()
    const ended =
      this.#closeReason ||
      receiver.deferredEnd ||
      !isTransportLoss(reason) ||
      !this.#resumeStrategy?.onTransportLost(this, reason)
    if (ended && (this.#closeReason || !receiver.isDeferred)) return this.#finish(reason)
    if (ended) receiver.end(reason)
    this.sender.detach()
    receiver.detach()
    if (ended || this.state === 'connecting') return
    this.state = 'interrupted'
    this.listener.onInterrupted(reason)
    if (this.#isOverDisconnectedLimit) this.#endOverDisconnectedLimit()
  }

  /** The other side did not let this one in, or has no more than its hello: it is as if the transport had never opened. */
  #resetUnopened(): void {
    this.state = 'connecting'
    this.sender.replayBuffer.markAllUnsent()
  }

  #finish(reason: Reason): void {
    this.#stop()
    this.end(reason)
    this.#resolveTransportClosed!()
  }

  /** Tells the session that it has ended. */
  end(reason: Reason): void {
    this.listener.end(reason)
  }

  /** The transport is of no use any more. */
  #abandonTransport(reason: Reason): void {
    this.transport.start(IGNORE_EVENTS)
    this.transport.close(reason)
    this.onClose(reason)
  }

  takePiggybackMessage(): string | undefined {
    return this.listener.takePiggybackMessage()
  }

  get peerLimits(): PeerLimits {
    return this.sender.peerLimits
  }

  get processedFrames(): number {
    return this.receiver.processedFrames
  }

  get peerAck(): number {
    return this.receiver.peerAck
  }

  // What the peer leaves unread.

  get isCongested(): boolean {
    return this.sender.unackedBytes > this.#limits.bufferedBytes / 2
  }

  get isBacklogged(): boolean {
    return this.receiver.isBackpressured || this.isCongested
  }

  get pendingWriteBytes(): number {
    return this.transport.pendingWriteBytes
  }

  onReadStalled(ms: number): void {
    const message = `the other side has read or acknowledged nothing of what it was sent for ${ms} ms, and too much waits (limits.pauseMs)`
    this.end({ code: 'peer-not-reading', message })
  }

  // The heartbeat.

  get isReadingPaused(): boolean {
    return this.receiver.isReadingPaused
  }

  get bytesReceived(): number | undefined {
    return this.transport.bytesReceived
  }

  requestAck(): void {
    this.receiver.sendAck(true)
  }

  onPeerSilent(ms: number): void {
    this.#abandonTransport({
      code: 'connection-lost',
      message: `nothing came from the other side for ${ms} ms`
    })
  }

  #stopTimers(): void {
    this.#heartbeat.stop()
    this.#readDeadline.stop()
    this.receiver.stop()
  }
}
