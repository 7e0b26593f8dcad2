// Checks the results of hooks that decide on access. They must decide synchronously, because a promise would count as
// permission, whatever its outcome.

import { ArgumentsError, CallRejection } from '../errors.js'
import { ignoreRejection, isThenable } from '../util/promises.js'

/**
 * Returns the result of a hook, unless it is a promise.
 *
 * @param hook the name of the hook
 * @param call the call that the hook decided on, if it was a call
 * @throws TypeError for a promise or another thenable
 */
export function checkHookResult(hook: string, result: unknown, call?: object | string): unknown {
  if (!isThenable(result)) return result
  ignoreRejection(result)
  throw new TypeError(`${call ? `${call}: ` : ''}${hook} returned a promise, but must decide synchronously`)
}

/** The errors that a `before` hook threw. */
const beforeHookErrors = new WeakSet<object>()

/** Runs a hook that decides on a call. An error that it throws is a rejection of the call. */
export function recordBeforeHookError(hook: () => void): void {
  try {
    hook()
  } catch (error) {
    if (typeof error === 'object' && error !== null) beforeHookErrors.add(error)
    throw error
  }
}

/** The kind of rejection that an error is, or undefined if the method itself failed. */
export function rejectionKind(error: unknown): string | undefined {
  if (error instanceof CallRejection || error instanceof ArgumentsError) return error.code
  return beforeHookErrors.has(error as object) ? 'before' : undefined
}

type Primitive = string | number | bigint | boolean | symbol | null

/** The result of a hook that decides by throwing: any value except a promise. */
// biome-ignore lint/suspicious/noConfusingVoidType: most hooks are functions that return nothing
export type SynchronousResult = void | Primitive | (object & { readonly then?: never })
