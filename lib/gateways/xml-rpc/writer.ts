// Writes values as XML-RPC has them.
import { UnsendableError } from '../../errors.js'
import type { Limits } from '../../protocol/limits.js'
import { describeValue, quote } from '../../util/describe.js'
import { isNetref } from '../../util/library-copies.js'
import { isInstanceOf } from '../../util/realms.js'
import { escapeXml, invalidCharacterIn } from './characters.js'

export type WriteLimits = Pick<Limits, 'depth'>

const MAX_INT = 2 ** 31 - 1
const MIN_INT = -(2 ** 31)
const I8_BITS = 64
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/

/**
 * Writes a `<value>`.
 *
 * @param name what the value is, the start of the path in errors: `result`
 * @throws UnsendableError for what XML-RPC has no form for, with its path
 */
export const writeValue = (value: unknown, name: string, limits: WriteLimits): string =>
  new ValueWriter(name, limits).write(value)

class ValueWriter {
  /** The keys that lead to the present value. */
  readonly #path: (string | number)[] = []

  constructor(
    private readonly name: string,
    private readonly limits: WriteLimits
  ) {}

  write(value: unknown): string {
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
        if (BigInt.asIntN(I8_BITS, value) !== value)
          this.#refuse('is a bigint of more than 64 bits', 'pass a string')
        return `<i8>${value}</i8>`
      case 'string':
        return `<string>${this.#escape(value)}</string>`
      case 'object':
        return value === null ? '<nil/>' : this.#writeObject(value)
      default:
        return isNetref(value) || typeof value === 'function' ? this.#refuseReference() : this.#refuseType(value)
    }
  }

  #writeNumber(number: number): string {
    if (!Number.isFinite(number)) this.#refuse(`is ${number}, which XML-RPC has not`, 'pass null or a string')
    if (!Number.isSafeInteger(number) || Object.is(number, -0))
      return `<double>${Object.is(number, -0) ? '-0.0' : number}</double>`
    return number <= MAX_INT && number >= MIN_INT ? `<int>${number}</int>` : `<i8>${number}</i8>`
  }

  #writeObject(object: object): string {
    if (isNetref(object)) return this.#refuseReference()
    if (this.#path.length >= this.limits.depth)
      this.#refuse(`is deeper than ${this.limits.depth} (limits.depth), or part of a cycle`, 'pass less')
    if (Array.isArray(object)) return this.#writeArray(object)
    const prototype = Object.getPrototypeOf(object)
    if (prototype === Object.prototype || prototype === null) return this.#writeStruct(Object.entries(object))
    if (isInstanceOf('Date', object)) return this.#writeDate(object)
    if (isInstanceOf('Uint8Array', object)) return writeBytes(object)
    if (isInstanceOf('ArrayBuffer', object)) return writeBytes(new Uint8Array(object))
    if (isInstanceOf('Set', object)) return this.#writeArray(object)
    if (isInstanceOf('Map', object)) return this.#writeStruct(object)
    return this.#refuseType(object)
  }

  #writeArray(items: Iterable<unknown>): string {
    let xml = ''
    let index = 0
    for (const item of items) {
      this.#path.push(index++)
      xml += this.write(item)
      this.#path.pop()
    }
    return `<array><data>${xml}</data></array>`
  }

  #writeStruct(entries: Iterable<[unknown, unknown]>): string {
    let xml = ''
    for (const [key, value] of entries) {
      if (typeof key !== 'string')
        this.#refuse(`is a Map with the key ${describeValue(key)}`, 'only strings can be keys in XML-RPC')
      this.#path.push(key)
      xml += `<member><name>${this.#escape(key)}</name>${this.write(value)}</member>`
      this.#path.pop()
    }
    return `<struct>${xml}</struct>`
  }

  /** In UTC. XML-RPC has no fractions of a second. */
  #writeDate(date: Date): string {
    const year = date.getUTCFullYear()
    if (!(year >= 0 && year <= 9999)) this.#refuse(`is the Date ${describeDate(date)}`, 'pass a valid one with a year of four digits')
    return `<dateTime.iso8601>${date.toISOString().slice(0, 19).replaceAll('-', '')}</dateTime.iso8601>`
  }

  #escape(text: string): string {
    const invalid = invalidCharacterIn(text)
    if (invalid !== undefined)
      this.#refuse(`has the character ${quote(invalid)}, which XML has not`, 'pass bytes')
    return escapeXml(text)
  }

  #refuseReference(): never {
    this.#refuse('is a reference, and XML-RPC has none', 'pass data')
  }

  #refuseType(value: unknown): never {
    this.#refuse(`is ${describeValue(value)}, which XML-RPC has not`, 'pass plain data')
  }

  #refuse(fault: string, remedy: string): never {
    const path = this.#path.map(key =>
      typeof key === 'string' && IDENTIFIER.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
    )
    throw new UnsendableError(`${this.name}${path.join('')} ${fault}; ${remedy}`)
  }
}
