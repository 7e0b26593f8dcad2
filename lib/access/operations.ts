// The choke point: carries out every get, set, delete, has, keys, describe, call, construct, obtain and iterate of a peer,
// by the rules in `exposure.ts`; nothing else touches a home object.

import { isIterable, travelOf } from '../codec/classify.js'
import { silenceAll } from '../codec/dispose.js'
import { grantOf } from '../codec/grants.js'
import { type Source, steppedBy } from '../codec/iterable-source.js'
import { Refusal } from '../errors.js'
import { Op, type OperationCode } from '../protocol/messages.js'
import type { Name } from '../protocol/path.js'
import type { Result } from '../remote/pending-result.js'
import { Ref, request, stateOf } from '../remote/proxy.js'
import type { Description } from '../types/description.js'
import { isNetref } from '../util/copies.js'
import { describe } from '../util/describe.js'
import { isA } from '../util/realms.js'
import {
  checkSize,
  type Exposure,
  helpOf,
  isCollection,
  memberOf,
  membersOf,
  notExposed,
  type Origin,
  whereIs,
  within
} from './access-control.js'
import { permits, startingSignal } from './call-context.js'
import { describeMember } from './describe.js'
import { isIdempotent, ruleOf } from './expose.js'

/** What an operation yields: a value, and the object it was read off where it is a function. */
export interface Outcome {
  readonly value: unknown
  readonly self?: object | undefined
}

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
  if (name === undefined) return itself(op, holder, operand, exposure, origin)
  const object = within(holder, name, from)
  const member = memberOf(object, name, exposure, op === Op.set)
  if (op === Op.has) return { value: member !== undefined }
  if (member === undefined) throw notExposed(name, exposure)
  switch (op) {
    case Op.get:
      return outcome(object[member], object)
    case Op.call:
    case Op.oneway:
      return { value: call(object[member], object, name, operand as unknown[], exposure, origin, op) }
    case Op.construct:
      return { value: construct(object[member], name, operand as unknown[], origin) }
    case Op.set:
    case Op.delete:
      return { value: write(op, object, member, name, operand, exposure, origin) }
    default:
      throw new Refusal('not-exposed', 'it is no iterator or stream')
  }
}

