// Makes the Go types of shapes: the same type for equal shapes, as a stream defines each type once.

import { LimitError } from '../../errors.js'
import { type Field, mapOf, sliceOf, structOf } from './gob/composite-types.js'
import type { GobType } from './gob/gob-type.js'
import { MAX_NAME_CHARACTERS, MAX_TYPES } from './gob/received-types.js'
import type { Shape } from './shape.js'

export class InferredTypes {
  /** By what they are made of. */
  readonly #types = new Map<string, GobType>()
  /** Numbers types, for the keys of those that have them as parts. */
  readonly #numbers = new Map<GobType, number>()
  #nameCharacters = 0

  /**
   * The type of a shape; undefined for a list or an object that is empty and of which nothing else is known.
   *
   * @throws LimitError for too many types: they are kept as long as the connection
   */
  typeOf(shape: Shape): GobType | undefined {
    switch (shape.kind) {
      case 'type':
        return shape.type
      case 'list':
        return this.#make('[]', [shape.item], ([elem]) => sliceOf(elem!))
      case 'map':
        return this.#make('map', [shape.key, shape.item], ([key, elem]) => mapOf(key!, elem!))
      case 'struct':
        return this.#structOf(shape.fields)
      default:
        return undefined
    }
  }

  /** A field of which nothing is known but that it is zero is left out. */
  #structOf(shapes: ReadonlyMap<string, Shape>): GobType | undefined {
    const known = [...shapes].filter(([, shape]) => !isZero(shape))
    const names = known.map(([name]) => name)
    const parts = known.map(([, shape]) => shape)
    return this.#make(`struct ${names.join()}`, parts, types =>
      structOf(types.map((type, i): Field => ({ name: names[i]!, type })))
    )
  }

  #make(
    kind: string,
    parts: readonly Shape[],
    make: (parts: readonly GobType[]) => GobType
  ): GobType | undefined {
    const types: GobType[] = []
    for (const part of parts) {
      const type = this.typeOf(part)
      if (!type) return undefined
      types.push(type)
    }
    const key = `${kind} ${types.map(type => this.#numberOf(type)).join()}`
    const known = this.#types.get(key)
    if (known) return known
    this.#nameCharacters += key.length
    if (this.#types.size >= MAX_TYPES || this.#nameCharacters > MAX_NAME_CHARACTERS)
      throw new LimitError('limit', `gob: values of more than ${MAX_TYPES} types on one connection`)
    const made = make(types)
    this.#types.set(key, made)
    return made
  }

  #numberOf(type: GobType): number {
    let number = this.#numbers.get(type)
    if (number === undefined) this.#numbers.set(type, (number = this.#numbers.size))
    return number
  }
}

const isZero = (shape: Shape): boolean =>
  shape.kind === 'nil' ||
  shape.kind === 'empty' ||
  shape.kind === 'unknown' ||
  (shape.kind === 'list' && shape.item.kind === 'unknown')
