// Writes the numbers and bytes of which gob values consist, and names the place of a value that has no form in gob.

import { LimitError } from '../../../errors.js'
import type { Limits } from '../../../protocol/limits.js'
import { describeValue } from '../../../util/describe.js'
import { isNetref } from '../../../util/library-copies.js'
import { ByteWriter } from '../../support/byte-writer.js'
import { SizeBudget, type SizeLimits } from '../../support/size-budget.js'
import { formatValuePath, NoFormError, nounOf } from '../../support/value-path.js'

export type WriteLimits = SizeLimits & Pick<Limits, 'depth'>

/** For values that this side makes itself. */
export const NO_LIMITS: WriteLimits = {
  depth: Number.MAX_SAFE_INTEGER,
  jsonBytes: Number.MAX_SAFE_INTEGER,
  frameBytes: Number.MAX_SAFE_INTEGER
}

const MAX_UINT_BYTES = 8
/** Most bytes of a number that shifts of 32 bits write. */
const MAX_SHIFT_BYTES = 4
/** Numbers whose double is exact. */
const MAX_DOUBLED = Number.MAX_SAFE_INTEGER / 2 - 1
/** Precedes an unsigned number of 4 bytes. */
const FOUR_BYTES = 0x100 - 4
const UINT64_END = 2n ** 64n

export class ValueWriter extends ByteWriter {
  /** What the value is, `result`, and the keys that lead to the present part of it. */
  #path: (string | number)[] = []
  #maxPath = 0
  #budget = new SizeBudget(NO_LIMITS)
  readonly #scratch = Buffer.alloc(MAX_UINT_BYTES)

  /** @param writeDynamic writes a value in an interface, with its type */
  constructor(readonly writeDynamic: (value: unknown) => void) {
    super()
  }

  /** Begins a value. @param whole what it is, for error texts: `result` */
  begin(whole: string, limits: WriteLimits): void {
    this.reset()
    this.#path = [whole]
    this.#maxPath = limits.depth + 1
    this.#budget = new SizeBudget(limits)
  }

  /** Enters a part of the present value. @throws LimitError if it is too deep, or the value too large */
  enter(key: string | number): void {
    if (this.#path.length > this.#maxPath)
      throw new LimitError(
        'limit',
        `${formatValuePath(this.#path)} is too deep (limits.depth), or in a cycle`
      )
    this.#path.push(key)
    this.#budget.take(key)
  }

  leave(): void {
    this.#path.pop()
  }

  /** @throws TypeError for a value that is not of a type of Go */
  refuse(value: unknown, type: string): never {
    if (typeof value === 'function' || isNetref(value))
      throw new NoFormError(this.#path, 'a reference', 'gob')
    if (isForeign(value)) throw new NoFormError(this.#path, nounOf(value), `the Go type ${type}`)
    return this.fail(`is ${describeValue(value)}: its Go type should be ${type}`)
  }

  /** @throws TypeError that names the place of the present part */
  fail(message: string): never {
    throw new TypeError(`${formatValuePath(this.#path)} ${message}`)
  }

  /** @param value 0 … 2⁶⁴ − 1 */
  writeUint(value: number | bigint): void {
    if (value < 0x80) return this.writeByte(Number(value))
    if (value < 2 ** 32) return this.#writeShort(Number(value))
    const scratch = this.#scratch
    scratch.writeBigUInt64BE(BigInt(value))
    this.#writeStripped(scratch)
  }

  /** @param value −2⁶³ … 2⁶³ − 1 */
  writeInt(value: number | bigint): void {
    if (typeof value === 'number' && Math.abs(value) < MAX_DOUBLED)
      return this.writeUint(value < 0 ? -2 * value - 1 : 2 * value)
    const whole = BigInt(value)
    this.writeUint(whole < 0n ? -2n * whole - 1n : 2n * whole)
  }

  writeFloat(value: number): void {
    const scratch = this.#scratch
    scratch.writeDoubleLE(value)
    this.#writeStripped(scratch)
  }

  writeCountedText(text: string): void {
    const size = Buffer.byteLength(text)
    this.#budget.take(text)
    this.writeUint(size)
    this.writeText(text, size)
  }

  writeCountedBytes(bytes: Uint8Array): void {
    this.#budget.take(bytes)
    this.writeUint(bytes.length)
    this.writeBytes(bytes)
  }

  /** Writes something behind its length in bytes. The length has 4 bytes, as it is written last. */
  writeMeasured(write: () => void): void {
    this.writeByte(FOUR_BYTES)
    const at = this.length
    this.writeUint32(0)
    write()
    this.writeUint32(this.length - at - 4, at)
  }

  #writeShort(value: number): void {
    const size = value < 0x100 ? 1 : value < 0x1_00_00 ? 2 : value < 0x1_00_00_00 ? 3 : MAX_SHIFT_BYTES
    this.writeByte(0x100 - size)
    for (let shift = 8 * (size - 1); shift >= 0; shift -= 8) this.writeByte((value >>> shift) & 0xff)
  }

  /** Writes the bytes of an unsigned number without leading zeros. */
  #writeStripped(bytes: Buffer): void {
    const start = bytes.findIndex(byte => byte !== 0)
    if (start === -1) return this.writeByte(0)
    if (start === MAX_UINT_BYTES - 1 && bytes[start]! < 0x80) return this.writeByte(bytes[start]!)
    this.writeByte(0x100 - (MAX_UINT_BYTES - start))
    this.writeBytes(bytes.subarray(start))
  }
}

/** Whether a number is one of Go's `int64`. */
export const isInt64 = (value: unknown): value is number | bigint =>
  isWhole(value) && BigInt.asIntN(64, BigInt(value)) === BigInt(value)

/** Whether a number is one of Go's `uint64`. */
export const isUint64 = (value: unknown): value is number | bigint =>
  isWhole(value) && value >= 0 && BigInt(value) < UINT64_END

const isWhole = (value: unknown): value is number | bigint =>
  typeof value === 'bigint' || Number.isInteger(value)

/** Whether a value is an object that is neither a list nor a record. */
function isForeign(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype !== Object.prototype && prototype !== null
}
