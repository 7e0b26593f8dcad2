// Finds what references in JSON Schemas name, each schema once.

import { keysOfReference, referenceIdentity, resolveReference, type Schema } from './json-schema.js'

/** Maximum number of schemas that are compared. More come from a hostile peer only. */
const MAX_COMPARED = 1000

/** Has a T for each schema that a reference names; equal schemas have one. */
export class ReferencedSchemas<T> {
  readonly #byIdentity = new Map<string, T>()
  /** By the schema that the references start at, and the keys in the reference. */
  readonly #byKeys = new Map<Schema, Map<string, T>>()

  #compared = 0

  /** @param ignored what is no difference, in the identity of a reference */
  constructor(private readonly ignored?: RegExp) {}

  /**
   * The T of a reference.
   *
   * @param root the schema that the reference starts at
   * @param create makes it, of the schema that the reference names and the last name in the reference
   * @returns undefined if the reference names nothing
   */
  get(
    root: Schema,
    reference: string,
    create: (schema: Schema, name: string | undefined) => T
  ): T | undefined {
    const keys = keysOfReference(reference)
    const byKeys = this.#byKeys.get(root) ?? new Map<string, T>()
    this.#byKeys.set(root, byKeys)
    const place = JSON.stringify(keys)
    const schema = byKeys.has(place) ? undefined : resolveReference(root, reference)
    if (schema !== undefined) {
      const identity = this.#identityOf(root, reference)
      const equal = identity === undefined ? undefined : this.#byIdentity.get(identity)
      const found = equal ?? create(schema, keys?.at(-1))
      if (identity !== undefined) this.#byIdentity.set(identity, found)
      byKeys.set(place, found)
    }
    return byKeys.get(place)
  }

  #identityOf(root: Schema, reference: string): string | undefined {
    if (this.#compared++ >= MAX_COMPARED) return undefined
    const identity = referenceIdentity(root, reference)
    return this.ignored ? identity?.replace(this.ignored, '') : identity
  }
}
