// The closed union of messages, and the only parser of one. The first message of a side's first frame is its hello.
import { isRefusalCode, ProtocolError, type RefusalCode, tooManyValues } from './errors.js'
import type { Path } from './names.js'

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
  drive: 17,
  cancel: 18,
  pull: 19,
  items: 20,
  ended: 21,
  again: 22,
  keyed: 23,
  traced: 30
} as const

/**
 * Whose table a number means: in `target` and in references home the receiver's exports (0 is its root),
 * in references given the sender's. A negative target is the receiver's answer to the sender's call of that number.
 */
export type Target = number
/** `[kind, path, path, …]`: the values at these paths, one or more, are of that kind. */
export type Group = readonly [kind: Kind, ...paths: (readonly (string | number)[])[]]
export type Kind = string | readonly ['custom', string]
/** Arguments or a value in plain JSON, and which places in it stand for something else. */
export type Groups = readonly Group[]

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
      target: Target,
      path: Path,
      args: unknown[],
      groups?: Groups
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
      target: Target,
      path: Path
    ]
  | readonly [
      op: typeof Op.set | typeof Op.drive,
      id: number,
      target: Target,
      path: Path,
      value: unknown,
      groups?: Groups
    ]
  | OneWay
/** A call without a number, for no answer comes of it. */
export type OneWay = readonly [
  op: typeof Op.oneway,
  none: 0,
  target: Target,
  path: Path,
  args: unknown[],
  groups?: Groups
]
export type OperationCode = Operation[0]

/** An operation, after the span that it was made in. */
export type Traced = readonly [op: typeof Op.traced, traceparent: string, ...operation: Operation]

/** The value, or the error, that a call ended with; without a value it is `undefined`. */
export type Reply = readonly [
  op: typeof Op.result | typeof Op.error,
  id: number,
  value?: unknown,
  groups?: Groups
]

/** A server that would resume the session says with what token, and how long after a loss, in ms. */
export type Hello = readonly [
  op: typeof Op.hello,
  version: number,
  limits: PeerLimits,
  token?: string,
  goodFor?: number
]

/** An operation that may have been carried out before, in a session that was lost. */
export type Again = readonly [op: typeof Op.again, ...operation: Operation]

/** A call or construction from the root that is to run once, whoever of its maker's sessions makes it. */
export type Keyed = readonly [op: typeof Op.keyed, key: string, ...operation: Operation | Again | Traced]

export type Message =
  | Hello
  | Operation
  | Again
  | Traced
  | Keyed
  | readonly [op: typeof Op.ping, id: number]
  | Reply
  | readonly [op: typeof Op.refused, id: number, code: RefusalCode, text: string]
  | readonly [op: typeof Op.release, ...idsAndReceipts: number[]]
  | Cancel
  | Flowing
/** The call is not waited for any more: its caller's signal aborted, for that reason, or its time is over. */
export type Cancel = readonly [op: typeof Op.cancel, id: number, reason?: unknown, groups?: Groups]
/** What crosses for a reference with a flow of its own. */
export type Flowing =
  /** So many items of the receiver's iterator have been read; with `window` reading begins: so many may be ahead. */
  | readonly [op: typeof Op.pull, id: number, read: number, window?: number]
  /** The next items of the sender's iterator; with `ask` a `pull` is due when the last of them has been read. */
  | readonly [op: typeof Op.items, id: number, ask: 0 | 1, items: unknown[], groups?: Groups]
  /** How the sender's iterator ended, its promise settled (`ok`: 1 well, 0 with an error), or its signal aborted. */
  | readonly [op: typeof Op.ended, id: number, ok: 0 | 1, value?: unknown, groups?: Groups]

/** What each side has to take, in bytes: no hello may say less. */
export const LEAST_FRAME = 4096
/** How much a refusal says, in characters: it fits into the least frame, however they are escaped. */
const REFUSAL_TEXT = 600

/** A name that is its own JSON between quotes. */
const PLAIN_NAME = /^[\w$]+$/

/** A message as it crosses, already JSON. `payload` is what the codec made of the arguments or the value. */
export function formatOperation(
  op: OperationCode,
  id: number,
  target: Target,
  path: Path,
  payload?: string
): string {
  const name = typeof path === 'string' && PLAIN_NAME.test(path) ? `"${path}"` : JSON.stringify(path)
  const head = `[${op},${id},${target},${name}`
  return payload === undefined ? `${head}]` : `${head},${payload}]`
}

/** An operation, already formatted, with the span that it is made in. */
export const formatTraced = (traceparent: string, operation: string): string =>
  `[${Op.traced},"${traceparent}",${operation.slice(1)}`

export const formatAgain = (operation: string): string => `[${Op.again},${operation.slice(1)}`

/** An operation, already formatted, with its key. */
export const formatKeyed = (key: string, operation: string): string =>
  `[${Op.keyed},${JSON.stringify(key)},${operation.slice(1)}`

export const formatHello = (
  { jsonBytes, frameBytes, depth, values }: PeerLimits,
  { token, goodFor }: { readonly token?: string | undefined; readonly goodFor?: number } = {}
): string => {
  const hello: Hello = [Op.hello, VERSION, { jsonBytes, frameBytes, depth, values }]
  return JSON.stringify(token === undefined ? hello : [...hello, token, goodFor])
}
export const formatPing = (id: number): string => `[${Op.ping},${id}]`
export const formatRelease = (idsAndReceipts: readonly number[]): string =>
  `[${Op.release},${idsAndReceipts.join(',')}]`
export const formatRefused = (id: number, code: RefusalCode, text: string): string =>
  JSON.stringify([Op.refused, id, code, text.slice(0, REFUSAL_TEXT)])

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

