// What `server.close({ drain })` answers a call of its own with: who awaits it there waits for itself.
import type { RunningCall } from '../access/call-context.js'
import { inALaterTurn } from '../util/scheduler.js'

const WAITS_FOR_ITSELF =
  'server.close({ drain }): the method that awaits it is one of the calls it waits for, so it waits for itself; do not await it there'

/** Rejects for an `await` in the call, as long as that is waited for. What hangs on it by a `then` at once waits. */
export class Draining extends Promise<void> {
  /** What hangs on it is a promise as any. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  #isAwaited = false
  #check!: () => void

  static by(call: RunningCall, closing: Promise<void>, waits: () => boolean): Draining {
    const draining = new Draining((resolve, reject) => closing.then(resolve, reject))
    draining.#check = () => {
      if (waits() && !call.isOver()) throw new Error(WAITS_FOR_ITSELF)
    }
    // An `await` takes it up in a microtask of its own, which is a later one; a `then` is called in this very run.
    void Promise.resolve().then(() => {
      draining.#isAwaited = true
    })
    return draining
  }

  override then<A = undefined, B = never>(
    done?: ((value: undefined) => A | PromiseLike<A>) | null,
    failed?: ((error: unknown) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    const closed = super.then()
    return (this.#isAwaited ? this.#look(closed) : closed).then(done as never, failed)
  }

  /** A method that does not wait has answered by the next turn. */
  async #look(closed: Promise<void>): Promise<void> {
    await new Promise<void>(resolve => inALaterTurn(resolve))
    this.#check()
    await closed
  }
}
