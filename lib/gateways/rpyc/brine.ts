// Brine, RPyC's encoding of plain values: one tag byte, then data, numbers big-endian.
//
// | Python                  | JavaScript                                                    |
// |-------------------------|---------------------------------------------------------------|
// | None                    | null; undefined is encoded as null                            |
// | bool, str               | boolean, string                                               |
// | int                     | number if it is a safe integer, else bigint                   |
// | float                   | number; encoded for numbers that are no safe integers, and -0 |
// | bytes                   | Uint8Array, a copy                                            |
// | tuple                   | array                                                         |
// | frozenset               | Set                                                           |
// | slice, complex          | BrineSlice, BrineComplex                                      |
// | NotImplemented, Ellipsis | the symbols NOT_IMPLEMENTED, ELLIPSIS                        |
//
// The encoder chooses the shortest form. The decoder accepts any, and ignores bytes after the value.
import { isUtf8 } from 'node:buffer'
import { ByteWriter } from '../support/byte-writer.js'

export const NOT_IMPLEMENTED = Symbol('NotImplemented')
export const ELLIPSIS = Symbol('Ellipsis')

/** Python's `slice(start, stop, step)`. */
export class BrineSlice {
  constructor(
    readonly start: BrineValue,
    readonly stop: BrineValue,
    readonly step: BrineValue
  ) {}
}

/** Python's `complex`. */
export class BrineComplex {
  constructor(
    readonly real: number,
    readonly imaginary: number
  ) {}
}

export type BrineValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | typeof NOT_IMPLEMENTED
  | typeof ELLIPSIS
  | Uint8Array
  | BrineSlice
  | BrineComplex
  | readonly BrineValue[]
  | ReadonlySet<BrineValue>

/** Bytes that are no brine or exceed a limit, or a value without a form in brine. */
export class BrineError extends Error {
  override name = 'BrineError'
}

/** Limits on a received value. */
export interface BrineLimits {
  /** Maximum depth of tuples, frozensets and slices. */
  readonly depth: number
  /** Maximum number of bytes that are not the content of `bytes`. */
  readonly jsonBytes: number
  /** Maximum number of digits of an int. */
  readonly bigintDigits: number
}

const NONE = 0x00
const EMPTY_BYTES = 0x01
const EMPTY_TUPLE = 0x02
const TRUE = 0x03
const FALSE = 0x04
const TAG_NOT_IMPLEMENTED = 0x05
const TAG_ELLIPSIS = 0x06
const STRING = 0x08
/** Bytes of length 1; those of length 2 to 4 follow. */
const BYTES_1 = 0x0a
const BYTES_U8 = 0x0e
const BYTES_U32 = 0x0f
/** A tuple of 1 item; those of 2 to 4 follow. */
const TUPLE_1 = 0x10
const TUPLE_U8 = 0x14
const TUPLE_U32 = 0x15
const INT_U8 = 0x16
const INT_U32 = 0x17
const FLOAT = 0x18
const SLICE = 0x19
const FROZENSET = 0x1a
const COMPLEX = 0x1b
/** The tag of 0. Tags around it are the ints from -48 to 159. */
const ZERO = 0x50
const [MIN_TAGGED_INT, MAX_TAGGED_INT] = [-0x30, 0x9f]
const [FIRST_TAGGED_INT, LAST_TAGGED_INT] = [ZERO + MIN_TAGGED_INT, ZERO + MAX_TAGGED_INT]

/** Maximum depth of an encoded value. Python reads values of any depth by recursion. */
const MAX_ENCODED_DEPTH = 200
/** Maximum number of values in one that is passed by value. */
const MAX_ENCODED_VALUES = 1 << 21
/** CPython since 3.11 reads no int with more digits, and RPyC then ends the connection. */
const MAX_ENCODED_DIGITS = 4300
/** Decimal numbers of so many digits are exact as JavaScript's numbers. */
const MAX_EXACT_DIGITS = 15
/** Texts up to this length are read and written by character, as a call of a native method costs more. */
const SHORT_TEXT = 24
const LONE_SURROGATE = /\p{Surrogate}/u

