// Events of a connection, a session and a server: `on` returns the function that takes the listener off.

import { hint } from './check-options.js'
import { isNetref } from './copies.js'
import { describe } from './describe.js'
import { SparseMap } from './lazy-map.js'
import { isThenable } from './promises.js'

/** Told of failures nobody awaits. */
export type Report = (error: unknown) => void

/** `Events` gives what is told at each event. */
export class Emitter<Events extends object> {
  readonly #listeners = new SparseMap<keyof Events, Set<(told: never) => void>>()

  constructor(
    private readonly names: readonly (keyof Events & string)[],
    private readonly report: Report
  ) {}

  /** @throws TypeError for an event that there is not, and a listener that is no function */
  on<E extends keyof Events>(name: E, listener: (told: Events[E]) => void): () => void {
    if (!this.names.includes(name as never)) {
      const meant = hint(String(name), this.names, '"')
      throw new TypeError(`on: there is no event ${describe(name)}${meant}`)
    }
    if (typeof listener !== 'function')
      throw new TypeError(`on: the listener is no function, but ${describe(listener)}`)
    const listeners = this.#listeners.get(name) ?? new Set()
    // One of its own, so that the same listener put on twice is taken off once at a time.
    const listening = (told: Events[E]) => listener(told)
    this.#listeners.set(name, listeners.add(listening))
    return () => void listeners.delete(listening)
  }

  /** Calls the listeners; one that throws is reported and does not keep the others from being told. */
  emit<E extends keyof Events>(name: E, told: Events[E]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])])
      attempt(() => listener(told as never), this.report)
  }
}

/** Runs a hook of a user's: what it throws, or what its promise rejects with, is reported. */
export function attempt(hook: () => unknown, report: Report): Promise<void> | undefined {
  try {
    const result = hook()
    // A failed call of netref's is reported as such.
    if (isThenable(result) && !isNetref(result)) return Promise.resolve(result).then(() => {}, report)
  } catch (error) {
    report(error)
  }
  return undefined
}
