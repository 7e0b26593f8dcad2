// Reads the literals of Python that serpent, Pyro's serializer, writes.

import type { Limits } from '../../protocol/limits.js'
import { quote } from '../../util/describe.js'
import { fromPythonDict } from './python-dict.js'

export type ReadLimits = Pick<Limits, 'jsonBytes' | 'bigintDigits' | 'values'>

/** A text is no literal that has a form here. */
export class SerpentError extends Error {
  override name = 'SerpentError'
}

/**
 * The value of a literal. `None` is null. A tuple is an array, and a set a Set. A dict is a plain object, or a Map if a key is
 * not a string. An int beyond 2^53 is a bigint. What Python's serpent writes in the place of bytes is a Uint8Array.
 *
 * @param maxDepth maximum depth of its containers
 * @throws SerpentError for other texts, and beyond the limits
 */
export const readSerpent = (bytes: Uint8Array, maxDepth: number, limits: ReadLimits): unknown =>
  new LiteralReader(decodeUtf8(bytes), maxDepth, limits).read()

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return UTF_8.decode(bytes)
  } catch {
    throw new SerpentError('the literal is not UTF-8')
  }
}
const UTF_8 = new TextDecoder('utf-8', { fatal: true })

const CONSTANTS: ReadonlyMap<string, unknown> = new Map([
  ['None', null],
  ['True', true],
  ['False', false]
])
const NAME = /[A-Za-z_]\w*/y
const NUMBER = /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y
const SIMPLE_ESCAPES: ReadonlyMap<string, string> = new Map([
  ...['\\', "'", '"'].map((character): [string, string] => [character, character]),
  ['\n', ''],
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v']
])
const OCTAL_ESCAPE = /[0-7]{1,3}/y
/** The number of hexadecimal digits of an escape. */
const HEX_ESCAPES: ReadonlyMap<string, number> = new Map([
  ['x', 2],
  ['u', 4],
  ['U', 8]
])
const MAX_CODE_POINT = 0x10ffff

class LiteralReader {
  #at = 0
  #depth = 0
  /** Characters within strings, which the limit of the structure leaves out. */
  #stringCharacters = 0
  /** Values that are not plain JSON, which take more memory than text. */
  #heavyValues = 0
  /** Place of the next backslash, if that is not before `#at`. */
  #backslashAt = -1

  constructor(
    private readonly text: string,
    private readonly maxDepth: number,
    private readonly limits: ReadLimits
  ) {}

