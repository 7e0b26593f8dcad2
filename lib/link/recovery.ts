// What becomes of a link whose transport is lost.
import type { Reason } from '../errors.js'
import type { Transport } from '../transport/transport.js'
import type { SessionState } from '../types/session.js'

/** A link as the one sees it who looks for another transport. */
export interface Resumable {
  readonly state: SessionState
  /** Frames received so far. */
  readonly receiver: { readonly receivedFrames: number }
  /** Begins over its first transport. */
  start(transport: Transport): void
  /** Goes on over another transport, whose other end has received that many frames. */
  resume(transport: Transport, peerAck: number): void
  end(reason: Reason): void
}

/** A client looks for another transport, a server waits for it. */
export interface ResumeStrategy {
  /** What proves that a socket is of this session: a server tells it, a client is told it. */
  token: string | undefined
  /** For how long after its socket was lost a session may be carried on, in ms: the server says so. */
  resumeWindowMs: number
  /** Whether a first connection is looked for, too: nothing but the hello leaves before the peer has answered it. */
  readonly retriesFirstConnection?: boolean
  /** The transport is lost. @returns whether another one is awaited; where none comes, `link.end` is called */
  onTransportLost(link: Resumable, reason: Reason): boolean
  /** No other transport is awaited any more: this one has come, or the session has ended. */
  stop(adopted?: Transport): void
  /** What looks for another transport keeps the process alive no more. */
  unref(): void
}
