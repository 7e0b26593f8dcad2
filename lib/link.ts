// Frames over one transport after another: how many came, what becomes of them, and what becomes of the transport.
//
// A frame is kept until the other side has counted it, and sent again on the next transport: each takes effect once and
// in order, whatever died whenever. A peer that asks and does not read the replies is not read from, until it does.
// What takes long to act on is acted on in slices, so that nobody else in the process waits for long.
import { formatMessage, type Trace } from './debug.js'
import { LimitError, ProtocolError, type Reason, reasonOf } from './errors.js'
import { type Frame, type FrameData, parseFrame } from './frame.js'
import { Heartbeat, type Pulse } from './heartbeat.js'
import type { Limits } from './options.js'
import { sizeOf } from './outbox.js'
import type { PeerLimits } from './protocol.js'
import { isLoss, type Recovery } from './recovery.js'
import { Sender, type Source } from './sender.js'
import { inALaterTurn, Slice } from './slice.js'
import { DEAF, type Transport, type TransportListener } from './transport.js'

/** What a link delivers to: the session above it. */
export interface LinkListener {
  /**
   * Acts on the messages of a frame of that size, in order, beginning with number `from`, as long as `link.mayGoOn`.
   * Never throws.
   *
   * @returns the number of the first message not acted on
   */
  receive(messages: readonly unknown[], bytes: Frame['bytes'], from: number, size: number): number
  /** The peer has received that many of our frames. */
  acknowledged(frames: number): void
  /** A message to go along at the end of a tick, if there is one; small ones, and more than one if there is much. */
  trailing(): string | undefined
  /** The transport was lost, and another one is awaited. */
  interrupted(reason: Reason): void
  /** Another transport carries on. */
  resumed(): void
  end(reason: Reason): void
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

export type LinkState = 'connecting' | 'open' | 'interrupted' | 'closed'

/** How long the count of received frames waits for a frame to ride on, in ms; and how many of them, and bytes, do. */
const COUNT_AFTER = 250
const COUNT_FRAMES = 32
const COUNT_BYTES = 256 << 10

export class Link implements TransportListener, Source, Pulse {
  state: LinkState = 'connecting'
  framesIn = 0
  bytesIn = 0
  readonly sender: Sender
  readonly #trace: Trace | undefined
  readonly #limits: Limits
  readonly #recovery: Recovery | undefined
  readonly #heartbeat: Heartbeat
  /** Frames that have come and wait, the first of them acted on up to `#waitingAt`. */
  readonly #waiting: Frame[] = []
  #waitingAt = 0
  /** Whether they wait for the peer to read its replies; else for their turn: `#behind` with the next slice. */
  #paused = false
  #behind = false
  readonly #slice = new Slice()
  /** What the transport was lost for, where that ends the session when all that came before has been acted on. */
  #parting: Reason | undefined
  #pauseTimer: ReturnType<typeof setTimeout> | undefined
  /** Bytes that had come when the count alone was told last. */
  #toldBytes = 0
  /** The count of our frames that the peer told last. */
  counted = 0
  #countTimer: ReturnType<typeof setTimeout> | undefined
  /** Whether there is no transport, and another one is awaited. */
  #away = false
  #closing: Reason | undefined
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
    this.#trace = trace
    this.#heartbeat = new Heartbeat(heartbeat, this)
    this.sender = new Sender(this, limits, recovery !== undefined, trace, transport.moves === true)
  }

  /** Begins with its transport; or with another one, where that never opened. */
  start(transport = this.transport): void {
    this.transport = transport
    transport.start(this)
  }

