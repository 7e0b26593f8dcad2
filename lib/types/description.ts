// The description of a member, as `Netref.describe` returns it.

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
}
