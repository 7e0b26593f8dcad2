// The choke point: decides every get, set, delete, has, keys, call, construct, obtain and iterate by a peer; nothing
// else touches a home object. Refused and missing are the same to the peer.
import { callSignal } from './call-context.js'
import { type Description, describeMember } from './description.js'
import { Refusal } from './errors.js'
import {
  grantOf,
  inheritRule,
  isIdempotent,
  isMarkedName,
  isRuledName,
  type Mark,
  markOf,
  ruleOf
} from './expose.js'
import { describe } from './labels.js'
import type { Name } from './names.js'
import { isNetref, request } from './netref.js'
import type { CommonOptions } from './options.js'
import { permits } from './policy.js'
import { Op, type OperationCode } from './protocol.js'
import { Service } from './service.js'
import { isIndex, isThenable, type Travel, travelOf } from './values.js'

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

/** The options, filled in, and the hook that goes with them. */
export type Exposure = Required<ExposureOptions> & Pick<CommonOptions, 'before'>

export const NO_EXPOSURE: Exposure = {
  exposedPrefix: 'exposed_',
  allowPublicAttrs: false,
  allowSetAttrs: false,
  allowDeleteAttrs: false,
  describe: true
}

/** What an operation yields: a value, and the object it was read off where it is a function. */
export interface Outcome {
  readonly value: unknown
  readonly self?: object | undefined
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
}

type Members = Record<Name, unknown>

/** The ways to classes and prototypes. */
const NEVER = new Set<Name>(['__proto__', 'constructor', 'prototype'])
const HOOKS = new Set<Name>(['onConnect', 'onDisconnect'])
const INSIDE: Origin = {}

/**
 * Carries out one operation of a peer on `target`: an object handed over, an answer of ours, or the root. From a
 * netref on, the rest of the path goes to its home.
 *
 * @throws Refusal when the peer may not, or there is nothing there.
 */
export function operate(
  op: OperationCode,
  target: unknown,
  path: readonly Name[],
  operand: unknown,
  exposure: Exposure,
  origin: Origin = INSIDE
): Outcome {
  const steps = WHOLE.has(op) ? path.length : Math.max(path.length - 1, 0)
  let holder = target
  let from = origin
  for (let i = 0; ; i++) {
    if (isNetref(holder)) return { value: passOn(holder, op, path.slice(i), operand, origin) }
    if (i === steps) break
    holder = read(holder, path[i]!, exposure, from)
    from = INSIDE
  }
  if (op === Op.keys || op === Op.describe) return { value: list(op, holder, exposure, from) }
  if (op === Op.obtain) return { value: copy(holder, exposure, from) }
  if (op === Op.iterate) return { value: iterate(holder, exposure, from) }
  const name = path[steps]
  if (origin.again && op !== Op.call) throw mayHaveRun(name)
  if (name === undefined) return itself(op, holder, operand, origin)
  const object = within(holder, name, from)
  const member = memberOf(object, name, exposure, from, op === Op.set)
  if (op === Op.has) return { value: member !== undefined }
  if (member === undefined) throw notExposed(name)
  switch (op) {
    case Op.get:
      return outcome(object[member], object)
    case Op.call:
    case Op.oneway:
      return { value: call(object[member], object, name, operand as unknown[], origin) }
    case Op.construct:
      return { value: construct(object[member], name, operand as unknown[], origin) }
    case Op.set:
    case Op.delete:
      return { value: write(op, object, member, name, operand, exposure) }
    default:
      throw new Refusal('not-exposed', 'it is no iterator or stream')
  }
}

/** What is asked of a thing as a whole, not of a member. */
const WHOLE = new Set<OperationCode>([Op.keys, Op.describe, Op.obtain, Op.iterate])

const outcome = (value: unknown, self: object): Outcome =>
  typeof value === 'function' ? { value, self } : { value }

const mayHaveRun = (name: Name | undefined) =>
  new Refusal(
    'may-have-run',
    `${what(name)} may have run before the session was lost, and is not @idempotent`
  )

const what = (name: Name | undefined) => (name === undefined ? 'it' : describe(name))

/** An operation on the target itself. */
function itself(op: OperationCode, target: unknown, operand: unknown, origin: Origin): Outcome {
  switch (op) {
    case Op.call:
    case Op.oneway:
      return { value: call(target, origin.self, undefined, operand as unknown[], origin) }
    case Op.construct:
      return { value: construct(target, undefined, operand as unknown[], origin) }
    default:
      throw new Refusal('not-exposed', 'it takes the name of a member')
  }
}

