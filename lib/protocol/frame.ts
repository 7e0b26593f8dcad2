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
import { isObject, isTextDeeper, isValueDeeper, LONG_TEXT_CHARACTERS } from './depth.js'
import type { PeerLimits } from './messages.js'
import { isCount } from './parse-message.js'

/** What came in one frame. `bytes[i]` are the byte ranges that belong to `messages[i]`. */
export interface Frame {
  readonly ack: number
  readonly messages: readonly unknown[]
  readonly bytes: { get(index: number): readonly Uint8Array[] | undefined }
  /** In bytes; of a text frame, in characters. */
  readonly sizeBytes: number
  /** Its JSON. */
  readonly json: string
  /** Whether it is a count alone; and whether it asks for one. */
  readonly isAckOnly: boolean
  readonly requestsAck: boolean
}

/** The first frame of a socket that carries a session on. */
export interface ResumeFrame {
  /** What proves that it may. */
  readonly token: string
  /** The frames of the session that its sender has received. */
  readonly ack: number
}

/** A frame whose ranges of bytes are in buffers of their own. */
export class MultipartFrame {
  /** Of the text and all ranges. */
  readonly length: number
  constructor(
    readonly json: string,
    readonly ranges: readonly Uint8Array[]
  ) {
    this.length = ranges.reduce((sum, { byteLength }) => sum + byteLength, json.length)
  }
}

export type FrameData = string | Uint8Array | MultipartFrame

const NO_MESSAGES: readonly unknown[] = []
const NO_BYTES: Frame['bytes'] = new Map()
/** All empty ranges: a frame could claim millions of them at two characters each. */
const EMPTY_RANGE = new Uint8Array()
/** Made when it is first needed, as not every realm has the class. */
function lazy<T>(make: () => T): () => T {
  let value: T | undefined
  return () => (value ??= make())
}
const utf8Decoder = lazy(() => new TextDecoder('utf-8', { fatal: true }))
const utf8Encoder = lazy(() => new TextEncoder())
const alignTo8 = (length: number) => (length + 7) & ~7

export const formatAck = (ack: number, requestsAck: boolean): string =>
  requestsAck ? `[${ack},1]` : `[${ack}]`

const RESUME_FRAME = /^\["(resumed?)","([\w.-]{1,64})",(\d{1,15})\]$/

export const formatResume = (type: 'resume' | 'resumed', { token, ack }: ResumeFrame): string =>
  `["${type}","${token}",${ack}]`

/** What the first frame of a socket says of a session to be carried on; undefined if it is none of these. */
export function parseResume(type: 'resume' | 'resumed', data: FrameData): ResumeFrame | undefined {
  const [, found, token, received] = (typeof data === 'string' && data.match(RESUME_FRAME)) || []
  return found === type ? { token: token!, ack: Number(received) } : undefined
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
  if (inParts) return new MultipartFrame(whole, ranges)
  const json = utf8Encoder().encode(whole)
  const frame = new Uint8Array(
    ranges.reduce((sum, range) => sum + alignTo8(range.byteLength), 8 + alignTo8(json.length))
  )
  new DataView(frame.buffer).setUint32(0, json.length)
  frame.set(json, 8)
  let offset = 8 + alignTo8(json.length)
  for (const range of ranges) {
    frame.set(range, offset)
    offset += alignTo8(range.byteLength)
  }
  return frame
}

const ACK_PREFIX = /^\[(\d{1,15})(?:(\])|(,1\])|,)/
/** A longer one is no count. */
const MAX_ACK_PREFIX_CHARACTERS = 32

/** What a frame that waits says of the frames that went the other way: read off its beginning, the rest is not looked at. */
export function parseAck(data: FrameData): Pick<Frame, 'ack' | 'isAckOnly' | 'requestsAck'> {
  const text = typeof data === 'string' ? data : data instanceof MultipartFrame ? data.json : jsonPrefix(data)
  const [found, received, alone, asks] = text.slice(0, MAX_ACK_PREFIX_CHARACTERS).match(ACK_PREFIX) ?? []
  if (found === undefined) throw new ProtocolError(NOT_A_FRAME)
  const isAlone = found.length === text.length && typeof data === 'string'
  return {
    ack: Number(received),
    isAckOnly: isAlone && (alone ?? asks) !== undefined,
    requestsAck: isAlone && asks !== undefined
  }
}

/** The beginning of the JSON of a binary frame. */
const jsonPrefix = (data: Uint8Array): string =>
  String.fromCharCode(...data.subarray(8, 8 + MAX_ACK_PREFIX_CHARACTERS))

/**
 * @throws ProtocolError when the frame is not of the protocol, larger than `jsonBytes` or deeper than `depth`, or has
 * more than `values` ranges for one message.
 */
