// The rules: which property of a home object a peer may use under which name, and where a path ends. `operate.ts` asks
// for every operation, and nothing else touches a home object. Refused and missing are the same to the peer.

import { isIndex, isIterable, KEYS_IN_ONE, type Travel, travelOf } from '../codec/classify.js'
import { silenceAll } from '../codec/dispose.js'
import { grantOf, ROOT } from '../codec/grants.js'
import { Refusal } from '../errors.js'
import type { Limits } from '../protocol/limits.js'
import type { Name } from '../protocol/path.js'
import type { Delivery } from '../remote/delivery.js'
import { describe } from '../util/describe.js'
import { isThenable } from '../util/promises.js'
import { builtInWith, isA } from '../util/realms.js'
import { permits } from './call-context.js'
import { inheritRule, isMarkedName, isRuledName, type Mark, markOf } from './expose.js'
import type { Before } from './peer-call.js'
import { isService, type Service } from './service.js'

/** What a side lets a peer touch, beyond what its objects say themselves. */
export interface ExposureOptions {
  /**
   * Members whose name starts so are exposed, under the name without it.
   *
   * @default 'exposed_'
   */
  readonly exposedPrefix?: string | undefined
  /**
   * Members that do not start with `_`, of every object the peer holds, may be read and called.
   *
   * @default false
   */
  readonly allowPublicAttrs?: boolean | undefined
  /**
   * Members the peer may read may be set as well.
   *
   * @default false
   */
  readonly allowSetAttrs?: boolean | undefined
  /**
   * Members the peer may read may be deleted as well.
   *
   * @default false
   */
  readonly allowDeleteAttrs?: boolean | undefined
  /**
   * The peer may ask what there is, by `Netref.describe` and `Netref.keys`. What it knows the name of it can use anyway.
   *
   * @default true
   */
  readonly describe?: boolean | undefined
}

/** The options, filled in, the hook that goes with them, and how much is told of an object. */
export type Exposure = Required<ExposureOptions> &
  Before & { readonly limits: Pick<Limits, 'values' | 'jsonBytes'> }

export const NO_EXPOSURE: Exposure = {
  exposedPrefix: 'exposed_',
  allowPublicAttrs: false,
  allowSetAttrs: false,
  allowDeleteAttrs: false,
  describe: true,
  limits: { values: 10_000, jsonBytes: 4 << 20 }
}

/** What the peer starts from, besides the target. */
export interface Origin {
  /** The peer holds the target by reference: it is no copy, whatever it looks like. */
  readonly held?: boolean | undefined
  /** The target is the root. */
  readonly isRoot?: boolean | undefined
  /** The object that a member function, the target, belongs to. */
  readonly self?: object | undefined
  /** It is a call of a peer's that is being started, which its caller may give up. */
  readonly called?: boolean | undefined
  /** Whether the operation may have been carried out before. */
  readonly again?: boolean | undefined
  /** What came with the operand: whoever passes that to a user's code hands it over. */
  readonly delivery?: Delivery | undefined
}

export type Members = Record<Name, unknown>

/** The ways to classes and prototypes. */
const NEVER = new Set<Name>(['__proto__', 'constructor', 'prototype'])
const HOOKS = new Set<Name>(['onConnect', 'onDisconnect'])

/**
 * The object that a path goes on in. It ends at a value that is sent as a copy, as the copy is the caller's, who can
 * await it; and at what is never sent: a path is no way into what a peer could not be given.
 */
export function within(holder: unknown, name: Name, { held }: Origin): Members {
  if (held) return holder as Members
  const end = endAt(holder)
  if (end === undefined) return holder as Members
  silenceAll(holder)
  throw new Refusal('not-exposed', `${describe(name)} is read off ${end}`)
}

