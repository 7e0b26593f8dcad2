// What is told of a member: what it is, what it takes, what it is for. Nothing of a user's runs for it.
import { isNetref } from './netref.js'
import { isClass, parametersOf } from './parameters.js'

/** What a peer learns of one member that it may use. */
export interface Description {
  /** As the peer writes it: `exposed_add` is `add`. */
  readonly name: string
  /** What stands there. What an `accessor` yields is known only when it is read. */
  readonly kind: 'function' | 'class' | 'object' | 'value' | 'accessor'
  /**
   * What a function or a class takes: `name`, `name?` with a default, `...name`; `arg0`, `arg1`, … where it has no
   * name. Not there where it is not known: of native and bound functions, of netrefs, of an inherited constructor.
   */
  readonly parameters?: readonly string[]
  /** What its home says it is for: `@exposed({ help })`, `expose(object, { help })`, or `static help` of a Service. */
  readonly help?: string
}

/** Describes a member by what stands in its object; without a descriptor nobody knows before it is read. */
export function describeMember(
  name: string,
  descriptor: PropertyDescriptor | undefined,
  help: string | undefined
): Description {
  const value = descriptor?.value
  const kind = descriptor && 'value' in descriptor ? kindOf(value) : 'accessor'
  const parameters = typeof value === 'function' && !isNetref(value) ? parametersOf(value) : undefined
  return { name, kind, ...(parameters && { parameters }), ...(help !== undefined && { help }) }
}

function kindOf(value: unknown): Description['kind'] {
  if (typeof value === 'function') return !isNetref(value) && isClass(value) ? 'class' : 'function'
  return typeof value === 'object' && value !== null ? 'object' : 'value'
}
