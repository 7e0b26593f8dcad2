// What becomes of a link whose transport is lost.
import type { Reason, ReasonCode } from './errors.js'
import type { Link } from './link.js'
import type { Transport } from './transport.js'

/** A client looks for another transport, a server waits for it. */
export interface Recovery {
  /** What proves that a socket is of this session: a server tells it, a client is told it. */
  token: string | undefined
  /** For how long after its socket was lost a session may be carried on, in ms: the server says so. */
  goodFor: number
  /** Whether a first connection is looked for, too: nothing but the hello leaves before the peer has answered it. */
  readonly initial?: boolean
  /** The transport is lost. @returns whether another one is awaited; where none comes, `link.end` is called */
  lost(link: Link, reason: Reason): boolean
  /** No other transport is awaited any more: this one has come, or the session has ended. */
  stop(came?: Transport): void
  /** What looks for another transport keeps the process alive no more. */
  unref(): void
}

const LOSSES: readonly ReasonCode[] = ['connection-lost', 'unreachable', 'unavailable']

/** Whether this befell the transport alone; every other reason is the end of the session. */
export const isLoss = ({ code }: Reason): boolean => LOSSES.includes(code)

/** Whether the server did not let the client in: of what came over that transport nothing was acted on. */
export const isRefusal = ({ code }: Reason): boolean => code === 'unavailable' || code === 'unauthorized'
