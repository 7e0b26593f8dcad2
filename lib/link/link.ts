// The link: it carries the frames of a session over one transport after another.
//
// A frame is kept until the peer acknowledges it, and sent again on the next transport. So each frame takes effect once
// and in order, whichever transport fails.

import {
  BacklogError,
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
import type { Transport, TransportListener } from '../transport/transport.js'
import type { PeerInstance, SessionState } from '../types/session.js'
import { type Deadline, startDeadline } from '../util/deadline.js'
import { ReadDeadline, type ReadProgress } from '../util/read-deadline.js'
import { runInMicrotask } from '../util/scheduler.js'
import { sizeOfRanges } from './frame-builder.js'
import { Heartbeat, type HeartbeatTarget } from './heartbeat.js'
import { type FrameProcessor, Receiver } from './receiver.js'
import type { ResumeStrategy } from './resume-strategy.js'
import { Sender, type SenderContext } from './sender.js'

/** The session above a link. */
export interface LinkListener extends FrameProcessor {
  /** The next message that waits for a frame to leave with, at the end of a tick; undefined if there is none. */
  takePiggybackMessage(): string | undefined
  /** Approximate bytes held for the peer's pending calls. */
  readonly incomingCallBytes: number
  /** The transport was lost; the link waits for another one. */
  onInterrupted(reason: Reason): void
  /** Another transport is open. */
  onResumed(): void
}

export interface LinkSetup {
  readonly limits: Limits
  /** Interval of the heartbeat in ms; 0 for none. @default 0 */
  readonly heartbeat?: number | undefined
  /** Undefined if the session ends with its transport. */
  readonly resumeStrategy?: ResumeStrategy | undefined
  /** Called with each message sent or received. */
  readonly trace: Trace | undefined
}

/** Time for the transport to open after `close()`, if messages wait to be sent. */
const OPEN_BEFORE_CLOSE_TIMEOUT_MS = 2000
const UNREAD_REPLIES_MESSAGE = 'the caller has not read earlier replies'

/**
 * - connecting: the first transport is not open.
 * - open: a transport carries frames.
 * - interrupted: the transport was lost, and another one is awaited.
 * - draining: the session ended while the link was connecting; what was called is sent once the transport opens.
 * - closed: no more frames are sent or received.
 */
type LinkPhase = SessionState | 'draining'

/**
 * Three methods end a link: `close` is called by the session that ended, `onClose` by the transport that is gone, and `end`
 * by others who want the session to end.
 */
export class Link implements TransportListener, SenderContext, HeartbeatTarget, ReadProgress {
  #phase: LinkPhase = 'connecting'
  readonly sender: Sender
  readonly receiver: Receiver
  readonly #limits: Limits
  readonly #resumeStrategy: ResumeStrategy | undefined
  readonly #heartbeat: Heartbeat
  readonly #readDeadline: ReadDeadline
  /** Why the session ended. */
  #closeReason: Reason | undefined
  /** Runs while the link drains. */
  #openDeadline: Deadline | undefined
  #keepsProcessAlive = true
  #resolveTransportClosed: (() => void) | undefined
  /** Resolves when the transport is closed. */
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
    this.receiver = new Receiver(transport, listener, this.sender, limits, trace)
  }

  /** The instance at the other end of the present or last transport. */
  get peer(): PeerInstance | undefined {
    return this.transport.peer
  }

  get state(): SessionState {
    return this.#phase === 'draining' ? 'connecting' : this.#phase
  }

  /** Starts with the first transport, or with another one if that never opened. */
  start(transport = this.transport): void {
    this.transport = transport
    if (!this.#keepsProcessAlive) transport.unref()
    transport.start(this)
  }

  /** Continues over another transport. The peer has received `peerAck` frames, and is sent `firstFrame` before all others. */
  resume(transport: Transport, peerAck: number, firstFrame?: string): void {
    const { replayBuffer } = this.sender
    const { deferredEnd } = this.receiver
    if (deferredEnd) return transport.close(deferredEnd)
    if (!replayBuffer.isPlausibleAck(peerAck)) {
      const reason = reasonForError(new ProtocolError(`a resume frame that acknowledges ${peerAck} frames`))
      transport.close(reason)
      return this.end(reason)
    }
    if (this.#phase === 'open') {
      this.#abandonTransport({ code: 'connection-lost', message: 'another socket resumed the session' })
    }
    // A listener of `interrupted` may have ended the session.
    if (this.#closeReason) return transport.close(this.#closeReason)
    this.#resumeStrategy!.stop(transport)
    if (firstFrame !== undefined) transport.send(firstFrame)
    this.sender.acknowledge(peerAck)
    this.start(transport)
  }

  /** Sends a call. @throws LimitError if it is too large for the peer, or too much waits for the peer; nothing is sent */
  sendCall(message: string, bytes: readonly Uint8Array[]): number {
    const size = sizeOfRanges(bytes)
    const { bufferedBytes } = this.#limits
    const allowedBytes = bufferedBytes - message.length - size
    const hasTransport = this.receiver.transport !== undefined
    // A call larger than the limit is sent nevertheless, if less than half of the limit waits.
    if (
      this.sender.unackedBytes > (hasTransport ? Math.max(allowedBytes, bufferedBytes / 2) : allowedBytes)
    ) {
      if (hasTransport) this.#readDeadline.start()
      const detail = hasTransport
        ? 'the other side has not read or processed earlier messages'
        : 'the connection is interrupted'
      throw new BacklogError(
        'limit',
        `${detail}, and at most ${bufferedBytes} bytes may wait for it (limits.bufferedBytes); await some calls first`
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

  /** No transport of the link, and no attempt to get one, keeps the process alive any longer. */
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
        `${UNREAD_REPLIES_MESSAGE} (limits.bufferedBytes of the other side: ${bufferedBytes})`
      )
    }
    return this.sendRequiredReply(message, bytes)
  }

  sendRequiredReply(message: string, bytes: readonly Uint8Array[]): number {
    const { sender, receiver } = this
    const { bufferedBytes } = this.#limits
    const size = sizeOfRanges(bytes)
    // No peer will read it.
    if (!receiver.transport && receiver.deferredEnd) return sender.closedFrames
    receiver.countReplyBytes(message.length + size)
    const frame = sender.send(message, bytes, size, message.length + size)
    if (sender.unreadReplyBytes <= bufferedBytes) return frame
    receiver.applyBackpressure()
    if (receiver.transport) this.#readDeadline.start()
    else if (this.#isOverDisconnectedLimit) runInMicrotask(() => this.#endOverDisconnectedLimit())
    return frame
  }

  /** Whether more is held for the peer than is allowed without a transport. */
  get #isOverDisconnectedLimit(): boolean {
    return (
      this.sender.unreadReplyBytes + this.listener.incomingCallBytes >
      MAX_BUFFERED_FACTOR * this.#limits.bufferedBytes
    )
  }

  #endOverDisconnectedLimit(): void {
    const { bufferedBytes } = this.#limits
    const message = `too many replies and calls wait for the other side while it is disconnected (limits.bufferedBytes: ${bufferedBytes})`
    this.end({ code: 'limit', message })
  }

  /**
   * Sends all queued messages, then closes the transport. If the transport is not open yet and calls wait to be sent, the
   * link drains: it waits for the transport at most `OPEN_BEFORE_CLOSE_TIMEOUT_MS`.
   */
  close(reason: Reason): void {
    this.#closeReason = reason
    this.receiver.close()
    if (this.#phase !== 'connecting' || !this.receiver.transport || !this.sender.hasMoreThanHello) {
      return this.#closeNow(reason)
    }
    this.#phase = 'draining'
    this.#openDeadline = startDeadline(OPEN_BEFORE_CLOSE_TIMEOUT_MS, () => this.#closeNow(reason))
    if (!this.#keepsProcessAlive) this.#openDeadline.unref()
  }

  /** Number of frames given to a transport; infinite while the link drains, as every frame may still be sent. */
  get sentFrames(): number {
    return this.#phase === 'draining' ? Number.POSITIVE_INFINITY : this.sender.replayBuffer.sentFrames
  }

  #closeNow(reason: Reason): void {
    const transport = this.#phase === 'closed' ? undefined : this.receiver.transport
    this.sender.close()
    this.#stop()
    if (transport) transport.close(reason)
    else this.#resolveTransportClosed!()
  }

  /** Ends all timers and attempts; no transport will follow. */
  #stop(): void {
    this.#stopTimers()
    this.#openDeadline?.stop()
    this.#resumeStrategy?.stop()
    this.#phase = 'closed'
  }

  onOpen(): void {
    const before = this.#phase
    // A transport may open after it was told to close.
    if (before === 'closed') return
    if (before !== 'interrupted') this.#resumeStrategy?.stop(this.transport)
    this.#phase = 'open'
    this.#heartbeat.start()
    this.receiver.attach(this.transport)
    this.sender.attach(this.transport)
    this.receiver.releaseBackpressure()
    if (this.isBacklogged) this.#readDeadline.start()
    if (before === 'draining') this.#closeNow(this.#closeReason!)
    else if (before === 'interrupted' && !this.#closeReason) this.listener.onResumed()
  }

  onFrame(data: FrameData): void {
    this.#heartbeat.frames++
    this.receiver.receive(data)
  }

  onClose(reason: Reason): void {
    this.#stopTimers()
    if (this.#closeReason) return this.#finish(reason)
    const { receiver } = this
    if ((isRefusedByServer(reason) && receiver.receivedFrames === 0) || this.sender.awaitsPeerHello)
      this.#resetUnopened()
    const ended =
      receiver.deferredEnd || !isTransportLoss(reason) || !this.#resumeStrategy?.onTransportLost(this, reason)
    if (ended && !receiver.isDeferred) return this.#finish(reason)
    if (ended) receiver.end(reason)
    this.sender.detach()
    receiver.detach()
    if (ended || this.#phase === 'connecting') return
    this.#phase = 'interrupted'
    this.listener.onInterrupted(reason)
    if (this.#isOverDisconnectedLimit) this.#endOverDisconnectedLimit()
  }

  /** The peer rejected the transport, or received no more than the hello: the transport counts as never opened. */
  #resetUnopened(): void {
    this.#phase = 'connecting'
    // What still waits is not sent either.
    this.sender.detach()
    this.sender.replayBuffer.markAllUnsent()
  }

  #finish(reason: Reason): void {
    this.#stop()
    this.end(reason)
    this.#resolveTransportClosed!()
  }

  /** Ends the session. */
  end(reason: Reason): void {
    this.listener.end(reason)
  }

  /** The network has changed: finds out soon whether the transport still carries frames. */
  probe(): void {
    if (this.#phase === 'open') this.#heartbeat.probe()
  }

  /** Closes the transport, which counts as lost, and opens no other one until `continue`. */
  suspend(reason: Reason): void {
    this.#resumeStrategy?.suspend?.()
    if (this.#phase === 'open') this.#abandonTransport(reason)
  }

  continue(): void {
    this.#resumeStrategy?.continue?.()
  }

  #abandonTransport(reason: Reason): void {
    this.transport.abandon(reason)
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

  // The deadline of the peer to read.

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
    const message = `the other side has not read or acknowledged anything for ${ms} ms, and too many bytes wait for it (limits.pauseMs)`
    this.end({ code: 'peer-not-reading', message })
  }

  // The target of the heartbeat.

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
      message: `the other side has sent nothing for ${ms} ms`
    })
  }

  #stopTimers(): void {
    this.#heartbeat.stop()
    this.#readDeadline.stop()
    this.receiver.stopAckTimer()
  }
}
