// Frames: what a transport carries, and their only parser. A frame has the messages of one tick.
//
// A frame is one of:
//   text    [ack, [message, …]]
//   binary  u32 length of the JSON, big-endian, then 4 zero bytes | the JSON, padded to 8 | bytes, padded to 8 | …
//           with the JSON [ack, [message, …], [[index of the message, byteLength, …], …]]
//   multipart  the JSON of a binary frame, and each byte range in a buffer of its own: for transports that move buffers
//   ack-only   [ack], or [ack, 1], which requests an acknowledgement
// `ack` is the number of frames with messages that the sender has received. Ack-only frames are not counted, and not sent
// again. On another socket of the same session the first frame each way is
//   resume  ["resume", token, ack]
//   resumed ["resumed", the token for the next time, ack]

import { ProtocolError, tooManyValues } from '../errors.js'
import { TextDecoder, TextEncoder } from '../util/platform.js'
import {
  hasFewContainers,
  isObject,
  isTextDeeper,
  isValueDeeper,
  LONG_TEXT_CHARACTERS
} from './json-depth.js'
import type { PeerLimits } from './messages.js'
import { isCount } from './parse-message.js'

/** A parsed frame. `bytes.get(i)` are the byte ranges of `messages[i]`. */
export interface Frame {
  readonly ack: number
  readonly messages: readonly unknown[]
  readonly bytes: { get(index: number): readonly Uint8Array[] | undefined }
  /** Size in bytes; of a text frame, in characters. */
  readonly sizeBytes: number
  /** The JSON text of the frame. */
  readonly json: string
  /** Whether the frame has no messages. */
  readonly isAckOnly: boolean
  readonly requestsAck: boolean
}

/** The first frame of a socket that resumes a session. */
export interface ResumeFrame {
  /** The resume token: proof that the sender may resume the session. */
  readonly token: string
  /** Frames of the session that the sender has received. */
  readonly ack: number
}

/** A frame whose byte ranges are in buffers of their own. */
export class MultipartFrame {
  /** Length of the JSON in characters, and of all ranges in bytes. */
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
/** The byte ranges of a message without any. */
export const NO_BYTES: readonly Uint8Array[] = []
const NO_RANGES: ReadonlyMap<number, readonly Uint8Array[]> = new Map()
/** Shared by all empty ranges: a frame could claim millions of them, at two characters each. */
const EMPTY_RANGE = new Uint8Array()
/** A value made at its first use: not every realm has the class. */
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

/** Parses the first frame of a socket; undefined if it is not a resume frame of this type. */
export function parseResume(type: 'resume' | 'resumed', data: FrameData): ResumeFrame | undefined {
  const [, found, token, received] = (typeof data === 'string' && data.match(RESUME_FRAME)) || []
  return found === type ? { token: token!, ack: Number(received) } : undefined
}

/** Formats a frame. The messages are JSON; `bytes.get(i)` are the byte ranges of `messages[i]`. */
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
  const text = `[${received},[${messages.length === 1 ? messages[0] : messages.join(',')}]`
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
/** No longer prefix is an ack. */
const MAX_ACK_PREFIX_CHARACTERS = 32

/** Parses the ack of a frame that waits, from its beginning. The rest is not read. @throws ProtocolError if there is none */
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

/** The beginning of the JSON of a binary frame: an ack is ASCII. */
const jsonPrefix = (data: Uint8Array): string =>
  String.fromCharCode(...data.subarray(8, 8 + MAX_ACK_PREFIX_CHARACTERS))

/**
 * @throws ProtocolError if the frame is not of the protocol
 * @throws ProtocolError if the frame is larger than `jsonBytes`, nested deeper than `depth`, or has more than `values`
 * ranges for one message
 */
export function parseFrame(
  data: FrameData,
  limits: Pick<PeerLimits, 'jsonBytes' | 'depth' | 'values'>
): Frame {
  const text = typeof data === 'string' ? data : data instanceof MultipartFrame ? data.json : decodeJson(data)
  if (text.length > limits.jsonBytes)
    throw new ProtocolError(`a frame of more than ${limits.jsonBytes} characters of JSON`, 'limit')
  // Five levels are of the frame itself: frame, messages, message, annotations, annotation.
  const levels = limits.depth + 5
  const mayBeDeep = text.length > 2 * levels && !hasFewContainers(text, levels)
  if (mayBeDeep && text.length > LONG_TEXT_CHARACTERS && isTextDeeper(text, levels))
    throw tooDeep(limits.depth)
  let frame: unknown
  try {
    frame = JSON.parse(text)
  } catch {
    throw new ProtocolError('a frame that is not JSON')
  }
  if (mayBeDeep && text.length <= LONG_TEXT_CHARACTERS && isObject(frame) && isValueDeeper(frame, levels))
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
    if (frame.length > 2) throw new ProtocolError('a text frame with sizes of bytes')
    return {
      ack: received,
      messages,
      bytes: NO_RANGES,
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
    bytes: NO_RANGES,
    sizeBytes: size,
    json: text,
    isAckOnly: true,
    requestsAck: frame.length > 1
  }
}

const NOT_A_FRAME = 'a frame that is not [received, messages]'

function decodeJson(data: Uint8Array): string {
  const length = jsonByteLength(data)
  if (8 + length > data.byteLength)
    throw new ProtocolError('a binary frame whose header gives a wrong length')
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

/** The byte ranges of the messages of a frame. There may be many: each is made when it is read. */
class MessageRanges {
  /** By message index: the position of the first range; the entry lists the index, then the sizes of the ranges. */
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
      if (!Array.isArray(entry)) throw new ProtocolError('a binary frame with invalid sizes')
      if (entry.length - 1 > maxRanges) throw tooManyValues(maxRanges)
      if (!entry.every(isCount) || !(entry[0] < messages) || this.#entries.has(entry[0]))
        throw new ProtocolError('a binary frame with invalid sizes')
      this.#entries.set(entry[0], [place, entry])
      for (let i = 1; i < entry.length; i++) place = store.positionAfter(place, entry[i])
    }
    if (place !== store.end) throw new ProtocolError('a binary frame longer than its sizes')
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

/** The ranges of a frame, one after the other, each at a position. */
interface RangeStore {
  readonly first: number
  readonly end: number
  /** The position after a range. @throws ProtocolError if no range of that size is there */
  positionAfter(place: number, size: number): number
  rangeAt(place: number, size: number): Uint8Array
}

/** Ranges of a binary frame: positions are offsets in bytes. */
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

/** Ranges of a multipart frame: positions are indexes. */
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

const FRAME_TOO_SHORT = 'a binary frame shorter than its sizes'

const tooDeep = (depth: number) => new ProtocolError(`a frame nested deeper than ${depth}`, 'limit')
