// Limits on what a peer may make this side hold or read.

/** What a peer may make this side hold or read. */
export interface Limits {
  /**
   * The JSON of one frame, in characters.
   *
   * @default 4 MiB
   */
  readonly jsonBytes: number
  /**
   * One frame with the bytes that go beside the JSON, in bytes.
   *
   * @default 16 MiB
   */
  readonly frameBytes: number
  /**
   * How deep a value may be nested, and how many names a path may have. A call with a longer path rejects.
   *
   * @default 200
   */
  readonly depth: number
  /**
   * How many values of one call, result or item may not be plain JSON: references, Dates, Maps and so on. Two entries of
   * a Map, or members of a Set, are one more; and so is each of the class, the name, the message and the fields of an
   * Error. An iterator or a promise counts as 2, a stream or a signal as 12.
   *
   * @default 10 000
   */
  readonly values: number
  /**
   * Own objects that the peer may hold. A call that would make one more rejects.
   *
   * @default 1 000 000
   */
  readonly exports: number
  /**
   * Netrefs that the peer may make this side hold. A call that would bring one more rejects.
   *
   * @default 1 000 000
   */
  readonly imports: number
  /**
   * Calls of the peer that are under way or whose answers it has not counted. One more rejects.
   *
   * @default 100 000
   */
  readonly pendingCalls: number
  /**
   * Calls of the peer in a second. One more rejects.
   *
   * @default Infinity
   */
  readonly callsPerSecond: number
  /**
   * Bytes that are kept for the peer until it acknowledges them. A call to it that would add more rejects with a
   * `LimitError`. While it has more replies than that to read, its calls wait; at twice as much, late replies are refused.
   *
   * @default 16 MiB
   */
  readonly bufferedBytes: number
  /**
   * How long the peer may go without reading or acknowledging anything while too much is kept for it, in ms.
   *
   * @default 30 000
   */
  readonly pauseMs: number
  /**
   * Digits of a bigint that arrives. A call that brings more rejects.
   *
   * @default 10 000
   */
  readonly bigintDigits: number
  /**
   * Characters of all RegExps that one call, result or item may bring. More reject it. However short, a RegExp may take
   * hours on the text that it is used on, as `/(a+)+$/` does: none is taken until this is raised, for peers that are trusted.
   *
   * @default 0
   */
  readonly regExpLength: number
  /**
   * Sessions a server has at a time, those that wait for their client among them. One more client is refused, with HTTP
   * 503; but one with the address or the identity of a session that waits may have its place.
   *
   * @default 10 000
   */
  readonly sessions: number
  /**
   * Sessions of one address (of a /64, if it is IPv6) that a server has at a time. One more client is refused, with HTTP
   * 503; and where some of them wait for their client, the oldest of these ends for a new one.
   *
   * @default Infinity, but 64 clients for which `authenticate` has not decided
   */
  readonly sessionsPerAddress: number
  /**
   * How long a client of a server may take to say hello, in ms: and `authenticate`, to decide.
   *
   * @default 10 000
   */
  readonly helloMs: number
  /**
   * Bytes of all clients of a server that have not said hello, beyond 8 KiB of each. While there are more, they are read
   * from one after the other; who sends when there are twice as many is cut off.
   *
   * @default 32 MiB
   */
  readonly helloBytes: number
}

/** The size of a message as it is measured by `ws`: text may take three bytes for what is one character. */
export const maxPayloadBytes = ({ jsonBytes, frameBytes }: Limits): number => frameBytes + 2 * jsonBytes

/** How often `bufferedBytes` may be kept for a peer that calls and does not read, or whose calls wait. */
export const MAX_BUFFERED_FACTOR = 2

export const DEFAULT_LIMITS = {
  jsonBytes: 4 << 20,
  frameBytes: 16 << 20,
  depth: 200,
  values: 10_000,
  exports: 1_000_000,
  imports: 1_000_000,
  pendingCalls: 100_000,
  callsPerSecond: Number.POSITIVE_INFINITY,
  bufferedBytes: 16 << 20,
  pauseMs: 30_000,
  bigintDigits: 10_000,
  regExpLength: 0,
  sessions: 10_000,
  sessionsPerAddress: Number.POSITIVE_INFINITY,
  helloMs: 10_000,
  helloBytes: 32 << 20
} satisfies Limits
