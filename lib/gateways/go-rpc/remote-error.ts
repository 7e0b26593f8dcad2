// The error of a call that a server of Go's net/rpc answered with an error.

import { registerError } from '../../index.js'

/**
 * A server of Go's net/rpc answered a call with an error. Go sends its text and nothing else.
 *
 * @example
 * try {
 *   await conn.root.secret()
 * } catch (error) {
 *   if (error instanceof GoRpcError && /can't find/.test(error.message)) console.log('no such method')
 * }
 */
export class GoRpcError extends Error {
  /** Name of the class. */
  override name = 'GoRpcError'
}
registerError(GoRpcError, { name: 'netref.GoRpcError' })

/** What Go's server says of an argument that is not of the type of the method. The method did not run. */
const WRONG_TYPE = /^gob: (?:decoding into local type|wrong type|type mismatch)/

export const isWrongType = (text: string): boolean => WRONG_TYPE.test(text)

/** @param method whose call was answered with this text */
export function remoteError(text: string, method: string): GoRpcError {
  const advice = `; declare the type of the argument: types: { ${JSON.stringify(method)}: "float64" }`
  return new GoRpcError(isWrongType(text) ? text + advice : text)
}
