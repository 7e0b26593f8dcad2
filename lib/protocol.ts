// The closed union of messages, and the only parser of what a peer sends.
//
// A frame is JSON text, or a binary frame where bytes ride beside the JSON:
//   text    [received, [message, …]]
//   binary  u32 length of the JSON, big-endian, then 4 zero bytes | the JSON, padded to 8 | bytes, padded to 8 | …
//           with JSON [received, [message, …], [[index of the message, byteLength, …], …]]
// `received` counts the frames this side has received. The first message of a side's first frame is its hello.
import { isRefusalCode, ProtocolError, type RefusalCode } from './errors.js'

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
  result: 10,
  error: 11,
  refused: 12,
  release: 13
} as const

/** A symbol in a path: a well-known one by its name (`asyncIterator`), or one of `Symbol.for` by its key. */
export type SymbolKey = readonly ['well-known' | 'for', string]
/** A member's name in this process; on the wire it is a key. */
export type Name = string | symbol
export type Key = string | SymbolKey
/** One name, or a list of keys: the empty list is the target itself. */
export type Path = string | readonly Key[]

/**
 * Whose table a number means: in `target` and in references home the receiver's exports (0 is its root),
 * in references given the sender's. A negative target is the receiver's answer to the sender's call of that number.
 */
export type Target = number
/** `[kind, path, path, …]`: the values at these paths are of that kind. */
export type Group = readonly [kind: Kind, ...paths: (readonly (string | number)[])[]]
export type Kind = string | readonly ['custom', string]
/** Arguments or a value in plain JSON, and which places in it stand for something else. */
export type Groups = readonly Group[]

/** The limits a side tells in its hello, so that the other can refuse a call instead of losing the session. */
export interface PeerLimits {
  readonly jsonBytes: number
  readonly frameBytes: number
  readonly depth: number
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
      op: typeof Op.get | typeof Op.has | typeof Op.delete | typeof Op.keys,
      id: number,
      target: Target,
      path: Path
    ]
  | readonly [op: typeof Op.set, id: number, target: Target, path: Path, value: unknown, groups?: Groups]
export type OperationCode = Operation[0]

/** The value, or the error, that a call ended with; without a value it is `undefined`. */
export type Reply = readonly [
  op: typeof Op.result | typeof Op.error,
  id: number,
  value?: unknown,
  groups?: Groups
]

export type Message =
  | readonly [op: typeof Op.hello, version: number, limits: PeerLimits]
  | Operation
  | readonly [op: typeof Op.ping, id: number]
  | Reply
  | readonly [op: typeof Op.refused, id: number, code: RefusalCode, text: string]
  | readonly [op: typeof Op.release, ...idsAndReceipts: number[]]

/** What each side has to take, in bytes: no hello may say less. */
export const LEAST_FRAME = 4096
/** How much a refusal says, in characters: it fits into the least frame, however they are escaped. */
const REFUSAL_TEXT = 600

/** What came in one frame. `bytes[i]` are the byte ranges that belong to `messages[i]`. */
export interface Frame {
  readonly received: number
  readonly messages: readonly unknown[]
  readonly bytes: ReadonlyMap<number, readonly Uint8Array[]>
}

const NO_BYTES: ReadonlyMap<number, readonly Uint8Array[]> = new Map()
/** All empty ranges: a frame could claim millions of them at two characters each. */
const EMPTY = new Uint8Array()
const decoder = new TextDecoder('utf-8', { fatal: true })
const encoder = new TextEncoder()
const aligned = (length: number) => (length + 7) & ~7

/** The messages of one frame, already JSON, as what the transport carries. `bytes[i]` belongs to `messages[i]`. */
export function formatFrame(
  received: number,
  messages: readonly string[],
  bytes: ReadonlyMap<number, readonly Uint8Array[]>
): string | Uint8Array {
  const text = `[${received},[${messages.join(',')}]`
  if (bytes.size === 0) return `${text}]`
  const sizes = [...bytes].map(([index, ranges]) => [index, ...ranges.map(range => range.byteLength)])
  const json = encoder.encode(`${text},${JSON.stringify(sizes)}]`)
  const ranges = [...bytes.values()].flat()
  const frame = new Uint8Array(
    ranges.reduce((sum, range) => sum + aligned(range.byteLength), 8 + aligned(json.length))
  )
  new DataView(frame.buffer).setUint32(0, json.length)
  frame.set(json, 8)
  let offset = 8 + aligned(json.length)
  for (const range of ranges) {
    frame.set(range, offset)
    offset += aligned(range.byteLength)
  }
  return frame
}

