// The events of ZeroRPC: `[header, name, args]` in MessagePack.

import type { Limits } from '../../protocol/limits.js'
import { scanValue, type ValueRange } from './message-pack-scan.js'
import { ProtocolError } from './protocol-error.js'

/** The package `@msgpack/msgpack`. */
export type MessagePack = typeof import('@msgpack/msgpack')

/** Identifies an event, or the channel that it opens. Clients of Python send bytes, others texts. */
export type MessageId = string | Uint8Array

/** An event that arrived. */
export interface ReceivedEvent {
  readonly id: MessageId
  /** The channel of the event; undefined if it opens one. */
  readonly channel: MessageId | undefined
  readonly name: string
  /** Decodes the arguments. @throws an Error if they have no form in JavaScript */
  args(): unknown
}

/** An event to send. */
export interface SentEvent {
  readonly channel: MessageId
  readonly id: MessageId
  readonly name: string
  /** What MessagePack has forms for: see `toMessagePack`. */
  readonly args: unknown
}

const VERSION = 3
const MAX_ID_BYTES = 256
const LIST_OF_3 = 0x93

/** @throws ProtocolError if it is no event, or beyond the limits */
export function parseEvent(
  messagePack: MessagePack,
  bytes: Buffer,
  { depth }: Pick<Limits, 'depth'>
): ReceivedEvent {
  if (bytes[0] !== LIST_OF_3) throw new ProtocolError('a message is not a list of three')
  const header = scanValue(bytes, 1, 2)
  const name = scanValue(bytes, header.end, 0)
  const fields = decodeRange(messagePack, bytes, header) as Readonly<Record<string, unknown>> | null
  const nameText = decodeRange(messagePack, bytes, name)
  if (typeof nameText !== 'string') throw new ProtocolError('the name of an event is not a text')
  const { message_id: id, response_to: channel } = fields ?? {}
  if (!isMessageId(id) || !(channel === undefined || channel === null || isMessageId(channel)))
    throw new ProtocolError('an event has no message_id')
  return {
    // The bytes of the message are not kept.
    id: typeof id === 'string' ? id : Uint8Array.from(id),
    channel: channel ?? undefined,
    name: nameText,
    args() {
      const range = scanValue(bytes, name.end, 1 + depth)
      if (range.end !== bytes.length) throw new ProtocolError('bytes follow the arguments')
      return decodeRange(messagePack, bytes, range)
    }
  }
}

export const formatEvent = (
  messagePack: MessagePack,
  { channel, id, name, args }: SentEvent,
  { depth }: Pick<Limits, 'depth'>
): Uint8Array =>
  messagePack.encode([{ message_id: id, v: VERSION, response_to: channel }, name, args], {
    useBigInt64: true,
    maxDepth: depth + 4
  })

function isMessageId(value: unknown): value is MessageId {
  return (typeof value === 'string' || value instanceof Uint8Array) && value.length <= MAX_ID_BYTES
}

/** @throws ProtocolError */
function decodeRange(
  messagePack: MessagePack,
  bytes: Buffer,
  { start, end, hasLargeIntegers }: ValueRange
): unknown {
  try {
    // Not a Buffer: bytes in it would be Buffers, too.
    const range = new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start)
    const value = messagePack.decode(range, { useBigInt64: hasLargeIntegers, mapKeyConverter: keyOf })
    return hasLargeIntegers ? narrowIntegers(value) : value
  } catch (cause) {
    throw new ProtocolError(`the message cannot be decoded: ${(cause as Error).message}`, { cause })
  }
}

/** @throws TypeError */
function keyOf(key: unknown): string | number {
  if (typeof key === 'string' || typeof key === 'number') return key
  if (typeof key === 'bigint') return String(key)
  throw new TypeError('a key of a map is neither a text nor a number')
}

/** Makes numbers of the bigints that a number has exactly. */
function narrowIntegers(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (Array.isArray(value)) value.forEach((item, i) => void (value[i] = narrowIntegers(item)))
  else if (isRecord(value)) for (const [key, item] of Object.entries(value)) value[key] = narrowIntegers(item)
  return value
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
