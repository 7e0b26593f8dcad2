/**
 * The types of remote objects, and of the values that cross between two peers. Nothing here exists at run time.
 *
 * A type parameter `T` is always the type as its *owner* wrote it: `Netref<TextFile>` names the owner's class. The
 * types below say what the *peer*, which holds the netref, may do with it. Two mappings do the work:
 *
 *     Sendable<T>   what one side may pass if the other side takes a T
 *     Received<T>   what one side holds after the other side has sent it a T
 *
 * A call maps its parameters with `Sendable` and its result with `Received`. A callback does the opposite. Both
 * mappings follow the table of values in the guide. What types cannot express is checked at run time.
 */

import type { Any, AnyClass, AnyFunction, IsAny } from '../util/any.js'
import type { SignalLike, Web } from '../util/web-types.js'

declare const handleTo: unique symbol
declare const netrefTo: unique symbol
declare const pendingValue: unique symbol
declare const exposedAs: unique symbol
declare const reason: unique symbol
declare const uninferred: unique symbol

/* ---- Handles: netrefs, paths and pending results. ---- */

/** Anything that refers to a remote T: a netref, a path or a pending result. */
export interface RemoteHandle<out T> {
  /** For types only. */
  readonly [handleTo]: T
}

/**
 * A netref without its members. Only netrefs have this brand; paths and pending results have `PendingBrand`. Parameter
 * types use the brands instead of `Netref<T>` and `Pending<T>`, which have call signatures. With a second call signature
 * TypeScript would not infer the parameter types of an arrow function.
 */
export interface NetrefBrand<out T> extends RemoteHandle<T>, Releasable {
  /** For types only. */
  readonly [netrefTo]: T
}

/** A path or a pending result without its members. Awaiting it gives a V. */
export interface PendingBrand<out V> {
  /** For types only. */
  readonly [pendingValue]: V
}

/** The result type of `expose()`: a T that is passed by reference. Its owner uses it as a T. */
export interface Exposed<out T> {
  /** For types only. */
  readonly [exposedAs]: T
}

/** `using ref = …` releases the netref, like `Netref.release(ref)`. Empty if `lib` does not declare `Symbol.dispose`. */
type Releasable = SymbolConstructor extends { readonly dispose: infer Dispose extends PropertyKey }
  ? { [K in Dispose]: () => void }
  : object

/**
 * A proxy for a T that the other side owns. It is not thenable, and has T's exposed members only.
 *
 * @example
 * Netref<{ add(a: number, b: number): number }>   // { add(a: number, b: number): Pending<number> }
 */
export type Netref<T> = NetrefBrand<T> &
  RemoteMembers<T, 'then' | 'toJSON' | LocalFunctionMember<T>> &
  AsyncIterableOf<T>
/** The members that a callable netref implements locally. */
type LocalFunctionMember<T> = T extends AnyFunction | AnyClass ? 'apply' | 'bind' | 'call' : never

/**
 * The result of a call: a promise and a path in one, so the caller can use it before the reply arrives.
 *
 * @example
 * type User = Pending<{ name: string }> // Promise<{ name: string }> & { name: RemotePath<string> }
 */
export type Pending<T> = Promise<Received<Awaited<T>>> &
  RemoteHandle<TargetOf<Awaited<T>>> &
  PendingBrand<Received<Awaited<T>>> &
  PipelinedMembers<Received<Awaited<T>>, 'then' | 'catch' | 'finally' | 'toJSON'> &
  AsyncIterableOf<Awaited<T>>

/** A remote member that is named and not used yet: `await` reads it, a call calls it. */
export type RemotePath<T> = PromiseLike<Received<Awaited<T>>> &
  RemoteHandle<TargetOf<Awaited<T>>> &
  PendingBrand<Received<Awaited<T>>> &
  PipelinedMembers<Received<Awaited<T>>, 'then' | 'toJSON'> &
  AsyncIterableOf<Awaited<T>>

