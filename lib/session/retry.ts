// Retries of calls: in the session that replaces an ended one, or with an idempotency key.

import { ANSWER_TAG } from '../codec/types.js'
import { UnsendableError } from '../errors.js'
import { formatIdempotent, Op, operationOf } from '../protocol/messages.js'
import type { PendingResult, RetryPayload } from '../remote/pending-result.js'
import { Reference } from '../remote/proxy.js'

/** The payload of an operation that only reads. */
export const EMPTY_PAYLOAD: RetryPayload = { bytes: [], references: [], callerOwned: true }

/** Whether what a call passes can be passed again: an object of this side without a flow that has started, or a pending result. */
export const canPassAgain = ({ references }: Pick<RetryPayload, 'references'>): boolean =>
  references.every(([kind]) => kind === 'o' || kind === 'f' || kind === ANSWER_TAG)

/** The payload of a call on the root, if it can be sent again; otherwise undefined. */
export function retryPayloadOf({ sentRequest, payload }: PendingResult): RetryPayload | undefined {
  const { op, base } = sentRequest!
  const isAsked = base instanceof Reference && base.id === 0 && operationOf(op).retry !== 'never'
  return isAsked && payload && canPassAgain(payload) ? payload : undefined
}

/** Adds its idempotency key to a message that can have one. @throws UnsendableError for arguments that are not data */
export function withIdempotencyKey(
  { sentRequest }: PendingResult,
  message: string,
  payload: RetryPayload | undefined
): string {
  const { op, options } = sentRequest!
  if (op !== Op.call && op !== Op.construct) return message
  if (payload!.references.length + payload!.bytes.length > 0)
    throw new UnsendableError(
      'a call with an idempotency key accepts only data as arguments, neither references, pending results nor bytes'
    )
  return formatIdempotent(options!.idempotencyKey!, message)
}
