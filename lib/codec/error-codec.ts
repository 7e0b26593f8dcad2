// Encodes and decodes Errors: class, name, message, code, cause, errors, and own fields that are data.

import { ProtocolError } from '../errors.js'
import { CONVERSION_METHODS } from '../util/conversion-methods.js'
import { toPrintableLines } from '../util/printable.js'
import { isConfidential, redactError } from './confidential-errors.js'
import { errorClass, knownErrorName } from './registry.js'
import type { DataEncoder, IsRawArray } from './types.js'

export interface EncodedError {
  class: string
  name: string
  message: string
  /** Only if the sender sets `exposeStacks`. */
  stack?: string
  code?: unknown
  cause?: unknown
  errors?: unknown
  /** Names and values of fields in turn. The length of a list is known at once, as a limit needs it. */
  fields?: unknown[]
  /** Names of fields that are not data, which are not sent. */
  omitted?: string[]
}

/** How many values an error counts as beside itself: its class, name, message, and fields. */
export const errorPartCount = (fields: readonly unknown[] = []): number => 3 + fields.length / 2

/** Fields of an encoded error of their own. */
const SEPARATE_FIELDS = ['code', 'cause', 'errors'] as const
const RESERVED_FIELDS = new Set<string>(['name', 'message', 'stack', ...SEPARATE_FIELDS])
/** Names that are not decoded as fields, because they mean something to the language. */
const FORBIDDEN_FIELDS = new Set<unknown>(['__proto__', 'constructor', 'prototype', ...CONVERSION_METHODS])

/** The name or message, which a user's class may have made anything. */
function safeText(error: Error, key: 'name' | 'message'): string {
  try {
    return String(error[key])
  } catch {
    return ''
  }
}

/** The stack, if it is text: a program may make anything of it (`Error.prepareStackTrace`). */
function safeStack(traced: { readonly stack?: unknown }): string {
  try {
    const { stack } = traced
    return typeof stack === 'string' ? stack : ''
  } catch {
    return ''
  }
}

export function encodeError(error: Error, encoder: DataEncoder, depth: number): EncodedError {
  const encoded: EncodedError = {
    class: knownErrorName(error),
    name: safeText(error, 'name'),
    message: safeText(error, 'message')
  }
  if (isConfidential(error, encoded.class, encoder.references))
    return { ...encoded, ...redactError(error, encoded.class) }
  const omitted: string[] = []
  const fields: unknown[] = []
  const own = error as unknown as Record<string, unknown>
  for (const key of SEPARATE_FIELDS) {
    // The code of a DOMException follows from its name.
    if (!(key in error) || (key === 'code' && encoded.class === 'DOMException')) continue
    const data = encoder.encodeDataOnly([key], () => own[key], depth + 1)
    if (data) encoded[key] = data.encoded
    else omitted.push(key)
  }
  for (const key of Object.keys(error)) {
    if (RESERVED_FIELDS.has(key)) continue
    const place = ['fields', fields.length + 1]
    const data = FORBIDDEN_FIELDS.has(key)
      ? undefined
      : encoder.encodeDataOnly(place, () => own[key], depth + 2)
    if (data) fields.push(key, data.encoded)
    else omitted.push(key)
  }
  if (fields.length > 0) encoded.fields = fields
  if (omitted.length > 0) encoded.omitted = omitted
  const stack = encoder.references.encodeLimits.exposeStacks ? safeStack(error) : ''
  if (stack) encoded.stack = stack
  return encoded
}

/** Creates an error without the fields that may lead back to it: `fillError` adds them. Runs no user's constructor. */
export function createError(encoded: unknown): Error {
  const { class: type, message, name } = (encoded ?? {}) as EncodedError
  if (typeof type !== 'string' || typeof message !== 'string' || typeof name !== 'string') {
    throw new ProtocolError('an error without a class, a name or a message')
  }
  const error = withoutStack<Error>(() =>
    type === 'DOMException' && globalThis.DOMException
      ? new DOMException(message, name)
      : Reflect.construct(Error, [message], errorClass(type))
  )
  if (error.name !== name) defineField(error, 'name', name)
  defineField(error, 'stack', toPrintableLines(`${name}: ${message}`))
  return error
}

/** Creates an error without a stack: the stack of the decoder is of no use. */
function withoutStack<T>(make: () => T): T {
  const { stackTraceLimit } = Error
  // Not by assignment: `Error` may be frozen.
  Reflect.set(Error, 'stackTraceLimit', undefined)
  try {
    return make()
  } finally {
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
  }
}

/** Adds the fields to an error of `createError`. */
export function fillError(error: Error, encoded: unknown, isRawArray: IsRawArray): Error {
  const { code, cause, errors, fields = [], omitted, stack } = encoded as EncodedError
  if (!isRawArray(fields)) throw new ProtocolError('an error whose fields are not a list')
  if (code !== undefined) defineField(error, 'code', code, true)
  if (cause !== undefined) defineField(error, 'cause', cause)
  if (errors !== undefined) defineField(error, 'errors', errors)
  for (let i = 0; i < fields.length; i += 2) {
    const key = fields[i]
    if (typeof key !== 'string') throw new ProtocolError('a field of an error without a name')
    if (!FORBIDDEN_FIELDS.has(key) && !RESERVED_FIELDS.has(key)) defineField(error, key, fields[i + 1], true)
  }
  if (omitted !== undefined) defineField(error, 'omitted', omitted, true)
  if (typeof stack === 'string')
    defineField(error, 'stack', `${error.stack}${REMOTE_STACK_SEPARATOR}${toPrintableLines(stack)}`)
  return error
}

function defineField(error: Error, key: string, value: unknown, enumerable = false): void {
  Object.defineProperty(error, key, { value, enumerable, configurable: true, writable: true })
}

/** The line between the local stack and that of the peer. */
const REMOTE_STACK_SEPARATOR = '\n  --- on the other side ---\n'
const NODE_FRAME = /\n\s+at process\.processTicksAndRejections .*/

/**
 * Makes the stack of an error that crossed name the one who awaits it, above the remote stack, if that came along. To
 * be called where the awaiting function is V8's async caller; `below` is the function to leave out with all above it.
 */
export function localizeStack(error: Error, below: (...args: never[]) => unknown): void {
  const remote = safeStack(error).split(REMOTE_STACK_SEPARATOR)[1]
  const local: { stack?: string } = {}
  Error.captureStackTrace?.(local, below)
  const frames = safeStack(local).replace(/^.*/, '').replace(NODE_FRAME, '')
  const head = toPrintableLines(`${error.name}: ${error.message}`)
  try {
    defineField(
      error,
      'stack',
      `${head}${frames}${remote === undefined ? '' : REMOTE_STACK_SEPARATOR + remote}`
    )
  } catch {
    // An error made here whose stack a program's `Error.prepareStackTrace` fails to make.
  }
}
