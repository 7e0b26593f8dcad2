// What takes the place of `child-output.ts` in a page and its workers, where there are no child processes.
export const isChildOutput = (_stream: object): boolean => false
