// Types of Go that encode themselves: their values are bytes. That of `time.Time` is a Date.

import { bytesOf } from './basic-types.js'
import { GobType } from './gob-type.js'
import { decodeTime, encodeTime, ZERO_TIME_MS } from './time.js'
import type { ValueReader } from './value-reader.js'
import type { ValueWriter } from './value-writer.js'

/** The methods by which a type of Go encodes itself, as the fields of gob's `wireType`. */
export type OpaqueKind = 'GobEncoderT' | 'BinaryMarshalerT' | 'TextMarshalerT'

const TIME_NAME = 'Time'

/** Bytes that only the type itself understands. */
export class OpaqueType extends GobType {
  constructor(
    name: string,
    private readonly kind: OpaqueKind
  ) {
    super(name)
  }

  read(reader: ValueReader): unknown {
    reader.take()
    return new Uint8Array(reader.readBytes())
  }

  write(writer: ValueWriter, value: unknown): void {
    writer.writeCountedBytes(bytesOf(value) ?? writer.refuse(value, this.name))
  }

  zero(reader: ValueReader): unknown {
    reader.take()
    return new Uint8Array()
  }

  override define(id: number): object {
    return { [this.kind]: { CommonType: { Name: this.name, Id: id } } }
  }
}

/** A type with the name of `time.Time`. The bytes of another type with that name stay bytes. */
class TimeType extends OpaqueType {
  override read(reader: ValueReader): unknown {
    const bytes = super.read(reader) as Uint8Array
    return decodeTime(bytes) ?? bytes
  }

  override write(writer: ValueWriter, value: unknown): void {
    if (!(value instanceof Date)) return super.write(writer, value)
    super.write(writer, encodeTime(value) ?? writer.fail('is an invalid Date'))
  }

  override zero(reader: ValueReader): unknown {
    reader.take()
    return new Date(ZERO_TIME_MS)
  }

  override writeZero(writer: ValueWriter): void {
    this.write(writer, new Date(ZERO_TIME_MS))
  }
}

/** `time.Time` */
export const TIME: GobType = new TimeType(TIME_NAME, 'GobEncoderT')

/** The type of that name and kind. */
export const opaqueType = (name: string, kind: OpaqueKind): GobType =>
  kind === 'GobEncoderT' && name === TIME_NAME ? TIME : new OpaqueType(name, kind)
