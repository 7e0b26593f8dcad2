// Errors as exceptions that Pyro raises in Python.

import { safeString } from '../../util/describe.js'
import { callFailureOf } from '../support/call-failure.js'
import { builtInExceptionOf, isExceptionAttribute } from '../support/python-exceptions.js'

/** An exception of Pyro's own, such as `DaemonError`, or of Python's, such as `StopIteration`. */
export class PythonRaise extends Error {
  constructor(
    /** The module: `errors` is that of Pyro, under the name of its package. */
    readonly module: 'builtins' | 'errors',
    readonly className: string,
    readonly args: readonly unknown[] = []
  ) {
    super(safeString(args[0] ?? ''))
  }
}

/** The form of an exception: a dict that Pyro's serializers make an exception of. */
export interface ExceptionDict {
  readonly __class__: string
  readonly __exception__: true
  readonly args: readonly unknown[]
  readonly attributes: Readonly<Record<string, unknown>>
}

/** What an exception that is raised in Python depends on. */
export interface RaiseOptions {
  readonly pyro: 'Pyro4' | 'Pyro5'
  readonly exposeStacks: boolean
  /** Whether an attribute can be sent with those before; others are left out. */
  fits(value: unknown): boolean
}

/** The exception of a failed call. Pyro shows `_pyroTraceback` as the traceback of the server. */
export function raisedException(error: unknown, { pyro, exposeStacks, fits }: RaiseOptions): ExceptionDict {
  if (error instanceof PythonRaise) {
    const module = error.module === 'errors' ? `${pyro}.errors` : error.module
    return exceptionDict(`${module}.${error.className}`, error.args, {
      _pyroTraceback: [`${error.className}: ${error.message}\n`]
    })
  }
  const { code, data, stack } = callFailureOf(error)
  const attributes = Object.entries({ ...(code !== undefined && { code }), ...data })
  const exception = exceptionOf(
    error,
    attributes.filter(([, value]) => fits(value))
  )
  const { __class__, args } = exception
  const text = exposeStacks && stack !== undefined ? stack : `${__class__.slice(BUILTINS.length)}: ${args[0]}`
  const lines = text.split('\n').map(line => `${line}\n`)
  return { ...exception, attributes: { ...exception.attributes, _pyroTraceback: lines } }
}

/** The exception for an error that is a value. */
export const exceptionOfValue = (error: Error): ExceptionDict => exceptionOf(error, Object.entries(error))

const BUILTINS = 'builtins.'

/** Pyro makes only exceptions of classes that it knows: the name of another error is in the text. */
function exceptionOf(error: unknown, attributes: readonly (readonly [string, unknown])[]): ExceptionDict {
  const isError = error instanceof Error
  const name = isError ? safeString(error.name) : 'Error'
  const message = safeString(isError ? error.message : error)
  const builtIn = builtInExceptionOf(error, name)
  return exceptionDict(
    BUILTINS + (builtIn ?? 'Exception'),
    [builtIn ? message : `${name}: ${message}`],
    Object.fromEntries(attributes.filter(([key]) => isExceptionAttribute(key)))
  )
}

const exceptionDict = (
  name: string,
  args: readonly unknown[],
  attributes: Readonly<Record<string, unknown>>
): ExceptionDict => ({ __class__: name, __exception__: true, args, attributes })
