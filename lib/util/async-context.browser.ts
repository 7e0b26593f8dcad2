// Replaces `async-context.ts` in pages, which have no asynchronous contexts.

export const runIsolated = <A extends unknown[], T>(run: (...args: A) => T, ...args: A): T => run(...args)

export class ContextSnapshot {
  run = runIsolated
  runIsolated = runIsolated
}

export class ContextVariable<T> {
  readonly isEnabled = false

  run<R>(_: T, run: () => R): R {
    return run()
  }

  get(initial: T | undefined): T | undefined {
    return initial
  }
}