/** @throws ProtocolError when the frame is not of the protocol, larger than `jsonBytes` or deeper than `depth`. */
export function parseFrame(data: string | Uint8Array, limits: { jsonBytes: number; depth: number }): Frame {
  const text = typeof data === 'string' ? data : headerOf(data)
  if (text.length > limits.jsonBytes)
    throw new ProtocolError(`a frame of more than ${limits.jsonBytes} characters of JSON`, 'limit')
  let frame: unknown
  try {
    frame = JSON.parse(text)
  } catch {
    throw new ProtocolError('a frame that is not JSON')
  }
  // Five levels are the frame's own: frame, messages, message, groups, group.
  if (text.length > 2 * limits.depth && isDeeper(frame, limits.depth + 5)) {
    throw new ProtocolError(`a frame nested deeper than ${limits.depth}`, 'limit')
  }
  if (!Array.isArray(frame) || !isCount(frame[0]) || !Array.isArray(frame[1]) || frame.length > 3) {
    throw new ProtocolError('a frame that is not [received, messages]')
  }
  if (typeof data !== 'string')
    return { received: frame[0], messages: frame[1], bytes: rangesOf(data, frame[2], frame[1].length) }
  if (frame.length > 2) throw new ProtocolError('a text frame that claims bytes')
  return { received: frame[0], messages: frame[1], bytes: NO_BYTES }
}

function headerOf(data: Uint8Array): string {
  const length = jsonLength(data)
  if (8 + length > data.byteLength) throw new ProtocolError('a binary frame whose header lies')
  try {
    return decoder.decode(data.subarray(8, 8 + length))
  } catch {
    throw new ProtocolError('a binary frame whose JSON is not UTF-8')
  }
}

function jsonLength(data: Uint8Array): number {
  if (data.byteLength < 8) throw new ProtocolError('a binary frame without a header')
  return new DataView(data.buffer, data.byteOffset).getUint32(0)
}

function rangesOf(data: Uint8Array, sizes: unknown, messages: number): Map<number, Uint8Array[]> {
  const bytes = new Map<number, Uint8Array[]>()
  let start = 8 + aligned(jsonLength(data))
  if (!Array.isArray(sizes)) throw new ProtocolError('a binary frame without sizes')
  for (const entry of sizes) {
    if (!Array.isArray(entry) || !entry.every(isCount) || !(entry[0] < messages) || bytes.has(entry[0])) {
      throw new ProtocolError('a binary frame with bad sizes')
    }
    const ranges: Uint8Array[] = []
    for (const size of entry.slice(1)) {
      if (start + size > data.byteLength) throw new ProtocolError('a binary frame shorter than it says')
      ranges.push(size === 0 ? EMPTY : data.subarray(start, start + size))
      start += aligned(size)
    }
    bytes.set(entry[0], ranges)
  }
  if (start !== data.byteLength) throw new ProtocolError('a binary frame longer than it says')
  return bytes
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  for (const item of Array.isArray(value) ? value : Object.values(value)) {
    if (typeof item === 'object' && item !== null && isDeeper(item, levels - 1)) return true
  }
  return false
}

/** A message as it crosses, already JSON. `payload` is what the codec made of the arguments or the value. */
export function formatOperation(
  op: OperationCode,
  id: number,
  target: Target,
  path: Path,
  payload?: string
): string {
  const head = `[${op},${id},${target},${JSON.stringify(path)}`
  return payload === undefined ? `${head}]` : `${head},${payload}]`
}

export const formatHello = ({ jsonBytes, frameBytes, depth }: PeerLimits): string =>
  JSON.stringify([Op.hello, VERSION, { jsonBytes, frameBytes, depth }])
export const formatPing = (id: number): string => `[${Op.ping},${id}]`
export const formatRelease = (idsAndReceipts: readonly number[]): string =>
  `[${Op.release},${idsAndReceipts.join(',')}]`
export const formatRefused = (id: number, code: RefusalCode, text: string): string =>
  JSON.stringify([Op.refused, id, code, text.slice(0, REFUSAL_TEXT)])

/** A reply; without a payload it is `undefined`. */
export function formatReply(op: typeof Op.result | typeof Op.error, id: number, payload?: string): string {
  return payload === undefined ? `[${op},${id}]` : `[${op},${id},${payload}]`
}

/** @throws ProtocolError when `raw` is not one of the messages above. */
export function parseMessage(raw: unknown): Message {
  if (Array.isArray(raw) && wellFormed(raw)) return raw as unknown as Message
  throw new ProtocolError('a message that is not of the protocol')
}

