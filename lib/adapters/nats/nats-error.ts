// The errors of the bus for those of NATS's packages. Names tell those apart: there may be several copies of a package.
import { NetrefError } from '../../errors.js'

/** NATS is not reached at present: nothing was done. */
export const unreachable = (call: string, cause?: unknown): NetrefError =>
  new NetrefError('unreachable', `${call}: NATS is not reached at present; try again`, { cause })

/** The connection is closed for good, and not by the bus. */
export const connectionEnded = (cause: Error): NetrefError =>
  new NetrefError('connection-lost', `the connection to NATS has ended: ${cause.message}`, { cause })

/** NATS does not allow the user the request: repeating it is of no use. */
export const isForbidden = (error: Error): boolean =>
  [error.name, (error.cause as Error | undefined)?.name].includes('PermissionViolationError')

/**
 * The error of a call for what its request to NATS failed with: `unauthorized`, `unavailable` without JetStream or if it
 * refuses, and `connection-lost` if there is no answer.
 */
export function toBusError(call: string, error: unknown): NetrefError {
  if (error instanceof NetrefError) return error
  const cause = error as Error
  const { name, message } = cause
  if (isForbidden(cause)) return new NetrefError('unauthorized', `${call}: ${message}`, { cause })
  if (name === 'JetStreamNotEnabled')
    return new NetrefError('unavailable', `${call}: NATS has no JetStream; start nats-server with \`-js\``, {
      cause
    })
  if (name === 'JetStreamApiError' || name === 'StreamNotFoundError')
    return new NetrefError('unavailable', `${call}: ${message}`, { cause })
  return new NetrefError('connection-lost', `${call}: NATS did not confirm it, and may have it: ${message}`, {
    cause
  })
}
