// Interfaces of the codec: what it needs of references, and the payload it makes.

import type { Limits } from '../protocol/limits.js'

/** The keys that lead from the whole value to a place in it. */
export type JsonPath = readonly (string | number)[]

/** The tag of an object, a function, one of the receiver's own, or a stream. */
export type ReferenceTag = 'o' | 'f' | 'h' | StreamTag
/** The tag of an answer of the receiver, by the number of the sender's call: its value takes the place. */
export const ANSWER_TAG = 'n'

/** What the encoder needs of a session. */
export interface ReferenceEncoder {
  /**
   * Encodes a reference to an object or function.
   *
   * @param self the object whose member function it is
   * @param lent whether `Netref.lend` has lent it: the peer must release it when the call has ended
   */
  encodeReference(object: object, self: object | undefined, lent: boolean): EncodedReference
  /**
   * Encodes a reference to a stream; `callerOwned` says that it stays the caller's if it is not sent. Undefined in a program
   * without streams.
   */
  encodeStream(object: object, tag: StreamTag, callerOwned: boolean): EncodedReference | undefined
  /**
   * Encodes a path or a pending result for the session that it comes from. While it is pending, that is the name of an
   * answer that the receiver has or will have. Once it has settled here, that is its value. Undefined if it is sent as a
   * promise.
   *
   * @throws FailedAnswer if it has failed here
   */
  encodeAnswer(pending: object): EncodedReference | { readonly value: unknown } | undefined
  /**
   * Rolls back the encoding of a reference that is not sent.
   *
   * @returns the stream it refers to, if no other reference to that stream is left
   */
  rollback(reference: EncodedReference): object | undefined
  /** Disposes of a value that is not sent. */
  dispose(value: unknown): void
  /** The limits of the peer, and whether errors are encoded with their stacks. */
  readonly encodeLimits: Pick<Limits, 'depth' | 'jsonBytes' | 'values'> & { readonly exposeStacks: boolean }
  /** Whether an object is a released netref. */
  isReleased(object: object): boolean
}

/** The encoder, as the codec of errors sees it. */
export interface DataEncoder {
  readonly references: ReferenceEncoder
  /** Encodes what `read` returns, at `path` below the present path. Undefined, without a trace, if it is not data only. */
  encodeDataOnly(path: JsonPath, read: () => unknown, depth: number): { encoded: unknown } | undefined
}

/** An encoded value. */
export interface Payload {
  /** The JSON of the value, followed by that of its annotations, if it has any: `json,[annotation, …]`. */
  readonly json: string
  readonly hasAnnotations: boolean
  /** The byte ranges that are sent beside the JSON. */
  readonly bytes: readonly Uint8Array[]
  readonly references: readonly EncodedReference[]
  /** Whether the value stays the caller's if it is not sent. */
  readonly callerOwned: boolean
}

export type EncodedReference = readonly [tag: ReferenceTag | typeof ANSWER_TAG, data: unknown]

/** The tag of an iterator, a readable or writable stream, a promise or an abort signal. */
export type StreamTag = 'i' | 'r' | 'w' | 'p' | 'a'

/** What the decoder needs of a session. */
export interface ReferenceDecoder {
  /**
   * The object a reference stands for: a netref for 'o' and 'f', the original for 'h'.
   *
   * @param firstKey the first key of the path to the reference
   * @throws CallRejection if it was released, ProtocolError if it was never sent
   */
  decodeReference(tag: ReferenceTag, data: unknown, firstKey?: unknown): unknown
  /** Gives back a reference without decoding it. @throws ProtocolError for data that is not a reference */
  discardReference(tag: ReferenceTag, data: unknown): void
  /** Gives back the references that were decoded from the present message. */
  discardReceived(): void
  /** Counts decoded values, because decoding them takes time. */
  valuesDecoded(count: number): void
  readonly limits: Pick<Limits, 'values' | 'bigintDigits' | 'regExpLength'>
}

/** Whether a value is an array of the JSON itself. One that was revived into the JSON may be an object of this side. */
export type IsRawArray = (value: unknown) => value is unknown[]
