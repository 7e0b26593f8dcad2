// The rules: which property of a home object a peer may use under which name, and where a path ends. `operate.ts` asks
// for every operation, and nothing else touches a home object. Refused and missing are the same to the peer.

import { classify, isIndex, isIterable, KEYS_PER_VALUE } from '../codec/classify.js'
import { ignoreRejections } from '../codec/dispose.js'
import { grantOf, ROOT_GRANT } from '../codec/grants.js'
import { CallRejection } from '../errors.js'
import type { Limits } from '../protocol/limits.js'
import type { MemberName } from '../protocol/path.js'
import type { ReceivedReferences } from '../remote/received-references.js'
import { describeValue } from '../util/describe.js'
import { isThenable } from '../util/promises.js'
import { isInstanceOf } from '../util/realms.js'
import { isPermitted } from './call-context.js'
import { hasRuleAnywhere } from './expose.js'
import { findExposedMetadata, findExposedProperty } from './member-rules.js'
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
export type ExposureSettings = Required<ExposureOptions> &
  Before & { readonly limits: Pick<Limits, 'values' | 'jsonBytes'> }

export const DEFAULT_EXPOSURE: ExposureSettings = {
  exposedPrefix: 'exposed_',
  allowPublicAttrs: false,
  allowSetAttrs: false,
  allowDeleteAttrs: false,
  describe: true,
  limits: { values: 10_000, jsonBytes: 4 << 20 }
}

/** What the peer starts from, besides the target. */
export interface CallTarget {
  /** The peer holds the target by reference: it is no copy, whatever it looks like. */
  readonly byReference?: boolean | undefined
  /** The target is the root. */
  readonly isRoot?: boolean | undefined
  /** The object that a member function, the target, belongs to. */
  readonly self?: object | undefined
  /** It is a call of a peer's that is being started, which its caller may give up. */
  readonly cancellable?: boolean | undefined
  /** Whether the operation may have been carried out before. */
  readonly retry?: boolean | undefined
  /** What came with the operand: whoever passes that to a user's code hands it over. */
  readonly received?: ReceivedReferences | undefined
}

export type MembersByName = Record<MemberName, unknown>

/**
 * The object that a path goes on in. It ends at a value that is sent as a copy, as the copy is the caller's, who can
 * await it; and at what is never sent: a path is no way into what a peer could not be given.
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
  throw new CallRejection('not-exposed', `${describeValue(name)} is read off ${reason}`)
}

/** Why a path ends at a value, and the cure; undefined when it goes on. */
function reasonNotTraversable(value: unknown): string | undefined {
  const isObject = typeof value === 'object' && value !== null
  if (isObject && grantOf(value)) return undefined
  if (isThenable(value)) return 'a promise: await it first'
  if (typeof value === 'function') return undefined
  const travel = isObject ? classify(value) : undefined
  switch (travel?.as) {
    case 'record':
      return isIterable(value as MembersByName) ? streamReason(value) : undefined
    case 'array':
    case 'reference':
      return undefined
    case 'stream':
    case 'stream-pair':
      return streamReason(value)
    case 'refused':
      return `${travel.what}, which is never sent: ${travel.cure}`
    default:
      return `${describeValue(value)}, which is sent as a copy: await it first`
  }
}

const streamReason = (value: unknown) =>
  `${describeValue(value)}, which has a flow of its own: await it first`

/** The property that stands for `name`, if this peer may use it. */
export function resolveMember(
  object: object,
  name: MemberName,
  exposure: ExposureSettings,
  create: boolean
): MemberName | undefined {
  const member = findExposedProperty(object, name, exposure, create)
  if (member === undefined || !hasRuleAnywhere(member)) return member
  const metadata = findExposedMetadata(object, member)
  return metadata && !isPermitted(metadata) ? undefined : member
}

/** The own properties, of items only those that are listed: the others are known by `length`, and may be far too many. */
function ownMemberNames(object: object, maxItems: number): string[] {
  const hasItems = Array.isArray(object) || ArrayBuffer.isView(object) || object instanceof String
  if (!hasItems) return Object.getOwnPropertyNames(object)
  const grant = grantOf(object)
  const listed =
    grant !== ROOT_GRANT && grant?.read ? [...grant.read].filter(name => typeof name === 'string') : []
  if ((object as ArrayLike<unknown>).length > maxItems) return [...listed, 'length']
  return [...listed, ...Object.getOwnPropertyNames(object).filter(name => !isIndex(name))]
}

/** The members a peer may use, by the names it would write. @throws Refusal for more than `limits.values` */
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

/** Whether all items may be read: of an array, Map or Set exposed without a list of names, or an array that is data. */
export function isReadableCollection(object: object, { byReference }: CallTarget): boolean {
  const grant = grantOf(object)
  if (!grant) return !byReference && classify(object).as === 'array'
  return (
    grant !== ROOT_GRANT &&
    !grant.read &&
    (Array.isArray(object) || isInstanceOf('Map', object) || isInstanceOf('Set', object))
  )
}

/** What is said of a member: where it is marked, where its object is exposed, or in the class of a service. */
export function helpOf(object: object, member: MemberName, name: string): string | undefined {
  const said = findExposedMetadata(object, member)?.help ?? grantOf(object)?.help.get(name)
  if (said !== undefined || !isService(object)) return said
  const { help = {} } = object.constructor as typeof Service
  return Object.hasOwn(help, name) ? help[name] : undefined
}

/** What a peer may call a property: of two names it is told the first that is one for it. */
const candidateNames = (property: string, prefix: string) =>
  property.startsWith(prefix) ? [property.slice(prefix.length), property] : [property]

/** @throws Refusal for a collection that no message would hold */
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
    `it has more than ${limit} ${what} (limits.${limitName} at its home): read those that you want`
  )

/** It depends on the name alone: not on whether there is such a member, with the prefix or without. */
export function notExposedRejection(
  name: MemberName,
  { exposedPrefix: prefix }: ExposureSettings
): CallRejection {
  const isPrefixed = typeof name === 'string' && name.startsWith(prefix) && name !== prefix
  const cure = isPrefixed
    ? `call it as ${describeValue(name.slice(prefix.length))}, without the prefix`
    : `at its home, prefix it with ${prefix}, mark it @exposed or expose() its object`
  return new CallRejection('not-exposed', `${describeValue(name)} is not exposed, or does not exist: ${cure}`)
}