/**
 * The T behind a netref, path, pending result or exposed object. Any other type is returned unchanged.
 *
 * @example
 * type File = TargetOf<Netref<TextFile>> // TextFile
 */
export type TargetOf<N> = N extends RemoteHandle<infer T> | Exposed<infer T> ? T : N

/* ---- Members that the owner exposes. ---- */

/**
 * T's members under the names the peer uses: those with the prefix `exposed_`, without the prefix. If T has none, its
 * public members. A class may name its exposed members itself, if it has other public members, or a base with prefixes:
 *
 *     declare readonly '~exposes'?: { add: true }
 *
 * Mapped types over `keyof T` without `as` keep the declarations of the members, so editors find them.
 *
 * @example
 * ExposedMembers<{ exposed_add(): number; secret: string }>   // { add(): number }
 */
type ExposedMembers<T> = NamesKey extends keyof T
  ? PrefixedMembers<T> & Pick<T, Extract<keyof T, NamedMember<T>>>
  : [PrefixedName<T>] extends [never]
    ? Pick<T, PublicName<T>>
    : PrefixedMembers<T>
type PrefixedMembers<T> = {
  [K in keyof T as K extends `exposed_${infer Name}` ? Exclude<Name, NeverExposed> : never]: T[K]
}
/** Names that lead to the class, and the hooks of a service. */
type NeverExposed = '__proto__' | 'constructor' | 'prototype' | 'onConnect' | 'onClosing' | 'onDisconnect'
type NamesKey = '~exposes'
type PublicName<T> = Exclude<keyof T, NeverExposed | symbol | `_${string}`>
type PrefixedName<T> = Extract<keyof T, `exposed_${string}`>
/** The members that T names itself. */
type NamedMember<T> = NamesKey extends keyof T ? keyof NonNullable<T[NamesKey]> : never

/* ---- Constraints on the declarations of a class. An interface without values explains a compile error by its name. ---- */

/** Refuses a decorated member that netrefs would not show: their types see prefixed members, or those that T names. */
export type SeenByTypes<T, Name> = Name extends symbol
  ? unknown
  : NamesKey extends keyof T
    ? Name extends NamedMember<T>
      ? unknown
      : NameItInExposes<Name>
    : [PrefixedName<T>] extends [never]
      ? unknown
      : OneWayForAllMembers<PrefixedName<T>, Name>

/** The names that the list of a T must have if it extends B, and the constraints on its other names. */
export type ListedMembers<T, B, Options, M> = ListItOrMakeItPrivate<T, NameToList<T, B>, Options> &
  OneWayOnly<T, B, keyof M>
type ListItOrMakeItPrivate<T, K extends keyof T, Options> = { readonly [P in K]: Options }
type NameToList<T, B> = Extract<
  keyof T,
  NamesKey extends keyof T
    ? Exclude<NamedMember<T>, NamesKey extends keyof B ? NamedMember<B> : keyof B>
    : Exclude<PublicName<T> | IteratorName, PrefixedName<T> | keyof B>
>
type IteratorName = typeof Symbol.iterator | typeof Symbol.asyncIterator
type OneWayOnly<T, B, Listed> = [Exclude<PrefixedName<T>, keyof B>] extends [never]
  ? NamesKey extends keyof T
    ? [Exclude<Listed, NamedMember<T> | symbol>] extends [never]
      ? unknown
      : NameItInExposes<Exclude<Listed, NamedMember<T> | symbol>>
    : [PrefixedName<T>] extends [never]
      ? unknown
      : NameItInExposes<Listed>
  : OneWayForAllMembers<Exclude<PrefixedName<T>, keyof B>, Listed>

/** One class exposes all its members one way: with the prefix, or without. Pass the base class if the others are its. */
interface OneWayForAllMembers<out Prefixed, out Others> {
  readonly prefixed: Prefixed
  readonly others: Others
}
/** Types see the members that the class names: `declare readonly '~exposes'?: { name: true }`. */
interface NameItInExposes<out Name> {
  readonly '~exposes': Name
}

