// The types that a Go program has defined on a connection, and the names by which it has registered types.

import { StructType } from './gob/composite-types.js'
import type { DecoderListener } from './gob/decoder.js'
import { type GobType, typesFrom } from './gob/gob-type.js'
import { MAX_TYPES } from './gob/received-types.js'

/** Types that every Go program knows by name, beside the lists of them. */
const BASIC_NAMES = ['bool', 'int', 'uint', 'float64', 'complex128', 'string']
const REGISTERED_BY_GO: ReadonlySet<string> = new Set([
  '[]uint8',
  ...BASIC_NAMES,
  ...BASIC_NAMES.map(name => `[]${name}`)
])

/** A struct by the name under which the Go program has registered it. */
export interface RegisteredStruct {
  readonly name: string
  readonly type: StructType
}

export class KnownTypes implements DecoderListener {
  /** Structs by the names of their fields: the last one of those with the same. */
  readonly #structs = new Map<string, StructType>()
  readonly #registered: Map<string, GobType>

  /** @param registered types that are declared, by name */
  constructor(registered: ReadonlyMap<string, GobType>) {
    this.#registered = new Map(registered)
  }

  onTypes(types: readonly GobType[]): void {
    for (const type of types)
      if (type instanceof StructType && type.fields.length > 0)
        this.#structs.set(fieldsKey(namesOf(type)), type)
  }

  onRegistered(name: string, type: GobType): void {
    if (this.#registered.size < MAX_TYPES) this.#registered.set(name, type)
  }

  /** The struct with these fields. */
  struct(names: readonly string[]): StructType | undefined {
    return this.#structs.get(fieldsKey(names))
  }

  /** The registered struct with these fields. */
  registeredStruct(names: readonly string[]): RegisteredStruct | undefined {
    const key = fieldsKey(names)
    for (const [name, { resolved: type }] of this.#registered)
      if (type instanceof StructType && fieldsKey(namesOf(type)) === key) return { name, type }
    return undefined
  }

  /** The name by which the Go program has registered a type that is no struct; undefined if it is not known to have. */
  registeredName(type: GobType): string | undefined {
    if (REGISTERED_BY_GO.has(type.name) || this.#registered.has(type.name)) return type.name
    for (const [name, { resolved }] of this.#registered) if (resolved === type) return name
    return undefined
  }
}

/** The structs of a type and its parts. */
export class NearStructs {
  readonly #structs: readonly StructType[]

  constructor(type: GobType | undefined) {
    this.#structs = type ? [...typesFrom(type)].filter(one => one instanceof StructType) : []
  }

  /** The struct with these fields. */
  exact(names: readonly string[]): StructType | undefined {
    const key = fieldsKey(names)
    return this.#structs.find(type => fieldsKey(namesOf(type)) === key)
  }

  /** A struct with these fields and others. */
  wider(names: readonly string[]): StructType | undefined {
    return this.#structs.find(({ fields }) => {
      const own = new Set(fields.map(({ name }) => name))
      return names.every(name => own.has(name))
    })
  }
}

const namesOf = ({ fields }: StructType): string[] => fields.map(({ name }) => name)

/** Equal for the same names in any order. */
const fieldsKey = (names: readonly string[]): string => [...names].sort().join()
