// Frames over one transport after another, and what becomes of the transport.
//
// A frame is kept until the other side has counted it, and sent again on the next transport: each takes effect once and
// in order, whatever died whenever.

import { isLoss, isRefusal, LimitError, ProtocolError, type Reason, reasonOf } from '../errors.js'
import type { FrameData } from '../protocol/frame.js'
import { type Limits, MOST_KEPT } from '../protocol/limits.js'
import type { PeerLimits } from '../protocol/messages.js'
import type { Trace } from '../protocol/trace.js'
import { DEAF, type Transport, type TransportListener } from '../transport/transport.js'
import type { SessionState } from '../types/session.js'
import { type Deadline, deadlineIn } from '../util/deadline.js'
import { Patience, type Unread } from '../util/patience.js'
import { inMicrotask } from '../util/scheduler.js'
import { sizeOf } from './frame-builder.js'
import { Heartbeat, type Pulse } from './heartbeat.js'
import { Receiver, type Recipient } from './receiver.js'
import type { Recovery } from './recovery.js'
import { Sender, type Source } from './sender.js'

/** What a link delivers to: the session above it. */
export interface LinkListener extends Recipient {
  /** A message to go along at the end of a tick, if there is one; small ones, and more than one if there is much. */
  trailing(): string | undefined
  /** About what is held for calls of the peer's that are under way, in bytes. */
  readonly weight: number
  /** The transport was lost, and another one is awaited. */
  interrupted(reason: Reason): void
  /** Another transport carries on. */
  resumed(): void
}

export interface LinkSetup {
  readonly limits: Limits
  /** In ms; 0 for none. @default 0 */
  readonly heartbeat?: number | undefined
  /** Without it the session ends with its transport. */
  readonly recovery?: Recovery | undefined
  /** Told of each message that crosses. */
  readonly trace: Trace | undefined
}

/** How long the transport may take to open once the session is to close, in ms. */
const OPEN_WITHIN = 2000
const TOO_MANY_REPLIES = 'the caller has not read the replies it was sent before'

export class Link implements TransportListener, Source, Pulse, Unread {
  state: SessionState = 'connecting'
  readonly sender: Sender
  readonly receiver: Receiver
  readonly #limits: Limits
  readonly #recovery: Recovery | undefined
  readonly #heartbeat: Heartbeat
  readonly #patience: Patience
  #closing: Reason | undefined
  /** Until the transport has to be open, where the session closes once what was called is sent. */
  #opening: Deadline | undefined
  #keepsAlive = true
  #gone: (() => void) | undefined
  /** Resolves when the transport is gone. */
  readonly gone = new Promise<void>(resolve => {
    this.#gone = resolve
  })

  constructor(
    private transport: Transport,
    private readonly listener: LinkListener,
    { limits, heartbeat = 0, recovery, trace }: LinkSetup
  ) {
    this.#limits = limits
    this.#recovery = recovery
    this.#heartbeat = new Heartbeat(heartbeat, this)
    this.#patience = new Patience(limits.pauseMs, this)
    this.sender = new Sender(this, limits, recovery !== undefined, trace, transport.moves)
    this.receiver = new Receiver(transport, listener, this.sender, limits, trace)
  }