/** The member names that `Netref.get(ref, name)` and its siblings accept for a T, including `then`. */
export type ExposedKey<T> = unknown extends T ? PropertyKey : keyof ExposedMembers<T>
/** The owner's type of a member. Reading gives a `RemotePath` to it; writing takes a `Sendable` of it. */
export type ExposedMember<T, K extends ExposedKey<T>> = unknown extends T
  ? Any
  : K extends keyof ExposedMembers<T>
    ? ExposedMembers<T>[K]
    : never

/** The remote members of a T, without the names that the proxy implements locally. */
type RemoteMembers<T, LocalName> =
  IsAny<T> extends true
    ? UntypedMembers
    : CallSignatures<T, LocalName> &
        ConstructSignature<T, LocalName> &
        MemberPaths<T, ExposedMembers<T>, Exclude<keyof ExposedMembers<T>, LocalName>>
type MemberPaths<T, Members, K extends keyof Members> = {
  readonly [P in K]: [T] extends [readonly unknown[]]
    ? ArrayMemberPath<Members[P], P>
    : OptionalPath<Members[P]>
}
type UntypedMembers = (new (
  ...args: Any[]
) => Pending<Any>) &
  ((...args: Any[]) => Pending<Any>) & { readonly [name: string]: Any }

/**
 * The members of a result of type U that can be used before it arrives. A netref has all remote members. A copied
 * object or array has its own members, as the owner resolves a path through them. A Date, Map or string has none. A
 * union has the members that all its parts have, so a result that may be undefined has none: await it first.
 *
 * @example
 * PipelinedMembers<{ user: { name: string } }, 'then'>   // { user: RemotePath<{ name: string }> }
 */
type PipelinedMembers<U, LocalName> =
  IsAny<U> extends true
    ? UntypedMembers
    : [U] extends [never]
      ? unknown
      : [U] extends [NetrefBrand<infer T>]
        ? RemoteMembers<T, LocalName>
        : [U] extends [readonly unknown[]]
          ? {
              readonly [K in keyof U as K extends number | `${number}` | 'length' ? K : never]: OptionalPath<
                U[K]
              >
            }
          : [U] extends [CopiedLeaf | StreamLike | ReadonlyMap<Any, Any> | ReadonlySet<Any>]
            ? unknown
            : [U] extends [object]
              ? { readonly [K in keyof U as Exclude<K, LocalName | symbol>]: OptionalPath<U[K]> }
              : unknown

/**
 * Array methods that read their callback's result synchronously do not work with a remote callback: its result is a
 * promise, which counts as true. `sort` and `toSorted` work without a callback.
 */
type ArrayMemberPath<M, K> = K extends SynchronousCallbackMethod
  ? Unserializable<'a callback with a synchronous result: use a copy, await Netref.obtain(it)'>
  : K extends 'sort' | 'toSorted'
    ? M extends (...args: Any) => infer R
      ? OptionalPath<() => R>
      : never
    : OptionalPath<M>
type SynchronousCallbackMethod =
  | ('every' | 'some' | 'filter' | 'find' | 'findIndex' | 'findLast' | 'findLastIndex')
  | ('map' | 'flatMap' | 'reduce' | 'reduceRight')

/**
 * The path to a member. A member that may be null or undefined has a path that may be null or undefined. A netref has
 * a path for each name, but a copy does not; types do not distinguish the two.
 *
 * @example
 * OptionalPath<string | undefined>   // RemotePath<string> | undefined
 */
type OptionalPath<T> = unknown extends T
  ? RemotePath<T>
  : [NonNullable<T>] extends [never]
    ? RemotePath<T>
    : SerializablePath<NonNullable<T>> | Extract<T, null | undefined>
/** A path, unless its value can never be sent. */
type SerializablePath<T> =
  IsUnserializable<ResultOf<T>> extends true ? Unserializable<ResultOf<T>> : RemotePath<T>
type ResultOf<T> = T extends (...args: Any) => infer R ? Awaited<R> : Awaited<T>

