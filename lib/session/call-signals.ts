// The signals of pending calls: those that abort with a call, and those that arrived with it. Promises may arrive, too.

import { type Reason, SessionEndedError } from '../errors.js'
import type { ReceivedReferences } from '../remote/received-references.js'
import { LazyMap } from '../util/lazy-map.js'

export class CallSignals {
  /** Abort controllers, by call. Only calls that requested a signal, or were aborted, have one. */
  readonly #controllers = new LazyMap<number, AbortController>()
  /** References that arrived with calls, by call. */
  readonly #deliveries = new LazyMap<number, ReceivedReferences>()
  #endReason: Reason | undefined

  /** A signal that aborts when the caller cancels that call, or when the session ends. */
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
   * Aborts the signal of a pending call. A signal that is requested later is aborted, too. It does not get a reason that
   * contains references.
   *
   * @returns whether the reason is kept
   */
  abort(call: number, reason: unknown, byReference: boolean): boolean {
    const isKept = !byReference || this.#controllers.has(call)
    const controller = this.#controllerOf(call)
    if (controller.signal.aborted) return false
    // Listeners read the name or the message of the reason, so an absent reason becomes an AbortError.
    controller.abort((isKept ? reason : undefined) ?? undefined)
    return isKept
  }

  /** Whether an error is the reason of an aborted call. */
  isAbortReason(call: number, error: unknown): boolean {
    const signal = this.#controllers.get(call)?.signal
    return signal?.aborted === true && signal.reason === error
  }

  /** Holds the references that arrived with a call until the call ends. */
  addReceived(call: number, delivery: ReceivedReferences | undefined): void {
    if (delivery) this.#deliveries.set(call, delivery)
  }

  /** Ends a call. @returns the references that arrived with it */
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
