// Collects messages into one frame. The frame is written when a transport takes it; until then a message can be withdrawn.
import { type FrameData, formatFrame } from '../protocol/frame.js'
import type { PeerLimits } from '../protocol/messages.js'

/** Characters of a frame besides its messages: its acknowledgement and brackets. */
export const FRAME_OVERHEAD_BYTES = 32
/** Bytes of a frame for each byte range besides the range itself: alignment, and its size in the JSON. */
const RANGE_OVERHEAD_BYTES = 24

export const sizeOfRanges = (ranges: readonly Uint8Array[]): number =>
  ranges.reduce((sum, range) => sum + range.byteLength + RANGE_OVERHEAD_BYTES, 0)

/** Shared by all frames without byte ranges. */
const NO_RANGES = new Map<number, readonly Uint8Array[]>()
const NO_MESSAGES: string[] = []

export class FrameBuilder {
  #messages: string[] = []
  #ranges = NO_RANGES
  #jsonLength = 0
  #rangeBytes = 0
  #ack = 0
  /** Whether a message was withdrawn without a replacement. */
  #hasGaps = false
  #frame: FrameData | undefined
  /** Bytes of replies in the frame. */
  replyBytes = 0

  get messageCount(): number {
    return this.#messages.length
  }
  /** Size of the frame in bytes; approximate until it is written. */
  get size(): number {
    return this.#frame?.length ?? this.#jsonLength + this.#rangeBytes
  }
  get isEmpty(): boolean {
    return this.#messages.length === 0
  }

  /** Whether another message fits into the frame; the first one always does. */
  fits(
    message: string,
    rangeBytes: number,
    { jsonBytes, frameBytes }: Pick<PeerLimits, 'jsonBytes' | 'frameBytes'>
  ): boolean {
    const jsonLength = this.#jsonLength + message.length + FRAME_OVERHEAD_BYTES
    return (
      this.isEmpty || (jsonLength <= jsonBytes && jsonLength + this.#rangeBytes + rangeBytes <= frameBytes)
    )
  }

  /** Adds a message, with its byte ranges, which nobody else may change from now on. */
  add(message: string, ranges: readonly Uint8Array[]): void {
    if (ranges.length > 0) {
      if (this.#ranges === NO_RANGES) this.#ranges = new Map()
      this.#ranges.set(this.#messages.length, ranges)
      this.#rangeBytes += sizeOfRanges(ranges)
    }
    this.#messages.push(message)
    this.#jsonLength += message.length + 1
  }

  /** Withdraws a message, with its byte ranges, and puts `replacement` in its place. */
  withdraw(index: number, replacement: string): void {
    this.#rangeBytes -= sizeOfRanges(this.#ranges.get(index) ?? [])
    this.#ranges.delete(index)
    this.#jsonLength += replacement.length - this.#messages[index]!.length
    this.#messages[index] = replacement
    this.#hasGaps ||= replacement === ''
  }

  /** Removes messages that were withdrawn without a replacement. */
  #removeGaps(): void {
    const messages: string[] = []
    const bytes = new Map<number, readonly Uint8Array[]>()
    this.#messages.forEach((message, place) => {
      const ranges = this.#ranges.get(place)
      if (ranges) bytes.set(messages.length, ranges)
      if (message !== '') messages.push(message)
    })
    this.#messages = messages
    this.#ranges = bytes
  }

  /** No message is added any more. The frame acknowledges that many frames of the peer. */
  close(ack: number): void {
    this.#ack = ack
  }

  get isWritten(): boolean {
    return this.#messages === NO_MESSAGES
  }

  /** The frame, which is kept until `releaseFrame()`. */
  write(transfersBuffers: boolean): FrameData {
    if (this.#frame === undefined) {
      if (this.#hasGaps) this.#removeGaps()
      this.#frame = formatFrame(this.#ack, this.#messages, this.#ranges, transfersBuffers)
      this.#messages = NO_MESSAGES
      this.#ranges = NO_RANGES
      this.#jsonLength = this.#rangeBytes = 0
    }
    return this.#frame
  }

  releaseFrame(): void {
    this.#frame = undefined
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#messages.filter(message => message !== '')[Symbol.iterator]()
  }
}