/**
 * The call signatures of T, up to four overloads. `infer` repeats the first signature if T has fewer, and an
 * intersection drops repeated signatures. `infer` replaces type parameters with their constraints.
 *
 * @example
 * CallSignatures<(file: TextFile) => string, never>   // (file: Sendable<TextFile>) => Pending<string>
 */
type CallSignatures<T, LocalName> = [T] extends [
  {
    (...args: infer A1): infer R1
    (...args: infer A2): infer R2
    (...args: infer A3): infer R3
    (...args: infer A4): infer R4
  }
]
  ? GenericSignature<
      T,
      ((...args: A1) => R1) & ((...args: A2) => R2) & ((...args: A3) => R3) & ((...args: A4) => R4),
      R1 | R2 | R3 | R4
    > &
      CallSignature<A1, R1> &
      CallSignature<A2, R2> &
      CallSignature<A3, R3> &
      CallSignature<A4, R4> &
      HiddenFunctionMembers<T, LocalName>
  : unknown
type CallSignature<A extends readonly unknown[], R> = (...args: SendableArguments<A>) => Pending<R>

/**
 * The signature of a generic function whose result depends on a type parameter. `infer` loses that parameter, and
 * TypeScript cannot map such a signature. So it is kept unchanged if no mapping is needed: if the function returns a
 * promise of a type that `Received` does not change.
 */
type GenericSignature<F, Inferred, R> = [(is: F) => void] extends [(is: Inferred) => void]
  ? unknown
  : [keyof F, R] extends [never, PromiseLike<infer V>]
    ? [Received<V>] extends [V]
      ? F
      : unknown
    : unknown

/** The construct signature of a class. An instance is passed by reference, even if it has no methods. */
type ConstructSignature<T, LocalName> = [T] extends [new (...args: infer A) => infer I]
  ? (new (
      ...args: SendableArguments<A>
    ) => Pending<I extends CopiedLeaf ? I : NetrefBrand<I>>) &
      HiddenFunctionMembers<T, LocalName>
  : unknown

/** TypeScript gives each callable type `name`, `length`, `bind`… On a netref these would be remote, so they are hidden. */
type HiddenFunctionMembers<T, LocalName> = {
  readonly [K in Exclude<
    keyof CallableFunction,
    keyof ExposedMembers<T> | LocalName | symbol | 'toString'
  >]: unknown
}

/* ---- The two mappings of values. ---- */

/**
 * The classes that `registerType` registers, for types. Without an entry here, types take a class with methods for one
 * that is passed by reference, and show its instances as netrefs. Add an entry beside the registration, under any name:
 *
 *     declare module 'netref' { interface Registered { money: Money } }
 *     registerType(Money, { name: 'Money', encode: money => money.cents, decode: cents => new Money(cents) })
 *
 * Both sides then send and receive a `Money`, at any depth.
 */
// biome-ignore lint/suspicious/noEmptyInterface: users add to it
export interface Registered {}

/**
 * The result of `Netref.obtain`: the exposed members of T that are data.
 *
 * @example
 * type Book = Obtained<{ title: string; print(): void }> // { title: string }
 */
export type Obtained<T> =
  IsAny<T> extends true
    ? Any
    : T extends readonly unknown[] | ReadonlyMap<Any, Any> | ReadonlySet<Any>
      ? ReceivedData<T>
      : [IsPassedByReference<T>, PrefixedName<T>] extends [false, never]
        ? ReceivedData<T>
        : {
            -readonly [K in keyof ExposedMembers<T> as DataKey<ExposedMembers<T>[K], K>]: Received<
              ExposedMembers<T>[K]
            >
          }

/**
 * What the receiver holds after the owner has sent it a T, as a result or as an argument of a callback. It is the
 * inverse of `Sendable`. What has behaviour becomes a netref. The rest becomes a copy that the receiver owns, so
 * nothing in it is readonly. A netref that returns to its owner is the original object, but its type stays `Netref`.
 * A path or a pending result becomes the value that it will have.
 *
 * @example
 * type Arrived = Received<{ readonly log: (line: string) => void; at: Date }>
 * // { log: Netref<(line: string) => void>; at: Date }
 */
