// Thenables and promises of any realm.

export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
  typeof (value as { then?: unknown }).then === 'function'

const { then } = Promise.prototype
const noop = () => {}

/**
 * Handles the rejection of a promise of any realm that nobody else may handle. `onValue` gets its value. Other thenables are
 * not touched, as `then` may start their work.
 */
export function ignoreRejection(promise: object, onValue?: (value: unknown) => void): void {
  try {
    Reflect.apply(then, promise, [onValue, noop])
  } catch {
    // Not a built-in promise.
  }
}
