// Messages of RPyC over a stream of bytes. A frame is a length of 4 bytes, a flag, the body, and a newline.
//
// The body is a message. RPyC 5 puts its type into the tuple, `(type, seq, args)`; RPyC 6 writes a byte before `(seq, args)`.
// Nothing on the wire tells the version but the first byte of the first body. A channel that is not told takes that of the peer.
import type { Duplex } from 'node:stream'
import { inflate } from 'node:zlib'
import { type Limits, MAX_BUFFERED_FACTOR } from '../../protocol/limits.js'
import { clock, unref } from '../../util/clock.js'
import { Deadline } from '../../util/deadline.js'
import { runAfterMicrotasks } from '../../util/scheduler.js'
import { PartialBytes } from '../support/partial-bytes.js'
import { type BrineValue, type BrineWriter, decodeBrine, writeBrine } from './brine.js'

/** The major versions of RPyC whose messages differ. */
export type RpycVersion = 5 | 6

export const MSG_REQUEST = 1
export const MSG_REPLY = 2
export const MSG_EXCEPTION = 3
export type MessageType = typeof MSG_REQUEST | typeof MSG_REPLY | typeof MSG_EXCEPTION

/** What a channel reports. */
export interface ChannelHandler {
  /** A message of so many bytes arrived. If this throws, the channel ends with that error. */
  onMessage(type: MessageType, seq: number, args: BrineValue, bytes: number): void
  /** The stream has ended: by either side if there is no error. Called once. */
  onClosed(error: Error | undefined): void
}

export type ChannelLimits = Pick<
  Limits,
  'frameBytes' | 'jsonBytes' | 'depth' | 'bigintDigits' | 'bufferedBytes' | 'helloMs' | 'pauseMs'
>

const HEADER_BYTES = 5
const NEWLINE = 0x0a
/** The tag of a tuple of 3 items: the first byte of each message of RPyC 5. */
const TUPLE_OF_3 = 0x12
const TUPLE_OF_2 = 0x11

/** Bytes received that are no messages, or a peer that stopped in a frame or does not read. It ends the channel. */
export class ChannelError extends Error {
  override name = 'ChannelError'
}

/** Time for the peer to end its side once it was sent everything. */
const CLOSE_TIMEOUT_MS = 2000

export class Channel {
  #version: RpycVersion | undefined
  /** Received bytes of a frame that is not whole. */
  readonly #partial = new PartialBytes()
  /** Bytes of `#partial` before which no frame is whole. */
  #needed = HEADER_BYTES
  /** Whether the next byte is the newline of a frame that was read: a message does not wait for it. */
  #newlineDue = false
  #receivedBytes = 0
  /** Frames of this tick. */
  #frames: Buffer[] = []
  #writtenBytes = 0
  #inflating = false
  #waitsForDrain = false
  /** Whether messages are no longer sent or reported. */
  #ended = false
  #error: Error | undefined
  readonly #frameDeadline: ProgressDeadline
  readonly #writeDeadline: ProgressDeadline