/**
 * Whether brine has a form for a value: whether RPyC passes it by value.
 *
 * @param room how many values it may consist of: one that is in it many times is written as often
 */
export function isBrine(
  value: unknown,
  depth = MAX_ENCODED_DEPTH,
  room = { values: MAX_ENCODED_VALUES }
): value is BrineValue | undefined {
  if (--room.values < 0) return false
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'undefined':
      return true
    case 'bigint':
      return isShortInt(value)
    case 'symbol':
      return value === NOT_IMPLEMENTED || value === ELLIPSIS
    case 'function':
      return false
  }
  if (value === null || value instanceof Uint8Array || value instanceof BrineComplex) return true
  if (depth === 0) return false
  if (Array.isArray(value) || value instanceof Set) {
    for (const item of value) if (!isBrine(item, depth - 1, room)) return false
    return true
  }
  return (
    value instanceof BrineSlice &&
    isBrine(value.start, depth - 1, room) &&
    isBrine(value.stop, depth - 1, room) &&
    isBrine(value.step, depth - 1, room)
  )
}

const LARGEST_INT = 10n ** BigInt(MAX_ENCODED_DIGITS)
const isShortInt = (value: bigint): boolean => value < LARGEST_INT && value > -LARGEST_INT

/** Appends values. */
export class BrineWriter extends ByteWriter {
  /** @throws BrineError if the value has no form, a text lone surrogates, or an int more digits than Python reads */
  writeValue(value: unknown, depth = MAX_ENCODED_DEPTH): void {
    switch (typeof value) {
      case 'string':
        return this.#writeString(value)
      case 'number':
        return this.#writeNumber(value)
      case 'boolean':
        return this.writeByte(value ? TRUE : FALSE)
      case 'undefined':
        return this.writeByte(NONE)
      case 'bigint':
        return this.#writeBigInt(value)
      case 'object':
        if (value === null) return this.writeByte(NONE)
        if (Array.isArray(value)) return this.#writeTuple(value, value.length, depth)
        if (value instanceof Uint8Array) return this.#writeBytesValue(value)
        if (value instanceof Set) {
          this.writeByte(FROZENSET)
          return this.#writeTuple(value, value.size, depth)
        }
        if (value instanceof BrineSlice) {
          this.writeByte(SLICE)
          return this.#writeTuple([value.start, value.stop, value.step], 3, depth)
        }
        if (value instanceof BrineComplex) {
          this.writeByte(COMPLEX)
          this.writeDouble(value.real)
          return this.writeDouble(value.imaginary)
        }
    }
    if (value === NOT_IMPLEMENTED) return this.writeByte(TAG_NOT_IMPLEMENTED)
    if (value === ELLIPSIS) return this.writeByte(TAG_ELLIPSIS)
    throw new BrineError(`brine has no form for a value of type ${typeof value}: pass it by reference`)
  }

  #writeTuple(items: Iterable<unknown>, count: number, depth: number): void {
    if (depth === 0)
      throw new BrineError(`a value is deeper than ${MAX_ENCODED_DEPTH} tuples: pass it by reference`)
    this.#writeCount(count, EMPTY_TUPLE, TUPLE_1, TUPLE_U8)
    if (Array.isArray(items)) for (let i = 0; i < count; i++) this.writeValue(items[i], depth - 1)
    else for (const item of items) this.writeValue(item, depth - 1)
  }

  #writeBytesValue(bytes: Uint8Array): void {
    this.#writeCount(bytes.length, EMPTY_BYTES, BYTES_1, BYTES_U8)
    this.writeBytes(bytes)
  }

  /** Writes the tag of bytes or a tuple, and its length unless the tag says it. */
  #writeCount(count: number, empty: number, one: number, short: number): void {
    if (count === 0) this.writeByte(empty)
    else if (count <= 4) this.writeByte(one + count - 1)
    else if (count < 0x100) {
      this.writeByte(short)
      this.writeByte(count)
    } else {
      this.writeByte(short + 1)
      this.writeUint32(count)
    }
  }

  #writeString(text: string): void {
    this.writeByte(STRING)
    const start = this.length
    if (text.length <= SHORT_TEXT) {
      this.#writeCount(text.length, EMPTY_BYTES, BYTES_1, BYTES_U8)
      if (this.writeAscii(text)) return
      this.length = start
    }
    if (LONE_SURROGATE.test(text))
      throw new BrineError('a text has a lone surrogate, which Python cannot read')
    const size = Buffer.byteLength(text)
    this.#writeCount(size, EMPTY_BYTES, BYTES_1, BYTES_U8)
    this.writeText(text, size)
  }

  #writeNumber(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      if (value >= MIN_TAGGED_INT && value <= MAX_TAGGED_INT) this.writeByte(ZERO + value)
      else this.#writeDigits(String(value))
    } else {
      this.writeByte(FLOAT)
      this.writeDouble(value)
    }
  }

  #writeBigInt(value: bigint): void {
    if (value >= MIN_TAGGED_INT && value <= MAX_TAGGED_INT) return this.writeByte(ZERO + Number(value))
    if (!isShortInt(value))
      throw new BrineError(`a bigint has more than ${MAX_ENCODED_DIGITS} digits, which Python does not read`)
    this.#writeDigits(value.toString())
  }

  #writeDigits(digits: string): void {
    const { length } = digits
    if (length < 0x100) {
      this.writeByte(INT_U8)
      this.writeByte(length)
    } else {
      this.writeByte(INT_U32)
      this.writeUint32(length)
    }
    this.writeText(digits, length, 'latin1')
  }
}

