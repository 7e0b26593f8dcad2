/**
 * The types of what has a flow of its own: promises, iterators, streams, abort signals. They are told by their
 * members, as not every `lib` knows the classes. Nothing here exists at run time.
 */
import type { AnyFunction } from './kinds.js'
import type { Sendable, Unboxed } from './types.js'

// biome-ignore lint/suspicious/noExplicitAny: "whatever it yields" can only be matched with any
type Any = any
export type IsAny<T> = 0 extends 1 & T ? true : false

/** What arrives as the same kind of thing. */
export type Flow = PromiseLike<Any> | Stepping | WebFlow | NodeStream
export type HasFlow<T> = T extends Flow ? true : IsBare<T>

/* ---- Iterators ---- */

/** A `next` alone makes no iterator: what is written as `Iterator<T>` or `AsyncIterator<T>` may be a plain object. */
type Stepping = { next(...args: Any): Any } & (Walkable | WalkableLater)
type Walkable = { [Symbol.iterator](): Any }
type WalkableLater = { [Symbol.asyncIterator](): Any }
/** What is written as `Iterable<T>` or `AsyncIterable<T>`, and nothing more: it may be anything that can be walked. */
type IsBare<T> = [T] extends [Walkable | WalkableLater]
  ? [keyof T] extends [typeof Symbol.iterator | typeof Symbol.asyncIterator]
    ? true
    : false
  : false

/** What walking a T yields, before it travels; never for what cannot be walked. */
type Item<T> = T extends { [Symbol.asyncIterator](): AsyncIterator<infer Y, Any, Any> }
  ? Y
  : T extends { [Symbol.iterator](): Iterator<infer Y, Any, Any> }
    ? Awaited<Y>
    : never

/** `for await` walks what is an iterator or iterable at home; whether it may is for its home to say. */
export type Walk<T> =
  IsAny<T> extends true
    ? unknown
    : T extends string
      ? unknown
      : T extends Walkable | WalkableLater
        ? { [Symbol.asyncIterator](): AsyncIterableIterator<Unboxed<Item<T>>> }
        : unknown
type Stepped<T> =
  T extends Iterator<infer Y, Any, Any> ? Awaited<Y> : T extends AsyncIterator<infer Y, Any, Any> ? Y : never

/** An iterator as it arrives: every step of it is waited for. */
type ArrivedSteps<T> =
  T extends Iterator<infer Y, infer R, infer N>
    ? AsyncGenerator<Unboxed<Awaited<Y>>, Unboxed<R>, N>
    : T extends AsyncIterator<infer Y, infer R, infer N>
      ? AsyncGenerator<Unboxed<Y>, Unboxed<R>, N>
      : never

/* ---- Streams and signals ---- */

type WebReadable = { readonly locked: boolean; getReader(...args: Any): Any }
type WebWritable = { readonly locked: boolean; getWriter(): Any }
type WebPair = { readonly readable: WebReadable; readonly writable: WebWritable }
/** A class of the web's. It is told by this alone: to compare with the classes takes the compiler minutes. */
type OfTheWeb = { readonly [Symbol.toStringTag]: string }
type SignalLike = { readonly aborted: boolean; throwIfAborted(): void }
type WebFlow = WebReadable | WebWritable | WebPair | SignalLike
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
/** What a class of the web's makes, where there is that class. */
export type Web<Name extends string> = typeof globalThis extends { [K in Name]: { prototype: infer S } }
  ? S
  : never

/** An AbortSignal, where there is that class. */
export type Signal = typeof globalThis extends { AbortSignal: { prototype: infer S } } ? S : SignalLike

/* ---- On either side ---- */

/** What stands on the other side for what has a flow here. */
export type Flowing<T> =
  T extends PromiseLike<infer V>
    ? Promise<Unboxed<Awaited<V>>>
    : T extends WebPair
      ? ArrivedPair<T>
      : T extends WebFlow
        ? T
        : T extends NodeStream
          ? ArrivedNode<T>
          : T extends { next(...args: Any): Any }
            ? ArrivedSteps<T>
            : T extends WalkableLater
              ? AsyncIterable<Unboxed<Item<T>>>
              : Iterable<Unboxed<Item<T>>> | AsyncIterable<Unboxed<Item<T>>>

/** What a plain object has beside the two arrives by its own rules; methods are those of a class, and stay home. */
type ArrivedPair<T extends WebPair> = [keyof T] extends [keyof WebPair]
  ? T
  : T extends OfTheWeb
    ? Pick<T, keyof WebPair>
    : { readonly [K in keyof T as T[K] extends AnyFunction ? never : K]: Unboxed<T[K]> }

type ArrivedNode<T> = T extends TerminalInput
  ? Web<'ReadableStream'>
  : T extends TerminalOutput
    ? Web<'WritableStream'>
    : T extends NodeReadable & NodeWritable
      ? Web<'TransformStream'>
      : T extends NodeReadable
        ? Web<'ReadableStream'>
        : Web<'WritableStream'>

/** What may be passed where home takes something with a flow. */
export type Flowable<T> =
  T extends PromiseLike<infer V>
    ? PromiseLike<Sendable<Awaited<V>>>
    : T extends WebReadable
      ? T | NodeReadable
      : T extends WebWritable
        ? T | NodeWritable
        : T extends WebPair
          ? T | (NodeReadable & NodeWritable)
          : T extends SignalLike | NodeStream
            ? T
            : T extends { next(...args: Any): Any }
              ? SendableSteps<Stepped<T>>
              : T extends WalkableLater
                ? AsyncIterable<Sendable<Item<T>>> | IterableIterator<Sendable<Item<T>>>
                : SendableItems<Item<T>>
/** An iterator of either kind: both arrive as one that is waited for. Without a way to be walked it is a plain object. */
type SendableSteps<Y> = AsyncIterableIterator<Sendable<Y>> | IterableIterator<Sendable<Y>>
/** What is walked at once at home has to be there as a whole: an iterator would have to be waited for. */
type SendableItems<Y> =
  | readonly Sendable<Y>[]
  | ReadonlySet<Sendable<Y>>
  | (Y extends readonly [infer K, infer V] ? ReadonlyMap<Sendable<K>, Sendable<V>> : never)
