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
import type { Flow, Flowable, Flowing, HasFlow, IsAny, Walk } from './flow-types.js'
import type {
  Any,
  AnyClass,
  AnyFunction,
  CannotBeSent,
  IsData,
  IsList,
  Item,
  Leaf,
  Primitive,
  Refused,
  StaysHome,
  Unsendable
} from './kinds.js'

declare const stand: unique symbol
declare const home: unique symbol
declare const exposed: unique symbol
declare const untold: unique symbol

/* ---- What stands for a remote object. Its peer, who does not have the object, sees these. ---- */

/** Every netref, path and pending result is one: something that stands for a T at home. */
export interface Reach<out T> {
  readonly [stand]: T
}

/**
 * A netref, its members left out. Only netrefs have this brand; paths and pending results, which must be awaited
 * before they are sent, do not. Parameters ask for this and not for `Netref<T>`: a second call signature, beside
 * that of the local function, would leave an arrow function's parameters without types.
 */
export interface Reference<out T> extends Reach<T>, Releasable {
  readonly [home]: T
}

/** What `expose()` says of a T: it goes by reference, whatever it is. Home uses it as the T it is. */
export interface Exposed<out T> {
  readonly [exposed]: T
}

/** `using ref = …` releases it, like `Netref.release(ref)`. Empty where `lib` knows no `Symbol.dispose`. */
type Releasable = SymbolConstructor extends { readonly dispose: infer Dispose extends PropertyKey }
  ? { [K in Dispose]: () => void }
  : object

/** A proxy for a T whose home is the other side. Not thenable; all it shows are T's members. */
export type Netref<T> = Reference<T> & Remote<T, 'then' | 'toJSON' | OfFunctions<T>> & Walk<T>
/** A netref that can be called has these itself. */
type OfFunctions<T> = T extends AnyFunction | AnyClass ? 'apply' | 'bind' | 'call' : never

/** The result of a call: a promise and a path in one, so that it can be used before it is there. */
export type Pending<T> = Promise<Unboxed<Awaited<T>>> &
  Reach<Target<Awaited<T>>> &
  Beyond<Unboxed<Awaited<T>>, 'then' | 'catch' | 'finally' | 'toJSON'> &
  Walk<Awaited<T>>

/** A member named but not touched yet: awaiting it reads it, calling it calls it. */
export type Path<T> = PromiseLike<Unboxed<Awaited<T>>> &
  Reach<Target<Awaited<T>>> &
  Beyond<Unboxed<Awaited<T>>, 'then' | 'toJSON'> &
  Walk<Awaited<T>>

/** The T behind a netref, path, pending result, or what was exposed; any other type is itself. */
export type Target<N> = N extends Reach<infer T> | Exposed<infer T> ? T : N

/* ---- What home shows to the peer ---- */

/** T's members by the names the peer uses: those with the prefix, without it; if there are none, the public ones. */
type Face<T> = [keyof Prefixed<T>] extends [never]
  ? { [K in keyof T as K extends NeverExposed | symbol | `_${string}` ? never : K]: T[K] }
  : Prefixed<T>
type Prefixed<T> = {
  [K in keyof T as K extends `exposed_${infer Name}` ? Exclude<Name, NeverExposed> : never]: T[K]
}
/** The ways to the class, and the hooks of a service. */
type NeverExposed = '__proto__' | 'constructor' | 'prototype' | 'onConnect' | 'onDisconnect'

/** The names that `Netref.get(ref, name)` and its kin know for a T; `then` too, which a path cannot say. */
export type Key<T> = unknown extends T ? PropertyKey : keyof Face<T>
/** What has such a name, as home sees it: reading gives a `Path<Member<T, K>>`, writing takes a `Sendable` of it. */
export type Member<T, K extends Key<T>> = unknown extends T
  ? Any
  : K extends keyof Face<T>
    ? Face<T>[K]
    : never

/** What can be done with a T at home, except by the names that are the proxy's `Own`. */
type Remote<T, Own> =
  IsAny<T> extends true
    ? Untyped
    : Callable<T, Own> & Newable<T, Own> & { readonly [K in keyof Face<T> as Exclude<K, Own>]: Shown<T, K> }
type Shown<T, K extends keyof Face<T>> = [T] extends [readonly unknown[]]
  ? ArrayStep<Face<T>[K], K>
  : Step<Face<T>[K]>
