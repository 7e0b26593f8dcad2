// Chooses the Go types of the values that this side sends on a connection. A value of a wrong type ends a Go client's connection.

import { quote } from '../../util/describe.js'
import type { DeclaredTypes } from './declared-types.js'
import { STRING } from './gob/basic-types.js'
import { StructType } from './gob/composite-types.js'
import type { RegisteredType } from './gob/encoder.js'
import type { GobType } from './gob/gob-type.js'
import { MAX_TYPES } from './gob/received-types.js'
import { InferredTypes, UnknownTypeError } from './inferred-types.js'
import { KnownTypes } from './known-types.js'
import { ANY, overlay, type Shape, shapeOf, UNKNOWN, unify } from './shape.js'
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
   * @throws UnknownTypeError for an empty value of which nothing else is known
   */
  typeOf({ method, value, declared = UNKNOWN, received }: SentValue): GobType {
    const type = this.declared.types.get(method)
    if (type) return type
    const shape = overlay(declared, shapeOfValue(value, this.known, received, this.limits))
    if (shape.kind === 'nil') return EMPTY_STRUCT
    const united = declared === UNKNOWN ? unify(this.#earlier.get(method) ?? UNKNOWN, shape) : shape
    const chosen = united === ANY ? shape : united
    if (this.#earlier.size < MAX_TYPES) this.#earlier.set(method, chosen)
    try {
      return this.#inferred.typeOf(chosen)
    } catch (error) {
      if (!(error instanceof UnknownTypeError)) throw error
      throw new UnknownTypeError(
        `an empty list or object tells no type of Go; declare the type: types: { ${quote(method)}: "[]string" }`
      )
    }
  }

  /** The type of a value in an interface, by the name that the Go program knows. @throws TypeError if it is not known to have one */
  registeredType(value: unknown, refuse: (value: unknown, type: string) => never): RegisteredType {
    const shape = shapeOfValue(value, this.known, undefined, this.limits)
    if (shape.kind === 'struct' || (shape.kind === 'type' && shape.type.resolved instanceof StructType)) {
      const names = Object.keys(value as object)
      return this.known.registeredStruct(names) ?? refuse(value, `struct that is registered ${ADVICE}`)
    }
    for (const candidate of candidatesFor(shape)) {
      const type = this.#inferred.typeOf(candidate)
      const name = this.known.registeredName(type)
      if (name !== undefined) return { name, type }
    }
    return refuse(value, `type that is registered ${ADVICE}`)
  }
}

const ADVICE = '(option `registered`)'
const ANY_LIST: Shape = { kind: 'list', item: ANY }
const ANY_MAP: Shape = { kind: 'map', key: shapeOf(STRING), item: ANY }

/** The types by which a value in an interface may be sent, the best first. */
function candidatesFor(shape: Shape): Shape[] {
  if (shape === ANY) return []
  if (shape.kind === 'empty') return [ANY_MAP]
  if (shape.kind === 'map') return [shape, ANY_MAP]
  if (shape.kind !== 'list') return [shape]
  return [shape.item.kind === 'unknown' ? { kind: 'list', item: shapeOf(STRING) } : shape, ANY_LIST]
}