export function parseFrame(
  data: FrameData,
  limits: Pick<PeerLimits, 'jsonBytes' | 'depth' | 'values'>
): Frame {
  const text = typeof data === 'string' ? data : data instanceof MultipartFrame ? data.json : decodeJson(data)
  if (text.length > limits.jsonBytes)
    throw new ProtocolError(`a frame of more than ${limits.jsonBytes} characters of JSON`, 'limit')
  // Five levels are the frame's own: frame, messages, message, groups, group.
  const levels = limits.depth + 5
  if (text.length > LONG_TEXT_CHARACTERS && isTextDeeper(text, levels)) throw tooDeep(limits.depth)
  let frame: unknown
  try {
    frame = JSON.parse(text)
  } catch {
    throw new ProtocolError('a frame that is not JSON')
  }
  if (
    text.length <= LONG_TEXT_CHARACTERS &&
    text.length > 2 * levels &&
    isObject(frame) &&
    isValueDeeper(frame, levels)
  )
    throw tooDeep(limits.depth)
  if (!Array.isArray(frame) || !isCount(frame[0]) || frame.length > 3) throw new ProtocolError(NOT_A_FRAME)
  const [received, messages, sizes] = frame
  const size = data.length
  if (Array.isArray(messages)) {
    if (typeof data !== 'string') {
      const store =
        data instanceof MultipartFrame ? new MultipartFrameRanges(data.ranges) : new BinaryFrameRanges(data)
      return {
        ack: received,
        messages,
        bytes: new MessageRanges(store, sizes, messages.length, limits.values),
        sizeBytes: size,
        json: text,
        isAckOnly: false,
        requestsAck: false
      }
    }
    if (frame.length > 2) throw new ProtocolError('a text frame that claims bytes')
    return {
      ack: received,
      messages,
      bytes: NO_BYTES,
      sizeBytes: size,
      json: text,
      isAckOnly: false,
      requestsAck: false
    }
  }
  if (typeof data !== 'string' || (frame.length > 1 && (messages !== 1 || frame.length > 2))) {
    throw new ProtocolError(NOT_A_FRAME)
  }
  return {
    ack: received,
    messages: NO_MESSAGES,
    bytes: NO_BYTES,
    sizeBytes: size,
    json: text,
    isAckOnly: true,
    requestsAck: frame.length > 1
  }
}

const NOT_A_FRAME = 'a frame that is not [received, messages]'

function decodeJson(data: Uint8Array): string {
  const length = jsonByteLength(data)
  if (8 + length > data.byteLength) throw new ProtocolError('a binary frame whose header lies')
  const utf8 = utf8Decoder()
  try {
    return utf8.decode(data.subarray(8, 8 + length))
  } catch {
    throw new ProtocolError('a binary frame whose JSON is not UTF-8')
  }
}

function jsonByteLength(data: Uint8Array): number {
  if (data.byteLength < 8) throw new ProtocolError('a binary frame without a header')
  return new DataView(data.buffer, data.byteOffset).getUint32(0)
}

/** The bytes of the messages of a frame. There may be many: they are cut out when they are asked for. */
class MessageRanges {
  /** Where those of a message begin, and how long they are, after its index. */
  readonly #entries = new Map<number, readonly [place: number, entry: readonly number[]]>()

  constructor(
    private readonly store: RangeStore,
    sizes: unknown,
    messages: number,
    maxRanges: number
  ) {
    let place = store.first
    if (!Array.isArray(sizes)) throw new ProtocolError('a binary frame without sizes')
    for (const entry of sizes) {
      if (!Array.isArray(entry)) throw new ProtocolError('a binary frame with bad sizes')
      if (entry.length - 1 > maxRanges) throw tooManyValues(maxRanges)
      if (!entry.every(isCount) || !(entry[0] < messages) || this.#entries.has(entry[0]))
        throw new ProtocolError('a binary frame with bad sizes')
      this.#entries.set(entry[0], [place, entry])
      for (let i = 1; i < entry.length; i++) place = store.positionAfter(place, entry[i])
    }
    if (place !== store.end) throw new ProtocolError('a binary frame longer than it says')
  }

  get(index: number): readonly Uint8Array[] | undefined {
    const found = this.#entries.get(index)
    if (!found) return undefined
    let [position] = found
    return found[1].slice(1).map(size => {
      const range = size === 0 ? EMPTY_RANGE : this.store.rangeAt(position, size)
      position = this.store.positionAfter(position, size)
      return range
    })
  }
}

/** Where the ranges of a frame are: each at a place, and one after the other. */
interface RangeStore {
  readonly first: number
  readonly end: number
  /** The place after a range. @throws ProtocolError where there is none of that size */
  positionAfter(place: number, size: number): number
  rangeAt(place: number, size: number): Uint8Array
}

/** A binary frame: places are offsets. */
class BinaryFrameRanges implements RangeStore {
  readonly first: number
  readonly end: number
  constructor(private readonly data: Uint8Array) {
    this.first = 8 + alignTo8(jsonByteLength(data))
    this.end = data.byteLength
  }
  positionAfter(place: number, size: number): number {
    if (place + size > this.end) throw new ProtocolError(FRAME_TOO_SHORT)
    return place + alignTo8(size)
  }
  rangeAt(place: number, size: number): Uint8Array {
    return this.data.subarray(place, place + size)
  }
}

/** A frame in parts: places are their numbers. */
class MultipartFrameRanges implements RangeStore {
  readonly first = 0
  readonly end: number
  constructor(private readonly ranges: readonly Uint8Array[]) {
    this.end = ranges.length
  }
  positionAfter(place: number, size: number): number {
    if (this.ranges[place]?.byteLength !== size) throw new ProtocolError(FRAME_TOO_SHORT)
    return place + 1
  }
  rangeAt(place: number): Uint8Array {
    return this.ranges[place]!
  }
}

const FRAME_TOO_SHORT = 'a binary frame shorter than it says'

const tooDeep = (depth: number) => new ProtocolError(`a frame nested deeper than ${depth}`, 'limit')
