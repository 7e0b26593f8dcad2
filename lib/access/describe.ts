// Describes a member to a peer: its kind, its parameters and its help text. It runs no user code.

import type { Description } from '../types/description.js'
import { isNetref } from '../util/library-copies.js'
import { isClassConstructor, parameterNamesOf } from './parameters.js'

/** Describes a member by its property descriptor. Without one, its kind is unknown until it is read. */
export function describeMember(
  name: string,
  descriptor: PropertyDescriptor | undefined,
  help: string | undefined
): Description {
  const value = descriptor?.value
  const kind = descriptor && 'value' in descriptor ? kindOf(value) : 'accessor'
  const parameters = typeof value === 'function' && !isNetref(value) ? parameterNamesOf(value) : undefined
  return { name, kind, ...(parameters && { parameters }), ...(help !== undefined && { help }) }
}

function kindOf(value: unknown): Description['kind'] {
  if (typeof value === 'function') return !isNetref(value) && isClassConstructor(value) ? 'class' : 'function'
  return typeof value === 'object' && value !== null ? 'object' : 'value'
}
