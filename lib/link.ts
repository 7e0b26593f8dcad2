// Frames: when messages leave, how many frames came and went, and that the other side learns of it.
//
// The first message of a tick leaves at once, all others of that tick as one frame at its end. While a frame is being
// acted on nothing leaves, so that all it causes at once goes as one. A transport that has enough to carry is given no
// more; a peer that asks and does not read the replies is not read from, until it does.
import { formatMessage, type Trace } from './debug.js'
import { LimitError, ProtocolError, type Reason, reasonOf } from './errors.js'
import { type Frame, parseFrame } from './frame.js'
import type { Limits } from './options.js'
import { ENVELOPE, Outbox, sizeOf } from './outbox.js'
import type { PeerLimits } from './protocol.js'
import { ROOM, type Transport, type TransportListener } from './transport.js'

/** What a link delivers to: the session above it. */
export interface LinkListener {
  /**
   * Acts on the messages of a frame of that size, in order, beginning with number `from`, until the link is paused.
   * Never throws.
   *
   * @returns the number of the first message not acted on
   */
  receive(messages: readonly unknown[], bytes: Frame['bytes'], from: number, size: number): number
  /** The peer has received that many of our frames. */
  acknowledged(frames: number): void
  /** A message to go along at the end of a tick, if there is one; small ones, and more than one if there is much. */
  trailing(): string | undefined
  end(reason: Reason): void
}

/** How long the count of received frames waits for a frame to ride on, in ms. */
const ACKNOWLEDGE_AFTER = 250
/** Bytes that are worth a frame, so that they are copied once and not twice. */
const LARGE = 1 << 16
/** What may wait for the end of the tick before who sends more is asked to wait for that, too. */
const MUCH = 64 << 10

/* c8 ignore next: the second is for browsers. */
const afterMicrotasks: (run: () => void) => void = globalThis.process?.nextTick ?? queueMicrotask

/** Runs at the end of the tick: when all is done that is under way, promises included, before anything new is read. */
const atEndOfTick = (run: () => void) => queueMicrotask(() => afterMicrotasks(run))

export class Link implements TransportListener {
  /** What the peer takes; until its hello has come, what is usual. */
  peer: PeerLimits
  framesIn = 0
  framesOut = 0
  bytesIn = 0
  bytesOut = 0
  readonly #outbox = new Outbox()
  /** Frames that wait for the transport to open, or to have room, with the bytes of replies in them. */
  readonly #sealed: { frame: string | Uint8Array; owed: number }[] = []
  /** Frames that wait for the peer to read its replies, the first of them acted on up to `#stalledAt`. */
  readonly #stalled: Frame[] = []
  #stalledAt = 0
  #open = false
  #full = false
  #corked = false
  #tickOpen = false
  /** Bytes of replies that the transport has not been given yet, and those of them in the outbox. */
  #owed = 0
  #owedInOutbox = 0
  #paused = false
  #pauseTimer: ReturnType<typeof setTimeout> | undefined
  /** The count of frames the peer was told last. */
  #counted = 0
  /** The count of our frames that the peer told last. */
  #acknowledged = 0
  #countTimer: ReturnType<typeof setTimeout> | undefined
  #closing: Reason | undefined
  #room: Promise<void> | undefined
  #roomy: (() => void) | undefined
  #gone: (() => void) | undefined
  /** Resolves when the transport is gone. */
  readonly gone = new Promise<void>(resolve => {
    this.#gone = resolve
  })

  constructor(
    private readonly transport: Transport,
    private readonly listener: LinkListener,
    private readonly limits: Limits,
    private readonly trace?: Trace
  ) {
    this.peer = limits
  }

  start(): void {
    this.transport.start(this)
  }

  /** Bytes that wait to leave, here and in the transport. */
  get buffered(): number {
    return this.#sealed.reduce((sum, { frame }) => sum + frame.length, this.transport.buffered)
  }

