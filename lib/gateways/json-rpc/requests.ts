// Reads the requests of JSON-RPC 1.0, 1.1 and 2.0, which each message tells apart by itself.

import type { Limits } from '../../protocol/limits.js'
import { parseJson } from '../support/json-text.js'
import { MESSAGE_LEVELS } from './text-cutter.js'

/** The versions of JSON-RPC. */
export type JsonRpcVersion = '1.0' | '1.1' | '2.0'

/** What the answer to a message must repeat. */
export interface MessageHead {
  readonly version: JsonRpcVersion
  /** The JSON of the id; undefined if the message has none. */
  readonly id: string | undefined
}

/** A call that a client asks for. */
export interface CallRequest extends MessageHead {
  readonly method: string
  readonly params: readonly unknown[] | Readonly<Record<string, unknown>>
  readonly isNotification: boolean
}

/** A message that is no request. */
export interface InvalidRequest extends MessageHead {
  /** What is wrong with it. */
  readonly fault: string
}

/**
 * Parses a text within the limits.
 *
 * @throws SyntaxError
 */
export const parseText = (bytes: Uint8Array, { depth }: Pick<Limits, 'depth'>): unknown =>
  parseJson(bytes, depth + MESSAGE_LEVELS)

/** Reads one message. */
export function readRequest(message: unknown): CallRequest | InvalidRequest {
  if (!isRecord(message)) return { version: '2.0', id: 'null', fault: 'a request is an object' }
  const { jsonrpc, version: version1, id, method, params = null } = message
  const version = jsonrpc === '2.0' ? '2.0' : version1 === '1.1' ? '1.1' : '1.0'
  const isWellFormed = typeof method === 'string' && (jsonrpc === undefined || KNOWN_VERSIONS.has(jsonrpc))
  // A message of no known form is answered as one of the present version.
  if (!isWellFormed) return invalid('2.0', id, 'a request has a `method`, and `jsonrpc` is "2.0"')
  const fault = faultOf(version, id, params, message)
  if (fault !== undefined) return invalid(version, id, fault)
  return {
    version,
    id: id === undefined ? undefined : JSON.stringify(id),
    method,
    params: (params as CallRequest['params'] | null) ?? [],
    isNotification: version === '2.0' ? id === undefined : version === '1.0' && (id ?? null) === null
  }
}

/** Some clients of version 1.0 name it as later ones do. */
const KNOWN_VERSIONS: ReadonlySet<unknown> = new Set(['1.0', '1.1', '2.0'])

/** What is wrong with the parts of a request; undefined if nothing is. */
function faultOf(version: JsonRpcVersion, id: unknown, params: unknown, message: object): string | undefined {
  if (typeof id === 'number' && (Number.isInteger(id) ? !Number.isSafeInteger(id) : !Number.isFinite(id)))
    return '`id` is a number that is not exact: use a string'
  if (version === '2.0' && !isIdOf2(id)) return '`id` is neither a string nor a number nor null'
  const isOmitted = params === null && (version !== '2.0' || !('params' in message))
  const isStructured = typeof params === 'object' && params !== null
  return isOmitted || isStructured ? undefined : '`params` is neither a list nor an object'
}

const isIdOf2 = (id: unknown): boolean => id === null || ['string', 'number', 'undefined'].includes(typeof id)

function invalid(version: JsonRpcVersion, id: unknown, fault: string): InvalidRequest {
  const isKnown = typeof id === 'string' || Number.isSafeInteger(id)
  return { version, id: isKnown ? JSON.stringify(id) : 'null', fault }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