export type Received<T> =
  IsAny<T> extends true
    ? T
    : T extends Primitive
      ? T
      : T extends NetrefBrand<infer X> | Exposed<infer X>
        ? Netref<X>
        : T extends NeverSerializable
          ? Unserializable<T>
          : T extends PendingBrand<infer V>
            ? Received<V>
            : IsStream<T> extends true
              ? ReceivedStream<T>
              : IsPassedByReference<T> extends true
                ? Netref<T>
                : ReceivedData<T>
/** Arrays have a branch of their own: TypeScript allows recursion only in array types that are written `[]`. */
type ReceivedData<T> = T extends CopiedLeaf
  ? T
  : T extends ReadonlyMap<infer K, infer V>
    ? Map<Received<K>, Received<V>>
    : T extends ReadonlySet<infer V>
      ? Set<Received<V>>
      : IsList<T> extends true
        ? Received<ListItem<T>>[]
        : T extends object
          ? { -readonly [K in keyof T]: Received<T[K]> }
          : T
type ReceivedArguments<A extends readonly unknown[]> = { [I in keyof A]: Received<A[I]> }

/**
 * What the sender may pass if the owner takes a T. It is the inverse of `Received`. For data it is the same data. For
 * a `Netref<X>` it is an X of the sender's, or a netref to an X. An owner that declares X instead of `Netref<X>` takes
 * the same values, as an object with behaviour is always passed by reference. A path or a pending result takes the place of
 * a value anywhere.
 *
 * @example
 * type Sent = Sendable<{ log: Netref<(line: string) => void>; at: Date }>
 * // { readonly log: ((line: string) => unknown) | NetrefBrand<(line: string) => void>; readonly at: Date }
 * // with `| PendingBrand<…>` at each place
 */
export type Sendable<T> =
  IsAny<T> extends true
    ? T
    : [T] extends [NeverSerializable]
      ? SendableValue<T>
      : PendingBrand<SendableValue<T>> | SendableValue<T>
type SendableValue<T> =
  IsAny<T> extends true
    ? T
    : T extends Primitive
      ? T
      : T extends NetrefBrand<infer X> | Exposed<infer X>
        ? ReferenceArgument<X>
        : T extends NeverSerializable
          ? Unserializable<T>
          : IsStream<T> extends true
            ? SendableStream<T>
            : IsPassedByReference<T> extends true
              ? ReferenceArgument<T>
              : SendableData<T>
type SendableData<T> = T extends CopiedLeaf
  ? T
  : T extends ReadonlyMap<infer K, infer V>
    ? ReadonlyMap<Sendable<K>, Sendable<V>>
    : T extends ReadonlySet<infer V>
      ? ReadonlySet<Sendable<V>>
      : IsList<T> extends true
        ? readonly Sendable<ListItem<T>>[]
        : T extends object
          ? { readonly [K in keyof T]: Sendable<T[K]> }
          : T
type SendableArguments<A extends readonly unknown[]> = { [I in keyof A]: Sendable<A[I]> }

/**
 * What may be published or stored as a T: data only. In place of what has behaviour it has an `Unserializable`, so that a
 * T with a function, a stream or a netref does not compile.
 *
 * @example
 * type Published = DataOnly<{ symbol: string; at: Date }> // { readonly symbol: string; readonly at: Date }
 */
export type DataOnly<T> =
  IsAny<T> extends true
    ? T
    : T extends RemoteHandle<Any> | Exposed<Any> | PendingBrand<Any> | NeverSerializable
      ? Unserializable<T>
      : T extends Primitive | CopiedLeaf
        ? T
        : true extends IsStream<T> | IsPassedByReference<T>
          ? Unserializable<T>
          : T extends ReadonlyMap<infer K, infer V>
            ? ReadonlyMap<DataOnly<K>, DataOnly<V>>
            : T extends ReadonlySet<infer V>
              ? ReadonlySet<DataOnly<V>>
              : IsList<T> extends true
                ? readonly DataOnly<ListItem<T>>[]
                : T extends object
                  ? { readonly [K in keyof T]: DataOnly<T[K]> }
                  : T

