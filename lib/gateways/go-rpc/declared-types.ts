// The Go types that the options of a gateway or connection declare.

import { describeValue, quote } from '../../util/describe.js'
import { StructType } from './gob/composite-types.js'
import { type GobType, TypeReference } from './gob/gob-type.js'
import { parseType } from './type-expression.js'

/** Options for the Go types of values that this side sends. */
export interface GoTypeOptions {
  /**
   * Types as Go writes them, by the method whose value is sent: the result of a method that is served, or the argument of one that
   * is called. Other names are types that these use.
   *
   * @default types by the schema of the member, by what has been received, or else by the value
   * @example
   * goRpc({ types: { 'Shop.Find': '[]Item', Item: 'struct { Name string; Price float64; Parts []Item }' } })
   */
  readonly types?: Readonly<Record<string, string>> | undefined
  /**
   * Types that the Go programs have given to `gob.Register`, by the name under which it registers them. A value for an interface of
   * Go needs one, unless it is a basic type, or a list of one.
   *
   * @default those that the Go program has sent
   * @example
   * goRpc({ registered: { 'main.Circle': 'struct { Radius float64 }', 'map[string]interface {}': 'map[string]any' } })
   */
  readonly registered?: Readonly<Record<string, string>> | undefined
}

/** For the option tables. */
export const GO_TYPE_OPTIONS = { types: 'an object', registered: 'an object' } as const

export interface DeclaredTypes {
  readonly types: ReadonlyMap<string, GobType>
  readonly registered: ReadonlyMap<string, GobType>
}

/** @param call the function that takes the options, for error texts. @throws TypeError for what is no type */
export function declareTypes({ types = {}, registered = {} }: GoTypeOptions, call: string): DeclaredTypes {
  const references = new Map(Object.keys(types).map(name => [name, new TypeReference(name)]))
  const typeNamed = (name: string) => references.get(name)
  const parse = (option: string, name: string, text: unknown): GobType => {
    const label = `${call}: ${option}[${quote(name)}]`
    if (typeof text !== 'string')
      throw new TypeError(`${label} is ${describeValue(text)}; write a type as Go does: "[]string"`)
    try {
      return withName(parseType(text, typeNamed), name)
    } catch (error) {
      throw new TypeError(`${label} is not a type of Go: ${(error as Error).message}`)
    }
  }
  for (const [name, reference] of references) reference.definition = parse('types', name, types[name])
  for (const [name, { definition }] of references)
    if (isItself(definition!)) throw new TypeError(`${call}: types[${quote(name)}] is only itself`)
  return {
    types: references,
    registered: new Map(
      Object.entries(registered).map(([name, text]) => [name, parse('registered', name, text)])
    )
  }
}

/** A struct has the name of its declaration in errors. */
function withName(type: GobType, name: string): GobType {
  return type instanceof StructType ? new StructType(name, type.fields, goName(name)) : type
}

/** The name of a type without its package. */
const goName = (name: string): string => name.slice(name.lastIndexOf('.') + 1)

/** Whether a name stands for itself and nothing else. */
function isItself(type: GobType): boolean {
  const seen = new Set<GobType>()
  let current: GobType | undefined = type
  while (current instanceof TypeReference) {
    if (seen.has(current)) return true
    seen.add(current)
    current = current.definition
  }
  return false
}
