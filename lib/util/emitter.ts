// Events of a connection, a session and a server: `on` returns the function that takes the listener off.

import { didYouMean } from './check-options.js'
import { isNetref } from './copies.js'
import { describe } from './describe.js'
import { LazyMap } from './lazy-map.js'
import { isThenable } from './promises.js'

/** Told of failures nobody awaits. */
export type ReportError = (error: unknown) => void

/** `Events` gives what is told at each event. */
export class Emitter<Events extends object> {
  readonly #listeners = new LazyMap<keyof Events, Set<(told: never) => void>>()

  constructor(
    private readonly eventNames: readonly (keyof Events & string)[],
    private readonly report: ReportError
  ) {}

  /** @throws TypeError for an event that there is not, and a listener that is no function */
  on<E extends keyof Events>(name: E, listener: (told: Events[E]) => void): () => void {
    if (!this.eventNames.includes(name as never)) {
      const suggestion = didYouMean(String(name), this.eventNames, '"')
      throw new TypeError(`on: there is no event ${describe(name)}${suggestion}`)
    }
    if (typeof listener !== 'function')
      throw new TypeError(`on: the listener is no function, but ${describe(listener)}`)
    const listeners = this.#listeners.get(name) ?? new Set()
    // One of its own, so that the same listener put on twice is taken off once at a time.
    const wrapper = (told: Events[E]) => listener(told)
    this.#listeners.set(name, listeners.add(wrapper))
    return () => void listeners.delete(wrapper)
  }

  /** Calls the listeners; one that throws is reported and does not keep the others from being told. */
  emit<E extends keyof Events>(name: E, event: Events[E]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])])
      runHook(() => listener(event as never), this.report)
  }
}

/** Runs a hook of a user's: what it throws, or what its promise rejects with, is reported. */
export function runHook(hook: () => unknown, report: ReportError): Promise<void> | undefined {
  try {
    const result = hook()
    // A failed call of netref's is reported as such.
    if (isThenable(result) && !isNetref(result)) return Promise.resolve(result).then(() => {}, report)
  } catch (error) {
    report(error)
  }
  return undefined
}
