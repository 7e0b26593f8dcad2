// Classifies why a call of a foreign client failed, in the few terms for which other systems have error codes.

import { ArgumentsError, ExposureError, LimitError, SessionEndedError } from '../../errors.js'
import { safeString } from '../../util/describe.js'

/**
 * Why a call failed. `no-method`: it is not exposed or cannot be called. `bad-params`: the arguments are not those of the
 * method. `busy`: a limit, or the end of the session. `error`: the method threw.
 */
export type FailureKind = 'no-method' | 'bad-params' | 'busy' | 'error'

/** A failed call, for the error of another system. */
export interface CallFailure {
  readonly kind: FailureKind
  /** The `code` of the error that the method threw, if it is a whole number. */
  readonly code?: number
  /** The name of the error's class. */
  readonly name: string
  readonly message: string
  /** The error's other fields, a `code` that is no number included. Undefined if it has none. */
  readonly data?: Readonly<Record<string, unknown>>
  /** The stack. Gateways send it only with `exposeStacks`. */
  readonly stack?: string
}

/** A gateway refused a call by itself. */
export class RefusedCallError extends Error {
  override name = 'RefusedCallError'

  constructor(
    readonly kind: FailureKind,
    message: string
  ) {
    super(message)
  }
}

/** Classifies the error of a call. Does not throw. */
export function callFailureOf(error: unknown): CallFailure {
  const kind = kindOf(error)
  if (!(error instanceof Error)) return { kind, name: 'Error', message: safeString(error) }
  const { code, ...fields } = { ...error } as Record<string, unknown>
  const data = isNumericCode(code) || code === undefined ? fields : { code, ...fields }
  delete data.name
  return {
    kind,
    ...(isNumericCode(code) && { code }),
    name: error.name,
    message: error.message,
    ...(kind === 'error' && Object.keys(data).length > 0 && { data }),
    ...(kind === 'error' && error.stack !== undefined && { stack: error.stack })
  }
}

function kindOf(error: unknown): FailureKind {
  if (error instanceof RefusedCallError) return error.kind
  if (error instanceof ExposureError) return 'no-method'
  if (error instanceof ArgumentsError) return 'bad-params'
  return error instanceof LimitError || error instanceof SessionEndedError ? 'busy' : 'error'
}

const isNumericCode = (code: unknown): code is number => Number.isSafeInteger(code)