/**
 * An X that the sender owns, or a netref to an X. The sender may write its type as the owner of the parameter does, as
 * a class that both share, or member by member with `Sendable`. Compiler errors name the last form, so it comes last.
 * A function has the `Sendable` form only, and a class the owner's form only.
 *
 * @example
 * ReferenceArgument<(line: string) => void>   // ((line: string) => unknown) | NetrefBrand<(line: string) => void>
 */
type ReferenceArgument<X> =
  | (unknown extends X
      ? object
      : X extends AnyFunction
        ? CallbackArgument<X>
        : X extends AnyClass
          ? X
          : AsWrittenByOwner<X> | SendableMembers<X>)
  | NetrefBrand<X>
type SendableMembers<X> = { readonly [K in keyof X]: Sendable<X[K]> }

/**
 * An X as its owner declares it. TypeScript must infer the parameters of functions in an object literal from
 * `SendableMembers` alone, not from this type. A signature with other type parameters (`uninferred`) has that effect.
 * The mapping is three objects deep, as types such as those of the DOM have no end. Below that depth, the parameters
 * of functions need explicit types.
 */
type AsWrittenByOwner<X, DepthLeft extends readonly unknown[] = [1, 2, 3]> = unknown extends X
  ? X
  : X extends Primitive | CopiedLeaf | AnyClass
    ? X
    : X extends AnyFunction
      ? X & (<_ extends typeof uninferred>(...args: never[]) => unknown)
      : DepthLeft extends readonly [unknown, ...infer Rest]
        ? { readonly [K in keyof X]: AsWrittenByOwner<X[K], Rest> }
        : X

/** A function of the sender's. It takes received arguments, and may return a promise, or anything in place of void. */
type CallbackArgument<F> = F extends (...args: infer A) => infer R
  ? (...args: ReceivedArguments<A>) => void extends Awaited<R> ? unknown : MaybePromise<Sendable<Awaited<R>>>
  : F
type MaybePromise<R> = R | PromiseLike<R>

/* ---- Classes of values: copied, passed by reference, never sent. ---- */

/** Stands in for a type that cannot be sent. No value has this type, so using it does not compile; `Reason` says why. */
export interface Unserializable<out Reason> {
  /** For types only. */
  readonly [reason]: Reason
}

type RegisteredClass = Registered[keyof Registered]

type Primitive = string | number | boolean | bigint | null | undefined
/** `URL`, or `Date` again if `lib` does not declare a global URL. */
type WebUrl = typeof globalThis extends { URL: { prototype: infer U } } ? U : Date
/** Built-ins that are copied as a whole: nothing inside them has a rule of its own. */
type IndivisibleBuiltIn = Date | RegExp | WebUrl | ArrayBuffer
type CopiedLeaf = IndivisibleBuiltIn | ArrayBufferView | Error | RegisteredClass | Unserializable<unknown>

/** Built-ins that are copied. A subclass is passed by reference; it is recognised by the members it adds. */
type CopiedBuiltIn = IndivisibleBuiltIn | ReadonlyMap<Any, Any> | ReadonlySet<Any> | readonly unknown[]
type CopiedBuiltInKey =
  | (keyof Date | keyof RegExp | keyof WebUrl | keyof ArrayBuffer)
  | (keyof Map<Any, Any> | keyof Set<Any> | keyof Any[] | `${number}`)

/** Types that cannot be sent. `size` tells a Map, which is assignable to WeakMap, from a WeakMap. */
type NeverSerializable =
  | symbol
  | ((WeakMap<Any, Any> | WeakSet<Any> | WeakRef<Any>) & { readonly size?: never })

type IsUnserializable<T> =
  IsAny<T> extends true ? false : [T] extends [never] ? false : [T] extends [NeverSerializable] ? true : false