const INSIDE: Origin = {}

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
function itself(
  op: OperationCode,
  target: unknown,
  operand: unknown,
  exposure: Exposure,
  origin: Origin
): Outcome {
  switch (op) {
    case Op.call:
    case Op.oneway:
      return { value: call(target, origin.self, undefined, operand as unknown[], exposure, origin) }
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
  { called, again, delivery }: Origin
): unknown => {
  if (again) throw mayHaveRun(path.at(-1))
  const result = request(netref, op, path, operand, called ? { signal: startingSignal() } : undefined)
  // What a session did not send on is nobody's.
  const isUnsent = stateOf(netref)?.base instanceof Ref && (stateOf(result)!.base as Result).failed
  if (!isUnsent) delivery?.handOver()
  return result
}

function call(
  fn: unknown,
  self: object | undefined,
  name: Name | undefined,
  args: unknown[],
  exposure: Exposure,
  origin: Origin,
  op: OperationCode = Op.call
): unknown {
  if (origin.again && !isIdempotent(fn)) throw mayHaveRun(name)
  if (isNetref(fn)) return passOn(fn, op, [], args, origin)
  if (typeof fn !== 'function') {
    silenceAll(fn)
    throw new Refusal('not-callable', `${what(name)} is not a function`)
  }
  const rule = ruleOf(fn)
  if (rule && !permits(rule)) throw notExposed(name ?? 'it', exposure)
  const taken = rule?.check ? rule.check(name, args) : args
  origin.delivery?.handOver()
  return Reflect.apply(fn, self, taken)
}

function construct(type: unknown, name: Name | undefined, args: unknown[], origin: Origin): unknown {
  if (isNetref(type)) return passOn(type, Op.construct, [], args, origin)
  if (!isConstructor(type)) {
    silenceAll(type)
    throw new Refusal('not-callable', `${what(name)} is not a class`)
  }
  origin.delivery?.handOver()
  return Reflect.construct(type, args)
}

/**
 * Whether `new` can be said to it. Nothing of it runs, and the engine's own complaint, which quotes the source, stays
 * here: a generator has a prototype, and is no constructor all the same.
 */
function isConstructor(type: unknown): type is Class {
  try {
    Reflect.construct(Object, [], type as Class)
    return true
  } catch {
    return false
  }
}
type Class = new (...args: unknown[]) => unknown

function write(
  op: typeof Op.set | typeof Op.delete,
  object: object,
  member: Name,
  name: Name,
  value: unknown,
  exposure: Exposure,
  origin: Origin
): undefined {
  const allowed = op === Op.set ? exposure.allowSetAttrs : exposure.allowDeleteAttrs
  if (!allowed && !grantOf(object)?.write.has(name)) throw notWritable(op, name)
  let done = true
  try {
    done = op === Op.set ? Reflect.set(object, member, value) : Reflect.deleteProperty(object, member)
  } finally {
    // A setter that throws may have it.
    if (done) origin.delivery?.handOver()
  }
  if (!done)
    throw new TypeError(`${describe(name)} cannot be ${op === Op.set ? 'set: it is read-only' : 'deleted'}`)
  return undefined
}

const notWritable = (op: typeof Op.set | typeof Op.delete, name: Name) => {
  const [done, option] = op === Op.set ? ['set', 'allowSetAttrs'] : ['deleted', 'allowDeleteAttrs']
  const said = describe(name)
  return new Refusal(
    'not-exposed',
    `${said} may not be ${done}: its home allows it by ${option}, or by expose(…, { write: [${said}] })`
  )
}

/** A step on the way: what stands at `name`. Getters run once. */
function read(holder: unknown, name: Name, exposure: Exposure, from: Origin): unknown {
  const object = within(holder, name, from)
  const member = memberOf(object, name, exposure, false)
  if (member === undefined) throw notExposed(name, exposure)
  return object[member]
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
  const members = membersOf(object, exposure)
  if (op === Op.keys) return [...members.keys()]
  return [...members].map(([name, member]) => {
    const at = whereIs(object, member)
    const descriptor = at === null ? undefined : Object.getOwnPropertyDescriptor(at, member)
    return describeMember(name, descriptor, helpOf(object, member, name))
  })
}

/** What a peer may read of an object, as plain data: each getter runs once, and functions stay home. */
function copy(holder: unknown, exposure: Exposure, from: Origin): unknown {
  const object = within(holder, 'obtain', from)
  if (isCollection(object, from)) {
    const collection = object as unknown as unknown[] | Map<unknown, unknown> | Set<unknown>
    checkSize(collection, exposure)
    if (Array.isArray(collection)) return [...collection]
    return isA('Map', collection) ? new Map(collection) : new Set(collection)
  }
  const data: [name: string, value: unknown][] = []
  try {
    for (const [name, member] of membersOf(object, exposure)) {
      const value = object[member]
      if (typeof value !== 'function' || isNetref(value)) data.push([name, value])
    }
  } catch (error) {
    silenceAll(data)
    throw error
  }
  // Not by assignment: where `Object.prototype` is frozen, a name of its own cannot be assigned.
  return Object.fromEntries(data)
}

/** An iterator over an exposed array, Map or Set, or over an object whose own iterator is exposed. */
function iterate(holder: unknown, exposure: Exposure, from: Origin): unknown {
  const object = within(holder, Symbol.asyncIterator, from)
  for (const name of [Symbol.asyncIterator, Symbol.iterator] as const) {
    const allowed = name in object && (isCollection(object, from) || memberOf(object, name, exposure, false))
    if (allowed) return asIterable(call(object[name], object, name, [], exposure, from))
  }
  throw notExposed(Symbol.asyncIterator, exposure)
}

/** That `Symbol.iterator` made it says what it is, though nothing on it may say so. */
function asIterable(made: unknown): unknown {
  if (typeof made !== 'object' || made === null || isNetref(made)) return made
  const { as } = travelOf(made)
  return as === 'reference' || (as === 'record' && !isIterable(made)) ? steppedBy(made as Source) : made
}
