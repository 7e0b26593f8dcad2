// The types that every gob stream has: numbers, texts and bytes.

import { GobType } from './gob-type.js'
import type { ValueReader } from './value-reader.js'
import { isInt64, isUint64, type ValueWriter } from './value-writer.js'

/** A complex number of Go. */
export interface GoComplex {
  /** The real part. */
  readonly real: number
  /** The imaginary part. */
  readonly imag: number
}

abstract class BasicType<T> extends GobType {
  constructor(
    name: string,
    private readonly id: number
  ) {
    super(name)
  }

  override get builtInId(): number {
    return this.id
  }

  read(reader: ValueReader): T {
    reader.take()
    return this.readValue(reader)
  }

  write(writer: ValueWriter, value: unknown): void {
    if (!this.has(value)) writer.refuse(value, this.name)
    this.writeValue(writer, value)
  }

  zero(reader: ValueReader): T {
    reader.take()
    return this.zeroValue
  }

  protected abstract readonly zeroValue: T
  protected abstract has(value: unknown): value is T
  protected abstract readValue(reader: ValueReader): T
  protected abstract writeValue(writer: ValueWriter, value: T): void
}

class BoolType extends BasicType<boolean> {
  protected readonly zeroValue = false

  protected has(value: unknown): value is boolean {
    return typeof value === 'boolean'
  }

  protected readValue(reader: ValueReader): boolean {
    return reader.readUint() !== 0
  }

  protected writeValue(writer: ValueWriter, value: boolean): void {
    writer.writeByte(Number(value))
  }
}

/** Numbers of up to 64 bits. Those that a double does not have exactly are bigints. */
class IntType extends BasicType<number | bigint> {
  protected readonly zeroValue = 0

  protected has(value: unknown): value is number | bigint {
    return isInt64(value)
  }

  protected readValue(reader: ValueReader): number | bigint {
    return reader.readInt()
  }

  protected writeValue(writer: ValueWriter, value: number | bigint): void {
    writer.writeInt(value)
  }
}

class UintType extends BasicType<number | bigint> {
  protected readonly zeroValue = 0

  protected has(value: unknown): value is number | bigint {
    return isUint64(value)
  }

  protected readValue(reader: ValueReader): number | bigint {
    return reader.readUint()
  }

  protected writeValue(writer: ValueWriter, value: number | bigint): void {
    writer.writeUint(value)
  }
}

class FloatType extends BasicType<number> {
  protected readonly zeroValue = 0

  protected has(value: unknown): value is number {
    return typeof value === 'number'
  }

  protected readValue(reader: ValueReader): number {
    return reader.readFloat()
  }

  protected writeValue(writer: ValueWriter, value: number): void {
    writer.writeFloat(value)
  }
}

class ComplexType extends BasicType<GoComplex> {
  protected readonly zeroValue = { real: 0, imag: 0 }

  protected has(value: unknown): value is GoComplex {
    const { real, imag } = Object(value) as Partial<GoComplex>
    return typeof real === 'number' && typeof imag === 'number'
  }

  protected readValue(reader: ValueReader): GoComplex {
    return { real: reader.readFloat(), imag: reader.readFloat() }
  }

  protected writeValue(writer: ValueWriter, { real, imag }: GoComplex): void {
    writer.writeFloat(real)
    writer.writeFloat(imag)
  }

  override writeZero(writer: ValueWriter): void {
    this.writeValue(writer, this.zeroValue)
  }
}

/** Byte sequences that are not UTF-8 arrive as U+FFFD. */
class StringType extends BasicType<string> {
  protected readonly zeroValue = ''

  protected has(value: unknown): value is string {
    return typeof value === 'string'
  }

  protected readValue(reader: ValueReader): string {
    return reader.readText()
  }

  protected writeValue(writer: ValueWriter, value: string): void {
    writer.writeCountedText(value)
  }
}

class BytesType extends BasicType<Uint8Array> {
  protected get zeroValue(): Uint8Array {
    return new Uint8Array()
  }

  protected has(value: unknown): value is Uint8Array {
    return bytesOf(value) !== undefined || value === null
  }

  protected readValue(reader: ValueReader): Uint8Array {
    return new Uint8Array(reader.readBytes())
  }

  protected writeValue(writer: ValueWriter, value: unknown): void {
    writer.writeCountedBytes(bytesOf(value) ?? this.zeroValue)
  }
}

/** The bytes of a buffer or of a view of bytes; undefined for other values. */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  if (
    value instanceof Uint8Array ||
    value instanceof Uint8ClampedArray ||
    value instanceof Int8Array ||
    value instanceof DataView
  )
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  return undefined
}

export const BOOL: GobType = new BoolType('bool', 1)
export const INT: GobType = new IntType('int', 2)
export const UINT: GobType = new UintType('uint', 3)
export const FLOAT: GobType = new FloatType('float64', 4)
export const BYTES: GobType = new BytesType('[]uint8', 5)
export const STRING: GobType = new StringType('string', 6)
export const COMPLEX: GobType = new ComplexType('complex128', 7)
