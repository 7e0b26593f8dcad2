// The public types of a session.
import type { Reason } from '../errors.js'
import type { Netref } from './netref.js'

/**
 * State of a session. `connecting`: the peer has not answered yet. `interrupted`: it has no transport, and waits for the
 * next one.
 */
export type SessionState = 'connecting' | 'open' | 'interrupted' | 'closed'

/** Counters of a session. */
export interface SessionStats {
  /** Number of own objects that the peer holds. */
  readonly exports: number
  /** Number of netrefs held here. */
  readonly imports: number
  /** Number of calls that wait for their reply. */
  readonly pending: number
  /** Number of operations of the peer, pings included. */
  readonly callsIn: number
  /** Number of operations of this side, pings included. */
  readonly callsOut: number
  /** Number of operations of the peer that failed here by an error of this side's code. Rejected calls do not count. */
  readonly callsFailed: number
  /** Number of frames received. */
  readonly framesIn: number
  /** Number of frames sent. */
  readonly framesOut: number
  /** Size of the frames received in bytes; of text frames, in characters. */
  readonly bytesIn: number
  /** Size of the frames sent in bytes; of text frames, in characters. */
  readonly bytesOut: number
  /** Bytes that wait here: messages to be sent, and items of iterators and streams to be read. */
  readonly buffered: number
}

/** The reason that `close` gives to both sides. */
export interface SessionCloseOptions {
  /**
   * Code of the reason: of the application's own, in up to 32 lower-case letters, digits and hyphens, or `closed` or
   * `revoked`. Other codes of netref are a TypeError. A client does not come back by itself after any of them.
   *
   * @default 'closed'
   */
  readonly code?: string | undefined
  /** Words for a person, of about 100 bytes; the end of a longer text is not sent. @default 'close() was called'; for `revoked` 'please sign in again' */
  readonly message?: string | undefined
}

/** One of the instances of a service. */
export interface PeerInstance {
  /** Id of the instance: no other has it. */
  readonly id: string
  /** Version of the service, by SemVer. */
  readonly version: string
  /** What the instance tells of itself, such as its zone. */
  readonly metadata: Readonly<Record<string, string>>
}

/** An entry of the export table or the import table. */
export interface TableEntry {
  /** Number of the entry in its table. */
  readonly id: number
  /** The own object, or the netref. */
  readonly object: object
  /** Number of times that the reference was sent and not released. */
  readonly refCount: number
}

/** The entries of both tables of a session. */
export interface Tables {
  /** Own objects that the peer holds. */
  readonly exports: TableEntry[]
  /** Netrefs held here. */
  readonly imports: TableEntry[]
}

/** The events of a session, by name, with what their listeners get. */
export interface SessionEvents {
  /** The transport was lost, and the session waits for another one. */
  interrupted: Reason
  /** The session continues over another transport: nothing is lost. */
  resumed: undefined
  /**
   * The server goes away (`server.close({ drain })`), on both ends. The session ends when no call is under way. A client with
   * `renew` moves to its next session by itself; in others, further calls soon reject.
   */
  leaving: undefined
  /** The session has ended; its token is invalid. */
  closed: Reason
  /** `state` has changed to this one. It follows the event of the change, except for `closed`, which comes last. */
  state: SessionState
}

/**
 * One end of a session. Both ends are alike: either may call the other at any time.
 *
 * @example
 * class Greeter extends Service {
 *   override onConnect(session: Session) {
 *     console.log(`hello ${session.identity}, ${server.sessions.size} are here`)
 *   }
 * }
 */
export interface Session<Root extends object = object, Identity = unknown> extends AsyncDisposable {
  /** The root of the peer. */
  readonly root: Netref<Root>
  /** Identity of the peer: the result of `authenticate`. Undefined at a client, and if there is no `authenticate`. */
  readonly identity: Identity
  /** Name of the gateway whose client the peer is; undefined for any other peer. */
  readonly gateway: string | undefined
  /** The instance that the session is with, if the peer is one of several (`netref/nats`); otherwise undefined. */
  readonly peer: PeerInstance | undefined
  /** Resolves with the reason when the session has ended. It never rejects. */
  readonly closed: Promise<Reason>
  /** The present state. */
  readonly state: SessionState
  /** Counters: references held, calls pending, frames and bytes in each direction. */
  readonly stats: SessionStats
  /** The present entries of both tables, for tools that show them. */
  readonly tables: Tables
  /**
   * Calls `listener` at the event: `interrupted` and `closed`, with the reason, `resumed`, `leaving`, and `state`, with the
   * new state.
   *
   * @returns a function that removes the listener
   * @throws TypeError for an unknown event, or for a listener that is not a function
   */
  on<E extends keyof SessionEvents>(name: E, listener: (event: SessionEvents[E]) => void): () => void
  /**
   * Sends a ping to the peer.
   *
   * @returns the round-trip time, in ms
   * @throws SessionEndedError if the session ends first
   */
  ping(): Promise<number>
  /**
   * Sends the calls made so far, then ends the session, for the reason `closed` or that of `options`. Pending calls
   * reject. Resolves when the transport is closed. A client that is not connected gets the reason when it returns.
   *
   * @throws TypeError for invalid options
   * @example
   * await session.close({ code: 'moved', message: 'You are signed in at another place.' })
   */
  close(options?: SessionCloseOptions): Promise<void>
}

/** The origin of a failure that no code awaits. */
export interface ErrorContext {
  /** The session of the failure; undefined if it is of no session. */
  readonly session: Session | undefined
  /** The call that failed, as its caller wrote it, e.g. `root.notify("x")`. */
  readonly call?: string | undefined
}
