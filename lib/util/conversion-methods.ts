// The members of objects that the language calls implicitly.

/**
 * Members that the language calls implicitly. In a received copy they are never functions: a program that awaits, prints
 * or serializes the copy must not run the peer's code.
 */
export const CONVERSION_METHODS: ReadonlySet<unknown> = new Set(['then', 'toJSON', 'toString', 'valueOf'])
