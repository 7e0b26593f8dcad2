// The interfaces by which calls and streams send messages. They are independent of the transports below.
import type { PeerLimits } from './messages.js'

export interface OutboundChannel {
  /**
   * Sends a message.
   *
   * @returns the number of its frame
   * @throws LimitError if it exceeds the limits of the peer; nothing is sent then
   */
  send(message: string, bytes: readonly Uint8Array[]): number
  /** Sends a call. @throws LimitError as `send`, and if too much waits for the peer */
  sendCall(message: string, bytes: readonly Uint8Array[]): number
  /** Sends a reply that must not be omitted. The peer's calls wait while it leaves too many replies unread. */
  sendRequiredReply(message: string, bytes: readonly Uint8Array[]): number
  /** Sends a reply that a short rejection can replace. @throws LimitError as `send`, and if far too much waits */
  sendReply(message: string, bytes: readonly Uint8Array[]): number
  /** Index, in its frame, of the message sent last. */
  readonly lastMessageIndex: number
  /** Whether a transport was given the frame of that number. */
  isFrameSent(frame: number): boolean
  /** Withdraws a message of a frame that is not sent, and puts `replacement` in its place. */
  withdraw(frame: number, index: number, replacement?: string): void
  /** Resolves when all messages were given to a transport, and the peer reads. */
  whenSent(): Promise<void>
  /** Resolves when more may be sent; undefined if that is now. */
  whenWritable(): Promise<void> | undefined
}

/** How streams send their messages. */
export interface StreamChannel extends OutboundChannel {
  readonly peerLimits: PeerLimits
  /** Counts decoded values of a peer's message, which take time. */
  countDecodedValues(values: number): void
  /** Closes the current frame if `size` more bytes would exceed `maxBytes`. */
  closeFrameIfOver(size: number, maxBytes: number): void
  /** Flushes waiting messages at the end of this tick. */
  flushAtEndOfTick(): void
}
