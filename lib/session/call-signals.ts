// Signals of calls that are under way: those that abort with them, and those that came with them, as promises may.

import { type Reason, SessionEndedError } from '../errors.js'
import type { ReceivedReferences } from '../remote/received-references.js'
import { LazyMap } from '../util/lazy-map.js'

export class CallSignals {
  /** What aborts calls, where they asked. */
  readonly #controllers = new LazyMap<number, AbortController>()
  /** What came with calls. */
  readonly #deliveries = new LazyMap<number, ReceivedReferences>()
  #endReason: Reason | undefined

  /** A signal that aborts when the caller waits no longer for that call, or the session ends. */
  signalOf(call: number): AbortSignal {
    if (this.#endReason) return AbortSignal.abort(new SessionEndedError(this.#endReason))
    return this.#controllerOf(call).signal
  }

  #controllerOf(call: number): AbortController {
    let controller = this.#controllers.get(call)
    if (!controller) this.#controllers.set(call, (controller = new AbortController()))
    return controller
  }

  /**
   * The call, which is under way, is given up. Who asks later is told, too, but not of a reason with references.
   *
   * @returns whether the reason is kept
   */
  abort(call: number, reason: unknown, byReference: boolean): boolean {
    const isKept = !byReference || this.#controllers.has(call)
    const controller = this.#controllerOf(call)
    if (controller.signal.aborted) return false
    // Listeners read the name or the message of a reason: an absent one becomes an AbortError.
    controller.abort((isKept ? reason : undefined) ?? undefined)
    return isKept
  }

  /** What came with a call is held until it is over. */
  addReceived(call: number, delivery: ReceivedReferences | undefined): void {
    if (delivery) this.#deliveries.set(call, delivery)
  }

  /** The call is over. @returns what came with it */
  takeReceived(call: number): ReceivedReferences | undefined {
    if (this.#controllers.size > 0) this.#controllers.delete(call)
    if (this.#deliveries.size === 0) return undefined
    const held = this.#deliveries.get(call)
    this.#deliveries.delete(call)
    return held
  }

  end(reason: Reason): void {
    this.#endReason = reason
    if (this.#controllers.size > 0) {
      const error = new SessionEndedError(reason)
      for (const controller of [...this.#controllers.values()]) controller.abort(error)
    }
    this.#controllers.clear()
    this.#deliveries.clear()
  }
}
