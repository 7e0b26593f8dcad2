// Frames: when messages leave, how many frames came and went, and that the other side learns of it.
//
// The first message of a tick leaves at once, all others of that tick as one frame at its end. While a frame is being
// acted on nothing leaves, so that all it causes at once goes as one.
import { debug } from './debug.js'
import { LimitError, ProtocolError, type Reason, reasonOf } from './errors.js'
import { formatFrame, type PeerLimits, parseFrame } from './protocol.js'
import type { Transport, TransportListener } from './transport.js'

/** What a link delivers to: the session above it. */
export interface LinkListener {
  /** Acts on the messages of a frame, in order. Never throws. */
  receive(messages: readonly unknown[], bytes: ReadonlyMap<number, readonly Uint8Array[]>): void
  /** The peer has received that many of our frames. */
  acknowledged(frames: number): void
  /** A message to go along at the end of a tick, if there is one; small ones, and more than one if there is much. */
  trailing(): string | undefined
  end(reason: Reason): void
}

/** How long the count of received frames waits for a frame to ride on, in ms. */
const ACKNOWLEDGE_AFTER = 250
/** Room in a frame for its count and brackets. */
const ENVELOPE = 32
/** Room for a range of bytes beyond its own: alignment, and its size in the JSON. */
const PADDING = 24

/** Runs at the end of the tick: after all that is under way, before anything new is read. */
const atEndOfTick: (run: () => void) => void = globalThis.process?.nextTick ?? queueMicrotask

export class Link implements TransportListener {
  /** What the peer takes; until its hello has come, what is usual. */
  peer: PeerLimits
  framesIn = 0
  framesOut = 0
  bytesIn = 0
  bytesOut = 0
  #outbox: string[] = []
  #bytes = new Map<number, readonly Uint8Array[]>()
  #jsonSize = 0
  #byteSize = 0
  #open = false
  #corked = false
  #tickOpen = false
  /** The count of frames the peer was told last. */
  #counted = 0
  /** The count of our frames that the peer told last. */
  #acknowledged = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #closing: Reason | undefined
  #gone: (() => void) | undefined
  /** Resolves when the transport is gone. */
  readonly gone = new Promise<void>(resolve => {
    this.#gone = resolve
  })

  constructor(
    private readonly transport: Transport,
    private readonly listener: LinkListener,
    private readonly limits: PeerLimits
  ) {
    this.peer = limits
  }

  start(): void {
    this.transport.start(this)
  }

  /** What waits to leave, in bytes. */
  get buffered(): number {
    return this.#jsonSize + this.#byteSize
  }

  /**
   * Sends a message, already JSON, with the bytes that belong to it. They are copied unless they leave at once.
   *
   * @returns the number of the frame the message is in
   * @throws LimitError for more than the peer takes; nothing is sent then
   */
  push(message: string, bytes: readonly Uint8Array[]): number {
    const size = bytes.reduce((sum, range) => sum + range.byteLength + PADDING, 0)
    const { jsonBytes, frameBytes } = this.peer
    const json = message.length + ENVELOPE
    if (json > jsonBytes) throw tooLarge(`${json} characters of JSON`, 'jsonBytes', jsonBytes)
    if (json + size > frameBytes) throw tooLarge(`${json + size} bytes`, 'frameBytes', frameBytes)
    if (this.#jsonSize + json > jsonBytes || this.buffered + json + size > frameBytes) this.#flush()
    const atOnce = this.#open && !this.#corked && !this.#tickOpen
    if (bytes.length > 0) {
      this.#bytes.set(this.#outbox.length, atOnce ? bytes : bytes.map(range => new Uint8Array(range)))
      this.#byteSize += size
    }
    this.#append(message)
    const frame = this.framesOut + 1
    if (atOnce) this.#flush()
    if (!this.#corked) this.atEndOfTick()
    return frame
  }

  #append(message: string): void {
    this.#outbox.push(message)
    this.#jsonSize += message.length + 1
  }

  /** Sees to it that what waits leaves at the end of this tick. */
  atEndOfTick(): void {
    if (this.#tickOpen) return
    this.#tickOpen = true
    atEndOfTick(() => {
      this.#tickOpen = false
      this.#flushAll()
    })
  }

  /** Sends what waits, then closes. What was called before the transport is open waits for that. */
  close(reason: Reason): void {
    clearTimeout(this.#timer)
    this.#closing = reason
    const waitsToOpen = !this.#open && this.framesOut === 0 && this.#outbox.length > 1
    if (waitsToOpen) return
    if (this.#open) this.#flushAll()
    this.#open = false
    this.transport.close(reason)
  }

  opened(): void {
    this.#open = true
    this.#flushAll()
    this.atEndOfTick()
    if (this.#closing) this.close(this.#closing)
  }

  received(data: string | Uint8Array): void {
    this.framesIn++
    this.bytesIn += data.length
    try {
      const { received, messages, bytes } = parseFrame(data, this.limits)
      if (received > this.framesOut || received < this.#acknowledged) {
        throw new ProtocolError(`a count of ${received} frames, of ${this.framesOut} sent`)
      }
      this.#acknowledged = received
      if (debug) for (const message of messages) debug('←', message)
      this.#corked = true
      this.listener.receive(messages, bytes)
      // Only now: messages of this very frame may build on answers that its count says have arrived.
      this.listener.acknowledged(received)
      if (messages.length > 0) this.#owe()
    } catch (error) {
      this.listener.end(reasonOf(error))
    } finally {
      this.#corked = false
      if (this.#outbox.length > 0 && !this.#tickOpen) {
        this.#flush()
        this.atEndOfTick()
      }
    }
  }

  closed(reason: Reason): void {
    this.#open = false
    clearTimeout(this.#timer)
    this.listener.end(reason)
    this.#gone?.()
  }

  #flushAll(): void {
    for (let message = this.listener.trailing(); message !== undefined; message = this.listener.trailing()) {
      if (this.#jsonSize + message.length + ENVELOPE > this.peer.jsonBytes) this.#flush()
      this.#append(message)
    }
    if (this.#outbox.length > 0) this.#flush()
  }

  #flush(): void {
    if (!this.#open) return
    if (debug) for (const message of this.#outbox) debug('→', JSON.parse(message))
    const frame = formatFrame(this.framesIn, this.#outbox, this.#bytes)
    this.#outbox = []
    if (this.#bytes.size > 0) this.#bytes = new Map()
    this.#jsonSize = this.#byteSize = 0
    this.#counted = this.framesIn
    this.framesOut++
    this.bytesOut += frame.length
    this.transport.send(frame)
  }

  /** The peer is owed a count: it goes with the next frame, or alone when none comes soon. */
  #owe(): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (this.#open && this.framesIn > this.#counted) this.#flush()
    }, ACKNOWLEDGE_AFTER)
    this.#timer.unref?.()
  }
}

const tooLarge = (size: string, limit: string, bytes: number) =>
  new LimitError(
    'limit',
    `${size} are more than the other side takes (limits.${limit}: ${bytes}): send it in parts`
  )
