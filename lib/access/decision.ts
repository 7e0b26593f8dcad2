// Hooks that decide: they answer at once. A promise would be a yes, whatever comes of it.
import { ArgumentsError, CallRejection } from '../errors.js'
import { ignoreRejection, isThenable } from '../util/promises.js'

/**
 * What the hook of that name has answered, about a call if it was one.
 *
 * @throws TypeError for a promise, and for what passes for one
 */
export function checkHookResult(hook: string, result: unknown, call?: object): unknown {
  if (!isThenable(result)) return result
  ignoreRejection(result)
  throw new TypeError(`${call ? `${call}: ` : ''}${hook} answered with a promise, and has to decide at once`)
}

/** What `before` has thrown. */
const beforeHookErrors = new WeakSet<object>()

/** Runs what decides on a call: what it throws is a refusal. */
export function recordBeforeHookError(hook: () => void): void {
  try {
    hook()
  } catch (error) {
    if (typeof error === 'object' && error !== null) beforeHookErrors.add(error)
    throw error
  }
}

/** What kind of refusal an error is; undefined where the method itself failed. */
export function rejectionKind(error: unknown): string | undefined {
  if (error instanceof CallRejection || error instanceof ArgumentsError) return error.code
  return beforeHookErrors.has(error as object) ? 'before' : undefined
}

type Primitive = string | number | bigint | boolean | symbol | null

/** What a hook may return that decides by throwing: anything but a promise. */
// biome-ignore lint/suspicious/noConfusingVoidType: functions that return nothing are what most hooks are
export type SynchronousResult = void | Primitive | (object & { readonly then?: never })
