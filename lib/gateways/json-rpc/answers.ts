// Writes the answers of JSON-RPC 1.0, 1.1 and 2.0.

import type { CallFailure, FailureKind } from '../support/call-failure.js'
import { type TextLimits, toJsonText } from '../support/json-value.js'
import type { MessageHead } from './requests.js'

/** The error codes of JSON-RPC, and of this gateway. */
export const ErrorCode = {
  parse: -32_700,
  invalidRequest: -32_600,
  methodNotFound: -32_601,
  invalidParams: -32_602,
  /** The method threw. */
  failed: -32_000,
  /** A limit, or the end of the session. */
  busy: -32_005
} as const

const CODES: Readonly<Record<FailureKind, number>> = {
  'no-method': ErrorCode.methodNotFound,
  'bad-params': ErrorCode.invalidParams,
  busy: ErrorCode.busy,
  error: ErrorCode.failed
}

/** Limits of each field of the data of an error. */
const DATA_LIMITS: TextLimits = { depth: 20, jsonBytes: 1 << 20, frameBytes: 1 << 20 }

/** The error of an answer. */
export interface AnswerError {
  readonly code: number
  readonly message: string
  /** As JSON. */
  readonly data?: string | undefined
  /** The error in one text, for version 1.0. */
  readonly text?: string
}

/** An answer with a result, which is JSON. */
export function resultAnswer({ version, id = 'null' }: MessageHead, result: string): string {
  if (version === '2.0') return `{"jsonrpc":"2.0","id":${id},"result":${result}}`
  return version === '1.1'
    ? `{"version":"1.1",${idMember(id)}"result":${result}}`
    : `{"id":${id},"result":${result},"error":null}`
}

/** An answer with an error. Clients of version 1.0 expect a text, and those of Go accept nothing else. */
export function errorAnswer({ version, id = 'null' }: MessageHead, error: AnswerError): string {
  const { code, message, data, text = message } = error
  const members = `"code":${code},"message":${JSON.stringify(message)}${data === undefined ? '' : `,"data":${data}`}`
  if (version === '2.0') return `{"jsonrpc":"2.0","id":${id},"error":{${members}}}`
  return version === '1.1'
    ? `{"version":"1.1",${idMember(id)}"error":{"name":"JSONRPCError",${members}}}`
    : `{"id":${id},"result":null,"error":${JSON.stringify(text)}}`
}

/** An answer of version 1.1 repeats the id only if there was one. */
const idMember = (id: string): string => (id === 'null' ? '' : `"id":${id},`)

/** The error for a failed call. */
export function errorOf(failure: CallFailure, exposeStacks: boolean): AnswerError {
  const { kind, code = CODES[kind], name, message, data, stack } = failure
  const text = name === 'Error' || kind !== 'error' ? message : `${name}: ${message}`
  const details = { name, ...data, ...(exposeStacks && stack !== undefined && { stack }) }
  return { code, message, text, data: kind === 'error' || data ? dataText(details) : undefined }
}

/** The data of an error. Fields that JSON has no form for are left out. */
function dataText(data: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(data).flatMap(([key, value]) => {
    try {
      return [`${JSON.stringify(key)}:${toJsonText(value, ['data'], DATA_LIMITS, 'JSON-RPC')}`]
    } catch {
      return []
    }
  })
  return `{${entries.join(',')}}`
}
