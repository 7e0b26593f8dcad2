// Hooks that decide: they answer at once. A promise would be a yes, whatever comes of it.
import { ArgumentsError, Refusal } from '../errors.js'
import { isThenable, silence } from '../util/promises.js'

/**
 * What the hook of that name has answered, about a call if it was one.
 *
 * @throws TypeError for a promise, and for what passes for one
 */
export function decided(hook: string, answer: unknown, call?: object): unknown {
  if (!isThenable(answer)) return answer
  silence(answer)
  throw new TypeError(`${call ? `${call}: ` : ''}${hook} answered with a promise, and has to decide at once`)
}

/** What `before` has thrown. */
const denials = new WeakSet<object>()

/** Runs what decides on a call: what it throws is a refusal. */
export function deciding(decide: () => void): void {
  try {
    decide()
  } catch (error) {
    if (typeof error === 'object' && error !== null) denials.add(error)
    throw error
  }
}

/** What kind of refusal an error is; undefined where the method itself failed. */
export function refusalKind(error: unknown): string | undefined {
  if (error instanceof Refusal || error instanceof ArgumentsError) return error.code
  return denials.has(error as object) ? 'before' : undefined
}

type Primitive = string | number | bigint | boolean | symbol | null

/** What a hook may return that decides by throwing: anything but a promise. */
// biome-ignore lint/suspicious/noConfusingVoidType: functions that return nothing are what most hooks are
export type AtOnce = void | Primitive | (object & { readonly then?: never })
