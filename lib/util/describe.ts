// Describes values in a few words, for error texts.
import { toPrintable, truncate } from './printable.js'
import { constructorOf } from './realms.js'

/** Longest text of a string value. */
const MAX_STRING_CHARACTERS = 24
/** Longest name of a member, class or function. */
export const MAX_NAME_CHARACTERS = 64

export const truncateName = (name: string): string => toPrintable(name, MAX_NAME_CHARACTERS)

/** A text in quotes, truncated. */
export const quote = (text: string, maxCharacters = MAX_NAME_CHARACTERS): string =>
  toPrintable(JSON.stringify(truncate(text, maxCharacters)))

/** A value in a few words: `"text"`, `Point {…}`, `[…]`. */
export function describeValue(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return quote(value, MAX_STRING_CHARACTERS)
    case 'symbol':
      return truncateName(String(value))
    case 'bigint':
      return `${truncate(String(value), MAX_STRING_CHARACTERS)}n`
    case 'function':
      return 'ƒ'
    case 'object':
      return value === null ? 'null' : Array.isArray(value) ? '[…]' : describeObject(value)
    default:
      return Object.is(value, -0) ? '-0' : String(value)
  }
}

function describeObject(object: object): string {
  const name = className(object)
  return name ? `${truncateName(name)} {…}` : '{…}'
}

/** By prototype. */
const classNameCache = new WeakMap<object, string>()

/** The name of an object's class, read without running a user's getter; empty for plain objects. */
export function className(object: object): string {
  const prototype = Object.getPrototypeOf(object)
  if (prototype === Object.prototype || prototype === null) return ''
  let name = classNameCache.get(prototype)
  if (name === undefined) {
    const type = constructorOf(prototype)
    name = typeof type === 'function' ? functionName(type) : ''
    classNameCache.set(prototype, name)
  }
  return name
}

/** The name of a function, read without running a user's getter. */
export function functionName(fn: object): string {
  const name = Object.getOwnPropertyDescriptor(fn, 'name')?.value
  return typeof name === 'string' ? name : ''
}

/** As `String`, but does not throw: what a peer sent may fail to convert. */
export function safeString(value: unknown): string {
  try {
    return String(value)
  } catch {
    return safeDescribe(value)
  }
}

/** As `describeValue`, but does not throw, as a user's Proxy may. */
export function safeDescribe(value: unknown): string {
  try {
    return describeValue(value)
  } catch {
    return '{…}'
  }
}
