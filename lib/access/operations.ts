// Performs every get, set, delete, has, keys, describe, call, construct, obtain and iterate of a peer, by the rules in
// `access-control.ts`. Nothing else accesses a local object for a peer.

import { classify, isIterable } from '../codec/classify.js'
import { ignoreRejections } from '../codec/dispose.js'
import { grantOf, originalOf } from '../codec/grants.js'
import { asAsyncIterable, type ItemSource } from '../codec/iterable-source.js'
import { CallRejection } from '../errors.js'
import { Op, type OperationCode } from '../protocol/messages.js'
import type { MemberName } from '../protocol/path.js'
import type { PendingResult } from '../remote/pending-result.js'
import { forwardRequest, handlerOf, Reference } from '../remote/proxy.js'
import { NOT_A_STREAM } from '../remote/streams/types.js'
import type { Description } from '../types/description.js'
import { describeValue } from '../util/describe.js'
import { isNetref } from '../util/library-copies.js'
import { isThenable } from '../util/promises.js'
import { isInstanceOf } from '../util/realms.js'
import {
  type CallTarget,
  checkCollectionSize,
  detailsOf,
  type ExposureSettings,
  isReadableCollection,
  listMembers,
  type MembersByName,
  notExposedRejection,
  requireCallable,
  requireListable,
  requireTraversable,
  requireWritable,
  resolveMember
} from './access-control.js'
import { startingSignal } from './call-context.js'
import { describeMember } from './describe.js'
import { findExposedMetadata, findPropertyHolder } from './member-rules.js'

/** The result of an operation: a value, and if it is a function, the object that it was read from. */
export interface OperationResult {
  readonly value: unknown
  readonly self?: object | undefined
}

/**
 * Performs one operation of a peer on `target`. That is an object that was passed to the peer, the result of a call of
 * the peer, or the root. If the path leads to a netref, the rest of the path is forwarded to the netref's owner.
 *
 * @throws CallRejection if the peer may not perform it or the member does not exist
 */
export function operate(
  op: OperationCode,
  target: unknown,
  path: readonly MemberName[],
  operand: unknown,
  exposure: ExposureSettings,
  callTarget: CallTarget = PATH_MEMBER
): OperationResult {
  const traversed = isOnWholeObject(op) ? path.length : Math.max(path.length - 1, 0)
  let holder = target
  let current = callTarget
  for (let i = 0; ; i++) {
    if (isNetref(holder)) return { value: forwardToOwner(holder, op, path.slice(i), operand, callTarget) }
    if (i === traversed) break
    holder = readMember(holder, path[i]!, exposure, current)
    current = PATH_MEMBER
  }
  if (op === Op.keys || op === Op.describe) return { value: listOrDescribe(op, holder, exposure, current) }
  if (op === Op.obtain) return { value: obtain(holder, exposure, current) }
  if (op === Op.iterate) return { value: iterate(holder, exposure, current) }
  const name = path[traversed]
  if (callTarget.retry && op !== Op.call) throw mayHaveRunRejection(name)
  if (name === undefined) return operateOnTarget(op, holder, operand, exposure, callTarget)
  const object = requireTraversable(holder, name, current)
  const member = resolveMember(object, name, exposure, op === Op.set)
  if (op === Op.has) return { value: member !== undefined }
  if (member === undefined) throw notExposedRejection(name, exposure, object)
  switch (op) {
    case Op.get:
      return memberResult(propertyOf(object, member), object)
    case Op.call:
    case Op.oneway:
      return {
        value: callFunction(
          propertyOf(object, member),
          object,
          name,
          operand as unknown[],
          exposure,
          callTarget,
          op
        )
      }
    case Op.construct:
      return {
        value: construct(propertyOf(object, member), name, operand as unknown[], exposure, callTarget)
      }
    case Op.set:
    case Op.delete:
      return { value: writeMember(op, object, member, name, operand, exposure, callTarget) }
    default:
      throw new CallRejection('not-exposed', NOT_A_STREAM)
  }
}

const PATH_MEMBER: CallTarget = {}

/** Whether an operation is on an object as a whole, not on a member. */
const isOnWholeObject = (op: OperationCode) =>
  op === Op.keys || op === Op.describe || op === Op.obtain || op === Op.iterate