/** The writer that is not in use. An array of a user may run code that encodes another value. */
let idleWriter: BrineWriter | undefined

/** Runs a function with an empty writer. @returns what it wrote */
export function writeBrine(write: (writer: BrineWriter) => void): Buffer {
  const writer = idleWriter ?? new BrineWriter()
  idleWriter = undefined
  try {
    write(writer)
    return writer.take()
  } finally {
    writer.reset()
    idleWriter = writer
  }
}

/**
 * Encodes a value.
 *
 * @throws BrineError if the value has no form, a text lone surrogates, or an int more digits than Python reads
 */
export const encodeBrine = (value: unknown): Buffer => writeBrine(writer => writer.writeValue(value))

/**
 * Decodes the value at the start of `bytes`.
 *
 * @throws BrineError if the bytes are no brine, or exceed a limit
 */
export function decodeBrine(bytes: Uint8Array, limits: BrineLimits, start = 0): BrineValue {
  reader.begin(bytes, limits, start)
  try {
    return reader.readValue(limits.depth)
  } finally {
    reader.begin(NO_BYTES, limits, 0)
  }
}

class BrineReader {
  #bytes: Buffer = NO_BYTES
  #limits!: BrineLimits
  #position = 0
  /** The limit for `#position`, which grows by the content of `bytes`. */
  #limit = 0

  begin(bytes: Uint8Array, limits: BrineLimits, start: number): void {
    this.#bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#limits = limits
    this.#position = start
    this.#limit = start + limits.jsonBytes
  }

