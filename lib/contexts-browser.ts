// What takes the place of `contexts.ts` in a page, which has no contexts.

export const apart = <T>(run: () => T): T => run()

export class Context {
  run = apart
}
