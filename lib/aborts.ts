// What is to be done when a signal aborts: one listener for all that waits for it, as Node warns of many.
import type { Signal } from './flow-types.js'

/** By their signal. */
const waiting = new WeakMap<Signal, Waiting>()

/** Acts when the signal aborts. @returns what takes that back, once or more often */
export function whenAborted(signal: Signal, act: () => void): () => void {
  return (waiting.get(signal) ?? new Waiting(signal)).add(act)
}

class Waiting {
  readonly #acts = new Set<() => void>()

  constructor(private readonly signal: Signal) {
    signal.addEventListener('abort', this)
    waiting.set(signal, this)
  }

  add(act: () => void): () => void {
    this.#acts.add(act)
    return () => {
      // Taken back again it might be another's that waits for the signal by now.
      if (!this.#acts.delete(act) || this.#acts.size > 0) return
      waiting.delete(this.signal)
      this.signal.removeEventListener('abort', this)
    }
  }

  handleEvent(): void {
    for (const act of this.#acts) act()
  }
}
