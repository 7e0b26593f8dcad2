/**
 * The types of remote things; nothing here exists at run time.
 *
 * A type is always written from its *home's* view: `Netref<TextFile>` names the class as its author wrote it,
 * and what follows says what the *peer*, who holds the netref, may do with it. Two mappings do the work:
 *
 *     Sendable<T>   what one side may pass where the other takes a T
 *     Unboxed<T>    what one side holds once the other's T has arrived
 *
 * A call maps its arguments by the first and its result by the second, a callback the other way round. Both
 * follow the table of values; what types cannot see is left to the run time, and the README lists it.
 */

import type { SignalLike, Web } from '../util/web-types.js'

declare const handleTo: unique symbol
declare const netrefTo: unique symbol
declare const exposedAs: unique symbol
declare const uninferred: unique symbol

/* ---- What stands for a remote object. Its peer, who does not have the object, sees these. ---- */

/** Every netref, path and pending result is one: something that stands for a T at home. */
export interface RemoteHandle<out T> {
  readonly [handleTo]: T
}

/**
 * A netref, its members left out. Only netrefs have this brand; paths and pending results, which must be awaited
 * before they are sent, do not. Parameters ask for this and not for `Netref<T>`: a second call signature, beside
 * that of the local function, would leave an arrow function's parameters without types.
 */
export interface NetrefBrand<out T> extends RemoteHandle<T>, Releasable {
  readonly [netrefTo]: T
}

/** What `expose()` says of a T: it goes by reference, whatever it is. Home uses it as the T it is. */
export interface Exposed<out T> {
  readonly [exposedAs]: T
}

/** `using ref = …` releases it, like `Netref.release(ref)`. Empty where `lib` knows no `Symbol.dispose`. */
type Releasable = SymbolConstructor extends { readonly dispose: infer Dispose extends PropertyKey }
  ? { [K in Dispose]: () => void }
  : object

/** A proxy for a T whose home is the other side. Not thenable; all it shows are T's members. */
export type Netref<T> = NetrefBrand<T> &
  RemoteMembers<T, 'then' | 'toJSON' | LocalFunctionMember<T>> &
  DeferredIterator<T>
/** A netref that can be called has these itself. */
type LocalFunctionMember<T> = T extends AnyFunction | AnyClass ? 'apply' | 'bind' | 'call' : never

/** The result of a call: a promise and a path in one, so that it can be used before it is there. */
export type Pending<T> = Promise<Received<Awaited<T>>> &
  RemoteHandle<TargetOf<Awaited<T>>> &
  PipelinedMembers<Received<Awaited<T>>, 'then' | 'catch' | 'finally' | 'toJSON'> &
  DeferredIterator<Awaited<T>>

/** A member named but not touched yet: awaiting it reads it, calling it calls it. */
export type RemotePath<T> = PromiseLike<Received<Awaited<T>>> &
  RemoteHandle<TargetOf<Awaited<T>>> &
  PipelinedMembers<Received<Awaited<T>>, 'then' | 'toJSON'> &
  DeferredIterator<Awaited<T>>

/** The T behind a netref, path, pending result, or what was exposed; any other type is itself. */
export type TargetOf<N> = N extends RemoteHandle<infer T> | Exposed<infer T> ? T : N

/* ---- What home shows to the peer ---- */

/** T's members by the names the peer uses: those with the prefix, without it; if there are none, the public ones. */
type ExposedMembers<T> = [keyof PrefixedMembers<T>] extends [never]
  ? { [K in keyof T as K extends NeverExposed | symbol | `_${string}` ? never : K]: T[K] }
  : PrefixedMembers<T>
type PrefixedMembers<T> = {
  [K in keyof T as K extends `exposed_${infer Name}` ? Exclude<Name, NeverExposed> : never]: T[K]
}
/** The ways to the class, and the hooks of a service. */
type NeverExposed = '__proto__' | 'constructor' | 'prototype' | 'onConnect' | 'onDisconnect'

/** The names that `Netref.get(ref, name)` and its kin know for a T; `then` too, which a path cannot say. */
export type ExposedKey<T> = unknown extends T ? PropertyKey : keyof ExposedMembers<T>
/** What has such a name, as home sees it: reading gives a `Path<Member<T, K>>`, writing takes a `Sendable` of it. */
export type ExposedMember<T, K extends ExposedKey<T>> = unknown extends T
  ? Any
  : K extends keyof ExposedMembers<T>
    ? ExposedMembers<T>[K]
    : never

