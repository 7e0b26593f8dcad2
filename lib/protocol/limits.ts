// The limits of a session and of a server, with their defaults.

/** Limits on what a peer may make this side hold or read. Each is a positive whole number unless its text says otherwise. */
export interface Limits {
  /**
   * Maximum length of the JSON of one frame, in characters.
   *
   * @default 4 MiB
   */
  readonly jsonBytes: number
  /**
   * Maximum size of one frame, its binary data included, in bytes.
   *
   * @default 16 MiB
   */
  readonly frameBytes: number
  /**
   * Maximum depth of a value, and maximum number of names in a path. A call beyond it rejects.
   *
   * @default 200
   */
  readonly depth: number
  /**
   * Maximum number of values that are not plain JSON in one call, result or item: references, Maps, bytes and so on.
   * Two Dates, `undefined` or numbers such as NaN count as one value, and so do two entries of a Map or two members of a
   * Set. The class, the name, the message and each field of an Error count as one value each. An iterator or a promise
   * counts as 2, a stream or a signal as 12.
   *
   * @default 10 000
   */
  readonly values: number
  /**
   * Maximum number of local objects that the peer may hold. A call that would add one rejects.
   *
   * @default 1 000 000
   */
  readonly exports: number
  /**
   * Maximum number of netrefs that the peer may make this side hold. A call that would add one rejects.
   *
   * @default 1 000 000
   */
  readonly imports: number
  /**
   * Maximum number of the peer's calls that are pending, or whose replies it has not acknowledged. One more rejects.
   *
   * @default 100 000
   */
  readonly pendingCalls: number
  /**
   * Maximum number of the peer's calls in a second. One more rejects. `Infinity` is allowed.
   *
   * @default Infinity
   */
  readonly callsPerSecond: number
  /**
   * Maximum number of bytes kept for the peer until it acknowledges them. A call to the peer beyond it rejects with a
   * `LimitError`. While more bytes of replies are unread, the peer's calls wait. Beyond twice the limit, replies are
   * refused.
   *
   * @default 16 MiB
   */
  readonly bufferedBytes: number
  /**
   * Maximum time in ms in which the peer reads and acknowledges nothing while too much is kept for it. Then the session
   * ends with `peer-not-reading`.
   *
   * @default 30 000
   */
  readonly pauseMs: number
  /**
   * Maximum number of digits of a received bigint. A call with more rejects.
   *
   * @default 10 000
   */
  readonly bigintDigits: number
  /**
   * Maximum number of characters of all RegExps in one call, result or item. A short RegExp may take hours on some
   * texts, as `/(a+)+$/` does. The default therefore accepts none. Raise it only for peers that you trust.
   *
   * @default 0
   */
  readonly regExpLength: number
  /**
   * Maximum number of sessions of a server, interrupted ones included. A further client is refused with HTTP 503. A
   * client with the address or the identity of an interrupted session may take its place.
   *
   * @default 10 000
   */
  readonly sessions: number
  /**
   * Maximum number of sessions of one address (of a /64 for IPv6; over NATS of one process). A further client is refused
   * with HTTP 503. If some of these sessions are interrupted, the oldest of them ends instead. `Infinity` is allowed.
   *
   * @default Infinity, but 64 clients for which `authenticate` has not decided
   */
  readonly sessionsPerAddress: number
  /**
   * Maximum time in ms for a client to send its hello, and for `authenticate` to decide.
   *
   * @default 10 000
   */
  readonly helloMs: number
  /**
   * Maximum number of bytes received from all clients before their hello, not counting 8 KiB of each. Beyond it, the
   * server reads from one of them at a time. Beyond twice the limit, it disconnects a client that sends.
   *
   * @default 32 MiB
   */
  readonly helloBytes: number
}

/** Maximum size of a frame in bytes, as `ws` measures it. A character of text may take three bytes. */
export const maxPayloadBytes = ({ jsonBytes, frameBytes }: Limits): number => frameBytes + 2 * jsonBytes

/** Multiple of `bufferedBytes` that may be kept for a peer that calls without reading, or whose calls wait. */
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

/**
 * By type tag. What takes longer to make than a reference counts as several values. What takes a fraction of its time and
 * memory counts as half a value.
 */
const VALUE_WEIGHTS = new Map<unknown, number>([
  ['Date', 0.5],
  ['undefined', 0.5],
  ['number', 0.5],
  ['i', 2],
  ['p', 2],
  ['r', 12],
  ['w', 12],
  ['a', 12]
])
/** How many values a tagged one counts as, for `limits.values`. */
export const valueWeight = (tag: unknown): number => VALUE_WEIGHTS.get(tag) ?? 1