  constructor(
    private readonly stream: Duplex,
    private readonly limits: ChannelLimits,
    private readonly handler: ChannelHandler,
    /** The version to speak. Absent, it is that of the first message of the peer. */
    version?: RpycVersion
  ) {
    this.#version = version
    const { helloMs, pauseMs } = limits
    this.#frameDeadline = new ProgressDeadline(
      helloMs,
      // While this side does not read, the peer is not late.
      () => (this.#isPaused ? Number.NaN : this.#receivedBytes),
      () => this.#fail(`it received a part of a frame, and nothing more for ${helloMs} ms (limits.helloMs)`)
    )
    this.#writeDeadline = new ProgressDeadline(
      pauseMs,
      () => this.#writtenBytes - stream.writableLength,
      () => this.#fail(`the peer read nothing for ${pauseMs} ms (limits.pauseMs)`)
    )
    stream.on('data', (chunk: Buffer) => this.#onData(chunk))
    stream.on('drain', () => this.#onDrain())
    stream.on('error', error => {
      this.#error ??= error
    })
    stream.on('end', () => {
      if (this.#partial.length > 0) this.#fail('the stream ended within a frame')
      else this.end()
    })
    stream.on('close', () => this.#onClosed())
  }

  /** The version of the peer; undefined before its first message, unless it was given. */
  get version(): RpycVersion | undefined {
    return this.#version
  }

  get #isPaused(): boolean {
    return this.#inflating || this.#waitsForDrain
  }

  /**
   * Sends a message, together with all others of this tick. After the end it does nothing.
   *
   * @throws BrineError if `args` have no form in brine
   */
  send(type: MessageType, seq: number, args: unknown): void {
    if (this.#ended) return
    this.#version ??= 6
    const frame = encodeFrame(this.#version, type, seq, args)
    if (this.#frames.push(frame) === 1) runAfterMicrotasks(() => this.#flush())
  }

  /** Sends what is owed, then ends the stream. Messages that arrive later are ignored. */
  end(): void {
    if (this.#ended) return
    this.#flush()
    this.#stop()
    const { stream } = this
    this.#writeDeadline.begin()
    stream.end(() => unref(clock.setTimeout(() => stream.destroy(), CLOSE_TIMEOUT_MS)))
    // What the peer still sends is read, since unread bytes at the close would make the system drop what is on its way.
    stream.resume()
  }

  /** Ends the stream at once. */
  destroy(error?: Error): void {
    this.#error ??= error
    this.#stop()
    this.stream.destroy()
  }

  #fail(message: string): void {
    this.destroy(new ChannelError(message))
  }

  #stop(): void {
    this.#ended = true
    this.#frames = []
    this.#partial.take()
    this.#frameDeadline.stop()
    this.#writeDeadline.stop()
  }

  #onClosed(): void {
    this.#stop()
    this.handler.onClosed(this.#error)
  }

  #flush(): void {
    const frames = this.#frames
    if (frames.length === 0) return
    this.#frames = []
    const bytes = frames.length === 1 ? frames[0]! : Buffer.concat(frames)
    this.#writtenBytes += bytes.length
    const { stream, limits } = this
    if (stream.write(bytes)) return
    const { writableLength } = stream
    if (writableLength > MAX_BUFFERED_FACTOR * limits.bufferedBytes)
      return this.#fail(
        `the peer does not read, and ${writableLength} bytes wait for it (limits.bufferedBytes)`
      )
    this.#waitsForDrain = true
    stream.pause()
    this.#writeDeadline.begin()
  }

  #onDrain(): void {
    this.#waitsForDrain = false
    this.#writeDeadline.stop()
    this.#resume()
  }

  #resume(): void {
    if (!this.#ended && !this.#isPaused) this.stream.resume()
  }

  #onData(chunk: Buffer): void {
    if (this.#ended) return
    this.#receivedBytes += chunk.length
    if (this.#partial.length > 0) {
      this.#partial.add(chunk, this.#needed)
      if (this.#partial.length < this.#needed) return
      chunk = this.#partial.take()
    }
    this.#readFrames(chunk)
  }

  /** Reads the frames of a chunk, and keeps what remains. */
  #readFrames(chunk: Buffer): void {
    const { frameBytes } = this.limits
    let start = 0
    this.#needed = HEADER_BYTES
    while (start < chunk.length) {
      if (this.#newlineDue) {
        this.#newlineDue = false
        start++
        continue
      }
      if (chunk.length - start < HEADER_BYTES) break
      const length = chunk.readUInt32BE(start)
      if (length > frameBytes)
        return this.#fail(`it received a frame of ${length} bytes (limits.frameBytes is ${frameBytes})`)
      const bodyStart = start + HEADER_BYTES
      if (bodyStart + length > chunk.length) {
        this.#needed = HEADER_BYTES + length
        break
      }
      const isCompressed = chunk[bodyStart - 1] !== 0
      start = bodyStart + length
      this.#newlineDue = true
      const body = chunk.subarray(bodyStart, start)
      if (isCompressed) {
        this.#inflate(body, chunk.subarray(start))
        return
      }
      this.#onBody(body)
      if (this.#ended) return
    }
    if (start < chunk.length) {
      this.#partial.add(chunk.subarray(start), this.#needed)
      this.#frameDeadline.begin()
    } else this.#frameDeadline.stop()
  }

  /** Inflates a body in another thread, as few bytes may become many. Nothing is read meanwhile. */
  #inflate(body: Buffer, rest: Buffer): void {
    this.#inflating = true
    this.stream.pause()
    inflate(body, { maxOutputLength: this.limits.frameBytes }, (error, inflated) => {
      if (this.#ended) return
      this.#inflating = false
      if (error)
        return this.#fail(`it received a compressed frame that is wrong or too long: ${error.message}`)
      this.#onBody(inflated)
      if (this.#ended) return
      this.#readFrames(rest)
      this.#resume()
    })
  }

  #onBody(body: Buffer): void {
    try {
      this.#readMessage(body)
    } catch (error) {
      this.destroy(error as Error)
    }
  }

  #readMessage(body: Buffer): void {
    const [first, second] = body
    this.#version ??= first === TUPLE_OF_3 ? 5 : 6
    const isVersion5 = this.#version === 5
    if (isVersion5 ? first !== TUPLE_OF_3 : second !== TUPLE_OF_2)
      throw new ChannelError(`it received a message that is not one of RPyC ${this.#version}`)
    const items = decodeBrine(body, this.limits, isVersion5 ? 0 : 1) as readonly BrineValue[]
    const [type, seq, args] = isVersion5 ? items : [first, ...items]
    if (type !== MSG_REQUEST && type !== MSG_REPLY && type !== MSG_EXCEPTION)
      throw new ChannelError(`it received a message of the unknown type ${String(type)}`)
    if (!Number.isSafeInteger(seq)) throw new ChannelError('it received a message without a number')
    this.handler.onMessage(type, seq as number, args!, body.length)
  }
}

/** A deadline that is extended while a number changes. It lets the process exit. */
class ProgressDeadline extends Deadline {
  #progress = 0

  constructor(
    ms: number,
    private readonly progress: () => number,
    protected readonly onExpired: () => void
  ) {
    super(ms)
    this.unref()
  }

  /** Starts the deadline, if it is not running. */
  begin(): void {
    if (this.isRunning) return
    this.#progress = this.progress()
    this.start()
  }

  protected override countElapsedParts(elapsedParts: number): number {
    const last = this.#progress
    this.#progress = this.progress()
    return this.#progress === last ? elapsedParts : 0
  }
}

function encodeFrame(version: RpycVersion, type: MessageType, seq: number, args: unknown): Buffer {
  return writeBrine(writer => {
    writer.writeUint32(0)
    writer.writeByte(0)
    writeMessage(writer, version, type, seq, args)
    writer.writeUint32(writer.length - HEADER_BYTES, 0)
    writer.writeByte(NEWLINE)
  })
}

function writeMessage(
  writer: BrineWriter,
  version: RpycVersion,
  type: MessageType,
  seq: number,
  args: unknown
): void {
  if (version === 5) {
    writer.writeByte(TUPLE_OF_3)
    writer.writeValue(type)
  } else {
    writer.writeByte(type)
    writer.writeByte(TUPLE_OF_2)
  }
  writer.writeValue(seq)
  writer.writeValue(args)
}
