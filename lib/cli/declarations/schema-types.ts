// Writes JSON Schemas as types of TypeScript. What they do not say is `unknown`.

import {
  isSchemaObject,
  listSchemaOf,
  referencesIn,
  type Schema,
  type SchemaObject,
  toSchema
} from '../../util/json-schema.js'
import { ReferencedSchemas } from '../../util/referenced-schemas.js'
import type { UniqueNames } from './names.js'
import {
  comment,
  intersection,
  listOf,
  literal,
  NEVER,
  objectType,
  type Property,
  simple,
  type TypeText,
  tuple,
  UNKNOWN,
  union
} from './type-text.js'

/** Maximum depth of schemas in schemas. It is more than a session passes: a reference goes deeper. */
const MAX_DEPTH = 600
/** Longest type without a name. TypeScript repeats parts that a schema has once: a short schema may have a type without end. */
const MAX_TYPE_CHARACTERS = 100_000

/** What an identity has for objects without further properties. TypeScript has one type for them and others. */
const CLOSED = /,?\\"additionalProperties\\":false/g

/** A type that references name. */
interface Declaration {
  readonly name: string
  readonly place: Place
  readonly schema: Schema
  type?: TypeText
}

/** Where a schema is. */
interface Place {
  /** Where its references start. */
  readonly root: Schema
  /** Names the type of the root. */
  readonly title: string
  /** The declarations that it is part of, not in an object or a list. TypeScript refuses one that is itself. */
  readonly within: readonly Declaration[]
}

export class SchemaTypes {
  readonly #declarations: Declaration[] = []
  readonly #referenced = new ReferencedSchemas<Declaration>(CLOSED)
  /** Those that are part of no declaration. */
  readonly #types = new Map<SchemaObject, TypeText>()
  #depth = 0

  constructor(private readonly names: UniqueNames) {}

  /**
   * The type of a schema.
   *
   * @param root where its references start
   * @param title names the type of the root, if a reference names the root
   */
  typeOf(schema: Schema, root: Schema, title: string): TypeText {
    const place = { root, title, within: [] }
    const isNamed = schema === root && referencesIn(JSON.stringify(root)).includes('#')
    return isNamed ? this.#reference('#', place) : this.#type(schema, place)
  }

  /**
   * The declarations of the types that references name, those of `typeOf` so far.
   *
   * @param keyword what they begin with
   */
  declarations(keyword: 'type' | 'export type'): string[] {
    const texts: string[] = []
    // The loop also visits the declarations that it adds.
    for (const declaration of this.#declarations) {
      const { text } = this.#complete(declaration)
      texts.push(`${commentOf(declaration.schema)}${keyword} ${declaration.name} = ${text}`)
    }
    return texts
  }

  #type(schema: Schema, place: Place): TypeText {
    if (!isSchemaObject(schema)) return schema ? UNKNOWN : NEVER
    const isPlain = place.within.length === 0
    const known = isPlain ? this.#types.get(schema) : undefined
    if (known) return known
    if (this.#depth >= MAX_DEPTH) return UNKNOWN
    this.#depth++
    const type = this.#typeOfKeywords(schema, place)
    this.#depth--
    const written = type.text.length > MAX_TYPE_CHARACTERS ? UNKNOWN : type
    if (isPlain) this.#types.set(schema, written)
    return written
  }