/** What can be done with a T at home, except by the names that are the proxy's `Own`. */
type RemoteMembers<T, LocalName> =
  IsAny<T> extends true
    ? UntypedMembers
    : CallSignatures<T, LocalName> &
        ConstructSignature<T, LocalName> & {
          readonly [K in keyof ExposedMembers<T> as Exclude<K, LocalName>]: PathToMember<T, K>
        }
type PathToMember<T, K extends keyof ExposedMembers<T>> = [T] extends [readonly unknown[]]
  ? ArrayMemberPath<ExposedMembers<T>[K], K>
  : OptionalPath<ExposedMembers<T>[K]>
type UntypedMembers = (new (
  ...args: Any[]
) => Pending<Any>) &
  ((...args: Any[]) => Pending<Any>) & { readonly [name: string]: Any }

/**
 * What lies past a thing that arrives as U: past a netref, all of the above; past a copy, what home lets a path
 * walk: the own members of an object or array, and none of a Date, a Map or a string. Past a union, what all of
 * it has, so nothing past what may be undefined: await that first.
 */
type PipelinedMembers<U, LocalName> =
  IsAny<U> extends true
    ? UntypedMembers
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
 * The methods of arrays that look at once at what their callback answers: of one that is not here they would see a
 * pending answer, which counts as true. Sorting without a callback is as ever.
 */
type ArrayMemberPath<M, K> = K extends SynchronousCallbackMethod
  ? Unserializable<'a callback that is to answer at once: use a copy, await Netref.obtain(it)'>
  : K extends 'sort' | 'toSorted'
    ? M extends (...args: Any) => infer R
      ? OptionalPath<() => R>
      : never
    : OptionalPath<M>
type SynchronousCallbackMethod =
  | ('every' | 'some' | 'filter' | 'find' | 'findIndex' | 'findLast' | 'findLastIndex')
  | ('map' | 'flatMap' | 'reduce' | 'reduceRight')

/**
 * One member further. A member that may be missing, or null, is so here, too: types do not tell a netref, which has a
 * path for each name, from a copy, where `?.` has to look.
 */
type OptionalPath<T> = unknown extends T
  ? RemotePath<T>
  : [NonNullable<T>] extends [never]
    ? RemotePath<T>
    : SerializablePath<NonNullable<T>> | Extract<T, null | undefined>
/** A path, unless nothing could ever come of it. */
type SerializablePath<T> =
  IsUnserializable<ResultOf<T>> extends true ? Unserializable<ResultOf<T>> : RemotePath<T>
type ResultOf<T> = T extends (...args: Any) => infer R ? Awaited<R> : Awaited<T>

/**
 * Up to four overloads: `infer` repeats the first where there are fewer, and an intersection drops repeated
 * signatures. `infer` sees constraints in place of type parameters.
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
 * The signature of a generic function whose answer depends on a type parameter: `infer` does not see it again, and
 * there is no way to change it. So it is kept where nothing about it has to be changed: it answers a promise of what
 * arrives as it is.
 */
type GenericSignature<F, Inferred, R> = [(is: F) => void] extends [(is: Inferred) => void]
  ? unknown
  : [keyof F, R] extends [never, PromiseLike<infer V>]
    ? [Received<V>] extends [V]
      ? F
      : unknown
    : unknown

/** What a class makes is an instance, so a reference even if it has no methods. */
type ConstructSignature<T, LocalName> = [T] extends [new (...args: infer A) => infer I]
  ? (new (
      ...args: SendableArguments<A>
    ) => Pending<I extends CopiedLeaf ? I : NetrefBrand<I>>) &
      HiddenFunctionMembers<T, LocalName>
  : unknown

/** To TypeScript whatever can be called has a `name`, `length`, `bind`…; these would be remote, and are refused. */
type HiddenFunctionMembers<T, LocalName> = {
  readonly [K in Exclude<
    keyof CallableFunction,
    keyof ExposedMembers<T> | LocalName | symbol | 'toString'
  >]: unknown
}

/* ---- Values, on either side ---- */