type Untyped = (new (
  ...args: Any[]
) => Pending<Any>) &
  ((...args: Any[]) => Pending<Any>) & { readonly [name: string]: Any }

/**
 * What lies past a thing that arrives as U: past a netref, all of the above; past a copy, what home lets a path
 * walk: the own members of an object or array, and none of a Date, a Map or a string. Past a union, what all of
 * it has, so nothing past what may be undefined: await that first.
 */
type Beyond<U, Own> =
  IsAny<U> extends true
    ? Untyped
    : [U] extends [Reference<infer T>]
      ? Remote<T, Own>
      : [U] extends [readonly unknown[]]
        ? { readonly [K in keyof U as K extends number | `${number}` | 'length' ? K : never]: Step<U[K]> }
        : [U] extends [Leaf | Flow | ReadonlyMap<Any, Any> | ReadonlySet<Any>]
          ? unknown
          : [U] extends [object]
            ? { readonly [K in keyof U as Exclude<K, Own | symbol>]: Step<U[K]> }
            : unknown

/**
 * The methods of arrays that look at once at what their callback answers: of one that is not here they would see a
 * pending answer, which counts as true. Sorting without a callback is as ever.
 */
type ArrayStep<M, K> = K extends AnswerAtOnce
  ? CannotBeSent<'a callback that is to answer at once: use a copy, await Netref.obtain(it)'>
  : K extends 'sort' | 'toSorted'
    ? M extends (...args: Any) => infer R
      ? Step<() => R>
      : never
    : Step<M>
type AnswerAtOnce =
  | ('every' | 'some' | 'filter' | 'find' | 'findIndex' | 'findLast' | 'findLastIndex')
  | ('map' | 'flatMap' | 'reduce' | 'reduceRight')

/**
 * One member further. A member that may be missing, or null, is so here, too: types do not tell a netref, which has a
 * path for each name, from a copy, where `?.` has to look.
 */
type Step<T> = unknown extends T
  ? Path<T>
  : [NonNullable<T>] extends [never]
    ? Path<T>
    : There<NonNullable<T>> | Extract<T, null | undefined>
/** A path, unless nothing could ever come of it. */
type There<T> = Refused<Outcome<T>> extends true ? CannotBeSent<Outcome<T>> : Path<T>
type Outcome<T> = T extends (...args: Any) => infer R ? Awaited<R> : Awaited<T>

/**
 * Up to four overloads: `infer` repeats the first where there are fewer, and an intersection drops repeated
 * signatures. `infer` sees constraints in place of type parameters.
 */
type Callable<T, Own> = [T] extends [
  {
    (...args: infer A1): infer R1
    (...args: infer A2): infer R2
    (...args: infer A3): infer R3
    (...args: infer A4): infer R4
  }
]
  ? Generic<
      T,
      ((...args: A1) => R1) & ((...args: A2) => R2) & ((...args: A3) => R3) & ((...args: A4) => R4),
      R1 | R2 | R3 | R4
    > &
      Call<A1, R1> &
      Call<A2, R2> &
      Call<A3, R3> &
      Call<A4, R4> &
      NoFunctionNames<T, Own>
  : unknown
type Call<A extends readonly unknown[], R> = (...args: SendableAll<A>) => Pending<R>

/**
 * The signature of a generic function whose answer depends on a type parameter: `infer` does not see it again, and
 * there is no way to change it. So it is kept where nothing about it has to be changed: it answers a promise of what
 * arrives as it is.
 */
type Generic<F, Inferred, R> = [(is: F) => void] extends [(is: Inferred) => void]
  ? unknown
  : [keyof F, R] extends [never, PromiseLike<infer V>]
    ? [Unboxed<V>] extends [V]
      ? F
      : unknown
    : unknown

/** What a class makes is an instance, so a reference even if it has no methods. */
type Newable<T, Own> = [T] extends [new (...args: infer A) => infer I]
  ? (new (...args: SendableAll<A>) => Pending<I extends Leaf ? I : Reference<I>>) & NoFunctionNames<T, Own>
  : unknown