  /** Goes on over another transport, whose other end has received that many frames, and is first sent `greeting`. */
  carryOn(transport: Transport, received: number, greeting?: string): void {
    const { kept } = this.sender
    if (this.#parting) return transport.close(this.#parting)
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
    this.#recovery!.stop()
    if (greeting !== undefined) transport.send(greeting)
    kept.acknowledge(received)
    this.start(transport)
  }

  /** Sends a call. @throws LimitError for more than the peer takes, or more than may wait for it; nothing is sent then */
  call(message: string, bytes: readonly Uint8Array[]): number {
    const size = sizeOf(bytes)
    const { bufferedBytes } = this.#limits
    if (this.#away && this.sender.held + message.length + size > bufferedBytes) {
      const why = `the connection is interrupted, and no more than ${bufferedBytes} bytes wait for it`
      throw new LimitError('limit', `${why} (limits.bufferedBytes)`)
    }
    return this.sender.push(message, bytes, size, 0)
  }

  push(message: string, bytes: readonly Uint8Array[]): number {
    return this.sender.push(message, bytes, sizeOf(bytes), 0)
  }

  cut(size: number, most: number): void {
    this.sender.cut(size, most)
  }

  atEndOfTick(): void {
    this.sender.atEndOfTick()
  }

  room(): Promise<void> | undefined {
    return this.sender.room()
  }

  /** Sends a reply: as `push` does, but what piles up of them pauses the peer, or is too much for one that is away. */
  reply(message: string, bytes: readonly Uint8Array[]): number {
    const size = sizeOf(bytes)
    // Nobody is there to read it.
    if (this.#parting) return this.sender.frames
    this.#slice.count(message.length + size)
    const frame = this.sender.push(message, bytes, size, message.length + size)
    if (this.sender.owed > this.#limits.bufferedBytes) this.#overflow()
    return frame
  }

  /** Sends what waits, then closes. What was called before the transport is open waits for that. */
  close(reason: Reason): void {
    const first = !this.#closing
    this.#closing = reason
    if (first && this.state === 'connecting' && !this.#away && this.sender.waitingForMore) return
    const there = !this.#away && this.state !== 'closed'
    this.sender.close()
    this.#leave()
    if (!there) return this.#gone!()
    if (this.#behind) this.transport.resume()
    this.transport.close(reason)
  }

  /** No transport carries the link any more, and none will. */
  #leave(): void {
    this.#stop()
    this.#recovery?.stop()
    this.state = 'closed'
  }

  opened(): void {
    const { state } = this
    this.state = 'open'
    this.#away = false
    this.#heartbeat.start()
    if (this.#paused) this.#awaitReader()
    else if (this.#behind) this.#holdBack()
    this.sender.open(this.transport)
    this.drained()
    if (this.#closing) this.close(this.#closing)
    else if (state === 'interrupted') this.listener.resumed()
  }

  received(data: FrameData): void {
    this.bytesIn += data.length
    this.#heartbeat.heard = true
    const atOnce = !this.#paused && !this.#behind
    if (atOnce) this.#slice.begin(data.length)
    try {
      const frame = parseFrame(data, this.#limits)
      if (this.#trace) for (const message of frame.messages) this.#trace('←', formatMessage(message))
      this.#count(frame)
      if (frame.alone) return
      this.framesIn++
      this.#waiting.push(frame)
    } catch (error) {
      return this.end(reasonOf(error))
    }
    if (atOnce) this.#act()
    if (this.acted >= this.sender.told + COUNT_FRAMES || this.bytesIn >= this.#toldBytes + COUNT_BYTES) {
      this.#tell(false)
    }
  }

  closed(reason: Reason): void {
    this.#stop()
    const over = this.#closing || !isLoss(reason) || !this.#recovery?.lost(this)
    if (over && (this.#closing || !this.#behind || this.#paused)) return this.#part(reason)
    this.#away = true
    this.sender.interrupt()
    if (over) {
      this.#parting = reason
      return
    }
    // It is owed what it may not have, again: what it sent before waits until it has that.
    if (this.sender.owed > this.#limits.bufferedBytes) this.#paused = true
    if (this.state === 'connecting') return
    this.state = 'interrupted'
    this.listener.interrupted(reason)
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

  // The heartbeat.

  get peer(): PeerLimits {
    return this.sender.peer
  }

  /** Nothing more is read until the peer reads its replies, or what it sent has been acted on. */
  get paused(): boolean {
    return this.#paused || this.#behind
  }

  get arrived(): number | undefined {
    return this.transport.arrived
  }

  ask(): void {
    this.#tell(true)
  }

  lost(ms: number): void {
    this.#giveUp({ code: 'connection-lost', message: `nothing came from the other side for ${ms} ms` })
  }

  // Frames in.

  get acted(): number {
    return this.framesIn - this.#waiting.length
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
    if (asks) this.#tell(false)
  }

  /** Whether the session is to act on one more message now. */
  get mayGoOn(): boolean {
    return !this.#paused && this.#slice.lasts
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
    if (this.#closing) return
    if (this.#waiting.length > 0 && !this.#paused) this.#fallBehind()
    else if (this.#behind) this.#catchUp()
  }

  /** The rest waits for another turn of the event loop, and what is still to come for the rest. */
  #fallBehind(): void {
    if (!this.#behind) this.#holdBack()
    this.#behind = true
    inALaterTurn(() => {
      this.#slice.goOn()
      if (!this.#closing) this.#act()
    })
  }

  #catchUp(): void {
    this.#behind = false
    if (this.#parting) this.#part(this.#parting)
    else if (!this.#paused && !this.#away) this.transport.resume()
  }

  #holdBack(): void {
    if (!this.#away && !this.transport.unstoppable) this.transport.pause()
  }

  /** The peer is owed a count: it goes with the next frame, or alone when none comes soon. */
  #owe(): void {
    if (this.#countTimer !== undefined) return
    this.#countTimer = setTimeout(() => {
      this.#countTimer = undefined
      if (this.acted > this.sender.told) this.#tell(false)
    }, COUNT_AFTER)
    this.#countTimer.unref?.()
  }

  #tell(asks: boolean): void {
    this.#toldBytes = this.bytesIn
    this.sender.tell(asks)
  }

  // A peer that does not read.

  #overflow(): void {
    const { bufferedBytes } = this.#limits
    if (!this.#away) {
      if (!this.#paused) this.#awaitReader()
      return
    }
    // What it sent before it went away waits for it, too.
    this.#paused = true
    if (this.sender.owed > 2 * bufferedBytes) {
      const message = `more replies wait for the other side than are kept while it is away (limits.bufferedBytes: ${bufferedBytes})`
      queueMicrotask(() => this.end({ code: 'limit', message }))
    }
  }

  #awaitReader(): void {
    this.#paused = true
    this.transport.pause()
    this.#pauseTimer = setTimeout(() => {
      const message = `it was sent no replies for ${this.#limits.pauseMs} ms, for the other side read none`
      this.end({ code: 'peer-not-reading', message })
    }, this.#limits.pauseMs)
  }

  /** The transport has room: a peer that has read its replies is read from again. */
  drained(): void {
    if (!this.#paused || this.sender.owed > this.#limits.bufferedBytes / 2) return
    this.#paused = false
    clearTimeout(this.#pauseTimer)
    if (this.#behind) return
    this.#slice.goOn()
    this.#act()
    if (!this.#paused && !this.#behind) this.transport.resume()
  }

  #stop(): void {
    this.#heartbeat.stop()
    clearTimeout(this.#countTimer)
    clearTimeout(this.#pauseTimer)
    this.#countTimer = undefined
  }
}
