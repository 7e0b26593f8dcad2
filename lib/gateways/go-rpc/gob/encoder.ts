// Encodes a gob stream: defines each type once, before its first value.

import { LimitError } from '../../../errors.js'
import { MIN_TYPE_ID, WIRE_TYPE } from './definitions.js'
import { type GobType, typesFrom } from './gob-type.js'
import { MAX_TYPES } from './received-types.js'
import { NO_LIMITS, ValueWriter, type WriteLimits } from './value-writer.js'

/** The type of a value in an interface, and the name by which the Go program has registered it. */
export interface RegisteredType {
  readonly name: string
  readonly type: GobType
}

export class GobEncoder {
  readonly #writer: ValueWriter
  readonly #definitionWriter: ValueWriter
  /** The numbers of the types that are defined. */
  readonly #ids = new Map<GobType, number>()
  #lastId = MIN_TYPE_ID
  /** Messages with definitions, to be sent before the next value. */
  readonly #definitions: Buffer[] = []

  /** @param registeredType finds the type of a value in an interface. @throws TypeError if there is none */
  constructor(
    private readonly limits: WriteLimits,
    registeredType: (value: unknown, writer: ValueWriter) => RegisteredType
  ) {
    this.#writer = new ValueWriter(value => {
      const { name, type } = registeredType(value, this.#writer)
      this.#writer.writeCountedText(name)
      this.#writer.writeInt(this.define(type))
      this.#writer.writeMeasured(() => type.writeAlone(this.#writer, value))
    })
    this.#definitionWriter = new ValueWriter(() => {})
  }

  /**
   * Encodes a value. `undefined` and `null` are the zero of the type.
   *
   * @param whole what the value is, for error texts: `result`
   * @returns the message. What `takeDefinitions` returns must be sent before it
   * @throws TypeError for a value that the type does not have, LimitError if it is too large, or the types are too many
   */
  encode(type: GobType, value: unknown, whole: string): Buffer {
    return this.#encode(type, value, whole, this.limits)
  }

  /** Encodes a value that this side makes itself, as `encode` does, but without limits. Its type must be defined. */
  encodeOwn(type: GobType, value: unknown): Buffer {
    return this.#encode(type, value, '', NO_LIMITS)
  }

  #encode(type: GobType, value: unknown, whole: string, limits: WriteLimits): Buffer {
    const writer = this.#writer
    writer.begin(whole, limits)
    writer.writeInt(this.define(type))
    if ((value ?? null) === null) type.resolved.writeZeroAlone(writer)
    else type.resolved.writeAlone(writer, value)
    return withLength(writer)
  }

  /** The messages that define types, and have not been taken before. */
  takeDefinitions(): Buffer[] {
    return this.#definitions.splice(0)
  }

  /** Defines a type, unless it is defined. @returns its number */
  define(type: GobType): number {
    const known = this.#knownId(type)
    if (known !== undefined) return known
    const types = new Set([...typesFrom(type)].filter(one => this.#knownId(one) === undefined))
    if (this.#ids.size + types.size > MAX_TYPES)
      throw new LimitError('limit', `gob: values of more than ${MAX_TYPES} types on one connection`)
    this.#number(type.resolved, new Set())
    this.#define(type.resolved, types)
    return this.#ids.get(type.resolved)!
  }

  #knownId(type: GobType): number | undefined {
    const { resolved } = type
    return resolved.builtInId ?? this.#ids.get(resolved)
  }

  /** Numbers a type and its parts in the order of Go: structs before their parts, other types behind. */
  #number(type: GobType, begun: Set<GobType>): void {
    if (this.#knownId(type) !== undefined || begun.has(type)) return
    begun.add(type)
    const numberSelf = () => {
      this.#lastId++
      this.#ids.set(type, this.#lastId)
    }
    if (type.isNumberedFirst) numberSelf()
    for (const part of type.parts) this.#number(part.resolved, begun)
    if (!type.isNumberedFirst) numberSelf()
  }

  /** Defines a type, then its parts. @param types those that are not defined yet */
  #define(type: GobType, types: Set<GobType>): void {
    if (!types.delete(type)) return
    const id = this.#ids.get(type)!
    const writer = this.#definitionWriter
    writer.begin('', NO_LIMITS)
    writer.writeInt(-id)
    WIRE_TYPE.write(
      writer,
      type.define(id, part => this.#knownId(part)!)
    )
    this.#definitions.push(withLength(writer))
    for (const part of type.parts) this.#define(part.resolved, types)
  }
}

/** The message that was written, with its length before it. */
function withLength(writer: ValueWriter): Buffer {
  lengthWriter.reset()
  lengthWriter.writeUint(writer.length)
  return Buffer.concat([lengthWriter.take(), writer.take()])
}

const lengthWriter = new ValueWriter(() => {})
