// Chooses the Go types of the values that this side sends on a connection. A value of a wrong type ends a Go client's connection.

import { quote } from '../../util/describe.js'
import type { DeclaredTypes } from './declared-types.js'
import { STRING } from './gob/basic-types.js'
import { StructType } from './gob/composite-types.js'
import type { RegisteredType } from './gob/encoder.js'
import type { GobType } from './gob/gob-type.js'
import { INTERFACE } from './gob/interface-type.js'
import { MAX_TYPES } from './gob/received-types.js'
import type { ValueWriter } from './gob/value-writer.js'
import { InferredTypes } from './inferred-types.js'
import { KnownTypes } from './known-types.js'
import { ANY, inherit, overlay, type Shape, shapeOf, UNKNOWN } from './shape.js'
import { type ShapeLimits, shapeOfValue } from './value-shape.js'

/** The type of nothing, of which any struct of Go may be read. */
export const EMPTY_STRUCT = new StructType('struct {}', [], '')

/** What is known of a value that is to be sent, beside the value. */
export interface SentValue {
  /** The method whose result or argument it is. */
  readonly method: string
  readonly value: unknown
  /** By the schema of the member. */
  readonly declared?: Shape
  /** Type of the argument whose result it is. */
  readonly received?: GobType
}

export class SentTypes {
  /** Listens to the decoder of the connection. */
  readonly known: KnownTypes
  readonly #inferred = new InferredTypes()
  /** The shapes of the values sent before, by method. */
  readonly #earlier = new Map<string, Shape>()

  constructor(
    private readonly declared: DeclaredTypes,
    private readonly limits: ShapeLimits
  ) {
    this.known = new KnownTypes(declared.registered)
  }

  /** Whether the options say the type. */
  isDeclared(method: string): boolean {
    return this.declared.types.has(method)
  }

  /**
   * The type of a value: that of the options, or of the schema, or of a struct that the Go program has sent, or by the value.
   *
   * @throws TypeError for an empty value of which nothing else is known
   */
  typeOf({ method, value, declared = UNKNOWN, received }: SentValue): GobType {
    const type = this.declared.types.get(method)
    if (type) return type
    const found = shapeOfValue(value, this.known, received, this.limits)
    const shape = inherit(this.#earlier.get(method) ?? UNKNOWN, overlay(declared, found))
    if (shape.kind === 'unknown' && found.kind === 'nil') return EMPTY_STRUCT
    const inferred = this.#inferred.typeOf(shape)
    if (this.#earlier.size < MAX_TYPES) this.#earlier.set(method, shape)
    if (inferred) return inferred
    throw new TypeError(
      `an empty list or object tells no type of Go; declare the type: types: { ${quote(method)}: "[]string" }`
    )
  }

  /** The type of the value sent before was wrong: later ones do not have it. */
  forget(method: string): void {
    this.#earlier.delete(method)
  }

  /** The type of a value in an interface, by the name that the Go program knows. @throws TypeError if it is not known to have one */
  registeredType(value: unknown, writer: ValueWriter): RegisteredType {
    const shape = shapeOfValue(value, this.known, undefined, this.limits)
    if (shape === ANY) return writer.refuse(value, INTERFACE.name)
    if (shape.kind === 'struct' || (shape.kind === 'type' && shape.type.resolved instanceof StructType))
      return this.known.registeredStruct(Object.keys(value as object)) ?? writer.fail(NOT_REGISTERED)
    for (const candidate of candidatesFor(shape)) {
      const type = this.#inferred.typeOf(candidate)
      const name = type && this.known.registeredName(type)
      if (name !== undefined) return { name, type: type! }
    }
    return writer.fail(NOT_REGISTERED)
  }
}

const NOT_REGISTERED =
  'is in an interface of Go, and its type is not known there; declare what gob.Register has: registered: { "main.T": "struct { … }" }'
const ANY_LIST: Shape = { kind: 'list', item: ANY }
const ANY_MAP: Shape = { kind: 'map', key: shapeOf(STRING), item: ANY }

/** The types by which a value in an interface may be sent, the best first. */
function candidatesFor(shape: Shape): Shape[] {
  if (shape.kind === 'empty') return [ANY_MAP]
  if (shape.kind === 'map') return [shape, ANY_MAP]
  if (shape.kind !== 'list') return [shape]
  return [shape.item.kind === 'unknown' ? { kind: 'list', item: shapeOf(STRING) } : shape, ANY_LIST]
}