/**
 * Classes that `registerType` was told about, whose instances travel by value. Say so on both sides:
 *
 *     declare module 'netref' { interface Registered { money: Money } }
 */
// biome-ignore lint/suspicious/noEmptyInterface: users add to it
export interface Registered {}

/** What `Netref.obtain` brings of a T: what is data of what home shows. */
export type Obtained<T> =
  IsAny<T> extends true
    ? Any
    : T extends readonly unknown[] | ReadonlyMap<Any, Any> | ReadonlySet<Any>
      ? ReceivedData<T>
      : [IsPassedByReference<T>, keyof PrefixedMembers<T>] extends [false, never]
        ? ReceivedData<T>
        : {
            -readonly [K in keyof ExposedMembers<T> as DataKey<ExposedMembers<T>[K], K>]: Received<
              ExposedMembers<T>[K]
            >
          }

/**
 * What the receiver holds when home's T has arrived, as a result or as a callback's argument: netrefs to what has
 * behaviour, and copies of the rest, the receiver's own, so nothing in them is readonly. A netref that comes home
 * is the original, but which one it is no type can know: it stays a `Netref`.
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
          : IsStream<T> extends true
            ? ReceivedStream<T>
            : IsPassedByReference<T> extends true
              ? Netref<T>
              : ReceivedData<T>
/** Lists have a line of their own, as only arrays named by `[]` may be recursive. */
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
 * What the sender may pass where home takes a T: of data the like; for a `Netref<X>` an X of its own, or a netref
 * to one; and the same where home says X and overlooks that it gets a netref, since it travels all the same.
 */
export type Sendable<T> =
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
 * An X whose home is the sender, who therefore writes its type: as home does, as who shares a class with it will, or
 * each member in the sender's words; in this order, as errors tell of the last. A function alone is put in the sender's
 * words only, a class in home's.
 */
type ReferenceArgument<X> =
  | ((unknown extends X
      ? object
      : X extends AnyFunction
        ? CallbackArgument<X>
        : X extends AnyClass
          ? X
          : AsWrittenByOwner<X> | SendableMembers<X>) &
      NotPending)
  | NetrefBrand<X>
type SendableMembers<X> = { readonly [K in keyof X]: Sendable<X[K]> }

/**
 * An X in home's words. The functions of a literal must not learn their parameters' types from these, but from
 * `Members` alone: beside a signature with other type parameters none is learnt from. Three objects deep, as one
 * of the DOM, say, goes on without end: further down parameters have to be given their types.
 */
type AsWrittenByOwner<X, Deeper extends readonly unknown[] = [1, 2, 3]> = unknown extends X
  ? X
  : X extends Primitive | CopiedLeaf | AnyClass
    ? X
    : X extends AnyFunction
      ? X & (<_ extends typeof uninferred>(...args: never[]) => unknown) & NotPending
      : Deeper extends readonly [unknown, ...infer Rest]
        ? { readonly [K in keyof X]: AsWrittenByOwner<X[K], Rest> }
        : X
interface NotPending {
  readonly then?: Unserializable<'a path or a pending result: await it first'>
}

/** The sender's function gets what arrives there, and may answer late, or anything where nothing is expected. */
type CallbackArgument<F> = F extends (...args: infer A) => infer R
  ? (...args: ReceivedArguments<A>) => void extends Awaited<R> ? unknown : MaybePromise<Sendable<Awaited<R>>>
  : F
type MaybePromise<R> = R | PromiseLike<R>

/* ---- Kinds of values ---- */

// biome-ignore lint/suspicious/noExplicitAny: "a function, whatever it takes" can only be matched with any
export type Any = any
export type AnyFunction = (...args: Any) => Any
export type AnyClass = abstract new (...args: Any) => Any

declare const reason: unique symbol

type RegisteredClass = Registered[keyof Registered]

/** In place of what never travels: nothing is one, so using it does not compile, and its name says why. */
export interface Unserializable<out Reason> {
  readonly [reason]: Reason
}

