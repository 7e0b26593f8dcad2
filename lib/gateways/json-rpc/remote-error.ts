// The error of a call that a JSON-RPC server answered with an error.

import { registerError } from '../../index.js'

/**
 * A JSON-RPC server answered a call with an error.
 *
 * @example
 * try {
 *   await conn.root.secret()
 * } catch (error) {
 *   if (error instanceof JsonRpcError && error.code === -32601) console.log('no such method')
 * }
 */
export class JsonRpcError extends Error {
  /** Name of the class. */
  override name = 'JsonRpcError'
  /** Code of the error: −32601 for no such method, −32602 for wrong parameters, … Undefined if the server gave none. */
  readonly code: number | undefined
  /** What the server says besides. */
  readonly data: unknown

  constructor(message: string, code: number | undefined, data: unknown) {
    super(message)
    this.code = code
    this.data = data
  }
}
registerError(JsonRpcError, { name: 'netref.JsonRpcError' })

/** The error for the member `error` of an answer: an object of version 2.0 or 1.1, or a text of version 1.0. */
export function remoteError(error: unknown): JsonRpcError {
  if (typeof error !== 'object' || error === null)
    return new JsonRpcError(String(error), undefined, undefined)
  const { message, code, data } = error as { message?: unknown; code?: unknown; data?: unknown }
  const text = typeof message === 'string' ? message : JSON.stringify(error)
  return new JsonRpcError(text, typeof code === 'number' ? code : undefined, data)
}
