// What a transport carries: the messages of one tick, and the only parser of that.
//
// A frame is JSON text, or a binary frame where bytes ride beside the JSON:
//   text    [received, [message, …]]
//   binary  u32 length of the JSON, big-endian, then 4 zero bytes | the JSON, padded to 8 | bytes, padded to 8 | …
//           with JSON [received, [message, …], [[index of the message, byteLength, …], …]]
//   parts   a text like that of a binary frame, and beside it each range of bytes by itself: for transports that move
//           buffers, and so need not copy them into one
//   alone   [received], or [received, 1], which asks for one in return
// `received` counts the frames this side has received, those with a list of messages: the others are not counted, nor
// sent again. On another socket for the same session the first frame each way is
//   resume  ["resume", token, received]
//   resumed ["resumed", the token for the next time, received]

import { ProtocolError, tooManyValues } from '../errors.js'
import { TextDecoder, TextEncoder } from '../util/platform.js'
import { isDeeper, isObject, isWrittenDeeper, LONG } from './depth.js'
import type { PeerLimits } from './messages.js'
import { isCount } from './parse-message.js'

/** What came in one frame. `bytes[i]` are the byte ranges that belong to `messages[i]`. */
export interface Frame {
  readonly received: number
  readonly messages: readonly unknown[]
  readonly bytes: { get(index: number): readonly Uint8Array[] | undefined }
  /** In bytes; of a text frame, in characters. */
  readonly size: number
  /** Its JSON. */
  readonly text: string
  /** Whether it is a count alone; and whether it asks for one. */
  readonly alone: boolean
  readonly asks: boolean
}

/** The first frame of a socket that carries a session on. */
export interface Resumption {
  /** What proves that it may. */
  readonly token: string
  /** The frames of the session that its sender has received. */
  readonly received: number
}

/** A frame whose ranges of bytes are in buffers of their own. */
export class FrameInParts {
  /** Of the text and all ranges. */
  readonly length: number
  constructor(
    readonly json: string,
    readonly ranges: readonly Uint8Array[]
  ) {
    this.length = ranges.reduce((sum, { byteLength }) => sum + byteLength, json.length)
  }
}

export type FrameData = string | Uint8Array | FrameInParts

const NO_MESSAGES: readonly unknown[] = []
const NO_BYTES: Frame['bytes'] = new Map()
/** All empty ranges: a frame could claim millions of them at two characters each. */
const EMPTY = new Uint8Array()
/** Made when it is first needed, as not every realm has the class. */
function lazily<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}
const decoder = lazily(() => new TextDecoder('utf-8', { fatal: true }))
const encoder = lazily(() => new TextEncoder())
const aligned = (length: number) => (length + 7) & ~7

export const formatCount = (received: number, asks: boolean): string =>
  asks ? `[${received},1]` : `[${received}]`

const RESUME = /^\["(resumed?)","([\w.-]{1,64})",(\d{1,15})\]$/

export const formatResumption = (what: 'resume' | 'resumed', { token, received }: Resumption): string =>
  `["${what}","${token}",${received}]`

/** What the first frame of a socket says of a session to be carried on; undefined if it is none of these. */
export function parseResumption(what: 'resume' | 'resumed', data: FrameData): Resumption | undefined {
  const [, said, token, received] = (typeof data === 'string' && data.match(RESUME)) || []
  return said === what ? { token: token!, received: Number(received) } : undefined
}

/** The messages of one frame, already JSON, as what the transport carries. `bytes[i]` belongs to `messages[i]`. */
export function formatFrame(
  received: number,
  messages: readonly string[],
  bytes: ReadonlyMap<number, readonly Uint8Array[]>
): string | Uint8Array
export function formatFrame(
  received: number,
  messages: readonly string[],
  bytes: ReadonlyMap<number, readonly Uint8Array[]>,
  inParts: boolean
): FrameData
export function formatFrame(
  received: number,
  messages: readonly string[],
  bytes: ReadonlyMap<number, readonly Uint8Array[]>,
  inParts = false
): FrameData {
  const text = `[${received},[${messages.join(',')}]`
  if (bytes.size === 0) return `${text}]`
  const sizes = [...bytes].map(([index, ranges]) => [index, ...ranges.map(range => range.byteLength)])
  const ranges = [...bytes.values()].flat()
  const whole = `${text},${JSON.stringify(sizes)}]`
  if (inParts) return new FrameInParts(whole, ranges)
  const json = encoder().encode(whole)
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

const COUNT = /^\[(\d{1,15})(?:(\])|(,1\])|,)/
/** A longer one is no count. */
const COUNT_LENGTH = 32

/** What a frame that waits says of the frames that went the other way: read off its beginning, the rest is not looked at. */
export function parseCount(data: FrameData): Pick<Frame, 'received' | 'alone' | 'asks'> {
  const text = typeof data === 'string' ? data : data instanceof FrameInParts ? data.json : latin1(data)
  const [found, received, alone, asks] = text.slice(0, COUNT_LENGTH).match(COUNT) ?? []
  if (found === undefined) throw new ProtocolError(NO_FRAME)
  const isAlone = found.length === text.length && typeof data === 'string'
  return {
    received: Number(received),
    alone: isAlone && (alone ?? asks) !== undefined,
    asks: isAlone && asks !== undefined
  }
}

/** The beginning of the JSON of a binary frame. */
const latin1 = (data: Uint8Array): string => String.fromCharCode(...data.subarray(8, 8 + COUNT_LENGTH))