export type Primitive = string | number | boolean | bigint | null | undefined
/** Where there is no global URL, one more Date. */
type WebUrl = typeof globalThis extends { URL: { prototype: infer U } } ? U : Date
/** Built-ins that are copied whole, as nothing inside falls under a rule of its own. */
type IndivisibleBuiltIn = Date | RegExp | WebUrl | ArrayBuffer
export type CopiedLeaf =
  | IndivisibleBuiltIn
  | ArrayBufferView
  | Error
  | RegisteredClass
  | Unserializable<unknown>

/** Built-ins that travel by value, though a subclass does not: one is known by the members it adds. */
type CopiedBuiltIn = IndivisibleBuiltIn | ReadonlyMap<Any, Any> | ReadonlySet<Any> | readonly unknown[]
type CopiedBuiltInKey =
  | (keyof Date | keyof RegExp | keyof WebUrl | keyof ArrayBuffer)
  | (keyof Map<Any, Any> | keyof Set<Any> | keyof Any[] | `${number}`)

/** A Map would pass for a WeakMap but for its size. */
export type NeverSerializable =
  | symbol
  | ((WeakMap<Any, Any> | WeakSet<Any> | WeakRef<Any>) & { readonly size?: never })

export type IsUnserializable<T> =
  IsAny<T> extends true ? false : [T] extends [never] ? false : [T] extends [NeverSerializable] ? true : false

/** Whatever has behaviour. One method is enough, as types do not tell an instance from a plain object. */
export type IsPassedByReference<T> = T extends AnyFunction | AnyClass
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
/** Not so a netref, which is data although it may be called. */
export type IsMethod<V> =
  IsAny<V> extends true ? never : V extends NetrefBrand<Any> ? never : V extends AnyFunction ? true : never

/** An array, not a tuple. */
export type IsList<T> = T extends readonly unknown[] ? (ListItem<T>[] extends T ? true : false) : false
export type ListItem<T> = T extends readonly (infer E)[] ? E : never

/** Functions and classes stay home, but not those of others, which are netrefs here, too. */
export type DataKey<V, K> =
  IsAny<V> extends true
    ? K
    : NonNullable<V> extends NetrefBrand<Any>
      ? K
      : NonNullable<V> extends AnyFunction | AnyClass
        ? never
        : K

/* ---- Streams, iterators, promises, signals ---- */

/**
 * The types of what has a flow of its own: promises, iterators, streams, abort signals. They are told by their
 * members, as not every `lib` knows the classes. Nothing here exists at run time.
 */

export type IsAny<T> = 0 extends 1 & T ? true : false

/** What arrives as the same kind of thing. */
export type StreamLike = PromiseLike<Any> | IteratorLike | WebStreamLike | NodeStream
export type IsStream<T> = T extends StreamLike ? true : IsPlainIterable<T>

/* ---- Iterators ---- */

/** A `next` alone makes no iterator: what is written as `Iterator<T>` or `AsyncIterator<T>` may be a plain object. */
type IteratorLike = { next(...args: Any): Any } & (SyncIterableLike | AsyncIterableLike)
type SyncIterableLike = { [Symbol.iterator](): Any }
type AsyncIterableLike = { [Symbol.asyncIterator](): Any }
/** What is written as `Iterable<T>` or `AsyncIterable<T>`, and nothing more: it may be anything that can be walked. */
type IsPlainIterable<T> = [T] extends [SyncIterableLike | AsyncIterableLike]
  ? [keyof T] extends [typeof Symbol.iterator | typeof Symbol.asyncIterator]
    ? true
    : false
  : false

/** What walking a T yields, before it travels; never for what cannot be walked. */
type YieldedBy<T> = T extends { [Symbol.asyncIterator](): AsyncIterator<infer Y, Any, Any> }
  ? Y
  : T extends { [Symbol.iterator](): Iterator<infer Y, Any, Any> }
    ? Awaited<Y>
    : never

/** `for await` walks what is an iterator or iterable at home; whether it may is for its home to say. */
export type DeferredIterator<T> =
  IsAny<T> extends true
    ? unknown
    : T extends string
      ? unknown
      : T extends SyncIterableLike | AsyncIterableLike
        ? { [Symbol.asyncIterator](): AsyncIterableIterator<Received<YieldedBy<T>>> }
        : unknown
type IteratedItem<T> =
  T extends Iterator<infer Y, Any, Any> ? Awaited<Y> : T extends AsyncIterator<infer Y, Any, Any> ? Y : never

