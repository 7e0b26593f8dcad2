// The description of a member, as `Netref.describe` returns it.

import type { JsonSchema } from './json-schema.js'

/** Describes one member that the peer may use. */
export interface Description {
  /** The name as the peer writes it: `add` for `exposed_add`. */
  readonly name: string
  /** The kind of the member. The value of an `accessor` is known only when it is read. */
  readonly kind: 'function' | 'class' | 'object' | 'value' | 'accessor'
  /**
   * The parameters of a function or class: `name`, `name?` with a default, `...name`, or `arg0`, `arg1`, … without a
   * name. Undefined for native and bound functions, netrefs and inherited constructors.
   */
  readonly parameters?: readonly string[]
  /** The help text of its owner: `@exposed({ help })`, `expose(object, { help })`, or `static help` of a Service. */
  readonly help?: string
  /**
   * The JSON Schema of the list of arguments, by the option `schema` of the member: `prefixItems` has those of the single
   * arguments. What JSON Schema cannot say is left open. Undefined without a schema, and if its library cannot tell.
   */
  readonly input?: JsonSchema
  /** The JSON Schema of the result, by the option `returns` of the member. Undefined as `input`. */
  readonly output?: JsonSchema
}