/** Whether a T has behaviour. One method is enough: types do not tell an instance of a class from a plain object. */
type IsPassedByReference<T> = T extends AnyFunction | AnyClass
  ? true
  : T extends ArrayBufferView | Error | RegisteredClass | Unserializable<unknown>
    ? false
    : T extends CopiedBuiltIn
      ? [keyof T] extends [CopiedBuiltInKey]
        ? false
        : true
      : true extends { [K in keyof T]-?: IsMethod<T[K]> }[keyof T]
        ? true
        : false
/** A netref counts as data, although it may be callable. */
type IsMethod<V> =
  IsAny<V> extends true ? never : V extends NetrefBrand<Any> ? never : V extends AnyFunction ? true : never

/** Whether T is an array, and not a tuple. */
type IsList<T> = T extends readonly unknown[] ? (ListItem<T>[] extends T ? true : false) : false
type ListItem<T> = T extends readonly (infer E)[] ? E : never

/** K if the member V is data. Functions and classes are not, but netrefs to functions of others are. */
type DataKey<V, K> =
  IsAny<V> extends true
    ? K
    : NonNullable<V> extends NetrefBrand<Any>
      ? K
      : NonNullable<V> extends AnyFunction | AnyClass
        ? never
        : K

/* ---- Streams: promises, iterators, streams and signals. Their members identify them, as not every `lib` has the classes. ---- */

/** What arrives as the same kind of object. */
type StreamLike = PromiseLike<Any> | IteratorLike | WebStreamLike | NodeStreamLike
type IsStream<T> = T extends StreamLike ? true : IsPlainIterable<T>

/** A `next` method alone is not enough: a type written as `Iterator<T>` or `AsyncIterator<T>` may be a plain object. */
type IteratorLike = { next(...args: Any): Any } & (SyncIterableLike | AsyncIterableLike)
type SyncIterableLike = { [Symbol.iterator](): Any }
type AsyncIterableLike = { [Symbol.asyncIterator](): Any }
/** A type written as `Iterable<T>` or `AsyncIterable<T>`, and nothing else: it may be any iterable object. */
type IsPlainIterable<T> = [T] extends [SyncIterableLike | AsyncIterableLike]
  ? [keyof T] extends [typeof Symbol.iterator | typeof Symbol.asyncIterator]
    ? true
    : false
  : false

/** The type of the items of an iterable T, before they are sent. `never` if T is not iterable. */
type YieldedItem<T> = T extends { [Symbol.asyncIterator](): AsyncIterator<infer Y, Any, Any> }
  ? Y
  : T extends { [Symbol.iterator](): Iterator<infer Y, Any, Any> }
    ? Awaited<Y>
    : never

/** `for await` over a remote T, if T is an iterator or iterable. The owner's access rules decide at run time. */
type AsyncIterableOf<T> =
  IsAny<T> extends true
    ? unknown
    : [T] extends [never]
      ? unknown
      : T extends string
        ? unknown
        : T extends SyncIterableLike | AsyncIterableLike
          ? { [Symbol.asyncIterator](): AsyncIterableIterator<Received<YieldedItem<T>>> }
          : unknown
type IteratedItem<T> =
  T extends Iterator<infer Y, Any, Any> ? Awaited<Y> : T extends AsyncIterator<infer Y, Any, Any> ? Y : never

/** A received iterator is always asynchronous. */
type ReceivedIterator<T> =
  T extends Iterator<infer Y, infer R, infer N>
    ? AsyncGenerator<Received<Awaited<Y>>, Received<R>, N>
    : T extends AsyncIterator<infer Y, infer R, infer N>
      ? AsyncGenerator<Received<Y>, Received<R>, N>
      : never