/** To TypeScript whatever can be called has a `name`, `length`, `bind`…; these would be remote, and are refused. */
type NoFunctionNames<T, Own> = {
  readonly [K in Exclude<keyof CallableFunction, keyof Face<T> | Own | symbol | 'toString'>]: unknown
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
      ? UnboxedData<T>
      : [StaysHome<T>, keyof Prefixed<T>] extends [false, never]
        ? UnboxedData<T>
        : { -readonly [K in keyof Face<T> as IsData<Face<T>[K], K>]: Unboxed<Face<T>[K]> }

/**
 * What the receiver holds when home's T has arrived, as a result or as a callback's argument: netrefs to what has
 * behaviour, and copies of the rest, the receiver's own, so nothing in them is readonly. A netref that comes home
 * is the original, but which one it is no type can know: it stays a `Netref`.
 */
export type Unboxed<T> =
  IsAny<T> extends true
    ? T
    : T extends Primitive
      ? T
      : T extends Reference<infer X> | Exposed<infer X>
        ? Netref<X>
        : T extends Unsendable
          ? CannotBeSent<T>
          : HasFlow<T> extends true
            ? Flowing<T>
            : StaysHome<T> extends true
              ? Netref<T>
              : UnboxedData<T>
/** Lists have a line of their own, as only arrays named by `[]` may be recursive. */
type UnboxedData<T> = T extends Leaf
  ? T
  : T extends ReadonlyMap<infer K, infer V>
    ? Map<Unboxed<K>, Unboxed<V>>
    : T extends ReadonlySet<infer V>
      ? Set<Unboxed<V>>
      : IsList<T> extends true
        ? Unboxed<Item<T>>[]
        : T extends object
          ? { -readonly [K in keyof T]: Unboxed<T[K]> }
          : T
type UnboxedAll<A extends readonly unknown[]> = { [I in keyof A]: Unboxed<A[I]> }

/**
 * What the sender may pass where home takes a T: of data the like; for a `Netref<X>` an X of its own, or a netref
 * to one; and the same where home says X and overlooks that it gets a netref, since it travels all the same.
 */
export type Sendable<T> =
  IsAny<T> extends true
    ? T
    : T extends Primitive
      ? T
      : T extends Reference<infer X> | Exposed<infer X>
        ? Referable<X>
        : T extends Unsendable
          ? CannotBeSent<T>
          : HasFlow<T> extends true
            ? Flowable<T>
            : StaysHome<T> extends true
              ? Referable<T>
              : SendableData<T>
type SendableData<T> = T extends Leaf
  ? T
  : T extends ReadonlyMap<infer K, infer V>
    ? ReadonlyMap<Sendable<K>, Sendable<V>>
    : T extends ReadonlySet<infer V>
      ? ReadonlySet<Sendable<V>>
      : IsList<T> extends true
        ? readonly Sendable<Item<T>>[]
        : T extends object
          ? { readonly [K in keyof T]: Sendable<T[K]> }
          : T
type SendableAll<A extends readonly unknown[]> = { [I in keyof A]: Sendable<A[I]> }

/**
 * An X whose home is the sender, who therefore writes its type: as home does, as who shares a class with it will, or
 * each member in the sender's words; in this order, as errors tell of the last. A function alone is put in the sender's
 * words only, a class in home's.
 */
type Referable<X> =
  | ((unknown extends X
      ? object
      : X extends AnyFunction
        ? Callback<X>
        : X extends AnyClass
          ? X
          : Own<X> | Members<X>) &
      NotPending)
  | Reference<X>
type Members<X> = { readonly [K in keyof X]: Sendable<X[K]> }

/**
 * An X in home's words. The functions of a literal must not learn their parameters' types from these, but from
 * `Members` alone: beside a signature with other type parameters none is learnt from. Three objects deep, as one
 * of the DOM, say, goes on without end: further down parameters have to be given their types.
 */
type Own<X, Deeper extends readonly unknown[] = [1, 2, 3]> = unknown extends X
  ? X
  : X extends Primitive | Leaf | AnyClass
    ? X
    : X extends AnyFunction
      ? X & (<_ extends typeof untold>(...args: never[]) => unknown) & NotPending
      : Deeper extends readonly [unknown, ...infer Rest]
        ? { readonly [K in keyof X]: Own<X[K], Rest> }
        : X
interface NotPending {
  readonly then?: CannotBeSent<'a path or a pending result: await it first'>
}

/** The sender's function gets what arrives there, and may answer late, or anything where nothing is expected. */
type Callback<F> = F extends (...args: infer A) => infer R
  ? (...args: UnboxedAll<A>) => void extends Awaited<R> ? unknown : Answer<Sendable<Awaited<R>>>
  : F
type Answer<R> = R | PromiseLike<R>
