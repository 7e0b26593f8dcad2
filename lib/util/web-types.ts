// Types of the web that a program's `lib` may lack.

/** What a class of the web's makes, where there is that class. */
export type Web<Name extends string> = typeof globalThis extends { [K in Name]: { prototype: infer S } }
  ? S
  : never

/** An AbortSignal, where there is that class. */
export type Signal = typeof globalThis extends { AbortSignal: { prototype: infer S } } ? S : SignalLike

export type SignalLike = { readonly aborted: boolean; throwIfAborted(): void }
