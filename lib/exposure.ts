// The choke point: decides every get, set, delete, has, keys, call and construct by a peer; nothing else touches a
// home object. Refused and missing are the same to the peer.
import { Refusal } from './errors.js'
import { grantOf, isMarked } from './expose.js'
import { isNetref, request } from './netref.js'
import { type Name, Op, type OperationCode } from './protocol.js'
import { Service } from './service.js'
import { describe, isThenable, travelOf } from './values.js'

/** What a side lets a peer touch, beyond what its objects say themselves. */
export interface ExposureOptions {
  /**
   * Members whose name starts so are exposed, under the name without it.
   *
   * @default 'exposed_'
   */
  readonly exposedPrefix?: string
  /**
   * Members that do not start with `_`, of every object the peer holds, may be read and called.
   *
   * @default false
   */
  readonly allowPublicAttrs?: boolean
  /**
   * Members the peer may read may be set as well.
   *
   * @default false
   */
  readonly allowSetAttrs?: boolean
  /**
   * Members the peer may read may be deleted as well.
   *
   * @default false
   */
  readonly allowDeleteAttrs?: boolean
}

export type Exposure = Required<ExposureOptions>

export const NO_EXPOSURE: Exposure = {
  exposedPrefix: 'exposed_',
  allowPublicAttrs: false,
  allowSetAttrs: false,
  allowDeleteAttrs: false
}

/** What an operation yields: a value, and the object it was read off where it is a function. */
export interface Outcome {
  readonly value: unknown
  readonly self?: object
}

const NEVER = new Set<Name>(['__proto__', 'constructor', 'prototype'])
const HOOKS = new Set<Name>(['onConnect', 'onDisconnect'])

/**
 * Carries out one operation of a peer. `target` is what the peer holds: an object handed over, an answer of ours, or
 * (`isRoot`) the root; `self` is the object a member function belongs to. On a netref the rest of the path goes on to
 * its home.
 *
 * @throws Refusal when the peer may not, or there is nothing there.
 */
export function operate(
  op: OperationCode,
  target: unknown,
  path: readonly Name[],
  operand: unknown,
  exposure: Exposure,
  { isRoot = false, self }: { isRoot?: boolean; self?: object } = {}
): Outcome {
  let holder = target
  let atRoot = isRoot
  const last = path.length - 1
  for (let i = 0; i < last; i++) {
    if (isNetref(holder)) return { value: request(holder, op, path.slice(i), operand) }
    holder = read(holder, path[i]!, exposure, atRoot)
    atRoot = false
  }
  if (isNetref(holder)) return { value: request(holder, op, path.slice(Math.max(last, 0)), operand) }
  const name = path[last]
  if (op === Op.keys) {
    if (name === undefined) return { value: list(holder, exposure, atRoot) }
    const value = read(holder, name, exposure, atRoot)
    return { value: isNetref(value) ? request(value, op, [], operand) : list(value, exposure, false) }
  }
  if (name === undefined) return itself(op, target, operand, self)
  const object = within(holder, name)
  const member = memberOf(object, name, exposure, atRoot, op === Op.set)
  if (op === Op.has) return { value: member !== undefined }
  if (member === undefined) throw notExposed(name)
  switch (op) {
    case Op.get:
      return result((object as Record<Name, unknown>)[member], object)
    case Op.call:
      return { value: call(object as Record<Name, unknown>, member, name, operand as unknown[]) }
    case Op.construct:
      return {
        value: construct((object as Record<Name, unknown>)[member], String(name), operand as unknown[])
      }
    case Op.set:
    case Op.delete:
      return { value: write(op, object, member, name, operand, exposure) }
  }
}

const result = (value: unknown, self: object): Outcome =>
  typeof value === 'function' ? { value, self } : { value }

/** An operation on the target itself. */
function itself(op: OperationCode, target: unknown, operand: unknown, self: object | undefined): Outcome {
  switch (op) {
    case Op.call:
      if (typeof target !== 'function') throw notCallable('it')
      return { value: Reflect.apply(target, self, operand as unknown[]) }
    case Op.construct:
      return { value: construct(target, 'it', operand as unknown[]) }
    default:
      throw new Refusal('not-exposed', 'it takes the name of a member')
  }
}

function call(object: Record<Name, unknown>, member: Name, name: Name, args: unknown[]): unknown {
  const fn = object[member]
  if (isNetref(fn)) return request(fn, Op.call, [], args)
  if (typeof fn !== 'function') throw notCallable(describe(name))
  return Reflect.apply(fn, object, args)
}