/** A property of an object. A getter of a restricted object runs on the original, which does not leave it. */
function propertyOf(object: object, member: MemberName): unknown {
  const original = originalOf(object)
  const value = ((original ?? object) as MembersByName)[member]
  return original ? hideOriginal(value, original, object) : value
}

/** Puts a stand-in in the place of its original, also where a promise has it. */
function hideOriginal(value: unknown, original: object, standIn: object): unknown {
  if (value === original) return standIn
  if (!isThenable(value) || isNetref(value) || grantOf(value)) return value
  return Promise.resolve(value).then(settled => (settled === original ? standIn : settled))
}

const memberResult = (value: unknown, self: object): OperationResult =>
  typeof value === 'function' ? { value, self } : { value }

const mayHaveRunRejection = (name: MemberName | undefined) =>
  new CallRejection(
    'may-have-run',
    `${memberLabel(name)} may have run before the session was lost, and is not idempotent`
  )

/** Whether a call of a member may run twice. */
const isIdempotent = (object: object | undefined, name: MemberName | undefined) =>
  object !== undefined && name !== undefined && findExposedMetadata(object, name)?.idempotent === true

const memberLabel = (name: MemberName | undefined) => (name === undefined ? 'it' : describeValue(name))

/** An operation on the target itself. */
function operateOnTarget(
  op: OperationCode,
  target: unknown,
  operand: unknown,
  exposure: ExposureSettings,
  callTarget: CallTarget
): OperationResult {
  switch (op) {
    case Op.call:
    case Op.oneway:
      return {
        value: callFunction(target, callTarget.self, undefined, operand as unknown[], exposure, callTarget)
      }
    case Op.construct:
      return { value: construct(target, undefined, operand as unknown[], exposure, callTarget) }
    default:
      throw new CallRejection('not-exposed', 'the operation requires the name of a member')
  }
}

/** Forwards an operation to the owner of a netref. If the caller cancels it, the owner is informed. */
const forwardToOwner = (
  netref: object,
  op: OperationCode,
  path: readonly MemberName[],
  operand: unknown,
  { cancellable, retry, received }: CallTarget
): unknown => {
  if (retry) throw mayHaveRunRejection(path.at(-1))
  const result = forwardRequest(
    netref,
    op,
    path,
    operand,
    cancellable ? { signal: startingSignal() } : undefined
  )
  // A session that did not send the operation has passed the references to nobody.
  const isUnsent =
    handlerOf(netref)?.base instanceof Reference && (handlerOf(result)!.base as PendingResult).isRejected
  if (!isUnsent) received?.markPassedToUser()
  return result
}

function callFunction(
  fn: unknown,
  self: object | undefined,
  name: MemberName | undefined,
  args: unknown[],
  exposure: ExposureSettings,
  callTarget: CallTarget,
  op: OperationCode = Op.call
): unknown {
  if (callTarget.retry && !isIdempotent(self, name)) throw mayHaveRunRejection(name)
  if (isNetref(fn)) return forwardToOwner(fn, op, [], args, callTarget)
  if (typeof fn !== 'function') {
    ignoreRejections(fn)
    throw new CallRejection('not-callable', `${memberLabel(name)} is not a function`)
  }
  const condition = requireCallable(fn, name, exposure)
  const checkedArgs = condition?.check ? condition.check(name, args) : args
  callTarget.received?.markPassedToUser()
  const original = self && originalOf(self)
  const returned: unknown = Reflect.apply(fn, original ?? self, checkedArgs)
  const result =
    exposure.checkResults && condition?.checkResult ? condition.checkResult(name, args, returned) : returned
  return original ? hideOriginal(result, original, self) : result
}

function construct(
  type: unknown,
  name: MemberName | undefined,
  args: unknown[],
  exposure: ExposureSettings,
  callTarget: CallTarget
): unknown {
  if (isNetref(type)) return forwardToOwner(type, Op.construct, [], args, callTarget)
  if (!isConstructor(type)) {
    ignoreRejections(type)
    throw new CallRejection('not-callable', `${memberLabel(name)} is not a class`)
  }
  // A method that is a plain function may be constructed, too.
  const condition = requireCallable(type, name, exposure)
  const checkedArgs = condition?.check ? condition.check(name, args) : args
  callTarget.received?.markPassedToUser()
  return Reflect.construct(type, checkedArgs)
}

/**
 * Whether a value can be constructed with `new`. It runs no code of the value, and the engine's error, which quotes the
 * source, is not sent. A prototype is no proof: a generator function has one, but is no constructor.
 */
