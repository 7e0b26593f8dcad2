// Thenables and promises of any realm.

export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
  typeof (value as { then?: unknown }).then === 'function'

const { then } = Promise.prototype
const noop = () => {}

/**
 * Handles the rejection of a promise nobody may ever hear of, of whatever realm. `use` is given what it resolves to. Any
 * other thenable is left alone: it may begin its work when it is asked.
 */
export function ignoreRejection(promise: object, onValue?: (value: unknown) => void): void {
  try {
    Reflect.apply(then, promise, [onValue, noop])
  } catch {
    // No promise of an engine's.
  }
}
