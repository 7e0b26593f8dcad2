// The messages of the protocol, and their formatters. The first message of each side is its hello.
import type { RejectionCode } from '../errors.js'
import type { MemberPath } from './path.js'

/** Protocol version: both sides must have the same. */
export const VERSION = 1

/** What a message asks to be done to a target. */
export interface OperationInfo {
  readonly code: number
  /** Whether the message has arguments, one value, or neither. */
  readonly operand: 'args' | 'value' | 'none'
  /** Whether the operation may run again in the session that replaces a lost one. */
  readonly retry: 'always' | 'if idempotent' | 'never'
  /** The operation as its caller writes it. */
  label(target: string, operand: string): string
}

const targetAlone = (target: string): string => target
const helperLabel =
  (name: string) =>
  (target: string): string =>
    `Netref.${name}(${target})`

/** All operations. A new one is an entry here, and a case in `access/operations.ts`. */
export const OPERATIONS = {
  call: { code: 1, operand: 'args', retry: 'if idempotent', label: (target, args) => `${target}(${args})` },
  get: { code: 2, operand: 'none', retry: 'always', label: targetAlone },
  construct: {
    code: 3,
    operand: 'args',
    retry: 'if idempotent',
    label: (target, args) => `new ${target}(${args})`
  },
  set: {
    code: 4,
    operand: 'value',
    retry: 'if idempotent',
    label: (target, value) => `Netref.set(${target}, ${value})`
  },
  has: { code: 5, operand: 'none', retry: 'always', label: helperLabel('has') },
  delete: { code: 6, operand: 'none', retry: 'if idempotent', label: helperLabel('delete') },
  keys: { code: 7, operand: 'none', retry: 'always', label: helperLabel('keys') },
  describe: { code: 9, operand: 'none', retry: 'never', label: helperLabel('describe') },
  oneway: {
    code: 14,
    operand: 'args',
    retry: 'never',
    label: (target, args) => `Netref.oneway(${target})(${args})`
  },
  obtain: { code: 15, operand: 'none', retry: 'always', label: helperLabel('obtain') },
  iterate: { code: 16, operand: 'none', retry: 'never', label: targetAlone },
  streamCall: { code: 17, operand: 'value', retry: 'never', label: targetAlone }
} as const satisfies Readonly<Record<string, OperationInfo>>

export type OperationName = keyof typeof OPERATIONS
export type OperationCode = (typeof OPERATIONS)[OperationName]['code']

const operationEntries = Object.entries(OPERATIONS) as [OperationName, OperationInfo][]

/** The codes of all messages. */
export const Op = {
  hello: 0,
  ping: 8,
  result: 10,
  error: 11,
  refused: 12,
  release: 13,
  cancel: 18,
  pull: 19,
  items: 20,
  ended: 21,
  retry: 22,
  idempotent: 23,
  leaving: 24,
  traced: 30,
  ...(Object.fromEntries(operationEntries.map(([name, { code }]) => [name, code])) as {
    readonly [Name in OperationName]: (typeof OPERATIONS)[Name]['code']
  })
} as const

const operationsByCode: (OperationInfo | undefined)[] = []
for (const [, info] of operationEntries) operationsByCode[info.code] = info
const namesByCode = new Map<unknown, string>(Object.entries(Op).map(([name, code]) => [code, name]))

/** The operation with a code; undefined for any other message. */
export function operationOf(code: OperationCode): OperationInfo
export function operationOf(code: unknown): OperationInfo | undefined
export function operationOf(code: unknown): OperationInfo | undefined {
  return typeof code === 'number' ? operationsByCode[code] : undefined
}

export function nameOf(code: OperationCode): OperationName
export function nameOf(code: unknown): string | undefined
export function nameOf(code: unknown): string | undefined {
  return namesByCode.get(code)
}

/** The arguments of an operation, or its value, as a list. */
export function operandsOf(code: OperationCode, operand: unknown): readonly unknown[] {
  switch (operationOf(code).operand) {
    case 'args':
      return operand as unknown[]
    case 'value':
      return [operand]
    case 'none':
      return []
  }
}

