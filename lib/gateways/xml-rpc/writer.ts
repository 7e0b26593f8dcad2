// Writes values as XML-RPC has them.
import { LimitError } from '../../errors.js'
import type { Limits } from '../../protocol/limits.js'
import { describeValue, quote } from '../../util/describe.js'
import { isNetref } from '../../util/library-copies.js'
import { isInstanceOf } from '../../util/realms.js'
import { SizeBudget, type SizeLimits } from '../support/size-budget.js'
import { formatValuePath, NoFormError, nounOf } from '../support/value-path.js'
import { escapeXml, invalidCharacterIn } from './characters.js'

export type WriteLimits = SizeLimits & Pick<Limits, 'depth'>

const MAX_INT = 2 ** 31 - 1
const MIN_INT = -(2 ** 31)
const I8_BITS = 64
const MAX_YEAR = 9999

/**
 * Writes a `<value>`.
 *
 * @param path what the value is, the start of the path in errors: `['result']`
 * @throws NoFormError for what XML-RPC does not have, with its path
 * @throws LimitError for a value deeper than `limits.depth`, and for one whose text is much longer than a message of a session
 */
export const writeValue = (value: unknown, path: (string | number)[], limits: WriteLimits): string =>
  new ValueWriter([...path], limits.depth + path.length, new SizeBudget(limits)).write(value)

class ValueWriter {
  constructor(
    /** The keys that lead to the present value. */
    private readonly path: (string | number)[],
    private readonly maxKeys: number,
    private readonly budget: SizeBudget
  ) {}

  write(value: unknown): string {
    this.budget.take(value)
    return `<value>${this.#writeContent(value)}</value>`
  }

  #writeContent(value: unknown): string {
    switch (typeof value) {
      case 'undefined':
        return '<nil/>'
      case 'boolean':
        return `<boolean>${value ? 1 : 0}</boolean>`
      case 'number':
        return this.#writeNumber(value)
      case 'bigint':
        if (BigInt.asIntN(I8_BITS, value) !== value) return this.#refuse('a bigint of more than 64 bits')
        return `<i8>${value}</i8>`
      case 'string':
        return `<string>${this.#escape(value)}</string>`
      case 'object':
        return value === null ? '<nil/>' : this.#writeObject(value)
      case 'function':
        return this.#refuse('a reference')
      case 'symbol':
        return this.#refuse('a symbol')
    }
  }

  #writeNumber(number: number): string {
    if (!Number.isFinite(number)) return this.#refuse(String(number))
    if (Object.is(number, -0)) return '<double>-0.0</double>'
    if (!Number.isSafeInteger(number)) return `<double>${number}</double>`
    return number <= MAX_INT && number >= MIN_INT ? `<int>${number}</int>` : `<i8>${number}</i8>`
  }

  #writeObject(object: object): string {
    if (isNetref(object)) return this.#refuse('a reference')
    if (this.path.length > this.maxKeys)
      throw new LimitError('limit', `${formatValuePath(this.path)} is too deep (limits.depth), or in a cycle`)
    if (Array.isArray(object)) return this.#writeArray(object)
    const prototype = Object.getPrototypeOf(object)
    if (prototype === Object.prototype || prototype === null) return this.#writeStruct(Object.entries(object))
    if (isInstanceOf('Date', object)) return this.#writeDate(object)
    if (isInstanceOf('Uint8Array', object)) return writeBytes(object)
    if (isInstanceOf('ArrayBuffer', object)) return writeBytes(new Uint8Array(object))
    if (isInstanceOf('Set', object)) return this.#writeArray(object as Set<unknown>)
    if (isInstanceOf('Map', object)) return this.#writeStruct(object)
    return this.#refuse(nounOf(object))
  }

  #writeArray(items: Iterable<unknown>): string {
    let xml = ''
    let index = 0
    for (const item of items) {
      this.path.push(index++)
      xml += this.write(item)
      this.path.pop()
    }
    return `<array><data>${xml}</data></array>`
  }

  #writeStruct(entries: Iterable<[unknown, unknown]>): string {
    let xml = ''
    for (const [key, value] of entries) {
      if (typeof key !== 'string') return this.#refuse(`a Map with the key ${describeValue(key)}`)
      this.budget.take(key)
      this.path.push(key)
      xml += `<member><name>${this.#escape(key)}</name>${this.write(value)}</member>`
      this.path.pop()
    }
    return `<struct>${xml}</struct>`
  }

  /** In UTC, without the fraction of a second, which XML-RPC does not have. */
  #writeDate(date: Date): string {
    const year = date.getUTCFullYear()
    if (!(year >= 0 && year <= MAX_YEAR)) return this.#refuse('a Date without a year of four digits')
    return `<dateTime.iso8601>${date.toISOString().slice(0, 19).replaceAll('-', '')}</dateTime.iso8601>`
  }

  #escape(text: string): string {
    const invalid = invalidCharacterIn(text)
    return invalid === undefined ? escapeXml(text) : this.#refuse(`a text with ${quote(invalid)}`)
  }

  #refuse(what: string): never {
    throw new NoFormError(this.path, what, 'XML-RPC')
  }
}

function writeBytes({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return `<base64>${Buffer.from(buffer, byteOffset, byteLength).toString('base64')}</base64>`
}
