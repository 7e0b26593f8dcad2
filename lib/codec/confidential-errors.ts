// Errors that only one peer may see in full. An error about a call to a peer names the call with its arguments, or an
// address. Only this side and that peer may see those.

import { sharedInRealm } from '../util/library-copies.js'
import { knownErrorName } from './registry.js'

/**
 * Errors about outgoing calls, each with the one peer (its `References`) that may see it in full; undefined for none.
 */
const confidentialErrors = sharedInRealm(
  'about-calls/1',
  () => new WeakMap<Error, WeakRef<object> | undefined>()
)

/** Marks an error that names a call to a peer. */
export function markConfidential<E extends Error>(error: E, peer?: object): E {
  confidentialErrors.set(error, peer && new WeakRef(peer))
  return error
}

/** Names of the error classes of this package. */
const NETREF_ERROR_NAMES = new Set([
  'NetrefError',
  'ExposureError',
  'ReleasedError',
  'LimitError',
  'UnsendableError',
  'ArgumentsError'
])

/** Marks an error of this package that a peer sent: it may name that peer's calls, or arguments of a call to it. */
export const markPeerError = (error: Error, peer: object): Error =>
  NETREF_ERROR_NAMES.has(knownErrorName(error)) || error.name === 'TimeoutError'
    ? markConfidential(error, peer)
    : error

/** Whether this peer must not see the error in full. That is always so for the end of another session. */
export const isConfidential = (error: Error, type: string, peer: object): boolean =>
  type === 'SessionEndedError' ||
  (confidentialErrors.has(error) && confidentialErrors.get(error)?.deref() !== peer)

export interface RedactedError {
  message: string
  code?: string
  fields?: unknown[]
}

/** The part of an error that any peer may see: its code, and whether the call may have run. It is plain JSON. */
export function redactError(
  error: Error & { readonly code?: unknown; readonly mayHaveRun?: unknown },
  type: string
): RedactedError {
  const code = typeof error.code === 'string' ? error.code : undefined
  const fields: unknown[] = []
  if (typeof error.mayHaveRun === 'boolean') fields.push('mayHaveRun', error.mayHaveRun)
  if (type === 'ArgumentsError') fields.push('issues', [])
  let message = `a call that the peer made failed (${code ?? error.name})`
  if (type === 'SessionEndedError') {
    message = `another session of the peer has ended (${code})`
    fields.push('reason', { code, message })
  }
  return { message, ...(code !== undefined && { code }), ...(fields.length > 0 && { fields }) }
}