/** Why a path ends at a value, and the cure; undefined when it goes on. */
function endAt(value: unknown): string | undefined {
  const isObject = typeof value === 'object' && value !== null
  if (isObject && grantOf(value)) return undefined
  if (isThenable(value)) return 'a promise: await it first'
  if (typeof value === 'function') return undefined
  const travel = isObject ? travelOf(value) : undefined
  switch (travel?.as) {
    case 'record':
      return isIterable(value as Members) ? flowOf(value) : undefined
    case 'array':
    case 'reference':
      return undefined
    case 'flow':
    case 'pair':
      return flowOf(value)
    case 'refused':
      return `${travel.what}, which is never sent: ${travel.cure}`
    default:
      return `${describe(value)}, which is sent as a copy: await it first`
  }
}

const flowOf = (value: unknown) => `${describe(value)}, which has a flow of its own: await it first`

const REFERENCE: Travel = { as: 'reference' }

/** The property that stands for `name`, if this peer may use it. */
export function memberOf(object: object, name: Name, exposure: Exposure, create: boolean): Name | undefined {
  const member = findMember(object, name, exposure, create)
  if (member === undefined || !isRuledName(member)) return member
  const mark = markOn(object, member)
  return mark && !permits(mark) ? undefined : member
}

/**
 * The rules for any peer, in the order of the design: the property that stands for `name`, or undefined. With `create`
 * it need not be there. Whether it is there is looked up last, and only where it may be told: what is refused takes as long as what
 * is missing.
 */
function findMember(object: object, name: Name, exposure: Exposure, create: boolean): Name | undefined {
  const reserved = isReserved(object, name)
  if (typeof name === 'string') {
    const prefixed = exposure.exposedPrefix + name
    if (prefixed in object && !reserved && !isReserved(object, prefixed) && !isEverybodys(object, prefixed))
      return prefixed
  }
  if (reserved) return undefined
  if (isMarkedName(name) && markOn(object, name)) return name
  const known = grantOf(object)
  const isRoot = known === ROOT
  const grant = isRoot ? undefined : known
  if (grant?.read) return grant.read.has(name) && (create || name in object) ? name : undefined
  if (typeof name === 'symbol') return undefined
  const isPublic = !name.startsWith('_')
  const { as } = grant || typeof object === 'function' ? REFERENCE : travelOf(object)
  if (isRoot) {
    if (as === 'record' && isPublic && isOwnFunction(object, name)) return name
  } else if (as === 'record') {
    return Object.prototype.propertyIsEnumerable.call(object, name) ? name : undefined
  } else if (as === 'array') {
    return (name === 'length' || isIndex(name)) && name in object ? name : undefined
  }
  if (!isPublic || !(grant || exposure.allowPublicAttrs)) return undefined
  return (create || name in object) && !isEverybodys(object, name) ? name : undefined
}

const isReserved = (object: object, name: Name) => NEVER.has(name) || (HOOKS.has(name) && isService(object))

const isOwnFunction = (object: object, name: string) => typeof propertyOf(object, name)?.value === 'function'

/** A property's descriptor, which takes a while to make: one is made where there is no such property, too. */
function propertyOf(object: object, name: Name): PropertyDescriptor | undefined {
  const found = Object.getOwnPropertyDescriptor(object, name)
  if (!found) Object.getOwnPropertyDescriptor(NO_EXPOSURE, 'exposedPrefix')
  return found
}

/**
 * Whether it is no property of this object's kind, but of all: found on `Object.prototype` (of whatever realm), of a
 * function's a name of `Function.prototype`, or one that a class has from `Object` itself, whose functions reflect.
 */
function isEverybodys(object: object, name: Name): boolean {
  if (typeof object === 'function') {
    return name in Function.prototype || (name in Object && isObjectClass(whereIs(object, name)))
  }
  if (!(name in Object.prototype)) return false
  const at = whereIs(object, name)
  return at !== null && at !== object && Object.getPrototypeOf(at) === null
}

/** Whether it is the `Object` of some realm. */
const isObjectClass = (type: object | null) =>
  typeof type === 'function' && builtInWith(type.prototype) === 'Object'

/** The object or ancestor that has the property. */
export function whereIs(object: object, name: Name): object | null {
  let at: object | null = object
  while (at !== null && !Object.hasOwn(at, name)) at = Object.getPrototypeOf(at)
  return at
}

