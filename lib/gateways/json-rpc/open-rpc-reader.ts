// Reads what the OpenRPC document of a server says of its methods.

import { NetrefError } from '../../errors.js'
import type { JsonSchema } from '../../types/json-schema.js'
import {
  isSchemaObject,
  keysOfReference,
  referencesIn,
  resolveReference,
  type SchemaObject
} from '../../util/json-schema.js'
import type { MethodDetails } from '../support/method-peer.js'

/** Maximum length of all schemas that references of methods name, as JSON. Further methods have no types. */
const MAX_CHARACTERS = 2 ** 22

/**
 * The methods of a document by name.
 *
 * @throws NetrefError `protocol` for what is no document of OpenRPC
 */
export function readOpenRpc(document: unknown): Map<string, MethodDetails> {
  const methods = isSchemaObject(document) ? document.methods : undefined
  if (!Array.isArray(methods) || !methods.every(isNamed))
    throw new NetrefError('protocol', 'rpc.discover returned no document of OpenRPC')
  const types = new MethodTypes(document as SchemaObject)
  return new Map(methods.map(method => [method.name, types.detailsOf(method)]))
}

type Named = SchemaObject & { readonly name: string }
const isNamed = (value: unknown): value is Named => isSchemaObject(value) && typeof value.name === 'string'
const isRest = ({ name }: Named): boolean => name.startsWith('...')

class MethodTypes {
  readonly #components: SchemaObject
  #charactersLeft = MAX_CHARACTERS

  constructor(private readonly document: SchemaObject) {
    this.#components = memberOf(memberOf(document, 'components'), 'schemas')
  }

  detailsOf({ params, summary, description: help = summary, result }: SchemaObject): MethodDetails {
    const contents = (Array.isArray(params) ? params : []).map(param => this.#follow(param))
    const input = contents.every(isNamed) ? this.#withComponents(inputOf(contents)) : undefined
    const output = this.#withComponents(memberOf(this.#follow(result), 'schema'))
    return {
      ...(contents.every(isNamed) && { parameters: contents.map(parameterOf) }),
      ...(typeof help === 'string' && { help }),
      ...(input && { input }),
      ...(output && { output })
    }
  }

  /** A parameter or result, which may be a reference to a component. */
  #follow(content: unknown): unknown {
    const { $ref } = isSchemaObject(content) ? content : {}
    return typeof $ref === 'string' ? resolveReference(this.document, $ref) : content
  }

  /** A schema with the components that it refers to, at their place. @returns undefined for one that says nothing */
  #withComponents(schema: SchemaObject): JsonSchema | undefined {
    if (Object.keys(schema).length === 0) return undefined
    const schemas = new Map<string, unknown>()
    const references = referencesIn(JSON.stringify(schema))
    // The loop also visits the references that it adds.
    for (const reference of references) {
      const [, , name] = keysOfReference(reference) ?? []
      if (name === undefined || schemas.has(name)) continue
      const component = Object.hasOwn(this.#components, name) ? this.#components[name] : {}
      const json = JSON.stringify(component)
      this.#charactersLeft -= json.length
      if (this.#charactersLeft < 0) return undefined
      schemas.set(name, component)
      references.push(...referencesIn(json))
    }
    return schemas.size > 0 ? { ...schema, components: { schemas: Object.fromEntries(schemas) } } : schema
  }
}

/** @returns an empty object if there is no such member, or it is no object */
function memberOf(object: unknown, name: string): SchemaObject {
  const member = isSchemaObject(object) && Object.hasOwn(object, name) ? object[name] : undefined
  return isSchemaObject(member) ? member : {}
}

const parameterOf = (content: Named): string =>
  content.required === true || isRest(content) ? content.name : `${content.name}?`

/** The schema of the list of arguments; one that says nothing if no parameter has a type. */
function inputOf(contents: readonly Named[]): SchemaObject {
  const schemas = contents.map(content => memberOf(content, 'schema'))
  if (schemas.every(schema => Object.keys(schema).length === 0)) return {}
  const rest = contents.findIndex(isRest)
  return {
    type: 'array',
    prefixItems: rest < 0 ? schemas : schemas.slice(0, rest),
    items: schemas[rest] ?? false,
    minItems: contents.filter(content => content.required === true).length
  }
}
