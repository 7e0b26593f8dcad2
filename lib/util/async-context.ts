// Asynchronous contexts: a store that a call enters (`AsyncLocalStorage.enterWith`, as tracers do) stays in that call.
// Pages use `async-context.browser.ts` instead.
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'

/** A snapshot of the asynchronous context in which it is made. */
export class ContextSnapshot {
  readonly #resource = new AsyncResource('netref')

  /** Runs a function in this context. */
  run<A extends unknown[], T>(run: (...args: A) => T, ...args: A): T {
    return this.#resource.runInAsyncScope(run, undefined, ...args)
  }

  /** Runs a function in a copy of this context. */
  runIsolated<A extends unknown[], T>(run: (...args: A) => T, ...args: A): T {
    return this.run(runIsolated<A, T>, run, ...args)
  }
}

/** Runs a function in a copy of the present context: stores that it enters do not reach what runs after it. */
export const runIsolated = <A extends unknown[], T>(run: (...args: A) => T, ...args: A): T =>
  new AsyncResource('netref').runInAsyncScope(run, undefined, ...args)

/**
 * A value that follows a call beyond each `await`. Engines may slow down every promise of the process for that, so it is
 * enabled by the first read only.
 */
export class ContextVariable<T> {
  #storage: AsyncLocalStorage<T> | undefined

  /** Whether the value has been read. */
  get isEnabled(): boolean {
    return this.#storage !== undefined
  }

  run<R>(value: T, run: () => R): R {
    return this.#storage!.run(value, run)
  }

  /** The present value. The first read enables the variable, with `initial` as the value from here on. */
  get(initial: T | undefined): T | undefined {
    if (this.#storage) return this.#storage.getStore()
    this.#storage = new AsyncLocalStorage()
    if (initial) this.#storage.enterWith(initial)
    return initial
  }
}
