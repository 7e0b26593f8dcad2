// How the messages of a session leave, whatever becomes of the transports below.
import type { PeerLimits } from './messages.js'

export interface OutboundChannel {
  /**
   * @returns the number of the frame the message is in
   * @throws LimitError for more than the peer takes; nothing is sent then
   */
  send(message: string, bytes: readonly Uint8Array[]): number
  /** The same for a call. No more of them may wait than a limit says for a peer that is away, or does not read. */
  sendCall(message: string, bytes: readonly Uint8Array[]): number
  /** The same for what is owed to the peer: it is not acted on while it leaves too much of that unread. */
  sendRequiredReply(message: string, bytes: readonly Uint8Array[]): number
  /** The same, where something small can be said instead. @throws LimitError where far too much waits already */
  sendReply(message: string, bytes: readonly Uint8Array[]): number
  /** The place in its frame of the message that was sent last. */
  readonly lastMessageIndex: number
  /** Whether a transport was handed the frame of that number. */
  isFrameSent(frame: number): boolean
  /** Withdraws a message of a frame that has not left; `instead` stands in its place. */
  withdraw(frame: number, index: number, replacement?: string): void
  /** Resolves when what was sent has left for the peer. */
  whenSent(): Promise<void>
  /** The same, but undefined when there is room for more now. */
  whenWritable(): Promise<void> | undefined
}

/** How streams send their messages. */
export interface StreamChannel extends OutboundChannel {
  readonly peerLimits: PeerLimits
  /** Counts decoded values of a peer's message, which take time. */
  countDecodedValues(values: number): void
  /** Closes the current frame if `size` more bytes would exceed `most`. */
  closeFrameIfOver(size: number, most: number): void
  /** Flushes waiting messages at the end of this tick. */
  flushAtEndOfTick(): void
}
