// The strategy by which a link continues when its transport is lost.
import type { Reason } from '../errors.js'
import type { Transport } from '../transport/transport.js'
import type { SessionState } from '../types/session.js'

/** The part of a link that a resume strategy uses. */
export interface Resumable {
  readonly state: SessionState
  /** Number of frames received so far. */
  readonly receiver: { readonly receivedFrames: number }
  /** Starts over the first transport. */
  start(transport: Transport): void
  /** Continues over another transport, whose other end has received `peerAck` frames. */
  resume(transport: Transport, peerAck: number): void
  end(reason: Reason): void
}

/** A client opens another transport, a server waits for one. */
export interface ResumeStrategy {
  /** Secret that proves that a socket belongs to this session; the server issues it. */
  token: string | undefined
  /** Time after the loss of its socket within which a session can be resumed; the server sets it. */
  resumeWindowMs: number
  /** Whether a first connection is retried, too: then only the hello is sent before the peer answers it. */
  readonly retriesFirstConnection?: boolean
  /** The transport is lost. @returns whether the link waits for another one; if none follows, `link.end` is called */
  onTransportLost(link: Resumable, reason: Reason): boolean
  /** The link waits for no other transport: `adopted` is in use, or the session has ended. */
  stop(adopted?: Transport): void
  /** Makes no attempts until `continue`. */
  suspend?(): void
  /** Makes attempts again; if the transport is lost, one at once. */
  continue?(): void
  /** Attempts to open another transport do not keep the process alive any longer. */
  unref(): void
}
