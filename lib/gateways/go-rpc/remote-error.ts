// The error of a call that a server of Go's net/rpc answered with an error.

import { registerError } from '../../index.js'
import { type Field, StructType } from './gob/composite-types.js'
import type { GobType } from './gob/gob-type.js'

/**
 * A server of Go's net/rpc answered a call with an error. Go sends its text and nothing else.
 *
 * @example
 * try {
 *   await conn.root.pay(10)
 * } catch (error) {
 *   if (error instanceof GoRpcError && error.message === 'no credit') console.log('pay in first')
 * }
 */
export class GoRpcError extends Error {
  /** Name of the class. */
  override name = 'GoRpcError'
}
registerError(GoRpcError, { name: 'netref.GoRpcError' })

/** What Go's server says of an argument that is not of the type of the method. The method did not run. */
const WRONG_TYPE = /^gob: (?:decoding into local type|wrong type|type mismatch)/
/** The type of the method is of one kind, such as a number or a list, and that of the argument of another. */
const WRONG_ARGUMENT = /^gob: decoding into local type \*+(.+), received remote type/
const WRONG_FIELD = /^gob: wrong type \((.+)\) for received field (?:.*\.)?([^.]+)$/
const NO_FIELD = /no fields matched/
const NO_STRUCT = /want struct type/

export const isWrongType = (text: string): boolean => WRONG_TYPE.test(text)

/**
 * @param method whose call was answered with this text
 * @param type of the argument that was sent
 */
export function remoteError(text: string, method: string, type: GobType): GoRpcError {
  return new GoRpcError(isWrongType(text) ? `${text}; ${adviceFor(text, method, type)}` : text)
}

function adviceFor(text: string, method: string, type: GobType): string {
  if (NO_FIELD.test(text))
    return "no name of the object is that of a field of Go's struct; write them as Go does"
  if (NO_STRUCT.test(text))
    return type.name.startsWith('map[')
      ? "names of the fields of Go's structs begin with a capital letter: pass { Name: … }, not { name: … }"
      : "pass an object with the names of the fields of Go's struct"
  const [, wanted] = WRONG_ARGUMENT.exec(text) ?? []
  if (wanted !== undefined)
    return isSimilar(type, wanted)
      ? declare(method, wanted.replace(NAMED, 'struct { … }'))
      : passValue(wanted)
  const [, fieldType = 'float64', name] = WRONG_FIELD.exec(text) ?? []
  const field = fieldsOf(type).find(field => field.name === name)
  return field && !isSimilar(field.type, fieldType)
    ? `${passValue(fieldType)} as ${field.name}`
    : declare(method, structTemplate(type, name, fieldType))
}

const passValue = (type: string): string => `pass a value of Go's ${type}`

const declare = (method: string, type: string): string =>
  `declare the type of the argument: types: { ${JSON.stringify(method)}: ${JSON.stringify(type)} }`

/** A name of a type in a package. */
const NAMED = /\b(?!time\.Time\b)\w+\.\w+/g

const fieldsOf = ({ resolved: type }: GobType): readonly Field[] =>
  type instanceof StructType ? type.fields : []

/** The struct that was sent, with the type that Go wants for one of its fields. */
function structTemplate(type: GobType, wrong: string | undefined, wanted: string): string {
  const fields = fieldsOf(type).map(({ name, type }) => {
    if (name === wrong) return `${name} ${wanted.replace(NAMED, 'struct { … }')}`
    return `${name} ${fieldsOf(type).length > 0 ? 'struct { … }' : type.name}`
  })
  return `struct { ${fields.join('; ') || '…'} }`
}

/** Whether a value that was sent by one type may be sent by the other: both are numbers, lists or maps. */
const isSimilar = ({ name }: GobType, wanted: string): boolean =>
  KINDS.some(kind => kind.test(name) && kind.test(wanted))
const KINDS = [/^(?:u?int|float)\d*$/, /^\[/, /^map\[/]
