// Gives values the forms that MessagePack has. What it has no form for is refused by its path.

import { Netref } from '../../index.js'
import type { Limits } from '../../protocol/limits.js'
import { SizeBudget, type SizeLimits } from '../support/size-budget.js'
import { NoFormError, nounOf } from '../support/value-path.js'

const MAX_UINT32 = 2 ** 32 - 1
const MIN_INT32 = -(2 ** 31)
const MAX_UINT64 = 2n ** 64n - 1n
const MIN_INT64 = -(2n ** 63n)

/**
 * A copy of an arrived value for an encoder with `useBigInt64`: whole numbers as integers, a Map as a map with texts as
 * keys, a Set as a list, an Error as a map. A member that is undefined is left out; elsewhere undefined is nil.
 *
 * @param path names the value in errors, e.g. `['result']`
 * @throws NoFormError for references, streams, and other values without a form
 * @throws LimitError for a value whose bytes are many more than a message of a session may have
 */
export const toMessagePack = (
  value: unknown,
  path: readonly (string | number)[],
  limits: SizeLimits & Pick<Limits, 'depth'>
): unknown => new FormGiver([...path], path.length + limits.depth, new SizeBudget(limits)).give(value)

/** A text for names and messages of errors, in which nothing is refused. */
export const toWellFormed = (text: string): string => text.replace(LONE_SURROGATES, '\ufffd')
const LONE_SURROGATES = /\p{Surrogate}/gu

class FormGiver {
  constructor(
    private readonly path: (string | number)[],
    private readonly maxPath: number,
    private readonly budget: SizeBudget
  ) {}

  give(value: unknown): unknown {
    this.budget.take(value)
    switch (typeof value) {
      case 'string':
        // UTF-8 has no form for it, and a client of Python would lose the whole message.
        if (value.search(LONE_SURROGATES) >= 0) throw this.#noForm('a text with half of a surrogate pair')
        return value
      case 'number':
        // The encoder would make floats of them.
        return Number.isSafeInteger(value) && (value > MAX_UINT32 || value < MIN_INT32)
          ? BigInt(value)
          : value
      case 'bigint':
        if (value > MAX_UINT64 || value < MIN_INT64) throw this.#noForm('a bigint of more than 64 bits')
        return value
      case 'boolean':
        return value
      case 'undefined':
        return null
      case 'object':
        return value && this.#giveObject(value)
      default:
        throw this.#noForm('a reference')
    }
  }

  #giveObject(object: object): unknown {
    if (this.path.length >= this.maxPath) throw this.#noForm('a cycle, or too deep')
    if (Netref.is(object)) throw this.#noForm('a reference')
    if (Array.isArray(object)) return this.#giveList(object)
    const prototype: unknown = Object.getPrototypeOf(object)
    if (prototype === Object.prototype || prototype === null) return this.#giveMembers(Object.entries(object))
    if (object instanceof Map) return this.#giveMap(object)
    if (object instanceof Set) return this.#giveList([...object])
    if (object instanceof Date) {
      if (Number.isNaN(object.getTime())) throw this.#noForm('an invalid Date')
      return object
    }
    if (object instanceof Error) {
      const { name, message } = object
      return this.#giveMembers([['name', name], ['message', message], ...Object.entries(object)])
    }
    if (object instanceof Uint8Array || object instanceof Uint8ClampedArray || object instanceof DataView)
      return object
    if (object instanceof ArrayBuffer) return new Uint8Array(object)
    if (ArrayBuffer.isView(object)) return this.#giveList(Array.from(object as unknown as Iterable<unknown>))
    // URLs, and instances of registered types.
    if ('toJSON' in object && typeof object.toJSON === 'function') return this.give(object.toJSON())
    throw this.#noForm(nounOf(object))
  }

  #giveList(items: readonly unknown[]): unknown[] {
    return Array.from(items, (item, i) => this.#giveAt(i, item))
  }

  #giveMembers(members: readonly (readonly [name: string, value: unknown])[]): object {
    // The key __proto__ is a key like others.
    const copy: Record<string, unknown> = Object.create(null)
    for (const [name, value] of members)
      if (value !== undefined) copy[this.give(name) as string] = this.#giveAt(name, value)
    return copy
  }

  /** Clients of Python refuse keys that are no texts. */
  #giveMap(map: ReadonlyMap<unknown, unknown>): object {
    const members = [...map].map(([key, value]): [string, unknown] => {
      if (typeof key === 'object' || typeof key === 'function')
        throw this.#noForm('a Map with keys that are objects')
      return [String(key), value]
    })
    return this.#giveMembers(members)
  }

  #giveAt(key: string | number, value: unknown): unknown {
    this.path.push(key)
    const form = this.give(value)
    this.path.pop()
    return form
  }

  #noForm(what: string): NoFormError {
    return new NoFormError(this.path, what, 'ZeroRPC')
  }
}
