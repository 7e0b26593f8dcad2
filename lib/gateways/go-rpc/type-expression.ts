// Reads types as Go writes them: `float64`, `[]string`, `map[string]int`, `struct { X, Y int }`.

import { quote } from '../../util/describe.js'
import { BOOL, BYTES, COMPLEX, FLOAT, INT, STRING, UINT } from './gob/basic-types.js'
import { arrayOf, type Field, mapOf, sliceOf, structOf } from './gob/composite-types.js'
import type { GobType } from './gob/gob-type.js'
import { INTERFACE } from './gob/interface-type.js'
import { opaqueType, TIME } from './gob/opaque-type.js'

const numbers = (type: GobType, ...names: string[]) => names.map((name): [string, GobType] => [name, type])

const NAMED_TYPES: ReadonlyMap<string, GobType> = new Map([
  ...numbers(INT, 'int', 'int8', 'int16', 'int32', 'int64', 'rune'),
  ...numbers(UINT, 'uint', 'uint8', 'uint16', 'uint32', 'uint64', 'uintptr', 'byte'),
  ...numbers(FLOAT, 'float32', 'float64'),
  ...numbers(COMPLEX, 'complex64', 'complex128'),
  ['bool', BOOL],
  ['string', STRING],
  ['any', INTERFACE],
  ['time.Time', TIME],
  // Types that encode themselves, by the interface that they have. Their values are bytes.
  ['gob.GobEncoder', opaqueType('GobEncoder', 'GobEncoderT')],
  ['encoding.BinaryMarshaler', opaqueType('BinaryMarshaler', 'BinaryMarshalerT')],
  ['encoding.TextMarshaler', opaqueType('TextMarshaler', 'TextMarshalerT')]
])
const BYTE_TYPES = ['byte', 'uint8']
const MAX_DEPTH = 100

/** Names, numbers, tags, and single characters; a line break ends a field. */
const TOKENS = /[\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}_][\p{L}\p{N}_]*)*|\d+|`[^`]*`|"[^"]*"|\n|[^\s]/gu
const IDENTIFIER = /^[\p{L}_]/u

/**
 * @param typeNamed finds types that are declared elsewhere
 * @throws Error that says what is wrong with the text
 */
export function parseType(text: string, typeNamed: (name: string) => GobType | undefined): GobType {
  const parser = new TypeParser(text.match(TOKENS) ?? [], typeNamed)
  const type = parser.parseType(0)
  parser.expectEnd()
  return type
}

class TypeParser {
  #at = 0

  constructor(
    private readonly tokens: readonly string[],
    private readonly typeNamed: (name: string) => GobType | undefined
  ) {}

  parseType(depth: number): GobType {
    if (depth > MAX_DEPTH) throw new Error('it is too deep')
    const token = this.#take()
    switch (token) {
      case '*':
        return this.parseType(depth + 1)
      case '(': {
        const type = this.parseType(depth + 1)
        this.#expect(')')
        return type
      }
      case '[':
        return this.#parseList(depth)
      case 'map': {
        this.#expect('[')
        const key = this.parseType(depth + 1)
        this.#expect(']')
        return mapOf(key, this.parseType(depth + 1))
      }
      case 'struct':
        return this.#parseStruct(depth)
      case 'interface':
        this.#expect('{')
        this.#expect('}')
        return INTERFACE
      default: {
        const type = NAMED_TYPES.get(token) ?? this.typeNamed(token)
        if (type) return type
        throw new Error(
          `${quote(token)} is not a type of Go that is known here; declare it in \`types\`, too`
        )
      }
    }
  }

  expectEnd(): void {
    this.#skipLines()
    const token = this.tokens[this.#at]
    if (token !== undefined) throw new Error(`${quote(token)} is behind its end`)
  }

  #parseList(depth: number): GobType {
    if (this.#next() === ']') {
      this.#take()
      if (BYTE_TYPES.includes(this.#next())) {
        this.#take()
        return BYTES
      }
      return sliceOf(this.parseType(depth + 1))
    }
    const length = Number(this.#take())
    if (!Number.isSafeInteger(length)) throw new Error('the length of an array is a number')
    this.#expect(']')
    return arrayOf(this.parseType(depth + 1), length)
  }

  #parseStruct(depth: number): GobType {
    this.#expect('{')
    const fields: Field[] = []
    for (;;) {
      this.#skipLines()
      if (this.#next() === '}') break
      const names = [this.#parseName()]
      while (this.#next() === ',') {
        this.#take()
        names.push(this.#parseName())
      }
      const type = this.parseType(depth + 1)
      if (/^[`"]/.test(this.#next())) this.#take()
      // Go does not send the others.
      for (const name of names) if (/^\p{Lu}/u.test(name)) fields.push({ name, type })
      if (![';', '\n', '}'].includes(this.#next()))
        throw new Error(`it has no ";" behind ${quote(names[0]!)}`)
    }
    this.#take()
    return structOf(fields)
  }

  #parseName(): string {
    const name = this.#take()
    if (!IDENTIFIER.test(name) || name.includes('.'))
      throw new Error(`${quote(name)} is not the name of a field`)
    return name
  }

  #skipLines(): void {
    while ([';', '\n'].includes(this.tokens[this.#at]!)) this.#at++
  }

  #next(): string {
    return this.tokens[this.#at] ?? ''
  }

  #take(): string {
    const token = this.#next()
    if (token === '') throw new Error('it has no end')
    this.#at++
    return token
  }

  #expect(token: string): void {
    const next = this.#take()
    if (next !== token) throw new Error(`${quote(next)} is in the place of ${quote(token)}`)
  }
}