  readValue(depth: number): BrineValue {
    const tag = this.#readByte()
    if (tag >= FIRST_TAGGED_INT && tag <= LAST_TAGGED_INT) return tag - ZERO
    switch (tag) {
      case NONE:
        return null
      case TRUE:
        return true
      case FALSE:
        return false
      case STRING:
        return this.#readString()
      case EMPTY_TUPLE:
        return []
      case TUPLE_1:
      case TUPLE_1 + 1:
      case TUPLE_1 + 2:
      case TUPLE_1 + 3:
        return this.#readItems(tag - TUPLE_1 + 1, depth)
      case TUPLE_U8:
        return this.#readItems(this.#readByte(), depth)
      case TUPLE_U32:
        return this.#readItems(this.#readUint32(), depth)
      case INT_U8:
        return this.#readInt(this.#readByte())
      case INT_U32:
        return this.#readInt(this.#readUint32())
      case FLOAT:
        return this.#readDouble()
      case SLICE: {
        const items = this.#readTuple(depth)
        if (items.length !== 3) throw new BrineError(`a slice of ${items.length} items`)
        return new BrineSlice(items[0]!, items[1]!, items[2]!)
      }
      case FROZENSET:
        return new Set(this.#readTuple(depth))
      case COMPLEX:
        return new BrineComplex(this.#readDouble(), this.#readDouble())
      case TAG_NOT_IMPLEMENTED:
        return NOT_IMPLEMENTED
      case TAG_ELLIPSIS:
        return ELLIPSIS
    }
    const length = this.#bytesLength(tag)
    if (length === undefined) throw new BrineError(`the unknown tag ${tag}`)
    const start = this.#skip(length)
    this.#limit += length
    return new Uint8Array(this.#bytes.subarray(start, start + length))
  }

  #readByte(): number {
    return this.#bytes[this.#skip(1)]!
  }

  /** Checks that so many bytes are left, and passes over them. @returns the position of the first */
  #skip(count: number): number {
    const start = this.#position
    if (count > this.#bytes.length - start)
      throw new BrineError(`${count} bytes where ${this.#bytes.length - start} are left`)
    if (start > this.#limit)
      throw new BrineError(`more than ${this.#limits.jsonBytes} bytes (limits.jsonBytes)`)
    this.#position = start + count
    return start
  }

  #readUint32(): number {
    return this.#bytes.readUInt32BE(this.#skip(4))
  }

  #readDouble(): number {
    return this.#bytes.readDoubleBE(this.#skip(8))
  }

  #readTuple(depth: number): readonly BrineValue[] {
    const tuple = this.readValue(depth)
    if (!Array.isArray(tuple)) throw new BrineError('a slice or a frozenset without a tuple')
    return tuple
  }

  #readItems(count: number, depth: number): readonly BrineValue[] {
    if (depth === 0) throw new BrineError(`a value deeper than ${this.#limits.depth} tuples (limits.depth)`)
    const left = this.#bytes.length - this.#position
    if (count > left) throw new BrineError(`a tuple of ${count} items where ${left} bytes are left`)
    const items: BrineValue[] = []
    for (let i = 0; i < count; i++) items.push(this.readValue(depth - 1))
    return items
  }

  /** The length of `bytes`, undefined if the tag is of another kind. */
  #bytesLength(tag: number): number | undefined {
    if (tag === EMPTY_BYTES) return 0
    if (tag >= BYTES_1 && tag < BYTES_U8) return tag - BYTES_1 + 1
    if (tag === BYTES_U8) return this.#readByte()
    return tag === BYTES_U32 ? this.#readUint32() : undefined
  }

  #readString(): string {
    const length = this.#bytesLength(this.#readByte())
    if (length === undefined) throw new BrineError('a text without bytes')
    const bytes = this.#bytes
    const start = this.#skip(length)
    if (length <= SHORT_TEXT) {
      let text = ''
      let i = start
      for (; i < this.#position && bytes[i]! < 0x80; i++) text += String.fromCharCode(bytes[i]!)
      if (i === this.#position) return text
    }
    const text = bytes.toString('utf8', start, this.#position)
    if (text.includes('\ufffd') && !isUtf8(bytes.subarray(start, this.#position)))
      throw new BrineError('a text that is no UTF-8')
    return text
  }

  #readInt(length: number): number | bigint {
    const { bigintDigits } = this.#limits
    // One more for the sign.
    if (length > bigintDigits + 1)
      throw new BrineError(`an int of more than ${bigintDigits} digits (limits.bigintDigits)`)
    const bytes = this.#bytes
    let i = this.#skip(length)
    const start = i
    const isNegative = bytes[i] === MINUS
    if (isNegative) i++
    if (i === this.#position) throw new BrineError('an int without digits')
    const isExact = this.#position - i <= MAX_EXACT_DIGITS
    let value = 0
    for (; i < this.#position; i++) {
      const digit = bytes[i]! - DIGIT_0
      if (digit < 0 || digit > 9) throw new BrineError('an int with other characters than digits')
      value = value * 10 + digit
    }
    if (isExact) return isNegative && value !== 0 ? -value : value
    const exact = BigInt(bytes.toString('latin1', start, this.#position))
    const approximate = Number(exact)
    return Number.isSafeInteger(approximate) ? approximate : exact
  }
}

const NO_BYTES = Buffer.alloc(0)
const MINUS = 0x2d
const DIGIT_0 = 0x30
const reader = new BrineReader()
