// Asynchronous contexts: what a call makes current (`AsyncLocalStorage.enterWith`, as tracers do) is current in that call
// alone. A page has `contexts-browser.ts` in its place.
import { AsyncResource } from 'node:async_hooks'

/** The context in which it is made. */
export class Context {
  readonly #resource = new AsyncResource('netref')

  /** Runs it there, whatever is current where it is called. */
  run<T>(run: () => T): T {
    return this.#resource.runInAsyncScope(run)
  }
}

/** Runs it in a context of its own: what it makes current is not current in what is run next. */
export const apart = <T>(run: () => T): T => new AsyncResource('netref').runInAsyncScope(run)