function construct(type: unknown, name: string, args: unknown[]): unknown {
  if (isNetref(type)) return request(type, Op.construct, [], args)
  if (typeof type !== 'function' || type.prototype === undefined)
    throw new Refusal('not-callable', `${name} is not a class`)
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
function read(holder: unknown, name: Name, exposure: Exposure, isRoot: boolean): unknown {
  const object = within(holder, name)
  const member = memberOf(object, name, exposure, isRoot, false)
  if (member === undefined) throw notExposed(name)
  return (object as Record<Name, unknown>)[member]
}

/** The object that a path goes on in. Past a copied value it does not: the copy is the caller's, who can await it. */
function within(holder: unknown, name: Name): object {
  const what = isThenable(holder) ? 'a promise' : byValue(holder)
  if (what)
    throw new Refusal(
      'not-exposed',
      `${describe(name)} is read off ${what}, which is sent as a copy: await it first`
    )
  return holder as object
}

function byValue(holder: unknown): string | undefined {
  if (typeof holder === 'function') return undefined
  if (typeof holder !== 'object' || holder === null) return describe(holder)
  if (grantOf(holder)) return undefined
  const { as } = travelOf(holder)
  return as === 'record' || as === 'array' || as === 'reference' || as === 'refused'
    ? undefined
    : describe(holder)
}

/** The rules, in the order of the design: the property that stands for `name`, or undefined. */
function memberOf(
  object: object,
  name: Name,
  exposure: Exposure,
  isRoot: boolean,
  create: boolean
): Name | undefined {
  if (NEVER.has(name) || (HOOKS.has(name) && object instanceof Service)) return undefined
  if (typeof name === 'string') {
    const prefixed = exposure.exposedPrefix + name
    if (prefixed in object && !isEverybodys(object, prefixed)) return prefixed
  }
  const present = name in object
  if (present && isDecorated(object, name)) return name
  const grant = grantOf(object)
  if (grant?.read) return grant.read.has(name) && (present || create) ? name : undefined
  if (typeof name === 'symbol' || (present ? isEverybodys(object, name) : !create)) return undefined
  if (typeof object === 'function' && name in Function.prototype) return undefined
  if (grant) return name.startsWith('_') ? undefined : name
  const { as } = typeof object === 'function' ? { as: 'reference' } : travelOf(object)
  if (as === 'record' && isRoot && isOwnFunction(object, name) && !name.startsWith('_')) return name
  if (as === 'record' && !isRoot)
    return Object.prototype.propertyIsEnumerable.call(object, name) ? name : undefined
  if (as === 'array') return present && (name === 'length' || isIndex(name)) ? name : undefined
  return exposure.allowPublicAttrs && !name.startsWith('_') ? name : undefined
}

const isIndex = (name: string) => String(Number(name) >>> 0) === name
const isOwnFunction = (object: object, name: string) =>
  typeof Object.getOwnPropertyDescriptor(object, name)?.value === 'function'

/** Whether the property is found on `Object.prototype` (of whatever realm). */
function isEverybodys(object: object, name: Name): boolean {
  let at: object | null = object
  while (at !== null && !Object.hasOwn(at, name)) at = Object.getPrototypeOf(at)
  return at !== null && at !== object && Object.getPrototypeOf(at) === null
}

/** Whether `@exposed` stands on the member, here or where an ancestor declares it: an override stays exposed. */
function isDecorated(object: object, name: Name): boolean {
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at)) {
    const descriptor = Object.getOwnPropertyDescriptor(at, name)
    if (descriptor && isMarked(descriptor)) return true
  }
  return false
}

/** The names a peer may use, as it would write them. */
function list(holder: unknown, exposure: Exposure, isRoot: boolean): string[] {
  const object = within(holder, 'keys')
  const names = new Set<string>()
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at)) {
    for (const property of Object.getOwnPropertyNames(at)) {
      for (const name of namesOf(property, exposure.exposedPrefix)) {
        if (memberOf(object, name, exposure, isRoot, false) !== undefined) names.add(name)
      }
    }
  }
  return [...names]
}

const namesOf = (property: string, prefix: string) =>
  property.startsWith(prefix) ? [property.slice(prefix.length), property] : [property]

const notExposed = (name: Name) =>
  new Refusal(
    'not-exposed',
    `${describe(name)} is not exposed, or does not exist: at its home, prefix it with exposed_, mark it @exposed or expose() its object`
  )
const notCallable = (what: string) => new Refusal('not-callable', `${what} is not a function`)