function isConstructor(type: unknown): type is Constructor {
  try {
    Reflect.construct(Object, [], type as Constructor)
    return true
  } catch {
    return false
  }
}
type Constructor = new (...args: unknown[]) => unknown

function writeMember(
  op: typeof Op.set | typeof Op.delete,
  object: object,
  member: MemberName,
  name: MemberName,
  value: unknown,
  exposure: ExposureSettings,
  callTarget: CallTarget
): undefined {
  requireWritable(op, object, name, exposure)
  let succeeded = true
  try {
    const target = originalOf(object) ?? object
    succeeded = op === Op.set ? Reflect.set(target, member, value) : Reflect.deleteProperty(target, member)
  } finally {
    // A setter that throws may have stored the value.
    if (succeeded) callTarget.received?.markPassedToUser()
  }
  if (!succeeded)
    throw new TypeError(
      `${describeValue(name)} cannot be ${op === Op.set ? 'set: it is read-only' : 'deleted'}`
    )
  return undefined
}

/** Reads one member on a path. Getters run once. */
function readMember(
  holder: unknown,
  name: MemberName,
  exposure: ExposureSettings,
  callTarget: CallTarget
): unknown {
  const object = requireTraversable(holder, name, callTarget)
  const member = resolveMember(object, name, exposure, false)
  if (member === undefined) throw notExposedRejection(name, exposure, object)
  return propertyOf(object, member)
}

/** The members that a peer may use: the names that it uses for them, or a description of each. */
function listOrDescribe(
  op: typeof Op.keys | typeof Op.describe,
  holder: unknown,
  exposure: ExposureSettings,
  callTarget: CallTarget
): string[] | Description[] {
  requireListable(exposure)
  const object = requireTraversable(holder, 'keys', callTarget)
  const members = listMembers(object, exposure)
  if (op === Op.keys) return [...members.keys()]
  return [...members].map(([name, member]) => {
    const definedOn = findPropertyHolder(object, member)
    const descriptor = definedOn === null ? undefined : Object.getOwnPropertyDescriptor(definedOn, member)
    return describeMember(name, descriptor, detailsOf(object, member, name))
  })
}

/** The members of an object that a peer may read, as plain data. Each getter runs once, and functions are not sent. */
function obtain(holder: unknown, exposure: ExposureSettings, callTarget: CallTarget): unknown {
  const object = requireTraversable(holder, 'obtain', callTarget)
  if (isReadableCollection(object, callTarget)) {
    const collection = (originalOf(object) ?? object) as unknown as
      | unknown[]
      | Map<unknown, unknown>
      | Set<unknown>
    checkCollectionSize(collection, exposure)
    if (Array.isArray(collection)) return [...collection]
    return isInstanceOf('Map', collection) ? new Map(collection) : new Set(collection)
  }
  const data: [name: string, value: unknown][] = []
  try {
    for (const [name, member] of listMembers(object, exposure)) {
      const value = propertyOf(object, member)
      if (typeof value !== 'function' || isNetref(value)) data.push([name, value])
    }
  } catch (error) {
    ignoreRejections(data)
    throw error
  }
  // Assignment would fail for names of `Object.prototype` if it is frozen.
  return Object.fromEntries(data)
}

/** An iterator over an exposed array, Map or Set, or over an object whose iterator method is exposed. */
function iterate(holder: unknown, exposure: ExposureSettings, callTarget: CallTarget): unknown {
  const object = requireTraversable(holder, Symbol.asyncIterator, callTarget)
  for (const name of [Symbol.asyncIterator, Symbol.iterator] as const) {
    const allowed =
      name in object &&
      (isReadableCollection(object, callTarget) || resolveMember(object, name, exposure, false))
    if (allowed)
      return markAsIterable(callFunction(propertyOf(object, name), object, name, [], exposure, callTarget))
  }
  throw notExposedRejection(Symbol.asyncIterator, exposure, object)
}

/** Marks the result of `Symbol.iterator` as iterable, because its own properties may not show it. */
function markAsIterable(iterator: unknown): unknown {
  if (typeof iterator !== 'object' || iterator === null || isNetref(iterator)) return iterator
  const { as } = classify(iterator)
  return as === 'reference' || (as === 'record' && !isIterable(iterator))
    ? asAsyncIterable(iterator as ItemSource)
    : iterator
}
