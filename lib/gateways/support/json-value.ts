// Writes values as JSON for other systems. What JSON has no form for is refused by its path.

import { Netref } from '../../index.js'
import type { Limits } from '../../protocol/limits.js'
import { SizeBudget, type SizeLimits } from './size-budget.js'
import { NoFormError, nounOf } from './value-path.js'

/** Classes whose bytes are written as base64. Other typed arrays are lists of numbers. */
const BYTE_CLASSES = [Uint8Array, Uint8ClampedArray, ArrayBuffer, DataView] as const

/**
 * The JSON of a value that arrived from a session: bytes as base64, a Date in ISO 8601, a Map as an object, a Set as a list,
 * a bigint as a number. A member that is undefined is left out; elsewhere undefined is `null`.
 *
 * @param path names the value in errors, e.g. `['result']`
 * @param system the name of the other system, for errors
 * @throws NoFormError for references, streams, NaN, Infinity, and other values without a form
 * @throws LimitError for a value whose text is much longer than a message of a session may be
 */
export const toJsonText = (
  value: unknown,
  path: readonly (string | number)[],
  limits: TextLimits,
  system: string
): string =>
  new ValueWriter([...path], path.length + limits.depth, new SizeBudget(limits), system).write(value)

export type TextLimits = SizeLimits & Pick<Limits, 'depth'>

class ValueWriter {
  constructor(
    private readonly path: (string | number)[],
    private readonly maxPath: number,
    private readonly budget: SizeBudget,
    private readonly system: string
  ) {}

  write(value: unknown): string {
    this.budget.take(value)
    switch (typeof value) {
      case 'string':
        return JSON.stringify(value)
      case 'boolean':
      case 'bigint':
        return String(value)
      case 'number':
        if (!Number.isFinite(value)) throw this.#noForm(String(value))
        return String(value)
      case 'object':
        return value === null ? 'null' : this.#writeObject(value)
      case 'undefined':
        return 'null'
      default:
        throw this.#noForm('a reference')
    }
  }

  #writeObject(object: object): string {
    if (this.path.length >= this.maxPath) throw this.#noForm('a cycle, or too deep')
    if (Netref.is(object)) throw this.#noForm('a reference')
    if (Array.isArray(object)) return this.#writeList(object)
    const prototype: unknown = Object.getPrototypeOf(object)
    if (prototype === Object.prototype || prototype === null)
      return this.#writeMembers(Object.entries(object))
    if (object instanceof Map) return this.#writeMap(object)
    if (object instanceof Set) return this.#writeList([...object])
    if (object instanceof Date) {
      if (Number.isNaN(object.getTime())) throw this.#noForm('an invalid Date')
      return JSON.stringify(object)
    }
    if (object instanceof Error)
      return this.#writeMembers([
        ['name', object.name],
        ['message', object.message],
        ...Object.entries(object)
      ])
    if (BYTE_CLASSES.some(type => object instanceof type))
      return JSON.stringify(bytesOf(object as ArrayBuffer | ArrayBufferView).toString('base64'))
    if (ArrayBuffer.isView(object)) return this.#writeList(Array.from(object as unknown as Iterable<unknown>))
    // URLs, and instances of registered types.
    if ('toJSON' in object && typeof object.toJSON === 'function') return this.write(object.toJSON())
    throw this.#noForm(nounOf(object))
  }

  #writeList(items: readonly unknown[]): string {
    return `[${items.map((item, i) => this.#writeAt(i, item)).join(',')}]`
  }

  #writeMembers(members: readonly (readonly [name: string, value: unknown])[]): string {
    const texts: string[] = []
    for (const [name, value] of members)
      if (value !== undefined) texts.push(`${JSON.stringify(name)}:${this.#writeAt(name, value)}`)
    return `{${texts.join(',')}}`
  }

  #writeMap(map: ReadonlyMap<unknown, unknown>): string {
    const members = [...map].map(([key, value]): [string, unknown] => {
      if (typeof key === 'object' || typeof key === 'function')
        throw this.#noForm('a Map with keys that are objects')
      return [String(key), value]
    })
    return this.#writeMembers(members)
  }

  #writeAt(key: string | number, value: unknown): string {
    this.budget.take(key)
    this.path.push(key)
    const text = this.write(value)
    this.path.pop()
    return text
  }

  #noForm(what: string): NoFormError {
    return new NoFormError(this.path, what, this.system)
  }
}

const bytesOf = (bytes: ArrayBuffer | ArrayBufferView): Buffer =>
  ArrayBuffer.isView(bytes)
    ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : Buffer.from(bytes)