/** The home of a netref does it, and learns of it when the caller gives up. */
const passOn = (
  netref: object,
  op: OperationCode,
  path: readonly Name[],
  operand: unknown,
  { called, again }: Origin
): unknown => {
  if (again) throw mayHaveRun(path.at(-1))
  return request(netref, op, path, operand, called ? { signal: callSignal() } : undefined)
}

function call(
  fn: unknown,
  self: object | undefined,
  name: Name | undefined,
  args: unknown[],
  origin: Origin
): unknown {
  if (origin.again && !isIdempotent(fn)) throw mayHaveRun(name)
  if (isNetref(fn)) return passOn(fn, Op.call, [], args, origin)
  if (typeof fn !== 'function') throw new Refusal('not-callable', `${what(name)} is not a function`)
  const rule = ruleOf(fn)
  if (!rule) return Reflect.apply(fn, self, args)
  if (!permits(rule)) throw notExposed(name ?? 'it')
  return Reflect.apply(fn, self, rule.check ? rule.check(name, args) : args)
}

function construct(type: unknown, name: Name | undefined, args: unknown[], origin: Origin): unknown {
  if (isNetref(type)) return passOn(type, Op.construct, [], args, origin)
  if (typeof type !== 'function' || type.prototype === undefined)
    throw new Refusal('not-callable', `${what(name)} is not a class`)
  return Reflect.construct(type, args)
}

function write(
  op: typeof Op.set | typeof Op.delete,
  object: object,
  member: Name,
  name: Name,
  value: unknown,
  exposure: Exposure
): undefined {
  const allowed = op === Op.set ? exposure.allowSetAttrs : exposure.allowDeleteAttrs
  if (!allowed && !grantOf(object)?.write.has(name)) throw notExposed(name)
  const done = op === Op.set ? Reflect.set(object, member, value) : Reflect.deleteProperty(object, member)
  if (!done)
    throw new TypeError(`${describe(name)} cannot be ${op === Op.set ? 'set: it is read-only' : 'deleted'}`)
  return undefined
}

/** A step on the way: what stands at `name`. Getters run once. */
function read(holder: unknown, name: Name, exposure: Exposure, from: Origin): unknown {
  const object = within(holder, name, from)
  const member = memberOf(object, name, exposure, from, false)
  if (member === undefined) throw notExposed(name)
  return object[member]
}

/**
 * The object that a path goes on in. It ends at a value that is sent as a copy, as the copy is the caller's, who can
 * await it; and at what is never sent: a path is no way into what a peer could not be given.
 */
function within(holder: unknown, name: Name, { held }: Origin): Members {
  if (held) return holder as Members
  const end = endAt(holder)
  if (end === undefined) return holder as Members
  throw new Refusal('not-exposed', `${describe(name)} is read off ${end}`)
}

/** Why a path ends at a value, and the cure; undefined when it goes on. */
function endAt(value: unknown): string | undefined {
  const isObject = typeof value === 'object' && value !== null
  if (isObject && grantOf(value)) return undefined
  if (isThenable(value)) return 'a promise: await it first'
  if (typeof value === 'function') return undefined
  const travel = isObject ? travelOf(value) : LEAF
  switch (travel.as) {
    case 'record':
    case 'array':
    case 'reference':
      return undefined
    case 'flow':
    case 'pair':
      return `${describe(value)}, which has a flow of its own: await it first`
    case 'refused':
      return `${travel.what}, which is never sent: ${travel.cure}`
    default:
      return `${describe(value)}, which is sent as a copy: await it first`
  }
}

const LEAF: Travel = { as: 'leaf' }
const REFERENCE: Travel = { as: 'reference' }

/** The property that stands for `name`, if this peer may use it. */
function memberOf(
  object: object,
  name: Name,
  exposure: Exposure,
  from: Origin,
  create: boolean
): Name | undefined {
  const member = findMember(object, name, exposure, from, create)
  if (member === undefined || !isRuledName(member)) return member
  const mark = markOn(object, member)
  return mark && !permits(mark) ? undefined : member
}

/**
 * The rules for any peer, in the order of the design: the property that stands for `name`, or undefined. With `create`
 * it need not be there. Whether it is there is looked up last, and only where it may be told: what is refused takes as long as what
 * is missing.
 */
