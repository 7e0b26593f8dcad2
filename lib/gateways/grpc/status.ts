// The status codes of gRPC, and the status for a failed call.

import { NetrefError, SessionEndedError } from '../../errors.js'
import { callFailureOf, type FailureKind } from '../support/call-failure.js'
import { MalformedMessageError } from './wire-scanner.js'

/** The names of the status codes, by code. */
export const STATUS_NAMES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED'
] as const
export type StatusName = (typeof STATUS_NAMES)[number]

export const codeOf = (name: StatusName): number => STATUS_NAMES.indexOf(name)

/** The end of a call. */
export interface Status {
  readonly code: number
  readonly details: string
}
export const OK: Status = { code: codeOf('OK'), details: '' }

/** A call ends with a status that the gateway itself gives. */
export class StatusError extends Error {
  override name = 'StatusError'

  constructor(
    readonly status: StatusName,
    message: string
  ) {
    super(message)
  }
}

/** Longest details, in bytes of their percent-encoding: clients refuse trailers above 8 KiB. */
const MAX_DETAILS_BYTES = 4096

const BY_KIND: Readonly<Record<FailureKind, StatusName>> = {
  'no-method': 'UNIMPLEMENTED',
  'bad-params': 'INVALID_ARGUMENT',
  busy: 'RESOURCE_EXHAUSTED',
  error: 'UNKNOWN'
}
const BY_NAME: Readonly<Record<string, StatusName>> = {
  AbortError: 'CANCELLED',
  TimeoutError: 'DEADLINE_EXCEEDED'
}

/** The status for the error of a call. A method chooses its code by an error whose `code` is one. */
export function statusOf(error: unknown, exposeStacks: boolean): Status {
  const { kind, code, name, message, stack } = callFailureOf(error)
  const chosen = code !== undefined && code > 0 && code < STATUS_NAMES.length ? code : undefined
  return {
    code: codeOfError(error) ?? chosen ?? codeOf(BY_NAME[name] ?? BY_KIND[kind]),
    details: fit(exposeStacks && stack !== undefined ? stack : message)
  }
}

/** The code for an error of netref or of this gateway. */
function codeOfError(error: unknown): number | undefined {
  if (error instanceof StatusError) return codeOf(error.status)
  if (error instanceof MalformedMessageError) return codeOf('INTERNAL')
  if (error instanceof NetrefError && error.code === 'unauthorized') return codeOf('UNAUTHENTICATED')
  if (error instanceof NetrefError && error.code === 'unavailable') return codeOf('UNAVAILABLE')
  return error instanceof SessionEndedError && error.code !== 'limit' ? codeOf('UNAVAILABLE') : undefined
}

/** A text that fits into trailers. */
function fit(details: string): string {
  // A lone surrogate has no percent-encoding.
  let text = details.slice(0, MAX_DETAILS_BYTES).replace(/\p{Surrogate}/gu, '\ufffd')
  while (encodeURI(text).length > MAX_DETAILS_BYTES)
    text = text.slice(0, Math.floor(text.length / 2)).replace(/\p{Surrogate}/gu, '')
  return text
}
