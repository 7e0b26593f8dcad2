// The text of the error of a call, as Go's server has it.

import { callFailureOf } from '../support/call-failure.js'

/** @param method as the client named it. The text is never empty: that would be no error */
export function errorText(error: unknown, method: string, exposeStacks: boolean): string {
  const { kind, name, message, stack } = callFailureOf(error)
  if (kind === 'no-method') return `rpc: can't find service ${method}`
  if (exposeStacks && stack !== undefined) return stack
  return message || name
}
