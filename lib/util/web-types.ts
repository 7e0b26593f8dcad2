/** Types of the web platform's classes, also for programs whose `lib` does not declare them. Nothing here exists at run time. */

/** The instance type of the global class `Name`, or `never` if `lib` does not declare it. */
export type Web<Name extends string> = typeof globalThis extends { [K in Name]: { prototype: infer S } }
  ? S
  : never

/** The members by which the types recognise an `AbortSignal`. */
export type SignalLike = { readonly aborted: boolean; throwIfAborted(): void }

/** `AbortSignal`, or `SignalLike` if `lib` does not declare it. */
export type Signal = typeof globalThis extends { AbortSignal: { prototype: infer S } } ? S : SignalLike
