// The closed union of messages, and how each is written. The first message of a side's first frame is its hello.
import type { RejectionCode } from '../errors.js'
import type { MemberPath } from './path.js'

/** Version of the protocol: both sides must speak the same. */
export const VERSION = 1

export const Op = {
  hello: 0,
  call: 1,
  get: 2,
  construct: 3,
  set: 4,
  has: 5,
  delete: 6,
  keys: 7,
  ping: 8,
  describe: 9,
  result: 10,
  error: 11,
  refused: 12,
  release: 13,
  oneway: 14,
  obtain: 15,
  iterate: 16,
  streamCall: 17,
  cancel: 18,
  pull: 19,
  items: 20,
  ended: 21,
  retry: 22,
  idempotent: 23,
  traced: 30
} as const

/**
 * Whose table a number means: in `target` and in references home the receiver's exports (0 is its root),
 * in references given the sender's. A negative target is the receiver's answer to the sender's call of that number.
 */
export type TargetId = number
/** `[kind, path, path, …]`: the values at these paths, one or more, are of that kind. */
export type Annotation = readonly [kind: TypeTag, ...paths: (readonly (string | number)[])[]]
export type TypeTag = string | readonly ['custom', string]
/** Arguments or a value in plain JSON, and which places in it stand for something else. */
export type Annotations = readonly Annotation[]

/** The limits a side tells in its hello, so that the other can refuse a call instead of losing the session. */
export interface PeerLimits {
  readonly jsonBytes: number
  readonly frameBytes: number
  readonly depth: number
  readonly values: number
}

export type Operation =
  | readonly [
      op: typeof Op.call | typeof Op.construct,
      id: number,
      target: TargetId,
      path: MemberPath,
      args: unknown[],
      groups?: Annotations
    ]
  | readonly [
      op:
        | typeof Op.get
        | typeof Op.has
        | typeof Op.delete
        | typeof Op.keys
        | typeof Op.describe
        | typeof Op.obtain
        | typeof Op.iterate,
      id: number,
      target: TargetId,
      path: MemberPath
    ]
  | readonly [
      op: typeof Op.set | typeof Op.streamCall,
      id: number,
      target: TargetId,
      path: MemberPath,
      value: unknown,
      groups?: Annotations
    ]
  | OneWayCall
/** A call without a number, for no answer comes of it. */
export type OneWayCall = readonly [
  op: typeof Op.oneway,
  none: 0,
  target: TargetId,
  path: MemberPath,
  args: unknown[],
  groups?: Annotations
]
export type OperationCode = Operation[0]

/** What is done to a target: all that is an Operation. */
export const OPERATIONS: ReadonlySet<unknown> = new Set([
  Op.call,
  Op.get,
  Op.construct,
  Op.set,
  Op.has,
  Op.delete,
  Op.keys,
  Op.describe,
  Op.oneway,
  Op.obtain,
  Op.iterate,
  Op.streamCall
])
/** What may be carried out again, if its home says so. */
export const RETRYABLE = new Set<unknown>([Op.call, Op.construct, Op.set, Op.delete])

/** An operation, after the span that it was made in. */
export type TracedOperation = readonly [op: typeof Op.traced, traceparent: string, ...operation: Operation]

/** The value, or the error, that a call ended with; without a value it is `undefined`. */
export type Reply = readonly [
  op: typeof Op.result | typeof Op.error,
  id: number,
  value?: unknown,
  groups?: Annotations
]

/** A server that would resume the session says with what token, and how long after a loss, in ms. */
export type Hello = readonly [
  op: typeof Op.hello,
  version: number,
  limits: PeerLimits,
  token?: string,
  resumeWindowMs?: number
]

/** An operation that may have been carried out before, in a session that was lost. */
export type RetriedOperation = readonly [op: typeof Op.retry, ...operation: Operation]

/** A call or construction from the root that is to run once, whoever of its maker's sessions makes it. */
export type IdempotentOperation = readonly [
  op: typeof Op.idempotent,
  key: string,
  ...operation: Operation | RetriedOperation | TracedOperation
]

export type Message =
  | Hello
  | Operation
  | RetriedOperation
  | TracedOperation
  | IdempotentOperation
  | readonly [op: typeof Op.ping, id: number]
  | Reply
  | readonly [op: typeof Op.refused, id: number, code: RejectionCode, text: string]
  | readonly [op: typeof Op.release, ...idsAndReceipts: number[]]
  | Cancel
  | StreamMessage
