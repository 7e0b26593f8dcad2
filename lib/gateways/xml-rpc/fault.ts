// The faults of XML-RPC for failed calls.
import { callFailureOf, type FailureKind } from '../support/call-failure.js'
import type { Fault } from './documents.js'
import { MalformedXmlError } from './malformed.js'

/** The fault code of other errors, as in Python's servers. */
const OTHER = 1
/** From the "Specification for Fault Code Interoperability". */
const MALFORMED = -32_700
const CODES: Readonly<Record<FailureKind, number>> = {
  'no-method': -32_601,
  'bad-params': -32_602,
  busy: OTHER,
  error: OTHER
}

/** The fault for an error. Its text is `Name: message`, or the stack. */
export function faultOf(error: unknown, exposeStacks: boolean): Fault {
  if (error instanceof MalformedXmlError)
    return { faultCode: MALFORMED, faultString: `the request is not XML-RPC: ${error.message}` }
  const { kind, code, name, message, stack } = callFailureOf(error)
  const isFitting = kind === 'error' && code !== undefined && (code | 0) === code
  return {
    faultCode: isFitting ? code : CODES[kind],
    faultString: exposeStacks && stack !== undefined ? stack : `${name}: ${message}`
  }
}
