// What the codec knows of references, and what encoding gives.

import type { Limits } from '../protocol/limits.js'

/** A place in a value: what leads to it from the top. */
export type JsonPath = readonly (string | number)[]

export type ReferenceTag = 'o' | 'f' | 'h' | FlowKind

/** What boxing needs of the session it is for. */
export interface Giver {
  /**
   * The wire form of a reference to `object`; `self` is the object a member function belongs to. One that is lent comes
   * back when the call is over.
   */
  encodeReference(object: object, self: object | undefined, lent: boolean): EncodedReference
  /** The same for one with a flow of its own; `lent` is one that stays its owner's where it is not sent. */
  encodeStream(object: object, tag: FlowKind, lent: boolean): EncodedReference
  /**
   * Takes back one giving of a reference that was not sent after all. @returns what it is to, where that has a flow and is
   * given to nobody now
   */
  rollback(reference: EncodedReference): object | undefined
  /** Lets go of what was to be handed over and is not sent after all. */
  dispose(value: unknown): void
  /** What the peer takes at most, and whether stacks of errors go along. */
  readonly encodeLimits: Pick<Limits, 'depth' | 'jsonBytes' | 'values'> & { readonly exposeStacks: boolean }
  /** Whether the object is a netref that was released. */
  isReleased(object: object): boolean
}

/** A walk over a value, as the codec of errors sees it. */
export interface DataWalk {
  readonly references: Giver
  /** Encodes what `read` returns, at `place` below the present one. Undefined, without a trace, if it is not data alone. */
  encodeDataOnly(place: JsonPath, read: () => unknown, depth: number): { boxed: unknown } | undefined
}

/** A value ready to cross: its JSON with its groups, the bytes that go beside, and the references given in it. */
export interface Payload {
  readonly json: string
  /** Whether groups follow in `json`. */
  readonly hasAnnotations: boolean
  readonly bytes: readonly Uint8Array[]
  readonly references: readonly EncodedReference[]
  /** Whether it stays its owner's where it is not sent. */
  readonly lent: boolean
}

export type EncodedReference = readonly [kind: ReferenceTag, data: unknown]

/** References with a flow of their own: iterators, readable and writable streams, promises, abort signals. */
export type FlowKind = 'i' | 'r' | 'w' | 'p' | 'a'

/** What unboxing needs of the session it is for. */
export interface Taker {
  /**
   * The object a reference stands for: a netref for 'o' and 'f', the original for 'h'.
   *
   * @param firstKey the first step of the way to it
   * @throws Refusal when it was released, ProtocolError when it was never given.
   */
  decodeReference(tag: ReferenceTag, data: unknown, firstKey?: unknown): unknown
  /** Gives a reference back that nobody takes. @throws ProtocolError for what is none */
  discardReference(tag: ReferenceTag, data: unknown): void
  /** Gives back what was taken of the message that is being read. */
  discardReceived(): void
  /** So many values of a message were made: that takes a while. */
  valuesDecoded(values: number): void
  readonly limits: Pick<Limits, 'values' | 'bigintDigits' | 'regExpLength'>
}

/** Whether something is a list of the message itself, not one that was put into it: an object of this side, say. */
export type IsRaw = (value: unknown) => value is unknown[]
