// A signal of a page that the peer aborts. It depends on a held signal, so the browser keeps it for its listeners only.
// A page cannot see what else depends on the held signal, so that is held until it aborts or its owner cannot abort it.
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
    // Browsers of 2023 do not have `any`.
    const made = AbortSignal.any?.([signal]) ?? signal
    this.#weakSignal = new WeakRef(made)
    return made
  }

  /** The netref is released with the signal. */
  onOwnerCollected(): void {
    this.netref = undefined
  }

  abort(reason: unknown): boolean {
    // A dependent signal may exist even if both are collected.
    const isHeld = this.netref !== undefined || this.#weakSignal?.deref() !== undefined
    if (!isHeld || this.#controller.signal.aborted) return false
    this.netref = undefined
    this.#controller.abort(reason)
    return true
  }
}
