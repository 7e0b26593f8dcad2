// Checks what classes expose: that each exposes its members one way, and that listed fields exist.

import type { MemberName } from '../protocol/path.js'
import { functionName } from '../util/describe.js'
import { didYouMean } from '../util/nearest.js'
import { constructorOf, prototypeChain } from '../util/realms.js'
import { DEFAULT_PREFIX, exposedMetadataOf, fieldsOf } from './exposed-members.js'

/**
 * Checks that an instance has the fields that its classes list.
 *
 * @throws TypeError with the name of a missing one
 */
export function checkFields(object: object): void {
  for (const prototype of prototypeChain(object)) {
    for (const name of fieldsOf(prototype)?.keys() ?? []) {
      if (name in object) continue
      const known = [object, ...prototypeChain(object)].flatMap(at => Object.getOwnPropertyNames(at))
      const advice =
        didYouMean(String(name), known, '') || '; a listed field must exist after the constructor'
      throw new TypeError(`exposes(${nameOfClass(prototype)}): there is no member ${String(name)}${advice}`)
    }
  }
}

/* ---- One class exposes its members one way. ---- */

const checkedPrototypes = new WeakSet<object>()

/**
 * Checks the class with this prototype, and its base classes, each once. Types see one way of each class only.
 *
 * @throws TypeError for a class with prefixed members and members with `@exposed`
 */
export function checkClasses(prototype: object | null): void {
  if (prototype === null || checkedPrototypes.has(prototype)) return
  // `exposes` has checked its class.
  if (!fieldsOf(prototype)) checkOneWay(prototype, [])
  checkClasses(Object.getPrototypeOf(prototype))
  checkedPrototypes.add(prototype)
}

/**
 * @param listed the names in the `exposes` of the class
 * @throws TypeError if the class with this prototype exposes its own members more than one way
 */
export function checkOneWay(prototype: object, listed: readonly MemberName[]): void {
  const own = Reflect.ownKeys(prototype)
  const ways: [way: string, names: readonly MemberName[]][] = [
    [
      `the prefix ${DEFAULT_PREFIX}`,
      own.filter(name => typeof name === 'string' && name.startsWith(DEFAULT_PREFIX))
    ],
    [
      '`@exposed`',
      own.filter(name => exposedMetadataOf(Object.getOwnPropertyDescriptor(prototype, name)!) !== undefined)
    ],
    ['`exposes`', listed]
  ]
  const used = ways.filter(([, names]) => names.length > 0)
  if (used.length < 2) return
  const texts = used.map(([way, names]) => `${way} exposes ${names.map(String).join(', ')}`)
  throw new TypeError(
    `${nameOfClass(prototype)} exposes its members in ${used.length} ways, but types see one way of a class: ${texts.join('; ')}; use one of them for all`
  )
}

/** The name of the class with this prototype, for error texts. */
export function nameOfClass(prototype: object): string {
  const type = constructorOf(prototype)
  return (typeof type === 'function' && functionName(type)) || 'the class'
}
