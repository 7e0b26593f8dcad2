// How an Error travels, both ways: its class, name, message, code, cause, errors, and own fields that are data.

import { ProtocolError } from '../errors.js'
import { toPrintableLines } from '../util/printable.js'
import { CONVERSION_METHODS } from './classify.js'
import { isConfidential, redactError } from './peer-errors.js'
import { errorClass, knownErrorName } from './registry.js'
import type { DataWalk, IsRaw } from './types.js'

export interface EncodedError {
  class: string
  name: string
  message: string
  /** Present where the sender's `exposeStacks` is on. */
  stack?: string
  code?: unknown
  cause?: unknown
  errors?: unknown
  /** Names and values of fields, one after the other: a list has a length that is known at once. */
  fields?: unknown[]
  /** Names of fields that are not data, and stayed home. */
  omitted?: string[]
}

/** How many parts of it count beside itself: its class, name and message, and its fields. */
export const errorPartCount = (fields: readonly unknown[] = []): number => 3 + fields.length / 2

/** Fields that have a place of their own. */
const SEPARATE_FIELDS = ['code', 'cause', 'errors'] as const
const RESERVED_FIELDS = new Set<string>(['name', 'message', 'stack', ...SEPARATE_FIELDS])
/** Names that never come in as fields of an error: they would mean something to the language. */
const FORBIDDEN_FIELDS = new Set<unknown>(['__proto__', 'constructor', 'prototype', ...CONVERSION_METHODS])

/** What an error says of itself, whatever its author made of that. */
function safeText(error: Error, key: 'name' | 'message'): string {
  try {
    return String(error[key])
  } catch {
    return ''
  }
}

/** The stack, where it is text: a program may make anything of stacks (`Error.prepareStackTrace`). */
function safeStack(traced: { readonly stack?: unknown }): string {
  try {
    const { stack } = traced
    return typeof stack === 'string' ? stack : ''
  } catch {
    return ''
  }
}

export function encodeError(error: Error, encoder: DataWalk, depth: number): EncodedError {
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
    // The code of a DOMException comes of its name.
    if (!(key in error) || (key === 'code' && encoded.class === 'DOMException')) continue
    const data = encoder.encodeDataOnly([key], () => own[key], depth + 1)
    if (data) encoded[key] = data.boxed
    else omitted.push(key)
  }
  for (const key of Object.keys(error)) {
    if (RESERVED_FIELDS.has(key)) continue
    const place = ['fields', fields.length + 1]
    const data = FORBIDDEN_FIELDS.has(key)
      ? undefined
      : encoder.encodeDataOnly(place, () => own[key], depth + 2)
    if (data) fields.push(key, data.boxed)
    else omitted.push(key)
  }
  if (fields.length > 0) encoded.fields = fields
  if (omitted.length > 0) encoded.omitted = omitted
  const stack = encoder.references.encodeLimits.exposeStacks ? safeStack(error) : ''
  if (stack) encoded.stack = stack
  return encoded
}

/** The error without what may lead back to it: `fill` adds that. No constructor of a user's is run. */
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

/** The frames at which an error is made from the wire mean nothing to anybody: no stack is made of them, by nobody. */
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

/** Gives an error from `makeError` its fields. */
export function fillError(error: Error, encoded: unknown, isRawArray: IsRaw): Error {
  const { code, cause, errors, fields = [], omitted, stack } = encoded as EncodedError
  if (!isRawArray(fields)) throw new ProtocolError('an error whose fields are no list')
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

/** Frames the stack of the other side below the local one. */
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
