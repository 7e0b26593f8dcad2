// The promise that `server.close({ drain })` returns inside a call: it detects that the call waits for itself.
import type { RunningCall } from '../access/call-context.js'
import { yieldToEventLoop } from '../util/scheduler.js'

const DEADLOCK_MESSAGE =
  'server.close({ drain }): it would wait for the method that awaits it; do not await it in a method'

/**
 * Rejects an `await` in a call for which the server itself waits. A `then` that is called synchronously does not
 * reject.
 */
export class DrainPromise extends Promise<void> {
  /** Derived promises are ordinary promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  #isAwaited = false
  #throwIfDeadlocked!: () => void

  static forCall(call: RunningCall, closing: Promise<void>, isDraining: () => boolean): DrainPromise {
    const promise = new DrainPromise((resolve, reject) => closing.then(resolve, reject))
    promise.#throwIfDeadlocked = () => {
      if (isDraining() && !call.isSettled()) throw new Error(DEADLOCK_MESSAGE)
    }
    // `await` calls `then` in a later microtask; user code that chains calls it synchronously.
    void Promise.resolve().then(() => {
      promise.#isAwaited = true
    })
    return promise
  }

  override then<A = undefined, B = never>(
    onFulfilled?: ((value: undefined) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    const closed = super.then()
    return (this.#isAwaited ? this.#settleUnlessDeadlocked(closed) : closed).then(
      onFulfilled as never,
      onRejected
    )
  }

  /** A method that does not await this promise has answered before the next task. */
  async #settleUnlessDeadlocked(closed: Promise<void>): Promise<void> {
    await new Promise<void>(resolve => yieldToEventLoop(resolve))
    this.#throwIfDeadlocked()
    await closed
  }
}
