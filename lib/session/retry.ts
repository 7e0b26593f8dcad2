// Calls that can be made again: in the session that takes the place of one that has ended, or under their key.

import { UnsendableError } from '../errors.js'
import { formatIdempotent, Op, operationOf } from '../protocol/messages.js'
import type { PendingResult, RetryPayload } from '../remote/pending-result.js'
import { Reference } from '../remote/proxy.js'

/** What only reads is given nothing. */
export const EMPTY_PAYLOAD: RetryPayload = { bytes: [], references: [], lent: true }

/** What is of this side, and has no flow that has begun: it can be handed over again. */
const isOwnReference = (kind: string) => kind === 'o' || kind === 'f'

/** What a call was given, if it was asked of the root and that can be given again. */
export function retryPayloadOf({ sentRequest, payload }: PendingResult): RetryPayload | undefined {
  const { op, base } = sentRequest!
  const isAsked = base instanceof Reference && base.id === 0 && operationOf(op).retry !== 'never'
  return isAsked && payload?.references.every(([kind]) => isOwnReference(kind)) ? payload : undefined
}

/** A message with its key, if it is one that can have one. @throws UnsendableError for arguments that are not data */
export function withIdempotencyKey(
  { sentRequest }: PendingResult,
  message: string,
  payload: RetryPayload | undefined
): string {
  const { op, options } = sentRequest!
  if (op !== Op.call && op !== Op.construct) return message
  if (payload!.references.length + payload!.bytes.length > 0)
    throw new UnsendableError('a call with an idempotency key takes data only, neither references nor bytes')
  return formatIdempotent(options!.idempotencyKey!, message)
}
