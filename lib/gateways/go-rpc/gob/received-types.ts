// The types that a peer has defined in a gob stream, by number, within bounds.

import { StructType } from './composite-types.js'
import { BUILT_IN_TYPES, MIN_TYPE_ID, typeOfDefinition, WIRE_TYPE, type WireType } from './definitions.js'
import { GobError } from './gob-error.js'
import { type GobType, TypeReference } from './gob-type.js'
import type { ValueReader } from './value-reader.js'

/** Maximum number of types of one stream. */
export const MAX_TYPES = 1000
/** Maximum number of fields of all its structs. */
const MAX_FIELDS = 5000
/** Maximum number of characters in the names of all types and fields. */
export const MAX_NAME_CHARACTERS = 1_000_000

export class ReceivedTypes {
  readonly #types = new Map<number, TypeReference>()
  /** Those that the present value defines. */
  readonly #recent: TypeReference[] = []
  #typeCount = 0
  #fieldCount = 0
  #nameCharacters = 0

  /** The type with a number. Its definition may come later. */
  typeAt(id: unknown): GobType {
    if (typeof id !== 'number') throw new GobError(`a type with the number ${id}`)
    const builtIn = BUILT_IN_TYPES.get(id)
    if (builtIn) return builtIn
    if (id < MIN_TYPE_ID) throw new GobError(`the unknown type ${id}`)
    let reference = this.#types.get(id)
    if (!reference) this.#types.set(id, (reference = new TypeReference(`${id}`)))
    return reference
  }

  /** Reads a definition. @throws GobError for a type that is defined already, and for too many types */
  define(id: number, reader: ValueReader): void {
    const reference = this.typeAt(id)
    if (!(reference instanceof TypeReference) || reference.definition)
      throw new GobError(`a second definition of the type ${id}`)
    const type = typeOfDefinition(WIRE_TYPE.readSent(reader) as WireType, part => this.typeAt(part))
    this.#count(type, 1)
    if (this.#typeCount > MAX_TYPES || this.#fieldCount > MAX_FIELDS)
      throw new GobError(`more than ${MAX_TYPES} types, or than ${MAX_FIELDS} fields`)
    if (this.#nameCharacters > MAX_NAME_CHARACTERS)
      throw new GobError(`names of more than ${MAX_NAME_CHARACTERS} characters`)
    reference.definition = type
    this.#recent.push(reference)
  }

  /** The present value has been read. @returns the types that it defined */
  keep(): GobType[] {
    return this.#recent.splice(0).map(({ resolved }) => resolved)
  }

  /** The present value will be read again from its start. */
  forget(): void {
    for (const reference of this.#recent.splice(0)) {
      this.#count(reference.resolved, -1)
      reference.definition = undefined
    }
  }

  #count(type: GobType, sign: 1 | -1): void {
    this.#typeCount += sign
    this.#nameCharacters += sign * type.name.length
    if (!(type instanceof StructType)) return
    this.#fieldCount += sign * type.fields.length
    for (const { name } of type.fields) this.#nameCharacters += sign * name.length
  }
}
