// Finds the member of a service for a method of gRPC, and makes its arguments of a message.

import { Netref } from '../../index.js'
import type { RemoteHandle } from '../../types/netref.js'
import { describeIfExposed } from '../support/introspection.js'
import type { MethodPath } from '../support/methods.js'
import type { Rpc } from './definition.js'
import type { MessageType } from './message-types.js'

/** The member that serves a method. */
export interface ServingMember {
  readonly method: MethodPath
  /** Its parameters, if the service tells. */
  readonly parameters: readonly string[] | undefined
}

/** The names of the members that may serve a method: `SayHello` is `SayHello` or `sayHello`. */
export function memberNamesOf({ names }: Pick<Rpc, 'names'>): readonly string[] {
  const name = names.at(-1)!
  return [name, name.charAt(0).toLowerCase() + name.slice(1)]
}

/** Finds the member of a method. If the service has none, or does not tell, it is that of the same name. */
export async function memberOf(root: RemoteHandle<unknown>, rpc: Rpc): Promise<ServingMember> {
  const owner = ownerOf(root, rpc)
  const members = await describeIfExposed(owner, false)
  const names = memberNamesOf(rpc)
  const found = names
    .map(name => members.find(member => member.name === name && member.kind === 'function'))
    .find(member => member !== undefined)
  return {
    method: Netref.get(owner, found?.name ?? names[0]!) as MethodPath,
    parameters: found?.parameters
  }
}

/** The object that has the members of a service. */
export const ownerOf = (root: RemoteHandle<unknown>, { names }: Rpc): RemoteHandle<unknown> =>
  names.slice(0, -1).reduce<RemoteHandle<unknown>>((object, name) => Netref.get(object, name), root)

/**
 * The arguments for a message: its fields, if they have the names of the parameters; otherwise the message. A message without
 * fields is no argument.
 *
 * @param parameters as in a `Description`: `name`, `name?` with a default, `...name`
 */
export function argumentsOf(
  parameters: readonly string[] | undefined,
  type: MessageType,
  message: Readonly<Record<string, unknown>>
): unknown[] {
  if (type.fields.size === 0) return []
  const names = parameters && fieldsOfParameters(parameters, type)
  if (!names) return [message]
  const args = names.flatMap((name, i) => {
    const value = name === undefined ? undefined : message[name]
    return parameters[i]!.startsWith('...') ? (value as unknown[]) : [value]
  })
  // Absent arguments at the end do not count.
  while (args.length > 0 && args.at(-1) === undefined) args.pop()
  return args
}

/** The names of the fields for the parameters. @returns undefined if the two do not have the same names */
function fieldsOfParameters(
  parameters: readonly string[],
  { fields }: MessageType
): (string | undefined)[] | undefined {
  const byName = new Map([...fields.keys()].flatMap(name => [[camelCase(name), name] as const, [name, name]]))
  const names = parameters.map(parameter => byName.get(parameter.replace(/^\.{3}|\?$/g, '')))
  const isComplete = parameters.every((parameter, i) => {
    const name = names[i]
    if (parameter.startsWith('...')) return name !== undefined && fields.get(name)!.cardinality === 'list'
    return name !== undefined || parameter.endsWith('?')
  })
  return isComplete && new Set(names.filter(name => name !== undefined)).size === fields.size
    ? names
    : undefined
}

/** `first_name` as `firstName`. */
const camelCase = (name: string): string =>
  name.replace(/_+([a-zA-Z\d])/g, (_, letter: string) => letter.toUpperCase())
