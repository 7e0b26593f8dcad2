// Calls that can be made again: in the session that takes the place of one that has ended, or under their key.

import { UnsendableError } from '../errors.js'
import { formatKeyed, Op, type OperationCode, REPEATABLE } from '../protocol/messages.js'
import type { Repeatable, Result } from '../remote/pending-result.js'
import { Ref } from '../remote/proxy.js'

/** What only reads is given nothing. */
export const NOTHING_GIVEN: Repeatable = { bytes: [], given: [], lent: true }

/** What asks, and does nothing: it may be asked twice. */
export const READS = new Set<OperationCode>([Op.get, Op.has, Op.keys, Op.obtain])

/** What is of this side, and has no flow that has begun: it can be handed over again. */
const isOurs = (kind: string) => kind === 'o' || kind === 'f'

/** What a call was given, if it was asked of the root and that can be given again. */
export function repeatable({ asked, payload }: Result): Repeatable | undefined {
  const { op, base } = asked!
  const isAsked = base instanceof Ref && base.id === 0 && (READS.has(op) || REPEATABLE.has(op))
  return isAsked && payload?.given.every(([kind]) => isOurs(kind)) ? payload : undefined
}

/** A message with its key, if it is one that can have one. @throws UnsendableError for arguments that are not data */
export function keyed({ asked }: Result, message: string, payload: Repeatable | undefined): string {
  const { op, options } = asked!
  if (op !== Op.call && op !== Op.construct) return message
  if (payload!.given.length + payload!.bytes.length > 0)
    throw new UnsendableError('a call with a key takes data only, neither references nor bytes')
  return formatKeyed(options!.key!, message)
}