function findMember(
  object: object,
  name: Name,
  exposure: Exposure,
  { isRoot }: Origin,
  create: boolean
): Name | undefined {
  const reserved = isReserved(object, name)
  if (typeof name === 'string') {
    const prefixed = exposure.exposedPrefix + name
    if (prefixed in object && !reserved && !isReserved(object, prefixed) && !isEverybodys(object, prefixed))
      return prefixed
  }
  if (reserved) return undefined
  if (isMarkedName(name) && markOn(object, name)) return name
  const grant = grantOf(object)
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

const isReserved = (object: object, name: Name) =>
  NEVER.has(name) || (HOOKS.has(name) && object instanceof Service)

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
    return name in Function.prototype || (name in Object && whereIs(object, name) === Object)
  }
  if (!(name in Object.prototype)) return false
  const at = whereIs(object, name)
  return at !== null && at !== object && Object.getPrototypeOf(at) === null
}

/** The object or ancestor that has the property. */
function whereIs(object: object, name: Name): object | null {
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

/** The members a peer may use: their names as it would write them, or a description of each. */
function list(
  op: typeof Op.keys | typeof Op.describe,
  holder: unknown,
  exposure: Exposure,
  from: Origin
): string[] | Description[] {
  if (!exposure.describe)
    throw new Refusal('not-exposed', 'what there is is not told: its home has `describe: false`')
  const object = within(holder, 'keys', from)
  const members = membersOf(object, exposure, from)
  if (op === Op.keys) return [...members.keys()]
  return [...members].map(([name, member]) => {
    const at = whereIs(object, member)
    const descriptor = at === null ? undefined : Object.getOwnPropertyDescriptor(at, member)
    return describeMember(name, descriptor, helpOf(object, member, name))
  })
}

/** The members a peer may use, by the names it would write. */
function membersOf(object: object, exposure: Exposure, from: Origin): Map<string, Name> {
  const members = new Map<string, Name>()
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at)) {
    for (const property of Object.getOwnPropertyNames(at)) {
      for (const name of namesOf(property, exposure.exposedPrefix)) {
        const member = memberOf(object, name, exposure, from, false)
        if (member === undefined) continue
        members.set(name, member)
        break
      }
    }
  }
  return members
}

/** What a peer may read of an object, as plain data: each getter runs once, and functions stay home. */
function copy(holder: unknown, exposure: Exposure, from: Origin): unknown {
  const object = within(holder, 'obtain', from)
  if (isCollection(object, from)) {
    if (Array.isArray(object)) return [...object]
    return object instanceof Map ? new Map(object) : new Set(object as unknown as Set<unknown>)
  }
  const data: Record<string, unknown> = {}
  for (const [name, member] of membersOf(object, exposure, from)) {
    const value = object[member]
    if (typeof value !== 'function' || isNetref(value)) data[name] = value
  }
  return data
}

/** An iterator over an exposed array, Map or Set, or over an object whose own iterator is exposed. */
function iterate(holder: unknown, exposure: Exposure, from: Origin): unknown {
  const object = within(holder, Symbol.asyncIterator, from)
  for (const name of [Symbol.asyncIterator, Symbol.iterator] as const) {
    const allowed =
      name in object && (isCollection(object, from) || memberOf(object, name, exposure, from, false))
    if (allowed) return asIterable(call(object[name], object, name, [], from))
  }
  throw notExposed(Symbol.asyncIterator)
}

/** An iterator of a class of its own travels as one, too: that it was made by `Symbol.iterator` says what it is. */
function asIterable(made: unknown): unknown {
  const isObject = typeof made === 'object' && made !== null && !isNetref(made)
  return isObject && travelOf(made).as === 'reference' ? { [Symbol.asyncIterator]: () => made } : made
}

/** Whether all items may be read: of an array, Map or Set exposed without a list of names, or an array that is data. */
function isCollection(object: object, { held }: Origin): boolean {
  const grant = grantOf(object)
  if (!grant) return !held && travelOf(object).as === 'array'
  return !grant.read && (Array.isArray(object) || object instanceof Map || object instanceof Set)
}

/** What is said of a member: where it is marked, where its object is exposed, or in the class of a service. */
function helpOf(object: object, member: Name, name: string): string | undefined {
  const said = markOn(object, member)?.help ?? grantOf(object)?.help.get(name)
  if (said !== undefined || !(object instanceof Service)) return said
  const { help = {} } = object.constructor as typeof Service
  return Object.hasOwn(help, name) ? help[name] : undefined
}

/** What a peer may call a property: of two names it is told the first that is one for it. */
const namesOf = (property: string, prefix: string) =>
  property.startsWith(prefix) ? [property.slice(prefix.length), property] : [property]

const notExposed = (name: Name) =>
  new Refusal(
    'not-exposed',
    `${describe(name)} is not exposed, or does not exist: at its home, prefix it with exposed_, mark it @exposed or expose() its object`
  )
