// Writes the types of a service: an interface for each object, with the types of its functions.

import type { Parameter, Signature } from '../../util/signature.js'
import type { Member, ServiceObject } from '../described-service.js'
import { parameterNames, propertyName, UniqueNames } from './names.js'
import { descriptionOf, SchemaTypes } from './schema-types.js'
import { block, comment, listOf, type TypeText, UNKNOWN } from './type-text.js'

/** Names that types take for others: `exposed_add` is `add`, and `_add` is not public. With the prefix, they are themselves. */
const MISTAKABLE_NAME = /^(_|exposed_|~exposes$)/
const PREFIX = 'exposed_'

/**
 * The declarations of a service.
 *
 * @param objects the root and the objects in it
 * @param rootName the name of the root's interface, in words
 */
export function serviceDeclarations(objects: readonly ServiceObject[], rootName: string): string {
  const names = new UniqueNames()
  const types = new SchemaTypes(names)
  const interfaces = new Map<string, string>()
  for (const { path, members } of objects) {
    // Of an object without members nothing is known: it may be any data.
    if (path.length === 0) interfaces.set(keyOf(path), names.claimType(rootName))
    else if (members.length > 0) interfaces.set(keyOf(path), names.claimType(path.join('-')))
  }
  const texts = objects.flatMap(({ path, members }) => {
    const name = interfaces.get(keyOf(path))
    const prefix = members.some(member => MISTAKABLE_NAME.test(member.name)) ? PREFIX : ''
    const lines = members.map(member => {
      const typeName = interfaces.get(keyOf([...path, member.name]))
      return declarationOf(member, prefix, typeName, types)
    })
    return name === undefined ? [] : [`export interface ${name} ${block(lines)}`]
  })
  return [...texts, ...types.declarations('export type')].join('\n\n')
}

const keyOf = (path: readonly string[]): string => JSON.stringify(path)

/** @param typeName the interface of an object, if its members are known */
function declarationOf(
  { name, kind, help, signature }: Member,
  prefix: string,
  typeName: string | undefined,
  types: SchemaTypes
): string {
  const key = propertyName(prefix + name)
  switch (kind) {
    case 'function':
      return `${functionComment(help, signature)}${key}${signatureText(name, signature, types)}`
    case 'class': {
      const parameters = parametersText(name, signature, types, annotate)
      return `${functionComment(help, signature)}readonly ${key}: new (${parameters}) => unknown`
    }
    case 'list':
      return `${comment(help)}readonly ${key}: readonly ${listOf(UNKNOWN).text}`
    default:
      return `${comment(help)}readonly ${key}: ${typeName ?? UNKNOWN.text}`
  }
}

/** Writes the type behind a name. */
type Annotate = (type: TypeText) => string
const annotate: Annotate = ({ text }) => `: ${text}`

/** The parameters and the result of a function: `(a: number, b?: string): boolean`. */
export function signatureText(
  name: string,
  { parameters, input, output = true }: Signature,
  types: SchemaTypes,
  annotation = annotate
): string {
  const text = parametersText(name, { parameters, input }, types, annotation)
  return `(${text})${annotation(types.typeOf(output, output, `${name}-result`))}`
}

function parametersText(
  name: string,
  { parameters = UNKNOWN_PARAMETERS, input }: Pick<Signature, 'parameters' | 'input'>,
  types: SchemaTypes,
  annotation: Annotate
): string {
  const names = parameterNames(parameters.map(parameter => parameter.name))
  const texts = parameters.map(({ schema, isRequired, isRest }, i) => {
    const type = types.typeOf(schema, input, `${name}-arguments`)
    return isRest
      ? `...${names[i]}${annotation(listOf(type))}`
      : `${names[i]}${isRequired ? '' : '?'}${annotation(type)}`
  })
  return texts.join(', ')
}
const UNKNOWN_PARAMETERS: readonly Parameter[] = [
  { name: 'args', schema: true, isRequired: false, isRest: true }
]

function functionComment(help: string, { parameters = [], output = true }: Signature): string {
  const names = parameterNames(parameters.map(({ name }) => name))
  const tags = parameters.map(({ schema }, i) => tag(`@param ${names[i]}`, descriptionOf(schema)))
  return comment(help, ...tags, tag('@returns', descriptionOf(output)))
}

const tag = (name: string, text: string): string => (text === '' ? '' : `${name} ${text}`)
