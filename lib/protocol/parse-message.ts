// The only parser of messages: a message that is not of the protocol ends the session.

import { isRejectionCode, ProtocolError, tooManyValues } from '../errors.js'
import { valueWeight } from './limits.js'
import {
  type Annotations,
  MAX_TABLES,
  type Message,
  MIN_FRAME_BYTES,
  Op,
  type OperationInfo,
  operationOf,
  type PeerLimits
} from './messages.js'

/** Version 00 of https://www.w3.org/TR/trace-context: trace id, span id, flags. Ids of zeros are invalid. */
export const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/
export const isTraceparent = (text: unknown): text is string =>
  typeof text === 'string' && TRACEPARENT.test(text)

/** @throws ProtocolError if `raw` is not a message of the protocol, or annotates more than `maxValues` values */
export function parseMessage(raw: unknown, maxValues = Number.POSITIVE_INFINITY): Message {
  if (Array.isArray(raw) && isWellFormed(raw, maxValues)) return raw as unknown as Message
  throw new ProtocolError('a message that is not of the protocol')
}

function isWellFormed(m: unknown[], values: number): boolean {
  const operation = operationOf(m[0])
  if (operation) return isOperation(m, operation.operand, values)
  switch (m[0]) {
    case Op.traced:
      return isTraceparent(m[1]) && operationOf(m[2]) !== undefined && isWellFormed(m.slice(2), values)
    case Op.result:
    case Op.error:
      return m.length <= 4 && isId(m[1]) && isAnnotations(m[3], values)
    case Op.refused:
      return m.length === 4 && isId(m[1]) && isRejectionCode(m[2]) && typeof m[3] === 'string'
    case Op.release:
      return m.length >= 3 && m.length % 2 === 1 && m.every(isReleasePart)
    case Op.cancel:
      return m.length <= 4 && isId(m[1]) && isAnnotations(m[3], values)
    case Op.leaving:
      return m.length === 1 || (m.length === 2 && isCount(m[1]))
    case Op.pull:
      return m.length <= 4 && isId(m[1]) && isCount(m[2]) && (m.length < 4 || isId(m[3]))
    case Op.items:
      return m.length <= 5 && isId(m[1]) && isFlag(m[2]) && isArguments(m[3], m[4], values)
    case Op.ended:
      return m.length <= 5 && isId(m[1]) && isFlag(m[2]) && isAnnotations(m[4], values)
    case Op.ping:
      return m.length === 2 && isId(m[1])
    case Op.retry:
      return operationOf(m[1])?.retry === 'if idempotent' && isWellFormed(m.slice(1), values)
    case Op.idempotent:
      return isIdempotencyKey(m[1]) && isIdempotentOperation(m.slice(2), values)
    case Op.hello:
      return m.length >= 3 && isId(m[1]) && isPeerLimits(m[2]) && (m.length === 3 || hasResumeOffer(m))
    default:
      return false
  }
}

function isIdempotentOperation(m: unknown[], values: number): boolean {
  const [op, , target] = m[0] === Op.retry ? m.slice(1) : m[0] === Op.traced ? m.slice(2) : m
  return (op === Op.call || op === Op.construct) && target === 0 && isWellFormed(m, values)
}
export const isIdempotencyKey = (key: unknown): key is string =>
  typeof key === 'string' && key.length > 0 && key.length <= 200
/** A hello that offers to resume the session has a token and a time. */
const hasResumeOffer = (m: unknown[]) => m.length === 5 && isToken(m[3]) && isCount(m[4])
const isToken = (token: unknown): token is string => typeof token === 'string' && /^[\w.-]{1,64}$/.test(token)
export const isCount = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0
/** A release has its code, then pairs of an id and a reference count, which is at least 1. */
const isReleasePart = (n: unknown, i: number) => (i > 0 && i % 2 === 0 ? isId(n) : isCount(n))
const isId = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) > 0
const isFlag = (n: unknown) => n === 0 || n === 1
/** @throws ProtocolError for more values: decoding them would take long */
function isAnnotations(annotations: unknown, maxValues: number): boolean {
  if (annotations === undefined) return true
  if (!Array.isArray(annotations)) return false
  let count = 0
  let tables = 0
  for (const annotation of annotations) {
    if (!Array.isArray(annotation) || annotation.length < 2) return false
    if (annotation[0] === 't') tables += annotation.length - 1
    else count += (annotation.length - 1) * valueWeight(annotation[0])
    if (count > maxValues) throw tooManyValues(maxValues)
    if (tables > MAX_TABLES) return false
    if (!isAnnotation(annotation)) return false
  }
  return true
}
/** The keys of the paths are checked when the paths are resolved. */
function isAnnotation(annotation: unknown[]): boolean {
  if (typeof annotation[0] !== 'string' && !isCustomTag(annotation[0])) return false
  for (let i = 1; i < annotation.length; i++) if (!Array.isArray(annotation[i])) return false
  return true
}
/** Arguments are a list: no annotation may tag the whole. */
const isArguments = (args: unknown, annotations: unknown, values: number) =>
  Array.isArray(args) &&
  isAnnotations(annotations, values) &&
  !(annotations as Annotations | undefined)?.some(([, ...paths]) => paths.some(path => path.length === 0))
const isCustomTag = (tag: unknown) =>
  Array.isArray(tag) && tag.length === 2 && tag[0] === 'custom' && typeof tag[1] === 'string'
function isOperation(m: unknown[], operand: OperationInfo['operand'], maxValues: number): boolean {
  const hasId = m[0] === Op.oneway ? m[1] === 0 : isId(m[1])
  if (!hasId || !Number.isSafeInteger(m[2]) || !isMemberPath(m[3])) return false
  switch (operand) {
    case 'args':
      return m.length <= 6 && isArguments(m[4], m[5], maxValues)
    case 'value':
      return (m.length === 5 || m.length === 6) && isAnnotations(m[5], maxValues)
    case 'none':
      return m.length === 4
  }
}
const isMemberPath = (path: unknown) =>
  typeof path === 'string' || (Array.isArray(path) && path.every(isMemberKey))
const isMemberKey = (key: unknown) =>
  typeof key === 'string' ||
  (Array.isArray(key) &&
    key.length === 2 &&
    typeof key[1] === 'string' &&
    (key[0] === 'for' || key[0] === 'well-known'))

function isPeerLimits(limits: unknown): limits is PeerLimits {
  const { jsonBytes, frameBytes, depth, values } = (limits ?? {}) as Partial<PeerLimits>
  return (
    isCount(depth) &&
    isCount(values) &&
    isCount(jsonBytes) &&
    isCount(frameBytes) &&
    Math.min(jsonBytes, frameBytes) >= MIN_FRAME_BYTES
  )
}
