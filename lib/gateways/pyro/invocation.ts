// Reads the requests of clients.

import { RefusedCallError } from '../support/call-failure.js'
import type { MethodCall } from './pyro-object.js'

/** A request for a call, or for the calls of a batch. */
export interface Invocation {
  readonly objectId: string
  readonly calls: readonly MethodCall[]
}

/**
 * Reads the parts of a request.
 *
 * @throws RefusedCallError if they are not those of one
 */
export function readInvocation(parts: readonly unknown[], isBatch: boolean): Invocation {
  const [objectId, ...call] = parts
  if (typeof objectId !== 'string' || parts.length !== 4)
    throw new RefusedCallError(
      'bad-params',
      'a request has an object, a method, arguments and keyword arguments'
    )
  if (!isBatch) return { objectId, calls: [readCall(call)] }
  const calls = call[1]
  if (!Array.isArray(calls)) throw new RefusedCallError('bad-params', 'a batch is a list of calls')
  return { objectId, calls: calls.map(readCall) }
}

function readCall(parts: unknown): MethodCall {
  const [method, args, named = null] = Array.isArray(parts) ? parts : []
  if (typeof method !== 'string' || !Array.isArray(args) || !(named === null || isRecord(named)))
    throw new RefusedCallError(
      'bad-params',
      'a call has the name of a method, a list of arguments, and named ones'
    )
  return { method, args, named: named ?? {} }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
