/** Types that match every value, function or class. Nothing here exists at run time. */

// biome-ignore lint/suspicious/noExplicitAny: a type pattern such as "a function with any parameters" needs any
export type Any = any
export type AnyFunction = (...args: Any) => Any
export type AnyClass = abstract new (...args: Any) => Any

/** `true` for `any`, and for nothing else. */
export type IsAny<T> = 0 extends 1 & T ? true : false
