// The transport over NATS: both ends publish the parts of their frames to a subject of the other end.
import { isUtf8 } from 'node:buffer'
import type { Msg } from '@nats-io/transport-node'
import { isTransportLoss, type Reason, type ReasonCode } from '../../../errors.js'
import { type Limits, maxPayloadBytes } from '../../../protocol/limits.js'
import { BaseTransport } from '../../../transport/base-transport.js'
import { formatCloseReason, parseCloseReason } from '../../../transport/close-reason.js'
import { clock, type Timer, unref } from '../../../util/clock.js'
import { Queue } from '../../../util/queue.js'
import { runInMicrotask } from '../../../util/scheduler.js'
import { tryHeaders } from '../message-headers.js'
import { ReceiveWindow, SendWindow } from './credit.js'
import type { TransportTable } from './transport-table.js'
import {
  allocateMessage,
  formatCredit,
  formatText,
  HEADER_BYTES,
  Kind,
  MAX_WINDOW_BYTES,
  MIN_WINDOW_BYTES,
  parseCredit
} from './wire.js'

/** Most bytes of a part of a frame: other transports get their turn between two parts. */
const MAX_PART_BYTES = 128 << 10
/** Least bytes of a part that is not the last: so a frame has a bounded number of parts. */
const MIN_PART_BYTES = 1 << 10
/** Room in a message of NATS for what is not the part. */
const PART_OVERHEAD_BYTES = 1 << 10
/** Most bytes that wait while this end is paused. The other end may use the larger of two windows, and one part more. */
const MAX_UNREAD_BYTES = 4 * MAX_WINDOW_BYTES
/** Estimated bytes of a message beside its data. */
const MESSAGE_BYTES = 64
/** Time for the other end to read all that was sent before the close. */
const DRAIN_TIMEOUT_MS = 30_000

/** A frame that waits for credit. */
interface QueuedFrame {
  readonly kind: number
  readonly body: Buffer
  /** Bytes of it that were sent. */
  sentBytes: number
  readonly onSent: (() => void) | undefined
}

/** One end of a transport, without the way in which it opens. */
export abstract class NatsTransport extends BaseTransport {
  readonly transfersBuffers = false
  bytesReceived = 0
  /** Whether it is closed. */
  destroyed = false
  readonly #receiveWindow: ReceiveWindow
  /** Subject of the other end; undefined until it is known. */
  #to: string | undefined
  #sendWindow = new SendWindow(MIN_WINDOW_BYTES)
  readonly #queue = new Queue<QueuedFrame>()
  /** Bytes of frames that wait for credit. */
  bufferedAmount = 0
  #sentMessages = 0
  #receivedMessages = 0
  /** Parts of the frame that arrives. */
  #parts: Buffer[] = []
  #partBytes = 0
  #isPaused = false
  /** Messages that arrived while paused, and their estimated bytes. */
  readonly #unread = new Queue<Buffer>()
  #unreadBytes = 0
  readonly #maxFrameBytes: number
  #closeReason: Reason | undefined
  #closeTimer: Timer | undefined
  readonly #closeListeners: (() => void)[] = []
  #onRawData: ((bytes: number) => void) | undefined

  constructor(
    protected readonly table: TransportTable,
    /** Last part of the subject of this end. */
    readonly token: string,
    limits: Limits,
    /** Name of the other end in reasons. */
    protected peerName: string
  ) {
    super()
    this.#maxFrameBytes = maxPayloadBytes(limits)
    this.#receiveWindow = new ReceiveWindow(table.processWindow)
    table.add(this)
  }

  /** Subject of this end. */
  get subject(): string {
    return this.table.subjectOf(this.token)
  }

  /** Bytes that may be on their way to this end. */
  get windowBytes(): number {
    return this.#receiveWindow.windowBytes
  }

  /** Subject of the other end; undefined until it is known. */
  get to(): string | undefined {
    return this.#to
  }

  /** Sends to a subject from now on. */
  protected connectTo(subject: string, windowBytes: number): void {
    this.#to = subject
    this.#sendWindow = new SendWindow(windowBytes)
    this.table.presence.watch(subject, this)
  }

