// What `Netref.describe` tells of a member.

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
