// What takes the place of `contexts.ts` in a page, which has no contexts.

export const runIsolated = <T>(run: () => T): T => run()

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
