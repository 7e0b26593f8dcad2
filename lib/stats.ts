// What a session tells of itself in numbers, and what is in its tables.
import type { Callee } from './callee.js'
import type { Caller } from './caller.js'
import type { Link } from './link.js'
import type { References } from './references.js'

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
  readonly receipts: number
}

export interface Tables {
  /** Own objects the peer holds. */
  readonly exports: TableEntry[]
  /** Netrefs held here. */
  readonly imports: TableEntry[]
}

const isHeld = (entry: { readonly object: object | undefined }): entry is TableEntry =>
  entry.object !== undefined

/** @internal */
export function statsOf(
  { sender, receiver }: Link,
  { exports, imports, flows }: References,
  caller: Caller,
  callee: Callee
): SessionStats {
  return {
    exports: exports.size,
    imports: imports.size,
    pending: caller.pending,
    callsIn: callee.calls,
    callsOut: caller.calls,
    framesIn: receiver.frames,
    framesOut: sender.frames,
    bytesIn: receiver.bytes,
    bytesOut: sender.bytes,
    buffered: sender.buffered + flows.buffered
  }
}

/** @internal */
export const tablesOf = ({ exports, imports }: References): Tables => ({
  exports: Array.from(exports, ({ id, object, receipts }) => ({ id, object, receipts })),
  // The collector may have taken a netref, and not told yet.
  imports: Array.from(imports, ({ id, proxy, receipts }) => ({ id, object: proxy, receipts })).filter(isHeld)
})