/** An id in the export table of the receiver; 0 is its root. A negative number means its answer to the sender's call `-n`. */
export type TargetId = number
/** Tags the values at one or more JSON paths. */
export type Annotation = readonly [tag: TypeTag, ...paths: (readonly (string | number)[])[]]
export type TypeTag = string | readonly ['custom', string]
/** Tag all values of a JSON text that are not plain JSON; values inside a container come before it. */
export type Annotations = readonly Annotation[]

/** Limits of a side, in its hello. The other side rejects a call that exceeds them instead of losing the session. */
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
      annotations?: Annotations
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
      annotations?: Annotations
    ]
  | OneWayCall
/** A call without an id, because it gets no reply. */
export type OneWayCall = readonly [
  op: typeof Op.oneway,
  none: 0,
  target: TargetId,
  path: MemberPath,
  args: unknown[],
  annotations?: Annotations
]

/** An operation, with the trace span of its caller. */
export type TracedOperation = readonly [op: typeof Op.traced, traceparent: string, ...operation: Operation]

/** The result or error of a call. A missing value is `undefined`. */
export type Reply = readonly [
  op: typeof Op.result | typeof Op.error,
  id: number,
  value?: unknown,
  annotations?: Annotations
]

/**
 * The record of a hello: the limits of a side, and the messages that it knows besides those of the first peers. A peer
 * ignores members that it does not know, and gets no message that its own hello does not name.
 */
export interface HelloRecord extends PeerLimits {
  /** 1 if the side knows `leaving`. */
  readonly leaving?: unknown
}

/** A server that can resume the session adds a token, and the time to do so after a loss, in ms. */
export type Hello = readonly [
  op: typeof Op.hello,
  version: number,
  record: HelloRecord,
  token?: string,
  resumeWindowMs?: number
]

/** An operation that may have run before, in a session that was lost. */
export type RetriedOperation = readonly [op: typeof Op.retry, ...operation: Operation]

/** A call or construction on the root with an idempotency key: it runs once, whichever session of its caller sends it. */
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
  | readonly [op: typeof Op.release, ...idsAndCounts: number[]]
  | Cancel
  | Leaving
  | StreamMessage
/** Cancels a call: its caller's signal aborted, with that reason, or it timed out. */
export type Cancel = readonly [op: typeof Op.cancel, id: number, reason?: unknown, annotations?: Annotations]
/**
 * With `ms`, from a server: it goes away, and ends the session at the latest after that time. Without, the client's answer: it
 * begins no further call, but those that calls under way need. Then the server ends the session once no call is under way.
 */
export type Leaving = readonly [op: typeof Op.leaving, ms?: number]
/** A message of a stream: an iterator, a readable or writable stream, a promise or an abort signal. */
export type StreamMessage =
  /**
   * Acknowledges items of the receiver's iterator. With `window`, so many unacknowledged items may be in transit from now
   * on. A pull of 0 items restarts the iterator.
   */
  | readonly [op: typeof Op.pull, id: number, read: number, window?: number]
  /** The next items of the sender's iterator. `requestsAck` requests a `pull` once the last of them has been read. */
  | readonly [
      op: typeof Op.items,
      id: number,
      requestsAck: 0 | 1,
      items: unknown[],
      annotations?: Annotations
    ]
  /**
   * The end of the sender's iterator, promise or signal. `ok` is 1 for a normal end, a fulfilled promise, or a signal that
   * can no longer abort. `ok` is 0 for an error, a rejection or an abort.
   */
  | readonly [op: typeof Op.ended, id: number, ok: 0 | 1, value?: unknown, annotations?: Annotations]

/** Least frame size that each side must accept, in bytes: a hello must not have a lower limit. */
export const MIN_FRAME_BYTES = 4096
/** Longest text of a rejection: it fits into the least frame, even if every character is escaped. */
const MAX_REJECTION_CHARACTERS = 600

