// Describes values in a few words, for error texts.
import { toPrintable, truncate } from './printable.js'
import { constructorOf } from './realms.js'

/** Text of somebody's, and a name: both are cut where they are longer than anybody reads. */
const MAX_STRING_CHARACTERS = 24

export const NAME = 64

export const truncateName = (name: string): string => toPrintable(name, NAME)

/** A text between quotes. */
export const quote = (text: string, maxCharacters = NAME): string =>
  toPrintable(JSON.stringify(truncate(text, maxCharacters)))

/** A value in a few words, for errors: `a symbol`, `an Error`, `"text"`. */
export function describe(value: unknown): string {
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

/** Names of classes, by their prototypes. */
const classNameCache = new WeakMap<object, string>()

/** The name of an object's class, read without running a getter of the user's; empty for plain objects. */
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

/** A function's own name, read without running a getter of the user's. */
export function functionName(fn: object): string {
  const name = Object.getOwnPropertyDescriptor(fn, 'name')?.value
  return typeof name === 'string' ? name : ''
}

/** As `String`, and never throws: a peer may have had a say in what fails. */
export function safeString(value: unknown): string {
  try {
    return String(value)
  } catch {
    return inWords(value)
  }
}

/** As `describe`, and never throws: a look at a user's Proxy may. */
export function inWords(value: unknown): string {
  try {
    return describe(value)
  } catch {
    return '{…}'
  }
}