/** The call is not waited for any more: its caller's signal aborted, for that reason, or its time is over. */
export type Cancel = readonly [op: typeof Op.cancel, id: number, reason?: unknown, groups?: Annotations]
/** What crosses for a reference with a flow of its own. */
export type StreamMessage =
  /**
   * So many items of the receiver's iterator are consumed. With `window` so many that are not may be sent from now on;
   * where none are consumed, reading begins anew.
   */
  | readonly [op: typeof Op.pull, id: number, read: number, window?: number]
  /** The next items of the sender's iterator; with `ask` a `pull` is due when the last of them has been read. */
  | readonly [op: typeof Op.items, id: number, ask: 0 | 1, items: unknown[], groups?: Annotations]
  /**
   * How the sender's iterator ended, its promise settled (`ok`: 1 well, 0 with an error), or its signal aborted (0); or
   * that nobody can abort that any more (1).
   */
  | readonly [op: typeof Op.ended, id: number, ok: 0 | 1, value?: unknown, groups?: Annotations]

/** What each side has to take, in bytes: no hello may say less. */
export const MIN_FRAME_BYTES = 4096
/** How much a refusal says, in characters: it fits into the least frame, however they are escaped. */
const MAX_REJECTION_CHARACTERS = 600

/** A name that is its own JSON between quotes. */
const PLAIN_NAME = /^[\w$]+$/

/** A message as it crosses, already JSON. `payload` is what the codec made of the arguments or the value. */
export function formatOperation(
  op: OperationCode,
  id: number,
  target: TargetId,
  path: MemberPath,
  payload?: string
): string {
  const name = typeof path === 'string' && PLAIN_NAME.test(path) ? `"${path}"` : JSON.stringify(path)
  const head = `[${op},${id},${target},${name}`
  return payload === undefined ? `${head}]` : `${head},${payload}]`
}

/** An operation, already formatted, with the span that it is made in. */
export const formatTraced = (traceparent: string, operation: string): string =>
  `[${Op.traced},"${traceparent}",${operation.slice(1)}`

export const formatRetry = (operation: string): string => `[${Op.retry},${operation.slice(1)}`

/** An operation, already formatted, with its key. */
export const formatIdempotent = (key: string, operation: string): string =>
  `[${Op.idempotent},${JSON.stringify(key)},${operation.slice(1)}`

export const formatHello = (
  { jsonBytes, frameBytes, depth, values }: PeerLimits,
  { token, resumeWindowMs }: { readonly token?: string | undefined; readonly resumeWindowMs?: number } = {}
): string => {
  const head = `[${Op.hello},${VERSION},{"jsonBytes":${jsonBytes},"frameBytes":${frameBytes},"depth":${depth},"values":${values}}`
  return token === undefined ? `${head}]` : `${head},"${token}",${resumeWindowMs}]`
}
export const formatPing = (id: number): string => `[${Op.ping},${id}]`
export const formatRelease = (idsAndCounts: readonly number[]): string =>
  `[${Op.release},${idsAndCounts.join(',')}]`
export const formatRejection = (id: number, code: RejectionCode, text: string): string =>
  JSON.stringify([Op.refused, id, code, text.slice(0, MAX_REJECTION_CHARACTERS)])

export const formatCancel = (id: number, reason?: string): string =>
  reason === undefined ? `[${Op.cancel},${id}]` : `[${Op.cancel},${id},${reason}]`
export const formatPull = (id: number, read: number, window?: number): string =>
  window === undefined ? `[${Op.pull},${id},${read}]` : `[${Op.pull},${id},${read},${window}]`
/** `items` is JSON: a list, with its groups. */
export const formatItems = (id: number, ask: boolean, items: string): string =>
  `[${Op.items},${id},${ask ? 1 : 0},${items}]`
export const formatEnded = (id: number, ok: boolean, payload?: string): string =>
  payload === undefined ? `[${Op.ended},${id},${ok ? 1 : 0}]` : `[${Op.ended},${id},${ok ? 1 : 0},${payload}]`

/** A reply; without a payload it is `undefined`. */
export function formatReply(op: typeof Op.result | typeof Op.error, id: number, payload?: string): string {
  return payload === undefined ? `[${op},${id}]` : `[${op},${id},${payload}]`
}

/** What a message may have, so that a short text is not a lot of work. */
export const MOST_TABLES = 1024