type WebReadableLike = { readonly locked: boolean; getReader(...args: Any): Any }
type WebWritableLike = { readonly locked: boolean; getWriter(): Any }
type WebTransformLike = { readonly readable: WebReadableLike; readonly writable: WebWritableLike }
/** An instance of a web class. Comparing with the classes themselves takes the compiler minutes. */
type WebClass = { readonly [Symbol.toStringTag]: string }
type WebStreamLike = WebReadableLike | WebWritableLike | WebTransformLike | SignalLike
/** The classes of `node:stream`, and the interfaces `NodeJS.ReadableStream` and `NodeJS.WritableStream`. */
type NodeReadableLike = { readable: boolean; isPaused(): boolean; pipe(...args: Any): Any }
type NodeWritableLike = {
  writable: boolean
  write(...args: Any): Any
  end(...args: Any): Any
  removeListener(...args: Any): Any
}
type TerminalInput = NodeReadableLike & { setRawMode(mode: boolean): Any }
type TerminalOutput = NodeWritableLike & { getWindowSize(): Any }
type NodeStreamLike = NodeReadableLike | NodeWritableLike

/**
 * What the receiver holds for a stream of its owner. It is the inverse of `SendableStream`.
 *
 * @example
 * ReceivedStream<Generator<number, string>>   // AsyncGenerator<number, string>
 */
type ReceivedStream<T> =
  T extends PromiseLike<infer V>
    ? Promise<Received<Awaited<V>>>
    : T extends WebTransformLike
      ? ReceivedTransform<T>
      : T extends WebStreamLike
        ? T
        : T extends NodeStreamLike
          ? ReceivedNodeStream<T>
          : T extends { next(...args: Any): Any }
            ? ReceivedIterator<T>
            : T extends AsyncIterableLike
              ? AsyncIterable<Received<YieldedItem<T>>>
              : Iterable<Received<YieldedItem<T>>> | AsyncIterable<Received<YieldedItem<T>>>

/** A plain object's further members follow their own rules. Its methods are those of a class, and are not sent. */
type ReceivedTransform<T extends WebTransformLike> = [keyof T] extends [keyof WebTransformLike]
  ? T
  : T extends WebClass
    ? Pick<T, keyof WebTransformLike>
    : { readonly [K in keyof T as T[K] extends AnyFunction ? never : K]: Received<T[K]> }

type ReceivedNodeStream<T> = T extends TerminalInput
  ? Web<'ReadableStream'>
  : T extends TerminalOutput
    ? Web<'WritableStream'>
    : T extends NodeReadableLike & NodeWritableLike
      ? Web<'TransformStream'>
      : T extends NodeReadableLike
        ? Web<'ReadableStream'>
        : Web<'WritableStream'>

/**
 * What the sender may pass if the owner takes a stream. It is the inverse of `ReceivedStream`.
 *
 * @example
 * SendableStream<AsyncIterable<number>>   // AsyncIterable<number> | IterableIterator<number>
 */
type SendableStream<T> =
  T extends PromiseLike<infer V>
    ? PromiseLike<Sendable<Awaited<V>>>
    : T extends WebReadableLike
      ? T | NodeReadableLike
      : T extends WebWritableLike
        ? T | NodeWritableLike
        : T extends WebTransformLike
          ? T | (NodeReadableLike & NodeWritableLike)
          : T extends SignalLike | NodeStreamLike
            ? T
            : T extends { next(...args: Any): Any }
              ? SendableIterator<IteratedItem<T>>
              : T extends AsyncIterableLike
                ? AsyncIterable<Sendable<YieldedItem<T>>> | IterableIterator<Sendable<YieldedItem<T>>>
                : SendableIterable<YieldedItem<T>>
/** A synchronous or asynchronous iterator: both arrive as an asynchronous one. Without a method to iterate it is a plain object. */
type SendableIterator<Y> = AsyncIterableIterator<Sendable<Y>> | IterableIterator<Sendable<Y>>
/** The owner iterates it synchronously, so it must be complete: an iterator would arrive as an asynchronous one. */
type SendableIterable<Y> =
  | readonly Sendable<Y>[]
  | ReadonlySet<Sendable<Y>>
  | (Y extends readonly [infer K, infer V] ? ReadonlyMap<Sendable<K>, Sendable<V>> : never)
