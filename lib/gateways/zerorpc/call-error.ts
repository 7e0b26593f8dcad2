// The errors of ZeroRPC: a name, a message and a traceback.

import { callFailureOf, type FailureKind } from '../support/call-failure.js'
import { toWellFormed } from './value-form.js'

/** The names of Python for what its server raises itself. */
const NAMES: Partial<Readonly<Record<FailureKind, string>>> = {
  'no-method': 'NameError',
  'bad-params': 'TypeError'
}

/** A method that a client asks about does not exist. */
export class NameError extends Error {
  override name = 'NameError'
}

/**
 * The arguments of an `ERR` event.
 *
 * @param method its name, which is the message if there is no such method
 */
export function callErrorOf(error: unknown, method: string, exposeStacks: boolean): readonly unknown[] {
  const { kind, name, message, stack } = callFailureOf(error)
  const text = kind === 'no-method' ? method : message
  // Python shows the traceback in the place of name and message, unless it is None.
  return [NAMES[kind] ?? name, text, exposeStacks && stack !== undefined ? stack : null].map(part =>
    typeof part === 'string' ? toWellFormed(part) : part
  )
}
