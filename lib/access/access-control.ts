// Decides for each operation of a peer which property of a local object it may use, and where a path ends. The rules are in
// `member-rules.ts`. `operations.ts` asks it. A denied member and a missing one are the same to the peer.

import { classify, isIndex, isIterable, KEYS_PER_VALUE } from '../codec/classify.js'
import { ignoreRejections } from '../codec/dispose.js'
import { grantOf, originalOf, ROOT_GRANT } from '../codec/grants.js'
import { CallRejection } from '../errors.js'
import { DEFAULT_LIMITS, type Limits } from '../protocol/limits.js'
import { Op } from '../protocol/messages.js'
import type { MemberName } from '../protocol/path.js'
import type { ReceivedReferences } from '../remote/received-references.js'
import { className, describeValue, truncateName } from '../util/describe.js'
import { isThenable } from '../util/promises.js'
import { isInstanceOf } from '../util/realms.js'
import { startingSession } from './call-context.js'
import type { MemberDetails } from './describe.js'
import {
  conditionOf,
  DEFAULT_PREFIX,
  type ExposedCondition,
  hasConditionAnywhere
} from './exposed-members.js'
import { checkHookResult } from './hook-result.js'
import { findExposedMetadata, findExposedProperty } from './member-rules.js'
import type { Before } from './peer-call.js'
import { isService, type Service } from './service.js'

/** Options that expose members to the peer, in addition to the rules of the objects themselves. */
export interface ExposureOptions {
  /**
   * The prefix of exposed members. The peer uses their names without it.
   *
   * @default 'exposed_'
   */
  readonly exposedPrefix?: string | undefined
  /**
   * Whether the peer may read and call the members of every object that it holds, if their names do not start with `_`.
   *
   * @default false
   */
  readonly allowPublicAttrs?: boolean | undefined
  /**
   * Whether the peer may set the members that it may read.
   *
   * @default false
   */
  readonly allowSetAttrs?: boolean | undefined
  /**
   * Whether the peer may delete the members that it may read.
   *
   * @default false
   */
  readonly allowDeleteAttrs?: boolean | undefined
  /**
   * Whether the peer may list members with `Netref.describe` and `Netref.keys`. It can use members by name in any case.
   *
   * @default true
   */
  readonly describe?: boolean | undefined
  /**
   * Whether results are checked by the option `returns` of their methods. The caller then gets the output of the schema. A
   * result that does not match rejects the call.
   *
   * @default false
   */
  readonly checkResults?: boolean | undefined
}

/** The options with their defaults, the `before` hook, and the limits of what a peer can list or obtain. */
export type ExposureSettings = Required<ExposureOptions> &
  Before & { readonly limits: Pick<Limits, 'values' | 'jsonBytes'> }

export const DEFAULT_EXPOSURE: ExposureSettings = {
  exposedPrefix: DEFAULT_PREFIX,
  allowPublicAttrs: false,
  allowSetAttrs: false,
  allowDeleteAttrs: false,
  describe: true,
  checkResults: false,
  limits: DEFAULT_LIMITS
}

/** Properties of the target of an operation, besides the target itself. */
export interface CallTarget {
  /** Whether the peer holds the target by reference. The target is then no copy, whatever its type. */
  readonly byReference?: boolean | undefined
  /** Whether the target is the root. */
  readonly isRoot?: boolean | undefined
  /** The object that the target belongs to, if the target is a member function. */
  readonly self?: object | undefined
  /** Whether the operation is a call of the peer that is being started. Its caller may cancel it. */
  readonly cancellable?: boolean | undefined
  /** Whether the operation may have run before. */
  readonly retry?: boolean | undefined
  /** The references that came with the operand. Code that passes the operand to user code must mark them as passed. */
  readonly received?: ReceivedReferences | undefined
}

export type MembersByName = Record<MemberName, unknown>

/**
 * Returns the object in which a path continues. A path ends at a value that is sent as a copy: the caller owns the
 * copy and can await it. A path also ends at a value that is never sent: it must not reach what a peer cannot receive.
 */
export function requireTraversable(
  holder: unknown,
  name: MemberName,
  { byReference }: CallTarget
): MembersByName {
  if (byReference) return holder as MembersByName
  const reason = reasonNotTraversable(holder)
  if (reason === undefined) return holder as MembersByName
  ignoreRejections(holder)
  throw new CallRejection('not-exposed', `${describeValue(name)} cannot be read from ${reason}`)
}

