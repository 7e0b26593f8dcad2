/**
 * What kinds of values there are, as far as types can tell: what is copied, what stays home, what cannot travel.
 * Nothing here exists at run time.
 */
import type { IsAny } from './flow-types.js'
import type { Reference, Registered } from './types.js'

// biome-ignore lint/suspicious/noExplicitAny: "a function, whatever it takes" can only be matched with any
export type Any = any
export type AnyFunction = (...args: Any) => Any
export type AnyClass = abstract new (...args: Any) => Any

declare const what: unique symbol

type Registration = Registered[keyof Registered]

/** In place of what never travels: nothing is one, so using it does not compile, and its name says why. */
export interface CannotBeSent<out What> {
  readonly [what]: What
}

export type Primitive = string | number | boolean | bigint | null | undefined
/** Where there is no global URL, one more Date. */
type WebUrl = typeof globalThis extends { URL: { prototype: infer U } } ? U : Date
/** Built-ins that are copied whole, as nothing inside falls under a rule of its own. */
type Atom = Date | RegExp | WebUrl | ArrayBuffer
export type Leaf = Atom | ArrayBufferView | Error | Registration | CannotBeSent<unknown>

/** Built-ins that travel by value, though a subclass does not: one is known by the members it adds. */
type Basic = Atom | ReadonlyMap<Any, Any> | ReadonlySet<Any> | readonly unknown[]
type BasicKey =
  | (keyof Date | keyof RegExp | keyof WebUrl | keyof ArrayBuffer)
  | (keyof Map<Any, Any> | keyof Set<Any> | keyof Any[] | `${number}`)

/** A Map would pass for a WeakMap but for its size. */
export type Unsendable =
  | symbol
  | ((WeakMap<Any, Any> | WeakSet<Any> | WeakRef<Any>) & { readonly size?: never })

export type Refused<T> =
  IsAny<T> extends true ? false : [T] extends [never] ? false : [T] extends [Unsendable] ? true : false

/** Whatever has behaviour. One method is enough, as types do not tell an instance from a plain object. */
export type StaysHome<T> = T extends AnyFunction | AnyClass
  ? true
  : T extends ArrayBufferView | Error | Registration | CannotBeSent<unknown>
    ? false
    : T extends Basic
      ? [keyof T] extends [BasicKey]
        ? false
        : true
      : true extends { [K in keyof T]-?: IsMethod<T[K]> }[keyof T]
        ? true
        : false
/** Not so a netref, which is data although it may be called. */
export type IsMethod<V> =
  IsAny<V> extends true ? never : V extends Reference<Any> ? never : V extends AnyFunction ? true : never

/** An array, not a tuple. */
export type IsList<T> = T extends readonly unknown[] ? (Item<T>[] extends T ? true : false) : false
export type Item<T> = T extends readonly (infer E)[] ? E : never

/** Functions and classes stay home, but not those of others, which are netrefs here, too. */
export type IsData<V, K> =
  IsAny<V> extends true
    ? K
    : NonNullable<V> extends Reference<Any>
      ? K
      : NonNullable<V> extends AnyFunction | AnyClass
        ? never
        : K
