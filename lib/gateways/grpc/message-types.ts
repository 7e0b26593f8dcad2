// The types of messages: their fields, and what fits into them.

import type { Enum, Field, Type } from 'protobufjs'
import type { Protobuf } from './packages.js'

/** The scalar types of Protocol Buffers. */
export type Scalar =
  | 'double'
  | 'float'
  | 'int32'
  | 'uint32'
  | 'sint32'
  | 'fixed32'
  | 'sfixed32'
  | 'int64'
  | 'uint64'
  | 'sint64'
  | 'fixed64'
  | 'sfixed64'
  | 'bool'
  | 'string'
  | 'bytes'

/** What a single value of a field is: a scalar, a message or an enum. */
export type ValueType =
  | { readonly kind: 'scalar'; readonly scalar: Scalar }
  | { readonly kind: 'message'; readonly type: MessageType }
  | { readonly kind: 'enum'; readonly values: Enum }

export interface FieldType {
  readonly name: string
  readonly value: ValueType
  readonly cardinality: 'single' | 'list' | 'map'
  /** The type of the keys of a map. */
  readonly key: Scalar | undefined
  /** Whether a message without it is invalid, as in proto2. */
  readonly isRequired: boolean
  /** The name of the `oneof` that it belongs to. */
  readonly oneof: string | undefined
  /** Whether a message tells that the field is absent; otherwise it has its default value then. */
  readonly hasPresence: boolean
}

/** The type of a message. */
export interface MessageType {
  /** Its full name. */
  readonly name: string
  readonly fields: ReadonlyMap<string, FieldType>
  readonly fieldsByNumber: ReadonlyMap<number, FieldType>
  /** The names of its `oneof`s. A message that arrives has the name of the field that is set under each. */
  readonly oneofs: ReadonlySet<string>
  readonly protobuf: Type
}

/** Creates the types of messages, each once: a message may have fields of its own type. */
export class MessageTypes {
  readonly #types = new Map<Type, MessageType>()

  constructor(private readonly protobuf: Protobuf) {}

  typeOf(protobuf: Type): MessageType {
    const known = this.#types.get(protobuf)
    if (known) return known
    const fields = new Map<string, FieldType>()
    const fieldsByNumber = new Map<number, FieldType>()
    const oneofs = new Set<string>()
    const type = { name: protobuf.fullName.slice(1), fields, fieldsByNumber, oneofs, protobuf }
    this.#types.set(protobuf, type)
    for (const field of protobuf.fieldsArray) {
      const described = this.#fieldOf(field)
      fields.set(field.name, described)
      fieldsByNumber.set(field.id, described)
      if (described.oneof !== undefined) oneofs.add(described.oneof)
    }
    return type
  }

  #fieldOf(field: Field): FieldType {
    const { name, partOf } = field
    const value = this.#valueOf(field)
    const key = field instanceof this.protobuf.MapField ? (field.keyType as Scalar) : undefined
    return {
      name,
      value,
      cardinality: key !== undefined ? 'map' : field.repeated ? 'list' : 'single',
      key,
      isRequired: field.required,
      // `optional` in proto3 is a `oneof` with a single field, whose name nobody wrote.
      oneof: partOf?.name === `_${name}` ? undefined : partOf?.name,
      hasPresence: value.kind === 'message' || partOf !== null
    }
  }

  #valueOf(field: Field): ValueType {
    const { resolvedType } = field
    if (resolvedType instanceof this.protobuf.Enum) return { kind: 'enum', values: resolvedType }
    if (resolvedType) return { kind: 'message', type: this.typeOf(resolvedType) }
    return { kind: 'scalar', scalar: field.type as Scalar }
  }
}