/** The reason why a path ends at a value, with the remedy, or undefined if the path continues. */
function reasonNotTraversable(value: unknown): string | undefined {
  const isObject = typeof value === 'object' && value !== null
  if (isObject && grantOf(value)) return undefined
  if (isThenable(value)) return 'a promise: await it first'
  if (typeof value === 'function') return undefined
  const transfer = isObject ? classify(value) : undefined
  switch (transfer?.as) {
    case 'record':
      return isIterable(value as MembersByName) ? streamReason(value) : undefined
    case 'array':
    case 'reference':
      return undefined
    case 'stream':
    case 'stream-pair':
      return streamReason(value)
    case 'refused':
      return `${transfer.what}, which is never sent: ${transfer.cure}`
    default:
      return `${describeValue(value)}, which is sent as a copy: await it first`
  }
}

const streamReason = (value: unknown) => `${describeValue(value)}, which is sent as a stream: await it first`

/** The property that `name` resolves to, or undefined if this peer may not use it. */
export function resolveMember(
  object: object,
  name: MemberName,
  exposure: ExposureSettings,
  create: boolean
): MemberName | undefined {
  const member = findExposedProperty(object, name, exposure, create)
  if (member === undefined || !hasConditionAnywhere(member)) return member
  const metadata = findExposedMetadata(object, member)
  return metadata && !isPermitted(metadata) ? undefined : member
}

/** Whether the peer whose call is being started may use a member with this condition. */
function isPermitted(condition: ExposedCondition): boolean {
  if (!condition.if) return true
  const session = startingSession()
  try {
    return Boolean(checkHookResult('`if` of an exposed member', condition.if(session)))
  } catch (error) {
    session.report(error)
    return false
  }
}

/**
 * @returns the condition of the function, whose `check` the caller must apply to the arguments
 * @throws CallRejection if the peer may not call it
 */
export function requireCallable(
  fn: object,
  name: MemberName | undefined,
  exposure: ExposureSettings
): ExposedCondition | undefined {
  const condition = conditionOf(fn)
  if (condition && !isPermitted(condition)) throw notExposedRejection(name ?? 'it', exposure)
  return condition
}

/** @throws CallRejection if the peer may not set or delete the member */
export function requireWritable(
  op: typeof Op.set | typeof Op.delete,
  object: object,
  name: MemberName,
  { allowSetAttrs, allowDeleteAttrs }: ExposureSettings
): void {
  const allowed = op === Op.set ? allowSetAttrs : allowDeleteAttrs
  if ((allowed && !originalOf(object)) || grantOf(object)?.write.has(name)) return
  const [verb, option] = op === Op.set ? ['set', 'allowSetAttrs'] : ['deleted', 'allowDeleteAttrs']
  const label = describeValue(name)
  throw new CallRejection(
    'not-exposed',
    `${label} may be read, not ${verb}: its owner must set ${option}, or call expose(…, { write: [${label}] })`
  )
}

/** @throws CallRejection if the peer may not list members */
export function requireListable({ describe }: ExposureSettings): void {
  if (!describe)
    throw new CallRejection('not-exposed', 'its members are not listed: its owner has set `describe: false`')
}

/**
 * The names of own properties, and of items only those that the grant lists. `length` implies the others, and there may
 * be too many to list.
 */
function ownMemberNames(object: object, maxItems: number): string[] {
  const target = originalOf(object) ?? object
  const hasItems = Array.isArray(target) || ArrayBuffer.isView(target) || target instanceof String
  if (!hasItems) return Object.getOwnPropertyNames(object)
  const grant = grantOf(object)
  const listed =
    grant !== ROOT_GRANT && grant?.read ? [...grant.read].filter(name => typeof name === 'string') : []
  if ((object as ArrayLike<unknown>).length > maxItems) return [...listed, 'length']
  return [...listed, ...Object.getOwnPropertyNames(object).filter(name => !isIndex(name))]
}

/**
 * The members that a peer may use, by the names that it uses.
 *
 * @throws CallRejection for more than `limits.values` members
 */
