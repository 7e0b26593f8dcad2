// Looks at an encoded message before it is decoded: a few bytes may stand for many values.

import { LimitError } from '../../errors.js'
import type { Limits } from '../../protocol/limits.js'
import type { FieldType, MessageType } from './message-types.js'

/** The bytes are not those of a message. */
export class MalformedMessageError extends Error {
  override name = 'MalformedMessageError'
}

/** Characters that a message or bytes in a message take in a session, at least. */
const MIN_VALUE_CHARACTERS = 16
/** Maximum length of a varint, in bytes. */
const MAX_VARINT_BYTES = 10
const WireType = { varint: 0, fixed64: 1, delimited: 2, fixed32: 5 } as const
const FIXED_BYTES: Readonly<Record<number, number>> = { [WireType.fixed64]: 8, [WireType.fixed32]: 4 }
/** Numbers of the fields in an entry of a map. */
const MAP_VALUE = 2

export type ScanLimits = Pick<Limits, 'depth' | 'jsonBytes'>

/**
 * Checks an encoded message.
 *
 * @throws MalformedMessageError, and LimitError for a message that has too many messages, texts and bytes in it, or too deep
 */
export function scanMessage(bytes: Uint8Array, type: MessageType, limits: ScanLimits): void {
  new Scanner(bytes, limits).scan(bytes.length, type, 1)
}

class Scanner {
  #position = 0
  #valuesLeft: number

  constructor(
    private readonly bytes: Uint8Array,
    private readonly limits: ScanLimits
  ) {
    this.#valuesLeft = limits.jsonBytes / MIN_VALUE_CHARACTERS
  }

  /** Scans the fields up to `end`. */
  scan(end: number, type: MessageType, depth: number): void {
    const { limits } = this
    if (depth > limits.depth)
      throw new LimitError('limit', `a message is nested deeper than ${limits.depth} levels (limits.depth)`)
    while (this.#position < end) {
      const tag = this.#readVarint()
      const field = type.fieldsByNumber.get(tag >>> 3)
      if ((tag & 7) === WireType.delimited) this.#scanDelimited(end, field, depth)
      else this.#skip(tag & 7)
    }
    if (this.#position > end) throw new MalformedMessageError('a field is longer than its message')
  }

  #scanDelimited(end: number, field: FieldType | undefined, depth: number): void {
    const fieldEnd = this.#readVarint() + this.#position
    if (fieldEnd > end) throw new MalformedMessageError('a field is longer than its message')
    if (--this.#valuesLeft < 0)
      throw new LimitError('limit', 'the message has too many values (limits.jsonBytes)')
    if (field?.cardinality === 'map') this.#scanEntry(fieldEnd, field, depth)
    else if (field?.value.kind === 'message') this.scan(fieldEnd, field.value.type, depth + 1)
    this.#position = fieldEnd
  }

  /** Scans an entry of a map. */
  #scanEntry(end: number, { value }: FieldType, depth: number): void {
    while (this.#position < end) {
      const tag = this.#readVarint()
      const isMessage = value.kind === 'message' && tag >>> 3 === MAP_VALUE
      const entry = isMessage ? ({ value, cardinality: 'single' } as FieldType) : undefined
      if ((tag & 7) === WireType.delimited) this.#scanDelimited(end, entry, depth)
      else this.#skip(tag & 7)
    }
  }

  #skip(wireType: number): void {
    if (wireType === WireType.varint) return void this.#readVarint()
    const length = FIXED_BYTES[wireType]
    if (length === undefined) throw new MalformedMessageError(`a field of the wire type ${wireType}`)
    this.#position += length
  }

  /** Of a longer varint only the lower 32 bits are right. */
  #readVarint(): number {
    let value = 0
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.bytes[this.#position++]
      if (byte === undefined) break
      if (i < 5) value |= (byte & 0x7f) << (7 * i)
      if (byte < 0x80) return value >>> 0
    }
    throw new MalformedMessageError('a number is cut')
  }
}
