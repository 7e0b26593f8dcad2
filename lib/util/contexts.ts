// Asynchronous contexts: what a call makes current (`AsyncLocalStorage.enterWith`, as tracers do) is current in that call
// alone. A page has `contexts-browser.ts` in its place.
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'

/** The context in which it is made. */
export class ContextSnapshot {
  readonly #resource = new AsyncResource('netref')

  /** Runs it there, whatever is current where it is called. */
  run<T>(run: () => T): T {
    return this.#resource.runInAsyncScope(run)
  }

  /** The same in a copy of it. */
  runIsolated<T>(run: () => T): T {
    return this.run(() => runIsolated(run))
  }
}

/** Runs it in a context of its own: what it makes current is not current in what is run next. */
export const runIsolated = <T>(run: () => T): T => new AsyncResource('netref').runInAsyncScope(run)

/**
 * What is current beyond each `await` of what runs with it. Engines may charge every promise of the process for that: it
 * begins when it is first asked for.
 */
export class ContextVariable<T> {
  #storage: AsyncLocalStorage<T> | undefined

  /** Whether anybody has asked. */
  get isEnabled(): boolean {
    return this.#storage !== undefined
  }

  run<R>(value: T, run: () => R): R {
    return this.#storage!.run(value, run)
  }

  /** What is current here. The first who asks says what that is, and it is followed from there. */
  get(initial: T | undefined): T | undefined {
    if (this.#storage) return this.#storage.getStore()
    this.#storage = new AsyncLocalStorage()
    if (initial) this.#storage.enterWith(initial)
    return initial
  }
}