/** An iterator as it arrives: every step of it is waited for. */
type ReceivedIterator<T> =
  T extends Iterator<infer Y, infer R, infer N>
    ? AsyncGenerator<Received<Awaited<Y>>, Received<R>, N>
    : T extends AsyncIterator<infer Y, infer R, infer N>
      ? AsyncGenerator<Received<Y>, Received<R>, N>
      : never

/* ---- Streams and signals ---- */

type WebReadableLike = { readonly locked: boolean; getReader(...args: Any): Any }
type WebWritableLike = { readonly locked: boolean; getWriter(): Any }
type WebTransformLike = { readonly readable: WebReadableLike; readonly writable: WebWritableLike }
/** A class of the web's. It is told by this alone: to compare with the classes takes the compiler minutes. */
type WebClass = { readonly [Symbol.toStringTag]: string }

type WebStreamLike = WebReadableLike | WebWritableLike | WebTransformLike | SignalLike
/** The classes, and the interfaces `NodeJS.ReadableStream` and `NodeJS.WritableStream`. */
type NodeReadable = { readable: boolean; isPaused(): boolean; pipe(...args: Any): Any }
type NodeWritable = {
  writable: boolean
  write(...args: Any): Any
  end(...args: Any): Any
  removeListener(...args: Any): Any
}
type TerminalInput = NodeReadable & { setRawMode(mode: boolean): Any }
type TerminalOutput = NodeWritable & { getWindowSize(): Any }
type NodeStream = NodeReadable | NodeWritable

/* ---- On either side ---- */

/** What stands on the other side for what has a flow here. */
export type ReceivedStream<T> =
  T extends PromiseLike<infer V>
    ? Promise<Received<Awaited<V>>>
    : T extends WebTransformLike
      ? ReceivedTransform<T>
      : T extends WebStreamLike
        ? T
        : T extends NodeStream
          ? ReceivedNodeStream<T>
          : T extends { next(...args: Any): Any }
            ? ReceivedIterator<T>
            : T extends AsyncIterableLike
              ? AsyncIterable<Received<YieldedBy<T>>>
              : Iterable<Received<YieldedBy<T>>> | AsyncIterable<Received<YieldedBy<T>>>

/** What a plain object has beside the two arrives by its own rules; methods are those of a class, and stay home. */
type ReceivedTransform<T extends WebTransformLike> = [keyof T] extends [keyof WebTransformLike]
  ? T
  : T extends WebClass
    ? Pick<T, keyof WebTransformLike>
    : { readonly [K in keyof T as T[K] extends AnyFunction ? never : K]: Received<T[K]> }

type ReceivedNodeStream<T> = T extends TerminalInput
  ? Web<'ReadableStream'>
  : T extends TerminalOutput
    ? Web<'WritableStream'>
    : T extends NodeReadable & NodeWritable
      ? Web<'TransformStream'>
      : T extends NodeReadable
        ? Web<'ReadableStream'>
        : Web<'WritableStream'>

/** What may be passed where home takes something with a flow. */
export type SendableStream<T> =
  T extends PromiseLike<infer V>
    ? PromiseLike<Sendable<Awaited<V>>>
    : T extends WebReadableLike
      ? T | NodeReadable
      : T extends WebWritableLike
        ? T | NodeWritable
        : T extends WebTransformLike
          ? T | (NodeReadable & NodeWritable)
          : T extends SignalLike | NodeStream
            ? T
            : T extends { next(...args: Any): Any }
              ? SendableIterator<IteratedItem<T>>
              : T extends AsyncIterableLike
                ? AsyncIterable<Sendable<YieldedBy<T>>> | IterableIterator<Sendable<YieldedBy<T>>>
                : SendableIterable<YieldedBy<T>>
/** An iterator of either kind: both arrive as one that is waited for. Without a way to be walked it is a plain object. */
type SendableIterator<Y> = AsyncIterableIterator<Sendable<Y>> | IterableIterator<Sendable<Y>>
/** What is walked at once at home has to be there as a whole: an iterator would have to be waited for. */
type SendableIterable<Y> =
  | readonly Sendable<Y>[]
  | ReadonlySet<Sendable<Y>>
  | (Y extends readonly [infer K, infer V] ? ReadonlyMap<Sendable<K>, Sendable<V>> : never)
