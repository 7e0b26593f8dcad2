// The error of a call that a server of XML-RPC answered with a fault.

import { registerError } from '../../index.js'

/**
 * A server of XML-RPC answered a call with a fault.
 *
 * @example
 * try {
 *   await conn.root.secret()
 * } catch (error) {
 *   if (error instanceof XmlRpcFault && error.code === -32601) console.log('no such method')
 * }
 */
export class XmlRpcFault extends Error {
  /** Name of the class. */
  override name = 'XmlRpcFault'
  /** The number of the fault, `faultCode`: by convention −32601 for no such method, −32602 for wrong parameters. */
  readonly code: number

  constructor(message: string, code: number) {
    super(message)
    this.code = code
  }
}
registerError(XmlRpcFault, { name: 'netref.XmlRpcFault' })

/** The error for the value of a fault. */
export function receivedFault(fault: unknown): XmlRpcFault {
  const { faultCode, faultString } = Object(fault) as Record<string, unknown>
  return new XmlRpcFault(String(faultString), Number(faultCode))
}
