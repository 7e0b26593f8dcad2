// Reads the numbers and bytes of which gob values consist, within bounds.

import { LimitError } from '../../../errors.js'
import type { Limits } from '../../../protocol/limits.js'
import { GobError } from './gob-error.js'

export type ReadLimits = Pick<Limits, 'frameBytes' | 'jsonBytes' | 'depth'>

/** A value goes on in a message that has not arrived. It is no Error, as it needs no stack. */
export const INCOMPLETE = Symbol('incomplete')

/** Values that a stream may stand for whatever its length, as `take` counts them. */
const MIN_ROOM = 1 << 16
/** The same for each byte. Fields that are zero are not sent: a byte may stand for a struct with many of them. */
const ROOM_PER_BYTE = 256
/** A value and the comma behind it, in the text that a session makes of it. */
const MIN_SIZE = 2

const MAX_UINT_BYTES = 8
/** Most bytes that `Buffer.readUIntBE` reads. */
const MAX_NUMBER_BYTES = 6
const SINGLE_BYTE_END = 0x80

/**
 * What the values of a stream may take, as `take` counts them. Neither many short messages nor a value that is read again and
 * again, as it goes on, take more time than their bytes allow.
 */
export class StreamRoom {
  #left = MIN_ROOM

  /** Bytes have arrived. */
  add(bytes: number): void {
    this.#left += ROOM_PER_BYTE * bytes
  }

  /** @returns whether there was enough */
  take(size: number): boolean {
    this.#left = Math.max(this.#left - size, 0)
    return this.#left > 0
  }
}

/** Reads a value, which is in one message or goes on in further ones. Methods throw a GobError at the end of a message. */
export class ValueReader {
  #bytes: Buffer
  #at = 0
  #nextMessage = 1
  #depth = 0
  #room: number
  readonly #scratch = Buffer.alloc(MAX_UINT_BYTES)

  constructor(
    private readonly messages: readonly Buffer[],
    private readonly limits: ReadLimits,
    private readonly streamRoom: StreamRoom,
    /** Reads the value in an interface, behind the name of its type. */
    readonly readDynamic: (name: string) => unknown
  ) {
    this.#bytes = messages[0]!
    this.#room = limits.jsonBytes + limits.frameBytes
  }

  /** Number of bytes left in the present message. */
  get left(): number {
    return this.#bytes.length - this.#at
  }

  /** Goes on with the next message. @throws INCOMPLETE if it has not arrived */
  nextMessage(): void {
    this.expectEnd()
    if (this.#nextMessage === this.messages.length) throw INCOMPLETE
    this.#bytes = this.messages[this.#nextMessage++]!
    this.#at = 0
  }

  expectEnd(): void {
    if (this.left > 0) throw new GobError(`${this.left} bytes behind the end of a value`)
  }

  /** Enters a value that has parts. @throws LimitError if it is too deep */
  enter(): void {
    if (++this.#depth > this.limits.depth)
      throw new LimitError('limit', `a value is deeper than ${this.limits.depth} (limits.depth)`)
  }

  leave(): void {
    this.#depth--
  }

  /** Counts a value whose text has some characters. @throws LimitError if the values are too many for their bytes */
  take(characters = 0): void {
    const size = MIN_SIZE + characters
    this.#room -= size
    if (this.#room < 0 || !this.streamRoom.take(size))
      throw new LimitError('limit', 'a message stands for too many values')
  }

  readUint(): number | bigint {
    const size = this.#readSize()
    if (size === 0) return this.#bytes[this.#at - 1]!
    const start = this.#advance(size)
    if (size <= MAX_NUMBER_BYTES) return this.#bytes.readUIntBE(start, size)
    let value = 0n
    for (const byte of this.#bytes.subarray(start, this.#at)) value = (value << 8n) | BigInt(byte)
    return toNumber(value)
  }

  readInt(): number | bigint {
    const value = this.readUint()
    if (typeof value === 'number') return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    return toNumber((value & 1n) === 0n ? value >> 1n : ~(value >> 1n))
  }

  /** A double is an unsigned number whose bytes are those of the double in reverse. */
  readFloat(): number {
    const scratch = this.#scratch.fill(0)
    const size = this.#readSize()
    if (size === 0) scratch[MAX_UINT_BYTES - 1] = this.#bytes[this.#at - 1]!
    else this.#bytes.copy(scratch, MAX_UINT_BYTES - size, this.#advance(size), this.#at)
    return scratch.readDoubleLE()
  }

  /** An unsigned number that is an index, a count or a length. */
  readCount(): number {
    const value = this.readUint()
    if (typeof value === 'bigint') throw new GobError(`a count of ${value}`)
    return value
  }

  /** The number of a type: negative if its definition follows. */
  readTypeId(): number {
    const id = this.readInt()
    if (typeof id === 'bigint' || Math.abs(id) > MAX_TYPE_ID)
      throw new GobError(`a type with the number ${id}`)
    return id
  }

  /** Bytes behind their number, as a view of the message. */
  readBytes(): Buffer {
    const start = this.#advance(this.readCount())
    return this.#bytes.subarray(start, this.#at)
  }

  readText(): string {
    const text = this.readBytes().toString()
    this.take(text.length)
    return text
  }

  /** The number of bytes of an unsigned number; 0 if the byte just read is the number. */
  #readSize(): number {
    const first = this.#bytes[this.#advance(1)]!
    if (first < SINGLE_BYTE_END) return 0
    const size = 0x100 - first
    if (size > MAX_UINT_BYTES) throw new GobError(`a number of ${size} bytes`)
    return size
  }

  /** Skips bytes. @returns where they begin */
  #advance(size: number): number {
    const start = this.#at
    if (size > this.left) throw new GobError(`a message ends ${size - this.left} bytes early`)
    this.#at += size
    return start
  }
}

/** Go has 32 bits for it. */
const MAX_TYPE_ID = 2 ** 31 - 1

/** Numbers that a double has exactly are numbers. */
const toNumber = (value: bigint): number | bigint =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
