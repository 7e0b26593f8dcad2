// Replaces `child-output.ts` in pages and their workers, which have no child processes.
export const isChildOutput = (_stream: object): boolean => false
