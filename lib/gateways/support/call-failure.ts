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
  /** Other fields of the method's error, and a `code` that is no number; the `issues` of wrong arguments. */
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
  const { name, message, stack } = error
  if (error instanceof ArgumentsError) return { kind, name, message, data: { issues: error.issues } }
  if (kind !== 'error') return { kind, name, message }
  const { name: _, code, ...fields } = { ...error } as Record<string, unknown>
  const isNumeric = Number.isSafeInteger(code)
  const data = isNumeric || code === undefined ? fields : { code, ...fields }
  return {
    ...{ kind, name, message },
    ...(isNumeric && { code: code as number }),
    ...(Object.keys(data).length > 0 && { data }),
    ...(stack !== undefined && { stack })
  }
}

function kindOf(error: unknown): FailureKind {
  if (error instanceof RefusedCallError) return error.kind
  if (error instanceof ExposureError) return 'no-method'
  if (error instanceof ArgumentsError) return 'bad-params'
  return error instanceof LimitError || error instanceof SessionEndedError ? 'busy' : 'error'
}