function wellFormed(m: unknown[]): boolean {
  switch (m[0]) {
    case Op.call:
    case Op.construct:
      return isOperation(m, 6) && isArguments(m[4], m[5])
    case Op.set:
      return isOperation(m, 6) && m.length >= 5 && isGroups(m[5])
    case Op.get:
    case Op.has:
    case Op.delete:
    case Op.keys:
      return isOperation(m, 4)
    case Op.result:
    case Op.error:
      return m.length <= 4 && isId(m[1]) && isGroups(m[3])
    case Op.refused:
      return m.length === 4 && isId(m[1]) && isRefusalCode(m[2]) && typeof m[3] === 'string'
    case Op.release:
      return m.length % 2 === 1 && m.every(isCount)
    case Op.ping:
      return m.length === 2 && isId(m[1])
    case Op.hello:
      return m.length === 3 && isId(m[1]) && isLimits(m[2])
    default:
      return false
  }
}

const isCount = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0
const isId = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) > 0
const isGroups = (g: unknown) => g === undefined || (Array.isArray(g) && g.every(isGroup))
const isGroup = (g: unknown) =>
  Array.isArray(g) &&
  (typeof g[0] === 'string' || isCustom(g[0])) &&
  g.every((place, i) => i === 0 || isPlace(place))
/** Arguments are a list, whatever stands in it. */
const isArguments = (args: unknown, groups: unknown) =>
  Array.isArray(args) &&
  isGroups(groups) &&
  !(groups as Groups | undefined)?.some(([, ...places]) => places.some(place => place.length === 0))
const isCustom = (kind: unknown) =>
  Array.isArray(kind) && kind.length === 2 && kind[0] === 'custom' && typeof kind[1] === 'string'
/** Whether this is a place in a value: what leads to it from the top. */
export const isPlace = (place: unknown): place is (string | number)[] =>
  Array.isArray(place) && place.every(key => typeof key === 'string' || isCount(key))

const isOperation = (m: unknown[], length: number) =>
  m.length <= length && isId(m[1]) && Number.isSafeInteger(m[2]) && isPath(m[3])
const isPath = (path: unknown) => typeof path === 'string' || (Array.isArray(path) && path.every(isKey))
const isKey = (key: unknown) =>
  typeof key === 'string' ||
  (Array.isArray(key) &&
    key.length === 2 &&
    typeof key[1] === 'string' &&
    (key[0] === 'for' || key[0] === 'well-known'))

function isLimits(limits: unknown): limits is PeerLimits {
  const { jsonBytes, frameBytes, depth } = (limits ?? {}) as Partial<PeerLimits>
  return (
    isCount(depth) &&
    isCount(jsonBytes) &&
    isCount(frameBytes) &&
    Math.min(jsonBytes, frameBytes) >= LEAST_FRAME
  )
}

/**
 * Symbols of `Symbol.for` that are a name here, by key. What a peer says is looked up here alone: no engine lets go of
 * a symbol that was once asked for by key.
 */
const symbols = new Map<string, symbol>()

/** Lets a symbol of `Symbol.for` be the name of a member, for a peer too. */
export function knowSymbol(name: PropertyKey): void {
  const key = typeof name === 'symbol' ? Symbol.keyFor(name) : undefined
  if (key !== undefined) symbols.set(key, name as symbol)
}

/** The wire form of a member's name. @throws TypeError for a symbol that is neither well-known nor of `Symbol.for`. */
export function toKey(name: PropertyKey): Key {
  if (typeof name !== 'symbol') return String(name)
  const key = Symbol.keyFor(name)
  if (key !== undefined) {
    knowSymbol(name)
    return ['for', key]
  }
  const known = Object.getOwnPropertyNames(Symbol).find(
    known => Symbol[known as keyof typeof Symbol] === name
  )
  if (known) return ['well-known', known]
  throw new TypeError(`${String(name)} is known to this process alone: use a name, or a symbol of Symbol.for`)
}

/** The name a key stands for. A symbol that is not known here is a name that nothing has. */
export function toName(key: Key): Name {
  if (typeof key === 'string') return key
  const known: unknown = key[0] === 'for' ? symbols.get(key[1]) : Symbol[key[1] as keyof typeof Symbol]
  return typeof known === 'symbol' ? known : Symbol(key[1])
}

/** The keys of a path, as a list. */
export function keysOf(path: Path): readonly Key[] {
  return typeof path === 'string' ? [path] : path
}
