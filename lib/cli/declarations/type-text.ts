// Texts of TypeScript types: unions, intersections, lists, literals, comments.

import { propertyName } from './names.js'

/** A type in TypeScript. */
export interface TypeText {
  readonly text: string
  /** Whether it is a union or an intersection, which needs parentheses beside other operators. */
  readonly isCompound: boolean
}

export const simple = (text: string): TypeText => ({ text, isCompound: false })
export const UNKNOWN = simple('unknown')
export const NEVER = simple('never')

/** Longest object type in one line. */
const MAX_LINE_CHARACTERS = 70

const operand = ({ text, isCompound }: TypeText): string => (isCompound ? `(${text})` : text)
const distinct = (types: readonly TypeText[]): TypeText[] => [
  ...new Map(types.map(type => [type.text, type])).values()
]

export function union(types: readonly TypeText[]): TypeText {
  if (types.some(({ text }) => text === UNKNOWN.text)) return UNKNOWN
  const parts = distinct(types).filter(({ text }) => text !== NEVER.text)
  if (parts.length < 2) return parts[0] ?? NEVER
  return { text: parts.map(operand).join(' | '), isCompound: true }
}

export function intersection(types: readonly TypeText[]): TypeText {
  if (types.some(({ text }) => text === NEVER.text)) return NEVER
  const parts = distinct(types).filter(({ text }) => text !== UNKNOWN.text)
  if (parts.length < 2) return parts[0] ?? UNKNOWN
  return { text: parts.map(operand).join(' & '), isCompound: true }
}

export const listOf = (item: TypeText): TypeText => simple(`${operand(item)}[]`)

/** A tuple, whose items after the first `required` ones may be missing. */
export function tuple(items: readonly TypeText[], required: number, rest: TypeText | undefined): TypeText {
  const texts = items.map((item, i) => (i < required ? item.text : `${operand(item)}?`))
  return simple(`[${[...texts, ...(rest ? [`...${listOf(rest).text}`] : [])].join(', ')}]`)
}

/** A property of an object type. */
export interface Property {
  readonly name: string
  readonly type: TypeText
  readonly isOptional: boolean
  readonly comment: string
}

/** @param values the type of the values under all other names, if there may be some */
export function objectType(properties: readonly Property[], values: TypeText | undefined): TypeText {
  const members = properties.map(
    ({ name, type, isOptional, comment }) =>
      `${comment}${propertyName(name)}${isOptional ? '?' : ''}: ${type.text}`
  )
  if (values) members.push(`[key: string]: ${values.text}`)
  const line = `{ ${members.join('; ')} }`
  return simple(line.includes('\n') || line.length > MAX_LINE_CHARACTERS ? block(members) : line)
}

/** Members in braces, each in a line of its own. */
export const block = (members: readonly string[]): string =>
  `{${members.map(member => `\n${member}`.replaceAll('\n', '\n  ')).join('')}\n}`

/** The type of exactly this JSON value. */
export function literal(value: unknown): TypeText {
  if (Array.isArray(value)) return tuple(value.map(literal), value.length, undefined)
  if (typeof value !== 'object' || value === null) return simple(JSON.stringify(value))
  const properties = Object.entries(value).map(([name, member]) => ({
    ...{ name, type: literal(member), isOptional: false, comment: '' }
  }))
  return properties.length > 0 ? objectType(properties, undefined) : objectType([], NEVER)
}

/** A comment in front of a declaration, or nothing for no text. */
export function comment(...texts: readonly string[]): string {
  // What it says cannot end it.
  const text = texts.filter(Boolean).join('\n').trim().replaceAll('*/', '*\\/')
  const lines = text.split(/\r\n|[\n\r\u2028\u2029]/).map(line => line.replaceAll('\t', ' ').trimEnd())
  if (text === '') return ''
  return lines.length === 1
    ? `/** ${text} */\n`
    : `/**\n${lines.map(line => ` * ${line}`.trimEnd()).join('\n')}\n */\n`
}
