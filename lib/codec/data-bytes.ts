// Encodes values that are data only as bytes, to publish or to store them, and decodes such bytes.
//
// The bytes are a frame with one message, a result: UTF-8 if the value has no byte ranges.

import { CallRejection, ProtocolError, rejectionError, toCallRejection } from '../errors.js'
import { formatFrame, parseFrame } from '../protocol/frame.js'
import { DEFAULT_LIMITS, type Limits } from '../protocol/limits.js'
import { formatReply, Op } from '../protocol/messages.js'
import { parseMessage } from '../protocol/parse-message.js'
import { TextDecoder, TextEncoder } from '../util/platform.js'
import { decode } from './decode.js'
import { encodeData } from './encoded-data.js'
import type { ReferenceDecoder } from './types.js'
import { dataOnly } from './value-role.js'

const LIMITS = { ...DEFAULT_LIMITS, exposeStacks: false }
const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder('utf-8', { fatal: true })
/** The lowest first byte of text. That of a binary frame would be of a length of 512 MiB. */
const SPACE = 0x20

/**
 * Encodes a value as bytes that `decodeBytes` decodes.
 *
 * @param call what encodes it, for error texts: `topic.publish`
 * @param name what error texts call the value
 * @throws UnsendableError with the path to a value that is not data
 * @throws LimitError for what `decodeBytes` refuses
 */
export function encodeBytes(call: string, name: string, value: unknown): Uint8Array {
  try {
    const { json, hasAnnotations, bytes: ranges } = encodeData(value, dataOnly(name), LIMITS)
    const ofMessage = new Map(ranges.length > 0 ? [[0, ranges]] : [])
    const frame = formatFrame(0, [formatReply(Op.result, 1, json)], ofMessage)
    const bytes = typeof frame === 'string' ? utf8Encoder.encode(frame) : frame
    // Many readers would report what this one call can.
    if (hasAnnotations || json.length > LIMITS.jsonBytes) parseBytes(bytes, LIMITS)
    return bytes
  } catch (error) {
    throw toCallError(error, call)
  }
}

/**
 * Decodes bytes, which anybody may have made.
 *
 * @param source where they come from, for error texts
 * @throws LimitError for a value beyond the limits, and NetrefError `unreadable` for what is no value
 */
export function decodeBytes(source: string, bytes: Uint8Array, limits: Limits = DEFAULT_LIMITS): unknown {
  try {
    return parseBytes(bytes, limits)
  } catch (error) {
    throw toCallError(error, source)
  }
}

function parseBytes(bytes: Uint8Array, limits: Limits): unknown {
  const frame = parseFrame(bytes[0]! >= SPACE ? decodeUtf8(bytes) : bytes, limits)
  const [message, ...others] = frame.messages.map(raw => parseMessage(raw, limits.values))
  if (message?.[0] !== Op.result || others.length > 0)
    throw new ProtocolError('a frame that is not of one value')
  return decode(message[2], message[3], frame.bytes.get(0) ?? [], { ...decoder, limits })
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8Decoder.decode(bytes)
  } catch {
    throw new ProtocolError('a frame that is not UTF-8')
  }
}

const refuseReference = () => {
  throw new ProtocolError('a reference in data')
}

const decoder: Omit<ReferenceDecoder, 'limits'> = {
  decodeReference: refuseReference,
  discardReference: refuseReference,
  discardReceived: () => undefined,
  valuesDecoded: () => undefined
}

/** The error of a call for what the codec throws; what a user's accessor throws is returned as it is. */
function toCallError(error: unknown, call: string): unknown {
  if (error instanceof ProtocolError)
    return rejectionError(error.code === 'limit' ? 'limit' : 'unreadable', call, error.message)
  const rejection = error instanceof CallRejection ? error : toCallRejection(error)
  return rejection ? rejectionError(rejection.code, call, rejection.message) : error
}
