// Serializes the identities of clients as canonical texts: two texts are equal if and only if the data are equal.

import { classify, firstNamedKey, isJsonPrimitive, isPassedByValue } from '../codec/classify.js'
import { encodeData } from '../codec/encoded-data.js'
import { IDENTITY } from '../codec/value-role.js'
import { DEFAULT_LIMITS } from '../protocol/limits.js'
import { className, safeDescribe } from '../util/describe.js'

const ENCODER_LIMITS = { ...DEFAULT_LIMITS, exposeStacks: false }

/**
 * The text of an identity. The order of the names in an object, and of the entries in a Map or a Set, does not matter.
 * Undefined if any part of it is not data: instances of a class may differ in members that are not visible. With
 * `allowInstances`, an instance with own enumerable members is its class and these members.
 */
export function identityText(identity: unknown, allowInstances = false): string | undefined {
  try {
    return canonicalText(identity, allowInstances, 0)
  } catch {
    return undefined
  }
}

/**
 * Whether two identities are the same value, or equal data. For instances of classes, the own enumerable members count:
 * the client has presented the token of the session, so private fields need not distinguish users.
 *
 * @throws TypeError if they are not the same value and one is not data, so that they cannot be compared
 */
export function equalIdentity(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true
  const [text, comes] = [identityText(one, true), identityText(other, true)]
  if (text !== undefined && comes !== undefined) return text === comes
  const what = safeDescribe(text === undefined ? one : other)
  throw new TypeError(
    `sameIdentity: ${what} is not data, so it cannot be compared: return data from \`authenticate\`, or pass \`sameIdentity\``
  )
}

/** @throws an error if the value is not data */
function canonicalText(value: unknown, allowInstances: boolean, depth: number): string {
  if (depth > ENCODER_LIMITS.depth) throw new RangeError('an identity that is nested too deep')
  if (isJsonPrimitive(value)) return JSON.stringify(value)
  const inner = (value: unknown) => canonicalText(value, allowInstances, depth + 1)
  switch (typeof value === 'object' ? classify(value!).as : 'leaf') {
    case 'record':
      return canonicalMembers(value as object, inner)
    case 'reference':
      if (allowInstances && isTransparentInstance(value as object))
        return className(value as object) + canonicalMembers(value as object, inner)
      break
    case 'array':
      if (firstNamedKey(value as unknown[]) === undefined) return `[${Array.from(value as unknown[], inner)}]`
      break
    case 'map':
    case 'set':
      if (Object.keys(value as object).length > 0) break
      return `${className(value as object)}(${Array.from(value as Iterable<unknown>, inner).sort()})`
  }
  const { json, bytes, isData } = encodeData(value, IDENTITY, ENCODER_LIMITS)
  if (!isData) throw new TypeError('an identity that is not data')
  return `<${json} ${JSON.stringify(bytes.map(range => Array.from(range)))}>`
}

function canonicalMembers(object: object, inner: (value: unknown) => string): string {
  const entries = Object.entries(object).map(([name, value]) => `${JSON.stringify(name)}:${inner(value)}`)
  return `{${entries.sort()}}`
}

/** Whether an object has own enumerable members, and its class extends no built-in class. */
function isTransparentInstance(object: object): boolean {
  let prototype = Object.getPrototypeOf(object)
  while (prototype !== null && !isPassedByValue(prototype)) prototype = Object.getPrototypeOf(prototype)
  return (prototype === null || prototype === Object.prototype) && Object.keys(object).length > 0
}
