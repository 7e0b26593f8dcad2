// What takes the place of `contexts.ts` in a page, which has no contexts.

export const apart = <T>(run: () => T): T => run()

export class Context {
  run = apart
  apart = apart
}

export class Followed<T> {
  readonly wanted = false

  run<R>(_: T, run: () => R): R {
    return run()
  }

  get(first: T | undefined): T | undefined {
    return first
  }
}