  /** Begins with its transport; or with another one, where that never opened. */
  start(transport = this.transport): void {
    this.transport = transport
    if (!this.#keepsAlive) transport.unref()
    transport.start(this)
  }

  /** Goes on over another transport, whose other end has received that many frames, and is first sent `greeting`. */
  carryOn(transport: Transport, received: number, greeting?: string): void {
    const { kept } = this.sender
    const { parting } = this.receiver
    if (parting) return transport.close(parting)
    if (!kept.mayHave(received)) {
      const reason = reasonOf(new ProtocolError(`a count of ${received} frames to go on from`))
      transport.close(reason)
      return this.end(reason)
    }
    if (this.state === 'open') {
      this.#giveUp({ code: 'connection-lost', message: 'another socket carries the session on' })
    }
    // Who was told of that may have ended the session.
    if (this.#closing) return transport.close(this.#closing)
    this.#recovery!.stop(transport)
    if (greeting !== undefined) transport.send(greeting)
    this.sender.acknowledge(received)
    this.start(transport)
  }

  /** Sends a call. @throws LimitError for more than the peer takes, or more than may wait for it; nothing is sent then */
  call(message: string, bytes: readonly Uint8Array[]): number {
    const size = sizeOf(bytes)
    const { bufferedBytes } = this.#limits
    const left = bufferedBytes - message.length - size
    const there = this.receiver.transport !== undefined
    // One that is larger than what may wait goes all the same while not much does.
    if (this.sender.held > (there ? Math.max(left, bufferedBytes / 2) : left)) {
      if (there) this.#patience.start()
      const why = there
        ? 'the other side has not read or acted on what it was sent'
        : 'the connection is interrupted'
      throw new LimitError(
        'limit',
        `${why}, and no more than ${bufferedBytes} bytes wait for it (limits.bufferedBytes): wait for calls to settle`
      )
    }
    return this.sender.push(message, bytes, size, 0)
  }

  push(message: string, bytes: readonly Uint8Array[]): number {
    return this.sender.push(message, bytes, sizeOf(bytes), 0)
  }

  get place(): number {
    return this.sender.place
  }

  left(frame: number): boolean {
    return this.sender.left(frame)
  }

  withdraw(frame: number, place: number, instead = ''): void {
    this.sender.withdraw(frame, place, instead)
  }

  /** Neither this transport nor another one, nor the search for that, keeps the process alive any more. */
  unref(): void {
    this.#keepsAlive = false
    this.transport.unref()
    this.#opening?.unref()
    this.#recovery?.unref()
  }

  cut(size: number, most: number): void {
    this.sender.cut(size, most)
  }

  atEndOfTick(): void {
    this.sender.atEndOfTick()
  }

  room(): Promise<void> | undefined {
    const room = this.sender.room()
    if (room && this.crowded) {
      this.sender.ask()
      if (this.receiver.transport) this.#patience.start()
    }
    return room
  }

  leaving(): Promise<void> {
    return this.sender.leaving()
  }

  made(values: number): void {
    this.receiver.made(values)
  }

  reply(message: string, bytes: readonly Uint8Array[]): number {
    const { bufferedBytes } = this.#limits
    if (this.sender.owed > MOST_KEPT * bufferedBytes) {
      throw new LimitError(
        'limit',
        `${TOO_MANY_REPLIES} (limits.bufferedBytes of their home: ${bufferedBytes})`
      )
    }
    return this.owe(message, bytes)
  }

  owe(message: string, bytes: readonly Uint8Array[]): number {
    const { sender, receiver } = this
    const { bufferedBytes } = this.#limits
    const size = sizeOf(bytes)
    // Nobody is there to read it.
    if (!receiver.transport && receiver.parting) return sender.frames
    receiver.replies(message.length + size)
    const frame = sender.push(message, bytes, size, message.length + size)
    if (sender.owed <= bufferedBytes) return frame
    receiver.overflow()
    if (receiver.transport) this.#patience.start()
    else if (this.#keepsTooMuch) inMicrotask(() => this.#endAway())
    return frame
  }

  /** Whether more is kept than may be while the peer is away. */
  get #keepsTooMuch(): boolean {
    return this.sender.owed + this.listener.weight > MOST_KEPT * this.#limits.bufferedBytes
  }

  #endAway(): void {
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
    const first = !this.#closing
    this.#closing = reason
    this.receiver.close()
    const { transport } = this.receiver
    if (first && this.state === 'connecting' && transport && this.sender.waitingForMore) {
      this.#opening = deadlineIn(OPEN_WITHIN, () => this.close(reason))
      if (!this.#keepsAlive) this.#opening.unref()
      return Number.POSITIVE_INFINITY
    }
    const there = transport && this.state !== 'closed'
    this.sender.close()
    this.#leave()
    if (there) transport.close(reason)
    else this.#gone!()
    return this.sender.kept.sent
  }

  /** No transport carries the link any more, and none will. */
  #leave(): void {
    this.#stop()
    this.#opening?.stop()
    this.#recovery?.stop()
    this.state = 'closed'
  }

  opened(): void {
    const { state } = this
    if (state === 'connecting') this.#recovery?.stop(this.transport)
    this.state = 'open'
    this.#heartbeat.start()
    this.receiver.open(this.transport)
    this.sender.open(this.transport)
    this.receiver.relieve()
    if (this.unread) this.#patience.start()
    if (this.#closing) this.close(this.#closing)
    else if (state === 'interrupted') this.listener.resumed()
  }

  received(data: FrameData): void {
    this.#heartbeat.heard = true
    this.receiver.receive(data)
  }

  closed(reason: Reason): void {
    this.#stop()
    const { receiver } = this
    if ((isRefusal(reason) && receiver.frames === 0) || this.sender.withholds) this.#takeBack()
    const over = this.#closing || receiver.parting || !isLoss(reason) || !this.#recovery?.lost(this, reason)
    if (over && (this.#closing || !receiver.behind)) return this.#part(reason)
    if (over) receiver.end(reason)
    this.sender.interrupt()
    receiver.interrupt()
    if (over || this.state === 'connecting') return
    this.state = 'interrupted'
    this.listener.interrupted(reason)
    if (this.#keepsTooMuch) this.#endAway()
  }

  /** The other side did not let this one in, or has no more than its hello: it is as if the transport had never opened. */
  #takeBack(): void {
    this.state = 'connecting'
    this.sender.kept.takeBack()
  }

  #part(reason: Reason): void {
    this.#leave()
    this.end(reason)
    this.#gone!()
  }

  /** Tells the session that it has ended. */
  end(reason: Reason): void {
    this.listener.end(reason)
  }

  /** The transport is of no use any more. */
  #giveUp(reason: Reason): void {
    this.transport.start(DEAF)
    this.transport.close(reason)
    this.closed(reason)
  }

  trailing(): string | undefined {
    return this.listener.trailing()
  }

  get peer(): PeerLimits {
    return this.sender.peer
  }

  get acted(): number {
    return this.receiver.acted
  }

  get counted(): number {
    return this.receiver.counted
  }

  // What the peer leaves unread.

  get crowded(): boolean {
    return this.sender.held > this.#limits.bufferedBytes / 2
  }

  get unread(): boolean {
    return this.receiver.awaitsReader || this.crowded
  }

  get outgoing(): number {
    return this.transport.outgoing
  }

  notRead(ms: number): void {
    const message = `the other side has read or acknowledged nothing of what it was sent for ${ms} ms, and too much waits (limits.pauseMs)`
    this.end({ code: 'peer-not-reading', message })
  }

  // The heartbeat.

  get stopped(): boolean {
    return this.receiver.stopped
  }

  get arrived(): number | undefined {
    return this.transport.arrived
  }

  ask(): void {
    this.receiver.tell(true)
  }

  lost(ms: number): void {
    this.#giveUp({ code: 'connection-lost', message: `nothing came from the other side for ${ms} ms` })
  }

  #stop(): void {
    this.#heartbeat.stop()
    this.#patience.stop()
    this.receiver.stop()
  }
}