  send(frame: string | Uint8Array, onSent?: () => void): void {
    const kind = typeof frame === 'string' ? Kind.text : Kind.binary
    const size = typeof frame === 'string' ? Buffer.byteLength(frame) : frame.length
    if (
      this.#queue.size === 0 &&
      size <= this.#maxPartBytes &&
      this.#sendWindow.hasRoomFor(HEADER_BYTES + size)
    ) {
      const message = allocateMessage(kind, this.#sentMessages, size)
      if (typeof frame === 'string') message.write(frame, HEADER_BYTES)
      else message.set(frame, HEADER_BYTES)
      this.#publish(message)
      if (onSent) runInMicrotask(onSent)
      return
    }
    const body = typeof frame === 'string' ? Buffer.from(frame) : asBuffer(frame)
    this.#queue.push({ kind, body, sentBytes: 0, onSent })
    this.bufferedAmount += size
    this.#sendQueued()
  }

  /** Half of the window is free once the other end has read all, as it reports each quarter. */
  get #maxPartBytes(): number {
    const allowedBytes = Math.min(
      MAX_PART_BYTES,
      this.table.maxPayloadBytes - PART_OVERHEAD_BYTES,
      this.#sendWindow.windowBytes / 2 - HEADER_BYTES
    )
    return Math.max(MIN_PART_BYTES, allowedBytes)
  }

  #publish(message: Buffer): void {
    this.#sentMessages = (this.#sentMessages + 1) >>> 0
    this.#sendWindow.sent(message.length)
    this.table.publish(this.#to!, message, this.subject)
  }

