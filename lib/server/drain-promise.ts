// What `server.close({ drain })` answers a call of its own with: who awaits it there waits for itself.
import type { RunningCall } from '../access/call-context.js'
import { yieldToEventLoop } from '../util/scheduler.js'

const DEADLOCK_MESSAGE =
  'server.close({ drain }): the method that awaits it is one of the calls it waits for, so it waits for itself; do not await it there'

/** Rejects for an `await` in the call, as long as that is waited for. What hangs on it by a `then` at once waits. */
export class DrainPromise extends Promise<void> {
  /** What hangs on it is a promise as any. */
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
    // An `await` takes it up in a microtask of its own, which is a later one; a `then` is called in this very run.
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

  /** A method that does not wait has answered by the next turn. */
  async #settleUnlessDeadlocked(closed: Promise<void>): Promise<void> {
    await new Promise<void>(resolve => yieldToEventLoop(resolve))
    this.#throwIfDeadlocked()
    await closed
  }
}
