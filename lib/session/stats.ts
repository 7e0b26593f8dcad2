// The statistics of a session, and the entries of its tables.

import type { Link } from '../link/link.js'
import type { References } from '../remote/references.js'
import type { SessionStats, TableEntry, Tables } from '../types/session.js'
import type { Callee } from './callee.js'
import type { Caller } from './caller.js'

const hasObject = (entry: { readonly object: object | undefined }): entry is TableEntry =>
  entry.object !== undefined

/** @internal */
export function statsOf(
  { sender, receiver }: Link,
  { exports, imports, streams }: References,
  caller: Caller,
  callee: Callee
): SessionStats {
  return {
    exports: exports.size,
    imports: imports.size,
    pending: caller.pendingCount,
    callsIn: callee.calls.total,
    callsOut: caller.total,
    callsFailed: callee.errors.count,
    framesIn: receiver.receivedFrames,
    framesOut: sender.closedFrames,
    bytesIn: receiver.receivedBytes,
    bytesOut: sender.sentBytes,
    buffered: sender.unsentBytes + (streams?.queuedBytes ?? 0)
  }
}

/** @internal */
export const tablesOf = ({ exports, imports }: References): Tables => ({
  exports: Array.from(exports, ({ id, object, refCount }) => ({ id, object, refCount })),
  // A netref may be collected before its entry is removed.
  imports: Array.from(imports, ({ id, proxy, refCount }) => ({
    id,
    object: proxy,
    refCount
  })).filter(hasObject)
})