/** What may be carried out again, if its home says so. */
export const REPEATABLE = new Set<unknown>([Op.call, Op.construct, Op.set, Op.delete])

/** Version 00 of https://www.w3.org/TR/trace-context: trace, span and flags; an id of zeros is none. */
export const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/
export const isTraceparent = (text: unknown): text is string =>
  typeof text === 'string' && TRACEPARENT.test(text)

/** @throws ProtocolError when `raw` is not one of the messages above, or has more than that many values in groups. */
export function parseMessage(raw: unknown, values = Number.POSITIVE_INFINITY): Message {
  if (Array.isArray(raw) && wellFormed(raw, values)) return raw as unknown as Message
  throw new ProtocolError('a message that is not of the protocol')
}

function wellFormed(m: unknown[], values: number): boolean {
  switch (m[0]) {
    case Op.call:
    case Op.construct:
      return isOperation(m, 6) && isArguments(m[4], m[5], values)
    case Op.oneway:
      return isOperation(m, 6, m[1] === 0) && isArguments(m[4], m[5], values)
    case Op.set:
    case Op.drive:
      return isOperation(m, 6) && m.length >= 5 && isGroups(m[5], values)
    case Op.get:
    case Op.has:
    case Op.delete:
    case Op.keys:
    case Op.describe:
    case Op.obtain:
    case Op.iterate:
      return isOperation(m, 4)
    case Op.traced:
      return isTraceparent(m[1]) && OPERATIONS.has(m[2]) && wellFormed(m.slice(2), values)
    case Op.result:
    case Op.error:
      return m.length <= 4 && isId(m[1]) && isGroups(m[3], values)
    case Op.refused:
      return m.length === 4 && isId(m[1]) && isRefusalCode(m[2]) && typeof m[3] === 'string'
    case Op.release:
      return m.length % 2 === 1 && m.every(isCount)
    case Op.cancel:
      return m.length <= 4 && isId(m[1]) && isGroups(m[3], values)
    case Op.pull:
      return m.length <= 4 && isId(m[1]) && isCount(m[2]) && (m.length < 4 || isId(m[3]))
    case Op.items:
      return m.length <= 5 && isId(m[1]) && isFlag(m[2]) && isArguments(m[3], m[4], values)
    case Op.ended:
      return m.length <= 5 && isId(m[1]) && isFlag(m[2]) && isGroups(m[4], values)
    case Op.ping:
      return m.length === 2 && isId(m[1])
    case Op.again:
      return REPEATABLE.has(m[1]) && wellFormed(m.slice(1), values)
    case Op.keyed:
      return isKey(m[1]) && isKeyable(m.slice(2), values)
    case Op.hello:
      return m.length >= 3 && isId(m[1]) && isLimits(m[2]) && (m.length === 3 || isResumable(m))
    default:
      return false
  }
}

function isKeyable(m: unknown[], values: number): boolean {
  const [op, , target] = m[0] === Op.again ? m.slice(1) : m[0] === Op.traced ? m.slice(2) : m
  return (op === Op.call || op === Op.construct) && target === 0 && wellFormed(m, values)
}
export const isKey = (key: unknown): key is string =>
  typeof key === 'string' && key.length > 0 && key.length <= 200

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
  Op.drive
])
/** What proves that a socket is of a session: nothing that could be read as more. */
const isResumable = (m: unknown[]) => m.length === 5 && isToken(m[3]) && isCount(m[4])
const isToken = (token: unknown): token is string => typeof token === 'string' && /^[\w.-]{1,64}$/.test(token)
export const isCount = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0
const isId = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) > 0
const isFlag = (n: unknown) => n === 0 || n === 1
/** @throws ProtocolError for more values than that: to look at them all would take long */
function isGroups(groups: unknown, values: number): boolean {
  if (groups === undefined) return true
  if (!Array.isArray(groups)) return false
  let count = 0
  for (const group of groups) {
    if (!Array.isArray(group) || group.length < 2) return false
    count += group.length - 1
    if (count > values) throw tooManyValues(values)
    if (!isGroup(group)) return false
  }
  return true
}
/** Where its places lead, and by what steps, is seen by who goes there. */
function isGroup(g: unknown[]): boolean {
  if (typeof g[0] !== 'string' && !isCustom(g[0])) return false
  for (let i = 1; i < g.length; i++) if (!Array.isArray(g[i])) return false
  return true
}
/** Arguments are a list, whatever stands in it. */
const isArguments = (args: unknown, groups: unknown, values: number) =>
  Array.isArray(args) &&
  isGroups(groups, values) &&
  !(groups as Groups | undefined)?.some(([, ...places]) => places.some(place => place.length === 0))
const isCustom = (kind: unknown) =>
  Array.isArray(kind) && kind.length === 2 && kind[0] === 'custom' && typeof kind[1] === 'string'
const isOperation = (m: unknown[], length: number, hasId = isId(m[1])) =>
  m.length <= length && hasId && Number.isSafeInteger(m[2]) && isPath(m[3])
const isPath = (path: unknown) => typeof path === 'string' || (Array.isArray(path) && path.every(isName))
const isName = (key: unknown) =>
  typeof key === 'string' ||
  (Array.isArray(key) &&
    key.length === 2 &&
    typeof key[1] === 'string' &&
    (key[0] === 'for' || key[0] === 'well-known'))

function isLimits(limits: unknown): limits is PeerLimits {
  const { jsonBytes, frameBytes, depth, values } = (limits ?? {}) as Partial<PeerLimits>
  return (
    isCount(depth) &&
    isCount(values) &&
    isCount(jsonBytes) &&
    isCount(frameBytes) &&
    Math.min(jsonBytes, frameBytes) >= LEAST_FRAME
  )
}
