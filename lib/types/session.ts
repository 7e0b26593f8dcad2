// The public types of a session.
import type { Reason } from '../errors.js'
import type { Netref } from './netref.js'

/** `interrupted` is a session without a transport, which waits for its next one. */
export type SessionState = 'connecting' | 'open' | 'interrupted' | 'closed'

export interface SessionStats {
  /** Own objects the peer holds. */
  readonly exports: number
  /** Netrefs held here. */
  readonly imports: number
  /** Calls that wait for their answer. */
  readonly pending: number
  /** Calls, reads and the like of the peer, and of this side; pings count, too. */
  readonly callsIn: number
  readonly callsOut: number
  readonly framesIn: number
  readonly framesOut: number
  /** Bytes of frames; of text frames, characters. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** Bytes that wait here: to be sent, or, as items of iterators and streams, to be read. */
  readonly buffered: number
}

/** One of the entries of a table. */
export interface TableEntry {
  readonly id: number
  /** The own object, or the netref. */
  readonly object: object
  /** How often the reference has crossed and was not given back. */
  readonly refCount: number
}

export interface Tables {
  /** Own objects the peer holds. */
  readonly exports: TableEntry[]
  /** Netrefs held here. */
  readonly imports: TableEntry[]
}

export interface SessionEvents {
  /** The transport is lost, and the session waits for another one. */
  interrupted: Reason
  /** Another transport carries the session on: nothing is lost. */
  resumed: undefined
  /** Invalidates the token; its session has ended. */
  closed: Reason
}

/** One end of a session. Both ends are alike: either may call the other at any time. */
export interface Session<Root extends object = object, Identity = unknown> extends AsyncDisposable {
  /** The root of the peer. */
  readonly root: Netref<Root>
  /** Who the peer is: the result of `authenticate`. Undefined at a client, and where there is no `authenticate`. */
  readonly identity: Identity
  /** Resolves, with the reason, when the session has ended. It never rejects. */
  readonly closed: Promise<Reason>
  readonly state: SessionState
  readonly stats: SessionStats
  /** The entries of both tables at present, for tools that show them. */
  readonly tables: Tables
  /**
   * Calls `listener` at the event: `interrupted` and `closed`, with the reason, and `resumed`.
   *
   * @returns a function that removes the listener
   */
  on<E extends keyof SessionEvents>(name: E, listener: (told: SessionEvents[E]) => void): () => void
  /** Asks the peer for a sign of life. @returns the round-trip time, in ms @throws SessionEndedError */
  ping(): Promise<number>
  /** Sends the calls made so far, then ends the session; pending calls reject. Resolves when the transport is closed. */
  close(): Promise<void>
}

/** Where a failure that nobody awaits came from. */
export interface ErrorContext {
  readonly session: Session | undefined
  /** The call that failed, as its caller wrote it, e.g. `root.notify("x")`. */
  readonly call?: string | undefined
}
