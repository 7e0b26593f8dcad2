// The base of the types of gob: a type reads and writes its values.

import { GobError } from './gob-error.js'
import type { ValueReader } from './value-reader.js'
import type { ValueWriter } from './value-writer.js'

/** Where the types of a stream have their numbers. */
export type TypeIds = (type: GobType) => number

export abstract class GobType {
  /** @param name the type as Go writes it: `int`, `[]string`, `Person` */
  constructor(readonly name: string) {}

  abstract read(reader: ValueReader): unknown
  /** @throws TypeError for a value that this type does not have */
  abstract write(writer: ValueWriter, value: unknown): void
  /** The value of a field that was not sent. */
  abstract zero(reader: ValueReader): unknown

  /** The type itself; for a reference to a type, what it refers to. */
  get resolved(): GobType {
    return this
  }

  /** The number of a type that every stream has. */
  get builtInId(): number | undefined {
    return undefined
  }

  /** Whether Go numbers it before its parts. */
  get isNumberedFirst(): boolean {
    return false
  }

  /** The types of the parts of its values. */
  get parts(): readonly GobType[] {
    return []
  }

  /** The types whose zeros are in its zero. */
  get zeroParts(): readonly GobType[] {
    return []
  }

  /** The definition that a stream has of this type, as the value of gob's `wireType`; undefined for types that need none. */
  /* c8 ignore next 3: only types that need one are asked. */
  define(_id: number, _ids: TypeIds): object | undefined {
    return undefined
  }

  /** Reads a value that is no part of another one. */
  readAlone(reader: ValueReader): unknown {
    if (reader.readCount() !== 0) throw new GobError(`a ${this.name} that does not begin with 0`)
    return this.read(reader)
  }

  /** Writes a value that is no part of another one. */
  writeAlone(writer: ValueWriter, value: unknown): void {
    writer.writeByte(0)
    this.write(writer, value)
  }

  /** As `writeAlone`, for the value of nothing. */
  writeZeroAlone(writer: ValueWriter): void {
    writer.writeByte(0)
    this.writeZero(writer)
  }

  /** Writes the value of nothing: `undefined` and `null`, where no other value has its place. */
  writeZero(writer: ValueWriter): void {
    writer.writeByte(0)
  }
}

/** A type by the reference to it, which may come before its definition. */
export class TypeReference extends GobType {
  definition: GobType | undefined

  override get resolved(): GobType {
    const { definition } = this
    if (!definition) throw new GobError(`a value of the type ${this.name}, which is not defined`)
    return definition.resolved
  }

  read(reader: ValueReader): unknown {
    return this.resolved.read(reader)
  }

  write(writer: ValueWriter, value: unknown): void {
    this.resolved.write(writer, value)
  }

  zero(reader: ValueReader): unknown {
    return this.resolved.zero(reader)
  }

  override writeZero(writer: ValueWriter): void {
    this.resolved.writeZero(writer)
  }
}

/** A type, and all that are found from it. */
export function typesFrom(
  type: GobType,
  next: (type: GobType) => readonly GobType[] = ({ parts }) => parts
): Set<GobType> {
  const found = new Set([type.resolved])
  // The loop also visits the types that it adds.
  for (const one of found) for (const part of next(one)) found.add(part.resolved)
  return found
}