  /** Nothing more of the peer is acted on until it reads its replies. */
  get paused(): boolean {
    return this.#paused
  }

  /**
   * Sends a message, already JSON, with the bytes that belong to it. They are copied unless they leave at once.
   *
   * @returns the number of the frame the message is in
   * @throws LimitError for more than the peer takes; nothing is sent then
   */
  push(message: string, bytes: readonly Uint8Array[]): number {
    const size = sizeOf(bytes)
    const { jsonBytes, frameBytes } = this.peer
    const json = message.length + ENVELOPE
    if (json > jsonBytes) throw tooLarge(`${json} characters of JSON`, 'jsonBytes', jsonBytes)
    if (json + size > frameBytes) throw tooLarge(`${json + size} bytes`, 'frameBytes', frameBytes)
    this.#takeTrailing()
    if (!this.#outbox.fits(message, size, this.peer)) this.#seal()
    const atOnce = this.#ready && (size > LARGE || (!this.#corked && !this.#tickOpen))
    this.#outbox.add(message, atOnce ? bytes : bytes.map(range => new Uint8Array(range)))
    const frame = this.framesOut + 1
    if (atOnce) this.#seal()
    if (!this.#corked) this.atEndOfTick()
    return frame
  }

  /** Sends a reply: as `push` does, but what piles up of them pauses the peer. */
  reply(message: string, bytes: readonly Uint8Array[]): number {
    const frame = this.push(message, bytes)
    if (frame > this.framesOut) {
      const size = message.length + sizeOf(bytes)
      this.#owedInOutbox += size
      this.#owed += size
      if (this.#owed > this.limits.bufferedBytes && !this.#paused) this.#pause()
    }
    return frame
  }

  /** Ends the frame that is being filled if `size` more would make it larger than `most`. */
  cut(size: number, most: number): void {
    if (!this.#outbox.fits('', size, { jsonBytes: most, frameBytes: most })) this.#seal()
  }

  /** Resolves when all that was sent has been given to the transport; undefined when most of it has been. */
  room(): Promise<void> | undefined {
    if (this.#closing || (this.#ready && this.#outbox.size < MUCH)) return undefined
    this.#room ??= new Promise(resolve => {
      this.#roomy = resolve
    })
    return this.#room
  }

  #tellOfRoom(): void {
    this.#room = undefined
    this.#roomy?.()
  }

  /** Sees to it that what waits leaves at the end of this tick. */
  atEndOfTick(): void {
    if (this.#tickOpen) return
    this.#tickOpen = true
    atEndOfTick(() => {
      this.#tickOpen = false
      this.#flush()
    })
  }

  /** Sends what waits, then closes. What was called before the transport is open waits for that. */
  close(reason: Reason): void {
    const neverOpen = !this.#open && !this.#closing && this.framesOut === 0
    this.#closing = reason
    this.#stopTimers()
    this.#tellOfRoom()
    if (neverOpen && this.#outbox.length > 1) return
    this.#full = false
    if (this.#open) this.#flush()
    this.#open = false
    this.transport.close(reason)
  }

  opened(): void {
    this.#open = true
    this.#flush()
    this.atEndOfTick()
    if (this.#closing) this.close(this.#closing)
  }

  received(data: string | Uint8Array): void {
    this.framesIn++
    this.bytesIn += data.length
    try {
      const frame = parseFrame(data, this.limits)
      if (this.trace) for (const message of frame.messages) this.trace('←', formatMessage(message))
      this.#stalled.push(frame)
    } catch (error) {
      return this.listener.end(reasonOf(error))
    }
    if (!this.#paused) this.#act()
  }

  closed(reason: Reason): void {
    this.#open = false
    this.#stopTimers()
    this.listener.end(reason)
    this.#gone?.()
  }

  /** Acts on the frames that have come, as long as the peer reads its replies. */
  #act(): void {
    this.#corked = true
    for (let frame = this.#stalled[0]; frame && !this.#paused; frame = this.#stalled[0]) {
      const { received, messages, bytes, size } = frame
      if (received > this.framesOut || received < this.#acknowledged) {
        const error = new ProtocolError(`a count of ${received} frames, of ${this.framesOut} sent`)
        this.listener.end(reasonOf(error))
        break
      }
      // Much that came in one go causes much that can leave in one go: also what its promises cause.
      if (messages.length > 1) this.atEndOfTick()
      this.#stalledAt = this.listener.receive(messages, bytes, this.#stalledAt, size)
      if (this.#stalledAt < messages.length) break
      this.#stalledAt = 0
      this.#stalled.shift()
      // Only now: messages of this very frame may build on answers that its count says have arrived.
      this.#acknowledged = received
      this.listener.acknowledged(received)
      if (messages.length > 0) this.#owe()
    }
    this.#corked = false
    if (this.#outbox.empty || this.#tickOpen) return
    this.#flush()
    this.atEndOfTick()
  }

  /** Sends what waits, if the transport takes it. */
  #flush(): void {
    this.#takeTrailing()
    while (this.#ready && this.#sealed.length > 0) this.#send(this.#sealed.shift()!)
    if (this.#ready && !this.#outbox.empty) this.#seal()
    if (this.#ready) this.#tellOfRoom()
  }

  /** What is to go along goes before what is sent after it. */
  #takeTrailing(): void {
    for (let message = this.listener.trailing(); message !== undefined; message = this.listener.trailing()) {
      if (!this.#outbox.fits(message, 0, this.peer)) this.#seal()
      this.#outbox.add(message, [])
    }
  }

  get #ready(): boolean {
    return this.#open && !this.#full
  }

  #seal(): void {
    if (this.trace) for (const message of this.#outbox) this.trace('→', formatMessage(JSON.parse(message)))
    const received = this.framesIn - this.#stalled.length
    const sealed = { frame: this.#outbox.seal(received), owed: this.#owedInOutbox }
    this.#owedInOutbox = 0
    this.#counted = received
    this.framesOut++
    this.bytesOut += sealed.frame.length
    if (this.#ready && this.#sealed.length === 0) this.#send(sealed)
    else this.#sealed.push(sealed)
  }

  #send({ frame, owed }: { frame: string | Uint8Array; owed: number }): void {
    this.#owed -= owed
    this.#full = this.transport.buffered + frame.length > ROOM
    if (this.#full || this.#paused) this.transport.send(frame, () => this.#drained())
    else this.transport.send(frame)
  }

  /** The transport has room again. */
  #drained(): void {
    this.#full = false
    this.#flush()
    if (this.#paused && this.#owed <= this.limits.bufferedBytes / 2) this.#resume()
  }

  #pause(): void {
    this.#paused = true
    this.transport.pause()
    this.#pauseTimer = setTimeout(() => {
      const message = `it was sent no replies for ${this.limits.pauseMs} ms, for the other side read none`
      this.listener.end({ code: 'peer-not-reading', message })
    }, this.limits.pauseMs)
  }

  #resume(): void {
    this.#paused = false
    clearTimeout(this.#pauseTimer)
    this.#act()
    if (!this.#paused) this.transport.resume()
  }

  /** The peer is owed a count: it goes with the next frame, or alone when none comes soon. */
  #owe(): void {
    if (this.#countTimer !== undefined) return
    this.#countTimer = setTimeout(() => {
      this.#countTimer = undefined
      if (this.#ready && this.framesIn - this.#stalled.length > this.#counted) this.#seal()
    }, ACKNOWLEDGE_AFTER)
    this.#countTimer.unref?.()
  }

  #stopTimers(): void {
    clearTimeout(this.#countTimer)
    clearTimeout(this.#pauseTimer)
  }
}

const tooLarge = (size: string, limit: string, bytes: number) =>
  new LimitError(
    'limit',
    `${size} are more than the other side takes (limits.${limit}: ${bytes}): send it in parts`
  )
