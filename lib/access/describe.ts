// Describes a member to a peer: its kind, its parameters and its help text. It runs no user code.

import type { Description } from '../types/description.js'
import type { JsonSchema } from '../types/json-schema.js'
import { isNetref } from '../util/library-copies.js'
import { isClassConstructor, parameterNamesOf } from './parameters.js'

/** The JSON Schemas of a member's arguments and its result, as far as they are known. */
export interface MemberTypes {
  readonly input?: JsonSchema | undefined
  readonly output?: JsonSchema | undefined
}
/** What the owner of a member says of it. */
export interface MemberDetails extends MemberTypes {
  readonly help?: string
}

/** Describes a member by its property descriptor. Without one, its kind is unknown until it is read. */
export function describeMember(
  name: string,
  descriptor: PropertyDescriptor | undefined,
  { help, input, output }: MemberDetails
): Description {
  const value = descriptor?.value
  const kind = descriptor && 'value' in descriptor ? kindOf(value) : 'accessor'
  const parameters = typeof value === 'function' && !isNetref(value) ? parameterNamesOf(value) : undefined
  return {
    name,
    kind,
    ...(parameters && { parameters }),
    ...(help !== undefined && { help }),
    ...(input && { input }),
    ...(output && { output })
  }
}

function kindOf(value: unknown): Description['kind'] {
  if (typeof value === 'function') return !isNetref(value) && isClassConstructor(value) ? 'class' : 'function'
  return typeof value === 'object' && value !== null ? 'object' : 'value'
}
