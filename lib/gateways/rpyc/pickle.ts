// Writes plain data as a pickle of protocol 3, for `rpyc.classic.obtain`. Nothing here reads a pickle: that would run code.
//
// | JavaScript                  | Python                                              |
// |-----------------------------|-----------------------------------------------------|
// | null, undefined             | None                                                |
// | number, bigint              | int if it is a safe integer or a bigint, else float |
// | array, plain object or Map  | list, dict                                          |
// | Set                         | set                                                 |
// | Uint8Array, ArrayBuffer     | bytes                                               |
// | Date                        | str, as ISO 8601; None if it is invalid             |
//
// An array that is a key of a Map or an item of a Set becomes a tuple, as Python hashes no lists. An object that occurs twice,
// or contains itself, does so in Python, too.

import { ByteWriter } from '../support/byte-writer.js'
import { NoFormError, nounOf } from '../support/value-path.js'

const PROTOCOL_3 = [0x80, 3]
const STOP = 0x2e
const MARK = 0x28
const NONE = 0x4e
const TRUE = 0x88
const FALSE = 0x89
const INT_U8 = 0x4b
const INT_32 = 0x4a
const LONG_U8 = 0x8a
const LONG_U32 = 0x8b
const FLOAT = 0x47
const TEXT = 0x58
const BYTES = 0x42
const EMPTY_LIST = 0x5d
const APPENDS = 0x65
const EMPTY_DICT = 0x7d
const SETITEMS = 0x75
const TUPLE = 0x74
const PUT = 0x72
const GET = 0x6a
/** Pushes the class `set`. */
const SET_CLASS = [...Buffer.from('cbuiltins\nset\n')]
/** Calls the class before with the list on the stack. */
const TUPLE_1_REDUCE = [0x85, 0x52]
const LONE_SURROGATE = /\p{Surrogate}/u
const INT_BITS = 32

/**
 * Writes plain data.
 *
 * @param depth maximum depth of the value
 * @throws NoFormError if a part is not plain data, with its path
 * @throws RangeError if it is deeper
 */
export function pickle(value: unknown, depth: number): Buffer {
  const pickler = new Pickler(depth)
  pickler.writeBytes(PROTOCOL_3)
  pickler.writeValue(value)
  pickler.writeByte(STOP)
  return pickler.take()
}

class Pickler extends ByteWriter {
  /** Memo numbers of the objects that were written. */
  readonly #memo = new Map<object, number>()
  /** The keys that lead to the present value. */
  readonly #path: (string | number)[] = ['result']

  constructor(private readonly depth: number) {
    super()
  }

  writeValue(value: unknown): void {
    switch (typeof value) {
      case 'undefined':
        return this.writeByte(NONE)
      case 'boolean':
        return this.writeByte(value ? TRUE : FALSE)
      case 'number':
        return this.#writeNumber(value)
      case 'bigint':
        return this.#writeLong(value)
      case 'string':
        return this.#writeText(value)
      case 'object':
        return value === null ? this.writeByte(NONE) : this.#writeObject(value)
      default:
        throw this.#hasNoForm(typeof value === 'function' ? 'a reference' : `a ${typeof value}`)
    }
  }

  #hasNoForm(what: string): NoFormError {
    return new NoFormError(this.#path, what, 'a pickle of plain data')
  }

  #checkDepth(): void {
    if (this.#path.length > this.depth)
      throw new RangeError(`the result is deeper than ${this.depth} objects (limits.depth)`)
  }

  #writeNumber(value: number): void {
    if (Object.is(value, -0) || !Number.isSafeInteger(value)) {
      this.writeByte(FLOAT)
      this.writeDouble(value)
    } else if (value >= 0 && value <= 0xff) this.writeBytes([INT_U8, value])
    else if (value === (value | 0)) {
      this.writeByte(INT_32)
      this.writeUint32LE(value >>> 0)
    } else this.#writeLong(BigInt(value))
  }

  /** Writes an int as two's complement, little-endian. */
  #writeLong(value: bigint): void {
    // One bit more, for the sign.
    const bits = (value < 0n ? ~value : value).toString(16).length * 4 + 1
    const words = Math.ceil(bits / INT_BITS)
    if (words * 4 < 0x100) this.writeBytes([LONG_U8, words * 4])
    else {
      this.writeByte(LONG_U32)
      this.writeUint32LE(words * 4)
    }
    const hex = BigInt.asUintN(words * INT_BITS, value)
      .toString(16)
      .padStart(words * 8, '0')
    this.writeBytes(Buffer.from(hex, 'hex').reverse())
  }

  #writeText(text: string): void {
    if (LONE_SURROGATE.test(text)) throw this.#hasNoForm('a text with a lone surrogate')
    const size = Buffer.byteLength(text)
    this.writeByte(TEXT)
    this.writeUint32LE(size)
    this.writeText(text, size)
  }

  #writeObject(object: object): void {
    const number = this.#memo.get(object)
    if (number !== undefined) {
      this.writeByte(GET)
      return this.writeUint32LE(number)
    }
    this.#checkDepth()
    if (object instanceof Date)
      return this.writeValue(Number.isNaN(object.getTime()) ? null : object.toISOString())
    if (object instanceof ArrayBuffer) object = new Uint8Array(object)
    if (object instanceof Uint8Array) {
      this.writeByte(BYTES)
      this.writeUint32LE(object.length)
      return this.writeBytes(object)
    }
    if (Array.isArray(object)) {
      this.writeByte(EMPTY_LIST)
      this.#memoize(object)
      return this.#writeItems(object, APPENDS, item => this.writeValue(item))
    }
    if (object instanceof Set) {
      this.writeBytes(SET_CLASS)
      this.writeByte(EMPTY_LIST)
      this.#writeItems(object, APPENDS, item => this.#writeKey(item))
      this.writeBytes(TUPLE_1_REDUCE)
      return this.#memoize(object)
    }
    const entries = object instanceof Map ? object : isPlain(object) ? Object.entries(object) : undefined
    if (!entries) throw this.#hasNoForm(nounOf(object))
    this.writeByte(EMPTY_DICT)
    this.#memoize(object)
    this.writeByte(MARK)
    for (const [key, value] of entries) {
      this.#path.push(typeof key === 'number' ? key : String(key))
      this.#writeKey(key)
      this.writeValue(value)
      this.#path.pop()
    }
    this.writeByte(SETITEMS)
  }

  /** Gives the object on the stack a number. */
  #memoize(object: object): void {
    this.writeByte(PUT)
    this.writeUint32LE(this.#memo.size)
    this.#memo.set(object, this.#memo.size)
  }

  #writeItems(items: Iterable<unknown>, end: number, write: (item: unknown) => void): void {
    this.writeByte(MARK)
    let index = 0
    for (const item of items) {
      this.#path.push(index++)
      write(item)
      this.#path.pop()
    }
    this.writeByte(end)
  }

  /** Writes a value that Python hashes. */
  #writeKey(key: unknown): void {
    if (Array.isArray(key)) {
      this.#checkDepth()
      return this.#writeItems(key, TUPLE, item => this.#writeKey(item))
    }
    if (isHashable(key)) return this.writeValue(key)
    throw this.#hasNoForm(`a key that is ${isPlain(key as object) ? 'an object' : nounOf(key as object)}`)
  }
}

const isHashable = (key: unknown): boolean =>
  typeof key !== 'object' || key === null || key instanceof Uint8Array || key instanceof Date

function isPlain(object: object): boolean {
  const prototype = Object.getPrototypeOf(object)
  return prototype === Object.prototype || prototype === null
}
