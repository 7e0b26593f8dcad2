// How an Error travels, both ways: its class, name, message, code, cause, errors, and own fields that are data.

import { ProtocolError } from '../errors.js'
import { printableLines } from '../util/printable.js'
import { CONVERSIONS } from './classify.js'
import { hearsay, isHearsay } from './peer-errors.js'
import { errorClass, errorName } from './registry.js'
import type { DataWalk, IsRaw } from './types.js'

export interface BoxedError {
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
export const partsOfError = (fields: readonly unknown[] = []): number => 3 + fields.length / 2

/** Fields that have a place of their own. */
const OWN_PLACE = ['code', 'cause', 'errors'] as const
const ELSEWHERE = new Set<string>(['name', 'message', 'stack', ...OWN_PLACE])
/** Names that never come in as fields of an error: they would mean something to the language. */
const NEVER = new Set<unknown>(['__proto__', 'constructor', 'prototype', ...CONVERSIONS])

/** What an error says of itself, whatever its author made of that. */
function text(error: Error, key: 'name' | 'message'): string {
  try {
    return String(error[key])
  } catch {
    return ''
  }
}

/** The stack, where it is text: a program may make anything of stacks (`Error.prepareStackTrace`). */
function stackOf(traced: { readonly stack?: unknown }): string {
  try {
    const { stack } = traced
    return typeof stack === 'string' ? stack : ''
  } catch {
    return ''
  }
}

export function boxError(error: Error, boxing: DataWalk, depth: number): BoxedError {
  const boxed: BoxedError = {
    class: errorName(error),
    name: text(error, 'name'),
    message: text(error, 'message')
  }
  if (isHearsay(error, boxed.class, boxing.giver)) return { ...boxed, ...hearsay(error, boxed.class) }
  const omitted: string[] = []
  const fields: unknown[] = []
  const own = error as unknown as Record<string, unknown>
  for (const key of OWN_PLACE) {
    // The code of a DOMException comes of its name.
    if (!(key in error) || (key === 'code' && boxed.class === 'DOMException')) continue
    const data = boxing.data([key], () => own[key], depth + 1)
    if (data) boxed[key] = data.boxed
    else omitted.push(key)
  }
  for (const key of Object.keys(error)) {
    if (ELSEWHERE.has(key)) continue
    const place = ['fields', fields.length + 1]
    const data = NEVER.has(key) ? undefined : boxing.data(place, () => own[key], depth + 2)
    if (data) fields.push(key, data.boxed)
    else omitted.push(key)
  }
  if (fields.length > 0) boxed.fields = fields
  if (omitted.length > 0) boxed.omitted = omitted
  const stack = boxing.giver.boxing.exposeStacks ? stackOf(error) : ''
  if (stack) boxed.stack = stack
  return boxed
}

/** The error without what may lead back to it: `fill` adds that. No constructor of a user's is run. */
export function makeError(boxed: unknown): Error {
  const { class: type, message, name } = (boxed ?? {}) as BoxedError
  if (typeof type !== 'string' || typeof message !== 'string' || typeof name !== 'string') {
    throw new ProtocolError('an error without a class, a name or a message')
  }
  const error = withoutStack<Error>(() =>
    type === 'DOMException' && globalThis.DOMException
      ? new DOMException(message, name)
      : Reflect.construct(Error, [message], errorClass(type))
  )
  if (error.name !== name) define(error, 'name', name)
  define(error, 'stack', printableLines(`${name}: ${message}`))
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
export function fillError(error: Error, boxed: unknown, isRaw: IsRaw): Error {
  const { code, cause, errors, fields = [], omitted, stack } = boxed as BoxedError
  if (!isRaw(fields)) throw new ProtocolError('an error whose fields are no list')
  if (code !== undefined) define(error, 'code', code, true)
  if (cause !== undefined) define(error, 'cause', cause)
  if (errors !== undefined) define(error, 'errors', errors)
  for (let i = 0; i < fields.length; i += 2) {
    const key = fields[i]
    if (typeof key !== 'string') throw new ProtocolError('a field of an error without a name')
    if (!NEVER.has(key) && !ELSEWHERE.has(key)) define(error, key, fields[i + 1], true)
  }
  if (omitted !== undefined) define(error, 'omitted', omitted, true)
  if (typeof stack === 'string') define(error, 'stack', `${error.stack}${REMOTE}${printableLines(stack)}`)
  return error
}

function define(error: Error, key: string, value: unknown, enumerable = false): void {
  Object.defineProperty(error, key, { value, enumerable, configurable: true, writable: true })
}

/** Frames the stack of the other side below the local one. */
const REMOTE = '\n  --- on the other side ---\n'
const NODE_FRAME = /\n\s+at process\.processTicksAndRejections .*/

/**
 * Makes the stack of an error that crossed name the one who awaits it, above the remote stack, if that came along. To
 * be called where the awaiting function is V8's async caller; `below` is the function to leave out with all above it.
 */
export function localizeStack(error: Error, below: (...args: never[]) => unknown): void {
  const remote = stackOf(error).split(REMOTE)[1]
  const local: { stack?: string } = {}
  Error.captureStackTrace?.(local, below)
  const frames = stackOf(local).replace(/^.*/, '').replace(NODE_FRAME, '')
  const head = printableLines(`${error.name}: ${error.message}`)
  try {
    define(error, 'stack', `${head}${frames}${remote === undefined ? '' : REMOTE + remote}`)
  } catch {
    // An error made here whose stack a program's `Error.prepareStackTrace` fails to make.
  }
}
