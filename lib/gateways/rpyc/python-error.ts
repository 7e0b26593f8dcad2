// Exceptions of Python as errors of JavaScript, and errors as exceptions.

import { safeString } from '../../util/describe.js'
import { builtInExceptionOf, isExceptionAttribute } from '../support/python-exceptions.js'
import { type BrineValue, isBrine } from './brine.js'
import type { RpycVersion } from './channel.js'
import { isTuple, RpycProtocolError } from './protocol.js'

/** The record of StopIteration. */
export const STOP_ITERATION = 1

/** The error of an exception that Python raised, or that this side raises as one. */
export interface PythonError extends Error {
  /** The module of its class: `builtins`. */
  readonly module: string
  /** The arguments of the exception; those that RPyC does not copy as their `repr`. */
  readonly args: readonly unknown[]
  /** Other attributes that are data, such as the `errno` of an OSError. */
  readonly attributes?: Readonly<Record<string, unknown>>
  /** The traceback of Python. */
  readonly traceback?: string
}

/** An error that is raised in Python as a built-in exception. */
export const pythonError = (name: string, ...args: unknown[]): PythonError =>
  Object.assign(new Error(safeString(args[0] ?? '')), { name, module: 'builtins', args })

/** Errors of this gateway, by name. */
const OWN_EXCEPTIONS: Readonly<Record<string, string>> = {
  UnboxableError: 'TypeError',
  BrineError: 'ValueError'
}

/** Classes whose exceptions Python cannot make from a record, so that it loses the whole reply. */
const UNLOADABLE_EXCEPTIONS: ReadonlySet<string> = new Set(['BaseExceptionGroup', 'ExceptionGroup'])

/** RPyC warns in each traceback if the other side has another major version. */
const VERSION_TEXTS: Readonly<Record<RpycVersion, string>> = { 5: '5.3.0', 6: '6.0.2' }

/** Maximum depth of an argument or attribute, and maximum number of values in all of an exception. */
const MAX_DEPTH = 100
const MAX_VALUES = 100_000

/** The record of an error, for a peer of that version. */
export function encodeException(error: unknown, version: RpycVersion, exposeStacks: boolean): BrineValue {
  const record = exceptionRecord(error)
  if (record.name === 'StopIteration' && record.module === 'builtins') return STOP_ITERATION
  const { module, name, args, attributes } = record
  const stack = exposeStacks && error instanceof Error ? error.stack : undefined
  const text = typeof stack === 'string' ? stack : `${name}: ${args.map(safeString).join(', ')}`
  const room = { values: MAX_VALUES }
  const isData = (value: unknown): value is BrineValue | undefined => isBrine(value, MAX_DEPTH, room)
  const attrs = Object.entries(attributes)
    .filter(([key, value]) => isExceptionAttribute(key) && isData(value))
    .map(([key, value]) => [key, toWellFormed(value)])
  return [
    [module, name].map(toWellFormed),
    args.map(arg => toWellFormed(isData(arg) ? arg : safeString(arg))),
    [...attrs, ['_remote_version', VERSION_TEXTS[version]]],
    withoutLoneSurrogates(text)
  ] as unknown as BrineValue
}

const withoutLoneSurrogates = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd')

const toWellFormed = (value: unknown): unknown => {
  if (typeof value === 'string') return withoutLoneSurrogates(value)
  return Array.isArray(value) ? value.map(toWellFormed) : value
}

interface ExceptionRecord {
  readonly module: string
  readonly name: string
  readonly args: readonly unknown[]
  readonly attributes: Readonly<Record<string, unknown>>
}

function exceptionRecord(error: unknown): ExceptionRecord {
  if (!(error instanceof Error))
    return { module: 'builtins', name: 'Exception', args: [error], attributes: {} }
  const name = safeString(error.name)
  const { module, args, attributes, ...fields } = error as unknown as Record<string, unknown>
  if (typeof module === 'string' && Array.isArray(args)) {
    const isLoadable = module !== 'builtins' || !UNLOADABLE_EXCEPTIONS.has(name)
    const isRecord = typeof attributes === 'object' && attributes !== null
    return {
      module: isLoadable ? module : 'netref',
      name,
      args,
      attributes: isRecord ? (attributes as Record<string, unknown>) : {}
    }
  }
  const builtIn = Object.hasOwn(OWN_EXCEPTIONS, name) ? OWN_EXCEPTIONS[name] : builtInExceptionOf(error, name)
  return {
    module: builtIn ? 'builtins' : 'netref',
    name: builtIn ?? name,
    args: [safeString(error.message)],
    attributes: fields
  }
}

/**
 * The error of an exception record.
 *
 * @param withTraceback whether it gets Python's traceback, which names files and code
 * @throws RpycProtocolError
 */
export function decodeException(record: BrineValue, withTraceback: boolean): Error {
  if (record === STOP_ITERATION) return pythonError('StopIteration')
  if (typeof record === 'string') return pythonError('Exception', record)
  if (!isTuple(record, 4) || !isTuple(record[0], 2))
    throw new RpycProtocolError('an exception of another form')
  const [[module, name], args, attrs, text] = record
  const isValid =
    typeof module === 'string' && typeof name === 'string' && Array.isArray(args) && Array.isArray(attrs)
  if (!isValid) throw new RpycProtocolError('an exception without a class, arguments and attributes')
  const traceback = typeof text === 'string' ? text : ''
  const message = messageOf(args, name, traceback)
  const error = name === 'TypeError' && module === 'builtins' ? new TypeError(message) : new Error(message)
  const attributes = Object.fromEntries(
    attrs.filter(
      (attr): attr is [string, BrineValue] =>
        isTuple(attr, 2) && typeof attr[0] === 'string' && isExceptionAttribute(attr[0])
    )
  )
  return Object.assign(error, {
    name,
    module,
    args,
    ...(Object.keys(attributes).length > 0 && { attributes }),
    ...(withTraceback && { traceback })
  })
}

/** What `str(exception)` returns in Python: the one argument, or what the traceback ends with. */
function messageOf(args: readonly BrineValue[], name: string, traceback: string): string {
  if (args.length === 1) return safeString(args[0])
  const lastLine = traceback.trimEnd().split('\n').at(-1)!
  const start = lastLine.indexOf(`${name}: `)
  return args.length > 1 && start >= 0 && !lastLine.startsWith(' ')
    ? lastLine.slice(start + name.length + 2)
    : args.map(safeString).join(', ')
}
