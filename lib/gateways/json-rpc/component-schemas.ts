// The schemas of an OpenRPC document: JSON Schema of draft 7, whose references name the components of the document.

import { isSchemaObject, type Schema, type SchemaObject, toSchema } from '../../util/json-schema.js'
import { ReferencedSchemas } from '../../util/referenced-schemas.js'

const COMPONENTS = '#/components/schemas/'

/** Keywords of draft 2020-12 whose value is a schema. */
const SCHEMAS = new Set([
  ...['additionalItems', 'additionalProperties', 'contains', 'else', 'if', 'items', 'not', 'propertyNames'],
  ...['then', 'unevaluatedItems', 'unevaluatedProperties']
])
/** Keywords whose value is a list of schemas. */
const SCHEMA_LISTS = new Set(['allOf', 'anyOf', 'items', 'oneOf', 'prefixItems'])
/** Keywords whose value has a schema for each of its keys. */
const SCHEMA_MAPS = new Set(['dependentSchemas', 'patternProperties', 'properties'])
/** Keywords that say where a schema is. Here, each is at another place. */
const PLACES = new Set([
  ...['$anchor', '$defs', '$dynamicAnchor', '$dynamicRef', '$id', '$ref', '$schema'],
  'definitions'
])

/** A schema that a reference names. */
interface Component {
  readonly name: string
  readonly schema: Schema
  /** Where references in it start. */
  readonly root: Schema
  /** Names the root. */
  readonly title: string
}

export class ComponentSchemas {
  readonly #components: Component[] = []
  readonly #referenced = new ReferencedSchemas<Component>()
  /** How often a name was asked for. */
  readonly #names = new Map<string, number>()

  /**
   * A schema for the document.
   *
   * @param root where its references start
   * @param title names what a reference to the root names
   */
  add(schema: Schema, root: Schema, title: string): Schema {
    if (!isSchemaObject(schema)) return schema
    const keywords = Object.entries(schema)
      .filter(([key]) => !PLACES.has(key))
      .map(([key, value]) => [toDraft7(key, schema), this.#keyword(key, value, root, title)])
    const copy: Record<string, unknown> = Object.fromEntries(keywords)
    if (typeof schema.$ref !== 'string') return copy
    const reference = this.#refer(schema.$ref, root, title)
    if (!reference) return copy
    // In draft 7, a reference has no other keywords beside it.
    if (keywords.length === 0) return reference
    return { ...copy, allOf: [reference, ...(Array.isArray(copy.allOf) ? copy.allOf : [])] }
  }

  /** The schemas that references name, by name; those that `add` added so far. */
  components(): Record<string, Schema> {
    const schemas = new Map<string, Schema>()
    // The loop also visits the components that it adds.
    for (const { name, schema, root, title } of this.#components)
      schemas.set(name, this.add(schema, root, title))
    return Object.fromEntries(schemas)
  }

  #keyword(key: string, value: unknown, root: Schema, title: string): unknown {
    const add = (part: unknown) => this.add(toSchema(part), root, title)
    if (SCHEMA_LISTS.has(key) && Array.isArray(value)) return value.map(add)
    if (SCHEMAS.has(key)) return add(value)
    if (!SCHEMA_MAPS.has(key) || !isSchemaObject(value)) return value
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, add(part)]))
  }

  #refer(reference: string, root: Schema, title: string): SchemaObject | undefined {
    const component = this.#referenced.get(root, reference, (schema, wanted = title) => {
      const created = { name: this.#unusedName(wanted), schema, root, title }
      this.#components.push(created)
      return created
    })
    return component && { $ref: COMPONENTS + component.name }
  }

  #unusedName(wanted: string): string {
    const base = wanted.replace(/[^\w.-]/g, '_') || '_'
    let name = base
    while (this.#names.has(name)) {
      const count = this.#names.get(base)! + 1
      this.#names.set(base, count)
      name = `${base}_${count}`
    }
    this.#names.set(name, 1)
    return name
  }
}

/** The name that draft 7 has for a keyword of draft 2020-12. */
function toDraft7(key: string, { prefixItems }: SchemaObject): string {
  if (key === 'prefixItems') return 'items'
  return key === 'items' && prefixItems !== undefined ? 'additionalItems' : key
}
