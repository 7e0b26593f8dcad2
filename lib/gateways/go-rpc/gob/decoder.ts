// Decodes a gob stream: messages, each of which defines types or has a value.

import { GobError } from './gob-error.js'
import type { GobType } from './gob-type.js'
import { ReceivedTypes } from './received-types.js'
import { INCOMPLETE, type ReadLimits, StreamRoom, ValueReader } from './value-reader.js'

/** A value and its type. */
export interface GobValue {
  readonly type: GobType
  readonly value: unknown
}

/** What a decoder tells of what it reads. */
export interface DecoderListener {
  /** Types were defined, in this order. */
  onTypes(types: readonly GobType[]): void
  /** A value of this type was in an interface. @param name by which the Go program has registered the type */
  onRegistered(name: string, type: GobType): void
}

export class GobDecoder {
  readonly #types = new ReceivedTypes()
  readonly #room = new StreamRoom()
  /** The messages of a value that is not whole. Go splits a value to define types of values in interfaces. */
  #messages: Buffer[] = []
  /** Number of bytes read for the present value. A value that goes on is read from its start again. */
  #readBytes = 0
  /** Whether types were defined for a value that is still to come. */
  #expectsValue = false

  constructor(
    private readonly limits: ReadLimits,
    private readonly listener?: DecoderListener
  ) {}

  /** Whether a value has begun, and is not whole. */
  get isWithinValue(): boolean {
    return this.#expectsValue || this.#messages.length > 0
  }

  /**
   * @param message without its length
   * @returns the value; undefined if it goes on in further messages
   * @throws GobError for bytes that are not gob: the stream cannot be read any more
   * @throws LimitError for a value that exceeds a limit; the next one can be read
   */
  decode(message: Buffer): GobValue | undefined {
    this.#room.add(message.length)
    const definesTypes = isDefinition(message)
    if (definesTypes && this.#messages.length === 0) return this.#define(message)
    this.#messages.push(message)
    if (definesTypes) return this.#expectMore(message.length)
    try {
      const value = this.#read()
      this.#finish()
      return value
    } catch (error) {
      if (error === INCOMPLETE) {
        this.#types.forget()
        return this.#expectMore(this.#messages.reduce((sum, { length }) => sum + length, 0))
      }
      this.#finish()
      throw error
    }
  }

  #expectMore(bytes: number): undefined {
    this.#readBytes += bytes
    if (this.#readBytes > this.limits.frameBytes)
      throw new GobError(`a value of more than ${this.limits.frameBytes} bytes (limits.frameBytes)`)
  }

  #finish(): void {
    this.#messages = []
    this.#readBytes = 0
    this.#expectsValue = false
    this.#keepTypes()
  }

  #keepTypes(): void {
    const types = this.#types.keep()
    this.listener?.onTypes(types)
  }

  #define(message: Buffer): undefined {
    const reader = this.#readerOf([message])
    this.#types.define(-reader.readTypeId(), reader)
    reader.expectEnd()
    this.#expectsValue = true
    this.#keepTypes()
  }

  #read(): GobValue {
    const reader = this.#readerOf(this.#messages)
    const type = this.#types.typeAt(reader.readTypeId()).resolved
    const value = type.readAlone(reader)
    reader.expectEnd()
    return { type, value }
  }

  #readerOf(messages: readonly Buffer[]): ValueReader {
    const reader: ValueReader = new ValueReader(messages, this.limits, this.#room, name =>
      this.#readDynamic(name, reader)
    )
    return reader
  }

  /** Reads a value in an interface: definitions of types, its type, its length, and the value itself. */
  #readDynamic(name: string, reader: ValueReader): unknown {
    let id = reader.readTypeId()
    for (; id < 0; id = reader.readTypeId()) {
      this.#types.define(-id, reader)
      // A definition ends its message. In an interface within an interface it ends a part with a length.
      if (reader.left > 0) reader.readUint()
      else reader.nextMessage()
    }
    // The length says nothing: it does not count what follows another definition.
    reader.readUint()
    const type = this.#types.typeAt(id).resolved
    const value = type.readAlone(reader)
    this.listener?.onRegistered(name, type)
    return value
  }
}

/** Whether a message defines a type: its first number is negative. */
function isDefinition(message: Buffer): boolean {
  const [first = 0] = message
  const sign = first < 0x80 ? first : message[0x100 - first]
  return sign !== undefined && (sign & 1) === 1
}