  #sendQueued(): void {
    for (let frame = this.#queue.first; frame && !this.destroyed; frame = this.#queue.first) {
      const { kind, body, sentBytes, onSent } = frame
      const part = body.subarray(sentBytes, sentBytes + this.#maxPartBytes)
      if (!this.#sendWindow.hasRoomFor(HEADER_BYTES + part.length)) return
      frame.sentBytes += part.length
      this.bufferedAmount -= part.length
      const isLast = frame.sentBytes === body.length
      const message = allocateMessage(isLast ? kind : Kind.part, this.#sentMessages, part.length)
      message.set(part, HEADER_BYTES)
      this.#publish(message)
      if (!isLast) continue
      this.#queue.shift()
      if (onSent) runInMicrotask(onSent)
    }
    if (this.#closeReason && !this.destroyed) this.#sendBye(this.#closeReason)
  }

  get pendingWriteBytes(): number {
    return this.bufferedAmount + this.#sendWindow.bytesOnTheirWay
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    while (!this.#isPaused && !this.destroyed && this.#unread.size > 0) {
      const message = this.#unread.shift()!
      this.#unreadBytes -= message.length + MESSAGE_BYTES
      this.#read(message)
    }
  }

  /** The connection to NATS keeps the process alive, not one of its transports. */
  unref(): void {}

  /** Calls `onBytes` with the size of each message. @returns removes the listener */
  onRawData(onBytes: (bytes: number) => void): () => void {
    this.#onRawData = onBytes
    return () => {
      this.#onRawData = undefined
    }
  }

  once(_event: 'close', listener: () => void): void {
    this.#closeListeners.push(listener)
  }

  /** Closes at once, without a reason. */
  terminate(): void {
    this.end({ code: 'connection-lost', message: 'the transport was terminated' })
  }

  close(reason: Reason): void {
    if (this.destroyed || this.#closeReason) return
    this.#closeReason = reason
    if (this.#queue.size === 0 || this.#to === undefined || isTransportLoss(reason))
      return this.#sendBye(reason)
    this.#closeTimer = clock.setTimeout(() => this.#sendBye(reason), DRAIN_TIMEOUT_MS)
    unref(this.#closeTimer)
  }

  #sendBye(reason: Reason): void {
    if (this.#to !== undefined)
      this.table.publish(this.#to, formatText(Kind.bye, this.#sentMessages, formatCloseReason(reason)))
    this.end(reason)
  }

  /** The connection to NATS is lost, or the other end is: nothing more can be sent. */
  onLost(message: string): void {
    this.end({ code: 'connection-lost', message: `the connection to ${this.peerName} was lost: ${message}` })
  }

  /** The user closes the bus: both ends of the session end. */
  onBusClosing(): void {
    this.#endWithBye({ code: this.busClosedCode, message: 'the bus was closed' })
  }

  /** Why the session ends when the user closes the bus. */
  protected abstract readonly busClosedCode: ReasonCode

  /** Handles a message to the subject of this end. */
  onMessage(message: Msg): void {
    const data = asBuffer(message.data)
    if (data.length === 0) {
      if (tryHeaders(() => message.headers)?.code === NO_RESPONDERS) this.onNoResponders()
      return
    }
    this.bytesReceived += data.length
    this.#onRawData?.(data.length)
    if (data[0] === Kind.lost) return this.onLost('the other end does not have it any more')
    if (data[0] === Kind.hello) return this.onHello(data.subarray(HEADER_BYTES))
    if (data.length < HEADER_BYTES || data[0]! > Kind.bye || this.#to === undefined)
      return this.#onInvalid('an invalid message')
    if (data.readUInt32BE(1) !== this.#receivedMessages) return this.onLost('a message was lost')
    this.#receivedMessages = (this.#receivedMessages + 1) >>> 0
    if (data[0] === Kind.credit) return this.#onCredit(data.subarray(HEADER_BYTES))
    if (!this.#isPaused && this.#unread.size === 0) return this.#read(data)
    this.#unreadBytes += data.length + MESSAGE_BYTES
    if (this.#unreadBytes > MAX_UNREAD_BYTES) return this.#onInvalid('more than the window allows')
    // The buffer of NATS may be much larger.
    this.#unread.push(Buffer.from(data))
  }

  /** Nobody listens at the subject of the other end. */
  protected onNoResponders(): void {
    this.onLost('it has gone')
  }

  /** The other end has answered the dial. */
  protected onHello(_body: Buffer): void {
    this.#onInvalid('an invalid message')
  }

  #onCredit(body: Buffer): void {
    const credit = parseCredit(body)
    if (!credit || !this.#sendWindow.update(credit.readBytes, credit.windowBytes))
      return this.#onInvalid('an invalid credit')
    this.#sendQueued()
  }

  #read(message: Buffer): void {
    const kind = message[0]
    const body = message.subarray(HEADER_BYTES)
    if (kind === Kind.bye) return this.#onBye(body)
    if (this.#receiveWindow.read(message.length)) this.#sendCredit()
    if (this.#partBytes + body.length > this.#maxFrameBytes) {
      const reason = `${this.peerName} sent a frame of more than ${this.#maxFrameBytes} bytes`
      return this.#endWithBye({ code: 'limit', message: reason })
    }
    if (kind === Kind.part) {
      if (body.length < MIN_PART_BYTES) return this.#onInvalid('a part that is too short')
      this.#parts.push(Buffer.from(body))
      this.#partBytes += body.length
      return
    }
    if (kind === Kind.text && this.#parts.length === 0) return this.#onText(body)
    const frame = Buffer.concat([...this.#parts, body])
    this.#parts = []
    this.#partBytes = 0
    if (kind === Kind.text) this.#onText(frame)
    else this.listener.onFrame(frame)
  }

  #onText(body: Buffer): void {
    if (isUtf8(body)) this.listener.onFrame(body.toString())
    else this.#onInvalid('invalid UTF-8')
  }

  #sendCredit(): void {
    const { readBytes, windowBytes } = this.#receiveWindow
    const credit = formatCredit(this.#sentMessages, readBytes, windowBytes)
    this.#sentMessages = (this.#sentMessages + 1) >>> 0
    this.table.publish(this.#to!, credit, this.subject)
  }

  #onBye(body: Buffer): void {
    const reason = isUtf8(body) ? parseCloseReason(body.toString(), this.peerName) : undefined
    if (reason) this.end(reason)
    else this.#onInvalid('an invalid close reason')
  }

  #onInvalid(what: string): void {
    this.#endWithBye({ code: 'protocol', message: `${this.peerName} sent ${what}` })
  }

  #endWithBye(reason: Reason): void {
    if (this.destroyed) return
    this.#sendBye(reason)
  }

  /** Ends the transport. The listener gets the reason later, if this is called by the session. */
  protected end(reason: Reason): void {
    if (this.destroyed) return
    this.destroyed = true
    clock.clearTimeout(this.#closeTimer)
    this.table.remove(this)
    // A session that waits for the next transport keeps this one.
    this.#queue.clear()
    this.#unread.clear()
    this.#parts = []
    this.bufferedAmount = 0
    runInMicrotask(() => {
      this.emitClose(reason)
      for (const listener of this.#closeListeners) listener()
    })
  }
}

/** Status of the message that NATS sends if nobody listens at a subject. */
const NO_RESPONDERS = 503

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
