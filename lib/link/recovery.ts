// What becomes of a link whose transport is lost.
import type { Reason } from '../errors.js'
import type { Transport } from '../transport/transport.js'
import type { SessionState } from '../types/session.js'

/** A link as the one sees it who looks for another transport. */
export interface Resumable {
  readonly state: SessionState
  /** Frames received so far. */
  readonly receiver: { readonly frames: number }
  /** Begins over its first transport. */
  start(transport: Transport): void
  /** Goes on over another transport, whose other end has received that many frames. */
  carryOn(transport: Transport, received: number): void
  end(reason: Reason): void
}

/** A client looks for another transport, a server waits for it. */
export interface Recovery {
  /** What proves that a socket is of this session: a server tells it, a client is told it. */
  token: string | undefined
  /** For how long after its socket was lost a session may be carried on, in ms: the server says so. */
  goodFor: number
  /** Whether a first connection is looked for, too: nothing but the hello leaves before the peer has answered it. */
  readonly initial?: boolean
  /** The transport is lost. @returns whether another one is awaited; where none comes, `link.end` is called */
  lost(link: Resumable, reason: Reason): boolean
  /** No other transport is awaited any more: this one has come, or the session has ended. */
  stop(came?: Transport): void
  /** What looks for another transport keeps the process alive no more. */
  unref(): void
}
