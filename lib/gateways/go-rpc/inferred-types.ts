// Makes the Go types of shapes: the same type for equal shapes, as a stream defines each type once.

import { type Field, mapOf, sliceOf, structOf } from './gob/composite-types.js'
import type { GobType } from './gob/gob-type.js'
import { INTERFACE } from './gob/interface-type.js'
import type { Shape } from './shape.js'

/** Nobody can tell the type of the value. */
export class UnknownTypeError extends TypeError {
  override name = 'UnknownTypeError'
}

export class InferredTypes {
  /** By what they are made of. */
  readonly #types = new Map<string, GobType>()
  /** Numbers types, for the keys of those that have them as parts. */
  readonly #numbers = new Map<GobType, number>()

  /**
   * The type of a shape.
   *
   * @throws UnknownTypeError for a list or an object that is empty and of which nothing else is known
   */
  typeOf(shape: Shape): GobType {
    switch (shape.kind) {
      case 'type':
        return shape.type
      case 'list':
        return this.#make('[]', [this.typeOf(shape.item)], ([elem]) => sliceOf(elem!))
      case 'map':
        return this.#make('map', [this.typeOf(shape.key), this.typeOf(shape.item)], ([key, elem]) =>
          mapOf(key!, elem!)
        )
      case 'struct':
        return this.#structOf(shape.fields)
      case 'nil':
        return INTERFACE
      default:
        throw new UnknownTypeError('a list or an object without members')
    }
  }

  /** A field of which nothing is known but that it is zero is left out. */
  #structOf(shapes: ReadonlyMap<string, Shape>): GobType {
    const known = [...shapes].filter(([, shape]) => !isZero(shape))
    const names = known.map(([name]) => name)
    const types = known.map(([, shape]) => this.typeOf(shape))
    return this.#make(`struct ${names.join()}`, types, types =>
      structOf(types.map((type, i): Field => ({ name: names[i]!, type })))
    )
  }

  #make(kind: string, parts: readonly GobType[], make: (parts: readonly GobType[]) => GobType): GobType {
    const key = `${kind} ${parts.map(part => this.#numberOf(part)).join()}`
    let type = this.#types.get(key)
    if (!type) this.#types.set(key, (type = make(parts)))
    return type
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