  #typeOfKeywords(schema: SchemaObject, place: Place): TypeText {
    const { $ref, anyOf, oneOf, allOf, not, nullable } = schema
    const parts: TypeText[] = []
    if (typeof $ref === 'string') parts.push(this.#reference($ref, place))
    for (const alternatives of [anyOf, oneOf]) {
      if (Array.isArray(alternatives)) parts.push(union(this.#typesOf(alternatives, place)))
    }
    if (Array.isArray(allOf)) parts.push(...this.#typesOf(allOf, place))
    if (not === true || (isSchemaObject(not) && Object.keys(not).length === 0)) parts.push(NEVER)
    parts.unshift(this.#ownType(schema, parts.length > 0, { ...place, within: [] }))
    return nullable === true ? union([intersection(parts), simple('null')]) : intersection(parts)
  }

  #typesOf(schemas: readonly unknown[], place: Place): TypeText[] {
    return schemas.map(schema => this.#type(toSchema(schema), place))
  }

  /** The type without the parts that other schemas say. */
  #ownType(schema: SchemaObject, hasParts: boolean, place: Place): TypeText {
    if ('const' in schema) return literal(schema.const)
    if (Array.isArray(schema.enum)) return union(schema.enum.map(literal))
    const names = [...new Set(typeNamesOf(schema))]
    if (names.length === 0) return UNKNOWN
    return union(names.map(name => this.#typeOfName(name, schema, hasParts, place)))
  }

  #typeOfName(name: unknown, schema: SchemaObject, hasParts: boolean, place: Place): TypeText {
    switch (name) {
      case 'string':
      case 'boolean':
      case 'null':
      case 'number':
        return simple(name)
      case 'integer':
        return simple('number')
      case 'array':
        return this.#list(schema, place)
      case 'object':
        // The parts say more.
        return hasParts && !hasKeyword(schema, OBJECT_KEYWORDS) ? UNKNOWN : this.#object(schema, place)
      default:
        return UNKNOWN
    }
  }

  #list(schema: SchemaObject, place: Place): TypeText {
    const { prefix, items, minItems = 0 } = listSchemaOf(schema)
    const rest = items === false ? undefined : this.#type(items, place)
    return prefix.length === 0 && rest ? listOf(rest) : tuple(this.#typesOf(prefix, place), minItems, rest)
  }

  #object(schema: SchemaObject, place: Place): TypeText {
    const { required, additionalProperties, patternProperties, propertyNames } = schema
    const names = isSchemaObject(propertyNames) ? stringsOf(propertyNames.enum) : []
    const schemas = new Map<string, unknown>(names.map(name => [name, additionalProperties]))
    const requiredNames = new Set(stringsOf(required))
    for (const name of requiredNames) if (!schemas.has(name)) schemas.set(name, {})
    for (const [name, one] of entriesOf(schema.properties)) schemas.set(name, one)
    const properties = [...schemas].map(([name, one]): Property => {
      const property = toSchema(one)
      const isOptional = !requiredNames.has(name)
      return { name, type: this.#type(property, place), isOptional, comment: commentOf(property) }
    })
    const others = entriesOf(patternProperties).map(([, one]) => one)
    const isOpen = additionalProperties === true || isSchemaObject(additionalProperties)
    if (isOpen && names.length === 0) others.push(additionalProperties)
    return objectType(properties, this.#otherValues(others, properties, place))
  }

  /** The type of values under other names. TypeScript requires that the properties have it, too. */
  #otherValues(
    others: readonly unknown[],
    properties: readonly Property[],
    place: Place
  ): TypeText | undefined {
    if (others.length === 0) return properties.length > 0 ? undefined : UNKNOWN
    const types = [...this.#typesOf(others, place), ...properties.map(({ type }) => type)]
    return union(properties.some(({ isOptional }) => isOptional) ? [...types, simple('undefined')] : types)
  }

  #reference(reference: string, place: Place): TypeText {
    const declaration = this.#declare(reference, place)
    if (!declaration) return UNKNOWN
    const { within } = place
    if (within.length > 0) {
      if (within.includes(declaration)) return UNKNOWN
      this.#complete(declaration, within)
    }
    return simple(declaration.name)
  }

  #complete(declaration: Declaration, within: readonly Declaration[] = []): TypeText {
    const { place, schema } = declaration
    declaration.type ??= this.#type(schema, { ...place, within: [...within, declaration] })
    return declaration.type
  }

  /** The declaration for a reference; undefined if the reference names nothing. */
  #declare(reference: string, { root, title }: Place): Declaration | undefined {
    return this.#referenced.get(root, reference, (schema, wanted = title) => {
      const place = { root, title, within: [] }
      const declaration: Declaration = { name: this.names.claimType(wanted), schema, place }
      this.#declarations.push(declaration)
      return declaration
    })
  }
}

const OBJECT_KEYWORDS = [
  'properties',
  'required',
  'additionalProperties',
  'patternProperties',
  'propertyNames'
]
const LIST_KEYWORDS = ['prefixItems', 'items']

const hasKeyword = (schema: SchemaObject, keywords: readonly string[]): boolean =>
  keywords.some(keyword => keyword in schema)

/** The names in `type`, or those that the other keywords are for. */
function typeNamesOf(schema: SchemaObject): readonly unknown[] {
  const { type } = schema
  if (type !== undefined) return Array.isArray(type) ? type : [type]
  const isObject = hasKeyword(schema, OBJECT_KEYWORDS)
  return [...(isObject ? ['object'] : []), ...(hasKeyword(schema, LIST_KEYWORDS) ? ['array'] : [])]
}

const entriesOf = (value: unknown): [string, unknown][] =>
  isSchemaObject(value) ? Object.entries(value) : []
const stringsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter(item => typeof item === 'string') : []

/** The description of a schema as a comment. */
const commentOf = (schema: Schema): string => comment(descriptionOf(schema))

/** The description of a schema; empty if it has none. */
export const descriptionOf = (schema: Schema): string =>
  isSchemaObject(schema) && typeof schema.description === 'string' ? schema.description : ''
