// A signal of a page that is aborted from afar. It depends on one that is held here, so that the browser keeps it for its
// listeners, and for nobody else. What else may depend on that one no page can know: it is held until it is over.
import type * as node from './signal-source.js'

export class SignalSource implements Pick<node.SignalSource, 'signal' | 'abort'> {
  readonly #controller = new AbortController()
  #weak: WeakRef<AbortSignal> | undefined

  constructor(protected netref: object | undefined) {}

  get signal(): AbortSignal {
    return this.#weak?.deref() ?? this.#make()
  }

  #make(): AbortSignal {
    const { signal } = this.#controller
    // Browsers of 2023 have no `any`.
    const made = AbortSignal.any?.([signal]) ?? signal
    this.#weak = new WeakRef(made)
    return made
  }

  abort(reason: unknown): boolean {
    if (!this.netref) return false
    this.netref = undefined
    this.#controller.abort(reason)
    return true
  }
}
