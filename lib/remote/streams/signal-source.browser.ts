// A signal of a page that is aborted from afar. It depends on one that is held here, so that the browser keeps it for its
// listeners, and for nobody else. What else may depend on that one no page can know: it is held until it is over, or its
// home can abort it no more.
import type * as node from './signal-source.js'

export class SignalSource implements Pick<node.SignalSource, 'signal' | 'abort' | 'onOwnerCollected'> {
  readonly #controller = new AbortController()
  #weakSignal: WeakRef<AbortSignal> | undefined

  constructor(protected netref: object | undefined) {}

  get signal(): AbortSignal {
    return this.#weakSignal?.deref() ?? this.#createSignal()
  }

  #createSignal(): AbortSignal {
    const { signal } = this.#controller
    // Browsers of 2023 have no `any`.
    const made = AbortSignal.any?.([signal]) ?? signal
    this.#weakSignal = new WeakRef(made)
    return made
  }

  /** Its netref goes with the signal. */
  onOwnerCollected(): void {
    this.netref = undefined
  }

  abort(reason: unknown): boolean {
    // Where both are gone, what depends on it may be there yet.
    const isHeld = this.netref !== undefined || this.#weakSignal?.deref() !== undefined
    if (!isHeld || this.#controller.signal.aborted) return false
    this.netref = undefined
    this.#controller.abort(reason)
    return true
  }
}
