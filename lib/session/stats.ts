// What a session tells of itself in numbers, and what is in its tables.

import type { Link } from '../link/link.js'
import type { References } from '../remote/references.js'
import type { SessionStats, TableEntry, Tables } from '../types/session.js'
import type { Callee } from './callee.js'
import type { Caller } from './caller.js'

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
