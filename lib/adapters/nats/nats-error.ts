// The errors of the bus for those of NATS's packages. Names tell those apart: there may be several copies of a package.
import { NetrefError } from '../../errors.js'

/** NATS is not reached at present: nothing was done. */
export const unreachable = (call: string, cause?: unknown): NetrefError =>
  new NetrefError('unreachable', `${call}: NATS is not reached at present; try again`, { cause })

/** NATS does not allow it. */
export const unauthorized = (call: string, cause: Error): NetrefError =>
  new NetrefError('unauthorized', `${call}: ${cause.message}`, { cause })

/** NATS has not confirmed it. */
export const unconfirmed = (call: string, cause: Error): NetrefError =>
  new NetrefError('connection-lost', `${call}: NATS did not confirm it, and may have it: ${cause.message}`, {
    cause
  })

/** The connection is closed for good, and not by the bus. */
export const connectionEnded = (cause: Error): NetrefError =>
  new NetrefError('connection-lost', `the connection to NATS has ended: ${cause.message}`, { cause })
