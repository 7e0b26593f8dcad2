// What carries frames. A transport delivers whole frames in order, and may die.
import type { Reason } from './errors.js'

export interface Transport {
  /**
   * Begins delivery to `listener`. Called before anything else; called again it delivers to another one from then on,
   * which is told at once that the transport is open, if it is.
   */
  start(listener: TransportListener): void
  /** Sends a frame. Called only between `opened` and `closed`. `sent` is called when it has left this process. */
  send(frame: string | Uint8Array, sent?: () => void): void
  /** Bytes that were sent and have not left this process. */
  readonly buffered: number
  /** Bytes that have come, of frames that are not complete, too; for transports that can tell. */
  readonly arrived?: number
  /** Stops reading from the other end, which is slowed down by that, and goes on. */
  pause(): void
  resume(): void
  /** Closes when all that was sent has left; the other end is told the reason. `closed` follows. */
  close(reason: Reason): void
}

/** What a transport tells the link above it. */
export interface TransportListener {
  opened(): void
  received(frame: string | Uint8Array): void
  /** The last word of a transport: it is gone, for what the other end said or for what befell it. */
  closed(reason: Reason): void
}

/** Where a link begins that is to look for its first transport by itself. */
export const NOWHERE: Transport = {
  start: listener => listener.closed({ code: 'unreachable', message: 'no connection was tried yet' }),
  send() {},
  buffered: 0,
  pause() {},
  resume() {},
  close() {}
}

/** For a transport that was given up: nothing of it is heard any more. */
export const DEAF: TransportListener = { opened() {}, received() {}, closed() {} }
