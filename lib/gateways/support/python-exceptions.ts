// The built-in exceptions of Python that errors of JavaScript and netref become.

import { ArgumentsError, ExposureError, ReleasedError, SessionEndedError } from '../../errors.js'
import { RefusedCallError } from './call-failure.js'

/** Exceptions of Python's `builtins` that an error of the same name becomes. */
const BUILT_IN_EXCEPTIONS: ReadonlySet<string> = new Set(
  (
    'Exception ArithmeticError AssertionError AttributeError BlockingIOError BrokenPipeError BufferError ' +
    'ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError ConnectionResetError EOFError ' +
    'FileExistsError FileNotFoundError FloatingPointError IOError ImportError IndentationError IndexError InterruptedError ' +
    'IsADirectoryError KeyError LookupError MemoryError ModuleNotFoundError NameError NotADirectoryError ' +
    'NotImplementedError OSError OverflowError PermissionError ProcessLookupError RecursionError RuntimeError ' +
    'StopAsyncIteration StopIteration TimeoutError TypeError UnboundLocalError ValueError Warning ZeroDivisionError'
  ).split(' ')
)

/** The exceptions that errors of JavaScript and netref become, by name. */
const EXCEPTIONS_BY_NAME: Readonly<Record<string, string>> = {
  Error: 'Exception',
  AggregateError: 'Exception',
  RangeError: 'ValueError',
  SyntaxError: 'ValueError',
  URIError: 'ValueError',
  ReferenceError: 'NameError',
  AbortError: 'TimeoutError',
  UnsendableError: 'TypeError',
  NoFormError: 'TypeError'
}

/**
 * The exception of `builtins` that an error becomes; undefined if there is none.
 *
 * @param name the name of the error
 */
export function builtInExceptionOf(error: unknown, name: string): string | undefined {
  if (error instanceof ExposureError) return error.code === 'not-callable' ? 'TypeError' : 'AttributeError'
  if (error instanceof ArgumentsError) return 'TypeError'
  if (error instanceof RefusedCallError) return error.kind === 'no-method' ? 'AttributeError' : 'TypeError'
  if (error instanceof ReleasedError) return 'ReferenceError'
  if (error instanceof SessionEndedError) return 'ConnectionError'
  if (BUILT_IN_EXCEPTIONS.has(name)) return name
  return Object.hasOwn(EXCEPTIONS_BY_NAME, name) ? EXCEPTIONS_BY_NAME[name] : undefined
}

/** Attributes that exceptions of Python have already, or take only of one type. */
const OWN_ATTRIBUTES: ReadonlySet<string> = new Set([
  'args',
  'with_traceback',
  'add_note',
  'characters_written'
])

/** Whether an exception can have an attribute of that name, whatever its value. */
export const isExceptionAttribute = (name: string): boolean =>
  /^[A-Za-z]\w*$/.test(name) && !OWN_ATTRIBUTES.has(name)