export function listMembers(object: object, exposure: ExposureSettings): Map<string, MemberName> {
  const members = new Map<string, MemberName>()
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at)) {
    for (const property of ownMemberNames(at, exposure.limits.values)) {
      for (const name of candidateNames(property, exposure.exposedPrefix)) {
        const member = resolveMember(object, name, exposure, false)
        if (member === undefined) continue
        members.set(name, member)
        if (members.size > exposure.limits.values)
          throw limitRejection(exposure.limits.values, 'members', 'values')
        break
      }
    }
  }
  return members
}

/** Whether a peer may read all items: of an array, Map or Set exposed without a name list, or of an array of data. */
export function isReadableCollection(object: object, { byReference }: CallTarget): boolean {
  const grant = grantOf(object)
  if (!grant) return !byReference && classify(object).as === 'array'
  return (
    grant !== ROOT_GRANT &&
    !grant.read &&
    (Array.isArray(object) || isInstanceOf('Map', object) || isInstanceOf('Set', object))
  )
}

/** What the owner of a member says of it: in its class, by `expose()` of its object, or in the class of its service. */
export function detailsOf(object: object, member: MemberName, name: string): MemberDetails {
  const metadata = findExposedMetadata(object, member)
  const help = metadata?.help ?? grantOf(object)?.help.get(name) ?? helpOfService(object, name)
  return { ...metadata?.describeTypes?.(), ...(help !== undefined && { help }) }
}

function helpOfService(object: object, name: string): string | undefined {
  if (!isService(object)) return undefined
  const { help = {} } = object.constructor as typeof Service
  return Object.hasOwn(help, name) ? help[name] : undefined
}

/** The names that a peer may use for a property. The first one that resolves is listed. */
const candidateNames = (property: string, prefix: string) =>
  property.startsWith(prefix) ? [property.slice(prefix.length), property] : [property]

/** @throws CallRejection for a collection that is too large for a message */
export function checkCollectionSize(
  collection: unknown[] | Map<unknown, unknown> | Set<unknown>,
  { limits }: ExposureSettings
): void {
  const { values, jsonBytes } = limits
  if (Array.isArray(collection)) {
    if (collection.length > jsonBytes) throw limitRejection(jsonBytes, 'items', 'jsonBytes')
  } else if (collection.size > KEYS_PER_VALUE * values)
    throw limitRejection(KEYS_PER_VALUE * values, 'items', 'values')
}

const limitRejection = (limit: number, what: string, limitName: string) =>
  new CallRejection(
    'limit',
    `it has more than ${limit} ${what} (limits.${limitName} of its owner): read only those that you need`
  )

/** The rejection depends on the name and on the object alone, not on whether the member exists with or without the prefix. */
export function notExposedRejection(
  name: MemberName,
  { exposedPrefix: prefix }: ExposureSettings,
  object?: object
): CallRejection {
  const isPrefixed = typeof name === 'string' && name.startsWith(prefix) && name !== prefix
  const remedy = isPrefixed
    ? `call it as ${describeValue(name.slice(prefix.length))}, without the prefix`
    : remedyFor(name, prefix, object)
  return new CallRejection(
    'not-exposed',
    `${describeValue(name)} is not exposed, or does not exist: ${remedy}`
  )
}

const LIST_IT = 'list it in expose(…, { read })'

/** The remedy for a name of an object, which only the owner can apply. A prefix is no symbol's, and `_` is private. */
function remedyFor(name: MemberName, prefix: string, object: object | undefined): string {
  if (typeof name === 'symbol') {
    const send = name === Symbol.asyncIterator ? 'send an iterator of it, ' : ''
    return `its owner must ${send}expose it in its class, or ${LIST_IT}`
  }
  const isPrivate = name.startsWith('_')
  const grant = object && grantOf(object)
  const type = typeof object === 'object' && !isService(object) && truncateName(className(object))
  if (grant?.read) return `its owner must list it in \`read\` of ${grant.original ? 'restrict' : 'expose'}()`
  if (type && !isPrivate)
    return grant && grant !== ROOT_GRANT
      ? `the ${type} has no such public member; check the name`
      : `the side that owns the ${type} must expose() it, or expose the member in its class`
  return `its owner must expose it in its class, prefix it with ${prefix}, or ${isPrivate ? LIST_IT : 'expose() its object'}`
}
