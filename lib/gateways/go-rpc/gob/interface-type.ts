// Gob's type of all interfaces: a value behind the name of its type.

import { GobError } from './gob-error.js'
import { GobType } from './gob-type.js'
import type { ValueReader } from './value-reader.js'
import type { ValueWriter } from './value-writer.js'

/** Go reads no longer ones. */
const MAX_NAME_CHARACTERS = 1024

class InterfaceType extends GobType {
  override get builtInId(): number {
    return 8
  }

  /** The value itself: the name of its type is left out. A nil interface is null. */
  read(reader: ValueReader): unknown {
    const name = reader.readText()
    if (name === '') return null
    if (name.length > MAX_NAME_CHARACTERS) throw new GobError('a type with a name that is too long')
    reader.enter()
    const value = reader.readDynamic(name)
    reader.leave()
    return value
  }

  write(writer: ValueWriter, value: unknown): void {
    if ((value ?? null) === null) this.writeZero(writer)
    else writer.writeDynamic(value)
  }

  zero(reader: ValueReader): null {
    reader.take()
    return null
  }
}

export const INTERFACE: GobType = new InterfaceType('interface {}')
