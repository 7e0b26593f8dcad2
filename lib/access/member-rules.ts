// The rules that decide which property of a local object a peer may use under which name. The first rule that decides wins.

import { classify, isIndex } from '../codec/classify.js'
import { grantOf, originalOf, ROOT_GRANT } from '../codec/grants.js'
import type { MemberName } from '../protocol/path.js'
import { builtInClassName } from '../util/realms.js'
import {
  type ExposedMetadata,
  exposedMetadataOf,
  fieldMetadataOf,
  hasConditionAnywhere,
  inheritCondition,
  isExposedAnywhere,
  isFieldAnywhere
} from './exposed-members.js'
import { isService } from './service.js'

/** The options that the rules depend on. */
interface RuleOptions {
  readonly exposedPrefix: string
  readonly allowPublicAttrs: boolean
}

/**
 * Decides on one name of an object.
 *
 * @param isCreation whether the member is set, so that it need not exist
 * @returns the property to use, `DENIED`, or undefined if the next rule decides
 */
type MemberRule = (
  object: object,
  name: MemberName,
  options: RuleOptions,
  isCreation: boolean
) => MemberName | typeof DENIED | undefined

const DENIED = null

/** Names that lead to classes and prototypes. */
const isForbidden = (name: MemberName) =>
  name === 'constructor' || name === 'prototype' || name === '__proto__'
const isServiceHook = (name: MemberName) =>
  name === 'onConnect' || name === 'onClosing' || name === 'onDisconnect'

/** The rules in order, by name. */
export const MEMBER_RULES = {
  /** Names that lead to classes and prototypes, and the hooks of a service, are never members. */
  denyReserved: (object, name) => (isReserved(object, name) ? DENIED : undefined),

  /** `restrict(object, { read })` lists all members, also those that the class exposes. */
  denyUnlisted: (object, name) =>
    originalOf(object) && grantOf(object)!.read?.has(name) === false ? DENIED : undefined,

  /** A property with the prefix is exposed under its name without it. */
  allowPrefixed(object, name, { exposedPrefix }) {
    const property = typeof name === 'string' ? exposedPrefix + name : undefined
    if (property === undefined || !(property in object) || isReserved(object, property)) return undefined
    return isInheritedFromObject(object, property) ? undefined : property
  },

  /** A member that its class exposes by `@exposed` or `exposes` has its own name. A field exists on instances only. */
  allowExposedByClass(object, name, _, isCreation) {
    if (!isExposedAnywhere(name) || !findExposedMetadata(object, name)) return undefined
    return isFieldAnywhere(name) && !isCreation && !(name in object) ? undefined : name
  },

  /** `expose(object, { read })` lists all other members. */
  followReadList(object, name, _, isCreation) {
    const read = grantOf(object)?.read
    if (!read) return undefined
    return read.has(name) && (isCreation || name in object) ? name : DENIED
  },

  /** Without a list, no symbol is a member. */
  denySymbols: (_, name) => (typeof name === 'symbol' ? DENIED : undefined),

  /** A plain object that is a root has its own public functions. */
  allowFunctionsOfPlainRoot: (object, name) =>
    isRoot(object) && isPublic(name) && classify(object).as === 'record' && isOwnFunction(object, name)
      ? name
      : undefined,

  /** A plain object that is data has its own enumerable properties, and no others. */
  followOwnProperties(object, name) {
    if (!isData(object, 'record')) return undefined
    return Object.prototype.propertyIsEnumerable.call(object, name) ? name : DENIED
  },

  /** An array that is data has its items and its length, and no others. */
  followItems(object, name) {
    if (!isData(object, 'array')) return undefined
    return (name === 'length' || isIndex(name as string)) && name in object ? name : DENIED
  },

  /** Names that start with `_` are private. */
  denyPrivate: (_, name) => (isPublic(name) ? undefined : DENIED),

  /** Public members need `expose(object)` or `allowPublicAttrs`. */
  denyUnexposed: (object, _, { allowPublicAttrs }) =>
    allowPublicAttrs || isExposedObject(object) ? undefined : DENIED,

  /** Members of every object are not members of this one. */
  denyInheritedFromObject: (object, name) => (isInheritedFromObject(object, name) ? DENIED : undefined),

  /** What is left are the public members of an exposed object. */
  allowExisting: (object, name, _, isCreation) => (isCreation || name in object ? name : undefined)
} satisfies Record<string, MemberRule>

const rules: readonly MemberRule[] = Object.values(MEMBER_RULES)

/** The property that a name stands for, if the rules for all peers allow it. A member that no rule allows is denied. */
export function findExposedProperty(
  object: object,
  name: MemberName,
  options: RuleOptions,
  isCreation: boolean
): MemberName | undefined {
  for (const rule of rules) {
    const decision = rule(object, name, options, isCreation)
    if (decision !== undefined) return decision ?? undefined
  }
  return undefined
}

const isReserved = (object: object, name: MemberName) =>
  isForbidden(name) || (isServiceHook(name) && isService(object))

const isRoot = (object: object) => grantOf(object) === ROOT_GRANT

const isExposedObject = (object: object) => grantOf(object) !== undefined && !isRoot(object)

/** Whether an object is passed by value: as a plain object, or as an array. */
const isData = (object: object, mode: 'record' | 'array') =>
  typeof object === 'object' && !grantOf(object) && classify(object).as === mode

const isPublic = (name: MemberName) => typeof name === 'string' && !name.startsWith('_')

const isOwnFunction = (object: object, name: MemberName) =>
  typeof Object.getOwnPropertyDescriptor(object, name)?.value === 'function'

/**
 * Whether a property belongs to all objects, not to this kind: it is found on `Object.prototype` (of any realm). Of a
 * function, that is a name of `Function.prototype`, or a static member of `Object` that a class inherits.
 */
function isInheritedFromObject(object: object, name: MemberName): boolean {
  if (typeof object === 'function') {
    return (
      name in Function.prototype || (name in Object && isObjectConstructor(findPropertyHolder(object, name)))
    )
  }
  if (!(name in Object.prototype)) return false
  const holder = findPropertyHolder(object, name)
  return holder !== null && holder !== object && Object.getPrototypeOf(holder) === null
}

/** Whether it is `Object` of any realm. */
const isObjectConstructor = (type: object | null) =>
  typeof type === 'function' && builtInClassName(type.prototype) === 'Object'

/** The object, or the prototype of it, that has the property. */
export function findPropertyHolder(object: object, name: MemberName): object | null {
  let holder: object | null = object
  while (holder !== null && !Object.hasOwn(holder, name)) holder = Object.getPrototypeOf(holder)
  return holder
}

/** How the class exposes a member, or the member that it overrides. An override stays exposed, under the same condition. */
export function findExposedMetadata(object: object, name: MemberName): ExposedMetadata | undefined {
  const mayBeField = isFieldAnywhere(name)
  let override: unknown
  for (let holder: object | null = object; holder !== null; holder = Object.getPrototypeOf(holder)) {
    const descriptor = Object.getOwnPropertyDescriptor(holder, name)
    const metadata =
      (descriptor && exposedMetadataOf(descriptor)) ??
      (mayBeField ? fieldMetadataOf(holder, name) : undefined)
    if (metadata) {
      if (typeof override === 'function' && hasConditionAnywhere(name)) inheritCondition(override, metadata)
      return metadata
    }
    override ??= descriptor?.value
  }
  return undefined
}
