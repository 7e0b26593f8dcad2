// Calls that give back what ends with the session in any case. After its end they succeed: cleaning up is no failure.

import { Op } from '../protocol/messages.js'
import { pathKeys } from '../protocol/path.js'
import type { PendingResult } from '../remote/pending-result.js'
import { Reference } from '../remote/proxy.js'

/** The method of a subscription that gives it back. */
export const CANCEL = 'cancel'

/** Methods that take back a function of the caller: the peer cannot call it once the session has ended. */
const REMOVERS = new Set<unknown>(['off', 'removeListener', 'removeEventListener', 'unsubscribe'])

/** Whether a call that cannot be made, or has no answer, has nothing left to give back. */
export function isGivenBack({ sentRequest }: PendingResult, hasSessionEnded: boolean): boolean {
  const { op, base, path, operand } = sentRequest!
  if (op !== Op.call && op !== Op.oneway) return false
  const name = pathKeys(path).at(-1)
  // A subscription is released only after it is given back.
  if (base instanceof Reference && base.isSubscription) return name === CANCEL
  return (
    hasSessionEnded &&
    REMOVERS.has(name) &&
    (operand as unknown[]).some(argument => typeof argument === 'function')
  )
}
