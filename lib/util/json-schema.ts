// Reads JSON Schemas that are not validated, such as those of a peer.

/** A JSON Schema that is an object of keywords. */
export type SchemaObject = Readonly<Record<string, unknown>>
/** Any JSON Schema: `true` allows every value, `false` allows none. */
export type Schema = SchemaObject | boolean

/** Maximum number of references that `referenceIdentity` follows, and maximum length of what they name. */
const MAX_REFERENCES = 20
const MAX_IDENTITY_CHARACTERS = 10_000

const REFERENCE = /"\$ref":("(?:[^"\\]|\\.)*")/g

export const isSchemaObject = (value: unknown): value is SchemaObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isSchema = (value: unknown): value is Schema => typeof value === 'boolean' || isSchemaObject(value)

/** The value as a schema; what is none says nothing. */
export const toSchema = (value: unknown): Schema => (isSchema(value) ? value : {})

/**
 * A copy of a schema as plain JSON: without cycles and without values that JSON has no form for.
 *
 * @returns undefined if it is no schema
 */
export function toPlainSchema(value: unknown): Schema | undefined {
  try {
    const copy: unknown = JSON.parse(JSON.stringify(value))
    return isSchema(copy) ? copy : undefined
  } catch {
    return undefined
  }
}

/**
 * What a reference in a schema names.
 *
 * @param root the schema that the reference starts at
 * @param reference such as `#` or `#/$defs/Tree`
 * @returns undefined if there is no such schema, and for a reference to another document
 */
export function resolveReference(root: Schema, reference: string): Schema | undefined {
  const keys = keysOfReference(reference)
  let found: unknown = keys && root
  for (const key of keys ?? []) {
    const isThere = typeof found === 'object' && found !== null && Object.hasOwn(found, key)
    found = isThere ? (found as SchemaObject)[key] : undefined
  }
  return isSchema(found) ? found : undefined
}

/** The keys that a reference leads through: `$defs` and `Tree` for `#/$defs/Tree`; undefined for another document. */
export function keysOfReference(reference: string): string[] | undefined {
  if (!/^#(\/|$)/.test(reference)) return undefined
  const [, ...tokens] = reference.split('/')
  return tokens.map(token => decode(token).replaceAll('~1', '/').replaceAll('~0', '~'))
}

function decode(token: string): string {
  try {
    return decodeURIComponent(token)
  } catch {
    return token
  }
}

/** The references in a schema as JSON text. */
export const referencesIn = (json: string): string[] =>
  [...json.matchAll(REFERENCE)].map(([, quoted]) => JSON.parse(quoted!))

/**
 * A text that two references have in common if they name equal schemas, with all that these refer to.
 *
 * @returns undefined if that is too long to compare
 */
export function referenceIdentity(root: Schema, reference: string): string | undefined {
  const texts = new Map<string, string>()
  const references = [reference]
  let length = 0
  // The loop also visits the references that it adds.
  for (const next of references) {
    if (texts.has(next)) continue
    const text = JSON.stringify(resolveReference(root, next)) ?? ''
    length += text.length
    if (length > MAX_IDENTITY_CHARACTERS || texts.size >= MAX_REFERENCES) return undefined
    texts.set(next, text)
    references.push(...referencesIn(text))
  }
  return JSON.stringify([...texts])
}

/** What a schema says of the items of a list. */
export interface ListSchema {
  /** The schemas of the first items. */
  readonly prefix: readonly Schema[]
  /** The schema of the items after those; false if there are none. */
  readonly items: Schema
  /** The number of items that a list has at least; undefined if the schema does not say it. */
  readonly minItems: number | undefined
}

/** The items of a list, by `prefixItems` and `items` of draft 2020-12, or `items` and `additionalItems` of older drafts. */
export function listSchemaOf(schema: SchemaObject): ListSchema {
  const { prefixItems, items, additionalItems, maxItems, minItems } = schema
  const [list, others] = Array.isArray(items) ? [items, additionalItems] : [prefixItems, items]
  const isTuple = Array.isArray(list)
  const prefix = isTuple ? list.map(toSchema) : []
  // A tuple that does not say what follows ends there.
  const isClosed = others === undefined && isTuple
  const isFull = typeof maxItems === 'number' && maxItems <= prefix.length
  return {
    prefix,
    items: !isClosed && !isFull && toSchema(others),
    minItems: typeof minItems === 'number' ? minItems : isTuple ? 0 : undefined
  }
}
