// Events of a connection, a session and a server.

import { describeValue } from './describe.js'
import { LazyMap } from './lazy-map.js'
import { isNetref } from './library-copies.js'
import { didYouMean } from './nearest.js'
import { isThenable } from './promises.js'

/** Reports a failure that nobody awaits. */
export type ReportError = (error: unknown) => void

/** An emitter of typed events: `Events` maps their names to what listeners get. */
export class Emitter<Events extends object> {
  readonly #listeners = new LazyMap<keyof Events, Set<(event: never) => void>>()

  constructor(
    private readonly eventNames: readonly (keyof Events & string)[],
    private readonly report: ReportError
  ) {}

  /** @returns the function that removes the listener @throws TypeError for an unknown event or a listener that is no function */
  on<E extends keyof Events>(name: E, listener: (event: Events[E]) => void): () => void {
    if (!this.eventNames.includes(name as never)) {
      const suggestion = didYouMean(String(name), this.eventNames, '"')
      throw new TypeError(`on: there is no event ${describeValue(name)}${suggestion}`)
    }
    if (typeof listener !== 'function')
      throw new TypeError(`on: the listener must be a function, not ${describeValue(listener)}`)
    const listeners = this.#listeners.get(name) ?? new Set()
    // A wrapper of its own, so that a listener added twice is removed once at a time.
    const wrapper = (event: Events[E]) => listener(event)
    this.#listeners.set(name, listeners.add(wrapper))
    return () => void listeners.delete(wrapper)
  }

  /** Calls the listeners. The error of one is reported, and the others are still called. */
  emit<E extends keyof Events>(name: E, event: Events[E]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])])
      runHook(() => listener(event as never), this.report)
  }
}

/** Runs a user's hook. What it throws, or its promise rejects with, is reported. */
export function runHook(hook: () => unknown, report: ReportError): Promise<void> | undefined {
  try {
    const result = hook()
    // A pending result reports its own failure.
    if (isThenable(result) && !isNetref(result)) return Promise.resolve(result).then(() => {}, report)
  } catch (error) {
    report(error)
  }
  return undefined
}
