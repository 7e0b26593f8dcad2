// What a peer may hear of an error that is about another peer. Such an error names a call with its arguments, or an
// address: that is for this side, and for the peer that was called.

import { sharedInRealm } from '../util/copies.js'
import { knownErrorName } from './registry.js'

/** Errors about calls out, each with the peer (what its session boxes for) that may be told all of it, if any may. */
const confidentialErrors = sharedInRealm(
  'about-calls/1',
  () => new WeakMap<Error, WeakRef<object> | undefined>()
)

/** Marks an error that names a call to a peer. */
export function markConfidential<E extends Error>(error: E, peer?: object): E {
  confidentialErrors.set(error, peer && new WeakRef(peer))
  return error
}

/** Classes of netref's own errors. */
const NETREF_ERROR_NAMES = new Set([
  'NetrefError',
  'ExposureError',
  'ReleasedError',
  'LimitError',
  'UnsendableError',
  'ArgumentsError'
])

/** Marks an error of netref's own that a peer sent: it may name that peer's calls, or the arguments of a call to it. */
export const markPeerError = (error: Error, peer: object): Error =>
  NETREF_ERROR_NAMES.has(knownErrorName(error)) || error.name === 'TimeoutError'
    ? markConfidential(error, peer)
    : error

/** Whether an error is about another peer than this one; a session that has ended is always another. */
export const isConfidential = (error: Error, type: string, peer: object): boolean =>
  type === 'SessionEndedError' ||
  (confidentialErrors.has(error) && confidentialErrors.get(error)?.deref() !== peer)

export interface RedactedError {
  message: string
  code?: string
  fields?: unknown[]
}

/** What is told of it: what kind of failure it is, and whether the call may have run. All of it is plain JSON. */
export function redactError(
  error: Error & { readonly code?: unknown; readonly mayHaveRun?: unknown },
  type: string
): RedactedError {
  const code = typeof error.code === 'string' ? error.code : undefined
  const fields: unknown[] = []
  if (typeof error.mayHaveRun === 'boolean') fields.push('mayHaveRun', error.mayHaveRun)
  if (type === 'ArgumentsError') fields.push('issues', [])
  let message = `a call of the peer's own failed (${code ?? error.name})`
  if (type === 'SessionEndedError') {
    message = `another session of the peer's has ended (${code})`
    fields.push('reason', { code, message })
  }
  return { message, ...(code !== undefined && { code }), ...(fields.length > 0 && { fields }) }
}