const [QUOTE, BACKSLASH, FIRST_SURROGATE] = [0x22, 0x5c, 0xd800]
/** Longest name that is looked through: for a longer one, `JSON.stringify` is as fast. */
const MAX_PLAIN_NAME_CHARACTERS = 32

/** The JSON of a name. Most names are short and have no character that JSON escapes: this is faster for them. */
function nameToJson(name: string): string {
  const { length } = name
  if (length > MAX_PLAIN_NAME_CHARACTERS) return JSON.stringify(name)
  for (let i = 0; i < length; i++) {
    const code = name.charCodeAt(i)
    if (code < 0x20 || code === QUOTE || code === BACKSLASH || code >= FIRST_SURROGATE)
      return JSON.stringify(name)
  }
  return `"${name}"`
}

/** Formats an operation. `payload` is the encoded operand. */
export function formatOperation(
  op: OperationCode,
  id: number,
  target: TargetId,
  path: MemberPath,
  payload?: string
): string {
  const name = typeof path === 'string' ? nameToJson(path) : path.length === 0 ? '[]' : JSON.stringify(path)
  const head = `[${op},${id},${target},${name}`
  return payload === undefined ? `${head}]` : `${head},${payload}]`
}

/** Adds a trace span to a formatted operation. */
export const formatTraced = (traceparent: string, operation: string): string =>
  `[${Op.traced},"${traceparent}",${operation.slice(1)}`

export const formatRetry = (operation: string): string => `[${Op.retry},${operation.slice(1)}`

/** Adds an idempotency key to a formatted operation. */
export const formatIdempotent = (key: string, operation: string): string =>
  `[${Op.idempotent},${JSON.stringify(key)},${operation.slice(1)}`

export const formatHello = (
  { jsonBytes, frameBytes, depth, values }: PeerLimits,
  { token, resumeWindowMs }: { readonly token?: string | undefined; readonly resumeWindowMs?: number } = {}
): string => {
  const head = `[${Op.hello},${VERSION},{"jsonBytes":${jsonBytes},"frameBytes":${frameBytes},"depth":${depth},"values":${values},"leaving":1}`
  return token === undefined ? `${head}]` : `${head},"${token}",${resumeWindowMs}]`
}
export const formatPing = (id: number): string => `[${Op.ping},${id}]`
export const formatRelease = (idsAndCounts: readonly number[]): string =>
  `[${Op.release},${idsAndCounts.join(',')}]`
export const formatRejection = (id: number, code: RejectionCode, text: string): string =>
  JSON.stringify([Op.refused, id, code, text.slice(0, MAX_REJECTION_CHARACTERS)])

export const formatCancel = (id: number, reason?: string): string =>
  reason === undefined ? `[${Op.cancel},${id}]` : `[${Op.cancel},${id},${reason}]`
export const formatLeaving = (ms?: number): string =>
  ms === undefined ? `[${Op.leaving}]` : `[${Op.leaving},${Math.ceil(ms)}]`
export const formatPull = (id: number, read: number, window?: number): string =>
  window === undefined ? `[${Op.pull},${id},${read}]` : `[${Op.pull},${id},${read},${window}]`
/** `items` is the encoded list of items. */
export const formatItems = (id: number, requestsAck: boolean, items: string): string =>
  `[${Op.items},${id},${requestsAck ? 1 : 0},${items}]`
export const formatEnded = (id: number, ok: boolean, payload?: string): string =>
  payload === undefined ? `[${Op.ended},${id},${ok ? 1 : 0}]` : `[${Op.ended},${id},${ok ? 1 : 0},${payload}]`

/** Formats a reply. Without a payload its value is `undefined`. */
export function formatReply(op: typeof Op.result | typeof Op.error, id: number, payload?: string): string {
  return payload === undefined ? `[${op},${id}]` : `[${op},${id},${payload}]`
}

/** Most tables of a message: a short text must not take long to decode. */
export const MAX_TABLES = 1024