  read(): unknown {
    const value = this.#readValue()
    this.#skipBlanks()
    if (this.#at < this.text.length) throw this.#unexpected('the end')
    return value
  }

  #readValue(): unknown {
    this.#skipBlanks()
    if (this.#at - this.#stringCharacters > this.limits.jsonBytes)
      throw this.#error('the literal is too long (limits.jsonBytes)')
    const character = this.text[this.#at]
    switch (character) {
      case "'":
      case '"':
        return this.#readString(false)
      case '(':
        return this.#readNested(() => this.#readTuple())
      case '[':
        return this.#readNested(() => this.#readItems([], ']'))
      case '{':
        return this.#readNested(() => this.#readDictOrSet())
      default:
        return this.#readNumber() ?? this.#readName()
    }
  }

  #readNested<T>(read: () => T): T {
    if (++this.#depth > this.maxDepth) throw this.#error('a value is too deep (limits.depth)')
    this.#at++
    const value = read()
    this.#depth--
    return value
  }

  /** Reads items up to a bracket, after those that were read. */
  #readItems(items: unknown[], bracket: string): unknown[] {
    while (!this.#skip(bracket)) {
      items.push(this.#readValue())
      if (!this.#skip(',')) {
        this.#require(bracket)
        break
      }
    }
    return items
  }

  /** A value in parentheses without a comma is that value. */
  #readTuple(): unknown {
    if (this.#skip(')')) return []
    const first = this.#readValue()
    if (this.#skip(')')) return first
    this.#require(',')
    return this.#readItems([first], ')')
  }

  #readDictOrSet(): unknown {
    if (this.#skip('}')) return {}
    const first = this.#readValue()
    if (this.#skip(':')) return this.#readDict(first)
    if (this.#skip(',')) return this.#count(new Set(this.#readItems([first], '}')))
    this.#require('}')
    return this.#count(new Set([first]))
  }

  #readDict(firstKey: unknown): unknown {
    const entries: [key: unknown, value: unknown][] = [[firstKey, this.#readValue()]]
    while (!this.#skip('}')) {
      this.#require(',')
      if (this.#skip('}')) break
      const key = this.#readValue()
      this.#require(':')
      entries.push([key, this.#readValue()])
    }
    const value = fromPythonDict(entries, what => this.#error(`${what} has no form in netref`))
    return Object.getPrototypeOf(value) === Object.prototype ? value : this.#count(value)
  }

  #readNumber(): number | bigint | undefined {
    const digits = this.#match(NUMBER)
    if (digits === undefined) return undefined
    const end = this.#at + digits.length
    if (/[jJ+-]/.test(this.text[end] ?? '')) throw this.#error('a complex number has no form in netref')
    const number = Number(digits)
    const isExact = /[.eE]/.test(digits) || Number.isSafeInteger(number)
    if (!isExact && digits.length > this.limits.bigintDigits)
      throw this.#error('an int has too many digits (limits.bigintDigits)')
    this.#at = end
    return isExact ? number : this.#count(BigInt(digits))
  }

  #readName(): unknown {
    const name = this.#match(NAME) ?? ''
    const next = this.text[this.#at + name.length]
    if (/^[uU]$/.test(name) && isQuote(next)) {
      this.#at++
      return this.#readString(false)
    }
    if (/^[bB]$/.test(name) && isQuote(next)) {
      this.#at++
      return this.#count(new Uint8Array(Buffer.from(this.#readString(true), 'latin1')))
    }
    if (!CONSTANTS.has(name)) throw this.#unexpected('a value')
    this.#at += name.length
    return CONSTANTS.get(name)
  }

  /** Reads a string. That of bytes has a character for each byte. */
  #readString(isBytes: boolean): string {
    const { text } = this
    const start = this.#at + 1
    const quotation = text[this.#at]!
    let end = text.indexOf(quotation, start)
    let value = ''
    for (let from = start; ; ) {
      if (end < 0) throw this.#error('a string does not end')
      const backslash = this.#backslashFrom(from)
      if (backslash > end) {
        value += text.slice(from, end)
        break
      }
      value += text.slice(from, backslash)
      this.#at = backslash + 1
      value += this.#readEscape(isBytes)
      from = this.#at
      if (from > end) end = text.indexOf(quotation, from)
    }
    this.#stringCharacters += end - start
    this.#at = end + 1
    if (isBytes && /[^\0-\xff]/.test(value)) throw this.#error('bytes have a character beyond 255')
    return value
  }

  #backslashFrom(place: number): number {
    if (this.#backslashAt < place) {
      const found = this.text.indexOf('\\', place)
      this.#backslashAt = found < 0 ? Number.POSITIVE_INFINITY : found
    }
    return this.#backslashAt
  }

  /** Reads what follows a backslash. Python keeps a backslash that begins no escape. */
  #readEscape(isBytes: boolean): string {
    const octal = this.#match(OCTAL_ESCAPE)
    if (octal !== undefined) {
      this.#at += octal.length
      return String.fromCharCode(Number.parseInt(octal, 8))
    }
    const character = this.text[this.#at]!
    const simple = SIMPLE_ESCAPES.get(character)
    const isHex = HEX_ESCAPES.has(character) && (!isBytes || character === 'x')
    if (simple === undefined && !isHex) {
      if (character === 'N' && !isBytes) throw this.#error('a character by its name has no form here')
      return '\\'
    }
    this.#at++
    return simple ?? this.#readHexEscape(HEX_ESCAPES.get(character)!)
  }

  #readHexEscape(length: number): string {
    const digits = this.text.slice(this.#at, this.#at + length)
    const code = /^[\da-fA-F]+$/.test(digits) && digits.length === length ? Number.parseInt(digits, 16) : -1
    if (code < 0 || code > MAX_CODE_POINT) throw this.#error('a wrong escape in a string')
    this.#at += length
    return String.fromCodePoint(code)
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    return pattern.exec(this.text)?.[0]
  }

  /** Skips a character, if it is the next one that is not blank. */
  #skip(character: string): boolean {
    this.#skipBlanks()
    if (this.text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #require(character: string): void {
    if (!this.#skip(character)) throw this.#unexpected(quote(character))
  }

  /** Skips blanks, line ends and comments. */
  #skipBlanks(): void {
    const { text } = this
    for (let code = text.charCodeAt(this.#at); code <= HASH; code = text.charCodeAt(this.#at)) {
      if (code === HASH) {
        const end = text.indexOf('\n', this.#at)
        this.#at = end < 0 ? text.length : end
      } else if (code === SPACE || (code >= TAB && code <= CARRIAGE_RETURN)) this.#at++
      else return
    }
  }

  /** Counts a value that is not plain JSON. */
  #count<T>(value: T): T {
    if (++this.#heavyValues > this.limits.values)
      throw this.#error('too many values that are not plain JSON (limits.values)')
    return value
  }

  #unexpected(expected: string): SerpentError {
    const found = this.text.slice(this.#at, this.#at + SHOWN_CHARACTERS)
    return this.#error(`${found === '' ? 'the end' : quote(found)} in the place of ${expected}`)
  }

  #error(what: string): SerpentError {
    return new SerpentError(`character ${this.#at} of a literal: ${what}`)
  }
}

const HASH = 0x23
const SPACE = 0x20
const TAB = 0x09
const CARRIAGE_RETURN = 0x0d
const SHOWN_CHARACTERS = 12
const isQuote = (character: string | undefined): boolean => character === "'" || character === '"'
