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
  /** By the names of their fields: the first one of those with the same. Found again when a name is registered. */
  #registeredStructs: ReadonlyMap<string, RegisteredStruct> | undefined

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
    if (this.#registered.size >= MAX_TYPES || this.#registered.get(name) === type) return
    this.#registered.set(name, type)
    this.#registeredStructs = undefined
  }

  /** The struct with these fields. */
  struct(names: readonly string[]): StructType | undefined {
    return this.#structs.get(fieldsKey(names))
  }

  /** The registered struct with these fields. */
  registeredStruct(names: readonly string[]): RegisteredStruct | undefined {
    this.#registeredStructs ??= this.#findRegisteredStructs()
    return this.#registeredStructs.get(fieldsKey(names))
  }

  #findRegisteredStructs(): ReadonlyMap<string, RegisteredStruct> {
    const found = new Map<string, RegisteredStruct>()
    for (const [name, { resolved: type }] of this.#registered) {
      const key = type instanceof StructType ? fieldsKey(namesOf(type)) : undefined
      if (key !== undefined && !found.has(key)) found.set(key, { name, type: type as StructType })
    }
    return found
  }

  /** The name by which the Go program has registered a type that is no struct; undefined if it is not known to have. */
  registeredName(type: GobType): string | undefined {
    if (REGISTERED_BY_GO.has(type.name) || this.#registered.has(type.name)) return type.name
    for (const [name, { resolved }] of this.#registered) if (resolved === type) return name
    return undefined
  }
}

/** The structs of a type and its parts. A value may have very many objects: none of them looks at all structs. */
export class NearStructs {
  /** By the names of their fields: the first one of those with the same. */
  readonly #structs = new Map<string, StructType>()
  /** By each of the names. */
  readonly #byName = new Map<string, NamedFields[]>()

  constructor(type: GobType | undefined) {
    for (const one of type ? typesFrom(type) : []) if (one instanceof StructType) this.#add(one)
  }

  #add(type: StructType): void {
    const names = namesOf(type)
    const key = fieldsKey(names)
    if (this.#structs.has(key)) return
    this.#structs.set(key, type)
    const struct = { type, names: new Set(names) }
    for (const name of names) {
      const structs = this.#byName.get(name)
      if (structs) structs.push(struct)
      else this.#byName.set(name, [struct])
    }
  }

  /** The struct with these fields. */
  exact(names: readonly string[]): StructType | undefined {
    return this.#structs.get(fieldsKey(names))
  }

  /** A struct with these fields, one at least, and others. */
  wider(names: readonly string[]): StructType | undefined {
    const structs = this.#byName.get(names[0]!)
    return structs?.find(struct => names.every(name => struct.names.has(name)))?.type
  }
}

interface NamedFields {
  readonly type: StructType
  readonly names: ReadonlySet<string>
}

const namesOf = ({ fields }: StructType): string[] => fields.map(({ name }) => name)

/** Equal for the same names in any order. */
const fieldsKey = (names: readonly string[]): string => [...names].sort().join()
