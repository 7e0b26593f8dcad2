// Writes values as literals of Python, as serpent does. What Python has no literal for is refused by its path.

import { Netref } from '../../index.js'
import type { Limits } from '../../protocol/limits.js'
import { SizeBudget, type SizeLimits } from '../support/size-budget.js'
import { NoFormError, nounOf } from '../support/value-path.js'
import { exceptionOfValue } from './python-exception.js'

export type WriteLimits = SizeLimits & Pick<Limits, 'depth'>

/** Python does not parse literals with more brackets within each other than 200; a batch takes one of them. */
const MAX_LEVELS = 198
const HEADER = '# serpent utf-8 python3.2\n'
const NOT_A_NUMBER = "{'__class__':'float','value':'nan'}"
const TOO_BIG = '1e30000'

/**
 * The literal of a value that arrived from a session. Whole numbers are ints, others floats. Bytes are a dict with their
 * base64, and a Date is a text in ISO 8601, as serpent writes them. A Map is a dict, and a Set a set.
 *
 * @param path names the value in errors, e.g. `['result']`
 * @throws NoFormError for references, streams, and other values without a form
 * @throws LimitError for a value whose text is much longer than a message of a session may be
 */
export function toSerpent(value: unknown, path: readonly (string | number)[], limits: WriteLimits): string {
  const maxPath = path.length + Math.min(limits.depth, MAX_LEVELS)
  return HEADER + new LiteralWriter([...path], maxPath, new SizeBudget(limits)).write(value)
}

/** The literal of a list of values, whose literals these are. */
export const toSerpentList = (literals: readonly string[]): string =>
  `${HEADER}[${literals.map(literal => literal.slice(HEADER.length)).join(',')}]`

class LiteralWriter {
  constructor(
    /** The keys that lead to the present value. */
    private readonly path: (string | number)[],
    private readonly maxPath: number,
    private readonly budget: SizeBudget
  ) {}

  write(value: unknown): string {
    this.budget.take(value)
    switch (typeof value) {
      case 'undefined':
        return 'None'
      case 'boolean':
        return value ? 'True' : 'False'
      case 'number':
        return writeNumber(value)
      case 'bigint':
        return String(value)
      case 'string':
        // Each escape of JSON is one of Python.
        return JSON.stringify(value)
      case 'object':
        return value === null ? 'None' : this.#writeObject(value)
      default:
        throw this.#noForm('a reference')
    }
  }

  #writeObject(object: object): string {
    if (this.path.length >= this.maxPath) throw this.#noForm('a cycle, or too deep')
    if (Netref.is(object)) throw this.#noForm('a reference')
    if (Array.isArray(object)) return this.#writeList(object)
    const prototype: unknown = Object.getPrototypeOf(object)
    if (prototype === Object.prototype || prototype === null) return this.#writeDict(Object.entries(object))
    if (object instanceof Map) return this.#writeDict(object)
    if (object instanceof Set) return this.#writeSet(object)
    if (object instanceof Date) return this.#writeDate(object)
    if (object instanceof Error) return this.#writeDict(Object.entries(exceptionOfValue(object)))
    if (object instanceof ArrayBuffer) return writeBytes(new Uint8Array(object))
    if (ArrayBuffer.isView(object)) return this.#writeView(object)
    // URLs, and instances of registered types.
    if ('toJSON' in object && typeof object.toJSON === 'function') return this.write(object.toJSON())
    throw this.#noForm(nounOf(object))
  }

  #writeList(items: readonly unknown[]): string {
    return `[${items.map((item, i) => this.#writeAt(i, () => this.write(item))).join(',')}]`
  }

  #writeDict(entries: Iterable<readonly [key: unknown, value: unknown]>): string {
    const texts: string[] = []
    for (const [key, value] of entries) {
      const place = typeof key === 'string' ? key : texts.length
      texts.push(this.#writeAt(place, () => `${this.#writeHashable(key)}:${this.write(value)}`))
    }
    return `{${texts.join(',')}}`
  }

  /** Python has no literal for an empty set. */
  #writeSet(set: ReadonlySet<unknown>): string {
    if (set.size === 0) return '()'
    return `{${[...set].map((item, i) => this.#writeAt(i, () => this.#writeHashable(item))).join(',')}}`
  }

  /** A key of a dict, or an item of a set. Python takes no lists and dicts there; an array is a tuple. */
  #writeHashable(value: unknown): string {
    if (Array.isArray(value)) {
      if (this.path.length >= this.maxPath) throw this.#noForm('a cycle, or too deep')
      return `(${value.map((item, i) => `${this.#writeAt(i, () => this.#writeHashable(item))},`).join('')})`
    }
    const isHashable = (typeof value !== 'object' || value === null) && !Number.isNaN(value)
    if (!isHashable) throw this.#noForm('a key of a Map or an item of a Set that is an object')
    return this.write(value)
  }

  #writeDate(date: Date): string {
    if (Number.isNaN(date.getTime())) throw this.#noForm('an invalid Date')
    // Python before 3.11 does not read a Z.
    return JSON.stringify(date.toISOString().replace('Z', '+00:00'))
  }

  #writeView(view: ArrayBufferView): string {
    const { buffer, byteOffset, byteLength } = view
    if (view instanceof Uint8Array || view instanceof Uint8ClampedArray || view instanceof DataView)
      return writeBytes(new Uint8Array(buffer, byteOffset, byteLength))
    return this.#writeList(Array.from(view as unknown as Iterable<unknown>))
  }

  #writeAt(key: string | number, write: () => string): string {
    this.path.push(key)
    const text = write()
    this.path.pop()
    return text
  }

  #noForm(what: string): NoFormError {
    return new NoFormError(this.path, what, 'Pyro')
  }
}

function writeNumber(number: number): string {
  if (Number.isNaN(number)) return NOT_A_NUMBER
  if (!Number.isFinite(number)) return number > 0 ? TOO_BIG : `-${TOO_BIG}`
  if (Object.is(number, -0)) return '-0.0'
  const text = String(number)
  return Number.isInteger(number) && !Number.isSafeInteger(number) && !text.includes('e') ? `${text}.0` : text
}

const writeBytes = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  `{"data":"${Buffer.from(buffer, byteOffset, byteLength).toString('base64')}","encoding":"base64"}`