/** The `@exposed` of a member, here or where an ancestor declares it: an override stays exposed, by the same rules. */
function markOn(object: object, name: Name): Mark | undefined {
  let override: unknown
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at)) {
    const descriptor = propertyOf(at, name)
    const mark = descriptor && markOf(descriptor)
    if (mark) {
      if (typeof override === 'function' && isRuledName(name)) inheritRule(override, mark)
      return mark
    }
    override ??= descriptor?.value
  }
  return undefined
}

/** The own properties, of items only those that are listed: the others are known by `length`, and may be far too many. */
function ownNames(object: object, most: number): string[] {
  const hasItems = Array.isArray(object) || ArrayBuffer.isView(object) || object instanceof String
  if (!hasItems) return Object.getOwnPropertyNames(object)
  const grant = grantOf(object)
  const listed = grant !== ROOT && grant?.read ? [...grant.read].filter(name => typeof name === 'string') : []
  if ((object as ArrayLike<unknown>).length > most) return [...listed, 'length']
  return [...listed, ...Object.getOwnPropertyNames(object).filter(name => !isIndex(name))]
}

/** The members a peer may use, by the names it would write. @throws Refusal for more than `limits.values` */
export function membersOf(object: object, exposure: Exposure): Map<string, Name> {
  const members = new Map<string, Name>()
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at)) {
    for (const property of ownNames(at, exposure.limits.values)) {
      for (const name of namesOf(property, exposure.exposedPrefix)) {
        const member = memberOf(object, name, exposure, false)
        if (member === undefined) continue
        members.set(name, member)
        if (members.size > exposure.limits.values) throw tooMuch(exposure.limits.values, 'members', 'values')
        break
      }
    }
  }
  return members
}

/** Whether all items may be read: of an array, Map or Set exposed without a list of names, or an array that is data. */
export function isCollection(object: object, { held }: Origin): boolean {
  const grant = grantOf(object)
  if (!grant) return !held && travelOf(object).as === 'array'
  return grant !== ROOT && !grant.read && (Array.isArray(object) || isA('Map', object) || isA('Set', object))
}

/** What is said of a member: where it is marked, where its object is exposed, or in the class of a service. */
export function helpOf(object: object, member: Name, name: string): string | undefined {
  const said = markOn(object, member)?.help ?? grantOf(object)?.help.get(name)
  if (said !== undefined || !isService(object)) return said
  const { help = {} } = object.constructor as typeof Service
  return Object.hasOwn(help, name) ? help[name] : undefined
}

/** What a peer may call a property: of two names it is told the first that is one for it. */
const namesOf = (property: string, prefix: string) =>
  property.startsWith(prefix) ? [property.slice(prefix.length), property] : [property]

/** @throws Refusal for a collection that no message would hold */
export function checkSize(
  collection: unknown[] | Map<unknown, unknown> | Set<unknown>,
  { limits }: Exposure
): void {
  const { values, jsonBytes } = limits
  if (Array.isArray(collection)) {
    if (collection.length > jsonBytes) throw tooMuch(jsonBytes, 'items', 'jsonBytes')
  } else if (collection.size > KEYS_IN_ONE * values) throw tooMuch(KEYS_IN_ONE * values, 'items', 'values')
}

const tooMuch = (most: number, what: string, limit: string) =>
  new Refusal(
    'limit',
    `it has more than ${most} ${what} (limits.${limit} at its home): read those that you want`
  )

/** It depends on the name alone: not on whether there is such a member, with the prefix or without. */
export function notExposed(name: Name, { exposedPrefix: prefix }: Exposure): Refusal {
  const isPrefixed = typeof name === 'string' && name.startsWith(prefix) && name !== prefix
  const cure = isPrefixed
    ? `call it as ${describe(name.slice(prefix.length))}, without the prefix`
    : `at its home, prefix it with ${prefix}, mark it @exposed or expose() its object`
  return new Refusal('not-exposed', `${describe(name)} is not exposed, or does not exist: ${cure}`)
}