/**
 * @throws ProtocolError when the frame is not of the protocol, larger than `jsonBytes` or deeper than `depth`, or has
 * more than `values` ranges for one message.
 */
export function parseFrame(
  data: FrameData,
  limits: Pick<PeerLimits, 'jsonBytes' | 'depth' | 'values'>
): Frame {
  const text = typeof data === 'string' ? data : data instanceof FrameInParts ? data.json : headerOf(data)
  if (text.length > limits.jsonBytes)
    throw new ProtocolError(`a frame of more than ${limits.jsonBytes} characters of JSON`, 'limit')
  // Five levels are the frame's own: frame, messages, message, groups, group.
  const levels = limits.depth + 5
  if (text.length > LONG && isWrittenDeeper(text, levels)) throw tooDeep(limits.depth)
  let frame: unknown
  try {
    frame = JSON.parse(text)
  } catch {
    throw new ProtocolError('a frame that is not JSON')
  }
  if (text.length <= LONG && text.length > 2 * levels && isObject(frame) && isDeeper(frame, levels))
    throw tooDeep(limits.depth)
  if (!Array.isArray(frame) || !isCount(frame[0]) || frame.length > 3) throw new ProtocolError(NO_FRAME)
  const [received, messages, sizes] = frame
  const size = data.length
  if (Array.isArray(messages)) {
    if (typeof data !== 'string') {
      const store = data instanceof FrameInParts ? new Parts(data.ranges) : new Whole(data)
      return {
        received,
        messages,
        bytes: new Ranges(store, sizes, messages.length, limits.values),
        size,
        text,
        alone: false,
        asks: false
      }
    }
    if (frame.length > 2) throw new ProtocolError('a text frame that claims bytes')
    return { received, messages, bytes: NO_BYTES, size, text, alone: false, asks: false }
  }
  if (typeof data !== 'string' || (frame.length > 1 && (messages !== 1 || frame.length > 2))) {
    throw new ProtocolError(NO_FRAME)
  }
  return { received, messages: NO_MESSAGES, bytes: NO_BYTES, size, text, alone: true, asks: frame.length > 1 }
}

const NO_FRAME = 'a frame that is not [received, messages]'

function headerOf(data: Uint8Array): string {
  const length = jsonLength(data)
  if (8 + length > data.byteLength) throw new ProtocolError('a binary frame whose header lies')
  const utf8 = decoder()
  try {
    return utf8.decode(data.subarray(8, 8 + length))
  } catch {
    throw new ProtocolError('a binary frame whose JSON is not UTF-8')
  }
}

function jsonLength(data: Uint8Array): number {
  if (data.byteLength < 8) throw new ProtocolError('a binary frame without a header')
  return new DataView(data.buffer, data.byteOffset).getUint32(0)
}

/** The bytes of the messages of a frame. There may be many: they are cut out when they are asked for. */
class Ranges {
  /** Where those of a message begin, and how long they are, after its index. */
  readonly #of = new Map<number, readonly [place: number, entry: readonly number[]]>()

  constructor(
    private readonly store: Store,
    sizes: unknown,
    messages: number,
    most: number
  ) {
    let place = store.first
    if (!Array.isArray(sizes)) throw new ProtocolError('a binary frame without sizes')
    for (const entry of sizes) {
      if (!Array.isArray(entry)) throw new ProtocolError('a binary frame with bad sizes')
      if (entry.length - 1 > most) throw tooManyValues(most)
      if (!entry.every(isCount) || !(entry[0] < messages) || this.#of.has(entry[0]))
        throw new ProtocolError('a binary frame with bad sizes')
      this.#of.set(entry[0], [place, entry])
      for (let i = 1; i < entry.length; i++) place = store.after(place, entry[i])
    }
    if (place !== store.end) throw new ProtocolError('a binary frame longer than it says')
  }

  get(index: number): readonly Uint8Array[] | undefined {
    const found = this.#of.get(index)
    if (!found) return undefined
    let [place] = found
    return found[1].slice(1).map(size => {
      const range = size === 0 ? EMPTY : this.store.at(place, size)
      place = this.store.after(place, size)
      return range
    })
  }
}

/** Where the ranges of a frame are: each at a place, and one after the other. */
interface Store {
  readonly first: number
  readonly end: number
  /** The place after a range. @throws ProtocolError where there is none of that size */
  after(place: number, size: number): number
  at(place: number, size: number): Uint8Array
}

/** A binary frame: places are offsets. */
class Whole implements Store {
  readonly first: number
  readonly end: number
  constructor(private readonly data: Uint8Array) {
    this.first = 8 + aligned(jsonLength(data))
    this.end = data.byteLength
  }
  after(place: number, size: number): number {
    if (place + size > this.end) throw new ProtocolError(SHORTER)
    return place + aligned(size)
  }
  at(place: number, size: number): Uint8Array {
    return this.data.subarray(place, place + size)
  }
}

/** A frame in parts: places are their numbers. */
class Parts implements Store {
  readonly first = 0
  readonly end: number
  constructor(private readonly ranges: readonly Uint8Array[]) {
    this.end = ranges.length
  }
  after(place: number, size: number): number {
    if (this.ranges[place]?.byteLength !== size) throw new ProtocolError(SHORTER)
    return place + 1
  }
  at(place: number): Uint8Array {
    return this.ranges[place]!
  }
}

const SHORTER = 'a binary frame shorter than it says'

const tooDeep = (depth: number) => new ProtocolError(`a frame nested deeper than ${depth}`, 'limit')
