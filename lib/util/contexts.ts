// Asynchronous contexts: what a call makes current (`AsyncLocalStorage.enterWith`, as tracers do) is current in that call
// alone. A page has `contexts-browser.ts` in its place.
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'

/** The context in which it is made. */
export class Context {
  readonly #resource = new AsyncResource('netref')

  /** Runs it there, whatever is current where it is called. */
  run<T>(run: () => T): T {
    return this.#resource.runInAsyncScope(run)
  }

  /** The same in a copy of it. */
  apart<T>(run: () => T): T {
    return this.run(() => apart(run))
  }
}

/** Runs it in a context of its own: what it makes current is not current in what is run next. */
export const apart = <T>(run: () => T): T => new AsyncResource('netref').runInAsyncScope(run)

/**
 * What is current beyond each `await` of what runs with it. Engines may charge every promise of the process for that: it
 * begins when it is first asked for.
 */
export class Followed<T> {
  #storage: AsyncLocalStorage<T> | undefined

  /** Whether anybody has asked. */
  get wanted(): boolean {
    return this.#storage !== undefined
  }

  run<R>(current: T, run: () => R): R {
    return this.#storage!.run(current, run)
  }

  /** What is current here. The first who asks says what that is, and it is followed from there. */
  get(first: T | undefined): T | undefined {
    if (this.#storage) return this.#storage.getStore()
    this.#storage = new AsyncLocalStorage()
    if (first) this.#storage.enterWith(first)
    return first
  }
}
