// Writes the documents of XML-RPC: calls, results and faults.
import { DEFAULT_LIMITS } from '../../protocol/limits.js'
import { escapeXml, withoutInvalidCharacters } from './characters.js'
import { type WriteLimits, writeValue } from './writer.js'

const DECLARATION = "<?xml version='1.0'?>\n"

/** Why a call failed. */
export interface Fault {
  /** A whole number of 32 bits. */
  readonly faultCode: number
  readonly faultString: string
}

/** @param values what `writeValue` has written */
export const writeCall = (method: string, values: readonly string[]): string =>
  `${DECLARATION}<methodCall><methodName>${escapeXml(method)}</methodName>` +
  `<params>${values.map(value => `<param>${value}</param>`).join('')}</params></methodCall>`

/** @param value what `writeValue` has written */
export const writeResult = (value: string): string =>
  `${DECLARATION}<methodResponse><params><param>${value}</param></params></methodResponse>`

export const writeFault = (fault: Fault): string =>
  `${DECLARATION}<methodResponse><fault>${writeFaultValue(fault)}</fault></methodResponse>`

const FAULT_LIMITS: WriteLimits = { ...DEFAULT_LIMITS, depth: 1 }

/** Writes a fault as a `<value>`, without the characters that XML does not have. */
export function writeFaultValue({ faultCode, faultString }: Fault): string {
  const fault = { faultCode, faultString: withoutInvalidCharacters(faultString) }
  return writeValue(fault, ['fault'], FAULT_LIMITS)
}
